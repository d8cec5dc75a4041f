//! NVML's GPM: which parts of a device were in use between two samples. What was really used is in the log, which the process
//! that uses the device writes, and the one that asks here reads. As on a device it is refreshed every [`REFRESH_NS`] only:
//! a sample is of the last refresh. Without a log, or on a virtual clock, nothing is counted.

use std::ffi::{c_double, c_int, c_uint, c_void};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::{Mutex, PoisonError};

use crate::clock;
use crate::engine::Ns;
use crate::nvml::{INVALID_ARGUMENT, put, settings};
use crate::settings::TRUTH;

const NOT_SUPPORTED: c_int = 3;
/// What is over for so long is asked for by nobody.
const OVER_NS: Ns = 2_000_000_000;
/// Between two refreshes.
const REFRESH_NS: Ns = 100_000_000;
/// Numbers of metrics.
const BUSY: c_uint = 2;
const MEMORY: c_uint = 10;
const F32: c_uint = 12;
const OTHER_UNITS: [c_uint; 4] = [4, 5, 11, 13];

/// What a kernel used, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Used {
    device: usize,
    start: Ns,
    end: Ns,
    memory: f64,
    arithmetic: f64,
    processors: f64,
}

impl Used {
    /// Reads a line of the log; `None` if it is about no kernel.
    fn of(line: &str) -> Option<Self> {
        if !line.contains("\"op\":\"kernel\"") {
            return None;
        }
        let field = |name: &str| {
            let (_, rest) = line.split_once(&format!("\"{name}\":"))?;
            rest.split([',', '}']).next()
        };
        let part = |name| field(name)?.parse().ok();
        Some(Self {
            device: field("device")?.parse().ok()?,
            start: field("start")?.parse().ok()?,
            end: field("end")?.parse().ok()?,
            memory: part("memory")?,
            arithmetic: part("arithmetic")?,
            processors: part("processors")?,
        })
    }
}

/// The part of the log that was read.
#[derive(Debug, Default)]
struct Log {
    read: u64,
    /// The last line, as long as it is not whole.
    rest: String,
    used: Vec<Used>,
}

static LOG: Mutex<Log> = Mutex::new(Log { read: 0, rest: String::new(), used: Vec::new() });

impl Log {
    /// Reads what was written since. Nothing where there is no log.
    fn read_on(&mut self) -> Option<()> {
        let mut file = File::open(std::env::var_os(TRUTH)?).ok()?;
        file.seek(SeekFrom::Start(self.read)).ok()?;
        let mut text = std::mem::take(&mut self.rest);
        let before = text.len() as u64;
        file.read_to_string(&mut text).ok()?;
        self.read += text.len() as u64 - before;
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        self.used.extend(text[..whole].lines().filter_map(Used::of));
        text[whole..].clone_into(&mut self.rest);
        Some(())
    }

    /// The mean of something from one moment to another.
    #[expect(clippy::cast_precision_loss, reason = "seconds of a test")]
    fn mean(&self, device: usize, from: Ns, until: Ns, of: impl Fn(&Used) -> f64) -> f64 {
        let one = |it: &Used| {
            let ns = it.end.min(until).saturating_sub(it.start.max(from));
            ns as f64 * of(it)
        };
        let used = self.used.iter().filter(|it| it.device == device);
        (used.map(one).sum::<f64>() / until.saturating_sub(from).max(1) as f64).min(1.0)
    }
}

fn is_counted() -> bool {
    let settings = settings();
    settings.has_counters && !settings.is_virtual && std::env::var_os(TRUTH).is_some()
}

/// When a sample was taken, and of which device.
#[derive(Debug, Default)]
struct Sample {
    device: usize,
    at: Ns,
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigMode(_device: usize, now: *mut c_uint, later: *mut c_uint) -> c_int {
    let is_divided = c_uint::from(settings().is_divided);
    put(now, is_divided).max(put(later, is_divided))
}

/// By NVML's header.
#[repr(C)]
struct Support {
    version: c_uint,
    is_supported: c_uint,
}

#[unsafe(no_mangle)]
extern "C" fn nvmlGpmQueryDeviceSupport(_device: usize, to: *mut Support) -> c_int {
    // SAFETY: by the contract of the function null or a support.
    match unsafe { to.as_mut() } {
        Some(support) if support.version == 1 => {
            support.is_supported = c_uint::from(is_counted());
            0
        }
        _ => INVALID_ARGUMENT,
    }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlGpmSampleAlloc(to: *mut *mut c_void) -> c_int {
    if to.is_null() {
        return INVALID_ARGUMENT;
    }
    put(to, Box::into_raw(Box::<Sample>::default()).cast())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlGpmSampleFree(sample: *mut c_void) -> c_int {
    if sample.is_null() {
        return INVALID_ARGUMENT;
    }
    // SAFETY: by the contract of the function made above, and not used any more.
    drop(unsafe { Box::from_raw(sample.cast::<Sample>()) });
    0
}

#[unsafe(no_mangle)]
extern "C" fn nvmlGpmSampleGet(device: usize, sample: *mut c_void) -> c_int {
    if !is_counted() {
        return NOT_SUPPORTED;
    }
    // Handles of devices are numbers from 1.
    let now = clock::monotonic();
    let at = now - now % REFRESH_NS;
    put(sample.cast::<Sample>(), Sample { device: device.saturating_sub(1), at })
}

/// By NVML's header.
#[repr(C)]
struct Metric {
    id: c_uint,
    result: c_int,
    value: c_double,
    names: [*const c_void; 3],
}

/// By NVML's header; the metrics lie behind it.
#[repr(C)]
struct Request {
    version: c_uint,
    count: c_uint,
    samples: [*const Sample; 2],
}

#[unsafe(no_mangle)]
extern "C" fn nvmlGpmMetricsGet(request: *mut Request) -> c_int {
    // SAFETY: by the contract of the function null or a request.
    let Some(asked) = (unsafe { request.as_ref() }).filter(|it| it.version == 1) else {
        return INVALID_ARGUMENT;
    };
    // SAFETY: by the contract of the function null or samples that were taken.
    let [Some(first), Some(last)] = asked.samples.map(|it| unsafe { it.as_ref() }) else {
        return INVALID_ARGUMENT;
    };
    if last.at <= first.at || last.device != first.device {
        return INVALID_ARGUMENT;
    }
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    if log.read_on().is_none() {
        return NOT_SUPPORTED;
    }
    log.used.retain(|it| first.at <= it.end.saturating_add(OVER_NS));
    // SAFETY: by the contract of the function as many metrics as named lie behind the head of the request.
    let metrics = unsafe {
        std::slice::from_raw_parts_mut(request.add(1).cast::<Metric>(), asked.count as usize)
    };
    for metric in metrics {
        let part = |of: fn(&Used) -> f64| Some(log.mean(first.device, first.at, last.at, of));
        let value = match metric.id {
            BUSY => part(|it| it.processors),
            MEMORY => part(|it| it.memory),
            F32 => part(|it| it.arithmetic),
            id if OTHER_UNITS.contains(&id) => Some(0.0),
            _ => None,
        };
        metric.result = if value.is_some() { 0 } else { NOT_SUPPORTED };
        metric.value = 100.0 * value.unwrap_or_default();
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kernels_used_counts_for_the_time_that_they_ran() {
        let line = "{\"op\":\"kernel\",\"name\":\"k\",\"device\":0,\"memory\":0.8000,\"arithmetic\":0.1,\"processors\":1,\
                    \"corr\":3,\"stream\":7,\"start\":100,\"end\":300}";
        let used = Used::of(line).unwrap();
        assert_eq!((used.start, used.end), (100, 300));
        let log = Log { used: vec![used], ..Log::default() };
        let mean = |from, until| log.mean(0, from, until, |it| it.memory);
        assert!((mean(200, 400) - 0.4).abs() < 1e-9 && mean(300, 400) == 0.0);
        assert!((log.mean(1, 100, 300, |it| it.memory)).abs() < 1e-9, "another device");
        assert_eq!(Used::of("{\"op\":\"set\",\"start\":1}"), None);
    }
}
