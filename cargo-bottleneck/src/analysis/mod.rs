//! From a profile to a judgement: what the time of every path went to, what limits it, and what to do.
//!
//! Pure and deterministic: a profile and a [`Context`] in, an [`Analysis`] out; no clock, no I/O. The steps, each in its
//! module: [`attribution`] (on the CPU or waiting), [`in_flight`] (what counts), `roles` (what the parts are to each other),
//! [`roofline`] and [`classify`] (what limits a path on the CPU), [`cause`] (what a thread waits for), `scene` and [`blame`]
//! (what limits the program at one moment), [`device`] (what devices did meanwhile), [`ledger`] (the time in flight, divided), `finding` (where), [`verdict`] and
//! `phases` (the judgement), [`gain`] (what it is worth), [`leaves`] (the functions inside), [`summary`] (as reports hold it).

pub mod attribution;
pub mod band;
pub mod blame;
pub mod cause;
pub mod ceilings;
pub mod classify;
mod crew;
pub mod device;
mod facts;
mod finding;
mod frames;
mod from_machine;
mod function_name;
pub mod gain;
mod held_up;
mod hot_code;
pub mod identity;
pub mod in_flight;
mod interference;
mod io_waits;
mod kernel_work;
pub mod kinds;
pub mod leaves;
pub mod ledger;
mod looked_at;
pub mod mixture;
mod moments;
mod phases;
mod pool;
mod residency;
mod roles;
pub mod roofline;
mod sampled;
mod scene;
mod starved;
mod stream;
pub mod subkind;
pub mod summary;
pub mod testimony;
mod thresholds;
pub mod verdict;
pub mod wording;

#[cfg(test)]
mod blame_tests;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod sampled_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wait_tests;

pub use attribution::SelfTime;
pub use ceilings::{Cache, Ceilings, LoadTimes, Peak, Range};
pub use pool::working_threads;
pub use summary::summarize;

use crate::kind::Kind;
use crate::machine::gpu::Gpus;
use crate::profile::{Column, Profile, SpanIdx};
use crate::report::model::{Exit, Finding, MachineView, Phase, Verdict};
use crate::symbols::Symbols;

use classify::Classification;
use device::DeviceView;
use facts::Facts;
use identity::Label;
use in_flight::InFlight;
use kinds::ByKind;
use leaves::Leaves;
use ledger::{Basis, Ledger};
use roles::Roles;
use sampled::Sampled;
use subkind::Subkind;
use testimony::Witness;

/// What the command knows and the profile does not.
#[derive(Clone, Debug)]
pub struct Context {
    /// Name of the program.
    pub program: String,
    /// Its command line.
    pub command: Vec<String>,
    /// How it ended.
    pub exit: Exit,
    /// The machine that it ran on.
    pub machine: MachineView,
    /// The ceilings of that machine, or why there are none.
    pub ceilings: Result<Ceilings, String>,
    /// What is known of the NVIDIA devices of that machine; empty where nothing is.
    pub gpu: Gpus,
    /// What the sampled addresses are called; `None` where that was not looked up.
    pub symbols: Option<Symbols>,
    /// What went wrong before: the warnings of the loader, of the build, of the machine.
    pub warnings: Vec<String>,
}

/// Everything that was found.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// Self time of every path, divided.
    pub times: Column<SpanIdx, SelfTime>,
    /// Kinds of every path, and the regions of those that declare work.
    pub classes: Classification,
    /// What samples say; `None` where there are none.
    sampled: Option<Sampled>,
    /// What every path is called.
    pub labels: Column<SpanIdx, Label>,
    /// The spans that count.
    pub in_flight: InFlight,
    /// The time in flight, divided among what is to blame.
    pub ledger: Ledger,
    /// What devices did; `None` where there were none.
    pub devices: Option<DeviceView>,
    /// The functions that paths spend their own time in.
    pub leaves: Leaves,
    /// Thread time in flight by kind.
    pub thread_kinds: ByKind,
    /// Wall time in flight by kind.
    pub kinds: ByKind,
    /// The judgement.
    pub verdict: Verdict,
    /// Where the time goes, the largest first.
    pub findings: Vec<Finding>,
    /// Judgements by key.
    pub phases: Vec<Phase>,
    /// What was no problem.
    pub checked: Vec<String>,
    /// What was not looked at.
    pub skipped: Vec<String>,
    /// What the reader should know.
    pub warnings: Vec<String>,
}

/// Findings below this share of the time in flight are not listed.
const LEAST_SHARE: f64 = 0.01;
/// At most so many findings are listed.
const MOST_FINDINGS: usize = 10;

/// Analyzes a profile. Linear in its paths, but for a logarithm.
pub fn analyze(profile: &Profile, context: &Context) -> Analysis {
    let times = attribution::attribute(profile);
    let in_flight = InFlight::of(profile, &times);
    let ceilings = context.ceilings.as_ref();
    let disturbed = interference::is_by_other_programs(profile, &times);
    let lowered = ceilings.ok().filter(|_| disturbed).map(Ceilings::of_a_disturbed_run);
    let ceilings_here = lowered.as_ref().or(ceilings.ok());
    let sampled = Sampled::of(profile, ceilings_here);
    let witness = sampled.as_ref().map(|it| -> &dyn Witness { it });
    let roles = Roles::of(profile, witness);
    let classes = classify::classify(profile, &times, &roles, ceilings_here, witness);
    let labels = identity::label(profile);
    let devices = DeviceView::of(profile, &context.gpu);
    let ledger = Ledger::of(profile, &times, &classes, &roles, &in_flight, devices.as_ref());
    let leaves = Leaves::of(profile, context.symbols.as_ref(), |counted| {
        sampled.as_ref().and_then(|it| it.kind_of(counted))
    });
    let facts = Facts {
        profile,
        times: &times,
        classes: &classes,
        labels: &labels,
        witness,
        ledger: &ledger,
        devices: devices.as_ref(),
        leaves: &leaves,
        no_ceilings: ceilings.err().map(String::as_str),
        has_requests: in_flight.has_requests,
    };
    let mut thread_kinds = ByKind::default();
    for span in profile.spans.indices().filter(|&span| in_flight.counts[span]) {
        thread_kinds += verdict::kinds_of_self(&facts, span);
    }
    let kinds = ledger.kinds();
    let of = of_what(&ledger, &in_flight);
    let verdict = verdict::judge(&facts, &ledger.rows, true, &of);
    let found = finding::find(&facts, ledger.rows.iter());
    let says_something = |finding: &&finding::Finding| {
        finding.kind != Kind::Other && finding.subkind != Some(Subkind::Interference)
    };
    let listed = found.iter().filter(says_something).filter(|finding| finding.share >= LEAST_SHARE);
    let findings = listed.take(MOST_FINDINGS).map(|finding| finding.to_model(&facts)).collect();
    let (checked, skipped) = looked_at::looked_at(profile, &times, &in_flight, &ledger);
    let phases = phases::phases(&facts);
    let mut warnings = looked_at::warnings(profile, context, &ledger);
    warnings.extend(verdict::interference(&ledger.rows));
    Analysis {
        times,
        classes,
        sampled,
        labels,
        in_flight,
        ledger,
        devices,
        leaves,
        thread_kinds,
        kinds,
        verdict,
        findings,
        phases,
        checked,
        skipped,
        warnings,
    }
}

/// What shares are shares of.
fn of_what(ledger: &Ledger, in_flight: &InFlight) -> String {
    match ledger.basis {
        Basis::Exact | Basis::Sampled => "time in flight".to_owned(),
        Basis::ThreadTime => format!("thread time in spans ({} threads)", in_flight.threads),
    }
}
