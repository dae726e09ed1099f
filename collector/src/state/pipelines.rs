//! Pipelines within the state: which clock their deadlines go by, and what is found in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use checks::pipeline::Pipeline;
use checks::report::{AgentStats, Report, skip_reason};
use checks::rules::Severity;
use checks::verdict::Status;
use serde_json::json;

use super::State;
use super::evidence::{BAD_MIN, rounded, share_at_least};
use super::findings::Draft;
use super::traces::{Joiner, RECENT_MS, Recent};
use crate::view::{Finding, FindingSource};

/// A stage that nobody holds, and nobody ever held, is taken to be empty up to this long before the
/// stream time of the live agents, ms: the time in which they discover topics and idle partitions.
const UNHELD_MS: i64 = 60_000;

const PIPELINE_LATENCY: &str = "pipeline_latency";
const LOST_TRACES: &str = "lost_traces";

impl State {
    /// Joins the report's sightings. `now_ms` bounds what a gap may have hidden: the parts of a split
    /// report carry the time of the one before. `before` is what the agent had said of itself until then.
    pub(super) fn apply_sightings(
        &mut self,
        report: &Report,
        now_ms: i64,
        before: Option<(u64, AgentStats)>,
    ) {
        let dropped = report.agent_stats.as_ref().map_or(0, |s| s.sightings_dropped);
        let dropped_before =
            before.filter(|(boot, _)| *boot == report.boot).map_or(0, |(_, s)| s.sightings_dropped);
        for pipeline in &self.config.pipelines {
            let joiner = match self.core.joiners.get_mut(&pipeline.name) {
                Some(joiner) if joiner.fits(pipeline) => joiner,
                // Other stages make it another pipeline: its sums begin anew.
                _ => {
                    self.core.joiners.insert(pipeline.name.clone(), Joiner::new(pipeline));
                    let Some(joiner) = self.core.joiners.get_mut(&pipeline.name) else { continue };
                    joiner
                }
            };
            let passed_over = report
                .skipped
                .iter()
                .any(|s| s.reason != skip_reason::GAP && s.to > s.from && pipeline.stages.contains(&s.topic));
            if passed_over || dropped > dropped_before {
                joiner.blind_to(report.as_of_ms.max(now_ms));
            }
            for sighting in &report.sightings {
                joiner.sight(pipeline, sighting, self.config.limits.open_traces);
            }
        }
    }

    /// Counts the traces whose fate is known now, and says what is found in them.
    pub(super) fn settle_pipelines(&mut self) {
        let as_of_ms = self.core.agents.stream_ms();
        for pipeline in self.config.pipelines.clone() {
            let watermark_ms = self.pipeline_watermark_ms(&pipeline, as_of_ms);
            let Some(joiner) = self.core.joiners.get_mut(&pipeline.name) else { continue };
            joiner.settle(&pipeline, as_of_ms, watermark_ms, &mut self.ended);
            let Some((now_ms, recent)) = joiner.recent(watermark_ms) else { continue };
            let told =
                [self.find_slow(&pipeline, now_ms, &recent), self.find_lost(&pipeline, now_ms, &recent)];
            self.told.extend(told.into_iter().flatten());
        }
    }

    /// The record time that every stage has passed; `None` while one of them is not known.
    fn pipeline_watermark_ms(&self, pipeline: &Pipeline, as_of_ms: Option<i64>) -> Option<i64> {
        let of_stage = |stage: &String| {
            let known = self.core.topics.get(stage).and_then(|t| t.watermark_ms);
            let held = self.core.agents.progress(stage).as_of_ms.is_some();
            match known {
                Some(watermark_ms) => Some(watermark_ms),
                None if held => None,
                None => as_of_ms.map(|t| t.saturating_sub(UNHELD_MS)),
            }
        };
        pipeline.stages.iter().map(of_stage).try_fold(i64::MAX, |least, w| Some(least.min(w?)))
    }

    /// More traces over the objective than it allows?
    fn find_slow(&mut self, pipeline: &Arc<Pipeline>, now_ms: i64, recent: &Recent) -> Option<Finding> {
        let source = FindingSource::Detector(PIPELINE_LATENCY.to_owned());
        let Some(objective) = pipeline.latency else {
            return self.core.findings.resolve(&pipeline.name, &source, "", now_ms);
        };
        let allowed = 1.0 - objective.quantile;
        let share = recent.breached as f64 / recent.completed.max(1) as f64;
        let open = self.core.findings.is_open(&super::findings::key(&pipeline.name, &source, ""));
        let proven =
            recent.breached >= BAD_MIN && share_at_least(recent.breached, recent.completed) > allowed;
        if proven || (open && share > allowed) {
            let draft = Draft {
                topic: pipeline.name.clone(),
                source,
                about: String::new(),
                severity: Severity::Error,
                status: Status::Fail,
                message: format!(
                    "{} of {} traces through {} took longer than {} ms ({:.1}%; the objective allows {:.1}%)",
                    recent.breached,
                    recent.completed,
                    pipeline.name,
                    objective.ms,
                    share * 100.0,
                    allowed * 100.0
                ),
                value: Some(share * 100.0),
                expected: format!("{}% of the traces within {} ms", objective.quantile * 100.0, objective.ms),
                evidence: BTreeMap::from([
                    ("completed".to_owned(), json!(recent.completed)),
                    ("breached".to_owned(), json!(recent.breached)),
                    ("share".to_owned(), json!(rounded(share))),
                    ("objective_ms".to_owned(), json!(objective.ms)),
                ]),
                from_ms: now_ms - RECENT_MS,
                to_ms: now_ms,
                examples: Vec::new(),
            };
            return self.core.findings.raise(now_ms, draft);
        }
        // No traces prove nothing.
        if recent.completed == 0 {
            return None;
        }
        self.core.findings.resolve(&pipeline.name, &source, "", now_ms)
    }

    /// Traces that entered and never came out?
    fn find_lost(&mut self, pipeline: &Arc<Pipeline>, now_ms: i64, recent: &Recent) -> Option<Finding> {
        let source = FindingSource::Detector(LOST_TRACES.to_owned());
        let lost: u64 = recent.lost.values().sum();
        if lost == 0 {
            return self.core.findings.resolve(&pipeline.name, &source, "", now_ms);
        }
        let by_stage: BTreeMap<&str, u64> = recent
            .lost
            .iter()
            .filter_map(|(stage, n)| Some((pipeline.stages.get(usize::from(*stage))?.as_str(), *n)))
            .collect();
        let places: Vec<String> =
            by_stage.iter().map(|(stage, n)| format!("{n} last seen at {stage}")).collect();
        let draft = Draft {
            topic: pipeline.name.clone(),
            source,
            about: String::new(),
            severity: Severity::Error,
            status: Status::Fail,
            message: format!(
                "{lost} traces entered {} and did not come out within {} ms: {}",
                pipeline.name,
                pipeline.deadline_ms,
                places.join(", ")
            ),
            value: Some(lost as f64),
            expected: "0 traces lost".to_owned(),
            evidence: BTreeMap::from([
                ("lost".to_owned(), json!(lost)),
                ("last_seen".to_owned(), json!(by_stage)),
                ("completed".to_owned(), json!(recent.completed)),
            ]),
            from_ms: now_ms - RECENT_MS,
            to_ms: now_ms,
            examples: Vec::new(),
        };
        self.core.findings.raise(now_ms, draft)
    }
}
