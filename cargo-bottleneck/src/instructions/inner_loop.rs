//! The loops around an instruction, as far as their code was kept.

use iced_x86::Instruction;

use super::around::{Around, is_branch};

/// Loops around an instruction that are looked at.
const MOST: usize = 3;

/// The loops with `blamed` in them, the smallest first: their instructions from the target of the branch that closes each
/// to that branch.
pub(super) fn loops(around: &Around<'_>, blamed: &Instruction) -> Vec<Vec<Instruction>> {
    let edges = std::iter::once(blamed).chain(&around.ahead).filter(|it| is_branch(it));
    let mut ranges: Vec<(u64, u64)> = edges
        .filter(|edge| blamed.ip() <= edge.ip())
        .map(|edge| (edge.near_branch_target(), edge.next_ip()))
        .filter(|&(start, end)| around.start() <= start && start <= blamed.ip() && start < end)
        .collect();
    ranges.sort_by_key(|&(start, end)| end - start);
    ranges.dedup();
    let bodies = ranges.into_iter().filter_map(|(start, end)| {
        let body = around.listed(start, end);
        // Counted from a wrong start the instructions would not meet.
        let meets = body.iter().any(|it| it.ip() == blamed.ip());
        (meets && body.last()?.next_ip() == end).then_some(body)
    });
    bodies.take(MOST).collect()
}
