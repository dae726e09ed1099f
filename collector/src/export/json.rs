//! The JSON API's shapes, version 1: additions are allowed, changes are not. What is unknown is
//! `null`. (The lag's shape is the watcher's, a profile's is the profiler's: each in one place.)

use checks::report::{Example, Histogram};
use checks::verdict::Status;
use serde_json::{Value, json};

use super::{hex, rfc3339};
use crate::cluster::snapshot::{ClusterSnapshot, OpenTransaction, TopicSnapshot};
use crate::state::{KnownPosition, Mark, Marked, Profiled};
use crate::view::{
    AgentView, Amount, CheckView, Contribution, Explanation, Finding, FindingSource, HopView, Moved,
    PipelineView, SloView, THIS_FINDING, TopicView, View,
};

fn enveloped(view: &View, name: &str, content: Value) -> Value {
    let mut document = json!({
        "version": 1,
        "cluster": view.cluster,
        "taken_at": rfc3339(view.taken_at_ms),
    });
    document[name] = content;
    document
}

/// `/api/v1/topics`: every topic that the agents or the watcher know.
pub fn topics(view: &View, cluster: &ClusterSnapshot) -> Value {
    let mut names: Vec<&String> = view.topics.keys().chain(cluster.topics.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let topics = names.into_iter().map(|name| topic(name, view.topics.get(name), cluster));
    enveloped(view, "topics", topics.collect())
}

/// Topics named in the answer to a mark; the others are counted.
const MARKED_TOPICS: usize = 100;

/// `/api/v1/marks`.
pub fn marks(view: &View) -> Value {
    enveloped(view, "marks", view.marks.iter().map(mark).collect())
}

/// `POST /api/v1/marks`.
pub fn marked(marked: &Marked) -> Value {
    let some = |topics: &[String]| topics.iter().take(MARKED_TOPICS).cloned().collect::<Vec<_>>();
    json!({
        "version": 1,
        "mark": mark(&marked.mark),
        "topics": some(&marked.topics),
        "topics_total": marked.topics.len(),
        "already_learned": some(&marked.learned),
        "already_learned_total": marked.learned.len(),
        "kept": marked.kept,
    })
}

fn mark(mark: &Mark) -> Value {
    json!({
        "id": mark.id,
        "topics": mark.what.topics,
        "from": rfc3339(mark.what.from_ms),
        "to": rfc3339(mark.what.to_ms),
        "note": mark.what.note,
        "made_at": rfc3339(mark.made_ms),
    })
}

fn topic(name: &str, agents: Option<&TopicView>, cluster: &ClusterSnapshot) -> Value {
    let broker = cluster.topics.get(name);
    let mut topic = json!({
        "topic": name,
        "partitions": broker.map(|b| b.partitions.len()),
        "records_total": broker.map(|b| b.records_total),
        "records_per_second": broker.and_then(|b| b.records_per_second),
        "observed": agents.is_some(),
    });
    if let (Value::Object(topic), Some(broker)) = (&mut topic, broker)
        && let Value::Object(log) = log(broker, cluster.taken_at_ms)
    {
        topic.extend(log);
    }
    if let Some(t) = agents {
        let n = &t.totals;
        let count = |status| t.checks.iter().filter(|c| c.verdict.status == status).count();
        let observed = json!({
            "read": n.read,
            "read_bytes": n.read_bytes,
            "examined": n.examined,
            "unexamined": n.unexamined,
            "skipped": n.skipped,
            "decode_failures": n.decode_failures,
            "not_decoded": n.not_decoded,
            "tombstones": n.tombstones,
            "schema_checked": n.schema_checked,
            "schema_violations": n.schema_violations,
            "bad_timestamps": n.bad_timestamps,
            "catching_up": n.catching_up,
            "skewed": n.skewed,
            "duplicate_keys": n.duplicate_keys,
            "header_notes": n.header_notes,
            "time_fallbacks": n.time_fallbacks,
            "observed_delay": histogram(&t.delay),
            "watermark": t.watermark_ms.and_then(rfc3339),
            "last_record": t.last_record_ms.and_then(rfc3339),
            "rules_differ": t.rules_differ,
            "detectors": t.detectors.as_ref().map(|d| json!({
                "status": if d.is_watching { "watching" } else { "learning" },
                "text": d.text,
                "learned_seconds": d.known_ms as f64 / 1000.0,
                "needed_seconds": d.needed_ms as f64 / 1000.0,
                "open": d.open,
            })),
            "checks": {
                "pass": count(Status::Pass),
                "fail": count(Status::Fail),
                "unknown": count(Status::Unknown),
                "error": count(Status::Error),
            },
            "slos": t.slos.iter().map(slo).collect::<Vec<_>>(),
            "window": t.window.as_ref().map(|w| json!({
                "from": rfc3339(w.from_ms),
                "to": rfc3339(w.to_ms),
                "records": w.summary.read,
            })),
        });
        if let (Value::Object(topic), Value::Object(observed)) = (&mut topic, observed) {
            topic.extend(observed);
        }
    }
    topic
}

/// What the brokers say of a topic's log.
fn log(topic: &TopicSnapshot, taken_at_ms: i64) -> Value {
    let mut unread = serde_json::Map::new();
    for (id, partition) in topic.partitions.iter() {
        if let Some(why) = partition.unread {
            unread.insert(id.to_string(), json!(why));
        }
    }
    let stale_ms = topic.oldest_read_ms().map(|read_ms| taken_at_ms.saturating_sub(read_ms));
    let leaderless = topic.partitions.values().filter(|p| p.leader.is_none()).count();
    let under_replicated = topic.partitions.values().filter(|p| p.in_sync < p.replicas).count();
    json!({
        "stale_seconds": stale_ms.map(|ms| ms as f64 / 1000.0),
        "unread_partitions": unread,
        "leaderless_partitions": leaderless,
        "under_replicated_partitions": under_replicated,
        "under_min_isr_partitions": topic.under_in_sync_min(),
        "cleanup_policy": topic.cleanup_policy.map(|policy| policy.as_str()),
        "size_bytes": topic.size_bytes,
        "bytes_per_second": topic.bytes_per_second,
        "hottest_partition": topic.hottest.map(|h| json!({"partition": h.partition, "share": h.share})),
        "tail_unknown": topic.tail_unknown,
        "open_transactions":
            topic.open_transactions.iter().map(|(id, t)| open_transaction(*id, t)).collect::<Vec<_>>(),
    })
}

fn open_transaction(partition: i32, open: &OpenTransaction) -> Value {
    let (producer, coordinator) = (open.producer.as_ref(), open.coordinator.as_ref());
    json!({
        "partition": partition,
        "start_offset": open.start_offset,
        "since": rfc3339(open.since_ms),
        "producer_id": producer.map(|p| p.producer_id),
        "producer_epoch": producer.map(|p| p.producer_epoch),
        "last_record": producer.and_then(|p| p.last_ms).and_then(rfc3339),
        "transactional_id": coordinator.map(|c| &c.transactional_id),
        "coordinator": coordinator.map(|c| c.broker),
        "state": coordinator.map(|c| &c.state),
        "timeout_seconds": coordinator.map(|c| f64::from(c.timeout_ms) / 1000.0),
    })
}

fn histogram(h: &Histogram) -> Value {
    json!({
        "count": h.count,
        "mean_seconds": h.mean_seconds(),
        "p50_seconds": h.quantile(0.5),
        "p95_seconds": h.quantile(0.95),
        "p99_seconds": h.quantile(0.99),
        "exemplar": h.exemplar.as_ref().map(|e| json!({
            "trace_id": hex(&e.trace_id), "seconds": e.seconds, "at": rfc3339(e.at_ms),
        })),
    })
}

fn slo(s: &SloView) -> Value {
    json!({
        "id": s.slo.id,
        "good": s.slo.good,
        "objective": s.slo.objective,
        "over_seconds": s.slo.over_ms / 1000,
        "good_events": s.good_total,
        "bad_events": s.bad_total,
    })
}

/// `/api/v1/topics/{topic}/profile`: of the last closed window.
pub fn profile(topic: &str, view: &TopicView) -> Value {
    let Some(window) = &view.window else {
        return json!({"version": 1, "source": topic, "window": null, "records": 0, "decode_failures": {}, "fields": []});
    };
    // Only floats that are numbers and keys that are strings: it can't fail.
    let mut profile =
        serde_json::to_value(checks::profile::json::profile(topic, &window.summary)).unwrap_or_default();
    profile["window"] = json!({"from": rfc3339(window.from_ms), "to": rfc3339(window.to_ms)});
    profile
}

/// The same of a stretch of time that was asked for: of the panes in it whose profiles are kept.
pub fn profile_of(topic: &str, profiled: &Profiled) -> Value {
    let mut profile =
        serde_json::to_value(checks::profile::json::profile(topic, &profiled.summary)).unwrap_or_default();
    profile["window"] = json!({"from": rfc3339(profiled.from_ms), "to": rfc3339(profiled.to_ms)});
    profile["panes"] = json!(profiled.panes);
    profile["panes_without_profile"] = json!(profiled.panes_without);
    profile["profiles_from"] = json!(profiled.kept_from_ms.and_then(rfc3339));
    profile
}

/// `/api/v1/checks`.
pub fn checks(view: &View) -> Value {
    let each =
        |(topic, t): (&String, &TopicView)| t.checks.iter().map(|c| check(topic, c)).collect::<Vec<_>>();
    enveloped(view, "checks", view.topics.iter().flat_map(each).collect())
}

fn check(topic: &str, c: &CheckView) -> Value {
    let (rule, verdict) = (&c.rule, &c.verdict);
    json!({
        "id": rule.id,
        "topic": topic,
        "field": rule.field().map(|f| &f.text),
        "metric": rule.metric.name(),
        "severity": rule.severity.as_str(),
        "status": verdict.status.as_str(),
        "since": rfc3339(c.since_ms),
        "value": verdict.value,
        "unit": rule.unit.as_str(),
        "interval": verdict.interval,
        "must": rule.must(),
        "failed": verdict.failed,
        "checked": verdict.checked,
        "failed_total": c.failed_total,
        "checked_total": c.checked_total,
        "message": verdict.message,
        "window": {"from": rfc3339(verdict.from_ms), "to": rfc3339(verdict.to_ms)},
        "examples": verdict.examples.iter().map(example).collect::<Vec<_>>(),
        "segments": verdict.segments,
        "owner": rule.owner,
        "description": rule.description,
    })
}

fn example(e: &Example) -> Value {
    json!({"partition": e.partition, "offset": e.offset, "value": e.value})
}

/// `/api/v1/findings`: open ones first, what else moved in short.
pub fn findings(view: &View) -> Value {
    let each = |f: &Finding| {
        let mut document = finding(f);
        document["explanation"] = view.explanations.get(&f.id).map_or(Value::Null, |e| in_short(&f.id, e));
        document
    };
    enveloped(view, "findings", view.findings.iter().map(each).collect())
}

/// `/api/v1/findings/{id}`: the whole of one; `None` if there is none of this id.
pub fn finding_explained(view: &View, id: &str) -> Option<Value> {
    let found = view.findings.iter().find(|f| f.id == id)?;
    let mut document = finding(found);
    document["explanation"] = view.explanations.get(id).map_or(Value::Null, |e| explanation(e));
    Some(enveloped(view, "finding", document))
}

fn in_short(id: &str, e: &Explanation) -> Value {
    let others = || e.timeline.iter().filter(|m| m.what != THIS_FINDING);
    json!({
        "began": rfc3339(e.began_ms),
        "summary": e.summary,
        "moved": others().count() as u64 + e.left_out,
        "first": others().next().map(moved),
        "contributes": e.contributes.first().map(contribution),
        "whole": format!("/api/v1/findings/{id}"),
    })
}

fn explanation(e: &Explanation) -> Value {
    json!({
        "as_of": rfc3339(e.as_of_ms),
        "final": e.is_final,
        "began": rfc3339(e.began_ms),
        "summary": e.summary,
        "unknown": e.unknown,
        "timeline": e.timeline.iter().map(moved).collect::<Vec<_>>(),
        "left_out": e.left_out,
        "contributes": e.contributes.iter().map(contribution).collect::<Vec<_>>(),
        "figure": e.figure.as_ref().map(|f| json!({
            "name": f.name,
            "unit": f.unit,
            "from": rfc3339(f.from_ms),
            "step_seconds": f.step_ms as f64 / 1000.0,
            "values": f.values,
        })),
    })
}

fn moved(m: &Moved) -> Value {
    let amount = |amount: &Amount| match amount {
        Amount::Unknown => Value::Null,
        Amount::Number(n) => json!(n),
        Amount::Name(name) => json!(name),
    };
    json!({
        "at": rfc3339(m.at_ms),
        "within_seconds": m.within_ms as f64 / 1000.0,
        "until": m.until_ms.and_then(rfc3339),
        "topic": m.topic,
        "place": m.place.as_str(),
        "what": m.what,
        "subject": m.subject,
        "from": amount(&m.from),
        "to": amount(&m.to),
        "unit": m.unit,
        "before": m.is_before,
        "finding": m.finding,
        "sentence": m.sentence,
    })
}

fn contribution(c: &Contribution) -> Value {
    json!({"by": c.by, "name": c.name, "share": c.share, "of_all": c.of_all, "sentence": c.sentence})
}

/// One finding.
pub fn finding(f: &Finding) -> Value {
    let mut document = json!({
        "id": f.id,
        "at": rfc3339(f.at_ms),
        "resolved_at": f.resolved_ms.and_then(rfc3339),
        "topic": f.topic,
        "severity": f.severity.as_str(),
        "status": f.status.as_str(),
        "message": f.message,
        "value": f.value,
        "expected": f.expected,
        "evidence": f.evidence,
        "pane": {"from": rfc3339(f.from_ms), "to": rfc3339(f.to_ms)},
        "examples": f.examples.iter().map(example).collect::<Vec<_>>(),
    });
    let (kind, id) = match &f.source {
        FindingSource::Check(id) => ("check", id),
        FindingSource::Slo(id) => ("slo", id),
        FindingSource::Detector(id) => ("detector", id),
    };
    document[kind] = json!(id);
    document
}

/// `/api/v1/pipelines`.
pub fn pipelines(view: &View) -> Value {
    enveloped(view, "pipelines", view.pipelines.iter().map(pipeline).collect())
}

fn pipeline(p: &PipelineView) -> Value {
    let hop = |h: &HopView| json!({"from": h.from, "to": h.to, "latency": histogram(&h.latency), "skewed": h.skewed_total});
    json!({
        "pipeline": p.pipeline.name,
        "stages": p.pipeline.stages,
        "deadline_seconds": p.pipeline.deadline_ms as f64 / 1000.0,
        "objective": p.pipeline.latency.map(|o| json!({"quantile": o.quantile, "seconds": o.ms as f64 / 1000.0})),
        "hops": p.hops.iter().map(hop).collect::<Vec<_>>(),
        "whole": hop(&p.whole),
        "completed": p.completed_total,
        "breached": p.breached_total,
        "incomplete": p.incomplete_total,
        "open": p.open,
        "dropped": p.dropped_total,
        "unjudged": p.unjudged_total,
    })
}

/// `/api/v1/agents`.
pub fn agents(view: &View) -> Value {
    let each = |(name, a): (&String, &AgentView)| {
        let errors: serde_json::Map<String, Value> =
            a.stats.errors.iter().map(|e| (e.reason.clone(), json!(e.count))).collect();
        json!({
            "agent": name,
            "alive": a.alive,
            "last_report": rfc3339(a.last_report_ms),
            "as_of": rfc3339(a.as_of_ms),
            "catching_up": a.catching_up,
            "version": a.stats.version,
            "memory_bytes": (a.stats.memory_bytes > 0).then_some(a.stats.memory_bytes),
            "cpu_seconds": a.stats.cpu_seconds,
            "reports_dropped": a.stats.reports_dropped,
            "sightings_dropped": a.stats.sightings_dropped,
            "errors": errors,
            "rules_stale": a.stats.rules_stale,
        })
    };
    enveloped(view, "agents", view.agents.iter().map(each).collect())
}

/// `/api/v1/positions`: what an agent asks when it starts.
pub fn positions(known: &[KnownPosition]) -> Value {
    let position = |p: &KnownPosition| json!({"topic": p.topic, "partition": p.partition, "next": p.next, "as_of_ms": p.as_of_ms});
    json!({"version": 1, "positions": known.iter().map(position).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fixture;

    #[test]
    fn a_finding_has_the_documented_shape() {
        let found = findings(&fixture::view());
        let first = &found["findings"][0];
        for key in [
            "id", "at", "topic", "check", "severity", "status", "message", "value", "expected", "evidence",
            "pane", "examples",
        ] {
            assert!(first.get(key).is_some(), "{key}");
        }
        assert_eq!(first["at"], "2026-11-23T08:47:46.000Z");
        assert_eq!(found["findings"][1]["detector"], "lost_traces");
        assert_eq!(found["findings"][2]["resolved_at"], "2026-11-23T07:20:00.000Z");
    }

    #[test]
    fn a_finding_is_explained_in_short_and_as_a_whole() {
        let view = fixture::view();
        let found = findings(&view);
        let short = &found["findings"][0]["explanation"];
        assert_eq!((&short["moved"], &short["first"]["what"]), (&json!(4), &json!("schema")));
        assert_eq!(short["contributes"]["name"], "DE");
        assert_eq!(found["findings"][1]["explanation"], Value::Null, "not explained yet");
        let whole = finding_explained(&view, "f3a9c1d2").expect("it is there");
        let timeline = whole["finding"]["explanation"]["timeline"].as_array().expect("a list");
        let what: Vec<_> = timeline.iter().filter_map(|entry| entry["what"].as_str()).collect();
        assert_eq!(what, ["schema", "throughput", "this_finding", "delay", "group_lag"]);
        assert_eq!(timeline[0]["from"], "11", "an id is a name");
        assert_eq!(finding_explained(&view, "nothing"), None);
    }

    #[test]
    fn a_check_has_the_documented_shape() {
        let all = checks(&fixture::view());
        assert_eq!(all["version"], 1);
        let first = &all["checks"][0];
        assert_eq!(first["field"], "$.customer.email");
        assert_eq!(first["must"], "mustBeLessThan 2");
        assert_eq!(first["failed"], 981);
        assert_eq!(all["checks"][3]["value"], Value::Null, "unknown is null, not 0");
    }

    #[test]
    fn topics_of_agents_and_watcher_are_listed_once() {
        let all = topics(&fixture::view(), &fixture::cluster());
        let names: Vec<_> =
            all["topics"].as_array().expect("a list").iter().map(|t| t["topic"].clone()).collect();
        assert_eq!(names, ["audit", "orders", "payments", "shipments"]);
        assert_eq!(all["topics"][0]["observed"], false);
        assert_eq!(all["topics"][0]["stale_seconds"], 0.0);
        assert_eq!(all["topics"][0]["size_bytes"], Value::Null, "unknown is null");
        assert_eq!(all["topics"][1]["read"], 1_284_110);
    }
}
