//! What goes wrong in the demo, and when.

use std::time::Duration;

/// A fault that is switched on for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// One consumer works off a tenth of what comes in.
    SlowConsumer,
    /// A third of the orders come without the customer's e-mail address.
    NullBurst,
    /// Some orders carry their amount as text, as a careless deploy would write it.
    SchemaBreak,
    /// Amounts are three times what they were: valid, and wrong.
    DistributionShift,
    /// Payments take seconds.
    LatencySpike,
    /// Some paid orders are never shipped.
    LostRecords,
}

/// One line of the schedule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scheduled {
    /// What.
    pub(crate) fault: Fault,
    /// From when, after the start of a round.
    pub(crate) from: Duration,
    /// For how long.
    pub(crate) lasts: Duration,
    /// What a person reads.
    pub(crate) story: &'static str,
    /// Topic and check (or detector) of the finding that shows it.
    pub(crate) shows_as: (&'static str, &'static str),
}

impl Scheduled {
    fn is_on(&self, since_start: Duration) -> bool {
        let at = round_time(since_start);
        at >= self.from && at < self.from + self.lasts
    }
}

/// A round of faults; the demo goes round and round.
pub(crate) const ROUND: Duration = Duration::from_secs(180);

const fn at(
    fault: Fault,
    from_s: u64,
    lasts_s: u64,
    story: &'static str,
    shows_as: (&'static str, &'static str),
) -> Scheduled {
    Scheduled {
        fault,
        from: Duration::from_secs(from_s),
        lasts: Duration::from_secs(lasts_s),
        story,
        shows_as,
    }
}

/// Everything ends early enough that `--for 2m` sees each finding.
pub(crate) const SCHEDULE: [Scheduled; 6] = [
    at(
        Fault::SlowConsumer,
        15,
        40,
        "fraud-scoring works off a tenth of the payments",
        ("fraud-scoring", "group_lag"),
    ),
    at(
        Fault::NullBurst,
        25,
        14,
        "a third of the orders lose the customer's e-mail address",
        ("orders", "email-present"),
    ),
    at(
        Fault::SchemaBreak,
        40,
        14,
        "a deploy writes the amount of some orders as text",
        ("orders", "schema-valid"),
    ),
    at(
        Fault::DistributionShift,
        58,
        16,
        "amounts of payments are three times what they were: valid, and wrong",
        ("payments", "amount-drift"),
    ),
    at(Fault::LatencySpike, 66, 14, "payments take three seconds", ("checkout", "pipeline_latency")),
    at(
        Fault::LostRecords,
        82,
        10,
        "a fifth of the paid orders is never shipped",
        ("checkout", "lost_traces"),
    ),
];

fn round_time(since_start: Duration) -> Duration {
    Duration::from_millis((since_start.as_millis() % ROUND.as_millis()) as u64)
}

/// Is the fault on at this time after the start?
pub(crate) fn is_on(fault: Fault, since_start: Duration) -> bool {
    SCHEDULE.iter().any(|s| s.fault == fault && s.is_on(since_start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_and_go_and_come_again() {
        let s = Duration::from_secs;
        assert!(!is_on(Fault::NullBurst, s(0)));
        assert!(is_on(Fault::NullBurst, s(25)));
        assert!(!is_on(Fault::NullBurst, s(39)));
        assert!(is_on(Fault::NullBurst, ROUND + s(30)));
    }

    #[test]
    fn two_minutes_see_all_of_them() {
        for scheduled in SCHEDULE {
            assert!(scheduled.from + scheduled.lasts <= Duration::from_secs(95), "{:?}", scheduled.fault);
        }
    }
}
