//! Calls on behalf of tenants: to public addresses and to what is the tenant's own, and not into the networks that this process
//! happens to be in. Decided by the addresses that are dialled, whatever they are called.

use crate::{forward, posted};
use api::{Destination, Outbound};
use bytes::Bytes;
use client::Body;
use futures::future::BoxFuture;
use http::{Request, Response};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// Calls over TLS within a fence.
#[derive(Clone)]
pub struct Fenced(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl Fenced {
    /// `own` says which other addresses are the tenant's.
    pub fn new(own: Arc<dyn Fn(IpAddr) -> bool + Send + Sync>) -> Self {
        Self(own)
    }

    fn reach(&self, ip: IpAddr) -> bool {
        is_public(ip) || (self.0)(ip)
    }
}

impl Outbound for Fenced {
    fn post(&self, to: Destination, body: Bytes, timeout: Duration) -> BoxFuture<'_, Result<Bytes, String>> {
        Box::pin(async move { posted(to, body, timeout, &|ip| self.reach(ip)).await })
    }

    fn forward(
        &self,
        to: Destination,
        request: Request<Bytes>,
        upgrade: Option<node::Upgrade>,
    ) -> BoxFuture<'_, Result<Response<Body>, String>> {
        Box::pin(async move { forward::forward(to, request, upgrade, &|ip| self.reach(ip)).await })
    }
}

/// Whether an address is anybody's to call.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        // Shared by carriers (some hosts' pods are there), protocol assignments, benchmarks, and what is reserved.
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    // IPv4 in other clothes: mapped, translated (NAT64), 6to4.
    let inner = match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))),
        _ => None,
    };
    // Only these are given out; 2001:db8::/32 is for examples, 2001::/32 a tunnel.
    let global = segments[0] & 0xe000 == 0x2000 && !matches!(segments, [0x2001, 0 | 0xdb8, ..]);
    inner.map_or(global, is_public_v4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_anybodys_is_public() {
        for public in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::101:101"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "127.0.0.1",
            "10.96.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001:db8::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[tokio::test]
    async fn a_private_address_is_called_where_it_is_ones_own() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let said = |own: bool| async move {
            let to = Destination {
                url: format!("https://localhost:{}/", address.port()),
                connect: Some(("127.0.0.1".into(), address.port())),
                ..Destination::default()
            };
            Fenced::new(Arc::new(move |_| own))
                .post(to, Bytes::new(), Duration::from_millis(200))
                .await
                .unwrap_err()
        };
        assert!(said(false).await.ends_with("this virtual cluster may not call this address"));
        assert!(!said(true).await.contains("may not call"), "it got there, and nobody spoke");
    }
}
