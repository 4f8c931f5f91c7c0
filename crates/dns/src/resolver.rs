//! Looks up in the virtual cluster's API what a name asks for.

use crate::forward::Forwarder;
use crate::message;
use crate::name::{Asked, is_private, labels, parse};
use crate::records::{self, Endpoint, Port, SERVICE_LABEL};
use client::{Client, ListOptions};
use hickory_proto::op::Query;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use object::{GroupVersionResource, Result, Value, meta};
use rand::seq::SliceRandom;
use std::net::IpAddr;
use std::sync::Arc;

/// Seconds that an answer may be kept.
const TTL: u32 = 5;
/// Aliases followed from one name.
const CHAIN: usize = 8;
/// The specification that is followed.
const SPECIFICATION: &str = "1.1.0";

/// The names of one virtual cluster.
pub struct Resolver {
    client: Client,
    domain: Vec<String>,
    own: Vec<IpAddr>,
    forward: Option<Arc<Forwarder>>,
}

/// What became of a question.
pub(crate) enum Outcome {
    /// The name is there, with these records of the type asked for, and others that will be asked for next.
    Here { answers: Vec<Record>, additionals: Vec<Record> },
    /// There is no such name.
    NoName,
    /// Other servers know.
    Elsewhere,
}

/// What one name holds.
enum Held {
    Records(Vec<RData>, Vec<(Name, RData)>),
    Alias(Name),
    NoName,
    Elsewhere,
}

impl Held {
    const NOTHING: Self = Self::Records(Vec::new(), Vec::new());
}

impl Resolver {
    /// Answers for `domain` from what `client` sees. `own` are the addresses that clients reach this server by; without
    /// `forward` there are no other names.
    pub fn new(client: Client, domain: &str, own: Vec<IpAddr>, forward: Option<Arc<Forwarder>>) -> Self {
        let domain = domain.trim_matches('.').split('.').map(str::to_ascii_lowercase).collect();
        Self { client: client.with_user_agent("joey-dns"), domain, own, forward }
    }

    /// The record that says who answers for the domain, for answers that hold nothing else.
    pub(crate) fn start_of_authority(&self) -> Option<Record> {
        let zone = self.name(&[])?;
        let soa =
            SOA::new(self.name(&["ns", "dns"])?, self.name(&["hostmaster"])?, 1, 7200, 1800, 86400, TTL);
        Some(Record::from_rdata(zone, TTL, RData::SOA(soa)))
    }

    /// Whether this server answers for `name` by itself.
    pub(crate) fn is_own(&self, name: &Name) -> bool {
        labels(name).is_some_and(|l| l.ends_with(&self.domain))
    }

    /// Asks other servers, in their own words.
    pub(crate) async fn elsewhere(&self, question: &[u8], stream: bool) -> Option<Vec<u8>> {
        self.forward.as_ref()?.ask(question, stream).await
    }

    /// Answers a question from what is there now.
    pub(crate) async fn resolve(&self, query: &Query) -> Result<Outcome> {
        let kind = query.query_type();
        let mut name = query.name().clone();
        let mut answers = Vec::new();
        for _ in 0..CHAIN {
            match self.held(&name, kind).await? {
                Held::Records(data, more) => {
                    answers.extend(data.into_iter().map(|d| Record::from_rdata(name.clone(), TTL, d)));
                    let additionals = more.into_iter().map(|(n, d)| Record::from_rdata(n, TTL, d)).collect();
                    return Ok(Outcome::Here { answers, additionals });
                }
                Held::Alias(target) => {
                    answers.push(Record::from_rdata(name, TTL, RData::CNAME(CNAME(target.clone()))));
                    name = target;
                    if kind == RecordType::CNAME {
                        break;
                    }
                }
                Held::NoName if answers.is_empty() => return Ok(Outcome::NoName),
                Held::Elsewhere if answers.is_empty() => return Ok(Outcome::Elsewhere),
                Held::NoName => break,
                Held::Elsewhere => {
                    // Clients of a full resolver expect it to follow aliases.
                    if let Some(question) = message::question(name, kind)
                        && let Some(answer) = self.elsewhere(&question, false).await
                    {
                        answers.extend(message::answers(&answer));
                    }
                    break;
                }
            }
        }
        Ok(Outcome::Here { answers, additionals: Vec::new() })
    }

    async fn held(&self, name: &Name, kind: RecordType) -> Result<Held> {
        let Some(labels) = labels(name) else { return Ok(Held::Elsewhere) };
        Ok(match parse(&labels, &self.domain) {
            Asked::Foreign => Held::Elsewhere,
            Asked::Nothing => Held::NoName,
            Asked::Holder | Asked::PrivateHolder => Held::NOTHING,
            Asked::Domain => self.apex(kind),
            Asked::Version if kind == RecordType::TXT => {
                Held::Records(vec![RData::TXT(TXT::new(vec![SPECIFICATION.into()]))], vec![])
            }
            Asked::Version => Held::NOTHING,
            Asked::Server => Held::Records(addresses(&self.own, kind), vec![]),
            Asked::Namespace(namespace) => self.in_namespace(&namespace, vec![]).await?,
            Asked::Pod { namespace, address } => {
                self.in_namespace(&namespace, addresses(&[address], kind)).await?
            }
            Asked::Service { namespace, name } => self.service(&namespace, &name, None, kind).await?,
            Asked::Port { namespace, name, port, protocol } => {
                self.service(&namespace, &name, Some((&port, &protocol)), kind).await?
            }
            Asked::Endpoint { namespace, name, host } => {
                self.endpoint(&namespace, &name, &host, kind).await?
            }
            Asked::Reverse(address) => self.reverse(address, kind).await?,
        })
    }

    fn apex(&self, kind: RecordType) -> Held {
        let soa = self.start_of_authority().filter(|_| kind == RecordType::SOA).map(|r| r.data);
        let ns = self.name(&["ns", "dns"]).filter(|_| kind == RecordType::NS).map(|n| RData::NS(NS(n)));
        Held::Records(soa.into_iter().chain(ns).collect(), vec![])
    }

    /// Pods' names are their addresses: only that there is such a namespace is looked at.
    async fn in_namespace(&self, namespace: &str, data: Vec<RData>) -> Result<Held> {
        let found = self.client.find(&core("namespaces"), "", namespace).await?;
        Ok(if found.is_some() { Held::Records(data, vec![]) } else { Held::NoName })
    }

    async fn service(
        &self,
        ns: &str,
        name: &str,
        port: Option<(&str, &str)>,
        kind: RecordType,
    ) -> Result<Held> {
        let Some(service) = self.client.find(&core("services"), ns, name).await? else {
            return Ok(Held::NoName);
        };
        if let Some(target) = records::external_name(&service) {
            return Ok(external(target, port, kind));
        }
        let endpoints = if records::is_headless(&service) {
            records::ready(&self.slices(ns, name).await?)
        } else {
            let ports = records::service_ports(&service);
            let all = records::cluster_addresses(&service).into_iter();
            all.map(|address| Endpoint { host: String::new(), address, ports: ports.clone() }).collect()
        };
        let wanted = |p: &Port| port.is_none_or(|(name, protocol)| p.name == name && p.protocol == protocol);
        let there = match port {
            None => !endpoints.is_empty() || !records::is_headless(&service),
            Some(_) => endpoints.iter().any(|e| e.ports.iter().any(wanted)),
        };
        if !there {
            return Ok(Held::NoName);
        }
        if kind == RecordType::SRV {
            return Ok(self.places(ns, name, &endpoints, wanted));
        }
        let mut all: Vec<IpAddr> = endpoints.iter().map(|e| e.address).collect();
        if port.is_some() {
            all.clear();
        }
        all.dedup();
        all.shuffle(&mut rand::rng());
        Ok(Held::Records(addresses(&all, kind), vec![]))
    }

    /// SRV records, and the addresses that they lead to.
    fn places(&self, ns: &str, name: &str, endpoints: &[Endpoint], wanted: impl Fn(&Port) -> bool) -> Held {
        let (mut places, mut more): (Vec<RData>, Vec<(Name, RData)>) = (Vec::new(), Vec::new());
        for endpoint in endpoints {
            let target = match endpoint.host.as_str() {
                "" => self.name(&[name, ns, "svc"]),
                host => self.name(&[host, name, ns, "svc"]),
            };
            let Some(target) = target else { continue };
            for port in endpoint.ports.iter().filter(|p| wanted(p)) {
                let place = RData::SRV(SRV::new(0, 100, port.number, target.clone()));
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            more.push((target, to_data(endpoint.address)));
        }
        Held::Records(places, more)
    }

    async fn endpoint(&self, ns: &str, name: &str, host: &str, kind: RecordType) -> Result<Held> {
        if self.client.find(&core("services"), ns, name).await?.is_none() {
            return Ok(Held::NoName);
        }
        let endpoints = records::ready(&self.slices(ns, name).await?);
        let mut all: Vec<IpAddr> =
            endpoints.into_iter().filter(|e| e.host == host).map(|e| e.address).collect();
        all.dedup();
        Ok(if all.is_empty() { Held::NoName } else { Held::Records(addresses(&all, kind), vec![]) })
    }

    async fn slices(&self, namespace: &str, service: &str) -> Result<Vec<Value>> {
        let options = ListOptions::labels(format!("{SERVICE_LABEL}={service}"));
        Ok(self.client.list_all(&slices(), namespace, &options).await?.items)
    }

    async fn reverse(&self, address: IpAddr, kind: RecordType) -> Result<Held> {
        let unknown = || if is_private(address) { Held::NoName } else { Held::Elsewhere };
        let Some(name) = self.owner(address).await? else { return Ok(unknown()) };
        let pointers = if kind == RecordType::PTR { vec![RData::PTR(PTR(name))] } else { vec![] };
        Ok(Held::Records(pointers, vec![]))
    }

    /// The name of what has this address: a service, or an endpoint of a headless one.
    async fn owner(&self, address: IpAddr) -> Result<Option<Name>> {
        let services = self.client.list_all(&core("services"), "", &ListOptions::default()).await?.items;
        if let Some(service) = services.iter().find(|s| records::cluster_addresses(s).contains(&address)) {
            return Ok(self.name(&[meta::name(service), meta::namespace(service), "svc"]));
        }
        let all = self.client.list_all(&slices(), "", &ListOptions::default()).await?.items;
        for slice in &all {
            let Some((namespace, service)) = records::service_of(slice) else { continue };
            let endpoints = records::ready(std::slice::from_ref(slice));
            let Some(endpoint) = endpoints.iter().find(|e| e.address == address) else { continue };
            let headless = |s: &&Value| {
                meta::name(s) == service && meta::namespace(s) == namespace && records::is_headless(s)
            };
            if services.iter().any(|s| headless(&s)) {
                return Ok(self.name(&[&endpoint.host, service, namespace, "svc"]));
            }
        }
        Ok(None)
    }

    /// A name of the domain.
    fn name(&self, labels: &[&str]) -> Option<Name> {
        let all = labels.iter().copied().chain(self.domain.iter().map(String::as_str));
        Name::from_labels(all.map(str::as_bytes)).ok()
    }
}

/// An alias, or an address that somebody wrote where a name belongs.
fn external(target: &str, port: Option<(&str, &str)>, kind: RecordType) -> Held {
    if port.is_some() {
        return Held::NoName;
    }
    if let Ok(address) = target.parse() {
        return Held::Records(addresses(&[address], kind), vec![]);
    }
    match Name::from_ascii(target) {
        Ok(mut name) => {
            name.set_fqdn(true);
            Held::Alias(name)
        }
        Err(_) => Held::NOTHING,
    }
}

fn to_data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(v4) => RData::A(A(v4)),
        IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
    }
}

/// The addresses that a record of this type can hold.
fn addresses(all: &[IpAddr], kind: RecordType) -> Vec<RData> {
    let fits = |a: &&IpAddr| match kind {
        RecordType::A => a.is_ipv4(),
        RecordType::AAAA => a.is_ipv6(),
        _ => false,
    };
    all.iter().filter(fits).map(|a| to_data(*a)).collect()
}

fn core(resource: &str) -> GroupVersionResource {
    GroupVersionResource::new("", "v1", resource)
}

fn slices() -> GroupVersionResource {
    GroupVersionResource::new("discovery.k8s.io", "v1", "endpointslices")
}
