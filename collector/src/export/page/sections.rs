//! The sections of the overview, the most urgent first.

use std::fmt::{self, Write as _};

use checks::report::Histogram;
use checks::rules::{Severity, Unit};
use checks::verdict::Status;

use super::text::{Esc, bytes, count, duration, maybe, number, percent, segment, short};
use super::{ROWS, Seen, cut, draw};
use crate::cluster::snapshot::{GroupSnapshot, GroupType, Places};
use crate::export::metrics::cluster::{group_type, reason};
use crate::view::{CheckView, Finding, FindingSource, HopView, PipelineView, TopicView};

pub(super) fn tiles(out: &mut String, seen: &Seen<'_>) -> fmt::Result {
    let (view, cluster) = (seen.view, seen.cluster);
    let open = seen.open_findings();
    let loud = view.findings.iter().any(|f| f.resolved_ms.is_none() && f.severity == Severity::Error);
    let statuses = || view.topics.values().flat_map(|t| &t.checks).map(|c| c.verdict.status);
    let checks = statuses().count();
    let passing = statuses().filter(|s| *s == Status::Pass).count();
    let slowest = cluster
        .groups
        .iter()
        .flat_map(|(name, g)| g.topics.values().map(move |p| (name, p)))
        .filter_map(|(name, p)| Some((GroupSnapshot::topic_lag_seconds(p)?.0, name)))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let rates: Vec<f64> = cluster.topics.values().filter_map(|t| t.records_per_second).collect();
    let tile = |out: &mut String, class: &str, label: &str, value: &str, more: &str| {
        write!(
            out,
            "<div class=\"tile {class}\"><div class=\"k\">{label}</div><div class=\"v\">{value}</div><div class=\"d\">{more}</div></div>"
        )
    };
    out.push_str("<div class=\"tiles\">");
    let class = if loud {
        "bad"
    } else if open > 0 {
        "warn"
    } else {
        "good"
    };
    tile(
        out,
        class,
        "Open findings",
        &count(open),
        &format!("{} resolved lately", view.findings.len() - open),
    )?;
    let unknown = statuses().filter(|s| *s == Status::Unknown).count();
    tile(out, "", "Checks passing", &format!("{passing} of {checks}"), &format!("{unknown} unknown"))?;
    match slowest {
        Some((seconds, group)) if seconds > 0.0 => {
            tile(out, "", "Largest lag", &duration(seconds), &Esc(group).to_string())?;
        }
        Some(_) => tile(out, "", "Largest lag", "0 s", "every group is caught up")?,
        None => tile(out, "", "Largest lag", "–", "not known yet")?,
    }
    let rate = if rates.is_empty() { "–".to_owned() } else { format!("{}/s", number(rates.iter().sum())) };
    tile(
        out,
        "",
        "Records written",
        &rate,
        &format!("{}, {}", things(cluster.topics.len(), "topic"), things(cluster.brokers as usize, "broker")),
    )?;
    let alive = view.agents.values().filter(|a| a.alive).count();
    let class = if alive < view.agents.len() { "warn" } else { "" };
    tile(
        out,
        class,
        "Agents reporting",
        &format!("{alive} of {}", view.agents.len()),
        &format!("{} reports taken", short(view.ingest.applied_total)),
    )?;
    out.push_str("</div>");
    Ok(())
}

/// 1 topic, 3 topics.
fn things(n: usize, thing: &str) -> String {
    format!("{} {thing}{}", count(n), if n == 1 { "" } else { "s" })
}

pub(super) fn head(out: &mut String, title: &str, note: &str) -> fmt::Result {
    write!(out, "<section><div class=\"head\"><h2>{title}</h2><span class=\"note\">{note}</span></div>")
}

pub(super) fn findings(out: &mut String, seen: &Seen<'_>) -> fmt::Result {
    let (open, resolved): (Vec<&Finding>, Vec<&Finding>) =
        seen.view.findings.iter().partition(|f| f.resolved_ms.is_none());
    head(
        out,
        "Findings",
        &match open.len() {
            0 => "none open".to_owned(),
            n => format!("{n} open"),
        },
    )?;
    if open.is_empty() {
        out.push_str("<div class=\"quiet\"><b>Nothing is wrong</b> as far as is known.</div>");
    }
    let mut by_severity = open;
    by_severity.sort_by_key(|f| std::cmp::Reverse((f.severity, f.at_ms)));
    for finding in by_severity.iter().take(ROWS) {
        finding_card(out, seen, finding)?;
    }
    if !resolved.is_empty() {
        write!(out, "<details id=\"resolved\"><summary>{} resolved lately</summary>", resolved.len())?;
        out.push_str("<div class=\"wide\"><table><thead><tr><th>resolved</th><th>lasted</th><th>where</th><th>what</th></tr></thead><tbody>");
        for f in resolved.iter().take(ROWS) {
            let resolved_ms = f.resolved_ms.unwrap_or(f.at_ms);
            write!(
                out,
                "<tr><td class=\"nowrap\">{} ago</td><td class=\"nowrap\">{}</td><td>{} <a href=\"/findings/{}\">{}</a></td><td>{}</td></tr>",
                duration(seen.ago(resolved_ms)),
                duration(resolved_ms.saturating_sub(f.at_ms) as f64 / 1000.0),
                Esc(&f.topic),
                segment(&f.id),
                Esc(source(f)),
                Esc(&f.message)
            )?;
        }
        out.push_str("</tbody></table></div></details>");
    }
    out.push_str("</section>");
    Ok(())
}

pub(super) fn source(f: &Finding) -> &str {
    match &f.source {
        FindingSource::Check(id) | FindingSource::Slo(id) | FindingSource::Detector(id) => id,
    }
}

/// What is found of a topic, or of a group or pipeline of this name; nothing where there is nothing.
pub(super) fn findings_of(out: &mut String, seen: &Seen<'_>, topic: &str) -> fmt::Result {
    let of_topic = || seen.view.findings.iter().filter(|f| f.topic == topic);
    let open = of_topic().filter(|f| f.resolved_ms.is_none()).count();
    if of_topic().next().is_none() {
        return Ok(());
    }
    head(out, "Findings", &format!("{open} open, {} resolved lately", of_topic().count() - open))?;
    for f in of_topic().filter(|f| f.resolved_ms.is_none()).take(ROWS) {
        finding_card(out, seen, f)?;
    }
    out.push_str("<ul class=\"over\">");
    for f in of_topic().filter(|f| f.resolved_ms.is_some()).take(ROWS) {
        write!(
            out,
            "<li><a href=\"/findings/{}\">{}</a> <span class=\"soft small\">resolved {} ago</span> {}</li>",
            segment(&f.id),
            Esc(source(f)),
            duration(seen.ago(f.resolved_ms.unwrap_or(f.at_ms))),
            Esc(&f.message)
        )?;
    }
    out.push_str("</ul></section>");
    Ok(())
}

pub(super) fn finding_card(out: &mut String, seen: &Seen<'_>, f: &Finding) -> fmt::Result {
    let severity = f.severity.as_str();
    let kind = match &f.source {
        FindingSource::Check(_) => "check",
        FindingSource::Slo(_) => "service level",
        FindingSource::Detector(_) => "detector",
    };
    let place = if seen.view.topics.contains_key(&f.topic) {
        format!("<a href=\"/topics/{}\">{}</a>", segment(&f.topic), Esc(&f.topic))
    } else {
        Esc(&f.topic).to_string()
    };
    write!(
        out,
        "<article class=\"finding s-{severity}\"><div class=\"line\"><span class=\"pill {severity}\">{severity}</span>\
         <span><b>{place}</b> <span class=\"soft\">{kind}</span> <a href=\"/findings/{}\">{}</a></span><span class=\"grow\"></span>\
         <span class=\"soft small\">{}</span></div><div class=\"msg\">{}</div>",
        segment(&f.id),
        Esc(source(f)),
        lasts(seen, f),
        Esc(&f.message)
    )?;
    if let Some(explained) = seen.view.explanations.get(&f.id).filter(|e| e.timeline.len() > 1) {
        write!(out, "<div class=\"soft small\">{}</div>", Esc(&explained.summary))?;
    }
    out.push_str("<div class=\"facts\">");
    if let Some(value) = f.value {
        write!(out, "<div>value <b>{}</b></div>", number(value))?;
    }
    if !f.expected.is_empty() {
        write!(out, "<div>expected <b>{}</b></div>", Esc(&f.expected))?;
    }
    for (name, value) in f.evidence.iter().filter(|(_, value)| !value.is_null()) {
        write!(out, "<div>{} <b>{}</b></div>", Esc(name), Esc(evidence(value)))?;
    }
    out.push_str("</div>");
    if !f.examples.is_empty() {
        write!(
            out,
            "<details id=\"f-{}\"><summary>{} examples</summary><ul class=\"examples\">",
            Esc(&f.id),
            f.examples.len()
        )?;
        for e in &f.examples {
            write!(
                out,
                "<li><span class=\"soft small\">partition {} offset {}</span> <code>{}</code></li>",
                e.partition,
                e.offset,
                Esc(&e.value)
            )?;
        }
        out.push_str("</ul></details>");
    }
    out.push_str("</article>");
    Ok(())
}

/// How long it has been so, or was.
fn lasts(seen: &Seen<'_>, f: &Finding) -> String {
    match f.resolved_ms {
        None => format!("for {}", duration(seen.ago(f.at_ms))),
        Some(over) => {
            let lasted = duration(over.saturating_sub(f.at_ms) as f64 / 1000.0);
            format!("lasted {lasted}, resolved {} ago", duration(seen.ago(over)))
        }
    }
}

/// Strings as they are, the rest as JSON.
fn evidence(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(s) => s.clone(),
        serde_json::Value::Number(n) if n.is_f64() => number(n.as_f64().unwrap_or(f64::NAN)),
        other => other.to_string(),
    }
}

pub(super) fn pipelines(out: &mut String, seen: &Seen<'_>) -> fmt::Result {
    for p in &seen.view.pipelines {
        let objective = p
            .pipeline
            .latency
            .map(|o| format!("promised: {} within {}", percent(o.quantile), duration(o.ms as f64 / 1000.0)));
        head(
            out,
            &format!("Pipeline {}", Esc(&p.pipeline.name)),
            &objective.unwrap_or_else(|| "no latency promised".to_owned()),
        )?;
        flow(out, seen, p)?;
        out.push_str("</section>");
    }
    Ok(())
}

fn flow(out: &mut String, seen: &Seen<'_>, p: &PipelineView) -> fmt::Result {
    out.push_str("<div class=\"flow\">");
    for (i, stage) in p.pipeline.stages.iter().enumerate() {
        let rate = seen.cluster.topics.get(stage).and_then(|t| t.records_per_second);
        let rate = rate.map_or_else(|| "–".to_owned(), |r| format!("{}/s", number(r)));
        write!(
            out,
            "<div class=\"stage\"><b><a href=\"/topics/{}\">{}</a></b><span class=\"soft small\">{rate}</span></div>",
            segment(stage),
            Esc(stage)
        )?;
        if let Some(hop) = p.hops.get(i) {
            hop_arrow(out, p, stage, hop)?;
        }
    }
    out.push_str("</div><div class=\"quiet facts\">");
    write!(out, "<div>end to end p50 <b>{}</b></div>", maybe(p.whole.latency.quantile(0.5)))?;
    write!(out, "<div>p99 <b>{}</b></div>", maybe(p.whole.latency.quantile(0.99)))?;
    write!(out, "<div>came out <b>{}</b></div>", count(p.completed_total))?;
    if p.pipeline.latency.is_some() && p.completed_total > 0 {
        let good = p.completed_total.saturating_sub(p.breached_total);
        write!(out, "<div>in time <b>{}</b></div>", percent(good as f64 / p.completed_total as f64))?;
        write!(out, "<div>too late <b>{}</b></div>", count(p.breached_total))?;
    }
    let lost: u64 = p.incomplete_total.values().fold(0, |n, m| n.saturating_add(*m));
    write!(
        out,
        "<div>never came out <b class=\"{}\">{}</b></div>",
        if lost > 0 { "red" } else { "" },
        count(lost)
    )?;
    write!(out, "<div>in flight <b>{}</b></div>", count(p.open))?;
    if p.dropped_total > 0 {
        write!(out, "<div>given up <b>{}</b></div>", count(p.dropped_total))?;
    }
    out.push_str("</div>");
    Ok(())
}

fn hop_arrow(out: &mut String, p: &PipelineView, stage: &str, hop: &HopView) -> fmt::Result {
    let lost = p.incomplete_total.get(stage).copied().unwrap_or(0);
    write!(
        out,
        "<div class=\"hop\"><div>p50 <span class=\"t\">{}</span> · p99 <span class=\"t\">{}</span></div><div class=\"arrow\"></div>",
        maybe(hop.latency.quantile(0.5)),
        maybe(hop.latency.quantile(0.99))
    )?;
    match lost {
        0 => out.push_str("<div>none lost</div>"),
        n => write!(out, "<div class=\"red\">{} lost here</div>", count(n))?,
    }
    out.push_str("</div>");
    Ok(())
}

pub(super) fn groups(out: &mut String, seen: &Seen<'_>) -> fmt::Result {
    type Row<'a> = (&'a str, &'a GroupSnapshot, &'a str, &'a Places);
    let mut rows: Vec<Row<'_>> = seen
        .cluster
        .groups
        .iter()
        .flat_map(|(name, g)| g.topics.iter().map(move |(t, p)| (name.as_str(), g, &**t, &**p)))
        .collect();
    let lag = |r: &Row<'_>| {
        (GroupSnapshot::topic_lag_seconds(r.3).map_or(-1.0, |s| s.0), GroupSnapshot::topic_lag_records(r.3))
    };
    rows.sort_by(|a, b| {
        let (a_lag, b_lag) = (lag(a), lag(b));
        b_lag.0.total_cmp(&a_lag.0).then(b_lag.1.cmp(&a_lag.1)).then_with(|| (a.0, a.2).cmp(&(b.0, b.2)))
    });
    head(
        out,
        "Consumer groups",
        &format!("{} groups, the furthest behind first", count(seen.cluster.groups.len())),
    )?;
    if rows.is_empty() {
        out.push_str(
            "<div class=\"quiet\">No group has committed anything that may be read.</div></section>",
        );
        return Ok(());
    }
    out.push_str(
        "<div class=\"wide\"><table><thead><tr><th>group</th><th class=\"w\">state</th><th>topic</th><th class=\"n\">lag, records</th>\
         <th class=\"n\">lag, time</th><th></th><th class=\"n\">not known</th><th class=\"n\">lost</th></tr></thead><tbody>",
    );
    for (name, g, topic, partitions) in rows.iter().take(ROWS) {
        let seconds = GroupSnapshot::topic_lag_seconds(partitions);
        let records = GroupSnapshot::topic_lag_records(partitions);
        let mut unknown: Vec<String> = Vec::new();
        for why in partitions.values().filter_map(|p| p.unknown).collect::<std::collections::BTreeSet<_>>() {
            let n = partitions.values().filter(|p| p.unknown == Some(why)).count();
            unknown.push(format!("{n} {}", reason(why).replace('_', " ")));
        }
        let lost: i64 = partitions.values().fold(0, |n, p| n.saturating_add(p.lost_records));
        let members = match g.members {
            None => "members unknown".to_owned(),
            Some(1) => "1 member".to_owned(),
            Some(n) => format!("{n} members"),
        };
        let age = seen.ago(g.read_at_ms);
        let stale = if g.read_at_ms > 0 && age > 60.0 {
            format!(" · <span class=\"amber\">{} old</span>", duration(age))
        } else {
            String::new()
        };
        write!(
            out,
            "<tr><td class=\"name\">{}</td><td class=\"w small soft\">{} · {} · {members}{stale}</td><td class=\"name\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td><td class=\"n small\">{}</td><td class=\"n {}\">{}</td></tr>",
            Esc(name),
            match g.group_type {
                GroupType::Unknown => "type unknown",
                known => group_type(known),
            },
            // A broker that can't describe groups names no state.
            if g.state.is_empty() { "state unknown".to_owned() } else { Esc(&g.state).to_string() },
            Esc(topic),
            records.map_or_else(|| "–".to_owned(), count),
            maybe(seconds.map(|s| s.0)),
            seconds.map_or_else(String::new, |s| draw::age(s.0)),
            if unknown.is_empty() { "–".to_owned() } else { unknown.join("<br>") },
            if lost > 0 { "red" } else { "soft" },
            if lost > 0 { count(lost) } else { "–".to_owned() }
        )?;
    }
    out.push_str("</tbody></table></div>");
    cut(out, rows.len(), "/api/v1/lag")?;
    out.push_str("</section>");
    Ok(())
}

pub(super) fn topics(out: &mut String, seen: &Seen<'_>) -> fmt::Result {
    let mut names: Vec<&String> = seen.view.topics.keys().chain(seen.cluster.topics.keys()).collect();
    names.sort_unstable();
    names.dedup();
    head(
        out,
        "Topics",
        &format!("{}, of which {} observed", count(names.len()), count(seen.view.topics.len())),
    )?;
    if names.is_empty() {
        out.push_str("<div class=\"quiet\">No topic is known yet.</div></section>");
        return Ok(());
    }
    out.push_str(
        "<div class=\"wide\"><table><thead><tr><th>topic</th><th class=\"n\">written</th><th class=\"n\">read</th><th class=\"n w\">examined</th>\
         <th class=\"n w\">skipped</th><th class=\"n\">not decoded</th><th class=\"n\">schema</th><th class=\"n\">delay p50</th><th class=\"n\">p99</th><th>checks</th></tr></thead><tbody>",
    );
    // What is observed says more: first.
    names.sort_by_key(|name| !seen.view.topics.contains_key(*name));
    for name in names.iter().take(ROWS) {
        topic_row(out, seen, name)?;
    }
    out.push_str("</tbody></table></div>");
    cut(out, names.len(), "/api/v1/topics")?;
    out.push_str("</section>");
    Ok(())
}

fn topic_row(out: &mut String, seen: &Seen<'_>, name: &str) -> fmt::Result {
    let rate = seen.cluster.topics.get(name).and_then(|t| t.records_per_second);
    let rate = rate.map_or_else(|| "–".to_owned(), |r| format!("{}/s", number(r)));
    let Some(t) = seen.view.topics.get(name) else {
        return write!(
            out,
            "<tr><td class=\"name\">{}</td><td class=\"n\">{rate}</td><td class=\"soft\" colspan=\"8\">not observed</td></tr>",
            Esc(name)
        );
    };
    let n = &t.totals;
    let sum = |counts: &std::collections::BTreeMap<String, u64>| {
        counts.values().fold(0u64, |a, b| a.saturating_add(*b))
    };
    let (skipped, failures) = (sum(&n.skipped), sum(&n.decode_failures));
    write!(
        out,
        "<tr><td class=\"name\"><a href=\"/topics/{}\">{}</a>{}</td><td class=\"n\">{rate}</td><td class=\"n\">{}</td><td class=\"n w\">{}</td>\
         <td class=\"n w\">{}</td><td class=\"n {}\">{}</td><td class=\"n {}\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
        segment(name),
        Esc(name),
        if t.rules_differ { " <span class=\"pill warning\">rules differ</span>" } else { "" },
        short(n.read),
        if n.read > 0 { percent(n.examined as f64 / n.read as f64) } else { "–".to_owned() },
        short(skipped),
        if failures > 0 { "red" } else { "soft" },
        short(failures),
        if n.schema_violations > 0 { "red" } else { "soft" },
        if n.schema_checked > 0 { short(n.schema_violations) } else { "–".to_owned() },
        maybe(t.delay.quantile(0.5)),
        maybe(t.delay.quantile(0.99)),
        check_counts(t)
    )
}

fn check_counts(t: &TopicView) -> String {
    let count = |status| t.checks.iter().filter(|c| c.verdict.status == status).count();
    let pills: Vec<String> = Status::ALL
        .into_iter()
        .map(|status| (status, count(status)))
        .filter(|(_, n)| *n > 0)
        .map(|(status, n)| format!("<span class=\"pill {0}\">{n} {0}</span>", status.as_str()))
        .collect();
    if pills.is_empty() { "<span class=\"soft\">–</span>".to_owned() } else { pills.join(" ") }
}

pub(super) fn checks(out: &mut String, seen: &Seen<'_>) -> fmt::Result {
    let mut all: Vec<(&str, &CheckView)> =
        seen.view.topics.iter().flat_map(|(t, v)| v.checks.iter().map(move |c| (t.as_str(), c))).collect();
    if all.is_empty() {
        return Ok(());
    }
    let order = |status| match status {
        Status::Fail => 0,
        Status::Error => 1,
        Status::Unknown => 2,
        Status::Pass => 3,
    };
    all.sort_by_key(|(topic, c)| (order(c.verdict.status), *topic));
    head(out, "Checks", "over their last closed window")?;
    table_of_checks(out, seen, all.iter().take(ROWS).copied(), true)?;
    cut(out, all.len(), "/api/v1/checks")?;
    out.push_str("</section>");
    Ok(())
}

pub(super) fn table_of_checks<'a>(
    out: &mut String,
    seen: &Seen<'_>,
    checks: impl Iterator<Item = (&'a str, &'a CheckView)>,
    with_topic: bool,
) -> fmt::Result {
    out.push_str(
        "<div class=\"wide\"><table><thead><tr><th>status</th><th>check</th><th class=\"n\">value</th><th>must</th><th class=\"n w\">failed</th>\
         <th class=\"n w\">since</th><th>evidence</th></tr></thead><tbody>",
    );
    for (topic, c) in checks {
        let (rule, verdict) = (&c.rule, &c.verdict);
        let status = verdict.status.as_str();
        let place = match (with_topic, rule.field()) {
            (true, Some(field)) => format!("{} <code>{}</code>", Esc(topic), Esc(&field.text)),
            (true, None) => Esc(topic).to_string(),
            (false, Some(field)) => format!("<code>{}</code>", Esc(&field.text)),
            (false, None) => rule.metric.name().to_owned(),
        };
        let counts = match (verdict.failed, verdict.checked) {
            (Some(failed), Some(checked)) if checked > 0 => {
                format!("{} of {}", count(failed), count(checked))
            }
            _ => "–".to_owned(),
        };
        let since = if c.since_ms > 0 { duration(seen.ago(c.since_ms)) } else { "–".to_owned() };
        write!(
            out,
            "<tr><td><span class=\"pill {status}\">{status}</span></td><td class=\"name\">{}<div class=\"soft small\">{place}</div></td>\
             <td class=\"n\">{}</td><td class=\"small nowrap\">{}</td><td class=\"n w small\">{counts}</td><td class=\"n w small\">{since}</td><td class=\"small\">{}</td></tr>",
            Esc(&rule.id),
            verdict.value.map_or_else(|| "–".to_owned(), |v| in_unit(v, rule.unit)),
            Esc(rule.must()),
            Esc(&verdict.message)
        )?;
    }
    out.push_str("</tbody></table></div>");
    Ok(())
}

fn in_unit(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Percent => percent(value / 100.0),
        Unit::Seconds => duration(value),
        Unit::Rows | Unit::Score | Unit::Value => number(value),
    }
}

pub(super) fn slos(out: &mut String, seen: &Seen<'_>) -> fmt::Result {
    let mut all = seen.view.topics.iter().flat_map(|(t, v)| v.slos.iter().map(move |s| (t, s))).peekable();
    if all.peek().is_none() {
        return Ok(());
    }
    head(out, "Service levels", "since the history began")?;
    out.push_str(
        "<div class=\"wide\"><table><thead><tr><th>service level</th><th>topic</th><th class=\"n\">promised</th><th class=\"n\">kept</th>\
         <th class=\"n\">bad</th><th class=\"n\">of</th><th>of the errors allowed so far</th></tr></thead><tbody>",
    );
    for (topic, s) in all.take(ROWS) {
        let total = s.good_total.saturating_add(s.bad_total);
        let (kept, used) = if total > 0 {
            let allowed = (1.0 - s.slo.objective) * total as f64;
            let used = if allowed > 0.0 {
                s.bad_total as f64 / allowed
            } else {
                f64::from(u8::from(s.bad_total > 0))
            };
            (percent(s.good_total as f64 / total as f64), Some(used))
        } else {
            ("–".to_owned(), None)
        };
        let meter = used.map_or_else(String::new, |used| {
            let class = if used >= 1.0 {
                "bad"
            } else if used >= 0.75 {
                "warn"
            } else {
                ""
            };
            format!("{} {}", percent(used), draw::meter(used, class))
        });
        write!(
            out,
            "<tr><td class=\"name\">{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{kept}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"nowrap\">{meter}</td></tr>",
            Esc(&s.slo.id),
            Esc(topic),
            percent(s.slo.objective),
            count(s.bad_total),
            short(total)
        )?;
    }
    out.push_str("</tbody></table></div></section>");
    Ok(())
}

pub(super) fn agents(out: &mut String, seen: &Seen<'_>) -> fmt::Result {
    let ingest = &seen.view.ingest;
    head(
        out,
        "Agents",
        &format!(
            "{} reports taken, {} of them twice",
            count(ingest.applied_total),
            count(ingest.duplicate_total)
        ),
    )?;
    for error in [&ingest.history_error, &ingest.reload_error].into_iter().flatten() {
        write!(out, "<div class=\"quiet red\">{}</div>", Esc(error))?;
    }
    if seen.view.agents.is_empty() {
        out.push_str("<div class=\"quiet\">No agent has reported yet.</div></section>");
        return Ok(());
    }
    out.push_str(
        "<div class=\"wide\"><table><thead><tr><th>agent</th><th>state</th><th class=\"n\">last report</th><th class=\"n\">memory</th><th class=\"n w\">CPU</th>\
         <th class=\"n w\">dropped</th><th>errors</th><th class=\"w\">version</th></tr></thead><tbody>",
    );
    for (name, a) in seen.view.agents.iter().take(ROWS) {
        let state = if !a.alive {
            "<span class=\"pill fail\">silent</span>"
        } else if a.stats.rules_stale {
            "<span class=\"pill warning\">old rules</span>"
        } else if a.catching_up {
            "<span class=\"pill info\">catching up</span>"
        } else {
            "<span class=\"pill pass\">following</span>"
        };
        let errors: Vec<String> = a
            .stats
            .errors
            .iter()
            .filter(|e| e.count > 0)
            .map(|e| format!("{} {}", count(e.count), Esc(&e.reason)))
            .collect();
        write!(
            out,
            "<tr><td class=\"name\">{}</td><td>{state}</td><td class=\"n\">{} ago</td><td class=\"n\">{}</td><td class=\"n w\">{}</td><td class=\"n w\">{}</td><td class=\"small\">{}</td><td class=\"w small soft\">{}</td></tr>",
            Esc(name),
            duration(seen.ago(a.last_report_ms)),
            if a.stats.memory_bytes > 0 { bytes(a.stats.memory_bytes) } else { "–".to_owned() },
            duration(a.stats.cpu_seconds),
            count(a.stats.reports_dropped),
            if errors.is_empty() { "–".to_owned() } else { errors.join(", ") },
            Esc(&a.stats.version)
        )?;
    }
    out.push_str("</tbody></table></div></section>");
    Ok(())
}

/// p50 and p99 with what they rest on.
pub(super) fn quantiles(h: &Histogram) -> String {
    match h.count {
        0 => "–".to_owned(),
        n => {
            format!("p50 {} · p99 {} · {} records", maybe(h.quantile(0.5)), maybe(h.quantile(0.99)), short(n))
        }
    }
}
