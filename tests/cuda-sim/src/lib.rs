//! A simulated CUDA driver, with CUPTI and NVRTC, for tests of the GPU path on machines without a GPU.
//!
//! One shared library stands for all: programs that load `libcuda.so.1`, `libcupti.so.12` or `libnvrtc.so.12` find it through
//! `LD_LIBRARY_PATH` under each of these names, and run unchanged. Nothing is computed on a device: kernels take the time that a
//! model gives them, copies that of a link, and all of it is written to a log of what really happened, which tests hold
//! reports against.

pub mod clock;
pub mod cupti;
pub mod device;
pub mod driver;
pub mod engine;
pub mod error;
mod gpm;
pub mod harness;
pub mod memory;
pub mod model;
mod nvml;
pub mod nvrtc;
mod nvtx;
pub mod ptx;
pub mod settings;
pub mod sim;
pub mod truth;
