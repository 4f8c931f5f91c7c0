//! Pods as a client sees them.

use crate::world::{World, core, is_ready};
use client::{DeleteOptions, ListOptions};
use object::{ApiError, json, meta};

#[tokio::test]
async fn a_pod_runs_speaks_and_goes() {
    let world = World::start().await;
    world.run("web", &["sh", "-c", "echo hello; exec nginx"], |_| {}).await;
    let pod = world.until_ready("web").await;
    assert_eq!(pod["spec"]["nodeName"], "sandbox-1");
    assert_eq!(pod["status"]["podIP"], "10.244.0.2");
    assert_eq!(pod["status"]["hostIP"], "172.31.0.10");
    assert_eq!(pod["status"]["containerStatuses"][0]["image"], "docker.io/library/busybox:latest");
    let log = world.log("web").await;
    assert_eq!(log, "hello\nsandbox: nginx (image busybox) is simulated: it counts as running\n");

    let deleted =
        world.client.delete(&core("pods"), "default", "web", &DeleteOptions::default()).await.unwrap();
    assert!(meta::deletion_timestamp(&deleted).is_some(), "a bound pod ends with grace");
    world.until("pods", "web", |pod| pod.is_none()).await;
    // Telling is not part of doing: the last event may still be on its way.
    let told = |reason: &'static str| {
        let world = &world;
        async move {
            let options = ListOptions::fields(format!("involvedObject.name=web,reason={reason}"));
            world.client.list(&core("events"), "default", &options).await.unwrap().items.len()
        }
    };
    for reason in ["Scheduled", "Pulled", "Created", "Started", "Killing"] {
        assert_eq!(told(reason).await, 1, "{reason}");
    }
    world.sandbox.stop().await;
}

#[tokio::test]
async fn work_ends_and_is_restarted() {
    let world = World::start().await;
    world
        .run("done", &["sh", "-c", "echo hi; exit 3"], |p| p["spec"]["restartPolicy"] = "Never".into())
        .await;
    world.run("again", &["false"], |_| {}).await;
    let pod = world.until_phase("done", "Failed").await;
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 3);
    assert_eq!(world.log("done").await, "hi\n");
    let crashing = |pod: Option<&object::Value>| {
        pod.is_some_and(|p| {
            p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        })
    };
    world.until("pods", "again", crashing).await;
    world.sandbox.stop().await;
}

#[tokio::test]
async fn what_is_missing_is_waited_for_and_then_mounted() {
    let world = World::start().await;
    let change = |pod: &mut object::Value| {
        pod["spec"]["volumes"] = json!([{"name": "v", "configMap": {"name": "m"}}]);
        let container = &mut pod["spec"]["containers"][0];
        container["volumeMounts"] = json!([{"name": "v", "mountPath": "/etc/m"}]);
        container["env"] = json!([
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ]);
    };
    world.run("p", &["sleep", "infinity"], change).await;
    let waits = |reason: &'static str| {
        move |pod: Option<&object::Value>| {
            pod.is_some_and(|p| p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason)
        }
    };
    world.until("pods", "p", waits("ContainerCreating")).await;
    world.create("configmaps", json!({"metadata": {"name": "m"}, "data": {"a": "from a map"}})).await;
    world.until("pods", "p", waits("CreateContainerConfigError")).await;
    world.create("secrets", json!({"metadata": {"name": "s"}, "stringData": {"k": "hush"}})).await;
    world.until_ready("p").await;

    assert_eq!(world.exec("p", &["cat", "/etc/m/a"]).await.0, "from a map");
    assert_eq!(
        world.exec("p", &["sh", "-c", "echo $KEY on $NODE as $(hostname)"]).await.0,
        "hush on sandbox-1 as p\n"
    );
    let (_, status) = world.exec("p", &["sh", "-c", "echo kept > /tmp/x; exit 7"]).await;
    assert_eq!(status["details"]["causes"], json!([{"reason": "ExitCode", "message": "7"}]));
    assert_eq!(world.exec("p", &["cat", "/tmp/x"]).await.0, "kept\n");
    let (text, status) = world.exec("p", &["make"]).await;
    assert!(text.starts_with("sandbox: make: not found. This container is simulated"), "{text}");
    assert_eq!(status["details"]["causes"][0]["message"], "127");
    let (text, _) = world.exec("p", &["printenv", "KUBERNETES_SERVICE_HOST"]).await;
    assert_eq!(text, "10.96.0.1\n");
    // The token is a real one.
    let (token, _) = world.exec("p", &["cat", "/var/run/secrets/kubernetes.io/serviceaccount/token"]).await;
    assert_eq!(token.split('.').count(), 3, "{token}");
    world.sandbox.stop().await;
}

#[tokio::test]
async fn pods_wait_for_room_and_claims() {
    let world = World::start().await;
    let wants = |cpu: &'static str| {
        move |pod: &mut object::Value| {
            pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu}});
        }
    };
    for name in ["a", "b"] {
        world.run(name, &["sleep", "infinity"], wants("30")).await;
        world.until_ready(name).await;
    }
    world.run("c", &["sleep", "infinity"], wants("3")).await;
    let refused = |pod: Option<&object::Value>| {
        pod.is_some_and(|p| {
            p["status"]["conditions"][0]["message"]
                .as_str()
                .is_some_and(|m| m.starts_with("0/2 nodes are available: 2 Insufficient cpu."))
        })
    };
    world.until("pods", "c", refused).await;
    let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    world.client.delete(&core("pods"), "default", "a", &now).await.unwrap();
    world.until_ready("c").await;

    world
        .run("d", &["sleep", "infinity"], |pod| {
            pod["spec"]["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]);
        })
        .await;
    let claim = json!({
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "resources": {"requests": {"storage": "1Gi"}}},
    });
    world.create("persistentvolumeclaims", claim).await;
    world.until_ready("d").await;
    let claim = world.client.get(&core("persistentvolumeclaims"), "default", "data").await.unwrap();
    assert_eq!(
        (&claim["status"]["phase"], &claim["status"]["capacity"]["storage"]),
        (&json!("Bound"), &json!("1Gi"))
    );
    let volume = world
        .client
        .get(&core("persistentvolumes"), "", claim["spec"]["volumeName"].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(
        (&volume["status"]["phase"], &volume["spec"]["claimRef"]["name"]),
        (&json!("Bound"), &json!("data"))
    );
    world.sandbox.stop().await;
}

#[tokio::test]
async fn a_sandbox_goes_on_where_another_stopped() {
    let world = World::start().await;
    world.run("p", &["sleep", "infinity"], |_| {}).await;
    let before = world.until_ready("p").await;
    let World { client, sandbox, api, .. } = world;
    sandbox.stop().await;
    let next = sandbox::Sandbox::new(sandbox::Options::default());
    let kubelet = next.kubelet();
    let refused = kubelet.port_forward("default", "p").await.err().unwrap();
    assert!(matches!(refused, ApiError::ServiceUnavailable(_)), "{refused}");
    let sandbox = next.start(client.clone()).await.unwrap();
    let world = World { api, client, kubelet, sandbox };
    world.run("q", &["sleep", "infinity"], |p| p["spec"]["nodeName"] = "sandbox-1".into()).await;
    let other = world.until_ready("q").await;
    assert_ne!(other["status"]["podIP"], before["status"]["podIP"]);
    let after = world.client.get(&core("pods"), "default", "p").await.unwrap();
    assert!(is_ready(&after));
    assert_eq!(
        after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"],
        "nothing to do, nothing written"
    );
    world.sandbox.stop().await;
}

#[tokio::test]
async fn the_important_pod_gets_its_room() {
    let world = World::start().await;
    let class = object::GroupVersionResource::new("scheduling.k8s.io", "v1", "priorityclasses");
    let high = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 100});
    world.client.create(&class, &high).await.unwrap();
    let wants = |priority: i64| {
        move |pod: &mut object::Value| {
            pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "20"}});
            if priority > 0 {
                pod["spec"]["priority"] = priority.into();
                pod["spec"]["priorityClassName"] = "high".into();
            }
        }
    };
    for name in ["a", "b"] {
        world.run(name, &["sleep", "infinity"], wants(0)).await;
        world.until_ready(name).await;
    }
    world.run("great", &["sleep", "infinity"], wants(100)).await;
    let great = world.until_ready("great").await;
    assert!(matches!(great["status"]["nominatedNodeName"].as_str(), None | Some("sandbox-1" | "sandbox-2")));
    let left = world.client.list(&core("pods"), "default", &ListOptions::default()).await.unwrap();
    assert_eq!(left.items.len(), 2, "one of the others had to go");
    world.sandbox.stop().await;
}

#[tokio::test]
async fn a_known_program_makes_its_secret_with_its_own_rights() {
    let world = World::start().await;
    let argocd = |pod: &mut object::Value| {
        pod["spec"]["initContainers"] = json!([{"name": "init", "image": "argocd", "command": ["argocd", "admin", "redis-initial-password"]}]);
        let auth = json!({"secretKeyRef": {"name": "argocd-redis", "key": "auth"}});
        pod["spec"]["containers"][0]["env"] = json!([{"name": "AUTH", "valueFrom": auth}]);
    };
    world.run("redis", &["redis-server"], argocd).await;
    let refused = |pod: Option<&object::Value>| {
        pod.is_some_and(|p| {
            p["status"]["initContainerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        })
    };
    world.until("pods", "redis", refused).await;
    let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    world.client.delete(&core("pods"), "default", "redis", &now).await.unwrap();

    let of = |resource: &str| object::GroupVersionResource::new("rbac.authorization.k8s.io", "v1", resource);
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r", "namespace": "default"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}],
    });
    world.client.create(&of("roles"), &role).await.unwrap();
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "r", "namespace": "default"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
    });
    world.client.create(&of("rolebindings"), &binding).await.unwrap();
    world.run("redis", &["redis-server"], argocd).await;
    world.until_ready("redis").await;
    assert_eq!(world.exec("redis", &["printenv", "AUTH"]).await.0.len(), 33);
    world.sandbox.stop().await;
}

/// The server writes that a pod goes at once, and its kubelet may be faster than the server in letting it go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_go_at_once_are_found_gone() {
    let world = World::start().await;
    for round in 0..20 {
        let name = format!("p{round}");
        world.run(&name, &["sleep", "infinity"], |_| {}).await;
        world.until_ready(&name).await;
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        world.client.delete(&core("pods"), "default", &name, &options).await.unwrap();
    }
    world.sandbox.stop().await;
}
