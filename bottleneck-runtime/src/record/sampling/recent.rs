//! The addresses that a thread's samples found lately, by node: where calls before this one were, so and so long after their
//! beginning. Read and written by the signal handler of one thread alone.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions are below the number of addresses; casts saturate"
)]

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Nodes that a thread has addresses of at the same time.
pub(super) const GROUPS: usize = 32;
/// Addresses of a node.
const ADDRESSES: usize = 64;
/// Two rates that differ by less than this part of them are the same.
const SAME_RATE: f64 = 0.25;

/// The addresses of one node.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Group {
    /// Reference of the node; 0 for none.
    node: AtomicU32,
    /// Samples lately; a group that is used less is given to another node.
    uses: AtomicU32,
    /// Addresses written so far.
    written: AtomicU64,
    /// The newest sample: its instruction, call, address and time.
    last: [AtomicU64; 4],
    /// Bytes per tick from the sample before it to the newest one, as the bits of an `f64`; NaN for unknown.
    rate: AtomicU64,
    /// Bytes per tick that two pairs of samples agreed on; NaN where they did not.
    agreed: AtomicU64,
    /// Ticks since the call began, and address; 0 where there is none yet. Each part of a call has a place of its own, so that
    /// a long call does not push out what the one before it used later.
    addresses: [[AtomicU64; 2]; ADDRESSES],
}

/// The newest sample of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) sampled: u64,
    pub(super) open_since: u64,
    pub(super) address: u64,
    pub(super) ticks: u64,
}

impl Group {
    pub(super) fn clear(&self) {
        self.node.store(0, Relaxed);
        self.restart();
    }

    fn restart(&self) {
        self.uses.store(0, Relaxed);
        self.written.store(0, Relaxed);
        for word in self.last.iter().chain(self.addresses.iter().flatten()) {
            word.store(0, Relaxed);
        }
        for rate in [&self.rate, &self.agreed] {
            rate.store(f64::NAN.to_bits(), Relaxed);
        }
    }

    /// Adds a sample of a call; calls take `length` ticks on average, 0 if none has ended yet.
    pub(super) fn add(&self, found: Found, length: u64) {
        self.uses.store(self.uses.load(Relaxed).saturating_add(1), Relaxed);
        let since = found.ticks.saturating_sub(found.open_since);
        let written = self.written.load(Relaxed);
        let place = match length {
            0 => written as usize % ADDRESSES,
            length => (since as f64 / length as f64 * ADDRESSES as f64) as usize,
        };
        if let Some([phase, address]) = self.addresses.get(place.min(ADDRESSES - 1)) {
            phase.store(since, Relaxed);
            address.store(found.address, Relaxed);
            self.written.store(written + 1, Relaxed);
        }
        self.note_advance(found);
    }

    /// Whether the same instruction went on through memory at an even rate, or any came back to one address.
    fn note_advance(&self, found: Found) {
        let [sampled, open_since, address, ticks] =
            [0, 1, 2, 3].map(|at: usize| self.last[at].load(Relaxed));
        let now = [found.sampled, found.open_since, found.address, found.ticks];
        for (word, value) in self.last.iter().zip(now) {
            word.store(value, Relaxed);
        }
        let goes_on = sampled == found.sampled && address < found.address;
        let is_same_call = open_since == found.open_since && ticks < found.ticks;
        let rate = if is_same_call && (goes_on || address == found.address) {
            (found.address - address) as f64 / (found.ticks - ticks) as f64
        } else {
            f64::NAN
        };
        let before = f64::from_bits(self.rate.swap(rate.to_bits(), Relaxed));
        // Never true of what is unknown.
        let agrees = (rate - before).abs() <= SAME_RATE * rate;
        self.agreed.store(if agrees { rate } else { f64::NAN }.to_bits(), Relaxed);
    }

    /// Where the newest sample's instruction will be in so many ticks, if it goes through memory at an even rate or stays
    /// where it is.
    #[expect(clippy::cast_sign_loss, reason = "a positive number of bytes; the cast saturates")]
    pub(super) fn ahead(&self, ticks: u64) -> Option<u64> {
        let rate = f64::from_bits(self.agreed.load(Relaxed));
        let bytes = (0.0 <= rate).then_some((rate * ticks as f64) as u64)?;
        self.last[2].load(Relaxed).checked_add(bytes)
    }

    /// Addresses that calls used between these ticks after their beginning, from a random one on.
    pub(super) fn between(
        &self,
        from: u64,
        until: u64,
        random: u64,
    ) -> impl Iterator<Item = u64> + '_ {
        let first = random as usize % ADDRESSES;
        (first..ADDRESSES).chain(0..first).filter_map(move |at| {
            let [phase, address] = self.addresses.get(at)?;
            let phase = phase.load(Relaxed);
            let is_there = from <= phase && phase < until;
            is_there.then(|| address.load(Relaxed)).filter(|&address| address != 0)
        })
    }
}

/// The group of a node among those of a thread; given to it where another node had its place and was sampled less.
pub(super) fn group_of(groups: &[Group; GROUPS], node: u32) -> Option<&Group> {
    // Two places for each node, by 4 and 5 of the product's upper bits.
    let first = (node.wrapping_mul(0x9E37_79B1) >> 27) as usize % GROUPS;
    let places = [groups.get(first)?, groups.get(first ^ 1)?];
    if let Some(group) = places.into_iter().find(|group| group.node.load(Relaxed) == node) {
        return Some(group);
    }
    let group = places.into_iter().min_by_key(|group| group.uses.load(Relaxed))?;
    let uses = group.uses.load(Relaxed);
    if 0 < uses {
        group.uses.store(uses / 2, Relaxed);
        return None;
    }
    group.restart();
    group.node.store(node, Relaxed);
    Some(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> Box<[Group; GROUPS]> {
        // SAFETY: zeros are valid for atomics.
        unsafe { Box::new(core::mem::zeroed()) }
    }

    fn found(phase: u64, address: u64) -> Found {
        Found { sampled: 7, open_since: 1000, address, ticks: 1000 + phase }
    }

    #[test]
    fn addresses_come_back_by_the_time_since_the_call_began() {
        let groups = groups();
        let group = group_of(&groups, 5).unwrap();
        for at in 0..200 {
            group.add(found(at * 10, 0x1000 + at), 0);
        }
        // The last 64 are left: phases 1360 to 1990.
        let mut seen: Vec<u64> = group.between(0, 1400, 17).collect();
        seen.sort_unstable();
        assert_eq!(seen, [0x1000 + 136, 0x1000 + 137, 0x1000 + 138, 0x1000 + 139]);
        assert_eq!(group.between(1991, u64::MAX, 3).count(), 0);
        assert_eq!(group.between(0, u64::MAX, 3).count(), 64);
    }

    #[test]
    fn a_long_call_leaves_what_the_one_before_used_later() {
        // Calls of 1000 samples each; the second is at a quarter.
        let groups = groups();
        let group = group_of(&groups, 5).unwrap();
        for at in 0..1000 {
            group.add(found(at * 10, 0x10_0000 + at), 10_000);
        }
        for at in 0..250 {
            group.add(found(at * 10, 0x20_0000 + at), 10_000);
        }
        let later: Vec<u64> = group.between(2_500, 10_000, 3).collect();
        assert!(40 <= later.len() && later.iter().all(|address| address >> 20 == 1), "{later:x?}");
        let earlier = group.between(0, 2_400, 3);
        assert!(earlier.into_iter().all(|address| address >> 20 == 2));
    }

    #[test]
    fn a_node_that_is_sampled_more_takes_the_place_of_another() {
        let groups = groups();
        for node in 1..=200 {
            if let Some(group) = group_of(&groups, node) {
                group.add(found(1, u64::from(node)), 0);
            }
        }
        for _ in 0..20 {
            if let Some(group) = group_of(&groups, 777) {
                group.add(found(2, 0x7777), 0);
            }
        }
        let group = group_of(&groups, 777).unwrap();
        assert!(group.between(0, 10, 0).all(|address| address == 0x7777));
        assert!(10 < group.between(0, 10, 0).count());
    }

    #[test]
    fn only_an_even_advance_is_drawn_on() {
        let groups = groups();
        let group = group_of(&groups, 5).unwrap();
        group.add(found(1000, 10_000), 0);
        group.add(found(2000, 20_000), 0);
        assert_eq!(group.ahead(100), None, "one pair agrees with nothing");
        group.add(found(3000, 30_500), 0);
        assert_eq!(group.ahead(100), Some(30_500 + 1050));
        group.add(found(4000, 90_000), 0);
        assert_eq!(group.ahead(100), None, "a jump");
        group.add(found(5000, 20_000), 0);
        assert_eq!(group.ahead(100), None, "back");
        group.add(Found { open_since: 1, ..found(6000, 30_000) }, 0);
        assert_eq!(group.ahead(100), None, "another call");
    }

    #[test]
    fn what_stays_at_one_address_will_be_there() {
        let groups = groups();
        let group = group_of(&groups, 5).unwrap();
        group.add(found(1000, 10_000), 0);
        assert_eq!(group.ahead(100), None, "nothing before it");
        group.add(Found { sampled: 8, ..found(2000, 10_000) }, 0);
        assert_eq!(group.ahead(100), None, "one pair agrees with nothing");
        group.add(Found { sampled: 9, ..found(3000, 10_000) }, 0);
        assert_eq!(group.ahead(100), Some(10_000));
        group.add(found(4000, 10_100), 0);
        assert_eq!(group.ahead(100), None, "it moves");
    }
}
