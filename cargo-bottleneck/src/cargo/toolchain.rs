//! Which cargo and rustc are used, and what rustc says about itself.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use cargo_metadata::cargo_platform::Cfg;

use crate::cargo::inherited::Inherited;
use crate::error::Error;
use crate::exit_code::ExitCode;

/// The cargo that called this command, or the one in `PATH`.
pub fn cargo_program(inherited: &Inherited) -> OsString {
    inherited.get("CARGO").map_or_else(|| resolved_cargo(inherited), OsString::from)
}

/// Started directly, there is no `CARGO`. A proxy of rustup would do, but the program must be told the real one.
fn resolved_cargo(inherited: &Inherited) -> OsString {
    let sysroot = ask(inherited, &"rustc".into(), &["--print", "sysroot"]).ok();
    let real = sysroot.map(|sysroot| Path::new(sysroot.trim()).join("bin").join("cargo"));
    real.filter(|cargo| cargo.is_file()).map_or_else(|| "cargo".into(), PathBuf::into_os_string)
}

/// What cargo needs to know of rustc to run a program.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// The triple that rustc builds for by itself.
    pub host: String,
    /// Folder of the standard library's shared objects for the target.
    pub library_directory: PathBuf,
    /// `cfg` of the target; empty until a runner asks for it.
    rustc: OsString,
}

impl Toolchain {
    /// Asks rustc. `configured` is `build.rustc` of the configuration and the environment, `target` the triple of a cross build.
    ///
    /// # Errors
    /// If rustc cannot be started.
    pub fn load(
        cargo: &OsString,
        inherited: &Inherited,
        configured: Option<&str>,
        target: Option<&str>,
    ) -> Result<Self, Error> {
        let rustc = rustc_program(cargo, inherited, configured);
        let version = ask(inherited, &rustc, &["-vV"])?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.unwrap_or_default().to_owned();
        let mut args = vec!["--print", "target-libdir"];
        args.extend(target.map(|triple| ["--target", triple]).iter().flatten());
        let library_directory = PathBuf::from(ask(inherited, &rustc, &args)?.trim());
        Ok(Self { host, library_directory, rustc })
    }

    /// The `cfg` of a target, against which `target.'cfg(...)'` tables are held.
    ///
    /// # Errors
    /// If rustc does not know the target.
    pub fn cfgs(&self, inherited: &Inherited, triple: &str) -> Result<Vec<Cfg>, Error> {
        let text = ask(inherited, &self.rustc, &["--print", "cfg", "--target", triple])?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }
}

fn rustc_program(cargo: &OsString, inherited: &Inherited, configured: Option<&str>) -> OsString {
    // The order in which cargo itself looks.
    let named = inherited.get("RUSTC").map(OsString::from);
    let beside = || {
        let rustc = Path::new(cargo).parent()?.join("rustc");
        rustc.is_file().then(|| rustc.into_os_string())
    };
    named
        .or_else(|| configured.map(OsString::from))
        .or_else(beside)
        .unwrap_or_else(|| "rustc".into())
}

fn ask(inherited: &Inherited, rustc: &OsString, args: &[&str]) -> Result<String, Error> {
    let fail = |why: &dyn std::fmt::Display| {
        Error::new(
            ExitCode::Setup,
            format!("cannot ask `{}` for {}", rustc.display(), args.join(" ")),
        )
        .why(why)
        .fix("install Rust from https://rustup.rs")
    };
    let output = inherited.command(rustc).args(args).output().map_err(|error| fail(&error))?;
    if !output.status.success() {
        return Err(fail(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
