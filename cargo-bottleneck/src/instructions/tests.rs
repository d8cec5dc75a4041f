//! Decoding, on code with a known meaning and on any bytes.

use iced_x86::code_asm::*;
use proptest::prelude::*;

use super::assembled::{AT, assembled};
use super::*;
use crate::profile::sampling::Block;

#[expect(clippy::unnecessary_wraps, reason = "it is compared with what may be missing")]
fn of(base: u8, index: Option<(u8, u8)>, displacement: i64) -> Option<Formula> {
    let (index, scale_log2) = index.map_or((None, 0), |(index, scale)| (Some(index), scale));
    Some(Formula { base: Some(base), index, scale_log2, displacement })
}

#[test]
fn a_chase_is_followed_by_the_load_that_comes_next() {
    let it = assembled(|a| {
        let mut top = a.create_label();
        a.set_label(&mut top)?;
        a.mov(rax, qword_ptr(rax + 8))?;
        a.dec(rcx)?;
        a.nop()?;
        a.jne(top)
    });
    let load = it.behind(0);
    assert_eq!((load.class, load.advance), (Class::Load, Advance::Loaded));
    assert_eq!((load.formula, load.next_is_access), (of(0, None, 8), true));
    assert_eq!(load.loop_range, Some(AT..it.instructions[3].next_ip()));
    assert_eq!((load.mnemonic.as_str(), load.lanes, load.is_vector), ("mov", 1, false));
}

#[test]
fn a_gather_of_rows_comes_from_a_load_and_keeps_its_registers() {
    let it = assembled(|a| {
        let mut top = a.create_label();
        a.set_label(&mut top)?;
        a.mov(eax, dword_ptr(rsi + rcx * 4))?;
        a.imul_3(rax, rax, 24)?;
        a.vaddsd(xmm0, xmm0, qword_ptr(rdi + rax * 8 + 16))?;
        a.inc(rcx)?;
        a.cmp(rcx, rdx)?;
        a.jb(top)
    });
    let index = it.behind(0);
    assert_eq!((index.class, index.advance), (Class::Load, Advance::Stride(4)));
    assert_eq!((index.formula, index.next_is_access), (of(6, Some((1, 2)), 0), false));
    let row = it.behind(2);
    assert_eq!((row.class, row.advance), (Class::Load, Advance::Loaded));
    assert_eq!((row.formula, row.next_is_access), (of(7, Some((0, 3)), 16), false));
    assert_eq!((row.lanes, row.is_fma), (1, false));
}

#[test]
fn an_unrolled_stream_advances_by_all_that_it_reads() {
    let it = assembled(|a| {
        let mut top = a.create_label();
        a.set_label(&mut top)?;
        a.vmovups(ymm0, ymmword_ptr(rdi + rax * 4))?;
        a.vfmadd231ps(ymm1, ymm0, ymmword_ptr(rsi + rax * 4))?;
        a.vmovups(ymm2, ymmword_ptr(rdi + rax * 4 + 32))?;
        a.vfmadd231ps(ymm3, ymm2, ymmword_ptr(rsi + rax * 4 + 32))?;
        a.add(rax, 16)?;
        a.cmp(rax, rcx)?;
        a.jne(top)
    });
    for position in [0, 1, 2, 3] {
        let load = it.behind(position);
        assert_eq!((load.class, load.advance), (Class::Load, Advance::Stride(64)));
        assert_eq!((load.lanes, load.is_vector, load.is_fma), (8, true, position % 2 == 1));
    }
    assert_eq!(it.behind(3).formula, of(6, Some((0, 2)), 32));
}

#[test]
fn pointers_that_are_copied_or_counted_down_advance_too() {
    // The pointer of the next iteration is made first, and the load uses its copy.
    let it = assembled(|a| {
        let mut top = a.create_label();
        a.set_label(&mut top)?;
        a.lea(rdx, qword_ptr(rbx + 64))?;
        a.vaddps(zmm0, zmm0, zmmword_ptr(rbx))?;
        a.mov(rbx, rdx)?;
        a.sub(rcx, 1)?;
        a.jne(top)
    });
    assert_eq!(it.behind(1).advance, Advance::Stride(64));
    assert_eq!(it.behind(1).lanes, 16);
    let it = assembled(|a| {
        let mut top = a.create_label();
        a.set_label(&mut top)?;
        a.mov(rax, qword_ptr(rdx))?;
        a.mov(rdx, rbx)?;
        a.sub(rbx, 24)?;
        a.test(rax, rax)?;
        a.jne(top)
    });
    assert_eq!(it.behind(0).advance, Advance::Stride(-24));
    // By as many bytes as a register says: constant, but not known.
    let it = assembled(|a| {
        let mut top = a.create_label();
        a.set_label(&mut top)?;
        a.addss(xmm0, dword_ptr(rdi))?;
        a.add(rdi, rsi)?;
        a.dec(rcx)?;
        a.jne(top)
    });
    assert_eq!(it.behind(0).advance, Advance::Unknown);
}

#[test]
fn counters_on_the_stack_are_followed_as_unoptimized_code_keeps_them() {
    let it = assembled(|a| {
        let mut top = a.create_label();
        a.set_label(&mut top)?;
        a.mov(rax, qword_ptr(rsp + 16))?;
        a.mov(rdx, qword_ptr(rsp + 24))?;
        a.addss(xmm0, dword_ptr(rdx + rax * 4))?;
        a.add(qword_ptr(rsp + 16), 1)?;
        a.cmp(qword_ptr(rsp + 16), 99)?;
        a.jb(top)
    });
    assert_eq!(it.behind(2).advance, Advance::Stride(4));
    assert_eq!(it.behind(0).class, Class::Stack);
    assert_eq!(it.behind(0).formula, None);
}

#[test]
fn the_tile_of_a_matrix_product_holds_one_factor_still() {
    // b advances by a row of the panel, a is broadcast, c stays in registers.
    let it = assembled(|a| {
        let mut top = a.create_label();
        a.set_label(&mut top)?;
        a.vmovaps(ymm12, ymmword_ptr(rdx))?;
        a.vbroadcastss(ymm14, dword_ptr(rcx))?;
        a.vfmadd231ps(ymm0, ymm14, ymm12)?;
        a.vbroadcastss(ymm14, dword_ptr(rcx + 4))?;
        a.vfmadd231ps(ymm1, ymm14, ymm12)?;
        a.vfmadd231ps(ymm2, ymm12, ymmword_ptr(r8))?;
        a.add(rcx, 8)?;
        a.add(rdx, 32)?;
        a.dec(rsi)?;
        a.jne(top)
    });
    assert_eq!(it.behind(0).advance, Advance::Stride(32));
    assert_eq!(it.behind(3).advance, Advance::Stride(8));
    assert_eq!((it.behind(3).lanes, it.behind(3).class), (8, Class::Load));
    assert_eq!(it.behind(5).advance, Advance::Fixed);
    let fma = it.behind(2);
    assert_eq!((fma.class, fma.is_fma, fma.lanes), (Class::Arithmetic, true, 8));
    assert_eq!((fma.formula, fma.advance), (None, Advance::Unknown));
}

#[test]
fn the_place_in_a_hash_table_is_computed() {
    let it = assembled(|a| {
        let mut top = a.create_label();
        a.set_label(&mut top)?;
        a.mov(rax, qword_ptr(rsi + rcx * 8))?;
        a.imul_2(rax, r9)?;
        a.shr(rax, 44)?;
        a.mov(rdx, qword_ptr(rdi + rax * 8))?;
        a.add(r10, rdx)?;
        a.inc(rcx)?;
        a.cmp(rcx, r11)?;
        a.jne(top)
    });
    let lookup = it.behind(3);
    assert_eq!((lookup.class, lookup.advance), (Class::Load, Advance::Computed));
    assert_eq!(lookup.formula, of(7, Some((0, 3)), 0));
    assert_eq!(it.behind(0).advance, Advance::Stride(8));
    // A binary search chooses by comparison.
    let it = assembled(|a| {
        let mut top = a.create_label();
        a.set_label(&mut top)?;
        a.lea(rdx, qword_ptr(rdi + rax * 8))?;
        a.cmp(qword_ptr(rdx), rsi)?;
        a.cmovb(rdi, rdx)?;
        a.shr(rax, 1)?;
        a.jne(top)
    });
    assert_eq!(it.behind(1).advance, Advance::Computed);
}

#[test]
fn a_vector_gather_has_no_formula_but_a_source() {
    let it = assembled(|a| {
        let mut top = a.create_label();
        a.set_label(&mut top)?;
        a.vmovdqu(ymm1, ymmword_ptr(rsi + rcx * 4))?;
        a.vpgatherdd(ymm0.k1(), ymmword_ptr(rdi + ymm1 * 4))?;
        a.vpaddd(ymm4, ymm4, ymm0)?;
        a.add(rcx, 8)?;
        a.cmp(rcx, rdx)?;
        a.jb(top)
    });
    let gather = it.behind(1);
    assert_eq!((gather.class, gather.formula, gather.next_is_access), (Class::Load, None, false));
    assert_eq!((gather.advance, gather.mnemonic.as_str()), (Advance::Loaded, "vpgatherdd"));
    assert_eq!(it.behind(2).class, Class::Arithmetic);
}

#[test]
fn copies_by_string_instructions_are_blamed_while_they_work() {
    let it = assembled(|a| {
        a.mov(rcx, rdx)?;
        a.rep().movsb()?;
        a.rep().stosq()?;
        a.lodsq()?;
        a.ret()
    });
    let copy = it.at(1);
    assert_eq!((copy.at, copy.class), (it.instructions[1].ip(), Class::Load));
    assert_eq!((copy.formula, copy.mnemonic.as_str()), (of(6, None, 0), "rep movsb"));
    let fill = it.at(2);
    assert_eq!((fill.at, fill.class), (it.instructions[2].ip(), Class::Store));
    assert_eq!(fill.formula, of(7, None, 0));
    // This one is over, and its pointer behind the data.
    assert_eq!(it.behind(3).formula, of(6, None, -8));
}

#[test]
fn loops_that_wait_for_another_thread_spin() {
    let pauses = assembled(|a| {
        let mut top = a.create_label();
        a.set_label(&mut top)?;
        a.mov(eax, dword_ptr(rdi))?;
        a.dec(rcx)?;
        a.je(top)?;
        a.pause()?;
        a.test(eax, eax)?;
        a.jne(top)
    });
    for position in 0..6 {
        assert_eq!(pauses.at(position).class, Class::Spin, "{position}");
    }
    let looks = assembled(|a| {
        let mut top = a.create_label();
        a.set_label(&mut top)?;
        a.movzx(eax, byte_ptr(rdi + 64))?;
        a.test(al, al)?;
        a.je(top)
    });
    assert_eq!(looks.behind(0).class, Class::Spin);
    assert_eq!(looks.behind(0).formula, None);
    let takes = assembled(|a| {
        let mut top = a.create_label();
        a.set_label(&mut top)?;
        a.mov(eax, 1)?;
        a.xchg(byte_ptr(rdi), al)?;
        a.test(al, al)?;
        a.jne(top)
    });
    assert_eq!((takes.behind(1).class, takes.behind(1).is_atomic), (Class::Spin, true));
    // It counts: work, though it reads one place only.
    let counts = assembled(|a| {
        let mut top = a.create_label();
        a.set_label(&mut top)?;
        a.add(rax, qword_ptr(rdi))?;
        a.dec(rcx)?;
        a.jne(top)
    });
    assert_eq!((counts.behind(0).class, counts.behind(0).advance), (Class::Load, Advance::Fixed));
}

#[test]
fn updates_by_many_threads_are_atomic() {
    let it = assembled(|a| {
        let mut top = a.create_label();
        a.set_label(&mut top)?;
        a.lock().add(qword_ptr(rdi), 1)?;
        a.dec(rcx)?;
        a.jne(top)
    });
    let update = it.behind(0);
    assert_eq!((update.class, update.is_atomic), (Class::Load, true));
    assert_eq!((update.advance, update.mnemonic.as_str()), (Advance::Fixed, "lock add"));
}

#[test]
fn what_ran_before_a_loop_start_is_the_branch_or_the_access_before_it() {
    let it = assembled(|a| {
        let mut top = a.create_label();
        a.mov(rbx, qword_ptr(rdi))?;
        a.set_label(&mut top)?;
        a.add(rax, 3)?;
        a.dec(rcx)?;
        a.jne(top)
    });
    let start = it.at(1);
    assert_eq!((start.at, start.class, start.is_ambiguous), (AT, Class::Load, true));
    let it = assembled(|a| {
        let mut top = a.create_label();
        a.xor(eax, eax)?;
        a.set_label(&mut top)?;
        a.add(rax, 3)?;
        a.cmp(qword_ptr(rdi + rax), rbx)?;
        a.jne(top)
    });
    // The comparison and the branch are one operation.
    let start = it.at(1);
    assert_eq!((start.at, start.class), (it.instructions[2].ip(), Class::Load));
    assert_eq!((start.advance, start.is_ambiguous), (Advance::Stride(3), true));
    let it = assembled(|a| {
        let mut top = a.create_label();
        let mut test = a.create_label();
        a.jmp(test)?;
        a.set_label(&mut top)?;
        a.add(rax, 3)?;
        a.set_label(&mut test)?;
        a.cmp(rax, rbx)?;
        a.jne(top)
    });
    let start = it.at(1);
    assert_eq!((start.at, start.class), (it.instructions[3].ip(), Class::Branch));
    assert!(!start.is_ambiguous, "nothing falls into this loop");
}

#[test]
fn the_kernel_and_what_jumps_are_told_from_work() {
    use Class::{Arithmetic, Branch, Divide, Kernel, Stack, Store};
    let it = assembled(|a| {
        let mut constant = a.create_label();
        a.mov(eax, 202)?;
        a.syscall()?;
        a.cmp(rax, rbx)?;
        a.vdivps(ymm0, ymm1, ymm2)?;
        a.divss(xmm0, dword_ptr(constant))?;
        a.mov(qword_ptr(rdi), rax)?;
        a.mov(rax, qword_ptr(rbx).fs())?;
        a.call(rbx)?;
        a.ret()?;
        a.prefetcht0(byte_ptr(rax))?;
        a.lea(rax, qword_ptr(rax + 8))?;
        a.set_label(&mut constant)?;
        a.nop_1(dword_ptr(rax))
    });
    assert_eq!(it.at(2).class, Kernel);
    let classes = [2, 3, 4, 5, 6, 7].map(|at| it.at(at + 1).class);
    assert_eq!(classes, [Arithmetic, Divide, Divide, Store, Stack, Branch]);
    assert_eq!(it.at(9).class, Branch, "behind a return");
    assert_eq!([9, 10].map(|at| it.at(at + 1).class), [Class::Load, Arithmetic]);
    assert!(it.at(4).is_divide && it.at(4).lanes == 8);
    assert_eq!(it.at(6).formula, of(7, None, 0));
}

#[test]
fn without_its_code_nothing_is_said() {
    let it = assembled(|a| a.mov(rax, qword_ptr(rdi)));
    assert_eq!(decode(&it.code, AT - 0x1000), None);
    assert_eq!(decode(&Code::default(), AT), None);
    let start = it.code.blocks[0].start;
    assert_eq!(decode(&it.code, start), None, "what ran before the first byte was not kept");
}

#[test]
fn the_instruction_before_is_found_in_the_code_of_this_test() {
    // Real code: this very function and what lies around it.
    let start = the_instruction_before_is_found_in_the_code_of_this_test as *const () as usize;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let is_of_it = |line: &&str| {
        let (from, rest) = line.split_once('-').unwrap();
        let (to, _) = rest.split_once(' ').unwrap();
        let hex = |text| usize::from_str_radix(text, 16).unwrap();
        hex(from) <= start && start < hex(to)
    };
    let line = maps.lines().find(is_of_it).unwrap();
    let offset = usize::from_str_radix(line.split_whitespace().nth(2).unwrap(), 16).unwrap();
    let mapped = usize::from_str_radix(line.split_once('-').unwrap().0, 16).unwrap();
    let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let bytes = file[start - mapped + offset..][..4_096].to_vec();
    let decoder = iced_x86::Decoder::with_ip(64, &bytes, start as u64, 0);
    let truth: Vec<Instruction> = decoder.into_iter().collect();
    let code = Code {
        blocks: vec![Block { start: start as u64, bytes: bytes.clone() }],
        ..Code::default()
    };
    let (mut wrong, mut all) = (Vec::new(), 0);
    for pair in truth.windows(2).skip(16).take(400) {
        let decoded = decode(&code, pair[1].ip());
        // Behind a jump, behind filling and at the start of a loop something else ran before.
        let others = [iced_x86::Mnemonic::Syscall, iced_x86::Mnemonic::Nop];
        let goes_on =
            pair[0].flow_control() == FlowControl::Next && !others.contains(&pair[0].mnemonic());
        if let Some(decoded) =
            decoded.filter(|it| goes_on && !it.is_ambiguous && it.at != pair[1].ip())
        {
            all += 1;
            if decoded.at != pair[0].ip() {
                wrong.push((decoded.at - start as u64, pair[0].ip() - start as u64, pair[0].len()));
            }
        }
    }
    // Code without optimization is full of zeros, which decode as instructions too.
    assert!(all > 150 && wrong.len() * 50 <= all, "{wrong:?} of {all}");
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600), at in 0_u64..620, start in prop_oneof![Just(0_u64), Just(AT), Just(u64::MAX - 700)]) {
        let code = Code { blocks: vec![Block { start, bytes }], ..Code::default() };
        decode(&code, start + at);
    }

    #[test]
    fn short_loops_of_any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 1..40), at in 0_u64..40) {
        let back = u8::try_from(bytes.len() + 2).unwrap().wrapping_neg();
        let bytes = [bytes, vec![0x75, back, 0xC3]].concat();
        let code = Code { blocks: vec![Block { start: AT, bytes }], ..Code::default() };
        decode(&code, AT + at);
    }
}

#[test]
fn a_branch_waits_for_the_comparison_with_memory_that_it_is_one_with() {
    // The lookup of a hash map: behind the jump only the branch leads to the sample.
    let it = assembled(|a| {
        let mut found = a.create_label();
        let mut next = a.create_label();
        a.set_label(&mut next)?;
        a.cmp(rdx, qword_ptr(rbp - 16))?;
        a.je(found)?;
        a.add(rbx, 16)?;
        a.jmp(next)?;
        a.set_label(&mut found)?;
        a.xor(r12, qword_ptr(rbp - 8))?;
        a.ret()
    });
    assert_eq!((it.at(4).class, it.at(4).formula), (Class::Load, of(5, None, -16)));
}
