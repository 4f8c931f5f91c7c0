//! Ingresses, IngressClasses, NetworkPolicies, IPAddresses and ServiceCIDRs.

pub mod addresses;
pub mod ingress;
pub mod policy;
