//! One moment of the run as blame sees it: who works, who could, who waits, and what idles.

use crate::profile::snapshots::State;
use crate::profile::{Doing, Moment, Profile, SpanIdx, TaskIdx, ThreadIdx};

use super::cause::Cause;
use super::classify::Classification;
use super::device::DeviceView;
use super::roles::{Roles, cause_of};
use super::subkind::Subkind;

/// What a parked thread of the standard library waits for.
const PARKED: u32 = u32::MAX;

/// A thread in flight that can run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Actor {
    pub(super) span: SpanIdx,
    /// The part of it that is on a CPU: 0 or 1, or between where the kernel only says that it could run.
    pub(super) on_cpu: f64,
    /// The part that is not.
    pub(super) ready: f64,
    /// The part of what it does there that is to wait, from 0 to 1.
    pub(super) spins: f64,
    /// The kernel said whether it has a CPU.
    is_certain: bool,
}

impl Actor {
    /// CPUs that it works on.
    pub(super) fn working(&self) -> f64 {
        self.on_cpu * (1.0 - self.spins)
    }

    /// CPUs that it keeps busy with waiting.
    pub(super) fn spinning(&self) -> f64 {
        self.on_cpu * self.spins
    }
}

/// A thread with a span that waits.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that rules ask one by one")]
pub(super) struct Waiter {
    pub(super) thread: ThreadIdx,
    pub(super) span: SpanIdx,
    pub(super) cause: Cause,
    /// More than one task waits at its futex now and then.
    pub(super) at_shared: bool,
    /// It is parked: at a futex of its own, for whoever unparks it.
    pub(super) is_parked: bool,
    pub(super) in_request: bool,
    /// In a call, not in the body of its thread.
    pub(super) in_call: bool,
}

/// A thread without spans that can run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Helper {
    pub(super) task: TaskIdx,
    pub(super) on_cpu: f64,
}

/// What the rules look at beside the scene.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting<'a> {
    pub(super) profile: &'a Profile,
    pub(super) roles: &'a Roles<'a>,
    pub(super) classes: &'a Classification,
    /// What devices did, where there were any.
    pub(super) devices: Option<&'a DeviceView>,
    /// What keeps threads from running when no thread of the program does.
    pub(super) taken_by: Subkind,
}

/// One moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    /// Something was asked of the program.
    pub(super) is_in_flight: bool,
    pub(super) actors: Vec<Actor>,
    pub(super) waiters: Vec<Waiter>,
    pub(super) helpers: Vec<Helper>,
    /// Causes of the waits of threads without spans.
    pub(super) bystanders: Vec<(TaskIdx, Cause)>,
    /// CPUs that threads of the program have which serve nobody.
    pub(super) outside: f64,
    /// CPUs that nobody in the program has.
    pub(super) idle_cpus: f64,
    /// An asynchronous call is in flight, on no thread.
    pub(super) future: Option<SpanIdx>,
}

impl Scene {
    pub(super) fn of(roles: &Roles<'_>, moment: &Moment, doings: &[Doing]) -> Self {
        let mut res = Self {
            is_in_flight: roles.is_in_flight(moment, doings),
            future: roles
                .waiting_future
                .filter(|_| moment.async_requests > 0 || roles.is_waiting_future_in_flight()),
            ..Self::default()
        };
        if !res.is_in_flight {
            return res;
        }
        let chance = chance_of_a_cpu(roles.cpus, doings);
        let idle = roles.cpus - doings.iter().map(|it| on_cpu(it.state, chance)).sum::<f64>();
        res.idle_cpus = idle.max(0.0);
        for doing in doings {
            res.add_waiter(roles, doing);
        }
        let serves_requests = res.future.is_some()
            || res.waiters.iter().any(|it| it.in_request && it.cause.is_for_a_thread());
        for doing in doings {
            let (part, could_run) = (on_cpu(doing.state, chance), can_run(doing.state));
            match doing.span {
                // A free CPU: it waits for the scheduler, not for a CPU.
                Some(_) if doing.state == State::Woken && res.idle_cpus >= 0.5 => {}
                Some(span) if could_run => {
                    let counts = !roles.has_requests
                        || roles.is_in_request(span)
                        || (serves_requests && !has_requests(roles, doing.task));
                    if counts {
                        let spins = roles.spinning(span);
                        let is_certain = doing.state != State::Runnable;
                        res.actors.push(Actor {
                            span,
                            on_cpu: part,
                            ready: 1.0 - part,
                            spins,
                            is_certain,
                        });
                    } else {
                        res.outside += part;
                    }
                }
                None if could_run && part > 0.0 => {
                    res.helpers.push(Helper { task: doing.task, on_cpu: part });
                }
                _ => {}
            }
        }
        res.let_one_hold_the_lock(roles);
        res
    }

    /// Of the threads that could run in a call in which others queue for a lock, one holds it; the rest has been woken or is
    /// about to queue. Where the kernel says who has a CPU, it needs no such guess.
    fn let_one_hold_the_lock(&mut self, roles: &Roles<'_>) {
        let site = |span: SpanIdx| roles.profile.spans[span].site;
        for at in 0..self.waiters.len() {
            let waiter = self.waiters[at];
            if waiter.cause != Cause::Lock || !waiter.at_shared {
                continue;
            }
            let is_there =
                |actor: &Actor| !actor.is_certain && site(actor.span) == site(waiter.span);
            let working: f64 =
                self.actors.iter().filter(|it| is_there(it)).map(|it| it.on_cpu).sum();
            if working <= 1.0 {
                continue;
            }
            for actor in self.actors.iter_mut().filter(|it| is_there(it)) {
                (actor.on_cpu, actor.ready) = (actor.on_cpu / working, 0.0);
            }
            self.idle_cpus += working - 1.0;
        }
    }

    fn add_waiter(&mut self, roles: &Roles<'_>, doing: &Doing) {
        let cause = match (doing.state, cause_of(doing)) {
            (State::Woken, _) if self.idle_cpus >= 0.5 => {
                doing.span.and_then(|span| roles.woken_from(span)).unwrap_or(Cause::Wakeup)
            }
            (_, Some(cause)) => cause,
            _ => return,
        };
        let thread = roles.thread_of(doing.task);
        match doing.span.zip(thread) {
            Some((span, thread)) => self.waiters.push(Waiter {
                thread,
                span,
                cause,
                at_shared: roles.is_shared_futex(doing),
                is_parked: doing.value == PARKED,
                in_request: roles.is_in_request(span),
                in_call: !roles.is_body(span),
            }),
            None => self.bystanders.push((doing.task, cause)),
        }
    }

    /// CPUs that work for what is in flight.
    pub(super) fn working(&self) -> f64 {
        self.actors.iter().map(Actor::working).sum()
    }

    /// CPUs that are kept busy with waiting.
    pub(super) fn spinning(&self) -> f64 {
        self.actors.iter().map(Actor::spinning).sum()
    }

    /// Threads in flight that could run and have no CPU.
    pub(super) fn ready(&self) -> f64 {
        self.actors.iter().map(|it| it.ready).sum()
    }

    /// CPUs that threads have which serve nobody: the unspanned ones too, where no span waits for them.
    pub(super) fn elsewhere(&self) -> f64 {
        self.outside + self.helpers.iter().map(|it| it.on_cpu).sum::<f64>()
    }
}

/// A thread that has requests of its own works for those alone.
fn has_requests(roles: &Roles<'_>, task: TaskIdx) -> bool {
    let Some(thread) = roles.thread_of(task) else { return false };
    roles.thread_has_requests(thread)
}

fn can_run(state: State) -> bool {
    state != State::Blocked
}

/// The part of a task that is on a CPU.
fn on_cpu(state: State, chance: f64) -> f64 {
    match state {
        State::Running => 1.0,
        State::Runnable => chance,
        State::Preempted | State::Woken | State::Blocked => 0.0,
    }
}

/// How likely it is that a task which could run has a CPU, where the kernel does not say: the CPUs that are left for them.
fn chance_of_a_cpu(cpus: f64, doings: &[Doing]) -> f64 {
    let count = |state| doings.iter().filter(|it| it.state == state).count() as f64;
    let (running, runnable) = (count(State::Running), count(State::Runnable));
    if runnable == 0.0 { 0.0 } else { ((cpus - running).max(0.0) / runnable).min(1.0) }
}
