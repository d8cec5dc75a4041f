//! Whether the accesses of a piece of code run through memory in order, and how fast.

use crate::profile::sampling::Access;

use super::thresholds::{FASTER_THAN_DRAM, LEAST_PAIRS, PAIR_NS, STREAMING};

/// How accesses advance from one sample to the next of the same call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stream {
    /// Share of neighboring samples between which the address went forward, not faster than memory could deliver.
    pub(super) forward: f64,
    /// Bytes per second that go by, all arrays together.
    pub(super) bytes_per_s: f64,
}

impl Stream {
    /// From the accesses of one piece, by rising time; `None` where there are too few of one call. `bandwidth` is that of
    /// one thread, in bytes per second.
    pub(super) fn of(accesses: &[&Access], bandwidth: Option<f64>) -> Option<Self> {
        let fastest = 3.0 * bandwidth?;
        let mut n = 0_usize;
        let mut rates = Vec::new();
        let mut last: std::collections::HashMap<u32, &Access> = std::collections::HashMap::new();
        for access in accesses {
            let Some(address) = access.address else { continue };
            let Some(before) = last.insert(access.thread, access) else { continue };
            let ns = access.at_ns.saturating_sub(before.at_ns);
            let is_pair =
                access.call == before.call && access.span == before.span && access.call != 0;
            if !is_pair || ns == 0 || ns > PAIR_NS {
                continue;
            }
            n += 1;
            let forward = address.wrapping_sub(before.address.unwrap_or(address));
            let rate = forward as f64 * 1e9 / ns as f64;
            if forward > 0 && rate < fastest {
                rates.push(rate);
            }
        }
        if n < LEAST_PAIRS {
            return None;
        }
        let forward = rates.len() as f64 / n as f64;
        rates.sort_by(f64::total_cmp);
        let median = rates.get(rates.len() / 2).copied().unwrap_or(0.0);
        // With several arrays only every so many samples is of the same one as the sample before.
        let bytes_per_s = if forward > 0.0 { median / forward } else { 0.0 };
        Some(Self { forward, bytes_per_s })
    }

    /// Whether it is a stream at all.
    pub(super) fn is_one(&self) -> bool {
        self.forward >= STREAMING
    }

    /// A stream, and one that DRAM can deliver.
    pub(super) fn is_from_dram(&self, bandwidth: f64) -> bool {
        self.is_one() && self.bytes_per_s <= FASTER_THAN_DRAM * bandwidth
    }
}
