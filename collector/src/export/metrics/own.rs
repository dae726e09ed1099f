//! Series of the agents and of the collector itself.

use std::fmt;

use checks::report::AgentStats;

use super::Extra;
use super::budget::Plan;
use super::family::Out;
use super::labels::{Agent, AgentInfo, AgentReason, Build, Cluster, Kind, Reason, Result as ByResult};
use super::table as t;
use crate::view::View;

/// What is known of one agent.
pub(super) struct AgentFigures<'a> {
    pub(super) name: &'a str,
    pub(super) alive: bool,
    pub(super) last_report_ms: Option<i64>,
    pub(super) catching_up: bool,
    pub(super) stats: &'a AgentStats,
}

pub(super) fn agents(out: &mut Out<'_>, cluster: &str, agents: &[AgentFigures<'_>]) -> fmt::Result {
    let each = || agents.iter().map(|a| (Agent { cluster, agent: a.name }, a));
    out.family(&t::AGENT_UP, each().map(|(l, a)| (l, a.alive)))?;
    let infos = each()
        .map(|(l, a)| (AgentInfo { cluster: l.cluster, agent: l.agent, version: &a.stats.version }, true));
    out.family(&t::AGENT_INFO, infos)?;
    out.family(
        &t::AGENT_LAST_REPORT,
        each().filter_map(|(l, a)| Some((l, a.last_report_ms? as f64 / 1000.0))),
    )?;
    out.family(&t::AGENT_CATCHING_UP, each().map(|(l, a)| (l, a.catching_up)))?;
    let memory = each().filter(|(_, a)| a.stats.memory_bytes > 0);
    out.family(&t::AGENT_MEMORY, memory.map(|(l, a)| (l, a.stats.memory_bytes)))?;
    out.family(&t::AGENT_CPU, each().map(|(l, a)| (l, a.stats.cpu_seconds)))?;
    out.family(&t::AGENT_REPORTS_DROPPED, each().map(|(l, a)| (l, a.stats.reports_dropped)))?;
    out.family(&t::AGENT_SIGHTINGS_DROPPED, each().map(|(l, a)| (l, a.stats.sightings_dropped)))?;
    let errors = each().flat_map(|(Agent { cluster, agent }, a)| {
        a.stats.errors.iter().map(move |e| (AgentReason { cluster, agent, reason: &e.reason }, e.count))
    });
    out.family(&t::AGENT_ERRORS, errors)?;
    out.family(&t::AGENT_RULES_STALE, each().map(|(l, a)| (l, a.stats.rules_stale)))
}

pub(super) fn build(out: &mut Out<'_>, version: &str, commit: &str) -> fmt::Result {
    out.family(&t::BUILD_INFO, [(Build { version, commit }, true)])
}

pub(super) fn ingest(
    out: &mut Out<'_>,
    cluster: &str,
    view: &View,
    plan: &Plan,
    fields_left_out: usize,
    extra: &Extra,
) -> fmt::Result {
    let stats = &view.ingest;
    let whole = Cluster { cluster };
    let reports = [("applied", stats.applied_total), ("duplicate", stats.duplicate_total)];
    out.family(&t::INGEST_REPORTS, reports.map(|(result, n)| (ByResult { cluster, result }, n)))?;
    out.family(
        &t::INGEST_REFUSED,
        stats.refused_total.iter().map(|(reason, n)| (Reason { cluster, reason }, *n)),
    )?;
    out.family(&t::INGEST_OVERLAPPING, [(whole, stats.overlapping_panes_total)])?;
    out.family(&t::INGEST_HISTORY_BROKEN, [(whole, stats.history_error.is_some())])?;
    out.family(&t::CONFIG_RELOAD_BROKEN, [(whole, stats.reload_error.is_some())])?;
    out.family(&t::OTLP_TRACES_DROPPED, [(whole, stats.traces_dropped_total)])?;
    if let Some(spans) = extra.otlp {
        let spans = [("sent", spans.sent), ("failed", spans.failed)];
        out.family(&t::OTLP_SPANS, spans.map(|(result, n)| (ByResult { cluster, result }, n)))?;
    }
    let fields = (fields_left_out * super::budget::FIELD_SERIES) as u64;
    let folded = ["group_partitions", "topic_partitions", "groups", "topics"]
        .map(|kind| (kind, plan.series_folded.get(kind).copied().unwrap_or(0)))
        .into_iter()
        .chain([("fields", fields)]);
    out.family(&t::SERIES_FOLDED, folded.map(|(kind, n)| (Kind { cluster, kind }, n)))
}
