//! What is simulated: `CUDA_SIM="key=value,..."`. A key that does not exist, or a value that cannot be, ends the program with a
//! sentence: a test with a typing error must not pass.

use crate::engine::Ns;

/// Environment variable with the settings.
pub const SETTINGS: &str = "CUDA_SIM";
/// Environment variable with the path of a file that says what kernels cost.
pub const MODEL: &str = "CUDA_SIM_MODEL";
/// Environment variable with the path that the log of what really happened is written to.
pub const TRUTH: &str = "CUDA_SIM_TRUTH";

/// Number of the bus of the first device; each has one of its own.
pub const FIRST_BUS: u32 = 0x17;

/// Rates of copies between host and device, in bytes per ns (GB/s).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// From and to memory that the driver has pinned.
    pub pinned: f64,
    /// From and to any other memory of the host.
    pub pageable: f64,
}

/// The simulated machine.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "switches of one test each")]
pub struct Settings {
    /// Time passes by what is simulated alone, and nothing really waits.
    pub is_virtual: bool,
    /// Waits of the host spin.
    pub spins: bool,
    /// Host to device.
    pub h2d: Link,
    /// Device to host.
    pub d2h: Link,
    /// Within the device, in bytes per ns.
    pub d2d: f64,
    /// What every copy takes before its first byte.
    pub copy_latency_ns: Ns,
    /// Host time of a call.
    pub call_ns: Ns,
    /// Host time of a launch.
    pub launch_ns: Ns,
    /// The shortest kernel.
    pub kernel_ns: Ns,
    /// Host time of an allocation that is not ordered by a stream.
    pub alloc_ns: Ns,
    /// Arithmetic peak in FLOP per ns.
    pub flops: f64,
    /// Bandwidth of the device's memory in bytes per ns.
    pub bandwidth: f64,
    /// Streaming multiprocessors.
    pub processors: u32,
    /// Operations that a stream takes before a launch blocks.
    pub depth: usize,
    /// Devices.
    pub devices: u32,
    /// What `cuInit` returns.
    pub init: i32,
    /// Version of the driver and of CUPTI, as `12080`.
    pub version: u32,
    /// Memory of the device in bytes.
    pub memory: u64,
    /// Bytes are really moved.
    pub has_data: bool,
    /// Allocations ordered by streams.
    pub has_pools: bool,
    /// What CUPTI refuses with; 0 if it does not.
    pub cupti: i32,
    /// CUPTI's records come in any order.
    pub is_shuffled: bool,
    /// Every so many-th of CUPTI's records is dropped; 0 for none.
    pub drop_every: u32,
    /// Records have no times.
    pub has_no_times: bool,
    /// The device is kept below its clock by a limit of its power.
    pub has_power_cap: bool,
    /// The device has the counters that NVML's GPM tells, as newer ones have; and it is divided into instances.
    pub has_counters: bool,
    /// See `has_counters`.
    pub is_divided: bool,
    /// Another process that computes on the device, as NVML has it.
    pub neighbor: Option<u32>,
    /// Calls are named on stderr.
    pub is_traced: bool,
}

impl Default for Settings {
    /// About an H100 on a fast bus.
    fn default() -> Self {
        Self {
            is_virtual: false,
            spins: false,
            h2d: Link { pinned: 25.0, pageable: 6.0 },
            d2h: Link { pinned: 25.0, pageable: 5.0 },
            d2d: 1_500.0,
            copy_latency_ns: 8_000,
            call_ns: 200,
            launch_ns: 4_000,
            kernel_ns: 1_500,
            alloc_ns: 50_000,
            flops: 60_000.0,
            bandwidth: 3_000.0,
            processors: 132,
            depth: 1_024,
            devices: 1,
            init: 0,
            version: 12_080,
            memory: 80 << 30,
            has_data: true,
            has_pools: true,
            cupti: 0,
            is_shuffled: false,
            drop_every: 0,
            has_no_times: false,
            has_power_cap: false,
            has_counters: true,
            is_divided: false,
            neighbor: None,
            is_traced: false,
        }
    }
}

impl Settings {
    /// Reads `key=value` pairs, separated by commas; what is not named is as in [`Settings::default`].
    ///
    /// # Errors
    /// A sentence that names the pair.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut res = Self::default();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (key, value) =
                pair.split_once('=').ok_or_else(|| format!("`{pair}` has no `=`"))?;
            res.set(key.trim(), value.trim())
                .ok_or_else(|| format!("`{pair}` is no setting of the simulated driver"))?;
        }
        Ok(res)
    }

    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "clock" => {
                self.is_virtual = match value {
                    "virtual" => true,
                    "real" => false,
                    _ => return None,
                }
            }
            "spin" => self.spins = switch(value)?,
            "h2d_pinned" => self.h2d.pinned = rate(value)?,
            "h2d_pageable" => self.h2d.pageable = rate(value)?,
            "d2h_pinned" => self.d2h.pinned = rate(value)?,
            "d2h_pageable" => self.d2h.pageable = rate(value)?,
            "d2d" => self.d2d = rate(value)?,
            "copy_latency_ns" => self.copy_latency_ns = value.parse().ok()?,
            "call_ns" => self.call_ns = value.parse().ok()?,
            "launch_ns" => self.launch_ns = value.parse().ok()?,
            "kernel_ns" => self.kernel_ns = value.parse().ok()?,
            "alloc_ns" => self.alloc_ns = value.parse().ok()?,
            "flops" => self.flops = rate(value)?,
            "bandwidth" => self.bandwidth = rate(value)?,
            "processors" => self.processors = value.parse().ok().filter(|&it| 0 < it)?,
            "depth" => self.depth = value.parse().ok().filter(|&it| 0 < it)?,
            "devices" => self.devices = value.parse().ok()?,
            "init" => self.init = value.parse().ok()?,
            "version" => self.version = value.parse().ok()?,
            "memory" => self.memory = value.parse().ok()?,
            "data" => self.has_data = switch(value)?,
            "pools" => self.has_pools = switch(value)?,
            "cupti" => self.cupti = value.parse().ok()?,
            "shuffle" => self.is_shuffled = switch(value)?,
            "drop_every" => self.drop_every = value.parse().ok()?,
            "no_times" => self.has_no_times = switch(value)?,
            "power_cap" => self.has_power_cap = switch(value)?,
            "counters" => self.has_counters = switch(value)?,
            "divided" => self.is_divided = switch(value)?,
            "neighbor" => self.neighbor = Some(value.parse().ok()?),
            "trace" => self.is_traced = switch(value)?,
            _ => return None,
        }
        Some(())
    }
}

fn rate(value: &str) -> Option<f64> {
    value.parse().ok().filter(|&rate: &f64| 0.0 < rate && rate.is_finite())
}

fn switch(value: &str) -> Option<bool> {
    match value {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_set() {
        let found = Settings::parse("clock=virtual, h2d_pageable=2.5,cupti=35,data=0").unwrap();
        let h2d = Link { pageable: 2.5, ..Settings::default().h2d };
        let expected =
            Settings { is_virtual: true, h2d, cupti: 35, has_data: false, ..Settings::default() };
        assert_eq!(found, expected);
        assert_eq!(Settings::parse(""), Ok(Settings::default()));
    }

    #[test]
    fn a_typing_error_is_an_error() {
        for (text, part) in [
            ("clokc=virtual", "clokc"),
            ("clock=fast", "clock=fast"),
            ("d2d=0", "d2d=0"),
            ("d2d", "no `=`"),
            ("data=yes", "data=yes"),
        ] {
            let why = Settings::parse(text).unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
    }
}
