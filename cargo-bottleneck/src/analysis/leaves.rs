//! The functions that spans spend their own time in, from samples of instructions.
//!
//! Pure: what the sampled addresses are called comes with the [`Context`](super::Context). Calls are not known, only the
//! sampled function and what is inlined there: a leaf is the innermost of those that is not of Rust's standard library,
//! whose iterators and arithmetic are everywhere; where all are, the one around them. Code without a name is told apart by
//! where it lies. Shares are of the samples, times those shares of the span's own time on the CPU.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::kind::Kind;
use crate::profile::sampling::{Counted, Sampling};
use crate::profile::{Profile, SpanIdx};
use crate::report::model;
use crate::symbols::{Frame, Place, Symbols};

use super::function_name::{is_of_std, short};
use super::kinds::ratio;

/// Leaves below this share of their span are not told apart.
const LEAST_SHARE: f64 = 0.01;
/// Nor are those with fewer samples: one may be anywhere.
const LEAST_SAMPLES: u64 = 2;
/// What the leaves that are not told apart are called together.
const OTHERS: &str = "other functions";
/// Code without a name is of one leaf where less than so many bytes lie between two samples.
const NEAR: u64 = 512;
/// The folders of the standard library, in its sources.
const STD_FOLDERS: [&str; 6] =
    ["alloc", "compiler-builtins", "core", "portable-simd", "std", "stdarch"];
/// Inlined functions that are kept of a leaf.
const MOST_CALLERS: usize = 8;

/// A function inside a span.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// As it is shown, without modules: `Linear::forward`; `[libm.so.6+0x1234]` where it has no name.
    pub function: String,
    /// With its modules; the same where it has no name.
    pub full: String,
    /// Source file of the line that was sampled most.
    pub file: Option<String>,
    /// That line.
    pub line: Option<u32>,
    /// Samples.
    pub samples: u64,
    /// Samples of the span; for adopted ones the adopted samples.
    pub of: u64,
    /// Most samples are in copies that were inlined into other functions.
    pub is_inlined: bool,
    /// What it was inlined into most often, the innermost first, as shown.
    pub callers: Vec<String>,
    /// The samples are of threads without spans that work for the span.
    pub adopted: bool,
    /// What limits it, where most of its samples tell.
    pub kind: Option<Kind>,
}

/// The leaves of all paths.
#[derive(Clone, Debug, Default)]
pub struct Leaves {
    names: Vec<Name>,
    by_span: BTreeMap<SpanIdx, BTreeMap<Key, Tally>>,
    period_ns: u64,
}

/// Whether it is adopted, and the position of its name.
type Key = (bool, usize);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    short: String,
    full: String,
}

/// What is summed for a leaf.
#[derive(Clone, Debug, Default)]
struct Tally {
    samples: u64,
    inlined: u64,
    lines: BTreeMap<(Option<String>, Option<u32>), u64>,
    callers: BTreeMap<Vec<String>, u64>,
    kinds: BTreeMap<Option<Kind>, u64>,
}

impl Leaf {
    /// Part of the samples, 0 to 1.
    pub fn share(&self) -> f64 {
        ratio(self.samples, self.of)
    }

    /// That part of a time; the parts of all leaves of a span sum to no more than it.
    pub(super) fn part(&self, ns: u64) -> u64 {
        let part = u128::from(ns) * u128::from(self.samples) / u128::from(self.of.max(1));
        u64::try_from(part).unwrap_or(ns).min(ns)
    }
}

impl Leaves {
    /// The leaves of a profile; none without samples. Linear in the samples, but for a logarithm.
    ///
    /// `kind_of` tells what limits the code around a sample.
    pub fn of(
        profile: &Profile,
        symbols: Option<&Symbols>,
        kind_of: impl Fn(&Counted) -> Option<Kind>,
    ) -> Self {
        let Some(sampling) = &profile.sampling else { return Self::default() };
        let mut res = Self { period_ns: sampling.period_ns, ..Self::default() };
        let mut positions: HashMap<Name, usize> = HashMap::new();
        let place = |counted: &Counted| symbols.and_then(|it| it.at(counted.sampled));
        let nameless = sampling.counted.iter().filter(|counted| place(counted).is_none());
        let clusters = clusters(sampling, nameless.map(|counted| counted.sampled));
        for counted in &sampling.counted {
            let found = place(counted)
                .map_or_else(|| Found::nameless(clusters.get(&counted.sampled)), Found::of);
            let next = positions.len();
            let position = *positions.entry(found.name.clone()).or_insert(next);
            if position == next {
                res.names.push(found.name);
            }
            let leaves = res.by_span.entry(counted.span).or_default();
            let tally = leaves.entry((counted.is_adopted, position)).or_default();
            let add = |sum: &mut u64| *sum = sum.saturating_add(counted.n);
            add(&mut tally.samples);
            add(tally.kinds.entry(kind_of(counted)).or_default());
            if found.is_inlined {
                add(&mut tally.inlined);
            }
            add(tally.lines.entry((found.file, found.line)).or_default());
            add(tally.callers.entry(found.callers).or_default());
        }
        res
    }

    /// The leaves of some paths together, the largest first, those of the paths' own threads before adopted ones.
    pub fn of_spans(&self, spans: impl IntoIterator<Item = SpanIdx>) -> Vec<Leaf> {
        let mut sums: BTreeMap<Key, Tally> = BTreeMap::new();
        for span in spans {
            for (key, tally) in self.by_span.get(&span).into_iter().flatten() {
                sums.entry(*key).or_default().add(tally);
            }
        }
        let mut res = Vec::new();
        for adopted in [false, true] {
            let of_side = || sums.iter().filter(|((is_adopted, _), _)| *is_adopted == adopted);
            let all = of_side().fold(0, |sum: u64, (_, it)| sum.saturating_add(it.samples));
            let is_large =
                |samples: u64| samples >= LEAST_SAMPLES && ratio(samples, all) >= LEAST_SHARE;
            let (large, small): (Vec<_>, Vec<_>) =
                of_side().partition(|(_, tally)| is_large(tally.samples));
            let from = res.len();
            res.extend(
                large
                    .iter()
                    .map(|((_, position), tally)| tally.leaf(&self.names[*position], all, adopted)),
            );
            res[from..].sort_by(|a: &Leaf, b: &Leaf| {
                b.samples.cmp(&a.samples).then_with(|| a.full.cmp(&b.full))
            });
            // Where none is large, nothing is known but that there were samples.
            let rest = small.iter().fold(0, |sum: u64, (_, it)| sum.saturating_add(it.samples));
            if rest > 0 && !large.is_empty() {
                res.push(others(rest, all, adopted));
            }
        }
        res
    }

    /// The same for a report. `on_cpu_ns` is the time on the CPU that is divided; adopted samples count with their period.
    pub(super) fn to_model(
        &self,
        spans: impl IntoIterator<Item = SpanIdx>,
        on_cpu_ns: u64,
    ) -> Vec<model::Leaf> {
        let leaf = |leaf: Leaf| model::Leaf {
            ns: if leaf.adopted {
                leaf.samples.saturating_mul(self.period_ns)
            } else {
                leaf.part(on_cpu_ns)
            },
            share: leaf.share(),
            function: leaf.function,
            file: leaf.file,
            line: leaf.line,
            samples: leaf.samples,
            kind: leaf.kind,
            adopted: leaf.adopted,
        };
        self.of_spans(spans).into_iter().map(leaf).collect()
    }
}

fn others(samples: u64, of: u64, adopted: bool) -> Leaf {
    Leaf {
        function: OTHERS.to_owned(),
        full: OTHERS.to_owned(),
        file: None,
        line: None,
        samples,
        of,
        is_inlined: false,
        callers: Vec::new(),
        adopted,
        kind: None,
    }
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.samples = self.samples.saturating_add(other.samples);
        for (&kind, &n) in &other.kinds {
            let sum = self.kinds.entry(kind).or_default();
            *sum = sum.saturating_add(n);
        }
        self.inlined = self.inlined.saturating_add(other.inlined);
        for (line, n) in &other.lines {
            let sum = self.lines.entry(line.clone()).or_default();
            *sum = sum.saturating_add(*n);
        }
        for (callers, n) in &other.callers {
            let sum = self.callers.entry(callers.clone()).or_default();
            *sum = sum.saturating_add(*n);
        }
    }

    fn leaf(&self, name: &Name, of: u64, adopted: bool) -> Leaf {
        let (file, line) = most(&self.lines).cloned().unwrap_or_default();
        Leaf {
            function: name.short.clone(),
            full: name.full.clone(),
            file,
            line,
            samples: self.samples,
            of,
            is_inlined: self.inlined.saturating_mul(2) > self.samples,
            callers: most(&self.callers).cloned().unwrap_or_default(),
            adopted,
            kind: most(&self.kinds).copied().flatten(),
        }
    }
}

/// The entry with the largest count, the first of several.
fn most<K>(counts: &BTreeMap<K, u64>) -> Option<&K> {
    counts.iter().rev().max_by_key(|&(_, &n)| n).map(|(key, _)| key)
}

/// Whether an inlined function is of the standard library. Small line tables name it without its modules, but not its file.
fn is_std(frame: &Frame) -> bool {
    let of_library = |file: &str| {
        let folder = file.strip_prefix("library/").and_then(|inside| inside.split('/').next());
        folder.is_some_and(|folder| STD_FOLDERS.contains(&folder))
    };
    is_of_std(&frame.function) || frame.file.as_deref().is_some_and(of_library)
}

/// One sampled instruction as a leaf.
struct Found {
    name: Name,
    file: Option<String>,
    line: Option<u32>,
    is_inlined: bool,
    callers: Vec<String>,
}

impl Found {
    fn of(place: &Place) -> Self {
        let own = place.inlined.iter().position(|frame| !is_std(frame));
        let Some(at) = own else {
            let full = place.function.clone();
            // The line in the function itself is not known where something is inlined there.
            let (file, line) = if place.inlined.is_empty() {
                (place.file.clone(), place.line)
            } else {
                (None, None)
            };
            let name = Name { short: short(&full), full };
            return Self { name, file, line, is_inlined: false, callers: Vec::new() };
        };
        let frame = &place.inlined[at];
        let around = place.inlined[at + 1..].iter().map(|frame| &frame.function);
        let callers = around.chain([&place.function]).take(MOST_CALLERS);
        Self {
            name: Name { short: short(&frame.function), full: frame.function.clone() },
            file: frame.file.clone(),
            line: frame.line,
            is_inlined: true,
            callers: callers.map(|function| short(function)).collect(),
        }
    }

    fn nameless(cluster: Option<&String>) -> Self {
        let short = cluster.map_or("[code without a file]", String::as_str).to_owned();
        let name = Name { full: short.clone(), short };
        Self { name, file: None, line: None, is_inlined: false, callers: Vec::new() }
    }
}

/// Names for code that has none: what it is of, and where there it begins. Samples that lie together have one.
fn clusters(sampling: &Sampling, addresses: impl Iterator<Item = u64>) -> HashMap<u64, String> {
    let mut by_object: BTreeMap<&str, BTreeSet<(u64, u64)>> = BTreeMap::new();
    for sampled in addresses {
        let blamed = sampled.saturating_sub(1);
        let Some(mapping) = sampling.code.mapping(blamed) else { continue };
        let offset = (blamed - mapping.start).saturating_add(mapping.offset);
        by_object.entry(&mapping.path).or_default().insert((offset, sampled));
    }
    let mut res = HashMap::new();
    for (object, addresses) in by_object {
        let (mut first, mut last) = (0, None);
        for (offset, sampled) in addresses {
            if last.is_none_or(|last| offset - last > NEAR) {
                first = offset;
            }
            last = Some(offset);
            res.insert(sampled, nameless(object, first));
        }
    }
    res
}

/// `[libm.so.6+0x1234]`.
fn nameless(object: &str, offset: u64) -> String {
    let file = object.trim_end_matches(" (deleted)");
    let file = file.rsplit('/').next().unwrap_or(file);
    match file {
        "" => "[code without a file]".to_owned(),
        // What the kernel names itself: `[vdso]`.
        _ if file.starts_with('[') => file.to_owned(),
        _ => format!("[{file}+{offset:#x}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::RowIdx as _;
    use crate::profile::builder::ProfileBuilder;
    use crate::profile::sampling::{Code, Mapping};

    const SPAN: usize = 0;

    fn counted(sampled: u64, n: u64) -> Counted {
        let span = SpanIdx::from_position(SPAN);
        Counted { span, sampled, n, is_adopted: false, spins: false }
    }

    fn place(function: &str, line: u32, inlined: &[(&str, u32)]) -> Place {
        let frame = |&(function, line): &(&str, u32)| Frame {
            function: function.to_owned(),
            file: Some("src/math.rs".to_owned()),
            line: Some(line),
        };
        Place {
            function: function.to_owned(),
            file: Some("src/math.rs".to_owned()),
            line: Some(inlined.first().map_or(line, |first| first.1)),
            inlined: inlined.iter().map(frame).collect(),
            object: "/app".to_owned(),
        }
    }

    fn leaves(counted: Vec<Counted>, maps: Vec<Mapping>, symbols: &Symbols) -> Vec<Leaf> {
        let mut profile = ProfileBuilder::new(1_000).span("work", 0..900, |_| ()).build();
        let code = Code { maps, blocks: Vec::new() };
        profile.sampling = Some(Sampling { period_ns: 4, counted, code, ..Sampling::default() });
        Leaves::of(&profile, Some(symbols), |_| None).of_spans([SpanIdx::from_position(SPAN)])
    }

    #[track_caller]
    fn check(leaves: &[Leaf], expected: &[(&str, u64)]) {
        let found: Vec<_> =
            leaves.iter().map(|leaf| (leaf.function.as_str(), leaf.samples)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn samples_are_added_up_by_function_and_its_hottest_line_is_named() {
        let symbols = Symbols::of_places([
            (10, place("app::math::dot", 7, &[])),
            (14, place("app::math::dot", 8, &[])),
            (30, place("app::soft::softmax", 40, &[])),
        ]);
        let found = leaves(vec![counted(30, 5), counted(10, 6), counted(14, 9)], vec![], &symbols);
        check(&found, &[("dot", 15), ("softmax", 5)]);
        assert_eq!((found[0].full.as_str(), found[0].line), ("app::math::dot", Some(8)));
        assert_eq!((found[0].share(), found[0].part(1_000)), (0.75, 750));
    }

    #[test]
    fn the_innermost_function_that_is_not_of_the_standard_library_is_the_leaf() {
        let next = ("<core::slice::Iter<T> as core::iter::Iterator>::next", 300);
        let symbols = Symbols::of_places([
            (10, place("app::decode", 9, &[next, ("app::math::dot", 7), ("app::matvec", 5)])),
            (20, place("app::decode", 9, &[next])),
            (30, place("core::slice::sort::quicksort", 9, &[next])),
        ]);
        let found = leaves(vec![counted(10, 9), counted(20, 5), counted(30, 3)], vec![], &symbols);
        check(&found, &[("dot", 9), ("decode", 5), ("quicksort", 3)]);
        assert!(found[0].is_inlined && found[0].line == Some(7));
        assert_eq!(found[0].callers, ["matvec", "decode"]);
        assert!(!found[1].is_inlined && found[1].callers.is_empty());
        // Without modules: what it is of is known by its file.
        let mut bare = place("app::decode", 9, &[("_mm_prefetch<3>", 300), ("matvec", 7)]);
        bare.inlined[0].file = Some("library/stdarch/crates/core_arch/src/x86/sse.rs".to_owned());
        let found = leaves(vec![counted(10, 9)], vec![], &Symbols::of_places([(10, bare)]));
        check(&found, &[("matvec", 9)]);
    }

    #[test]
    fn small_ones_are_one_and_adopted_ones_apart() {
        let name = |at: u64| (at, place(&format!("app::f{at}"), 1, &[]));
        let symbols = Symbols::of_places((0..40).map(name));
        let mut samples = vec![counted(1, 990), counted(2, 1), counted(3, 5), counted(4, 30)];
        for at in [1, 5] {
            samples.push(Counted { is_adopted: true, ..counted(at, 2) });
        }
        let found = leaves(samples, vec![], &symbols);
        let expected = [("f1", 990), ("f4", 30), ("other functions", 6), ("f1", 2), ("f5", 2)];
        check(&found, &expected);
        let adopted: Vec<bool> = found.iter().map(|leaf| leaf.adopted).collect();
        assert_eq!(adopted, [false, false, false, true, true]);
        assert_eq!((found[4].samples, found[4].of), (2, 4));
        let parts: u64 = found[..3].iter().map(|leaf| leaf.part(u64::MAX)).sum();
        assert!(u64::MAX - parts < 3);
        // One sample may be anywhere.
        check(&leaves(vec![counted(1, 1), counted(2, 1)], vec![], &symbols), &[]);
    }

    #[test]
    fn code_without_a_name_is_told_apart_by_where_it_lies() {
        let mapping = |start: u64, path: &str| Mapping {
            start,
            end: start + 0x1000,
            offset: 0x100,
            path: path.to_owned(),
        };
        let maps = vec![
            mapping(0x1000, "/lib/libm.so.6"),
            mapping(0x3000, "[vdso]"),
            mapping(0x5000, ""),
            mapping(0x7000, "/tmp/app (deleted)"),
        ];
        let samples = [0x1021, 0x1101, 0x1301, 0x1801, 0x3001, 0x3901, 0x5001, 0x7001, 0x9_0000];
        let samples = samples.iter().zip(10..).map(|(&at, n)| counted(at, n)).collect();
        let found = leaves(samples, maps, &Symbols::default());
        check(
            &found,
            &[
                ("[code without a file]", 16 + 18),
                ("[libm.so.6+0x120]", 10 + 11 + 12),
                ("[vdso]", 14 + 15),
                ("[app+0x100]", 17),
                ("[libm.so.6+0x900]", 13),
            ],
        );
    }

    #[test]
    fn no_number_of_samples_is_too_large() {
        let samples = vec![counted(1, u64::MAX), counted(2, u64::MAX), counted(2, u64::MAX)];
        let name = |at: u64| (at, place(&format!("app::f{at}"), 1, &[]));
        let found = leaves(samples, vec![], &Symbols::of_places([name(1), name(2)]));
        assert!(found.iter().all(|leaf| leaf.share() <= 1.0 && leaf.part(7) <= 7));
    }
}
