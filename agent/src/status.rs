//! What the agent's threads tell about themselves.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use checks::report::ReasonCount;

/// Where the agent stands, for `/readyz` and the status page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentStatus {
    /// The brokers answer.
    pub connected: bool,
    /// Topics that are followed.
    pub topics: usize,
    /// Partitions that this agent reads.
    pub partitions: usize,
    /// Every thread knows its partitions, and has begun to read each of them.
    pub settled: bool,
    /// All that it reads is read up to the present. False while it has no partitions and has not
    /// yet heard from its group.
    pub caught_up: bool,
    /// The last error that has not been followed by success, in words for people; no secrets.
    pub last_error: Option<String>,
}

/// Shared by the threads of an agent.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    connected: bool,
    topics: usize,
    /// By thread: partitions read, whether all of its partitions are, and whether they are caught up.
    threads: BTreeMap<usize, (usize, bool, bool)>,
    /// By thread: reports and sightings dropped.
    dropped: BTreeMap<usize, (u64, u64)>,
    /// Last error by source.
    last_errors: BTreeMap<&'static str, String>,
    errors: BTreeMap<&'static str, u64>,
}

impl Shared {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an error; a new one is logged.
    pub(crate) fn error(&self, source: &'static str, text: String) {
        let mut inner = self.inner();
        *inner.errors.entry(source).or_default() += 1;
        let before = inner.last_errors.insert(source, text.clone());
        drop(inner);
        if before.as_deref() != Some(text.as_str()) {
            tracing::warn!(source, "{text}");
        }
    }

    /// The same, unless something more telling is known already.
    pub(crate) fn vague_error(&self, source: &'static str, text: String) {
        if self.inner().last_errors.contains_key(source) {
            self.count(source, 1);
        } else {
            self.error(source, text);
        }
    }

    /// Counts an error that is no state of affairs: it does not stay as the last one.
    pub(crate) fn count(&self, source: &'static str, many: u64) {
        if many > 0 {
            *self.inner().errors.entry(source).or_default() += many;
        }
    }

    /// What failed before works.
    pub(crate) fn works(&self, source: &'static str) {
        self.inner().last_errors.remove(source);
    }

    pub(crate) fn connected(&self, topics: usize) {
        let mut inner = self.inner();
        inner.connected = true;
        inner.topics = topics;
        inner.last_errors.remove("authentication");
        inner.last_errors.remove("kafka");
    }

    pub(crate) fn disconnected(&self) {
        self.inner().connected = false;
    }

    pub(crate) fn reading(&self, thread: usize, partitions: usize, settled: bool, caught_up: bool) {
        self.inner().threads.insert(thread, (partitions, settled, caught_up));
    }

    /// What a thread has dropped since its start.
    pub(crate) fn dropped(&self, thread: usize, reports: u64, sightings: u64) {
        self.inner().dropped.insert(thread, (reports, sightings));
    }

    /// Reports and sightings dropped by all threads.
    pub(crate) fn all_dropped(&self) -> (u64, u64) {
        self.inner().dropped.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    pub(crate) fn errors(&self) -> Vec<ReasonCount> {
        let inner = self.inner();
        inner
            .errors
            .iter()
            .map(|(source, count)| ReasonCount { reason: (*source).to_owned(), count: *count })
            .collect()
    }

    pub(crate) fn status(&self, threads: usize) -> AgentStatus {
        let inner = self.inner();
        AgentStatus {
            connected: inner.connected,
            topics: inner.topics,
            partitions: inner.threads.values().map(|(partitions, ..)| partitions).sum(),
            settled: inner.threads.len() == threads && inner.threads.values().all(|(_, settled, _)| *settled),
            caught_up: inner.threads.len() == threads
                && inner.threads.values().all(|(.., caught_up)| *caught_up),
            last_error: ["authentication", "kafka", "send", "commit", "registry"]
                .iter()
                .find_map(|source| inner.last_errors.get(source))
                .or_else(|| inner.last_errors.values().next())
                .cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_stays_until_it_works_again_and_is_counted_for_good() {
        let shared = Shared::default();
        shared.error("kafka", "no broker".into());
        shared.vague_error("kafka", "timed out".into());
        shared.error("send", "no collector".into());
        shared.count("registry", 3);
        assert_eq!(shared.status(1).last_error.as_deref(), Some("no broker"));
        shared.connected(2);
        assert_eq!(shared.status(1).last_error.as_deref(), Some("no collector"));
        shared.works("send");
        assert_eq!(shared.status(1).last_error, None);
        let errors: Vec<_> = shared.errors().into_iter().map(|e| (e.reason, e.count)).collect();
        assert_eq!(errors, [("kafka".into(), 2), ("registry".into(), 3), ("send".into(), 1)]);
    }

    #[test]
    fn it_is_caught_up_when_every_thread_is() {
        let shared = Shared::default();
        shared.reading(0, 3, true, true);
        assert!(!shared.status(2).caught_up, "one has not been heard of");
        shared.reading(1, 2, true, false);
        assert!(!shared.status(2).caught_up);
        shared.reading(1, 2, true, true);
        let status = shared.status(2);
        assert!(status.caught_up);
        assert_eq!(status.partitions, 5);
    }
}
