//! What a descriptor of the program names. Looks only: nothing is read from it, and no file system is asked over a network.

use core::mem::{MaybeUninit, size_of};

use crate::format::snapshot::Target;

/// Descriptors of a `poll` that are looked at; a longer list names none.
const MOST_POLLED: usize = 8;

/// What this descriptor of the process names.
pub(crate) fn of(fd: i32) -> Target {
    let Some((mode, is_gpu)) = kind_of_file(fd) else {
        return Target::Unknown;
    };
    match mode & libc::S_IFMT {
        libc::S_IFREG | libc::S_IFDIR | libc::S_IFBLK => Target::PlainFile,
        libc::S_IFIFO => Target::PipeEnd,
        libc::S_IFCHR if is_gpu => Target::Gpu,
        libc::S_IFCHR => Target::Character,
        libc::S_IFSOCK => socket(fd),
        // Inodes without a name have no type.
        0 => Target::Anonymous,
        _ => Target::Unknown,
    }
}

/// The descriptor of a `poll` of one, and what all of the list name; `None` where they differ, or the list is long.
pub(crate) fn of_polled(address: u64, count: u64) -> Option<(Option<i32>, Target)> {
    let count = usize::try_from(count).ok().filter(|count| (1..=MOST_POLLED).contains(count))?;
    let mut bytes = [0_u8; MOST_POLLED * size_of::<libc::pollfd>()];
    let bytes = bytes.get_mut(..count * size_of::<libc::pollfd>())?;
    if super::memory::read(address, bytes) != bytes.len() {
        return None;
    }
    let mut fds = bytes.chunks_exact(size_of::<libc::pollfd>()).filter_map(|it| {
        // A negative number is a place that is not used.
        Some(i32::from_ne_bytes(it.get(..4)?.try_into().ok()?)).filter(|fd| 0 <= *fd)
    });
    let first = fds.next()?;
    let target = of(first);
    let mut others = 0;
    for fd in fds {
        others += 1;
        if of(fd) != target {
            return None;
        }
    }
    Some(((others == 0).then_some(first), target))
}

/// Type and permissions of the file behind a descriptor, and whether it is a device of a GPU driver.
fn kind_of_file(fd: i32) -> Option<(libc::mode_t, bool)> {
    /// Offsets in `struct statx`.
    const MODE_AT: usize = 28;
    const STATX_BYTES: usize = 256;
    const STATX_TYPE: u32 = 1;
    const DO_NOT_SYNC: i32 = 0x4000;
    let mut bytes = [0_u8; STATX_BYTES];
    // SAFETY: an empty path, and a place as long as the kernel writes. Unlike `fstat`, this does not ask a server.
    let failed = unsafe {
        let flags = libc::AT_EMPTY_PATH | DO_NOT_SYNC;
        let path = c"".as_ptr();
        libc::syscall(libc::SYS_statx, fd, path, flags, STATX_TYPE, bytes.as_mut_ptr())
    };
    let mode = if failed == 0 {
        libc::mode_t::from(u16::from_ne_bytes([bytes[MODE_AT], bytes[MODE_AT + 1]]))
    } else {
        let mut file = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: a valid place for a `stat`.
        if unsafe { libc::fstat(fd, file.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: written by the call, which succeeded.
        unsafe { file.assume_init() }.st_mode
    };
    Some((mode, mode & libc::S_IFMT == libc::S_IFCHR && is_gpu(fd)))
}

/// Whether the path of a device is that of a GPU driver.
fn is_gpu(fd: i32) -> bool {
    use std::io::Write as _;
    let mut path = [0_u8; 32];
    if write!(path.as_mut_slice(), "/proc/self/fd/{fd}\0").is_err() {
        return false;
    }
    let mut name = [0_u8; 64];
    // SAFETY: `path` ends with a zero byte, and `name` has the length given.
    let n = unsafe { libc::readlink(path.as_ptr().cast(), name.as_mut_ptr().cast(), name.len()) };
    let name = usize::try_from(n).ok().and_then(|n| name.get(..n)).unwrap_or_default();
    ["/dev/nvidia", "/dev/dri/", "/dev/kfd"].iter().any(|gpu| name.starts_with(gpu.as_bytes()))
}

fn socket(fd: i32) -> Target {
    if option(fd, libc::SO_ACCEPTCONN) == Some(1) {
        return Target::Listener;
    }
    match option(fd, libc::SO_DOMAIN) {
        Some(libc::AF_UNIX) => Target::UnixSocket,
        Some(libc::AF_INET | libc::AF_INET6) => match peer(fd) {
            Some(peer) if peer.is_loopback() || own_address(fd) == Some(peer) => Target::NearSocket,
            Some(_) | None => Target::DistantSocket,
        },
        Some(libc::AF_NETLINK | libc::AF_ALG) => Target::Anonymous,
        Some(_) | None => Target::DistantSocket,
    }
}

fn option(fd: i32, name: i32) -> Option<i32> {
    let mut value = 0_i32;
    let mut bytes = 4;
    // SAFETY: `value` has the four bytes that `bytes` says.
    let failed = unsafe {
        let place = (&raw mut value).cast();
        libc::getsockopt(fd, libc::SOL_SOCKET, name, place, &raw mut bytes)
    };
    (failed == 0).then_some(value)
}

/// An address of version 4 or 6; one of version 4 in the form of version 6 is one of version 4.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Address([u8; 16]);

impl Address {
    const VERSION_4: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF];

    /// Reads a `sockaddr_in` or `sockaddr_in6`.
    fn read(bytes: &[u8]) -> Option<Self> {
        let family = i32::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let mut address = [0; 16];
        match family {
            libc::AF_INET => {
                address[..12].copy_from_slice(&Self::VERSION_4);
                address[12..].copy_from_slice(bytes.get(4..8)?);
            }
            libc::AF_INET6 => address.copy_from_slice(bytes.get(8..24)?),
            _ => return None,
        }
        Some(Self(address))
    }

    fn is_loopback(self) -> bool {
        let is_version_4 = self.0.starts_with(&Self::VERSION_4);
        (is_version_4 && self.0[12] == 127) || u128::from_be_bytes(self.0) == 1
    }
}

fn peer(fd: i32) -> Option<Address> {
    let mut bytes = [0_u8; 128];
    let mut length = 128;
    // SAFETY: `bytes` has the length given.
    let failed = unsafe { libc::getpeername(fd, bytes.as_mut_ptr().cast(), &raw mut length) };
    if failed == 0 { Address::read(&bytes) } else { None }
}

fn own_address(fd: i32) -> Option<Address> {
    let mut bytes = [0_u8; 128];
    let mut length = 128;
    // SAFETY: `bytes` has the length given.
    let failed = unsafe { libc::getsockname(fd, bytes.as_mut_ptr().cast(), &raw mut length) };
    if failed == 0 { Address::read(&bytes) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd as _;
    use std::os::unix::net::UnixStream;

    #[test]
    fn every_kind_of_descriptor_is_known() {
        assert_eq!(of(tempfile::tempfile().unwrap().as_raw_fd()), Target::PlainFile);
        let (reader, _writer) = std::io::pipe().unwrap();
        assert_eq!(of(reader.as_raw_fd()), Target::PipeEnd);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(of(listener.as_raw_fd()), Target::Listener);
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(of(stream.as_raw_fd()), Target::NearSocket);
        assert_eq!(of(UnixStream::pair().unwrap().0.as_raw_fd()), Target::UnixSocket);
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(of(null.as_raw_fd()), Target::Character);
        // SAFETY: takes a flag, returns a descriptor or -1.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert_eq!(of(epoll), Target::Anonymous);
        // SAFETY: the descriptor made above.
        unsafe { libc::close(epoll) };
        let unbound = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(of(unbound.as_raw_fd()), Target::DistantSocket);
        assert_eq!(of(-1), Target::Unknown);
    }

    #[test]
    fn a_poll_has_the_target_that_all_of_its_descriptors_share() {
        let (first, _) = UnixStream::pair().unwrap();
        let (second, _) = UnixStream::pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        let entry = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let list = [entry(first.as_raw_fd()), entry(-1), entry(second.as_raw_fd())];
        let address = list.as_ptr() as u64;
        let one = Some((Some(first.as_raw_fd()), Target::UnixSocket));
        assert_eq!(of_polled(address, 1), one);
        assert_eq!(of_polled(address, 2), one);
        assert_eq!(of_polled(address, 3), Some((None, Target::UnixSocket)));
        let mixed = [entry(first.as_raw_fd()), entry(file.as_raw_fd())];
        assert_eq!(of_polled(mixed.as_ptr() as u64, 2), None);
        assert_eq!(of_polled(8, 1), None, "nothing is mapped there");
        assert_eq!(of_polled(address, 1000), None);
    }

    #[test]
    fn addresses_of_this_machine() {
        let version_4 = |a: u8| {
            let mut bytes = [0_u8; 16];
            bytes[..2].copy_from_slice(&2_u16.to_ne_bytes());
            bytes[4..8].copy_from_slice(&[a, 0, 0, 1]);
            Address::read(&bytes).unwrap()
        };
        assert!(version_4(127).is_loopback());
        assert!(!version_4(10).is_loopback());
        let mut bytes = [0_u8; 28];
        bytes[..2].copy_from_slice(&10_u16.to_ne_bytes());
        bytes[23] = 1;
        assert!(Address::read(&bytes).unwrap().is_loopback());
        assert!(Address::read(&bytes[..10]).is_none());
    }
}
