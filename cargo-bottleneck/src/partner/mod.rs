//! The partner of a running program: decodes the instructions that it samples, and tells it where their data lie.
//!
//! A thread of the command, from before the program starts until it has ended. It reads the recordings of the run while they
//! are written, and writes recipes into them; nothing else of the program is touched, and nothing that goes wrong here is an
//! error of the run: without recipes the program probes nothing. It reads and writes by offset, never through mapped memory,
//! so that a file which shrinks harms nobody. Its cost is a fraction of a percent of a core: it looks every 20 ms while there
//! are new instructions, and every 100 ms while there are none.

mod code;
mod recipe;
mod recording;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::run_dir;
use recording::{Recording, Seen};

/// Between looks while there are new instructions.
const BUSY: Duration = Duration::from_millis(20);
/// The longest time between looks.
const IDLE: Duration = Duration::from_millis(100);
/// Recordings that are tended at a time; further processes of the run go without.
const MOST_RECORDINGS: usize = 32;

/// The thread beside the program.
#[derive(Debug)]
pub struct Partner {
    thread: io::Result<(Sender<()>, JoinHandle<Option<String>>)>,
}

impl Partner {
    /// Starts to look for recordings in `folder`, and for the one in `memory` if there is one.
    pub fn start(folder: PathBuf, memory: Option<PathBuf>) -> Self {
        let (stop, stopped) = channel();
        let mut watch = Watch::new(folder, memory);
        let thread = std::thread::Builder::new()
            .name("partner".to_owned())
            .spawn(move || watch.until(&stopped));
        Self { thread: thread.map(|thread| (stop, thread)) }
    }

    /// Ends with the program. Gives a sentence if something kept it from its work.
    pub fn finish(self) -> Option<String> {
        let (stop, thread) = match self.thread {
            Ok(parts) => parts,
            Err(error) => return Some(not_decoded(&error)),
        };
        drop(stop);
        // A panic was reported by the hook of the command.
        thread.join().unwrap_or_else(|_| Some(not_decoded(&"the thread for it failed")))
    }
}

fn not_decoded(why: &dyn std::fmt::Display) -> String {
    format!("where data lie: sampled instructions were not decoded ({why})")
}

/// The recordings of a run.
#[derive(Debug)]
struct Watch {
    folder: PathBuf,
    memory: Option<PathBuf>,
    recordings: Vec<Recording>,
    /// Files by device and number that were opened, or cannot be.
    known: HashSet<(u64, u64)>,
    problem: Option<String>,
}

impl Watch {
    fn new(folder: PathBuf, memory: Option<PathBuf>) -> Self {
        let (recordings, known) = (Vec::new(), HashSet::new());
        Self { folder, memory, recordings, known, problem: None }
    }

    fn until(&mut self, stopped: &Receiver<()>) -> Option<String> {
        if !cfg!(target_arch = "x86_64") {
            return Some(not_decoded(&"only instructions of x86-64 are"));
        }
        let mut pause = BUSY;
        loop {
            match stopped.recv_timeout(pause) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return self.problem.take(),
            }
            pause = if self.look() { BUSY } else { (pause * 2).min(IDLE) };
        }
    }

    /// Looks once at every recording; whether there was anything new.
    fn look(&mut self) -> bool {
        let mut is_new = self.find();
        let problem = &mut self.problem;
        self.recordings.retain_mut(|recording| match recording.look() {
            Ok(Seen::Nothing) => true,
            Ok(Seen::Instructions) => {
                is_new = true;
                true
            }
            Ok(Seen::End) => false,
            Err(error) => {
                problem.get_or_insert_with(|| not_decoded(&error));
                false
            }
        });
        is_new
    }

    /// Opens recordings that were not there before.
    fn find(&mut self) -> bool {
        let mut is_new = false;
        let paths = run_dir::recordings(&self.folder).into_iter().chain(self.memory.clone());
        for path in paths {
            // What cannot be looked at is not there yet, or gone again.
            let Ok(file) = std::fs::metadata(&path) else { continue };
            let identity = (file.dev(), file.ino());
            if self.known.contains(&identity) || MOST_RECORDINGS <= self.recordings.len() {
                continue;
            }
            match Recording::open(&path) {
                Ok(Some(recording)) => {
                    self.recordings.push(recording);
                    is_new = true;
                }
                // Its header is not written yet.
                Ok(None) => continue,
                Err(error) => {
                    self.problem.get_or_insert_with(|| not_decoded(&error));
                }
            }
            self.known.insert(identity);
        }
        is_new
    }
}
