//! One recorded process: its file, its threads, its clock.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::arena::{Arena, FIRST_BYTES, RESERVED_BYTES};
use super::conditions;
use super::recorder::Recorder;
use super::sample_table::SampleTable;
use super::sampling::{TIMER_PERIOD_NS, Threads};
use super::thread::NameClass;
use crate::clock::{ClockKind, counter};
use crate::format::{ChunkKind, ENDIAN, HEADER_BYTES, MAGIC, MAJOR, MINOR};
use crate::key::{FNV_BASIS, fnv};
use crate::os::{self, Errno, map::FileMap, ring::SAMPLE_PERIOD_NS};
use crate::site::Site;

/// Spans that last longer than this on average may read the thread's CPU clock, where there are no switch records.
const LONG_SPAN_NS: u64 = 50_000;

pub(super) const SEEN_KEYS: usize = 64;

/// The recording of this process. Lives until the process ends.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) arena: Arena,
    pub(crate) clock: ClockKind,
    /// Nodes made so far.
    pub(super) nodes: AtomicU64,
    /// [`LONG_SPAN_NS`] in ticks.
    pub(super) long_span_ticks: u64,
    /// Every recorder ever made, for the background thread.
    pub(super) recorders: Mutex<Vec<&'static Recorder>>,
    /// Those of threads that ended.
    pub(super) idle: Mutex<Vec<(NameClass, &'static Recorder)>>,
    /// Hashes of the keys whose text is in the file.
    keys: Mutex<Vec<u64>>,
    /// The same, to be looked at without the lock: a key is at the place that its hash chooses, or was pushed out.
    pub(super) seen_keys: [AtomicU64; SEEN_KEYS],
    /// What is taken from the process; made by the background thread.
    conditions: Mutex<Option<conditions::Watch>>,
    /// Where samples are counted; made by the background thread.
    samples: OnceLock<SampleTable>,
    /// Whether a thread is sampled, and whether one is not: then it was said so in the file.
    has_samples: [AtomicBool; 2],
    /// The threads that are sampled by timers.
    pub(super) threads: Threads,
    /// What wakes the background thread; -1 where it could not be had.
    pub(super) wakeups: i32,
}

/// A recording by itself.
pub(crate) const RECORDING: &str = "bneck";
/// What devices did for a program that has a recording of its own.
#[cfg(bottleneck_injection)]
pub(crate) const OF_DEVICES: &str = "devices";

/// Where the profile goes.
#[derive(Debug)]
pub(crate) struct Place {
    /// The directory of the run.
    pub(crate) directory: PathBuf,
    /// A file that can be mapped where the directory cannot.
    pub(crate) fallback: Option<PathBuf>,
    /// What the name of the file ends with: [`RECORDING`], or `OF_DEVICES` for what is put into a recording later.
    pub(crate) extension: &'static str,
}

impl Session {
    /// Makes the file and its header.
    pub(crate) fn start(place: &Place) -> Result<Self, Errno> {
        let (clock, counter_problem) = ClockKind::choose();
        let start = Anchor::now(clock);
        let pid = os::thread::pid();
        let map = create_map(place, &format!("{pid}-{}.{}", start.ns, place.extension))?;
        let (latest, long_span_ticks) = calibrate(clock, start, LONG_SPAN_NS);
        let session = Self {
            arena: Arena::new(map),
            clock,
            nodes: AtomicU64::new(0),
            long_span_ticks,
            recorders: Mutex::default(),
            idle: Mutex::default(),
            keys: Mutex::default(),
            seen_keys: [const { AtomicU64::new(0) }; SEEN_KEYS],
            conditions: Mutex::default(),
            samples: OnceLock::new(),
            has_samples: [const { AtomicBool::new(false) }; 2],
            threads: Threads::new(),
            wakeups: os::wakeup::new(),
        };
        session.write_header(pid, start, latest);
        session.note_capability("counter", counter_problem.as_ref().err().map(String::as_str));
        Site::for_each_registered(|site| session.write_site(site));
        Ok(session)
    }

    /// Two anchors: the clock of a program that is killed before the background thread has run once is known too.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the boot id is cut into two halves; the header has 4096 bytes"
    )]
    fn write_header(&self, pid: u32, start: Anchor, latest: Anchor) {
        use Ordering::{Relaxed, Release};
        let header = self.arena.header();
        header.version.store(u32::from(MAJOR) | u32::from(MINOR) << 16, Relaxed);
        header.endian.store(ENDIAN, Relaxed);
        header.header_bytes.store(HEADER_BYTES as u32, Relaxed);
        header.clock.store(self.clock as u32, Relaxed);
        header.pid.store(pid, Relaxed);
        header.parent_pid.store(os::thread::parent_pid(), Relaxed);
        let boot_id = boot_id();
        header.boot_id_high.store((boot_id >> 64) as u64, Relaxed);
        header.boot_id_low.store(boot_id as u64, Relaxed);
        header.build_id.store(program_hash(), Relaxed);
        header.cpus.store(os::thread::cpus(), Relaxed);
        header.start_unix_ns.store(os::time::unix_ns(), Relaxed);
        header.start_ticks.store(start.ticks, Relaxed);
        header.start_ns.store(start.ns, Relaxed);
        header.last_ticks.store(latest.ticks, Relaxed);
        header.last_ns.store(latest.ns, Relaxed);
        header.used.store(HEADER_BYTES as u64, Relaxed);
        header.open_node.store(super::thread::open_node as *const () as u64, Relaxed);
        // Release: pairs with a reader of the growing file, which trusts the header once the magic is there.
        header.magic.store(u64::from_ne_bytes(MAGIC), Release);
    }

    /// Ticks and `CLOCK_MONOTONIC` of the same moment.
    pub(crate) fn time_pair(&self) -> (u64, u64) {
        let Anchor { ticks, ns } = Anchor::now(self.clock);
        (ticks, ns)
    }

    /// Writes a site into the file. Without space its nodes stay, nameless.
    pub(super) fn write_site(&self, site: &'static Site) {
        let record = site.record();
        self.arena.text_chunk(ChunkKind::Site, record.encoded_bytes(), |put| record.encode(put));
    }

    /// Writes the text of a key into the file, once.
    pub(super) fn write_key(&self, hash: u64, text: &str) {
        {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            if keys.contains(&hash) {
                return;
            }
            keys.push(hash);
        }
        self.arena.text_chunk(ChunkKind::Key, 8 + text.len(), |put| {
            put(&hash.to_ne_bytes());
            put(text.as_bytes());
        });
    }

    /// Writes that a capability is there, or what it is missing for.
    pub(crate) fn note_capability(&self, name: &str, problem: Option<&str>) {
        let text =
            format!("{name}\n{}\n{}", u8::from(problem.is_none()), problem.unwrap_or_default());
        self.arena.text_chunk(ChunkKind::Capability, text.len(), |put| put(text.as_bytes()));
    }

    /// Begins to watch what is taken from the process.
    pub(super) fn watch_conditions(&self) {
        let watch = conditions::Watch::new(&self.arena);
        *self.conditions.lock().unwrap_or_else(PoisonError::into_inner) = watch;
    }

    /// Notes what was taken so far, unless another thread is at it.
    pub(super) fn note_conditions(&self) {
        if let Ok(conditions) = self.conditions.try_lock()
            && let Some(watch) = &*conditions
        {
            watch.look();
        }
    }

    /// Makes the table of samples.
    pub(super) fn make_samples(&self) {
        if let Some(table) = SampleTable::new(&self.arena) {
            let table = self.samples.get_or_init(|| table);
            // SeqCst: pairs with the fence in `note_samples`; one of the two sees what the other did.
            fence(Ordering::SeqCst);
            if self.has_samples[1].load(Ordering::Relaxed) {
                table.note_period(self.sample_period_ns());
            }
        }
    }

    /// The table of samples, once there is one.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn samples(&'static self) -> Option<&'static SampleTable> {
        self.samples.get()
    }

    /// CPU time of a thread between two of its samples.
    fn sample_period_ns(&self) -> u64 {
        if self.threads.problem().is_none() { TIMER_PERIOD_NS } else { SAMPLE_PERIOD_NS }
    }

    /// Notes what the code says around instructions that were sampled for the first time, where nobody else does.
    pub(super) fn note_new_samples(&self) {
        if let Some(table) = self.samples.get() {
            table.for_each_new(usize::MAX, |_| ());
        }
    }

    /// Counts a sample of a thread. What comes before there is a table was taken in the first moments of the process.
    pub(super) fn count_sample(&self, node: u32, address: u64) {
        if let Some(table) = self.samples.get() {
            table.count(node, address, false);
        }
    }

    /// A thread begins that is sampled, or is not. Written into the file once each.
    pub(super) fn note_samples(&self, are_taken: bool) {
        if self.has_samples[usize::from(are_taken)].swap(true, Ordering::Relaxed) {
            return;
        }
        // SeqCst: see `make_samples`.
        fence(Ordering::SeqCst);
        if let Some(table) = self.samples.get().filter(|_| are_taken) {
            table.note_period(self.sample_period_ns());
        }
        let problem = (!are_taken).then_some("the kernel does not sample by the clock of the CPU");
        self.note_capability("samples", problem);
    }

    /// Writes the newest anchor into the header.
    pub(crate) fn anchor(&self) -> (u64, u64) {
        let (ticks, ns) = self.time_pair();
        let header = self.arena.header();
        header.last_ticks.store(ticks, Ordering::Relaxed);
        header.last_ns.store(ns, Ordering::Relaxed);
        header.process_cpu_ns.store(os::time::process_cpu_ns(), Ordering::Relaxed);
        (ticks, ns)
    }
}

/// Ticks and `CLOCK_MONOTONIC` of the same moment.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    ticks: u64,
    ns: u64,
}

impl Anchor {
    /// As nearly as two reads can tell.
    fn now(clock: ClockKind) -> Self {
        if clock == ClockKind::Monotonic {
            let now = os::time::monotonic_ns();
            return Self { ticks: now, ns: now };
        }
        // The pair that took least time was not interrupted.
        (0..4)
            .map(|_| {
                let before = counter();
                let ns = os::time::monotonic_ns();
                let took = counter().wrapping_sub(before);
                (took, Self { ticks: before + took / 2, ns })
            })
            .min_by_key(|&(took, _)| took)
            .map_or(Self { ticks: 0, ns: 0 }, |(_, anchor)| anchor)
    }
}

/// The run's directory, or the file that the command holds where that cannot be mapped.
fn create_map(place: &Place, name: &str) -> Result<FileMap, Errno> {
    let path = place.directory.join(name);
    let mut problem = Errno(libc::ENOMEM);
    for reserved in RESERVED_BYTES {
        match FileMap::create(&path, FIRST_BYTES, reserved) {
            Ok(map) => {
                if place.extension != RECORDING {
                    return Ok(map);
                }
                // The first process of the run has it; for the others the link is there already.
                let _ = std::fs::hard_link(&path, place.directory.join("run.bneck"));
                return Ok(map);
            }
            Err(error) => problem = error,
        }
        // What could not be mapped is no profile; a full disk must not be left fuller.
        if problem != Errno(libc::EEXIST) {
            let _ = std::fs::remove_file(&path);
        }
    }
    let fallback = place.fallback.as_deref().filter(|path| is_unclaimed(path)).ok_or(problem)?;
    FileMap::adopt(fallback, FIRST_BYTES, RESERVED_BYTES[1])
}

/// Whether no process has begun to write this file.
fn is_unclaimed(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.len() == 0)
}

/// A second anchor, and `wanted_ns` in ticks. Waits until 50 µs after `start`, which making the file takes anyway.
#[expect(
    clippy::cast_possible_truncation,
    reason = "microseconds in ticks of any known clock fit 64 bits"
)]
fn calibrate(clock: ClockKind, start: Anchor, wanted_ns: u64) -> (Anchor, u64) {
    loop {
        let now = Anchor::now(clock);
        let elapsed = now.ns.saturating_sub(start.ns);
        if elapsed >= 50_000 {
            let ticks = u128::from(now.ticks.wrapping_sub(start.ticks));
            return (now, (ticks * u128::from(wanted_ns) / u128::from(elapsed)) as u64);
        }
    }
}

/// The kernel's boot id; 0 where it is hidden.
fn boot_id() -> u128 {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    u128::from_str_radix(&text.trim().replace('-', ""), 16).unwrap_or(0)
}

/// Tells two programs, or two builds of one, apart.
fn program_hash() -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(path) = std::env::current_exe() else {
        return 0;
    };
    let mut hash = fnv(FNV_BASIS, path.as_os_str().as_encoded_bytes());
    if let Ok(file) = std::fs::metadata(&path) {
        for number in [file.len().cast_signed(), file.mtime(), file.mtime_nsec()] {
            hash = fnv(hash, &number.to_ne_bytes());
        }
    }
    hash
}
