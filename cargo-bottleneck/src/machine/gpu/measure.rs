//! Measures every device: copies of [`BYTES`] and launches of an empty kernel, each in several windows, by the clock of the host
//! around calls that wait.

use std::time::Instant;

use super::GpuCeilings;
use super::driver::{self, Driver};
use crate::machine::interval::Interval;
use crate::units::{BytesPerSec, Nanos};

/// Large enough that what a call costs is no part of it.
const BYTES: usize = 64 << 20;
/// Windows of each figure; the first, which may load and map things, is left out.
const WINDOWS: usize = 5;
/// Launches of one window: fewer than a stream takes before it blocks.
const LAUNCHES: u32 = 500;
const EMPTY: &std::ffi::CStr =
    c".version 6.0\n.target sm_50\n.address_size 64\n.visible .entry empty() { ret; }\n";

/// All devices.
pub(super) fn all(
    driver: Driver,
    present: Vec<driver::Present>,
) -> Result<Vec<GpuCeilings>, String> {
    present.into_iter().map(|device| one(driver, device)).collect()
}

fn one(driver: Driver, device: driver::Present) -> Result<GpuCeilings, String> {
    driver.take(device.number)?;
    let (here, there) = (driver.allocate(BYTES)?, driver.allocate(BYTES)?);
    let mut pinned = driver.pin(BYTES)?;
    // Touched: the first access to a page is no part of a copy.
    let mut pageable = vec![1_u8; BYTES];
    Ok(GpuCeilings {
        // Both what is read and what is written.
        memory: rate(2 * BYTES, || there.copy_from_device(&here))?,
        h2d_pinned: rate(BYTES, || here.copy_from_host(pinned.bytes()))?,
        h2d_pageable: rate(BYTES, || here.copy_from_host(&pageable))?,
        d2h_pinned: rate(BYTES, || here.copy_to_host(pinned.bytes()))?,
        d2h_pageable: rate(BYTES, || here.copy_to_host(&mut pageable))?,
        launch: launch(driver).ok(),
        number: device.number,
        name: device.name,
        driver: device.driver,
    })
}

fn rate(
    bytes: usize,
    mut copy: impl FnMut() -> Result<(), String>,
) -> Result<Interval<BytesPerSec>, String> {
    let per_second = |seconds: f64| bytes as f64 / seconds;
    let windows = windows(|| {
        let begin = Instant::now();
        copy()?;
        Ok(per_second(begin.elapsed().as_secs_f64()))
    })?;
    Interval::of(&windows)
        .map(|it| it.map(BytesPerSec))
        .ok_or_else(|| "a copy took no time".to_owned())
}

/// Host time of one launch; without waiting for the device.
fn launch(driver: Driver) -> Result<Interval<Nanos>, String> {
    let kernel = driver.kernel(EMPTY, c"empty")?;
    let windows = windows(|| {
        let begin = Instant::now();
        for _ in 0..LAUNCHES {
            kernel.launch()?;
        }
        let ns = begin.elapsed().as_secs_f64() * 1e9 / f64::from(LAUNCHES);
        driver.wait()?;
        Ok(ns)
    })?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive time; the cast saturates"
    )]
    let whole = |ns: f64| Nanos(ns as u64);
    Interval::of(&windows).map(|it| it.map(whole)).ok_or_else(|| "a launch took no time".to_owned())
}

fn windows(mut one: impl FnMut() -> Result<f64, String>) -> Result<Vec<f64>, String> {
    let mut res = (0..=WINDOWS).map(|_| one()).collect::<Result<Vec<f64>, String>>()?;
    res.remove(0);
    Ok(res)
}
