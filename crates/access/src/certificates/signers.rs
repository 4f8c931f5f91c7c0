//! What the signers built into Kubernetes accept.

use super::request::CertificateRequest;
use crate::user::{GROUP_MASTERS, GROUP_NODES, NODE_USER_PREFIX};

/// Client certificates of any user.
pub const KUBE_APISERVER_CLIENT: &str = "kubernetes.io/kube-apiserver-client";
/// Client certificates of kubelets.
pub const KUBE_APISERVER_CLIENT_KUBELET: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// Serving certificates of kubelets.
pub const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
/// Anything, trusted by nobody.
pub const LEGACY_UNKNOWN: &str = "kubernetes.io/legacy-unknown";

/// Is the signer one of these?
pub fn is_built_in(signer: &str) -> bool {
    [KUBE_APISERVER_CLIENT, KUBE_APISERVER_CLIENT_KUBELET, KUBELET_SERVING, LEGACY_UNKNOWN].contains(&signer)
}

/// Would the signer sign this request, with these usages? Of signers that are not built in nothing is asked.
pub fn check_signer(signer: &str, request: &CertificateRequest, usages: &[&str]) -> Result<(), String> {
    match signer {
        KUBE_APISERVER_CLIENT => {
            let allowed =
                |usage: &&str| ["client auth", "digital signature", "key encipherment"].contains(usage);
            if usages.iter().all(allowed) && usages.contains(&"client auth") {
                Ok(())
            } else {
                Err("usages did not match a client certificate's".into())
            }
        }
        KUBE_APISERVER_CLIENT_KUBELET => {
            kubelet(request)?;
            let names = &request.alt_names;
            for (kind, none) in [
                ("DNS", names.dns.is_empty()),
                ("email", names.email.is_empty()),
                ("IP", names.ip.is_empty()),
                ("URI", names.uri.is_empty()),
            ] {
                if !none {
                    return Err(format!("{kind} subjectAltNames are not allowed"));
                }
            }
            usages_are(usages, "client auth")
        }
        KUBELET_SERVING => {
            kubelet(request)?;
            let names = &request.alt_names;
            if names.dns.is_empty() && names.ip.is_empty() {
                return Err("DNS or IP subjectAltName is required".into());
            }
            if !names.email.is_empty() {
                return Err("email subjectAltNames are not allowed".into());
            }
            if !names.uri.is_empty() {
                return Err("URI subjectAltNames are not allowed".into());
            }
            usages_are(usages, "server auth")
        }
        _ => Ok(()),
    }
}

/// A client certificate of `system:masters` could never be taken back: none may be asked for.
pub fn asks_for_masters(request: &CertificateRequest) -> bool {
    request.organizations.iter().any(|group| group == GROUP_MASTERS)
}

fn kubelet(request: &CertificateRequest) -> Result<(), String> {
    if request.organizations != [GROUP_NODES] {
        return Err("subject organization is not system:nodes".into());
    }
    if !request.common_name.starts_with(NODE_USER_PREFIX) {
        return Err("subject common name does not begin with system:node:".into());
    }
    Ok(())
}

/// Exactly `auth` and digital signature; key encipherment may be there (RSA keys need it).
fn usages_are(usages: &[&str], auth: &str) -> Result<(), String> {
    let mut given = usages.to_vec();
    given.sort_unstable();
    given.dedup();
    let mut all = ["digital signature", "key encipherment", auth];
    all.sort_unstable();
    let without_rsa: Vec<&str> = all.iter().copied().filter(|usage| *usage != "key encipherment").collect();
    if given == all || given == without_rsa {
        return Ok(());
    }
    Err(format!("usages did not match [{}]", all.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::SubjectAltNames;

    fn request(common_name: &str, organizations: &[&str], hosts: &[&str]) -> CertificateRequest {
        CertificateRequest {
            subject: vec![],
            common_name: common_name.into(),
            organizations: organizations.iter().map(|o| (*o).to_owned()).collect(),
            alt_names: SubjectAltNames::hosts(hosts.iter().copied()),
            public_key_info: vec![],
        }
    }

    #[test]
    fn what_signers_accept() {
        let client = ["digital signature", "key encipherment", "client auth"];
        let server = ["digital signature", "server auth"];
        let node = || request("system:node:n", &["system:nodes"], &[]);
        let serving = || request("system:node:n", &["system:nodes"], &["n", "10.0.0.1"]);
        for (signer, request, usages, error) in [
            (KUBE_APISERVER_CLIENT, request("jane", &["dev"], &[]), &client[..], ""),
            (
                KUBE_APISERVER_CLIENT,
                request("jane", &[], &[]),
                &server,
                "usages did not match a client certificate's",
            ),
            (KUBE_APISERVER_CLIENT_KUBELET, node(), &client, ""),
            (KUBE_APISERVER_CLIENT_KUBELET, serving(), &client, "DNS subjectAltNames are not allowed"),
            (
                KUBE_APISERVER_CLIENT_KUBELET,
                request("system:node:n", &[], &[]),
                &client,
                "subject organization is not system:nodes",
            ),
            (
                KUBE_APISERVER_CLIENT_KUBELET,
                request("n", &["system:nodes"], &[]),
                &client,
                "subject common name does not begin with system:node:",
            ),
            (
                KUBE_APISERVER_CLIENT_KUBELET,
                node(),
                &server,
                "usages did not match [client auth digital signature key encipherment]",
            ),
            (KUBELET_SERVING, serving(), &server, ""),
            (KUBELET_SERVING, node(), &server, "DNS or IP subjectAltName is required"),
            (LEGACY_UNKNOWN, request("", &[], &[]), &[], ""),
        ] {
            assert_eq!(check_signer(signer, &request, usages).err().unwrap_or_default(), error, "{signer}");
        }
        assert!(asks_for_masters(&request("x", &["a", "system:masters"], &[])));
        assert!(is_built_in(KUBELET_SERVING) && !is_built_in("example.com/own"));
    }
}
