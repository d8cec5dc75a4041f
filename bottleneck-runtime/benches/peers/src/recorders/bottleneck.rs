//! Ours, with everything on that a user gets: tree, histograms, switch records.
//!
//! The recording is switched on by the environment, which the parent process sets.

use std::path::Path;

use bottleneck_runtime::bottleneck;
use bottleneck_runtime::format::{ChunkKind, NodeData, SiteRecord, chunk};

use super::{Recorder, Spans};
use crate::functions::functions;

/// Names the folder of the profile.
pub const DIRECTORY_VARIABLE: &str = "BOTTLENECK_RUN_DIR";

functions!(#[bottleneck]);

/// Records into `folder`.
pub fn start(folder: &Path) -> Result<Recorder, String> {
    if std::env::var_os(DIRECTORY_VARIABLE).is_none_or(|set| Path::new(&set) != folder) {
        return Err(format!("{DIRECTORY_VARIABLE} does not name {}", folder.display()));
    }
    let file = folder.join("run.bneck");
    Ok(Recorder {
        spans: Spans::plain(flat, d1),
        finish: Box::new(move || {
            std::fs::read(&file).map(|profile| Some(calls(&profile))).map_err(|e| e.to_string())
        }),
    })
}

/// Calls of our functions in a profile. The recorder's own calibration span is in there too, under a site of its own.
fn calls(profile: &[u8]) -> u64 {
    let of_kind = |kind| {
        chunk::chunks(profile).filter(move |chunk| ChunkKind::from_number(chunk.kind) == Some(kind))
    };
    let ours: Vec<u32> = of_kind(ChunkKind::Site)
        .filter_map(|chunk| SiteRecord::decode(chunk.payload))
        .filter(|site| site.module == module_path!())
        .map(|site| site.index)
        .collect();
    of_kind(ChunkKind::Nodes)
        .flat_map(|chunk| chunk.payload.chunks_exact(bottleneck_runtime::format::NODE_BYTES))
        .filter_map(NodeData::read)
        .filter(|node| ours.contains(&node.site))
        .map(|node| node.count)
        .sum()
}
