//! What must be asked of the brokers and the collector before and while reading: on a thread of
//! its own, since each question may take seconds and records do not wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Weak};
use std::time::Duration;

use checks::filter::Filter;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::TopicPartition;
use super::certificates::Certificates;
use super::consumer::Consumer;
use super::context::Context;
use super::cursor::Anchors;
use crate::send::{SendError, Transport};

/// How long a question to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A question.
#[derive(Debug)]
pub(crate) enum Question {
    /// Which topics are there?
    Topics,
    /// Where to begin in these partitions?
    Places(Vec<Wanted>),
    /// Where do these partitions end?
    Ends(Vec<TopicPartition>),
}

/// A partition that is to be read.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) partition: TopicPartition,
    /// Where the agent is itself, if it has been there.
    pub(crate) own: Option<i64>,
    pub(crate) is_new: bool,
    /// The collector has been waited for long enough.
    pub(crate) without_collector: bool,
}

/// An answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Topics that match, with their numbers of partitions.
    Topics(Result<BTreeMap<String, i32>, String>),
    Places(Vec<(TopicPartition, Result<Anchors, Missing>)>),
    Ends(Vec<(TopicPartition, i64)>),
    /// A client with renewed certificates, which takes the place of the old one; from here on
    /// questions are asked through it.
    Renewed(Box<Consumer>),
}

/// Why a place is not known.
#[derive(Clone, Debug)]
pub(crate) enum Missing {
    /// The brokers do not say.
    Broker(String),
    /// The collector does not say, and the partition was read before.
    Collector(String),
}

/// Answers questions until nobody can ask any more, or the consumer is gone.
pub(crate) struct Lookup {
    pub(crate) consumer: Weak<BaseConsumer<Context>>,
    pub(crate) certificates: Certificates,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) topics: Filter,
    pub(crate) collector_timeout: Duration,
}

impl Lookup {
    pub(crate) fn run<E: From<Answer>>(mut self, questions: &Receiver<Question>, answers: &Sender<E>) {
        while let Ok(question) = questions.recv() {
            let Some(consumer) = self.consumer.upgrade() else { return };
            let looks_at_certificates = matches!(question, Question::Topics);
            let answer = match question {
                Question::Topics => Answer::Topics(self.topics(&consumer)),
                Question::Places(wanted) => Answer::Places(self.places(&consumer, wanted)),
                Question::Ends(partitions) => {
                    let ends = offsets(&consumer, &partitions, Offset::End);
                    Answer::Ends(ends.into_iter().filter_map(|(at, end)| Some((at, end.ok()?))).collect())
                }
            };
            drop(consumer);
            if answers.send(answer.into()).is_err() {
                return;
            }
            if looks_at_certificates && let Some(renewed) = self.certificates.renewed() {
                self.consumer = Arc::downgrade(&renewed.client);
                if answers.send(Answer::Renewed(Box::new(renewed)).into()).is_err() {
                    return;
                }
            }
        }
    }

    fn topics(&self, consumer: &BaseConsumer<Context>) -> Result<BTreeMap<String, i32>, String> {
        let metadata =
            consumer.fetch_metadata(None, TIMEOUT).map_err(|e| format!("cannot list topics: {e}"))?;
        let topics = metadata.topics().iter().filter(|topic| topic.error().is_none());
        Ok(topics
            .filter(|topic| self.topics.matches(topic.name()) && !topic.partitions().is_empty())
            .map(|topic| (topic.name().to_owned(), topic.partitions().len() as i32))
            .collect())
    }

    /// Commits before the collector's positions before ends: none of the former can then lie
    /// beyond an end merely for being newer.
    fn places(
        &self,
        consumer: &BaseConsumer<Context>,
        wanted: Vec<Wanted>,
    ) -> Vec<(TopicPartition, Result<Anchors, Missing>)> {
        let partitions: Vec<_> = wanted.iter().map(|w| w.partition.clone()).collect();
        let mut committed = committed(consumer, &partitions);
        // Who never committed has never reported either.
        let read_before: BTreeSet<String> = wanted
            .iter()
            .filter(|w| matches!(committed.get(&w.partition), Some(Ok(Some(_)))))
            .map(|w| w.partition.topic.to_string())
            .collect();
        let known = self.collector_positions(read_before.into_iter().collect());
        let mut starts = offsets(consumer, &partitions, Offset::Beginning);
        let mut ends = offsets(consumer, &partitions, Offset::End);
        let mut place = |w: &Wanted| -> Result<Anchors, Missing> {
            let unknown = || Err(format!("nothing is known of {}", w.partition));
            let committed =
                committed.remove(&w.partition).unwrap_or_else(unknown).map_err(Missing::Broker)?;
            let collector = match (&known, committed) {
                (Ok(known), _) => known.get(&(w.partition.topic.to_string(), w.partition.partition)).copied(),
                (Err(_), None) => None,
                (Err(SendError::Retry(why)), Some(_)) if !w.without_collector => {
                    return Err(Missing::Collector(why.clone()));
                }
                (Err(_), Some(_)) => None,
            };
            let unknown = || Err(format!("nothing is known of {}", w.partition));
            let log_start = starts.remove(&w.partition).unwrap_or_else(unknown).map_err(Missing::Broker)?;
            let end = ends.remove(&w.partition).unwrap_or_else(unknown).map_err(Missing::Broker)?;
            Ok(Anchors { committed, collector, own: w.own, log_start, end, is_new: w.is_new })
        };
        wanted.iter().map(|w| (w.partition.clone(), place(w))).collect()
    }

    fn collector_positions(&self, topics: Vec<String>) -> Result<BTreeMap<(String, i32), i64>, SendError> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        self.runtime.block_on(async {
            match tokio::time::timeout(self.collector_timeout, self.transport.positions(&topics)).await {
                Ok(positions) => positions,
                Err(_) => Err(SendError::Retry(format!(
                    "the collector did not tell its positions within {} ms",
                    self.collector_timeout.as_millis()
                ))),
            }
        })
    }
}

type Offsets<T> = BTreeMap<TopicPartition, Result<T, String>>;

fn committed(consumer: &BaseConsumer<Context>, partitions: &[TopicPartition]) -> Offsets<Option<i64>> {
    let failed = |why: String| partitions.iter().map(|p| (p.clone(), Err(why.clone()))).collect();
    if partitions.is_empty() {
        return BTreeMap::new();
    }
    let list = match list(partitions, Offset::Invalid) {
        Ok(list) => list,
        Err(error) => return failed(error),
    };
    match consumer.committed_offsets(list, TIMEOUT) {
        Err(error) => failed(format!("cannot read the group's positions: {error}")),
        Ok(list) => list
            .elements()
            .iter()
            .map(|element| {
                let at = TopicPartition::new(element.topic(), element.partition());
                let offset = match (element.error(), element.offset()) {
                    (Err(error), _) => Err(format!("cannot read the group's position in {at}: {error}")),
                    (Ok(()), Offset::Offset(offset)) => Ok(Some(offset)),
                    (Ok(()), _) => Ok(None),
                };
                (at, offset)
            })
            .collect(),
    }
}

/// Where partitions begin or end, in one request a broker. When that fails as a whole (one
/// partition without a leader is enough), the topics are asked for apart.
fn offsets(consumer: &BaseConsumer<Context>, partitions: &[TopicPartition], which: Offset) -> Offsets<i64> {
    if partitions.is_empty() {
        return BTreeMap::new();
    }
    let answer = list(partitions, which).and_then(|list| {
        consumer.offsets_for_times(list, TIMEOUT).map_err(|e| format!("cannot look up offsets: {e}"))
    });
    match answer {
        Ok(list) => list
            .elements()
            .iter()
            .map(|element| {
                let at = TopicPartition::new(element.topic(), element.partition());
                let offset = match (element.error(), element.offset()) {
                    (Err(error), _) => Err(format!("cannot look up an offset of {at}: {error}")),
                    (Ok(()), Offset::Offset(offset)) => Ok(offset),
                    (Ok(()), other) => Err(format!("the broker says {other:?} for an offset of {at}")),
                };
                (at, offset)
            })
            .collect(),
        Err(why) => {
            let topics: BTreeSet<_> = partitions.iter().map(|p| p.topic.clone()).collect();
            if topics.len() == 1 {
                return partitions.iter().map(|p| (p.clone(), Err(why.clone()))).collect();
            }
            let half: BTreeSet<_> = topics.iter().take(topics.len() / 2).cloned().collect();
            let (one, other): (Vec<_>, Vec<_>) =
                partitions.iter().cloned().partition(|p| half.contains(&p.topic));
            let mut all = offsets(consumer, &one, which);
            all.extend(offsets(consumer, &other, which));
            all
        }
    }
}

fn list(partitions: &[TopicPartition], offset: Offset) -> Result<TopicPartitionList, String> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for at in partitions {
        list.add_partition_offset(&at.topic, at.partition, offset).map_err(|e| format!("{at}: {e}"))?;
    }
    Ok(list)
}
