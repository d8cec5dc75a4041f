//! Whether a binary on disk is the one that ran.
//!
//! The recording knows the program by a hash of its path, size and time of change; other files are taken where the program
//! is found unchanged and they have not been written since. A recording from elsewhere names nothing from here.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::profile::Profile;

/// The program, as far as it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    path: Option<String>,
    is_unchanged: bool,
}

/// What can be said of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// It is what ran.
    Same,
    /// It was written since, or is gone.
    Changed,
    /// A library, where the program itself is not to be found: the report may be made elsewhere.
    OtherMachine,
}

impl Program {
    /// Whether this is the path of the program.
    pub(super) fn is(&self, path: &str) -> bool {
        self.path.as_deref() == Some(path)
    }
}

/// The program among the mapped files. The kernel maps it below all others, except where a loader was started by hand.
pub(super) fn program(profile: &Profile, lowest: Option<&str>) -> Program {
    let sampling = profile.sampling.iter();
    let mut paths = sampling.flat_map(|it| it.code.maps.iter().map(|map| map.path.as_str()));
    let is_it = |path: &&str| profile.build_id != 0 && hash(Path::new(path)) == profile.build_id;
    let mut tried: Vec<&str> = Vec::new();
    let found = paths.find(|path| {
        let is_new = super::is_file(path) && !tried.contains(path);
        tried.push(path);
        is_new && is_it(path)
    });
    Program { path: found.or(lowest).map(str::to_owned), is_unchanged: found.is_some() }
}

impl Freshness {
    pub(super) fn of(path: &str, profile: &Profile, program: &Program) -> Self {
        if program.is(path) {
            return if program.is_unchanged { Self::Same } else { Self::Changed };
        }
        if !program.is_unchanged {
            return Self::OtherMachine;
        }
        let end_ns = profile.start_unix_ns.saturating_add(profile.life_ns);
        match std::fs::metadata(path) {
            Ok(file) if written_ns(&file) <= i128::from(end_ns) => Self::Same,
            Ok(_) | Err(_) => Self::Changed,
        }
    }
}

fn written_ns(file: &std::fs::Metadata) -> i128 {
    i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec())
}

/// The same hash as the runtime's `program_hash`; 0 where there is no such file.
fn hash(path: &Path) -> u64 {
    let Ok(file) = std::fs::metadata(path) else { return 0 };
    let mut hash = fnv(0xcbf2_9ce4_8422_2325, path.as_os_str().as_encoded_bytes());
    for number in [file.len().cast_signed(), file.mtime(), file.mtime_nsec()] {
        hash = fnv(hash, &number.to_ne_bytes());
    }
    hash
}

fn fnv(start: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(start, step)
}

/// The hash of the running program, as its recording would have it.
#[cfg(test)]
pub(super) fn own_hash() -> u64 {
    hash(&std::env::current_exe().unwrap())
}
