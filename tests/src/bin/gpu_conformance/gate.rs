//! A host function that holds a stream for as long as a case wants it.

use std::ffi::c_void;
use std::sync::mpsc::{Receiver, Sender, channel};

use cudarc::driver::result::stream::launch_host_function;
use cudarc::driver::{CudaStream, DriverError};

/// Holds a stream until it is opened, or dropped.
#[derive(Debug)]
pub(crate) struct Gate {
    opens: Sender<()>,
}

impl Gate {
    /// What the stream is given from now on waits.
    pub(crate) fn close(stream: &CudaStream) -> Result<Self, DriverError> {
        let (open, is_open) = channel::<()>();
        call(stream, move || _ = is_open.recv())?;
        Ok(Self { opens: open })
    }

    /// The stream goes on.
    pub(crate) fn open(self) {
        drop(self.opens);
    }
}

/// Lets a stream call something, once.
pub(crate) fn call(
    stream: &CudaStream,
    function: impl FnOnce() + Send + 'static,
) -> Result<(), DriverError> {
    let function: Box<dyn FnOnce() + Send> = Box::new(function);
    let argument = Box::into_raw(Box::new(function));
    // SAFETY: the stream is there, and `run` is called once with the box that is its own from now on.
    let launched =
        unsafe { launch_host_function(stream.cu_stream(), run, argument.cast::<c_void>()) };
    if launched.is_err() {
        // SAFETY: what was not launched is never called: the box is still ours.
        drop(unsafe { Box::from_raw(argument) });
    }
    launched
}

unsafe extern "C" fn run(argument: *mut c_void) {
    // SAFETY: `call` has made the box, and the driver hands it over once.
    let function = unsafe { Box::from_raw(argument.cast::<Box<dyn FnOnce() + Send>>()) };
    function();
}

/// Where a function leaves what it has to say.
pub(crate) fn answers<T>() -> (Sender<T>, Receiver<T>) {
    channel()
}
