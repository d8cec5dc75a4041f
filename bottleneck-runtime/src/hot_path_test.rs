//! Counts the instructions of `open` and `close` in this very binary: a fact that repeats, unlike a time.
//!
//! The usual case of both is a straight line: every rare case is a branch that is not taken. So the line from the first
//! instruction to `ret` is what a span costs, and a `call` or `syscall` on it would be a defect.

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl};

/// When this was written: 37 and 61, with the checks of a test build.
const MAX_OPEN: usize = 46;
const MAX_CLOSE: usize = 75;

/// Instructions from `entry` to its `ret`, no branch taken.
fn straight_line(entry: usize) -> usize {
    const MOST_BYTES: usize = 1024;
    // SAFETY: `entry` is the address of a function of this binary; the code behind it is mapped, and at least so many bytes
    // of the text segment follow, because the test harness is larger.
    let code = unsafe { std::slice::from_raw_parts(entry as *const u8, MOST_BYTES) };
    let mut decoder = Decoder::with_ip(64, code, entry as u64, DecoderOptions::NONE);
    let mut count = 0;
    while decoder.can_decode() {
        let instruction = decoder.decode();
        count += 1;
        match instruction.flow_control() {
            FlowControl::Return => return count,
            FlowControl::Next | FlowControl::ConditionalBranch => {
                assert_ne!(
                    instruction.code(),
                    Code::Syscall,
                    "a system call at instruction {count}"
                );
            }
            other => panic!("{other:?} at instruction {count} of the usual case"),
        }
    }
    panic!("no `ret` within {MOST_BYTES} bytes");
}

#[test]
fn a_span_is_a_few_instructions_in_a_straight_line() {
    let open = straight_line(crate::span::open as *const () as usize);
    let close = straight_line(crate::span::close as *const () as usize);
    assert!(open <= MAX_OPEN && close <= MAX_CLOSE, "open: {open} instructions, close: {close}");
    assert!(
        open > 10 && close > 10,
        "open: {open} instructions, close: {close}: what was measured?"
    );
}
