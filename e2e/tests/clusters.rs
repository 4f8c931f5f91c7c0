//! Several virtual clusters on one host: apart in every way.

use e2e::Joey;

#[test]
fn two_virtual_clusters_do_not_meet() {
    let Some(joey) = Joey::up() else { return };
    let said = joey.joey(&["create", "b", "--wait"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(joey.joey(&["connect", "b"]).code, 0);

    for (context, kind) in [("joey-demo", "string"), ("joey-b", "integer")] {
        let file = joey.write(&format!("{context}.yaml"), &CRD.replace("TYPE", kind));
        joey.kubectl_in(context, &["apply", "-f", &file]);
        joey.kubectl_in(
            context,
            &["wait", "--for=condition=Established", "crd/things.example.com", "--timeout=30s"],
        );
    }
    let thing = joey.write(
        "thing.yaml",
        "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\nspec: {value: text}\n",
    );
    joey.kubectl_in("joey-demo", &["apply", "-f", &thing]);
    let refused = joey.try_kubectl("joey-b", &["apply", "-f", &thing]);
    assert!(
        refused.err.contains("must be of type integer") || refused.err.contains("Invalid value"),
        "{}",
        refused.err
    );
    assert_eq!(joey.kubectl_in("joey-b", &["get", "things", "-o", "name"]), "");

    tenants_are_refused_elsewhere(&joey);

    joey.kubectl_in("joey-b", &["create", "deployment", "web", "--image=nginx"]);
    joey.kubectl_in("joey-b", &["rollout", "status", "deployment/web", "--timeout=60s"]);
    joey.kubectl(&["create", "deployment", "web", "--image=nginx"]);
    joey.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    let said = joey.joey(&["delete", "b", "--wait"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    joey.host(&["wait", "--for=delete", "namespace/joey-b", "--timeout=60s"]);
    assert_eq!(joey.get(&["deployment/web"])["status"]["readyReplicas"], 1, "the other one is untouched");
    let list = joey.joey(&["list"]).out;
    assert!(list.contains("demo") && !list.contains("joey-b"), "{list}");
}

/// One tenant's certificate opens neither another tenant's API nor the host's.
fn tenants_are_refused_elsewhere(joey: &Joey) {
    for cluster in ["joey-b", "joey-host"] {
        joey.kubectl(&[
            "config",
            "set-context",
            "stranger",
            &format!("--cluster={cluster}"),
            "--user=joey-demo",
        ]);
        let said = joey.try_kubectl("stranger", &["get", "namespaces"]);
        let refused = ["Unauthorized", "must be logged in", "Forbidden", "forbidden", "certificate"];
        assert!(
            said.code != 0 && refused.iter().any(|w| said.err.contains(w)),
            "{cluster}: {}{}",
            said.out,
            said.err
        );
    }
}

const CRD: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: things, singular: thing, kind: Thing}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {value: {type: TYPE}}}
"#;
