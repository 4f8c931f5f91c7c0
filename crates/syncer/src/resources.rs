//! The resources that the syncer reads and writes, on both sides.

use object::GroupVersionResource;
use std::sync::LazyLock;

macro_rules! resources {
    ($($name:ident: $group:literal $version:literal $resource:literal;)*) => {
        $(
            #[doc = concat!("`", $resource, "`")]
            pub static $name: LazyLock<GroupVersionResource> =
                LazyLock::new(|| GroupVersionResource::new($group, $version, $resource));
        )*
    };
}

resources! {
    PODS: "" "v1" "pods";
    SERVICES: "" "v1" "services";
    CONFIG_MAPS: "" "v1" "configmaps";
    SECRETS: "" "v1" "secrets";
    CLAIMS: "" "v1" "persistentvolumeclaims";
    VOLUMES: "" "v1" "persistentvolumes";
    EVENTS: "" "v1" "events";
    NODES: "" "v1" "nodes";
    NAMESPACES: "" "v1" "namespaces";
    SERVICE_ACCOUNTS: "" "v1" "serviceaccounts";
    ENDPOINT_SLICES: "discovery.k8s.io" "v1" "endpointslices";
    NETWORK_POLICIES: "networking.k8s.io" "v1" "networkpolicies";
    INGRESSES: "networking.k8s.io" "v1" "ingresses";
    STORAGE_CLASSES: "storage.k8s.io" "v1" "storageclasses";
}
