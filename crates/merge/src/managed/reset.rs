//! What the strategies of the kinds reset: nobody comes to own it through that endpoint, however often it is sent.
//!
//! Not everything that is reset is listed by Kubernetes: a resize that also changes an image owns the image, though the
//! change is dropped.

use crate::fields::FieldFilter;
use object::GroupKind;

/// The filter for writes to `subresource` (empty: the main resource) of `kind`. `has_status`: the kind has a `status`
/// subresource; `custom`: it is defined by a CustomResourceDefinition.
pub fn reset_filter(kind: &GroupKind, subresource: &str, has_status: bool, custom: bool) -> FieldFilter {
    let group_kind = (kind.group.as_str(), kind.kind.as_str());
    match subresource {
        "" => match group_kind {
            ("certificates.k8s.io", "CertificateSigningRequest") => {
                FieldFilter::exclude(&[&["spec"], &["status"]])
            }
            _ if has_status => FieldFilter::exclude(&[&["status"]]),
            _ => FieldFilter::none(),
        },
        "status" if custom => FieldFilter::exclude(&[&["spec"], &["metadata"]]),
        "status" => status(group_kind),
        "approval" => FieldFilter::exclude(&[&["spec"], &["status", "certificate"]]),
        "finalize" => FieldFilter::exclude(&[&["status"]]),
        _ => FieldFilter::none(),
    }
}

fn status(group_kind: (&str, &str)) -> FieldFilter {
    match group_kind {
        ("", "Pod") => FieldFilter::exclude(&[
            &["spec"],
            &["metadata", "deletionTimestamp"],
            &["metadata", "ownerReferences"],
        ]),
        ("apps", "Deployment") => FieldFilter::exclude(&[&["spec"], &["metadata", "labels"]]),
        (
            "admissionregistration.k8s.io"
            | "apiextensions.k8s.io"
            | "apiregistration.k8s.io"
            | "flowcontrol.apiserver.k8s.io"
            | "resource.k8s.io",
            _,
        )
        | ("storage.k8s.io", "VolumeAttachment") => FieldFilter::exclude(&[&["spec"], &["metadata"]]),
        _ => FieldFilter::exclude(&[&["spec"]]),
    }
}
