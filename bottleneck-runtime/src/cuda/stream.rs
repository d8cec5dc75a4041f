//! A stream of cudarc whose copies and waits are spans: for machines without CUPTI, where nothing else tells of them.

use core::ops::Deref;
use std::sync::Arc;

use cudarc::driver::{
    CudaEvent, CudaSlice, CudaStream, DevicePtr, DevicePtrMut, DeviceRepr, DriverError, HostSlice,
};

use crate::site::{Asserted, Site, SiteOptions};
use crate::span;
use crate::work::{Dtype, Work};

/// A [`CudaStream`] whose copies and waits are spans. All else is that of the stream itself, which it dereferences to.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bottleneck_runtime::cuda::Stream;
/// use cudarc::driver::CudaContext;
///
/// let context = CudaContext::new(0)?;
/// let stream = Stream::new(context.new_stream()?);
/// let tokens = stream.clone_htod(&[1_u32, 2, 3])?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Stream(Arc<CudaStream>);

/// The place of a span in this file.
macro_rules! site {
    ($name:literal, $asserted:expr) => {
        Site::new(
            $name,
            module_path!(),
            "Stream",
            file!(),
            line!(),
            1,
            SiteOptions { asserted: $asserted, ..SiteOptions::DEFAULT },
        )
    };
}

static UPLOAD: Site = site!("copy H2D", Asserted::Io);
static DOWNLOAD: Site = site!("copy D2H", Asserted::Io);
static WAIT: Site = site!("wait for stream", Asserted::None);

/// Opens a span and declares what it moves.
fn copy(site: &'static Site, bytes: usize) -> span::SpanGuard {
    let guard = span::enter(site);
    span::work(Work { flops: 0.0, bytes: bytes as f64, dtype: Dtype::F32 });
    guard
}

impl Stream {
    /// Wraps a stream.
    pub fn new(stream: Arc<CudaStream>) -> Self {
        Self(stream)
    }

    /// The stream, for calls that take cudarc's own.
    pub fn inner(&self) -> &Arc<CudaStream> {
        &self.0
    }

    /// [`CudaStream::memcpy_htod`], as the span `copy H2D`.
    ///
    /// # Errors
    /// As cudarc's.
    ///
    /// # Panics
    /// As cudarc's: `dst` is shorter than `src`.
    pub fn memcpy_htod<T: DeviceRepr, Src: HostSlice<T> + ?Sized, Dst: DevicePtrMut<T>>(
        &self,
        src: &Src,
        dst: &mut Dst,
    ) -> Result<(), DriverError> {
        let _span = copy(&UPLOAD, size_of::<T>() * src.len());
        self.0.memcpy_htod(src, dst)
    }

    /// [`CudaStream::clone_htod`], as the span `copy H2D`.
    ///
    /// # Errors
    /// As cudarc's.
    pub fn clone_htod<T: DeviceRepr, Src: HostSlice<T> + ?Sized>(
        &self,
        src: &Src,
    ) -> Result<CudaSlice<T>, DriverError> {
        let _span = copy(&UPLOAD, size_of::<T>() * src.len());
        self.0.clone_htod(src)
    }

    /// [`CudaStream::memcpy_dtoh`], as the span `copy D2H`.
    ///
    /// # Errors
    /// As cudarc's.
    ///
    /// # Panics
    /// As cudarc's: `dst` is shorter than `src`.
    pub fn memcpy_dtoh<T: DeviceRepr, Src: DevicePtr<T>, Dst: HostSlice<T> + ?Sized>(
        &self,
        src: &Src,
        dst: &mut Dst,
    ) -> Result<(), DriverError> {
        let _span = copy(&DOWNLOAD, size_of::<T>() * src.len());
        self.0.memcpy_dtoh(src, dst)
    }

    /// [`CudaStream::clone_dtoh`], as the span `copy D2H`.
    ///
    /// # Errors
    /// As cudarc's.
    pub fn clone_dtoh<T: DeviceRepr, Src: DevicePtr<T>>(
        &self,
        src: &Src,
    ) -> Result<Vec<T>, DriverError> {
        let _span = copy(&DOWNLOAD, size_of::<T>() * src.len());
        self.0.clone_dtoh(src)
    }

    /// [`CudaStream::synchronize`], as the span `wait for stream`.
    ///
    /// # Errors
    /// As cudarc's.
    pub fn synchronize(&self) -> Result<(), DriverError> {
        let _span = span::enter(&WAIT);
        self.0.synchronize()
    }

    /// [`CudaEvent::synchronize`], as the span `wait for stream`.
    ///
    /// # Errors
    /// As cudarc's.
    pub fn wait_on_host(&self, event: &CudaEvent) -> Result<(), DriverError> {
        let _span = span::enter(&WAIT);
        event.synchronize()
    }
}

impl Deref for Stream {
    type Target = Arc<CudaStream>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<Arc<CudaStream>> for Stream {
    fn from(stream: Arc<CudaStream>) -> Self {
        Self::new(stream)
    }
}
