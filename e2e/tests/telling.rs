//! What joey tells: logs without secrets, metrics with bounded labels, output for people and for programs.

use e2e::{Joey, signal};
use std::collections::BTreeSet;
use std::process::Stdio;

#[test]
fn logs_hold_names_but_no_secret() {
    for format in ["text", "json"] {
        let Some(mut joey) = Joey::up_with(&["-vv", "--log-format", format]) else { return };
        joey.kubectl(&["create", "secret", "generic", "password", "--from-literal=k=hunter2hunter2"]);
        joey.kubectl(&["create", "configmap", "settings", "--from-literal=k=v"]);
        let token = joey.kubectl(&["create", "token", "default"]);
        joey.kubectl(&["run", "shell", "--image=busybox", "--", "sleep", "1000"]);
        joey.kubectl(&["wait", "--for=condition=Ready", "pod/shell", "--timeout=60s"]);
        let said = joey.try_kubectl("joey-demo", &["--token", token.trim(), "get", "pods"]);
        assert!(said.code == 0 || said.err.contains("Forbidden"), "{}", said.err);
        assert_eq!(joey.joey(&["create", "b", "--wait", "-vv"]).code, 0);
        let config = joey.joey(&["connect", "b", "--print"]).out;
        assert_eq!(joey.joey(&["delete", "b", "--wait"]).code, 0);
        assert_eq!(joey.interrupt(), 0);

        let log = joey.log();
        for name in ["/api/v1/namespaces/default/secrets", "/api/v1/namespaces/default/pods", "joey-demo"] {
            assert!(log.contains(name), "{format}: the log does not tell of {name}");
        }
        let mut secrets = vec!["hunter2", "aHVudGVyMmh1bnRlcjI", "PRIVATE KEY", token.trim()];
        secrets.extend(config.split_whitespace().filter(|word| word.len() > 60));
        for secret in secrets {
            assert!(!log.contains(secret), "{format}: the log holds {secret}");
        }
        // The payload of any other token, as made for pods.
        assert!(!log.contains("eyJhbGciOi"), "{format}: the log holds a token");
        assert!(!log.contains("panicked"), "{log}");
        if format == "json" {
            let odd = log.lines().find(|line| !line.starts_with('{') || !line.ends_with('}'));
            assert_eq!(odd, None, "every line is an object");
        }
    }
}

#[test]
fn metrics_have_bounded_labels() {
    let Some(joey) = Joey::up() else { return };
    joey.kubectl(&["run", "shell", "--image=busybox", "--", "sleep", "1000"]);
    joey.kubectl(&["wait", "--for=condition=Ready", "pod/shell", "--timeout=60s"]);
    let metrics = || joey.kubectl(&["get", "--raw", "/metrics"]);
    let names = |text: &str| -> BTreeSet<String> {
        text.lines()
            .filter(|l| !l.starts_with('#'))
            .filter_map(|l| l.rsplit_once(' '))
            .map(|(n, _)| n.to_owned())
            .collect()
    };
    let before = metrics();
    for part in [
        "apiserver_request_total{",
        "apiserver_longrunning_requests",
        "joey_syncs_total{",
        "outcome=\"done\"",
    ] {
        assert!(before.contains(part), "{part} is missing: {before}");
    }
    // Names that clients make up are no labels.
    for number in 0..20 {
        let path = format!("/apis/made-up-{number}.example.com/v1/things{number}/x/sub{number}");
        joey.try_kubectl("joey-demo", &["get", "--raw", &path]);
        joey.try_kubectl("joey-demo", &["get", &format!("pods/made-up-{number}")]);
    }
    let after = metrics();
    assert!(!after.contains("made-up") && !after.contains("things1") && !after.contains("sub1"), "{after}");
    let added: Vec<_> = names(&after).difference(&names(&before)).cloned().collect();
    assert!(added.len() < 5, "{added:?}");
    let errors =
        after.lines().find(|l| l.starts_with("apiserver_request_total") && l.contains("code=\"404\""));
    assert!(errors.is_some(), "errors are counted: {after}");
}

#[test]
fn tables_and_other_forms() {
    let Some(joey) = Joey::up() else { return };
    let list = joey.joey(&["list"]).out;
    let headings: Vec<_> = list.lines().next().expect("headings").split_whitespace().collect();
    assert_eq!(headings, ["NAME", "NAMESPACE", "VERSION", "STATUS", "AGE", "PODS", "ADDRESS"]);
    assert!(list.contains("demo") && list.contains("Ready") && list.contains("https://127.0.0.1:"), "{list}");
    assert_eq!(joey.joey(&["list", "-o", "name"]).out, "virtualcluster.joey.dev/demo\n");
    let json: serde_json::Value =
        serde_json::from_str(&joey.joey(&["list", "-o", "json"]).out).expect("JSON");
    assert_eq!(json["items"][0]["metadata"]["name"], "demo");
    assert!(joey.joey(&["list", "-o", "yaml"]).out.contains("kind: VirtualCluster"));
    assert!(joey.joey(&["list", "-o", "wide"]).out.contains("MESSAGE"));
    assert!(joey.joey(&["describe", "demo"]).out.contains("Conditions:"));
    let json: serde_json::Value =
        serde_json::from_str(&joey.joey(&["describe", "demo", "-o", "json"]).out).expect("JSON");
    assert_eq!(json["kind"], "VirtualCluster");
    // What describe prints can be applied again.
    let yaml = joey.joey(&["describe", "demo", "-o", "yaml"]).out;
    joey.host(&["apply", "-f", &joey.write("demo.yaml", &yaml)]);
    for shell in ["bash", "zsh", "fish"] {
        assert!(joey.joey(&["completion", shell]).out.contains("disconnect"), "{shell}");
    }
    assert!(joey.joey(&["version"]).out.starts_with("joey "));
    for command in
        ["up", "create", "list", "describe", "connect", "disconnect", "delete", "operator", "serve"]
    {
        let said = joey.joey(&[command, "--help"]);
        assert!(said.code == 0 && said.out.contains("Usage: "), "{command}: {}", said.err);
    }
    let config = joey.joey(&["connect", "demo", "--print"]).out;
    let file = joey.write("printed", &config);
    assert!(joey.kubectl_in("joey-demo", &["--kubeconfig", &file, "get", "ns"]).contains("default"));
}

#[test]
fn a_closed_output_and_ctrl_c_are_no_faults() {
    let Some(joey) = Joey::idle() else { return };
    let mut child = joey
        .command()
        .args(["completion", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let said = e2e::Said::from(child.wait_with_output().expect("it ends"));
    assert!(said.code == 0 && said.err.is_empty(), "{}", said.err);

    // Ctrl-C in every phase of a start; the next start goes on from whatever there is.
    let data = joey.path("data").display().to_string();
    for milliseconds in [0, 20, 60, 120, 250, 500, 1000] {
        let mut command = joey.command();
        command.args(["up", "--data-dir", &data]).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().expect("it starts");
        // The phase is what is chosen here, so this does wait for time.
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        signal(&child, "INT");
        let said = e2e::Said::from(child.wait_with_output().expect("it ends"));
        // -1: before it listened to signals at all.
        assert!([0, 1, -1].contains(&said.code), "{milliseconds} ms: {} {}", said.code, said.err);
        assert!(
            !said.err.contains("panicked") && !said.err.contains("ERROR"),
            "{milliseconds} ms: {}",
            said.err
        );
        if said.code == 1 {
            assert!(said.err.contains("stopped before it was ready"), "{}", said.err);
        }
    }
    let mut joey = joey;
    joey.start("Ctrl-C stops");
    assert!(joey.kubectl(&["get", "ns"]).contains("default"));
}
