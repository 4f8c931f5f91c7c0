//! The first things a person tries.

use e2e::Joey;

#[test]
fn kubectl_finds_its_way() {
    let Some(joey) = Joey::up() else { return };
    assert!(joey.kubectl(&["version"]).contains("Server Version: v1.36"));
    let namespaces = joey.kubectl(&["get", "ns"]);
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        assert!(namespaces.contains(name), "{namespaces}");
    }
    let resources = joey.kubectl(&["api-resources"]);
    for row in [
        "deployments",
        "customresourcedefinitions",
        "validatingadmissionpolicies",
        "horizontalpodautoscalers",
    ] {
        assert!(resources.contains(row), "{resources}");
    }
    let explained = joey.kubectl(&["explain", "pod.spec.containers"]);
    assert!(
        explained.contains("FIELD: containers <[]Container>") && explained.contains("image\t<string>"),
        "{explained}"
    );
    assert_eq!(joey.kubectl(&["auth", "can-i", "create", "pods"]).trim(), "yes");
    joey.kubectl(&["wait", "--for=condition=Ready", "node", "--all", "--timeout=30s"]);
    let nodes = joey.kubectl(&["get", "nodes"]);
    assert_eq!(nodes.matches(" Ready ").count(), 2, "{nodes}");
}

#[test]
fn mistakes_are_told_in_kubernetes_words() {
    let Some(joey) = Joey::up() else { return };
    let said = joey.try_kubectl("joey-demo", &["get", "pod", "nope"]);
    assert_eq!((said.code, said.err.trim()), (1, "Error from server (NotFound): pods \"nope\" not found"));
    let said = joey.try_kubectl("joey-demo", &["create", "configmap", "Not_a_name"]);
    assert!(said.err.contains("a lowercase RFC 1123 subdomain must consist of"), "{}", said.err);
    let said = joey.try_kubectl("joey-demo", &["--as=nobody", "get", "pods"]);
    let forbidden =
        "User \"nobody\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"";
    assert!(said.err.contains(forbidden), "{}", said.err);
    let said = joey.try_kubectl("joey-demo", &["delete", "ns", "kube-system"]);
    assert!(said.err.contains("this namespace may not be deleted"), "{}", said.err);
}

#[test]
fn the_command_line_says_what_is_wrong() {
    let Some(joey) = Joey::up() else { return };
    let data = joey.path("data").display().to_string();
    let rows: [(&[&str], i32, &str); 7] = [
        (&["create", "Bad_name"], 1, "cannot be a virtual cluster's name"),
        (&["delete", "nope"], 1, "there is no virtual cluster nope"),
        (&["connect", "nope"], 1, "there is no virtual cluster nope"),
        (&["create", "x", "--set", "nothing"], 1, "write KEY=VALUE"),
        (&["create", "x", "--set", "policy.privileged=7"], 1, "spec.policy.privileged"),
        (&["list", "--kubeconfig", "/does/not/exist"], 1, "/does/not/exist does not exist"),
        (&["up", "--data-dir", &data], 1, "is in use by another joey"),
    ];
    for (arguments, code, message) in rows {
        let said = joey.joey(arguments);
        assert_eq!(said.code, code, "{arguments:?}: {}{}", said.out, said.err);
        assert!(said.err.contains(message), "{arguments:?}: {}", said.err);
    }
    assert_eq!(joey.joey(&["frobnicate"]).code, 2);
}
