use super::*;
use serde_json::json;

/// Schedules a pod without claims; the message as its condition carries it.
fn schedule(cluster: &Cluster, pod: &Value) -> Result<String, String> {
    let volumes = Volumes::default();
    cluster.schedule(pod, &volumes).map_err(|why| {
        let attempt = cluster.preempt(pod, &volumes, &[], &why);
        why.message(attempt.words())
    })
}

fn preempt(cluster: &Cluster, pod: &Value, budgets: &[Arc<Value>]) -> Option<Preemption> {
    let volumes = Volumes::default();
    let refused = cluster.schedule(pod, &volumes).unwrap_err();
    match cluster.preempt(pod, &volumes, budgets, &refused) {
        Attempt::Room(preemption) => Some(preemption),
        _ => None,
    }
}

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
    assert_eq!(schedule(&cluster, &first), Ok("a".into()));
    cluster.put_pod(&first, "a");
    assert_eq!(schedule(&cluster, &pod("2", cpu("1"))), Ok("b".into()));
    cluster.put_pod(&pod("2", cpu("1")), "b");
    assert_eq!(
        schedule(&cluster, &pod("3", cpu("1500m"))),
        Err("0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.".into())
    );
    assert_eq!(
        schedule(&cluster, &pod("3", cpu("8"))),
        Err("0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.".into())
    );
    cluster.remove_pod("1");
    assert_eq!(schedule(&cluster, &pod("3", cpu("1500m"))), Ok("a".into()));
}

#[test]
fn of_a_pod_that_goes_on_only_what_is_new_is_read() {
    let pods = object::GroupVersionResource::new("", "v1", "pods");
    let cache = client::Cache::offline();
    cache.track(&pods, client::Keep::Full);
    let mut one = pod("1", cpu("1500m"));
    one["metadata"]["generation"] = 1.into();
    let mut cluster = cluster();
    cluster.put_pod(&one, "a");
    let mut version = 0;
    let mut goes_on = |change: &dyn Fn(&mut Value), node: &str| {
        let mut next = one.clone();
        change(&mut next);
        version += 1;
        next["metadata"]["resourceVersion"] = version.to_string().into();
        cache.observe(&pods, &next);
        cluster.goes_on(&cache.entry(&pods, "n", "1").unwrap(), node)
    };
    assert!(goes_on(
        &|pod| pod["status"] = json!({"phase": "Running", "startTime": "2026-01-01T00:00:00Z"}),
        "a"
    ));
    assert!(!goes_on(&|_| {}, "b"), "elsewhere");
    assert!(!goes_on(&|pod| pod["status"]["phase"] = "Failed".into(), "a"), "over");
    assert!(!goes_on(&|pod| pod["metadata"]["generation"] = 2.into(), "a"), "resized");
    assert!(!goes_on(&|pod| pod["metadata"]["labels"]["app"] = "b".into(), "a"), "spread otherwise");
    assert!(
        !goes_on(&|pod| pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into(), "a"),
        "going"
    );
    let adopted = json!([{"uid": "rs", "controller": true}]);
    assert!(!goes_on(&|pod| pod["metadata"]["ownerReferences"] = adopted.clone(), "a"), "adopted");
    assert_eq!(cluster.nodes["a"].pods["1"].started, "2026-01-01T00:00:00Z");
}

#[test]
fn siblings_spread_and_nodes_fill_up() {
    let mut cluster = cluster();
    let mut seen = vec![];
    for i in 0..6 {
        let mut one = pod(&i.to_string(), json!({}));
        one["metadata"]["ownerReferences"] = json!([{"uid": "rs", "controller": true}]);
        let node = schedule(&cluster, &one).unwrap();
        cluster.put_pod(&one, &node);
        seen.push(node);
    }
    assert_eq!(seen, ["a", "b", "a", "b", "a", "b"]);
    assert!(
        schedule(&cluster, &pod("more", json!({})))
            .unwrap_err()
            .starts_with("0/2 nodes are available: 2 Too many pods.")
    );
}

#[test]
fn taints_selectors_and_cordons_keep_pods_away() {
    let mut cluster = Cluster::default();
    assert_eq!(schedule(&cluster, &pod("1", json!({}))), Err("no nodes available to schedule pods".into()));
    cluster.put_node(node("a", |n| {
        n["spec"]["taints"] = json!([{"key": "k", "value": "v", "effect": "NoSchedule"}])
    }));
    cluster.put_node(node("b", |n| n["spec"]["unschedulable"] = true.into()));
    cluster.put_node(node("c", |n| n["metadata"]["labels"]["disk"] = "hdd".into()));
    let ssd = json!({"nodeSelector": {"disk": "ssd"}});
    assert_eq!(
        schedule(&cluster, &pod("1", ssd)),
        Err("0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable. no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.".into())
    );
    let tolerates = json!({"tolerations": [{"key": "k", "operator": "Equal", "value": "v"}], "nodeSelector": {"kubernetes.io/hostname": "a"}});
    assert_eq!(schedule(&cluster, &pod("1", tolerates)), Ok("a".into()));
    let daemon = json!({
        "tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]}}},
    });
    assert_eq!(schedule(&cluster, &pod("1", daemon)), Ok("b".into()));
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
    assert_eq!(schedule(&cluster, &pod("2", term("podAntiAffinity"))), Ok("a".into()));
    assert_eq!(
        schedule(&cluster, &pod("2", json!({}))),
        Ok("a".into()),
        "existing pods keep others away too"
    );
    cluster.put_pod(&pod("2", term("podAntiAffinity")), "a");
    let message = schedule(&cluster, &pod("3", term("podAntiAffinity"))).unwrap_err();
    assert!(message.contains("2 node(s) didn't match pod anti-affinity rules"), "{message}");
    cluster.remove_pod("1");
    cluster.remove_pod("2");
    assert_eq!(schedule(&cluster, &pod("4", term("podAffinity"))), Ok("a".into()), "the first of its kind");
    cluster.put_pod(&pod("5", json!({})), "b");
    assert_eq!(schedule(&cluster, &pod("4", term("podAffinity"))), Ok("b".into()));
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
    assert_eq!(schedule(&cluster, &pod("2", spread.clone())), Ok("b".into()));
    cluster.put_node(node("b", |n| n["spec"]["unschedulable"] = true.into()));
    let message = schedule(&cluster, &pod("2", spread)).unwrap_err();
    assert!(message.contains("1 node(s) didn't match pod topology spread constraints"), "{message}");

    let port = json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]});
    cluster.put_pod(&pod("p", port.clone()), "a");
    let message = schedule(&cluster, &pod("q", port)).unwrap_err();
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
        preempt(cluster, pod, &[])
            .map(|p| (p.node, p.victims.into_iter().map(|v| v.name).collect::<Vec<_>>()))
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
    assert!(schedule(&cluster, &with("thief", "1", 2)).is_err());
    assert_eq!(schedule(&cluster, &with("x", "1", 4)), Ok("a".into()));
    assert_eq!(schedule(&cluster, &with("greater", "1", 8)), Ok("a".into()));
}

#[test]
fn budgets_are_kept_where_that_is_possible() {
    let mut cluster = cluster();
    for (name, node) in [("a1", "a"), ("b1", "b")] {
        let mut pod = pod(name, cpu("2"));
        pod["metadata"]["labels"]["app"] = name.into();
        cluster.put_pod(&pod, node);
    }
    let mut urgent = pod("x", cpu("2"));
    urgent["spec"]["priority"] = 9.into();
    let budget = |app: &str, allowed: i64| {
        Arc::new(
            json!({"metadata": {"name": app, "namespace": "n"}, "status": {"disruptionsAllowed": allowed},
            "spec": {"selector": {"matchLabels": {"app": app}}}}),
        )
    };
    let node = |budgets: &[Arc<Value>]| preempt(&cluster, &urgent, budgets).map(|p| p.node);
    assert_eq!(node(&[]), Some("a".into()));
    assert_eq!(node(&[budget("a1", 0)]), Some("b".into()));
    assert_eq!(node(&[budget("a1", 1)]), Some("a".into()));
    assert_eq!(node(&[budget("a1", 0), budget("b1", 0)]), Some("a".into()), "none may stay");
}

#[test]
fn making_room_is_told_of() {
    let mut cluster = cluster();
    cluster.put_node(node("b", |n| n["spec"]["unschedulable"] = true.into()));
    let with = |name: &str, spec: Value, priority: i64| {
        let mut pod = pod(name, spec);
        pod["spec"]["priority"] = priority.into();
        pod
    };
    cluster.put_pod(&with("a1", cpu("2"), 7), "a");
    let words = |pod: &Value| schedule(&cluster, pod).unwrap_err();
    let none = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable.";
    assert_eq!(words(&with("x", cpu("1"), 8)), none, "room is made");
    assert_eq!(
        words(&with("x", cpu("1"), 7)),
        format!(
            "{none} no new claims to deallocate, preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling."
        )
    );
    let mut never = with("x", cpu("1"), 8);
    never["spec"]["preemptionPolicy"] = "Never".into();
    assert_eq!(
        words(&never),
        format!(
            "{none} no new claims to deallocate, preemption: not eligible due to preemptionPolicy=Never."
        )
    );
    let mut leaving = with("a1", cpu("2"), 7);
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    leaving["status"]["conditions"] =
        json!([{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]);
    cluster.put_pod(&leaving, "a");
    let mut waits = with("x", cpu("1"), 8);
    waits["status"]["nominatedNodeName"] = "a".into();
    assert_eq!(
        schedule(&cluster, &waits).unwrap_err(),
        format!(
            "{none} no new claims to deallocate, preemption: not eligible due to a terminating pod on the nominated node."
        )
    );
}

#[test]
fn names_and_namespaces_narrow_the_choice() {
    let mut cluster = cluster();
    let by_name = |names: &[&str]| {
        let fields: Vec<Value> = names
            .iter()
            .map(|name| json!({"key": "metadata.name", "operator": "In", "values": [name]}))
            .collect();
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchFields": fields}]}}}})
    };
    assert_eq!(schedule(&cluster, &pod("1", by_name(&["b"]))), Ok("b".into()));
    let message = schedule(&cluster, &pod("1", by_name(&["z"]))).unwrap_err();
    assert!(message.contains(": 2 node(s) didn't satisfy plugin(s) [NodeAffinity]."), "{message}");
    assert_eq!(
        schedule(&cluster, &pod("1", by_name(&["a", "b"]))),
        Err("0/2 nodes are available: pod affinity terms conflict. not found".into())
    );

    let elsewhere = json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
        "topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "a"}},
        "namespaceSelector": {"matchLabels": {"team": "x"}}}]}}});
    cluster.put_pod(&pod("friend", json!({})), "b");
    assert!(schedule(&cluster, &pod("1", elsewhere.clone())).is_err());
    assert!(cluster.put_namespace("n", BTreeMap::from([("team".into(), "x".into())])));
    assert_eq!(schedule(&cluster, &pod("1", elsewhere)), Ok("b".into()));
}

#[test]
fn volumes_bind_pods_to_places() {
    let cluster = cluster();
    let volume = |name: &str, node: &str| {
        Arc::new(
            json!({"metadata": {"name": name}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}}}}),
        )
    };
    let words = |volumes: &Volumes| {
        cluster.schedule(&pod("1", json!({})), volumes).map_err(|refused| refused.message(""))
    };
    assert_eq!(words(&Volumes { bound: vec![volume("v", "b")], ..Volumes::default() }), Ok("b".into()));
    let conflict = Volumes { bound: vec![volume("v", "b"), volume("w", "a")], ..Volumes::default() };
    let message = "0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity.";
    assert_eq!(words(&conflict), Err(message.into()));
    let waiting = |candidates: Vec<Arc<Value>>, made: Option<Value>| Volumes {
        waiting: vec![Waiting { claim: Arc::default(), candidates, made }],
        ..Volumes::default()
    };
    assert_eq!(words(&waiting(vec![volume("v", "b")], None)), Ok("b".into()));
    assert_eq!(words(&waiting(vec![], Some(Value::Null))), Ok("a".into()));
    let message = "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.";
    assert_eq!(words(&waiting(vec![], None)), Err(message.into()));
    let only = json!([{"matchLabelExpressions": [{"key": "kubernetes.io/hostname", "values": ["b"]}]}]);
    assert_eq!(words(&waiting(vec![], Some(only))), Ok("b".into()));
    let message = "0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod.";
    assert_eq!(words(&Volumes { taken: true, ..Volumes::default() }), Err(message.into()));
}

#[test]
fn kubelets_refuse_what_does_not_fit() {
    let mut cluster = cluster();
    let port = json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]});
    cluster.put_pod(&pod("p", port.clone()), "a");
    cluster.put_pod(&pod("q", cpu("1500m")), "a");
    let rejected = |name: &str, spec: Value| {
        cluster.rejected(&pod(name, spec), "a").map(|(reason, why)| format!("{reason}: {why}"))
    };
    assert_eq!(rejected("p", port.clone()), None, "it is there already");
    let why =
        "NodePorts: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
    assert_eq!(rejected("x", port), Some(why.into()));
    let why = "OutOfcpu: Node didn't have enough resource: cpu, requested: 600, used: 1500, capacity: 2000";
    assert_eq!(rejected("x", cpu("600m")), Some(why.into()));
    let why =
        "NodeAffinity: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
    assert_eq!(rejected("x", json!({"nodeSelector": {"x": "y"}})), Some(why.into()));
}
