//! The collector's state: one owner, no clock, no input or output. A fold over reports and ticks.
//!
//! Invariants, property-tested in `laws.rs`:
//! - a report applied twice changes nothing: sequences are remembered per (agent, boot);
//! - sums depend on the snapshots applied, not on the order of the agents that sent them, and what
//!   is published of them never goes backwards;
//! - deadlines (close of windows, traces that never arrive) go by stream time: the least watermark
//!   and `as_of_ms` of the agents that hold a topic. An agent no longer counts after 60 s of silence
//!   of the collector's own uptime, so a collector that was away judges as one that was not;
//! - everything is bounded: agents, topics, panes, traces, findings.

mod admit;
mod agents;
mod detecting;
mod duplicates;
mod evidence;
mod explain;
mod findings;
mod groups;
mod intervals;
mod judging;
mod kept;
mod levels;
mod marks;
mod outcome;
mod panes;
mod pipelines;
mod profiled;
mod publish;
mod ratios;
mod rules_differ;
mod sessions;
mod tally;
mod topic;
mod traces;
mod transactions;
mod verdicts;
mod windows;

#[cfg(test)]
mod alike;
#[cfg(test)]
mod laws;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use checks::report::{Pane, Report, skip_reason};
use checks::rules::{CheckSet, TopicRules};
use serde::{Deserialize, Serialize};

use crate::cluster::snapshot::ClusterSnapshot;
use crate::config::Config;
use crate::view::{Finding, IngestStats};

pub use admit::Refusal;
use agents::{Admission, Agents};
use detecting::Watch;
use explain::Explainer;
use findings::Findings;
use groups::Groups;
pub use kept::Baseline;
use marks::Marks;
pub use marks::{Mark, MarkError, Marked, NewMark};
pub use outcome::{StageSighting, TraceOutcome};
use panes::{Contribution, PaneKey, Rejected};
pub use profiled::{Profiled, Stretch};
use tally::Tally;
use topic::Topic;
use traces::Joiner;
use windows::{Desk, reach_ms};

/// Topics kept.
const TOPICS_MAX: usize = 10_000;

/// What became of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is part of the state now.
    Applied,
    /// It had been applied before; nothing changed.
    Duplicate,
    /// It can't be taken, now or later.
    Refused(Refusal),
}

/// Where reading of a partition goes on: everything before `next` is in the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPosition {
    /// Topic name.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// Next offset to read.
    pub next: i64,
    /// Stream time (the agent's clock) at which it was told, ms.
    pub as_of_ms: i64,
}

/// The state. See the module's documentation.
#[derive(Debug)]
pub struct State {
    config: Config,
    core: Core,
    /// Detectors by topic: kept beside the core, topic by topic, so that they outlive its format.
    watches: BTreeMap<String, Watch>,
    /// Those that have changed since they were last kept.
    unkept: BTreeSet<String>,
    /// Known events.
    marks: Marks,
    /// What else moved when findings began; kept beside the core likewise.
    explainer: Explainer,
    /// Rules by topic, resolved when first needed.
    rules: BTreeMap<String, Arc<TopicRules>>,
    /// Topics whose `ratio` counts against this one, by its name; of the rules resolved so far.
    counted_against: BTreeMap<String, Vec<String>>,
    last_tick_ms: Option<i64>,
    /// Findings opened and resolved since they were last taken.
    told: Vec<Finding>,
    /// Traces that ended since they were last taken.
    ended: Vec<TraceOutcome>,
}

/// What is kept across a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Core {
    agents: Agents,
    topics: BTreeMap<String, Topic>,
    /// By the pipeline's name.
    joiners: BTreeMap<String, Joiner>,
    findings: Findings,
    groups: Groups,
    counters: Counters,
}

/// The collector's own counters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Counters {
    applied: u64,
    duplicate: u64,
    refused: BTreeMap<String, u64>,
    untold_traces: u64,
}

impl State {
    /// An empty state.
    pub fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            core: Core::default(),
            watches: BTreeMap::new(),
            unkept: BTreeSet::new(),
            marks: Marks::default(),
            explainer: Explainer::default(),
            rules: BTreeMap::new(),
            counted_against: BTreeMap::new(),
            last_tick_ms: None,
            told: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// Takes a report. `now_ms` is shown, and bounds what an agent's clock may say; verdicts and
    /// deadlines go by stream time.
    pub fn apply(&mut self, report: &Report, now_ms: i64) -> Applied {
        if let Err(refusal) = admit::check(report, &self.config.cluster, now_ms) {
            return self.refuse(refusal);
        }
        match self.core.agents.admission(report) {
            Admission::New => {}
            Admission::Duplicate => {
                self.core.counters.duplicate += 1;
                return Applied::Duplicate;
            }
            Admission::TooMany => {
                let message = format!("agent {:?}: too many agents report already", report.agent);
                return self.refuse(Refusal { reason: "agents", message });
            }
        }
        self.core.counters.applied += 1;
        let mut amended: BTreeMap<&str, Vec<PaneKey>> = BTreeMap::new();
        for pane in &report.panes {
            if self.apply_pane(report, pane) {
                amended.entry(&pane.topic).or_default().push((pane.start_ms, pane.end_ms));
            }
        }
        for range in &report.skipped {
            let Some(topic) = self.topic(&range.topic) else { continue };
            let is_new = topic.skip(range);
            // Offsets without records lack nothing.
            if is_new && range.reason != skip_reason::GAP {
                if let Some(watch) = self.watches.get_mut(&range.topic) {
                    watch.unsure_to(report.as_of_ms);
                    self.unkept.insert(range.topic.clone());
                }
                self.explainer.unsure_to(&range.topic, report.as_of_ms);
            }
        }
        for progress in &report.topics {
            if let Some(topic) = self.topic(&progress.topic) {
                topic.progress(progress, report.as_of_ms, now_ms);
            }
        }
        let before = self.core.agents.get(&report.agent).map(|a| (a.boot, a.stats.clone()));
        self.apply_sightings(report, now_ms, before);
        for topic in self.core.agents.record(report, now_ms) {
            self.advance(&topic);
        }
        let core = &mut self.core;
        self.told.extend(rules_differ::look(self.config.checks.hash, &mut core.agents, &mut core.findings));
        for (topic, panes) in amended {
            self.with_desk(topic, |topic, desk| topic.amend(&panes, desk));
            self.judge_ratios(topic, panes.iter().map(|(start_ms, _)| *start_ms).min());
        }
        self.settle_pipelines();
        Applied::Applied
    }

    /// Lets time pass: silences of agents, and what is seen in the cluster.
    pub fn tick(&mut self, now_ms: i64, cluster: Option<&ClusterSnapshot>) {
        let elapsed_ms = self.last_tick_ms.map_or(0, |last| now_ms.saturating_sub(last));
        self.last_tick_ms = Some(now_ms);
        let changed = self.core.agents.pass(elapsed_ms);
        for topic in &changed {
            self.advance(topic);
        }
        if !changed.is_empty() {
            self.settle_pipelines();
        }
        if let Some(snapshot) = cluster {
            let told =
                self.core.groups.look(snapshot, self.config.group_lag_seconds_max, &mut self.core.findings);
            self.told.extend(told);
            self.told.extend(transactions::look(snapshot, &mut self.core.findings));
        }
        let keep_from_ms = now_ms.saturating_sub(self.config.history_keep_ms);
        self.core.findings.forget(keep_from_ms);
        // A topic that nobody has held for so long is gone, and its series with it.
        self.core.topics.retain(|_, topic| topic.told_ms >= keep_from_ms || topic.held_ms == 0);
        let topics = &self.core.topics;
        // Of a topic that the core does not know (any more) what was learned waits for as long.
        self.watches.retain(|name, watch| topics.contains_key(name) || watch.told_ms() >= keep_from_ms);
        if self.unkept.len() > self.watches.len() {
            self.unkept.retain(|name| self.watches.contains_key(name));
        }
        self.marks.forget(keep_from_ms);
        self.marks.retain_topics(|name| topics.contains_key(name));
        self.explain(now_ms, cluster);
    }

    /// Where reading goes on, for the named topics.
    pub fn positions(&self, topics: &[String]) -> Vec<KnownPosition> {
        let mut positions = Vec::new();
        for name in topics {
            let Some(topic) = self.core.topics.get(name) else { continue };
            for (partition, (next, as_of_ms)) in &topic.positions {
                positions.push(KnownPosition {
                    topic: name.clone(),
                    partition: *partition,
                    next: *next,
                    as_of_ms: *as_of_ms,
                });
            }
        }
        positions
    }

    /// The profile of a topic over a stretch of time.
    pub fn profile(&self, topic: &str, stretch: Stretch) -> Option<Profiled> {
        self.core.topics.get(topic).map(|topic| profiled::of(topic, stretch))
    }

    /// Puts other rules in force, as a whole.
    pub fn set_checks(&mut self, checks: Arc<CheckSet>) {
        self.config.checks = checks;
        self.rules.clear();
        self.counted_against.clear();
        for name in self.core.topics.keys().cloned().collect::<Vec<_>>() {
            self.rules(&name);
        }
        // What no rule finds any more is no longer found.
        let open: Vec<findings::Key> = self.core.findings.open_keys().cloned().collect();
        for key in open {
            let rules = self.config.checks.for_topic(&key.0);
            let gone = match key.1.split_once(':') {
                Some(("check", id)) => !rules.rules.iter().any(|r| r.id == id),
                Some(("slo", id)) => !rules.slos.iter().any(|s| s.id == id),
                _ => false,
            };
            if gone {
                let at_ms = self.core.topics.get(&key.0).and_then(|t| t.watermark_ms).unwrap_or(0);
                self.told.extend(self.core.findings.resolve_key(&key, at_ms));
            }
        }
        for (name, topic) in &mut self.core.topics {
            let rules = self.config.checks.for_topic(name);
            topic.windows.checks.retain(|id, _| rules.rules.iter().any(|r| r.id == *id));
        }
    }

    /// Findings opened and resolved since the last call.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.told)
    }

    /// Traces that ended since the last call.
    pub fn take_traces(&mut self) -> Vec<TraceOutcome> {
        std::mem::take(&mut self.ended)
    }

    /// A trace found no place in the exporter's queue.
    pub(crate) fn count_untold_trace(&mut self) {
        self.core.counters.untold_traces += 1;
    }

    fn refuse(&mut self, refusal: Refusal) -> Applied {
        *self.core.counters.refused.entry(refusal.reason.to_owned()).or_insert(0) += 1;
        Applied::Refused(refusal)
    }

    /// The topic, made if there is room for one more.
    fn topic(&mut self, name: &str) -> Option<&mut Topic> {
        if !self.core.topics.contains_key(name) {
            if self.core.topics.len() >= TOPICS_MAX {
                *self.core.counters.refused.entry("topics".to_owned()).or_insert(0) += 1;
                return None;
            }
            self.core.topics.insert(name.to_owned(), Topic::default());
        }
        self.core.topics.get_mut(name)
    }

    fn rules(&mut self, topic: &str) -> Arc<TopicRules> {
        if let Some(rules) = self.rules.get(topic) {
            return Arc::clone(rules);
        }
        let rules = self.config.checks.for_topic(topic);
        self.rules.insert(topic.to_owned(), Arc::clone(&rules));
        for of in ratios::counterparts(&rules) {
            let against = self.counted_against.entry(of).or_default();
            if !against.iter().any(|name| name == topic) {
                against.push(topic.to_owned());
            }
        }
        rules
    }

    /// Does something with a topic that makes verdicts.
    fn with_desk(&mut self, name: &str, work: impl FnOnce(&mut Topic, &mut Desk<'_>)) {
        let rules = self.rules(name);
        if let Some(topic) = self.core.topics.get_mut(name) {
            let events = self.marks.of(name);
            let (findings, told) = (&mut self.core.findings, &mut self.told);
            let keep_ms = self.config.history_keep_ms;
            work(topic, &mut Desk { name, rules: &rules, events: &events, keep_ms, findings, told });
        }
    }

    /// Counts a pane; says whether it was closed already.
    fn apply_pane(&mut self, report: &Report, pane: &Pane) -> bool {
        // Segments are kept apart from the whole; their panes have no reader yet.
        if !pane.segment.is_empty() {
            return false;
        }
        let rules = self.rules(&pane.topic);
        let Some(topic) = self.topic(&pane.topic) else { return false };
        let summary = pane.summary.clone().unwrap_or_default();
        if summary.last_record_ms > 0 {
            topic.saw_record(summary.last_record_ms);
        }
        let tally = if pane.rules_hash == rules.hash {
            Tally::of(&summary, &mut topic.names)
        } else {
            // What was counted by another rule of the same name is something else.
            let mut ours = summary.clone();
            ours.rules.retain(|tally| rules.measures_as(tally));
            Tally::of(&ours, &mut topic.names)
        };
        let contribution = Contribution {
            rules_hash: pane.rules_hash,
            ranges: pane.ranges.clone(),
            tally,
            summary: Some(Box::new(summary)),
        };
        let key = (pane.start_ms, pane.end_ms);
        match topic.panes.put(key, (report.agent.clone(), report.boot), contribution, report.as_of_ms) {
            Ok(change) => {
                let levels: Vec<&str> = rules.slos.iter().map(|s| s.good.as_str()).collect();
                topic.count(pane.start_ms, &change, &levels);
                topic.windows.judged_to_ms.is_some_and(|to| pane.end_ms <= to)
            }
            Err(why) => {
                let reason = match why {
                    Rejected::TooOld => "pane_too_old",
                    Rejected::TooMany => "pane_contributions",
                };
                *self.core.counters.refused.entry(reason.to_owned()).or_insert(0) += 1;
                false
            }
        }
    }

    /// Moves a topic's watermark on, with all that hangs on it.
    fn advance(&mut self, name: &str) {
        if self.topic(name).is_none() {
            return;
        }
        let progress = self.core.agents.progress(name);
        // Before the windows close: panes lose their profiles after that.
        if let Some(watermark_ms) = progress.watermark_ms {
            self.detect(name, watermark_ms);
        }
        self.with_desk(name, |topic, desk| {
            let moved = progress.watermark_ms.filter(|w| topic.watermark_ms.is_none_or(|before| before < *w));
            if let Some(watermark_ms) = moved {
                topic.watermark_ms = Some(watermark_ms);
                topic.close_windows(desk);
                let window = desk.rules.window;
                let reach_ms = reach_ms(desk.rules);
                let gap_ms = window.gap_ms.unwrap_or(0);
                let keep_ms =
                    window.size_ms + gap_ms + reach_ms + window.allowed_lateness_ms + window.pane_ms;
                topic.panes.age(watermark_ms.saturating_sub(keep_ms), topic.held_ms);
                topic.forget_minutes();
                desk.told.extend(levels::look(topic, desk.name, desk.rules, desk.findings));
            }
            topic.judge_freshness(progress.as_of_ms, progress.catching_up, desk);
        });
        self.judge_ratios(name, None);
    }

    /// Lets the detectors of a topic look at what is complete.
    fn detect(&mut self, name: &str, watermark_ms: i64) {
        let rules = self.rules(name);
        let Some(topic) = self.core.topics.get(name) else { return };
        let pane_ms = rules.window.pane_ms.max(1);
        let complete_ms = watermark_ms.saturating_sub(rules.window.allowed_lateness_ms);
        let to_ms = complete_ms.div_euclid(pane_ms).saturating_mul(pane_ms);
        let slot_ms = explain::slot_ms(&self.config.detect).max(pane_ms);
        self.explainer.feed(name, topic, to_ms, slot_ms);
        let Some(settings) = self.config.detect.of(name) else { return };
        let events = self.marks.of(name);
        let mut settings = Cow::Borrowed(settings);
        if !events.is_empty() {
            settings.to_mut().events = events;
        }
        let watch = self.watches.entry(name.to_owned()).or_default();
        let before_ms = watch.to_ms();
        let seen = watch.look(topic, to_ms, &settings);
        self.explainer.moved(name, watch.take_moved());
        if watch.to_ms() != before_ms {
            self.unkept.insert(name.to_owned());
        }
        detecting::take_up(name, seen, &mut self.core.findings, &mut self.told);
    }

    /// Forgets the detectors of topics that are not looked at any more, and resolves their findings.
    fn leave_undetected(&mut self) {
        let detect = &self.config.detect;
        self.watches.retain(|name, _| detect.of(name).is_some());
        let left = |key: &&findings::Key| detecting::is_detectors(key) && !self.watches.contains_key(&key.0);
        for key in self.core.findings.open_keys().filter(left).cloned().collect::<Vec<_>>() {
            let at_ms = self.core.topics.get(&key.0).and_then(|t| t.watermark_ms).unwrap_or(0);
            self.told.extend(self.core.findings.resolve_key(&key, at_ms));
        }
    }

    fn ingest_stats(&self) -> IngestStats {
        IngestStats {
            applied_total: self.core.counters.applied,
            duplicate_total: self.core.counters.duplicate,
            refused_total: self.core.counters.refused.clone(),
            overlapping_panes_total: self.core.topics.values().map(|t| t.shown.overlapping).sum(),
            traces_dropped_total: self.core.counters.untold_traces,
            history_error: None,
            reload_error: None,
        }
    }
}
