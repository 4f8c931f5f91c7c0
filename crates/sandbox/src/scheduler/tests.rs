use super::*;
use serde_json::json;

fn node(name: &str, change: impl FnOnce(&mut Value)) -> Arc<Value> {
    let mut node = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "spec": {},
        "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "3"}},
    });
    change(&mut node);
    Arc::new(node)
}

fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({"metadata": {"name": name, "namespace": "n", "uid": name, "labels": {"app": "a"}}, "spec": spec});
    if pod["spec"]["containers"].is_null() {
        pod["spec"]["containers"] = json!([{"name": "c"}]);
    }
    pod
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::default();
    cluster.put_node(node("a", |_| {}));
    cluster.put_node(node("b", |_| {}));
    cluster
}

fn cpu(amount: &str) -> Value {
    json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": amount}}}]})
}

#[test]
fn pods_go_where_there_is_room() {
    let mut cluster = cluster();
    let first = pod("1", cpu("1500m"));
    assert_eq!(cluster.schedule(&first), Ok("a".into()));
    cluster.put_pod(&first, "a");
    assert_eq!(cluster.schedule(&pod("2", cpu("1"))), Ok("b".into()));
    cluster.put_pod(&pod("2", cpu("1")), "b");
    assert_eq!(
        cluster.schedule(&pod("3", cpu("1500m"))),
        Err("0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.".into())
    );
    assert_eq!(
        cluster.schedule(&pod("3", cpu("8"))),
        Err("0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.".into())
    );
    cluster.remove_pod("1");
    assert_eq!(cluster.schedule(&pod("3", cpu("1500m"))), Ok("a".into()));
}

#[test]
fn siblings_spread_and_nodes_fill_up() {
    let mut cluster = cluster();
    let mut seen = vec![];
    for i in 0..6 {
        let mut one = pod(&i.to_string(), json!({}));
        one["metadata"]["ownerReferences"] = json!([{"uid": "rs", "controller": true}]);
        let node = cluster.schedule(&one).unwrap();
        cluster.put_pod(&one, &node);
        seen.push(node);
    }
    assert_eq!(seen, ["a", "b", "a", "b", "a", "b"]);
    assert!(
        cluster
            .schedule(&pod("more", json!({})))
            .unwrap_err()
            .starts_with("0/2 nodes are available: 2 Too many pods.")
    );
}

#[test]
fn taints_selectors_and_cordons_keep_pods_away() {
    let mut cluster = Cluster::default();
    assert_eq!(cluster.schedule(&pod("1", json!({}))), Err("no nodes available to schedule pods".into()));
    cluster.put_node(node("a", |n| {
        n["spec"]["taints"] = json!([{"key": "k", "value": "v", "effect": "NoSchedule"}])
    }));
    cluster.put_node(node("b", |n| n["spec"]["unschedulable"] = true.into()));
    cluster.put_node(node("c", |n| n["metadata"]["labels"]["disk"] = "hdd".into()));
    let ssd = json!({"nodeSelector": {"disk": "ssd"}});
    assert_eq!(
        cluster.schedule(&pod("1", ssd)),
        Err("0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable. no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.".into())
    );
    let tolerates = json!({"tolerations": [{"key": "k", "operator": "Equal", "value": "v"}], "nodeSelector": {"kubernetes.io/hostname": "a"}});
    assert_eq!(cluster.schedule(&pod("1", tolerates)), Ok("a".into()));
    let daemon = json!({
        "tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]}}},
    });
    assert_eq!(cluster.schedule(&pod("1", daemon)), Ok("b".into()));
}

#[test]
fn pods_attract_and_repel() {
    let mut cluster = cluster();
    let term = |which: &str| {
        json!({"affinity": {which: {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "a"}}}]}}})
    };
    let alone = pod("1", term("podAntiAffinity"));
    cluster.put_pod(&alone, "b");
    assert_eq!(cluster.schedule(&pod("2", term("podAntiAffinity"))), Ok("a".into()));
    assert_eq!(cluster.schedule(&pod("2", json!({}))), Ok("a".into()), "existing pods keep others away too");
    cluster.put_pod(&pod("2", term("podAntiAffinity")), "a");
    let message = cluster.schedule(&pod("3", term("podAntiAffinity"))).unwrap_err();
    assert!(message.contains("2 node(s) didn't match pod anti-affinity rules"), "{message}");
    cluster.remove_pod("1");
    cluster.remove_pod("2");
    assert_eq!(cluster.schedule(&pod("4", term("podAffinity"))), Ok("a".into()), "the first of its kind");
    cluster.put_pod(&pod("5", json!({})), "b");
    assert_eq!(cluster.schedule(&pod("4", term("podAffinity"))), Ok("b".into()));
}

#[test]
fn spread_constraints_and_ports_hold() {
    let mut cluster = cluster();
    let spread = json!({"topologySpreadConstraints": [{
        "topologyKey": "kubernetes.io/hostname", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "a"}}}]});
    for i in 0..2 {
        cluster.put_pod(&pod(&i.to_string(), json!({})), "a");
    }
    assert_eq!(cluster.schedule(&pod("2", spread.clone())), Ok("b".into()));
    cluster.put_node(node("b", |n| n["spec"]["unschedulable"] = true.into()));
    let message = cluster.schedule(&pod("2", spread)).unwrap_err();
    assert!(message.contains("1 node(s) didn't match pod topology spread constraints"), "{message}");

    let port = json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]});
    cluster.put_pod(&pod("p", port.clone()), "a");
    let message = cluster.schedule(&pod("q", port)).unwrap_err();
    assert!(message.contains("1 node(s) didn't have free ports for the requested pod ports"), "{message}");
}

#[test]
fn init_containers_and_sidecars_count_as_upstream_counts_them() {
    let container = |cpu: &str| json!({"name": "x", "resources": {"requests": {"cpu": cpu}}});
    let mut sidecar = container("200m");
    sidecar["restartPolicy"] = "Always".into();
    let spec = json!({"initContainers": [container("1"), sidecar, container("900m")], "containers": [container("500m")]});
    assert_eq!(Resources::of_pod(&pod("1", spec)), Resources::of_map(&json!({"cpu": "1100m"})));
}

#[test]
fn the_less_important_make_room() {
    let mut cluster = cluster();
    let with = |name: &str, amount: &str, priority: i64| {
        let mut pod = pod(name, cpu(amount));
        pod["spec"]["priority"] = priority.into();
        pod
    };
    for (name, node, amount, priority) in
        [("a1", "a", "1", 5), ("a2", "a", "1", 1), ("b1", "b", "1500m", 3), ("b2", "b", "500m", 9)]
    {
        cluster.put_pod(&with(name, amount, priority), node);
    }
    let victims = |cluster: &Cluster, pod: &Value| {
        cluster.preempt(pod).map(|p| (p.node, p.victims.into_iter().map(|v| v.name).collect::<Vec<_>>()))
    };
    assert_eq!(victims(&cluster, &with("x", "1", 1)), None, "nobody is less important");
    assert_eq!(victims(&cluster, &with("x", "1", 4)), Some(("a".into(), vec!["a2".into()])));
    assert_eq!(victims(&cluster, &with("x", "1500m", 4)), Some(("b".into(), vec!["b1".into()])));
    assert_eq!(victims(&cluster, &with("x", "2", 6)), Some(("a".into(), vec!["a1".into(), "a2".into()])));
    assert_eq!(victims(&cluster, &with("x", "3", 99)), None, "no node is big enough");
    let mut meek = with("x", "1", 4);
    meek["spec"]["preemptionPolicy"] = "Never".into();
    assert_eq!(victims(&cluster, &meek), None);

    // The room made is kept for the one it was made for.
    cluster.nominate(&with("x", "1", 4), "a");
    cluster.remove_pod("a2");
    assert!(cluster.schedule(&with("thief", "1", 2)).is_err());
    assert_eq!(cluster.schedule(&with("x", "1", 4)), Ok("a".into()));
    assert_eq!(cluster.schedule(&with("greater", "1", 8)), Ok("a".into()));
}
