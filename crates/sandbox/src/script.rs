//! What a container's command does: decided by its annotations, else by a dry run in the simulated shell.

use crate::environment::{self, Place, environment};
use crate::lifecycle::Prepared;
use crate::rehearsal::{Scratch, Stage};
use crate::shell::{Io, Shell, Unknown};
use crate::sources::Sources;
use crate::{spec, volumes};
use object::meta;
use serde_json::Value;
use std::collections::BTreeMap;

/// Reads everything that starting `pod` depends on, and rehearses its containers in their order. `known` is what was found
/// before: runs that have not ended are not rehearsed again.
pub fn prepare(
    pod: &Value,
    sources: &Sources,
    place: &Place<'_>,
    scratch: &mut Scratch,
    known: Option<&Prepared>,
) -> Prepared {
    let mut prepared = Prepared::default();
    if let Some(error) = volumes::mount_error(pod, sources) {
        prepared.mount_error = Some(error);
        return prepared;
    }
    for container in spec::containers(pod) {
        let name = spec::name(container).to_owned();
        let run = next_run(pod, &name);
        let before = known.and_then(|k| Some((k.containers.get(&name)?, k.details.get(&name)?)));
        if let Some((Ok(outcome), details)) = before.filter(|(_, details)| details.run == run) {
            prepared.containers.insert(name.clone(), Ok(outcome.clone()));
            prepared.details.insert(name, details.clone());
            continue;
        }
        let ready = environment(pod, container, sources, place).and_then(|variables| {
            volumes::sub_paths(container, &variables)?;
            Ok(Stage { pod, container, variables, sources, place }.rehearse(scratch, run))
        });
        let outcome = ready.map(|(outcome, details)| {
            prepared.details.insert(name.clone(), details);
            outcome
        });
        prepared.containers.insert(name, outcome);
    }
    prepared
}

/// The restarts before the run of a container that is under way, or comes next when one has ended.
pub fn next_run(pod: &Value, name: &str) -> i64 {
    let lists = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"];
    let mut all = lists.iter().flat_map(|list| pod["status"][*list].as_array().into_iter().flatten());
    let Some(status) = all.find(|s| s["name"] == name) else { return 0 };
    let count = status["restartCount"].as_i64().unwrap_or(0);
    let over = status["state"]["terminated"].is_object()
        || (status["state"]["waiting"].is_object() && status["lastState"]["terminated"].is_object());
    count + i64::from(over)
}

/// The words that the container runs; empty when the image decides.
pub fn argv(container: &Value, variables: &BTreeMap<String, String>) -> Vec<String> {
    let words = spec::strings(&container["command"]).into_iter().chain(spec::strings(&container["args"]));
    words.map(|word| environment::expand(&word, variables)).collect()
}

/// Images that start a shell where they are not told what to run.
const SHELLS: [&str; 11] = [
    "busybox",
    "alpine",
    "debian",
    "ubuntu",
    "bash",
    "fedora",
    "centos",
    "rockylinux",
    "almalinux",
    "amazonlinux",
    "archlinux",
];

/// The shell that the container's standard input goes to, if that is what it runs: its words.
pub fn conversation(container: &Value, argv: &[String]) -> Option<Vec<String>> {
    let image = container["image"].as_str().unwrap_or("");
    let name = image.rsplit('/').next().unwrap_or("").split([':', '@']).next().unwrap_or("");
    let starts_shell = argv.is_empty() && SHELLS.contains(&name);
    let words = if starts_shell { vec!["sh".to_owned()] } else { argv.to_vec() };
    (container["stdin"] == true && is_shell(&words)).then_some(words)
}

/// A bare shell: `sh`, `/bin/bash -l`, but not `sh -c …` or `sh script`.
pub fn is_shell(argv: &[String]) -> bool {
    let Some((program, args)) = argv.split_first() else { return false };
    let program = program.rsplit('/').next().unwrap_or("");
    matches!(program, "sh" | "bash" | "ash" | "dash")
        && args.iter().all(|a| a.starts_with('-') && !a.ends_with('c'))
}

/// What a program does that is not simulated: servers serve, but what must end for others to go on is taken as done.
pub fn unknown(pod: &Value, container: &Value) -> Unknown {
    // On a host the pods of virtual clusters have no owners; what they were made by, an annotation says.
    let made_by = meta::annotation(pod, "joey.dev/controller-kind");
    let of_job =
        made_by == Some("Job") || meta::controller_of(pod).is_some_and(|owner| owner["kind"] == "Job");
    match spec::is_init(pod, container) || of_job {
        true => Unknown::Succeeds,
        false => Unknown::Serves,
    }
}

/// A shell as the container's main process would find it.
pub fn shell<'a>(
    pod: &Value,
    container: &Value,
    variables: BTreeMap<String, String>,
    sources: &Sources,
    place: &Place<'_>,
    io: &'a mut dyn Io,
) -> Shell<'a> {
    let files = volumes::files(pod, container, sources, place);
    let id = |field: &str| {
        let own = container["securityContext"][field].as_i64();
        own.or_else(|| pod["spec"]["securityContext"][field].as_i64()).unwrap_or(0).to_string()
    };
    let mut shell = Shell::new(&spec::hostname(pod), variables, files, unknown(pod, container), io);
    (shell.user, shell.group) = (id("runAsUser"), id("runAsGroup"));
    shell
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::{Details, Outcome};
    use serde_json::json;

    fn prepared(pod: &Value) -> Prepared {
        let place = Place { host_ip: "", pod_ip: "" };
        prepare(pod, &Sources::default(), &place, &mut Scratch::new(), None)
    }

    /// What each run of the only container comes to.
    fn runs(spec: Value, runs: i64) -> Vec<(Outcome, Details)> {
        let (place, mut scratch) = (Place { host_ip: "", pod_ip: "" }, Scratch::new());
        let mut pod = json!({"metadata": {"name": "p"}, "spec": spec});
        (0..runs)
            .map(|run| {
                pod["status"] = json!({"containerStatuses": [
                    {"name": "c", "restartCount": run, "state": {"running": {}}},
                ]});
                let prepared = prepare(&pod, &Sources::default(), &place, &mut scratch, None);
                (prepared.containers["c"].clone().unwrap(), prepared.details["c"].clone())
            })
            .collect()
    }

    fn one(script: &str) -> Value {
        json!({
            "volumes": [{"name": "v", "emptyDir": {}}],
            "containers": [{"name": "c", "command": ["sh", "-c", script], "volumeMounts": [{"name": "v", "mountPath": "/data"}]}],
        })
    }

    #[test]
    fn empty_volumes_outlive_containers() {
        let spec = one("if [[ -r /data/foo ]] ; then exit 0 ; else touch /data/foo ; exit 1 ; fi");
        let ends: Vec<Outcome> = runs(spec, 2).into_iter().map(|(outcome, _)| outcome).collect();
        assert_eq!(ends, [exits(1, 0.0), exits(0, 0.0)]);
        let count = "f=/data/n\ncount=$(echo 'hello' >> $f ; wc -l $f | awk {'print $1'})\nif [ $count -eq 1 ]; then\n\texit 1\nfi\nif [ $count -eq 2 ]; then\n\texit 0\nfi\nwhile true; do sleep 1; done\n";
        let ends: Vec<Outcome> = runs(one(count), 3).into_iter().map(|(outcome, _)| outcome).collect();
        assert_eq!(ends, [exits(1, 0.0), exits(0, 0.0), Outcome::Runs]);
    }

    #[test]
    fn termination_messages_are_read() {
        let message = |script: &str, more: Value| {
            let mut spec = one(script);
            spec["containers"][0].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            runs(spec, 1)[0].1.message.clone()
        };
        let fallback = json!({"terminationMessagePolicy": "FallbackToLogsOnError"});
        assert_eq!(message("/bin/echo -n DONE; /bin/false", fallback.clone()), "DONE");
        assert_eq!(message("/bin/echo DONE; /bin/true", fallback), "");
        let elsewhere = json!({"terminationMessagePath": "/dev/t"});
        assert_eq!(message("/bin/echo -n DONE > /dev/t", elsewhere), "DONE");
    }

    #[test]
    fn exec_probes_find_what_the_script_does() {
        let mut spec = one("echo ok >/tmp/health; sleep 10; rm -rf /tmp/health; sleep 600");
        spec["containers"][0]["livenessProbe"] = json!({"exec": {"command": ["cat", "/tmp/health"]}});
        let probes = &runs(spec.clone(), 1)[0].1.probes;
        let found: Vec<(f64, bool)> = probes.liveness.iter().map(|(at, a)| (*at, a.is_ok())).collect();
        assert_eq!(found, [(0.0, true), (10.0, false)]);
        // What is not simulated is not doubted.
        spec["containers"][0]["command"] = json!(["/server"]);
        assert_eq!(runs(spec, 1)[0].1.probes, Default::default());
    }

    fn check(words: &[&str], expected: Outcome) {
        let pod =
            json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "command": words}]}});
        let prepared = prepared(&pod);
        assert_eq!(prepared.containers["c"], Ok(expected), "{words:?}");
    }

    fn exits(code: i32, after: f64) -> Outcome {
        Outcome::Exits { code, after }
    }

    #[test]
    fn shells_with_an_input_wait_for_it() {
        let words = |argv: &[&str], image: &str, stdin: bool| {
            let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
            conversation(&json!({"name": "c", "image": image, "stdin": stdin}), &argv)
        };
        assert_eq!(words(&[], "docker.io/library/busybox:1.37", true), Some(vec!["sh".into()]));
        assert_eq!(words(&["/bin/bash", "-l"], "tool", true), Some(vec!["/bin/bash".into(), "-l".into()]));
        assert_eq!(words(&["sh"], "busybox", false), None);
        assert_eq!(words(&["sh", "-c", "date"], "busybox", true), None);
        assert_eq!(words(&[], "nginx", true), None);
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [
            {"name": "c", "image": "busybox", "command": ["sh"], "stdin": true}]}});
        assert_eq!(prepared(&pod).containers["c"], Ok(Outcome::Runs));
    }

    #[test]
    fn jobs_end_unless_they_pause() {
        let outcome = |image: &str| {
            let owner = json!([{"kind": "Job", "name": "j", "controller": true}]);
            let pod = json!({"metadata": {"name": "p", "ownerReferences": owner},
                "spec": {"containers": [{"name": "c", "image": image}]}});
            let prepared = prepared(&pod);
            prepared.containers["c"].clone()
        };
        assert_eq!(outcome("registry/migrate:1"), Ok(exits(0, 0.0)));
        assert_eq!(outcome("registry.k8s.io/pause:3.10"), Ok(Outcome::Runs));
        assert_eq!(outcome("pause@sha256:00"), Ok(Outcome::Runs));
    }

    #[test]
    fn commands_are_judged_by_what_they_do() {
        check(&["true"], exits(0, 0.0));
        check(&["/bin/false"], exits(1, 0.0));
        check(&["sh", "-c", "echo hi; exit 3"], exits(3, 0.0));
        check(&["sh", "-c", "sleep 2 && sleep 1m; false || exit 4"], exits(4, 62.0));
        check(&["/bin/bash", "-ec", "false\necho never"], exits(1, 0.0));
        check(
            &["sh", "-c", "for i in 1 2 3; do sleep $i; done; [ $i -eq 3 ] && exit $((i*2))"],
            exits(6, 6.0),
        );
        check(&["sh", "-c", "i=0; while [ $i -lt 5 ]; do i=$((i+1)); done; exit $i"], exits(5, 0.0));
        check(&["sh", "-c", "if [ \"$HOSTNAME\" = p ]; then exit 7; else exit 8; fi"], exits(7, 0.0));
        check(
            &["sh", "-c", "x=$(echo a b | wc -w); echo $x >/tmp/f; grep -q b /tmp/f || exit 9"],
            exits(9, 0.0),
        );
        check(&["sh", "-c", "while true; do date; sleep 1; done"], Outcome::Runs);
        check(&["sh", "-c", "while :; do :; done"], Outcome::Runs);
        check(&["sleep", "infinity"], Outcome::Runs);
        check(&["nginx", "-g", "daemon off;"], Outcome::Runs);
        check(&["sh", "-c", "echo start && exec /server --port 80"], Outcome::Runs);
        check(&["sh", "-c", "case $x in esac"], Outcome::Runs);
        check(&["tail", "-f", "/dev/null"], Outcome::Runs);
        check(&["wget", "web:80"], exits(0, 0.0));
        check(&["sh", "-c", "apt-get update && apt-get install -y curl; /usr/bin/server"], Outcome::Runs);
        check(&[], Outcome::Runs);
    }

    #[test]
    fn hostile_scripts_stay_small() {
        let bombs = [
            "x=a; while true; do x=$x$x$x$x; done",
            "echo a > /f; while true; do cat /f /f /f >> /g; cat /g /g > /f; done",
            "for i in $(seq 10000); do export v$i=$i; echo x > /f$i; done",
            "while true; do for i in $(seq 100); do echo $i; done; sleep 0.1; done",
        ];
        for bomb in bombs {
            let began = std::time::Instant::now();
            check(&["sh", "-c", bomb], Outcome::Runs);
            assert!(began.elapsed().as_secs() < 5, "{bomb}");
        }
        check(&["sh", "-c", &"(".repeat(5000)], Outcome::Runs);
        check(&["sh", "-c", &"echo $(".repeat(500)], Outcome::Runs);
        check(&["sh", "-c", &"! ".repeat(5000)], Outcome::Runs);
    }

    #[test]
    fn jobs_and_init_containers_end() {
        let mut pod = json!({
            "metadata": {"name": "p", "ownerReferences": [{"kind": "Job", "controller": true}]},
            "spec": {"containers": [{"name": "pi", "command": ["perl", "-Mbignum=bpi", "-wle", "print bpi(2000)"]}]},
        });
        let of = |pod: &Value, name: &str| prepared(pod).containers[name].clone();
        assert_eq!(of(&pod, "pi"), Ok(exits(0, 0.0)));
        pod["metadata"] = json!({"name": "p"});
        pod["spec"]["initContainers"] =
            json!([{"name": "i", "image": "tool"}, {"name": "s", "restartPolicy": "Always"}]);
        assert_eq!(of(&pod, "pi"), Ok(Outcome::Runs));
        assert_eq!(of(&pod, "i"), Ok(exits(0, 0.0)));
        assert_eq!(of(&pod, "s"), Ok(Outcome::Runs));
    }

    #[test]
    fn annotations_decide() {
        let mut pod = json!({
            "metadata": {"name": "p", "annotations": {
                "sandbox.joey.dev/exit-code": "3", "run-seconds.sandbox.joey.dev/b": "5", "exit-code.sandbox.joey.dev/b": "0",
            }},
            "spec": {"containers": [{"name": "a"}, {"name": "b"}]},
        });
        let found = prepared(&pod);
        assert_eq!(found.containers["a"], Ok(exits(3, 0.0)));
        assert_eq!(found.containers["b"], Ok(exits(0, 5.0)));
        pod["spec"]["volumes"] = json!([{"name": "v", "secret": {"secretName": "s"}}]);
        let error = prepared(&pod).mount_error.unwrap();
        assert_eq!(error, "MountVolume.SetUp failed for volume \"v\" : secret \"s\" not found");
    }
}
