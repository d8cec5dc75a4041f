//! Recordings as files, good and bad, made without a program that records.

use std::fs;
use std::path::Path;

use bottleneck_runtime::format::{
    HEADER_BYTES, MAJOR, MINOR, NodeData, SiteRecord, TreeData, tree,
};

#[expect(
    dead_code,
    unreachable_pub,
    reason = "the kit of the crate's own tests, of which a part is needed here"
)]
#[path = "../../src/profile/image.rs"]
mod image;

use image::Image;

/// A run of 100 ms on one thread: `serve` for 80 ms, `step` in it for 30.
pub(crate) fn good() -> Vec<u8> {
    with(|_| ())
}

/// The same, changed before it is written.
fn with(change: impl FnOnce(&mut Image)) -> Vec<u8> {
    const MS: u64 = 1_000_000;
    let mut image = Image::new();
    let start = image.header.start_ns;
    (image.header.last_ticks, image.header.last_ns) = (start + 100 * MS, start + 100 * MS);
    image.header.end_ns = start + 100 * MS;
    image.anchors(&[(start, start), (start + 100 * MS, start + 100 * MS)]);
    for (index, name) in [(1, "serve"), (2, "step")] {
        let site = SiteRecord {
            id: index.into(),
            index,
            line: 7,
            name,
            module: "app",
            ..SiteRecord::default()
        };
        image.site(&SiteRecord { file: "src/main.rs", ..site });
    }
    let root = image.slab(3);
    let (serve, step) = (root + 4, root + 8);
    image.node(root, &NodeData { first_child: serve, ..NodeData::default() });
    let call = |ns| NodeData { count: 1, total: ns, min: ns, max: ns, ..NodeData::default() };
    image.node(
        serve,
        &NodeData { site: 1, parent: root, first_child: step, depth: 1, ..call(80 * MS) },
    );
    image.node(step, &NodeData { site: 2, parent: serve, depth: 2, ..call(30 * MS) });
    let (name_0, name_1) = image::thread_name("main");
    image.tree(&TreeData {
        root,
        tid: 4242,
        source: tree::SOURCE_SWITCHES,
        flags: tree::FLAG_IN_USE | tree::FLAG_MAIN,
        threads: 1,
        name_0,
        name_1,
        first_ns: start,
        attached_ns: start,
        ..TreeData::default()
    });
    change(&mut image);
    image.finish()
}

/// Of another major version.
pub(crate) fn other_major() -> Vec<u8> {
    with(|image| image.header.version = u32::from(MAJOR) + 1)
}

/// Of a later minor version.
pub(crate) fn newer_minor() -> Vec<u8> {
    with(|image| image.header.version = u32::from(MAJOR) | (u32::from(MINOR) + 7) << 16)
}

/// As a machine of the other byte order would have written it.
pub(crate) fn foreign_endian() -> Vec<u8> {
    let mut bytes = good();
    bytes[..8].reverse();
    bytes
}

/// With two links that lead nowhere.
pub(crate) fn damaged() -> Vec<u8> {
    with(|image| {
        let root = image.slab(1);
        image.node(root, &NodeData { first_child: 7, ..NodeData::default() });
        let other = TreeData { source: tree::SOURCE_SWITCHES, ..TreeData::default() };
        image.tree(&TreeData { root, ..other });
        image.tree(&TreeData { root: 9, ..other });
    })
}

/// Cut within its header.
pub(crate) fn torn() -> Vec<u8> {
    good()[..200].to_vec()
}

/// A file that claims to hold more than any recording, all of it a hole.
pub(crate) fn huge(path: &Path) {
    let bytes = with(|_| ());
    let mut bytes = bytes[..HEADER_BYTES].to_vec();
    let used = std::mem::offset_of!(bottleneck_runtime::format::Header, used);
    bytes[used..used + 8].copy_from_slice(&(64_u64 << 30).to_ne_bytes());
    fs::write(path, bytes).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_len(64 << 30).unwrap();
}
