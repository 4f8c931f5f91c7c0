//! What a tenant may try to reach the host or its neighbours, as tables: what is refused, and what does not come along.
//! Beside it, each module has tests of its own rules.

use super::*;
use object::{Value, json, meta};
use std::collections::{BTreeMap, BTreeSet};

fn metadata(extra: Value) -> Value {
    let mut all = json!({"name": "web", "namespace": "shop", "uid": "u"});
    for (key, value) in extra.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    all
}

fn with(spec: Value) -> Value {
    let mut all = json!({"containers": [{"name": "c", "image": "i"}]});
    for (key, value) in spec.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    json!({"metadata": metadata(json!({"labels": {"app": "web"}})), "spec": all})
}

fn container(extra: Value) -> Value {
    let mut container = json!({"name": "c", "image": "i"});
    for (key, value) in extra.as_object().into_iter().flatten() {
        container[key] = value.clone();
    }
    json!({"containers": [container]})
}

fn carried(spec: Value) -> Result<Value, String> {
    pod(&Cluster::test(), &with(spec), &PodContext::default()).map_err(|refusal| refusal.0)
}

#[test]
fn pods_that_ask_for_the_host_are_refused() {
    let secured = |field: &str, value: Value| container(json!({"securityContext": {field: value}}));
    let volume = |kind: &str, value: Value| json!({"volumes": [{"name": "v", kind: value}]});
    let rows = [
        (json!({"hostNetwork": true}), "hostNetwork"),
        (json!({"hostPID": true}), "hostPID"),
        (json!({"hostIPC": true}), "hostIPC"),
        (json!({"runtimeClassName": "host"}), "runtimeClassName"),
        (json!({"resourceClaims": [{"name": "gpu"}]}), "resourceClaims"),
        (container(json!({"ports": [{"containerPort": 1, "hostPort": 10250}]})), "hostPort"),
        (
            container(json!({"livenessProbe": {"tcpSocket": {"host": "127.0.0.1", "port": 10250}}})),
            "tcpSocket.host",
        ),
        (
            container(
                json!({"lifecycle": {"preStop": {"httpGet": {"host": "169.254.169.254", "port": 80}}}}),
            ),
            "httpGet.host",
        ),
        (secured("privileged", json!(true)), "privileged"),
        (secured("procMount", json!("Unmasked")), "procMount"),
        (secured("capabilities", json!({"add": ["SYS_ADMIN"]})), "SYS_ADMIN"),
        (secured("capabilities", json!({"add": ["ALL"]})), "ALL"),
        (secured("seccompProfile", json!({"type": "Unconfined"})), "seccompProfile"),
        (secured("appArmorProfile", json!({"type": "Unconfined"})), "appArmorProfile"),
        (secured("seLinuxOptions", json!({"type": "spc_t"})), "seLinuxOptions.type"),
        (secured("seLinuxOptions", json!({"user": "root"})), "seLinuxOptions.user"),
        (secured("windowsOptions", json!({"hostProcess": true})), "hostProcess"),
        (
            secured("windowsOptions", json!({"gmsaCredentialSpecName": "domain-admin"})),
            "gmsaCredentialSpecName",
        ),
        (json!({"securityContext": {"windowsOptions": {"gmsaCredentialSpec": "{}"}}}), "gmsaCredentialSpec"),
        (
            json!({"securityContext": {"sysctls": [{"name": "kernel.core_pattern", "value": "|/x"}]}}),
            "kernel.core_pattern",
        ),
        (json!({"securityContext": {"seLinuxOptions": {"role": "sysadm_r"}}}), "seLinuxOptions.role"),
        (volume("hostPath", json!({"path": "/"})), "hostPath"),
        (volume("nfs", json!({"server": "10.0.0.1", "path": "/"})), "nfs"),
        (volume("csi", json!({"driver": "secrets-store.csi.k8s.io"})), "csi"),
        (volume("iscsi", json!({"targetPortal": "10.0.0.1"})), "iscsi"),
        (volume("flexVolume", json!({"driver": "x/y"})), "flexVolume"),
        (volume("gitRepo", json!({"repository": "--upload-pack=x"})), "gitRepo"),
        (
            volume("projected", json!({"sources": [{"podCertificate": {"signerName": "a/b"}}]})),
            "podCertificate",
        ),
        (
            volume("projected", json!({"sources": [{"clusterTrustBundle": {"path": "p"}}]})),
            "clusterTrustBundle",
        ),
    ];
    for (spec, field) in rows {
        let refused = carried(spec.clone()).expect_err(&spec.to_string());
        assert!(refused.contains(field), "{spec}: {refused}");
        // The same of a container that comes before.
        if let Some(list) = spec.get("containers") {
            let refused = carried(json!({"initContainers": list})).expect_err("as an init container");
            assert!(refused.contains(field), "{spec}: {refused}");
            let mut debugged = with(json!({}));
            let host = pod(&Cluster::test(), &debugged, &PodContext::default()).unwrap();
            debugged["spec"]["ephemeralContainers"] = list.clone();
            assert_eq!(ephemeral_containers(&Cluster::test(), &debugged, &host), None, "{spec}");
        }
    }
}

#[test]
fn what_names_the_hosts_own_stays_behind() {
    let host = pod(
        &Cluster::test(),
        &json!({
            "metadata": metadata(json!({
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "x", "controller": true}],
                "finalizers": ["foregroundDeletion"], "generateName": "w-", "resourceVersion": "7", "managedFields": [],
                "deletionTimestamp": "2026-01-01T00:00:00Z",
            })),
            "spec": {
                "containers": [{"name": "c", "image": "i", "unheardOf": 1, "env": [
                    {"name": "S", "valueFrom": {"secretKeyRef": {"name": "demo-kubeconfig", "key": "config"}}}],
                    "envFrom": [{"configMapRef": {"name": "kube-root-ca.crt"}}]}],
                "imagePullSecrets": [{"name": "host-registry"}], "serviceAccountName": "operator", "serviceAccount": "operator",
                "schedulerName": "mine", "priorityClassName": "system-cluster-critical", "priority": 2_000_000_000,
                "preemptionPolicy": "PreemptLowerPriority", "overhead": {"cpu": "0"}, "schedulingGates": [{"name": "g"}],
                "nodeName": "n", "unheardOf": true, "subdomain": "s", "setHostnameAsFQDN": true,
            },
            "status": {"podIP": "10.0.0.1"},
        }),
        &PodContext::default(),
    )
    .unwrap();
    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(fields(&host), "apiVersion kind metadata spec");
    assert_eq!(fields(&host["metadata"]), "annotations labels name namespace");
    assert_eq!(
        fields(&host["spec"]),
        "affinity automountServiceAccountToken containers dnsPolicy enableServiceLinks hostname imagePullSecrets volumes"
    );
    let container = &host["spec"]["containers"][0];
    assert_eq!(fields(container), "env envFrom image name");
    assert_eq!(container["env"][0]["valueFrom"]["secretKeyRef"]["name"], "demo-kubeconfig-x-shop-x-demo");
    assert_eq!(container["envFrom"][0]["configMapRef"]["name"], "kube-root-ca.crt-x-shop-x-demo");
    assert_eq!(host["spec"]["imagePullSecrets"][0]["name"], "host-registry-x-shop-x-demo");
}

/// By annotations and labels, a host's controllers, meshes, clouds and dashboards do things for whoever sets them.
#[test]
fn nothing_steers_the_hosts_controllers() {
    const ANNOTATIONS: [&str; 18] = [
        "azure.workload.identity/inject-proxy-sidecar",
        "cdi.k8s.io/gpu",
        "cert-manager.io/cluster-issuer",
        "cni.projectcalico.org/ipAddrs",
        "container.apparmor.security.beta.kubernetes.io/c",
        "external-dns.alpha.kubernetes.io/hostname",
        "iam.amazonaws.com/role",
        "io.katacontainers.config.hypervisor.kernel",
        "k8s.v1.cni.cncf.io/networks",
        "kubernetes.io/egress-bandwidth",
        "linkerd.io/inject",
        "nginx.ingress.kubernetes.io/server-snippet",
        "replicator.v1.mittwald.de/replicate-from",
        "service.beta.kubernetes.io/aws-load-balancer-internal",
        "service.kubernetes.io/topology-mode",
        "sidecar.istio.io/inject",
        "vault.hashicorp.com/agent-inject",
        "volume.kubernetes.io/selected-node",
    ];
    const LABELS: [&str; 6] = [
        "aadpodidbinding",
        "azure.workload.identity/use",
        "joey.dev/cluster",
        "joey.dev/policies",
        "kuma.io/sidecar-injection",
        "sidecar.istio.io/inject",
    ];
    let map = |keys: &[&str]| -> Value { keys.iter().map(|key| ((*key).to_owned(), json!("x"))).collect() };
    let hostile = metadata(json!({"annotations": map(&ANNOTATIONS), "labels": map(&LABELS)}));
    let of = |spec: Value| json!({"metadata": hostile, "spec": spec});
    let mut cluster = Cluster::test();
    cluster.policy.ingress_classes = vec!["nginx".into()];
    let policy = of(json!({"podSelector": {}}));
    let hosts = [
        pod(&cluster, &of(json!({"containers": []})), &PodContext::default()).unwrap(),
        service(&cluster, &of(json!({}))),
        claim(&cluster, &of(json!({}))),
        ingress(&cluster, &of(json!({"ingressClassName": "nginx"}))).unwrap().unwrap(),
        network_policy(&cluster, &policy, &Namespaces::new()).unwrap(),
        config(&cluster, &of(json!({}))),
    ];
    let own = |key: &str| key.starts_with("joey.dev/") || key.starts_with("held.joey.dev/");
    for host in hosts {
        for field in ["annotations", "labels"] {
            for key in host["metadata"][field].as_object().unwrap().keys() {
                assert!(own(key), "{field}: {key}");
            }
        }
        assert_eq!(meta::label(&host, marks::CLUSTER), Some("demo"));
        assert_eq!(meta::label(&host, network_policy::DIRECTIONS), None);
    }
}

#[test]
fn configuration_is_found_by_nobody_but_its_pods() {
    let cluster = Cluster::test();
    let made = |kind: &str| {
        let labels = json!({"grafana_datasource": "1", "owner": "helm"});
        config(
            &cluster,
            &json!({"kind": "Secret", "type": kind, "data": {"a": "Yg=="}, "metadata": metadata(json!({"labels": labels}))}),
        )
    };
    for kind in ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1"]
    {
        let host = made(kind);
        assert_eq!((&host["type"], &host["data"]), (&json!("Opaque"), &json!({"a": "Yg=="})), "{kind}");
        let labels: Vec<&String> = host["metadata"]["labels"].as_object().unwrap().keys().collect();
        assert_eq!(labels, [marks::CLUSTER, marks::NAMESPACE]);
    }
    for kind in ["kubernetes.io/tls", "kubernetes.io/dockerconfigjson"] {
        assert_eq!(made(kind)["type"], kind);
    }
}

#[test]
fn selectors_match_nobody_elses_pods() {
    let reach = [
        json!({}),
        json!({"matchLabels": {marks::CLUSTER: "another"}}),
        json!({"matchExpressions": [{"key": marks::CLUSTER, "operator": "DoesNotExist"}]}),
        json!({"matchExpressions": [{"key": marks::CLUSTER, "operator": "NotIn", "values": ["demo"]}]}),
        json!({"matchExpressions": [{"key": marks::NAMESPACE, "operator": "Exists"}]}),
    ];
    let namespaces = [
        None,
        Some(json!({})),
        Some(json!({"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]})),
    ];
    let there: Namespaces = BTreeMap::from([("shop".to_owned(), BTreeMap::new())]);
    let context = PodContext { namespaces: there.clone(), ..PodContext::default() };
    let stays = |selector: &Value| {
        let only = json!({"key": marks::CLUSTER, "operator": "In", "values": ["demo"]});
        assert!(selector["matchExpressions"].as_array().unwrap().contains(&only), "{selector}");
        assert!(selector["matchLabels"][marks::CLUSTER].is_null(), "{selector}");
    };
    for (pods, namespace) in reach.iter().flat_map(|r| namespaces.iter().map(move |n| (r, n))) {
        let mut term = json!({"labelSelector": pods, "topologyKey": "zone", "namespaces": ["kube-system"]});
        let mut peer = json!({"podSelector": pods});
        if let Some(selector) = namespace {
            term["namespaceSelector"] = selector.clone();
            peer["namespaceSelector"] = selector.clone();
        }
        const HARD: &str = "requiredDuringSchedulingIgnoredDuringExecution";
        const SOFT: &str = "preferredDuringSchedulingIgnoredDuringExecution";
        let terms = json!({HARD: [term], SOFT: [{"weight": 1, "podAffinityTerm": term}]});
        let spread = json!({"labelSelector": pods, "topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"});
        let spec = json!({"affinity": {"podAffinity": terms, "podAntiAffinity": terms}, "topologySpreadConstraints": [spread]});
        let host = pod(&Cluster::test(), &with(spec), &context).unwrap()["spec"].take();
        stays(&host["topologySpreadConstraints"][0]["labelSelector"]);
        for kind in ["podAffinity", "podAntiAffinity"] {
            for term in
                [&host["affinity"][kind][HARD][0], &host["affinity"][kind][SOFT][0]["podAffinityTerm"]]
            {
                stays(&term["labelSelector"]);
                assert!(term["namespaces"].is_null() && term["namespaceSelector"].is_null(), "{term}");
            }
        }
        let policy = json!({"metadata": metadata(json!({})), "spec": {"podSelector": pods, "ingress": [{"from": [peer]}], "egress": [{"to": [peer]}]}});
        let host = network_policy(&Cluster::test(), &policy, &there).unwrap()["spec"].take();
        stays(&host["podSelector"]);
        stays(&host["ingress"][0]["from"][0]["podSelector"]);
        stays(&host["egress"][0]["to"][0]["podSelector"]);
        assert!(host["ingress"][0]["from"][0]["namespaceSelector"].is_null());
    }
}

#[test]
fn ingresses_say_nothing_but_names_and_paths() {
    let mut cluster = Cluster::test();
    cluster.policy.ingress_classes = vec!["nginx".into()];
    cluster.policy.ingress_hosts = vec!["*.shop.example".into()];
    cluster.policy.annotations = vec!["kubernetes.io/*".into()];
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let at = |host: &str, path: &str| {
        let paths = json!([{"path": path, "pathType": "ImplementationSpecific", "backend": backend}]);
        let annotations = json!({"kubernetes.io/ingress.class": "internal"});
        let own = json!({"metadata": metadata(json!({"annotations": annotations})), "spec": {
            "ingressClassName": "nginx", "rules": [{"host": host, "http": {"paths": paths}}], "unheardOf": 1}});
        ingress(&cluster, &own).map(|host| host.expect("of a class of the host"))
    };
    let host = at("www.shop.example", "/files(/|$)(.*)").unwrap();
    assert_eq!(
        meta::annotation(&host, "kubernetes.io/ingress.class"),
        None,
        "the class that was judged is the one that counts"
    );
    assert!(host["spec"]["unheardOf"].is_null());
    for path in
        ["/x { return 200; }", "/x;", "/x\nroot /;", "/\"", "/'", "/x#", "/`id`", "/\\", "/\t", "/\u{0}"]
    {
        let refused = at("www.shop.example", path).expect_err(path).0;
        assert!(refused.starts_with("spec.rules[0].http.paths[0].path"), "{refused}");
    }
    for host in [
        "",
        "*",
        "*.example",
        "shop.example",
        "shop.example.evil",
        "www.shop.example.",
        ".shop.example",
        "WWW.BANK.EXAMPLE",
    ] {
        assert!(at(host, "/").is_err(), "{host}");
    }
}

#[test]
fn a_service_takes_no_address_and_leads_to_own_pods() {
    let cluster = Cluster::test();
    let own = json!({"metadata": metadata(json!({})), "spec": {
        "type": "ExternalName", "externalName": "kubernetes.default.svc.cluster.local", "externalIPs": ["10.0.0.1"],
        "loadBalancerIP": "10.0.0.2", "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"], "healthCheckNodePort": 30_001,
        "selector": {marks::CLUSTER: "another", marks::NAMESPACE: "kube-system"}, "unheardOf": 1, "ports": [{"port": 53}],
    }});
    let host = service(&cluster, &own)["spec"].take();
    let fields: Vec<&String> = host.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["ports", "selector", "type"]);
    assert_eq!(
        (&host["selector"][marks::CLUSTER], &host["selector"][marks::NAMESPACE]),
        (&json!("demo"), &json!("shop"))
    );
}

#[test]
fn a_claim_takes_no_volume_of_somebody_else() {
    let source = |kind: &str| json!({"kind": kind, "name": "other", "apiGroup": "snapshot.storage.k8s.io"});
    let own = |kind: &str| {
        json!({"metadata": metadata(json!({})), "spec": {
        "volumeName": "pv-of-another", "selector": {"matchLabels": {"a": "b"}}, "accessModes": ["ReadWriteOnce"],
        "dataSource": source(kind), "dataSourceRef": {"kind": kind, "name": "other", "namespace": "joey-other"}}})
    };
    let fields = |kind: &str| {
        let host = claim(&Cluster::test(), &own(kind))["spec"].take();
        (host.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" "), host["dataSource"].clone())
    };
    assert_eq!(fields("VolumeSnapshot"), ("accessModes".into(), Value::Null));
    let clone = json!({"kind": "PersistentVolumeClaim", "name": "other-x-shop-x-demo"});
    assert_eq!(fields("PersistentVolumeClaim"), ("accessModes dataSource".into(), clone));
}

/// What one object makes on the host is bounded, however its parts multiply.
#[test]
fn parts_do_not_multiply() {
    let namespaces: Namespaces = (0..10_000).map(|i| (format!("n{i}"), BTreeMap::new())).collect();
    let every = json!({"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]});
    let term = json!({"labelSelector": {}, "topologyKey": "zone", "namespaceSelector": every});
    let many = |count: usize, of: &Value| Value::from(vec![of.clone(); count]);
    let context = PodContext { namespaces: namespaces.clone(), ..PodContext::default() };
    let spread = |count| json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": many(count, &term)}}});
    let of = |count| pod(&Cluster::test(), &with(spread(count)), &context);
    assert!(of(2).is_ok());
    assert!(of(10_000).unwrap_err().0.contains("too many namespaces"));
    let peers = many(10_000, &json!({"namespaceSelector": every}));
    let policy =
        json!({"metadata": metadata(json!({})), "spec": {"podSelector": {}, "ingress": [{"from": peers}]}});
    assert!(
        network_policy(&Cluster::test(), &policy, &namespaces).unwrap_err().0.contains("too many namespaces")
    );

    let services = (0..1_000)
        .map(|i| (format!("s{i}"), ("10.0.0.1".to_owned(), vec![(String::new(), 80, "TCP".to_owned())])));
    let mut services: BTreeMap<_, _> = services.collect();
    services.insert("kubernetes".into(), ("10.0.0.2".into(), vec![("https".into(), 443, "TCP".into())]));
    let context = PodContext { services, taints: BTreeSet::new(), ..PodContext::default() };
    let containers = |count: usize| {
        let spec = json!({"containers": many(count, &json!({"name": "c", "image": "i"}))});
        pod(&Cluster::test(), &with(spec), &context)
    };
    let variables = |host: Value| host["spec"]["containers"][0]["env"].as_array().unwrap().len();
    assert!(variables(containers(1).unwrap()) > 1_000);
    assert!(variables(containers(3_000).unwrap()) < 10, "only those of kubernetes");
    assert!(containers(10_000).is_err());
}
