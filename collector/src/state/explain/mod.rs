//! Explanations: what else moved when a finding began, on its topic, its neighbours in the pipelines
//! and the groups that read them.
//!
//! [`Explainer`] keeps the last hour and a half of each topic ([`ring`]) and of what the watcher sees
//! ([`watched`]); an explanation is a pure function of these, the findings and the time
//! ([`timeline`]). It is brought up to date while a finding is young, once more when it is over, and
//! stays with it from then on.
//!
//! Bounds: [`RINGS_MAX`] topics of 96 slots, 20,000 fields in all of 2.7 KB each (a topic of 30 fields
//! takes 85 KB), 2,000 pairs of group and topic of 2.3 KB, explanations of at most 1,000 findings.

mod about;
mod contributes;
mod line;
mod ring;
#[cfg(test)]
mod tests;
mod timeline;
mod watched;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use checks::detect::Movement;
use checks::pipeline::Pipeline;
use checks::rules::Rule;
use checks::verdict::SegmentVerdict;
use serde::{Deserialize, Serialize};

use self::ring::Ring;
use self::watched::Watched;
use super::State;
use super::topic::Topic;
use crate::cluster::snapshot::ClusterSnapshot;
use crate::config::{Config, DetectConfig};
use crate::view::{Explanation, Finding, THIS_FINDING};

/// Topics followed.
const RINGS_MAX: usize = 1_000;
/// Slots before a finding that may explain it, and after its beginning.
const BACK: i64 = 30;
const AHEAD: i64 = 45;
/// How often an explanation is made anew.
const EVERY_MS: i64 = 5_000;
/// Explanations made at once: the owner of the state has other things to do.
const AT_ONCE: usize = 32;

/// Length of a slot: a fifth of a detector's window, ten seconds to a minute.
pub(super) fn slot_ms(detect: &DetectConfig) -> i64 {
    (detect.settings.window_ms / 5).clamp(10_000, 60_000)
}

/// See the module's documentation.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Explainer {
    rings: BTreeMap<String, Ring>,
    watched: Watched,
    /// By the finding's id.
    #[serde(with = "shared")]
    explanations: BTreeMap<String, Arc<Explanation>>,
    #[serde(skip)]
    explained_ms: i64,
}

/// The segments that a check on this field, of one of these metrics, told apart last.
pub(super) type Segments<'a> = dyn Fn(&str, &str, &[&str]) -> Option<Vec<SegmentVerdict>> + 'a;

/// What an explanation goes by, beside what the explainer keeps.
pub(super) struct Around<'a> {
    pub(super) findings: &'a [Finding],
    pub(super) pipelines: &'a [Arc<Pipeline>],
    pub(super) cluster: Option<&'a ClusterSnapshot>,
    pub(super) segments: &'a Segments<'a>,
    pub(super) now_ms: i64,
}

impl Explainer {
    /// Gives a topic's panes that end by `to_ms`.
    pub(super) fn feed(&mut self, name: &str, topic: &Topic, to_ms: i64, slot_ms: i64) {
        if !self.rings.contains_key(name) {
            if self.rings.len() >= RINGS_MAX {
                return;
            }
            self.rings.insert(name.to_owned(), Ring::default());
        }
        let fields: usize = self.rings.values().map(|ring| ring.fields.len()).sum();
        let room = ring::FIELDS_IN_ALL_MAX.saturating_sub(fields);
        if let Some(ring) = self.rings.get_mut(name) {
            ring.feed(topic, to_ms, slot_ms, room);
        }
    }

    /// What the detectors of a topic saw move.
    pub(super) fn moved(&mut self, name: &str, seen: Vec<Movement>) {
        if let Some(ring) = self.rings.get_mut(name).filter(|_| !seen.is_empty()) {
            ring.moved(seen);
        }
    }

    /// Offsets of a topic were passed over.
    pub(super) fn unsure_to(&mut self, name: &str, to_ms: i64) {
        if let Some(ring) = self.rings.get_mut(name) {
            ring.unsure_to(to_ms);
        }
    }

    /// Takes up what the watcher saw; forgets topics that are not there any more.
    pub(super) fn follow(
        &mut self,
        is_known: impl Fn(&str) -> bool,
        config: &Config,
        cluster: Option<&ClusterSnapshot>,
    ) {
        self.rings.retain(|name, _| is_known(name));
        let Some(cluster) = cluster.filter(|cluster| self.watched.is_new(cluster)) else { return };
        let stages = config.pipelines.iter().flat_map(|p| p.stages.iter().map(String::as_str));
        let followed: BTreeSet<&str> = self.rings.keys().map(String::as_str).chain(stages).collect();
        self.watched.look(cluster, &followed, &config.agent_group, slot_ms(&config.detect));
    }

    /// Is it time?
    pub(super) fn is_due(&self, now_ms: i64) -> bool {
        (now_ms - self.explained_ms).abs() >= EVERY_MS
    }

    /// Explains the findings that are new or young, those first that were explained longest ago.
    pub(super) fn explain(&mut self, around: &Around<'_>) {
        self.explained_ms = around.now_ms;
        let as_of = |finding: &Finding| self.explanations.get(&finding.id);
        // Late records may show that a finding went on.
        let goes_on = |finding: &Finding, known: &Explanation| {
            finding.resolved_ms.is_none()
                && known.timeline.iter().any(|m| m.what == THIS_FINDING && m.until_ms.is_some())
        };
        let is_due = |f: &&Finding| as_of(f).is_none_or(|known| !known.is_final || goes_on(f, known));
        let mut due: Vec<&Finding> = around.findings.iter().filter(is_due).collect();
        due.sort_by_key(|f| (as_of(f).map(|known| known.as_of_ms), f.at_ms, f.id.as_str()));
        for finding in due.into_iter().take(AT_ONCE) {
            let before = self.explanations.get(&finding.id);
            let mut made = timeline::explain(finding, &self.rings, &self.watched, around);
            if let Some(before) = before.filter(|_| finding.resolved_ms.is_some()) {
                // Once it is over its parts are as before.
                made.contributes.clone_from(&before.contributes);
                made.summary = words::summary(finding, &made);
            }
            self.explanations.insert(finding.id.clone(), Arc::new(made));
        }
        let kept: BTreeSet<&str> = around.findings.iter().map(|f| f.id.as_str()).collect();
        self.explanations.retain(|id, _| kept.contains(id.as_str()));
    }

    /// By the finding's id.
    pub(super) fn explanations(&self) -> &BTreeMap<String, Arc<Explanation>> {
        &self.explanations
    }
}

impl State {
    /// Says what else moved when findings began.
    pub(super) fn explain(&mut self, now_ms: i64, cluster: Option<&ClusterSnapshot>) {
        let topics = &self.core.topics;
        self.explainer.follow(|name| topics.contains_key(name), &self.config, cluster);
        if !self.explainer.is_due(now_ms) {
            return;
        }
        let checks = &self.config.checks;
        let segments = |topic: &str, field: &str, metrics: &[&str]| {
            let verdicts = &topics.get(topic)?.windows.checks;
            let rules = checks.for_topic(topic);
            let of_field = |rule: &&Arc<Rule>| {
                rule.segment_by.is_some()
                    && metrics.contains(&rule.metric.name())
                    && rule.field().is_some_and(|f| f.text == field)
            };
            let verdict = &verdicts.get(&rules.rules.iter().find(of_field)?.id)?.verdict;
            Some(verdict.segments.clone())
        };
        let findings = self.core.findings.shown();
        let known = Around {
            findings: &findings,
            pipelines: &self.config.pipelines,
            cluster,
            segments: &segments,
            now_ms,
        };
        self.explainer.explain(&known);
    }
}

/// Values behind an [`Arc`], kept as they are.
mod shared {
    use super::{Arc, BTreeMap, Deserialize, Explanation, Serialize};

    type Shared = BTreeMap<String, Arc<Explanation>>;

    pub(super) fn serialize<S: serde::Serializer>(map: &Shared, to: S) -> Result<S::Ok, S::Error> {
        map.iter().map(|(id, explanation)| (id, &**explanation)).collect::<BTreeMap<_, _>>().serialize(to)
    }

    pub(super) fn deserialize<'d, D: serde::Deserializer<'d>>(from: D) -> Result<Shared, D::Error> {
        let map = BTreeMap::<String, Explanation>::deserialize(from)?;
        Ok(map.into_iter().map(|(id, explanation)| (id, Arc::new(explanation))).collect())
    }
}
