//! Transactions: who keeps one open (KIP-664).

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeTransactionsRequest, ListTransactionsRequest, ProducerId, TopicName,
};

use super::{Trouble, checked, text};
use crate::cluster::wire::{Connection, WireError};

/// A producer with a transaction open in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i32,
    pub(crate) coordinator_epoch: i32,
    /// Time of its last batch there; `None` when the leader does not know.
    pub(crate) last_ms: Option<i64>,
    /// Where its transaction begins.
    pub(crate) start_offset: i64,
}

/// The producers with a transaction open, or a code, by topic and partition that this broker
/// leads. Needs READ on the topics.
pub(crate) async fn producers(
    connection: &Connection,
    partitions: &BTreeMap<String, Vec<i32>>,
) -> Result<BTreeMap<(String, i32), Result<Vec<Producer>, i16>>, WireError> {
    let topics = partitions.iter().map(|(topic, indexes)| {
        TopicRequest::default().with_name(TopicName(text(topic))).with_partition_indexes(indexes.clone())
    });
    let request = DescribeProducersRequest::default().with_topics(topics.collect());
    let answer = connection.call(&request).await?;
    let mut found = BTreeMap::new();
    for topic in answer.topics {
        for partition in topic.partitions {
            let open = || {
                let open = partition.active_producers.iter().filter(|p| p.current_txn_start_offset >= 0);
                open.map(|p| Producer {
                    id: p.producer_id.0,
                    epoch: p.producer_epoch,
                    coordinator_epoch: p.coordinator_epoch,
                    last_ms: Some(p.last_timestamp).filter(|ms| *ms > 0),
                    start_offset: p.current_txn_start_offset,
                })
            };
            let result = match partition.error_code {
                0 => Ok(open().collect()),
                code => Err(code),
            };
            found.insert((topic.name.to_string(), partition.partition_index), result);
        }
    }
    Ok(found)
}

/// What the coordinator of a transaction knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Coordinated {
    pub(crate) transactional_id: String,
    /// `Ongoing`, `PrepareAbort`, …
    pub(crate) state: String,
    /// When it began, by the coordinator's clock; `None` when none is under way.
    pub(crate) began_ms: Option<i64>,
    /// After which time the coordinator should have ended it, in milliseconds.
    pub(crate) timeout_ms: i32,
}

/// The transactions of some producers that this broker coordinates, by producer. Those that we
/// may not see (DESCRIBE on the transactional id) are left out in silence.
pub(crate) async fn open_transactions(
    connection: &Connection,
    producers: &[i64],
) -> Result<BTreeMap<i64, Coordinated>, Trouble> {
    let mut request = ListTransactionsRequest::default()
        .with_producer_id_filters(producers.iter().map(|&id| ProducerId(id)).collect());
    if connection.version::<ListTransactionsRequest>()? >= 1 {
        request = request.with_duration_filter(-1);
    }
    let answer = connection.call(&request).await?;
    checked(answer.error_code)?;
    // A broker that ignores the filter would have us describe everything.
    let ids: Vec<_> = answer
        .transaction_states
        .into_iter()
        .filter(|t| producers.contains(&t.producer_id.0))
        .map(|t| t.transactional_id)
        .take(producers.len())
        .collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let request = DescribeTransactionsRequest::default().with_transactional_ids(ids);
    let answer = connection.call(&request).await?;
    let known = answer.transaction_states.into_iter().filter(|t| t.error_code == 0).map(|t| {
        let coordinated = Coordinated {
            transactional_id: t.transactional_id.to_string(),
            state: t.transaction_state.to_string(),
            began_ms: Some(t.transaction_start_time_ms).filter(|ms| *ms > 0),
            timeout_ms: t.transaction_timeout_ms,
        };
        (t.producer_id.0, coordinated)
    });
    Ok(known.collect())
}
