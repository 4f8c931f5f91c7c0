//! Which addresses of the host's networks are a virtual cluster's own.

use crate::host::{Host, Watched};
use crate::resources::{PODS, SERVICES};
use object::Value;
use std::net::IpAddr;
use std::sync::Arc;
use translate::{Cluster, marks};

/// The addresses of one virtual cluster's pods and services, as the host has them.
pub struct Addresses {
    cluster: Cluster,
    watched: Arc<Watched>,
}

impl Addresses {
    /// Of `cluster` on `host`.
    pub fn new(host: &Host, cluster: &Cluster) -> Self {
        Self { cluster: cluster.clone(), watched: host.watched(&cluster.host_namespace) }
    }

    /// Whether somebody who calls this address gets to this virtual cluster's pods and nowhere else. A service without a selector
    /// leads wherever its tenant says, and so does not count.
    pub fn are_own(&self, ip: IpAddr) -> bool {
        let text = ip.to_string();
        let holds = |list: &Value, field: Option<&str>| {
            let mut all = list.as_array().into_iter().flatten();
            all.any(|a| field.map_or(a, |field| &a[field]).as_str() == Some(&text))
        };
        let objects = |gvr| self.watched.cache.values(gvr, &self.cluster.host_namespace);
        let own = |object: &Value| marks::origin(&self.cluster, object).is_some();
        let services = objects(&SERVICES);
        let selects =
            |service: &Value| service["spec"]["selector"].as_object().is_some_and(|s| !s.is_empty());
        let leads = |s: &Arc<Value>| own(s) && selects(s) && holds(&s["spec"]["clusterIPs"], None);
        let is_pod = |p: &Arc<Value>| {
            own(p) && p["spec"]["hostNetwork"] != true && holds(&p["status"]["podIPs"], Some("ip"))
        };
        services.iter().any(leads) || objects(&PODS).iter().any(is_pod)
    }
}
