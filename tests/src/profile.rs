//! Reads a profile for tests: sums per site and key, straight from the format, without the reader under test elsewhere.

use std::collections::HashMap;
use std::path::Path;

use bottleneck_runtime::format::chunk::chunks;
use bottleneck_runtime::format::header::HeaderData;
use bottleneck_runtime::format::{ChunkKind, NODE_BYTES, NodeData, SiteRecord, u64_at};

/// What was recorded at one site with one key, over all paths and threads. Times are in ns.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// The span's name.
    pub name: String,
    /// Its `key`, or empty.
    pub key: String,
    /// Type of its method, or empty.
    pub owner: String,
    /// Source file.
    pub file: String,
    /// Line in it.
    pub line: u32,
    /// Marked as a request.
    pub is_request: bool,
    /// Marked as asynchronous.
    pub is_async: bool,
    /// The asserted kind, as in the format.
    pub asserted: u8,
    /// Type of the operations, as in the format.
    pub dtype: u8,
    /// Calls that ended.
    pub count: u64,
    /// Time inside; for a future, inside its polls.
    pub busy: f64,
    /// Time between polls.
    pub waiting: f64,
    /// Longest call.
    pub longest: f64,
    /// Polls of a future.
    pub polls: u64,
    /// Futures dropped before they were ready.
    pub cancelled: u64,
    /// Calls that panicked.
    pub panicked: u64,
    /// Declared operations.
    pub flops: f64,
    /// Declared bytes.
    pub bytes: f64,
}

/// Every site and key in the file, in no order.
///
/// # Errors
/// If the file cannot be read or is no profile of this version.
pub fn read(path: &Path) -> std::io::Result<Vec<Recorded>> {
    let file = std::fs::read(path)?;
    let header =
        HeaderData::open(&file).map_err(|error| std::io::Error::other(format!("{error:?}")))?;
    let ticks = header.last_ticks.saturating_sub(header.start_ticks);
    let ns_per_tick = header.last_ns.saturating_sub(header.start_ns) as f64 / ticks.max(1) as f64;
    let mut sites = HashMap::new();
    let mut keys = HashMap::new();
    let mut nodes = Vec::new();
    for chunk in chunks(&file) {
        match ChunkKind::from_number(chunk.kind) {
            Some(ChunkKind::Site) => {
                sites.extend(SiteRecord::decode(chunk.payload).map(|it| (it.index, it)));
            }
            Some(ChunkKind::Key) => {
                let text = String::from_utf8_lossy(chunk.payload.get(8..).unwrap_or_default());
                let text = text.trim_end_matches('\0').to_owned();
                keys.extend(u64_at(chunk.payload, 0).map(|hash| (hash, text)));
            }
            Some(ChunkKind::Nodes) => {
                nodes.extend(chunk.payload.chunks_exact(NODE_BYTES).filter_map(NodeData::read));
            }
            _ => {}
        }
    }
    let mut sums: HashMap<(u32, u64), Recorded> = HashMap::new();
    for node in nodes {
        let Some(site) = sites.get(&node.site) else { continue };
        let sum = sums.entry((node.site, node.key)).or_insert_with(|| Recorded {
            name: site.name.to_owned(),
            key: keys.get(&node.key).cloned().unwrap_or_default(),
            owner: site.owner.to_owned(),
            file: site.file.to_owned(),
            line: site.line,
            is_request: site.is_request,
            is_async: site.is_async,
            asserted: site.asserted,
            dtype: site.dtype,
            ..Recorded::default()
        });
        sum.count += node.count;
        sum.busy += node.total as f64 * ns_per_tick;
        sum.waiting += node.waiting as f64 * ns_per_tick;
        sum.longest = sum.longest.max(node.max as f64 * ns_per_tick);
        sum.polls += node.polls;
        sum.cancelled += node.cancelled;
        sum.panicked += node.panicked;
        sum.flops += node.declared_flops();
        sum.bytes += node.declared_bytes();
    }
    Ok(sums.into_values().collect())
}
