//! What the kernel does for a program that was sampled inside a system call.

use crate::kind::Kind;
use crate::profile::sampling::Code;

use super::subkind::Subkind;

/// Sorts of system calls, as far as they have a kind of their own on the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KernelWork {
    /// Copies data for a read or a write.
    Copy,
    /// Has a file written to its disk.
    Sync,
    /// Hands out memory and takes it back.
    Pages,
    /// Gives the CPU away, for want of something to do.
    Yield,
    /// Anything else, or a call whose number was not seen.
    Other,
}

impl KernelWork {
    /// By the number that the code loads right before it calls: `mov eax, number` or `xor eax, eax`, and then the two
    /// bytes of `syscall` that end at `sampled`.
    pub(super) fn of(code: &Code, sampled: u64) -> Self {
        let before = |n: u64| code.at(sampled.saturating_sub(n), 5);
        let number = match (before(7), before(4)) {
            (&[0xB8, a, b, c, d], _) => u32::from_le_bytes([a, b, c, d]),
            (_, [0x31 | 0x33, 0xC0, ..]) => 0,
            _ => return Self::Other,
        };
        // Numbers of x86-64.
        match number {
            // read, write, pread64, pwrite64, readv, writev, sendfile, sendto, recvfrom, sendmsg, recvmsg, preadv, pwritev
            0 | 1 | 17..=20 | 40 | 44..=47 | 295 | 296 => Self::Copy,
            // fsync, fdatasync, msync, sync_file_range
            26 | 74 | 75 | 277 => Self::Sync,
            // mmap, mprotect, munmap, brk, mremap, madvise
            9..=12 | 25 | 28 => Self::Pages,
            24 => Self::Yield,
            _ => Self::Other,
        }
    }

    /// The kind of its time on the CPU.
    pub(super) fn kind(self) -> (Kind, Option<Subkind>) {
        match self {
            Self::Copy => (Kind::Io, Some(Subkind::Copy)),
            Self::Sync => (Kind::Io, Some(Subkind::Sync)),
            Self::Pages => (Kind::Memory, Some(Subkind::FirstTouch)),
            Self::Yield => (Kind::Scheduling, Some(Subkind::Spin)),
            Self::Other => (Kind::Other, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::sampling::Block;

    #[test]
    fn calls_are_told_by_the_number_in_front_of_them() {
        let cases: [(&[u8], KernelWork); 6] = [
            // endbr64; mov eax, 24; syscall
            (&[0xF3, 0x0F, 0x1E, 0xFA, 0xB8, 24, 0, 0, 0, 0x0F, 0x05], KernelWork::Yield),
            // mov rdi, r8; xor eax, eax; syscall
            (&[0x4C, 0x89, 0xC7, 0x31, 0xC0, 0x0F, 0x05], KernelWork::Copy),
            (&[0xB8, 17, 0, 0, 0, 0x0F, 0x05], KernelWork::Copy),
            (&[0xB8, 11, 0, 0, 0, 0x0F, 0x05], KernelWork::Pages),
            (&[0xB8, 202, 0, 0, 0, 0x0F, 0x05], KernelWork::Other),
            // mov rax, rsi; syscall
            (&[0x48, 0x89, 0xF0, 0x0F, 0x05], KernelWork::Other),
        ];
        for (bytes, expected) in cases {
            let block = Block { start: 0x1000, bytes: bytes.to_vec() };
            let code = Code { blocks: vec![block], maps: Vec::new() };
            assert_eq!(KernelWork::of(&code, 0x1000 + bytes.len() as u64), expected, "{bytes:x?}");
        }
    }
}
