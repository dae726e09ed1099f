//! The thread's dealings with its group: which topics, which partitions, from where.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::{ENDS_EVERY_MS, Worker};
use crate::source::TopicPartition;
use crate::source::consumer::Consumer;
use crate::source::context::Rebalance;
use crate::source::cursor::Anchors;
use crate::source::lookup::{Answer, Missing, Question, Wanted};
use crate::topic::Topic;

/// First and longest wait before a place is asked for again, ms.
const RETRY_FIRST_MS: i64 = 500;
const RETRY_MAX_MS: i64 = 10_000;
/// How long the collector is waited for before a partition that was read before is read on from
/// the group's position alone. What it had acknowledged beyond that it tells apart itself.
const COLLECTOR_WAIT_MS: i64 = 30_000;
/// How long a partition that is given up waits for its last report to be acknowledged.
const HANDOVER: Duration = Duration::from_millis(1_500);
/// How long a client that is replaced may take to leave the group.
const LEAVE_RENEWED: Duration = Duration::from_secs(10);
/// A topic that is missing from so many listings in a row is gone: one listing may be in error.
const MISSING_MAX: u32 = 2;
/// A partition that is behind and silent for so long is begun anew, ms.
const STALLED_MS: i64 = 30_000;
/// How soon topics are looked for again after an error, ms.
const TOPICS_RETRY_MS: i64 = 1_000;

/// What the thread wants of its group, and what it waits for.
pub(super) struct Group {
    questions: Sender<Question>,
    discover_every_ms: i64,
    /// Partitions that were there when the agent first looked: these begin at the end.
    at_start: Option<BTreeMap<String, i32>>,
    /// Where partitions were left that the group took away, for when it gives them back.
    left: BTreeMap<TopicPartition, i64>,
    /// Topics followed, with the listings in a row that they were missing from.
    followed: BTreeMap<String, u32>,
    /// Partitions given by the group whose place is not known yet.
    wanted: BTreeMap<TopicPartition, Want>,
    jumping: BTreeSet<TopicPartition>,
    /// Partitions that have not come on since, though there is more to read.
    stalled: BTreeMap<TopicPartition, (i64, i64)>,
    heard_of_group: bool,
    waits_for: Waits,
    topics_at_ms: i64,
    ends_at_ms: i64,
    checks_places: bool,
}

/// Questions under way.
#[derive(Default)]
struct Waits {
    topics: bool,
    places: bool,
    ends: bool,
}

#[derive(Clone, Copy)]
struct Want {
    since_ms: i64,
    ask_at_ms: i64,
    wait_ms: i64,
    is_new: bool,
}

impl Group {
    pub(super) fn new(questions: Sender<Question>, discover_every_ms: i64) -> Self {
        Self {
            questions,
            discover_every_ms: discover_every_ms.max(100),
            at_start: None,
            left: BTreeMap::new(),
            followed: BTreeMap::new(),
            wanted: BTreeMap::new(),
            jumping: BTreeSet::new(),
            stalled: BTreeMap::new(),
            heard_of_group: false,
            waits_for: Waits::default(),
            topics_at_ms: 0,
            ends_at_ms: 0,
            checks_places: false,
        }
    }

    /// Goes on at the end of this partition, wherever that is.
    pub(super) fn jump(&mut self, at: TopicPartition) {
        self.jumping.insert(at);
        self.ends_at_ms = 0;
    }

    /// Some place may be outside of its partition.
    pub(super) fn check_places(&mut self) {
        self.checks_places = true;
    }

    /// The listing may be out of date.
    pub(super) fn look_for_topics(&mut self) {
        self.topics_at_ms = 0;
    }

    pub(super) fn wants(&self, topic: &str) -> bool {
        self.followed.contains_key(topic) || self.wanted.keys().any(|at| &*at.topic == topic)
    }

    /// The group has given what it gives, and all of it is being read.
    pub(super) fn is_settled(&self) -> bool {
        let has_nothing_to_wait_for = self.at_start.is_some() && self.followed.is_empty();
        (self.heard_of_group || has_nothing_to_wait_for) && self.wanted.is_empty()
    }

    /// The last listing has this topic.
    fn has(&self, topic: &str) -> bool {
        self.followed.get(topic).is_some_and(|missing| *missing == 0)
    }

    fn is_new(&self, at: &TopicPartition) -> bool {
        let at_start = self.at_start.as_ref().and_then(|topics| topics.get(&*at.topic));
        at_start.is_none_or(|partitions| at.partition >= *partitions)
    }
}

impl Worker {
    /// Asks what is due.
    pub(super) fn ask(&mut self, now_ms: i64) {
        let group = &mut self.group;
        if !group.waits_for.topics && now_ms >= group.topics_at_ms {
            group.waits_for.topics = group.questions.send(Question::Topics).is_ok();
        }
        if !group.waits_for.places {
            let due = group.wanted.iter().filter(|(_, want)| now_ms >= want.ask_at_ms);
            let mut wanted: Vec<Wanted> = due
                .map(|(at, want)| Wanted {
                    partition: at.clone(),
                    own: group.left.get(at).copied(),
                    is_new: want.is_new,
                    without_collector: now_ms - want.since_ms > COLLECTOR_WAIT_MS,
                })
                .collect();
            if std::mem::take(&mut group.checks_places) {
                for at in self.consumer.assigned() {
                    let cursor = self.topics.get_mut(&at.topic).and_then(|topic| topic.cursor(at.partition));
                    wanted.push(Wanted {
                        partition: at.clone(),
                        own: cursor.map(|c| c.next()),
                        is_new: false,
                        without_collector: true,
                    });
                }
            }
            if !wanted.is_empty() {
                group.waits_for.places = group.questions.send(Question::Places(wanted)).is_ok();
            }
        }
        if !group.waits_for.ends && now_ms >= group.ends_at_ms {
            let partitions: Vec<_> = self.consumer.assigned().cloned().collect();
            group.ends_at_ms = now_ms + ENDS_EVERY_MS;
            if !partitions.is_empty() {
                group.waits_for.ends = group.questions.send(Question::Ends(partitions)).is_ok();
            }
        }
    }

    /// Takes an answer.
    pub(super) fn learn(&mut self, answer: Answer, now_ms: i64) {
        match answer {
            Answer::Topics(topics) => {
                self.group.waits_for.topics = false;
                self.learn_topics(topics, now_ms);
            }
            Answer::Places(places) => {
                self.group.waits_for.places = false;
                self.learn_places(places, now_ms);
            }
            Answer::Ends(ends) => {
                self.group.waits_for.ends = false;
                self.learn_ends(ends, now_ms);
            }
            Answer::Renewed(consumer) => self.renew(*consumer, now_ms),
        }
    }

    /// Goes on with another client, from where it is in every partition.
    fn renew(&mut self, consumer: Consumer, now_ms: i64) {
        tracing::info!("renewed certificates: going on with a new Kafka client");
        let assigned = self.consumer.assigned().cloned().collect();
        self.rebalance(Rebalance::Revoked(assigned), now_ms);
        let old = std::mem::replace(&mut self.consumer, consumer);
        // Leaving takes as long as brokers take to answer, if they do.
        let leaving = std::thread::Builder::new().name(format!("tapline-leave-{}", self.thread));
        if let Err(error) = leaving.spawn(move || old.close(LEAVE_RENEWED)) {
            self.shared.error("kafka", format!("cannot start a thread: {error}"));
        }
        let group = &mut self.group;
        group.wanted.clear();
        group.jumping.clear();
        group.stalled.clear();
        group.heard_of_group = false;
        self.reached.clear();
        self.consumer.subscribe(self.group.followed.keys());
    }

    fn learn_topics(&mut self, topics: Result<BTreeMap<String, i32>, String>, now_ms: i64) {
        let group = &mut self.group;
        let topics = match topics {
            Ok(topics) => topics,
            Err(why) => {
                group.topics_at_ms = now_ms + TOPICS_RETRY_MS;
                self.shared.disconnected();
                self.shared.vague_error("kafka", why);
                return;
            }
        };
        group.topics_at_ms = now_ms + group.discover_every_ms;
        self.shared.connected(topics.len());
        for (topic, missing) in &mut group.followed {
            *missing = if topics.contains_key(topic) { 0 } else { *missing + 1 };
        }
        let missing: BTreeSet<&String> =
            group.followed.iter().filter(|(_, n)| **n > 0).map(|(topic, _)| topic).collect();
        if !missing.is_empty() {
            // What comes back under the name of a topic that is gone is new, and its old places are
            // no places in it. Should the listing have been in error, the group's positions tell.
            if let Some(at_start) = &mut group.at_start {
                at_start.retain(|topic, _| !missing.contains(topic));
            }
            group.left.retain(|at, _| !missing.contains(&at.topic.to_string()));
            group.topics_at_ms = now_ms + TOPICS_RETRY_MS.min(group.discover_every_ms);
        }
        group.followed.retain(|topic, missing| {
            if *missing >= MISSING_MAX {
                tracing::info!(topic, "the topic is gone");
            }
            *missing < MISSING_MAX
        });
        for topic in topics.keys() {
            group.followed.entry(topic.clone()).or_insert(0);
        }
        group.at_start.get_or_insert(topics);
        self.consumer.subscribe(self.group.followed.keys());
    }

    fn learn_places(&mut self, places: Vec<(TopicPartition, Result<Anchors, Missing>)>, now_ms: i64) {
        let mut begun = Vec::new();
        for (at, place) in places {
            if self.consumer.is_assigned(&at) {
                self.check_place(&at, place);
                continue;
            }
            let Some(want) = self.group.wanted.get_mut(&at) else { continue };
            match place {
                Ok(anchors) => begun.push((at, anchors)),
                Err(missing) => {
                    want.wait_ms = (want.wait_ms * 2).clamp(RETRY_FIRST_MS, RETRY_MAX_MS);
                    want.ask_at_ms = now_ms + want.wait_ms;
                    match missing {
                        Missing::Broker(why) => self.shared.error("kafka", why),
                        Missing::Collector(why) => self.shared.error("send", why),
                    }
                }
            }
        }
        if begun.is_empty() {
            return;
        }
        let starts: Vec<_> = begun.iter().map(|(at, anchors)| (at.clone(), anchors.start())).collect();
        let offsets: Vec<_> = starts.iter().map(|(at, start)| (at.clone(), start.at)).collect();
        if let Err(why) = self.consumer.assign(&offsets) {
            self.shared.error("kafka", why);
            for (at, _) in &offsets {
                if let Some(want) = self.group.wanted.get_mut(at) {
                    want.ask_at_ms = now_ms + RETRY_MAX_MS;
                }
            }
            return;
        }
        let mut first_places = Vec::new();
        for ((at, start), (_, anchors)) in starts.iter().zip(&begun) {
            self.group.wanted.remove(at);
            self.group.left.remove(at);
            if start.beyond_end > 0 {
                self.shared.count("position_beyond_end", start.beyond_end as u64);
                tracing::warn!(
                    "{at}: was read beyond its end {}: it was made anew; from its beginning",
                    anchors.end
                );
            }
            if !start.is_resumed {
                first_places.push((at.clone(), start.at));
            }
            self.reached.begin(at);
            self.topic(&at.topic, now_ms).begin(at.partition, start, anchors.end, now_ms);
        }
        // Without it, a crash before the first report would leave no place to go on from.
        self.consumer.commit(&first_places);
    }

    /// Is the place of a partition that is being read still within it?
    fn check_place(&mut self, at: &TopicPartition, place: Result<Anchors, Missing>) {
        let next = self.topics.get_mut(&at.topic).and_then(|t| t.cursor(at.partition)).map(|c| c.next());
        let (Some(next), Ok(anchors)) = (next, place) else {
            self.group.checks_places = true;
            return;
        };
        if next < anchors.log_start || next > anchors.end.max(anchors.own.unwrap_or(0)) {
            tracing::warn!(
                "{at}: offset {next} is not in [{}, {}): finding the place again",
                anchors.log_start,
                anchors.end
            );
            self.begin_anew(at, Anchors { own: Some(next), committed: None, collector: None, ..anchors });
        }
    }

    fn begin_anew(&mut self, at: &TopicPartition, anchors: Anchors) {
        let start = anchors.start();
        self.shared.count("position_beyond_end", start.beyond_end as u64);
        let again = self
            .consumer
            .unassign(std::iter::once(at))
            .and_then(|()| self.consumer.assign(&[(at.clone(), start.at)]));
        if let Err(why) = again {
            self.shared.error("kafka", why);
        }
        let now_ms = super::now_ms();
        self.reached.begin(at);
        self.topic(&at.topic, now_ms).begin(at.partition, &start, anchors.end, now_ms);
    }

    fn learn_ends(&mut self, ends: Vec<(TopicPartition, i64)>, now_ms: i64) {
        for (at, end) in ends {
            let Some(topic) = self.topics.get_mut(&at.topic) else { continue };
            if self.group.jumping.remove(&at) {
                if let Some(next) = topic.land(at.partition, end) {
                    let again = self
                        .consumer
                        .unassign(std::iter::once(&at))
                        .and_then(|()| self.consumer.assign(&[(at.clone(), next)]));
                    if let Err(why) = again {
                        self.shared.error("kafka", why);
                    }
                }
                continue;
            }
            let Some(cursor) = topic.cursor(at.partition) else { continue };
            cursor.end_is(end);
            let next = cursor.next();
            if cursor.is_caught_up() {
                self.group.stalled.remove(&at);
                continue;
            }
            let (seen, since_ms) = *self.group.stalled.entry(at.clone()).or_insert((next, now_ms));
            if seen != next {
                self.group.stalled.insert(at, (next, now_ms));
            } else if now_ms - since_ms > STALLED_MS && self.quiet_polls > 0 {
                self.group.stalled.insert(at.clone(), (next, now_ms));
                self.shared.count("stalled", 1);
                tracing::warn!(
                    "{at}: nothing came since offset {next} though it ends at {end}: asking again"
                );
                let anchors =
                    Anchors { own: Some(next), log_start: 0, end: end.max(next), ..Anchors::default() };
                self.begin_anew(&at, anchors);
            }
        }
    }

    /// The group gives or takes.
    pub(super) fn rebalance(&mut self, rebalance: Rebalance, now_ms: i64) {
        match rebalance {
            Rebalance::Assigned(partitions) => {
                tracing::debug!(partitions = partitions.len(), "assigned");
                self.group.heard_of_group = true;
                self.shared.works("group_not_allowed");
                for at in partitions {
                    let is_new = self.group.is_new(&at);
                    let want = Want { since_ms: now_ms, ask_at_ms: now_ms, wait_ms: 0, is_new };
                    self.group.wanted.insert(at, want);
                }
                // The group's call is answered at once; each partition follows when its place is
                // known.
                if let Err(why) = self.consumer.assign(&[]) {
                    self.shared.error("kafka", why);
                }
                self.ask(now_ms);
            }
            Rebalance::Revoked(partitions) => {
                tracing::debug!(partitions = partitions.len(), "revoked");
                let partitions: BTreeSet<_> = partitions.into_iter().collect();
                self.hand_over(&partitions, now_ms);
                if let Err(why) = self.consumer.unassign(partitions.iter()) {
                    self.shared.error("kafka", why);
                }
                for at in &partitions {
                    let cursor = self.topics.get_mut(&at.topic).and_then(|topic| topic.cursor(at.partition));
                    if let Some(cursor) = cursor.filter(|_| self.group.has(&at.topic)) {
                        self.group.left.insert(at.clone(), cursor.next());
                    }
                    self.group.wanted.remove(at);
                    self.group.jumping.remove(at);
                    self.group.stalled.remove(at);
                    if let Some(topic) = self.topics.get_mut(&at.topic) {
                        topic.end(at.partition);
                    }
                }
            }
        }
    }

    /// The last report of partitions that go elsewhere, and their positions once it has arrived.
    fn hand_over(&mut self, partitions: &BTreeSet<TopicPartition>, now_ms: i64) {
        let positions = self.positions(Some(partitions));
        if positions.is_empty() {
            return;
        }
        let mark = self.report(now_ms);
        if self.outbox.wait(mark, HANDOVER) {
            self.consumer.commit(&positions);
        }
    }

    /// The topic, begun if it is new.
    fn topic(&mut self, name: &Arc<str>, now_ms: i64) -> &mut Topic {
        let (config, checks, floors, sightings) = (&self.config, &self.checks, &self.floors, &self.sightings);
        self.topics.entry(name.clone()).or_insert_with(|| {
            let floor_ms = floors.get(name).copied().unwrap_or(i64::MIN);
            let share = sightings.share(name);
            let rules = checks.for_topic(name);
            Topic::new(name.clone(), rules, &config.limits, config.idle_ms, floor_ms, share, now_ms)
        })
    }
}
