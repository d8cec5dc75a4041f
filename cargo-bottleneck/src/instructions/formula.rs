//! Where data lie, by registers as they are at the sample.

use iced_x86::{FlowControl, Instruction, Register};

use super::Formula;
use super::access::{Operand, Operands, number, written};
use super::around::{Around, is_branch};

/// Instructions behind the sample in which another access is looked for.
const NEXT: usize = 8;

/// The data of the blamed instruction; `None` where it has overwritten the registers that tell.
pub(super) fn own(
    around: &Around<'_>,
    blamed: &Instruction,
    operands: &Operands,
) -> Option<Formula> {
    let data = operands.data()?;
    let formula = of(data)?;
    if blamed.is_string_instruction() {
        // It moves its pointers on. At the sample they are behind the data, except in a repetition that is not over.
        let is_at_work = blamed.ip() == around.sampled;
        let behind = if is_at_work { 0 } else { i64::try_from(data.bytes).ok()? };
        return Some(Formula {
            displacement: formula.displacement.wrapping_sub(behind),
            ..formula
        });
    }
    let written = written(blamed);
    is_untouched(data, &written).then_some(formula)
}

/// The first data that the next few instructions access by registers which are not written before that. A loop is followed
/// around its end.
pub(super) fn next(around: &Around<'_>) -> Option<Formula> {
    let mut changed: Vec<Register> = Vec::new();
    let mut at = around.sampled;
    for _ in 0..NEXT {
        let instruction = around.at(at)?;
        let goes_back = is_branch(&instruction) && instruction.near_branch_target() <= at;
        at = match instruction.flow_control() {
            FlowControl::UnconditionalBranch if is_branch(&instruction) => {
                instruction.near_branch_target()
            }
            FlowControl::ConditionalBranch if goes_back => instruction.near_branch_target(),
            FlowControl::Next | FlowControl::ConditionalBranch => instruction.next_ip(),
            FlowControl::UnconditionalBranch
            | FlowControl::IndirectBranch
            | FlowControl::Return
            | FlowControl::Call
            | FlowControl::IndirectCall
            | FlowControl::Interrupt
            | FlowControl::XbeginXabortXend
            | FlowControl::Exception => return None,
        };
        let operands = Operands::of(&instruction);
        if let Some(data) = operands.data()
            && is_untouched(data, &changed)
            && let Some(formula) = of(data)
        {
            return Some(formula);
        }
        changed.extend(written(&instruction));
    }
    None
}

/// A string instruction that goes on until its count is used up.
pub(super) fn is_repeated(instruction: &Instruction) -> bool {
    let has_prefix = instruction.has_rep_prefix() || instruction.has_repne_prefix();
    has_prefix && instruction.is_string_instruction()
}

fn of(operand: &Operand) -> Option<Formula> {
    // Addresses of 32 bits would need the upper halves of the registers cut off.
    let part = |register: Register| match register {
        Register::None => Some(None),
        register if register.is_gpr64() => Some(number(register)),
        _ => None,
    };
    let scale = if operand.index == Register::None { 1 } else { operand.scale.max(1) };
    Some(Formula {
        base: part(operand.base)?,
        index: part(operand.index)?,
        scale_log2: u8::try_from(scale.trailing_zeros()).ok()?,
        displacement: operand.displacement,
    })
}

fn is_untouched(operand: &Operand, written: &[Register]) -> bool {
    let parts = [operand.base, operand.index];
    parts.iter().all(|part| *part == Register::None || !written.contains(&part.full_register()))
}
