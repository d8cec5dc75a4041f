//! The functions of `libcuda`, by what they are about. Each is a few lines around [`crate::device`]; what all have in common is
//! in `call`.
#![expect(unsafe_code, reason = "a C interface: pointers of its callers are written and read")]

mod bytes;
pub mod call;
mod context;
mod device;
mod event;
pub mod graphs;
mod handles;
pub mod host;
mod init;
mod launch;
mod memory;
pub mod modules;
mod stream;
pub mod work;
