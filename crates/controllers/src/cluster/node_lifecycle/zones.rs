//! How fast nodes of a zone may be emptied: the more of them are silent, the more likely it is the network.

use super::health::ready;
use client::Cache;
use jiff::Timestamp;
use object::meta;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

use crate::resources::NODES;

/// Seconds from one node of a zone to the next (`--node-eviction-rate` 0.1).
const PACE: i64 = 10;
/// The same in a large zone most of which is silent (`--secondary-node-eviction-rate` 0.01).
const SLOW_PACE: i64 = 100;
/// Zones of more nodes are large (`--large-cluster-size-threshold`).
const LARGE: usize = 50;
/// The part of a zone's nodes that has to be silent for the zone to be disturbed, percent (`--unhealthy-zone-threshold`).
const UNHEALTHY_PERCENT: usize = 55;
/// Nodes with this label do not count.
const EXCLUDED: &str = "node.kubernetes.io/exclude-disruption";

/// Region and zone.
pub(super) type Zone = (String, String);

/// Where a node is.
pub(super) fn zone(node: &Value) -> Zone {
    let either = |stable: &str, beta: &str| {
        meta::label(node, stable).or_else(|| meta::label(node, beta)).unwrap_or("").to_owned()
    };
    (
        either("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"),
        either("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"),
    )
}

/// The state of all zones.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Zones {
    /// Nodes that are ready, and that are not.
    counts: BTreeMap<Zone, (usize, usize)>,
}

impl Zones {
    pub(super) fn of(cache: &Cache) -> Self {
        let mut counts: BTreeMap<_, (usize, usize)> = BTreeMap::new();
        for node in cache.values(&NODES, "").iter().filter(|node| meta::label(node, EXCLUDED).is_none()) {
            let (good, bad) = counts.entry(zone(node)).or_default();
            *(if ready(node) == "True" { good } else { bad }) += 1;
        }
        Self { counts }
    }

    /// Not one node is ready: rather it is this process that cannot hear.
    pub(super) fn all_silent(&self) -> bool {
        !self.counts.is_empty() && self.counts.values().all(|(good, bad)| *good == 0 && *bad > 0)
    }

    /// Seconds from one node to the next, `None` to leave them alone.
    fn pace(&self, zone: &Zone) -> Option<i64> {
        let (good, bad) = self.counts.get(zone).copied().unwrap_or_default();
        let disturbed = good > 0 && bad > 2 && bad * 100 >= (good + bad) * UNHEALTHY_PERCENT;
        match (disturbed, good + bad > LARGE) {
            (false, _) => Some(PACE),
            (true, true) => Some(SLOW_PACE),
            (true, false) => None,
        }
    }
}

/// When the next node of each zone may be emptied.
#[derive(Default)]
pub(super) struct Paces {
    next: HashMap<Zone, i64>,
}

impl Paces {
    /// Takes a turn: `Ok` if it is now, `Err` with the seconds to wait, or nothing if that cannot be said.
    pub(super) fn turn(&mut self, zones: &Zones, zone: Zone, now: Timestamp) -> Result<(), Option<i64>> {
        let pace = zones.pace(&zone).ok_or(None)?;
        let now = now.as_second();
        let next = self.next.entry(zone).or_insert(now);
        // A zone that was disturbed does not make up for it, but nor does it wait longer than its pace is now.
        *next = (*next).min(now + pace);
        if *next > now {
            return Err(Some(*next - now));
        }
        *next = now + pace;
        Ok(())
    }
}
