//! A deployment's life, and what of it the host sees.

use e2e::Joey;

#[test]
fn a_deployment_rolls_out_and_back() {
    let Some(joey) = Joey::up() else { return };
    joey.kubectl(&["create", "deployment", "web", "--image=nginx:1.27", "--replicas=3"]);
    joey.kubectl(&["expose", "deployment", "web", "--port=80"]);
    joey.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    assert_eq!(host_pods(&joey), 3);

    joey.kubectl(&["scale", "deployment/web", "--replicas=5"]);
    joey.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    joey.kubectl(&["set", "image", "deployment/web", "nginx=nginx:1.28"]);
    joey.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    let history = joey.kubectl(&["rollout", "history", "deployment/web"]);
    assert!(history.contains("\n2 "), "{history}");
    joey.kubectl(&["rollout", "undo", "deployment/web"]);
    joey.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    let images = joey.get(&["deployment/web"])["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    assert_eq!(images, "nginx:1.27");

    let endpoints = joey.get(&["endpointslices", "-l", "kubernetes.io/service-name=web"]);
    let all = endpoints["items"][0]["endpoints"].as_array().cloned().unwrap_or_default();
    assert_eq!(all.iter().filter(|e| e["conditions"]["ready"] == true).count(), 5, "{endpoints}");
    let wide = joey.kubectl(&[
        "get",
        "pods",
        "-o",
        "wide",
        "-l",
        "app=web",
        "--field-selector=status.phase=Running",
    ]);
    assert!(wide.contains("10.244.") && wide.contains("sandbox-"), "{wide}");
    let described = joey.kubectl(&["describe", "deployment", "web"]);
    assert!(described.contains("ScalingReplicaSet") && described.contains("5 desired"), "{described}");

    joey.kubectl(&["delete", "deployment,service", "web", "--wait"]);
    joey.kubectl(&["wait", "--for=delete", "pod", "-l", "app=web", "--timeout=60s"]);
    joey.host(&["-n", "joey-demo", "wait", "--for=delete", "pod", "-l", "app=web", "--timeout=60s"]);
}

fn host_pods(joey: &Joey) -> usize {
    let pods = joey.host(&["-n", "joey-demo", "get", "pods", "-o", "name"]);
    let named = pods.lines().filter(|l| l.starts_with("pod/web-") && l.ends_with("-x-default-x-demo"));
    assert_eq!(named.count(), pods.lines().count(), "nothing else of the tenant is there: {pods}");
    pods.lines().count()
}

#[test]
fn logs_exec_and_events_come_back() {
    let Some(joey) = Joey::up() else { return };
    joey.kubectl(&["run", "talker", "--image=busybox", "--", "echo", "hello from inside"]);
    joey.kubectl(&["run", "shell", "--image=busybox", "--", "sleep", "1000"]);
    joey.kubectl(&["wait", "--for=condition=Ready", "pod/shell", "--timeout=60s"]);
    joey.kubectl(&["wait", "--for=jsonpath={.status.phase}=Running", "pod/talker", "--timeout=60s"]);
    assert!(joey.kubectl(&["logs", "talker"]).contains("hello from inside"));
    assert_eq!(joey.kubectl(&["exec", "shell", "--", "echo", "hi"]).trim(), "hi");
    assert_eq!(joey.try_kubectl("joey-demo", &["exec", "shell", "--", "sh", "-c", "exit 3"]).code, 3);
    assert_eq!(joey.kubectl(&["exec", "shell", "--", "hostname"]).trim(), "shell");
    joey.kubectl(&[
        "wait",
        "--for=create",
        "event",
        "--field-selector=reason=Scheduled,involvedObject.name=shell",
        "--timeout=60s",
    ]);
    let described = joey.kubectl(&["describe", "pod", "shell"]);
    assert!(described.contains("Successfully assigned default/shell to sandbox-"), "{described}");
}

#[test]
fn pods_are_watched_and_logs_followed() {
    let Some(joey) = Joey::up() else { return };
    let watched = joey.shell(WATCHED, "");
    assert!(watched.code == 0 && watched.out.contains(" Running "), "{}{}", watched.out, watched.err);
    // Who follows gets what is said as it is said, and an end when the pod goes.
    let followed = joey.shell(FOLLOWED, "");
    assert!(followed.code == 0 && followed.out.starts_with("hello\n"), "{}{}", followed.out, followed.err);
}

const WATCHED: &str = "
set -e
mkfifo seen
kubectl --context joey-demo get pods -o wide --watch > seen &
watching=$!
kubectl --context joey-demo run talker --image=busybox -- sh -c 'echo hello; sleep 1000'
grep -m1 'talker .* Running .* sandbox-' seen
kill $watching
";

const FOLLOWED: &str = "
set -e
mkfifo said
kubectl --context joey-demo logs -f talker > said &
following=$!
grep -m1 hello said
kubectl --context joey-demo delete pod talker --now
wait $following
";
