//! How an address changes from one iteration of a loop to the next: one iteration is worked out with sums of registers.
//!
//! Branches within the loop are taken for not taken, and loops inside it for run once, after which what they write is not
//! known. So an answer is what the usual iteration does, not a proof.

use std::collections::BTreeMap;

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::Advance;
use super::access::{Operand, Operands, number, used_registers, written};
use super::around::is_branch;
use super::value::{FIXED, Source, Value};

/// A larger factor scatters: it belongs to a hash, not to an index.
const LARGEST_FACTOR: u64 = 1 << 16;
/// Copies of copies that are followed.
const DEPTH: usize = 3;

/// How the address of the data of `blamed` changes in the loop `body`; of a gather, where its addresses come from.
pub(super) fn advance(blamed: &Instruction, operands: &Operands, body: &[Instruction]) -> Advance {
    let Some(data) = operands.data().filter(|_| !body.is_empty()) else { return Advance::Unknown };
    let inside = inner_loops(body);
    let is_inside =
        |it: &Instruction| inside.iter().any(|&(start, end)| start <= it.ip() && it.ip() < end);
    let mut state = State::at_start(body);
    let mut address = Value::Unknown;
    for instruction in body {
        if instruction.ip() == blamed.ip() {
            address = state.address(data);
        }
        state.run(instruction);
        if is_inside(instruction) {
            state.forget(&written(instruction));
        }
    }
    match state.change(&address, DEPTH) {
        Value::Sum(sum) if sum.terms.is_empty() && sum.constant == 0 => Advance::Fixed,
        Value::Sum(sum) if sum.terms.is_empty() => Advance::Stride(sum.constant),
        Value::Sum(_) | Value::Unknown => Advance::Unknown,
        Value::Loaded => Advance::Loaded,
        Value::Computed => Advance::Computed,
    }
}

/// Loops inside this one, by their first address and the one behind them.
fn inner_loops(body: &[Instruction]) -> Vec<(u64, u64)> {
    let (Some(first), Some(last)) = (body.first(), body.last()) else { return Vec::new() };
    let edges = body.iter().filter(|it| is_branch(it) && it.ip() != last.ip());
    let loops = edges.map(|edge| (edge.near_branch_target(), edge.next_ip()));
    loops.filter(|&(start, end)| first.ip() < start && start < end).collect()
}

/// What registers and places on the stack hold in the middle of an iteration.
#[derive(Debug)]
struct State {
    registers: [Value; 16],
    vectors: [Value; 32],
    places: BTreeMap<(u8, i64), Value>,
    /// The stack pointer stays where it is.
    has_stack: bool,
}

impl State {
    fn at_start(body: &[Instruction]) -> Self {
        let moves_stack =
            |it: &Instruction| !it.is_call_near() && written(it).contains(&Register::RSP);
        Self {
            registers: std::array::from_fn(|at| {
                u8::try_from(at).map_or(Value::Unknown, |at| Value::of(Source::Register(at)))
            }),
            vectors: [const { Value::Unknown }; 32],
            places: BTreeMap::new(),
            has_stack: !body.iter().any(moves_stack),
        }
    }

    /// How a value differs between this iteration and the one before.
    fn change(&self, value: &Value, depth: usize) -> Value {
        let Value::Sum(sum) = value else { return value.clone() };
        sum.terms.iter().fold(Value::constant(0), |total, &(source, factor)| {
            total.plus(&self.change_of(source, depth).times(factor))
        })
    }

    fn change_of(&self, source: Source, depth: usize) -> Value {
        let end = match source {
            Source::Register(at) => self.registers.get(usize::from(at)).cloned(),
            Source::Place(base, at) => self.places.get(&(base, at)).cloned(),
        };
        // A place that is not written keeps what it holds.
        let Some(end) = end else { return Value::constant(0) };
        let Value::Sum(sum) = &end else { return end };
        if sum.terms.iter().any(|term| term.0 == source) {
            let step = end.minus(&Value::of(source));
            return match &step {
                Value::Sum(sum) if sum.terms.is_empty() => step,
                // By as much as another register says, or by a factor.
                _ => Value::Unknown,
            };
        }
        // A copy of something else that changes.
        depth.checked_sub(1).map_or(Value::Unknown, |depth| self.change(&end, depth))
    }

    fn address(&self, operand: &Operand) -> Value {
        let base = match operand.base {
            Register::None => Value::constant(0),
            base => self.register(base),
        };
        let index = match operand.index {
            Register::None => Value::constant(0),
            index => self.register(index).times(i64::from(operand.scale.max(1))),
        };
        base.plus(&index).plus(&Value::constant(operand.displacement))
    }

    fn register(&self, register: Register) -> Value {
        if register.is_vector_register() {
            return self.vectors.get(register.number()).cloned().unwrap_or(Value::Unknown);
        }
        let value = number(register).and_then(|at| self.registers.get(usize::from(at)));
        let value = value.cloned().unwrap_or(Value::Unknown);
        if register.size() < 4 { narrowed(value) } else { value }
    }

    fn set(&mut self, register: Register, value: Value) {
        let value = if register.size() < 4 { narrowed(value) } else { value };
        if register.is_vector_register() {
            if let Some(slot) = self.vectors.get_mut(register.number()) {
                *slot = value;
            }
        } else if let Some(slot) =
            number(register).and_then(|at| self.registers.get_mut(usize::from(at)))
        {
            *slot = value;
        }
    }

    /// What the inner loop has left is not known, unless it came from elsewhere.
    fn forget(&mut self, registers: &[Register]) {
        for &register in registers {
            if matches!(self.register(register), Value::Sum(_)) {
                self.set(register, Value::Unknown);
            }
        }
    }

    /// The place on the stack or at a fixed address that an operand names.
    fn place(&self, operand: &Operand) -> Option<(u8, i64)> {
        if !operand.is_near || operand.index != Register::None {
            return None;
        }
        match operand.base.full_register() {
            Register::RSP => self.has_stack.then_some((4, operand.displacement)),
            Register::RIP | Register::None => Some((FIXED, operand.displacement)),
            _ => None,
        }
    }

    fn memory(&self, operands: &Operands) -> Value {
        let Some(read) = operands.all().iter().find(|operand| operand.is_read) else {
            return Value::Unknown;
        };
        match self.place(read) {
            Some(place) => self
                .places
                .get(&place)
                .cloned()
                .unwrap_or_else(|| Value::of(Source::Place(place.0, place.1))),
            None if read.is_near => Value::Unknown,
            None => Value::Loaded,
        }
    }

    /// The value of an operand, for instructions on general registers.
    fn operand(&self, instruction: &Instruction, operands: &Operands, at: u32) -> Value {
        match instruction.try_op_kind(at) {
            Ok(OpKind::Register) => self.register(instruction.op_register(at)),
            Ok(OpKind::Memory) => self.memory(operands),
            Ok(_) => instruction
                .try_immediate(at)
                .map_or(Value::Unknown, |number| Value::constant(number.cast_signed())),
            Err(_) => Value::Unknown,
        }
    }

    fn run(&mut self, instruction: &Instruction) {
        use Mnemonic as M;
        let operands = Operands::of(instruction);
        let of = |at| self.operand(instruction, &operands, at);
        let is_vector = instruction.op_kinds().enumerate().any(|(at, kind)| {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            kind == OpKind::Register && instruction.op_register(at).is_vector_register()
        });
        let result = match instruction.mnemonic() {
            _ if is_vector => return self.run_vector(instruction, &operands),
            M::Mov | M::Movsxd | M::Movsx | M::Movzx => of(1),
            M::Lea => self.address(&Operand {
                base: instruction.memory_base(),
                index: instruction.memory_index(),
                scale: instruction.memory_index_scale(),
                displacement: instruction.memory_displacement64().cast_signed(),
                bytes: 0,
                is_read: false,
                is_written: false,
                is_near: false,
            }),
            M::Add => of(0).plus(&of(1)),
            M::Xor | M::Sub if is_zeroing(instruction) => Value::constant(0),
            M::Sub => of(0).minus(&of(1)),
            M::Inc => of(0).plus(&Value::constant(1)),
            M::Dec => of(0).minus(&Value::constant(1)),
            M::Neg => of(0).times(-1),
            M::Shl | M::Sal => match instruction.try_immediate(1) {
                Ok(by) if by < 16 => of(0).times(1 << by),
                _ => of(0).spread(),
            },
            M::Imul => match instruction.try_immediate(2).map(u64::cast_signed) {
                Ok(by) if by.unsigned_abs() <= LARGEST_FACTOR => of(1).times(by),
                Ok(_) => of(1).spread(),
                Err(_) => Value::Computed,
            },
            M::Xchg => {
                let (first, second) = (of(0), of(1));
                self.store(instruction, &operands, 1, first);
                second
            }
            M::Cmp | M::Test | M::Nop => return,
            // Which of the two depends on a comparison.
            name if format!("{name:?}").starts_with("Cmov") => match of(0).joined(&of(1)) {
                Value::Unknown => Value::Computed,
                joined => joined,
            },
            _ => return self.run_other(instruction, &operands),
        };
        self.store(instruction, &operands, 0, result);
    }

    fn store(&mut self, instruction: &Instruction, operands: &Operands, at: u32, value: Value) {
        match instruction.try_op_kind(at) {
            Ok(OpKind::Register) => self.set(instruction.op_register(at), value),
            Ok(OpKind::Memory) => {
                let written = operands.all().iter().find(|operand| operand.is_written);
                if let Some(place) = written.and_then(|operand| self.place(operand)) {
                    self.places.insert(place, value);
                }
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Arithmetic that is no sum, and calls, after which nothing is known.
    fn run_other(&mut self, instruction: &Instruction, operands: &Operands) {
        let is_call = instruction.is_call_near() || instruction.is_call_near_indirect();
        let inputs = used_registers(instruction)
            .iter()
            .filter(|used| number(used.register()).is_some())
            .map(|used| self.register(used.register()))
            .fold(None, |all: Option<Value>, one| {
                Some(all.map_or(one.clone(), |all| all.joined(&one)))
            });
        let is_loading = operands.all().iter().any(|operand| operand.is_read && !operand.is_near);
        let result = if is_call || instruction.is_stack_instruction() {
            Value::Unknown
        } else if is_loading {
            Value::Loaded
        } else {
            match inputs {
                Some(inputs @ (Value::Sum(_) | Value::Loaded | Value::Computed)) => inputs.spread(),
                // Sums that differ.
                Some(Value::Unknown) if !self.has_unknown_input(instruction) => Value::Computed,
                Some(Value::Unknown) | None => Value::Unknown,
            }
        };
        for register in written(instruction) {
            if register != Register::RSP {
                self.set(register, result.clone());
            }
        }
    }

    fn has_unknown_input(&self, instruction: &Instruction) -> bool {
        let used = used_registers(instruction);
        let mut general = used.iter().filter(|used| number(used.register()).is_some());
        general.any(|used| self.register(used.register()) == Value::Unknown)
    }

    /// Vectors matter as sources of addresses only: what was loaded stays so while it is moved or scaled.
    fn run_vector(&mut self, instruction: &Instruction, operands: &Operands) {
        let name = format!("{:?}", instruction.mnemonic());
        let is_loading = operands.all().iter().any(|operand| operand.is_read && !operand.is_near);
        let spreads = ["ul", "xor", "Xor", "And", "and", "rl"].iter().any(|it| name.contains(it));
        let outputs = written(instruction);
        let inputs = (1..instruction.op_count())
            .filter(|&at| instruction.op_kind(at) == OpKind::Register)
            .map(|at| self.register(instruction.op_register(at)));
        let from_registers = inputs.fold(Value::Unknown, |all, one| match one {
            Value::Sum(_) => all,
            one => all.joined(&one),
        });
        let result = match from_registers {
            Value::Loaded | Value::Computed if spreads => Value::Computed,
            Value::Computed => Value::Computed,
            _ if is_loading => Value::Loaded,
            other => other,
        };
        for register in outputs {
            self.set(register, result.clone());
        }
    }
}

fn is_zeroing(instruction: &Instruction) -> bool {
    let is_register = |at| instruction.op_kind(at) == OpKind::Register;
    is_register(0) && is_register(1) && instruction.op0_register() == instruction.op1_register()
}

/// A part of a register is no sum of registers any more.
fn narrowed(value: Value) -> Value {
    match value {
        Value::Sum(sum) if !sum.terms.is_empty() => Value::Computed,
        other => other,
    }
}
