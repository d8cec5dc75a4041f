//! Sets of time: sorted stretches without overlaps, and what is common to them or missing in them.

/// A set of moments, in ns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stretches(Vec<(u64, u64)>);

impl Stretches {
    /// The union of intervals `(start, end)` in any order; those that end where they start, or before, are empty.
    pub(super) fn of(intervals: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut all: Vec<(u64, u64)> =
            intervals.into_iter().filter(|(start, end)| start < end).collect();
        all.sort_unstable();
        let mut res: Vec<(u64, u64)> = Vec::with_capacity(all.len());
        for (start, end) in all {
            match res.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => res.push((start, end)),
            }
        }
        Self(res)
    }

    /// How long it is.
    pub(super) fn ns(&self) -> u64 {
        self.0.iter().map(|(start, end)| end - start).sum()
    }

    /// The stretches, the earliest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    /// The part from `start` to `end`. Costs a search, and what lies there.
    #[must_use]
    pub(super) fn around(&self, start: u64, end: u64) -> Self {
        let first = self.0.partition_point(|&(_, its_end)| its_end <= start);
        let inside = self.0[first..].iter().take_while(|&&(its_start, _)| its_start < end);
        Self(inside.map(|&(its_start, its_end)| (its_start.max(start), its_end.min(end))).collect())
    }

    /// What is in both.
    pub(super) fn and(&self, other: &Self) -> Self {
        let (mut own, mut others) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut res = Vec::new();
        while let (Some(a), Some(b)) = (own.peek(), others.peek()) {
            let common = (a.0.max(b.0), a.1.min(b.1));
            if common.0 < common.1 {
                res.push(common);
            }
            if a.1 <= b.1 {
                own.next();
            } else {
                others.next();
            }
        }
        Self(res)
    }

    /// What is here and not there.
    pub(super) fn without(&self, other: &Self) -> Self {
        let mut res = Vec::new();
        let mut at = 0;
        for &(start, end) in &self.0 {
            let mut from = start;
            while other.0.get(at).is_some_and(|taken| taken.1 <= start) {
                at += 1;
            }
            let mut next = at;
            while let Some(&(taken_from, taken_to)) =
                other.0.get(next).filter(|taken| taken.0 < end)
            {
                if from < taken_from {
                    res.push((from, taken_from));
                }
                from = from.max(taken_to);
                next += 1;
            }
            if from < end {
                res.push((from, end));
            }
        }
        Self(res)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(stretches: &[(u64, u64)]) -> Stretches {
        Stretches::of(stretches.iter().copied())
    }

    #[test]
    fn kernels_that_overlap_count_once() {
        // |--a--|      |-d-|
        //    |--b--|
        //          |c|           touches b
        let busy = set(&[(3, 9), (0, 6), (9, 10), (14, 18), (20, 20)]);
        assert_eq!(busy.iter().collect::<Vec<_>>(), [(0, 10), (14, 18)]);
        assert_eq!(busy.ns(), 14);
    }

    #[test]
    fn a_copy_is_exposed_where_no_kernel_runs() {
        // copies  |------|   |---|   |--|
        // kernels    |---------|
        let (copies, kernels) = (set(&[(0, 7), (10, 14), (18, 21)]), set(&[(3, 12)]));
        assert_eq!(copies.without(&kernels), set(&[(0, 3), (12, 14), (18, 21)]));
        assert_eq!(copies.and(&kernels), set(&[(3, 7), (10, 12)]));
        assert_eq!(set(&[]).and(&kernels), set(&[]));
    }

    fn any_set() -> impl Strategy<Value = Stretches> {
        prop::collection::vec((0_u64..60, 0_u64..12), 0..12)
            .prop_map(|all| Stretches::of(all.into_iter().map(|(start, ns)| (start, start + ns))))
    }

    proptest! {
        #[test]
        fn sets_are_as_their_moments_say(a in any_set(), b in any_set()) {
            let has = |set: &Stretches, at: u64| set.iter().any(|(start, end)| start <= at && at < end);
            let (both, only) = (a.and(&b), a.without(&b));
            for at in 0..80 {
                prop_assert_eq!(has(&both, at), has(&a, at) && has(&b, at));
                prop_assert_eq!(has(&only, at), has(&a, at) && !has(&b, at));
            }
            prop_assert_eq!(both.ns() + only.ns(), a.ns());
        }
    }
}
