//! Transcripts: a pod, and what its node reports as time passes.

use super::*;
use expect_test::{Expect, expect};
use std::collections::BTreeMap;
use std::fmt::Write;

const START: &str = "2026-01-01T00:00:00Z";

struct Play {
    pod: Value,
    prepared: Prepared,
    now: Timestamp,
    start: Timestamp,
    told: String,
    gone: bool,
}

impl Play {
    fn new(mut spec: Value, outcomes: &[(&str, Outcome)]) -> Self {
        for list in ["initContainers", "containers"] {
            for container in spec[list].as_array_mut().into_iter().flatten() {
                if container["image"].is_null() {
                    container["image"] = "x".into();
                }
            }
        }
        let start = object::time::parse(START).unwrap();
        let containers: BTreeMap<_, _> =
            outcomes.iter().map(|(n, o)| ((*n).to_owned(), Ok(o.clone()))).collect();
        let metadata = json!({"name": "p", "namespace": "n", "uid": "u", "generation": 1});
        let pod = json!({"metadata": metadata, "spec": spec, "status": {"phase": "Pending"}});
        let prepared = Prepared { containers, ..Prepared::default() };
        Self { pod, prepared, now: start, start, told: String::new(), gone: false }
    }

    /// Steps until `seconds` after the start; each change is a line.
    fn until(&mut self, seconds: i64) -> &mut Self {
        let end = spec::later(self.start, seconds as f64);
        for _ in 0..100 {
            let facts = Facts { host_ip: "1.1.1.1", pod_ip: "2.2.2.2", prepared: &self.prepared };
            let step = advance(&self.pod, &facts, self.now);
            for event in &step.events {
                writeln!(
                    self.told,
                    "{:<3} event {} {}: {}",
                    self.seconds(),
                    event.kind,
                    event.reason,
                    event.message
                )
                .unwrap();
            }
            let changed = !step.status.is_empty();
            for (key, value) in step.status {
                self.pod["status"][key] = value;
            }
            if changed {
                let line = self.show();
                writeln!(self.told, "{:<3} {line}", self.seconds()).unwrap();
            }
            if step.delete {
                writeln!(self.told, "{:<3} deleted", self.seconds()).unwrap();
                self.gone = true;
                return self;
            }
            if changed {
                continue;
            }
            match step.wake {
                Some(wake) if wake <= end => self.now = self.now.max(wake),
                _ => {
                    self.now = end;
                    return self;
                }
            }
        }
        panic!("the pod never comes to rest:\n{}", self.told);
    }

    fn seconds(&self) -> i64 {
        self.now.as_second() - self.start.as_second()
    }

    fn show(&self) -> String {
        let status = &self.pod["status"];
        let list = |key: &str| status[key].as_array().cloned().unwrap_or_default();
        let state = |s: &Value| {
            let (word, of) = s["state"].as_object().and_then(|o| o.iter().next()).unwrap();
            let detail = of["reason"].as_str().map(|r| format!(":{r}")).unwrap_or_default();
            let code = of["exitCode"].as_i64().map(|c| format!("({c})")).unwrap_or_default();
            let restarts = match s["restartCount"].as_i64().unwrap() {
                0 => String::new(),
                n => format!("+{n}"),
            };
            let ready = if s["ready"] == true { "*" } else { "" };
            format!("{}{ready}{restarts}={word}{detail}{code}", s["name"].as_str().unwrap())
        };
        let containers: Vec<String> = ["initContainerStatuses", "containerStatuses"]
            .iter()
            .flat_map(|k| list(k))
            .map(|s| state(&s))
            .collect();
        let yes: Vec<String> = list("conditions")
            .iter()
            .filter(|c| c["status"] == "True")
            .map(|c| c["type"].as_str().unwrap().to_owned())
            .collect();
        format!("{} {} [{}]", status["phase"].as_str().unwrap(), containers.join(" "), yes.join(" "))
    }

    fn delete(&mut self, grace: i64) -> &mut Self {
        self.pod["metadata"]["deletionTimestamp"] =
            object::time::format(spec::later(self.now, grace as f64)).into();
        self.pod["metadata"]["deletionGracePeriodSeconds"] = grace.into();
        self
    }

    fn told(&self, expected: Expect) {
        expected.assert_eq(&self.told);
    }
}

fn exits(code: i32, after: f64) -> Outcome {
    Outcome::Exits { code, after }
}

#[test]
fn a_server_becomes_ready_and_is_deleted() {
    let mut play =
        Play::new(json!({"containers": [{"name": "web", "image": "nginx"}]}), &[("web", Outcome::Runs)]);
    play.until(100).delete(30).until(200);
    assert!(play.gone);
    play.told(expect![[r#"
        0   Pending web=waiting:ContainerCreating [Initialized PodScheduled]
        0   event Normal Pulled: Container image "nginx" already present on machine and can be accessed by the pod
        0   event Normal Created: Created container: web
        0   event Normal Started: Started container web
        0   Running web*=running [PodReadyToStartContainers Initialized Ready ContainersReady PodScheduled]
        100 event Normal Killing: Stopping container web
        102 Succeeded web=terminated:Completed(0) [Initialized PodScheduled]
        102 deleted
    "#]]);
}

#[test]
fn init_containers_run_one_after_the_other_and_sidecars_stay() {
    let spec = json!({
        "restartPolicy": "Never",
        "initContainers": [{"name": "a"}, {"name": "side", "restartPolicy": "Always"}, {"name": "b"}],
        "containers": [{"name": "main"}],
    });
    let outcomes =
        [("a", exits(0, 2.0)), ("side", Outcome::Runs), ("b", exits(0, 0.0)), ("main", exits(0, 5.0))];
    let mut play = Play::new(spec, &outcomes);
    play.until(100);
    let told: String = play.told.lines().filter(|l| !l.contains("event")).map(|l| format!("{l}\n")).collect();
    expect![[r#"
        0   Pending a=waiting:PodInitializing side=waiting:PodInitializing b=waiting:PodInitializing main=waiting:PodInitializing [PodScheduled]
        0   Pending a=running side=waiting:PodInitializing b=waiting:PodInitializing main=waiting:PodInitializing [PodReadyToStartContainers PodScheduled]
        2   Pending a*=terminated:Completed(0) side*=running b=running main=waiting:PodInitializing [PodReadyToStartContainers PodScheduled]
        2   Running a*=terminated:Completed(0) side*=running b*=terminated:Completed(0) main*=running [PodReadyToStartContainers Initialized Ready ContainersReady PodScheduled]
        7   Succeeded a*=terminated:Completed(0) side=terminated:Completed(0) b*=terminated:Completed(0) main=terminated:Completed(0) [Initialized PodScheduled]
    "#]]
    .assert_eq(&told);
}

#[test]
fn a_crash_loop_backs_off() {
    let mut play = Play::new(json!({"containers": [{"name": "c"}]}), &[("c", exits(1, 1.0))]);
    play.until(40);
    let told: String =
        play.told.lines().filter(|l| !l.contains("event Normal")).map(|l| format!("{l}\n")).collect();
    expect![[r#"
        0   Pending c=waiting:ContainerCreating [Initialized PodScheduled]
        0   Running c*=running [PodReadyToStartContainers Initialized Ready ContainersReady PodScheduled]
        1   Running c=terminated:Error(1) [PodReadyToStartContainers Initialized PodScheduled]
        1   Running c*+1=running [PodReadyToStartContainers Initialized Ready ContainersReady PodScheduled]
        2   Running c+1=terminated:Error(1) [PodReadyToStartContainers Initialized PodScheduled]
        2   event Warning BackOff: Back-off restarting failed container c in pod p_n(u)
        2   Running c+1=waiting:CrashLoopBackOff [PodReadyToStartContainers Initialized PodScheduled]
        12  Running c*+2=running [PodReadyToStartContainers Initialized Ready ContainersReady PodScheduled]
        13  Running c+2=terminated:Error(1) [PodReadyToStartContainers Initialized PodScheduled]
        13  event Warning BackOff: Back-off restarting failed container c in pod p_n(u)
        13  Running c+2=waiting:CrashLoopBackOff [PodReadyToStartContainers Initialized PodScheduled]
        33  Running c*+3=running [PodReadyToStartContainers Initialized Ready ContainersReady PodScheduled]
        34  Running c+3=terminated:Error(1) [PodReadyToStartContainers Initialized PodScheduled]
        34  event Warning BackOff: Back-off restarting failed container c in pod p_n(u)
        34  Running c+3=waiting:CrashLoopBackOff [PodReadyToStartContainers Initialized PodScheduled]
    "#]]
    .assert_eq(&told);
    let message = play.pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"].as_str().unwrap();
    assert_eq!(message, "back-off 40s restarting failed container=c pod=p_n(u)");
}

#[test]
fn work_ends_as_its_restart_policy_says() {
    let ends = |policy: &str, code: i32| {
        let mut play = Play::new(
            json!({"restartPolicy": policy, "containers": [{"name": "c"}]}),
            &[("c", exits(code, 0.0))],
        );
        play.until(0);
        play.show()
    };
    assert_eq!(ends("Never", 0), "Succeeded c=terminated:Completed(0) [Initialized PodScheduled]");
    assert_eq!(ends("Never", 3), "Failed c=terminated:Error(3) [Initialized PodScheduled]");
    assert_eq!(ends("OnFailure", 0), "Succeeded c=terminated:Completed(0) [Initialized PodScheduled]");
    assert!(ends("OnFailure", 3).starts_with("Running c+1=waiting:CrashLoopBackOff"));
    assert!(ends("Always", 0).starts_with("Running c+1=waiting:CrashLoopBackOff"));
}

#[test]
fn a_failed_init_container_fails_the_pod() {
    let spec =
        json!({"restartPolicy": "Never", "initContainers": [{"name": "i"}], "containers": [{"name": "c"}]});
    let mut play = Play::new(spec, &[("i", exits(2, 0.0)), ("c", Outcome::Runs)]);
    play.until(10);
    assert_eq!(play.show(), "Failed i=terminated:Error(2) c=waiting:PodInitializing [PodScheduled]");
}

#[test]
fn what_is_missing_is_waited_for() {
    let mut play = Play::new(json!({"containers": [{"name": "c", "image": "x"}]}), &[]);
    play.prepared.mount_error =
        Some("MountVolume.SetUp failed for volume \"v\" : secret \"s\" not found".into());
    play.until(5);
    assert_eq!(play.show(), "Pending c=waiting:ContainerCreating [Initialized PodScheduled]");
    play.prepared.mount_error = None;
    play.prepared.containers.insert("c".into(), Err("configmap \"m\" not found".into()));
    play.until(10);
    assert_eq!(
        play.show(),
        "Pending c=waiting:CreateContainerConfigError [PodReadyToStartContainers Initialized PodScheduled]"
    );
    play.prepared.containers.insert("c".into(), Ok(Outcome::Runs));
    play.until(15);
    assert!(play.show().starts_with("Running c*=running"));
}

#[test]
fn deadlines_and_bad_images() {
    let spec = json!({"activeDeadlineSeconds": 5, "containers": [{"name": "c"}]});
    let mut play = Play::new(spec, &[("c", Outcome::Runs)]);
    play.until(20);
    assert_eq!(play.show(), "Failed c=terminated:Error(137) [Initialized PodScheduled]");
    assert_eq!(play.pod["status"]["reason"], "DeadlineExceeded");

    let spec = json!({"containers": [{"name": "c", "image": "invalid.registry.k8s.io/invalid/alpine:3.1"}]});
    let mut play = Play::new(spec, &[("c", Outcome::Runs)]);
    play.until(20);
    assert_eq!(
        play.show(),
        "Pending c=waiting:ImagePullBackOff [PodReadyToStartContainers Initialized PodScheduled]"
    );
    assert!(play.told.contains("waiting:ErrImagePull"));
}

#[test]
fn cut_off_work_has_failed_and_finalizers_keep_the_pod() {
    let spec = json!({"restartPolicy": "Never", "containers": [{"name": "c"}]});
    let mut play = Play::new(spec, &[("c", Outcome::Runs)]);
    play.until(10).delete(30).until(50);
    assert!(play.gone);
    assert_eq!(play.show(), "Failed c=terminated:Error(143) [Initialized PodScheduled]");
    // The API server keeps it for its finalizers, with no grace left: nothing more to do.
    play.pod["metadata"]["deletionGracePeriodSeconds"] = 0.into();
    play.pod["metadata"]["finalizers"] = json!(["x/y"]);
    let facts = Facts { host_ip: "", pod_ip: "", prepared: &play.prepared };
    assert_eq!(advance(&play.pod, &facts, play.now), Step::default());
    // A server that was killed may have left it: it is deleted once more, if it does not go by itself.
    play.pod["metadata"]["finalizers"] = json!([]);
    let deleted = play.pod["metadata"]["deletionTimestamp"].as_str().unwrap().parse().unwrap();
    let left = advance(&play.pod, &facts, deleted);
    assert!(!left.delete && left.wake.is_some_and(|wake| wake > deleted), "{left:?}");
    assert!(advance(&play.pod, &facts, left.wake.unwrap()).delete);
}

#[test]
fn others_conditions_and_readiness_gates_are_respected() {
    let spec = json!({"readinessGates": [{"conditionType": "x/y"}], "containers": [{"name": "c"}]});
    let mut play = Play::new(spec, &[("c", Outcome::Runs)]);
    play.until(5);
    assert!(!play.show().contains(" Ready"));
    let conditions = play.pod["status"]["conditions"].as_array_mut().unwrap();
    conditions.push(json!({"type": "x/y", "status": "True"}));
    play.until(10);
    assert!(
        play.show()
            .ends_with("[PodReadyToStartContainers Initialized Ready ContainersReady PodScheduled x/y]")
    );
    play.pod["metadata"]["generation"] = 2.into();
    play.until(11);
    assert_eq!(play.pod["status"]["observedGeneration"], 2);
}
