//! A token's life, from request to death.

use super::*;
use crate::keys::PrivateKey;
use crate::user::EXTRA_CREDENTIAL_ID;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use object::ApiError;
use serde_json::{Value, json};

const NOW: i64 = 1_795_364_879;
const API: &str = "https://kubernetes.default.svc";

fn cluster() -> (TokenIssuer, TokenVerifier) {
    let issuer = TokenIssuer::new(API, PrivateKey::generate().unwrap());
    let verifier = TokenVerifier {
        issuers: vec![API.into()],
        keys: vec![issuer.public_key().clone()],
        api_audiences: vec![API.into()],
    };
    (issuer, verifier)
}

fn account() -> Value {
    json!({"metadata": {"name": "robot", "namespace": "ns", "uid": "sa-1"}})
}

fn pod() -> Value {
    json!({"metadata": {"name": "p", "namespace": "ns", "uid": "pod-1"}, "spec": {"serviceAccountName": "robot", "nodeName": "n"}})
}

fn read(spec: Value) -> object::Result<TokenRequest> {
    TokenRequest::read(json!({"spec": spec}), "ns", "robot", &[API.into()], 0)
}

fn grant(issuer: &TokenIssuer, spec: Value) -> object::Result<Value> {
    let request = read(spec)?;
    let bound = request.bound_object()?;
    let object = pod();
    request.grant(issuer, &[API.into()], &account(), bound.as_ref().map(|bound| (bound, &object)), None, NOW)
}

fn token(answer: &Value) -> String {
    answer["status"]["token"].as_str().unwrap().to_owned()
}

#[test]
fn defaults_and_answer() {
    let (issuer, verifier) = cluster();
    let answer = grant(&issuer, json!({})).unwrap();
    assert_eq!(
        answer["spec"],
        json!({"audiences": [API], "expirationSeconds": 3600, "boundObjectRef": null})
    );
    assert_eq!(answer["status"]["expirationTimestamp"], "2026-11-22T17:27:59Z");
    assert_eq!(answer["metadata"]["uid"], "sa-1");
    let verified = verifier.verify(&token(&answer), &[], NOW).unwrap().unwrap();
    let user = verified.user().authenticated();
    assert_eq!(user.username, "system:serviceaccount:ns:robot");
    assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"]);
    assert_eq!(user.extra_value(EXTRA_CREDENTIAL_ID), Some(format!("JTI={}", verified.claims.id).as_str()));
    assert_eq!(user.extra.len(), 1);
}

#[test]
fn refused_requests() {
    let (issuer, _) = cluster();
    let invalid = |name: &str, field: &str| {
        format!("TokenRequest.authentication.k8s.io \"{name}\" is invalid: {field}")
    };
    let pod_ref = |change: Value| {
        let mut reference = json!({"kind": "Pod", "apiVersion": "v1", "name": "p"});
        reference.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({"boundObjectRef": reference})
    };
    for (spec, code, message) in [
        (json!({"expirationSeconds": 60}), 422, invalid("", "spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes")),
        (json!({"expirationSeconds": 8_589_934_592_i64}), 422, invalid("", "spec.expirationSeconds: Invalid value: 8589934592: may not specify a duration larger than 2^32 seconds")),
        (pod_ref(json!({"uid": "x"})), 409, "Operation cannot be fulfilled on Pod \"p\": the UID in the bound object reference (x) does not match the UID in record. The object might have been deleted and then recreated".into()),
        (pod_ref(json!({"kind": "ConfigMap"})), 400, "cannot bind token to object of type /v1, Kind=ConfigMap".into()),
    ] {
        let error = grant(&issuer, spec).unwrap_err();
        assert_eq!((error.code(), error.message()), (code, message));
    }
    let named = TokenRequest::read(json!({"metadata": {"name": "other"}, "spec": {}}), "ns", "robot", &[], 0)
        .unwrap_err();
    assert_eq!(
        named.message(),
        invalid(
            "robot",
            "metadata.name: Invalid value: \"other\": must match the service account name if specified"
        )
    );

    let request = read(pod_ref(json!({}))).unwrap();
    let bound = request.bound_object().unwrap().unwrap();
    let other = json!({"metadata": {"name": "default", "namespace": "ns", "uid": "d"}});
    let error = request.grant(&issuer, &[], &other, Some((&bound, &pod())), None, NOW).unwrap_err();
    assert_eq!(
        error,
        ApiError::BadRequest("cannot bind token for serviceaccount \"default\" to pod running with different serviceaccount name.".into())
    );
}

#[test]
fn a_limit_shortens() {
    let request =
        TokenRequest::read(json!({"spec": {"expirationSeconds": 7200}}), "ns", "robot", &[], 1000).unwrap();
    assert_eq!(
        request.warning.as_deref(),
        Some("requested expiration of 7200 seconds shortened to 1000 seconds")
    );
}

#[test]
fn audiences_and_times() {
    let (issuer, verifier) = cluster();
    let own = token(&grant(&issuer, json!({})).unwrap());
    let golden = token(&grant(&issuer, json!({"audiences": ["golden"]})).unwrap());
    let wrong = |of: &str, wanted: &str| {
        Err(TokenError(format!(
            "token audiences [\"{of}\"] is invalid for the target audiences [\"{wanted}\"]"
        )))
    };
    let expired = Err(TokenError("service account token has expired".into()));
    for (token, wanted, now, result) in [
        (&own, None, NOW, Ok(vec![API.to_owned()])),
        (&own, Some(API), NOW, Ok(vec![API.to_owned()])),
        (&own, Some("other"), NOW, wrong(API, "other")),
        (&golden, None, NOW, wrong("golden", API)),
        (&golden, Some("golden"), NOW, Ok(vec!["golden".to_owned()])),
        (&own, None, NOW + 3600, Ok(vec![API.to_owned()])),
        (&own, None, NOW + 3700, expired),
        (&own, None, NOW - 100, Err(TokenError("service account token is not valid yet".into()))),
    ] {
        let wanted: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
        assert_eq!(verifier.verify(token, &wanted, now).map(|verified| verified.unwrap().audiences), result);
    }
}

#[test]
fn tokens_of_others() {
    let (issuer, verifier) = cluster();
    let (other, _) = cluster();
    let stranger = TokenIssuer::new("https://elsewhere", PrivateKey::generate().unwrap());
    assert_eq!(verifier.verify("nonsense", &[], NOW), Ok(None));
    assert_eq!(verifier.verify(&token(&grant(&stranger, json!({})).unwrap()), &[], NOW), Ok(None));
    assert!(verifier.verify(&token(&grant(&other, json!({})).unwrap()), &[], NOW).is_err());
    let lie = json!({"iss": API, "sub": "system:serviceaccount:ns:other", "aud": [API], "exp": NOW + 60,
        "kubernetes.io": {"namespace": "ns", "serviceaccount": {"name": "robot", "uid": "sa-1"}}});
    let key = PrivateKey::generate().unwrap();
    let lying = jwt::sign(&key, "", &lie).unwrap();
    let verifier = TokenVerifier { keys: vec![key.public_key()], ..verifier };
    assert!(verifier.verify(&lying, &[], NOW).is_err());
    drop(issuer);
}

#[test]
fn bound_tokens_tell_pod_and_node() {
    let (issuer, verifier) = cluster();
    let spec = json!({"expirationSeconds": WARN_ONLY_SECONDS, "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "pod-1"}});
    let answer = grant(&issuer, spec).unwrap();
    let verified = verifier.verify(&token(&answer), &[], NOW + 7200).unwrap().unwrap();
    assert!(verified.is_stale(NOW + 7200) && !verified.is_stale(NOW + 3000));
    let user = verified.user();
    let extra = |key: &str| user.extra_value(&format!("authentication.kubernetes.io/{key}")).unwrap_or("");
    assert_eq!(
        [extra("pod-name"), extra("pod-uid"), extra("node-name"), extra("node-uid")],
        ["p", "pod-1", "n", ""]
    );
}

#[test]
fn a_pods_token_learns_of_the_node_that_came_after_it() {
    let (issuer, verifier) = cluster();
    let spec = json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}});
    let token = token(&grant(&issuer, spec).unwrap());
    let mut verified = verifier.verify(&token, &[], NOW).unwrap().unwrap();
    verified.claims.node = None;
    let mut lookup = |resource: &str, _: &str, name: &str| match resource {
        "serviceaccounts" => Some(account()),
        "pods" => Some(pod()),
        _ => Some(json!({"metadata": {"name": name, "uid": "node-1"}})),
    };
    check_bound(&mut verified, &token, &mut lookup, NOW).unwrap();
    let user = verified.user();
    let extra = |key: &str| user.extra_value(&format!("authentication.kubernetes.io/{key}"));
    assert_eq!([extra("node-name"), extra("node-uid")], [Some("n"), Some("node-1")]);
}

#[test]
fn death_by_object() {
    let (issuer, verifier) = cluster();
    let spec = json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}});
    let token = token(&grant(&issuer, spec).unwrap());
    let verified = verifier.verify(&token, &[], NOW).unwrap().unwrap();
    let dying = |mut object: Value, seconds: i64| {
        let time = jiff::Timestamp::from_second(NOW - seconds).unwrap();
        object["metadata"]["deletionTimestamp"] = object::time::format(time).into();
        object
    };
    let with_uid = |mut object: Value| {
        object["metadata"]["uid"] = "new".into();
        object
    };
    for (account, pod, result) in [
        (Some(account()), Some(pod()), ""),
        (None, Some(pod()), "serviceaccounts \"robot\" not found"),
        (Some(account()), None, "service account token has been invalidated"),
        (Some(with_uid(account())), Some(pod()), "service account UID (new) does not match claim (sa-1)"),
        (
            Some(account()),
            Some(with_uid(pod())),
            "pod UID (new) does not match service account pod ref claim (pod-1)",
        ),
        (Some(account()), Some(dying(pod(), 10)), ""),
        (Some(account()), Some(dying(pod(), 100)), "service account token has been invalidated"),
        (Some(dying(account(), 100)), Some(pod()), "service account ns/robot has been deleted"),
    ] {
        let mut lookup = |resource: &str, _: &str, _: &str| match resource {
            "serviceaccounts" => account.clone(),
            "pods" => pod.clone(),
            _ => None,
        };
        let error = check_bound(&mut verified.clone(), &token, &mut lookup, NOW).err().map(|error| error.0);
        assert_eq!(error.unwrap_or_default(), result);
    }
}

#[test]
fn legacy_tokens() {
    let (issuer, verifier) = cluster();
    let token =
        issuer.issue_legacy("ns", &ObjectRef { name: "robot".into(), uid: "sa-1".into() }, "s").unwrap();
    let verified = verifier.verify(&token, &[], NOW).unwrap().unwrap();
    assert!(verified.legacy && verified.user().extra.is_empty());
    for (held, good) in [(Some(token.as_str()), true), (Some("other"), false), (None, false)] {
        let mut lookup = |resource: &str, _: &str, _: &str| match resource {
            "serviceaccounts" => Some(account()),
            _ => held.map(|held| json!({"data": {"token": BASE64_STANDARD.encode(held)}})),
        };
        assert_eq!(check_bound(&mut verified.clone(), &token, &mut lookup, NOW).is_ok(), good);
    }
    let mut lookup = |resource: &str, _: &str, _: &str| match resource {
        "serviceaccounts" => Some(account()),
        _ => Some(json!({"metadata": {"name": "s", "labels": {INVALID_SINCE: "2026-01-02"}},
            "data": {"token": BASE64_STANDARD.encode(&token)}})),
    };
    let refused = check_bound(&mut verified.clone(), &token, &mut lookup, NOW).unwrap_err().0;
    assert!(
        refused
            .starts_with("the token in secret ns/s for service account ns/robot has been marked invalid. ")
    );
}

#[test]
fn documents() {
    let (issuer, verifier) = cluster();
    let keys = jwks(&verifier.keys);
    assert_eq!(keys["keys"][0]["kid"], issuer.public_key().id.as_str());
    assert_eq!(keys["keys"][0]["alg"], "ES256");
    let document = openid_configuration(API, "https://x/openid/v1/jwks", &verifier.keys);
    assert_eq!(document["id_token_signing_alg_values_supported"], json!(["ES256"]));
    assert_eq!(
        token_review_failed(&["why".into()]),
        json!({"user": {}, "error": "[invalid bearer token, why]"})
    );
}
