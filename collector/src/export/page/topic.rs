//! One topic: its counts, its checks, and the profile of its last window.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use checks::report::FieldSummary;

use super::text::{Esc, bytes, count, duration, number, percent, segment, short};
use super::{Seen, draw, sections};
use crate::export::rfc3339;
use crate::view::{TopicView, WindowView};

/// Fields shown.
const FIELDS: usize = 300;
/// Top values shown a field.
const TOPS: usize = 6;
/// Known events shown, the latest first.
const MARKS: usize = 10;

pub(super) fn page(out: &mut String, seen: &Seen<'_>, name: &str, t: &TopicView) -> fmt::Result {
    write!(out, "<h1>{}</h1><p class=\"sub\">", Esc(name))?;
    if let Some(broker) = seen.cluster.topics.get(name) {
        write!(out, "{} partitions · ", broker.partitions.len())?;
        if let Some(rate) = broker.records_per_second {
            write!(out, "{}/s written · ", number(rate))?;
        }
    }
    match t.last_record_ms {
        Some(ms) => write!(out, "latest record {} ago", duration(seen.ago(ms)))?,
        None => out.push_str("no record seen yet"),
    }
    write!(out, " · <a href=\"/api/v1/topics/{}/profile\">profile as JSON</a></p>", segment(name))?;
    sections::findings_of(out, seen, name)?;
    counts(out, t)?;
    if !t.checks.is_empty() {
        out.push_str("<section><div class=\"head\"><h2>Checks</h2></div>");
        sections::table_of_checks(out, seen, t.checks.iter().map(|c| (name, c)), false)?;
        out.push_str("</section>");
    }
    match &t.window {
        Some(window) => fields(out, seen, window),
        None => {
            out.push_str("<section><div class=\"head\"><h2>Profile</h2></div><div class=\"quiet\">The first window is still open.</div></section>");
            Ok(())
        }
    }
}

fn counts(out: &mut String, t: &TopicView) -> fmt::Result {
    let n = &t.totals;
    let reasons = |counts: &BTreeMap<String, u64>| {
        let each: Vec<String> = counts
            .iter()
            .filter(|(_, n)| **n > 0)
            .map(|(reason, n)| format!("{} {}", count(*n), Esc(reason.replace('_', " "))))
            .collect();
        if each.is_empty() { "none".to_owned() } else { each.join(", ") }
    };
    out.push_str("<section><div class=\"head\"><h2>Records</h2><span class=\"note\">since the history began</span></div><div class=\"quiet facts\">");
    write!(out, "<div>read <b>{}</b> ({})</div>", count(n.read), bytes(n.read_bytes))?;
    write!(out, "<div>examined <b>{}</b></div>", count(n.examined))?;
    write!(out, "<div>not examined <b>{}</b></div>", reasons(&n.unexamined))?;
    write!(out, "<div>skipped <b>{}</b></div>", reasons(&n.skipped))?;
    write!(out, "<div>decode failures <b>{}</b></div>", reasons(&n.decode_failures))?;
    write!(out, "<div>not decoded yet <b>{}</b></div>", reasons(&n.not_decoded))?;
    write!(out, "<div>tombstones <b>{}</b></div>", count(n.tombstones))?;
    if n.schema_checked > 0 {
        write!(
            out,
            "<div>schema violations <b>{}</b> of {}</div>",
            count(n.schema_violations),
            count(n.schema_checked)
        )?;
    }
    write!(out, "<div>observed delay <b>{}</b></div>", sections::quantiles(&t.delay))?;
    if let Some(detectors) = &t.detectors {
        write!(out, "<div>detectors <b>{}</b></div>", Esc(&detectors.text))?;
    }
    for mark in t.marks.iter().rev().take(MARKS) {
        let [from, to] = [mark.what.from_ms, mark.what.to_ms].map(|ms| rfc3339(ms).unwrap_or_default());
        write!(out, "<div>known event <b>{}</b> {from} to {to}</div>", Esc(&mark.what.note))?;
    }
    out.push_str("</div></section>");
    Ok(())
}

fn fields(out: &mut String, seen: &Seen<'_>, window: &WindowView) -> fmt::Result {
    let summary = &window.summary;
    write!(
        out,
        "<h1>Profile</h1><p class=\"sub\">{} records in the {} that ended {} ago · {} fields</p><div class=\"fields\">",
        count(summary.read),
        duration(window.to_ms.saturating_sub(window.from_ms) as f64 / 1000.0),
        duration(seen.ago(window.to_ms)),
        summary.fields.len()
    )?;
    for f in summary.fields.iter().filter(|f| f.path != "$").take(FIELDS) {
        field(out, f)?;
    }
    out.push_str("</div>");
    let hidden = summary.fields.len().saturating_sub(FIELDS);
    if hidden > 0 || summary.folded_values > 0 {
        write!(
            out,
            "<p class=\"sub\">{hidden} more fields are in the JSON; {} values of fields beyond the limit were folded away.</p>",
            count(summary.folded_values)
        )?;
    }
    Ok(())
}

fn field(out: &mut String, f: &FieldSummary) -> fmt::Result {
    let types: Vec<String> = [
        ("integer", f.integer),
        ("number", f.number),
        ("string", f.string),
        ("boolean", f.boolean),
        ("object", f.object),
        ("array", f.array),
    ]
    .into_iter()
    .filter(|(_, n)| *n > 0)
    .map(|(name, n)| {
        let values = f.present.saturating_sub(f.null).max(1);
        if n >= values { name.to_owned() } else { format!("{name} {}", percent(n as f64 / values as f64)) }
    })
    .collect();
    write!(
        out,
        "<article class=\"field\"><h3>{}</h3><div class=\"soft small\">{} · {} of {}</div>{}",
        Esc(&f.path),
        if types.is_empty() { "null only".to_owned() } else { types.join(", ") },
        short(f.present),
        short(f.records),
        draw::shares(f)
    )?;
    legend(out, f)?;
    if let Some(n) = f.numeric.as_ref().filter(|n| n.count > 0) {
        if let Some(d) = draw::distribution(n) {
            write!(
                out,
                "{}<div class=\"scale\"><span>{}</span><span>the middle 99%</span><span>{}</span></div>",
                d.svg,
                number(d.from),
                number(d.to)
            )?;
        }
        out.push_str("<div class=\"kv\">");
        let median = n.quantile(0.5);
        for (name, value) in [
            ("min", Some(n.min)),
            ("median", median),
            ("mean", Some(n.mean)),
            ("p95", n.quantile(0.95)),
            ("max", Some(n.max)),
        ] {
            if let Some(value) = value {
                write!(out, "<div>{name}<b>{}</b></div>", number(value))?;
            }
        }
        out.push_str("</div>");
    }
    tops(out, f)?;
    values(out, f)?;
    out.push_str("</article>");
    Ok(())
}

fn legend(out: &mut String, f: &FieldSummary) -> fmt::Result {
    let share = |n: u64| percent(n as f64 / f.records.max(1) as f64);
    let parts = [("empty", f.empty), ("null", f.null), ("missing", f.missing())];
    if parts.iter().all(|(_, n)| *n == 0) {
        return Ok(());
    }
    out.push_str("<div class=\"legend\">");
    for (name, n) in parts.into_iter().filter(|(_, n)| *n > 0) {
        write!(out, "<span><i class=\"k-{name}\"></i>{name} {}</span>", share(n))?;
    }
    out.push_str("</div>");
    Ok(())
}

fn tops(out: &mut String, f: &FieldSummary) -> fmt::Result {
    let tops = f.top(TOPS);
    // A value that came once in a thousand says nothing.
    let scalars = f.scalars().max(1);
    if tops.first().is_none_or(|t| t.count.saturating_mul(1_000) < scalars) {
        return Ok(());
    }
    out.push_str("<ul class=\"tops\">");
    for t in tops {
        let share = t.count as f64 / scalars as f64;
        write!(
            out,
            "<li><span class=\"val\" title=\"{0}\">{0}</span>{1}<span class=\"n\">{2}</span></li>",
            Esc(if t.value.is_empty() { "(empty)" } else { &t.value }),
            draw::top(share),
            percent(share)
        )?;
    }
    out.push_str("</ul>");
    Ok(())
}

fn values(out: &mut String, f: &FieldSummary) -> fmt::Result {
    if f.is_container() {
        return Ok(());
    }
    out.push_str("<div class=\"kv\">");
    let d = f.distinct_estimate();
    let about = if d.lower < d.upper { "≈ " } else { "" };
    write!(out, "<div>distinct<b>{about}{}</b></div>", number(d.estimate))?;
    if let Some(text) = f.text.as_ref().filter(|t| t.count > 0) {
        write!(
            out,
            "<div>characters<b>{} to {}</b></div><div>on average<b>{}</b></div>",
            count(text.length_min),
            count(text.length_max),
            number(text.length_sum as f64 / text.count as f64)
        )?;
    }
    if f.boolean > 0 {
        write!(out, "<div>true<b>{}</b></div>", percent(f.truthy as f64 / f.boolean as f64))?;
    }
    out.push_str("</div>");
    Ok(())
}
