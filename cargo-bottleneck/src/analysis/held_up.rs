//! Who holds others up at a moment: relations between those who work and those who wait that [`super::blame`] asks for.

use crate::profile::ThreadIdx;

use super::cause::Cause;
use super::scene::{Actor, Scene, Setting, Waiter};

/// Somebody works who may hold it, or was woken to take it.
pub(super) fn is_lock_held(scene: &Scene) -> bool {
    scene.working() > 0.0 || scene.waiters.iter().any(|it| it.cause == Cause::Wakeup)
}

/// Threads that queue for a lock which somebody who works may hold: within a request, or beside one who works at the same
/// place. An idle worker that waits for the lock of its queue is neither.
pub(super) fn queueing<'s>(
    scene: &'s Scene,
    at: &'s Setting<'_>,
) -> impl Iterator<Item = &'s Waiter> {
    let works_at_the_same = |waiter: &Waiter| {
        scene
            .actors
            .iter()
            .any(|actor| actor.on_cpu > 0.0 && at.roles.are_peers(actor.span, waiter.span))
    };
    scene.waiters.iter().filter(move |waiter| {
        waiter.cause == Cause::Lock
            && waiter.at_shared
            && waiter.in_call
            && (waiter.in_request || works_at_the_same(waiter))
    })
}

/// The waiter has done its part of a region in which this thread still works: both are in calls of one site, though not of
/// two requests, and the waiter is where its likes wait too, or makes its calls in step with the other.
fn is_straggler(at: &Setting<'_>, actor: &Actor, waiter: &Waiter) -> bool {
    waiter.cause == Cause::Thread
        && waiter.in_call
        && actor.on_cpu > 0.0
        && actor.spins < 0.5
        && !(waiter.in_request && at.roles.is_in_request(actor.span))
        && at.roles.are_peers(actor.span, waiter.span)
        && (waiter.at_shared
            || (!waiter.is_parked && at.roles.are_in_step(actor.span, waiter.span)))
}

pub(super) fn has_straggler(scene: &Scene, at: &Setting<'_>, waiter: &Waiter) -> bool {
    scene.actors.iter().any(|actor| is_straggler(at, actor, waiter))
}

pub(super) fn stragglers<'s>(
    scene: &'s Scene,
    at: &'s Setting<'_>,
) -> impl Iterator<Item = &'s Actor> {
    scene
        .actors
        .iter()
        .filter(move |actor| scene.waiters.iter().any(|waiter| is_straggler(at, actor, waiter)))
}

/// Threads of a crew that wait outside of spans, while others of it work for a call that waits.
pub(super) fn finished(scene: &Scene, at: &Setting<'_>) -> usize {
    let is_awaited = scene.waiters.iter().any(|it| it.in_call && it.cause.is_for_a_thread());
    if !is_awaited {
        return 0;
    }
    let works = |thread| scene.actors.iter().any(|actor| is_mate(at, actor, thread));
    waiting_outside(scene, at).filter(|&thread| works(thread)).count()
}

pub(super) fn has_finished_mates(scene: &Scene, at: &Setting<'_>, actor: &Actor) -> bool {
    waiting_outside(scene, at).any(|thread| is_mate(at, actor, thread))
}

/// Threads that wait for others outside of any span.
fn waiting_outside<'s>(
    scene: &'s Scene,
    at: &'s Setting<'_>,
) -> impl Iterator<Item = ThreadIdx> + 's {
    let waiting = scene.bystanders.iter().filter(|(_, cause)| cause.is_for_a_thread());
    waiting.filter_map(|&(task, _)| at.roles.thread_of(task))
}

fn is_mate(at: &Setting<'_>, actor: &Actor, thread: ThreadIdx) -> bool {
    let own = at.profile.spans[actor.span].thread;
    actor.working() > 0.0 && at.roles.are_a_crew(own, thread)
}

/// Threads that work at the input for which another one starves.
pub(super) fn producers<'s>(
    scene: &'s Scene,
    at: &'s Setting<'_>,
) -> impl Iterator<Item = &'s Actor> {
    let is_awaited = move |actor: &Actor| {
        let thread = at.profile.spans[actor.span].thread;
        let starves = |waiter: &Waiter| {
            waiter.cause == Cause::Thread
                && !waiter.in_request
                && at.roles.producers_of(waiter.thread).any(|producer| producer == thread)
        };
        scene.waiters.iter().any(starves)
    };
    scene.actors.iter().filter(move |actor| actor.on_cpu > 0.0 && is_awaited(actor))
}

/// The threads for which threads without spans may work: the innermost reason to wait first.
pub(super) fn served(scene: &Scene) -> impl Iterator<Item = &Waiter> {
    let is_served = |it: &&Waiter| it.cause.is_for_a_thread();
    let has_calls = scene.waiters.iter().any(|it| is_served(&it) && it.in_call);
    scene.waiters.iter().filter(move |it| is_served(it) && it.in_call == has_calls)
}
