//! What the kernel tells of the tasks of this process in `/proc/self/task`. Allocates nothing, and interrupts no task.

use super::Errno;
use super::descriptor::Descriptor;

/// Bytes that a list of tasks is read by.
const LIST_BYTES: usize = 4096;
/// Longest text of a file that is read here; `stat` is the longest.
const TEXT_BYTES: usize = 512;

/// Writes the ids of all tasks of this process into `tids`, in the order of the numbers.
pub(crate) fn list(tids: &mut Vec<u32>) -> Result<(), Errno> {
    /// Offsets in `struct linux_dirent64`.
    const LENGTH_AT: usize = 16;
    const NAME_AT: usize = 19;
    tids.clear();
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: the path ends with a zero byte.
    let fd = unsafe { libc::open(c"/proc/self/task".as_ptr(), flags) };
    if fd < 0 {
        return Err(Errno::last());
    }
    let mut entries = [0_u8; LIST_BYTES];
    let result = loop {
        // SAFETY: `entries` has the length given.
        let n =
            unsafe { libc::syscall(libc::SYS_getdents64, fd, entries.as_mut_ptr(), entries.len()) };
        let Ok(n) = usize::try_from(n) else {
            break Err(Errno::last());
        };
        if n == 0 {
            break Ok(());
        }
        let mut rest = entries.get(..n).unwrap_or_default();
        while let Some(&[low, high]) = rest.get(LENGTH_AT..LENGTH_AT + 2) {
            let length = usize::from(u16::from_ne_bytes([low, high]));
            tids.extend(rest.get(NAME_AT..length).and_then(decimal));
            rest = rest.get(length.max(1)..).unwrap_or_default();
        }
    };
    // SAFETY: opened above, and used nowhere else.
    unsafe { libc::close(fd) };
    tids.sort_unstable();
    result
}

/// Counts the tasks of this process: cheaper than a list, and tells whether that has changed.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    folder: Option<Descriptor>,
}

impl Counter {
    /// How many tasks there are; 0 where the kernel does not tell.
    pub(crate) fn count(&mut self) -> u64 {
        if self.folder.is_none() {
            let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
            // SAFETY: the path ends with a zero byte.
            let fd = unsafe { libc::open(c"/proc/self/task".as_ptr(), flags) };
            self.folder = (0 <= fd).then(|| Descriptor::new(fd));
        }
        let links = self.folder.as_ref().and_then(Descriptor::links);
        if links.is_none() {
            // Another file has its number by now, or it could not be opened: anew at the next time.
            self.folder = None;
        }
        // Each task is a folder, and a folder has two links without any in it.
        links.unwrap_or(0).saturating_sub(2)
    }
}

/// The number that a zero-terminated name consists of.
fn decimal(name: &[u8]) -> Option<u32> {
    let digits = name.split(|&byte| byte == 0).next()?;
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// What the file `syscall` of a task says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// It does not wait: it runs, or could.
    No,
    /// It waits, but in no system call: for a page of memory.
    InNoCall,
    /// It waits in this system call.
    In(RawCall),
}

/// A system call by its number, with its arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawCall {
    pub(crate) number: u32,
    pub(crate) arguments: [u64; 6],
}

/// The file `syscall` of one task, kept open.
#[derive(Debug)]
pub(crate) struct WaitFile {
    fd: Descriptor,
}

impl WaitFile {
    /// Opens that of a task of this process.
    pub(crate) fn open(tid: u32) -> Result<Self, Errno> {
        open(tid, b"/syscall").map(|fd| Self { fd: Descriptor::new(fd) })
    }

    /// Reads it. `ESRCH`: the task has ended; `EBADF`: the descriptor is not ours any more.
    pub(crate) fn read(&self) -> Result<Waiting, Errno> {
        let mut text = [0_u8; TEXT_BYTES];
        // A foreign file under our number does not read like this, and reading at an offset leaves it as it was.
        parse_waiting(read_at_start(self.fd.unchecked(), &mut text)?).ok_or(Errno(libc::EBADF))
    }

    /// Whether the descriptor still is ours.
    pub(crate) fn is_ours(&self) -> bool {
        self.fd.get().is_some()
    }
}

/// The same for a task whose file is not kept open.
pub(crate) fn waiting(tid: u32) -> Result<Waiting, Errno> {
    let mut text = [0_u8; TEXT_BYTES];
    parse_waiting(read_once(tid, b"/syscall", &mut text)?).ok_or(Errno(libc::EINVAL))
}

/// `running`, `-1 SP PC`, or `NUMBER ARGUMENT*6 SP PC`; `None` for anything else.
fn parse_waiting(text: &[u8]) -> Option<Waiting> {
    let text = core::str::from_utf8(text).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let first = fields.next()?;
    if first == "running" {
        return Some(Waiting::No);
    }
    let hexadecimal = |field: &str| u64::from_str_radix(field.strip_prefix("0x")?, 16).ok();
    if first == "-1" {
        return hexadecimal(fields.next()?).map(|_| Waiting::InNoCall);
    }
    let mut call = RawCall { number: first.parse().ok()?, ..RawCall::default() };
    for argument in &mut call.arguments {
        *argument = hexadecimal(fields.next()?)?;
    }
    Some(Waiting::In(call))
}

/// Whether a task could run, by the letter in its `stat`: known where `syscall` is not.
pub(crate) fn is_runnable(tid: u32) -> Result<bool, Errno> {
    let mut text = [0_u8; TEXT_BYTES];
    Ok(state_letter(read_once(tid, b"/stat", &mut text)?) == Some(b'R'))
}

/// The letter behind the name, which may hold anything, also blanks and parentheses.
fn state_letter(stat: &[u8]) -> Option<u8> {
    let end_of_name = stat.iter().rposition(|&byte| byte == b')')?;
    stat.get(end_of_name + 2).copied()
}

/// What is seen of how a task takes a signal.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// It blocks it.
    Blocked,
    /// It does not.
    Free,
    /// It waits for signals, or with a mask of its own, in place of that of the task: a signal would end the wait.
    Masked,
    /// That could not be seen.
    Unknown,
}

/// How a task takes a signal.
#[cfg(target_arch = "x86_64")]
pub(crate) fn takes(tid: u32, signal: i32) -> Takes {
    let mut text = [0_u8; TEXT_BYTES];
    let Ok(stat) = read_once(tid, b"/stat", &mut text) else { return Takes::Unknown };
    match (blocked_field(stat), state_letter(stat)) {
        (Some(blocked), _) if blocked & 1 << (signal - 1) != 0 => Takes::Blocked,
        // Also one that has just been woken in such a wait, for a moment.
        (Some(_), Some(b'R')) => Takes::Free,
        (Some(_), _) => match waiting(tid) {
            Ok(Waiting::In(call)) if replaces_mask(&call) => Takes::Masked,
            Ok(Waiting::In(_)) => Takes::Free,
            Ok(Waiting::No | Waiting::InNoCall) | Err(_) => Takes::Unknown,
        },
        (None, _) => Takes::Unknown,
    }
}

/// The fifth argument of `io_uring_enter` is no mask.
#[cfg(target_arch = "x86_64")]
const EXTENDED_ARGUMENT: u64 = 1 << 3;

/// Whether a call waits with another mask of signals than that of its task.
#[cfg(target_arch = "x86_64")]
fn replaces_mask(call: &RawCall) -> bool {
    match i64::from(call.number) {
        libc::SYS_rt_sigtimedwait | libc::SYS_rt_sigsuspend => true,
        libc::SYS_ppoll => call.arguments[3] != 0,
        libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => call.arguments[4] != 0,
        libc::SYS_io_uring_enter => {
            call.arguments[3] & EXTENDED_ARGUMENT == 0 && call.arguments[4] != 0
        }
        libc::SYS_pselect6 => call.arguments[5] != 0,
        _ => false,
    }
}

/// The 32nd field of a `stat`; the state, behind the name, is the third.
#[cfg(target_arch = "x86_64")]
fn blocked_field(stat: &[u8]) -> Option<u64> {
    let end_of_name = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = core::str::from_utf8(stat.get(end_of_name + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(32 - 3)?.parse().ok()
}

/// The name of a task, zero padded.
pub(crate) fn name(tid: u32) -> Option<[u8; 16]> {
    let mut text = [0_u8; TEXT_BYTES];
    let read = read_once(tid, b"/comm", &mut text).ok()?;
    let mut name = [0_u8; 16];
    for (to, &byte) in name.iter_mut().zip(read.strip_suffix(b"\n").unwrap_or(read)) {
        *to = byte;
    }
    Some(name)
}

fn read_once<'a>(tid: u32, file: &[u8], text: &'a mut [u8; TEXT_BYTES]) -> Result<&'a [u8], Errno> {
    let fd = open(tid, file)?;
    let read = read_at_start(fd, text);
    // SAFETY: opened above, and used nowhere else.
    unsafe { libc::close(fd) };
    read
}

fn read_at_start(fd: i32, text: &mut [u8; TEXT_BYTES]) -> Result<&[u8], Errno> {
    // SAFETY: `text` has the length given.
    let n = unsafe { libc::pread(fd, text.as_mut_ptr().cast(), text.len(), 0) };
    match usize::try_from(n) {
        Ok(n) => Ok(text.get(..n).unwrap_or_default()),
        Err(_) => Err(Errno::last()),
    }
}

/// Opens `/proc/self/task/TID` and `file`, which begins with a slash.
fn open(tid: u32, file: &[u8]) -> Result<i32, Errno> {
    let mut path = [0_u8; 48];
    let mut at = 0;
    let mut put = |part: &[u8]| {
        for (to, &byte) in path.iter_mut().skip(at).zip(part) {
            *to = byte;
        }
        at += part.len();
    };
    put(b"/proc/self/task/");
    let mut digits = [0_u8; 10];
    put(decimal_digits(tid, &mut digits));
    put(file);
    put(b"\0");
    // SAFETY: the path is shorter than its place (16, 10, 8 and 1 bytes), so it ends with a zero byte.
    let fd = unsafe { libc::open(path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if fd < 0 { Err(Errno::last()) } else { Ok(fd) }
}

fn decimal_digits(mut number: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut first = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        first = at;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    digits.get(first..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::thread::tid;

    #[test]
    fn the_three_forms_of_a_syscall_file() {
        assert_eq!(parse_waiting(b"running\n"), Some(Waiting::No));
        assert_eq!(parse_waiting(b"-1 0x7ffd 0x7f00\n"), Some(Waiting::InNoCall));
        let line = b"202 0x7f12ab 0x189 0x2 0x0 0x0 0xffffffff 0x7ffd 0x7f00\n";
        let arguments = [0x007f_12ab, 0x189, 2, 0, 0, 0xffff_ffff];
        assert_eq!(parse_waiting(line), Some(Waiting::In(RawCall { number: 202, arguments })));
        for foreign in [&b""[..], b"202", b"-1", b"202 0x1 0x2", b"hello 0x1", b"\xff\xfe"] {
            assert_eq!(parse_waiting(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn a_state_is_behind_any_name() {
        assert_eq!(state_letter(b"17 (a) b (c)) S 1 1"), Some(b'S'));
        assert_eq!(state_letter(b"17 (worker) R 1 1"), Some(b'R'));
        assert_eq!(state_letter(b""), None);
        assert_eq!(state_letter(b"17 (x)"), None);
    }

    #[test]
    fn the_calling_thread_is_listed_runs_and_has_its_name() {
        let mut tids = Vec::new();
        list(&mut tids).unwrap();
        assert!(tids.contains(&tid()) && tids.is_sorted(), "{tids:?}");
        assert!(1 <= Counter::default().count());
        assert_eq!(waiting(tid()).map(|it| matches!(it, Waiting::In(_))), Ok(true));
        assert_eq!(is_runnable(tid()), Ok(true));
        assert_eq!(name(tid()), Some(crate::os::thread::name()));
        assert_eq!(waiting(u32::MAX), Err(Errno(libc::ENOENT)));
    }

    #[test]
    fn a_blocked_thread_is_in_its_call() {
        let (to_it, from_it) = std::sync::mpsc::channel::<()>();
        let (to_us, its_id) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            to_us.send(tid()).unwrap();
            from_it.recv().unwrap_err();
        });
        let file = WaitFile::open(its_id.recv().unwrap()).unwrap();
        assert!(file.is_ours());
        let call = loop {
            if let Waiting::In(call) = file.read().unwrap() {
                break call;
            }
            std::thread::yield_now();
        };
        assert_eq!(i64::from(call.number), libc::SYS_futex);
        drop(to_it);
        thread.join().unwrap();
        // A thread that was joined is still on its way out.
        while file.read() == Ok(Waiting::No) {
            std::thread::yield_now();
        }
        assert_eq!(file.read(), Err(Errno(libc::ESRCH)));
    }

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 7, 10, 4_194_304, u32::MAX] {
            assert_eq!(
                decimal_digits(number, &mut [0; 10]),
                number.to_string().as_bytes(),
                "{number}"
            );
        }
    }
}
