//! Server-side tables: the columns of a kind and the cells of an object, as `kubectl get` shows them.
//!
//! Columns of built-in kinds come from `facts/columns.txt`, those of custom ones from their definition; the cells of a
//! built-in kind are one small function in a module below. Printing never fails: what an object lacks is shown as
//! Kubernetes shows it, `<none>`, `<unset>`, `<unknown>` or nothing.

mod autoscaling;
mod cells;
mod cluster;
mod custom;
mod network;
mod nodes;
mod pods;
mod policy;
mod storage;
mod workloads;

use crate::resource::Resource;
use jiff::Timestamp;
use object::{Value, json, meta};
use std::collections::HashMap;
use std::sync::LazyLock;

/// A column of a Table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: String,
    /// `name` for the column that names the object, else mostly empty.
    pub format: String,
    /// For people.
    pub description: String,
    /// Shown always when 0, else only in wide output.
    pub priority: i64,
}

impl Column {
    /// A column of priority 0 with our description of that name.
    pub fn described(name: &str, kind: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            format: String::new(),
            description: describe(name).to_owned(),
            priority: 0,
        }
    }

    /// An entry of `columnDefinitions`.
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name, "type": self.kind, "format": self.format,
            "description": self.description, "priority": self.priority,
        })
    }
}

/// The columns of a resource's tables.
pub fn columns(resource: &Resource) -> Vec<Column> {
    if let Some(custom) = &resource.definition {
        return std::iter::once(name_column())
            .chain(custom.columns.iter().map(|c| c.column.clone()))
            .collect();
    }
    let key = format!("{} {}", resource.gvr.group_version(), resource.gvr.resource);
    COLUMNS
        .get(key.as_str())
        .cloned()
        .unwrap_or_else(|| vec![name_column(), Column::described("Created At", "date")])
}

/// The columns of tables that show an object of `kind` instead of the resource itself: a scale, or what has only metadata.
pub fn subresource_columns(kind: &str) -> Vec<Column> {
    match kind {
        "Scale" => vec![
            Column::described("Name", "string"),
            Column::described("Desired", "integer"),
            Column::described("Available", "integer"),
            Column::described("Age", "string"),
        ],
        _ => vec![name_column(), Column::described("Created At", "date")],
    }
}

/// The cells of an object, one for each of [`columns`] (or [`subresource_columns`], for an object of another kind).
pub fn row(resource: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
    let kind = object["kind"].as_str().unwrap_or(&resource.kind);
    if kind != resource.kind {
        return match kind {
            "Scale" => autoscaling::scale(object, now),
            _ => default_row(object),
        };
    }
    match &resource.definition {
        Some(custom) => custom::row(custom, object, now),
        None => printer(&resource.gvr.group, &resource.gvr.resource)
            .map_or_else(|| default_row(object), |p| p(object, now)),
    }
}

/// Puts objects in the order their table has; only flow schemas are not listed by name there.
pub fn sort(resource: &Resource, objects: &mut [&Value]) {
    if resource.gvr.resource == "flowschemas" && !resource.custom {
        let precedence = |o: &Value| o["spec"]["matchingPrecedence"].as_i64().unwrap_or(0);
        objects
            .sort_by(|a, b| precedence(a).cmp(&precedence(b)).then_with(|| meta::name(a).cmp(meta::name(b))));
    }
}

/// The cells of one object.
type Printer = fn(&Value, Timestamp) -> Vec<Value>;

fn printer(group: &str, resource: &str) -> Option<Printer> {
    Some(match (group, resource) {
        ("", "componentstatuses") => cluster::component_status,
        ("", "configmaps") => cluster::config_map,
        ("", "endpoints") => network::endpoints,
        ("" | "events.k8s.io", "events") => cluster::event,
        ("", "namespaces") => cluster::namespace,
        ("", "nodes") => nodes::node,
        ("", "persistentvolumeclaims") => storage::persistent_volume_claim,
        ("", "persistentvolumes") => storage::persistent_volume,
        ("", "pods") => pods::pod,
        ("", "podtemplates") => workloads::pod_template,
        ("", "replicationcontrollers") => workloads::replication_controller,
        ("", "resourcequotas") => cluster::resource_quota,
        ("", "secrets") => cluster::secret,
        ("", "services") => network::service,
        ("apiregistration.k8s.io", "apiservices") => cluster::api_service,
        ("apps", "controllerrevisions") => workloads::controller_revision,
        ("apps", "daemonsets") => workloads::daemon_set,
        ("apps", "deployments") => workloads::deployment,
        ("apps", "replicasets") => workloads::replica_set,
        ("apps", "statefulsets") => workloads::stateful_set,
        ("autoscaling", "horizontalpodautoscalers") => autoscaling::autoscaler,
        ("batch", "cronjobs") => workloads::cron_job,
        ("batch", "jobs") => workloads::job,
        ("certificates.k8s.io", "certificatesigningrequests") => policy::certificate_signing_request,
        ("networking.k8s.io", "ingressclasses") => network::ingress_class,
        ("networking.k8s.io", "ingresses") => network::ingress,
        ("networking.k8s.io", "ipaddresses") => network::ip_address,
        ("networking.k8s.io", "networkpolicies") => network::network_policy,
        ("networking.k8s.io", "servicecidrs") => network::service_cidr,
        ("policy", "poddisruptionbudgets") => policy::pod_disruption_budget,
        ("rbac.authorization.k8s.io", "clusterrolebindings" | "rolebindings") => policy::role_binding,
        ("storage.k8s.io", "csidrivers") => storage::csi_driver,
        ("storage.k8s.io", "csinodes") => storage::csi_node,
        ("storage.k8s.io", "storageclasses") => storage::storage_class,
        ("storage.k8s.io", "volumeattachments") => storage::volume_attachment,
        ("storage.k8s.io", "volumeattributesclasses") => storage::volume_attributes_class,
        ("admissionregistration.k8s.io", "mutatingadmissionpolicies") => policy::mutating_admission_policy,
        ("admissionregistration.k8s.io", "validatingadmissionpolicies") => {
            policy::validating_admission_policy
        }
        (
            "admissionregistration.k8s.io",
            "mutatingadmissionpolicybindings" | "validatingadmissionpolicybindings",
        ) => policy::admission_policy_binding,
        (
            "admissionregistration.k8s.io",
            "mutatingwebhookconfigurations" | "validatingwebhookconfigurations",
        ) => policy::webhook_configuration,
        ("scheduling.k8s.io", "priorityclasses") => policy::priority_class,
        ("coordination.k8s.io", "leases") => cluster::lease,
        ("node.k8s.io", "runtimeclasses") => nodes::runtime_class,
        ("discovery.k8s.io", "endpointslices") => network::endpoint_slice,
        ("resource.k8s.io", "resourceclaims") => nodes::resource_claim,
        ("resource.k8s.io", "resourceslices") => nodes::resource_slice,
        ("", "serviceaccounts") | ("resource.k8s.io", "deviceclasses" | "resourceclaimtemplates") => {
            cells::name_and_age
        }
        ("flowcontrol.apiserver.k8s.io", "flowschemas") => policy::flow_schema,
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations") => {
            policy::priority_level_configuration
        }
        _ => return None,
    })
}

/// Name and time of creation.
fn default_row(object: &Value) -> Vec<Value> {
    vec![meta::name(object).into(), meta::creation_timestamp(object).into()]
}

fn name_column() -> Column {
    Column { format: "name".into(), ..Column::described("Name", "string") }
}

static COLUMNS: LazyLock<HashMap<&'static str, Vec<Column>>> = LazyLock::new(|| {
    let lines = include_str!("../facts/columns.txt").lines().filter(|l| !l.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('\t'))
        .map(|(key, list)| (key, list.split('|').map(parse).collect()))
        .collect()
});

/// Reads `Name:type/format*priority`; all but the name may be left out.
fn parse(text: &str) -> Column {
    let (text, priority) = text.split_once('*').unwrap_or((text, "0"));
    let (text, format) = text.split_once('/').unwrap_or((text, ""));
    let (name, kind) = text.split_once(':').unwrap_or((text, "string"));
    Column {
        format: format.to_owned(),
        priority: priority.parse().unwrap_or(0),
        ..Column::described(name, kind)
    }
}

fn describe(name: &str) -> &'static str {
    let mut lines =
        include_str!("../facts/column-descriptions.txt").lines().filter_map(|line| line.split_once('\t'));
    lines.find(|(known, _)| *known == name).map_or("", |(_, description)| description)
}

#[cfg(test)]
mod tests;
