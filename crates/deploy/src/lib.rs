//! What joey puts on a host: the VirtualCluster definition, and the objects that lead into one. Values only.

mod definition;
mod host_objects;
mod isolation;
mod manifests;
mod name_server;

pub use definition::{FINALIZER, GROUP, KIND, RESOURCE, Spec, VERSION, definition, gvr, virtual_cluster};
pub use host_objects::{api_endpoints, api_service, kubeconfig_secret, kubeconfig_secret_name};
pub use isolation::isolation;
pub use manifests::{Installation, manifests, namespace_rules};
pub use name_server::{dns_endpoints, dns_service, virtual_dns_endpoints, virtual_dns_service};
