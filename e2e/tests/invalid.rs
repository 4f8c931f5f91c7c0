//! VirtualClusters that cannot be: refused by the schema, or told in a condition; what others own stays theirs.

use e2e::Joey;

fn virtual_cluster(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: joey.dev/v1alpha1\nkind: VirtualCluster\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

#[test]
fn the_schema_refuses_and_names_the_field() {
    let Some(joey) = Joey::up() else { return };
    let long = "a".repeat(64);
    let rows = [
        ("x", "{policy: {privileged: maybe}}", "spec.policy.privileged"),
        ("x", "{sync: {nodes: 3}}", "spec.sync.nodes"),
        ("x", "{controllers: [all]}", "spec.controllers"),
        ("x", "{policies: {}}", "unknown field \"spec.policies\""),
        ("1x", "{}", "metadata.name"),
        ("a.b", "{}", "metadata.name"),
        (&long, "{}", "metadata.name"),
    ];
    for (name, spec, field) in rows {
        let file = joey.write("vc.yaml", &virtual_cluster("joey-demo", name, spec));
        for arguments in [&["apply", "-f", &file][..], &["create", "-f", &file]] {
            let said = joey.try_kubectl("joey-host", arguments);
            assert_eq!(said.code, 1, "{name} {spec}: {}", said.out);
            assert!(said.err.contains(field), "{name} {spec}: {}", said.err);
        }
    }
    let file = joey.write("vc.yaml", &virtual_cluster("joey-demo", "x", "{policy: {privileged: maybe}}"));
    let said = joey.joey(&["create", "-f", &file]);
    assert!(said.code == 1 && said.err.contains("spec.policy.privileged"), "{}", said.err);
    assert_eq!(joey.host(&["get", "virtualclusters", "-A", "-o", "name"]).lines().count(), 1, "only demo");
}

#[test]
fn what_the_schema_cannot_say_is_a_condition() {
    let Some(joey) = Joey::up() else { return };
    let said = joey.joey(&["create", "odd", "--set", "controllers=frobnicator", "--wait", "--timeout", "60"]);
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(
        said.err.contains("virtual cluster odd failed: ") && said.err.contains("frobnicator"),
        "{}",
        said.err
    );
    let vc = ["get", "virtualcluster", "odd", "-n", "joey-odd", "-o"];
    let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status} {.status.conditions[?(@.type==\"Ready\")].message}";
    let told = joey.host(&[&vc[..], &[path]].concat());
    assert!(told.starts_with("False ") && told.contains("frobnicator"), "{told}");
    assert!(joey.joey(&["describe", "odd"]).out.contains("frobnicator"));
    assert!(joey.joey(&["list", "-o", "wide"]).out.contains("Failed"));

    // Put right, it comes up; and a change of what runs is taken up too.
    let patch = |spec: &str| {
        joey.host(&["patch", "virtualcluster", "odd", "-n", "joey-odd", "--type=merge", "-p", spec]);
        let wait = ["wait", "virtualcluster/odd", "-n", "joey-odd", "--timeout=60s"];
        joey.host(&[&wait[..], &["--for=condition=Ready"]].concat());
    };
    patch(r#"{"spec":{"controllers":"none"}}"#);
    assert_eq!(joey.joey(&["connect", "odd"]).code, 0);
    joey.kubectl_in("joey-odd", &["create", "deployment", "web", "--image=nginx"]);
    assert_eq!(joey.kubectl_in("joey-odd", &["get", "replicasets", "-o", "name"]), "", "no controllers yet");
    patch(r#"{"spec":{"controllers":"all"}}"#);
    joey.kubectl_in("joey-odd", &["rollout", "status", "deployment/web", "--timeout=60s"]);
    assert_eq!(joey.joey(&["delete", "odd", "--wait"]).code, 0);
}

#[test]
fn what_others_have_in_the_namespace_stays() {
    let Some(joey) = Joey::up() else { return };
    for (namespace, theirs) in [
        ("one", &["create", "service", "clusterip", "team", "--tcp=80"][..]),
        ("two", &["create", "secret", "generic", "team-kubeconfig", "--from-literal=config=theirs"]),
    ] {
        joey.host(&["create", "namespace", namespace]);
        joey.host(&[theirs, &["-n", namespace]].concat());
        joey.host(&["run", "web", "--image=nginx", "-n", namespace]);
        let before = joey.host(&["get", "services,secrets", "-n", namespace, "-o", "yaml"]);
        let said = joey.joey(&["create", "team", "-n", namespace, "--wait", "--timeout", "60"]);
        assert_eq!(said.code, 1, "{namespace}: {}", said.out);
        assert!(said.err.contains("belongs to somebody else"), "{namespace}: {}", said.err);
        let said = joey.joey(&["delete", "team", "-n", namespace, "--wait"]);
        assert_eq!(said.code, 0, "{namespace}: {}", said.err);
        assert_eq!(
            joey.host(&["get", "services,secrets", "-n", namespace, "-o", "yaml"]),
            before,
            "{namespace}"
        );
        joey.host(&["get", "pod", "web", "-n", namespace]);
        joey.host(&["get", "namespace", namespace]);
    }

    // A pod where one of the tenant's would go: theirs stays, the tenant is told.
    joey.host(&["run", "shell-x-default-x-demo", "--image=nginx", "-n", "joey-demo"]);
    joey.kubectl(&["run", "shell", "--image=busybox", "--", "sleep", "1000"]);
    let refused = "--for=jsonpath={.status.conditions[?(@.type==\"PodScheduled\")].reason}=FailedCreate";
    joey.kubectl(&["wait", refused, "pod/shell", "--timeout=30s"]);
    let told = joey.kubectl(&["get", "events", "--field-selector=involvedObject.name=shell"]);
    assert!(told.contains("host pod shell-x-default-x-demo belongs to somebody else"), "{told}");
    let image = joey.host(&[
        "get",
        "pod",
        "shell-x-default-x-demo",
        "-n",
        "joey-demo",
        "-o",
        "jsonpath={.spec.containers[0].image}",
    ]);
    assert_eq!(image, "nginx");
}
