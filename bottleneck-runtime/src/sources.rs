//! The sources of this crate, for the library that `cargo bottleneck run --gpu` builds from them: an installed command has no
//! checkout, and a package of cargo ships no shared library.

macro_rules! sources {
    ($($path:literal,)*) => { &[$(($path, include_str!($path))),*] };
}

/// Paths in `src`, and what is in the files. Tests are left out.
pub const SOURCES: &[(&str, &str)] = sources![
    "clock.rs",
    "cuda/activity.rs",
    "cuda/buffers.rs",
    "cuda/calls.rs",
    "cuda/collector.rs",
    "cuda/device_facts.rs",
    "cuda/events.rs",
    "cuda/functions.rs",
    "cuda/graph_nodes.rs",
    "cuda/level.rs",
    "cuda/mod.rs",
    "cuda/nvtx.rs",
    "cuda/stream.rs",
    "cuda/works.rs",
    "format/accesses.rs",
    "format/chunk.rs",
    "format/code.rs",
    "format/conditions.rs",
    "format/device_work.rs",
    "format/header.rs",
    "format/histogram.rs",
    "format/mod.rs",
    "format/node.rs",
    "format/recipes.rs",
    "format/samples.rs",
    "format/site.rs",
    "format/snapshot.rs",
    "format/task.rs",
    "format/tree.rs",
    "future.rs",
    "injection/host.rs",
    "injection/mod.rs",
    "key.rs",
    "lib.rs",
    "os/address_space.rs",
    "os/bare_call.rs",
    "os/call.rs",
    "os/cgroup.rs",
    "os/cpu_timer.rs",
    "os/delay.rs",
    "os/descriptor.rs",
    "os/fork.rs",
    "os/library.rs",
    "os/map.rs",
    "os/memory.rs",
    "os/mod.rs",
    "os/ring.rs",
    "os/signal.rs",
    "os/target.rs",
    "os/task.rs",
    "os/thread.rs",
    "os/time.rs",
    "os/wakeup.rs",
    "record/arena.rs",
    "record/background.rs",
    "record/conditions.rs",
    "record/find.rs",
    "record/governor.rs",
    "record/mod.rs",
    "record/off_cpu.rs",
    "record/process.rs",
    "record/recorder.rs",
    "record/sample_table.rs",
    "record/sampling/accesses.rs",
    "record/sampling/code.rs",
    "record/sampling/eligible.rs",
    "record/sampling/files.rs",
    "record/sampling/handler.rs",
    "record/sampling/keeper.rs",
    "record/sampling/mod.rs",
    "record/sampling/probe.rs",
    "record/sampling/recent.rs",
    "record/sampling/recipes.rs",
    "record/sampling/regions.rs",
    "record/sampling/registers.rs",
    "record/sampling/repair.rs",
    "record/sampling/slot.rs",
    "record/sampling/threads.rs",
    "record/sampling_elsewhere.rs",
    "record/session.rs",
    "record/snapshot.rs",
    "record/snapshot_table.rs",
    "record/standing.rs",
    "record/tasks.rs",
    "record/thread.rs",
    "record/thread_clock.rs",
    "record/watched.rs",
    "site.rs",
    "sources.rs",
    "span.rs",
    "time_load.rs",
    "work.rs",
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn files(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, found);
            } else {
                found.push(path.display().to_string());
            }
        }
    }

    #[test]
    fn every_file_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = Vec::new();
        files(&root, &mut found);
        let prefix = format!("{}/", root.display());
        let mut found: Vec<&str> = found.iter().filter_map(|it| it.strip_prefix(&prefix)).collect();
        found.retain(|it| !it.ends_with("_test.rs"));
        found.sort_unstable();
        assert_eq!(SOURCES.iter().map(|it| it.0).collect::<Vec<_>>(), found);
    }
}
