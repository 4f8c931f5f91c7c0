//! Hosts that cannot be reached, do not allow it, or go away and come back; kubeconfigs that are none.

use e2e::{Joey, signal};
use std::fs;
use std::net::TcpListener;

#[test]
fn kubeconfigs_that_lead_nowhere() {
    let Some(joey) = Joey::up() else { return };
    let held = fs::read_to_string(joey.kubeconfig()).expect("its kubeconfig");
    // Nobody listens on port 1.
    let lines = held.lines().map(|l| match l.split_once("server: ") {
        Some((before, _)) => format!("{before}server: https://127.0.0.1:1\n"),
        None => format!("{l}\n"),
    });
    let nowhere = joey.write("nowhere", &lines.collect::<String>());
    let malformed = joey.write("malformed", "clusters: [");
    let pod = joey.write("pod", "kind: Pod\n");
    let wrong =
        joey.write("wrong", &held.replace("client-certificate-data: ", "client-certificate-data: AAAA"));
    joey.host(&["create", "serviceaccount", "poor"]);
    let token = joey.host(&["create", "token", "poor"]);
    let poor = joey.write("poor", &as_bearer(&joey, token.trim()));
    let stranger = joey.write("stranger", &as_bearer(&joey, "nobody-knows-this"));
    let before = joey.host(&["get", "virtualclusters,namespaces", "-A", "-o", "name"]);

    let rows: [(&str, &str); 6] = [
        (&nowhere, "cannot reach https://127.0.0.1:1"),
        (&malformed, "is not a kubeconfig"),
        (&pod, "is not a kubeconfig: its kind is not Config"),
        (&wrong, ""),
        (&poor, "does not allow context joey-host to do this: virtualclusters.joey.dev is forbidden"),
        (&stranger, "does not accept the credentials of context joey-host"),
    ];
    let operator = joey.path("operator").display().to_string();
    for (file, message) in rows {
        let commands: [&[&str]; 4] = [
            &["list", "--kubeconfig", file],
            &["create", "x", "--kubeconfig", file],
            &["connect", "demo", "--kubeconfig", file],
            &["delete", "demo", "--kubeconfig", file],
        ];
        for command in commands {
            let said = joey.joey_alone(command);
            assert_eq!(said.code, 1, "{command:?}: {}{}", said.out, said.err);
            assert!(
                said.err.starts_with("joey: ") && said.err.contains(message),
                "{command:?}: {}",
                said.err
            );
        }
        let said = joey.joey_alone(&["operator", "--kubeconfig", file, "--data-dir", &operator]);
        assert_eq!(said.code, 1, "{file}: {}{}", said.out, said.err);
        assert_eq!(said.out, "", "{file}: it said that it runs");
    }
    assert_eq!(joey.host(&["get", "virtualclusters,namespaces", "-A", "-o", "name"]), before);
}

/// A kubeconfig for the host with a bearer token.
fn as_bearer(joey: &Joey, token: &str) -> String {
    let view = joey.host(&["config", "view", "--raw", "--minify", "-o", "json"]);
    let mut config: serde_json::Value = serde_json::from_str(&view).expect("JSON");
    config["users"][0]["user"] = serde_json::json!({"token": token});
    config.to_string()
}

#[test]
fn a_persons_own_kubeconfig_stays_theirs() {
    let Some(mut joey) = Joey::idle() else { return };
    let theirs = "apiVersion: v1\nkind: Config\ncurrent-context: work\npreferences: {colors: true}\nclusters:\n- name: work\n  \
                  cluster: {server: \"https://work.example\"}\nusers:\n- name: me\n  user: {token: secret-of-mine}\ncontexts:\n- \
                  name: work\n  context: {cluster: work, user: me}\n";
    let file = joey.write("own", theirs);
    let data = joey.path("data").display().to_string();

    // Something of theirs where joey's would go: refused before anything is made.
    let taken = joey.write(
        "taken",
        &theirs.replace("name: me", "name: joey-demo").replace("user: me", "user: joey-demo"),
    );
    let said = joey.joey_alone(&["up", "--data-dir", &data, "--kubeconfig", &taken]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(
        said.err.contains("joey-demo that is not joey's: rename it, or choose another file"),
        "{}",
        said.err
    );
    assert!(!joey.path("data/host").exists(), "something was made");

    joey.with_arguments(&["up", "--kubeconfig", &file]);
    joey.start("Ctrl-C stops");
    let said = joey.joey_alone(&["connect", "demo", "--kubeconfig", &file, "--context", "joey-host"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let said = joey.joey_alone(&["disconnect", "--kubeconfig", &file]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let merged = fs::read_to_string(&file).expect("the kubeconfig");
    for part in
        ["https://work.example", "secret-of-mine", "name: work", "colors: true", "joey-demo", "joey-host"]
    {
        assert!(merged.contains(part), "{part} is missing: {merged}");
    }
    assert!(!joey.kubeconfig().exists(), "only the one that was asked for is written");

    // A command of the tenant, and how it ended.
    let with = ["connect", "demo", "--kubeconfig", &file, "--context", "joey-host", "--"];
    let said =
        joey.joey_alone(&[&with[..], &["sh", "-c", "cat $KUBECONFIG; ls -l $KUBECONFIG; exit 7"]].concat());
    assert_eq!(said.code, 7, "{}{}", said.out, said.err);
    assert!(
        said.out.contains("current-context: joey-demo") && said.out.contains("-rw-------"),
        "{}",
        said.out
    );
    assert!(!said.out.contains("work.example"), "only what leads to the virtual cluster: {}", said.out);
    let said = joey.joey_alone(&[&with[..], &["/does/not/exist"]].concat());
    assert_eq!(said.code, 1);
    assert!(said.err.contains("cannot run /does/not/exist"), "{}", said.err);

    // Starting afresh takes joey's contexts out again.
    assert_eq!(joey.interrupt(), 0);
    joey.with_arguments(&["up", "--reset", "--kubeconfig", &file]);
    joey.start("Ctrl-C stops");
    let fresh = fs::read_to_string(&file).expect("the kubeconfig");
    assert!(fresh.contains("secret-of-mine") && fresh.contains("joey-demo") && fresh != merged);
}

#[test]
fn ports_and_addresses_that_cannot_be_had() {
    let Some(joey) = Joey::idle() else { return };
    let data = joey.path("data").display().to_string();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let tokens = joey.write("tokens", "only-one-column\n");
    let rows: [(&[&str], i32, &str); 9] = [
        (&["--listen", &address], 1, "is in use by another program: choose another with --listen"),
        (&["--listen", "203.0.113.1:1234"], 1, "cannot listen on 203.0.113.1:1234"),
        (&["--listen", "nonsense"], 2, "invalid socket address"),
        (&["--service-cidr", "1.2.3"], 1, "give an IPv4 range"),
        (&["--controllers", "frob"], 1, "\"frob\" is not in the list of known controllers"),
        (&["--token-auth-file", "/does/not/exist"], 1, "cannot read /does/not/exist"),
        (&["--token-auth-file", &tokens], 1, "line 1 must have at least 3 columns"),
        (&["--sandbox-nodes", "1001"], 2, "1001 is not in 0..=1000"),
        (&["--frobnicate"], 2, "unexpected argument '--frobnicate'"),
    ];
    for (arguments, code, message) in rows {
        let said = joey.joey_alone(&[&["serve", "--data-dir", &data], arguments].concat());
        assert_eq!(said.code, code, "{arguments:?}: {}{}", said.out, said.err);
        assert!(said.err.contains(message), "{arguments:?}: {}", said.err);
    }
    assert!(!joey.path("data/store").exists(), "data was made for a server that never ran");
}

#[test]
fn a_lost_host_is_found_again() {
    let Some(mut host) = Joey::idle() else { return };
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    host.with_arguments(&["serve", "--listen", &format!("127.0.0.1:{port}"), "--sandbox-nodes", "1"]);
    host.start("kubectl --kubeconfig");
    let kubeconfig = host.kubeconfig().display().to_string();
    let data = host.path("operator").display().to_string();
    let mut operator = host.spawn(
        &["operator", "--kubeconfig", &kubeconfig, "--data-dir", &data],
        "following the VirtualClusters",
    );
    assert_eq!(host.joey(&["create", "far", "--wait"]).code, 0, "{}", host.log());
    assert_eq!(host.joey(&["connect", "far"]).code, 0);
    host.kubectl_in("joey-far", &["create", "deployment", "web", "--image=nginx"]);
    host.kubectl_in("joey-far", &["rollout", "status", "deployment/web", "--timeout=60s"]);

    host.kill();
    // Without its host the virtual cluster still answers, and takes writes.
    host.kubectl_in("joey-far", &["create", "configmap", "meanwhile"]);
    host.kubectl_in("joey-far", &["scale", "deployment/web", "--replicas=3"]);
    let said = host.try_kubectl("joey-far", &["logs", "deployment/web"]);
    assert_ne!(said.code, 0, "logs are on the host");
    assert!(host.kubectl_in("joey-far", &["get", "pods", "-o", "name"]).contains("pod/web-"));

    host.start("kubectl --kubeconfig");
    host.kubectl_in("joey-far", &["rollout", "status", "deployment/web", "--timeout=120s"]);
    let pods = host.kubectl_in("joey", &["get", "pods", "-n", "joey-far", "-o", "name"]);
    assert_eq!(pods.lines().filter(|l| l.contains("web-")).count(), 3, "{pods}");

    signal(&operator.0, "INT");
    let ended = operator.0.wait().expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", host.log());
    assert!(!host.log().contains("panicked"), "{}", host.log());
}
