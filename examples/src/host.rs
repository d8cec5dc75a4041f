//! What an example must know about the machine to choose the size of its data.
//!
//! Reads `/sys` and `/proc` only. A fact that the system does not tell is `None`, never a guess.

use std::fs;
use std::path::{Path, PathBuf};

/// Assumed where the system does not tell the size of its caches.
const USUAL_CACHE: u64 = 32 << 20;

/// Bytes of the largest cache that the first core uses.
#[must_use]
pub fn last_level_cache() -> Option<u64> {
    let entries = fs::read_dir("/sys/devices/system/cpu/cpu0/cache").ok()?;
    entries
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("size")).ok())
        .filter_map(|text| parse_size(&text))
        .max()
}

/// Bytes that can be allocated without swapping, within the limit of the control group.
#[must_use]
pub fn available_memory() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let free = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024;
    let limit = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok());
    Some(limit.map_or(free, |limit| free.min(limit)))
}

/// Bytes of a matrix that no cache holds, so that every pass over it streams from memory: four times the last-level
/// cache and at least 512 MiB, but no more than half of the available memory.
#[must_use]
pub fn streamed_bytes() -> u64 {
    let wanted = (4 * last_level_cache().unwrap_or(USUAL_CACHE)).max(512 << 20);
    available_memory().map_or(wanted, |available| wanted.min(available / 2))
}

/// The folder for large generated files: the cargo target directory that holds this program, else the folder for
/// temporary files.
#[must_use]
pub fn data_directory() -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|program| target_directory(&program))
        .unwrap_or_else(std::env::temp_dir)
}

/// Cargo marks its target directory with a `CACHEDIR.TAG`.
fn target_directory(program: &Path) -> Option<PathBuf> {
    program
        .ancestors()
        .skip(1)
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .map(Path::to_path_buf)
}

/// Parses the sizes of `/sys/.../cache/index*/size`: `48K`, `266240K`, `32M`.
fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_sizes_are_parsed_with_their_unit() {
        assert_eq!(parse_size("48K\n"), Some(49_152));
        assert_eq!(parse_size("32M"), Some(33_554_432));
        assert_eq!(parse_size("512"), Some(512));
        assert_eq!(parse_size("K"), None);
        assert_eq!(parse_size("4X"), None);
    }

    #[test]
    fn what_streams_is_larger_than_the_caches_or_takes_half_of_the_memory() {
        let bytes = streamed_bytes();
        let is_large = last_level_cache().is_none_or(|cache| 4 * cache <= bytes);
        assert!(is_large || available_memory().is_some_and(|available| bytes <= available));
    }

    #[test]
    fn a_test_program_lies_in_a_target_directory() {
        let program = std::env::current_exe().unwrap();
        if let Some(found) = target_directory(&program) {
            assert!(program.starts_with(&found));
        }
        assert_eq!(target_directory(Path::new("/")), None);
    }
}
