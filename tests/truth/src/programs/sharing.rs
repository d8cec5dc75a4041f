//! Two threads that never wait for each other, but write into one cache line.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};

use bottleneck_runtime::bottleneck;

use crate::oracle::{MEMORY_FROM, Oracle, Stall};
use crate::table::Program;
use crate::trial::{Denied, Trial};

/// Tokens of one request: far more than are counted while the other thread starts.
const TOKENS: u64 = 1_600_000;

/// Program 13.
pub const PROGRAMS: &[Program] = &[Program::known(
    "13",
    "false_sharing",
    "memory",
    &["coherence", "latency", "cache"],
    "two threads count tokens side by side in one cache line, which moves between them at every token",
    sharing,
)];

/// Counters of two threads in one line.
#[repr(align(128))]
#[derive(Default)]
struct Together {
    counts: [AtomicU64; 2],
}

/// One in a line of its own.
#[repr(align(256))]
#[derive(Default)]
struct Apart {
    count: AtomicU64,
}

fn sharing(trial: &Trial) -> Result<(), Denied> {
    trial.check(|| {
        let (together, apart) = (Together::default(), [Apart::default(), Apart::default()]);
        let near = |_| both(|thread| count(&apart[thread].count));
        let far = |_| both(|thread| count(&together.counts[thread]));
        let stall = Stall::beside_others(15, near, far);
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Oracle::memory(stall)
            .and(2 <= cpus && MEMORY_FROM <= stall.share(), || "there is one CPU only".to_owned())
    })?;
    let together = Together::default();
    trial.record(|_| {
        both(|thread| count_tokens(&together.counts[thread]));
        let counts = together.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        counts[0] ^ counts[1].rotate_left(1)
    });
    Ok(())
}

/// On two threads, which begin together. They spin for that: one that is woken would begin on the CPU of the other.
fn both(work: impl Fn(usize) + Sync) {
    let missing = AtomicU64::new(2);
    let from_start = |thread| {
        missing.fetch_sub(1, Ordering::Relaxed);
        while missing.load(Ordering::Relaxed) != 0 {
            spin_loop();
        }
        work(thread);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| from_start(1));
        from_start(0);
    });
}

#[bottleneck(request)]
fn count_tokens(counter: &AtomicU64) {
    count(counter);
}

fn count(counter: &AtomicU64) {
    for _ in 0..TOKENS {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
