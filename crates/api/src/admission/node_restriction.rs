//! NodeRestriction: a kubelet writes what is its own, and nothing that would let it reach for more.
//!
//! What a node may touch at all is the node authorizer's, with which this goes; here it is about what it writes. Nobody but
//! nodes is looked at.

use super::{Operation, refused};
use crate::call::{Call, Target};
use crate::pipeline::Write;
use crate::{AuthorizationMode, failure, stored};
use access::Attributes;
use access::certificates::CertificateRequest;
use access::user::GROUP_NODES;
use base64::Engine;
use object::{ApiError, GroupResource, Result, Value, meta};
use std::collections::BTreeSet;

const MIRROR: &str = "kubernetes.io/config.mirror";

/// The node that makes a request. `Some("")`: a node, nobody knows which.
fn node_of(call: &Call) -> Option<&str> {
    let node = call.user.username.strip_prefix("system:node:")?;
    let restricted = call.api.config.access.authorization.contains(&AuthorizationMode::Node);
    (restricted && call.user.groups.iter().any(|group| group == GROUP_NODES)).then_some(node)
}

/// Refuses what a node may not write. `object`: as it will be, or was when it is deleted.
pub(super) async fn admit(write: &Write<'_>, operation: Operation, object: &Value) -> Result<()> {
    let Some(node) = node_of(write.call).filter(|_| operation != Operation::Connect) else { return Ok(()) };
    let storage = &write.target.resource.storage;
    let why = match (storage.group.as_str(), storage.resource.as_str()) {
        _ if node.is_empty() => {
            Some(format!("could not determine node from user {:?}", write.call.user.username))
        }
        ("", "pods") => match write.target.at.subresource.as_str() {
            "" => pod(write, operation, node, object).await?,
            "status" => pod_status(write.old, node, object),
            "eviction" => None,
            other => Some(format!(
                "unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed"
            )),
        },
        ("", "nodes") => own_node(write, operation, node, object),
        ("", "persistentvolumeclaims") if write.target.at.subresource == "status" => {
            claim_status(write.old, node, object)
        }
        ("", "persistentvolumeclaims") => Some("may only update PVC status".into()),
        ("coordination.k8s.io", "leases") => lease(write, node, object),
        ("storage.k8s.io", "csinodes") => (meta::name(object) != node)
            .then(|| "can only access CSINode with the same name as the requesting node".into()),
        ("resource.k8s.io", "resourceslices") => slice(operation, node, object),
        ("certificates.k8s.io", "certificatesigningrequests") => request(operation, node, object),
        _ => None,
    };
    why.map_or(Ok(()), |why| Err(refused(write, object, &why)))
}

/// A node may have tokens for its pods: of their account, and for whom they name.
pub(crate) async fn token(call: &Call, target: &Target, asked: &Value) -> Result<()> {
    let Some(node) = node_of(call) else { return Ok(()) };
    let forbid = |why: String| {
        Err(ApiError::Forbidden {
            resource: target.group_resource(),
            name: target.at.name.clone(),
            reason: why,
        })
    };
    let bound = &asked["spec"]["boundObjectRef"];
    let text = |key: &str| bound[key].as_str().unwrap_or("");
    if text("apiVersion") != "v1" || text("kind") != "Pod" || text("name").is_empty() {
        return forbid("node requested token not bound to a pod".into());
    }
    if text("uid").is_empty() {
        return forbid("node requested token with a pod binding without a uid".into());
    }
    let pod = pod_named(call, &target.at.namespace, text("name")).await?;
    if meta::uid(&pod) != text("uid") {
        return forbid(format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The object might have been \
             deleted and then recreated",
            text("uid")
        ));
    }
    if pod["spec"]["nodeName"] != node {
        return forbid("node requested token bound to a pod scheduled on a different node".into());
    }
    let audiences = asked["spec"]["audiences"].as_array().map_or(&[][..], Vec::as_slice);
    let audience = match audiences {
        [] => "",
        [one] => one.as_str().unwrap_or(""),
        _ => return forbid("node may only request 0 or 1 audiences".into()),
    };
    if names_audience(call, &pod, audience).await? {
        return Ok(());
    }
    let verb = "request-serviceaccounts-token-audience";
    let question =
        Attributes::resource(call.user.clone(), verb, "", audience, &target.at.namespace, &target.at.name);
    if crate::access_control::decide(&call.api, &question).await?.is_allowed() {
        return Ok(());
    }
    let user = &call.user.username;
    forbid(format!(
        "audience {audience:?} not found in pod spec volume, {user} is not authorized to request tokens for this audience"
    ))
}

/// A node may evict its own pods.
pub(crate) fn eviction(call: &Call, target: &Target, pod: &Value) -> Result<()> {
    match node_of(call) {
        Some(node) if pod["spec"]["nodeName"] != node => Err(ApiError::Forbidden {
            resource: target.group_resource(),
            name: target.at.name.clone(),
            reason: format!("node {node} can only evict pods with spec.nodeName set to itself"),
        }),
        _ => Ok(()),
    }
}

async fn get(call: &Call, key: &str) -> Result<Option<Value>> {
    let (entry, _) = call.api.store().get(key).await.map_err(failure::store)?;
    Ok(entry.as_ref().and_then(stored::decode))
}

async fn pod_named(call: &Call, namespace: &str, name: &str) -> Result<Value> {
    let pod = get(call, &format!("/core/pods/{namespace}/{name}")).await?;
    pod.ok_or_else(|| ApiError::NotFound { resource: GroupResource::new("", "pods"), name: name.into() })
}

/// Does a volume of the pod ask for tokens for this audience, by itself or through its CSI driver?
async fn names_audience(call: &Call, pod: &Value, audience: &str) -> Result<bool> {
    for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
        let sources = volume["projected"]["sources"].as_array().into_iter().flatten();
        let mut tokens = sources.map(|source| &source["serviceAccountToken"]).filter(|t| t.is_object());
        if tokens.any(|token| token["audience"].as_str().unwrap_or("") == audience) {
            return Ok(true);
        }
        let driver = match driver_of(call, pod, volume).await? {
            Some(driver) => get(call, &format!("/storage.k8s.io/csidrivers/{driver}")).await?,
            None => None,
        };
        let mut requests = driver.iter().flat_map(|d| d["spec"]["tokenRequests"].as_array()).flatten();
        if requests.any(|request| request["audience"].as_str().unwrap_or("") == audience) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn driver_of(call: &Call, pod: &Value, volume: &Value) -> Result<Option<String>> {
    if let Some(driver) = volume["csi"]["driver"].as_str() {
        return Ok(Some(driver.to_owned()));
    }
    let claim = match volume["persistentVolumeClaim"]["claimName"].as_str() {
        Some(claim) => claim.to_owned(),
        None if volume["ephemeral"].is_object() => {
            format!("{}-{}", meta::name(pod), volume["name"].as_str().unwrap_or(""))
        }
        None => return Ok(None),
    };
    let claim = get(call, &format!("/core/persistentvolumeclaims/{}/{claim}", meta::namespace(pod))).await?;
    let name = claim.as_ref().and_then(|claim| claim["spec"]["volumeName"].as_str());
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(None) };
    let volume = get(call, &format!("/core/persistentvolumes/{name}")).await?;
    Ok(volume.and_then(|volume| volume["spec"]["csi"]["driver"].as_str().map(str::to_owned)))
}

async fn pod(write: &Write<'_>, operation: Operation, node: &str, pod: &Value) -> Result<Option<String>> {
    let on_it = pod["spec"]["nodeName"] == node;
    match operation {
        Operation::Connect => Ok(None),
        Operation::Delete if on_it => Ok(None),
        Operation::Delete => {
            Ok(Some(format!("node {node:?} can only delete pods with spec.nodeName set to itself")))
        }
        Operation::Update => Ok(Some(format!(
            "unexpected operation \"UPDATE\", node {node:?} can only create and delete mirror pods"
        ))),
        Operation::Create => match mirror_pod(node, pod) {
            Some(why) => Ok(Some(why)),
            None => {
                let held = get(write.call, &format!("/core/nodes/{node}")).await?;
                let missing =
                    || ApiError::NotFound { resource: GroupResource::new("", "nodes"), name: node.into() };
                let own = held.ok_or_else(missing)?;
                let uid = pod["metadata"]["ownerReferences"][0]["uid"].as_str().unwrap_or("");
                let same = uid == meta::uid(&own);
                Ok((!same)
                    .then(|| format!("node {node} UID mismatch: expected {uid} got {}", meta::uid(&own))))
            }
        },
    }
}

/// What is wrong with a pod that a node makes to show one of its own.
fn mirror_pod(node: &str, pod: &Value) -> Option<String> {
    if meta::annotation(pod, MIRROR).is_none() {
        return Some(format!(
            "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
        ));
    }
    if pod["spec"]["nodeName"] != node {
        return Some(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    let to_itself = "owner reference set to itself";
    let owner = match meta::owner_references(pod) {
        [] => return Some(format!("node {node:?} can only create pods with an {to_itself}")),
        [one] => one,
        _ => return Some(format!("node {node:?} can only create pods with a single {to_itself}")),
    };
    if owner["apiVersion"] != "v1" || owner["kind"] != "Node" || owner["name"] != node {
        return Some(format!("node {node:?} can only create pods with an {to_itself}"));
    }
    if owner["controller"] != true {
        return Some(format!("node {node:?} can only create pods with a controller {to_itself}"));
    }
    if owner["blockOwnerDeletion"] == true {
        return Some(format!("node {node:?} must not set blockOwnerDeletion on an owner reference"));
    }
    let what = refers_to(pod)?;
    Some(format!("node {node:?} can not create pods that reference {what}"))
}

/// An object of the API that a pod needs, if there is one.
fn refers_to(pod: &Value) -> Option<&'static str> {
    let spec = &pod["spec"];
    if spec["serviceAccountName"].as_str().is_some_and(|name| !name.is_empty()) {
        return Some("serviceaccounts");
    }
    let each = |of: &Value, key: &str| of[key].as_array().cloned().unwrap_or_default();
    let kinds = ["initContainers", "containers", "ephemeralContainers"];
    let containers: Vec<Value> = kinds.iter().flat_map(|kind| each(spec, kind)).collect();
    let from = |source: &str, reference: &str| {
        containers.iter().any(|container| {
            each(container, "envFrom").iter().any(|env| env[source].is_object())
                || each(container, "env").iter().any(|env| env["valueFrom"][reference].is_object())
        })
    };
    if !each(spec, "imagePullSecrets").is_empty() || from("secretRef", "secretKeyRef") {
        return Some("secrets");
    }
    if from("configMapRef", "configMapKeyRef") {
        return Some("configmaps");
    }
    if !each(spec, "resourceClaims").is_empty() {
        return Some("resourceclaims");
    }
    let volumes = each(spec, "volumes");
    let held = |volume: &Value| {
        let plain = [
            ("configMap", "configmaps (via configmap volumes)"),
            ("secret", "secrets (via secret volumes)"),
            ("csi", "csidrivers (via CSI volumes)"),
            ("glusterfs", "endpoints (via glusterFS volumes)"),
            ("persistentVolumeClaim", "persistentvolumeclaims"),
            ("ephemeral", "persistentvolumeclaims (via ephemeral volumes)"),
            ("azureFile", "secrets (via azureFile volumes)"),
        ];
        let projected = [
            ("configMap", "configmaps (via projected volumes)"),
            ("secret", "secrets (via projected volumes)"),
            ("serviceAccountToken", "serviceaccounts (via projected volumes)"),
            ("clusterTrustBundle", "clustertrustbundles"),
            ("podCertificate", "podcertificates"),
        ];
        let sources = each(&volume["projected"], "sources");
        let found = |of: &Value, table: &[(&str, &'static str)]| {
            table.iter().find(|(key, _)| of[*key].is_object()).map(|(_, what)| *what)
        };
        found(volume, &plain).or_else(|| sources.iter().find_map(|source| found(source, &projected)))
    };
    volumes.iter().find_map(held)
}

fn pod_status(old: Option<&Value>, node: &str, pod: &Value) -> Option<String> {
    let old = old.unwrap_or(pod);
    if old["spec"]["nodeName"] != node {
        return Some(format!(
            "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
        ));
    }
    if old["metadata"]["labels"] != pod["metadata"]["labels"] {
        return Some(format!("node {node:?} cannot update labels through pod status"));
    }
    let differs = |field: &str| old["status"][field] != pod["status"][field];
    if differs("resourceClaimStatuses") {
        return Some(format!("node {node:?} cannot update resource claim statues"));
    }
    differs("extendedResourceClaimStatus")
        .then(|| format!("node {node:?} cannot update extended resource claim status"))
}

fn claim_status(old: Option<&Value>, node: &str, claim: &Value) -> Option<String> {
    let rest = |claim: &Value| {
        let mut rest = claim.clone();
        for field in ["capacity", "conditions", "allocatedResourceStatuses", "allocatedResources"] {
            meta::child_mut(&mut rest, "status").remove(field);
        }
        for field in ["resourceVersion", "managedFields"] {
            meta::child_mut(&mut rest, "metadata").remove(field);
        }
        rest
    };
    let same = old.is_none_or(|old| rest(old) == rest(claim));
    (!same).then(|| {
        format!(
            "node {node:?} is not allowed to update fields other than status.quantity and status.conditions"
        )
    })
}

fn own_node(write: &Write<'_>, operation: Operation, node: &str, object: &Value) -> Option<String> {
    if meta::name(object) != node {
        return Some(format!("node {node:?} is not allowed to modify node {:?}", meta::name(object)));
    }
    let config = &object["spec"]["configSource"];
    match (operation, write.old) {
        (Operation::Create, _) => {
            if !config.is_null() {
                return Some(format!(
                    "node {node:?} is not allowed to create pods with a non-nil configSource"
                ));
            }
            let labels = forbidden_labels(object, &Value::Null)?;
            Some(format!("node {node:?} is not allowed to set the following labels: {labels}"))
        }
        (Operation::Update, Some(old)) => {
            let same = |path: &str| {
                let of = |object: &Value| object.pointer(path).filter(|v| **v != object::json!([])).cloned();
                of(old) == of(object)
            };
            if !config.is_null() && !same("/spec/configSource") {
                return Some(format!(
                    "node {node:?} is not allowed to update configSource to a new non-nil configSource"
                ));
            }
            if !same("/spec/taints") {
                return Some(format!("node {node:?} is not allowed to modify taints"));
            }
            if !same("/metadata/ownerReferences") {
                return Some(format!("node {node:?} is not allowed to modify ownerReferences"));
            }
            Some(format!("is not allowed to modify labels: {}", forbidden_labels(object, old)?))
        }
        _ => None,
    }
}

/// Labels that changed and that a node must not set on itself, as a list; `None` when there are none.
fn forbidden_labels(new: &Value, old: &Value) -> Option<String> {
    const OWN: [&str; 11] = [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
    ];
    let labels = |object: &Value| object["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    let (new, old) = (labels(new), labels(old));
    let keys: BTreeSet<&String> = new.keys().chain(old.keys()).collect();
    let under = |space: &str, root: &str| {
        space.strip_suffix(root).is_some_and(|head| head.is_empty() || head.ends_with('.'))
    };
    let forbidden = |key: &str| {
        let space = key.split_once('/').map_or("", |(space, _)| space);
        let kubernetes = under(space, "kubernetes.io") || under(space, "k8s.io");
        let kubelets = under(space, "kubelet.kubernetes.io") || under(space, "node.kubernetes.io");
        under(space, "node-restriction.kubernetes.io") || (kubernetes && !kubelets && !OWN.contains(&key))
    };
    let changed = keys.into_iter().filter(|key| new.get(*key) != old.get(*key));
    let found: Vec<&str> = changed.map(String::as_str).filter(|key| forbidden(key)).collect();
    (!found.is_empty()).then(|| found.join(", "))
}

fn lease(write: &Write<'_>, node: &str, lease: &Value) -> Option<String> {
    if write.target.at.namespace != "kube-node-lease" {
        return Some("can only access leases in the \"kube-node-lease\" system namespace".into());
    }
    let own = meta::name(lease) == node;
    (!own).then(|| "can only access node lease with the same name as the requesting node".into())
}

fn slice(operation: Operation, node: &str, slice: &Value) -> Option<String> {
    let verb = match operation {
        Operation::Create => "create",
        Operation::Delete => "delete",
        Operation::Update | Operation::Connect => return None,
    };
    let own = slice["spec"]["nodeName"] == node;
    (!own).then(|| format!("can only {verb} ResourceSlice with the same NodeName as the requesting node"))
}

fn request(operation: Operation, node: &str, request: &Value) -> Option<String> {
    let signers = ["kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"];
    let signer = request["spec"]["signerName"].as_str().unwrap_or("");
    if operation != Operation::Create || !signers.contains(&signer) {
        return None;
    }
    let pem = request["spec"]["request"].as_str().unwrap_or("");
    let pem = base64::engine::general_purpose::STANDARD.decode(pem).unwrap_or_default();
    let asked = CertificateRequest::from_pem(&pem);
    let own = asked.is_ok_and(|asked| asked.common_name == format!("system:node:{node}"));
    (!own).then(|| format!("can only create a node CSR with CN=system:node:{node}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::json;

    #[test]
    fn labels_that_steer_pods() {
        let labels = |labels: Value| json!({"metadata": {"labels": labels}});
        for (new, old, forbidden) in [
            (json!({"a": "b", "example.com/x": "y"}), json!({}), None),
            (json!({"kubernetes.io/hostname": "n", "foo.node.kubernetes.io/x": ""}), json!({}), None),
            (json!({"kubernetes.io/x": "", "k8s.io/y": ""}), json!({}), Some("k8s.io/y, kubernetes.io/x")),
            (
                json!({"x.node-restriction.kubernetes.io/a": ""}),
                json!({}),
                Some("x.node-restriction.kubernetes.io/a"),
            ),
            (
                json!({}),
                json!({"node-restriction.kubernetes.io/a": ""}),
                Some("node-restriction.kubernetes.io/a"),
            ),
            (json!({"kubernetes.io/x": "1"}), json!({"kubernetes.io/x": "1"}), None),
            (json!({"notkubernetes.io/x": "1"}), json!({}), None),
        ] {
            let found = forbidden_labels(&labels(new.clone()), &labels(old));
            assert_eq!(found.as_deref(), forbidden, "{new}");
        }
    }

    #[test]
    fn mirror_pods() {
        let good = json!({
            "metadata": {"annotations": {MIRROR: "1"}, "ownerReferences": [
                {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u", "controller": true}]},
            "spec": {"nodeName": "n", "containers": [{"name": "c"}], "volumes": [{"name": "v", "emptyDir": {}}]},
        });
        assert_eq!(mirror_pod("n", &good), None);
        for (path, value, why) in [
            ("/metadata/annotations", json!({}), "can only create mirror pods"),
            ("/spec/nodeName", json!("m"), "spec.nodeName set to itself"),
            ("/metadata/ownerReferences", json!([]), "an owner reference set to itself"),
            ("/metadata/ownerReferences/0/controller", json!(false), "a controller owner reference"),
            ("/spec/volumes/0", json!({"name": "v", "secret": {}}), "secrets (via secret volumes)"),
            (
                "/spec/containers/0",
                json!({"name": "c", "env": [{"name": "e", "valueFrom": {"configMapKeyRef": {}}}]}),
                "reference configmaps",
            ),
        ] {
            let mut pod = good.clone();
            *pod.pointer_mut(path).unwrap() = value;
            let found = mirror_pod("n", &pod).unwrap();
            assert!(found.contains(why), "{found}");
        }
    }
}
