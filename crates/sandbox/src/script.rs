//! What a container's command does: decided by its annotations, else by a dry run in the simulated shell.

use crate::environment::{self, Place, environment};
use crate::lifecycle::{Outcome, Prepared};
use crate::shell::{Io, Shell, Stop, Stream, Unknown};
use crate::sources::Sources;
use crate::{spec, volumes};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::meta;
use serde_json::Value;
use std::collections::BTreeMap;

/// Sleeps of a dry run before a script counts as one that never ends.
const SLEEPS: u32 = 500;
/// Commands of a dry run, likewise.
const COMMANDS: u64 = 20_000;

/// Reads everything that starting `pod` depends on.
pub fn prepare(pod: &Value, sources: &Sources, place: &Place<'_>) -> Prepared {
    if let Some(error) = volumes::mount_error(pod, sources) {
        return Prepared { containers: BTreeMap::new(), mount_error: Some(error) };
    }
    let containers = spec::containers(pod)
        .map(|container| {
            let outcome = environment(pod, container, sources, place)
                .map(|variables| outcome(pod, container, variables, sources, place));
            (spec::name(container).to_owned(), outcome)
        })
        .collect();
    Prepared { containers, mount_error: None }
}

/// The words that the container runs; empty when the image decides.
pub fn argv(container: &Value, variables: &BTreeMap<String, String>) -> Vec<String> {
    let words = spec::strings(&container["command"]).into_iter().chain(spec::strings(&container["args"]));
    words.map(|word| environment::expand(&word, variables)).collect()
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
    Shell::new(&spec::hostname(pod), variables, files, unknown(pod, container), io)
}

fn outcome(
    pod: &Value,
    container: &Value,
    variables: BTreeMap<String, String>,
    sources: &Sources,
    place: &Place<'_>,
) -> Outcome {
    let number =
        |what: &str| spec::script(pod, container, what).and_then(|text| text.trim().parse::<f64>().ok());
    let (code, seconds) = (number("exit-code"), number("run-seconds"));
    if code.is_some() || seconds.is_some() {
        return Outcome::Exits { code: code.unwrap_or(0.0) as i32, after: seconds.unwrap_or(0.0).max(0.0) };
    }
    let argv = argv(container, &variables);
    let done = Outcome::Exits { code: 0, after: 0.0 };
    if argv.is_empty() {
        let ends = unknown(pod, container) == Unknown::Succeeds && !is_pause(container);
        return if ends { done } else { Outcome::Runs };
    }
    let mut io = Dry { elapsed: 0.0, sleeps: 0 };
    // The futures of a dry run are always ready.
    let mut shell = shell(pod, container, variables, sources, place, &mut io);
    shell.patience = COMMANDS;
    let result = shell.command(&argv).now_or_never();
    match result {
        Some(Ok(code)) => Outcome::Exits { code, after: io.elapsed },
        Some(Err(Stop::Forever(_))) | Some(Err(Stop::Over)) | None => Outcome::Runs,
    }
}

/// The one image whose purpose is never to end.
fn is_pause(container: &Value) -> bool {
    let image = container["image"].as_str().unwrap_or("");
    let name = image.rsplit('/').next().unwrap_or("");
    name.split([':', '@']).next() == Some("pause")
}

/// Time that passes at once, text that nobody reads.
struct Dry {
    elapsed: f64,
    sleeps: u32,
}

impl Io for Dry {
    fn write<'a>(&'a mut self, _: Stream, _: &'a str) -> BoxFuture<'a, Result<(), Stop>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn sleep(&mut self, seconds: f64) -> BoxFuture<'_, Result<(), Stop>> {
        self.elapsed += seconds;
        self.sleeps += 1;
        Box::pin(std::future::ready(if self.sleeps > SLEEPS { Err(Stop::Over) } else { Ok(()) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(words: &[&str], expected: Outcome) {
        let pod =
            json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "command": words}]}});
        let prepared = prepare(&pod, &Sources::default(), &Place { host_ip: "", pod_ip: "" });
        assert_eq!(prepared.containers["c"], Ok(expected), "{words:?}");
    }

    fn exits(code: i32, after: f64) -> Outcome {
        Outcome::Exits { code, after }
    }

    #[test]
    fn jobs_end_unless_they_pause() {
        let outcome = |image: &str| {
            let owner = json!([{"kind": "Job", "name": "j", "controller": true}]);
            let pod = json!({"metadata": {"name": "p", "ownerReferences": owner},
                "spec": {"containers": [{"name": "c", "image": image}]}});
            let prepared = prepare(&pod, &Sources::default(), &Place { host_ip: "", pod_ip: "" });
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
        let place = Place { host_ip: "", pod_ip: "" };
        let of = |pod: &Value, name: &str| prepare(pod, &Sources::default(), &place).containers[name].clone();
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
        let place = Place { host_ip: "", pod_ip: "" };
        let prepared = prepare(&pod, &Sources::default(), &place);
        assert_eq!(prepared.containers["a"], Ok(exits(3, 0.0)));
        assert_eq!(prepared.containers["b"], Ok(exits(0, 5.0)));
        pod["spec"]["volumes"] = json!([{"name": "v", "secret": {"secretName": "s"}}]);
        let error = prepare(&pod, &Sources::default(), &place).mount_error.unwrap();
        assert_eq!(error, "MountVolume.SetUp failed for volume \"v\" : secret \"s\" not found");
    }
}
