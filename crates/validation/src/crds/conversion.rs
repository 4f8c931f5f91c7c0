//! How a definition converts between its versions.

use crate::admission::webhooks::{webhook_service, webhook_url};
use crate::node::{Errors, Node, check_required_supported};
use object::names::dns1035_label;
use std::collections::BTreeSet;

const NOT_WEBHOOK: &str = "should not be set when strategy is not set to Webhook";

/// `spec.conversion`.
pub fn validate(e: &mut Errors, conversion: &Node<'_>, preserves: bool) {
    if !conversion.is_set() {
        return;
    }
    let strategy = conversion.get("strategy");
    if strategy.text() != "None" && preserves {
        e.push(strategy.invalid_text("must be None if spec.preserveUnknownFields is true"));
    }
    check_required_supported(e, &strategy, &["None", "Webhook"]);
    let webhook = conversion.get("webhook");
    let config = webhook.get("clientConfig").moved(conversion.path.field("webhookClientConfig"));
    let versions =
        webhook.get("conversionReviewVersions").moved(conversion.path.field("conversionReviewVersions"));
    if strategy.text() == "Webhook" {
        if config.is_set() {
            client_config(e, &config);
        } else {
            e.push(config.required("required when strategy is set to Webhook"));
        }
        review_versions(e, &versions);
        return;
    }
    if config.is_set() {
        e.push(config.forbidden(NOT_WEBHOOK));
    }
    if !versions.is_empty() {
        e.push(versions.forbidden(NOT_WEBHOOK));
    }
}

fn client_config(e: &mut Errors, config: &Node<'_>) {
    let (url, service) = (config.get("url"), config.get("service"));
    match (url.is_set(), service.is_set()) {
        (true, false) => webhook_url(e, &url),
        (false, true) => webhook_service(e, &service),
        _ => e.push(config.required("exactly one of url or service is required")),
    }
}

fn review_versions(e: &mut Errors, versions: &Node<'_>) {
    if versions.is_empty() {
        e.push(versions.required(""));
        return;
    }
    let mut seen = BTreeSet::new();
    for version in versions.items() {
        if !seen.insert(version.text()) {
            e.push(version.invalid_text("duplicate version"));
            continue;
        }
        crate::node::check_text(e, &version, dns1035_label);
    }
    if !seen.contains("v1") && !seen.contains("v1beta1") {
        e.push(versions.invalid("must include at least one of v1, v1beta1"));
    }
}
