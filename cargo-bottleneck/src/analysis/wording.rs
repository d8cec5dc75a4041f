//! The sentences of a verdict: what the time goes to, what to do about it, and what would settle an open question.
//!
//! One row per kind and sub-kind. Sentences are imperative and never hedge: how sure they are is the confidence's to say.

use crate::kind::Kind;
use crate::number::{digits, percent};
use crate::profile::{Dtype, Profile, TaskIdx};
use crate::report::model::{Evidence, Source};

use super::cause::Cause;
use super::classify::{Reason, Region};
use super::roofline::Abstained;
use super::subkind::Subkind;

/// What is said of a kind and sub-kind.
#[derive(Debug)]
pub struct Advice {
    /// The kind.
    pub kind: Kind,
    /// The sub-kind; `None` stands for every one without a row of its own.
    pub subkind: Option<Subkind>,
    /// Goes on from "42% of the time in flight".
    pub cause: &'static str,
    /// The next step.
    pub next: &'static str,
}

/// The table; the first row that fits is taken.
pub static ADVICE: &[Advice] = &[
    Advice {
        kind: Kind::Memory,
        subkind: Some(Subkind::Bandwidth),
        cause: "waits for DRAM",
        next: "halve the bytes per element (f32 → f16, f16 → i8), or use each byte for more work: batch requests, fuse passes",
    },
    Advice {
        kind: Kind::Memory,
        subkind: Some(Subkind::Cache),
        cause: "waits for the caches",
        next: "block the loop so that its working set stays in a smaller cache, or keep operands in registers longer",
    },
    Advice {
        kind: Kind::Memory,
        subkind: Some(Subkind::Latency),
        cause: "waits for single lines from DRAM",
        next: "do several lookups at once or prefetch the next ones, pack what is used together into one line, use huge pages",
    },
    Advice {
        kind: Kind::Memory,
        subkind: Some(Subkind::FirstTouch),
        cause: "goes to memory that the kernel hands out for the first time",
        next: "keep buffers from call to call instead of allocating them anew, or touch them before they are needed",
    },
    Advice {
        kind: Kind::Memory,
        subkind: Some(Subkind::Coherence),
        cause: "waits for lines that other cores write",
        next: "give each thread lines of its own (align to 128 bytes), and bring the results together at the end",
    },
    Advice {
        kind: Kind::Memory,
        subkind: Some(Subkind::DeviceBandwidth),
        cause: "goes to kernels near the bandwidth of the device's memory",
        next: "halve the bytes (f16 or i8 weights), fuse kernels that read the same data, or batch requests so that weights are read once for many",
    },
    Advice {
        kind: Kind::Memory,
        subkind: None,
        cause: "waits for memory, as asserted",
        next: "declare `bytes` at this span, so that its bandwidth is measured against the machine's",
    },
    Advice {
        kind: Kind::Compute,
        subkind: Some(Subkind::Vector),
        cause: "goes to arithmetic near the peak of the core",
        next: "keep more operands in registers until the units reach 90% of their peak; beyond it only fewer operations help",
    },
    Advice {
        kind: Kind::Compute,
        subkind: Some(Subkind::Scalar),
        cause: "goes to instructions, far from the peak of the vector units",
        next: "vectorize the inner loop: enable the CPU's vector width, make accesses contiguous, break dependency chains",
    },
    Advice {
        kind: Kind::Compute,
        subkind: Some(Subkind::Underused),
        cause: "goes to instructions, far from the peak of the vector units",
        next: "keep the vector units fed: contiguous loads, several independent sums, the CPU's full vector width",
    },
    Advice {
        kind: Kind::Compute,
        subkind: Some(Subkind::Arithmetic),
        cause: "goes to arithmetic on data that are near",
        next: "declare `flops` at this span to see how far the peak is; then fewer operations, or more in each instruction",
    },
    Advice {
        kind: Kind::Compute,
        subkind: Some(Subkind::Divide),
        cause: "goes to divisions and square roots",
        next: "multiply by a reciprocal that is computed once, or use the approximate instructions where the result allows it",
    },
    Advice {
        kind: Kind::Compute,
        subkind: Some(Subkind::Branchy),
        cause: "goes to branches",
        next: "replace branches that data decide by tables or masks, or sort the work so that neighbors take the same one",
    },
    Advice {
        kind: Kind::Compute,
        subkind: Some(Subkind::DeviceArithmetic),
        cause: "goes to kernels near the peak of the device's units",
        next: "use the matrix units with a smaller type (f16, i8), or fewer operations",
    },
    Advice {
        kind: Kind::Compute,
        subkind: None,
        cause: "goes to arithmetic, as asserted",
        next: "declare `flops` at this span, so that its rate is measured against the machine's peak",
    },
    Advice {
        kind: Kind::Io,
        subkind: Some(Subkind::Copy),
        cause: "goes to the kernel, which copies data",
        next: "keep the data in memory between requests, or map the file, so that nothing is copied",
    },
    Advice {
        kind: Kind::Io,
        subkind: Some(Subkind::Disk),
        cause: "waits for files",
        next: "read it before it is needed (a thread that reads ahead, madvise(WILLNEED)), keep it in memory between requests, or \
               store it smaller",
    },
    Advice {
        kind: Kind::Io,
        subkind: Some(Subkind::Sync),
        cause: "waits until data are safe on the disk",
        next: "make many things safe at once: a sync (`fsync`, `sync_data`) for every 16th or after some time, or by a thread that \
               nobody waits for",
    },
    Advice {
        kind: Kind::Io,
        subkind: Some(Subkind::Network),
        cause: "waits for a peer behind a socket",
        next: "ask earlier and for several things at once (pipeline, batch), or move the peer closer; its own time is not ours",
    },
    Advice {
        kind: Kind::Io,
        subkind: Some(Subkind::Pipe),
        cause: "waits for another process behind a pipe",
        next: "hand over larger pieces and go on meanwhile, or do the other process's work in this one",
    },
    Advice {
        kind: Kind::Io,
        subkind: Some(Subkind::ChildProcess),
        cause: "waits for a child process to end",
        next: "start it earlier and go on meanwhile, or keep one running instead of starting one each time",
    },
    Advice {
        kind: Kind::Io,
        subkind: Some(Subkind::DeviceCopy),
        cause: "goes to copies between host and device, while no kernel runs",
        next: "copy from pinned memory on a stream of its own while kernels run, in large pieces, and keep on the device what is used again",
    },
    Advice {
        kind: Kind::Io,
        subkind: Some(Subkind::StarvedByHost),
        cause: "goes by while the device has nothing to do and the host is busy",
        next: "submit the next step before the host turns to anything else, or let another thread prepare it meanwhile",
    },
    Advice {
        kind: Kind::Io,
        subkind: None,
        cause: "goes to I/O, as asserted",
        next: "overlap it with computation (read ahead, a second thread), or move fewer bytes",
    },
    Advice {
        kind: Kind::Scheduling,
        subkind: Some(Subkind::Lock),
        cause: "goes to threads that queue for a lock while a CPU idles",
        next: "hold the lock for the exchange of data only: compute before taking it or after, or split what it protects",
    },
    Advice {
        kind: Kind::Scheduling,
        subkind: Some(Subkind::Imbalance),
        cause: "goes to one thread that still works while the others wait for it at the end of their region",
        next: "cut the region into more and smaller parts than threads, and let each thread take the next one when it is done",
    },
    Advice {
        kind: Kind::Scheduling,
        subkind: Some(Subkind::StarvedQueue),
        cause: "goes to a thread that makes the input for another one, which starves while a CPU idles",
        next: "let several threads make the input, or move a part of it to the thread that waits",
    },
    Advice {
        kind: Kind::Scheduling,
        subkind: Some(Subkind::Timer),
        cause: "waits until some time has passed",
        next: "go on as soon as there is something to do: wait for an event with the time as the latest end, or shorten it",
    },
    Advice {
        kind: Kind::Scheduling,
        subkind: Some(Subkind::PollLoop),
        cause: "sleeps between looks whether something has come",
        next: "wait for the event itself (a channel, a condition variable, epoll) instead of looking again and again",
    },
    Advice {
        kind: Kind::Scheduling,
        subkind: Some(Subkind::Spin),
        cause: "waits on the CPU, spinning",
        next: "shorten what is done under the lock, and let who waits for longer than a microsecond sleep: std::sync::Mutex does",
    },
    Advice {
        kind: Kind::Scheduling,
        subkind: Some(Subkind::Wakeup),
        cause: "goes by between wake-up and running",
        next: "hand over less often: larger batches, fewer hops from thread to thread",
    },
    Advice {
        kind: Kind::Scheduling,
        subkind: Some(Subkind::Throttled),
        cause: "could run, but the control group has used up its CPU time",
        next: "raise the limit of the control group (cpu.max), or run no more threads than it allows CPUs",
    },
    Advice {
        kind: Kind::Scheduling,
        subkind: Some(Subkind::Oversubscribed),
        cause: "could run but has no CPU",
        next: "start no more runnable threads than the cores that the program may use, and keep other programs off them",
    },
    Advice {
        kind: Kind::Scheduling,
        subkind: Some(Subkind::Interference),
        cause: "could run, and other programs had the CPUs",
        next: "run on a machine that does nothing else meanwhile",
    },
    Advice {
        kind: Kind::Scheduling,
        subkind: Some(Subkind::StreamDependency),
        cause: "goes to streams that wait for one another",
        next: "wait for events only where a result of the other stream is used, so that both streams run at once",
    },
    Advice {
        kind: Kind::Scheduling,
        subkind: Some(Subkind::DefaultStream),
        cause: "goes to streams that wait for the default stream, or it for them",
        next: "give the work of the default stream to one of `CudaContext::new_stream`, which waits for none but what it is told to",
    },
    Advice {
        kind: Kind::Scheduling,
        subkind: Some(Subkind::SyncDrain),
        cause: "goes by while the device waits for a host that has just waited for the device",
        next: "submit the next work before waiting for the last one (one step ahead), and wait only for what the host reads",
    },
    Advice {
        kind: Kind::Scheduling,
        subkind: Some(Subkind::LaunchBound),
        cause: "goes by between kernels that are shorter than their launch",
        next: "capture the step into a CUDA graph and launch it as one, or fuse kernels, or batch requests so that kernels are longer",
    },
    Advice {
        kind: Kind::Scheduling,
        subkind: Some(Subkind::ModuleLoad),
        cause: "goes to code that is loaded onto the device",
        next: "load modules and run each kernel once before the first request",
    },
    Advice {
        kind: Kind::Scheduling,
        subkind: None,
        cause: "goes to scheduling, as asserted",
        next: "divide the work more evenly, or hold what the threads share for a shorter time",
    },
];

/// The row for a kind and sub-kind; `None` for [`Kind::Other`].
pub fn advice(kind: Kind, subkind: Option<Subkind>) -> Option<&'static Advice> {
    let fits =
        |row: &&Advice| row.kind == kind && (row.subkind.is_none() || row.subkind == subkind);
    ADVICE.iter().find(fits)
}

/// The next step, with what the operands' type rules out.
pub fn next_step(kind: Kind, subkind: Option<Subkind>, dtype: Option<Dtype>) -> String {
    if (kind, subkind, dtype) == (Kind::Memory, Some(Subkind::Bandwidth), Some(Dtype::I8)) {
        return "use each byte for more work: batch requests, fuse passes over the same data"
            .to_owned();
    }
    advice(kind, subkind).map_or_else(String::new, |row| row.next.to_owned())
}

/// What would settle on-CPU time that is `other`.
pub fn settle_on_cpu(name: &str, reason: Reason) -> String {
    match reason {
        Reason::Undeclared => {
            format!(
                "declare work at `{name}`: #[bottleneck(flops = ..., bytes = ...)], or annotate what it calls"
            )
        }
        Reason::Abstained(why) => match why {
            Abstained::Impossible => {
                format!("check the work declared at `{name}`: it is more than this machine can do")
            }
            Abstained::Cached => format!(
                "declare at `{name}` the bytes that come from DRAM, or annotate its parts: most of its bytes hit in a cache"
            ),
            Abstained::BothNear => {
                format!("annotate the parts of `{name}`: together they are near both ceilings")
            }
            Abstained::Drifted => format!(
                "run again on a quieter machine: the ceiling that decides about `{name}` moved during this run"
            ),
            Abstained::BothFar => format!(
                "annotate the parts of `{name}`: what it declares keeps neither DRAM nor the arithmetic units busy"
            ),
            Abstained::Between => {
                format!("annotate the parts of `{name}`: as a whole it is near neither ceiling")
            }
            Abstained::NoCeiling => {
                format!(
                    "measure the machine (`cargo bottleneck doctor`): there is no ceiling to judge `{name}` by"
                )
            }
        },
        Reason::Roofline | Reason::Sampled | Reason::Asserted | Reason::Spins => String::new(),
    }
}

/// What would settle on-CPU time of which samples say too little.
pub fn settle_samples(name: &str, lacks: &str) -> String {
    format!(
        "let `{name}` be seen better: samples lack {lacks}; or declare its work: #[bottleneck(flops = ..., bytes = ...)]"
    )
}

/// What would settle waits that are `other`.
pub fn settle_waits(name: &str, cause: Option<Cause>) -> String {
    match cause {
        Some(Cause::Lock | Cause::Thread) => format!(
            "annotate what `{name}` waits for: the function on the other thread that ends the wait with #[bottleneck]"
        ),
        Some(Cause::Listener | Cause::Input) => format!(
            "mark what a user waits for with #[bottleneck(request)], so that waiting for the next request in `{name}` is idle"
        ),
        _ => format!(
            "say what `{name}` waits for: #[bottleneck(kind = \"io\")] or \"scheduling\", or annotate the calls that wait"
        ),
    }
}

/// What threads without spans are called: their name without digits.
pub fn pool_name(profile: &Profile, task: TaskIdx) -> String {
    let task = &profile.snapshots.tasks[task];
    let name: String = task.name.chars().filter(|c| !c.is_ascii_digit()).collect();
    let name = name.trim_matches(|c: char| "-_ #:.".contains(c));
    match (name, task.is_main) {
        (_, true) => "main".to_owned(),
        ("", _) => "unnamed".to_owned(),
        (name, _) => name.to_owned(),
    }
}

/// The measurements of a region: bandwidth, rate and intensity, each with its reference.
pub fn region_evidence(region: &Region) -> Vec<Evidence> {
    let (flop, giga_flops) = match region.work.dtype {
        Dtype::I8 => ("op/byte", "Gop/s"),
        Dtype::F32 | Dtype::F16 | Dtype::Bf16 => ("FLOP/byte", "GFLOP/s"),
    };
    let mut res = Vec::new();
    let Some(point) = &region.point else { return res };
    // The reference is the median ceiling, found again from the share.
    let ceiling = |rate: f64, share: Option<super::ceilings::Range>| {
        share.map(|share| rate / share.median / 1e9)
    };
    let mut add = |what: &str, value: f64, unit: &str, of: Option<f64>| {
        res.push(Evidence {
            what: what.to_owned(),
            value,
            unit: unit.to_owned(),
            of,
            source: Source::Declared,
        });
    };
    if region.work.bytes > 0.0 {
        add(
            "DRAM bandwidth",
            point.bytes_per_s / 1e9,
            "GB/s",
            ceiling(point.bytes_per_s, point.bandwidth),
        );
        if point.bandwidth.is_some_and(|b| b.min > 1.0)
            && let Some(cache) = point.cache
        {
            add(
                "cache bandwidth",
                point.bytes_per_s / 1e9,
                "GB/s",
                ceiling(point.bytes_per_s, Some(cache)),
            );
        }
    }
    if region.work.flops > 0.0 {
        let what = format!("{} arithmetic", region.work.dtype.word());
        add(
            &what,
            point.flops_per_s / 1e9,
            giga_flops,
            ceiling(point.flops_per_s, point.arithmetic),
        );
    }
    if let Some(intensity) = point.intensity {
        add("intensity", intensity, flop, point.ridge.map(|ridge| ridge.median));
    }
    res
}

/// What a reader should know of how a region was judged.
pub fn region_caveats(region: &Region) -> Vec<String> {
    let mut res = Vec::new();
    let Some(point) = &region.point else { return res };
    let spread = |what: &str, share: Option<super::ceilings::Range>| {
        // Far below its ceiling a share says the same at either end.
        let share = share.filter(|share| share.max > share.min * 1.2 && share.max >= 0.3)?;
        Some(format!(
            "{what} is {} to {} of its ceiling: the ceiling moved, or others worked meanwhile",
            percent(share.min),
            percent(share.max)
        ))
    };
    res.extend(spread("bandwidth", point.bandwidth));
    res.extend(spread("arithmetic", point.arithmetic));
    if point.is_stand_in && region.work.flops > 0.0 {
        res.push(format!(
            "the peak for {}: that of f32 stands in for it",
            region.work.dtype.word()
        ));
    }
    if let Some(scalar) = point.scalar_peak
        && point.flops_per_s > 0.7 * scalar
        && point.flops_per_s <= 1.05 * scalar
    {
        res.push(format!(
            "whether the loop is vectorized: it runs at the peak of scalar code ({} GFLOP/s)",
            digits(scalar / 1e9)
        ));
    }
    res
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_but_other_has_advice_for_every_subkind() {
        for kind in Kind::ALL {
            for subkind in Subkind::ALL {
                assert_eq!(
                    advice(kind, Some(subkind)).is_some(),
                    kind != Kind::Other,
                    "{kind:?} {subkind:?}"
                );
            }
        }
    }

    #[test]
    fn every_row_is_the_first_that_fits_its_own_case() {
        for row in ADVICE {
            let subkind = row.subkind.or(Some(Subkind::Asserted));
            assert!(std::ptr::eq(advice(row.kind, subkind).unwrap(), row), "{row:?}");
            assert!(
                !row.next.ends_with('.') && row.next.starts_with(char::is_lowercase),
                "{row:?}"
            );
        }
    }

    #[test]
    fn i8_operands_are_not_told_to_be_halved() {
        let next = next_step(Kind::Memory, Some(Subkind::Bandwidth), Some(Dtype::I8));
        assert!(!next.contains("halve"), "{next}");
    }
}
