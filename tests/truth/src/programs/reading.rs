//! Programs 17 and 18: weights that are read from a file: from the disk, past the page cache, or from the cache into memory
//! that is fresh for every request.
//!
//! Truth of 17: I/O / disk. Truth of 18: the kernel copies, and gives the memory page by page, zeroed. The first is how the
//! data travels (I/O), the second the first touch of memory: both kinds are right. Neither disk nor arithmetic is to blame.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek};
use std::os::unix::fs::OpenOptionsExt as _;

use bottleneck_examples::cold_file::ColdFile;
use bottleneck_examples::host;
use bottleneck_runtime::span;

use super::cold_mapping::{FILE, VALUES, open};
use crate::removal::{self, Pass};
use crate::table::Program;
use crate::trial::{Denied, Trial};

/// Read at a time.
const PIECE: usize = 1 << 20;
/// To what reads past the page cache must be aligned, on any disk of today.
const ALIGNED: usize = 4096;

/// Programs 17 and 18.
pub const PROGRAMS: &[Program] = &[
    Program::known(
        "17",
        "cold_read",
        "io",
        &["disk"],
        "every read of 1 MiB waits for the disk",
        cached,
    )
    .with_after(),
    Program::known(
        "17b",
        "direct_read",
        "io",
        &["disk"],
        "every read of 1 MiB goes past the page cache to the disk",
        direct,
    )
    .with_after(),
    Program::known(
        "18",
        "warm_read",
        "memory",
        &["first-touch"],
        "the kernel copies from its cache into memory that it zeroes first",
        warm,
    )
    .or(&["io"])
    .with_after(),
];

struct Loader {
    cold: ColdFile,
    file: File,
    staging: Vec<u8>,
    /// Where the aligned part of `staging` starts.
    first: usize,
}

impl Loader {
    fn open(flags: i32) -> Result<Self, Denied> {
        let cold = open()?;
        let path = host::data_directory().join(FILE);
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let file =
            file.map_err(|why| Denied(format!("the file cannot be opened that way: {why}")))?;
        let staging = vec![1; PIECE + ALIGNED];
        let first = staging.as_ptr().align_offset(ALIGNED);
        Ok(Self { cold, file, staging, first })
    }

    fn load(&mut self, seen: bool) -> u64 {
        let _span = seen.then(|| span!("load_weights"));
        self.file.rewind().expect("files can be read again");
        let mut sum = 0;
        for _ in 0..4 * VALUES / PIECE {
            let piece = &mut self.staging[self.first..][..PIECE];
            self.file.read_exact(piece).expect("the file stays as long as it was");
            sum += u64::from(piece[0]);
        }
        sum
    }
}

fn cached(trial: &Trial) -> Result<(), Denied> {
    from_disk(trial, 0)
}

fn direct(trial: &Trial) -> Result<(), Denied> {
    from_disk(trial, libc::O_DIRECT)
}

/// After: the pages are in the cache before the request.
fn from_disk(trial: &Trial, flags: i32) -> Result<(), Denied> {
    let (mut before, mut after) = (Loader::open(flags)?, Loader::open(0)?);
    let mut warm = Loader::open(0)?;
    let mut is_warm = false;
    let prepare = |is_after: bool| {
        if !is_after {
            warm.cold.make_cold().expect("it was cold before");
        } else if !is_warm {
            warm.load(false);
        }
        is_warm = is_after;
    };
    removal::run_from(trial, 0.4, prepare, |Pass { after: is_after, seen }| {
        if is_after { after.load(seen) } else { before.load(seen) }
    })
}

/// What a request uses: one byte of every cache line.
#[inline(never)]
fn use_some(bytes: &[u8]) -> u64 {
    bytes.iter().step_by(64).map(|&byte| u64::from(byte)).sum()
}

#[inline(never)]
fn read_all(mut file: &File) -> Vec<u8> {
    let mut res = Vec::with_capacity(4 * VALUES);
    file.rewind().expect("files can be read again");
    file.take(4 * VALUES as u64).read_to_end(&mut res).expect("the file can be read");
    res
}

/// After: the weights stay in the memory of the program.
fn warm(trial: &Trial) -> Result<(), Denied> {
    let cold = open()?;
    let kept = read_all(cold.file());
    removal::run(trial, 0.6, |Pass { after, seen }| {
        let _span = seen.then(|| span!("answer"));
        if after {
            return use_some(&kept);
        }
        let fresh = {
            let _span = seen.then(|| span!("load_weights"));
            read_all(cold.file())
        };
        use_some(&fresh)
    })
}
