//! Pods: names, references, selectors, DNS, environment and tokens are the host's; what runs is the tenant's.

use crate::containers::{Environment, containers, read_annotations};
use crate::network_policy::DIRECTIONS;
use crate::{Cluster, Namespaces, Refusal, affinity, marks, names, placement, volumes};
use object::{Map, Value, json, meta};
use std::collections::{BTreeMap, BTreeSet};

/// What a pod's translation needs to know of its surroundings.
#[derive(Clone, Debug, Default)]
pub struct PodContext {
    /// The services of the pod's namespace, as `NAME -> (address, [(port name, number, protocol)])`, for `_SERVICE_HOST`
    /// variables; `kubernetes` among them.
    pub services: BTreeMap<String, (String, Vec<(String, i64, String)>)>,
    /// Labels of every virtual namespace, for namespace selectors.
    pub namespaces: Namespaces,
    /// Keys of the taints of the nodes that it may be on.
    pub taints: BTreeSet<String>,
    /// The host Secret that holds the pod's service-account token under the key `token-N` of its Nth projected source.
    pub token_secret: String,
    /// In which directions NetworkPolicies judge it, where that makes a difference.
    pub directions: Option<&'static str>,
}

/// Containers of one pod. Each gets variables of joey's own: no host takes an object with those of as many.
const MOST_CONTAINERS: usize = 4_000;

/// Fields that pass as they are.
const PASSED: [&str; 11] = [
    "activeDeadlineSeconds",
    "hostAliases",
    "os",
    "readinessGates",
    "resources",
    "restartPolicy",
    "runtimeClassName",
    "securityContext",
    "shareProcessNamespace",
    "terminationGracePeriodSeconds",
    "hostUsers",
];

/// The host pod of a virtual pod.
///
/// # Errors
/// What the policy refuses, or what cannot be translated.
pub fn pod(cluster: &Cluster, pod: &Value, context: &PodContext) -> Result<Value, Refusal> {
    cluster.policy.check(pod)?;
    let namespace = meta::namespace(pod);
    let spec = &pod["spec"];
    if spec["resourceClaims"].as_array().is_some_and(|c| !c.is_empty()) {
        return Err(Refusal("spec.resourceClaims is not supported in virtual clusters".into()));
    }
    let mut out = Map::new();
    for field in PASSED {
        pass(&mut out, spec, field);
    }
    if cluster.policy.host_namespaces {
        for field in ["hostNetwork", "hostPID", "hostIPC"] {
            pass(&mut out, spec, field);
        }
    }
    let count = |field: &str| spec[field].as_array().map_or(0, Vec::len);
    if count("initContainers") + count("containers") > MOST_CONTAINERS {
        return Err(Refusal(format!(
            "spec.containers has more than the {MOST_CONTAINERS} that a pod may have"
        )));
    }
    let environment = Environment::new(pod, context);
    for field in ["initContainers", "containers"] {
        if let Some(list) = spec[field].as_array() {
            out.insert(field.into(), containers(cluster, namespace, list, &environment).into());
        }
    }
    out.insert("volumes".into(), volumes::volumes(cluster, pod, context)?.into());
    if let Some(secrets) = spec["imagePullSecrets"].as_array() {
        let translated = secrets.iter().filter_map(|s| s["name"].as_str());
        let translated: Vec<_> =
            translated.map(|n| json!({"name": names::host(cluster, namespace, n)})).collect();
        out.insert("imagePullSecrets".into(), translated.into());
    }
    affinity::add(cluster, namespace, spec, context, &mut out)?;
    placement::add(cluster, spec, &context.taints, &mut out);
    if let Some(class) = spec["priorityClassName"]
        .as_str()
        .filter(|name| cluster.policy.priority_classes.iter().any(|c| c == name))
    {
        out.insert("priorityClassName".into(), class.into());
    }
    if let Some(node) = spec["nodeName"].as_str().filter(|n| !n.is_empty()) {
        affinity::pin(node, &mut out);
    }
    // The host's own account must not leak in, nor its services.
    out.insert("automountServiceAccountToken".into(), false.into());
    out.insert("enableServiceLinks".into(), false.into());
    let hostname = spec["hostname"].as_str().unwrap_or(meta::name(pod));
    let hostname: String = hostname.chars().take(63).collect();
    out.insert("hostname".into(), hostname.trim_end_matches(['-', '.']).replace('.', "-").into());
    dns(cluster, namespace, spec, &mut out);

    let mut metadata = metadata(cluster, pod, context.directions);
    if let Some(kind) = meta::controller_of(pod).and_then(|owner| owner["kind"].as_str()) {
        metadata["annotations"][CONTROLLER_ANNOTATION] = kind.into();
    }
    metadata["annotations"][ACCOUNT_ANNOTATION] =
        spec["serviceAccountName"].as_str().unwrap_or("default").into();
    Ok(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": out}))
}

/// The host pod's metadata: what is marked, what the downward API reads, and what scripts simulated pods.
fn metadata(cluster: &Cluster, pod: &Value, directions: Option<&str>) -> Value {
    let mut metadata = marks::metadata(cluster, pod);
    if let Some(directions) = directions {
        metadata["labels"][DIRECTIONS] = directions.into();
    }
    let annotations = &pod["metadata"]["annotations"];
    let scripts = |key: &str| key.split('/').next().is_some_and(|domain| domain.ends_with(SANDBOX));
    for (key, value) in annotations.as_object().into_iter().flatten().filter(|(key, _)| scripts(key)) {
        metadata["annotations"][key] = value.clone();
    }
    for key in read_annotations(pod) {
        if let Some(value) = annotations.get(&key) {
            metadata["annotations"][marks::host_key("annotations", &key)] = value.clone();
        }
    }
    metadata["annotations"][LABELS_ANNOTATION] = listed(&pod["metadata"]["labels"]).into();
    metadata["annotations"][ANNOTATIONS_ANNOTATION] = listed(annotations).into();
    metadata["annotations"][RESOURCES_ANNOTATION] = resources(pod).into();
    metadata
}

/// The domain of annotations that tell simulated nodes what a pod does. They mean nothing elsewhere.
const SANDBOX: &str = "sandbox.joey.dev";
/// Annotation with the virtual labels in the format of the downward API.
pub(crate) const LABELS_ANNOTATION: &str = "joey.dev/pod-labels";
/// Annotation with the virtual annotations in the format of the downward API.
pub(crate) const ANNOTATIONS_ANNOTATION: &str = "joey.dev/pod-annotations";
/// Annotation with the kind of the virtual pod's controller: people and sandboxes want to know.
const CONTROLLER_ANNOTATION: &str = "joey.dev/controller-kind";
/// Annotation with the resources that the tenant asked for last: the host may have put in its own.
const RESOURCES_ANNOTATION: &str = "joey.dev/pod-resources";
/// Annotation with the names of debugging containers that the tenant was told about.
const REFUSED_ANNOTATION: &str = "joey.dev/refused-containers";
/// Annotation with the virtual service account.
pub(crate) const ACCOUNT_ANNOTATION: &str = "joey.dev/service-account";

/// What must change of `host` so that it follows `pod`'s labels, annotations and images; `None` when nothing does.
pub fn pod_update(
    cluster: &Cluster,
    pod: &Value,
    host: &Value,
    directions: Option<&'static str>,
) -> Option<Value> {
    let mut changed = host.clone();
    let metadata = metadata(cluster, pod, directions);
    changed["metadata"]["labels"] = metadata["labels"].clone();
    // What the host's own controllers annotated stays.
    for (key, value) in metadata["annotations"].as_object().into_iter().flatten() {
        changed["metadata"]["annotations"][key] = value.clone();
    }
    if let Some((names, _)) = refused(cluster, pod) {
        changed["metadata"]["annotations"][REFUSED_ANNOTATION] = names.into();
    }
    for field in ["containers", "initContainers"] {
        for container in changed["spec"].get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            let wanted =
                pod["spec"][field].as_array().into_iter().flatten().find(|c| c["name"] == container["name"]);
            if let Some(image) = wanted.map(|w| w["image"].clone()).filter(Value::is_string) {
                container["image"] = image;
            }
        }
    }
    if let Some(deadline) = pod["spec"].get("activeDeadlineSeconds") {
        changed["spec"]["activeDeadlineSeconds"] = deadline.clone();
    }
    (changed != *host).then_some(changed)
}

/// The resources of each container, by name.
fn resources(pod: &Value) -> String {
    let mut all = Map::new();
    for container in
        ["containers", "initContainers"].iter().flat_map(|f| pod["spec"][*f].as_array().into_iter().flatten())
    {
        let name = container["name"].as_str().unwrap_or_default();
        if let Some(resources) =
            container.get("resources").filter(|r| r.as_object().is_some_and(|r| !r.is_empty()))
        {
            all.insert(name.into(), resources.clone());
        }
    }
    Value::from(all).to_string()
}

/// The host pod with the resources that the tenant asks for now, if those are not what it asked for last.
pub fn pod_resize(pod: &Value, host: &Value) -> Option<Value> {
    let last = meta::annotation(host, RESOURCES_ANNOTATION)?;
    if last == resources(pod) || meta::deletion_timestamp(host).is_some() {
        return None;
    }
    let mut changed = host.clone();
    for field in ["containers", "initContainers"] {
        for container in changed["spec"].get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            let wanted =
                pod["spec"][field].as_array().into_iter().flatten().find(|c| c["name"] == container["name"]);
            if let Some(resources) = wanted.and_then(|w| w.get("resources")).filter(|r| r.is_object()) {
                container["resources"] = resources.clone();
            }
        }
    }
    Some(changed)
}

/// The host pod with the debugging containers that the virtual one got since; `None` when there are none, or when the policy does
/// not let them in.
pub fn ephemeral_containers(cluster: &Cluster, pod: &Value, host: &Value) -> Option<Value> {
    let wanted = pod["spec"]["ephemeralContainers"].as_array()?;
    let held = host["spec"]["ephemeralContainers"].as_array().map_or(&[][..], Vec::as_slice);
    let allowed = |c: &&Value| cluster.policy.check_debugging(c).is_ok();
    let new: Vec<Value> = wanted
        .iter()
        .filter(|c| !held.iter().any(|h| h["name"] == c["name"]))
        .filter(allowed)
        .cloned()
        .collect();
    if new.is_empty() {
        return None;
    }
    let environment = Environment::new(pod, &PodContext::default());
    let mut changed = host.clone();
    let mut all = held.to_vec();
    all.extend(containers(cluster, meta::namespace(pod), &new, &environment));
    changed["spec"]["ephemeralContainers"] = all.into();
    Some(changed)
}

/// What is to be said of debugging containers that the policy does not let in, if it was not said yet.
pub fn refused_debugging(cluster: &Cluster, pod: &Value, host: &Value) -> Option<Refusal> {
    let (names, reason) = refused(cluster, pod)?;
    (meta::annotation(host, REFUSED_ANNOTATION) != Some(&names)).then_some(reason)
}

fn refused(cluster: &Cluster, pod: &Value) -> Option<(String, Refusal)> {
    let all = pod["spec"]["ephemeralContainers"].as_array()?.iter();
    let refused: Vec<_> =
        all.filter_map(|c| Some((c["name"].as_str()?, cluster.policy.check_debugging(c).err()?))).collect();
    let names: Vec<_> = refused.iter().map(|(name, _)| *name).collect();
    let reason = refused.last().map(|(_, reason)| reason.clone())?;
    Some((names.join(","), reason))
}

/// `key="value"` lines, sorted: how the downward API writes a map into a file.
fn listed(map: &Value) -> String {
    let pairs = map.as_object().into_iter().flatten().filter_map(|(k, v)| Some((k, v.as_str()?)));
    let lines: Vec<_> = pairs.map(|(k, v)| format!("{k}={}", object::error::quote(v))).collect();
    lines.join("\n")
}

fn pass(out: &mut Map<String, Value>, spec: &Value, field: &str) {
    if let Some(value) = spec.get(field).filter(|v| !v.is_null()) {
        out.insert(field.into(), value.clone());
    }
}

/// Kubernetes takes this many name servers.
const NAME_SERVERS: usize = 3;
/// And this many domains to search.
const SEARCHES: usize = 32;

/// Pods resolve the names of their own cluster's services.
fn dns(cluster: &Cluster, namespace: &str, spec: &Value, out: &mut Map<String, Value>) {
    let policy = spec["dnsPolicy"].as_str().unwrap_or("ClusterFirst");
    let own = match policy {
        "ClusterFirst" => spec["hostNetwork"] != true,
        other => other == "ClusterFirstWithHostNet",
    };
    let Some(server) = cluster.dns.filter(|_| own) else {
        out.insert("dnsPolicy".into(), policy.into());
        pass(out, spec, "dnsConfig");
        return;
    };
    let domain = &cluster.domain;
    let own = |field: &str| spec["dnsConfig"][field].as_array().cloned().unwrap_or_default();
    let joined = |mut all: Vec<Value>, field: &str, most: usize| {
        for value in own(field) {
            if all.len() < most && !all.contains(&value) {
                all.push(value);
            }
        }
        all
    };
    let searches = vec![
        format!("{namespace}.svc.{domain}").into(),
        format!("svc.{domain}").into(),
        domain.clone().into(),
    ];
    // What the pod says of an option counts.
    let mut options = own("options");
    if !options.iter().any(|o| o["name"] == "ndots") {
        options.insert(0, json!({"name": "ndots", "value": "5"}));
    }
    out.insert("dnsPolicy".into(), "None".into());
    out.insert(
        "dnsConfig".into(),
        json!({
            "nameservers": joined(vec![server.to_string().into()], "nameservers", NAME_SERVERS),
            "searches": joined(searches, "searches", SEARCHES),
            "options": options,
        }),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn cluster() -> Cluster {
        Cluster::test()
    }

    fn virtual_pod(spec: Value) -> Value {
        let mut all = json!({"containers": [{"name": "c", "image": "i"}], "serviceAccountName": "robot"});
        for (key, value) in spec.as_object().into_iter().flatten() {
            all[key] = value.clone();
        }
        json!({"apiVersion": "v1", "kind": "Pod", "spec": all, "metadata": {
            "name": "web-1", "namespace": "shop", "uid": "u",
            "labels": {"app": "web", "joey.dev/cluster": "another"},
            "annotations": {"note": "kept", "joey.dev/uid": "forged", "k8s.v1.cni.cncf.io/networks": "host-net"},
        }})
    }

    fn check(spec: Value, expected: Expect) {
        let text = match pod(&cluster(), &virtual_pod(spec), &PodContext::default()) {
            Ok(host) => serde_json::to_string_pretty(&host["spec"]).unwrap(),
            Err(refusal) => refusal.0,
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn what_a_tenant_cannot_forge() {
        let host = pod(&cluster(), &virtual_pod(json!({})), &PodContext::default()).unwrap();
        assert_eq!(meta::name(&host), "web-1-x-shop-x-demo");
        assert_eq!(meta::namespace(&host), "joey-demo");
        assert_eq!(meta::label(&host, marks::CLUSTER), Some("demo"));
        assert_eq!(meta::label(&host, "app"), Some("web"));
        assert_eq!(meta::annotation(&host, marks::UID_ANNOTATION), Some("u"));
        assert_eq!(meta::annotation(&host, "k8s.v1.cni.cncf.io/networks"), None);
        let told = meta::annotation(&host, ANNOTATIONS_ANNOTATION).unwrap();
        assert!(told.contains("note=\"kept\""), "its own pods read them all the same: {told}");
        assert_eq!(meta::label(&host, "held.joey.dev/joey.dev_cluster"), Some("another"));
    }

    #[test]
    fn a_pod_reads_single_labels_and_annotations_of_its_own() {
        let of = |path: &str| json!({"name": "V", "valueFrom": {"fieldRef": {"fieldPath": path}}});
        let env = [
            of("metadata.annotations['note']"),
            of("metadata.labels['app']"),
            of("metadata.labels['joey.dev/cluster']"),
        ];
        let spec = json!({"containers": [{"name": "c", "env": env}]});
        let host = pod(&cluster(), &virtual_pod(spec), &PodContext::default()).unwrap();
        let paths: Vec<&str> = host["spec"]["containers"][0]["env"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["valueFrom"]["fieldRef"]["fieldPath"].as_str().unwrap())
            .collect();
        assert_eq!(
            paths,
            [
                "metadata.annotations['held.joey.dev/note']",
                "metadata.labels['app']",
                "metadata.labels['held.joey.dev/joey.dev_cluster']"
            ]
        );
        assert_eq!(meta::annotation(&host, "held.joey.dev/note"), Some("kept"));
    }

    #[test]
    fn a_host_priority_comes_along_where_allowed() {
        let spec = || virtual_pod(json!({"priorityClassName": "batch", "priority": 7}));
        let mut cluster = cluster();
        let class = |cluster: &Cluster| {
            pod(cluster, &spec(), &PodContext::default()).unwrap()["spec"]["priorityClassName"].take()
        };
        assert_eq!(class(&cluster), Value::Null);
        cluster.policy.priority_classes = vec!["batch".into()];
        assert_eq!(class(&cluster), "batch");
    }

    #[test]
    fn the_hosts_own_account_scheduler_and_node_are_out_of_reach() {
        check(
            json!({"nodeName": "n", "schedulerName": "mine", "priorityClassName": "system-node-critical", "priority": 2000001000}),
            expect![[r#"
                {
                  "affinity": {
                    "nodeAffinity": {
                      "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                          {
                            "matchFields": [
                              {
                                "key": "metadata.name",
                                "operator": "In",
                                "values": [
                                  "n"
                                ]
                              }
                            ]
                          }
                        ]
                      }
                    }
                  },
                  "automountServiceAccountToken": false,
                  "containers": [
                    {
                      "image": "i",
                      "name": "c"
                    }
                  ],
                  "dnsPolicy": "ClusterFirst",
                  "enableServiceLinks": false,
                  "hostname": "web-1",
                  "volumes": []
                }"#]],
        );
    }

    #[test]
    fn what_reaches_into_the_host_is_refused() {
        for (spec, expected) in [
            (
                json!({"hostNetwork": true}),
                expect!["spec.hostNetwork is not allowed by this virtual cluster's policy"],
            ),
            (
                json!({"hostPID": true}),
                expect!["spec.hostPID is not allowed by this virtual cluster's policy"],
            ),
            (
                json!({"containers": [{"name": "c", "securityContext": {"privileged": true}}]}),
                expect![
                    "spec.containers[0].securityContext.privileged is not allowed by this virtual cluster's policy"
                ],
            ),
            (
                json!({"initContainers": [{"name": "c", "securityContext": {"capabilities": {"add": ["NET_RAW"]}}}]}),
                expect![
                    "spec.initContainers[0].securityContext.capabilities.add (NET_RAW) is not allowed by this virtual cluster's policy"
                ],
            ),
            (
                json!({"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": 22}]}]}),
                expect!["spec.containers[0].ports.hostPort is not allowed by this virtual cluster's policy"],
            ),
            (
                json!({"resourceClaims": [{"name": "gpu"}]}),
                expect!["spec.resourceClaims is not supported in virtual clusters"],
            ),
        ] {
            check(spec, expected);
        }
    }

    #[test]
    fn selectors_stay_inside_the_virtual_cluster() {
        let term = json!({"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "zone"});
        let spec = json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}});
        let host = pod(&cluster(), &virtual_pod(spec), &PodContext::default()).unwrap();
        let term =
            &host["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0];
        expect![[r#"[{"key":"joey.dev/cluster","operator":"In","values":["demo"]},{"key":"joey.dev/namespace","operator":"In","values":["shop"]}]"#]]
            .assert_eq(&term["labelSelector"]["matchExpressions"].to_string());
    }

    #[test]
    fn pods_resolve_their_own_clusters_names() {
        let cluster = Cluster { dns: "10.0.0.10".parse().ok(), ..cluster() };
        let host = pod(&cluster, &virtual_pod(json!({})), &PodContext::default()).unwrap();
        assert_eq!(host["spec"]["dnsPolicy"], "None");
        expect![[r#"{"nameservers":["10.0.0.10"],"options":[{"name":"ndots","value":"5"}],"searches":["shop.svc.cluster.local","svc.cluster.local","cluster.local"]}"#]]
            .assert_eq(&host["spec"]["dnsConfig"].to_string());
    }

    #[test]
    fn what_a_pod_says_of_dns_is_kept() {
        let cluster = Cluster { dns: "10.0.0.10".parse().ok(), ..cluster() };
        let own = json!({
            "nameservers": ["10.0.0.10", "1.1.1.1", "8.8.8.8", "9.9.9.9"], "searches": ["cluster.local", "example.org"],
            "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
        });
        let config =
            |spec: Value| pod(&cluster, &virtual_pod(spec), &PodContext::default()).unwrap()["spec"].take();
        let host = config(json!({"dnsPolicy": "ClusterFirst", "dnsConfig": own}));
        expect![[r#"{"nameservers":["10.0.0.10","1.1.1.1","8.8.8.8"],"options":[{"name":"ndots","value":"2"},{"name":"edns0"}],"searches":["shop.svc.cluster.local","svc.cluster.local","cluster.local","example.org"]}"#]]
            .assert_eq(&host["dnsConfig"].to_string());
        let host = config(json!({"dnsPolicy": "None", "dnsConfig": own}));
        assert_eq!((&host["dnsPolicy"], &host["dnsConfig"]), (&json!("None"), &own));
        assert_eq!(config(json!({"dnsPolicy": "Default"}))["dnsPolicy"], "Default");
    }

    #[test]
    fn resources_follow_once() {
        let with = |cpu: &str| {
            virtual_pod(json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}))
        };
        let mut host = pod(&cluster(), &with("1"), &PodContext::default()).unwrap();
        host["spec"]["containers"][0]["resources"]["limits"] = json!({"cpu": "4"});
        assert_eq!(pod_resize(&with("1"), &host), None, "what the host put in stays");
        let resized = pod_resize(&with("2"), &host).unwrap();
        assert_eq!(resized["spec"]["containers"][0]["resources"], json!({"requests": {"cpu": "2"}}));
        let told = pod_update(&cluster(), &with("2"), &host, None).unwrap();
        assert_eq!(pod_resize(&with("2"), &told), None);
    }

    #[test]
    fn a_pod_that_names_its_node_goes_there_by_way_of_the_scheduler() {
        let spec = json!({"nodeName": "n1", "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}],
        }}}});
        let host = pod(&cluster(), &virtual_pod(spec), &PodContext::default()).unwrap();
        assert!(host["spec"]["nodeName"].is_null());
        expect![[r#"{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"a","operator":"Exists"}],"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}]}}"#]]
            .assert_eq(&host["spec"]["affinity"]["nodeAffinity"].to_string());
    }

    #[test]
    fn debugging_containers_follow() {
        let mut debugged = virtual_pod(json!({}));
        let host = pod(&cluster(), &debugged, &PodContext::default()).unwrap();
        assert_eq!(ephemeral_containers(&cluster(), &debugged, &host), None);
        debugged["spec"]["ephemeralContainers"] = json!([{"name": "d", "image": "busybox"}, {"name": "root", "securityContext": {"privileged": true}}]);
        let changed = ephemeral_containers(&cluster(), &debugged, &host).unwrap();
        assert_eq!(changed["spec"]["ephemeralContainers"], json!([{"name": "d", "image": "busybox"}]));
        let said = refused_debugging(&cluster(), &debugged, &host).unwrap().0;
        assert_eq!(
            said,
            "spec.ephemeralContainers[root].securityContext.privileged is not allowed by this virtual cluster's policy"
        );
        let told = pod_update(&cluster(), &debugged, &host, None).unwrap();
        assert_eq!(refused_debugging(&cluster(), &debugged, &told), None);
    }
}
