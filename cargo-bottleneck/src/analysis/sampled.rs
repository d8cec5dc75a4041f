//! The witness that has sampled instructions and timed loads of their data.
//!
//! [`parts_of`] turns the shares of a piece of code into parts of kinds; a path's mixture is that of its pieces, by samples.

use std::collections::BTreeMap;

use crate::kind::Kind;
use crate::profile::sampling::Counted;
use crate::profile::{Profile, Sampling, SpanIdx};
use crate::report::model::{Confidence, Evidence, Source};

use super::cause::Cause;
use super::ceilings::Ceilings;
use super::hot_code::{Group, HotCode, Piece, PieceIdx, What, Who};
use super::io_waits;
use super::mixture::Mixture;
use super::residency::{Measured, Residency};
use super::subkind::Subkind;
use super::testimony::{Testimony, Whose, Witness};
use super::thresholds as at;

/// The samples of a run, judged.
#[derive(Clone, Debug)]
pub(super) struct Sampled {
    code: HotCode,
    /// By piece; `None` where too little is known.
    pieces: Vec<Option<Mixture>>,
    testimonies: BTreeMap<Who, Result<Testimony, String>>,
}

/// A part of a piece's time.
type Part = (Kind, Option<Subkind>, f64);

impl Sampled {
    /// Judges every path that was sampled; `None` where nothing was sampled.
    pub(super) fn of(profile: &Profile, ceilings: Option<&Ceilings>) -> Option<Self> {
        let sampling = profile.sampling.as_ref().filter(|it| !it.counted.is_empty())?;
        let code = HotCode::of(profile, sampling);
        let measured = ceilings.and_then(|ceilings| {
            let times = ceilings.load_times.as_ref()?;
            Some(Measured::of(sampling, &code, times, ceilings))
        });
        let io_waits = io_waits::of(profile);
        let waits = io_waits.iter().filter_map(|(span, cause)| Some((code.group(span), (*cause)?)));
        let io_of: BTreeMap<Group, Cause> = waits.collect();
        let mut by_who: BTreeMap<Who, Vec<PieceIdx>> = BTreeMap::new();
        for (position, piece) in code.pieces.iter().enumerate() {
            by_who.entry(piece.who).or_default().push(PieceIdx(position));
        }
        let mut res =
            Self { pieces: vec![None; code.pieces.len()], testimonies: BTreeMap::new(), code };
        let fault_ns = ceilings.and_then(|ceilings| ceilings.page_fault_ns).map(|it| it.median);
        for (who, pieces) in by_who {
            let no_load_times = ceilings.map_or("there are no ceilings", |it| &it.no_load_times);
            let io = io_of.get(&who.group).copied();
            let case = Case {
                io,
                no_load_times,
                code: &res.code,
                sampling,
                measured: measured.as_ref(),
                fault_ns,
                pieces: &pieces,
            };
            let (parts, testimony) = case.judge();
            for (at, part) in pieces.iter().zip(parts) {
                res.pieces[at.0] = part;
            }
            res.testimonies.insert(who, testimony);
        }
        Some(res)
    }

    /// What limits the piece of code around a sampled instruction.
    pub(super) fn kind_of(&self, counted: &Counted) -> Option<Kind> {
        let piece = self.code.piece(counted.span, counted.is_adopted, counted.sampled)?;
        let (kind, _) = self.pieces[piece.0]?.main();
        (kind != Kind::Other).then_some(kind)
    }

    fn who(&self, span: SpanIdx, whose: Whose) -> Who {
        Who { group: self.code.group(span), is_adopted: whose == Whose::Helpers }
    }
}

impl Witness for Sampled {
    fn testify(&self, span: SpanIdx, whose: Whose) -> Option<&Testimony> {
        self.testimonies.get(&self.who(span, whose))?.as_ref().ok()
    }

    fn lacks(&self, span: SpanIdx, whose: Whose) -> Option<String> {
        self.testimonies.get(&self.who(span, whose))?.as_ref().err().cloned()
    }

    fn spinning(&self, span: SpanIdx) -> f64 {
        let heard = self.testify(span, Whose::Own);
        heard.map_or(0.0, |it| it.mixture.part(Kind::Scheduling))
    }

    fn in_driver(&self, span: SpanIdx) -> f64 {
        let who = self.who(span, Whose::Own);
        let pieces = || self.code.pieces.iter().filter(|piece| piece.who == who);
        let n: u64 = pieces().map(Piece::n).sum();
        let in_driver: u64 = pieces().map(|piece| piece.n_of(&[What::Driver])).sum();
        in_driver as f64 / n.max(1) as f64
    }

    fn is_numeric(&self, span: SpanIdx) -> bool {
        let who = self.who(span, Whose::Own);
        let pieces = || self.code.pieces.iter().filter(|piece| piece.who == who);
        let n: u64 = pieces().map(Piece::n_own).sum();
        let on_vectors: u64 = pieces().map(|piece| piece.on_vectors).sum();
        n >= at::LEAST_NUMERIC && on_vectors as f64 >= at::NUMERIC * n as f64
    }
}

/// One path's pieces.
struct Case<'a> {
    /// What it waits for outside of the program.
    io: Option<Cause>,
    code: &'a HotCode,
    sampling: &'a Sampling,
    measured: Option<&'a Measured<'a>>,
    fault_ns: Option<f64>,
    no_load_times: &'a str,
    pieces: &'a [PieceIdx],
}

impl Case<'_> {
    /// The mixture of every piece, and what they say together.
    fn judge(&self) -> (Vec<Option<Mixture>>, Result<Testimony, String>) {
        let n: u64 = self.pieces.iter().map(|at| self.code.pieces[at.0].n()).sum();
        let together = self.measured.and_then(|it| it.together(self.code, self.pieces));
        let mut weights: Vec<Part> = Vec::new();
        let mut mixtures = Vec::new();
        let mut unsure = 0.0;
        for &at in self.pieces {
            let piece = &self.code.pieces[at.0];
            let own = self.measured.and_then(|it| it.piece(self.code, at));
            let known = own.filter(is_telling).or(together.filter(is_telling));
            let parts = parts_of(piece, known.as_ref(), self.measured.and_then(|it| it.bandwidth));
            let weight = piece.n() as f64;
            if known.is_some_and(|it| is_at_a_line(&it)) {
                unsure += weight;
            }
            mixtures.push(
                (known.is_some() || piece.n_of(&[What::Spin, What::Driver]) > 0)
                    .then(|| Mixture::of(parts.iter().copied())),
            );
            weights.extend(
                parts.into_iter().map(|(kind, subkind, part)| (kind, subkind, part * weight)),
            );
        }
        if n < at::LEAST_SAMPLES && !self.is_in_calls(n) {
            let more = seconds(at::LEAST_SAMPLES - n, self.sampling.period_ns);
            return (
                mixtures,
                Err(format!(
                    "{more} more of its time on the CPU: {n} of {} samples were taken",
                    at::LEAST_SAMPLES
                )),
            );
        }
        let faulting = self.faulting(n);
        if faulting >= at::FAULTING {
            for weight in &mut weights {
                weight.2 *= 1.0 - faulting;
            }
            let (kind, subkind) = match self.io {
                // Pages that are read: what the kernel does for them is a part of that.
                Some(Cause::Fault | Cause::File) => (Kind::Io, Subkind::Disk),
                _ => (Kind::Memory, Subkind::FirstTouch),
            };
            weights.push((kind, Some(subkind), faulting * n as f64));
        }
        let mixture = Mixture::of(weights);
        // What faults are is known, however little of the rest.
        let is_in_driver = mixture.main() == (Kind::Other, Some(Subkind::UnseenDevice));
        if mixture.part(Kind::Other) > 0.5 && faulting < at::FAULTING && !is_in_driver {
            return (mixtures, Err(self.why_nothing(together.as_ref())));
        }
        let is_little = n < at::LEAST_SAMPLES;
        let confidence = if is_little || unsure > 0.3 * n as f64 || mixture.part(Kind::Other) > 0.2
        {
            Confidence::Weak
        } else {
            Confidence::Moderate
        };
        let testimony = Testimony {
            mixture,
            confidence,
            dram_stall: together.filter(Residency::is_probed).map(|it| it.dram_stall.mid),
            evidence: evidence(n, together.as_ref(), faulting),
            not_seen: Vec::new(),
        };
        (mixtures, Ok(testimony))
    }

    /// Few samples, but most of them in calls that say what the kernel does.
    fn is_in_calls(&self, n: u64) -> bool {
        let calls = self.pieces.iter().flat_map(|at| self.code.pieces[at.0].kernel());
        let told = calls.filter(|(work, _)| work.kind().0 != Kind::Other);
        n >= at::LEAST_IN_CALLS && 2 * told.map(|(_, n)| n).sum::<u64>() > n
    }

    /// Share of the time that goes to page faults: what the kernel takes beyond its calls, else their number times what one
    /// costs.
    fn faulting(&self, n: u64) -> f64 {
        let Some(measured) = self.measured else { return 0.0 };
        let (faults, in_kernel) = measured.usage(self.pieces);
        if faults == 0 {
            return 0.0;
        }
        if let Some(in_kernel) = in_kernel.filter(|&it| it > 0.0) {
            let calls = self.pieces.iter().flat_map(|at| self.code.pieces[at.0].kernel());
            let in_calls: u64 = calls.map(|(_, n)| n).sum();
            return (in_kernel - in_calls as f64 / n as f64).clamp(0.0, 1.0);
        }
        let whole = n as f64 * self.sampling.period_ns.max(1) as f64;
        let kept = self.sampling.accesses.len().max(1) as f64;
        let scale = self.sampling.accesses_seen as f64 / kept;
        (faults as f64 * scale * self.fault_ns.unwrap_or(0.0) / whole).min(1.0)
    }

    fn why_nothing(&self, together: Option<&Residency>) -> String {
        let probes = together.map_or(0, |it| it.probes);
        if !self.sampling.probing.had_partner {
            return "loads of its data, which `cargo bottleneck run` times beside the program"
                .to_owned();
        }
        if self.measured.is_none() {
            return format!("this machine's load times: {}", self.no_load_times);
        }
        format!(
            "more calls, or a longer run: {probes} of {} loads of its data could be timed",
            at::LEAST_PROBES
        )
    }
}

fn seconds(samples: u64, period_ns: u64) -> String {
    crate::number::time(samples.saturating_mul(period_ns))
}

/// Enough is known to say something.
fn is_telling(residency: &Residency) -> bool {
    residency.is_probed() || residency.accesses.high < at::HARDLY_LOADS
}

/// Samples could as well have fallen on the other side of a line that decides.
fn is_at_a_line(residency: &Residency) -> bool {
    let middle = f64::midpoint(at::PARTLY_STALLED, at::STALLED);
    let cached = f64::midpoint(at::PARTLY_CACHE_STALLED, at::CACHE_STALLED);
    let memory = residency.dram_stall.plus(residency.cache_stall);
    let decides = |band: super::band::Band, line: f64| band.low < line && line < band.high;
    residency.is_probed()
        && decides(residency.dram_stall, middle)
        && (decides(memory, cached) || memory.high < cached)
}

/// What a piece's time is made of; unexplained where nothing is known.
fn parts_of(piece: &Piece, residency: Option<&Residency>, bandwidth: Option<f64>) -> Vec<Part> {
    let n = piece.n().max(1) as f64;
    let share = |sorts: &[What]| piece.n_of(sorts) as f64 / n;
    let mut parts = vec![
        (Kind::Other, None, share(&[What::Unknown])),
        (Kind::Other, Some(Subkind::UnseenDevice), share(&[What::Driver])),
    ];
    for (work, samples) in piece.kernel() {
        let (kind, subkind) = work.kind();
        parts.push((kind, subkind, samples as f64 / n));
    }
    let mut rest = piece.n_own() as f64 / n;
    if share(&[What::Spin]) >= at::SPINNING * rest && rest > 0.0 {
        parts.push((Kind::Scheduling, Some(Subkind::Spin), rest));
        return parts;
    }
    let Some(residency) = residency else {
        parts.push((Kind::Other, None, rest));
        return parts;
    };
    if residency.is_probed() {
        let dram = residency.dram_stall.ramp(at::PARTLY_STALLED, at::STALLED);
        parts.push((Kind::Memory, Some(dram_subkind(piece, residency, bandwidth)), rest * dram));
        rest *= 1.0 - dram;
        let all = residency.dram_stall.plus(residency.cache_stall);
        let cache = all.ramp(at::PARTLY_CACHE_STALLED, at::CACHE_STALLED);
        let subkind = if is_shared(piece) { Subkind::Coherence } else { Subkind::Cache };
        parts.push((Kind::Memory, Some(subkind), rest * cache));
        rest *= 1.0 - cache;
    }
    parts.push((Kind::Compute, Some(compute_subkind(piece)), rest));
    parts
}

/// Accesses to one address that are far away every time: another core has written the line.
fn is_shared(piece: &Piece) -> bool {
    let all = piece.n_of(&[What::Load, What::Store]);
    2 * piece.advances.fixed > all
}

fn dram_subkind(piece: &Piece, residency: &Residency, bandwidth: Option<f64>) -> Subkind {
    if is_shared(piece) {
        return Subkind::Coherence;
    }
    let streams = residency
        .stream
        .zip(bandwidth)
        .is_some_and(|(stream, bandwidth)| stream.is_from_dram(bandwidth));
    let advances = piece.advances;
    // What the code says counts more: few calls are long enough for two samples.
    if advances.strides > advances.scattered || (streams && advances.scattered == 0) {
        Subkind::Bandwidth
    } else if advances.scattered > 0 || residency.stream.is_some() && !streams {
        Subkind::Latency
    } else {
        Subkind::Bandwidth
    }
}

fn compute_subkind(piece: &Piece) -> Subkind {
    let own = piece.n_own();
    let often = |n: u64| n as f64 >= at::OFTEN * own.max(1) as f64;
    if often(piece.n_of(&[What::Divide])) {
        Subkind::Divide
    } else if often(piece.n_of(&[What::Branch])) {
        Subkind::Branchy
    } else if 2 * piece.on_vectors >= own {
        Subkind::Arithmetic
    } else {
        Subkind::Scalar
    }
}

/// The measurements, for people; shares of what was sampled are rounded to what they are good for.
fn evidence(n: u64, together: Option<&Residency>, faulting: f64) -> Vec<Evidence> {
    let mut res = Vec::new();
    let mut add = |what: String, value: f64, unit: &str, of: Option<f64>, source: Source| {
        res.push(Evidence { what, value, unit: unit.to_owned(), of, source });
    };
    let percent = |share: f64| (100.0 * share).round();
    if faulting >= at::FAULTING {
        add("time in page faults".to_owned(), percent(faulting), "%", None, Source::Inferred);
    }
    let Some(residency) = together else {
        add("samples of its instructions".to_owned(), n as f64, "samples", None, Source::Measured);
        return res;
    };
    let what = format!("held up by loads and stores, in {n} samples");
    add(what, percent(residency.accesses.mid), "%", None, Source::Measured);
    if residency.is_probed() {
        let what = format!("from DRAM, of {} timed loads of data it needed next", residency.probes);
        add(what, percent(residency.from_dram.mid), "%", None, Source::Measured);
        let tens = |share: f64| (10.0 * share).round() * 10.0;
        if residency.from_cache.mid >= 0.1 {
            let what = "from a cache beyond the core's own".to_owned();
            add(what, percent(residency.from_cache.mid), "%", None, Source::Measured);
        }
        let what = "time that waits for DRAM, about".to_owned();
        add(what, tens(residency.dram_stall.mid), "%", None, Source::Inferred);
    }
    res
}
