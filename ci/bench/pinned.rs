//! Two processors: the figures are goals for two, so that on a larger machine the others are left alone.

use std::num::NonZero;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::error::BenchError;

const GOAL: usize = 2;

/// What the machine has and what is used of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Processors {
    pub(crate) had: usize,
    pub(crate) used: usize,
}

/// Keeps this process, and all that it starts, on two processors.
pub(crate) fn to_two() -> Result<Processors, BenchError> {
    let had = std::thread::available_parallelism().map_or(1, NonZero::get);
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).map_err(BenchError::errno("ask for the processors allowed"))?;
    let mut kept = CpuSet::new();
    let mut used = 0;
    for number in 0..CpuSet::count() {
        if used < GOAL && allowed.is_set(number).unwrap_or(false) {
            kept.set(number).map_err(BenchError::errno("name a processor"))?;
            used += 1;
        }
    }
    sched_setaffinity(this, &kept).map_err(BenchError::errno("keep to two processors"))?;
    Ok(Processors { had, used })
}
