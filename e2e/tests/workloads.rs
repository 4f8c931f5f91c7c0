//! Real projects' manifests, where they are at hand.

use e2e::{Joey, workloads};
use std::path::Path;

/// The documents of a file that are objects; template lines around them are left out.
fn documents(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).expect("a manifest");
    let plain: String = text.lines().filter(|l| !l.starts_with("{{")).map(|l| format!("{l}\n")).collect();
    let all = plain.split("\n---").map(|d| d.trim_start_matches("---").to_owned());
    all.filter(|d| d.lines().any(|l| l.starts_with("kind:"))).collect()
}

fn apply(joey: &Joey, folder: &Path, file: &str, namespace: &str, count: usize) {
    let documents = documents(&folder.join(file));
    assert_eq!(documents.len(), count, "{file}");
    let path = joey.write(file, &documents.join("\n---\n"));
    let in_namespace: &[&str] = if namespace.is_empty() { &[] } else { &["-n", namespace] };
    let arguments = [in_namespace, &["apply", "--server-side", "-f", &path]].concat();
    let said = joey.kubectl(&arguments);
    assert_eq!(said.matches("serverside-applied").count(), count, "{said}");
    // Applying again changes nothing and conflicts with nobody.
    joey.kubectl(&arguments);
    let there =
        joey.kubectl(&[in_namespace, &["get", "-f", &path, "-o", "name", "--ignore-not-found"]].concat());
    // Jobs may go as soon as they are done.
    let fleeting = documents.iter().filter(|d| d.contains("ttlSecondsAfterFinished: 0")).count();
    assert!((count - fleeting..=count).contains(&there.lines().count()), "{there}");
}

#[test]
fn argo_cd_runs() {
    let (Some(folder), Some(joey)) = (workloads(), Joey::up()) else { return };
    joey.kubectl(&["create", "namespace", "argocd"]);
    // Its init container would make this Secret; simulated containers run nothing.
    joey.kubectl(&[
        "-n",
        "argocd",
        "create",
        "secret",
        "generic",
        "argocd-redis",
        "--from-literal=auth=simulated",
    ]);
    apply(&joey, &folder, "argo-cd-install.yaml", "argocd", 59);
    joey.kubectl(&[
        "-n",
        "argocd",
        "wait",
        "--for=condition=Available",
        "deployment",
        "--all",
        "--timeout=90s",
    ]);
    joey.kubectl(&[
        "-n",
        "argocd",
        "rollout",
        "status",
        "statefulset/argocd-application-controller",
        "--timeout=90s",
    ]);
    let application = joey.write("application.yaml", APPLICATION);
    joey.kubectl(&["apply", "-f", &application]);
    let broken = joey.write("broken.yaml", &APPLICATION.replace("project: default", "project: 7"));
    let said = joey.try_kubectl("joey-demo", &["apply", "-f", &broken]);
    assert!(
        said.err.contains(
            "spec.project: Invalid value: \"integer\": spec.project in body must be of type string"
        ),
        "{}",
        said.err
    );

    joey.kubectl(&["delete", "namespace", "argocd", "--wait", "--timeout=90s"]);
    let left = joey.host(&[
        "-n",
        "joey-demo",
        "get",
        "pods,services,configmaps,secrets",
        "-l",
        "joey.dev/namespace=argocd",
        "-o",
        "name",
    ]);
    assert_eq!(left, "");
}

const APPLICATION: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: guestbook, namespace: argocd}
spec:
  project: default
  source: {repoURL: "https://example.com/repo.git", path: guestbook, targetRevision: HEAD}
  destination: {server: "https://kubernetes.default.svc", namespace: guestbook}
"#;

#[test]
fn the_gateway_api_is_served() {
    let (Some(folder), Some(joey)) = (workloads(), Joey::up()) else { return };
    // A development build, which the admission policy beside it refuses as soon as that is in force: definitions first.
    let (policies, definitions): (Vec<String>, Vec<String>) =
        documents(&folder.join("gateway-api-standard.yaml"))
            .into_iter()
            .partition(|d| d.contains("\nkind: ValidatingAdmissionPolicy"));
    assert_eq!((policies.len(), definitions.len()), (2, 10));
    let definitions = joey.write("definitions.yaml", &definitions.join("\n---\n"));
    let policies = joey.write("policies.yaml", &policies.join("\n---\n"));
    for file in [&definitions, &policies] {
        joey.kubectl(&["apply", "--server-side", "-f", file]);
    }
    let said = joey.try_kubectl("joey-demo", &["apply", "--server-side", "-f", &definitions]);
    assert!(
        said.err.contains("Installing CRDs with version before v1.5.0 is prohibited"),
        "{}{}",
        said.out,
        said.err
    );
    joey.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]);
    let route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n  parentRefs: [{name: g}]\n  \
                 rules: [{backendRefs: [{name: s, port: 80}]}]\n";
    let file = joey.write("route.yaml", route);
    joey.kubectl(&["apply", "-f", &file]);
    let broken = joey.write("broken.yaml", &route.replace("port: 80", "port: 99999"));
    let said = joey.try_kubectl("joey-demo", &["apply", "-f", &broken]);
    assert!(said.err.contains("should be less than or equal to 65535"), "{}", said.err);
}

#[test]
fn ingress_nginx_is_installed() {
    let (Some(folder), Some(joey)) = (workloads(), Joey::up()) else { return };
    apply(&joey, &folder, "ingress-nginx-cloud.yaml", "", 19);
    // Its jobs go away as soon as they are done; their last events stay.
    for job in ["ingress-nginx-admission-create", "ingress-nginx-admission-patch"] {
        let fields = format!("--field-selector=reason=Completed,involvedObject.name={job}");
        joey.kubectl(&["-n", "ingress-nginx", "wait", "--for=create", "event", &fields, "--timeout=90s"]);
    }
}

#[test]
fn the_prometheus_operator_is_served() {
    let (Some(folder), Some(joey)) = (workloads(), Joey::up()) else { return };
    apply(&joey, &folder, "prometheus-operator-crds.yaml", "", 10);
    joey.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]);
    let prometheus =
        "apiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nmetadata: {name: p}\nspec: {replicas: 2}\n";
    let file = joey.write("prometheus.yaml", prometheus);
    joey.kubectl(&["apply", "-f", &file]);
    let broken = joey.write("broken.yaml", &prometheus.replace("replicas: 2", "replicas: many"));
    let said = joey.try_kubectl("joey-demo", &["apply", "-f", &broken]);
    assert!(
        said.err.contains(
            "spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer"
        ),
        "{}",
        said.err
    );
}
