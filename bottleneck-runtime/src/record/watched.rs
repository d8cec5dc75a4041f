//! One task of the process, as the sampler watches it: whether it runs, could run, or waits, and for what.

use super::off_cpu::Standing;
use super::recorder::Recorder;
use super::session::Session;
use super::snapshot::WakeUp;
use super::snapshot_table::Entry;
use super::tasks::{TaskIndex, Tasks};
use crate::format::snapshot::{Call, ENTRY_TIMED, State, Target};
use crate::os::call::{self, Wait};
use crate::os::task::{self, RawCall, WaitFile, Waiting};
use crate::os::{self, Errno, target};

/// Files of tasks that are kept open at most: a program has a limit of its own.
const MOST_FILES: usize = 64;
/// A sixteenth of that limit is ours.
const SHARE_OF_FILES: usize = 16;
/// What a descriptor names is asked again after so long.
const TARGET_NS: u64 = 20_000_000;
/// A thread that loses its CPU so short a time before the wake-up, by the clock that we read, loses it to the wake-up.
const EARLY_NS: u64 = 50_000;
/// While CPUs are idle, a task that waits is looked at again after so long, and so many of them at a time: it may have been
/// woken all the same.
const STALE_NS: u64 = 20_000_000;
const STALE_AT_A_TIME: u32 = 2;
/// The name of a thread is read again after so long: it gets its own soon after it began, and then hardly ever another.
const RENAMED_NS: [u64; 2] = [10_000_000, 1_000_000_000];

/// A task, and what is known of it.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) tid: u32,
    /// Its record; `None` where there is no room for one.
    pub(super) task: Option<TaskIndex>,
    /// Its recorder, if it has spans.
    pub(super) recorder: Option<&'static Recorder>,
    /// The one that it has by the newest list.
    pub(super) next_recorder: Option<&'static Recorder>,
    has_record: bool,
    /// What it waits for was asked before.
    is_met: bool,
    file: Option<WaitFile>,
    named_ns: u64,
    renames: usize,
    /// CPU time of the thread before it had its present record.
    base_cpu_ns: u64,
    /// What it waited for at the last look, and the head of its ring then.
    wait: Wait,
    target: Target,
    raw: RawCall,
    head: u64,
    looked_ns: u64,
    target_ns: u64,
    /// Its CPU time before that look.
    looked_cpu_ns: u64,
}

/// What a task does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whereabouts {
    pub(super) node: u32,
    pub(super) state: State,
    pub(super) call: Call,
    pub(super) flags: u8,
    target: Target,
    argument: u64,
    value: u32,
}

impl Whereabouts {
    fn able(node: u32, state: State) -> Self {
        let (call, target) = (Call::Unknown, Target::Unknown);
        Self { node, state, call, flags: 0, target, argument: 0, value: 0 }
    }

    /// The entry of a snapshot.
    pub(super) fn entry(&self, task: TaskIndex) -> Entry {
        Entry {
            task: task.0,
            node: self.node,
            argument: self.argument,
            state: self.state,
            call: self.call as u8,
            target: self.target as u8,
            flags: self.flags,
            value: self.value,
        }
    }
}

impl Watched {
    pub(super) fn new(tid: u32) -> Self {
        Self {
            tid,
            task: None,
            recorder: None,
            next_recorder: None,
            has_record: false,
            is_met: false,
            file: None,
            named_ns: 0,
            renames: 0,
            base_cpu_ns: 0,
            wait: Wait::UNKNOWN,
            target: Target::Unknown,
            raw: RawCall::default(),
            head: 0,
            looked_ns: 0,
            target_ns: 0,
            looked_cpu_ns: 0,
        }
    }

    /// Gives its record back.
    pub(super) fn leave(&mut self, tasks: &mut Tasks) {
        if let Some(task) = self.task.take() {
            tasks.leave(task);
        }
        self.has_record = false;
    }

    /// Takes over the recorder that it has by the newest list, with the record that follows from it.
    pub(super) fn take_next_recorder(&mut self, tasks: &mut Tasks, now_ns: u64) {
        let is_same = match (self.recorder, self.next_recorder) {
            (None, None) => !self.is_renamed(tasks, now_ns),
            (Some(now), Some(next)) => core::ptr::eq(now, next),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if self.has_record && is_same {
            return;
        }
        // A thread that had spans, or another name, had its CPU time there.
        self.base_cpu_ns = if self.has_record { os::time::cpu_ns_of(self.tid) } else { 0 };
        self.leave(tasks);
        self.recorder = self.next_recorder;
        self.task = if let Some(recorder) = self.recorder {
            tasks.of_tree(recorder)
        } else {
            self.named_ns = now_ns;
            task::name(self.tid).and_then(|name| tasks.of_name(self.tid, name))
        };
        // Without room it is not asked for again and again.
        self.has_record = true;
    }

    fn is_renamed(&mut self, tasks: &Tasks, now_ns: u64) -> bool {
        let after_ns = RENAMED_NS[self.renames.min(1)];
        let Some(task) = self.task else {
            return false;
        };
        if now_ns.saturating_sub(self.named_ns) < after_ns {
            return false;
        }
        self.named_ns = now_ns;
        self.renames += 1;
        task::name(self.tid).is_some_and(|name| !tasks.has_name(task, name))
    }

    /// Notes the CPU time of a task without spans, as of the newest look.
    pub(super) fn note_cpu(&self, tasks: &Tasks) {
        if let (Some(task), None) = (self.task, self.recorder) {
            tasks.note_cpu(task, self.looked_cpu_ns.saturating_sub(self.base_cpu_ns));
        }
    }
}

/// Finds out what tasks do.
#[derive(Debug)]
pub(super) struct Witness {
    session: &'static Session,
    files: usize,
    most_files: usize,
    /// Looks at tasks that wait since long, left for this snapshot.
    looks_left: u32,
    /// In this snapshot a task was looked at for the first time.
    has_met: bool,
    /// What was said of it in the file: that waits can be looked at, and that they cannot.
    has_said: [bool; 2],
}

impl Witness {
    pub(super) fn new(session: &'static Session) -> Self {
        let most_files = (os::thread::most_files() / SHARE_OF_FILES).min(MOST_FILES);
        let mut witness = Self {
            session,
            files: 0,
            most_files,
            looks_left: 0,
            has_met: false,
            has_said: [false; 2],
        };
        // Asked of this thread: what one may look at, one may of all.
        witness.say(task::waiting(os::thread::tid()).map(|_| ()));
        witness
    }

    /// A snapshot begins. Where every CPU is used, a task that waits may have been woken, and have none.
    pub(super) fn begin(&mut self, are_cpus_used: bool) {
        self.looks_left = if are_cpus_used { u32::MAX } else { STALE_AT_A_TIME };
        self.has_met = false;
    }

    /// Whether in this snapshot a task was looked at for the first time.
    pub(super) fn has_met(&self) -> bool {
        self.has_met
    }

    /// Whether what a task waits for is to be looked up again.
    fn is_stale(&mut self, watched: &Watched, now_ns: u64) -> bool {
        let age_ns = now_ns.saturating_sub(watched.looked_ns);
        let is_stale = self.looks_left == u32::MAX || (STALE_NS <= age_ns && 0 < self.looks_left);
        if is_stale && self.looks_left != u32::MAX {
            self.looks_left -= 1;
        }
        is_stale
    }

    /// A task with spans. `None`: it ended, or the recorder is another thread's.
    ///
    /// The call of one that waits is looked up once, and again when it may have been woken.
    pub(super) fn with_spans(
        &mut self,
        watched: &mut Watched,
        recorder: &Recorder,
        wake_up: WakeUp,
    ) -> Option<Whereabouts> {
        let look = recorder.look(watched.tid)?;
        let off = match look.standing {
            Standing::OnCpu => return Some(Whereabouts::able(look.node, State::Running)),
            Standing::OffCpu(off) => off,
            Standing::Unknown => {
                let seen = self.without_spans(watched, wake_up.now_ns)?;
                let node = recorder.open_node();
                if seen.state == State::Blocked && node != look.node {
                    return Some(Whereabouts::able(node, State::Runnable));
                }
                return Some(Whereabouts { node, ..seen });
            }
        };
        if off.preempted {
            let is_ours = wake_up.asked_ns.min(wake_up.now_ns) <= off.since_ns + EARLY_NS;
            let state = if is_ours { State::Running } else { State::Preempted };
            return Some(Whereabouts::able(look.node, state));
        }
        let is_known = watched.head == look.head && watched.looked_ns != 0;
        if !is_known || self.is_stale(watched, wake_up.now_ns) {
            let waiting = self.waiting(watched);
            if recorder.has_moved(look.head) {
                return Some(Whereabouts::able(recorder.open_node(), State::Running));
            }
            match waiting {
                Ok(Waiting::No) => {
                    // What it waited for before is over, whatever its ring says.
                    watched.looked_ns = 0;
                    return Some(Whereabouts::able(look.node, State::Woken));
                }
                Ok(waiting) => watched.note_wait(waiting, wake_up.now_ns),
                // That it waits is known all the same.
                Err(_) => {
                    watched.note_unknown();
                    watched.looked_ns = wake_up.now_ns;
                }
            }
            watched.head = look.head;
        }
        Some(Whereabouts { node: look.node, ..watched.blocked() })
    }

    /// A task without spans, or without records. `None`: it ended.
    pub(super) fn without_spans(
        &mut self,
        watched: &mut Watched,
        now_ns: u64,
    ) -> Option<Whereabouts> {
        // A quarter of the cost of a look: who has not run since waits still.
        let cpu_ns = os::time::cpu_ns_of(watched.tid);
        let has_waited = watched.looked_ns != 0 && cpu_ns != 0 && cpu_ns == watched.looked_cpu_ns;
        if has_waited && !self.is_stale(watched, now_ns) {
            return Some(watched.blocked());
        }
        watched.looked_cpu_ns = cpu_ns;
        match self.waiting(watched) {
            Ok(Waiting::No) => {
                watched.looked_ns = 0;
                Some(Whereabouts::able(0, State::Runnable))
            }
            Ok(waiting) => {
                watched.note_wait(waiting, now_ns);
                Some(watched.blocked())
            }
            Err(Errno(libc::ESRCH)) => None,
            Err(errno) => {
                watched.note_unknown();
                let is_runnable = task::is_runnable(watched.tid).ok()?;
                // It lives, so the file is what cannot be had.
                self.say(Err(errno));
                Some(if is_runnable {
                    Whereabouts::able(0, State::Runnable)
                } else {
                    watched.blocked()
                })
            }
        }
    }

    /// What the kernel says that a task waits for.
    fn waiting(&mut self, watched: &mut Watched) -> Result<Waiting, Errno> {
        self.has_met |= !core::mem::replace(&mut watched.is_met, true);
        if let Some(file) = &watched.file {
            match file.read() {
                // The program put something else under its number, which may not even be a file.
                Err(errno) if errno != Errno(libc::ESRCH) => self.forget(watched),
                read => return read,
            }
        }
        if self.files < self.most_files {
            WaitFile::open(watched.tid).and_then(|file| {
                let waiting = file.read();
                watched.file = Some(file);
                self.files += 1;
                waiting
            })
        } else {
            task::waiting(watched.tid)
        }
    }

    /// Notes in the file, once each, that waits can be looked at, and that they cannot.
    fn say(&mut self, result: Result<(), Errno>) {
        let has_said = &mut self.has_said[usize::from(result.is_err())];
        if core::mem::replace(has_said, true) {
            return;
        }
        let problem =
            result.err().map(|errno| format!("cannot read /proc/self/task/*/syscall: {errno}"));
        self.session.note_capability("wait_causes", problem.as_deref());
    }

    /// Closes the file of a task.
    pub(super) fn forget(&mut self, watched: &mut Watched) {
        if watched.file.take().is_some() {
            self.files -= 1;
        }
    }

    /// Closes it if the program put another file in its place.
    pub(super) fn check_file(&mut self, watched: &mut Watched) {
        if watched.file.as_ref().is_some_and(|file| !file.is_ours()) {
            self.forget(watched);
        }
    }
}

impl Watched {
    fn note_wait(&mut self, waiting: Waiting, now_ns: u64) {
        self.looked_ns = now_ns;
        let raw = match waiting {
            Waiting::In(raw) => raw,
            Waiting::No | Waiting::InNoCall => {
                self.note_unknown();
                self.wait.call = Call::Fault;
                return;
            }
        };
        // The first two arguments are what a target is found by.
        let is_same =
            raw.number == self.raw.number && raw.arguments[..2] == self.raw.arguments[..2];
        let is_fresh = now_ns.saturating_sub(self.target_ns) < TARGET_NS;
        let argument = self.wait.argument;
        self.wait = call::wait(&raw);
        self.raw = raw;
        if is_same && is_fresh {
            self.wait.argument = argument;
            return;
        }
        self.target_ns = now_ns;
        self.target = Target::Unknown;
        if let Some(fd) = self.wait.descriptor {
            self.target = target::of(fd);
        } else if let Some((fds, count)) = self.wait.polled
            && let Some((only, target)) = target::of_polled(fds, count)
        {
            self.target = target;
            if let Some(fd) = only {
                self.wait.argument = u64::from(fd.cast_unsigned());
            }
        }
    }

    fn note_unknown(&mut self) {
        self.wait = Wait::UNKNOWN;
        self.target = Target::Unknown;
        self.raw = RawCall::default();
    }

    fn blocked(&self) -> Whereabouts {
        Whereabouts {
            node: 0,
            state: State::Blocked,
            call: self.wait.call,
            flags: if self.wait.is_timed { ENTRY_TIMED } else { 0 },
            target: self.target,
            argument: self.wait.argument,
            value: self.wait.value,
        }
    }
}
