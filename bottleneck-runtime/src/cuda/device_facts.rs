//! What the driver says of devices before they do anything: numbers, names, attributes.

use core::ffi::CStr;
use std::fmt::Write as _;

use super::functions::Driver;
use super::works::Works;

/// Devices whose attributes are written down.
const MOST_DEVICES: i32 = 64;
/// What is asked of each, by the driver's numbers.
const ATTRIBUTES: [(&str, u32); 12] = [
    ("multiprocessors", 16),
    ("clock_khz", 13),
    ("memory_clock_khz", 36),
    ("memory_bus_bits", 37),
    ("l2_bytes", 38),
    ("capability_major", 75),
    ("capability_minor", 76),
    ("copy_engines", 40),
    ("is_integrated", 18),
    ("pci_domain", 50),
    ("pci_bus", 33),
    ("pci_device", 34),
];

/// Writes it down for each device. Makes no context.
pub(super) fn note(driver: Driver, works: &Works) {
    let (Some(get_count), Some(get_attribute)) =
        (driver.device_get_count, driver.device_get_attribute)
    else {
        return;
    };
    let mut count = 0;
    // SAFETY: by NVIDIA's headers; the program has initialized the driver.
    if unsafe { get_count(&raw mut count) } != 0 {
        return;
    }
    for number in 0..count.min(MOST_DEVICES) {
        let mut text = format!("number={number}\nname={}\n", name(driver, number));
        for (name, attribute) in ATTRIBUTES {
            let mut value = 0;
            // SAFETY: as above.
            if unsafe { get_attribute(&raw mut value, attribute, number) } == 0 {
                let _ = writeln!(text, "{name}={value}");
            }
        }
        works.note_device(&text);
    }
}

fn name(driver: Driver, number: i32) -> String {
    let mut name = [0_u8; 128];
    let get_name = driver.device_get_name;
    // SAFETY: the text fits into the bytes, by their number, and ends with a zero.
    let is_known =
        get_name.is_some_and(|get| unsafe { get(name.as_mut_ptr().cast(), 127, number) } == 0);
    let text = CStr::from_bytes_until_nul(&name).ok().filter(|_| is_known);
    // A line in the recording.
    text.map_or(String::new(), |it| it.to_string_lossy().replace('\n', " "))
}
