//! Quotas, Secrets, CSIDrivers and ResourceSlices.

use super::Warnings;
use crate::node::{Node, same};
use crate::resources::quantity;
use base64::Engine;
use object::error::quote;
use serde_json::Value;

/// A ResourceQuota whose requests may be more than its limits.
pub fn quota(w: &mut Warnings, root: &Node<'_>) {
    let hard = root.get("spec").get("hard");
    for resource in ["cpu", "memory", "storage", "ephemeral-storage"] {
        let requests = format!("requests.{resource}");
        let limits = format!("limits.{resource}");
        let short = matches!(resource, "cpu" | "memory");
        let name = if hard.get(&requests).is_set() || !short { requests.as_str() } else { resource };
        let (request, limit) = (hard.raw(name), hard.raw(&limits));
        if request.is_null() || limit.is_null() {
            continue;
        }
        let (request, limit) = (quantity(request), quantity(limit));
        if request > limit {
            w.push(format!("ResourceQuota {name} ({request}) should be less than {limits} ({limit})"));
        }
    }
}

/// A Secret for TLS without a certificate or a key in it. Whether the two belong together is not looked at.
pub fn secret(w: &mut Warnings, root: &Node<'_>) {
    if root.get("type").text() != "kubernetes.io/tls" {
        return;
    }
    let data = root.get("data");
    let has = |field: &str, label: &str| {
        let text =
            base64::engine::general_purpose::STANDARD.decode(data.get(field).text()).unwrap_or_default();
        x509_parser::pem::Pem::iter_from_buffer(&text).flatten().any(|block| block.label.ends_with(label))
    };
    if !has("tls.crt", "CERTIFICATE") {
        w.push("tls: failed to find any PEM data in certificate input".to_owned());
    } else if !has("tls.key", "PRIVATE KEY") {
        w.push("tls: failed to find any PEM data in key input".to_owned());
    }
}

/// A CSIDriver that gets tokens where they may be logged.
pub fn csi_driver(w: &mut Warnings, root: &Node<'_>, old: Option<&Value>) {
    let spec = root.get("spec");
    let requests = spec.get("tokenRequests");
    let kept = old.is_some_and(|old| same(&old["spec"]["tokenRequests"], requests.value));
    if !requests.is_empty() && !spec.get("serviceAccountTokenInSecrets").is_set() && !kept {
        w.push(
            "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible \
             logging of tokens in volume attributes"
                .to_owned(),
        );
    }
}

/// A ResourceSlice.
pub fn resource_slice(w: &mut Warnings, root: &Node<'_>) {
    let driver = root.get("spec").get("driver");
    if driver.text() != driver.text().to_lowercase() {
        w.push(format!(
            "spec.driver: driver names should be lowercase; {} contains uppercase characters",
            quote(driver.text())
        ));
    }
}
