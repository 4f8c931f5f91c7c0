//! `dnsConfig` and `hostAliases`.

use crate::ip;
use crate::node::{Errors, Node, check_text};
use object::{FieldError, names};
use serde_json::json;

const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_LIST_MAX: usize = 2048;

/// `dnsConfig`, given `dnsPolicy`.
pub fn validate(e: &mut Errors, spec: &Node<'_>) {
    let config = spec.get("dnsConfig");
    let (nameservers, searches) = (config.get("nameservers"), config.get("searches"));
    if spec.get("dnsPolicy").text() == "None" {
        if !config.is_set() {
            e.push(config.required("must provide `dnsConfig` when `dnsPolicy` is None"));
            return;
        }
        if nameservers.is_empty() {
            e.push(nameservers.required("must provide at least one DNS nameserver when `dnsPolicy` is None"));
            return;
        }
    }
    if nameservers.len() > NAMESERVERS_MAX {
        e.push(nameservers.invalid(&format!("must not have more than {NAMESERVERS_MAX} nameservers")));
    }
    for nameserver in nameservers.items() {
        ip::legacy_ip(e, &nameserver, &[]);
    }
    if searches.len() > SEARCHES_MAX {
        e.push(searches.invalid(&format!("must not have more than {SEARCHES_MAX} search paths")));
    }
    if searches.texts().join(" ").len() > SEARCH_LIST_MAX {
        let detail = format!(
            "must not have more than {SEARCH_LIST_MAX} characters (including spaces) in the search list"
        );
        e.push(searches.invalid(&detail));
    }
    for search in searches.items().filter(|s| s.text() != ".") {
        let domain = json!(search.text().strip_suffix('.').unwrap_or(search.text()));
        check_text(e, &Node::at(&domain, search.path), names::dns1123_subdomain_with_underscore);
    }
    for option in config.get("options").items() {
        if option.get("name").is_empty() {
            e.push(FieldError::required(&option.path, "must not be empty"));
        }
    }
}

/// `hostAliases`.
pub fn host_aliases(e: &mut Errors, aliases: &Node<'_>) {
    for alias in aliases.items() {
        ip::legacy_ip(e, &alias.get("ip"), &[]);
        for hostname in alias.get("hostnames").items() {
            check_text(e, &hostname, names::dns1123_subdomain);
        }
    }
}
