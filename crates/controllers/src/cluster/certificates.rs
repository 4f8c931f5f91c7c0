//! Certificate signing requests: approves those of kubelets for themselves, signs what is approved, cleans up.

use crate::driver::Shell;
use crate::plan::{Action, Controller, Key, Plan};
use crate::resources::CERTIFICATE_SIGNING_REQUESTS as REQUESTS;
use crate::start::SigningCa;
use access::certificates::signers::{check_signer, is_built_in};
use access::certificates::{CertificateAuthority, CertificateRequest, Usages};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::{Cache, Change};
use futures::future::BoxFuture;
use jiff::Timestamp;
use object::{GroupVersionResource, Result, meta, time};
use serde_json::{Value, json};
use std::time::Duration;

/// How long certificates last if the request does not say: a year, seconds.
const A_YEAR: i64 = 365 * 24 * 3600;
/// No certificate lasts less, seconds.
const SHORTEST: i64 = 600;
const HOUR: i64 = 3600;
const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";

fn keys_of(change: &Change, add: &mut dyn FnMut(Key)) {
    if change.new.is_some() {
        add(Key::new("", &change.entry().name));
    }
}

fn condition<'a>(request: &'a Value, kind: &str) -> Option<&'a Value> {
    let found = crate::common::conditions::find(&request["status"]["conditions"], kind)?;
    (found["status"].as_str().unwrap_or("True") == "True").then_some(found)
}

fn read(request: &Value) -> std::result::Result<CertificateRequest, String> {
    let pem = STANDARD
        .decode(request["spec"]["request"].as_str().unwrap_or(""))
        .map_err(|error| error.to_string())?;
    CertificateRequest::from_pem(&pem).map_err(|error| error.to_string())
}

fn usages(request: &Value) -> Vec<&str> {
    request["spec"]["usages"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Signs approved requests.
pub(crate) struct SigningController {
    ca: SigningCa,
}

impl SigningController {
    pub(crate) fn new(ca: SigningCa) -> Self {
        Self { ca }
    }

    fn sign(&self, request: &Value, now: Timestamp) -> std::result::Result<String, String> {
        let asked = read(request)?;
        let usages = usages(request);
        check_signer(request["spec"]["signerName"].as_str().unwrap_or(""), &asked, &usages)?;
        let parsed = Usages::parse(usages).map_err(|error| error.to_string())?;
        let seconds = request["spec"]["expirationSeconds"]
            .as_i64()
            .map_or(A_YEAR, |seconds| seconds.clamp(SHORTEST, A_YEAR));
        let ca = CertificateAuthority::from_pem(&self.ca.certificate, &self.ca.key)
            .map_err(|error| error.to_string())?;
        ca.sign_request(&asked, &parsed, seconds, now.as_second()).map_err(|error| error.to_string())
    }
}

impl Controller for SigningController {
    fn name(&self) -> &'static str {
        "certificatesigningrequest-signing-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&REQUESTS]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        keys_of(change, add);
    }

    fn plan(&self, cache: &Cache, key: &Key, now: Timestamp) -> Plan {
        let Some(request) = cache.get(&REQUESTS, "", &key.name) else { return Plan::nothing() };
        let signed = request["status"]["certificate"].as_str().is_some_and(|text| !text.is_empty());
        let waits =
            condition(&request, "Approved").is_some() && condition(&request, "Failed").is_none() && !signed;
        if !waits || !is_built_in(request["spec"]["signerName"].as_str().unwrap_or("")) {
            return Plan::nothing();
        }
        let mut next = (*request).clone();
        match self.sign(&request, now) {
            Ok(pem) => next["status"]["certificate"] = STANDARD.encode(pem).into(),
            Err(error) => {
                let now = time::format(now);
                let failed = json!({"type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": error,
                    "lastTransitionTime": now, "lastUpdateTime": now});
                crate::common::conditions::set(&mut next["status"]["conditions"], failed);
            }
        }
        Plan::of(vec![Action::update_status(&REQUESTS, next)])
    }
}

/// Approves client certificates that kubelets ask for themselves, if they may.
pub(crate) struct ApprovingController;

impl Controller for ApprovingController {
    fn name(&self) -> &'static str {
        "certificatesigningrequest-approving-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&REQUESTS]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        keys_of(change, add);
    }

    fn reconcile<'a>(&'a self, shell: &'a Shell, key: &'a Key) -> BoxFuture<'a, Result<Plan>> {
        Box::pin(async move {
            let Some(request) = shell.cache.get(&REQUESTS, "", &key.name) else { return Ok(Plan::nothing()) };
            let decided =
                condition(&request, "Approved").is_some() || condition(&request, "Denied").is_some();
            if decided || request["spec"]["signerName"] != KUBELET_CLIENT {
                return Ok(Plan::nothing());
            }
            let Ok(asked) = read(&request) else { return Ok(Plan::nothing()) };
            if check_signer(KUBELET_CLIENT, &asked, &usages(&request)).is_err() {
                return Ok(Plan::nothing());
            }
            let own = request["spec"]["username"] == *asked.common_name;
            let rights: &[(&str, &str)] = &[
                (
                    "selfnodeclient",
                    "Auto approving self kubelet client certificate after SubjectAccessReview.",
                ),
                ("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."),
            ];
            for (right, message) in &rights[usize::from(!own)..] {
                if is_allowed(shell, &request, right).await? {
                    return Ok(Plan::of(vec![approve(&request, message, shell.now())]));
                }
            }
            Ok(Plan::nothing())
        })
    }
}

async fn is_allowed(shell: &Shell, request: &Value, right: &str) -> Result<bool> {
    let spec = &request["spec"];
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": spec["username"], "uid": spec["uid"], "groups": spec["groups"], "extra": spec["extra"],
            "resourceAttributes": {"group": "certificates.k8s.io", "resource": "certificatesigningrequests", "verb": "create",
                "subresource": right, "version": "*"}}});
    let reviews = GroupVersionResource::new("authorization.k8s.io", "v1", "subjectaccessreviews");
    Ok(shell.client.create(&reviews, &review).await?["status"]["allowed"] == true)
}

fn approve(request: &Value, message: &str, now: Timestamp) -> Action {
    let now = time::format(now);
    let mut next = request.clone();
    let approved = json!({"type": "Approved", "status": "True", "reason": "AutoApproved", "message": message,
        "lastTransitionTime": now, "lastUpdateTime": now});
    crate::common::conditions::set(&mut next["status"]["conditions"], approved);
    Action::update_subresource(&REQUESTS, next, "approval")
}

/// Deletes requests that are over, or that nobody decides.
pub(crate) struct CleanerController;

impl Controller for CleanerController {
    fn name(&self) -> &'static str {
        "certificatesigningrequest-cleaner-controller"
    }

    fn watches(&self) -> Vec<&'static GroupVersionResource> {
        vec![&REQUESTS]
    }

    fn keys(&self, _: &Cache, change: &Change, add: &mut dyn FnMut(Key)) {
        keys_of(change, add);
    }

    fn plan(&self, cache: &Cache, key: &Key, now: Timestamp) -> Plan {
        let Some(request) = cache.get(&REQUESTS, "", &key.name) else { return Plan::nothing() };
        let Some(end) = expires(&request) else { return Plan::nothing() };
        let left = end - now.as_second();
        if left > 0 {
            return Plan { requeue_after: Some(Duration::from_secs(left.unsigned_abs())), ..Plan::nothing() };
        }
        Plan::of(vec![Action::delete(&REQUESTS, &request)])
    }
}

/// An hour after the decision (if signed or not), a day after nobody decided.
fn expires(request: &Value) -> Option<i64> {
    let seconds =
        |text: Option<&str>| text.and_then(|text| time::parse(text).ok()).map(|time| time.as_second());
    let decided = ["Approved", "Denied", "Failed"].iter().find_map(|kind| condition(request, kind));
    match decided {
        Some(decided) => Some(seconds(decided["lastUpdateTime"].as_str())? + HOUR),
        None => Some(seconds(meta::creation_timestamp(request))? + 24 * HOUR),
    }
}
