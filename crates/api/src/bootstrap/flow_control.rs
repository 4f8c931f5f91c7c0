//! Flow schemas and priority levels of every cluster: the two mandatory ones and the suggested ones.

use object::{Value, json};

const GROUP: &str = "flowcontrol.apiserver.k8s.io/v1";

/// The objects, by store key.
pub(super) fn objects() -> Vec<(String, Value)> {
    levels().into_iter().chain(schemas()).collect()
}

fn object(kind: &str, resource: &str, name: &str, spec: Value) -> (String, Value) {
    let object = json!({
        "apiVersion": GROUP, "kind": kind,
        "metadata": {"name": name, "generation": 1, "annotations": {"apf.kubernetes.io/autoupdate-spec": "true"}},
        "spec": spec, "status": {},
    });
    (format!("/flowcontrol.apiserver.k8s.io/{resource}/{name}"), object)
}

fn levels() -> Vec<(String, Value)> {
    let level =
        |name: &str, spec| object("PriorityLevelConfiguration", "prioritylevelconfigurations", name, spec);
    let queued = |shares: i64, lendable: i64, queues: i64, hand: i64| {
        json!({"type": "Limited", "limited": {
            "nominalConcurrencyShares": shares, "lendablePercent": lendable,
            "limitResponse": {"type": "Queue", "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": 50}},
        }})
    };
    vec![
        level(
            "exempt",
            json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}}),
        ),
        level(
            "catch-all",
            json!({"type": "Limited", "limited": {
                "nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": {"type": "Reject"},
            }}),
        ),
        level("system", queued(30, 33, 64, 6)),
        level("node-high", queued(40, 25, 64, 6)),
        level("leader-election", queued(10, 0, 16, 4)),
        level("workload-high", queued(40, 50, 128, 6)),
        level("workload-low", queued(100, 90, 128, 6)),
        level("global-default", queued(20, 50, 128, 6)),
    ]
}

fn groups(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!({"kind": "Group", "group": {"name": name}})).collect()
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "user": {"name": name}})
}

fn accounts(names: &[&str]) -> Vec<Value> {
    names
        .iter()
        .map(|name| json!({"kind": "ServiceAccount", "serviceAccount": {"name": name, "namespace": "kube-system"}}))
        .collect()
}

fn anything() -> Value {
    json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"]}])
}

fn any_path() -> Value {
    json!([{"verbs": ["*"], "nonResourceURLs": ["*"]}])
}

fn everything(subjects: Vec<Value>) -> Value {
    json!({"subjects": subjects, "resourceRules": anything(), "nonResourceRules": any_path()})
}

fn leases(subjects: Vec<Value>) -> Value {
    json!({"subjects": subjects, "resourceRules": [
        {"verbs": ["get", "create", "update"], "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "namespaces": ["*"]},
    ]})
}

fn schemas() -> Vec<(String, Value)> {
    let schema = |name: &str, level: &str, precedence: i64, by_user: bool, rules: Value| {
        let mut spec = json!({
            "priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence, "rules": rules,
        });
        if by_user {
            spec["distinguisherMethod"] = json!({"type": "ByUser"});
        }
        object("FlowSchema", "flowschemas", name, spec)
    };
    let everybody = || groups(&["system:unauthenticated", "system:authenticated"]);
    let all_accounts = || {
        vec![json!({"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": "kube-system"}})]
    };
    let controllers = || vec![user("system:kube-controller-manager")];
    let schedulers = || vec![user("system:kube-scheduler")];
    let leaders = || {
        let mut all = controllers();
        all.extend(schedulers());
        all.extend(all_accounts());
        all
    };
    let node_status = json!([{
        "subjects": groups(&["system:nodes"]),
        "resourceRules": [
            {"verbs": ["*"], "apiGroups": [""], "resources": ["nodes", "nodes/status"], "clusterScope": true, "namespaces": ["*"]},
            {"verbs": ["*"], "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "namespaces": ["*"]},
        ],
    }]);
    let endpoints = json!([{
        "subjects": [user("system:kube-controller-manager"), accounts(&["endpoint-controller"])[0], accounts(&["endpointslicemirroring-controller"])[0]],
        "resourceRules": [
            {"verbs": ["get", "create", "update"], "apiGroups": [""], "resources": ["endpoints"], "namespaces": ["*"]},
            {"verbs": ["get", "create", "update"], "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "namespaces": ["*"]},
        ],
    }]);
    let probes = json!([{
        "subjects": everybody(),
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}],
    }]);
    vec![
        schema("exempt", "exempt", 1, false, json!([everything(groups(&["system:masters"]))])),
        schema("catch-all", "catch-all", 10_000, true, json!([everything(everybody())])),
        schema("probes", "exempt", 2, false, probes),
        schema("system-leader-election", "leader-election", 100, true, json!([leases(leaders())])),
        schema("endpoint-controller", "workload-high", 150, true, endpoints),
        schema("workload-leader-election", "leader-election", 200, true, json!([leases(all_accounts())])),
        schema("system-node-high", "node-high", 400, true, node_status),
        schema("system-nodes", "system", 500, true, json!([everything(groups(&["system:nodes"]))])),
        schema("kube-controller-manager", "workload-high", 800, true, json!([everything(controllers())])),
        schema("kube-scheduler", "workload-high", 800, true, json!([everything(schedulers())])),
        schema(
            "kube-system-service-accounts",
            "workload-high",
            900,
            true,
            json!([everything(all_accounts())]),
        ),
        schema(
            "service-accounts",
            "workload-low",
            9000,
            true,
            json!([everything(groups(&["system:serviceaccounts"]))]),
        ),
        schema("global-default", "global-default", 9900, true, json!([everything(everybody())])),
    ]
}
