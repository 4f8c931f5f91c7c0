//! Kubernetes' order of version names.

use std::cmp::{Ordering, Reverse};

/// Compares two version names so that the preferred one comes first: `v10`, `v2`, `v1`, `v2beta1`, `v1beta2`, `v1alpha1`,
/// then every other name in alphabetical order.
pub fn priority_order(a: &str, b: &str) -> Ordering {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => Reverse(a).cmp(&Reverse(b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// `(stability, major, minor)` of `v<major>[alpha|beta<minor>]`.
fn parse(version: &str) -> Option<(u8, u64, u64)> {
    let rest = version.strip_prefix('v')?;
    let (stability, major, minor) = if let Some((major, minor)) = rest.split_once("alpha") {
        (0, major, minor)
    } else if let Some((major, minor)) = rest.split_once("beta") {
        (1, major, minor)
    } else {
        (2, rest, "0")
    };
    Some((stability, number(major)?, if stability == 2 { 0 } else { number(minor)? }))
}

/// A positive number without a leading zero.
fn number(text: &str) -> Option<u64> {
    let digits = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    #[test]
    fn stable_before_beta_before_alpha_before_names() {
        let mut versions = [
            "foo",
            "v1alpha1",
            "v1",
            "v11beta2",
            "v2",
            "bar",
            "v10",
            "v01",
            "v1beta1",
            "v12alpha1",
            "v2beta1",
        ];
        versions.sort_by(|a, b| super::priority_order(a, b));
        assert_eq!(
            versions,
            [
                "v10",
                "v2",
                "v1",
                "v11beta2",
                "v2beta1",
                "v1beta1",
                "v12alpha1",
                "v1alpha1",
                "bar",
                "foo",
                "v01"
            ]
        );
    }
}
