//! CertificateSigningRequests and ClusterTrustBundles' signer names.

use crate::node::{Errors, Node};
use base64::Engine;
use object::{FieldError, names};
use serde_json::Value;
use std::collections::BTreeSet;

const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// A signer's name: `domain/path`.
pub fn signer_name(e: &mut Errors, name: &Node<'_>) {
    if name.is_empty() {
        e.push(name.required(""));
        return;
    }
    let parts: Vec<_> = name.text().split('/').collect();
    let [domain, path] = parts[..] else {
        e.push(
            name.invalid("must be a fully qualified domain and path of the form 'example.com/signer-name'"),
        );
        return;
    };
    if domain.len() > names::SUBDOMAIN_MAX {
        e.push(name.too_long(names::SUBDOMAIN_MAX));
    }
    labels(e, name, domain, names::dns1123_label);
    if !domain.contains('.') {
        e.push(name.invalid_as(domain, "should be a domain with at least two segments separated by dots"));
    }
    labels(e, name, path, names::dns1123_subdomain);
    let path_max = names::SUBDOMAIN_MAX + names::LABEL_MAX + 1;
    if path.len() > path_max {
        e.push(name.too_long(path_max));
    }
    if name.len() > names::SUBDOMAIN_MAX + path_max + 1 {
        e.push(name.too_long(names::SUBDOMAIN_MAX + path_max + 1));
    }
}

/// The first label that is wrong says so; more would only repeat it.
fn labels(e: &mut Errors, name: &Node<'_>, segment: &str, check: fn(&str) -> Vec<String>) {
    for label in segment.split('.') {
        let errors = check(label);
        for error in &errors {
            let detail = format!("validating label {}: {error}", object::error::quote(label));
            e.push(name.invalid_as(segment, &detail));
        }
        if !errors.is_empty() {
            return;
        }
    }
}

/// A CertificateSigningRequest.
pub fn request(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    let spec = root.get("spec");
    if let Err(problem) = parse_request(spec.get("request").text()) {
        e.push(spec.get("request").invalid(&problem));
    }
    let usages = spec.get("usages");
    if usages.is_empty() {
        e.push(usages.required(""));
    }
    let mut seen = BTreeSet::new();
    for usage in usages.items() {
        if !USAGES.contains(&usage.text()) {
            e.push(usage.not_supported(&USAGES));
        }
        if !seen.insert(usage.text()) {
            e.push(usage.duplicate());
        }
    }
    let signer = spec.get("signerName");
    if signer.text() == "kubernetes.io/legacy-unknown" {
        e.push(signer.invalid("the legacy signerName is not allowed via this API version"));
    } else {
        signer_name(e, &signer);
    }
    let seconds = spec.get("expirationSeconds");
    if seconds.number().is_some_and(|s| s < 600) {
        e.push(seconds.invalid("may not specify a duration less than 600 seconds (10 minutes)"));
    }
    conditions(e, &root.get("status").get("conditions"));
}

fn parse_request(request: &str) -> Result<(), String> {
    let missing = || "PEM block type must be CERTIFICATE REQUEST".to_owned();
    let pem = base64::engine::general_purpose::STANDARD.decode(request).map_err(|_| missing())?;
    let (_, block) = x509_parser::pem::parse_x509_pem(&pem).map_err(|_| missing())?;
    if block.label != "CERTIFICATE REQUEST" {
        return Err(missing());
    }
    use x509_parser::prelude::FromDer;
    x509_parser::certification_request::X509CertificationRequest::from_der(&block.contents)
        .map(|_| ())
        .map_err(|_| "asn1: structure error: malformed certificate request".to_owned())
}

fn conditions(e: &mut Errors, conditions: &Node<'_>) {
    let (mut seen, mut decided) = (BTreeSet::new(), BTreeSet::new());
    for condition in conditions.items() {
        let (kind, status) = (condition.get("type"), condition.get("status"));
        if kind.is_empty() {
            e.push(kind.required(""));
        }
        match kind.text() {
            "Approved" | "Denied" | "Failed" => {
                if status.is_empty() {
                    e.push(status.required(""));
                } else if status.text() != "True" {
                    e.push(status.not_supported(&["True"]));
                }
            }
            _ if status.is_empty() => e.push(status.required("")),
            _ if !matches!(status.text(), "True" | "False" | "Unknown") => {
                e.push(status.not_supported(&["True", "False", "Unknown"]));
            }
            _ => {}
        }
        if matches!(kind.text(), "Approved" | "Denied") {
            decided.insert(kind.text());
            if decided.len() > 1 {
                let detail = "Approved and Denied conditions are mutually exclusive";
                e.push(conditions.invalid_as(kind.text(), detail));
            }
        }
        if !seen.insert(kind.text()) {
            e.push(FieldError::duplicate(&kind.path, &Value::from(kind.text())));
        }
    }
}

/// Approved and Denied stay as they are, unless an approver says them; none of the final conditions goes.
fn decisions(e: &mut Errors, new: &Value, old: &Value, approver: bool) {
    let list = Node::root(new).get("status").get("conditions");
    let old_root = Node::root(old);
    let was = old_root.get("status").get("conditions");
    let of = |node: &Node<'_>, kind: &str| {
        node.list().iter().filter(|c| c["type"] == kind).cloned().collect::<Vec<_>>()
    };
    for kind in ["Approved", "Denied", "Failed"] {
        if of(&list, kind).len() < of(&was, kind).len() {
            e.push(list.forbidden(&format!("updates may not remove a condition of type \"{kind}\"")));
        }
    }
    for kind in ["Approved", "Denied"].into_iter().filter(|_| !approver) {
        let (now, before) = (of(&list, kind), of(&was, kind));
        if now.len() > before.len() {
            e.push(list.forbidden(&format!("updates may not add a condition of type \"{kind}\"")));
        } else if now.len() == before.len() && now != before {
            e.push(list.forbidden(&format!("updates may not modify a condition of type \"{kind}\"\n")));
        }
    }
}

fn certificate(e: &mut Errors, new: &Value, old: &Value, signer: bool) {
    let certificate = Node::root(new).get("status").get("certificate");
    let was = old["status"]["certificate"].as_str().unwrap_or("");
    if certificate.text() == was {
        return;
    }
    if !signer {
        e.push(certificate.forbidden("updates may not set certificate content"));
    } else if !was.is_empty() {
        e.push(certificate.forbidden("updates may not modify existing certificate content"));
    }
}

fn certificate_content(e: &mut Errors, new: &Value, old: &Value) {
    let certificate = Node::root(new).get("status").get("certificate");
    let kept = certificate.text() == old["status"]["certificate"].as_str().unwrap_or("");
    if !kept
        && !certificate.is_empty()
        && let Err(problem) = parse_certificates(certificate.text())
    {
        e.push(certificate.invalid_as("<certificate data>", &problem));
    }
}

fn update(e: &mut Errors, new: &Value, old: &Value, approver: bool, signer: bool) {
    conditions(e, &Node::root(new).get("status").get("conditions"));
    certificate_content(e, new, old);
    decisions(e, new, old, approver);
    certificate(e, new, old, signer);
}

/// An update of a CertificateSigningRequest outside its subresources.
pub fn request_update(e: &mut Errors, new: &Value, old: &Value) {
    update(e, new, old, false, false);
}

/// The `status` subresource: the signer's.
pub fn request_status(e: &mut Errors, new: &Value, old: &Value) {
    update(e, new, old, false, true);
}

fn parse_certificates(text: &str) -> Result<(), String> {
    let pem = base64::engine::general_purpose::STANDARD.decode(text).map_err(|e| e.to_string())?;
    let mut blocks = 0;
    for block in x509_parser::pem::Pem::iter_from_buffer(&pem) {
        let block = block.map_err(|_| "unable to decode PEM block".to_owned())?;
        if block.label != "CERTIFICATE" {
            return Err("only CERTIFICATE PEM blocks are allowed, found ".to_owned()
                + &object::error::quote(&block.label));
        }
        block.parse_x509().map_err(|_| "x509: malformed certificate".to_owned())?;
        blocks += 1;
    }
    if blocks == 0 { Err("must contain at least one CERTIFICATE PEM block".into()) } else { Ok(()) }
}

/// The `approval` subresource: the approver's.
pub fn approval(e: &mut Errors, new: &Value, old: &Value) {
    update(e, new, old, true, false);
}
