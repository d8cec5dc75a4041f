//! Probes of `perf_event_open`: what the kernel and its policy let a program see of itself.
//!
//! Each probe opens the event as the recording would, and checks that it delivers. The errno decides who said no.

use std::fs;
use std::io;
use std::os::fd::AsFd;

use super::capabilities::{Fix, Missing};
use super::sys::{self, Map, PerfAttributes};
use crate::units::Nanos;

const TYPE_HARDWARE: u32 = 0;
const TYPE_SOFTWARE: u32 = 1;
const HARDWARE_CPU_CYCLES: u64 = 0;
const SOFTWARE_CPU_CLOCK: u64 = 0;
const SOFTWARE_DUMMY: u64 = 9;

const SAMPLE_IP: u64 = 1;
const SAMPLE_TID: u64 = 1 << 1;
const SAMPLE_TIME: u64 = 1 << 2;
const SAMPLE_CPU: u64 = 1 << 7;

const DISABLED: u64 = 1;
const EXCLUDE_KERNEL: u64 = 1 << 5;
const EXCLUDE_HYPERVISOR: u64 = 1 << 6;
const BY_FREQUENCY: u64 = 1 << 10;
const SAMPLE_ID_ALL: u64 = 1 << 18;
const USE_CLOCK: u64 = 1 << 25;
const CONTEXT_SWITCH: u64 = 1 << 26;
const REMOVE_ON_EXEC: u64 = 1 << 36;
const SIGNAL: u64 = 1 << 37;

/// Where `data_head` is in the first page of a ring.
const DATA_HEAD: usize = 1024;
/// The rings of the recording have 8 pages of data.
const RING_PAGES: usize = 8;

/// Context-switch records: opens a ring on this thread, sleeps shortly, and looks whether records came.
pub(super) fn context_switches() -> Result<String, Missing> {
    let attributes = PerfAttributes {
        kind: TYPE_SOFTWARE,
        config: SOFTWARE_DUMMY,
        sample_type: SAMPLE_TID | SAMPLE_TIME | SAMPLE_CPU,
        flags: EXCLUDE_KERNEL | EXCLUDE_HYPERVISOR | SAMPLE_ID_ALL | USE_CLOCK | CONTEXT_SWITCH,
        clock: libc::CLOCK_MONOTONIC,
        ..PerfAttributes::default()
    };
    let event = sys::open_perf_event(&attributes).map_err(|error| refused(&error))?;
    let length = (RING_PAGES + 1) * sys::page_size();
    let ring = Map::shared(event.as_fd(), length).map_err(|error| unmapped(&error))?;
    let before = ring.word(DATA_HEAD);
    // A few tries: the scheduler may find nothing to switch to only in theory, but a short sleep may not sleep.
    for _ in 0..5 {
        sys::nap(Nanos(50_000));
        if ring.word(DATA_HEAD) != before {
            return Ok(format!("a ring of {RING_PAGES} pages, CLOCK_MONOTONIC"));
        }
    }
    Err(Missing::new("the event opens, but a sleep left no record in its ring", Fix::None))
}

/// Hardware counters: counts the cycles of a short loop in user mode.
pub(super) fn hardware_counters() -> Result<String, Missing> {
    let attributes = PerfAttributes {
        kind: TYPE_HARDWARE,
        config: HARDWARE_CPU_CYCLES,
        flags: EXCLUDE_KERNEL | EXCLUDE_HYPERVISOR,
        ..PerfAttributes::default()
    };
    let event = sys::open_perf_event(&attributes).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV) => Missing::new(
            format!(
                "this machine shows no performance counters to its programs ({})",
                errno(&error)
            ),
            Fix::Words("use a bare-metal machine, or a virtual one with a virtual PMU"),
        ),
        _ => refused(&error),
    })?;
    super::kernels::add_chain(10_000);
    let mut count = [0; 8];
    let read = io::Read::read(&mut fs::File::from(event), &mut count);
    match read.map(|_| u64::from_ne_bytes(count)) {
        Ok(cycles) if cycles > 0 => Ok("cycles are counted".to_owned()),
        Ok(_) => Err(Missing::new("the counter opens, but stays at zero", Fix::None)),
        Err(error) => {
            Err(Missing::new(format!("the counter opens, but cannot be read: {error}"), Fix::None))
        }
    }
}

/// Sampling by CPU clock that signals the thread itself, as the recording uses it; opened only, and never enabled.
pub(super) fn cpu_clock_sampling() -> Result<String, Missing> {
    let attributes = PerfAttributes {
        kind: TYPE_SOFTWARE,
        config: SOFTWARE_CPU_CLOCK,
        period_or_frequency: 249,
        sample_type: SAMPLE_IP | SAMPLE_TID | SAMPLE_TIME,
        flags: DISABLED
            | EXCLUDE_KERNEL
            | EXCLUDE_HYPERVISOR
            | BY_FREQUENCY
            | REMOVE_ON_EXEC
            | SIGNAL,
        ..PerfAttributes::default()
    };
    sys::open_perf_event(&attributes).map_err(|error| match error.raw_os_error() {
        // The signal came with Linux 5.13; a kernel that does not know the bit refuses the whole structure.
        Some(libc::EINVAL | libc::E2BIG) => Missing::new(
            format!("this kernel does not signal a thread at its own samples ({})", errno(&error)),
            Fix::Words("use Linux 5.13 or newer"),
        ),
        _ => refused(&error),
    })?;
    Ok("249 samples a second of CPU time".to_owned())
}

/// Who refused, by the errno.
fn refused(error: &io::Error) -> Missing {
    let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
    let paranoid = paranoid.ok().and_then(|text| text.trim().parse::<i32>().ok());
    refusal(error, paranoid)
}

/// Pure part of [`refused`]: `paranoid` is the value of the policy, where it can be read.
fn refusal(error: &io::Error, paranoid: Option<i32>) -> Missing {
    let name = errno(error);
    match (error.raw_os_error(), paranoid) {
        (Some(libc::EACCES), Some(level)) if level > 2 => Missing::new(
            format!("the policy kernel.perf_event_paranoid = {level} forbids it ({name})"),
            Fix::Command("sudo sysctl kernel.perf_event_paranoid=2"),
        ),
        (Some(libc::EACCES), _) => Missing::new(
            format!("a security policy of this system forbids it ({name})"),
            Fix::Words("ask for CAP_PERFMON, or for perf_event in the security policy"),
        ),
        // Debian's own limit answers EACCES too; EPERM is a filter of system calls, as containers have it.
        (Some(libc::EPERM), _) => Missing::new(
            format!(
                "a filter of system calls (seccomp), as containers have it, forbids it ({name})"
            ),
            Fix::Command("docker run --cap-add PERFMON ..."),
        ),
        (Some(libc::ENOSYS), _) => Missing::new(
            format!("this kernel was built without perf events ({name})"),
            Fix::Words("use a kernel with CONFIG_PERF_EVENTS"),
        ),
        (Some(libc::ENOENT), _) => {
            Missing::new(format!("this kernel does not have the event ({name})"), Fix::None)
        }
        (Some(libc::EMFILE | libc::ENFILE), _) => Missing::new(
            format!("too many files are open ({name})"),
            Fix::Command("ulimit -n 4096"),
        ),
        (Some(libc::EINVAL | libc::E2BIG), _) => Missing::new(
            format!(
                "this kernel does not understand the request ({name}); with Linux 5.4 or newer this is a defect of cargo-bottleneck"
            ),
            Fix::None,
        ),
        _ => Missing::new(format!("the kernel refuses: {error}"), Fix::None),
    }
}

/// The ring of an event that did open.
fn unmapped(error: &io::Error) -> Missing {
    if error.raw_os_error() == Some(libc::EPERM) {
        return Missing::new(
            format!("the locked memory of this user is used up ({})", errno(error)),
            Fix::Command("ulimit -l 65536"),
        );
    }
    Missing::new(format!("the ring of the event cannot be mapped: {error}"), Fix::None)
}

fn errno(error: &io::Error) -> String {
    let name = match error.raw_os_error() {
        Some(libc::EACCES) => "EACCES",
        Some(libc::EPERM) => "EPERM",
        Some(libc::ENOENT) => "ENOENT",
        Some(libc::EINVAL) => "EINVAL",
        Some(libc::E2BIG) => "E2BIG",
        Some(libc::ENOSYS) => "ENOSYS",
        Some(libc::EMFILE) => "EMFILE",
        Some(libc::ENFILE) => "ENFILE",
        Some(libc::ENODEV) => "ENODEV",
        Some(libc::EOPNOTSUPP) => "EOPNOTSUPP",
        Some(number) => return format!("errno {number}"),
        None => return error.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(errno: i32, paranoid: Option<i32>, says: &str, fix: Option<&str>) {
        let missing = refusal(&io::Error::from_raw_os_error(errno), paranoid);
        assert!(missing.reason.contains(says), "{missing:?}");
        assert_eq!(missing.fix.text(), fix.map(str::to_owned));
    }

    #[test]
    fn the_errno_tells_who_refused() {
        check(
            libc::EACCES,
            Some(4),
            "perf_event_paranoid = 4",
            Some("sudo sysctl kernel.perf_event_paranoid=2"),
        );
        check(
            libc::EACCES,
            Some(2),
            "security policy",
            Some("ask for CAP_PERFMON, or for perf_event in the security policy"),
        );
        check(libc::EPERM, Some(2), "seccomp", Some("docker run --cap-add PERFMON ..."));
        check(libc::EINVAL, None, "defect of cargo-bottleneck", None);
        check(libc::ENOENT, None, "does not have the event (ENOENT)", None);
        check(libc::EIO, None, "the kernel refuses", None);
    }

    #[test]
    fn a_full_lock_limit_is_not_called_seccomp() {
        let missing = unmapped(&io::Error::from_raw_os_error(libc::EPERM));
        assert!(missing.reason.contains("locked memory"), "{missing:?}");
        assert_eq!(missing.fix.text().as_deref(), Some("ulimit -l 65536"));
    }
}
