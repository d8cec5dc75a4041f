//! Which mapped files are plain: on a disk of this machine, and with a kernel that says truly which of their pages are in
//! memory.

use std::os::unix::fs::MetadataExt as _;

use crate::os::address_space::Line;

/// File systems whose pages are memory, or come from a disk: no server and no other program is asked for them.
const LOCAL: [&str; 14] = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "overlay", "f2fs", "zfs", "tmpfs", "bcachefs", "erofs",
    "squashfs", "jfs", "reiserfs",
];

/// Devices, as `major:minor`, that have such a file system.
#[derive(Debug)]
pub(super) struct LocalDevices(Vec<(u32, u32)>);

impl LocalDevices {
    /// Asks the kernel.
    pub(super) fn now() -> Self {
        let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self::of(&text)
    }

    /// From the text of `/proc/self/mountinfo`.
    fn of(text: &str) -> Self {
        let device = |line: &str| {
            let (front, back) = line.split_once(" - ")?;
            let kind = back.split(' ').next()?;
            let (major, minor) = front.split(' ').nth(2)?.split_once(':')?;
            LOCAL.contains(&kind).then_some((major.parse().ok()?, minor.parse().ok()?))
        };
        Self(text.lines().filter_map(device).collect())
    }

    /// Whether the pages of a mapped file may be read at any time.
    pub(super) fn is_plain_file(&self, line: &Line<'_>) -> bool {
        if !self.0.contains(&line.device) {
            return false;
        }
        // The file system is local: this asks no server.
        let Ok(file) = std::fs::metadata(line.path) else {
            return false;
        };
        // SAFETY: takes nothing and cannot fail.
        let user = unsafe { libc::geteuid() };
        // Of the others' files that it may not write, the kernel says that all pages are in memory.
        let tells_truth = user == 0 || file.uid() == user;
        file.is_file() && file.ino() == line.inode && tells_truth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_devices_with_local_file_systems_count() {
        let text = "\
            22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
            23 22 0:5 / /dev rw,nosuid - devtmpfs devtmpfs rw\n\
            24 22 0:31 / /net rw - nfs4 server:/x rw\n\
            25 22 0:40 / /tmp rw - tmpfs tmpfs rw\n\
            nonsense\n";
        let devices = LocalDevices::of(text);
        assert_eq!(devices.0, [(254, 0), (0, 40)]);
    }
}
