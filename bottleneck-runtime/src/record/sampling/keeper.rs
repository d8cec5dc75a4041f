//! The background thread's part of sampling: it copies code, lists memory that may be probed, and looks whether that is safe
//! still.

use core::sync::atomic::Ordering::Relaxed;

use super::code::{Blocks, Mappings};
use super::files::LocalDevices;
use super::regions::Regions;
use super::{Tables, handler, repair};
use crate::os;
use crate::record::session::Session;

/// How often it is looked for instructions that were sampled for the first time, and how many are served at once.
const CODE_NS: u64 = 20_000_000;
const AT_ONCE: usize = 32;
/// What serving them may cost at any time, and what share of CPU time beyond that: most code that matters is new soon, but
/// another phase of the program has code of its own.
const FREE_CODE_NS: u64 = 1_000_000;
const SHARE_OF_CODE: u64 = 4000;
/// How often memory is listed, and the share of CPU time that lists may need.
const LIST_NS: u64 = 250_000_000;
const FIRST_LIST_NS: u64 = 80_000_000;
const FIRST_LISTS: u32 = 3;
/// What the first lists may need: nothing is probed before there were some, and short programs end soon.
const SHARE_OF_FIRST_LISTS: u64 = 200;
const SHARE_OF_LISTS: u64 = 4000;
/// How often it is looked for descriptors that serve page faults by another program.
const SERVED_NS: u64 = FIRST_LIST_NS;
const SHARE_OF_SERVED: u64 = 4000;

/// Keeps sampling going.
#[derive(Debug)]
pub(in crate::record) struct Keeper {
    session: &'static Session,
    tables: &'static Tables,
    blocks: Option<Blocks>,
    mappings: Mappings,
    regions: Regions,
    devices: Option<LocalDevices>,
    /// Why nothing is probed any more.
    is_probing_over: bool,
    is_over: bool,
    code_due_ns: u64,
    list_due_ns: u64,
    lists: u32,
    /// When this began, and what copies of code have cost since.
    began_ns: u64,
    code_cost_ns: u64,
    served_due_ns: u64,
}

impl Keeper {
    /// Makes room in the file and lets samples be counted; `None` where nothing is sampled.
    pub(in crate::record) fn new(session: &'static Session) -> Option<Self> {
        let problem = session.threads.problem();
        let tables = if problem.is_none() { Tables::start(session) } else { None };
        let problem =
            problem.or_else(|| tables.is_none().then_some("there is no space in the profile"));
        session.note_capability("sampling", problem);
        let without_samples = problem.map(|problem| format!("threads are not sampled: {problem}"));
        if let Some(problem) = without_samples.as_deref() {
            session.note_capability("residency", Some(problem));
        }
        let tables = tables?;
        if !tables.has_counter {
            session.note_capability("residency", Some("loads cannot be timed without a counter"));
        }
        let mut keeper = Self {
            session,
            tables,
            blocks: Blocks::new(&session.arena),
            mappings: Mappings::default(),
            regions: Regions::default(),
            devices: None,
            is_probing_over: !tables.has_counter,
            is_over: false,
            code_due_ns: 0,
            list_due_ns: 0,
            lists: 0,
            began_ns: os::time::monotonic_ns(),
            code_cost_ns: 0,
            served_due_ns: 0,
        };
        keeper.list_code();
        Some(keeper)
    }

    /// Does what is due. Returns whether there was anything.
    pub(in crate::record) fn tend(&mut self, now_ns: u64) -> bool {
        if self.is_over {
            return false;
        }
        let has_code = self.code_due_ns <= now_ns && self.copy_code(now_ns);
        let has_partner = self.tables.accesses.head.partner.load(Relaxed) == 1;
        if has_partner && !self.is_probing_over && self.list_due_ns <= now_ns {
            self.look_at_memory(now_ns);
            return true;
        }
        if self.list_due_ns <= now_ns {
            self.list_due_ns = now_ns + LIST_NS;
            self.check_signal();
        }
        has_code
    }

    /// Copies the code around instructions that were sampled for the first time.
    fn copy_code(&mut self, now_ns: u64) -> bool {
        self.code_due_ns = now_ns + CODE_NS;
        if !self.tables.samples.has_new() {
            return false;
        }
        let began_ns = os::time::thread_cpu_ns();
        let mut lacks = false;
        let (blocks, mappings) = (&mut self.blocks, &self.mappings);
        self.tables.samples.for_each_new(AT_ONCE, |address| {
            lacks |= mappings.lacks(address);
            if let Some(blocks) = blocks {
                blocks.copy_around(address);
            }
        });
        if lacks {
            self.list_code();
        }
        let cost_ns = os::time::thread_cpu_ns().saturating_sub(began_ns);
        self.code_cost_ns += cost_ns;
        let beyond_ns = self.code_cost_ns.saturating_sub(FREE_CODE_NS);
        let earned_ns = self.began_ns.saturating_add(beyond_ns.saturating_mul(SHARE_OF_CODE));
        self.code_due_ns = (now_ns + CODE_NS).max(earned_ns);
        true
    }

    /// Writes where the program's code comes from.
    fn list_code(&mut self) {
        if let Ok(text) = std::fs::read_to_string("/proc/self/maps") {
            self.mappings.write(&self.session.arena, &text);
        }
    }

    /// A program that takes the signal for itself must not get ours.
    fn check_signal(&mut self) {
        if handler::is_installed() {
            return;
        }
        self.session.threads.stop();
        self.is_over = true;
        let problem = "the program took the signal of the timers (SIGURG) for itself";
        self.session.note_capability("sampling", Some(problem));
        self.stop_probing(problem);
    }

    fn stop_probing(&mut self, problem: &str) {
        self.is_probing_over = true;
        self.tables.accesses.head.is_probing.store(0, Relaxed);
        self.tables.eligible.publish(&[]);
        self.session.note_capability("residency", Some(problem));
    }

    /// Lists the memory that may be probed, and begins to probe once there is a list.
    fn look_at_memory(&mut self, now_ns: u64) {
        let began_ns = os::time::thread_cpu_ns();
        self.check_signal();
        if self.is_probing_over {
            return;
        }
        let is_first = self.lists == 0;
        if is_first && let Err(error) = repair::install() {
            self.stop_probing(&format!("cannot handle faults of timed loads: {error}"));
            return;
        }
        if !repair::is_installed() {
            self.stop_probing("the program took the signals of faults for itself");
            return;
        }
        if self.tables.eligible.is_exhausted() {
            self.stop_probing("the program's memory changes too often");
            return;
        }
        if self.served_due_ns <= now_ns {
            let began_ns = os::time::thread_cpu_ns();
            if os::descriptor::serves_page_faults() {
                self.stop_probing("the program serves page faults of its own (userfaultfd)");
                return;
            }
            let cost_ns = os::time::thread_cpu_ns().saturating_sub(began_ns);
            self.served_due_ns = now_ns + SERVED_NS.max(cost_ns * SHARE_OF_SERVED);
        }
        let Ok(text) = std::fs::read_to_string("/proc/self/maps") else {
            self.stop_probing("cannot read /proc/self/maps");
            return;
        };
        let devices = self.devices.get_or_insert_with(LocalDevices::now);
        self.regions.exclude(self.tables.eligible.reports());
        self.regions.see(&text, now_ns, |line| devices.is_plain_file(line));
        self.tables.eligible.publish(&self.regions.eligible(now_ns));
        if is_first {
            self.tables.accesses.head.is_probing.store(1, Relaxed);
            self.session.note_capability("residency", None);
        }
        self.lists += 1;
        let cost_ns = os::time::thread_cpu_ns().saturating_sub(began_ns);
        let (period_ns, share) = if self.lists < FIRST_LISTS {
            (FIRST_LIST_NS, SHARE_OF_FIRST_LISTS)
        } else {
            (LIST_NS, SHARE_OF_LISTS)
        };
        self.list_due_ns = now_ns + period_ns.max(cost_ns * share);
    }
}
