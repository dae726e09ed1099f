//! What the files of former versions hold (`fixtures/`): a topic with a check, a service level and
//! detectors that have learned, and nulls that begin when they have.

use checks::report::{FieldSummary, Report, skip_reason};

use crate::config::Config;
use crate::state::testing::{PANE_MS, amount, checks, config as plain, pane, progress, report, skipped, slo};

/// Records of a pane.
pub(crate) const RECORDS: i64 = 600;
/// Panes until the detectors watch.
pub(crate) const LEARNED: i64 = 80;

pub(crate) fn config() -> Config {
    let mut config = plain(checks(vec![amount()], vec![slo(0.9)]));
    let how = &mut config.detect.settings;
    (how.window_ms, how.learn_ms, how.adopt_ms) = (20_000, 600_000, 3_600_000);
    config
}

fn field(path: &str, null: u64, is_object: bool) -> FieldSummary {
    let records = RECORDS.unsigned_abs();
    let (object, string) = if is_object { (records, 0) } else { (0, records - null) };
    let path = path.to_owned();
    FieldSummary { path, records, present: records, null, object, string, ..Default::default() }
}

/// One report a pane; with `nulls`, `$.email` is null in a third of the records once that is unusual.
pub(crate) fn reports(panes: std::ops::Range<i64>, nulls: bool) -> Vec<Report> {
    let hash = config().checks.for_topic("orders").hash;
    let one = |at: i64| {
        let failed = u64::from(at % 10 == 0);
        let mut pane = pane(hash, at * PANE_MS, 0, at * RECORDS, (at + 1) * RECORDS, failed, &[]);
        let null = if nulls && at >= LEARNED { 200 } else { 4 } + at.unsigned_abs() % 3;
        if let Some(summary) = pane.summary.as_mut() {
            summary.fields = vec![field("$", 0, true), field("$.email", null, false)];
        }
        let mut report = report("a", 1, at.unsigned_abs() + 1, (at + 2) * PANE_MS);
        report.panes.push(pane);
        if at == 3 {
            report.skipped.push(skipped(1, 0, 7, skip_reason::GAP));
        }
        report.topics.push(progress("orders", (at + 1) * PANE_MS, 0, (at + 1) * RECORDS));
        report
    };
    panes.map(one).collect()
}
