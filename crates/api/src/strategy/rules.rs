//! The table of per-kind rules.

use crate::call::Call;
use kinds::Resource;
use object::Value;

/// How `metadata.generation` is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Generation {
    /// Not kept: what the client says stays.
    Ignored,
    /// 1 at first, one more whenever one of these fields changes.
    Counted(&'static [&'static str]),
    /// As `Counted`, but the client chooses where it starts.
    Continued(&'static [&'static str]),
    /// Any change but of the metadata and the status (custom resources).
    AllButStatus,
    /// Any change but of the metadata's bookkeeping.
    Everything,
}

impl Generation {
    /// Whether the change from `old` to `new` counts.
    pub fn changed(self, new: &Value, old: &Value) -> bool {
        match self {
            Self::Ignored => false,
            Self::Counted(fields) | Self::Continued(fields) => fields.iter().any(|f| new[*f] != old[*f]),
            Self::AllButStatus => differs(new, old, &["metadata", "status"]),
            Self::Everything => {
                differs(new, old, &["metadata"])
                    || ["labels", "annotations"].iter().any(|f| new["metadata"][*f] != old["metadata"][*f])
            }
        }
    }
}

fn differs(new: &Value, old: &Value, except: &[&str]) -> bool {
    let keys =
        |v: &Value| -> Vec<String> { v.as_object().map(|m| m.keys().cloned().collect()).unwrap_or_default() };
    keys(new).iter().chain(&keys(old)).any(|k| !except.contains(&k.as_str()) && new.get(k) != old.get(k))
}

/// The grace period of a deletion: the object and what the client asked for.
pub(crate) type Grace = fn(&Value, Option<i64>) -> i64;
pub(crate) type PrepareCreate = fn(&Call, &mut Value);
pub(crate) type PrepareUpdate = fn(&Call, &str, &mut Value, &Value);

/// One kind's row.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub generation: Generation,
    /// The status of a new object starts empty, and updates of the object leave it alone.
    pub resets_status: bool,
    /// PUT of an absent object creates it.
    pub create_on_update: bool,
    /// PUT without a resourceVersion overwrites.
    pub unconditional_update: bool,
    /// DELETE answers with the object instead of a `Status`.
    pub returns_deleted: bool,
    /// Dependents are orphaned unless the client says otherwise.
    pub orphans_by_default: bool,
    /// Updates of the status leave labels, annotations and owners alone.
    pub status_keeps_metadata: bool,
    /// Deletion is graceful.
    pub grace: Option<Grace>,
    pub prepare_create: Option<PrepareCreate>,
    pub prepare_update: Option<PrepareUpdate>,
}

const DEFAULT: Rules = Rules {
    generation: Generation::Ignored,
    resets_status: true,
    create_on_update: false,
    unconditional_update: true,
    returns_deleted: false,
    orphans_by_default: false,
    status_keeps_metadata: true,
    grace: None,
    prepare_create: None,
    prepare_update: None,
};

const SPEC: Generation = Generation::Counted(&["spec"]);
const SPECD: Rules = Rules { generation: SPEC, ..DEFAULT };
const RETURNED: Rules = Rules { returns_deleted: true, ..DEFAULT };
const UPSERTED: Rules = Rules { create_on_update: true, ..DEFAULT };
const STRICT: Rules = Rules { unconditional_update: false, ..DEFAULT };
const POLICY: Rules = Rules { generation: SPEC, ..STRICT };
const WEBHOOKS: Rules = Rules { generation: Generation::Counted(&["webhooks"]), ..STRICT };
const CUSTOM: Rules = Rules { generation: Generation::AllButStatus, status_keeps_metadata: false, ..STRICT };

/// The rules of a resource's kind.
pub(crate) fn of(resource: &Resource) -> &'static Rules {
    if resource.custom {
        return &CUSTOM;
    }
    match (resource.storage.group.as_str(), resource.storage.resource.as_str()) {
        ("", "pods") => {
            const {
                &Rules {
                    generation: SPEC,
                    returns_deleted: true,
                    grace: Some(super::pod::grace),
                    prepare_create: Some(super::pod::prepare_create),
                    prepare_update: Some(super::pod::prepare_update),
                    ..DEFAULT
                }
            }
        }
        ("", "services") => {
            const {
                &Rules {
                    returns_deleted: true,
                    create_on_update: true,
                    prepare_update: Some(super::service::prepare_update),
                    ..DEFAULT
                }
            }
        }
        ("", "namespaces") => {
            const {
                &Rules {
                    prepare_create: Some(super::namespace::prepare_create),
                    prepare_update: Some(super::namespace::prepare_update),
                    ..DEFAULT
                }
            }
        }
        ("", "nodes") => {
            const { &Rules { resets_status: false, prepare_update: Some(super::workload::node_update), ..DEFAULT } }
        }
        ("", "persistentvolumes") => {
            const {
                &Rules {
                    returns_deleted: true,
                    prepare_create: Some(super::workload::volume_create),
                    ..DEFAULT
                }
            }
        }
        ("", "persistentvolumeclaims") => {
            const {
                &Rules {
                    returns_deleted: true,
                    prepare_create: Some(super::workload::claim_create),
                    ..DEFAULT
                }
            }
        }
        ("", "replicationcontrollers") => {
            const { &Rules { returns_deleted: true, orphans_by_default: true, ..SPECD } }
        }
        ("batch", "jobs") => {
            const {
                &Rules {
                    orphans_by_default: true,
                    prepare_create: Some(super::workload::job_create),
                    ..SPECD
                }
            }
        }
        ("apps", "deployments") => {
            const { &Rules { prepare_update: Some(super::workload::deployment_update), ..SPECD } }
        }
        ("", "serviceaccounts" | "resourcequotas") => &RETURNED,
        ("resource.k8s.io", "resourceclaims" | "resourceclaimtemplates") => &RETURNED,
        ("resource.k8s.io", "deviceclasses") => const { &Rules { generation: SPEC, ..RETURNED } },
        ("resource.k8s.io", "resourceslices") => &SPECD,
        ("", "podtemplates") => {
            const { &Rules { generation: Generation::Counted(&["template"]), create_on_update: true, ..RETURNED } }
        }
        ("", "endpoints" | "events" | "limitranges") => &UPSERTED,
        ("rbac.authorization.k8s.io", _) => &UPSERTED,
        ("coordination.k8s.io", "leases") => const { &Rules { create_on_update: true, ..STRICT } },
        ("storage.k8s.io", "csidrivers") => {
            const { &Rules { generation: Generation::Continued(&["spec"]), returns_deleted: true, ..STRICT } }
        }
        ("storage.k8s.io", "storageclasses") => &RETURNED,
        ("storage.k8s.io", "csinodes" | "volumeattachments" | "volumeattributesclasses") => {
            const { &Rules { returns_deleted: true, ..STRICT } }
        }
        ("storage.k8s.io", "csistoragecapacities") | ("node.k8s.io", _) | ("apiregistration.k8s.io", _) => {
            &STRICT
        }
        (
            "admissionregistration.k8s.io",
            "mutatingwebhookconfigurations" | "validatingwebhookconfigurations",
        ) => &WEBHOOKS,
        ("admissionregistration.k8s.io", _) => &POLICY,
        ("policy", "poddisruptionbudgets") => &POLICY,
        ("apiextensions.k8s.io", _) => {
            const {
                &Rules {
                    prepare_create: Some(super::custom_resource_definition::prepare_create),
                    prepare_update: Some(super::custom_resource_definition::prepare_update),
                    ..POLICY
                }
            }
        }
        ("discovery.k8s.io", "endpointslices") => {
            const { &Rules { generation: Generation::Everything, ..DEFAULT } }
        }
        ("scheduling.k8s.io", "priorityclasses") => {
            const { &Rules { generation: Generation::Counted(&["value"]), ..DEFAULT } }
        }
        ("apps" | "batch", "controllerrevisions") => &DEFAULT,
        ("apps" | "batch" | "networking.k8s.io" | "flowcontrol.apiserver.k8s.io", _) => &SPECD,
        _ => &DEFAULT,
    }
}
