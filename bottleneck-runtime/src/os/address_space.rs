//! What is mapped where, as the kernel tells: all of it as text, or one address in a signal handler.

use super::bare_call;
use super::descriptor::Descriptor;

/// What a mapping is, in one number: the same number later means the same thing is mapped.
///
/// Bits 0 to 39 are the inode, 40 to 59 the device, 60 that it is shared. 0 is private anonymous memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tag(pub(crate) u64);

impl Tag {
    pub(crate) fn new(major: u32, minor: u32, inode: u64, is_shared: bool) -> Self {
        let device = (u64::from(major) << 12 ^ u64::from(minor)) & 0xF_FFFF;
        // A file system may give its inodes any 64 bits: folded, so that none is cut off.
        let inode = (inode ^ inode >> 40) & 0xFF_FFFF_FFFF;
        Self(inode | device << 40 | u64::from(is_shared) << 60)
    }
}

/// A line of `/proc/self/maps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// `rwxp` or `rwxs`, with `-` for what is not allowed.
    pub(crate) access: &'a str,
    pub(crate) device: (u32, u32),
    pub(crate) inode: u64,
    pub(crate) path: &'a str,
}

impl<'a> Line<'a> {
    /// Reads a line; `None` where it is none.
    pub(crate) fn parse(line: &'a str) -> Option<Self> {
        // Only the path may hold blanks.
        let mut fields = line.splitn(6, ' ');
        let (start, end) = fields.next()?.split_once('-')?;
        let access = fields.next()?;
        let _offset = fields.next()?;
        let (major, minor) = fields.next()?.split_once(':')?;
        let inode = fields.next()?.parse().ok()?;
        let hexadecimal = |text| u64::from_str_radix(text, 16).ok();
        Some(Self {
            start: hexadecimal(start)?,
            end: hexadecimal(end)?,
            access,
            device: (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?),
            inode,
            path: fields.next().unwrap_or_default().trim_start(),
        })
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.access.starts_with('r')
    }

    pub(crate) fn is_executable(&self) -> bool {
        self.access.as_bytes().get(2) == Some(&b'x')
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.access.ends_with('s')
    }

    pub(crate) fn tag(&self) -> Tag {
        Tag::new(self.device.0, self.device.1, self.inode, self.is_shared())
    }
}

/// `/proc/self/maps`, kept open to be asked for single addresses.
#[derive(Debug)]
pub(crate) struct Maps {
    fd: Descriptor,
}

/// `PROCMAP_QUERY` of Linux 6.11: `_IOWR('f', 17, struct procmap_query)`.
const PROCMAP_QUERY: u64 = 0xC068_6611;
const READABLE: u64 = 1;
const SHARED: u64 = 8;

/// `struct procmap_query`.
#[repr(C)]
#[derive(Default)]
struct Query {
    size: u64,
    flags: u64,
    address: u64,
    start: u64,
    end: u64,
    vma_flags: u64,
    page_size: u64,
    offset: u64,
    inode: u64,
    major: u32,
    minor: u32,
    name_size: u32,
    build_id_size: u32,
    name: u64,
    build_id: u64,
}
const _: () = assert!(size_of::<Query>() == 0x68);

impl Maps {
    /// Opens it. `None` where there is no `/proc`.
    pub(crate) fn open() -> Option<Self> {
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        // SAFETY: the path ends with a zero byte.
        let fd = unsafe { libc::open(c"/proc/self/maps".as_ptr(), flags) };
        (0 <= fd).then(|| Self { fd: Descriptor::new(fd) })
    }

    /// Whether the kernel answers questions about single addresses.
    pub(crate) fn answers(&self) -> bool {
        let here = &raw const *self as u64;
        self.readable(here).is_some()
    }

    /// What is mapped at an address, if it can be read. For signal handlers.
    pub(crate) fn readable(&self, address: u64) -> Option<Tag> {
        let mut query = Query { size: size_of::<Query>() as u64, address, ..Query::default() };
        // SAFETY: the place is what this request reads and writes; any other file refuses the request.
        let result = unsafe {
            bare_call::ioctl(self.fd.unchecked(), PROCMAP_QUERY, (&raw mut query).cast())
        };
        (result == 0 && query.vma_flags & READABLE != 0).then(|| {
            let is_shared = query.vma_flags & SHARED != 0;
            Tag::new(query.major, query.minor, query.inode, is_shared)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_path_with_blanks() {
        let text =
            "7f00a000-7f00c000 r-xp 00001000 fe:01 1234                       /lib/a b (deleted)";
        let line = Line::parse(text).unwrap();
        assert_eq!((line.start, line.end, line.inode), (0x7f00_a000, 0x7f00_c000, 1234));
        assert_eq!((line.device, line.path), ((0xfe, 1), "/lib/a b (deleted)"));
        assert!(line.is_readable() && line.is_executable() && !line.is_shared());
        let heap = Line::parse("55d0-55f1 rw-s 00000000 00:00 0 ").unwrap();
        assert!(heap.is_shared() && heap.path.is_empty());
        assert_eq!(heap.tag(), Tag(1 << 60));
        for foreign in ["", "x", "1-2", "1-2 r--p 0", "1-2 r--p 0 1 2"] {
            assert_eq!(Line::parse(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn a_question_about_an_address_is_answered_as_the_text_does() {
        let maps = Maps::open().unwrap();
        if !maps.answers() {
            return;
        }
        let text = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mut asked = 0;
        for line in text.lines().filter_map(Line::parse) {
            if line.path == "[vsyscall]" {
                continue;
            }
            let expected = line.is_readable().then(|| line.tag());
            // Other tests of this process map and unmap meanwhile: files stay.
            if line.inode != 0 {
                assert_eq!(maps.readable(line.start), expected, "{line:?}");
                asked += 1;
            }
        }
        assert!(0 < asked && maps.readable(0).is_none());
    }
}
