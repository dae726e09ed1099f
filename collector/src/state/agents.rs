//! Who reports: sequences of every boot, and how far each agent has come.

use std::collections::{BTreeMap, BTreeSet};

use checks::report::{AgentStats, Report};
use serde::{Deserialize, Serialize};

/// Agents remembered.
const AGENTS_MAX: usize = 1_024;
/// Boots of an agent remembered, to tell a report that comes again from a new one.
const BOOTS_MAX: usize = 8;
/// An agent that was not heard of for this long of the collector's own uptime no longer holds back
/// watermarks, ms.
const SILENCE_MS: i64 = 60_000;
/// The most that one tick adds to a silence, ms: a collector that was suspended was not listening.
const TICK_MS_MAX: i64 = 5_000;

/// All agents, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Agents {
    by_name: BTreeMap<String, Agent>,
}

/// One agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Agent {
    /// Boot and last applied sequence, the latest heard of last.
    boots: Vec<(u64, u64)>,
    /// The boot that the rest is of: the one that has come furthest.
    pub(crate) boot: u64,
    /// Stream time of its last report.
    pub(crate) as_of_ms: i64,
    /// When that was applied.
    pub(crate) last_report_ms: i64,
    /// Hash of its check files.
    pub(crate) rules_hash: u64,
    /// Since when these are not the collector's, by stream time.
    pub(crate) differs_since_ms: Option<i64>,
    /// Topics it holds partitions of.
    pub(crate) topics: BTreeMap<String, Held>,
    /// As it says of itself.
    pub(crate) stats: AgentStats,
    /// How long it was not heard of, of our uptime.
    silent_ms: i64,
}

/// Where an agent is in a topic.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) watermark_ms: i64,
    pub(crate) catching_up: bool,
}

/// How far the live agents that hold a topic have come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    /// The least watermark that is known.
    pub(crate) watermark_ms: Option<i64>,
    /// The least stream time.
    pub(crate) as_of_ms: Option<i64>,
    /// One of them reads behind the end.
    pub(crate) catching_up: bool,
}

/// What became of the sequence of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    New,
    Duplicate,
    /// There are [`AGENTS_MAX`] others, all alive.
    TooMany,
}

impl Agent {
    pub(crate) fn alive(&self) -> bool {
        self.silent_ms < SILENCE_MS
    }
}

impl Agents {
    /// Is this report new?
    pub(crate) fn admission(&self, report: &Report) -> Admission {
        match self.by_name.get(&report.agent) {
            Some(agent) => match agent.boots.iter().find(|(boot, _)| *boot == report.boot) {
                Some((_, last)) if report.sequence <= *last => Admission::Duplicate,
                _ => Admission::New,
            },
            None if self.by_name.len() < AGENTS_MAX || self.by_name.values().any(|a| !a.alive()) => {
                Admission::New
            }
            None => Admission::TooMany,
        }
    }

    /// Remembers the report's sequence and, if it is of the agent's latest boot, its progress.
    /// Returns the topics whose progress may have changed.
    pub(crate) fn record(&mut self, report: &Report, now_ms: i64) -> Vec<String> {
        if self.by_name.len() >= AGENTS_MAX && !self.by_name.contains_key(&report.agent) {
            let longest = self.by_name.iter().max_by_key(|(_, a)| a.silent_ms).map(|(name, _)| name.clone());
            if let Some(name) = longest {
                self.by_name.remove(&name);
            }
        }
        let agent = self.by_name.entry(report.agent.clone()).or_default();
        agent.boots.retain(|(boot, _)| *boot != report.boot);
        agent.boots.push((report.boot, report.sequence));
        if agent.boots.len() > BOOTS_MAX {
            agent.boots.remove(0);
        }
        agent.silent_ms = 0;
        agent.last_report_ms = now_ms;
        // An older boot, or a part of a report that was split: only its last part has the progress.
        let is_old = agent.as_of_ms > report.as_of_ms;
        let is_part = agent.as_of_ms == report.as_of_ms && report.topics.is_empty();
        if is_old || is_part {
            return Vec::new();
        }
        agent.boot = report.boot;
        agent.as_of_ms = report.as_of_ms;
        agent.rules_hash = report.rules_hash;
        if let Some(stats) = &report.agent_stats {
            agent.stats = stats.clone();
        }
        let held = report
            .topics
            .iter()
            .map(|t| (t.topic.clone(), Held { watermark_ms: t.watermark_ms, catching_up: t.catching_up }))
            .collect();
        let before = std::mem::replace(&mut agent.topics, held);
        let gone = before.into_keys().filter(|t| !agent.topics.contains_key(t));
        gone.chain(agent.topics.keys().cloned()).collect()
    }

    /// Lets time pass. Returns the topics of agents that are given up with this.
    pub(crate) fn pass(&mut self, elapsed_ms: i64) -> Vec<String> {
        let mut changed = Vec::new();
        for agent in self.by_name.values_mut() {
            let was_alive = agent.alive();
            agent.silent_ms = agent.silent_ms.saturating_add(elapsed_ms.clamp(0, TICK_MS_MAX));
            if was_alive && !agent.alive() {
                changed.extend(agent.topics.keys().cloned());
            }
        }
        changed
    }

    /// How far the live holders of a topic have come.
    pub(crate) fn progress(&self, topic: &str) -> Progress {
        let mut progress = Progress::default();
        for agent in self.by_name.values().filter(|a| a.alive()) {
            let Some(held) = agent.topics.get(topic) else { continue };
            progress.as_of_ms = Some(progress.as_of_ms.map_or(agent.as_of_ms, |t| t.min(agent.as_of_ms)));
            progress.catching_up |= held.catching_up;
            // An agent that knows nothing yet does not stop the others; what it brings amends.
            if held.watermark_ms != i64::MIN {
                let least = progress.watermark_ms.map_or(held.watermark_ms, |t| t.min(held.watermark_ms));
                progress.watermark_ms = Some(least);
            }
        }
        progress
    }

    /// Topics that a live agent holds.
    pub(crate) fn held(&self) -> BTreeSet<&str> {
        let alive = self.by_name.values().filter(|a| a.alive());
        alive.flat_map(|a| a.topics.keys().map(String::as_str)).collect()
    }

    /// The least stream time of all live agents.
    pub(crate) fn stream_ms(&self) -> Option<i64> {
        self.by_name.values().filter(|a| a.alive()).map(|a| a.as_of_ms).min()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Agent> {
        self.by_name.get(name)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut Agent)> {
        self.by_name.iter_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Agent)> {
        self.by_name.iter()
    }
}
