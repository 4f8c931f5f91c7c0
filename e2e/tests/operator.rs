//! The same from outside of the host: an operator process that speaks to it over the network.

use e2e::Joey;

#[test]
fn an_operator_runs_virtual_clusters_of_a_remote_host() {
    let Some(host) = Joey::bare_host() else { return };
    let kubeconfig = host.kubeconfig().display().to_string();
    let data = host.path("operator").display().to_string();
    let _operator = host.spawn(
        &["operator", "--kubeconfig", &kubeconfig, "--data-dir", &data, "--listen", "127.0.0.1:21000"],
        "following the VirtualClusters",
    );
    let said = host.joey(&["create", "far", "--wait"]);
    assert_eq!(said.code, 0, "{}{}\n{}", said.out, said.err, host.log());
    let address =
        said.out.split_once("https://127.0.0.1:").and_then(|(_, rest)| rest.split_whitespace().next());
    let port = address.and_then(|port| port.parse::<u16>().ok());
    assert!(port.is_some_and(|port| (21000..22000).contains(&port)), "from the one given on: {}", said.out);
    assert_eq!(host.joey(&["connect", "far"]).code, 0);
    let far = |arguments: &[&str]| host.kubectl_in("joey-far", arguments);
    far(&["create", "deployment", "web", "--image=nginx", "--replicas=2"]);
    far(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    far(&["run", "shell", "--image=busybox", "--", "sleep", "1000"]);
    far(&["wait", "--for=condition=Ready", "pod/shell", "--timeout=60s"]);
    assert!(far(&["logs", "deployment/web"]).contains("simulated container"), "logs come over the network");
    assert_eq!(far(&["exec", "shell", "--", "echo", "hi"]).trim(), "hi");
    assert_eq!(host.try_kubectl("joey-far", &["exec", "shell", "--", "sh", "-c", "exit 4"]).code, 4);
    let said = host.joey(&["delete", "far", "--wait"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(host.kubectl_in("joey", &["get", "pods", "-A", "-o", "name"]), "");
}
