//! The measured ceilings of a machine as the analysis needs them.

use super::ceilings::{Ceilings, Peak, Range};
use crate::machine::{self, Interval, VectorWidth};
use crate::profile::Dtype;
use crate::units::{BytesPerSec, FlopsPerSec};

impl Ceilings {
    /// The ceilings for `threads` threads, see [`super::working_threads`]: what was measured with so many, else with the
    /// next larger number, and then an equal part of it for each thread.
    ///
    /// # Errors
    /// Nothing was measured; the text says why.
    pub fn of_machine(measured: &machine::Ceilings, threads: u32) -> Result<Self, String> {
        let threads = threads.max(1);
        let part = |n: u32| f64::from(threads) / f64::from(n.max(1));
        let dram = measured.dram_read(threads);
        let mut res = Self {
            dram_read: dram.map(|dram| {
                range(dram.bandwidth.map(BytesPerSec::get)).scaled(part(dram.threads).min(1.0))
            }),
            // Measured with one thread; each core has its own, but for the last level.
            cache_read: measured
                .cache_read
                .iter()
                .map(|cache| {
                    range(cache.bandwidth.map(BytesPerSec::get)).scaled(f64::from(threads))
                })
                .collect(),
            peaks: Vec::new(),
            threads: Some(threads),
            measured: dram.map(|dram| dram.measurement.method.clone()).unwrap_or_default(),
            load_times: None,
            page_fault_ns: None,
        };
        for (width, name, lanes) in [
            (VectorWidth::Scalar, "scalar", 1),
            (VectorWidth::Bits128, "128 bit", 4),
            (VectorWidth::Bits256, "256 bit", 8),
            (VectorWidth::Bits512, "512 bit", 16),
        ] {
            if let Some(peak) = measured.fma_f32(width, threads) {
                res.peaks.push(Peak {
                    dtype: Dtype::F32,
                    unit: name.to_owned(),
                    lanes,
                    rate: range(peak.peak.map(FlopsPerSec::get))
                        .scaled(part(peak.threads).min(1.0)),
                });
            }
        }
        if res.dram_read.is_none() && res.peaks.is_empty() {
            let why: Vec<String> = measured.unavailable.iter().map(ToString::to_string).collect();
            return Err(if why.is_empty() {
                "nothing was measured".to_owned()
            } else {
                why.join("; ")
            });
        }
        Ok(res)
    }
}

fn range(interval: Interval<f64>) -> Range {
    Range { min: interval.min, median: interval.median, max: interval.max }
}
