//! Which controllers there are, and how they start and stop.

use crate::driver::{Clock, Driver};
use crate::plan::Controller;
use crate::service_account_tokens::TokensController;
use access::tokens::PendingIssuer;
use client::{Cache, Client};
use tokio::task::JoinHandle;

/// Which controllers run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// All.
    #[default]
    All,
    /// None.
    None,
    /// Those named (see [`NAMES`]).
    List(Vec<String>),
}

impl Which {
    /// Reads `--controllers`: `all`, `none`, or names joined by commas, where `*` is all and `-name` takes one out.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "all" | "*" => return Ok(Self::All),
            "none" | "" => return Ok(Self::None),
            _ => {}
        }
        let words: Vec<_> = text.split(',').map(str::trim).collect();
        for word in &words {
            let name = word.strip_prefix('-').unwrap_or(word);
            if name != "*" && !NAMES.contains(&name) {
                return Err(format!("{name:?} is not in the list of known controllers"));
            }
        }
        let all = words.contains(&"*") || words.iter().all(|word| word.starts_with('-'));
        let wanted = |name: &&&str| {
            !words.iter().any(|word| word.strip_prefix('-') == Some(**name)) && (all || words.contains(*name))
        };
        Ok(Self::List(NAMES.iter().filter(wanted).map(|name| (*name).to_owned()).collect()))
    }

    /// All of these but one.
    pub fn without(self, name: &str) -> Self {
        match self {
            Self::None => Self::None,
            Self::All => {
                Self::List(NAMES.iter().filter(|known| **known != name).map(|n| (*n).to_owned()).collect())
            }
            Self::List(names) => Self::List(names.into_iter().filter(|known| known != name).collect()),
        }
    }

    fn wants(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::List(names) => names.iter().any(|wanted| wanted == name),
        }
    }
}

/// How the controllers of one cluster run.
#[derive(Clone)]
pub struct Options {
    /// Which of them.
    pub which: Which,
    /// The time.
    pub clock: Clock,
    /// What every namespace's `kube-root-ca.crt` says (PEM); without it none is published.
    pub root_ca: Option<String>,
    /// Signs certificate requests: the CA's certificate and private key (PEM); without it none is signed.
    pub signing_ca: Option<SigningCa>,
    /// Signs the tokens that are kept in secrets; without it none is made.
    pub token_issuer: Option<PendingIssuer>,
}

/// A certificate authority.
#[derive(Clone)]
pub struct SigningCa {
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub key: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { which: Which::All, clock: Clock::wall(), root_ca: None, signing_ca: None, token_issuer: None }
    }
}

/// Starts controllers.
pub struct Controllers;

/// Running controllers; dropping it stops them.
pub struct Handle {
    cache: Cache,
    tasks: Vec<JoinHandle<()>>,
}

impl Controllers {
    /// Starts controllers on the current tokio runtime.
    pub fn start(client: Client, options: Options) -> Handle {
        let (cache, reflectors) = Cache::new(client.with_user_agent("kube-controller-manager/v1.36.0"));
        let controllers: Vec<_> =
            all(&options).into_iter().filter(|controller| options.which.wants(controller.name())).collect();
        if controllers.is_empty() {
            return Handle { cache, tasks: vec![] };
        }
        let client = client.with_user_agent("kube-controller-manager/v1.36.0");
        let (driver, writer) = Driver::new(client, cache.clone(), options.clock.clone(), controllers);
        let tasks = vec![
            tokio::spawn(reflectors.run()),
            tokio::spawn(async move {
                tokio::join!(driver.run(), writer.run());
            }),
        ];
        Handle { cache, tasks }
    }
}

impl Handle {
    /// The copies that the controllers work from.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Stops, and waits until nothing runs any more.
    pub async fn stop(mut self) {
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            let _ = task.await;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.cache.unsubscribe_all();
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The controllers there are, as `--controllers` names them.
pub const NAMES: &[&str] = &[
    "namespace-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    "replicaset-controller",
    "replicationcontroller-controller",
    "deployment-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "statefulset-controller",
    "daemonset-controller",
    "job-controller",
    "cronjob-controller",
    "ttl-after-finished-controller",
    "endpointslice-mirroring-controller",
    "horizontal-pod-autoscaler-controller",
    "resourcequota-controller",
    "disruption-controller",
    "persistentvolume-binder-controller",
    "ephemeral-volume-controller",
    "persistentvolumeclaim-protection-controller",
    "persistentvolume-protection-controller",
    "volumeattributesclass-protection-controller",
    "clusterrole-aggregation-controller",
    "pod-garbage-collector-controller",
    "taint-eviction-controller",
    "node-lifecycle-controller",
    "certificatesigningrequest-approving-controller",
    "certificatesigningrequest-signing-controller",
    "persistentvolume-expander-controller",
    "resourceclaim-controller",
    "service-cidr-controller",
    "ttl-controller",
    "bootstrap-signer-controller",
    "token-cleaner-controller",
    "certificatesigningrequest-cleaner-controller",
    "validatingadmissionpolicy-status-controller",
    "legacy-serviceaccount-token-cleaner-controller",
];

fn all(options: &Options) -> Vec<Box<dyn Controller>> {
    use crate::workloads::{
        cron_job, daemon_set, deployment, job, replica_set, stateful_set, ttl_after_finished,
    };
    let mut all: Vec<Box<dyn Controller>> = vec![
        Box::new(crate::namespace::NamespaceController),
        Box::new(crate::service_account::ServiceAccountController),
        Box::new(replica_set::ReplicaSetController::replica_sets()),
        Box::new(replica_set::ReplicaSetController::replication_controllers()),
        Box::new(deployment::DeploymentController),
        Box::new(stateful_set::StatefulSetController),
        Box::new(daemon_set::DaemonSetController),
        Box::new(job::JobController::default()),
        Box::new(cron_job::CronJobController),
        Box::new(ttl_after_finished::TtlAfterFinished),
        Box::new(crate::garbage::GarbageCollector::default()),
        Box::new(crate::services::endpoints::EndpointsController::default()),
        Box::new(crate::services::endpoint_slices::EndpointSliceController::default()),
    ];
    all.extend(more());
    if let Some(ca) = &options.signing_ca {
        all.push(Box::new(crate::cluster::certificates::SigningController::new(ca.clone())));
    }
    if let Some(issuer) = &options.token_issuer {
        let controller = TokensController::new(issuer.clone(), options.root_ca.clone());
        all.push(Box::new(controller));
    }
    if let Some(root_ca) = &options.root_ca {
        all.push(Box::new(crate::root_ca::RootCaPublisher::new(root_ca.clone())));
    }
    all
}

fn more() -> Vec<Box<dyn Controller>> {
    use crate::cluster::{bootstrap_tokens, certificates, cluster_roles, node_lifecycle, node_ttl};
    use crate::cluster::{pod_garbage, resource_claims, taint_eviction};
    use crate::policy::{admission_policy, disruption, resource_quota};
    use crate::services::{cidrs, mirroring};
    use crate::volumes::{binder, ephemeral, expansion, protection};
    vec![
        Box::new(mirroring::EndpointSliceMirroringController),
        Box::new(crate::autoscaling::HorizontalPodAutoscalerController::default()),
        Box::new(resource_quota::ResourceQuotaController::default()),
        Box::new(disruption::DisruptionController),
        Box::new(binder::PersistentVolumeBinder),
        Box::new(ephemeral::EphemeralVolumeController),
        Box::new(protection::ClaimProtection),
        Box::new(protection::VolumeProtection),
        Box::new(protection::AttributesClassProtection),
        Box::new(cluster_roles::ClusterRoleAggregation),
        Box::new(pod_garbage::PodGarbageCollector::default()),
        Box::new(taint_eviction::TaintEvictionController::default()),
        Box::new(node_lifecycle::NodeLifecycleController::default()),
        Box::new(certificates::ApprovingController),
        Box::new(certificates::CleanerController),
        Box::new(expansion::VolumeExpansionController),
        Box::new(resource_claims::ResourceClaimController),
        Box::new(cidrs::ServiceCidrController),
        Box::new(node_ttl::NodeTtlController::default()),
        Box::new(bootstrap_tokens::BootstrapSigner),
        Box::new(bootstrap_tokens::TokenCleaner),
        Box::new(admission_policy::AdmissionPolicyStatusController),
        Box::new(crate::service_account_legacy_tokens::LegacyTokenCleaner),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_controller_has_a_name_in_the_list() {
        let key = access::keys::PrivateKey::generate().unwrap();
        let token_issuer = Some(access::tokens::TokenIssuer::new("i", key).into());
        let signing_ca = Some(SigningCa { certificate: String::new(), key: String::new() });
        let options =
            Options { root_ca: Some(String::new()), signing_ca, token_issuer, ..Options::default() };
        assert_eq!(all(&options).len(), NAMES.len());
        for controller in all(&options) {
            assert!(NAMES.contains(&controller.name()), "{}", controller.name());
        }
    }

    #[test]
    fn names_can_be_chosen_and_taken_out() {
        assert_eq!(Which::parse("all"), Ok(Which::All));
        assert_eq!(
            Which::parse("namespace-controller"),
            Ok(Which::List(vec!["namespace-controller".into()]))
        );
        let Ok(Which::List(most)) = Which::parse("*,-namespace-controller") else { panic!() };
        assert_eq!(most.len(), NAMES.len() - 1);
        assert!(Which::parse("nope").is_err());
    }
}
