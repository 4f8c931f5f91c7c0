//! `spec.conversion` of a CustomResourceDefinition: none, or a webhook that can be reached.

use super::structural::text;
use object::{FieldError, Path, Value, names};

/// Checks a conversion; its path names the older form of the object.
pub(super) fn check(conversion: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    if !conversion.is_object() {
        return;
    }
    let strategy = text(conversion, "strategy");
    match strategy {
        "" => errors.push(FieldError::required(&path.field("strategy"), "")),
        "None" | "Webhook" => {}
        other => errors.push(FieldError::not_supported(
            &path.field("strategy"),
            &other.into(),
            &["None", "Webhook"],
        )),
    }
    let config = Some(&conversion["webhook"]["clientConfig"]).filter(|c| c.is_object());
    let versions =
        conversion["webhook"]["conversionReviewVersions"].as_array().map_or(&[][..], Vec::as_slice);
    let config_path = path.field("webhookClientConfig");
    let versions_path = path.field("conversionReviewVersions");
    if strategy == "Webhook" {
        match config {
            Some(config) => client(config, &config_path, errors),
            None => {
                errors.push(FieldError::required(&config_path, "required when strategy is set to Webhook"))
            }
        }
        review_versions(versions, &versions_path, errors);
        return;
    }
    let detail = "should not be set when strategy is not set to Webhook";
    if config.is_some() {
        errors.push(FieldError::forbidden(&config_path, detail));
    }
    if !versions.is_empty() {
        errors.push(FieldError::forbidden(&versions_path, detail));
    }
}

fn client(config: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let service = Some(&config["service"]).filter(|s| s.is_object());
    match (config["url"].as_str(), service) {
        (None, None) | (Some(_), Some(_)) => {
            errors.push(FieldError::required(path, "exactly one of url or service is required"));
        }
        (Some(url), None) => url_errors(url, &path.field("url"), errors),
        (None, Some(service)) => service_errors(service, &path.field("service"), errors),
    }
}

fn url_errors(url: &str, path: &Path, errors: &mut Vec<FieldError>) {
    const FORM: &str = "; desired format: https://host[:port]/path";
    let mut wrong = |value: &str, detail: &str| errors.push(FieldError::invalid(path, &value.into(), detail));
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    if scheme != "https" {
        wrong(scheme, &format!("'https' is the only allowed URL scheme{FORM}"));
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = if scheme.is_empty() { "" } else { rest.split('/').next().unwrap_or("") };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if host.is_empty() {
        wrong(host, &format!("host must be specified{FORM}"));
    }
    for (value, detail) in [
        (user, "user information is not permitted in the URL"),
        (fragment, "fragments are not permitted in the URL"),
        (query, "query parameters are not permitted in the URL"),
    ] {
        if !value.is_empty() {
            wrong(value, detail);
        }
    }
}

fn service_errors(service: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    for (name, detail) in
        [("name", "service name is required"), ("namespace", "service namespace is required")]
    {
        if text(service, name).is_empty() {
            errors.push(FieldError::required(&path.field(name), detail));
        }
    }
    if let Some(port) = service["port"].as_i64() {
        for wrong in names::port_number(port) {
            errors.push(FieldError::invalid(
                &path.field("port"),
                &port.into(),
                &format!("port is not valid: {wrong}"),
            ));
        }
    }
    let url_path = text(service, "path");
    let at = path.field("path");
    let mut wrong = |detail: &str| errors.push(FieldError::invalid(&at, &url_path.into(), detail));
    match url_path {
        "" | "/" => {}
        "//" => wrong("segment[0] may not be empty"),
        other => {
            if !other.starts_with('/') {
                wrong("must start with a '/'");
            }
            let inner = other.strip_prefix('/').unwrap_or(other);
            for (index, step) in inner.strip_suffix('/').unwrap_or(inner).split('/').enumerate() {
                if step.is_empty() {
                    wrong(&format!("segment[{index}] may not be empty"));
                    continue;
                }
                for failure in names::dns1123_subdomain(step) {
                    wrong(&format!("segment[{index}]: {failure}"));
                }
            }
        }
    }
}

fn review_versions(versions: &[Value], path: &Path, errors: &mut Vec<FieldError>) {
    if versions.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    for (index, version) in versions.iter().enumerate() {
        let at = path.index(index);
        if versions[..index].contains(version) {
            errors.push(FieldError::invalid(&at, version, "duplicate version"));
            continue;
        }
        for wrong in names::dns1035_label(version.as_str().unwrap_or("")) {
            errors.push(FieldError::invalid(&at, version, &wrong));
        }
    }
    if !versions.iter().any(|v| v == "v1" || v == "v1beta1") {
        errors.push(FieldError::invalid(path, &versions.into(), "must include at least one of v1, v1beta1"));
    }
}
