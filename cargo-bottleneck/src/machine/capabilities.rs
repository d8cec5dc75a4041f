//! What can be observed on this machine: each thing is present, or missing with the reason and the way to get it.
//!
//! Every probe does the thing itself, in small; none guesses from a version. A missing capability never stops a run:
//! reports name what they did without.

use std::borrow::Cow;
use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use serde::{Deserialize, Serialize};

use super::perf;
use super::sys::{self, HUGE_PAGE, Map, Pages};
use super::topology::{has_flag, meminfo_field};
use crate::units::{Bytes, Nanos};

/// One thing that can or cannot be observed here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capability {
    /// A stable name, such as `context_switches`: one of the constants in [`names`].
    pub name: Cow<'static, str>,
    /// It works: the probe did it.
    pub available: bool,
    /// Why it is missing, as a sentence fragment.
    pub reason: Option<String>,
    /// How to get it: one line, a command where there is one.
    pub fix: Option<String>,
    /// More about what is present, such as a size.
    pub detail: Option<String>,
    /// What it is for.
    pub matters: Cow<'static, str>,
}

/// The names of all capabilities.
pub mod names {
    /// Exact times at which threads left their CPU.
    pub const CONTEXT_SWITCHES: &str = "context_switches";
    /// The counters of the processor.
    pub const HARDWARE_COUNTERS: &str = "hardware_counters";
    /// Samples of the instruction pointer without counters.
    pub const CPU_CLOCK_SAMPLING: &str = "cpu_clock_sampling";
    /// A counter in the processor that ticks evenly.
    pub const INVARIANT_TSC: &str = "invariant_tsc";
    /// CPU time of one thread.
    pub const THREAD_CPU_CLOCK: &str = "thread_cpu_clock";
    /// Time that a thread waited for a CPU.
    pub const SCHEDSTAT: &str = "schedstat";
    /// What a blocked thread waits in.
    pub const BLOCKED_THREADS: &str = "blocked_threads";
    /// Files of the recording that survive the program.
    pub const SHARED_MAPPINGS: &str = "shared_mappings";
    /// Files in memory, where folders cannot be mapped.
    pub const MEMORY_FILES: &str = "memory_files";
    /// Room for the rings of many threads.
    pub const LOCKED_MEMORY: &str = "locked_memory";
    /// The driver of NVIDIA devices.
    pub const CUDA_DRIVER: &str = "cuda_driver";
    /// Pages of 2 MiB.
    pub const HUGE_PAGES: &str = "huge_pages";
}

/// Why something is missing and how to get it.
#[derive(Debug)]
pub(super) struct Missing {
    pub(super) reason: String,
    pub(super) fix: Fix,
}

/// The way to get what is missing.
#[derive(Debug)]
pub(super) enum Fix {
    /// A line to type.
    Command(&'static str),
    /// What to do where no line does it.
    Words(&'static str),
    /// A line made for this machine.
    Made(String),
    /// Nothing that a user can do.
    None,
}

impl Fix {
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Command(text) | Self::Words(text) => Some((*text).to_owned()),
            Self::Made(text) => Some(text.clone()),
            Self::None => None,
        }
    }
}

impl Missing {
    pub(super) fn new(reason: impl Into<String>, fix: Fix) -> Self {
        Self { reason: reason.into(), fix }
    }
}

/// What is there beyond that it is there; empty is nothing.
type Probe = Result<String, Missing>;

impl Capability {
    fn of(name: &'static str, matters: &'static str, probe: Probe) -> Self {
        let (detail, reason, fix) = match probe {
            Ok(detail) => ((!detail.is_empty()).then_some(detail), None, None),
            Err(missing) => (None, Some(missing.reason), missing.fix.text()),
        };
        Self {
            name: Cow::Borrowed(name),
            available: reason.is_none(),
            reason,
            fix,
            detail,
            matters: Cow::Borrowed(matters),
        }
    }
}

/// Probes everything. `folder` is where the files of a recording would be made; it need not exist.
///
/// Costs 1 to 5 ms, most of it for a thread that blocks on purpose and for a huge page.
pub fn probe_capabilities(folder: &Path) -> Vec<Capability> {
    use names as n;
    vec![
        Capability::of(
            n::CONTEXT_SWITCHES,
            "exact split of on-CPU, preempted and blocked time",
            perf::context_switches(),
        ),
        Capability::of(
            n::HARDWARE_COUNTERS,
            "cache misses and stalls as evidence; never required",
            perf::hardware_counters(),
        ),
        Capability::of(
            n::CPU_CLOCK_SAMPLING,
            "the hot function inside a span, and where its data are",
            perf::cpu_clock_sampling(),
        ),
        Capability::of(n::INVARIANT_TSC, "spans that cost 20 ns", invariant_tsc()),
        Capability::of(
            n::THREAD_CPU_CLOCK,
            "on-CPU time without context-switch records",
            thread_cpu_clock(),
        ),
        Capability::of(n::SCHEDSTAT, "time spent waiting for a CPU", schedstat()),
        Capability::of(n::BLOCKED_THREADS, "what a blocked thread waits for", blocked_threads()),
        Capability::of(
            n::SHARED_MAPPINGS,
            "a recording that survives a killed program",
            shared_mapping(folder),
        ),
        Capability::of(
            n::MEMORY_FILES,
            "the recording where a folder cannot be mapped",
            memory_file(),
        ),
        Capability::of(n::LOCKED_MEMORY, "context-switch records of many threads", locked_memory()),
        Capability::of(
            n::CUDA_DRIVER,
            "kernels, copies and waits of NVIDIA devices",
            cuda_driver(),
        ),
        Capability::of(
            n::HUGE_PAGES,
            "bandwidth probes that are not slowed by page walks",
            huge_pages(),
        ),
    ]
}

fn invariant_tsc() -> Probe {
    if cfg!(target_arch = "aarch64") {
        return Ok("the generic timer, whose evenness was not checked".to_owned());
    }
    if !cfg!(target_arch = "x86_64") {
        return Err(Missing::new("no such counter is known for this architecture", Fix::None));
    }
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let source =
        fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    tsc(&cpuinfo, source.ok().as_deref().map(str::trim))
}

/// Pure part of [`invariant_tsc`]. The kernel watches the counter at run time: it knows more than the processor says.
fn tsc(cpuinfo: &str, source: Option<&str>) -> Probe {
    if !(has_flag(cpuinfo, "constant_tsc") && has_flag(cpuinfo, "nonstop_tsc")) {
        return Err(Missing::new(
            "the processor, or its hypervisor, does not promise that the TSC ticks evenly; CLOCK_MONOTONIC is used",
            Fix::None,
        ));
    }
    match source {
        Some("tsc" | "kvm-clock" | "hyperv_clocksource_tsc_page" | "xen") | None => {
            Ok(source.unwrap_or("").to_owned())
        }
        Some(other) => Err(Missing::new(
            format!(
                "the kernel keeps its time by `{other}`, which it does where it found the TSC unstable"
            ),
            Fix::None,
        )),
    }
}

fn thread_cpu_clock() -> Probe {
    let clock = || {
        sys::thread_cpu_time()
            .map_err(|e| Missing::new(format!("the clock cannot be read: {e}"), Fix::None))
    };
    let before = clock()?;
    super::kernels::add_chain(10_000);
    if clock()? > before {
        return Ok(String::new());
    }
    Err(Missing::new("the clock did not advance while the thread ran", Fix::None))
}

fn schedstat() -> Probe {
    let path = "/proc/thread-self/schedstat";
    let text = fs::read_to_string(path).map_err(|e| {
        Missing::new(
            format!("cannot read {path}: {e}"),
            Fix::Words("use a kernel with CONFIG_SCHED_INFO, and a mounted /proc"),
        )
    })?;
    if text.split_whitespace().filter_map(|field| field.parse::<u64>().ok()).count() == 3 {
        return Ok(String::new());
    }
    Err(Missing::new(format!("{path} does not hold three numbers: {:?}", text.trim()), Fix::None))
}

/// Blocks a thread on a channel and looks at it from here.
fn blocked_threads() -> Probe {
    let (tell, told) = mpsc::channel();
    let (release, held) = mpsc::channel::<()>();
    let thread = thread::Builder::new()
        .spawn(move || {
            let _ = tell.send(sys::thread_id());
            let _ = held.recv();
        })
        .map_err(|e| Missing::new(format!("cannot start a thread: {e}"), Fix::None))?;
    let probe = told
        .recv()
        .map_err(|e| Missing::new(format!("the probing thread ended: {e}"), Fix::None))
        .and_then(look_at_blocked);
    drop(release);
    let _ = thread.join();
    probe
}

fn look_at_blocked(thread: i32) -> Probe {
    let read = |name: &str| {
        let path = format!("/proc/self/task/{thread}/{name}");
        fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))
    };
    let futex = libc::SYS_futex.to_string();
    let mut seen = String::new();
    // It says `running` until the thread sleeps, which takes some microseconds.
    for _ in 0..200 {
        seen = read("syscall")?;
        if seen.split_whitespace().next() == Some(&futex) {
            let place = read("wchan")?;
            let named = if matches!(place.trim(), "0" | "") {
                ", without the kernel's own names"
            } else {
                ""
            };
            return Ok(format!("system call and its argument{named}"));
        }
        sys::nap(Nanos(50_000));
    }
    Err(Missing::new(format!("a thread that waits is shown as {:?}", seen.trim()), Fix::None))
}

fn unreadable(path: &str, error: &io::Error) -> Missing {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Missing::new(
            format!(
                "reading {path} is not permitted; a container or a policy for ptrace may forbid it"
            ),
            Fix::Command("docker run --cap-add SYS_PTRACE ..."),
        ),
        io::ErrorKind::NotFound => Missing::new(
            format!("there is no {path}"),
            Fix::Words("use a kernel with CONFIG_HAVE_ARCH_TRACEHOOK, and a mounted /proc"),
        ),
        _ => Missing::new(format!("cannot read {path}: {error}"), Fix::None),
    }
}

/// Makes a file as the recording would, maps it, writes through the mapping and reads by the file.
fn shared_mapping(folder: &Path) -> Probe {
    let fix =
        || Fix::Made("pass a folder on a local disk: cargo bottleneck run --output DIR".to_owned());
    let missing = |what: &str, error: &io::Error| {
        Missing::new(format!("cannot {what} in {}: {error}", folder.display()), fix())
    };
    fs::create_dir_all(folder).map_err(|e| missing("make the folder for a file", &e))?;
    let path = folder.join(format!("probe-{}.bneck", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
    let file = file.map_err(|e| missing("make a file", &e))?;
    let result = map_and_read(file.as_fd(), &|| {
        let mut word = [0; 8];
        file.read_exact_at(&mut word, 0).map(|()| u64::from_ne_bytes(word))
    });
    drop(fs::remove_file(&path));
    match result {
        Ok(true) => Ok(folder.display().to_string()),
        Ok(false) => Err(Missing::new(
            format!("what is written to a mapping in {} does not reach the file", folder.display()),
            fix(),
        )),
        Err(error) => Err(missing("map a file", &error)),
    }
}

/// Whether a word written to a shared mapping of `file` is what `read` then gives.
fn map_and_read(file: BorrowedFd<'_>, read: &dyn Fn() -> io::Result<u64>) -> io::Result<bool> {
    const WORD: u64 = 0x626f_7474_6c65_6e65;
    sys::allocate(file, 4096)?;
    let mut map = Map::shared(file, 4096)?;
    map.set_first_word(WORD);
    Ok(read()? == WORD)
}

/// A file in memory, opened again by its path in `/proc`, as the program under test would.
fn memory_file() -> Probe {
    let missing =
        |e: &io::Error| Missing::new(format!("a file in memory cannot be shared: {e}"), Fix::None);
    let fd = sys::memory_file(c"bottleneck-probe").map_err(|e| missing(&e))?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd());
    let works = map_and_read(fd.as_fd(), &|| {
        let mut word = [0; 8];
        fs::File::open(&path)?.read_exact_at(&mut word, 0)?;
        Ok(u64::from_ne_bytes(word))
    });
    match works {
        Ok(true) => Ok(String::new()),
        Ok(false) => {
            Err(Missing::new("what is written to a file in memory is not read back", Fix::None))
        }
        Err(error) => Err(missing(&error)),
    }
}

fn locked_memory() -> Probe {
    let limit = sys::locked_memory_limit();
    let limit =
        limit.map_err(|e| Missing::new(format!("the limit cannot be read: {e}"), Fix::None))?;
    let per_cpu = fs::read_to_string("/proc/sys/kernel/perf_event_mlock_kb").ok();
    let per_cpu = per_cpu.and_then(|text| text.trim().parse().ok()).unwrap_or(0_u64);
    let cpus = sys::affinity().map_or(1, |cpus| cpus.len() as u64);
    rings(limit, per_cpu.saturating_mul(1024).saturating_mul(cpus), sys::page_size() as u64)
}

/// Pure part of [`locked_memory`]: how many rings fit the two allowances.
fn rings(limit: Option<u64>, for_perf: u64, page: u64) -> Probe {
    const ENOUGH: u64 = 64;
    let Some(limit) = limit else { return Ok("no limit".to_owned()) };
    let bytes = limit.saturating_add(for_perf);
    // Eight pages of data and one of state for each thread.
    let threads = bytes / (9 * page);
    let room = format!("{} hold the rings of {threads} threads", Bytes(bytes as f64));
    if threads >= ENOUGH {
        Ok(room)
    } else {
        Err(Missing::new(room, Fix::Command("ulimit -l 65536")))
    }
}

fn cuda_driver() -> Probe {
    let name = CString::from(c"libcuda.so.1");
    sys::can_load(&name).map(|()| String::new()).map_err(|words| {
        if words.contains("No such file") || words.contains("cannot open shared object file") {
            let fix = Fix::Words("install the NVIDIA driver, if there is such a device");
            return Missing::new("there is no libcuda.so.1", fix);
        }
        Missing::new(
            format!("libcuda.so.1 cannot be loaded: {words}"),
            Fix::Words("install the NVIDIA driver again"),
        )
    })
}

/// Touches memory for which huge pages were asked, and looks what came.
fn huge_pages() -> Probe {
    let mut pages = Pages::new(HUGE_PAGE)
        .map_err(|e| Missing::new(format!("no memory for the probe: {e}"), Fix::None))?;
    pages.bytes_mut()[0] = 1;
    let smaps = fs::read_to_string("/proc/self/smaps")
        .map_err(|e| Missing::new(format!("cannot read /proc/self/smaps: {e}"), Fix::None))?;
    if huge_at(&smaps, pages.bytes().as_ptr().addr()) {
        return Ok(String::new());
    }
    let policy =
        fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    if policy.contains("[never]") {
        return Err(Missing::new(
            "the policy transparent_hugepage is `never`",
            Fix::Command("echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled"),
        ));
    }
    Err(Missing::new(
        "the kernel gave small pages; memory may be fragmented, or the feature absent",
        Fix::None,
    ))
}

/// Whether the mapping that holds `address` has huge pages, by the text of `/proc/self/smaps`.
fn huge_at(smaps: &str, address: usize) -> bool {
    let holds = |line: &str| {
        let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
        let bounds = range.and_then(|(a, b)| {
            Some((usize::from_str_radix(a, 16).ok()?, usize::from_str_radix(b, 16).ok()?))
        });
        bounds.map(|(start, end)| start <= address && address < end)
    };
    let mut inside = false;
    for line in smaps.lines() {
        match holds(line) {
            Some(here) => inside = here,
            None if inside && line.starts_with("AnonHugePages:") => {
                return meminfo_field(line, "AnonHugePages").is_some_and(|size| size.get() > 0.0);
            }
            None => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_probe_answers_and_what_is_missing_has_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let capabilities = probe_capabilities(folder.path());
        assert_eq!(capabilities.len(), 12);
        for capability in &capabilities {
            assert_eq!(capability.available, capability.reason.is_none(), "{capability:?}");
            println!("{capability:?}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the probe removes its file");
        let json = serde_json::to_string(&capabilities).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Capability>>(&json).unwrap(), capabilities);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let missing = shared_mapping(&file.path().join("inside")).unwrap_err();
        assert!(missing.reason.contains("inside"), "{missing:?}");
        assert!(missing.fix.text().unwrap().contains("--output"));
    }

    #[test]
    fn the_kernel_decides_about_the_tsc() {
        let even = "flags\t: constant_tsc nonstop_tsc\n";
        assert_eq!(tsc(even, Some("tsc")).unwrap(), "tsc");
        assert!(tsc(even, Some("hpet")).unwrap_err().reason.contains("`hpet`"));
        assert!(tsc("flags\t: constant_tsc\n", Some("tsc")).is_err());
    }

    #[test]
    fn rings_are_counted() {
        assert_eq!(rings(None, 0, 4096).unwrap(), "no limit");
        assert_eq!(
            rings(Some(8 << 20), 1032 << 10, 4096).unwrap(),
            "9.01 MiB hold the rings of 256 threads"
        );
        let missing = rings(Some(64 << 10), 516 << 10, 4096).unwrap_err();
        assert!(missing.reason.contains("16 threads"), "{missing:?}");
    }

    #[test]
    fn huge_pages_are_looked_up_by_address() {
        let smaps = "1000-2000 rw-p 00000000 00:00 0 \nRss: 4 kB\nAnonHugePages:      2048 kB\n\
                     2000-3000 rw-p 00000000 00:00 0 \nAnonHugePages:         0 kB\n";
        assert!(huge_at(smaps, 0x1800));
        assert!(!huge_at(smaps, 0x2000));
        assert!(!huge_at(smaps, 0x9000));
    }
}
