//! Program 29: a control group may use a quarter of a CPU, and the program computes with all of them.
//!
//! Truth: scheduling. The program could run, and the kernel does not let it. Only the administrator can make such a group;
//! elsewhere the label is denied. The group is removed at the end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bottleneck_runtime::span;

use crate::loads::Compute;
use crate::oracle::Oracle;
use crate::table::Program;
use crate::trial::{Denied, Trial};

/// What a request takes without a quota.
const DECODE: Duration = Duration::from_millis(10);
/// How long the oracle measures with the quota: five of its periods.
const MEASURED: Duration = Duration::from_millis(500);
/// How long without, and how often: others have the CPU during some of these times.
const FREE: Duration = Duration::from_millis(60);
/// See [`FREE`].
const FREE_TIMES: usize = 8;
/// The quota of a period, both in µs.
const QUOTA: u32 = 25_000;
/// See [`QUOTA`].
const PERIOD: u32 = 100_000;

/// Program 29.
pub const PROGRAMS: &[Program] = &[Program::known(
    "29",
    "quota",
    "scheduling",
    &["oversubscribed", "throttled"],
    "a control group gives a quarter of a CPU to a thread that computes",
    run,
)];

/// The group that this process is in, until this is dropped.
struct Group {
    folder: PathBuf,
    parent: PathBuf,
}

impl Group {
    fn enter() -> io::Result<Self> {
        let separate = Path::new("/sys/fs/cgroup/cpu");
        let is_separate = separate.exists();
        let parent =
            if is_separate { separate.to_owned() } else { PathBuf::from("/sys/fs/cgroup") };
        let folder = parent.join(format!("bottleneck-truth-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let res = Self { folder, parent };
        if is_separate {
            fs::write(res.folder.join("cpu.cfs_period_us"), PERIOD.to_string())?;
            fs::write(res.folder.join("cpu.cfs_quota_us"), QUOTA.to_string())?;
        } else {
            fs::write(res.folder.join("cpu.max"), format!("{QUOTA} {PERIOD}"))?;
        }
        fs::write(res.folder.join("cgroup.procs"), std::process::id().to_string())?;
        Ok(res)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What fails leaves an empty group without effect.
        let _ = fs::write(self.parent.join("cgroup.procs"), std::process::id().to_string());
        let _ = fs::remove_dir(&self.folder);
    }
}

fn run(trial: &Trial) -> Result<(), Denied> {
    let mut model = Compute::taking(DECODE);
    let mut per_second = |measured: Duration| {
        let (start, mut done) = (Instant::now(), 0.0);
        while start.elapsed() < measured {
            model.run();
            done += 1.0;
        }
        done / start.elapsed().as_secs_f64()
    };
    let free = (0..FREE_TIMES).map(|_| per_second(FREE)).fold(0.0, f64::max);
    let group = Group::enter().map_err(|why| Denied(format!("no control group here: {why}")))?;
    trial.check(|| {
        let share = 1.0 - per_second(MEASURED) / free;
        Oracle::when(0.35 <= share, || format!("the quota takes {share:.2} of the time"))
            .with_cause(share)
    })?;
    trial.record(|_| {
        let _span = span!("decode");
        model.run();
        1
    });
    drop(group);
    Ok(())
}
