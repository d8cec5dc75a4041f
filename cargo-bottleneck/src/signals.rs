//! What happens to signals while a program runs under the command, and while its report is written.
//!
//! The first Ctrl-C is the program's: it has received it too, and the command waits for it. The second kills the
//! program, and the report is still written. The third ends the command. Signals that a process sends to the command
//! are passed on. Once the program has ended, they do to the command what they do to any other.

use std::io::{self, Read as _};
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::status::Status;
use crate::syscalls;

/// Signals that belong to the program while it runs.
const HANDLED: [i32; 6] =
    [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2];

/// Who ended the run, where it was not the program itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoppedBy {
    /// Ctrl-C, or another signal that the user sent; the program ended on its own terms.
    Signal(i32),
    /// The second Ctrl-C: the program was killed.
    Kill,
}

/// Keeps the signals of the command away from it while a program runs.
#[derive(Debug)]
pub struct SignalGuard {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Told after every signal that has been dealt with.
    dealt_with: Condvar,
}

#[derive(Debug)]
struct State {
    /// What the program is called in messages.
    name: String,
    phase: Phase,
    interrupts: u32,
    /// Signals that have been dealt with.
    n_signals: u64,
    stopped_by: Option<StoppedBy>,
    status: Status,
}

#[derive(Debug)]
enum Phase {
    /// Not started yet: signals that it must still get.
    Starting(Vec<i32>),
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
    /// Takes over the signals. Call it before the program starts, once per process.
    ///
    /// A signal that was ignored from outside (`nohup`, a background job of a script) stays so, for the program too.
    ///
    /// # Errors
    /// If the process may open no more files or start no more threads.
    pub fn install(name: &str, status: Status) -> io::Result<Self> {
        let state = State {
            name: name.to_owned(),
            phase: Phase::Starting(Vec::new()),
            interrupts: 0,
            n_signals: 0,
            stopped_by: None,
            status,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), dealt_with: Condvar::new() });
        let mut pipe = syscalls::signal_pipe()?;
        let watched = Arc::clone(&shared);
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let mut report = [0; 2];
            // The write end is never closed: this ends with the process.
            while pipe.read_exact(&mut report).is_ok() {
                let mut state = watched.lock();
                state.on_signal(i32::from(report[0]), report[1] == 1);
                state.n_signals += 1;
                watched.dealt_with.notify_all();
            }
        })?;
        for signal in HANDLED {
            if !syscalls::is_ignored(signal) {
                syscalls::catch(signal);
            }
        }
        Ok(Self { shared })
    }

    /// Starts the program; from then on signals are its own.
    ///
    /// # Errors
    /// Those of `spawn`.
    pub fn start(&self, spawn: impl FnOnce() -> io::Result<Child>) -> io::Result<Child> {
        // Held over the start: a program may be heard of, and be interrupted, before its process id is known here.
        let mut state = self.shared.lock();
        let child = spawn()?;
        if let Phase::Starting(missed) =
            std::mem::replace(&mut state.phase, Phase::Running(child.id()))
        {
            for signal in missed {
                syscalls::send_signal(child.id(), signal);
            }
        }
        Ok(child)
    }

    /// The program has ended; call it before its process id is freed. Returns who ended it, if not itself.
    pub fn program_ended(&self) -> Option<StoppedBy> {
        let mut state = self.shared.lock();
        // The signal that ended the program is still the program's: Ctrl-C may have ended it faster than the report of
        // it went through the pipe.
        while state.n_signals < syscalls::signals_reported() {
            state = self.shared.dealt_with.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.phase = Phase::Ended;
        state.stopped_by
    }
}

impl State {
    fn on_signal(&mut self, signal: i32, is_from_process: bool) {
        match self.reaction(signal, is_from_process) {
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
                syscalls::send_signal(pid, libc::SIGKILL);
            }
            Reaction::Die => syscalls::die_by(signal),
        }
    }

    fn reaction(&mut self, signal: i32, is_from_process: bool) -> Reaction {
        let is_interrupt = signal == libc::SIGINT;
        self.interrupts += u32::from(is_interrupt);
        match &mut self.phase {
            Phase::Starting(missed) => {
                missed.push(signal);
                self.stopped_by = Some(StoppedBy::Signal(signal));
                if is_interrupt { Reaction::Say(WAITING) } else { Reaction::Nothing }
            }
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
                match (is_from_process, is_interrupt) {
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
            Phase::Ended => Reaction::Die,
        }
    }
}

const WAITING: &str = "waiting for `{}` to stop (again = kill it, the report is still written)";

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while printing leaves the state as it was, and signals must still be handled.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn a_signal_before_the_start_is_kept_for_the_program() {
        let mut starting = state(Phase::Starting(Vec::new()));
        assert_eq!(starting.reaction(libc::SIGTERM, true), Reaction::Nothing);
        assert!(matches!(&starting.phase, Phase::Starting(missed) if *missed == [libc::SIGTERM]));
    }
}
