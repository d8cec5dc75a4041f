//! A plain reader of profiles that owes nothing to `cargo-bottleneck`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bottleneck_runtime::format::{
    ChunkKind, GRANULE, HeaderData, NodeData, SiteRecord, TreeData, chunk,
};

use crate::at_site::OwnedSite;

/// A profile, as far as tests look at it.
#[derive(Debug)]
pub struct Recorded {
    /// The header.
    pub header: HeaderData,
    /// The program's trees, without the recorder's own.
    pub trees: Vec<TreeData>,
    /// Nodes by path, such as `main/outer/inner` (thread first, a key behind `#`); those of one path in several trees of a
    /// name are added up.
    pub nodes: BTreeMap<String, NodeData>,
    /// References of the nodes by path; of several trees of a name, that of the last.
    references: BTreeMap<String, u32>,
    /// The same nodes by site and hash of the key.
    pub(crate) sums: BTreeMap<(u32, u64), NodeData>,
    pub(crate) sites: BTreeMap<u32, OwnedSite>,
    pub(crate) keys: BTreeMap<u64, String>,
    /// Bytes of the file.
    pub bytes: usize,
}

impl Recorded {
    /// Reads a profile.
    ///
    /// # Panics
    /// If there is none, which fails the test.
    pub fn read(path: &Path) -> Self {
        let file =
            std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(&file)
    }

    /// Reads the profile of a run's first process.
    pub fn of_run(directory: &Path) -> Self {
        Self::read(&directory.join("run.bneck"))
    }

    fn parse(file: &[u8]) -> Self {
        let header =
            HeaderData::open(file).unwrap_or_else(|error| panic!("not a profile: {error:?}"));
        let mut sites = BTreeMap::new();
        let mut keys = BTreeMap::new();
        let mut trees = Vec::new();
        for chunk in chunk::chunks(file) {
            match ChunkKind::from_number(chunk.kind) {
                Some(ChunkKind::Site) => {
                    let site = SiteRecord::decode(chunk.payload);
                    sites.extend(site.map(|site| (site.index, OwnedSite::from(site))));
                }
                Some(ChunkKind::Key) => {
                    let hash = bottleneck_runtime::format::u64_at(chunk.payload, 0).unwrap_or(0);
                    keys.insert(
                        hash,
                        String::from_utf8_lossy(&chunk.payload[8..chunk.aux as usize]).into_owned(),
                    );
                }
                Some(ChunkKind::Tree) => trees.extend(TreeData::read(chunk.payload)),
                _ => {}
            }
        }
        trees.retain(|tree| tree.flags & bottleneck_runtime::format::tree::FLAG_RECORDER == 0);
        let mut recorded = Self {
            header,
            trees: trees.clone(),
            nodes: BTreeMap::new(),
            references: BTreeMap::new(),
            sums: BTreeMap::new(),
            sites,
            keys,
            bytes: file.len(),
        };
        for tree in &trees {
            recorded.walk(file, tree.root, &tree.name());
        }
        recorded
    }

    fn walk(&mut self, file: &[u8], reference: u32, path: &str) {
        let node = node_at(file, reference);
        self.references.insert(path.to_owned(), reference);
        add_up(self.nodes.entry(path.to_owned()).or_insert_with(none_yet), &node);
        let mut child = node.first_child;
        while child != 0 {
            let data = node_at(file, child);
            add_up(self.sums.entry((data.site, data.key)).or_insert_with(none_yet), &data);
            let key = self.keys.get(&data.key).map(|key| format!("#{key}")).unwrap_or_default();
            let name = self.sites[&data.site].path_name();
            self.walk(file, child, &format!("{path}/{name}{key}"));
            child = data.next_sibling;
        }
    }

    /// The node of a path.
    ///
    /// # Panics
    /// If there is none; says which there are.
    pub fn node(&self, path: &str) -> &NodeData {
        let known = || self.nodes.keys().cloned().collect::<Vec<_>>().join("\n");
        self.nodes.get(path).unwrap_or_else(|| panic!("no node {path} among\n{}", known()))
    }

    /// What snapshots and samples name the node of a path by.
    ///
    /// # Panics
    /// If there is none.
    pub fn reference(&self, path: &str) -> u32 {
        *self.references.get(path).unwrap_or_else(|| panic!("no node {path}"))
    }

    /// Ticks in nanoseconds, by the header's two anchors.
    pub fn ns(&self, ticks: u64) -> f64 {
        let header = &self.header;
        let rate = (header.last_ns - header.start_ns) as f64
            / (header.last_ticks - header.start_ticks) as f64;
        ticks as f64 * rate
    }
}

fn node_at(file: &[u8], reference: u32) -> NodeData {
    NodeData::read(&file[reference as usize * GRANULE..]).expect("a reference leads to a node")
}

/// A sum of no nodes.
fn none_yet() -> NodeData {
    NodeData { min: u64::MAX, ..NodeData::default() }
}

fn add_up(to: &mut NodeData, node: &NodeData) {
    to.site = node.site;
    to.key = node.key;
    to.flags |= node.flags;
    to.depth = node.depth;
    to.open_since = to.open_since.max(node.open_since);
    to.count += node.count;
    to.total += node.total;
    to.min = to.min.min(node.min);
    to.max = to.max.max(node.max);
    to.folded += node.folded;
    to.blocked_ns += node.blocked_ns;
    to.preempted_ns += node.preempted_ns;
    to.blocked_count += node.blocked_count;
    to.preempted_count += node.preempted_count;
    to.wakeup_ns += node.wakeup_ns;
    to.cpu_ns += node.cpu_ns;
    to.cpu_ticks += node.cpu_ticks;
    to.minor_faults += node.minor_faults;
    to.major_faults += node.major_faults;
    to.flops = (f64::from_bits(to.flops) + f64::from_bits(node.flops)).to_bits();
    to.bytes = (f64::from_bits(to.bytes) + f64::from_bits(node.bytes)).to_bits();
    to.work_count += node.work_count;
    to.polls += node.polls;
    to.waiting += node.waiting;
    to.started += node.started;
    to.cancelled += node.cancelled;
    to.panicked += node.panicked;
}

/// Every profile in a run's directory, without `run.bneck`.
pub fn profiles(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("the run's directory is there");
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension().is_some_and(|end| end == "bneck") && !path.ends_with("run.bneck")
        })
        .collect();
    found.sort();
    found
}
