//! Memory of the device and of the host, and copies between them.

use cudarc::driver::CudaContext;
use cudarc::driver::sys::CUresult;

use super::Case;
use super::check::{Outcome, holds, refused, same};

pub(super) const CASES: &[Case] = &[
    ("copies_come_back_as_they_went", copies),
    ("an_existing_slice_is_written_from_its_beginning", existing),
    ("new_memory_is_zero_where_that_is_asked_for", zeros),
    ("copies_within_the_device_leave_their_source_alone", within),
    ("a_view_is_a_part_of_its_slice", views),
    ("halves_of_a_slice_do_not_overlap", halves),
    ("what_is_dropped_is_free_again", drops),
    ("too_much_memory_is_refused_and_the_program_goes_on", too_much),
    ("pinned_memory_is_copied_as_any_other", pinned),
    ("a_type_keeps_its_bytes", types),
];

fn copies() -> Outcome {
    let stream = CudaContext::new(0)?.new_stream()?;
    // Small ones are taken over by the driver, large ones are not.
    for count in [1, 7, 1 << 12, 1 << 20] {
        let values: Vec<u32> = (0..count).map(|it| it * 3 + 1).collect();
        let slice = stream.clone_htod(&values)?;
        same((slice.len(), slice.num_bytes()), (values.len(), values.len() * 4))?;
        same(stream.clone_dtoh(&slice)? == values, true)?;
    }
    Ok(())
}

fn existing() -> Outcome {
    let stream = CudaContext::new(0)?.default_stream();
    let mut slice = stream.clone_htod(&[1_i64, 2, 3, 4])?;
    stream.memcpy_htod(&[-7_i64, -8], &mut slice)?;
    let mut found = [0_i64; 4];
    stream.memcpy_dtoh(&slice, &mut found)?;
    stream.synchronize()?;
    same(found, [-7, -8, 3, 4])
}

fn zeros() -> Outcome {
    let stream = CudaContext::new(0)?.new_stream()?;
    // Memory that was used and given back is not what is handed out.
    drop(stream.clone_htod(&[u64::MAX; 1000])?);
    let mut slice = stream.alloc_zeros::<u64>(1000)?;
    same(stream.clone_dtoh(&slice)?, vec![0; 1000])?;
    stream.memcpy_htod(&[5; 1000], &mut slice)?;
    stream.memset_zeros(&mut slice.slice_mut(10..990))?;
    let found = stream.clone_dtoh(&slice)?;
    same(found.iter().filter(|it| **it == 5).count(), 20)?;
    same((found[9], found[10], found[989], found[990]), (5, 0, 0, 5))
}

fn within() -> Outcome {
    let stream = CudaContext::new(0)?.new_stream()?;
    let from = stream.clone_htod(&[1_u8, 2, 3])?;
    let mut to = stream.alloc_zeros::<u8>(5)?;
    stream.memcpy_dtod(&from, &mut to)?;
    same(stream.clone_dtoh(&to)?, vec![1, 2, 3, 0, 0])?;
    let mut copy = from.try_clone()?;
    stream.memset_zeros(&mut copy)?;
    same((stream.clone_dtoh(&from)?, stream.clone_dtoh(&copy)?), (vec![1, 2, 3], vec![0; 3]))
}

fn views() -> Outcome {
    let stream = CudaContext::new(0)?.new_stream()?;
    let mut slice = stream.clone_htod(&[10_u32, 11, 12, 13, 14, 15])?;
    let view = slice.slice(2..5);
    same((view.len(), stream.clone_dtoh(&view)?), (3, vec![12, 13, 14]))?;
    same(stream.clone_dtoh(&view.slice(1..))?, vec![13, 14])?;
    stream.memcpy_htod(&[90, 91], &mut slice.slice_mut(4..))?;
    same(stream.clone_dtoh(&slice)?, vec![10, 11, 12, 13, 90, 91])?;
    same(slice.try_slice(3..7).is_none(), true)
}

fn halves() -> Outcome {
    let stream = CudaContext::new(0)?.new_stream()?;
    let mut slice = stream.clone_htod(&[1_u16, 2, 3, 4, 5])?;
    let (left, mut right) = slice.split_at_mut(2);
    stream.memcpy_dtod(&left, &mut right)?;
    same(stream.clone_dtoh(&slice)?, vec![1, 2, 1, 2, 5])
}

fn drops() -> Outcome {
    const BYTES: usize = 64 << 20;
    let context = CudaContext::new(0)?;
    let stream = context.new_stream()?;
    let free = || -> Result<usize, cudarc::driver::DriverError> {
        stream.synchronize()?;
        Ok(context.mem_get_info()?.0)
    };
    let before = free()?;
    let slice = stream.alloc_zeros::<u8>(BYTES)?;
    same(before - free()?, BYTES)?;
    drop(slice);
    same(free()?, before)
}

fn too_much() -> Outcome {
    let context = CudaContext::new(0)?;
    let stream = context.new_stream()?;
    let all = context.total_mem()?;
    refused(stream.alloc_zeros::<u8>(all + 1), CUresult::CUDA_ERROR_OUT_OF_MEMORY)?;
    let slice = stream.clone_htod(&[3_u8; 100])?;
    same(stream.clone_dtoh(&slice)?, vec![3; 100])?;
    Ok(context.check_err()?)
}

fn pinned() -> Outcome {
    let context = CudaContext::new(0)?;
    let stream = context.new_stream()?;
    // SAFETY: all of it is written before it is read.
    let mut up = unsafe { context.alloc_pinned::<f32>(1000)? };
    // SAFETY: so is this.
    let mut down = unsafe { context.alloc_pinned::<f32>(1000)? };
    up.as_mut_slice()?.copy_from_slice(&[1.5; 1000]);
    down.as_mut_slice()?.fill(0.0);
    let slice = stream.clone_htod(&up)?;
    stream.memcpy_dtoh(&slice, &mut down)?;
    holds(down.as_slice()?.iter().all(|it| it.to_bits() == 1.5_f32.to_bits()), "all are 1.5")?;
    drop((up, down));
    Ok(context.check_err()?)
}

fn types() -> Outcome {
    let stream = CudaContext::new(0)?.new_stream()?;
    let values = [1.25_f64, -0.0, f64::INFINITY];
    let slice = stream.clone_htod(&values)?;
    // SAFETY: every pattern of bits is a `u64`.
    let view = unsafe { slice.transmute::<u64>(3) }.ok_or("it has no room for as many")?;
    same(stream.clone_dtoh(&view)?, values.map(f64::to_bits).to_vec())?;
    // SAFETY: the same.
    holds(unsafe { slice.transmute::<u64>(4) }.is_none(), "there is no fourth one")
}
