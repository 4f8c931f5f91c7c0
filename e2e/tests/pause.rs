//! Virtual clusters that sleep.

use e2e::Joey;

#[test]
fn a_virtual_cluster_sleeps_and_wakes_with_what_it_held() {
    let Some(joey) = Joey::up() else { return };
    joey.kubectl(&["create", "deployment", "web", "--image=nginx", "--replicas=2"]);
    joey.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    joey.kubectl(&["create", "configmap", "kept", "--from-literal=a=b"]);
    let said = joey.joey(&["pause", "demo"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let host = |arguments: &[&str]| joey.kubectl_in("joey-host", arguments);
    host(&[
        "wait",
        "virtualcluster/demo",
        "-n",
        "joey-demo",
        "--for=jsonpath={.status.phase}=Paused",
        "--timeout=60s",
    ]);
    host(&["wait", "pods", "--all", "-n", "joey-demo", "--for=delete", "--timeout=60s"]);
    assert_ne!(joey.try_kubectl("joey-demo", &["get", "namespaces"]).code, 0, "nobody answers");
    assert!(joey.joey(&["list"]).out.contains("Paused"));
    let said = joey.joey(&["resume", "demo", "--wait"]);
    assert_eq!(said.code, 0, "{}", said.err);
    joey.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    joey.kubectl(&["wait", "pods", "-l", "app=web", "--for=condition=Ready", "--timeout=60s"]);
    assert_eq!(joey.get(&["configmap/kept"])["data"]["a"], "b");
    assert_eq!(joey.get(&["pods"])["items"].as_array().map(Vec::len), Some(2));
}
