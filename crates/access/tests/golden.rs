//! Replays the recorded access reviews of a real API server against the index, where the recordings are at hand.

#![allow(clippy::unwrap_used)]

use access::access_review::{AccessReview, access_review_status};
use access::rbac::rules_review_status;
use access::{RbacIndex, UserInfo, authorize, bootstrap_policy, impersonation};
use serde_json::{Value, json};

fn recorded(name: &str) -> Option<Value> {
    let path = format!("{}/../../../shared/golden/cases/auth/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: no {path}");
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

fn index() -> RbacIndex {
    let mut index = RbacIndex::default();
    for object in bootstrap_policy::objects() {
        index.upsert(object["kind"].as_str().unwrap(), &object);
    }
    index
}

/// The administrator, or whom the step's headers make of them.
fn user(step: &Value) -> UserInfo {
    let admin = UserInfo::new("admin", &["system:masters", "system:authenticated"]);
    let headers = step["headers"].as_object().into_iter().flatten();
    let wanted =
        impersonation::wanted_user(headers.filter_map(|(k, v)| Some((k.as_str(), v.as_str()?)))).unwrap();
    let Some(wanted) = wanted else { return admin };
    let request = access::Attributes::path(admin, "get", "/");
    let anything = |_: &access::Attributes| access::Decision::Allow(String::new());
    impersonation::impersonate(&wanted, &request, &impersonation::LastModes::default(), &anything).unwrap().0
}

#[test]
fn access_reviews() {
    let Some(case) = recorded("access-reviews") else { return };
    let (mut index, mut compared) = (index(), 0);
    for step in case["steps"].as_array().unwrap() {
        let (path, body) = (step["path"].as_str().unwrap(), &step["body"]);
        let expected = &step["expect"]["body"];
        let resource = path.rsplit('/').next().unwrap();
        if matches!(resource, "roles" | "rolebindings") {
            index.upsert(body["kind"].as_str().unwrap(), expected);
            continue;
        }
        let user = user(step);
        let review = match (step["method"].as_str(), resource) {
            (Some("POST"), "selfsubjectaccessreviews") => AccessReview::Own(&user),
            (Some("POST"), "localsubjectaccessreviews") => AccessReview::Local("${ns}"),
            (Some("POST"), "subjectaccessreviews") if user.is_privileged() => AccessReview::Subject,
            (Some("POST"), "selfsubjectrulesreviews") if body["spec"]["namespace"].is_string() => {
                let status = rules_review_status(&index, &user, "${ns}");
                assert_eq!(sorted(&status), sorted(&expected["status"]), "{}", step["name"]);
                compared += 1;
                continue;
            }
            _ => continue,
        };
        let mut object = body.clone();
        if let Some(managed) = expected["metadata"]["managedFields"].as_array() {
            object["metadata"]["managedFields"] = managed.clone().into();
        } else if object["metadata"].is_object() {
            continue; // The message shows the managed fields the server would have made.
        }
        let got = match review.attributes(&object) {
            Ok(attributes) => access_review_status(&authorize(&attributes, &index, None)),
            Err(error) => error.to_status(),
        };
        let expected = if step["expect"]["code"] == 201 { &expected["status"] } else { expected };
        assert_eq!(&got, expected, "{}", step["name"]);
        compared += 1;
    }
    assert!(compared > 35, "only {compared} steps were compared");
}

fn sorted(status: &Value) -> Value {
    let sort = |key: &str| {
        let mut rules: Vec<String> = status[key].as_array().unwrap().iter().map(Value::to_string).collect();
        rules.sort();
        rules
    };
    json!([sort("resourceRules"), sort("nonResourceRules"), status["incomplete"], status["evaluationError"]])
}

#[test]
fn anonymous_paths() {
    let Some(case) = recorded("anonymous") else { return };
    let index = index();
    let mut compared = 0;
    for step in case["steps"].as_array().unwrap() {
        let path = step["path"].as_str().unwrap();
        if step["credentials"] != "none"
            || step["headers"].is_object()
            || path.contains("/api/v1/")
            || path.contains("/apis/")
        {
            continue;
        }
        let request = access::Attributes::path(UserInfo::anonymous(), "get", path);
        let decision = authorize(&request, &index, None);
        if step["expect"]["code"] == 403 {
            if path.starts_with("/api/v1") && path != "/api/v1" {
                continue;
            }
            assert_eq!(request.forbidden(decision.reason()).to_status(), step["expect"]["body"], "{path}");
        }
        assert_eq!(decision.is_allowed(), step["expect"]["code"] == 200, "{path}");
        compared += 1;
    }
    assert!(compared > 8, "only {compared} steps were compared");
}

/// Roles and bindings written by a user who must not escalate: codes and messages.
#[test]
fn escalation() {
    let Some(case) = recorded("rbac-escalation") else { return };
    let (mut index, mut stored, mut compared) = (index(), std::collections::HashMap::new(), 0);
    for step in case["steps"].as_array().unwrap() {
        let parts: Vec<&str> = step["path"].as_str().unwrap().split('/').collect();
        let ["", "apis", "rbac.authorization.k8s.io", "v1", "namespaces", namespace, resource, name @ ..] =
            &parts[..]
        else {
            continue;
        };
        let url_name = name.first().copied().unwrap_or("");
        let (method, user) = (step["method"].as_str().unwrap(), user(step));
        let old: Option<Value> = stored.get(&(resource.to_string(), url_name.to_owned())).cloned();
        let mut object = match (method, &old) {
            ("POST", _) => step["body"].clone(),
            ("PATCH", Some(old)) if step["expect"]["code"] == 200 => {
                let mut new = step["expect"]["body"].clone();
                new["metadata"]["managedFields"] = old["metadata"]["managedFields"].clone();
                new
            }
            ("PATCH", Some(old)) => {
                let (mut new, patch) = (old.clone(), &step["body"]);
                if patch["rules"].is_array() {
                    new["rules"] = patch["rules"].clone();
                } else {
                    new["metadata"]["labels"] = patch["metadata"]["labels"].clone();
                }
                new
            }
            _ => continue,
        };
        let kind = if *resource == "roles" { "Role" } else { "RoleBinding" };
        let write = access::rbac::RoleWrite {
            user: &user,
            resource,
            namespace,
            url_name,
            object: &object,
            old: old.as_ref(),
        };
        let result = write.check(&index, &|request| authorize(request, &index, None));
        match result {
            Ok(()) => {
                assert!(step["expect"]["code"].as_u64().unwrap() < 300, "{}", step["name"]);
                object["metadata"]["namespace"] = (*namespace).into();
                index.upsert(kind, &object);
                let name = object["metadata"]["name"].as_str().unwrap().to_owned();
                stored.insert((resource.to_string(), name), object);
            }
            Err(error) => assert_eq!(error.to_status(), step["expect"]["body"], "{}", step["name"]),
        }
        compared += 1;
    }
    assert!(compared > 10, "only {compared} steps were compared");
}
