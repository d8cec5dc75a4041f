//! The functions of the test program itself, and files that are not to be trusted.

use std::hint::black_box;

use super::*;
use crate::profile::builder::ProfileBuilder;
use crate::profile::sampling::{Code, Counted, Sampling};
use crate::profile::{RowIdx as _, SpanIdx};

/// What [`named`] is looked up by.
#[inline(never)]
extern "C" fn known(n: u64) -> u64 {
    black_box(n).wrapping_mul(3)
}

fn maps() -> Vec<Mapping> {
    let text = std::fs::read_to_string("/proc/self/maps").unwrap();
    let is_code = |line: &&str| line.split_whitespace().nth(1).is_some_and(|it| it.contains('x'));
    let mapping = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let (start, end) = words[0].split_once('-').unwrap();
        Mapping {
            start: number(start),
            end: number(end),
            offset: number(words[2]),
            path: words.get(5).copied().unwrap_or_default().to_owned(),
        }
    };
    text.lines().filter(is_code).map(mapping).collect()
}

/// A recording of this very process, sampled at these addresses.
fn profile(sampled: &[u64]) -> Profile {
    let mut profile = ProfileBuilder::new(1_000).span("work", 0..900, |_| ()).build();
    let counted = |&sampled| Counted {
        span: SpanIdx::from_position(0),
        sampled,
        n: 1,
        is_adopted: false,
        spins: false,
    };
    profile.sampling = Some(Sampling {
        counted: sampled.iter().map(counted).collect(),
        code: Code { maps: maps(), blocks: Vec::new() },
        ..Sampling::default()
    });
    profile.build_id = freshness::own_hash();
    // The end of time: no library was written since.
    profile.start_unix_ns = u64::MAX / 4;
    profile
}

#[test]
fn an_instruction_is_in_its_function_and_the_first_one_too() {
    let start = known as *const () as u64;
    let profile = profile(&[start, start + 1, start + 4]);
    let symbols = Symbols::of(&profile);
    for sampled in [start, start + 1, start + 4] {
        let place = symbols.at(sampled).expect("the test program has symbols");
        assert!(place.function.ends_with("symbols::tests::known"), "{place:?}");
        assert!(!place.function.contains("::h"), "{place:?}");
        assert_eq!(place.object, std::env::current_exe().unwrap().to_str().unwrap());
    }
    let place = symbols.at(start + 4).unwrap();
    if let Some(file) = &place.file {
        assert!(!file.is_empty() && place.line.is_some(), "{place:?}");
    }
    assert!(symbols.notes().is_empty(), "{:?}", symbols.notes());
}

#[test]
fn functions_of_libraries_are_found_by_their_own_files() {
    let getpid = libc::getpid as *const () as u64;
    let symbols = Symbols::of(&profile(&[getpid, getpid + 2]));
    for sampled in [getpid, getpid + 2] {
        let Some(place) = symbols.at(sampled) else { continue };
        assert!(place.function.contains("getpid"), "{place:?}");
    }
}

#[test]
fn a_program_that_changed_names_nothing_and_says_so_once() {
    let start = known as *const () as u64;
    let getpid = libc::getpid as *const () as u64;
    let mut profile = profile(&[start, start + 4, getpid]);
    profile.build_id ^= 1;
    let symbols = Symbols::of(&profile);
    assert_eq!((symbols.at(start), symbols.at(getpid)), (None, None));
    let [note] = symbols.notes() else { panic!("{:?}", symbols.notes()) };
    assert!(note.contains("has changed since the run") && note.contains("fix: run it again"));
}

#[test]
fn a_library_that_was_written_since_names_nothing() {
    let getpid = libc::getpid as *const () as u64;
    let mut profile = profile(&[getpid]);
    profile.start_unix_ns = 0;
    let symbols = Symbols::of(&profile);
    assert_eq!(symbols.at(getpid), None);
    assert_eq!(symbols.notes().len(), 1, "{:?}", symbols.notes());
}

#[test]
fn addresses_without_a_file_and_files_that_are_no_binaries_are_survived() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("no-elf");
    std::fs::write(&file, "text").unwrap();
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    for cut in [64, 4_096, own.len() / 2] {
        std::fs::write(folder.path().join(format!("cut-{cut}")), &own[..cut]).unwrap();
    }
    let mut profile = profile(&[0, 1, 150, 250, 350, 450, 550, 650, u64::MAX]);
    let Some(sampling) = &mut profile.sampling else { unreachable!() };
    let paths = ["[vdso]", "", "/memfd:jit (deleted)", "/nowhere/at/all", "no-elf", "cut-64"];
    let fake = paths.iter().enumerate().map(|(at, path)| Mapping {
        start: 100 * (at as u64 + 1),
        end: 100 * (at as u64 + 2),
        offset: 0,
        path: if path.contains('-') {
            folder.path().join(path).to_str().unwrap().to_owned()
        } else {
            (*path).to_owned()
        },
    });
    sampling.code.maps = fake.chain(std::mem::take(&mut sampling.code.maps)).collect();
    let symbols = Symbols::of(&profile);
    assert!(sampling_addresses(&profile).all(|sampled| symbols.at(sampled).is_none()));
    for cut in [64, 4_096, own.len() / 2] {
        let path = folder.path().join(format!("cut-{cut}"));
        let addresses = (0..own.len() as u64).step_by(own.len() / 50).map(|at| (at, at));
        drop(Binary::places(&path, addresses));
    }
}

fn sampling_addresses(profile: &Profile) -> impl Iterator<Item = u64> {
    profile.sampling.iter().flat_map(|it| &it.counted).map(|counted| counted.sampled)
}
