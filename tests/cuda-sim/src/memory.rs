//! Memory of the device, and pinned memory of the host. Both are mappings of this process, so that copies can really move
//! bytes; pages that nobody writes cost nothing.

use std::collections::BTreeMap;
use std::ptr;

use crate::error::Error;

/// The memory that the simulated driver has given out.
#[derive(Debug, Default)]
pub struct Memory {
    device: BTreeMap<u64, usize>,
    pinned: BTreeMap<u64, usize>,
    /// Bytes of `device`.
    used: u64,
}

/// What memory is behind an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Memory of the device.
    Device,
    /// Of the host, pinned.
    Pinned,
    /// Of the host, as it comes.
    Pageable,
}

impl Memory {
    /// Memory of the device, of which there is so much in all.
    ///
    /// # Errors
    /// There is not so much left.
    pub fn allocate(&mut self, bytes: usize, all: u64) -> Result<u64, Error> {
        if bytes == 0 {
            return Err(Error::InvalidValue);
        }
        if all < self.used.saturating_add(bytes as u64) {
            return Err(Error::OutOfMemory);
        }
        let address = map(bytes)?;
        self.device.insert(address, bytes);
        self.used += bytes as u64;
        Ok(address)
    }

    /// Gives memory of the device back; its size.
    ///
    /// # Errors
    /// It was not given out.
    pub fn free(&mut self, address: u64) -> Result<usize, Error> {
        let bytes = self.device.remove(&address).ok_or(Error::InvalidValue)?;
        self.used -= bytes as u64;
        unmap(address, bytes);
        Ok(bytes)
    }

    /// Whether memory of the device that begins here was given out, and is in use.
    pub fn is_given_out(&self, address: u64) -> bool {
        self.device.contains_key(&address)
    }

    /// Pinned memory of the host.
    ///
    /// # Errors
    /// There is not so much left.
    pub fn pin(&mut self, bytes: usize) -> Result<u64, Error> {
        let address = map(bytes.max(1))?;
        self.pinned.insert(address, bytes.max(1));
        Ok(address)
    }

    /// Gives pinned memory back.
    ///
    /// # Errors
    /// It was not given out.
    pub fn unpin(&mut self, address: u64) -> Result<(), Error> {
        let bytes = self.pinned.remove(&address).ok_or(Error::InvalidValue)?;
        unmap(address, bytes);
        Ok(())
    }

    /// Bytes of the device that are in use.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Whose memory is behind an address.
    pub fn whose(&self, address: u64) -> Whose {
        if is_in(&self.device, address, 1) {
            Whose::Device
        } else if is_in(&self.pinned, address, 1) {
            Whose::Pinned
        } else {
            Whose::Pageable
        }
    }

    /// Whether all of a range is one allocation's of the device.
    pub fn is_of_device(&self, address: u64, bytes: usize) -> bool {
        is_in(&self.device, address, bytes)
    }
}

fn is_in(all: &BTreeMap<u64, usize>, address: u64, bytes: usize) -> bool {
    let found = all.range(..=address).next_back();
    found.is_some_and(|(&start, &size)| {
        address.checked_add(bytes as u64).is_some_and(|end| end <= start + size as u64)
    })
}

fn map(bytes: usize) -> Result<u64, Error> {
    const PROTECTION: i32 = libc::PROT_READ | libc::PROT_WRITE;
    const FLAGS: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: new memory wherever there is room: nothing of the program is touched.
    let address = unsafe { libc::mmap(ptr::null_mut(), bytes, PROTECTION, FLAGS, -1, 0) };
    if address == libc::MAP_FAILED { Err(Error::OutOfMemory) } else { Ok(address as u64) }
}

fn unmap(address: u64, bytes: usize) {
    // SAFETY: it was mapped by `map` with this size, and its entry has just been taken out.
    unsafe { libc::munmap(address as *mut libc::c_void, bytes) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_known_by_its_address() {
        let mut memory = Memory::default();
        let device = memory.allocate(8192, 10_000).unwrap();
        let pinned = memory.pin(16).unwrap();
        let local = 5_u8;
        assert_eq!(memory.whose(device + 8191), Whose::Device);
        assert_eq!(memory.whose(pinned + 3), Whose::Pinned);
        assert_eq!(memory.whose(ptr::from_ref(&local) as u64), Whose::Pageable);
        assert!(memory.is_of_device(device, 8192) && !memory.is_of_device(device + 1, 8192));
        assert_eq!(memory.allocate(4096, 10_000), Err(Error::OutOfMemory));
        assert!(memory.is_given_out(device) && !memory.is_given_out(device + 1));
        assert_eq!((memory.free(device), memory.used()), (Ok(8192), 0));
        assert_eq!(memory.free(device), Err(Error::InvalidValue));
        assert_eq!(
            (memory.unpin(pinned), memory.unpin(pinned)),
            (Ok(()), Err(Error::InvalidValue))
        );
    }
}
