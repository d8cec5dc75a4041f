//! One timed load: how far away is a line of memory?
//!
//! Shared by the signal handler that times loads of the program's data, and by `cargo bottleneck`, which times loads of its
//! own from every level of the caches: the two are compared, so they must be the same instructions.

/// Ticks that a load of the byte at `address` takes, fences included; 0 if the memory could not be read and the fault was
/// put right (see [`faulted`]). The line is in the innermost cache afterwards; so is one of the other half of its page, which is
/// touched first so that a missing translation is not read as a missing line. Which one it is changes from call to call: where
/// it was always at the same distance, a prefetcher learned that after ten calls, and brought the line that was to be timed.
///
/// Costs the latency and about 40 ns. Needs the time-stamp counter.
///
/// # Safety
/// The page at `address` can be read, or a handler of SIGSEGV and SIGBUS makes use of [`faulted`]; and reading has no side
/// effect, as that of a device may have.
#[unsafe(naked)]
pub unsafe extern "C" fn time_load(address: *const u8) -> u32 {
    // Nothing is pushed: wherever it faults, the return address is on top of the stack.
    core::arch::naked_asm!(
        "rdtsc",
        "imul eax, eax, -1640531535",
        "shr eax, 21",
        "and eax, 0x7C0",
        "or eax, 0x800",
        "xor rax, rdi",
        "movzx eax, byte ptr [rax]",
        "mfence",
        "lfence",
        "rdtsc",
        "lfence",
        "mov r8d, eax",
        "movzx ecx, byte ptr [rdi]",
        "lfence",
        "rdtsc",
        "sub eax, r8d",
        "ret",
    )
}

/// Returns 0 from [`time_load`]: where to go on after a fault in it.
#[unsafe(naked)]
unsafe extern "C" fn give_up() -> u32 {
    core::arch::naked_asm!("xor eax, eax", "ret")
}

/// Where to go on if the fault at `instruction` was one of [`time_load`]'s; `None` if it was not.
pub fn faulted(instruction: u64) -> Option<u64> {
    let offset = instruction.wrapping_sub(time_load as *const () as u64);
    [TOUCH_AT, LOAD_AT].contains(&offset).then_some(give_up as *const () as u64)
}

/// Offsets of the two loads in [`time_load`].
const TOUCH_AT: u64 = 24;
const LOAD_AT: u64 = 41;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_just_read_is_near() {
        let data = vec![0_u8; 4096];
        let times: Vec<u32> = (0..1000)
            // SAFETY: both bytes are in `data` or in its page.
            .map(|_| unsafe { time_load(&raw const data[64]) })
            .collect();
        // Two reads of the counter take 20 ticks on any machine; an interrupted one is not the least.
        assert!(
            times.iter().all(|&ticks| ticks > 0) && times.iter().min() < Some(&300),
            "{times:?}"
        );
    }

    #[test]
    fn only_faults_of_the_load_itself_are_put_right() {
        let begin = time_load as *const () as u64;
        let faults: Vec<u64> = (0..64).filter(|at| faulted(begin + at).is_some()).collect();
        assert_eq!(faults, [TOUCH_AT, LOAD_AT]);
        // SAFETY: the bytes of the function itself, and of `give_up` beside it.
        let code = unsafe { core::slice::from_raw_parts(time_load as *const u8, 53) };
        let movzx = |at: u64| code[usize::try_from(at).unwrap()..].starts_with(&[0x0F, 0xB6]);
        assert!(movzx(TOUCH_AT) && movzx(LOAD_AT), "{code:02x?}");
        assert_eq!(code.last(), Some(&0xC3));
    }
}
