//! A program that names its streams, beside other choices of features for cudarc.

use std::sync::Arc;

use bottleneck_runtime::{bottleneck, cuda, span};
use cudarc::driver::{CudaContext, CudaStream, DriverError};

struct Model {
    stream: Arc<CudaStream>,
}

impl Model {
    #[bottleneck(cuda_stream = self.stream, flops = 2 * n, bytes = 4 * n)]
    fn forward(&self, n: usize) -> Result<f32, DriverError> {
        let values = self.stream.clone_htod(&vec![1.0_f32; n])?;
        let _span = span!("sum", cuda_stream = &self.stream);
        Ok(self.stream.clone_dtoh(&values)?.iter().sum())
    }
}

fn main() -> Result<(), DriverError> {
    let context = CudaContext::new(0)?;
    let stream = cuda::Stream::new(context.new_stream()?);
    let _span = span!("all", request, key = "once", cuda_stream = stream);
    let model = Model { stream: Arc::clone(stream.inner()) };
    println!("{}", model.forward(1024)?);
    stream.synchronize()
}
