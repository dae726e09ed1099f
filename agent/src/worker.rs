//! One thread of the agent: it alone owns the topics and their panes, and says what its client fetches.
//!
//! To the collector every thread is an agent of its own (`name`, `name-2`, …), since a pane is a
//! complete snapshot of what one reader saw.

mod group;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use checks::report::{AgentStats, HASH_VERSION, REPORT_VERSION, Report};
use checks::rules::CheckSet;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config::Config;
use crate::decode::Decoder;
use crate::send::Outbox;
use crate::source::TopicPartition;
use crate::source::batch::Run;
use crate::source::consumer::Consumer;
use crate::source::cursor::Step;
use crate::source::lookup::{Answer, Question};
use crate::source::reached::Reached;
use crate::source::reader::{Delivery, Reader};
use crate::stats;
use crate::status::Shared;
use crate::topic::{Reading, Topic};
use crate::trace::Sightings;
use group::Group;

/// How long a delivery is waited for before anything else is looked at.
const WAIT: Duration = Duration::from_millis(20);
/// How often the watermarks follow the clock, ms.
const TICK_MS: i64 = 100;
/// How often ends are looked up, ms: the precision of "caught up".
const ENDS_EVERY_MS: i64 = 2_000;
/// What of the time to stop is kept for leaving the group.
const LEAVE: Duration = Duration::from_millis(700);

/// What reaches the thread from outside.
#[derive(Debug)]
pub(crate) enum Event {
    Answer(Answer),
    /// The collector has these positions.
    Acknowledged(Vec<(TopicPartition, i64)>),
    /// Other rules from now on.
    Checks(Arc<CheckSet>),
    /// End by then.
    Stop(Instant),
}

impl From<Answer> for Event {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

/// What a thread is made of.
pub(crate) struct Parts {
    pub(crate) thread: usize,
    pub(crate) config: Arc<Config>,
    pub(crate) boot: u64,
    pub(crate) shared: Arc<Shared>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) consumer: Consumer,
    pub(crate) reader: Reader,
    pub(crate) decoder: Decoder,
    pub(crate) events: Receiver<Event>,
    pub(crate) questions: Sender<Question>,
}

/// The thread.
pub(crate) struct Worker {
    thread: usize,
    config: Arc<Config>,
    name: String,
    boot: u64,
    shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    consumer: Consumer,
    reader: Reader,
    decoder: Decoder,
    events: Receiver<Event>,
    group: Group,
    checks: Arc<CheckSet>,
    topics: HashMap<Arc<str>, Topic, ahash::RandomState>,
    /// Where panes of topics that are gone ended.
    floors: BTreeMap<Arc<str>, i64>,
    sightings: Sightings,
    is_full: bool,
    evicting: bool,
    tick_at_ms: i64,
    report_at_ms: i64,
    /// Ends that the client has reached, until all records before them are surely handed out.
    reached: Reached,
    quiet_polls: u32,
}

impl Worker {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { thread, config, boot, shared, outbox, consumer, reader, decoder, events, questions } =
            parts;
        let name = if thread == 0 { config.name.clone() } else { format!("{}-{}", config.name, thread + 1) };
        let per_second = config.limits.sightings_per_second / config.threads.max(1);
        Self {
            thread,
            name,
            boot,
            shared,
            outbox,
            consumer,
            reader,
            decoder,
            events,
            group: Group::new(questions, config.discover_every_ms),
            checks: config.checks.clone(),
            topics: HashMap::default(),
            floors: BTreeMap::new(),
            sightings: Sightings::new(&config.pipelines, per_second),
            is_full: false,
            evicting: false,
            tick_at_ms: 0,
            report_at_ms: now_ms().saturating_add(config.report_every_ms),
            reached: Reached::default(),
            quiet_polls: 0,
            config,
        }
    }

    /// Reads until it is told to stop.
    pub(crate) fn run(mut self) {
        let deadline = loop {
            if let Some(deadline) = self.heed_events() {
                break deadline;
            }
            if self.reader.is_resting() {
                let with_headers = self.topics.values().filter(|topic| topic.needs_headers());
                let headers_of = with_headers.map(|topic| topic.name.clone()).collect();
                // Another client after a renewal of certificates.
                self.reader.go_on(self.consumer.client.clone(), headers_of);
            }
            self.take_delivery();
            if self.reader.has_ended() {
                self.shared.error("kafka", "the thread that polls the Kafka client has ended".to_owned());
                break Instant::now() + LEAVE;
            }
            self.keep_time(now_ms());
        };
        self.stop(deadline);
    }

    /// What came from outside; the deadline if that was the order to stop.
    fn heed_events(&mut self) -> Option<Instant> {
        loop {
            match self.events.try_recv() {
                Ok(Event::Answer(answer)) => {
                    self.rest();
                    self.learn(answer, now_ms());
                }
                Ok(Event::Acknowledged(positions)) => self.consumer.commit(&positions),
                Ok(Event::Checks(checks)) => {
                    self.rest();
                    for topic in self.topics.values_mut() {
                        topic.set_rules(checks.for_topic(&topic.name), now_ms());
                    }
                    self.checks = checks;
                }
                Ok(Event::Stop(deadline)) => {
                    self.rest();
                    return Some(deadline);
                }
                Err(TryRecvError::Empty) => return None,
                // Whoever held the handle is gone.
                Err(TryRecvError::Disconnected) => {
                    self.rest();
                    return Some(Instant::now() + LEAVE);
                }
            }
        }
    }

    /// Until it goes on, nothing is polled, and all that was has been taken.
    fn rest(&mut self) {
        while !self.reader.is_resting() {
            self.reader.ask_to_rest();
            self.take_delivery();
        }
    }

    /// Takes what the reader has, if it has anything within a moment.
    fn take_delivery(&mut self) {
        let Some(delivery) = self.reader.next(WAIT) else { return };
        let Delivery { batch, error, is_quiet, ends_reached, rebalances, .. } = delivery;
        if is_quiet {
            self.quiet_polls += 1;
        } else if !batch.is_empty() || error.is_some() {
            self.quiet_polls = 0;
        }
        for run in batch.runs() {
            self.read(run);
        }
        self.reader.take_back(batch);
        if let Some(error) = error {
            self.fail(&error);
        }
        if let Some(ends) = ends_reached {
            self.reached.tell(ends);
            self.quiet_polls = 0;
        }
        for rebalance in rebalances {
            self.rebalance(rebalance, now_ms());
        }
    }

    fn read(&mut self, run: Run<'_>) {
        let Some(topic) = self.topics.get_mut(run.topic) else { return };
        for entry in run.entries {
            let headers = run.headers(entry);
            let record = run.view(entry, &headers);
            let reading = Reading {
                arrival_ms: entry.arrival_ms,
                oldest_ms: entry.arrival_ms.saturating_sub(self.config.catch_up_ms),
                is_full: self.is_full,
                decoder: &mut self.decoder,
                sightings: &mut self.sightings,
            };
            let step = topic.read(&record, reading);
            if step == Step::Jump {
                let at = TopicPartition { topic: topic.name.clone(), partition: run.partition };
                tracing::info!("{at}: older than what is caught up with, going on at the end");
                self.group.jump(at);
            }
        }
        if topic.is_pressing() {
            self.report_at_ms = 0;
        }
    }

    fn fail(&mut self, error: &KafkaError) {
        match error.rdkafka_error_code() {
            // The place is not (any more) within the partition; the client does not say of which.
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                self.shared.count("offset_out_of_range", 1);
                self.group.check_places();
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                self.shared.count("topic_vanished", 1);
                self.group.look_for_topics();
            }
            // The client tells these to nobody else, and not of which topic.
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                self.shared.count("topic_not_allowed", 1);
                tracing::warn!("a topic may not be read: the agent's user needs READ on it: {error}");
            }
            Some(RDKafkaErrorCode::GroupAuthorizationFailed) => self.shared.error(
                "group_not_allowed",
                format!("the agent's user needs READ on the group {}: {error}", self.config.group),
            ),
            // Said before, with words, to the context.
            _ => tracing::debug!(%error, "reading"),
        }
    }

    fn keep_time(&mut self, now_ms: i64) {
        if now_ms >= self.tick_at_ms || self.tick_at_ms > now_ms + TICK_MS {
            self.tick_at_ms = now_ms + TICK_MS;
            self.tick(now_ms);
        }
        if now_ms >= self.report_at_ms || self.report_at_ms > now_ms + 2 * self.config.report_every_ms {
            self.report_at_ms = now_ms.saturating_add(self.config.report_every_ms.max(10));
            self.report(now_ms);
        }
    }

    fn tick(&mut self, now_ms: i64) {
        self.reach();
        for topic in self.topics.values_mut() {
            topic.tick(now_ms);
        }
        let bytes: usize = self.topics.values().map(Topic::approximate_bytes).sum();
        self.is_full = bytes > self.config.limits.agent_memory_bytes / 2 / self.config.threads.max(1);
        if self.is_full != self.evicting {
            self.evicting = self.is_full;
            if self.is_full {
                tracing::warn!(
                    bytes,
                    "the panes fill their share of limits.agent_memory: records are not examined"
                );
            }
        }
        self.bury(now_ms);
        let settled = self.group.is_settled();
        let caught_up = settled && self.topics.values().all(Topic::is_caught_up);
        self.shared.reading(self.thread, self.consumer.assigned().count(), settled, caught_up);
        self.ask(now_ms);
    }

    /// Applies the ends that the client has reached, once it has been silent after telling of them:
    /// then every record before them was handed out.
    fn reach(&mut self) {
        if self.quiet_polls >= 2 {
            for (at, end) in self.reached.take() {
                if let Some(topic) = self.topics.get_mut(&at.topic) {
                    topic.reach(at.partition, end);
                }
            }
        }
    }

    /// Frees topics that are gone, once all of them was reported.
    fn bury(&mut self, now_ms: i64) {
        let group = &self.group;
        let spent: Vec<Arc<str>> = self
            .topics
            .values()
            .filter(|t| t.is_spent() && !group.wants(&t.name))
            .map(|t| t.name.clone())
            .collect();
        for name in spent {
            if let Some(topic) = self.topics.remove(&name) {
                self.floors.insert(name, topic.floor_ms());
            }
        }
        // What ended so long ago is not begun again.
        self.floors.retain(|_, floor_ms| *floor_ms > now_ms.saturating_sub(86_400_000));
    }

    /// Hands everything that changed to the sender.
    fn report(&mut self, now_ms: i64) -> u64 {
        let mut report = Report {
            version: REPORT_VERSION,
            hash_version: HASH_VERSION,
            agent: self.name.clone(),
            boot: self.boot,
            cluster: self.config.cluster.clone(),
            as_of_ms: now_ms,
            rules_hash: self.checks.hash,
            sightings: self.sightings.take(),
            ..Report::default()
        };
        for topic in self.topics.values_mut() {
            topic.snapshot(&mut report.panes);
            topic.take_skipped(&mut report.skipped);
            report.topics.extend(topic.progress());
        }
        if self.thread == 0 {
            report.agent_stats = Some(self.stats());
        }
        self.outbox.push(report)
    }

    fn stats(&self) -> AgentStats {
        let (reports_dropped, unsent) = self.outbox.dropped();
        let sightings_dropped = self.sightings.dropped() + unsent;
        self.shared.dropped(self.thread, reports_dropped, sightings_dropped);
        stats::now(&self.shared, reports_dropped, sightings_dropped)
    }

    /// The last report, acknowledged if the collector answers in time, and the positions with it.
    fn stop(mut self, deadline: Instant) {
        let mark = self.report(now_ms());
        let left = deadline.saturating_duration_since(Instant::now()).saturating_sub(LEAVE);
        if self.outbox.wait(mark, left) {
            let positions = self.positions(None);
            self.consumer.commit(&positions);
        } else {
            tracing::warn!(
                "the collector did not take the last report in time: the next start goes on from before it"
            );
        }
        self.consumer.close(deadline.saturating_duration_since(Instant::now()));
    }

    /// Where it is, in these partitions or in all.
    fn positions(&mut self, of: Option<&BTreeSet<TopicPartition>>) -> Vec<(TopicPartition, i64)> {
        let assigned: Vec<_> = self.consumer.assigned().cloned().collect();
        let mut positions = Vec::new();
        for at in assigned {
            let is_meant = of.is_none_or(|of| of.contains(&at));
            let next = self.topics.get_mut(&at.topic).and_then(|t| t.cursor(at.partition)).map(|c| c.next());
            if let Some(next) = next.filter(|_| is_meant) {
                positions.push((at, next));
            }
        }
        positions
    }
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
