//! Series of topics, checks, service levels, findings and pipelines, from the view.

use std::collections::BTreeMap;
use std::fmt;

use checks::report::skip_reason;
use checks::rules::Severity as Loudness;
use checks::verdict::Status;

use super::family::{Desc, Out};
use super::labels::{
    Check, CheckStatus, Hop, Pipeline, PipelineResult, PipelineStage, Severity, Slo, SloResult, Topic,
    TopicFormat, TopicReason, TopicStatus,
};
use super::table as t;
use crate::view::{CheckView, HopView, PipelineView, SloView, TopicTotals, View};

pub(super) fn write(out: &mut Out<'_>, cluster: &str, view: &View) -> fmt::Result {
    totals(out, cluster, view)?;
    reasons(out, cluster, view)?;
    times(out, cluster, view)?;
    checks(out, cluster, view)?;
    slos(out, cluster, view)?;
    findings(out, cluster, view)?;
    pipelines(out, view)
}

fn totals(out: &mut Out<'_>, cluster: &str, view: &View) -> fmt::Result {
    type Figure = fn(&TopicTotals) -> u64;
    let figures: [(_, Figure); 10] = [
        (&t::RECORDS_READ, |n| n.read),
        (&t::RECORDS_READ_BYTES, |n| n.read_bytes),
        (&t::RECORDS_EXAMINED, |n| n.examined),
        (&t::RECORDS_TOMBSTONES, |n| n.tombstones),
        (&t::RECORDS_BAD_TIMESTAMP, |n| n.bad_timestamps),
        (&t::RECORDS_CATCHING_UP, |n| n.catching_up),
        (&t::RECORDS_SKEWED, |n| n.skewed),
        (&t::DOCUMENTS_DUPLICATE_KEYS, |n| n.duplicate_keys),
        (&t::SCHEMA_CHECKED, |n| n.schema_checked),
        (&t::SCHEMA_VIOLATIONS, |n| n.schema_violations),
    ];
    for (desc, figure) in figures {
        let each = view.topics.iter().map(|(topic, v)| (Topic { cluster, topic }, figure(&v.totals)));
        out.family(desc, each)?;
    }
    Ok(())
}

/// Written from the first scrape on, so that their first increase is seen by `increase()`.
const SKIPPED: [&str; 5] =
    [skip_reason::CATCH_UP, skip_reason::GAP, skip_reason::LOST, skip_reason::OVERLAP, skip_reason::SPOOL];

fn reasons(out: &mut Out<'_>, cluster: &str, view: &View) -> fmt::Result {
    type Counts = fn(&TopicTotals) -> &BTreeMap<String, u64>;
    let figures: [(&Desc<TopicReason<'static>>, Counts, &[&str]); 5] = [
        (&t::RECORDS_UNEXAMINED, |n| &n.unexamined, &[]),
        (&t::RECORDS_SKIPPED, |n| &n.skipped, &SKIPPED),
        (&t::DECODE_FAILURES, |n| &n.decode_failures, &[]),
        (&t::HEADER_NOTES, |n| &n.header_notes, &[]),
        (&t::TIME_FALLBACKS, |n| &n.time_fallbacks, &[]),
    ];
    for (desc, counts, always) in figures {
        let each = view.topics.iter().flat_map(|(topic, v)| {
            let counts = counts(&v.totals);
            let zero = always.iter().filter(|reason| !counts.contains_key(**reason)).map(|r| (*r, 0));
            zero.chain(counts.iter().map(|(reason, n)| (reason.as_str(), *n)))
                .map(move |(reason, n)| (TopicReason { cluster, topic, reason }, n))
        });
        out.family(desc, each)?;
    }
    let formats = view.topics.iter().flat_map(|(topic, v)| {
        v.totals.not_decoded.iter().map(move |(format, n)| (TopicFormat { cluster, topic, format }, *n))
    });
    out.family(&t::RECORDS_NOT_DECODED, formats)
}

fn times(out: &mut Out<'_>, cluster: &str, view: &View) -> fmt::Result {
    let each = || view.topics.iter().map(|(topic, v)| (Topic { cluster, topic }, v));
    let seconds = |ms: i64| ms as f64 / 1000.0;
    out.family(&t::TOPIC_LAST_RECORD, each().filter_map(|(l, v)| Some((l, seconds(v.last_record_ms?)))))?;
    out.family(&t::TOPIC_WATERMARK, each().filter_map(|(l, v)| Some((l, seconds(v.watermark_ms?)))))?;
    out.family(&t::TOPIC_RULES_DIFFER, each().map(|(l, v)| (l, v.rules_differ)))?;
    out.histograms(&t::OBSERVED_DELAY, each().map(|(l, v)| (l, &v.delay)))
}

fn checks(out: &mut Out<'_>, cluster: &str, view: &View) -> fmt::Result {
    let each = || view.topics.iter().flat_map(|(topic, v)| v.checks.iter().map(move |c| (topic.as_str(), c)));
    let statuses = each().flat_map(|(topic, c): (&str, &CheckView)| {
        Status::ALL.into_iter().map(move |status| {
            let severity = c.rule.severity.as_str();
            let labels = CheckStatus { cluster, topic, check: &c.rule.id, severity, status: status.as_str() };
            (labels, status == c.verdict.status)
        })
    });
    out.family(&t::CHECK_STATUS, statuses)?;
    let each = || each().map(|(topic, c)| (Check { cluster, topic, check: &c.rule.id }, c));
    out.family(&t::CHECK_VALUE, each().filter_map(|(l, c)| Some((l, c.verdict.value?))))?;
    out.family(&t::CHECK_CHECKED, each().map(|(l, c)| (l, c.checked_total)))?;
    // What is only known of whole windows has no total: 0 would be a lie.
    let summed = each().filter(|(_, c)| c.rule.metric.fails_by_pane());
    out.family(&t::CHECK_FAILED, summed.map(|(l, c)| (l, c.failed_total)))
}

fn slos(out: &mut Out<'_>, cluster: &str, view: &View) -> fmt::Result {
    let each = || view.topics.iter().flat_map(|(topic, v)| v.slos.iter().map(move |s| (topic.as_str(), s)));
    let events = each().flat_map(|(topic, s): (&str, &SloView)| {
        [("good", s.good_total), ("bad", s.bad_total)]
            .map(|(result, n)| (SloResult { cluster, topic, slo: &s.slo.id, result }, n))
    });
    out.family(&t::SLO_EVENTS, events)?;
    let each = || each().map(|(topic, s)| (Slo { cluster, topic, slo: &s.slo.id }, &s.slo));
    out.family(&t::SLO_OBJECTIVE, each().map(|(l, slo)| (l, slo.objective)))?;
    out.family(&t::SLO_WINDOW_SECONDS, each().map(|(l, slo)| (l, slo.over_ms as f64 / 1000.0)))
}

fn findings(out: &mut Out<'_>, cluster: &str, view: &View) -> fmt::Result {
    let open = [Loudness::Info, Loudness::Warning, Loudness::Error].map(|severity| {
        let open = view.findings.iter().filter(|f| f.severity == severity && f.resolved_ms.is_none());
        (Severity { cluster, severity: severity.as_str() }, open.count())
    });
    let statuses = view.topics.iter().filter_map(|(topic, v)| Some((topic, v.detectors.as_ref()?)));
    let statuses = statuses.flat_map(|(topic, d)| {
        [("learning", !d.is_watching), ("watching", d.is_watching)]
            .map(|(status, is)| (TopicStatus { cluster, topic, status }, is))
    });
    out.family(&t::DETECTOR_STATUS, statuses)?;
    out.family(&t::FINDINGS_OPEN, open)
}

fn pipelines(out: &mut Out<'_>, view: &View) -> fmt::Result {
    let each = || view.pipelines.iter().map(|p| (Pipeline { pipeline: &p.pipeline.name }, p));
    let hops = || {
        each().flat_map(|(Pipeline { pipeline }, p)| {
            p.hops.iter().map(move |hop| (Hop { pipeline, from: &hop.from, to: &hop.to }, hop))
        })
    };
    out.histograms(&t::HOP_LATENCY, hops().map(|(l, hop): (_, &HopView)| (l, &hop.latency)))?;
    out.family(&t::HOP_SKEWED, hops().map(|(l, hop)| (l, hop.skewed_total)))?;
    out.histograms(&t::PIPELINE_LATENCY, each().map(|(l, p)| (l, &p.whole.latency)))?;
    let with_objective = || each().filter_map(|(l, p)| Some((l, p, p.pipeline.latency?)));
    let events = with_objective().flat_map(|(Pipeline { pipeline }, p, _)| {
        // The state counts a breach when a trace completes, so good is never negative.
        let good = p.completed_total.saturating_sub(p.breached_total);
        [("good", good), ("bad", p.breached_total)]
            .map(|(result, n)| (PipelineResult { pipeline, result }, n))
    });
    out.family(&t::PIPELINE_EVENTS, events)?;
    out.family(&t::PIPELINE_OBJECTIVE, with_objective().map(|(l, _, o)| (l, o.quantile)))?;
    out.family(&t::PIPELINE_OBJECTIVE_SECONDS, with_objective().map(|(l, _, o)| (l, o.ms as f64 / 1000.0)))?;
    let incomplete = each().flat_map(|(Pipeline { pipeline }, p): (_, &PipelineView)| {
        // What is last seen at the last stage has come out.
        let stages = p.pipeline.stages.split_last().map_or(&[][..], |(_, before)| before);
        stages.iter().map(move |stage| {
            let lost = p.incomplete_total.get(stage).copied().unwrap_or(0);
            (PipelineStage { pipeline, stage }, lost)
        })
    });
    out.family(&t::TRACE_INCOMPLETE, incomplete)?;
    out.family(&t::PIPELINE_OPEN_TRACES, each().map(|(l, p)| (l, p.open)))?;
    out.family(&t::PIPELINE_DROPPED_TRACES, each().map(|(l, p)| (l, p.dropped_total)))?;
    out.family(&t::PIPELINE_UNJUDGED_TRACES, each().map(|(l, p)| (l, p.unjudged_total)))
}
