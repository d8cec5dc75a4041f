//! Whether a thread waits for another one without giving up its CPU.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::access::{Operand, Operands, written};
use super::around::Around;

/// Instructions behind a sample among which a hint is near.
const NEAR: usize = 2;
/// The longest loop that a hint in it makes a wait.
const LONGEST_WITH_HINT: usize = 24;
/// The longest loop that waits without a hint.
const LONGEST: usize = 12;

pub(super) fn is_spin(
    around: &Around<'_>,
    blamed: &Instruction,
    loops: &[Vec<Instruction>],
) -> bool {
    let hints = |it: &Instruction| it.mnemonic() == Mnemonic::Pause;
    let is_near = around.ahead.iter().take(NEAR).chain([blamed]).any(hints);
    let mut waits = loops.iter().filter(|body| body.len() <= LONGEST_WITH_HINT);
    let innermost = loops.first().filter(|body| body.len() <= LONGEST);
    is_near
        || waits.any(|body| body.iter().any(hints))
        || innermost.is_some_and(|body| only_looks(body))
}

/// The loop only looks at one place in memory, or tries to exchange it, and goes on as before.
fn only_looks(body: &[Instruction]) -> bool {
    let mut place: Option<Operand> = None;
    for instruction in body {
        if !is_idle(instruction) {
            return false;
        }
        for operand in Operands::of(instruction).all() {
            let is_other = place.is_some_and(|place| !is_one_place(&place, operand));
            if is_other || !operand.is_read {
                return false;
            }
            place = Some(*operand);
        }
    }
    let Some(place) = place else { return false };
    let is_moved = |it: &Instruction| {
        let written = written(it);
        [place.base, place.index]
            .iter()
            .any(|part| *part != Register::None && written.contains(&part.full_register()))
    };
    !body.iter().any(is_moved)
}

fn is_one_place(a: &Operand, b: &Operand) -> bool {
    (a.base, a.index, a.scale, a.displacement) == (b.base, b.index, b.scale, b.displacement)
}

/// It moves, compares or branches, and counts nothing.
fn is_idle(instruction: &Instruction) -> bool {
    use Mnemonic as M;
    let is_register = |at| instruction.op_kind(at) == OpKind::Register;
    match instruction.mnemonic() {
        M::Mov
        | M::Movzx
        | M::Movsx
        | M::Movsxd
        | M::Cmp
        | M::Test
        | M::Nop
        | M::Xchg
        | M::Cmpxchg
        | M::Jmp => true,
        M::And => !is_register(1) && is_register(0),
        // Sets a register to zero.
        M::Xor => {
            is_register(0)
                && is_register(1)
                && instruction.op0_register() == instruction.op1_register()
        }
        _ => instruction.is_jcc_short_or_near(),
    }
}
