//! What happens to signals while a program is prepared, runs, and is reported on.
//!
//! Before the program starts, a signal calls the run off: nothing stays behind. Then the first Ctrl-C is the program's: it
//! has received it too, and the command waits for it. The second kills the program, and the report is still written. The
//! third ends the command. Signals that a process sends to the command are passed on. Once the program has ended, they do
//! to the command what they do to any other. A time limit acts as a user would: Ctrl-C first, then the end.
//!
//! Stopping and continuing (Ctrl-Z, `fg`) need nothing from us: the terminal tells the program too.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::descendants;
use crate::status::Status;
use crate::syscalls;

/// Signals that belong to the program while it runs.
const HANDLED: [i32; 6] =
    [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2];

/// How long a program whose time is up may take to stop before it is killed.
pub const GRACE: Duration = Duration::from_secs(5);

/// Who ended the run, where it was not the program itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoppedBy {
    /// Ctrl-C, or another signal that the user sent; the program ended on its own terms.
    Signal(i32),
    /// The second Ctrl-C: the program was killed.
    Kill,
    /// The time that the user gave it was up.
    Duration,
}

/// Keeps the signals of the command away from it while a program runs.
#[derive(Debug)]
pub struct SignalGuard {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Told after every signal that has been dealt with, and when the program has ended.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// What the program is called in messages.
    name: String,
    phase: Phase,
    interrupts: u32,
    /// Signals that have been dealt with.
    n_signals: u64,
    /// Signals that came before the program was there to receive them from the terminal too.
    n_before_birth: u64,
    stopped_by: Option<StoppedBy>,
    status: Status,
}

#[derive(Debug)]
enum Phase {
    /// Not started yet. If the run is called off, this folder goes with it.
    Preparing(Option<PathBuf>),
    /// Running with this process id, not reaped.
    Running(u32),
    /// Over; the report is being written.
    Ended,
}

/// What to do about a signal.
#[derive(Debug, PartialEq, Eq)]
enum Reaction {
    Nothing,
    Say(&'static str),
    Send(u32, i32),
    Kill(u32),
    Die,
}

impl SignalGuard {
    /// Takes over the signals. Call it before anything of the run is on the disk, once per process.
    ///
    /// A signal that was ignored from outside (`nohup`, a background job of a script) stays so, for the program too.
    ///
    /// # Errors
    /// If the process may open no more files or start no more threads.
    pub fn install(status: Status) -> io::Result<Self> {
        let state = State {
            name: String::new(),
            phase: Phase::Preparing(None),
            interrupts: 0,
            n_signals: 0,
            n_before_birth: 0,
            stopped_by: None,
            status,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let mut pipe = syscalls::signal_pipe()?;
        let watched = Arc::clone(&shared);
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let mut report = [0; 2];
            // The write end is never closed: this ends with the process.
            while pipe.read_exact(&mut report).is_ok() {
                let mut state = watched.lock();
                state.on_signal(i32::from(report[0]), report[1] == 1);
                state.n_signals += 1;
                watched.changed.notify_all();
            }
        })?;
        for signal in HANDLED {
            if !syscalls::is_ignored(signal) {
                syscalls::catch(signal);
            }
        }
        Ok(Self { shared })
    }

    /// Where messages about signals go.
    pub fn status(&self) -> Status {
        self.shared.lock().status
    }

    /// Makes something for the run. A signal before the start of the program removes the `folder` of it, which holds
    /// nothing but preparations.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn prepare<T, E>(
        &self,
        make: impl FnOnce() -> Result<T, E>,
        folder: impl FnOnce(&T) -> Option<&Path>,
    ) -> Result<T, E> {
        // Held meanwhile: a signal right behind the making must already know of it.
        let mut state = self.shared.lock();
        let made = make()?;
        if let Phase::Preparing(removed) = &mut state.phase {
            *removed = folder(&made).map(Path::to_owned);
        }
        Ok(made)
    }

    /// Starts the program, which messages call `name`; from then on signals are its own.
    ///
    /// # Errors
    /// Those of `spawn`.
    pub fn start(
        &self,
        name: &str,
        spawn: impl FnOnce() -> io::Result<Child>,
    ) -> io::Result<Child> {
        // Held over the start: a program may be heard of, and be interrupted, before its process id is known here.
        let mut state = self.shared.lock();
        name.clone_into(&mut state.name);
        let n_before_birth = syscalls::signals_reported();
        let child = spawn()?;
        state.n_before_birth = n_before_birth;
        state.phase = Phase::Running(child.id());
        Ok(child)
    }

    /// Stops the program that was just started when this time is over, and kills it if it does not stop within [`GRACE`].
    ///
    /// # Errors
    /// If the process may start no more threads.
    pub fn stop_after(&self, duration: Duration) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        // A time that no clock can show is as good as none.
        let Some(end) = Instant::now().checked_add(duration) else {
            return Ok(());
        };
        let watch = move || {
            if let Some(mut state) = shared.wait_until(end) {
                state.time_is_up(duration);
            }
            if let Some(state) = shared.wait_until(end + GRACE) {
                state.grace_is_over();
            }
        };
        std::thread::Builder::new().name("duration".to_owned()).spawn(watch).map(drop)
    }

    /// The program has ended; call it before its process id is freed. Returns who ended it, if not itself.
    pub fn program_ended(&self) -> Option<StoppedBy> {
        let mut state = self.shared.lock();
        // The signal that ended the program is still the program's: Ctrl-C may have ended it faster than the report of
        // it went through the pipe.
        while state.n_signals < syscalls::signals_reported() {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.phase = Phase::Ended;
        self.shared.changed.notify_all();
        state.stopped_by
    }
}

impl State {
    fn on_signal(&mut self, signal: i32, is_from_process: bool) {
        // The terminal tells every process of the group; one that did not exist yet must hear it from us.
        let is_ours_alone = is_from_process || self.n_signals < self.n_before_birth;
        match self.reaction(signal, is_ours_alone) {
            Reaction::Nothing => {}
            Reaction::Say(what) => self.status.line("Ctrl-C", what.replace("{}", &self.name)),
            Reaction::Send(pid, signal) => {
                if signal == libc::SIGINT && self.interrupts == 1 {
                    self.status.line("Interrupt", WAITING.replace("{}", &self.name));
                }
                syscalls::send_signal(pid, signal);
            }
            Reaction::Kill(pid) => {
                self.status
                    .line("Ctrl-C", "killing the program; its report follows (again = no report)");
                send_to_job(pid, libc::SIGKILL);
            }
            Reaction::Die => {
                if let Phase::Preparing(Some(folder)) = &self.phase {
                    // What cannot be removed is an empty run more, which `clean` finds.
                    let _ = std::fs::remove_dir_all(folder);
                }
                syscalls::die_by(signal);
            }
        }
    }

    fn reaction(&mut self, signal: i32, is_ours_alone: bool) -> Reaction {
        let is_interrupt = signal == libc::SIGINT;
        self.interrupts += u32::from(is_interrupt);
        match &mut self.phase {
            Phase::Running(_) if is_interrupt && 2 < self.interrupts => Reaction::Die,
            &mut Phase::Running(pid) if is_interrupt && self.interrupts == 2 => {
                self.stopped_by = Some(StoppedBy::Kill);
                Reaction::Kill(pid)
            }
            &mut Phase::Running(pid) => {
                // What the program makes of SIGUSR1 and SIGUSR2 is its own affair and seldom its end.
                if !matches!(signal, libc::SIGUSR1 | libc::SIGUSR2) {
                    self.stopped_by = self.stopped_by.or(Some(StoppedBy::Signal(signal)));
                }
                match (is_ours_alone, is_interrupt) {
                    (true, _) => Reaction::Send(pid, signal),
                    // The terminal has sent it to the program as well.
                    (false, true) => Reaction::Say(WAITING),
                    (false, false) => Reaction::Nothing,
                }
            }
            // The one who has just ended the program by Ctrl-C must not lose the report to a finger that was too quick.
            Phase::Ended if is_interrupt && self.interrupts == 2 => {
                Reaction::Say("writing the report (again = stop without it)")
            }
            Phase::Preparing(_) | Phase::Ended => Reaction::Die,
        }
    }

    /// Asks the program to stop as Ctrl-C would, unless the user has done that already.
    fn time_is_up(&mut self, duration: Duration) {
        let Phase::Running(pid) = self.phase else { return };
        if self.interrupts == 0 {
            let (name, grace) = (&self.name, GRACE.as_secs());
            let seconds = duration.as_secs_f64();
            let text = format!(
                "`{name}` after {seconds} s, as Ctrl-C would (killed if it still runs in {grace} s)"
            );
            self.status.line("Stopping", text);
            self.stopped_by = Some(StoppedBy::Duration);
            send_to_job(pid, libc::SIGINT);
        }
    }

    fn grace_is_over(&self) {
        let Phase::Running(pid) = self.phase else { return };
        if self.stopped_by == Some(StoppedBy::Duration) {
            let text = format!(
                "`{}`, which ran on for {} s; its report follows",
                self.name,
                GRACE.as_secs()
            );
            self.status.line("Killing", text);
            send_to_job(pid, libc::SIGKILL);
        }
    }
}

/// Sends a signal to the program and to what it has started, as far as a terminal would reach it.
fn send_to_job(pid: u32, signal: i32) {
    // Before anything ends: the children of a dead process are no longer known as its own.
    let others = descendants::in_group_of(pid);
    syscalls::send_signal(pid, signal);
    for other in others {
        syscalls::send_signal(other, signal);
    }
}

const WAITING: &str = "waiting for `{}` to stop (again = kill it, the report is still written)";

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while printing leaves the state as it was, and signals must still be handled.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a moment, or until the program has ended: then there is nothing to give.
    fn wait_until(&self, end: Instant) -> Option<MutexGuard<'_, State>> {
        let mut state = self.lock();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match state.phase {
                Phase::Ended => return None,
                Phase::Preparing(_) | Phase::Running(_) if left.is_zero() => return Some(state),
                Phase::Preparing(_) | Phase::Running(_) => {}
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(phase: Phase) -> State {
        State {
            name: "x".to_owned(),
            phase,
            interrupts: 0,
            n_signals: 0,
            n_before_birth: 0,
            stopped_by: None,
            status: Status::default(),
        }
    }

    #[test]
    fn three_interrupts_wait_kill_and_end() {
        let mut running = state(Phase::Running(7));
        assert_eq!(running.reaction(libc::SIGINT, false), Reaction::Say(WAITING));
        assert_eq!(running.stopped_by, Some(StoppedBy::Signal(libc::SIGINT)));
        assert_eq!(running.reaction(libc::SIGINT, false), Reaction::Kill(7));
        assert_eq!(running.stopped_by, Some(StoppedBy::Kill));
        assert_eq!(running.reaction(libc::SIGINT, false), Reaction::Die);
    }

    #[test]
    fn what_a_process_sends_is_passed_on_and_what_the_terminal_sends_is_not() {
        for (signal, is_from_process, expected) in [
            (libc::SIGTERM, true, Reaction::Send(7, libc::SIGTERM)),
            (libc::SIGHUP, false, Reaction::Nothing),
            (libc::SIGHUP, true, Reaction::Send(7, libc::SIGHUP)),
            (libc::SIGQUIT, false, Reaction::Nothing),
            (libc::SIGUSR1, true, Reaction::Send(7, libc::SIGUSR1)),
            (libc::SIGINT, true, Reaction::Send(7, libc::SIGINT)),
        ] {
            assert_eq!(
                state(Phase::Running(7)).reaction(signal, is_from_process),
                expected,
                "signal {signal}"
            );
        }
    }

    #[test]
    fn user_signals_do_not_count_as_the_end() {
        let mut running = state(Phase::Running(7));
        running.reaction(libc::SIGUSR1, true);
        assert_eq!(running.stopped_by, None);
    }

    #[test]
    fn after_the_program_the_first_signal_ends_the_command() {
        assert_eq!(state(Phase::Ended).reaction(libc::SIGINT, false), Reaction::Die);
        assert_eq!(state(Phase::Ended).reaction(libc::SIGTERM, true), Reaction::Die);
    }

    #[test]
    fn a_second_interrupt_just_after_the_end_keeps_the_report() {
        let mut state = state(Phase::Running(7));
        state.reaction(libc::SIGINT, false);
        state.phase = Phase::Ended;
        assert!(matches!(state.reaction(libc::SIGINT, false), Reaction::Say(_)));
        assert_eq!(state.reaction(libc::SIGINT, false), Reaction::Die);
    }

    #[test]
    fn a_signal_before_the_start_calls_the_run_off() {
        assert_eq!(state(Phase::Preparing(None)).reaction(libc::SIGINT, false), Reaction::Die);
    }

    #[test]
    fn the_user_who_has_interrupted_is_not_overtaken_by_the_clock() {
        let mut running = state(Phase::Running(u32::MAX));
        running.reaction(libc::SIGINT, false);
        running.time_is_up(Duration::from_secs(1));
        assert_eq!(running.stopped_by, Some(StoppedBy::Signal(libc::SIGINT)));
        // A server reloads its configuration at SIGHUP and runs on.
        let mut running = state(Phase::Running(u32::MAX));
        running.reaction(libc::SIGHUP, true);
        running.time_is_up(Duration::from_secs(1));
        assert_eq!(running.stopped_by, Some(StoppedBy::Duration));
    }
}
