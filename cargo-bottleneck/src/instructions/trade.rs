//! What an instruction is called, and what of its work counts for the speed of a processor.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

/// What it works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trade {
    pub(super) lanes: u32,
    pub(super) is_divide: bool,
    pub(super) is_fma: bool,
    pub(super) is_atomic: bool,
}

pub(super) fn trade(instruction: &Instruction) -> Trade {
    let name = bare_name(instruction);
    let divides = ["div", "idiv", "vdiv", "fdiv", "fidiv", "sqrt", "vsqrt", "fsqrt"];
    let fused = ["fmadd", "fmsub", "fnmadd", "fnmsub", "vpdp", "vdpbf16"];
    let is_memory = |at| instruction.op_kind(at) == OpKind::Memory;
    let exchanges = instruction.mnemonic() == Mnemonic::Xchg;
    Trade {
        lanes: lanes(instruction, &name),
        is_divide: divides.iter().any(|it| name.starts_with(it)),
        is_fma: fused.iter().any(|it| name.contains(it)),
        is_atomic: instruction.has_lock_prefix()
            || exchanges && (0..instruction.op_count()).any(is_memory),
    }
}

/// Its name, with the prefix that says how it is done.
pub(super) fn name(instruction: &Instruction) -> String {
    let prefix = if instruction.has_lock_prefix() {
        "lock "
    } else if !instruction.is_string_instruction() {
        ""
    } else if instruction.has_rep_prefix() {
        "rep "
    } else if instruction.has_repne_prefix() {
        "repne "
    } else {
        ""
    };
    format!("{prefix}{}", bare_name(instruction))
}

fn bare_name(instruction: &Instruction) -> String {
    format!("{:?}", instruction.mnemonic()).to_lowercase()
}

/// Elements of the widest vector register by the ending of the name; 1 for instructions on single numbers.
fn lanes(instruction: &Instruction, name: &str) -> u32 {
    let registers = (0..instruction.op_count()).filter_map(|at| {
        let is_register = instruction.op_kind(at) == OpKind::Register;
        is_register.then(|| bits(instruction.op_register(at)))
    });
    let bits = registers.max().unwrap_or(0);
    if bits == 0 {
        return 1;
    }
    let spreads = name.contains("broadcast");
    let is_single = ["ss", "sd", "sh"].iter().any(|it| name.ends_with(it));
    // Packed integers name their elements by a letter, and some moves have no elements.
    let is_packed = name.starts_with('p') || name.starts_with("vp");
    let single_integer = ["vmovd", "vmovq", "movd", "movq"].contains(&name);
    let element = match name {
        _ if is_single && !spreads || single_integer || name.starts_with("vpextr") => return 1,
        _ if name.ends_with("pd") => 64,
        _ if name.ends_with("ph") => 16,
        _ if is_packed && name.ends_with('b') => 8,
        _ if is_packed && name.ends_with('w') => 16,
        _ if is_packed && name.ends_with('q') => 64,
        _ if spreads && name.ends_with("sd") => 64,
        _ => 32,
    };
    bits / element
}

fn bits(register: Register) -> u32 {
    if register.is_zmm() {
        512
    } else if register.is_ymm() {
        256
    } else if register.is_xmm() {
        128
    } else {
        0
    }
}
