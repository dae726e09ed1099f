//! CPU time, by the kernel's own count.

use anyhow::{Context as _, Result};

/// CPU time of this thread, in nanoseconds.
pub(crate) fn cpu_ns() -> Result<u64> {
    // The kernel brings a thread's time up to date when it leaves the CPU.
    std::thread::yield_now();
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    stat.split(' ').next().context("/proc/thread-self/schedstat")?.parse().context("nanoseconds")
}

/// Nanoseconds a record.
pub(crate) fn timed(records: usize, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let before = cpu_ns()?;
    work()?;
    Ok((cpu_ns()? - before) as f64 / records as f64)
}

/// The one in the middle.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
