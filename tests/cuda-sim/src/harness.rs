//! Starts programs on the simulated driver.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::settings::{MODEL, SETTINGS, TRUTH};

/// What the shared library of this crate is called.
const FILE: &str = "libcuda_sim.so";

/// A library that programs look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// The driver.
    Cuda,
    /// The profiling interface.
    Cupti,
    /// The compiler.
    Nvrtc,
    /// What the driver tells other programs.
    Nvml,
}

impl Library {
    const ALL: [Self; 4] = [Self::Cuda, Self::Cupti, Self::Nvrtc, Self::Nvml];

    /// The names that it is looked for by.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Cuda => &["libcuda.so", "libcuda.so.1"],
            Self::Cupti => &["libcupti.so", "libcupti.so.12", "libcupti.so.13"],
            Self::Nvml => &["libnvidia-ml.so.1"],
            Self::Nvrtc => &["libnvrtc.so", "libnvrtc.so.12", "libnvrtc.so.13"],
        }
    }
}

/// A simulated machine, in a folder that goes when this is dropped.
#[derive(Debug)]
pub struct Machine {
    folder: PathBuf,
    settings: Vec<String>,
}

impl Machine {
    /// One with every library.
    ///
    /// # Errors
    /// No folder can be made, or the shared library is not beside the running program, where cargo builds it.
    pub fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Relaxed);
        let name = format!("cuda-sim-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder)?;
        let res = Self { folder, settings: Vec::new() };
        // Links to one file: the loader takes them for one library, which has one state.
        let library = library()?;
        for name in Library::ALL.into_iter().flat_map(Library::names) {
            symlink(&library, res.folder.join(name))?;
        }
        Ok(res)
    }

    /// Without one of the libraries.
    ///
    /// # Errors
    /// It cannot be taken away.
    pub fn without(self, library: Library) -> io::Result<Self> {
        for name in library.names() {
            fs::remove_file(self.folder.join(name))?;
        }
        Ok(self)
    }

    /// With a setting, such as `clock=virtual`.
    #[must_use]
    pub fn with(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// With costs of kernels, a line for each.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn with_costs(self, lines: &str) -> io::Result<Self> {
        fs::write(self.model(), lines)?;
        Ok(self)
    }

    /// Lets a program run on it.
    pub fn prepare<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env("LD_LIBRARY_PATH", &self.folder)
            .env(SETTINGS, self.settings.join(","))
            .env(TRUTH, self.folder.join("truth.jsonl"));
        if self.model().exists() {
            command.env(MODEL, self.model());
        }
        command
    }

    /// What really happened, a line of JSON for each operation; empty before anything has.
    pub fn truth(&self) -> String {
        fs::read_to_string(self.folder.join("truth.jsonl")).unwrap_or_default()
    }

    /// The shared library, by one of its names.
    pub fn library(&self) -> PathBuf {
        self.folder.join("libcuda.so.1")
    }

    fn model(&self) -> PathBuf {
        self.folder.join("costs.txt")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // What stays behind is in a folder for such things.
        _ = fs::remove_dir_all(&self.folder);
    }
}

/// The shared library, where cargo builds it, or beside the running program, or one folder above.
fn library() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    // `cargo run` and `cargo test` bring the one in `deps` up to date, and only that.
    let folders =
        program.ancestors().skip(1).take(2).flat_map(|it| [it.join("deps"), it.to_owned()]);
    let mut files = folders.map(|folder: PathBuf| folder.join(FILE));
    files.find(|file| Path::exists(file)).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("no {FILE} beside {}", program.display()))
    })
}
