//! What the engines of a device are busy with: pure interval arithmetic, in ns on the clock of the simulation.
//!
//! Work is placed when it is submitted, since all that it waits for has been submitted before: no thread has to run for time to
//! pass. Only what is behind a function of the program has to wait for its return.

use std::collections::VecDeque;

/// Ns on the clock of the simulation.
pub type Ns = u64;

/// When an operation runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// Its beginning.
    pub start: Ns,
    /// Its end, exclusive.
    pub end: Ns,
}

impl Interval {
    /// How long it is.
    pub fn length(self) -> Ns {
        self.end - self.start
    }
}

/// An engine that does one thing at a time: a copy engine.
#[derive(Debug, Default)]
pub struct Exclusive {
    /// Rising, without overlaps.
    busy: VecDeque<Interval>,
}

impl Exclusive {
    /// Takes the first gap of this length that begins at `ready` or later. What ended before `now` is forgotten.
    pub fn place(&mut self, ready: Ns, length: Ns, now: Ns) -> Interval {
        while self.busy.front().is_some_and(|it| it.end <= now.min(ready)) {
            self.busy.pop_front();
        }
        let mut start = ready;
        let mut at = 0;
        for it in &self.busy {
            if start + length <= it.start {
                break;
            }
            start = start.max(it.end);
            at += 1;
        }
        let placed = Interval { start, end: start + length };
        self.busy.insert(at, placed);
        placed
    }
}

/// The processors of a device: kernels run at the same time as long as there is room for them.
#[derive(Debug, Default)]
pub struct Shared {
    running: Vec<(Interval, f64)>,
}

/// Room that is missing by less than this is there.
const ROUNDING: f64 = 1e-9;

impl Shared {
    /// Takes the first time from `ready` on at which the part `occupancy` (0 to 1) of the processors is free for this long.
    /// What ended before `now` is forgotten.
    pub fn place(&mut self, ready: Ns, length: Ns, occupancy: f64, now: Ns) -> Interval {
        self.running.retain(|(it, _)| now.min(ready) < it.end);
        let mut starts: Vec<Ns> = self.running.iter().map(|(it, _)| it.end).collect();
        starts.retain(|&end| ready < end);
        starts.push(ready);
        starts.sort_unstable();
        let fits = |&start: &Ns| {
            let wanted = Interval { start, end: start + length };
            self.most_used(wanted) + occupancy <= 1.0 + ROUNDING
        };
        // At the end of all that runs everything is free.
        let start = starts.iter().copied().find(fits).or(starts.last().copied()).unwrap_or(ready);
        let placed = Interval { start, end: start + length };
        self.running.push((placed, occupancy));
        placed
    }

    /// The largest part that is in use at any time of an interval.
    fn most_used(&self, within: Interval) -> f64 {
        let overlaps =
            |it: &Interval| it.start < within.end.max(within.start + 1) && within.start < it.end;
        let all = || self.running.iter().filter(|(it, _)| overlaps(it));
        let used_at = |at: Ns| -> f64 {
            all().filter(|(it, _)| it.start <= at && at < it.end).map(|(_, part)| part).sum()
        };
        let begins = all().map(|(it, _)| it.start.max(within.start));
        begins.map(used_at).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Ns, end: Ns) -> Interval {
        Interval { start, end }
    }

    #[test]
    fn an_exclusive_engine_fills_its_gaps() {
        //  0    10   20   30   40
        //  |-a--|    |-b--|         c (5) fits between, d (15) only behind
        let mut engine = Exclusive::default();
        assert_eq!(engine.place(0, 10, 0), at(0, 10));
        assert_eq!(engine.place(20, 10, 0), at(20, 30));
        assert_eq!(engine.place(3, 5, 0), at(10, 15));
        assert_eq!(engine.place(3, 15, 0), at(30, 45));
        assert_eq!(engine.place(100, 1, 90), at(100, 101));
        assert_eq!(engine.busy.len(), 1, "what is over is forgotten");
    }

    #[test]
    fn kernels_share_the_processors_while_there_is_room() {
        let mut engine = Shared::default();
        assert_eq!(engine.place(0, 100, 0.5, 0), at(0, 100));
        assert_eq!(engine.place(10, 50, 0.5, 0), at(10, 60));
        // Full from 10 to 60: half of it is free then, all of it at 100.
        assert_eq!(engine.place(10, 10, 0.25, 0), at(60, 70));
        assert_eq!(engine.place(10, 10, 1.0, 0), at(100, 110));
    }

    #[test]
    fn a_kernel_that_fits_now_waits_if_it_would_not_fit_later() {
        //  |a .5---------|
        //        |b .5---|        c (.5, 10 long) fits from 0 to 5 only: it is placed behind b
        let mut engine = Shared::default();
        engine.place(0, 30, 0.5, 0);
        engine.place(5, 25, 0.5, 0);
        assert_eq!(engine.place(0, 10, 0.5, 0), at(30, 40));
        assert_eq!(engine.place(0, 5, 0.5, 0), at(0, 5));
    }
}
