//! Programs 15 and 16: weights that are mapped from a file on the disk, used in the order of the file, or at random.
//!
//! Truth: I/O. The wait is inside of the arithmetic: no system call shows it, and because the kernel reads ahead, nearly all
//! faults of program 15 are counted as *minor*.

use bottleneck_examples::cold_file::ColdFile;
use bottleneck_examples::host;
use bottleneck_examples::kernels::{Isa, Matrix, gemv};
use bottleneck_examples::mapping::Mapping;
use bottleneck_examples::random::mix;
use bottleneck_runtime::span;

use crate::loads::COLS;
use crate::removal::{self, Pass};
use crate::table::Program;
use crate::trial::{Denied, Trial, checksum};

/// The name of the file of weights; the examples use the same one.
pub(super) const FILE: &str = "cold-weights.f32";
/// Its values: 128 MiB.
pub(super) const VALUES: usize = 32 << 20;
/// Its rows.
const ROWS: usize = VALUES / COLS;
/// Rows that a request of program 16 uses, as those of a few experts of a mixture.
const CHOSEN: usize = 1024;

/// Programs 15 and 16.
pub const PROGRAMS: &[Program] = &[
    Program::known(
        "15",
        "cold_mapping",
        "io",
        &["disk"],
        "the pages of a mapped file come from the disk, in order",
        sequential,
    )
    .with_after(),
    Program::known(
        "16",
        "cold_mapping_random",
        "io",
        &["disk"],
        "the pages of a mapped file come from the disk, one by one",
        random,
    )
    .with_after(),
];

/// In which order the weights are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Sequential,
    Random,
}

/// Requests for each of which the weights are mapped anew.
#[derive(Debug)]
pub(crate) struct Requests {
    file: ColdFile,
    order: Order,
    rows: usize,
    x: Vec<f32>,
    y: Vec<f32>,
}

impl Requests {
    pub(crate) fn new(order: Order) -> Result<Self, Denied> {
        let file = open()?;
        Ok(Self { file, order, rows: ROWS, x: vec![1.0; COLS], y: vec![0.0; ROWS] })
    }

    /// Only this part of the rows is used from now on.
    pub(crate) fn limit_to(&mut self, part: f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let rows = (part * ROWS as f64).clamp(1.0, ROWS as f64) as usize;
        self.rows = rows;
    }

    /// Makes the next request wait for the disk, as after a restart of the machine.
    pub(crate) fn make_cold(&self) {
        self.file.make_cold().expect("the system dropped pages before");
    }

    /// Brings the pages into the cache.
    pub(crate) fn make_warm(&self) {
        Mapping::new(self.file.file()).expect("the file was mapped before");
    }

    /// One request, on whatever pages are there.
    pub(crate) fn answer(&mut self, seen: bool) -> u64 {
        let _span = seen.then(|| span!("first_token"));
        let mapping = Mapping::lazy(self.file.file()).expect("the system has addresses left");
        if self.order == Order::Random {
            mapping.expect_random_use().expect("the system takes advice");
        }
        let _span = seen.then(|| span!("first_pass"));
        self.use_weights(&mapping);
        checksum(&self.y)
    }

    #[inline(never)]
    fn use_weights(&mut self, mapping: &Mapping) {
        let weights = Matrix::new(mapping.floats(0), ROWS, COLS);
        if self.order == Order::Sequential {
            let rows = weights.row_range(0, self.rows);
            return gemv(Isa::detected(), rows, &self.x, &mut self.y[..self.rows]);
        }
        for (id, out) in self.y[..CHOSEN].chunks_mut(1).enumerate() {
            #[expect(clippy::cast_possible_truncation, reason = "less than the number of rows")]
            let row = (mix(id as u64 + 1) % ROWS as u64) as usize;
            gemv(Isa::detected(), weights.row_range(row, row + 1), &self.x, out);
        }
    }
}

/// The file of weights.
pub(super) fn open() -> Result<ColdFile, Denied> {
    let file = ColdFile::open(&host::data_directory(), FILE, VALUES);
    let file = file.map_err(|why| Denied(why.to_string()))?;
    file.make_cold().map_err(|why| Denied(format!("pages cannot be dropped: {why}")))?;
    Ok(file)
}

fn sequential(trial: &Trial) -> Result<(), Denied> {
    run(trial, Order::Sequential, 0.6)
}

fn random(trial: &Trial) -> Result<(), Denied> {
    run(trial, Order::Random, 0.6)
}

/// With pages in the cache, where they are mapped before the first request.
fn run(trial: &Trial, order: Order, least: f64) -> Result<(), Denied> {
    let (mut requests, file) = (Requests::new(order)?, Requests::new(order)?);
    let prepare = |after| if after { file.make_warm() } else { file.make_cold() };
    removal::run_from(trial, least, prepare, |Pass { seen, .. }| requests.answer(seen))
}
