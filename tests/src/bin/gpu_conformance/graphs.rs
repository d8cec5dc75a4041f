//! Graphs that are captured from a stream.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use cudarc::driver::result::stream::launch_host_function;
use cudarc::driver::sys::{
    CUgraphInstantiate_flags, CUresult, CUstreamCaptureMode, CUstreamCaptureStatus,
};
use cudarc::driver::{CudaContext, CudaGraph, CudaStream, DriverError};

use super::Case;
use super::check::{Outcome, refused, same};

pub(super) const CASES: &[Case] = &[
    ("captured_work_runs_at_each_launch_and_not_before", each_launch),
    ("a_graph_copies_what_is_there_when_it_is_launched", copies),
    ("a_capture_has_a_status", status),
    ("a_captured_stream_cannot_be_waited_for", synchronized),
    ("a_captured_event_cannot_be_asked", asked),
    ("a_capture_cannot_wait_for_what_is_outside", outside),
    ("a_host_function_of_a_graph_is_called_at_each_launch", host_node),
];

/// A stream whose order is the case's own affair: no events are recorded behind its back.
fn stream() -> Result<Arc<CudaStream>, DriverError> {
    let context = CudaContext::new(0)?;
    // SAFETY: the cases use one stream each.
    unsafe { context.disable_event_tracking() };
    context.new_stream()
}

fn begin(stream: &Arc<CudaStream>) -> Result<(), DriverError> {
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
}

fn end(stream: &Arc<CudaStream>) -> Result<Option<CudaGraph>, DriverError> {
    stream.end_capture(CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH)
}

fn each_launch() -> Outcome {
    let stream = stream()?;
    let mut slice = stream.clone_htod(&[1_u32; 4])?;
    begin(&stream)?;
    stream.memset_zeros(&mut slice)?;
    let graph = end(&stream)?.ok_or("there is no graph")?;
    same(stream.clone_dtoh(&slice)?, vec![1; 4])?;
    for value in [2, 3] {
        stream.memcpy_htod(&[value; 4], &mut slice)?;
        same(stream.clone_dtoh(&slice)?, vec![value; 4])?;
        graph.launch()?;
        same(stream.clone_dtoh(&slice)?, vec![0; 4])?;
    }
    Ok(())
}

fn copies() -> Outcome {
    let stream = stream()?;
    let mut from = stream.clone_htod(&[1_u32, 2])?;
    let mut to = stream.alloc_zeros::<u32>(2)?;
    begin(&stream)?;
    stream.memcpy_dtod(&from, &mut to)?;
    let graph = end(&stream)?.ok_or("there is no graph")?;
    graph.upload()?;
    same(stream.clone_dtoh(&to)?, vec![0, 0])?;
    for values in [[3, 4], [5, 6]] {
        stream.memcpy_htod(&values, &mut from)?;
        graph.launch()?;
        same(stream.clone_dtoh(&to)?, values.to_vec())?;
    }
    Ok(())
}

fn status() -> Outcome {
    let stream = stream()?;
    same(stream.capture_status()?, CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE)?;
    begin(&stream)?;
    same(stream.capture_status()?, CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_ACTIVE)?;
    refused(begin(&stream), CUresult::CUDA_ERROR_ILLEGAL_STATE)?;
    drop(end(&stream)?);
    same(stream.capture_status()?, CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE)
}

fn synchronized() -> Outcome {
    let stream = stream()?;
    begin(&stream)?;
    refused(stream.synchronize(), CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED)?;
    let spoiled = CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_INVALIDATED;
    same(stream.capture_status()?, spoiled)?;
    refused(end(&stream), CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED)?;
    // The stream is as any other again.
    Ok(stream.synchronize()?)
}

fn asked() -> Outcome {
    let stream = stream()?;
    let event = stream.context().new_event(None)?;
    begin(&stream)?;
    event.record(&stream)?;
    refused(event.try_is_complete(), CUresult::CUDA_ERROR_CAPTURED_EVENT)?;
    refused(end(&stream), CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED)
}

fn outside() -> Outcome {
    let stream = stream()?;
    let event = stream.context().new_stream()?.record_event(None)?;
    begin(&stream)?;
    refused(stream.wait(&event), CUresult::CUDA_ERROR_STREAM_CAPTURE_ISOLATION)?;
    refused(end(&stream), CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED)
}

unsafe extern "C" fn count(argument: *mut c_void) {
    // SAFETY: `host_node` hands over a counter that lives as long as the process.
    unsafe { &*argument.cast::<AtomicU32>() }.fetch_add(1, Relaxed);
}

fn host_node() -> Outcome {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let stream = stream()?;
    let mut slice = stream.clone_htod(&[1_u8; 8])?;
    begin(&stream)?;
    let argument = (&raw const CALLS).cast_mut().cast();
    // SAFETY: the stream is there, and `count` may be called with the counter at any time.
    unsafe { launch_host_function(stream.cu_stream(), count, argument)? };
    stream.memset_zeros(&mut slice)?;
    let graph = end(&stream)?.ok_or("there is no graph")?;
    same(CALLS.load(Relaxed), 0)?;
    for launches in 1..=3 {
        stream.memcpy_htod(&[1; 8], &mut slice)?;
        graph.launch()?;
        same(stream.clone_dtoh(&slice)?, vec![0; 8])?;
        same(CALLS.load(Relaxed), launches)?;
    }
    Ok(())
}
