//! Services of a virtual cluster get their addresses from the host: the host service is made first, and what the host gave it
//! is what the tenant sees.

use api::{Assigned, ServiceAddresses};
use client::DeleteOptions;
use futures::future::BoxFuture;
use object::{ApiError, Result, Value, json, meta};
use std::sync::Arc;
use syncer::Host;
use syncer::resources::SERVICES;
use translate::{Cluster, marks};

/// Asks the host.
pub(crate) struct HostAddresses {
    pub host: Arc<Host>,
    pub cluster: Cluster,
}

impl HostAddresses {
    async fn assign_from_host(&self, service: &mut Value, old: Option<&Value>) -> Result<Assigned> {
        if service["spec"]["type"] == "ExternalName" {
            return Ok(Assigned::default());
        }
        if let Some(address) = self.cluster.dns.filter(|_| translate::is_name_server(service)) {
            service["spec"]["clusterIP"] = address.to_string().into();
            service["spec"]["clusterIPs"] = json!([address.to_string()]);
            service["spec"]["ipFamilies"] = json!([if address.is_ipv6() { "IPv6" } else { "IPv4" }]);
            service["spec"]["ipFamilyPolicy"] = "SingleStack".into();
            return Ok(Assigned::default());
        }
        let wanted = translate::service(&self.cluster, service);
        let name = meta::name(&wanted).to_owned();
        let held = self.host.client().find(&SERVICES, &self.cluster.host_namespace, &name).await?;
        let (host, taken) = match held {
            None => (self.host.client().create(&SERVICES, &wanted).await?, old.is_none()),
            Some(held) if marks::origin(&self.cluster, &held).is_none() => {
                return Err(ApiError::Internal(format!("host service {name} belongs to somebody else")));
            }
            // One that outlived an earlier virtual service of this name, or this service's own.
            Some(mut held) => {
                held["metadata"]["annotations"][marks::UID_ANNOTATION] = meta::uid(service).into();
                for field in ["ports", "selector", "type"] {
                    match wanted["spec"].get(field) {
                        Some(value) => held["spec"][field] = value.clone(),
                        None => drop(held["spec"].as_object_mut().and_then(|s| s.remove(field))),
                    }
                }
                (self.host.client().update(&SERVICES, &held).await?, false)
            }
        };
        translate::adopt_addresses(service, &host);
        Ok(Assigned { keys: if taken { vec![name] } else { vec![] } })
    }

    async fn delete(&self, name: &str, uid: &str) {
        let client = self.host.client();
        let held = client.find(&SERVICES, &self.cluster.host_namespace, name).await.ok().flatten();
        let ours = held.filter(|h| {
            meta::annotation(h, marks::UID_ANNOTATION) == Some(uid)
                && marks::origin(&self.cluster, h).is_some()
        });
        if let Some(held) = ours {
            let options = DeleteOptions::uid(meta::uid(&held));
            if let Err(error) = client.delete(&SERVICES, &self.cluster.host_namespace, name, &options).await {
                tracing::debug!(name, %error, "host service stays for now");
            }
        }
    }
}

impl ServiceAddresses for HostAddresses {
    fn assign<'a>(
        &'a self,
        service: &'a mut Value,
        old: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<Assigned>> {
        Box::pin(self.assign_from_host(service, old))
    }

    fn undo<'a>(&'a self, service: &'a Value, assigned: Assigned) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            for name in &assigned.keys {
                self.delete(name, meta::uid(service)).await;
            }
        })
    }

    fn release<'a>(&'a self, service: &'a Value) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let name = translate::names::host(&self.cluster, meta::namespace(service), meta::name(service));
            self.delete(&name, meta::uid(service)).await;
        })
    }
}
