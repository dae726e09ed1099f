//! Patterns over time: "A and then no B of the same key within 5 m", "more than N of A of one key
//! within 1 m".
//!
//! Agents report the times of the records that the expressions pick, key by key; panes and agents
//! add up; what follows what is decided here, over the window and as far before it as the pattern
//! reaches. So it does not matter which agent read which record, in which order, or how late.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::ratio::Counts;
use super::words::duration_ms;
use super::{Context, Window};
use crate::merge::{EXAMPLES_MAX, add_example};
use crate::report::{Example, KeyEvent, KeySeen, Keyed};
use crate::rules::{Metric, Rule};

/// What is counted of one key.
#[derive(Default)]
struct Count {
    failed: u64,
    checked: u64,
    examples: Vec<Example>,
}

/// Counts a pattern, or says why it can't be.
pub(super) fn count<'a>(rule: &Rule, window: &Window<'a>, ctx: &Context<'_>) -> Result<Counts<'a>, String> {
    let tally = window.summary.rule(&rule.id);
    let errors = tally.map_or(0, |tally| tally.errors);
    let own = tally.and_then(|tally| tally.keyed.as_ref());
    let before = ctx.lead.and_then(|lead| lead.rule(&rule.id)).and_then(|t| t.keyed.as_ref());
    let parts: Vec<&Keyed> = own.into_iter().chain(before).collect();
    let threshold = parts.iter().map(|keyed| keyed.threshold).min().unwrap_or(u64::MAX);
    let mut count = Count::default();
    let mut overflown = 0u64;
    let mut hashes: Vec<u64> = parts.iter().flat_map(|keyed| keyed.keys.iter().map(|key| key.hash)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    for hash in hashes.into_iter().take_while(|hash| *hash < threshold || threshold == u64::MAX) {
        let seen: Vec<&KeySeen> = parts.iter().filter_map(|keyed| keyed.key(hash)).collect();
        if seen.iter().any(|key| key.is_overflown()) {
            overflown += 1;
            continue;
        }
        let mut events: Vec<KeyEvent> = seen.iter().flat_map(|key| key.events.iter().copied()).collect();
        events.sort_unstable();
        match &rule.metric {
            Metric::NotFollowedBy { pattern, .. } => {
                unanswered(&events, pattern.within_ms, window, &mut count)
            }
            Metric::TooMany { pattern, most } => {
                crowded(&events, pattern.within_ms, *most, window, &mut count);
            }
            _ => {}
        }
    }
    if count.checked == 0 && overflown > 0 {
        return Err(format!("{overflown} keys had too many records at once to be followed"));
    }
    let mut examples = count.examples;
    if examples.is_empty() {
        examples = tally.map(|tally| tally.examples.clone()).unwrap_or_default();
    }
    let share = if threshold == u64::MAX { 1.0 } else { threshold as f64 / u64::MAX as f64 };
    Ok(Counts {
        failed: count.failed,
        checked: count.checked,
        weight: 1.0 / share.max(f64::MIN_POSITIVE),
        errors,
        overflown,
        examples: Cow::Owned(examples),
        ..Counts::none()
    })
}

/// First records whose time to be followed ran out in this window, and those that nothing followed.
fn unanswered(events: &[KeyEvent], within_ms: i64, window: &Window<'_>, count: &mut Count) {
    let answers: Vec<&KeyEvent> = events.iter().filter(|e| e.which & KeyEvent::THEN != 0).collect();
    for first in events.iter().filter(|e| e.which & KeyEvent::WHEN != 0) {
        let deadline_ms = first.at_ms.saturating_add(within_ms);
        if !(window.from_ms..window.to_ms).contains(&deadline_ms) {
            continue;
        }
        count.checked += 1;
        let from = answers.partition_point(|answer| answer.at_ms < first.at_ms);
        let to = answers.partition_point(|answer| answer.at_ms <= deadline_ms);
        // Sorted by time, partition and offset: if any of them follows, the first or the last does.
        let ends = [answers[from..to].first(), answers[from..to].last()];
        if !ends.into_iter().flatten().any(|answer| follows(answer, first)) {
            count.failed += 1;
            add_example(&mut count.examples, EXAMPLES_MAX, first.partition, first.offset, || {
                format!("nothing followed within {}", duration_ms(within_ms))
            });
        }
    }
}

/// Is it a later record? Of two partitions at the same moment, either may have been first.
fn follows(answer: &KeyEvent, first: &KeyEvent) -> bool {
    match answer.at_ms.cmp(&first.at_ms) {
        Ordering::Greater => true,
        Ordering::Equal => answer.partition != first.partition || answer.offset > first.offset,
        Ordering::Less => false,
    }
}

/// Records of this window that are beyond as many as may be within a time.
fn crowded(events: &[KeyEvent], within_ms: i64, most: u64, window: &Window<'_>, count: &mut Count) {
    let mut oldest = 0;
    for (at, event) in events.iter().enumerate() {
        while events[oldest].at_ms <= event.at_ms.saturating_sub(within_ms) {
            oldest += 1;
        }
        if !(window.from_ms..window.to_ms).contains(&event.at_ms) {
            continue;
        }
        count.checked += 1;
        let together = (at - oldest + 1) as u64;
        if together > most {
            count.failed += 1;
            add_example(&mut count.examples, EXAMPLES_MAX, event.partition, event.offset, || {
                format!("number {together} of its key within {}", duration_ms(within_ms))
            });
        }
    }
}
