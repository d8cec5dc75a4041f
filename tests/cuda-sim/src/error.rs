//! What the driver refuses with.

use std::ffi::CStr;

use crate::device::Refusal;

/// A code of the driver, other than success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Error {
    /// An argument makes no sense.
    InvalidValue = 1,
    /// There is no room on the device.
    OutOfMemory = 2,
    /// `cuInit` was not called, or failed.
    NotInitialized = 3,
    /// There is no device.
    NoDevice = 100,
    /// No device has that number.
    InvalidDevice = 101,
    /// What was loaded is no module.
    InvalidPtx = 218,
    /// No context is current.
    InvalidContext = 201,
    /// A file is not there.
    FileNotFound = 301,
    /// No such stream, event, module or function.
    InvalidHandle = 400,
    /// A module has no kernel of that name.
    NotFound = 500,
    /// It has not happened yet.
    NotReady = 600,
    /// A host function may not call the driver.
    NotPermitted = 800,
    /// The simulated driver does not have that.
    NotSupported = 801,
    /// It cannot be done while a stream is captured.
    CaptureUnsupported = 900,
    /// Something spoiled the capture.
    CaptureInvalidated = 901,
    /// What is captured may not wait for what is not.
    CaptureIsolation = 905,
    /// The event happens in a graph.
    CapturedEvent = 907,
    /// The stream is not captured.
    IllegalState = 401,
    /// Anything else.
    Unknown = 999,
}

impl Error {
    /// The name and the sentence of a code; `None` for one that the simulated driver never gives.
    pub fn words(code: i32) -> Option<(&'static CStr, &'static CStr)> {
        Some(match code {
            0 => (c"CUDA_SUCCESS", c"no error"),
            1 => (c"CUDA_ERROR_INVALID_VALUE", c"invalid argument"),
            2 => (c"CUDA_ERROR_OUT_OF_MEMORY", c"out of memory"),
            3 => (c"CUDA_ERROR_NOT_INITIALIZED", c"initialization error"),
            100 => (c"CUDA_ERROR_NO_DEVICE", c"no CUDA-capable device is detected"),
            101 => (c"CUDA_ERROR_INVALID_DEVICE", c"invalid device ordinal"),
            201 => (c"CUDA_ERROR_INVALID_CONTEXT", c"invalid device context"),
            218 => (c"CUDA_ERROR_INVALID_PTX", c"a PTX JIT compilation failed"),
            301 => (c"CUDA_ERROR_FILE_NOT_FOUND", c"file not found"),
            400 => (c"CUDA_ERROR_INVALID_HANDLE", c"invalid resource handle"),
            401 => (
                c"CUDA_ERROR_ILLEGAL_STATE",
                c"the operation cannot be performed in the present state",
            ),
            500 => (c"CUDA_ERROR_NOT_FOUND", c"named symbol not found"),
            600 => (c"CUDA_ERROR_NOT_READY", c"device not ready"),
            800 => (c"CUDA_ERROR_NOT_PERMITTED", c"operation not permitted"),
            801 => (c"CUDA_ERROR_NOT_SUPPORTED", c"operation not supported"),
            900 => (
                c"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
                c"operation not permitted when stream is capturing",
            ),
            901 => (
                c"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
                c"operation failed due to a previous error during capture",
            ),
            905 => (
                c"CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
                c"dependency created on uncaptured work in another stream",
            ),
            907 => (
                c"CUDA_ERROR_CAPTURED_EVENT",
                c"operation not permitted on an event last recorded in a capturing stream",
            ),
            999 => (c"CUDA_ERROR_UNKNOWN", c"unknown error"),
            _ => return None,
        })
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::InvalidHandle => Self::InvalidHandle,
            Refusal::NotReady => Self::NotReady,
        }
    }
}
