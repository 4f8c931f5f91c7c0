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
    /// Any change but of the metadata, and of the labels (endpoint slices).
    WithLabels,
}

impl Generation {
    /// Whether the change from `old` to `new` counts.
    pub fn changed(self, new: &Value, old: &Value) -> bool {
        match self {
            Self::Ignored => false,
            Self::Counted(fields) | Self::Continued(fields) => fields.iter().any(|f| new[*f] != old[*f]),
            Self::AllButStatus => differs(new, old, &["metadata", "status"]),
            Self::WithLabels => {
                differs(new, old, &["metadata"]) || new["metadata"]["labels"] != old["metadata"]["labels"]
            }
        }
    }

    /// What a new object starts with; `None` leaves it to the client.
    pub fn initial(self) -> Option<i64> {
        (!matches!(self, Self::Ignored | Self::Continued(_))).then_some(1)
    }
}

fn differs(new: &Value, old: &Value, except: &[&str]) -> bool {
    let keys =
        |v: &Value| -> Vec<String> { v.as_object().map(|m| m.keys().cloned().collect()).unwrap_or_default() };
    keys(new).iter().chain(&keys(old)).any(|k| !except.contains(&k.as_str()) && new.get(k) != old.get(k))
}

/// What becomes of an object's dependents unless the client says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dependents {
    /// The garbage collector deletes them.
    Deleted,
    /// They lose their owner.
    Orphaned,
    /// It has none.
    Ignored,
}

const JOB_PODS_STAY: &str = "child pods are preserved by default when jobs are deleted; set \
                             propagationPolicy=Background to remove them or set propagationPolicy=Orphan to \
                             suppress this warning";

/// What of the metadata an update of the status leaves alone.
pub(crate) const NO_METADATA: &[&str] = &[];
const LABELS: &[&str] = &["labels"];
const OWNERS: &[&str] = &["ownerReferences"];
const METADATA: &[&str] = &["labels", "annotations", "ownerReferences", "finalizers"];

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
    /// What becomes of dependents by default.
    pub dependents: Dependents,
    /// What a client is told that deletes one without saying what becomes of its dependents.
    pub delete_warning: Option<&'static str>,
    /// Fields of the metadata that updates of the status leave alone.
    pub status_keeps: &'static [&'static str],
    /// Deletion is graceful.
    pub grace: Option<Grace>,
    /// A first deletion only marks the object, in this way.
    pub begin_deletion: Option<PrepareCreate>,
    pub prepare_create: Option<PrepareCreate>,
    pub prepare_update: Option<PrepareUpdate>,
}

const DEFAULT: Rules = Rules {
    generation: Generation::Ignored,
    resets_status: true,
    create_on_update: false,
    unconditional_update: true,
    returns_deleted: false,
    dependents: Dependents::Deleted,
    delete_warning: None,
    status_keeps: NO_METADATA,
    grace: None,
    begin_deletion: None,
    prepare_create: None,
    prepare_update: None,
};

const SPEC: Generation = Generation::Counted(&["spec"]);
const SPECD: Rules = Rules { generation: SPEC, ..DEFAULT };
const RETURNED: Rules = Rules { returns_deleted: true, ..DEFAULT };
const UPSERTED: Rules = Rules { create_on_update: true, ..DEFAULT };
const STRICT: Rules = Rules { unconditional_update: false, ..DEFAULT };
const POLICY: Rules = Rules { generation: SPEC, status_keeps: METADATA, ..STRICT };
const WEBHOOKS: Rules = Rules { generation: Generation::Counted(&["webhooks"]), ..STRICT };
const CUSTOM: Rules = Rules { generation: Generation::AllButStatus, status_keeps: METADATA, ..STRICT };

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
                    status_keeps: OWNERS,
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
                    begin_deletion: Some(super::namespace::begin_deletion),
                    prepare_create: Some(super::namespace::prepare_create),
                    prepare_update: Some(super::namespace::prepare_update),
                    ..DEFAULT
                }
            }
        }
        ("", "nodes") => {
            const { &Rules { resets_status: false, prepare_update: Some(super::workload::node_update), ..DEFAULT } }
        }
        ("certificates.k8s.io", "certificatesigningrequests") => {
            const {
                &Rules {
                    prepare_create: Some(super::certificate_signing_request::prepare_create),
                    prepare_update: Some(super::certificate_signing_request::prepare_update),
                    ..DEFAULT
                }
            }
        }
        ("apps", "daemonsets") => {
            const {
                &Rules {
                    prepare_create: Some(super::workload::daemon_set_create),
                    prepare_update: Some(super::workload::daemon_set_update),
                    ..SPECD
                }
            }
        }
        ("policy", "poddisruptionbudgets") => const { &Rules { status_keeps: NO_METADATA, ..POLICY } },
        ("apiregistration.k8s.io", _) => const { &Rules { status_keeps: METADATA, ..STRICT } },
        ("flowcontrol.apiserver.k8s.io", _) => const { &Rules { status_keeps: METADATA, ..SPECD } },
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
        ("", "replicationcontrollers") => const { &Rules { dependents: Dependents::Orphaned, ..SPECD } },
        ("batch", "jobs") => {
            const {
                &Rules {
                    dependents: Dependents::Orphaned,
                    delete_warning: Some(JOB_PODS_STAY),
                    prepare_create: Some(super::workload::job_create),
                    ..SPECD
                }
            }
        }
        ("apps", "deployments") => {
            const {
                &Rules {
                    status_keeps: LABELS,
                    prepare_update: Some(super::workload::deployment_update),
                    ..SPECD
                }
            }
        }
        ("", "resourcequotas") => &RETURNED,
        ("", "serviceaccounts") => {
            const {
                &Rules {
                    prepare_create: Some(super::small::clean_secrets),
                    prepare_update: Some(super::small::clean_secrets_update),
                    ..RETURNED
                }
            }
        }
        ("resource.k8s.io", "resourceclaims" | "resourceclaimtemplates") => {
            const { &Rules { status_keeps: METADATA, ..RETURNED } }
        }
        ("resource.k8s.io", "deviceclasses") => const { &Rules { generation: SPEC, ..RETURNED } },
        ("resource.k8s.io", "resourceslices") => {
            const {
                &Rules {
                    generation: SPEC,
                    prepare_create: Some(super::small::date_taints),
                    prepare_update: Some(super::small::date_taints_update),
                    ..RETURNED
                }
            }
        }
        ("", "podtemplates") => {
            const { &Rules { generation: Generation::Counted(&["template"]), create_on_update: true, ..RETURNED } }
        }
        ("", "events") => const { &Rules { dependents: Dependents::Ignored, ..UPSERTED } },
        ("", "endpoints") => &UPSERTED,
        ("", "limitranges") => {
            const { &Rules { prepare_create: Some(super::small::name_limit_range), ..UPSERTED } }
        }
        ("rbac.authorization.k8s.io", _) => &UPSERTED,
        ("coordination.k8s.io", "leases") => {
            const {
                &Rules {
                    create_on_update: true,
                    prepare_create: Some(super::workload::lease_create),
                    ..STRICT
                }
            }
        }
        ("storage.k8s.io", "csidrivers") => {
            const { &Rules { generation: Generation::Continued(&["spec"]), returns_deleted: true, ..STRICT } }
        }
        ("storage.k8s.io", "storageclasses") => &RETURNED,
        ("storage.k8s.io", "volumeattributesclasses") => &RETURNED,
        ("storage.k8s.io", "csinodes" | "volumeattachments") => {
            const { &Rules { returns_deleted: true, status_keeps: METADATA, ..STRICT } }
        }
        ("storage.k8s.io", "csistoragecapacities") | ("node.k8s.io", _) => &STRICT,
        (
            "admissionregistration.k8s.io",
            "mutatingwebhookconfigurations" | "validatingwebhookconfigurations",
        ) => &WEBHOOKS,
        ("admissionregistration.k8s.io", _) => &POLICY,
        ("apiextensions.k8s.io", _) => {
            const {
                &Rules {
                    status_keeps: NO_METADATA,
                    begin_deletion: Some(super::custom_resource_definition::begin_deletion),
                    prepare_create: Some(super::custom_resource_definition::prepare_create),
                    prepare_update: Some(super::custom_resource_definition::prepare_update),
                    ..POLICY
                }
            }
        }
        ("discovery.k8s.io", "endpointslices") => {
            const { &Rules { generation: Generation::WithLabels, ..DEFAULT } }
        }
        ("scheduling.k8s.io", "priorityclasses") => {
            const { &Rules { generation: Generation::Counted(&["value"]), ..DEFAULT } }
        }
        ("apps" | "batch", "controllerrevisions") => &DEFAULT,
        ("networking.k8s.io", "ipaddresses" | "servicecidrs") => &DEFAULT,
        ("apps" | "batch" | "networking.k8s.io", _) => &SPECD,
        _ => &DEFAULT,
    }
}
