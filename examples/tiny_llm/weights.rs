//! The weights file: written once, mapped read-only, checked at every start.
//!
//! The file is a header and the tensors of [`Config::tensors`] as native `f32`. It is written under a temporary name
//! and renamed, so that a file under its final name is whole; a file of another size, header or checksum is replaced.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bottleneck_examples::declared::amount;
use bottleneck_examples::kernels::Matrix;
use bottleneck_examples::mapping::Mapping;
use bottleneck_examples::random::fill_uniform;
use bottleneck_runtime::bottleneck;

use crate::config::{BYTES, Config};

/// Bytes before the first tensor: one page.
const HEADER_BYTES: usize = 4096;
/// First word of the header; the last digit is the version of the layout.
const MAGIC: u64 = u64::from_be_bytes(*b"tinyllm1");
/// Seed of all weights: every run has the same model.
const SEED: u64 = 0x0b07_71e0;
/// Values generated and written at a time.
const PIECE: usize = 1 << 20;

/// Words of the header: magic, dimensions, size, checksum.
type Header = [u64; 9];

/// Why there are no weights.
#[derive(Debug)]
pub(crate) struct WeightsError {
    path: PathBuf,
    doing: &'static str,
    bytes: u64,
    source: io::Error,
}

impl fmt::Display for WeightsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, doing, bytes, source } = self;
        let mib = bytes >> 20;
        write!(
            f,
            "cannot {doing} the weights file {}: {source}; it takes {mib} MiB: ",
            path.display()
        )?;
        write!(f, "make room there, or choose a smaller model, such as `--size small`")
    }
}

impl std::error::Error for WeightsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The mapped file.
#[derive(Debug)]
pub(crate) struct WeightsFile {
    mapping: Mapping,
}

impl WeightsFile {
    /// Maps the weights of `config` in `folder`, reads all of them once, and writes the file anew where that is needed.
    ///
    /// # Errors
    /// If the file can neither be used nor written.
    pub(crate) fn load(folder: &Path, config: &Config) -> Result<Self, WeightsError> {
        let name = format!("tiny-llm-{}x{}.f32", config.dim, config.layers);
        let path = folder.join(name);
        let bytes = HEADER_BYTES as u64 + 4 * config.values() as u64;
        let fail = |doing, source| WeightsError { path: path.clone(), doing, bytes, source };
        match Self::open(&path, config) {
            Ok(Some(file)) => return Ok(file),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fail("read", error)),
        }
        write(&path, config).map_err(|error| fail("write", error))?;
        match Self::open(&path, config) {
            Ok(Some(file)) => Ok(file),
            Ok(None) => {
                Err(fail("use", io::Error::other("its content changed right after it was written")))
            }
            Err(error) => Err(fail("read", error)),
        }
    }

    /// The file at `path`, or `None` if it does not hold the weights of `config`.
    fn open(path: &Path, config: &Config) -> io::Result<Option<Self>> {
        let mut file = File::open(path)?;
        if file.metadata()?.len() != HEADER_BYTES as u64 + 4 * config.values() as u64 {
            return Ok(None);
        }
        let mut words = [0; size_of::<Header>()];
        file.read_exact(&mut words)?;
        let res = Self { mapping: Mapping::new(&file)? };
        let expected = header(config, Checksum::of(res.values()));
        Ok((words.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word)).eq(expected))
            .then_some(res))
    }

    fn values(&self) -> &[f32] {
        self.mapping.floats(HEADER_BYTES)
    }

    /// The tensors, for the `config` that the file was loaded for.
    pub(crate) fn tensors(&self, config: &Config) -> Weights<'_> {
        Weights::new(config, self.values())
    }
}

/// One layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer<'a> {
    pub(crate) attention_norm: &'a [f32],
    pub(crate) qkv: Matrix<'a>,
    pub(crate) output: Matrix<'a>,
    pub(crate) mlp_norm: &'a [f32],
    pub(crate) gate_up: Matrix<'a>,
    pub(crate) down: Matrix<'a>,
}

/// All tensors of a model.
#[derive(Clone, Debug)]
pub(crate) struct Weights<'a> {
    pub(crate) embedding: Matrix<'a>,
    pub(crate) layers: Vec<Layer<'a>>,
    pub(crate) norm: &'a [f32],
    pub(crate) head: Matrix<'a>,
}

impl<'a> Weights<'a> {
    /// Cuts `values` into the tensors of `config`.
    ///
    /// # Panics
    /// If there are too few values.
    pub(crate) fn new(config: &Config, values: &'a [f32]) -> Self {
        let mut rest = values;
        let mut take = |len: usize| {
            let (tensor, behind) = rest.split_at(len);
            rest = behind;
            tensor
        };
        let mut matrix = |rows: usize, cols: usize| Matrix::new(take(rows * cols), rows, cols);
        let (dim, hidden) = (config.dim, config.hidden);
        let embedding = matrix(BYTES + 1, dim);
        let layers = (0..config.layers)
            .map(|_| Layer {
                attention_norm: matrix(1, dim).row(0),
                qkv: matrix(config.qkv_rows(), dim),
                output: matrix(dim, config.heads * config.head_dim),
                mlp_norm: matrix(1, dim).row(0),
                gate_up: matrix(2 * hidden, dim),
                down: matrix(dim, hidden),
            })
            .collect();
        Self { embedding, layers, norm: matrix(1, dim).row(0), head: matrix(BYTES, dim) }
    }
}

fn header(config: &Config, checksum: u64) -> Header {
    let Config { dim, hidden, layers, heads, kv_heads, head_dim } = *config;
    let [dim, hidden, layers, heads, kv_heads, head_dim] =
        [dim, hidden, layers, heads, kv_heads, head_dim].map(|it| it as u64);
    [MAGIC, dim, hidden, layers, heads, kv_heads, head_dim, config.values() as u64, checksum]
}

/// Writes the file under a name of this process, then gives it its own.
#[bottleneck(name = "write_weights")]
fn write(path: &Path, config: &Config) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = write_content(&temporary, config).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to tell; a partial file would only take room.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_content(path: &Path, config: &Config) -> io::Result<()> {
    use std::io::Seek;
    let mut file = File::create(path)?;
    file.write_all(&[0; HEADER_BYTES])?;
    let mut checksum = Checksum::default();
    let mut values = vec![0.0; PIECE];
    let mut bytes = vec![0; 4 * PIECE];
    let mut first = 0;
    for tensor in config.tensors() {
        for from in (0..tensor.len).step_by(PIECE) {
            let values = &mut values[..PIECE.min(tensor.len - from)];
            match tensor.scale {
                Some(scale) => fill_uniform(values, SEED, first, scale),
                None => values.fill(1.0),
            }
            checksum.update(values);
            let bytes = &mut bytes[..4 * values.len()];
            for (bytes, value) in bytes.as_chunks_mut().0.iter_mut().zip(&*values) {
                *bytes = value.to_ne_bytes();
            }
            file.write_all(bytes)?;
            first += values.len() as u64;
        }
    }
    file.rewind()?;
    file.write_all(header(config, checksum.value()).map(u64::to_ne_bytes).as_flattened())
}

/// A sum over values and their places, in 16 independent lanes: as fast as memory can be read.
#[derive(Clone, Debug, Default)]
struct Checksum {
    sums: [u64; 16],
    sums_of_sums: [u64; 16],
}

impl Checksum {
    #[bottleneck(name = "checksum", bytes = amount(4 * values.len()))]
    fn of(values: &[f32]) -> u64 {
        let mut res = Self::default();
        res.update(values);
        res.value()
    }

    /// Adds a multiple of 16 values.
    fn update(&mut self, values: &[f32]) {
        let (blocks, rest) = values.as_chunks::<16>();
        debug_assert!(rest.is_empty(), "tensors are multiples of 16 values");
        let Self { mut sums, mut sums_of_sums } = *self;
        for block in blocks {
            for ((value, sum), total) in block.iter().zip(&mut sums).zip(&mut sums_of_sums) {
                *sum = sum.wrapping_add(u64::from(value.to_bits()));
                *total = total.wrapping_add(*sum);
            }
        }
        *self = Self { sums, sums_of_sums };
    }

    fn value(&self) -> u64 {
        let words = self.sums.iter().chain(&self.sums_of_sums);
        words.fold(0, |res: u64, word| res.wrapping_mul(0x0000_0100_0000_01b3).wrapping_add(*word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("bottleneck-weights-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_damaged_or_cut_file_is_written_anew() {
        let folder = folder("damaged");
        let config = Config { layers: 1, ..Config::streaming(1) };
        let good = WeightsFile::load(&folder, &config).unwrap().values().to_vec();
        assert_eq!(good.len(), config.values());
        let path = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let mut flipped = bytes.clone();
        flipped[HEADER_BYTES + 5001] ^= 1;
        let mut other_header = bytes.clone();
        other_header[8] ^= 1;
        for damaged in [&flipped[..], &other_header, &bytes[..bytes.len() - 4], &[]] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(WeightsFile::load(&folder, &config).unwrap().values(), good);
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no temporary file is left");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named_with_the_way_out() {
        let config = Config::streaming(1);
        let error =
            WeightsFile::load(Path::new("/proc/no-such-folder"), &config).unwrap_err().to_string();
        assert!(error.contains("cannot write the weights file /proc/no-such-folder/"), "{error}");
        assert!(error.contains("--size small"), "{error}");
    }

    #[test]
    fn the_checksum_depends_on_order() {
        let mut values: Vec<f32> = (0..64).map(|i| i as f32).collect();
        let before = Checksum::of(&values);
        values.swap(3, 19);
        assert_ne!(before, Checksum::of(&values));
    }
}
