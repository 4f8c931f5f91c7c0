//! Every built-in kind: how it is named, and its rules.

use crate::metadata::{NameCheck, NameRule};
use crate::node::Errors;
use crate::{
    admission, apiservices, autoscaling, certificates, config, coordination, crds, discovery, dra, events,
    flowcontrol, namespaces, networking, nodes, pod, policy, quotas, rbac, scheduling, services, storage,
    workloads,
};
use object::{GroupVersionKind, names};
use serde_json::Value;

/// Rules of a new object.
pub type Create = fn(&mut Errors, &Value);
/// Rules of an update: the new object and the old.
pub type Update = fn(&mut Errors, &Value, &Value);

/// One kind.
pub struct Row {
    /// Names and placement.
    pub name: NameRule,
    /// On creation.
    pub create: Create,
    /// On update.
    pub update: Update,
    /// On update of the status.
    pub status: Update,
    /// Whether an update checks the metadata as on creation too.
    pub revalidates_metadata: bool,
    /// Whether the kind checks changes of the metadata itself, on top of what is checked for all kinds.
    pub checks_changes: bool,
}

impl Row {
    /// An update is to this kind as good as a creation.
    fn renewed(self) -> Self {
        Self { checks_changes: false, ..self }
    }

    /// Finalizers are not held to Kubernetes' own names.
    fn lenient(self) -> Self {
        Self { name: NameRule { strict_finalizers: false, ..self.name }, ..self }
    }
}

const fn rule(check: NameCheck, namespaced: bool) -> NameRule {
    NameRule { check, namespaced, strict_finalizers: true }
}

/// In a namespace, named as a DNS subdomain.
const SUBDOMAIN: NameRule = rule(names::dns1123_subdomain, true);
/// Cluster-wide, named as a DNS subdomain.
pub const CLUSTER: NameRule = rule(names::dns1123_subdomain, false);
/// In a namespace, named as anything that can be part of a path.
const ANY_SEGMENT: NameRule =
    NameRule { check: names::path_segment_name, namespaced: true, strict_finalizers: false };
/// A Pod's.
pub const POD: NameRule = SUBDOMAIN;
/// A Namespace's.
pub const NAMESPACE_NAME: NameRule = rule(names::dns1123_label, false);

/// A custom kind's.
pub const fn custom(namespaced: bool) -> NameRule {
    NameRule { strict_finalizers: false, ..rule(names::dns1123_subdomain, namespaced) }
}

const fn row(name: NameRule, create: Create, update: Update, status: Update) -> Row {
    Row { name, create, update, status, revalidates_metadata: true, checks_changes: true }
}

const fn once(name: NameRule, create: Create, update: Update, status: Update) -> Row {
    Row { name, create, update, status, revalidates_metadata: false, checks_changes: true }
}

fn nothing(_: &mut Errors, _: &Value) {}

fn unchanged(_: &mut Errors, _: &Value, _: &Value) {}

fn any_name(_: &str) -> Vec<String> {
    vec![]
}

/// The rules of a kind; `None` for kinds without any, such as custom ones.
pub fn find(gvk: &GroupVersionKind) -> Option<Row> {
    match gvk.group.as_str() {
        "" => core(&gvk.kind),
        "apps" | "batch" | "autoscaling" | "policy" => workload(&gvk.kind),
        "networking.k8s.io" | "discovery.k8s.io" => network(&gvk.kind),
        "storage.k8s.io" => storage_kind(&gvk.kind),
        "rbac.authorization.k8s.io" => access(&gvk.kind),
        "admissionregistration.k8s.io" => admission_kind(&gvk.kind),
        "resource.k8s.io" => resource_kind(&gvk.kind),
        _ => other(&gvk.group, &gvk.kind),
    }
}

fn core(kind: &str) -> Option<Row> {
    Some(match kind {
        "Pod" => row(POD, pod::validate_create, pod::update::validate, pod::status::validate),
        "PodTemplate" => once(SUBDOMAIN, pod_template, |e, new, _| pod_template(e, new), unchanged),
        "Service" => row(
            rule(names::dns1123_label, true),
            services::service,
            services::service_update,
            services::service_status,
        ),
        "ConfigMap" => row(SUBDOMAIN, config::config_map, config::config_map_update, unchanged),
        "Secret" => row(SUBDOMAIN, config::secret, config::secret_update, unchanged),
        "ServiceAccount" => row(SUBDOMAIN, nothing, unchanged, unchanged),
        "Namespace" => row(NAMESPACE_NAME, namespaces::namespace, unchanged, namespaces::status),
        "Node" => row(CLUSTER, nodes::node, nodes::node_update, nodes::node_status),
        "Endpoints" => row(SUBDOMAIN, discovery::endpoints, discovery::endpoints_update, unchanged),
        "Event" => Row {
            name: ANY_SEGMENT,
            ..once(SUBDOMAIN, events::core_event, events::core_event_update, unchanged).renewed()
        },
        "LimitRange" => {
            row(SUBDOMAIN, quotas::limit_range, |e, new, _| quotas::limit_range(e, new), unchanged)
        }
        "ResourceQuota" => once(
            SUBDOMAIN,
            quotas::resource_quota,
            quotas::resource_quota_update,
            quotas::resource_quota_status,
        ),
        "ReplicationController" => {
            use workloads::replication::{
                replica_status, replication_controller, replication_controller_update,
            };
            once(SUBDOMAIN, replication_controller, replication_controller_update, replica_status)
        }
        "PersistentVolume" => {
            row(CLUSTER, storage::volumes::volume, storage::volumes::volume_update, unchanged)
        }
        "PersistentVolumeClaim" => {
            use storage::claims::{claim, claim_status, claim_update};
            row(SUBDOMAIN, claim, claim_update, claim_status)
        }
        _ => return None,
    })
}

fn pod_template(e: &mut Errors, object: &Value) {
    pod::validate_template(e, &crate::node::Node::root(object).get("template"));
}

fn workload(kind: &str) -> Option<Row> {
    use workloads::{cron, daemonset, deployment, job, replication, statefulset};
    Some(match kind {
        "Deployment" => once(
            SUBDOMAIN,
            deployment::deployment,
            deployment::deployment_update,
            deployment::deployment_status,
        ),
        "ReplicaSet" => once(
            SUBDOMAIN,
            replication::replica_set,
            replication::replica_set_update,
            replication::replica_status,
        ),
        "StatefulSet" => once(
            rule(names::dns1123_label, true),
            statefulset::stateful_set,
            statefulset::stateful_set_update,
            statefulset::stateful_set_status,
        ),
        "DaemonSet" => {
            once(SUBDOMAIN, daemonset::daemon_set, daemonset::daemon_set_update, daemonset::daemon_set_status)
        }
        "ControllerRevision" => row(
            SUBDOMAIN,
            replication::controller_revision,
            replication::controller_revision_update,
            unchanged,
        ),
        "Job" => once(SUBDOMAIN, job::job, job::job_update, job::job_status),
        "CronJob" => once(SUBDOMAIN, cron::cron_job, cron::cron_job_update, unchanged),
        "HorizontalPodAutoscaler" => {
            use autoscaling::{autoscaler, autoscaler_status, autoscaler_update};
            once(SUBDOMAIN, autoscaler, autoscaler_update, autoscaler_status)
        }
        "Scale" => once(SUBDOMAIN, autoscaling::scale, |e, new, _| autoscaling::scale(e, new), unchanged),
        "PodDisruptionBudget" => {
            once(ANY_SEGMENT, policy::budget, policy::budget_update, policy::budget_status).renewed()
        }
        _ => return None,
    })
}

fn network(kind: &str) -> Option<Row> {
    use networking::{addresses, ingress, policy};
    Some(match kind {
        "Ingress" => row(SUBDOMAIN, ingress::ingress, ingress::ingress_update, ingress::ingress_status),
        "IngressClass" => row(CLUSTER, ingress::ingress_class, ingress::ingress_class_update, unchanged),
        "NetworkPolicy" => once(SUBDOMAIN, policy::network_policy, policy::network_policy_update, unchanged),
        "IPAddress" => once(
            rule(addresses::ip_address_name, false),
            addresses::ip_address,
            addresses::ip_address_update,
            unchanged,
        ),
        "ServiceCIDR" => once(CLUSTER, addresses::service_cidr, addresses::service_cidr_update, unchanged),
        "EndpointSlice" => {
            row(SUBDOMAIN, discovery::endpoint_slice, discovery::endpoint_slice_update, unchanged).renewed()
        }
        _ => return None,
    })
}

fn storage_kind(kind: &str) -> Option<Row> {
    use storage::{classes, csi};
    Some(match kind {
        "StorageClass" => once(CLUSTER, classes::storage_class, classes::storage_class_update, unchanged),
        "VolumeAttributesClass" => {
            once(CLUSTER, classes::attributes_class, classes::attributes_class_update, unchanged)
        }
        "CSIDriver" => once(CLUSTER, csi::driver, csi::driver_update, unchanged),
        "CSINode" => row(CLUSTER, csi::node, csi::node_update, unchanged).renewed(),
        "CSIStorageCapacity" => once(SUBDOMAIN, csi::capacity, csi::capacity_update, unchanged),
        "VolumeAttachment" => row(CLUSTER, csi::attachment, csi::attachment_update, unchanged).renewed(),
        _ => return None,
    })
}

fn access(kind: &str) -> Option<Row> {
    let (here, everywhere) = (rule(names::path_segment_name, true), rule(names::path_segment_name, false));
    Some(match kind {
        "Role" => row(here, rbac::role, rbac::role_update, unchanged),
        "ClusterRole" => row(everywhere, rbac::cluster_role, rbac::cluster_role_update, unchanged),
        "RoleBinding" => row(here, rbac::role_binding, rbac::role_binding_update, unchanged),
        "ClusterRoleBinding" => {
            row(everywhere, rbac::cluster_role_binding, rbac::cluster_role_binding_update, unchanged)
        }
        _ => return None,
    })
}

fn admission_kind(kind: &str) -> Option<Row> {
    use admission::{policies, webhooks};
    let row = match kind {
        "ValidatingWebhookConfiguration" => {
            row(CLUSTER, webhooks::validating, webhooks::validating_update, unchanged)
        }
        "MutatingWebhookConfiguration" => {
            row(CLUSTER, webhooks::mutating, webhooks::mutating_update, unchanged)
        }
        "ValidatingAdmissionPolicy" => {
            row(CLUSTER, policies::validating, policies::validating_update, unchanged)
        }
        "ValidatingAdmissionPolicyBinding" => {
            row(CLUSTER, policies::validating_binding, policies::validating_binding_update, unchanged)
        }
        "MutatingAdmissionPolicy" => row(CLUSTER, policies::mutating, policies::mutating_update, unchanged),
        "MutatingAdmissionPolicyBinding" => {
            row(CLUSTER, policies::mutating_binding, policies::mutating_binding_update, unchanged)
        }
        _ => return None,
    };
    Some(row.renewed().lenient())
}

fn resource_kind(kind: &str) -> Option<Row> {
    use dra::{claims, slices};
    Some(match kind {
        "DeviceClass" => row(CLUSTER, claims::device_class, claims::device_class_update, unchanged),
        "ResourceClaim" => row(SUBDOMAIN, claims::claim, claims::claim_update, claims::claim_status),
        "ResourceClaimTemplate" => row(SUBDOMAIN, claims::template, claims::template_update, unchanged),
        "ResourceSlice" => row(CLUSTER, slices::slice, slices::slice_update, unchanged),
        _ => return None,
    })
}

fn other(group: &str, kind: &str) -> Option<Row> {
    Some(match (group, kind) {
        ("events.k8s.io", "Event") => once(SUBDOMAIN, events::event, events::event_update, unchanged),
        ("coordination.k8s.io", "Lease") => {
            once(SUBDOMAIN, coordination::lease, coordination::lease_update, unchanged).lenient()
        }
        ("scheduling.k8s.io", "PriorityClass") => {
            once(CLUSTER, scheduling::priority_class, scheduling::priority_class_update, unchanged)
        }
        ("node.k8s.io", "RuntimeClass") => {
            once(CLUSTER, scheduling::runtime_class, scheduling::runtime_class_update, unchanged).lenient()
        }
        ("certificates.k8s.io", "CertificateSigningRequest") => once(
            rule(any_name, false),
            certificates::request,
            certificates::request_update,
            certificates::request_status,
        ),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => row(
            CLUSTER,
            flowcontrol::flow_schema,
            |e, new, _| flowcontrol::flow_schema(e, new),
            |e, new, _| flowcontrol::conditions(e, new),
        )
        .renewed(),
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => row(
            CLUSTER,
            flowcontrol::priority_level,
            |e, new, _| flowcontrol::priority_level(e, new),
            |e, new, _| flowcontrol::conditions(e, new),
        )
        .renewed(),
        ("apiregistration.k8s.io", "APIService") => row(
            NameRule { check: names::path_segment_name, namespaced: false, strict_finalizers: false },
            apiservices::api_service,
            apiservices::api_service_update,
            apiservices::api_service_status,
        ),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => Row {
            name: NameRule { check: names::dns1123_subdomain, namespaced: false, strict_finalizers: false },
            ..once(CLUSTER, crds::definition, crds::definition_update, crds::definition_status)
        },
        _ => return None,
    })
}
