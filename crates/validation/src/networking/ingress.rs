//! Ingresses and IngressClasses.

use crate::ip;
use crate::node::{Errors, IMMUTABLE, Node, check_required_text, check_text, check_text_if_set};
use crate::services::load_balancer_ingress;
use crate::workloads::job::domain_prefixed_path;
use object::{FieldError, Path, names};
use serde_json::{Value, json};

const CLASS: &str = "kubernetes.io/ingress.class";

/// A new Ingress.
pub fn ingress(e: &mut Errors, object: &Value) {
    let root = Node::root(object);
    spec(e, &root.get("spec"));
    let (class, annotations) =
        (root.get("spec").get("ingressClassName"), root.get("metadata").get("annotations"));
    if let Some(annotation) = annotations.value.get(CLASS)
        && class.is_set()
        && annotation != class.value
    {
        let path = Path::new("annotations").field(CLASS);
        e.push(FieldError::invalid(
            &path,
            annotation,
            "must match `ingressClassName` when both are specified",
        ));
    }
}

/// An update of an Ingress.
pub fn ingress_update(e: &mut Errors, new: &Value, _old: &Value) {
    spec(e, &Node::root(new).get("spec"));
}

/// An update of an Ingress's status.
pub fn ingress_status(e: &mut Errors, new: &Value, old: &Value) {
    let entries = Node::root(new).get("status").get("loadBalancer").get("ingress");
    load_balancer_ingress(e, &entries, &old["status"]["loadBalancer"]["ingress"], false);
}

fn spec(e: &mut Errors, spec: &Node<'_>) {
    let (rules, backend) = (spec.get("rules"), spec.get("defaultBackend"));
    if rules.is_empty() && !backend.is_set() {
        let shown = if rules.is_set() { rules.value.clone() } else { Value::Null };
        e.push(spec.invalid_as(shown, "either `defaultBackend` or `rules` must be specified"));
    }
    if backend.is_set() {
        ingress_backend(e, &backend);
    }
    for rule in rules.items() {
        let host = rule.get("host");
        if !host.is_empty() {
            if ip::parse_sloppy(host.text()).is_some() {
                e.push(host.invalid("must be a DNS name, not an IP address"));
            }
            dns_host(e, &host);
        }
        let http = rule.get("http");
        if http.is_set() {
            if http.get("paths").is_empty() {
                e.push(http.get("paths").required(""));
            }
            http.get("paths").items().for_each(|path| http_path(e, &path));
        }
    }
    for tls in spec.get("tls").items() {
        tls.get("hosts").items().for_each(|host| dns_host(e, &host));
        check_text_if_set(e, &tls.get("secretName"), names::dns1123_subdomain);
    }
    if spec.get("ingressClassName").is_set() {
        check_text(e, &spec.get("ingressClassName"), names::dns1123_subdomain);
    }
}

fn dns_host(e: &mut Errors, host: &Node<'_>) {
    if host.text().contains('*') {
        check_text(e, host, names::wildcard_dns1123_subdomain);
    } else {
        check_text(e, host, names::dns1123_subdomain);
    }
}

fn http_path(e: &mut Errors, path: &Node<'_>) {
    let (kind, text) = (path.get("pathType"), path.get("path"));
    if !kind.is_set() {
        e.push(kind.required("pathType must be specified"));
        return;
    }
    let absolute = text.text().starts_with('/');
    match kind.text() {
        "Exact" | "Prefix" => {
            if !absolute {
                e.push(text.invalid_text("must be an absolute path"));
            }
            for sequence in ["//", "/./", "/../", "%2f", "%2F"] {
                if text.text().contains(sequence) {
                    e.push(text.invalid(&format!("must not contain '{sequence}'")));
                }
            }
            for suffix in ["/..", "/."] {
                if text.text().ends_with(suffix) {
                    e.push(text.invalid(&format!("cannot end with '{suffix}'")));
                }
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !absolute {
                e.push(text.invalid("must be an absolute path"));
            }
        }
        _ => e.push(kind.not_supported(&["Exact", "ImplementationSpecific", "Prefix"])),
    }
    ingress_backend(e, &path.get("backend"));
}

fn ingress_backend(e: &mut Errors, backend: &Node<'_>) {
    let (service, resource) = (backend.get("service"), backend.get("resource"));
    match (service.is_set(), resource.is_set()) {
        (true, true) => e.push(backend.invalid_as("", "cannot set both resource and service backends")),
        (false, false) => e.push(backend.invalid_as("", "resource or service backend is required")),
        (false, true) => object_reference(e, &resource),
        (true, false) => {
            check_required_text(e, &service.get("name"), names::dns1123_label);
            let (name, number) = (service.get("port").get("name"), service.get("port").get("number"));
            match (name.is_empty(), number.int() == 0) {
                (false, false) => e.push(backend.invalid_as("", "cannot set both port name & port number")),
                (false, true) => check_text(e, &name, names::port_name),
                (true, false) => e.extend(names::port_number(number.int()).iter().map(|m| number.invalid(m))),
                (true, true) => e.push(backend.required("port name or number is required")),
            }
        }
    }
}

fn object_reference(e: &mut Errors, reference: &Node<'_>) {
    if reference.get("apiGroup").is_set() {
        check_text(e, &reference.get("apiGroup"), names::dns1123_subdomain);
    }
    for field in ["kind", "name"] {
        check_required_text(e, &reference.get(field), names::path_segment_name);
    }
}

/// An IngressClass.
pub fn ingress_class(e: &mut Errors, object: &Value) {
    let spec = Node::root(object).get("spec");
    let controller = spec.get("controller");
    if controller.len() > 250 {
        e.push(controller.too_long(250));
    }
    domain_prefixed_path(e, &controller);
    let parameters = spec.get("parameters");
    if !parameters.is_set() {
        return;
    }
    object_reference(e, &parameters);
    let (scope, namespace) = (parameters.get("scope"), parameters.get("namespace"));
    match scope.text() {
        _ if !scope.is_set() => e.push(scope.required("")),
        "Namespace" if !namespace.is_set() => {
            e.push(namespace.required("`parameters.scope` is set to 'Namespace'"))
        }
        "Namespace" => check_text(e, &namespace, names::dns1123_label),
        "Cluster" if namespace.is_set() => {
            e.push(namespace.forbidden("`parameters.scope` is set to 'Cluster'"))
        }
        "Cluster" => {}
        _ => e.push(scope.not_supported(&["Cluster", "Namespace"])),
    }
}

/// An update of an IngressClass: its controller stays.
pub fn ingress_class_update(e: &mut Errors, new: &Value, old: &Value) {
    let controller = Node::root(new).get("spec").get("controller");
    if controller.value != &old["spec"]["controller"] {
        e.push(controller.invalid_as(json!(controller.text()), IMMUTABLE));
    }
    ingress_class(e, new);
}
