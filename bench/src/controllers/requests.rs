//! What a server was asked, as its metrics tell: how often which verb on which resource.

use client::Client;
use std::collections::BTreeMap;

/// Counts by verb and resource, such as `PATCH pods/status`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Requests(BTreeMap<String, f64>);

impl Requests {
    /// Every request that the server has answered so far, watches and those of its own parts included.
    pub async fn of(client: &Client) -> Result<Self, String> {
        let text = client.raw("/metrics", "text/plain").await.map_err(|e| e.message())?;
        Ok(Self::read(&String::from_utf8_lossy(&text)))
    }

    fn read(metrics: &str) -> Self {
        let mut counts = BTreeMap::new();
        for line in metrics.lines() {
            let Some(rest) = line.strip_prefix("apiserver_request_total{") else { continue };
            let Some((labels, count)) = rest.rsplit_once("} ") else { continue };
            let label = |name: &str| {
                let (_, rest) = labels.split_once(&format!("{name}=\""))?;
                rest.split('"').next()
            };
            let mut what = format!("{} {}", label("verb").unwrap_or(""), label(",resource").unwrap_or(""));
            if let Some(subresource) = label("subresource").filter(|s| !s.is_empty()) {
                what = format!("{what}/{subresource}");
            }
            *counts.entry(what).or_default() += count.parse::<f64>().unwrap_or(0.0);
        }
        Self(counts)
    }

    /// Those since `before`.
    pub fn since(mut self, before: &Self) -> Self {
        for (what, count) in &mut self.0 {
            *count -= before.0.get(what).copied().unwrap_or(0.0);
        }
        self.0.retain(|_, count| *count > 0.0);
        self
    }

    pub fn total(&self) -> f64 {
        self.0.values().sum()
    }

    /// What was asked most, and how often.
    pub fn most(&self, count: usize) -> Vec<(&str, f64)> {
        let mut all: Vec<(&str, f64)> = self.0.iter().map(|(what, count)| (what.as_str(), *count)).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all.truncate(count);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_verb_and_resource() {
        let before = Requests::read(
            "apiserver_request_total{code=\"200\",resource=\"pods\",subresource=\"\",verb=\"GET\"} 3\n",
        );
        let after = Requests::read(
            "# TYPE apiserver_request_total counter\n\
             apiserver_request_total{code=\"200\",resource=\"pods\",subresource=\"\",verb=\"GET\"} 3\n\
             apiserver_request_total{code=\"200\",resource=\"pods\",subresource=\"status\",verb=\"PATCH\"} 4\n\
             apiserver_request_total{code=\"409\",resource=\"pods\",subresource=\"status\",verb=\"PATCH\"} 1\n",
        );
        let since = after.since(&before);
        assert_eq!((since.total(), since.most(2)), (5.0, vec![("PATCH pods/status", 5.0)]));
    }
}
