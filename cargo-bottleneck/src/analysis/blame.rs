//! What limits progress at one moment: `RULES`, the first row that holds decides.
//!
//! The question at each moment is what would have to change for the program to go on faster. If threads work, it is what
//! limits *them*, in equal parts; who waits for them adds nothing. Scheduling is to blame where work is there and a CPU
//! idles, or does nothing useful: for the whole moment if only one thread works meanwhile, else for the part of the CPUs that
//! is lost. If nobody can run, it is the wait that ends by itself.

use crate::kind::Kind;
use crate::profile::{SpanIdx, TaskIdx};

use super::cause::Cause;
use super::held_up::{
    finished, has_finished_mates, has_straggler, is_lock_held, producers, queueing, served,
    stragglers,
};
use super::mixture::Ingredient;
use super::scene::{Scene, Setting, Waiter};
use super::subkind::Subkind;

/// What the time of a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The thread ran.
    OnCpu,
    /// Threads without spans ran for it.
    Helpers,
    /// It waited.
    Waits,
    /// It could run.
    Preempted,
    /// It ran while others could do nothing but wait for it.
    HeldUp,
    /// A device ran for it.
    Device,
    /// A device had nothing to run because of it.
    DeviceIdle,
}

/// What is to blame, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blamed {
    /// The path.
    pub span: SpanIdx,
    /// What of its time.
    pub part: Part,
    /// The kind of bottleneck.
    pub kind: Kind,
    /// What of the kind.
    pub subkind: Option<Subkind>,
    /// What was waited for.
    pub cause: Option<Cause>,
    /// The thread without spans that it was done by.
    pub helper: Option<TaskIdx>,
    /// A path with a key that was open on another thread, where this one has none: its phase.
    pub via: Option<SpanIdx>,
}

/// A part of a moment. The parts of a moment sum to 1, or to 0 if it is idle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share {
    pub(super) blamed: Blamed,
    pub(super) part: f64,
    /// The part of the moment that would be saved if nothing idled.
    pub(super) lost: f64,
}

/// One row of the table.
pub(super) struct Rule {
    pub(super) name: &'static str,
    when: fn(&Scene, &Setting<'_>) -> bool,
    blame: fn(&Scene, &Setting<'_>, &mut Vec<Share>),
}

/// Half a CPU: less is chance.
const HALF: f64 = 0.5;
/// Where threads spin for each other one works; that samples of all their moments say a little more is chance.
const ABOUT_ONE: f64 = 1.35;

/// The rules, from the first to try to the last; the last always holds.
pub(super) static RULES: &[Rule] = &[
    Rule { name: "idle", when: |s, at| is_idle(s, at), blame: |_, _, _| () },
    Rule {
        name: "spinning beside work",
        // With a CPU for each, who is ready waits for another program, or for its turn.
        when: |s, at| {
            s.spinning() >= HALF && (s.ready() < HALF || s.actors.len() as f64 <= at.roles.cpus)
        },
        blame: spinning,
    },
    Rule {
        name: "spinning on the CPU that others need",
        when: |s, _| s.spinning() >= HALF,
        blame: |s, at, out| {
            let lost = s.spinning().min(s.ready());
            lose(s, at, out, lost, |out, part, lost| {
                kept_from_running(s, Subkind::Oversubscribed, out, part, lost);
            });
        },
    },
    Rule {
        name: "queueing for a lock beside an idle CPU",
        when: |s, at| s.idle_cpus >= HALF && is_lock_held(s) && queueing(s, at).next().is_some(),
        blame: |s, at, out| {
            let lost = (queueing(s, at).count() as f64).min(s.idle_cpus);
            lose(s, at, out, lost, |out, part, lost| {
                let queue = queueing(s, at).map(|waiter| {
                    blamed(waiter.span, Part::Waits, Kind::Scheduling, Some(Subkind::Lock))
                        .waits_for(waiter.cause)
                });
                spread(out, queue.collect(), part, lost);
            });
        },
    },
    Rule {
        name: "waiting at the end of a region beside an idle CPU",
        when: |s, at| s.idle_cpus >= HALF && stragglers(s, at).next().is_some(),
        blame: |s, at, out| {
            let finished = s.waiters.iter().filter(|it| has_straggler(s, at, it)).count();
            let lost = (finished as f64).min(s.idle_cpus);
            lose(s, at, out, lost, |out, part, lost| {
                let held_up = stragglers(s, at).map(|actor| {
                    blamed(actor.span, Part::HeldUp, Kind::Scheduling, Some(Subkind::Imbalance))
                });
                spread(out, held_up.collect(), part, lost);
            });
        },
    },
    Rule {
        name: "finished with its part beside an idle CPU",
        when: |s, at| s.idle_cpus >= HALF && finished(s, at) > 0,
        blame: |s, at, out| {
            let lost = (finished(s, at) as f64).min(s.idle_cpus);
            lose(s, at, out, lost, |out, part, lost| {
                let held_up = s.actors.iter().filter(|actor| has_finished_mates(s, at, actor));
                let held_up = held_up.map(|actor| {
                    blamed(actor.span, Part::HeldUp, Kind::Scheduling, Some(Subkind::Imbalance))
                });
                spread(out, held_up.collect(), part, lost);
            });
        },
    },
    Rule {
        name: "starving for input beside an idle CPU",
        when: |s, at| s.idle_cpus >= HALF && producers(s, at).next().is_some(),
        blame: |s, at, out| {
            lose(s, at, out, s.idle_cpus.min(1.0), |out, part, lost| {
                let held_up = producers(s, at).map(|actor| {
                    blamed(actor.span, Part::HeldUp, Kind::Scheduling, Some(Subkind::StarvedQueue))
                });
                spread(out, held_up.collect(), part, lost);
            });
        },
    },
    Rule {
        name: "kept from running by threads that serve nobody",
        when: |s, _| s.ready() > 0.0 && s.elsewhere() > 0.0,
        blame: |s, at, out| {
            let lost = s.ready().min(s.elsewhere());
            lose_in_proportion(s, at, out, lost, |out, part, lost| {
                kept_from_running(s, Subkind::Oversubscribed, out, part, lost);
            });
        },
    },
    Rule {
        name: "kept from running by nobody in the program",
        when: |s, _| s.ready() > 0.0 && (s.idle_cpus >= HALF || s.working() == 0.0),
        blame: |s, at, out| {
            let lost = if s.working() == 0.0 { s.ready() } else { s.ready().min(s.idle_cpus) };
            lose_in_proportion(s, at, out, lost, |out, part, lost| {
                let by = match at.taken_by {
                    Subkind::Throttled => Subkind::Throttled,
                    _ => Subkind::Interference,
                };
                kept_from_running(s, by, out, part, lost);
            });
        },
    },
    Rule {
        name: "working",
        when: |s, _| s.working() > 0.0,
        blame: |s, at, out| work_and_spin(s, at, out),
    },
    Rule {
        name: "threads without spans work for those that wait",
        when: |s, _| !s.helpers.is_empty() && served(s).next().is_some(),
        blame: helped,
    },
    Rule { name: "waiting", when: |_, _| true, blame: waiting },
];

/// Blames a moment. Returns the rule's name and the shares.
pub(super) fn blame(scene: &Scene, at: &Setting<'_>) -> (&'static str, Vec<Share>) {
    let mut shares = Vec::new();
    let rule = RULES.iter().find(|rule| (rule.when)(scene, at)).unwrap_or(&RULES[0]);
    (rule.blame)(scene, at, &mut shares);
    give_phases(scene, at, &mut shares);
    (rule.name, shares)
}

/// Time in which the process had no CPU at all, as shares of those who could have run.
pub(super) fn stalled(scene: &Scene, at: &Setting<'_>) -> Vec<Share> {
    let mut shares = Vec::new();
    if scene.is_in_flight && !scene.actors.is_empty() {
        let kept = scene
            .actors
            .iter()
            .map(|actor| blamed(actor.span, Part::Preempted, Kind::Scheduling, Some(at.taken_by)));
        spread(&mut shares, kept.collect(), 1.0, 1.0);
    }
    give_phases(scene, at, &mut shares);
    shares
}

fn blamed(span: SpanIdx, part: Part, kind: Kind, subkind: Option<Subkind>) -> Blamed {
    Blamed { span, part, kind, subkind, cause: None, helper: None, via: None }
}

impl Blamed {
    fn waits_for(self, cause: Cause) -> Self {
        Self { cause: Some(cause), ..self }
    }
}

/// Equal parts for each.
fn spread(out: &mut Vec<Share>, blamed: Vec<Blamed>, part: f64, lost: f64) {
    let n = blamed.len().max(1) as f64;
    out.extend(blamed.into_iter().map(|blamed| Share { blamed, part: part / n, lost: lost / n }));
}

/// Scheduling has the whole moment if at most one thread works, else the part of the CPUs that is lost; the rest is what
/// limits those who work.
fn lose(
    scene: &Scene,
    at: &Setting<'_>,
    out: &mut Vec<Share>,
    lost: f64,
    to: impl FnOnce(&mut Vec<Share>, f64, f64),
) {
    let working = scene.working();
    let saved = lost / (working + lost);
    let part = if working <= 1.0 + f64::EPSILON { 1.0 } else { saved };
    to(out, part, saved);
    work(scene, at, out, 1.0 - part);
}

/// Scheduling has the part of the CPUs that is lost.
fn lose_in_proportion(
    scene: &Scene,
    at: &Setting<'_>,
    out: &mut Vec<Share>,
    lost: f64,
    to: impl FnOnce(&mut Vec<Share>, f64, f64),
) {
    let saved = lost / (scene.working() + lost);
    to(out, saved, saved);
    work(scene, at, out, 1.0 - saved);
}

/// What limits the threads that work, in proportion to their CPUs.
fn work(scene: &Scene, at: &Setting<'_>, out: &mut Vec<Share>, part: f64) {
    let working = scene.working();
    if working <= 0.0 || part <= 0.0 {
        return;
    }
    for actor in scene.actors.iter().filter(|it| it.working() > 0.0) {
        let own = part * actor.working() / working;
        let works = |it: &&Ingredient| it.subkind != Some(Subkind::Spin);
        let ingredients = || at.classes.spans[actor.span].mixture.ingredients().iter();
        let whole: f64 = ingredients().filter(works).map(|it| it.part).sum();
        out.extend(ingredients().filter(works).map(|it| Share {
            blamed: blamed(actor.span, Part::OnCpu, it.kind, it.subkind),
            part: own * it.part / whole,
            lost: 0.0,
        }));
    }
}

/// What limits the threads that work, and the part of their time in which they only wait.
fn work_and_spin(scene: &Scene, at: &Setting<'_>, out: &mut Vec<Share>) {
    let part = scene.spinning() / (scene.working() + scene.spinning());
    spin(scene, out, part, part);
    work(scene, at, out, 1.0 - part);
}

/// As [`lose`], but that one thread alone does not spin beside work.
fn spinning(scene: &Scene, at: &Setting<'_>, out: &mut Vec<Share>) {
    let (working, spinning) = (scene.working(), scene.spinning());
    let are_several = working + spinning >= 1.0 + HALF;
    if are_several && working < ABOUT_ONE {
        spin(scene, out, 1.0, spinning / (working + spinning));
    } else {
        work_and_spin(scene, at, out);
    }
}

/// In proportion to the CPUs that are kept busy with waiting.
fn spin(scene: &Scene, out: &mut Vec<Share>, part: f64, lost: f64) {
    let whole = scene.spinning();
    for actor in scene.actors.iter().filter(|it| it.spinning() > 0.0) {
        let own = actor.spinning() / whole;
        let blamed = blamed(actor.span, Part::OnCpu, Kind::Scheduling, Some(Subkind::Spin));
        out.push(Share { blamed, part: part * own, lost: lost * own });
    }
}

fn kept_from_running(scene: &Scene, by: Subkind, out: &mut Vec<Share>, part: f64, lost: f64) {
    let ready = scene.ready();
    for actor in scene.actors.iter().filter(|it| it.ready > 0.0) {
        let own = actor.ready / ready;
        let blamed = blamed(actor.span, Part::Preempted, Kind::Scheduling, Some(by));
        out.push(Share { blamed, part: part * own, lost: lost * own });
    }
}

/// Kinds are those of the paths that wait: what they declare is done by the helpers.
fn helped(scene: &Scene, at: &Setting<'_>, out: &mut Vec<Share>) {
    let n_served = served(scene).count().max(1) as f64;
    let running: f64 = scene.helpers.iter().map(|it| it.on_cpu).sum();
    for waiter in served(scene) {
        let class = at.classes.spans[waiter.span];
        for helper in &scene.helpers {
            let part = helper.on_cpu / running / n_served;
            out.extend(class.helped.ingredients().iter().map(|it| Share {
                blamed: Blamed {
                    helper: Some(helper.task),
                    ..blamed(waiter.span, Part::Helpers, it.kind, it.subkind)
                },
                part: part * it.part,
                lost: 0.0,
            }));
        }
    }
}

/// Nobody can run: the wait that ends by itself is what limits, first within requests, then within calls, then anywhere.
fn waiting(scene: &Scene, at: &Setting<'_>, out: &mut Vec<Share>) {
    let levels: [fn(&Waiter) -> bool; 3] = [|it| it.in_request, |it| it.in_call, |_| true];
    for is_here in levels {
        let here = || scene.waiters.iter().filter(|it| is_here(it));
        let first = here().filter_map(|it| Some((it.cause, kind_of(it, at)?))).min();
        if let Some((cause, _)) = first {
            let blamed = here().filter(|it| it.cause == cause).filter_map(|it| {
                let (kind, subkind) = kind_of(it, at)?;
                Some(blamed(it.span, Part::Waits, kind, Some(subkind)).waits_for(cause))
            });
            return spread(out, blamed.collect(), 1.0, 1.0);
        }
    }
    let waits_most = levels.iter().find(|is_here| scene.waiters.iter().any(is_here));
    let waiters = || scene.waiters.iter().filter(|it| waits_most.is_none_or(|is_here| is_here(it)));
    let places: Vec<(SpanIdx, Cause)> = scene
        .future
        .map(|span| (span, Cause::Unknown))
        .into_iter()
        .chain(waiters().map(|it| (it.span, it.cause)))
        .collect();
    // A thread without spans that waits for a device, or for what a future waits for.
    let tells = |cause: Cause| {
        cause
            .kind()
            .filter(|_| cause < Cause::Events || (cause == Cause::Events && scene.future.is_some()))
    };
    let by_others = scene
        .bystanders
        .iter()
        .filter_map(|&(task, cause)| Some((cause, tells(cause)?, task)))
        .min();
    let unexplained = places.iter().map(|&(span, cause)| match by_others {
        Some((cause, (kind, subkind), task)) => Blamed {
            helper: Some(task),
            ..blamed(span, Part::Waits, kind, Some(subkind)).waits_for(cause)
        },
        None => blamed(span, Part::Waits, Kind::Other, None).waits_for(cause),
    });
    spread(out, unexplained.collect(), 1.0, 0.0);
}

/// The kind of a wait: what its author says, else what its cause tells.
fn kind_of(waiter: &Waiter, at: &Setting<'_>) -> Option<(Kind, Subkind)> {
    let asserted = at.classes.spans[waiter.span].waits;
    if asserted != Kind::Other {
        return Some((asserted, Subkind::Asserted));
    }
    let (kind, subkind) = waiter.cause.kind()?;
    let subkind = if subkind == Subkind::Timer && at.roles.polls(waiter.span) {
        Subkind::PollLoop
    } else {
        subkind
    };
    Some((kind, subkind))
}

/// Nothing is asked of the program, or all of it waits for somebody to ask.
fn is_idle(scene: &Scene, at: &Setting<'_>) -> bool {
    if !scene.is_in_flight {
        return true;
    }
    let knows = at.roles.has_requests || scene.future.is_some();
    let causes = || {
        scene
            .waiters
            .iter()
            .map(|it| it.cause)
            .chain(scene.bystanders.iter().map(|&(_, cause)| cause))
    };
    let says_nothing =
        |it: &Waiter| it.cause.is_for_the_next_request() || it.cause.is_for_a_thread();
    !knows
        && scene.actors.is_empty()
        && scene.helpers.is_empty()
        && scene.waiters.iter().all(says_nothing)
        && causes().any(Cause::is_for_the_next_request)
}

/// Time on a thread without a key belongs to the phases that are open on others: a helper's to its caller's.
fn give_phases(scene: &Scene, at: &Setting<'_>, shares: &mut Vec<Share>) {
    if !at.roles.has_keys {
        return;
    }
    let spans = scene.actors.iter().map(|it| it.span).chain(scene.waiters.iter().map(|it| it.span));
    let mut open: Vec<SpanIdx> = spans.filter_map(|span| at.roles.keyed(span)).collect();
    open.sort_unstable();
    open.dedup();
    if open.is_empty() {
        return;
    }
    let n = open.len() as f64;
    for share in std::mem::take(shares) {
        if at.roles.keyed(share.blamed.span).is_some() {
            shares.push(share);
            continue;
        }
        shares.extend(open.iter().map(|&via| Share {
            blamed: Blamed { via: Some(via), ..share.blamed },
            part: share.part / n,
            lost: share.lost / n,
        }));
    }
}
