//! CertificateApproval, CertificateSigning, CertificateSubjectRestriction: who may say yes to which signer's requests.

use super::{Operation, is, refused};
use crate::access_control;
use crate::pipeline::Write;
use access::attributes::Attributes;
use access::certificates::CertificateRequest;
use access::certificates::signers::asks_for_masters;
use base64::Engine;
use object::{Result, Value};

pub(super) async fn validate(write: &Write<'_>, operation: Operation, object: &Value) -> Result<()> {
    if !is(write, "certificates.k8s.io", "certificatesigningrequests") {
        return Ok(());
    }
    let signer = object["spec"]["signerName"].as_str().unwrap_or("");
    match write.target.at.subresource.as_str() {
        "" if operation == Operation::Create => subject(write, signer, object),
        "approval" => allowed(write, "approve", signer, object).await,
        "status" => {
            let old = write.old.unwrap_or(&Value::Null);
            let settled = |o: &Value, kind: &str| {
                let conditions = o["status"]["conditions"].as_array().cloned().unwrap_or_default();
                conditions.into_iter().filter(|c| c["type"] == kind).collect::<Vec<_>>()
            };
            let signs = old["status"]["certificate"] != object["status"]["certificate"]
                || settled(old, "Failed") != settled(object, "Failed");
            if signs { allowed(write, "sign", signer, object).await } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

/// Signers are a resource of their own, by name or by domain.
async fn allowed(write: &Write<'_>, verb: &'static str, signer: &str, object: &Value) -> Result<()> {
    let domain = signer.split('/').next().unwrap_or("");
    for name in [signer.to_owned(), format!("{domain}/*")] {
        let user = write.call.user.clone();
        let mut attributes = Attributes::resource(user, verb, "certificates.k8s.io", "signers", "", &name);
        attributes.api_version = "*".into();
        if access_control::decide(&write.call.api, &attributes).await?.is_allowed() {
            return Ok(());
        }
    }
    let what = if verb == "approve" { "approve" } else { "sign" };
    let reason =
        format!("user not permitted to {what} requests with signerName {}", object::error::quote(signer));
    Err(refused(write, object, &reason))
}

fn subject(write: &Write<'_>, signer: &str, object: &Value) -> Result<()> {
    if signer != "kubernetes.io/kube-apiserver-client" {
        return Ok(());
    }
    let encoded = object["spec"]["request"].as_str().unwrap_or("");
    let pem = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap_or_default();
    let request = CertificateRequest::from_pem(&pem);
    if request.is_ok_and(|r| asks_for_masters(&r)) {
        let reason =
            "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed";
        return Err(refused(write, object, reason));
    }
    Ok(())
}
