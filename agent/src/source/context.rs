//! What the Kafka client tells the agent by callbacks: kept for the worker, which acts on it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

use super::TopicPartition;
use super::token::Token;
use crate::status::Shared;

/// A change of what the group gives to this consumer.
#[derive(Debug)]
pub(crate) enum Rebalance {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
}

/// The callbacks' side.
pub(crate) struct Context {
    shared: Arc<Shared>,
    token: Option<Token>,
    rebalances: Mutex<Vec<Rebalance>>,
    /// How far the client has fetched each partition whose end it has seen.
    ends_reached: Mutex<Option<Vec<(TopicPartition, i64)>>>,
    is_closing: AtomicBool,
    /// While the client is only tried, its errors are not the agent's: the last one of them.
    trial: Mutex<Option<String>>,
}

impl Context {
    pub(crate) fn new(shared: Arc<Shared>, token: Option<Token>) -> Self {
        Self {
            shared,
            token,
            rebalances: Mutex::new(Vec::new()),
            ends_reached: Mutex::new(None),
            is_closing: AtomicBool::new(false),
            trial: Mutex::new(None),
        }
    }

    /// The client is on trial until [`Self::accepted`].
    pub(crate) fn on_trial(&self) {
        *self.trial() = Some(String::new());
    }

    /// What went wrong last in the trial, which ends here.
    pub(crate) fn accepted(&self) -> Option<String> {
        self.trial().take().filter(|why| !why.is_empty())
    }

    fn trial(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.trial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happened since the last call, in order.
    pub(crate) fn take_rebalances(&self) -> Vec<Rebalance> {
        std::mem::take(&mut *self.rebalances.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The latest statistics, once.
    pub(crate) fn take_ends_reached(&self) -> Option<Vec<(TopicPartition, i64)>> {
        self.ends_reached.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// From now on the worker is gone: answer the group's calls here.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
    }
}

impl ConsumerContext for Context {
    /// Only notes the change: the worker assigns what it has found the place for, and gives up
    /// what it has reported. The client waits for the worker's call as long as it polls.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<_> =
            list.elements().iter().map(|e| TopicPartition::new(e.topic(), e.partition())).collect();
        let is_assignment = err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.is_closing.load(Ordering::Acquire) {
            let answered = if is_assignment {
                consumer.incremental_assign(&TopicPartitionList::new())
            } else {
                consumer.assignment().and_then(|held| consumer.incremental_unassign(&common(list, &held)))
            };
            if let Err(error) = answered {
                tracing::debug!(%error, "leaving the group");
            }
            return;
        }
        let rebalance =
            if is_assignment { Rebalance::Assigned(partitions) } else { Rebalance::Revoked(partitions) };
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).push(rebalance);
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        match result {
            Ok(()) => self.shared.works("commit"),
            Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            // The next acknowledged report commits again; until then the collector knows.
            Err(error) => self.shared.error("commit", format!("could not commit positions: {error}")),
        }
    }
}

/// The partitions of `list` that are among `held`.
fn common(list: &TopicPartitionList, held: &TopicPartitionList) -> TopicPartitionList {
    let mut common = TopicPartitionList::new();
    for element in list.elements() {
        if held.find_partition(element.topic(), element.partition()).is_some() {
            common.add_partition(element.topic(), element.partition());
        }
    }
    common
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    /// Asked before a token expires; never for those that the client fetches itself.
    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let Some(token) = &self.token else { return Err("no token is configured".into()) };
        let read = token.read(crate::worker::now_ms());
        match &read {
            Ok(_) => self.shared.works("authentication"),
            Err(why) => self.shared.error("authentication", why.clone()),
        }
        Ok(read?)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                tracing::warn!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(last) = &mut *self.trial() {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) || last.is_empty() {
                *last = reason.to_owned();
            }
            return;
        }
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
                self.shared.disconnected();
                self.shared.error("authentication", format!("the broker refuses the credentials: {reason}"));
            }
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                self.shared.disconnected();
                self.shared.vague_error("kafka", reason.to_owned());
            }
            _ => self.shared.error("kafka", reason.to_owned()),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        match serde_json::from_slice::<Statistics>(statistics) {
            Ok(statistics) => {
                let ends = statistics.ends_reached();
                *self.ends_reached.lock().unwrap_or_else(PoisonError::into_inner) = Some(ends);
            }
            Err(error) => tracing::debug!(%error, "the client's statistics"),
        }
    }
}

/// The little that is needed of librdkafka's statistics (its STATISTICS.md).
#[derive(serde::Deserialize)]
struct Statistics {
    #[serde(default)]
    topics: BTreeMap<String, TopicStatistics>,
}

#[derive(serde::Deserialize)]
struct TopicStatistics {
    #[serde(default)]
    partitions: BTreeMap<String, PartitionStatistics>,
}

#[derive(serde::Deserialize)]
struct PartitionStatistics {
    partition: i32,
    /// Where the client has last seen the end, having fetched everything before it.
    #[serde(default)]
    eof_offset: i64,
    /// Only of a partition that is being fetched are the offsets of now.
    #[serde(default)]
    fetch_state: String,
}

impl Statistics {
    fn ends_reached(self) -> Vec<(TopicPartition, i64)> {
        let mut ends = Vec::new();
        for (topic, statistics) in self.topics {
            for partition in statistics.partitions.into_values() {
                let is_fetched = partition.partition >= 0 && partition.fetch_state == "active";
                if is_fetched && partition.eof_offset > 0 {
                    ends.push((TopicPartition::new(&topic, partition.partition), partition.eof_offset));
                }
            }
        }
        ends
    }
}
