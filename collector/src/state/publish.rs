//! What is published of the state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use checks::rules::TopicSelector;
use checks::verdict::Verdict;

use super::State;
use super::detecting::Watch;
use super::topic::Topic;
use super::traces::{Hop, Joiner};
use super::windows::Span;
use crate::view::{AgentView, CheckView, HopView, PipelineView, SloView, TopicView, View, WindowView};

impl State {
    /// Everything, as it is now.
    pub fn view(&self, now_ms: i64) -> View {
        // A topic that a check file names is shown before anything is known of it.
        let named = self.config.checks.files.iter().filter_map(|f| match &f.topics {
            TopicSelector::Names(names) => Some(names.iter()),
            TopicSelector::Pattern(_) => None,
        });
        let names: BTreeSet<&String> = named.flatten().chain(self.core.topics.keys()).collect();
        let unseen = Topic::default();
        let held = self.core.agents.held();
        let topics = names
            .into_iter()
            .map(|name| {
                let topic = self.core.topics.get(name).unwrap_or(&unseen);
                (name.clone(), self.topic_view(name, topic, held.contains(name.as_str())))
            })
            .collect();
        View {
            cluster: self.config.cluster.clone(),
            taken_at_ms: now_ms,
            topics,
            pipelines: self.pipeline_views(),
            findings: self.core.findings.shown(),
            marks: self.marks.all().cloned().collect(),
            explanations: self.explainer.explanations().clone(),
            agents: self.agent_views(),
            ingest: self.ingest_stats(),
        }
    }

    fn topic_view(&self, name: &str, topic: &Topic, held: bool) -> TopicView {
        let rules = self.rules.get(name).cloned().unwrap_or_else(|| self.config.checks.for_topic(name));
        let mut totals = topic.shown.totals.clone();
        totals.skipped = topic.skipped();
        let count = |rule: &str| topic.shown.rules.get(rule).copied().unwrap_or_default();
        let checks = rules
            .rules
            .iter()
            .map(|rule| (rule, topic.windows.checks.get(&rule.id)))
            .map(|(rule, state)| CheckView {
                rule: Arc::clone(rule),
                verdict: state
                    .map_or_else(unjudged, |s| if held { s.verdict.clone() } else { unread(&s.verdict) }),
                since_ms: state.map_or(0, |s| s.since_ms),
                checked_total: count(&rule.id).checked,
                failed_total: count(&rule.id).failed,
            })
            .collect();
        let slos = rules
            .slos
            .iter()
            .map(|slo| {
                let events = count(&slo.good);
                SloView {
                    slo: Arc::clone(slo),
                    good_total: events.checked.saturating_sub(events.failed),
                    bad_total: events.failed,
                }
            })
            .collect();
        TopicView {
            totals,
            delay: topic.shown.delay.histogram(),
            checks,
            slos,
            window: window_view(topic),
            watermark_ms: topic.watermark_ms,
            last_record_ms: topic.last_record_ms,
            rules_differ: topic.windows.rules_differ,
            detectors: self.config.detect.of(name).map(|settings| {
                self.watches.get(name).map_or_else(|| Watch::default().view(settings), |w| w.view(settings))
            }),
            marks: self.marks.about(name).cloned().collect(),
        }
    }

    fn pipeline_views(&self) -> Vec<PipelineView> {
        let views = self.config.pipelines.iter().filter_map(|pipeline| {
            let (first, last) = (pipeline.stages.first()?, pipeline.stages.last()?);
            let fresh = Joiner::new(pipeline);
            let joiner = self.core.joiners.get(&pipeline.name).filter(|j| j.fits(pipeline)).unwrap_or(&fresh);
            let neighbours = pipeline.stages.iter().zip(pipeline.stages.iter().skip(1));
            let stage = |index: &u8| pipeline.stages.get(usize::from(*index)).cloned();
            Some(PipelineView {
                pipeline: Arc::clone(pipeline),
                hops: neighbours.zip(&joiner.hops).map(|((a, b), hop)| hop_view(a, b, hop)).collect(),
                whole: hop_view(first, last, &joiner.whole),
                completed_total: joiner.completed,
                breached_total: joiner.breached,
                incomplete_total: joiner
                    .incomplete
                    .iter()
                    .filter_map(|(s, n)| Some((stage(s)?, *n)))
                    .collect(),
                open: joiner.open(),
                dropped_total: joiner.dropped,
                unjudged_total: joiner.unjudged,
            })
        });
        views.collect()
    }

    fn agent_views(&self) -> BTreeMap<String, AgentView> {
        let view = |agent: &super::agents::Agent| AgentView {
            last_report_ms: agent.last_report_ms,
            as_of_ms: agent.as_of_ms,
            alive: agent.alive(),
            catching_up: agent.topics.values().any(|t| t.catching_up),
            stats: agent.stats.clone(),
        };
        self.core.agents.iter().map(|(name, agent)| (name.clone(), view(agent))).collect()
    }
}

fn hop_view(from: &str, to: &str, hop: &Hop) -> HopView {
    HopView {
        from: from.to_owned(),
        to: to.to_owned(),
        latency: hop.latency.clone(),
        skewed_total: hop.skewed,
    }
}

fn window_view(topic: &Topic) -> Option<WindowView> {
    let Span { from_ms, to_ms, .. } = topic.windows.span?;
    let summary = Arc::clone(topic.windows.last.as_ref()?);
    Some(WindowView { from_ms, to_ms, summary })
}

/// A verdict on what nobody reads any more.
fn unread(last: &Verdict) -> Verdict {
    let message = format!("no agent reads this topic just now; before: {}", last.message);
    super::judging::unknown(&message, last.from_ms, last.to_ms)
}

/// The verdict before there is one.
fn unjudged() -> Verdict {
    super::judging::unknown("no window has closed yet", 0, 0)
}
