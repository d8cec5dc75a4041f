//! What parts of a device are in use, window by window: by NVML's GPM, which Hopper and newer devices have. It asks for no
//! privilege and leaves the counters alone that other tools take, but the device refreshes what it tells every 100 ms only: a
//! window is twice as long, and may be about the time up to [`LAG_NS`] before it. It tells of phases, never of a single kernel.

use std::ffi::{CStr, c_double, c_uint, c_void};

use serde::{Deserialize, Serialize};

use super::driver::call;
use super::nvml::{Device, Nvml};

/// Parts of a multiprocessor that compute, in the order of [`Window::units`].
pub const UNITS: [&str; 5] =
    ["matrix units", "f64 units", "f32 units", "f16 units", "integer units"];

/// Numbers of NVML for [`UNITS`], for the device's memory, and for multiprocessors that have work.
const UNIT_METRICS: [c_uint; UNITS.len()] = [5, 11, 12, 13, 4];
const MEMORY_METRIC: c_uint = 10;
const BUSY_METRIC: c_uint = 2;
const METRICS: usize = UNITS.len() + 2;

/// Versions of NVML's structures.
const VERSION: c_uint = 1;
/// NVML may look at all places of its array, of which the newest versions have 333.
const PLACES: usize = 400;
/// Windows that are kept; of more, neighbors are merged.
const MOST: usize = 2048;
/// Merged are windows with less between them.
const CLOSE_NS: u64 = 50_000_000;
/// What a window tells may be so old.
pub const LAG_NS: u64 = 100_000_000;
/// Shorter windows are no windows: the device may not have refreshed anything.
const LEAST_NS: u64 = 150_000_000;
/// A sample that takes longer was taken at an unknown time.
const SLOW_NS: u64 = 20_000_000;

/// What a device did in one window: its parts in thousandths of the most that they could do, as averages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its beginning and its end, `CLOCK_MONOTONIC` ns.
    pub from_ns: u64,
    /// See `from_ns`.
    pub until_ns: u64,
    /// Bandwidth of the device's memory.
    pub memory: u16,
    /// Multiprocessors that have work, however little; `None` where that is not counted.
    pub busy: Option<u16>,
    /// Units that compute: [`UNITS`]; the same.
    pub units: [Option<u16>; UNITS.len()],
}

/// By NVML's header.
#[derive(Clone, Copy)]
#[repr(C)]
struct Metric {
    id: c_uint,
    result: c_uint,
    value: c_double,
    names: [*const c_void; 3],
}

/// By NVML's header, with more places.
#[repr(C)]
struct Metrics {
    version: c_uint,
    count: c_uint,
    samples: [usize; 2],
    rows: [Metric; PLACES],
}

/// By NVML's header.
#[derive(Default)]
#[repr(C)]
struct Support {
    version: c_uint,
    is_supported: c_uint,
}

/// The counters of one device.
#[derive(Debug)]
pub(super) struct Counters {
    nvml: Nvml,
    device: Device,
    /// The sample before, and the place of the next one.
    samples: [usize; 2],
    /// When the sample before was there; `None` without one.
    since_ns: Option<u64>,
    kept: Kept,
    /// Why the newest window is missing.
    problem: Option<String>,
}

impl Counters {
    /// Begins to count.
    ///
    /// # Errors
    /// Why the device cannot be counted.
    pub(super) fn start(nvml: Nvml, device: Device) -> Result<Self, String> {
        is_countable(nvml, device)?;
        let mut res = Self {
            nvml,
            device,
            samples: [0; 2],
            since_ns: None,
            kept: Kept::new(),
            problem: None,
        };
        for sample in &mut res.samples {
            call!(nvml, c"nvmlGpmSampleAlloc"(sample => *mut usize))?;
        }
        // Some sandboxes say yes and give nothing.
        res.sample()?;
        Ok(res)
    }

    /// Ends a window, if it is long enough, and begins the next one.
    pub(super) fn look(&mut self) {
        if self.since_ns.is_some_and(|since_ns| now_ns() < since_ns + LEAST_NS) {
            return;
        }
        if let Err(problem) = self.sample() {
            self.since_ns = None;
            self.problem = Some(problem);
        }
    }

    /// All windows, by time; why there is none, where that is known.
    pub(super) fn windows(&self) -> Result<&[Window], String> {
        match &self.problem {
            Some(problem) if self.kept.windows.is_empty() => Err(problem.clone()),
            _ => Ok(&self.kept.windows),
        }
    }

    fn sample(&mut self) -> Result<(), String> {
        let nvml = self.nvml;
        let until_ns = now_ns();
        call!(nvml, c"nvmlGpmSampleGet"(self.device.handle => usize, self.samples[1] => usize))?;
        let now_ns = now_ns();
        let from_ns = self.since_ns.replace(now_ns);
        self.samples.swap(0, 1);
        if SLOW_NS < now_ns - until_ns {
            self.since_ns = None;
            return Err("its driver takes too long to count".to_owned());
        }
        if let Some(from_ns) = from_ns {
            // The older one is where the next one goes.
            let [newer, older] = self.samples;
            let window = between(nvml, older, newer)?;
            self.kept.add(Window { from_ns, until_ns, ..window });
        }
        Ok(())
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        let nvml = self.nvml;
        for sample in self.samples.into_iter().filter(|&it| it != 0) {
            // What cannot be given back is the driver's until this process ends.
            let _ = call!(nvml, c"nvmlGpmSampleFree"(sample => usize));
        }
    }
}

/// Whether a device can be counted; why not, if not.
fn is_countable(nvml: Nvml, device: Device) -> Result<(), String> {
    let (mut is_divided, mut later) = (0, 0);
    let mode = call!(nvml, c"nvmlDeviceGetMigMode"(
        device.handle => usize, &raw mut is_divided => *mut c_uint, &raw mut later => *mut c_uint
    ));
    if mode.is_ok() && is_divided != 0 {
        return Err(
            "the device is divided into instances (MIG), which count for each other".to_owned()
        );
    }
    let mut support = Support { version: VERSION, is_supported: 0 };
    call!(nvml, c"nvmlGpmQueryDeviceSupport"(device.handle => usize, &raw mut support => *mut Support))
        .map_err(|why| format!("its driver has no counters (GPM): {why}"))?;
    if support.is_supported == 0 {
        return Err("it has no counters (GPM): devices before Hopper have none".to_owned());
    }
    Ok(())
}

/// What was counted between two samples; without times.
fn between(nvml: Nvml, older: usize, newer: usize) -> Result<Window, String> {
    let none = Metric { id: 0, result: 0, value: 0.0, names: [std::ptr::null(); 3] };
    let mut metrics = Box::new(Metrics {
        version: VERSION,
        count: c_uint::try_from(METRICS).unwrap_or(0),
        samples: [older, newer],
        rows: [none; PLACES],
    });
    let ids = [MEMORY_METRIC, BUSY_METRIC].into_iter().chain(UNIT_METRICS);
    for (metric, id) in metrics.rows.iter_mut().zip(ids) {
        metric.id = id;
    }
    call!(nvml, c"nvmlGpmMetricsGet"(&raw mut *metrics => *mut Metrics))?;
    let [memory, busy, units @ ..] = thousandths(&metrics.rows);
    let memory = memory.ok_or("the device does not count its memory")?;
    Ok(Window { memory, busy, units, ..Window::default() })
}

/// The metrics that were asked for, which NVML gives in percent; `None` for those that it does not have.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most 1000, and not negative"
)]
fn thousandths(metrics: &[Metric]) -> [Option<u16>; METRICS] {
    let mut res = [None; METRICS];
    for (to, metric) in res.iter_mut().zip(metrics) {
        let is_there = metric.result == 0 && metric.value.is_finite() && 0.0 <= metric.value;
        *to = is_there.then(|| (metric.value * 10.0).round().min(1000.0) as u16);
    }
    res
}

/// Windows of one length, which is doubled when there are too many.
#[derive(Debug)]
struct Kept {
    windows: Vec<Window>,
    /// Looks that one of them is made of.
    each: u32,
    /// The one that is not complete, and of how many it is made.
    open: Option<(Window, u32)>,
}

impl Kept {
    fn new() -> Self {
        Self { windows: Vec::new(), each: 1, open: None }
    }

    fn add(&mut self, window: Window) {
        let (open, looks) = match self.open.take() {
            Some((open, looks)) if window.from_ns.saturating_sub(open.until_ns) < CLOSE_NS => {
                (open.and(window), looks + 1)
            }
            // Nothing is known of what was between them.
            before => {
                self.windows.extend(before.map(|(open, _)| open));
                (window, 1)
            }
        };
        if looks < self.each {
            self.open = Some((open, looks));
        } else {
            self.windows.push(open);
        }
        if MOST <= self.windows.len() {
            self.merge();
        }
    }

    fn merge(&mut self) {
        self.each = self.each.saturating_mul(2);
        let mut all = std::mem::take(&mut self.windows).into_iter().peekable();
        while let Some(first) = all.next() {
            let is_close = |next: &Window| next.from_ns.saturating_sub(first.until_ns) < CLOSE_NS;
            self.windows.push(all.next_if(is_close).map_or(first, |next| first.and(next)));
        }
        // Windows with gaps between each two: a device that hardly answers. The older half is left out.
        if MOST <= self.windows.len() {
            self.windows.drain(..MOST / 2);
        }
    }
}

impl Window {
    /// How long it is.
    pub fn ns(&self) -> u64 {
        self.until_ns.saturating_sub(self.from_ns)
    }

    /// This one and the next one as one.
    fn and(self, next: Self) -> Self {
        let (own, others) = (u128::from(self.ns()), u128::from(next.ns()));
        let mean = |a: u16, b: u16| {
            let sum = u128::from(a) * own + u128::from(b) * others;
            u16::try_from(sum / (own + others).max(1)).unwrap_or(u16::MAX)
        };
        let both = |a: Option<u16>, b: Option<u16>| a.zip(b).map(|(a, b)| mean(a, b));
        let mut units = self.units;
        for (unit, other) in units.iter_mut().zip(next.units) {
            *unit = both(*unit, other);
        }
        Self {
            from_ns: self.from_ns,
            until_ns: next.until_ns,
            memory: mean(self.memory, next.memory),
            busy: both(self.busy, next.busy),
            units,
        }
    }
}

fn now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn window(from_ms: u64, until_ms: u64, memory: u16) -> Window {
        Window { from_ns: from_ms * MS, until_ns: until_ms * MS, memory, ..Window::default() }
    }

    #[test]
    fn two_windows_are_one_by_their_lengths() {
        assert_eq!(window(0, 100, 900).and(window(100, 400, 100)), window(0, 400, 300));
        assert_eq!(window(5, 5, 900).and(window(5, 5, 100)).memory, 0, "nothing was counted");
    }

    #[test]
    fn a_long_run_has_longer_windows() {
        let mut kept = Kept::new();
        for at in 0..5 * MOST as u64 {
            kept.add(window(100 * at, 100 * at + 100, 500));
        }
        assert!((MOST / 2..=MOST).contains(&kept.windows.len()), "{}", kept.windows.len());
        let mut lengths: Vec<u64> = kept.windows.iter().map(Window::ns).collect();
        lengths.dedup();
        assert_eq!(lengths, [800 * MS], "all of one length");
        assert!(kept.windows.iter().all(|it| it.memory == 500));
    }

    #[test]
    fn nothing_is_made_up_for_gaps() {
        let mut kept = Kept::new();
        for at in 0..5 * MOST as u64 {
            kept.add(window(1000 * at, 1000 * at + 100, 500));
        }
        assert!(kept.windows.len() < MOST);
        assert!(kept.windows.iter().all(|it| it.ns() == 100 * MS));
    }

    #[test]
    fn what_a_device_does_not_count_is_no_zero() {
        let names = [std::ptr::null(); 3];
        let metric = |result, value| Metric { id: 1, result, value, names };
        let mut metrics = [metric(0, 0.0); METRICS];
        (metrics[0], metrics[1]) = (metric(0, 71.26), metric(3, 50.0));
        (metrics[2], metrics[3]) = (metric(0, f64::NAN), metric(0, 250.0));
        assert_eq!(thousandths(&metrics)[..5], [Some(713), None, None, Some(1000), Some(0)]);
    }
}
