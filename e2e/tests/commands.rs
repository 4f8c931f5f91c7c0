//! Every command with its flags, as a person types them: what it does, what it says of mistakes, and that it leaves alone
//! what it was not asked to touch.

use e2e::Joey;
use std::fs;

#[test]
fn create_takes_files_fields_and_namespaces() {
    let Some(joey) = Joey::up() else { return };
    let vc = "apiVersion: joey.dev/v1alpha1\nkind: VirtualCluster\nmetadata: {name: filed, labels: {team: a}}\nspec: {controllers: none}\n";
    let file = joey.write("filed.yaml", vc);
    joey.host(&["create", "namespace", "theirs"]);

    // From a file; a name, a namespace and fields on the command line win over it.
    let said = joey.joey(&["create", "-f", &file, "-n", "theirs", "--set", "sync.nodes=false", "--wait"]);
    assert_eq!(said.code, 0, "{}", said.err);
    for part in ["virtual cluster filed made in namespace theirs", "ready on https://", "joey connect filed"]
    {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    let get = ["get", "virtualcluster", "filed", "-n", "theirs", "-o"];
    let spec = joey.host(
        &[&get[..], &["jsonpath={.spec.controllers} {.spec.sync.nodes} {.metadata.labels.team}"]].concat(),
    );
    assert_eq!(spec, "none false a");
    let said = joey.joey(&["create", "other", "-f", &file, "--wait"]);
    assert!(
        said.out.contains("virtual cluster other made in namespace joey-other"),
        "{}{}",
        said.out,
        said.err
    );
    // From standard input.
    let program = joey.command().get_program().to_string_lossy().into_owned();
    let piped = format!("sed s/filed/piped/ {file} | {program} create -f -");
    let mut shell = std::process::Command::new("sh");
    let said = shell.args(["-c", &piped]).env("KUBECONFIG", joey.kubeconfig()).output().expect("a shell");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));

    let again = joey.joey(&["create", "-f", &file, "-n", "theirs"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("virtual cluster filed already exists in namespace theirs"), "{}", again.err);

    // A namespace that was there stays; one that was made for it goes with it.
    for name in ["filed", "other"] {
        assert_eq!(joey.joey(&["delete", name, "--wait"]).code, 0, "{name}");
    }
    assert!(joey.host(&["get", "namespace", "theirs", "-o", "name"]).contains("theirs"));
    joey.host(&["wait", "--for=delete", "namespace/joey-other", "--timeout=60s"]);
}

#[test]
fn mistakes_of_every_command() {
    let Some(joey) = Joey::up() else { return };
    let list = joey.write("list.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n");
    let torn = joey.write("torn.yaml", "apiVersion: [");
    let unknown = joey.write(
        "unknown.yaml",
        "apiVersion: joey.dev/v1alpha1\nkind: VirtualCluster\nmetadata: {name: x}\nspec: {controler: all}\n",
    );
    let before = joey.host(&["get", "virtualclusters,namespaces", "-A", "-o", "name"]);
    let config = fs::read(joey.kubeconfig()).expect("its kubeconfig");
    let rows: [(&[&str], i32, &str); 25] = [
        (&["create"], 2, "required"),
        (&["create", "-f", "/does/not/exist"], 1, "cannot read /does/not/exist: No such file"),
        (&["create", "-f", &torn], 1, "torn.yaml is not YAML: "),
        (&["create", "-f", &list], 1, "list.yaml holds no VirtualCluster of joey.dev/v1alpha1"),
        (&["create", "-f", &unknown], 1, "spec.controler"),
        (&["create", "x", "--set", "controler=all"], 1, "spec.controler"),
        (&["create", "x", "--namespace", "No_namespace"], 1, "\"No_namespace\" cannot be a namespace"),
        (&["create", "x", "--wait", "--timeout", "soon"], 2, "invalid value 'soon'"),
        (&["create", "x", "--frobnicate"], 2, "unexpected argument '--frobnicate'"),
        (&["list", "-o", "xml"], 2, "[possible values: wide, json, yaml, name]"),
        (&["list", "--context", "nope"], 1, "nope"),
        (&["describe", "nope"], 1, "there is no virtual cluster nope: see `joey list`"),
        (
            &["describe", "demo", "-n", "elsewhere"],
            1,
            "there is no virtual cluster demo in namespace elsewhere",
        ),
        (&["connect", "demo", "--print", "--", "true"], 2, "cannot be used with"),
        (&["connect", "demo", "--", "/does/not/exist"], 1, "cannot run /does/not/exist"),
        (&["disconnect", "--kubeconfig", "/does/not/exist"], 1, "/does/not/exist does not exist"),
        (&["delete", "nope", "--wait"], 1, "there is no virtual cluster nope"),
        (&["up", "--nodes", "0"], 2, "0 is not in 1..=1000"),
        (&["up", "--kubeconfig", &torn, "--data-dir", "unused"], 1, "torn.yaml is not a kubeconfig"),
        (&["serve"], 2, "--data-dir <DIR>"),
        (&["serve", "--data-dir", "unused", "--etcd-certfile", "x"], 2, "--etcd-keyfile"),
        (&["operator", "--listen"], 2, "a value is required"),
        (&["version", "-o", "xml"], 2, "[possible values: json, yaml]"),
        (&["completion", "tcsh"], 2, "possible values: bash, elvish, fish, powershell, zsh"),
        (&["restore", "/does/not/exist", "--data-dir", "unused"], 1, "/does/not/exist"),
    ];
    for (arguments, code, message) in rows {
        let said = joey.joey(arguments);
        assert_eq!(said.code, code, "{arguments:?}: {}{}", said.out, said.err);
        assert!(said.err.contains(message), "{arguments:?}: {}", said.err);
        assert!(
            !said.err.contains("panicked") && said.out.is_empty(),
            "{arguments:?}: {}{}",
            said.out,
            said.err
        );
        if code == 1 {
            assert_eq!(said.err.lines().filter(|line| line.starts_with("joey: ")).count(), 1, "{}", said.err);
        }
    }
    // A namespace that was made for one that was then refused goes again.
    joey.host(&["wait", "--for=delete", "namespace/joey-x", "--timeout=60s"]);
    assert_eq!(joey.host(&["get", "virtualclusters,namespaces", "-A", "-o", "name"]), before);
    assert_eq!(fs::read(joey.kubeconfig()).expect("its kubeconfig"), config, "the kubeconfig was touched");
    let _ = fs::remove_dir_all("unused");
}

#[test]
fn contexts_come_and_go() {
    let Some(joey) = Joey::up() else { return };
    let current = || joey.kubectl_in("joey-host", &["config", "current-context"]).trim().to_owned();
    let names = || joey.kubectl_in("joey-host", &["config", "get-contexts", "-o", "name"]);
    assert_eq!(joey.joey(&["create", "b", "--wait"]).code, 0);

    // Printing and running change nothing.
    let before = fs::read(joey.kubeconfig()).expect("its kubeconfig");
    let printed = joey.joey(&["connect", "b", "--print"]).out;
    assert!(printed.contains("current-context: joey-b") && !printed.contains("joey-demo"), "{printed}");
    let said = joey.joey(&["connect", "b", "-n", "joey-b", "--", "sh", "-c", "echo $KUBECONFIG; exit 3"]);
    assert_eq!(said.code, 3);
    assert!(!fs::exists(said.out.trim()).expect("known"), "its kubeconfig is gone with the command");
    assert_eq!(joey.joey(&["connect", "b", "--", "sh", "-c", "kill -TERM $$"]).code, 128 + 15);
    assert_eq!(fs::read(joey.kubeconfig()).expect("its kubeconfig"), before);

    let said = joey.joey(&["connect", "b"]);
    assert!(said.out.contains("switched to context joey-b") && said.out.contains("goes back to joey-host"));
    assert_eq!(current(), "joey-b");
    // Commands still find the host from in there.
    assert!(joey.joey(&["list", "-o", "name"]).out.contains("virtualcluster.joey.dev/b"));
    assert_eq!(joey.joey(&["disconnect"]).out, "switched to context joey-host\n");
    assert_eq!(current(), "joey-host");
    let said = joey.joey(&["connect", "b"]);
    assert_eq!(said.code, 0, "{}", said.err);
    // Deleted, it leaves no context behind that leads nowhere.
    assert_eq!(joey.joey(&["delete", "b", "--wait"]).out, "virtual cluster b deleted\n");
    let namespace = joey.try_kubectl("joey-host", &["get", "namespace", "joey-b"]);
    assert!(namespace.err.contains("not found"), "it was made for b, and waited for: {}", namespace.err);
    assert_eq!(current(), "joey-host");
    assert!(!names().contains("joey-b") && names().contains("joey-demo"), "{}", names());
}

#[test]
fn one_name_in_several_namespaces() {
    let Some(joey) = Joey::up() else { return };
    for namespace in ["one", "two"] {
        assert_eq!(joey.joey(&["create", "twin", "-n", namespace, "--wait"]).code, 0, "{namespace}");
    }
    let said = joey.joey(&["describe", "twin"]);
    assert_eq!(said.code, 1);
    assert!(
        said.err.contains("twin is in several namespaces (one, two): give one with --namespace"),
        "{}",
        said.err
    );
    assert!(joey.joey(&["describe", "twin", "-n", "two"]).out.contains("Namespace:    two"));
    let rows = joey.joey(&["list", "-n", "one"]).out;
    assert_eq!(rows.lines().count(), 2, "{rows}");
    assert_eq!(joey.joey(&["delete", "twin", "-n", "one", "--wait"]).code, 0);
    assert_eq!(joey.joey(&["list", "-n", "one"]).out.lines().count(), 1);
    assert!(joey.joey(&["list"]).out.contains("two"), "the other is untouched");
}

#[test]
fn what_programs_read() {
    let Some(joey) = Joey::idle() else { return };
    let version: serde_json::Value =
        serde_json::from_str(&joey.joey(&["version", "-o", "json"]).out).expect("JSON");
    assert!(version["kubernetesVersion"].as_str().is_some_and(|v| v.starts_with("v1.36")), "{version}");
    assert!(joey.joey(&["version", "-o", "yaml"]).out.contains("joeyVersion: "));
    let line = joey.joey(&["version"]).out;
    assert!(line.starts_with("joey ") && line.contains("(Kubernetes v1.36"), "{line}");
    assert!(joey.joey(&["--version"]).out.starts_with("joey "));
    assert!(joey.joey(&["--help"]).out.contains("Exit codes: 0 done; 1 it failed"));
}
