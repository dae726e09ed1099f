//! One task that sends: reports in sequence, each until it is acknowledged or refused for good.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use checks::report::Report;

use super::split::split;
use super::{Outbox, SendError, Transport};
use crate::source::TopicPartition;
use crate::status::Shared;

/// First and longest wait between attempts.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(3);
/// No transport may take longer for one attempt.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);

/// Hears of positions that the collector has.
pub(crate) type Acknowledged = Box<dyn Fn(Vec<(TopicPartition, i64)>) + Send + Sync>;

/// Sends what is in the outbox.
pub(crate) struct Sender {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) report_bytes_max: usize,
    /// Told which positions the collector has.
    pub(crate) acknowledged: Acknowledged,
}

impl Sender {
    /// Runs until it is aborted.
    pub(crate) async fn run(self) {
        let (mut sequence, mut as_of_ms) = (0, 0);
        loop {
            let (mark, report) = self.outbox.take().await;
            let as_of_before = std::mem::replace(&mut as_of_ms, report.as_of_ms);
            let positions = positions(&report);
            let mut is_whole = true;
            for mut part in split(report, self.report_bytes_max, as_of_before.min(as_of_ms)) {
                sequence += 1;
                part.sequence = sequence;
                is_whole &= self.deliver(Arc::new(part)).await;
            }
            // After a refusal the next report's positions cover what this one's did.
            if is_whole {
                (self.acknowledged)(positions);
            }
            self.outbox.settle(mark);
        }
    }

    /// Tries until it is taken (true) or refused (false).
    async fn deliver(&self, part: Arc<Report>) -> bool {
        let mut wait = RETRY_FIRST;
        loop {
            let sent = tokio::time::timeout(ATTEMPT_MAX, self.transport.send(part.clone())).await;
            let sent = sent.unwrap_or_else(|_| {
                Err(SendError::Retry(format!(
                    "the collector did not answer within {} s",
                    ATTEMPT_MAX.as_secs()
                )))
            });
            match sent {
                Ok(()) => {
                    self.shared.works("send");
                    self.outbox.applied(&part);
                    return true;
                }
                Err(SendError::Refused(why)) => {
                    self.shared.error("send", format!("report {} was refused: {why}", part.sequence));
                    self.outbox.refused(Arc::unwrap_or_clone(part));
                    return false;
                }
                Err(SendError::Retry(why)) => {
                    self.shared.error("send", why);
                    tokio::time::sleep(jittered(wait)).await;
                    wait = (wait * 2).min(RETRY_MAX);
                }
            }
        }
    }
}

/// Between half of it and all of it, so that agents do not come back in step.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + 0.5 * (random() >> 11) as f64 / (1u64 << 53) as f64)
}

/// A random number, from the seed that the standard library draws for its maps.
pub(crate) fn random() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

fn positions(report: &Report) -> Vec<(TopicPartition, i64)> {
    let mut names: BTreeMap<&str, Arc<str>> = BTreeMap::new();
    let mut positions = Vec::new();
    for topic in &report.topics {
        let name = names.entry(&topic.topic).or_insert_with(|| topic.topic.as_str().into());
        for position in &topic.positions {
            let at = TopicPartition { topic: name.clone(), partition: position.partition };
            positions.push((at, position.next));
        }
    }
    positions
}
