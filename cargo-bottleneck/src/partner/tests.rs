//! The partner on files that tests write as a program would.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use bottleneck_runtime::format::recipes::{HAS_ADDRESS, NO_REGISTER, SLOTS, slot_of};
use bottleneck_runtime::format::{AccessesData, CHUNK_HEAD_BYTES, ChunkKind, RecipeData, samples};
use tempfile::TempDir;

use super::*;
use crate::profile::image::Image;

const CODE: u64 = 0x5555_0000_1100;
/// xor eax, eax; mov rbx, [rdi + rcx*8 + 16]; add rax, rbx; syscall; ret
const BYTES: [u8; 14] =
    [0x31, 0xC0, 0x48, 0x8B, 0x5C, 0xCF, 0x10, 0x48, 0x01, 0xD8, 0x0F, 0x05, 0xC3, 0x90];
const BEHIND_LOAD: u64 = CODE + 7;
const BEHIND_SYSCALL: u64 = CODE + 12;

/// A recording that goes on, and where its tables are.
struct Program {
    folder: TempDir,
    file: File,
    samples: u64,
    code: u64,
    accesses: u64,
    recipes: u64,
    n_samples: u64,
}

impl Program {
    fn new(maps: Option<&str>) -> Self {
        let mut image = Image::new();
        image.text(ChunkKind::Capability, "sampling\n1\n");
        let samples = image.chunk(ChunkKind::Samples, 0, &vec![0; 64 + samples::SLOTS * 32]);
        let code = image.chunk(ChunkKind::Code, 0, &vec![0; 4 * 272]);
        let recipes = image.chunk(ChunkKind::Recipes, 0, &vec![0; SLOTS * 32]);
        if let Some(maps) = maps {
            image.text(ChunkKind::Maps, maps);
        }
        let accesses = image.chunk(ChunkKind::Accesses, 0, &[0; 128]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("77-1.bneck");
        std::fs::write(&path, image.finish()).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let [samples, code, accesses, recipes] =
            [samples, code, accesses, recipes].map(|at| at as u64);
        Self { folder, file, samples, code, accesses, recipes, n_samples: 0 }
    }

    fn watch(&self) -> Watch {
        Watch::new(self.folder.path().to_owned(), None)
    }

    fn sample(&mut self, slot: u64, address: u64) {
        let at = self.samples + 64 + slot * 32;
        self.file.write_all_at(&address.to_ne_bytes(), at + 8).unwrap();
        self.file.write_all_at(&1_u64.to_ne_bytes(), at + 16).unwrap();
        self.n_samples += 1;
        self.file.write_all_at(&self.n_samples.to_ne_bytes(), self.accesses + 24).unwrap();
    }

    fn copy_code(&self) {
        let head = [&CODE.to_ne_bytes()[..], &[0; 4], &14_u32.to_ne_bytes(), &BYTES].concat();
        self.file.write_all_at(&head, self.code).unwrap();
        let aux = self.code - CHUNK_HEAD_BYTES as u64 + 4;
        self.file.write_all_at(&1_u32.to_ne_bytes(), aux).unwrap();
    }

    fn accesses(&self) -> AccessesData {
        let mut bytes = [0; 128];
        self.file.read_exact_at(&mut bytes, self.accesses).unwrap();
        AccessesData::read(&bytes).unwrap()
    }

    fn recipe(&self, sampled: u64) -> RecipeData {
        let mut bytes = [0; 32];
        let at = self.recipes + slot_of(sampled) as u64 * 32;
        self.file.read_exact_at(&mut bytes, at).unwrap();
        RecipeData::read(&bytes).unwrap()
    }
}

#[test]
fn recipes_come_once_there_are_samples_and_code() {
    let mut program = Program::new(None);
    let mut watch = program.watch();
    assert!(watch.look(), "a recording was found");
    assert_eq!(program.accesses().partner, 1);
    assert!(!watch.look(), "nothing was sampled");
    program.sample(5, BEHIND_LOAD);
    assert!(watch.look(), "an instruction waits for its code");
    assert_eq!(program.recipe(BEHIND_LOAD), RecipeData::default());
    program.copy_code();
    program.sample(900, BEHIND_SYSCALL);
    assert!(watch.look());
    let expected = RecipeData {
        sampled: BEHIND_LOAD,
        displacement: 16,
        registers: 7 | 1 << 8 | 3 << 16,
        flags: HAS_ADDRESS,
        ready: 1,
        reserved: 0,
    };
    assert_eq!(program.recipe(BEHIND_LOAD), expected);
    let kernel = RecipeData {
        sampled: BEHIND_SYSCALL,
        registers: NO_REGISTER | NO_REGISTER << 8,
        ready: 1,
        ..RecipeData::default()
    };
    assert_eq!(program.recipe(BEHIND_SYSCALL), kernel);
    assert!(!watch.look() && watch.problem.is_none());
    // Another partner goes on where this one was.
    program.sample(5, BEHIND_LOAD);
    let mut other = program.watch();
    other.look();
    assert_eq!(program.recipe(BEHIND_LOAD), expected);
    assert!(!other.look(), "both are known");
}

#[test]
fn code_that_the_program_does_not_copy_is_read_from_the_disk() {
    let binary = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(binary.path(), [&[0x90; 64][..], &BYTES].concat()).unwrap();
    let maps = format!(
        "{:x}-{:x} r-xp 00000020 08:01 9 {}\n",
        CODE - 32,
        CODE + 4064,
        binary.path().display()
    );
    let mut program = Program::new(Some(&maps));
    let mut watch = program.watch();
    program.sample(0, BEHIND_LOAD);
    program.sample(1, 0x1234);
    let looks = (0..20).take_while(|_| watch.look()).count();
    assert!((5..12).contains(&looks), "given up after {looks} looks");
    assert_eq!((program.recipe(BEHIND_LOAD).ready, program.recipe(0x1234).ready), (1, 0));
}

#[test]
fn a_recording_that_ends_or_shrinks_is_left_alone() {
    let program = Program::new(None);
    let mut watch = program.watch();
    watch.look();
    let end = std::mem::offset_of!(bottleneck_runtime::format::Header, end_ns);
    program.file.write_all_at(&9_u64.to_ne_bytes(), end as u64).unwrap();
    watch.look();
    assert!(watch.recordings.is_empty() && watch.problem.is_none());

    let mut program = Program::new(None);
    let mut watch = program.watch();
    watch.look();
    program.sample(0, BEHIND_LOAD);
    program.file.set_len(program.accesses + 32).unwrap();
    program.file.set_len(program.samples).unwrap();
    watch.look();
    assert!(watch.recordings.is_empty());
    let problem = watch.problem.unwrap();
    assert!(
        problem.starts_with("where data lie: sampled instructions were not decoded"),
        "{problem}"
    );
}

#[test]
fn what_is_no_recording_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1-1.bneck");
    std::fs::write(&path, vec![7; 9_000]).unwrap();
    std::fs::create_dir(folder.path().join("2-1.bneck")).unwrap();
    let mut watch = Watch::new(folder.path().to_owned(), Some("/nowhere".into()));
    assert!(!watch.look() && watch.recordings.is_empty());
    assert_eq!(std::fs::read(&path).unwrap(), vec![7; 9_000]);
}

#[test]
fn the_thread_ends_with_the_program() {
    let program = Program::new(None);
    let partner = Partner::start(program.folder.path().to_owned(), None);
    while program.accesses().partner == 0 {
        std::thread::yield_now();
    }
    assert_eq!(partner.finish(), None);
}

#[test]
fn one_look_without_news_is_cheap() {
    let mut program = Program::new(None);
    program.copy_code();
    program.sample(0, BEHIND_LOAD);
    let mut watch = program.watch();
    while watch.look() {}
    // The thread's own time: others may have the CPU.
    let cpu = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
    };
    let began = cpu();
    let looks = 50;
    for _ in 0..looks {
        program.sample(0, BEHIND_LOAD);
        watch.look();
    }
    let each = cpu().saturating_sub(began) / looks;
    println!("a look at a full table takes {each:?}");
    // Ten looks a second, in a build without optimization.
    assert!(each.as_micros() < 5_000, "{each:?}");
}
