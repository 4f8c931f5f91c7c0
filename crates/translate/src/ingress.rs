//! Ingresses: given to those ingress controllers of the host, for those host names, that the platform team has listed.

use crate::{Cluster, Refusal, marks, names};
use object::{Value, json, meta};

/// The annotation that named a class before there was a field for it.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// The host ingress of a virtual one; `None` when it is of a class that the host does not offer: then it is the
/// tenant's own controller's.
///
/// # Errors
/// What the policy refuses, or what would name the host's own objects.
pub fn ingress(cluster: &Cluster, ingress: &Value) -> Result<Option<Value>, Refusal> {
    let spec = &ingress["spec"];
    let class = spec["ingressClassName"].as_str().or_else(|| meta::annotation(ingress, CLASS_ANNOTATION));
    let Some(class) = class.filter(|class| cluster.policy.ingress_classes.iter().any(|c| c == class)) else {
        return Ok(None);
    };
    let namespace = meta::namespace(ingress);
    let mut out = json!({"ingressClassName": class});
    if spec["defaultBackend"].is_object() {
        check_host(cluster, "spec.defaultBackend", "")?;
        out["defaultBackend"] = backend(cluster, namespace, "spec.defaultBackend", &spec["defaultBackend"])?;
    }
    let mut rules = Vec::new();
    for (i, rule) in list(&spec["rules"]).iter().enumerate() {
        let host = rule["host"].as_str().unwrap_or_default();
        check_host(cluster, &format!("spec.rules[{i}].host"), host)?;
        let mut made = if host.is_empty() { json!({}) } else { json!({"host": host}) };
        let mut paths = Vec::new();
        for (j, path) in list(&rule["http"]["paths"]).iter().enumerate() {
            let field = format!("spec.rules[{i}].http.paths[{j}].backend");
            let mut translated = json!({"backend": backend(cluster, namespace, &field, &path["backend"])?});
            check_path(&format!("spec.rules[{i}].http.paths[{j}].path"), &path["path"])?;
            for field in ["path", "pathType"] {
                if path[field].is_string() {
                    translated[field] = path[field].clone();
                }
            }
            paths.push(translated);
        }
        if rule["http"].is_object() {
            made["http"] = json!({"paths": paths});
        }
        rules.push(made);
    }
    if !rules.is_empty() {
        out["rules"] = rules.into();
    }
    let tls = tls(cluster, namespace, list(&spec["tls"]))?;
    if !tls.is_empty() {
        out["tls"] = tls.into();
    }
    let mut metadata = marks::metadata(cluster, ingress);
    // Some controllers would believe it more than the field.
    metadata["annotations"].as_object_mut().map(|annotations| annotations.remove(CLASS_ANNOTATION));
    Ok(Some(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": out,
    })))
}

fn tls(cluster: &Cluster, namespace: &str, all: &[Value]) -> Result<Vec<Value>, Refusal> {
    let mut made = Vec::new();
    for (i, tls) in all.iter().enumerate() {
        let hosts = list(&tls["hosts"]);
        for (j, host) in hosts.iter().enumerate() {
            check_host(cluster, &format!("spec.tls[{i}].hosts[{j}]"), host.as_str().unwrap_or_default())?;
        }
        let mut translated = if hosts.is_empty() { json!({}) } else { json!({"hosts": hosts}) };
        if let Some(secret) = tls["secretName"].as_str().filter(|name| !name.is_empty()) {
            translated["secretName"] = names::host(cluster, namespace, secret).into();
        }
        made.push(translated);
    }
    Ok(made)
}

fn backend(cluster: &Cluster, namespace: &str, field: &str, backend: &Value) -> Result<Value, Refusal> {
    let service = &backend["service"];
    match service["name"].as_str() {
        Some(name) => {
            Ok(json!({"service": {"name": names::host(cluster, namespace, name), "port": service["port"]}}))
        }
        None => Err(Refusal(format!("{field}.resource is not carried to the host: only services are"))),
    }
}

/// The names of the services and of the Secrets that an ingress refers to.
pub fn ingress_references(ingress: &Value) -> (Vec<&str>, Vec<&str>) {
    let spec = &ingress["spec"];
    let paths = list(&spec["rules"]).iter().flat_map(|rule| list(&rule["http"]["paths"]));
    let backends = paths.map(|path| &path["backend"]).chain([&spec["defaultBackend"]]);
    let services = backends.filter_map(|backend| backend["service"]["name"].as_str());
    let secrets = list(&spec["tls"]).iter().filter_map(|tls| tls["secretName"].as_str());
    (services.collect(), secrets.filter(|name| !name.is_empty()).collect())
}

/// A virtual ingress's status: where the host's controller listens.
pub fn ingress_status(host: &Value) -> Value {
    host["status"].clone()
}

/// Whether a name is one of those that the policy gives to this virtual cluster. An empty one stands for all names.
fn check_host(cluster: &Cluster, field: &str, host: &str) -> Result<(), Refusal> {
    let given = |pattern: &String| match pattern.strip_prefix('*') {
        Some("") => true,
        Some(domain) => host.ends_with(domain) && host.len() > domain.len(),
        None => pattern == host,
    };
    if cluster.policy.ingress_hosts.iter().any(given) {
        return Ok(());
    }
    let what = if host.is_empty() { "which stands for all names".into() } else { format!("({host})") };
    Err(Refusal(format!(
        "{field} {what} is not allowed in this virtual cluster: its ingressHosts say which are"
    )))
}

/// Controllers have put paths into their own configuration as they are: what would end a word or a block there is in no path
/// of a URL, and in hardly any expression for one.
fn check_path(field: &str, path: &Value) -> Result<(), Refusal> {
    let unfit = |c: char| c.is_whitespace() || c.is_control() || "{};\"'`\\#".contains(c);
    match path.as_str().and_then(|path| path.chars().find(|c| unfit(*c))) {
        Some(c) => Err(Refusal(format!("{field} may not hold {c:?} where it is carried to the host"))),
        None => Ok(()),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(hosts: &[&str], spec: Value, expected: Expect) {
        let mut cluster = Cluster::test();
        cluster.policy.ingress_classes = vec!["nginx".into()];
        cluster.policy.ingress_hosts = hosts.iter().map(|h| (*h).to_owned()).collect();
        let own = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u", "annotations": {
            "nginx.ingress.kubernetes.io/configuration-snippet": "return 200 stolen;"}}, "spec": spec});
        let text = match ingress(&cluster, &own) {
            Ok(Some(host)) => {
                let annotations = host["metadata"]["annotations"].as_object().unwrap();
                assert!(annotations.keys().all(|key| key.starts_with("joey.dev/")), "{annotations:?}");
                host["spec"].to_string()
            }
            Ok(None) => "not for the host".into(),
            Err(refusal) => refusal.0,
        };
        expected.assert_eq(&text);
    }

    fn rule(host: &str) -> Value {
        let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
        json!({"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}})
    }

    #[test]
    fn names_and_classes_are_the_platform_teams_to_give() {
        let of = |host: &str| json!({"ingressClassName": "nginx", "rules": [rule(host)]});
        let own = &["*.shop.example"][..];
        check(
            own,
            of("www.shop.example"),
            expect![[
                r#"{"ingressClassName":"nginx","rules":[{"host":"www.shop.example","http":{"paths":[{"backend":{"service":{"name":"web-x-shop-x-demo","port":{"number":80}}},"path":"/","pathType":"Prefix"}]}}]}"#
            ]],
        );
        check(
            own,
            of("www.bank.example"),
            expect![
                "spec.rules[0].host (www.bank.example) is not allowed in this virtual cluster: its ingressHosts say which are"
            ],
        );
        check(
            own,
            of("notshop.example"),
            expect![
                "spec.rules[0].host (notshop.example) is not allowed in this virtual cluster: its ingressHosts say which are"
            ],
        );
        check(
            own,
            of(""),
            expect![
                "spec.rules[0].host which stands for all names is not allowed in this virtual cluster: its ingressHosts say which are"
            ],
        );
        check(
            &[],
            of("www.shop.example"),
            expect![
                "spec.rules[0].host (www.shop.example) is not allowed in this virtual cluster: its ingressHosts say which are"
            ],
        );
        check(own, json!({"ingressClassName": "traefik", "rules": [rule("a")]}), expect!["not for the host"]);
        check(own, json!({"rules": [rule("a")]}), expect!["not for the host"]);
    }

    #[test]
    fn secrets_and_backends_are_its_own() {
        let tls = json!([{"hosts": ["a.b"], "secretName": "cert"}]);
        check(
            &["*"],
            json!({"ingressClassName": "nginx", "tls": tls, "defaultBackend": {"service": {"name": "x", "port": {"name": "http"}}}}),
            expect![[
                r#"{"defaultBackend":{"service":{"name":"x-x-shop-x-demo","port":{"name":"http"}}},"ingressClassName":"nginx","tls":[{"hosts":["a.b"],"secretName":"cert-x-shop-x-demo"}]}"#
            ]],
        );
        let bucket = json!({"resource": {"kind": "Bucket", "name": "host-bucket"}});
        check(
            &["*"],
            json!({"ingressClassName": "nginx", "defaultBackend": bucket}),
            expect!["spec.defaultBackend.resource is not carried to the host: only services are"],
        );
        let other = json!([{"hosts": ["www.bank.example"], "secretName": "cert"}]);
        check(
            &["a.b"],
            json!({"ingressClassName": "nginx", "tls": other}),
            expect![
                "spec.tls[0].hosts[0] (www.bank.example) is not allowed in this virtual cluster: its ingressHosts say which are"
            ],
        );
    }
}
