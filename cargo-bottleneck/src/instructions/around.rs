//! The kept code around a sample: what comes behind it, and which instruction ran before it.

use iced_x86::{
    Code as Opcode, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind,
};

use super::access::Operands;
use super::formula;
use crate::profile::sampling::{Block, Code};

/// The longest instruction.
const LONGEST: u64 = 15;
/// So many bytes before the sample an instruction may begin from which the one before it is found.
const RESYNCHRONIZED: u64 = 96;
/// As far as loops are looked for, in bytes on each side.
const REACH: u64 = 2_048;
/// Bytes of `syscall`.
const SYSCALL: [u8; 2] = [0x0F, 0x05];

/// Code around a sampled address.
#[derive(Debug)]
pub(super) struct Around<'a> {
    block: &'a Block,
    pub(super) sampled: u64,
    /// The instructions from the sampled one on.
    pub(super) ahead: Vec<Instruction>,
}

/// What ran before the sample.
#[derive(Debug)]
pub(super) enum Blamed {
    One {
        instruction: Instruction,
        is_ambiguous: bool,
    },
    /// The kernel.
    Kernel,
    /// A branch from somewhere else, such as the call of a function whose first instruction was sampled.
    Elsewhere,
    Unreadable,
}

impl<'a> Around<'a> {
    /// `None` where nothing next to the sample was kept.
    pub(super) fn of(code: &'a Code, sampled: u64) -> Option<Self> {
        let behind = code.blocks.partition_point(|block| block.start <= sampled);
        let block = code.blocks.get(behind.checked_sub(1)?)?;
        if sampled > end(block) {
            return None;
        }
        let mut res = Self { block, sampled, ahead: Vec::new() };
        res.ahead = res.listed(sampled, sampled.saturating_add(REACH));
        Some(res)
    }

    /// The first address from which loops are looked for.
    pub(super) fn start(&self) -> u64 {
        self.block.start.max(self.sampled.saturating_sub(REACH))
    }

    /// The instructions from `start` on, as far as they are whole and begin before `until`.
    pub(super) fn listed(&self, start: u64, until: u64) -> Vec<Instruction> {
        let mut res = Vec::new();
        let bytes = self.bytes(start);
        let mut decoder = Decoder::with_ip(64, bytes, start, DecoderOptions::NONE);
        while decoder.can_decode() && decoder.ip() < until {
            let instruction = decoder.decode();
            if instruction.is_invalid() {
                break;
            }
            res.push(instruction);
        }
        res
    }

    /// The instruction at an address.
    pub(super) fn at(&self, address: u64) -> Option<Instruction> {
        self.listed(address, address.checked_add(1)?).first().copied()
    }

    fn bytes(&self, start: u64) -> &'a [u8] {
        let from = start.checked_sub(self.block.start).and_then(|from| usize::try_from(from).ok());
        from.and_then(|from| self.block.bytes.get(from..)).unwrap_or_default()
    }

    /// The instruction that the sample waited for.
    pub(super) fn blamed(&self) -> Blamed {
        // Copies by string instructions go on where they were interrupted: the sampled one is itself at work.
        if let Some(&first) = self.ahead.first()
            && formula::is_repeated(&first)
        {
            return Blamed::One { instruction: first, is_ambiguous: false };
        }
        let before = self.before();
        let two_before = self.sampled.checked_sub(2).map(|at| self.bytes(at));
        let is_syscall = match before {
            Some(Before { instruction, is_certain: true }) => {
                instruction.mnemonic() == Mnemonic::Syscall
            }
            _ => two_before.is_some_and(|bytes| bytes.starts_with(&SYSCALL)),
        };
        if is_syscall {
            return Blamed::Kernel;
        }
        let before = before.map(|before| before.instruction);
        let fell = before.filter(|instruction| falls_through(instruction, self.sampled));
        match self.edge() {
            Some(edge) => self.at_loop_start(edge, fell),
            None => match fell {
                Some(it) => {
                    let instruction = self.fused_with(&it).unwrap_or(it);
                    Blamed::One { instruction, is_ambiguous: false }
                }
                None if before.is_some() => self.branch_from_before(),
                None => Blamed::Unreadable,
            },
        }
    }

    /// At the first instruction of a loop: the branch that closes it ran before, or else the instruction that leads into the
    /// loop. A branch costs little: where that other one accesses memory, it is the one.
    fn at_loop_start(&self, edge: Instruction, fell: Option<Instruction>) -> Blamed {
        let is_ambiguous = fell.is_some();
        let body = self.listed(self.sampled, edge.next_ip());
        let fused = body.iter().rev().nth(1).filter(|compare| is_fused(compare, &edge)).copied();
        let access = fell.filter(|it| Operands::of(it).data().is_some());
        Blamed::One { instruction: fused.or(access).unwrap_or(edge), is_ambiguous }
    }

    /// The nearest branch behind the sample that leads back to it.
    fn edge(&self) -> Option<Instruction> {
        let leads_here =
            |it: &&Instruction| is_branch(it) && it.near_branch_target() == self.sampled;
        self.ahead.iter().find(leads_here).copied()
    }

    /// What ran before is not right before the sample, so a branch led here. From a comparison with memory that is one operation
    /// with its branch, it is that which was waited for: `cmp rdx, [rbp - 16]; je found`.
    fn branch_from_before(&self) -> Blamed {
        match self.branches_before().find_map(|branch| self.fused_with(&branch)) {
            Some(instruction) => Blamed::One { instruction, is_ambiguous: true },
            None => Blamed::Elsewhere,
        }
    }

    /// Conditional branches in the code before the sample that lead to it, the nearest first. Found by their bytes: where
    /// instructions begin is not known there, but bytes that look like a branch to this very address are seldom anything else.
    fn branches_before(&self) -> impl Iterator<Item = Instruction> {
        (self.start()..self.sampled).rev().filter_map(|at| {
            let may_be_one = matches!(*self.bytes(at), [0x70..=0x7F, ..] | [0x0F, 0x80..=0x8F, ..]);
            let branch = may_be_one.then(|| self.at(at))??;
            (is_branch(&branch) && branch.near_branch_target() == self.sampled).then_some(branch)
        })
    }

    /// A comparison with memory that is one operation with this conditional branch: it is what the branch waits for.
    fn fused_with(&self, branch: &Instruction) -> Option<Instruction> {
        if !branch.is_jcc_short_or_near() {
            return None;
        }
        let before = self.instruction_before(branch.ip())?.instruction;
        is_fused(&before, branch).then_some(before)
    }

    fn before(&self) -> Option<Before> {
        self.instruction_before(self.sampled)
    }

    /// The instruction that ends where `address` begins. Where a loop in the kept code begins before it, instructions are
    /// counted from there; elsewhere from several starts, of which the most agree soon.
    fn instruction_before(&self, address: u64) -> Option<Before> {
        let targets =
            self.ahead.iter().filter(|it| is_branch(it)).map(Instruction::near_branch_target);
        for target in targets.filter(|&it| self.start() <= it && it < address) {
            let last = self.listed(target, address).last().copied();
            if let Some(instruction) = last.filter(|it| it.next_ip() == address) {
                return Some(Before { instruction, is_certain: true });
            }
        }
        let instruction = self.voted_before(address)?;
        Some(Before { instruction, is_certain: false })
    }

    fn voted_before(&self, address: u64) -> Option<Instruction> {
        let first = self.block.start.max(address.saturating_sub(RESYNCHRONIZED));
        let reach = address.checked_sub(first)?;
        // Which instruction a decoder that starts at each byte has last, and how many starts agree on it.
        let mut lasts: Vec<Option<u64>> = Vec::new();
        let mut votes = vec![0_u32; usize::try_from(reach).ok()?];
        for back in 1..=reach {
            let at = address - back;
            let length = self.at(at).map(|it| it.len() as u64);
            let last = match length {
                Some(length) if length == back => Some(back),
                Some(length) if length < back => {
                    let next = usize::try_from(back - length - 1).ok()?;
                    lasts.get(next).copied().flatten()
                }
                _ => None,
            };
            lasts.push(last);
            // Those that start so near may not have found the true instructions yet; they only break ties.
            let weight = if back > LONGEST { 100 } else { 1 };
            if let Some(last) = last.and_then(|last| usize::try_from(last - 1).ok())
                && let Some(votes) = votes.get_mut(last)
            {
                *votes += weight;
            }
        }
        let most = votes.iter().enumerate().max_by_key(|&(_, votes)| *votes);
        let (at, _) = most.filter(|&(_, &votes)| votes > 0)?;
        self.at(address - (at as u64 + 1))
    }
}

#[derive(Clone, Copy, Debug)]
struct Before {
    instruction: Instruction,
    /// Counted from an instruction that is known to begin where it does.
    is_certain: bool,
}

fn end(block: &Block) -> u64 {
    block.start.saturating_add(block.bytes.len() as u64)
}

/// A branch whose target is in the instruction.
pub(super) fn is_branch(instruction: &Instruction) -> bool {
    matches!(
        instruction.flow_control(),
        FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
    ) && (0..instruction.op_count()).any(|at| instruction.op_kind(at) == OpKind::NearBranch64)
}

/// Whether the instruction at `next` runs after this one, which is right before it.
fn falls_through(instruction: &Instruction, next: u64) -> bool {
    let goes_on = !matches!(
        instruction.flow_control(),
        FlowControl::UnconditionalBranch
            | FlowControl::IndirectBranch
            | FlowControl::Return
            | FlowControl::Exception
            | FlowControl::Interrupt
    );
    // What fills up to where functions and loops begin is seldom run through.
    let is_filler = instruction.mnemonic() == Mnemonic::Nop && next.is_multiple_of(16);
    goes_on && !is_filler
}

/// A comparison of memory with a register that processors run as one operation with a conditional branch behind it.
fn is_fused(compare: &Instruction, branch: &Instruction) -> bool {
    let compares = matches!(
        compare.code(),
        Opcode::Cmp_rm8_r8
            | Opcode::Cmp_rm16_r16
            | Opcode::Cmp_rm32_r32
            | Opcode::Cmp_rm64_r64
            | Opcode::Cmp_r8_rm8
            | Opcode::Cmp_r16_rm16
            | Opcode::Cmp_r32_rm32
            | Opcode::Cmp_r64_rm64
            | Opcode::Test_rm8_r8
            | Opcode::Test_rm16_r16
            | Opcode::Test_rm32_r32
            | Opcode::Test_rm64_r64
    );
    compares
        && branch.is_jcc_short_or_near()
        && compare.next_ip() == branch.ip()
        && Operands::of(compare).data().is_some()
}
