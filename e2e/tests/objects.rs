//! The other kinds people use every day.

use e2e::Joey;

#[test]
fn the_same_names_in_several_namespaces() {
    let Some(joey) = Joey::up() else { return };
    for namespace in ["one", "two"] {
        joey.kubectl(&["create", "namespace", namespace]);
        joey.kubectl(&[
            "-n",
            namespace,
            "create",
            "configmap",
            "settings",
            &format!("--from-literal=WHERE={namespace}"),
        ]);
        joey.kubectl(&[
            "-n",
            namespace,
            "create",
            "secret",
            "generic",
            "key",
            &format!("--from-literal=KEY=secret-{namespace}"),
        ]);
        joey.apply(&POD.replace("SOMEWHERE", namespace));
    }
    for namespace in ["one", "two"] {
        joey.kubectl(&["-n", namespace, "wait", "--for=condition=Ready", "pod/reader", "--timeout=60s"]);
        let read = |file: &str| joey.kubectl(&["-n", namespace, "exec", "reader", "--", "cat", file]);
        assert_eq!(read("/etc/settings/WHERE"), namespace);
        assert_eq!(read("/etc/key/KEY"), format!("secret-{namespace}"));
        let environment = joey.kubectl(&["-n", namespace, "exec", "reader", "--", "env"]);
        for line in [
            format!("WHERE={namespace}"),
            format!("KEY=secret-{namespace}"),
            format!("POD_NAMESPACE={namespace}"),
            "POD_NAME=reader".into(),
        ] {
            assert!(environment.lines().any(|l| l == line), "{line}: {environment}");
        }
        assert!(environment.contains("KUBERNETES_SERVICE_HOST="), "{environment}");
    }
    joey.kubectl(&["delete", "namespace", "one", "--wait", "--timeout=60s"]);
    let left = joey.host(&[
        "-n",
        "joey-demo",
        "get",
        "pods,configmaps,secrets",
        "-l",
        "joey.dev/namespace=one",
        "-o",
        "name",
    ]);
    assert_eq!(left, "", "nothing of a deleted namespace stays on the host");
    assert!(joey.host(&["-n", "joey-demo", "get", "pods", "-o", "name"]).contains("reader-x-two-x-demo"));
}

const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: reader, namespace: SOMEWHERE}
spec:
  containers:
  - name: main
    image: busybox
    command: [sleep, "1000"]
    envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: key}}]
    env:
    - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    volumeMounts:
    - {name: settings, mountPath: /etc/settings}
    - {name: key, mountPath: /etc/key}
  volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: key, secret: {secretName: key}}
"#;

#[test]
fn services_have_the_hosts_addresses() {
    let Some(joey) = Joey::up() else { return };
    joey.kubectl(&["create", "service", "clusterip", "plain", "--tcp=80"]);
    joey.kubectl(&["create", "service", "clusterip", "headless", "--clusterip=None", "--tcp=80"]);
    let address = joey.get(&["service/plain"])["spec"]["clusterIP"].as_str().map(str::to_owned).unwrap();
    let host = joey.host(&[
        "-n",
        "joey-demo",
        "get",
        "service",
        "plain-x-default-x-demo",
        "-o",
        "jsonpath={.spec.clusterIP}",
    ]);
    assert_eq!(address, host);
    assert_eq!(joey.get(&["service/headless"])["spec"]["clusterIP"], "None");
    joey.kubectl(&["delete", "service", "plain", "headless"]);
    joey.host(&[
        "-n",
        "joey-demo",
        "wait",
        "--for=delete",
        "service/plain-x-default-x-demo",
        "--timeout=60s",
    ]);
}

#[test]
fn stateful_sets_daemon_sets_and_jobs_run() {
    let Some(joey) = Joey::up() else { return };
    joey.apply(SETS);
    joey.kubectl(&["rollout", "status", "statefulset/db", "--timeout=60s"]);
    joey.kubectl(&["rollout", "status", "daemonset/agent", "--timeout=60s"]);
    joey.kubectl(&["wait", "--for=condition=Complete", "job/sum", "--timeout=60s"]);
    joey.kubectl(&["wait", "--for=jsonpath={.status.phase}=Bound", "pvc/data-db-0", "--timeout=60s"]);
    assert_eq!(joey.get(&["daemonset/agent"])["status"]["numberReady"], 2);
    joey.kubectl(&["create", "job", "once", "--from=cronjob/nightly"]);
    joey.kubectl(&["wait", "--for=condition=Complete", "job/once", "--timeout=60s"]);
}

const SETS: &str = r#"
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
      - {name: db, image: postgres, volumeMounts: [{name: data, mountPath: /data}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: agent, image: agent}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: sum}
spec:
  completions: 3
  parallelism: 2
  template:
    spec: {restartPolicy: Never, containers: [{name: sum, image: busybox, command: ["true"]}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec: {restartPolicy: Never, containers: [{name: work, image: busybox, command: [echo, done]}]}
"#;

#[test]
fn a_pod_has_a_token_that_its_cluster_accepts() {
    let Some(joey) = Joey::up() else { return };
    joey.kubectl(&["create", "serviceaccount", "robot"]);
    joey.kubectl(&["create", "rolebinding", "robot", "--clusterrole=view", "--serviceaccount=default:robot"]);
    let overrides = r#"{"spec":{"serviceAccountName":"robot"}}"#;
    joey.kubectl(&[
        "run",
        "client",
        "--image=busybox",
        &format!("--overrides={overrides}"),
        "--",
        "sleep",
        "1000",
    ]);
    joey.kubectl(&["wait", "--for=condition=Ready", "pod/client", "--timeout=60s"]);
    let folder = "/var/run/secrets/kubernetes.io/serviceaccount";
    let read = |file: &str| joey.kubectl(&["exec", "client", "--", "cat", &format!("{folder}/{file}")]);
    assert_eq!(read("namespace"), "default");
    assert!(read("ca.crt").starts_with("-----BEGIN CERTIFICATE-----"));
    let token = read("token");
    // A kubeconfig without the administrator's certificate, as the pod would have it.
    let server = joey.kubectl(&[
        "config",
        "view",
        "-o",
        "jsonpath={.clusters[?(@.name==\"joey-demo\")].cluster.server}",
    ]);
    let as_robot = |arguments: &[&str]| {
        let ca = joey.write("ca.crt", &read("ca.crt"));
        let own = joey.write("empty", "");
        let own = format!("--kubeconfig={own}");
        let (server, ca, token) = (
            format!("--server={server}"),
            format!("--certificate-authority={ca}"),
            format!("--token={token}"),
        );
        joey.try_kubectl("", &[&[own.as_str(), &server, &ca, &token], arguments].concat())
    };
    let who = as_robot(&["auth", "whoami"]);
    assert!(who.out.contains("system:serviceaccount:default:robot"), "{}{}", who.out, who.err);
    assert_eq!(as_robot(&["get", "pods"]).code, 0);
    let refused = as_robot(&["delete", "pod", "client"]);
    assert!(
        refused.err.contains("forbidden") && refused.err.contains("cannot delete resource \"pods\""),
        "{}",
        refused.err
    );
}

#[test]
fn what_reaches_into_the_host_is_refused() {
    let Some(joey) = Joey::up() else { return };
    let overrides = r#"{"spec":{"volumes":[{"name":"root","hostPath":{"path":"/"}}]}}"#;
    joey.kubectl(&["run", "spy", "--image=busybox", &format!("--overrides={overrides}")]);
    joey.kubectl(&["wait", "--for=condition=PodScheduled=False", "pod/spy", "--timeout=60s"]);
    let described = joey.kubectl(&["describe", "pod", "spy"]);
    assert!(
        described.contains("spec.volumes[0].hostPath is not allowed by this virtual cluster's policy"),
        "{described}"
    );
    assert_eq!(joey.host(&["-n", "joey-demo", "get", "pods", "-o", "name"]), "");
}
