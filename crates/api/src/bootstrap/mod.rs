//! The objects every cluster has, made when they are missing: namespaces, roles, the `kubernetes` service, priority classes,
//! flow control. Written in one go, so that a new cluster costs one durable commit or two.

mod flow_control;

use crate::stored::{self, Stored};
use crate::{Api, api_services, failure};
use access::bootstrap_policy::{self, Reconcile};
use bytes::Bytes;
use futures::future::try_join_all;
use object::{Result, Value, json, meta};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use store::{Entry, Expect, ListRequest, StoreError, Write};

pub(crate) async fn run(api: &Api) -> Result<()> {
    let trust = extension_trust(crate::aggregation::published(api).await?);
    let wanted = wanted(api, &trust);
    let present = present(api, wanted.iter().map(|wanted| wanted.key.as_str())).await?;
    let mut writes = Vec::new();
    if let Some(entry) = present.get(EXTENSION_TRUST) {
        writes.extend(refreshed(entry, &trust["data"]));
    }
    for Wanted { key, object, reconciled } in wanted {
        match present.get(key.as_str()) {
            None => {
                let value = Some(object);
                writes.push(Write { key: key.into(), expect: Expect::Absent, value, ttl: None });
            }
            Some(entry) if reconciled => writes.extend(reconcile(entry, &object)),
            Some(_) => {}
        }
    }
    try_join_all(writes.into_iter().map(|w| async {
        match api.store().write(w).await {
            // Another server on the same store was quicker.
            Ok(_) | Err(StoreError::Conflict(_)) => Ok(()),
            Err(error) => Err(failure::store(error)),
        }
    }))
    .await?;
    Ok(())
}

/// An object that every cluster has.
struct Wanted {
    key: String,
    /// Encoded, as it is stored in a new cluster: as trees they take ten times the memory, and all are needed at once.
    object: Bytes,
    /// Whether it is brought up to date in a cluster that has it.
    reconciled: bool,
}

fn wanted(api: &Api, trust: &Value) -> Vec<Wanted> {
    let now = object::time::format(object::time::now());
    let trust = (EXTENSION_TRUST.to_owned(), trust.clone());
    let simple = simple(api).into_iter().chain([trust]).map(|(key, object)| (key, object, false));
    let roles = bootstrap_policy::objects().into_iter().map(|object| (role_key(&object), object, true));
    let encoded = simple.chain(roles).map(|(key, mut object, reconciled)| {
        complete(&mut object, &now);
        Wanted { key, object: stored::encode(&object), reconciled }
    });
    encoded.collect()
}

/// The write that brings what is stored up to date, if it is not.
fn reconcile(entry: &Entry, wanted: &Bytes) -> Option<Write> {
    let wanted = Stored::new(wanted)?.parse(entry.mod_revision)?;
    let (Reconcile::Create(changed) | Reconcile::Update(changed) | Reconcile::Recreate(changed)) =
        bootstrap_policy::reconcile(stored::decode(entry).as_ref(), &wanted)?;
    let value = Some(stored::encode(&changed));
    Some(Write { key: entry.key.clone(), expect: Expect::At(entry.mod_revision), value, ttl: None })
}

/// What there is of the wanted objects, by key: whole folders where many are wanted, so that a store far away is asked a
/// few times, and never what tenants have many of.
async fn present(api: &Api, wanted: impl Iterator<Item = &str>) -> Result<HashMap<Arc<str>, Entry>> {
    const MANY: usize = 6;
    let mut folders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for key in wanted {
        let folder = key.rfind('/').map_or(key, |end| &key[..=end]);
        folders.entry(folder).or_default().push(key);
    }
    let (whole, single): (Vec<_>, Vec<_>) = folders.into_iter().partition(|(_, keys)| keys.len() >= MANY);
    let listed =
        try_join_all(whole.into_iter().map(|(folder, _)| {
            api.store().list(ListRequest { prefix: folder.into(), ..Default::default() })
        }));
    let single: Vec<&str> = single.into_iter().flat_map(|(_, keys)| keys).collect();
    let got = try_join_all(single.into_iter().map(|key| api.store().get(key)));
    let (listed, got) = futures::future::try_join(listed, got).await.map_err(failure::store)?;
    let entries = listed.into_iter().flat_map(|listing| listing.entries);
    let entries = entries.chain(got.into_iter().filter_map(|(entry, _)| entry));
    Ok(entries.map(|entry| (entry.key.clone(), entry)).collect())
}

/// What every stored object has.
pub(crate) fn complete(object: &mut Value, now: &str) {
    meta::set(object, "uid", uuid::Uuid::new_v4().to_string());
    meta::set(object, "creationTimestamp", now);
}

fn role_key(object: &Value) -> String {
    let resource = match object["kind"].as_str() {
        Some("ClusterRole") => "clusterroles",
        Some("ClusterRoleBinding") => "clusterrolebindings",
        Some("Role") => "roles",
        _ => "rolebindings",
    };
    match meta::namespace(object) {
        "" => format!("/rbac.authorization.k8s.io/{resource}/{}", meta::name(object)),
        namespace => format!("/rbac.authorization.k8s.io/{resource}/{namespace}/{}", meta::name(object)),
    }
}

fn simple(api: &Api) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        all.push((format!("/core/namespaces/{name}"), namespace(name)));
    }
    for (name, value, description) in [
        (
            "system-cluster-critical",
            2_000_000_000_i64,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
        (
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
    ] {
        let class = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name, "generation": 1},
            "value": value, "description": description, "preemptionPolicy": "PreemptLowerPriority",
        });
        all.push((format!("/scheduling.k8s.io/priorityclasses/{name}"), class));
    }
    all.extend(kubernetes_service(api));
    all.extend(address_range(api));
    all.extend(api_services::builtin());
    all.extend(flow_control::objects());
    all.push((
        "/core/configmaps/kube-system/kube-apiserver-legacy-service-account-token-tracking".into(),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "kube-apiserver-legacy-service-account-token-tracking", "namespace": "kube-system"},
            "data": {"since": object::time::format(object::time::now())[..10]},
        }),
    ));
    all
}

const EXTENSION_TRUST: &str = "/core/configmaps/kube-system/extension-apiserver-authentication";

/// How extension API servers know whom to believe.
fn extension_trust(data: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"}, "data": data,
    })
}

/// The same object with what is to be said now, if it says something else.
fn refreshed(entry: &Entry, data: &Value) -> Option<Write> {
    let mut object = stored::decode(entry)?;
    if object["data"] == *data {
        return None;
    }
    object["data"] = data.clone();
    let value = Some(stored::encode(&object));
    Some(Write { key: entry.key.clone(), expect: Expect::At(entry.mod_revision), value, ttl: None })
}

fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
    })
}

/// The range of cluster IPs, and the one in use from the start.
fn address_range(api: &Api) -> Vec<(String, Value)> {
    let cidrs = api.config.addresses.cidrs();
    if cidrs.is_empty() {
        return Vec::new();
    }
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready",
        "lastTransitionTime": object::time::format(object::time::now()),
    });
    let range = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes", "finalizers": ["networking.k8s.io/service-cidr-finalizer"]},
        "spec": {"cidrs": cidrs}, "status": {"conditions": [ready]},
    });
    let address = api.config.kubernetes_service_ip;
    let family = if address.is_ipv6() { "IPv6" } else { "IPv4" };
    let taken = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
        "metadata": {"name": address.to_string(), "labels": {
            "ipaddress.kubernetes.io/ip-family": family, "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
        }},
        "spec": {"parentRef": {"group": "", "resource": "services", "namespace": "default", "name": "kubernetes"}},
    });
    vec![
        ("/networking.k8s.io/servicecidrs/kubernetes".into(), range),
        (format!("/networking.k8s.io/ipaddresses/{address}"), taken),
    ]
}

/// The service clients in the cluster find the API by, and where it leads.
fn kubernetes_service(api: &Api) -> Vec<(String, Value)> {
    let address = api.config.kubernetes_service_ip.to_string();
    let advertised = api.config.advertise;
    let family = if advertised.is_ipv6() { "IPv6" } else { "IPv4" };
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": advertised.port()}],
            "clusterIP": address, "clusterIPs": [address], "type": "ClusterIP", "sessionAffinity": "None",
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster",
        },
        "status": {"loadBalancer": {}},
    });
    let ports = json!([{"name": "https", "port": advertised.port(), "protocol": "TCP"}]);
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": advertised.ip().to_string()}], "ports": ports}],
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes", "namespace": "default", "generation": 1, "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": family,
        "endpoints": [{"addresses": [advertised.ip().to_string()], "conditions": {"ready": true}}],
        "ports": ports,
    });
    vec![
        ("/core/services/default/kubernetes".into(), service),
        ("/core/endpoints/default/kubernetes".into(), endpoints),
        ("/discovery.k8s.io/endpointslices/default/kubernetes".into(), slice),
    ]
}
