//! The device: a stream that copies and one that computes, two inputs that take turns, and three kernels.

use std::error::Error;
use std::sync::Arc;

use cudarc::driver::sys;
use cudarc::driver::{
    CudaContext, CudaEvent, CudaFunction, CudaGraph, CudaSlice, CudaStream, LaunchConfig,
    PinnedHostSlice, PushKernelArg,
};
use cudarc::nvrtc::Ptx;

/// What can go wrong: the driver says what.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Values of an input: 16 MiB.
const INPUT: usize = 4 << 20;
/// Values of the weights: 600 MB, more than any cache of a device.
const WEIGHTS: usize = 150_000_000;
/// What one launch of `read_weights` reads.
pub(crate) const BYTES_OF_READ: f64 = 4.0 * WEIGHTS as f64;
const BLOCKS: u32 = 1056;
/// Blocks of a kernel that fills a part of a device.
const FEW_BLOCKS: u32 = 32;
const THREADS: u32 = 256;
/// Rounds of `multiply`: each is 8 multiply-adds of every thread.
const ROUNDS: u32 = 2774;
/// What one launch of `multiply` computes.
pub(crate) const FLOPS_OF_MULTIPLY: f64 = 16.0 * ROUNDS as f64 * BLOCKS as f64 * THREADS as f64;

fn shape(blocks: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (THREADS, 1, 1), shared_mem_bytes: 0 }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Whether there is a driver: cudarc panics where there is none.
pub(crate) fn has_driver() -> bool {
    // SAFETY: the name is a C string, and the driver is a library that may be loaded at any time.
    let driver = unsafe { libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_LAZY) };
    !driver.is_null()
}

/// A device and all that is on it.
pub(crate) struct Gpu {
    context: Arc<CudaContext>,
    copies: Arc<CudaStream>,
    compute: Arc<CudaStream>,
    read: CudaFunction,
    multiply: CudaFunction,
    touch: CudaFunction,
    weights: CudaSlice<f32>,
    sums: CudaSlice<f32>,
    /// What the second stream computes.
    other_sums: CudaSlice<f32>,
    /// The input of this token, and that of the next one.
    inputs: [CudaSlice<f32>; 2],
    pinned: PinnedHostSlice<f32>,
    results: [PinnedHostSlice<f32>; 2],
    /// Tokens so far.
    tokens: usize,
    /// When the result of the token before is there.
    before: Option<CudaEvent>,
    graph: Option<CudaGraph>,
}

impl Gpu {
    /// The first device.
    pub(crate) fn new() -> Result<Self> {
        let context = CudaContext::new(0)?;
        // SAFETY: every buffer is used in the order of events that are recorded here.
        unsafe { context.disable_event_tracking() };
        let module = context.load_module(Ptx::from_src(include_str!("kernels.ptx")))?;
        let (copies, compute) = (context.new_stream()?, context.new_stream()?);
        let threads = (BLOCKS * THREADS) as usize;
        // SAFETY: written before it is read, by the line below.
        let mut pinned = unsafe { context.alloc_pinned_with_flags::<f32>(INPUT, 0)? };
        pinned.as_mut_slice()?.fill(1.0);
        // SAFETY: read after the copy that fills it.
        let result = || unsafe { context.alloc_pinned_with_flags::<f32>(threads, 0) };
        let res = Self {
            read: module.load_function("read_weights")?,
            multiply: module.load_function("multiply")?,
            touch: module.load_function("touch")?,
            weights: compute.alloc_zeros(WEIGHTS)?,
            sums: compute.alloc_zeros(threads)?,
            other_sums: compute.alloc_zeros(threads)?,
            inputs: [compute.alloc_zeros(INPUT)?, compute.alloc_zeros(INPUT)?],
            pinned,
            results: [result()?, result()?],
            tokens: 0,
            before: None,
            graph: None,
            context: Arc::clone(&context),
            copies,
            compute,
        };
        res.context.synchronize()?;
        Ok(res)
    }

    /// The input of a token, from pinned memory, beside what is computed for the token before.
    pub(crate) fn upload(&mut self) -> Result<()> {
        let input = &mut self.inputs[self.tokens % 2];
        self.copies.memcpy_htod(&self.pinned, input)?;
        Ok(self.compute.wait(&self.copies.record_event(None)?)?)
    }

    /// The same from memory as it comes, which is what a `Vec` has.
    pub(crate) fn upload_pageable(&mut self, number: u32) -> Result<()> {
        let values = vec![number as f32; INPUT];
        self.copies.memcpy_htod(&values, &mut self.inputs[self.tokens % 2])?;
        Ok(self.compute.wait(&self.copies.record_event(None)?)?)
    }

    /// The same in pieces.
    pub(crate) fn upload_in_pieces(&mut self, pieces: usize) -> Result<()> {
        let values = self.pinned.as_slice()?;
        let input = &mut self.inputs[self.tokens % 2];
        let size = INPUT / pieces;
        for (number, piece) in values.chunks_exact(size).enumerate() {
            let mut place = input.slice_mut(number * size..(number + 1) * size);
            self.copies.memcpy_htod(piece, &mut place)?;
        }
        Ok(self.compute.wait(&self.copies.record_event(None)?)?)
    }

    /// One kernel that reads all weights.
    pub(crate) fn read_weights(&mut self) -> Result<()> {
        let count = u32::try_from(WEIGHTS)?;
        let mut launch = self.compute.launch_builder(&self.read);
        launch.arg(&self.weights).arg(&mut self.sums).arg(&count);
        // SAFETY: the kernel reads `count` values and writes one for each thread, which is how much there is.
        unsafe { launch.launch(shape(BLOCKS))? };
        Ok(())
    }

    /// One kernel that computes in registers.
    pub(crate) fn multiply(&mut self) -> Result<()> {
        let mut launch = self.compute.launch_builder(&self.multiply);
        launch.arg(&mut self.sums).arg(&ROUNDS);
        // SAFETY: the kernel writes one value for each thread, which is how much there is.
        unsafe { launch.launch(shape(BLOCKS))? };
        Ok(())
    }

    /// One kernel that does next to nothing.
    pub(crate) fn touch(&mut self) -> Result<()> {
        let mut launch = self.compute.launch_builder(&self.touch);
        launch.arg(&mut self.sums);
        // SAFETY: the kernel writes one value for each thread, of which there are fewer than values.
        unsafe { launch.launch(shape(1))? };
        Ok(())
    }

    /// Small kernels on both streams, each waiting for the one before, although none needs its result.
    pub(crate) fn both_streams_in_turn(&mut self, turns: u32) -> Result<()> {
        for _ in 0..turns {
            for (own, other, sums) in [
                (&self.copies, &self.compute, &mut self.other_sums),
                (&self.compute, &self.copies, &mut self.sums),
            ] {
                own.wait(&other.record_event(None)?)?;
                let mut launch = own.launch_builder(&self.multiply);
                launch.arg(sums).arg(&ROUNDS);
                // SAFETY: the kernel writes one value for each thread, of which there are fewer than values.
                unsafe { launch.launch(shape(FEW_BLOCKS))? };
            }
        }
        Ok(())
    }

    /// Small kernels on the default stream and on that of this thread: nobody asks for it, but they wait for each other.
    pub(crate) fn default_stream_in_turn(&mut self, turns: u32) -> Result<()> {
        let (default, own) = (self.context.default_stream(), self.context.per_thread_stream());
        for _ in 0..turns {
            for (stream, sums) in [(&default, &mut self.other_sums), (&own, &mut self.sums)] {
                let mut launch = stream.launch_builder(&self.multiply);
                launch.arg(sums).arg(&ROUNDS);
                // SAFETY: the kernel writes one value for each thread, of which there are fewer than values.
                unsafe { launch.launch(shape(FEW_BLOCKS))? };
            }
        }
        Ok(self.compute.wait(&own.record_event(None)?)?)
    }

    pub(crate) fn has_graph(&self) -> bool {
        self.graph.is_some()
    }

    /// What is submitted from here on is kept for a graph.
    pub(crate) fn begin_graph(&self) -> Result<()> {
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        Ok(self.compute.begin_capture(mode)?)
    }

    /// Makes a graph of what was submitted since.
    pub(crate) fn end_graph(&mut self) -> Result<()> {
        let flags = sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
        self.graph = self.compute.end_capture(flags)?;
        Ok(())
    }

    pub(crate) fn launch_graph(&self) -> Result<()> {
        let graph = self.graph.as_ref().ok_or("nothing was captured")?;
        Ok(graph.launch()?)
    }

    /// The stream that computes.
    pub(crate) fn compute(&self) -> Arc<CudaStream> {
        Arc::clone(&self.compute)
    }

    /// Medians of long operations by events of the driver, in ns: a kernel and a copy each way.
    pub(crate) fn times_by_events(&mut self) -> Result<Vec<(&'static str, f64)>> {
        const LARGE: usize = 64 << 20;
        // SAFETY: written before it is read, by the line below.
        let mut host = unsafe { self.context.alloc_pinned_with_flags::<f32>(LARGE, 0)? };
        host.as_mut_slice()?.fill(1.0);
        let mut device = self.compute.alloc_zeros::<f32>(LARGE)?;
        let rounds = 40 * ROUNDS;
        let mut times: [Vec<f64>; 3] = Default::default();
        for _ in 0..20 {
            times[0].push(self.timed(|gpu| {
                let mut launch = gpu.compute.launch_builder(&gpu.multiply);
                launch.arg(&mut gpu.sums).arg(&rounds);
                // SAFETY: the kernel writes one value for each thread, which is how much there is.
                unsafe { launch.launch(shape(BLOCKS))? };
                Ok(())
            })?);
            times[1].push(self.timed(|gpu| Ok(gpu.compute.memcpy_htod(&host, &mut device)?))?);
            times[2].push(self.timed(|gpu| Ok(gpu.compute.memcpy_dtoh(&device, &mut host)?))?);
        }
        let names = ["multiply", "copy-H2D", "copy-D2H"];
        Ok(names.into_iter().zip(times.map(median)).collect())
    }

    /// Ns between an event before and one behind what is submitted.
    fn timed(&mut self, submit: impl FnOnce(&mut Self) -> Result<()>) -> Result<f64> {
        self.compute.synchronize()?;
        let flags = Some(cudarc::driver::sys::CUevent_flags::CU_EVENT_DEFAULT);
        let before = self.compute.record_event(flags)?;
        submit(self)?;
        let behind = self.compute.record_event(flags)?;
        Ok(f64::from(before.elapsed_ms(&behind)?) * 1e6)
    }

    /// The host waits until all kernels are done.
    pub(crate) fn wait(&self) -> Result<()> {
        Ok(self.compute.synchronize()?)
    }

    /// Asks for the result, and waits for that of the token before, while this one runs.
    pub(crate) fn download(&mut self) -> Result<()> {
        self.compute.memcpy_dtoh(&self.sums, &mut self.results[self.tokens % 2])?;
        let own = self.compute.record_event(None)?;
        self.finish()?;
        self.before = Some(own);
        self.tokens += 1;
        Ok(())
    }

    /// Waits for the result of the token before.
    pub(crate) fn finish(&mut self) -> Result<()> {
        if let Some(before) = self.before.take() {
            before.synchronize()?;
        }
        Ok(())
    }
}
