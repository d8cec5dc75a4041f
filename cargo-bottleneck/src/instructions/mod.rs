//! Decodes the instruction that a sampled thread was held up by, and says where its data lie and how they advance.
//!
//! A thread is seen where it goes on: the instruction that it waited for is the one *before* the sampled address. Here that
//! one is found, put into a class, and turned into a formula of registers as they are at the sample. Pure: bytes in, facts
//! out; no I/O, no clock, and no bytes make it panic. Only x86-64 is decoded; of other machines no code is kept.
//!
//! A tick inside the kernel shows as the address behind a `syscall`. A page fault shows as the instruction that faults, as
//! if that before it had been slow: nothing here can tell.

mod access;
mod advance;
mod around;
mod formula;
mod inner_loop;
mod spin;
mod trade;
mod value;

#[cfg(test)]
mod assembled;
#[cfg(test)]
mod tests;

use std::ops::Range;

use iced_x86::{FlowControl, Instruction};

use crate::profile::sampling::Code;
use access::Operands;
use around::{Around, Blamed};

/// The instruction that a sample waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not exclude each other")]
pub struct Decoded {
    /// Its address; that of the sample where what came before is not in the kept code.
    pub at: u64,
    /// What it did.
    pub class: Class,
    /// Its name in lower case, with `lock` or `rep`.
    pub mnemonic: String,
    /// Where its data lie; `None` where registers do not tell, or it has none.
    pub formula: Option<Formula>,
    /// How its address changes from iteration to iteration of the innermost loop.
    pub advance: Advance,
    /// The formula is that of the access after it: its own address cannot be known any more.
    pub next_is_access: bool,
    /// Something else may have run last: the sample is at the start of a loop.
    pub is_ambiguous: bool,
    /// First address of the innermost loop around it, and first behind it.
    pub loop_range: Option<Range<u64>>,
    /// It works on several elements at a time.
    pub is_vector: bool,
    /// Elements that it works on.
    pub lanes: u32,
    /// It divides or takes a root.
    pub is_divide: bool,
    /// It multiplies and adds in one.
    pub is_fma: bool,
    /// It has the memory for itself while it works: `lock`, or an exchange with memory.
    pub is_atomic: bool,
}

/// What an instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Reads memory, of which it also may write some.
    Load,
    /// Only writes memory.
    Store,
    /// Its memory is near or constant: on the stack, at a fixed address, or the thread's own.
    Stack,
    /// Works on registers.
    Arithmetic,
    /// Divides or takes a root, on registers.
    Divide,
    /// Goes elsewhere; also calls and returns.
    Branch,
    /// A system call.
    Kernel,
    /// Waits for another thread: `pause` is near, or the loop only reads one address until it changes.
    Spin,
}

/// How an address changes from iteration to iteration of the innermost loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// There is no loop in the kept code, or registers do not tell.
    Unknown,
    /// Not at all.
    Fixed,
    /// By so many bytes.
    Stride(i64),
    /// It comes from a load: a chase, a gather.
    Loaded,
    /// It comes from arithmetic that spreads it: a hash.
    Computed,
}

/// An address as a sum of registers, with their values at the sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Formula {
    /// Number of a register as `bottleneck_runtime::format::recipes` counts them.
    pub base: Option<u8>,
    /// Number of a register that is multiplied.
    pub index: Option<u8>,
    /// The factor is 2 to this power.
    pub scale_log2: u8,
    /// What is added.
    pub displacement: i64,
}

/// Decodes the instruction before `sampled`; `None` where its code was not kept or is no code. Takes some ten microseconds.
pub fn decode(code: &Code, sampled: u64) -> Option<Decoded> {
    let around = Around::of(code, sampled)?;
    let (blamed, is_ambiguous) = match around.blamed() {
        Blamed::Kernel => return Some(without_access(sampled, Class::Kernel, "syscall")),
        Blamed::Elsewhere => return Some(without_access(sampled, Class::Branch, "branch")),
        Blamed::Unreadable => return None,
        Blamed::One { instruction, is_ambiguous } => (instruction, is_ambiguous),
    };
    let operands = Operands::of(&blamed);
    let loops = inner_loop::loops(&around, &blamed);
    let body = loops.first().map(Vec::as_slice).unwrap_or_default();
    let class = if spin::is_spin(&around, &blamed, &loops) {
        Class::Spin
    } else {
        class(&blamed, &operands)
    };
    let own = operands.data().and_then(|_| formula::own(&around, &blamed, &operands));
    let accesses = matches!(class, Class::Load | Class::Store);
    // Of a gather no register tells, and neither does the next access.
    let is_lost = accesses && own.is_none() && !operands.is_gather();
    let next = if is_lost { formula::next(&around) } else { None };
    let trade = trade::trade(&blamed);
    Some(Decoded {
        at: blamed.ip(),
        class,
        mnemonic: trade::name(&blamed),
        formula: if accesses { own.or(next) } else { None },
        advance: if accesses {
            advance::advance(&blamed, &operands, body)
        } else {
            Advance::Unknown
        },
        next_is_access: next.is_some(),
        is_ambiguous,
        loop_range: body.first().zip(body.last()).map(|(first, last)| first.ip()..last.next_ip()),
        is_vector: trade.lanes > 1,
        lanes: trade.lanes,
        is_divide: trade.is_divide,
        is_fma: trade.is_fma,
        is_atomic: trade.is_atomic,
    })
}

fn class(blamed: &Instruction, operands: &Operands) -> Class {
    if blamed.flow_control() != FlowControl::Next {
        return Class::Branch;
    }
    match operands.data() {
        Some(data) if data.is_read => Class::Load,
        Some(_) => Class::Store,
        None if trade::trade(blamed).is_divide => Class::Divide,
        None if operands.is_any() => Class::Stack,
        None => Class::Arithmetic,
    }
}

fn without_access(at: u64, class: Class, mnemonic: &str) -> Decoded {
    Decoded {
        at,
        class,
        mnemonic: mnemonic.to_owned(),
        formula: None,
        advance: Advance::Unknown,
        next_is_access: false,
        is_ambiguous: false,
        loop_range: None,
        is_vector: false,
        lanes: 1,
        is_divide: false,
        is_fma: false,
        is_atomic: false,
    }
}
