//! agnhost, the image whose servers Kubernetes' own tests probe: which ports they listen on, and how long they are well.
//! Servers of other images are not known, and taken to serve on any port.

use crate::lifecycle::Timeline;
use serde_json::Value;

/// What `probe` finds of a container that runs `argv`; `None` where that is not known. `ip` is the pod's.
pub fn timeline(container: &Value, argv: &[String], probe: &Value, ip: &str) -> Option<Timeline> {
    let image = container["image"].as_str()?;
    let named = image.rsplit('/').next()?.split([':', '@']).next()? == "agnhost";
    let words = argv.strip_prefix(&["/agnhost".to_owned()][..]).unwrap_or(argv);
    let (program, rest) = words.split_first().filter(|_| named)?;
    let flag = |name: &str| rest.iter().find_map(|word| word.strip_prefix(name)?.parse::<i64>().ok());
    let (kind, asked) = ["httpGet", "tcpSocket", "grpc"]
        .iter()
        .find_map(|kind| Some((*kind, port(container, &probe[*kind]["port"])?)))?;
    let (listens, speaks, well) = match program.as_str() {
        // Says that it is well for ten seconds.
        "liveness" => (8080, "httpGet", Some(10)),
        "grpc-health-checking" => {
            (flag("--port=").unwrap_or(5000), "grpc", flag("--delay-unhealthy-sec=").filter(|s| *s >= 0))
        }
        "test-webserver" => (80, "httpGet", None),
        "netexec" => (flag("--http-port=").unwrap_or(8080), "httpGet", None),
        _ => return None,
    };
    if asked != listens || (kind != speaks && kind != "tcpSocket") {
        return Some(vec![(0.0, Err(refusal(kind, ip, asked, probe)))]);
    }
    let ill = match kind {
        "httpGet" => "HTTP probe failed with statuscode: 500",
        "grpc" => "service unhealthy (responded with \"NOT_SERVING\")",
        _ => return Some(vec![]),
    };
    Some(match well {
        Some(seconds) => vec![(0.0, Ok(())), (seconds as f64, Err(ill.to_owned()))],
        None => vec![],
    })
}

/// What a kubelet says when nobody listens.
fn refusal(kind: &str, ip: &str, port: i64, probe: &Value) -> String {
    let path = probe["httpGet"]["path"].as_str().unwrap_or("/");
    match kind {
        "httpGet" => {
            format!("Get \"http://{ip}:{port}{path}\": dial tcp {ip}:{port}: connect: connection refused")
        }
        "grpc" => {
            let seconds = probe["timeoutSeconds"].as_i64().unwrap_or(1);
            format!(
                "timeout: failed to connect service \"{ip}:{port}\" within {seconds}s: context deadline exceeded"
            )
        }
        _ => format!("dial tcp {ip}:{port}: connect: connection refused"),
    }
}

/// A port by number, or by the name it has in the container.
fn port(container: &Value, port: &Value) -> Option<i64> {
    let name = || port.as_str().filter(|name| !name.is_empty());
    let mut ports = container["ports"].as_array().into_iter().flatten();
    port.as_i64()
        .or_else(|| name().and_then(|name| ports.find(|p| p["name"] == name)?["containerPort"].as_i64()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(argv: &[&str], probe: Value, expected: Option<&[(f64, bool)]>) {
        let container = json!({"image": "registry.k8s.io/e2e-test-images/agnhost:2.63.0",
            "ports": [{"name": "web", "containerPort": 8080}]});
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let found = timeline(&container, &argv, &probe, "10.0.0.1");
        let found: Option<Vec<(f64, bool)>> =
            found.map(|found| found.iter().map(|(at, answer)| (*at, answer.is_ok())).collect());
        assert_eq!(found.as_deref(), expected, "{argv:?} {probe}");
    }

    #[test]
    fn servers_answer_on_their_own_ports() {
        let falls_ill = &[(0.0, true), (10.0, false)][..];
        check(&["liveness"], json!({"httpGet": {"port": 8080, "path": "/healthz"}}), Some(falls_ill));
        check(&["/agnhost", "liveness"], json!({"httpGet": {"port": "web"}}), Some(falls_ill));
        check(&["liveness"], json!({"httpGet": {"port": 80}}), Some(&[(0.0, false)]));
        check(&["grpc-health-checking"], json!({"grpc": {"port": 5000}}), Some(&[]));
        check(&["grpc-health-checking"], json!({"grpc": {"port": 2333}}), Some(&[(0.0, false)]));
        check(&["netexec", "--http-port=9"], json!({"tcpSocket": {"port": 9}}), Some(&[]));
        check(&["pause"], json!({"httpGet": {"port": 80}}), None);
        check(&["liveness"], json!({"exec": {"command": ["true"]}}), None);
    }
}
