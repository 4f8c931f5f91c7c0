//! Volumes: every name they hold is the host's, tokens come from a Secret that is kept fresh, and a kind of volume that is not
//! known to be harmless is refused.

use crate::containers::field_reference;
use crate::pod::PodContext;
use crate::{Cluster, Refusal, names};
use object::{Value, json, meta};

/// Kinds of volumes that hold no names and no host resources.
const HARMLESS: [&str; 2] = ["emptyDir", "image"];
/// Kinds that nodes mount from their own network, and those of drivers that look names up in the host: where the policy has them.
const ALLOWED: [&str; 2] = ["csi", "nfs"];

pub(crate) fn volumes(cluster: &Cluster, pod: &Value, context: &PodContext) -> Result<Vec<Value>, Refusal> {
    let namespace = meta::namespace(pod);
    let mut tokens = 0;
    let list = pod["spec"]["volumes"].as_array().map_or(&[][..], Vec::as_slice);
    list.iter()
        .map(|volume| {
            let mut volume = volume.clone();
            let kind = volume.as_object().and_then(|v| v.keys().find(|k| *k != "name")).cloned().unwrap_or_default();
            // What is judged is what goes: nothing comes along beside it.
            if let Some(all) = volume.as_object_mut() {
                all.retain(|field, _| field == "name" || *field == kind);
            }
            let host = |name: &Value| Value::from(names::host(cluster, namespace, name.as_str().unwrap_or("")));
            match kind.as_str() {
                "configMap" => volume["configMap"]["name"] = host(&volume["configMap"]["name"]),
                "secret" => volume["secret"]["secretName"] = host(&volume["secret"]["secretName"]),
                "persistentVolumeClaim" => {
                    volume["persistentVolumeClaim"]["claimName"] = host(&volume["persistentVolumeClaim"]["claimName"]);
                }
                "ephemeral" => {
                    // The claim that the ephemeral volume controller makes in the virtual cluster.
                    let claim = format!("{}-{}", meta::name(pod), volume["name"].as_str().unwrap_or(""));
                    volume = json!({"name": volume["name"], "persistentVolumeClaim": {"claimName": host(&claim.into())}});
                }
                "downwardAPI" => downward(&mut volume["downwardAPI"]),
                "projected" => projected(&mut volume["projected"], &host, &mut tokens, context)?,
                "hostPath" if cluster.policy.host_paths => {}
                "" => {}
                harmless if HARMLESS.contains(&harmless) => {}
                allowed if ALLOWED.contains(&allowed) => {
                    if !cluster.policy.volumes.iter().any(|kind| kind == allowed) {
                        return Err(Refusal(format!("volumes of kind {allowed} are not allowed by this virtual cluster's policy")));
                    }
                    if !volume["csi"]["nodePublishSecretRef"].is_null() {
                        volume["csi"]["nodePublishSecretRef"]["name"] = host(&volume["csi"]["nodePublishSecretRef"]["name"]);
                    }
                }
                other => return Err(Refusal(format!("volumes of kind {other} are not supported in virtual clusters"))),
            }
            Ok(volume)
        })
        .collect()
}

fn downward(source: &mut Value) {
    for item in source.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(reference) = item.get_mut("fieldRef") {
            field_reference(reference);
        }
    }
}

fn projected(
    projected: &mut Value,
    host: &dyn Fn(&Value) -> Value,
    tokens: &mut usize,
    context: &PodContext,
) -> Result<(), Refusal> {
    // `podCertificate` would be an identity of the host's own.
    const KNOWN: [&str; 4] = ["configMap", "secret", "downwardAPI", "serviceAccountToken"];
    for source in projected.get_mut("sources").and_then(Value::as_array_mut).into_iter().flatten() {
        let unknown = source
            .as_object()
            .into_iter()
            .flatten()
            .find(|(k, v)| !v.is_null() && !KNOWN.contains(&k.as_str()));
        if let Some((kind, _)) = unknown {
            return Err(Refusal(format!(
                "projected volumes of {kind} are not supported in virtual clusters"
            )));
        }
        for field in ["configMap", "secret"] {
            if source.get(field).is_some() {
                source[field]["name"] = host(&source[field]["name"]);
            }
        }
        if let Some(items) = source.get_mut("downwardAPI") {
            downward(items);
        }
        if let Some(token) = source.get("serviceAccountToken").cloned() {
            let key = format!("token-{tokens}");
            *tokens += 1;
            let path = token["path"].as_str().unwrap_or("token");
            *source =
                json!({"secret": {"name": context.token_secret, "items": [{"key": key, "path": path}]}});
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Cluster {
        Cluster::test()
    }

    fn translated(volume: Value) -> Result<Value, String> {
        let pod = json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {"volumes": [volume]}});
        let context = PodContext { token_secret: "tokens".into(), ..Default::default() };
        volumes(&cluster(), &pod, &context).map(|mut v| v.remove(0)).map_err(|r| r.0)
    }

    #[test]
    fn names_are_the_hosts() {
        let rows = [
            (
                json!({"name": "v", "configMap": {"name": "c"}}),
                json!({"name": "v", "configMap": {"name": "c-x-ns-x-demo"}}),
            ),
            (
                json!({"name": "v", "secret": {"secretName": "s"}}),
                json!({"name": "v", "secret": {"secretName": "s-x-ns-x-demo"}}),
            ),
            (
                json!({"name": "v", "ephemeral": {"volumeClaimTemplate": {}}}),
                json!({"name": "v", "persistentVolumeClaim": {"claimName": "p-v-x-ns-x-demo"}}),
            ),
            (
                json!({"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}),
                json!({"name": "v", "projected": {"sources": [{"secret": {"name": "tokens", "items": [{"key": "token-0", "path": "t"}]}}]}}),
            ),
        ];
        for (virtual_volume, host) in rows {
            assert_eq!(translated(virtual_volume).unwrap(), host);
        }
    }

    #[test]
    fn what_reaches_into_the_host_is_refused() {
        assert!(
            translated(json!({"name": "v", "hostPath": {"path": "/"}})).unwrap_err().contains("hostPath")
        );
        for kind in ["unheardOf", "gitRepo", "nfs", "csi", "iscsi", "rbd"] {
            assert!(translated(json!({"name": "v", kind: {}})).unwrap_err().contains(kind));
        }
        for source in ["podCertificate", "clusterTrustBundle"] {
            let volume = json!({"name": "v", "projected": {"sources": [{source: {"signerName": "kubernetes.io/kube-apiserver-client-pod"}}]}});
            assert!(translated(volume).unwrap_err().contains(source));
        }
    }
}
