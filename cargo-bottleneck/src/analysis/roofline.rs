//! Declared work against the ceilings of the machine.
//!
//! The work that a path declares is done in its *region*: its on-CPU time with everything inside it, less the paths that
//! declare work or assert a kind themselves. Two shares decide, each an interval because a ceiling is one:
//!
//! - `b` = declared bytes / time / DRAM bandwidth,
//! - `f` = declared operations / time / peak of the widest unit of their type.
//!
//! If a region also waits, another thread may do its work meanwhile: then its time is at least what it was on the CPU and at
//! most that and the waits, which widens both intervals. What crosses a threshold abstains. The rules are [`RULES`], the
//! first that holds decides; when a rule misjudges is in its comment.

use crate::kind::Kind;
use crate::report::model::Confidence;

use super::ceilings::{Ceilings, Range};
use super::subkind::Subkind;
use crate::profile::Work;

/// From here on the DRAM bandwidth is the limit.
const BANDWIDTH_BOUND: f64 = 0.6;
/// From here on the arithmetic units are the limit.
const COMPUTE_BOUND: f64 = 0.5;
/// Below this a ceiling is far away.
const FAR: f64 = 0.3;
/// Beyond this a ceiling is broken: measurement leaves room for five percent.
const BROKEN: f64 = 1.05;

/// Why declared work does not tell what limits a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abstained {
    /// More bytes than even a cache delivers, or more operations than the units do.
    Impossible,
    /// Bytes come from a cache, and neither it nor the units are near their ceilings.
    Cached,
    /// Both ceilings are near.
    BothNear,
    /// The ceiling moved across a threshold between measurements.
    Drifted,
    /// Both ceilings are far away.
    BothFar,
    /// Neither near nor far.
    Between,
    /// There is no ceiling to compare with.
    NoCeiling,
}

/// A region's position under the roofline.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Share of DRAM bandwidth.
    pub bandwidth: Option<Range>,
    /// Share of the bandwidth of the fastest cache.
    pub cache: Option<Range>,
    /// Share of the bandwidth of the slowest cache that is not beaten, where that is not the fastest.
    pub slower_cache: Option<Range>,
    /// Share of the peak of the widest unit.
    pub arithmetic: Option<Range>,
    /// Operations per byte; `None` unless both are declared.
    pub intensity: Option<f64>,
    /// Operations per byte at which both ceilings are reached together.
    pub ridge: Option<Range>,
    /// Bytes per second.
    pub bytes_per_s: f64,
    /// Operations per second.
    pub flops_per_s: f64,
    /// The scalar peak of the type, where it is known, in operations per second.
    pub scalar_peak: Option<f64>,
    /// The peak is that of f32, for want of one of the declared type.
    pub is_stand_in: bool,
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// The kind of the region.
    Bound(Kind, Subkind),
    /// Nothing, and why.
    Nothing(Abstained),
}

/// One row of the table.
#[derive(Debug)]
pub struct Rule {
    /// Its name, in tests and messages.
    pub name: &'static str,
    when: fn(&Point) -> bool,
    says: Says,
    confidence: fn(&Point) -> Confidence,
}

impl Point {
    /// The point of `work` done in at least `least_ns` and at most `most_ns` on one thread; `None` for no time.
    pub fn new(work: Work, least_ns: u64, most_ns: u64, ceilings: &Ceilings) -> Option<Self> {
        if least_ns == 0 {
            return None;
        }
        let rate = |amount: f64, ns: u64| amount * 1e9 / ns as f64;
        let share = |ceiling: Option<Range>, amount: f64| {
            if amount <= 0.0 {
                return None;
            }
            let share = ceiling?.share_of(rate(amount, least_ns))?;
            Some(Range { min: share.min * least_ns as f64 / most_ns.max(least_ns) as f64, ..share })
        };
        let widest = ceilings.widest(work.dtype);
        let dram = ceilings.dram();
        let caches = ceilings.caches();
        let mut slower =
            caches.iter().skip(1).rev().filter_map(|&cache| share(Some(cache), work.bytes));
        let ridge =
            widest.zip(dram).filter(|(_, dram)| dram.min > 0.0).map(|((_, peak), dram)| Range {
                min: peak.min / dram.max,
                median: peak.median / dram.median,
                max: peak.max / dram.min,
            });
        Some(Self {
            bandwidth: share(dram, work.bytes),
            cache: share(caches.first().copied(), work.bytes),
            slower_cache: slower.find(|share| share.min <= BROKEN),
            arithmetic: share(widest.map(|(_, peak)| peak), work.flops),
            intensity: (work.flops > 0.0 && work.bytes > 0.0).then(|| work.flops / work.bytes),
            ridge,
            bytes_per_s: rate(work.bytes, least_ns),
            flops_per_s: rate(work.flops, least_ns),
            scalar_peak: ceilings.scalar(work.dtype).map(|peak| peak.median),
            is_stand_in: widest.is_some_and(|(peak, _)| peak.dtype != work.dtype),
        })
    }

    fn b_is(&self, is: impl Fn(Range) -> bool) -> bool {
        self.bandwidth.is_some_and(is)
    }

    fn f_is(&self, is: impl Fn(Range) -> bool) -> bool {
        self.arithmetic.is_some_and(is)
    }

    /// Arithmetic is the roof at this intensity, wherever in its interval the ridge lies.
    pub fn is_right_of_ridge(&self) -> bool {
        self.intensity.zip(self.ridge).is_some_and(|(intensity, ridge)| intensity > ridge.max)
    }

    /// Bandwidth is the roof at this intensity, wherever in its interval the ridge lies.
    pub fn is_left_of_ridge(&self) -> bool {
        self.intensity.zip(self.ridge).is_some_and(|(intensity, ridge)| intensity < ridge.min)
    }

    fn beats_dram(&self) -> bool {
        self.b_is(|b| b.min > BROKEN)
    }

    fn is_bandwidth_bound(&self) -> bool {
        self.b_is(|b| b.min >= BANDWIDTH_BOUND && b.min <= BROKEN)
    }

    fn is_compute_bound(&self) -> bool {
        self.f_is(|f| f.min >= COMPUTE_BOUND)
    }
}

/// The rules, from the first to try to the last; the last always holds.
pub static RULES: &[Rule] = &[
    Rule {
        name: "no ceiling",
        when: |p| p.bandwidth.is_none() && p.arithmetic.is_none(),
        says: Says::Nothing(Abstained::NoCeiling),
        confidence: |_| Confidence::Weak,
    },
    // A stand-in peak can be beaten by a unit of the type's own; then nothing is known either.
    Rule {
        name: "more than the machine can do",
        when: |p| {
            p.f_is(|f| f.min > BROKEN)
                || (p.beats_dram() && p.cache.is_some_and(|cache| cache.min > BROKEN))
        },
        says: Says::Nothing(Abstained::Impossible),
        confidence: |_| Confidence::Weak,
    },
    Rule {
        name: "cached and near the peak",
        when: |p| p.beats_dram() && p.is_compute_bound(),
        says: Says::Bound(Kind::Compute, Subkind::Vector),
        confidence: by_arithmetic,
    },
    Rule {
        name: "cached and near the cache's bandwidth",
        when: |p| p.beats_dram() && p.cache.is_some_and(|cache| cache.min >= BANDWIDTH_BOUND),
        says: Says::Bound(Kind::Memory, Subkind::Cache),
        confidence: |_| Confidence::Moderate,
    },
    // Weak: the ceilings of the levels lie close together, so that much comes near one of them by chance.
    Rule {
        name: "cached and near a slower cache's bandwidth",
        when: |p| p.beats_dram() && p.slower_cache.is_some_and(|cache| cache.min >= 0.8),
        says: Says::Bound(Kind::Memory, Subkind::Cache),
        confidence: |_| Confidence::Weak,
    },
    Rule {
        name: "cached and far from everything",
        when: Point::beats_dram,
        says: Says::Nothing(Abstained::Cached),
        confidence: |_| Confidence::Weak,
    },
    Rule {
        name: "both ceilings near, right of the ridge",
        when: |p| p.is_bandwidth_bound() && p.is_compute_bound() && p.is_right_of_ridge(),
        says: Says::Bound(Kind::Compute, Subkind::Vector),
        confidence: |_| Confidence::Moderate,
    },
    Rule {
        name: "both ceilings near, left of the ridge",
        when: |p| p.is_bandwidth_bound() && p.is_compute_bound() && p.is_left_of_ridge(),
        says: Says::Bound(Kind::Memory, Subkind::Bandwidth),
        confidence: |_| Confidence::Moderate,
    },
    Rule {
        name: "both ceilings near",
        when: |p| p.is_bandwidth_bound() && p.is_compute_bound(),
        says: Says::Nothing(Abstained::BothNear),
        confidence: |_| Confidence::Weak,
    },
    Rule {
        name: "near the bandwidth",
        when: Point::is_bandwidth_bound,
        says: Says::Bound(Kind::Memory, Subkind::Bandwidth),
        confidence: |p| {
            if p.b_is(|b| b.min >= 0.8) { Confidence::Strong } else { Confidence::Moderate }
        },
    },
    Rule {
        name: "near the peak",
        when: |p| {
            p.is_compute_bound() && (!p.b_is(|b| b.max >= BANDWIDTH_BOUND) || p.is_right_of_ridge())
        },
        says: Says::Bound(Kind::Compute, Subkind::Vector),
        confidence: by_arithmetic,
    },
    // Few bytes for many operations, and DRAM is nearly idle: the core is busy with instructions, of which the declared
    // ones are a part. Wrong where declared bytes leave out traffic, as in a gather that declares only what it uses: the
    // less of the peak is reached, the weaker it is.
    Rule {
        name: "right of the ridge, bandwidth far",
        when: |p| p.is_right_of_ridge() && p.b_is(|b| b.max < FAR),
        says: Says::Bound(Kind::Compute, Subkind::Scalar),
        confidence: |p| {
            if p.f_is(|f| f.min >= 0.1) { Confidence::Moderate } else { Confidence::Weak }
        },
    },
    Rule {
        name: "a threshold within the interval",
        when: |p| p.b_is(|b| crosses(b, BANDWIDTH_BOUND)) || p.f_is(|f| crosses(f, COMPUTE_BOUND)),
        says: Says::Nothing(Abstained::Drifted),
        confidence: |_| Confidence::Weak,
    },
    Rule {
        name: "both ceilings far",
        when: |p| !p.b_is(|b| b.max >= FAR) && !p.f_is(|f| f.max >= FAR),
        says: Says::Nothing(Abstained::BothFar),
        confidence: |_| Confidence::Weak,
    },
    Rule {
        name: "between",
        when: |_| true,
        says: Says::Nothing(Abstained::Between),
        confidence: |_| Confidence::Weak,
    },
];

fn crosses(share: Range, threshold: f64) -> bool {
    share.min < threshold && threshold <= share.max
}

fn by_arithmetic(point: &Point) -> Confidence {
    if point.f_is(|f| f.min >= 0.7) && !point.is_stand_in {
        Confidence::Strong
    } else {
        Confidence::Moderate
    }
}

/// The verdict of the table on a point, and how sure it is.
pub fn judge(point: &Point) -> (&'static Rule, Says, Confidence) {
    let rule = RULES.iter().find(|rule| (rule.when)(point)).unwrap_or(&RULES[RULES.len() - 1]);
    let confidence = (rule.confidence)(point);
    let confidence =
        if point.is_stand_in { confidence.min(Confidence::Moderate) } else { confidence };
    let is_beyond_scalar = point.scalar_peak.is_some_and(|peak| point.flops_per_s > BROKEN * peak);
    let says = match rule.says {
        Says::Bound(kind, Subkind::Scalar) if is_beyond_scalar => {
            Says::Bound(kind, Subkind::Underused)
        }
        says => says,
    };
    (rule, says, confidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::ceilings::Peak;
    use crate::profile::Dtype;

    /// DRAM 20 to 25 GB/s, cache 100 GB/s, f32 100 GFLOP/s, scalar 8: the ridge lies at 4 to 5.
    fn machine() -> Ceilings {
        let peak = |unit: &str, lanes, rate| Peak {
            dtype: Dtype::F32,
            unit: unit.into(),
            lanes,
            rate: Range::exactly(rate),
        };
        Ceilings {
            dram_read: Some(Range { min: 20e9, median: 22e9, max: 25e9 }),
            cache_read: vec![Range::exactly(40e9), Range::exactly(100e9)],
            peaks: vec![peak("AVX-512 FMA", 16, 100e9), peak("scalar FMA", 1, 8e9)],
            threads: Some(1),
            measured: "now".into(),
            ..Ceilings::default()
        }
    }

    /// Judges a second of this many giga-operations and gigabytes.
    #[track_caller]
    fn check(gflops: f64, gbytes: f64, rule: &str, says: Says, confidence: Confidence) {
        let work = Work { flops: gflops * 1e9, bytes: gbytes * 1e9, dtype: Dtype::F32 };
        let point = Point::new(work, 1_000_000_000, 1_000_000_000, &machine()).unwrap();
        let (found, said, sure) = judge(&point);
        assert_eq!((found.name, said, sure), (rule, says, confidence), "{point:?}");
    }

    const MEMORY: Says = Says::Bound(Kind::Memory, Subkind::Bandwidth);
    const VECTOR: Says = Says::Bound(Kind::Compute, Subkind::Vector);

    #[test]
    fn every_row_has_its_case() {
        use Abstained as A;
        use Confidence::{Moderate, Strong, Weak};
        check(0.0, 200.0, "more than the machine can do", Says::Nothing(A::Impossible), Weak);
        check(120.0, 1.0, "more than the machine can do", Says::Nothing(A::Impossible), Weak);
        check(75.0, 60.0, "cached and near the peak", VECTOR, Strong);
        check(
            30.0,
            70.0,
            "cached and near the cache's bandwidth",
            Says::Bound(Kind::Memory, Subkind::Cache),
            Moderate,
        );
        check(
            15.0,
            35.0,
            "cached and near a slower cache's bandwidth",
            Says::Bound(Kind::Memory, Subkind::Cache),
            Weak,
        );
        check(15.0, 50.0, "cached and far from everything", Says::Nothing(A::Cached), Weak);
        check(90.0, 16.0, "both ceilings near, right of the ridge", VECTOR, Moderate);
        check(60.0, 18.0, "both ceilings near, left of the ridge", MEMORY, Moderate);
        check(80.0, 18.0, "both ceilings near", Says::Nothing(A::BothNear), Weak);
        check(10.0, 21.0, "near the bandwidth", MEMORY, Strong);
        check(10.0, 16.0, "near the bandwidth", MEMORY, Moderate);
        check(0.0, 16.0, "near the bandwidth", MEMORY, Moderate);
        check(80.0, 1.0, "near the peak", VECTOR, Strong);
        check(55.0, 0.0, "near the peak", VECTOR, Moderate);
        check(
            40.0,
            2.0,
            "right of the ridge, bandwidth far",
            Says::Bound(Kind::Compute, Subkind::Underused),
            Moderate,
        );
        check(
            5.0,
            0.1,
            "right of the ridge, bandwidth far",
            Says::Bound(Kind::Compute, Subkind::Scalar),
            Weak,
        );
        check(10.0, 14.0, "a threshold within the interval", Says::Nothing(A::Drifted), Weak);
        check(1.0, 1.0, "both ceilings far", Says::Nothing(A::BothFar), Weak);
        check(10.0, 10.0, "between", Says::Nothing(A::Between), Weak);
        let work = Work { flops: 1e9, bytes: 1e9, dtype: Dtype::F32 };
        let nothing = Point::new(work, 1, 1, &Ceilings::default()).unwrap();
        assert_eq!(judge(&nothing).1, Says::Nothing(A::NoCeiling));
        assert_eq!(RULES.len(), 15);
    }

    #[test]
    fn an_int8_loop_that_streams_yet_computes_is_compute() {
        // 4 GB/s of 22 at 12 operations a byte: DRAM is at a fifth, the unpacking is the work.
        check(
            48.0,
            4.0,
            "right of the ridge, bandwidth far",
            Says::Bound(Kind::Compute, Subkind::Underused),
            Confidence::Moderate,
        );
    }

    #[test]
    fn waits_in_the_region_widen_the_interval_until_it_abstains() {
        let work = Work { flops: 0.0, bytes: 16e9, dtype: Dtype::F32 };
        let point = Point::new(work, 1_000_000_000, 4_000_000_000, &machine()).unwrap();
        assert_eq!(judge(&point).1, Says::Nothing(Abstained::Drifted));
    }

    #[test]
    fn a_thread_is_judged_by_its_part_of_the_ceilings() {
        let ceilings = Ceilings { threads: Some(2), ..machine() };
        let work = Work { flops: 0.0, bytes: 9e9, dtype: Dtype::F32 };
        let point = Point::new(work, 1_000_000_000, 1_000_000_000, &ceilings).unwrap();
        assert_eq!(judge(&point).1, MEMORY);
    }

    #[test]
    fn the_peak_of_f32_stands_in_for_a_type_without_its_own() {
        let work = Work { flops: 90e9, bytes: 0.0, dtype: Dtype::Bf16 };
        let point = Point::new(work, 1_000_000_000, 1_000_000_000, &machine()).unwrap();
        assert_eq!(judge(&point).2, Confidence::Moderate);
    }
}
