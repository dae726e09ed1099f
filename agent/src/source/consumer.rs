//! The client of one thread: what is subscribed to, what is assigned, what is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::TopicPartition;
use super::context::Context;
use super::properties::{client_config, told};
use super::token::Token;
use crate::status::Shared;

/// The client and what it was told.
pub(crate) struct Consumer {
    pub(crate) client: Arc<BaseConsumer<Context>>,
    shared: Arc<Shared>,
    /// What the client fetches.
    assigned: BTreeSet<TopicPartition>,
    subscribed: BTreeSet<String>,
    committed: BTreeMap<TopicPartition, i64>,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Consumer of {} partitions", self.assigned.len())
    }
}

impl Consumer {
    pub(crate) fn new(properties: &BTreeMap<String, String>, shared: Arc<Shared>) -> Result<Self, String> {
        let mut properties = properties.clone();
        let token = Token::take(&mut properties);
        let client = client_config(&properties)
            .create_with_context(Context::new(shared.clone(), token))
            .map_err(|e| format!("cannot set up the Kafka client: {}", told(&e)))?;
        Ok(Self {
            client: Arc::new(client),
            shared,
            assigned: BTreeSet::new(),
            subscribed: BTreeSet::new(),
            committed: BTreeMap::new(),
        })
    }

    /// Follows exactly these topics.
    pub(crate) fn subscribe<'a>(&mut self, topics: impl Iterator<Item = &'a String>) {
        let wanted: BTreeSet<String> = topics.cloned().collect();
        if wanted == self.subscribed {
            return;
        }
        if wanted.is_empty() {
            self.client.unsubscribe();
        } else {
            let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
            if let Err(error) = self.client.subscribe(&names) {
                self.shared.error("kafka", format!("cannot subscribe to {} topics: {error}", names.len()));
                return;
            }
        }
        self.subscribed = wanted;
    }

    /// Fetches these partitions from these offsets on. An empty list still answers the group's
    /// call.
    pub(crate) fn assign(&mut self, partitions: &[(TopicPartition, i64)]) -> Result<(), String> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (at, offset) in partitions {
            list.add_partition_offset(&at.topic, at.partition, Offset::Offset(*offset))
                .map_err(|e| format!("cannot read {at} from offset {offset}: {e}"))?;
        }
        self.client
            .incremental_assign(&list)
            .map_err(|e| format!("cannot read {} partitions: {e}", partitions.len()))?;
        for (at, _) in partitions {
            self.committed.remove(at);
            self.assigned.insert(at.clone());
        }
        Ok(())
    }

    /// Fetches these no more. What was not assigned is left out: the client refuses the whole list
    /// otherwise.
    pub(crate) fn unassign<'a>(
        &mut self,
        partitions: impl Iterator<Item = &'a TopicPartition>,
    ) -> Result<(), String> {
        let mut list = TopicPartitionList::new();
        for at in partitions {
            self.committed.remove(at);
            if self.assigned.remove(at) {
                list.add_partition(&at.topic, at.partition);
            }
        }
        self.client
            .incremental_unassign(&list)
            .map_err(|e| format!("cannot give up {} partitions: {e}", list.count()))
    }

    pub(crate) fn is_assigned(&self, at: &TopicPartition) -> bool {
        self.assigned.contains(at)
    }

    pub(crate) fn assigned(&self) -> impl Iterator<Item = &TopicPartition> {
        self.assigned.iter()
    }

    /// Commits the positions of partitions that are still this consumer's and have changed.
    pub(crate) fn commit(&mut self, positions: &[(TopicPartition, i64)]) {
        let mut list = TopicPartitionList::new();
        for (at, next) in positions {
            let is_news =
                self.assigned.contains(at) && self.committed.get(at).is_none_or(|before| before < next);
            if is_news && list.add_partition_offset(&at.topic, at.partition, Offset::Offset(*next)).is_ok() {
                self.committed.insert(at.clone(), *next);
            }
        }
        if list.count() == 0 {
            return;
        }
        // Never waits: giving up a partition and closing wait for commits on their way.
        if let Err(error) = self.client.commit(&list, CommitMode::Async) {
            self.shared.error("commit", format!("could not commit positions: {error}"));
        }
    }

    /// Leaves the group and ends the client, within a deadline as far as that can be had.
    pub(crate) fn close(self, at_most: Duration) {
        let deadline = std::time::Instant::now() + at_most;
        self.client.context().close();
        if let Err(error) = self.client.close_queue() {
            tracing::debug!(%error, "closing the consumer");
        }
        while !self.client.closed() && std::time::Instant::now() < deadline {
            let _ = self.client.poll(Duration::from_millis(50));
        }
    }
}
