//! A killed process loses nothing that it acknowledged.

use e2e::Joey;
use std::collections::BTreeSet;

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let Some(mut joey) = Joey::up() else { return };
    joey.kubectl(&["create", "deployment", "web", "--image=nginx", "--replicas=4"]);
    let mut acknowledged = BTreeSet::new();
    for round in 0..3 {
        for i in 0..10 {
            let name = format!("c{round}-{i}");
            joey.kubectl(&["create", "configmap", &name, "--from-literal=k=v"]);
            acknowledged.insert(name);
        }
        joey.kubectl(&["scale", "deployment/web", &format!("--replicas={}", 5 + round)]);
        // In the middle of the rollout.
        joey.kill();
        joey.start("Ctrl-C stops");
        let there = joey.kubectl(&["get", "configmaps", "-o", "name"]);
        let there: BTreeSet<String> =
            there.lines().filter_map(|l| l.strip_prefix("configmap/c")).map(|l| format!("c{l}")).collect();
        assert_eq!(there, acknowledged);
        joey.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
        let pods = joey.kubectl(&[
            "get",
            "pods",
            "-l",
            "app=web",
            "-o",
            "name",
            "--field-selector=status.phase=Running",
        ]);
        assert!(pods.lines().count() >= 5 + round, "{pods}");
    }
}
