//! A host with real containers: what the sandbox cannot show. Everything is done with the rights that
//! `joey operator --print-manifests --namespace` asks for, and no others.
//!
//! `JOEY_E2E_HOST_KUBECONFIG` names an administrator's kubeconfig of a host that is otherwise unused, `JOEY_E2E_LISTEN` an
//! address of this machine that the host's pods reach. The images are those of Kubernetes' own tests.

mod manifests;

use e2e::{Joey, Running};
use manifests::{CONFIGURED, DAEMON, GREEDY, IDENTITY, KEEPER, OWN_ENDPOINTS, PEERS, VOLUME};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};

const AGNHOST: &str = "registry.k8s.io/e2e-test-images/agnhost:2.63.0";
const BUSYBOX: &str = "registry.k8s.io/e2e-test-images/busybox:1.37.0-1";
/// The host namespace of the virtual cluster.
const NAMESPACE: &str = "joey-e2e";
/// The namespace of joey's account.
const SYSTEM: &str = "joey-e2e-system";

/// A host, an operator for one of its namespaces, and the virtual cluster `demo` in it.
struct RealHost {
    joey: Joey,
    context: String,
    _operator: Running,
}

impl RealHost {
    fn start() -> Option<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let (Some(kubeconfig), Some(listen)) =
            (variable("JOEY_E2E_HOST_KUBECONFIG"), variable("JOEY_E2E_LISTEN"))
        else {
            eprintln!("SKIPPED: set JOEY_E2E_HOST_KUBECONFIG and JOEY_E2E_LISTEN to try a real host");
            return None;
        };
        let joey = Joey::idle()?;
        std::fs::create_dir_all(joey.path("data")).expect("a folder");
        std::fs::copy(kubeconfig, joey.kubeconfig()).expect("the host's kubeconfig");
        let context = joey.try_kubectl("", &["config", "current-context"]).out.trim().to_owned();
        forget(&joey, &context);
        let rights = rights(&joey, &context);
        let data = joey.path("operator").display().to_string();
        let arguments = [
            "operator",
            "--kubeconfig",
            &rights,
            "--data-dir",
            &data,
            "--listen",
            &listen,
            "--namespace",
            NAMESPACE,
        ];
        let operator = joey.spawn(&arguments, "following the VirtualClusters");
        let said = joey.joey(&["create", "demo", "--namespace", NAMESPACE, "--wait"]);
        assert_eq!(said.code, 0, "{}{}\n{}", said.out, said.err, joey.log());
        let said = joey.joey(&["connect", "demo", "--namespace", NAMESPACE]);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        Some(Self { joey, context, _operator: operator })
    }

    fn host(&self, arguments: &[&str]) -> String {
        self.joey.kubectl_in(&self.context, arguments)
    }

    /// Runs agnhost's own client in a pod: whether a TCP connection to `to` comes about.
    fn connects(&self, pod: &str, to: &str) -> bool {
        self.joey
            .try_kubectl("joey-demo", &["exec", pod, "--", "/agnhost", "connect", "--timeout=5s", to])
            .code
            == 0
    }

    fn wait(&self, what: &str, condition: &str) {
        self.joey.kubectl(&["wait", &format!("--for={condition}"), what, "--timeout=120s"]);
    }
}

/// Removes what a run that failed left on the host.
fn forget(joey: &Joey, context: &str) {
    let free = r#"{"metadata":{"finalizers":null}}"#;
    joey.try_kubectl(
        context,
        &["patch", "virtualcluster", "demo", "-n", NAMESPACE, "--type=merge", "-p", free],
    );
    joey.try_kubectl(context, &["delete", "namespace", NAMESPACE, SYSTEM, "--ignore-not-found"]);
    joey.try_kubectl(context, &["delete", "persistentvolume", "joey-e2e", "--ignore-not-found"]);
}

/// Applies what joey asks for, without the deployment, and gives a kubeconfig of joey's account.
fn rights(joey: &Joey, context: &str) -> String {
    for namespace in [NAMESPACE, SYSTEM] {
        joey.try_kubectl(context, &["create", "namespace", namespace]);
    }
    let printed =
        joey.joey(&["operator", "--print-manifests", "--namespace", NAMESPACE, "--own-namespace", SYSTEM]);
    assert_eq!(printed.code, 0, "{}", printed.err);
    let wanted: Vec<&str> = printed
        .out
        .split("---\n")
        .filter(|m| !m.contains("kind: Deployment") && !m.contains("kind: PersistentVolumeClaim"))
        .collect();
    let file = joey.write("manifests.yaml", &wanted.join("---\n"));
    joey.kubectl_in(context, &["apply", "-f", &file]);
    let token = joey.kubectl_in(context, &["create", "token", "joey", "-n", SYSTEM, "--duration=1h"]);
    let view = joey.kubectl_in(context, &["config", "view", "--raw", "--minify", "-o", "json"]);
    let mut config: Value = serde_json::from_str(&view).expect("kubectl prints JSON");
    config["users"][0]["user"] = json!({"token": token.trim()});
    joey.write("rights.kubeconfig", &config.to_string())
}

#[test]
fn a_real_host_does_what_the_sandbox_pretends() {
    let Some(real) = RealHost::start() else { return };
    let steps: [(&str, fn(&RealHost)); 14] = [
        ("deployments", deployments),
        ("streams", streams),
        ("names", names),
        ("identity", identity),
        ("storage", storage),
        ("configuration", configuration),
        ("jobs and daemons", jobs_and_daemons),
        ("own endpoints", own_endpoints),
        ("node ports", node_ports),
        ("resizing and draining", resizing_and_draining),
        ("charts", charts),
        ("behind its back", behind_its_back),
        ("refusals", refusals),
        ("schedules", schedules),
    ];
    // A real host is not at hand every day: what can be learnt from the other steps is.
    let mut failed = Vec::new();
    for (name, step) in steps {
        let began = std::time::Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| step(&real)));
        let said = if outcome.is_ok() { "done" } else { "FAILED" };
        eprintln!("{name}: {said} after {:.1} s", began.elapsed().as_secs_f32());
        failed.extend(outcome.is_err().then_some(name));
    }
    the_end(&real);
    assert!(failed.is_empty(), "failed: {failed:?}");
}

fn deployments(real: &RealHost) {
    let joey = &real.joey;
    joey.kubectl(&[
        "create",
        "deployment",
        "web",
        "--image",
        AGNHOST,
        "--replicas=2",
        "--",
        "/agnhost",
        "netexec",
        "--http-port=8080",
    ]);
    joey.kubectl(&["expose", "deployment", "web", "--port=80", "--target-port=8080"]);
    joey.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"]);
    joey.kubectl(&["scale", "deployment/web", "--replicas=3"]);
    joey.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"]);
    joey.kubectl(&["set", "image", "deployment/web", "agnhost=registry.k8s.io/e2e-test-images/agnhost:2.55"]);
    joey.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"]);
    joey.kubectl(&["rollout", "undo", "deployment/web"]);
    joey.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"]);
    let virtual_address = joey.get(&["service/web"])["spec"]["clusterIP"].clone();
    let host = real.host(&[
        "get",
        "service",
        "web-x-default-x-demo",
        "-n",
        NAMESPACE,
        "-o",
        "jsonpath={.spec.clusterIP}",
    ]);
    assert_eq!(virtual_address, host, "the address is the host's");
    // Those of the last rollout may still be on their way out.
    let pods = joey.get(&["pods", "-l", "app=web"]);
    let all = pods["items"].as_array().into_iter().flatten();
    let staying = all.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let addresses: Vec<&str> = staying.filter_map(|pod| pod["status"]["podIP"].as_str()).collect();
    assert_eq!(addresses.len(), 3);
    let endpoints = joey.kubectl(&[
        "get",
        "endpointslices",
        "-l",
        "kubernetes.io/service-name=web",
        "-o",
        "jsonpath={.items[*].endpoints[*].addresses[0]}",
    ]);
    for address in addresses {
        assert!(endpoints.contains(address), "{address} is missing in {endpoints}");
    }
}

fn streams(real: &RealHost) {
    let joey = &real.joey;
    joey.kubectl(&[
        "run",
        "shell",
        "--image",
        AGNHOST,
        "--command",
        "--",
        "/agnhost",
        "netexec",
        "--http-port=8080",
    ]);
    joey.kubectl(&[
        "run",
        "counter",
        "--restart=Never",
        "--image",
        BUSYBOX,
        "--",
        "sh",
        "-c",
        "for i in 1 2 3; do echo line $i; sleep 1; done",
    ]);
    real.wait("pod/shell", "condition=Ready");
    assert_eq!(
        joey.kubectl(&["logs", "-f", "counter", "--pod-running-timeout=60s"]),
        "line 1\nline 2\nline 3\n"
    );
    assert_eq!(joey.kubectl(&["exec", "shell", "--", "hostname"]).trim(), "shell");
    assert_eq!(joey.try_kubectl("joey-demo", &["exec", "shell", "--", "sh", "-c", "exit 7"]).code, 7);
    let file = joey.write("letter", "from outside\n");
    joey.kubectl(&["cp", &file, "shell:/tmp/letter"]);
    assert_eq!(joey.kubectl(&["exec", "shell", "--", "cat", "/tmp/letter"]), "from outside\n");
    let back = joey.path("back").display().to_string();
    joey.kubectl(&["cp", "shell:/tmp/letter", &back]);
    assert_eq!(std::fs::read_to_string(back).expect("it came back"), "from outside\n");
    joey.kubectl(&[
        "debug",
        "shell",
        "--image",
        BUSYBOX,
        "--profile=general",
        "-c",
        "visitor",
        "--",
        "sh",
        "-c",
        "echo visiting",
    ]);
    real.wait(
        "pod/shell",
        "jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.reason}=Completed",
    );
    assert_eq!(joey.kubectl(&["logs", "shell", "-c", "visitor"]), "visiting\n");
    attached(real);
    forwarded(real);
}

/// What is typed into a container comes back out of it.
fn attached(real: &RealHost) {
    let joey = &real.joey;
    joey.kubectl(&["run", "cat", "--restart=Never", "--image", BUSYBOX, "-i", "--attach=false", "--", "cat"]);
    real.wait("pod/cat", "condition=Ready");
    let mut child =
        kubectl(real, &["attach", "-i", "cat"]).stdin(Stdio::piped()).spawn().expect("kubectl starts");
    child.stdin.take().expect("its input").write_all(b"echoed\n").expect("it reads");
    let said = child.wait_with_output().expect("it ends");
    assert!(String::from_utf8_lossy(&said.stdout).contains("echoed"), "{said:?}");
}

fn forwarded(real: &RealHost) {
    let mut child = kubectl(real, &["port-forward", "pod/shell", ":8080"]).spawn().expect("kubectl starts");
    let mut line = Vec::new();
    let mut output = child.stdout.take().expect("its output");
    let mut byte = [0];
    while output.read(&mut byte).is_ok_and(|n| n == 1) && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    let line = String::from_utf8_lossy(&line).into_owned();
    let port = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()).expect("the port");
    let answer = http_get(&format!("127.0.0.1:{port}"), "/hostname");
    child.kill().expect("it was running");
    child.wait().expect("it ended");
    assert!(answer.ends_with("shell"), "{answer}");
}

fn kubectl(real: &RealHost, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("KUBECTL").expect("set, or there were no programs"));
    command.args(["--context", "joey-demo"]).args(arguments).env("KUBECONFIG", real.joey.kubeconfig());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn http_get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.0\r\nHost: test\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

fn names(real: &RealHost) {
    let joey = &real.joey;
    joey.apply(PEERS);
    joey.kubectl(&["rollout", "status", "statefulset/peer", "--timeout=120s"]);
    for there in [
        "web:80",
        "web.default:80",
        "web.default.svc.cluster.local:80",
        "kubernetes.default.svc:443",
        "peers:8080",
        "peer-1.peers:8080",
        "alias:80",
    ] {
        assert!(real.connects("shell", there), "{there} cannot be reached\n{}", joey.log());
    }
    for not_there in ["kube-dns-x-kube-system-x-demo.joey-e2e:53", "web.other:80"] {
        assert!(!real.connects("shell", not_there), "{not_there} is nobody's business");
    }
    let said = joey.kubectl(&[
        "exec",
        "shell",
        "--",
        "nslookup",
        "-type=srv",
        "_web._tcp.peers.default.svc.cluster.local",
    ]);
    assert!(said.contains("8080 peer-0.peers.default.svc.cluster.local"), "{said}");
    let address = joey.get(&["service/web"])["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
    let said = joey.kubectl(&["exec", "shell", "--", "nslookup", &address]);
    assert!(said.contains("web.default.svc.cluster.local"), "{said}");
}

/// A pod finds its API by name, and there the keys that its token is checked with.
fn identity(real: &RealHost) {
    real.joey.apply(IDENTITY);
    real.joey.kubectl(&[
        "create",
        "clusterrolebinding",
        "discovery",
        "--clusterrole=system:service-account-issuer-discovery",
        "--group=system:serviceaccounts",
    ]);
    real.wait("pod/identity", "jsonpath={.status.phase}=Succeeded");
}

fn storage(real: &RealHost) {
    let joey = &real.joey;
    let volume = joey.write("volume.yaml", VOLUME);
    real.host(&["apply", "-f", &volume]);
    joey.apply(KEEPER);
    joey.kubectl(&["rollout", "status", "statefulset/keeper", "--timeout=120s"]);
    joey.kubectl(&["exec", "keeper-0", "--", "sh", "-c", "echo kept > /data/file"]);
    joey.kubectl(&["delete", "pod", "keeper-0"]);
    joey.kubectl(&["rollout", "status", "statefulset/keeper", "--timeout=120s"]);
    real.wait("pod/keeper-0", "condition=Ready");
    assert_eq!(joey.kubectl(&["exec", "keeper-0", "--", "cat", "/data/file"]), "kept\n");
    assert_eq!(joey.get(&["pvc/data-keeper-0"])["status"]["phase"], "Bound");
    joey.kubectl(&["delete", "statefulset/keeper", "pvc/data-keeper-0"]);
}

fn configuration(real: &RealHost) {
    let joey = &real.joey;
    joey.kubectl(&["create", "configmap", "settings", "--from-literal=colour=green"]);
    joey.kubectl(&["create", "secret", "generic", "password", "--from-literal=word=sesame"]);
    joey.apply(CONFIGURED);
    real.wait("pod/configured", "jsonpath={.status.phase}=Succeeded");
    assert_eq!(joey.kubectl(&["logs", "configured"]), "green sesame green sesame default configured\n");
    let secrets = real.host(&["get", "secrets", "-n", NAMESPACE, "-o", "name"]);
    assert!(secrets.contains("password-x-default-x-demo"), "{secrets}");
    joey.kubectl(&["create", "secret", "generic", "unused", "--from-literal=word=hidden"]);
    assert!(
        !real.host(&["get", "secrets", "-n", NAMESPACE, "-o", "name"]).contains("unused"),
        "nobody needs it there"
    );
}

fn jobs_and_daemons(real: &RealHost) {
    let joey = &real.joey;
    joey.kubectl(&["create", "job", "once", "--image", BUSYBOX, "--", "echo", "done"]);
    joey.kubectl(&[
        "create",
        "cronjob",
        "often",
        "--image",
        BUSYBOX,
        "--schedule=* * * * *",
        "--",
        "echo",
        "again",
    ]);
    joey.kubectl(&["create", "job", "now", "--from=cronjob/often"]);
    for job in ["job/once", "job/now"] {
        real.wait(job, "condition=Complete");
    }
    assert_eq!(joey.kubectl(&["logs", "job/now"]), "again\n");
    joey.apply(DAEMON);
    joey.kubectl(&["rollout", "status", "daemonset/everywhere", "--timeout=120s"]);
    let nodes = joey.kubectl(&["get", "nodes", "-o", "name"]).lines().count();
    assert_eq!(joey.get(&["daemonset/everywhere"])["status"]["numberReady"], nodes);
}

fn own_endpoints(real: &RealHost) {
    let joey = &real.joey;
    let address = joey.get(&["pod/shell"])["status"]["podIP"].as_str().unwrap_or_default().to_owned();
    joey.apply(&OWN_ENDPOINTS.replace("ADDRESS", &address));
    // The host's own proxies have to hear of it, too.
    let reached = (0..20).any(|_| real.connects("shell", "chosen:80"));
    assert!(reached, "the endpoints are on the host\n{}", joey.log());
    joey.kubectl(&["delete", "service/chosen", "endpointslice/chosen"]);
}

fn node_ports(real: &RealHost) {
    let joey = &real.joey;
    joey.kubectl(&[
        "expose",
        "deployment",
        "web",
        "--name=outside",
        "--type=NodePort",
        "--port=80",
        "--target-port=8080",
    ]);
    let port = joey.get(&["service/outside"])["spec"]["ports"][0]["nodePort"].as_i64().expect("a node port");
    let node = joey.kubectl(&[
        "get",
        "nodes",
        "-o",
        "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}",
    ]);
    let reached = (0..20).any(|_| real.connects("shell", &format!("{node}:{port}")));
    assert!(reached, "{node}:{port} leads to the pods");
}

fn resizing_and_draining(real: &RealHost) {
    let joey = &real.joey;
    let patch = r#"{"spec":{"containers":[{"name":"everywhere","resources":{"requests":{"cpu":"20m"},"limits":{"cpu":"150m"}}}]}}"#;
    let pod =
        joey.kubectl(&["get", "pods", "-l", "app=everywhere", "-o", "jsonpath={.items[0].metadata.name}"]);
    joey.kubectl(&["patch", "pod", &pod, "--subresource=resize", "--patch", patch]);
    real.wait(&format!("pod/{pod}"), "jsonpath={.status.containerStatuses[0].resources.limits.cpu}=150m");
    let node = joey.kubectl(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]);
    let before = joey.kubectl(&["get", "pods", "-l", "app=web", "-o", "name"]);
    joey.kubectl(&[
        "drain",
        &node,
        "--ignore-daemonsets",
        "--force",
        "--delete-emptydir-data",
        "--timeout=120s",
    ]);
    joey.kubectl(&["uncordon", &node]);
    joey.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"]);
    joey.kubectl(&["run", "guard", "--image", AGNHOST, "--command", "--", "/agnhost", "pause"]);
    real.wait("pod/guard", "condition=Ready");
    let after = joey.kubectl(&["get", "pods", "-l", "app=web", "-o", "name"]);
    assert!(before.lines().all(|pod| !after.contains(pod)), "every pod was evicted: {before} {after}");
}

fn charts(real: &RealHost) {
    let joey = &real.joey;
    let chart = joey.path("starter");
    joey.helm(&["create", &chart.display().to_string()]);
    // Images that are at hand; what runs in them serves the port that the chart expects.
    let edit = |file: &str, changes: &[(&str, &str)]| {
        let path = chart.join(file);
        let text = std::fs::read_to_string(&path).expect("the chart's file");
        let edited = changes.iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "{file} no longer holds {from}");
            text.replace(from, to)
        });
        std::fs::write(path, edited).expect("written");
    };
    edit(
        "templates/deployment.yaml",
        &[(
            "          imagePullPolicy:",
            "          args: [netexec, --http-port=80]\n          imagePullPolicy:",
        )],
    );
    edit(
        "templates/tests/test-connection.yaml",
        &[("image: busybox", &format!("image: {AGNHOST}")), ("['wget']", "['/agnhost', 'connect']")],
    );
    let chart = chart.display().to_string();
    let (name, tag) = AGNHOST.split_once(':').expect("a tag");
    let image = format!("image.repository={name},image.tag={tag}");
    joey.helm(&["install", "starter", &chart, "--set", &image, "--wait", "--timeout", "120s"]);
    joey.helm(&["test", "starter", "--timeout", "60s"]);
    joey.helm(&[
        "upgrade",
        "starter",
        &chart,
        "--set",
        &image,
        "--set",
        "replicaCount=2",
        "--wait",
        "--timeout",
        "120s",
    ]);
    assert_eq!(joey.get(&["deployment/starter"])["status"]["readyReplicas"], 2);
    joey.helm(&["rollback", "starter", "1", "--wait", "--timeout", "120s"]);
    assert_eq!(joey.get(&["deployment/starter"])["spec"]["replicas"], 1);
    joey.helm(&["uninstall", "starter", "--wait", "--timeout", "120s"]);
}

/// What happens on the host without joey is made good there, or told.
fn behind_its_back(real: &RealHost) {
    let joey = &real.joey;
    let address = || joey.get(&["service/web"])["spec"]["clusterIP"].clone();
    let before = address();
    real.host(&["delete", "service", "web-x-default-x-demo", "-n", NAMESPACE]);
    real.host(&["wait", "--for=create", "service/web-x-default-x-demo", "-n", NAMESPACE, "--timeout=60s"]);
    assert_eq!(address(), before, "and it keeps its address");
    let pods = |context: &str, arguments: &[&str]| {
        let more = ["-l", "app=web", "-o", "jsonpath={.items[*].metadata.uid}"];
        joey.kubectl_in(context, &[&["get", "pods"], arguments, &more].concat())
    };
    let (here, there) = (pods("joey-demo", &[]), pods(&real.context, &["-n", NAMESPACE]));
    real.host(&["delete", "pods", "-n", NAMESPACE, "-l", "app=web", "--grace-period=1"]);
    joey.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"]);
    let now = [pods("joey-demo", &[]), pods(&real.context, &["-n", NAMESPACE])];
    for (before, after) in [here, there].iter().zip(&now) {
        assert!(!before.is_empty() && before.split(' ').all(|uid| !after.contains(uid)), "{before} {after}");
    }
    // The host's own proxies have to hear of it, too.
    let reached = (0..20).any(|_| real.connects("guard", "web:80"));
    assert!(reached, "the service leads to the new ones");
}

fn schedules(real: &RealHost) {
    real.wait("cronjob/often", "jsonpath={.status.lastSuccessfulTime}");
    real.joey.kubectl(&["delete", "cronjob", "often"]);
}

/// What reaches for the host does not get there, and its tenant is told why.
fn refusals(real: &RealHost) {
    let joey = &real.joey;
    let overrides = [
        ("rooted", json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}})),
        ("networked", json!({"spec": {"hostNetwork": true}})),
        ("watching", json!({"spec": {"hostPID": true}})),
        (
            "certified",
            json!({"spec": {"volumes": [{"name": "v", "projected": {"sources": [
                {"podCertificate": {"signerName": "kubernetes.io/kube-apiserver-client", "keyType": "ED25519", "credentialBundlePath": "c"}}
            ]}}]}}),
        ),
        (
            "mounted",
            json!({"spec": {"volumes": [{"name": "v", "nfs": {"server": "10.0.0.1", "path": "/"}}]}}),
        ),
    ];
    for (name, spec) in overrides {
        joey.kubectl(&[
            "run",
            name,
            "--image",
            BUSYBOX,
            "--overrides",
            &spec.to_string(),
            "--",
            "sleep",
            "1000",
        ]);
        real.wait(
            &format!("pod/{name}"),
            "jsonpath={.status.conditions[?(@.type=='PodScheduled')].reason}=Refused",
        );
        let host = real.host(&["get", "pods", "-n", NAMESPACE, "-o", "name"]);
        assert!(!host.contains(&format!("{name}-x-")), "{host}");
    }
    joey.apply(GREEDY);
    let path = "jsonpath={.spec.externalIPs}{.spec.loadBalancerIP}{.metadata.annotations.external-dns\\.alpha\\.kubernetes\\.io/hostname}";
    assert_eq!(real.host(&["get", "service", "greedy-x-default-x-demo", "-n", NAMESPACE, "-o", path]), "");
    let said = joey.try_kubectl(
        "joey-demo",
        &["exec", "guard", "--", "ls", "/var/run/secrets/kubernetes.io/serviceaccount"],
    );
    assert!(said.out.contains("token"), "{}", said.err);
    let token =
        joey.kubectl(&["exec", "guard", "--", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token"]);
    let said = joey.try_kubectl(&real.context, &["--token", token.trim(), "auth", "whoami"]);
    assert_ne!(said.code, 0, "a tenant's token means nothing to the host: {}", said.out);
}

fn the_end(real: &RealHost) {
    let said = real.joey.joey(&["delete", "demo", "--namespace", NAMESPACE, "--wait"]);
    assert_eq!(said.code, 0, "{}{}\n{}", said.out, said.err, real.joey.log());
    let kinds = "pods,services,configmaps,secrets,persistentvolumeclaims,endpointslices";
    let left = real.host(&["get", kinds, "-n", NAMESPACE, "-l", "joey.dev/cluster=demo", "-o", "name"]);
    assert_eq!(left, "");
    assert!(!real.joey.log().contains("forbidden"), "the rights are enough: {}", real.joey.log());
    real.host(&["delete", "namespace", NAMESPACE, SYSTEM]);
    real.host(&["delete", "persistentvolume", "joey-e2e"]);
}
