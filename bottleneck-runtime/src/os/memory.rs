//! Memory of this process at addresses that may not be mapped: read through the kernel, which fails where a direct read
//! would be a fault.

/// Copies bytes from an address into `to` and returns how many there were: fewer, or none, where memory is not mapped, or
/// where the kernel refuses.
pub(crate) fn read(address: u64, to: &mut [u8]) -> usize {
    let Ok(address) = usize::try_from(address) else {
        return 0;
    };
    let local = libc::iovec { iov_base: to.as_mut_ptr().cast(), iov_len: to.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: to.len() };
    // SAFETY: the kernel checks the remote range, and writes into `to` only, which has the length given.
    let n = unsafe {
        libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
    };
    usize::try_from(n).unwrap_or(0)
}

/// Fresh zeros from the kernel, for good; not from the program's allocator. `None` where there are none to be had.
#[cfg(any(target_arch = "x86_64", feature = "cuda"))]
pub(crate) fn pages(bytes: usize) -> Option<*mut u8> {
    // SAFETY: a new mapping at an address of the kernel's choice touches no other memory.
    let base = unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        libc::mmap(core::ptr::null_mut(), bytes, access, flags, -1, 0)
    };
    (base != libc::MAP_FAILED).then_some(base.cast())
}

/// Gives such zeros back, by their number.
///
/// # Safety
/// They came from [`pages`] with the same number, and nobody uses them any more.
#[cfg(feature = "cuda")]
pub(crate) unsafe fn give_back_pages(base: *mut u8, bytes: usize) {
    // SAFETY: a mapping of this crate's own, says the caller. What the kernel refuses stays mapped.
    unsafe { libc::munmap(base.cast(), bytes) };
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_not_mapped_reads_as_nothing() {
        let from = [1_u8, 2, 3, 4];
        let mut to = [0_u8; 4];
        assert_eq!(super::read(from.as_ptr() as u64, &mut to), 4);
        assert_eq!(to, from);
        assert_eq!(super::read(8, &mut to), 0);
        assert_eq!(super::read(u64::MAX - 2, &mut to), 0);
    }
}
