//! The agent about itself, from the operating system and its threads.

use checks::report::AgentStats;

use crate::status::Shared;

/// The figures of this moment.
pub(crate) fn now(shared: &Shared, reports_dropped: u64, sightings_dropped: u64) -> AgentStats {
    AgentStats {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        memory_bytes: memory_bytes(),
        cpu_seconds: cpu_seconds(),
        reports_dropped,
        sightings_dropped,
        errors: shared.errors(),
        rules_stale: false,
    }
}

/// Resident memory in bytes; 0 where it is not known.
fn memory_bytes() -> u64 {
    std::fs::read_to_string("/proc/self/status").ok().and_then(|status| resident_bytes(&status)).unwrap_or(0)
}

/// CPU seconds used by the process since its start; 0 where they are not known.
fn cpu_seconds() -> f64 {
    std::fs::read_to_string("/proc/self/stat").ok().and_then(|stat| busy_seconds(&stat)).unwrap_or(0.0)
}

/// `VmRSS:   1234 kB` (proc(5)).
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

/// Fields 14 and 15, user and system time in clock ticks, of which Linux shows 100 a second to
/// user space on every architecture that Tapline runs on. The name in field 2 may hold spaces.
fn busy_seconds(stat: &str) -> Option<f64> {
    const TICKS_A_SECOND: f64 = 100.0;
    let mut after_name = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = after_name.next()?.parse().ok()?;
    let system: u64 = after_name.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_read_as_they_are_written() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2 << 20));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
        let stat = "12 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 8 0 1 2 3";
        assert_eq!(busy_seconds(stat), Some(2.0));
        assert_eq!(busy_seconds("nonsense"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory() {
        assert!(memory_bytes() > 1 << 20);
    }
}
