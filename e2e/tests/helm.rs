//! Helm charts: its own starter, and one with definitions, hooks and cluster roles.

use e2e::Joey;

#[test]
fn the_starter_chart_is_installed_upgraded_and_rolled_back() {
    let Some(joey) = Joey::up() else { return };
    let chart = joey.path("starter").display().to_string();
    joey.helm(&["create", &chart]);
    joey.helm(&["install", "starter", &chart, "--wait", "--timeout", "60s"]);
    joey.helm(&["test", "starter", "--timeout", "60s"]);
    joey.helm(&["upgrade", "starter", &chart, "--set", "replicaCount=2", "--wait", "--timeout", "60s"]);
    assert_eq!(joey.get(&["deployment/starter"])["spec"]["replicas"], 2);
    joey.helm(&["rollback", "starter", "1", "--wait", "--timeout", "60s"]);
    assert_eq!(joey.get(&["deployment/starter"])["spec"]["replicas"], 1);
    joey.helm(&["uninstall", "starter", "--wait", "--timeout", "60s"]);
    assert_eq!(
        joey.kubectl(&[
            "get",
            "deployments,services",
            "-l",
            "app.kubernetes.io/instance=starter",
            "-o",
            "name"
        ]),
        ""
    );
}

#[test]
fn a_chart_with_definitions_hooks_and_cluster_roles() {
    let Some(joey) = Joey::up() else { return };
    joey.write("own/Chart.yaml", "apiVersion: v2\nname: own\nversion: 0.1.0\n");
    joey.write("own/crds/gadget.yaml", CRD);
    joey.write("own/templates/objects.yaml", TEMPLATES);
    let chart = joey.path("own").display().to_string();
    joey.helm(&["install", "own", &chart, "--wait", "--timeout", "60s"]);
    assert_eq!(joey.get(&["gadget/first"])["spec"]["size"], 3);
    assert_eq!(
        joey.kubectl(&["get", "clusterrole", "own-reader", "-o", "jsonpath={.rules[0].resources[0]}"]),
        "gadgets"
    );
    let said = joey.try_kubectl(
        "joey-demo",
        &["patch", "gadget", "first", "--type=merge", "-p", r#"{"spec":{"size":"big"}}"#],
    );
    assert!(said.err.contains("spec.size: Invalid value: \"string\""), "{}", said.err);
    joey.helm(&["uninstall", "own", "--wait", "--timeout", "60s"]);
    assert_eq!(joey.kubectl(&["get", "gadgets", "-o", "name"]), "");
}

const CRD: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.own.example.com}
spec:
  group: own.example.com
  scope: Namespaced
  names: {plural: gadgets, singular: gadget, kind: Gadget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer}}}
"#;

const TEMPLATES: &str = r#"
apiVersion: own.example.com/v1
kind: Gadget
metadata: {name: first}
spec: {size: 3}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: own-reader}
rules: [{apiGroups: [own.example.com], resources: [gadgets], verbs: [get, list]}]
---
apiVersion: batch/v1
kind: Job
metadata:
  name: own-prepare
  annotations: {helm.sh/hook: pre-install, helm.sh/hook-delete-policy: hook-succeeded}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: prepare, image: busybox, command: ["true"]}]}
"#;
