//! One finding: what was found, what its figure is made of, and what else moved, in order of onset.

use std::fmt::{self, Write as _};

use super::text::{Esc, count, duration, number, percent, segment};
use super::{Seen, draw, sections};
use crate::export::rfc3339;
use crate::view::{Explanation, Figure, Finding, Moved, Place, THIS_FINDING};

pub(super) fn page(out: &mut String, seen: &Seen<'_>, f: &Finding) -> fmt::Result {
    let over = if f.resolved_ms.is_some() { "Was found" } else { "Found" };
    write!(
        out,
        "<h1>{over}: {} of {}</h1><p class=\"sub\"><a href=\"/api/v1/findings/{}\">as JSON</a></p><section>",
        Esc(sections::source(f)),
        Esc(if f.topic.is_empty() { seen.cluster_name() } else { f.topic.as_str() }),
        segment(&f.id)
    )?;
    sections::finding_card(out, seen, f)?;
    out.push_str("</section>");
    let Some(explained) = seen.view.explanations.get(&f.id) else {
        out.push_str(
            "<section><div class=\"head\"><h2>What else moved</h2></div>\
             <div class=\"quiet\">Not looked at yet: a matter of seconds.</div></section>",
        );
        return Ok(());
    };
    if let Some(figure) = &explained.figure {
        drawing(out, figure, explained.began_ms)?;
    }
    contributes(out, explained)?;
    timeline(out, seen, explained)
}

/// As it stands on a clock in UTC.
fn clock(ms: i64) -> String {
    let at = chrono::DateTime::from_timestamp_millis(ms);
    at.map_or_else(|| "–".to_owned(), |at| at.format("%H:%M:%S").to_string())
}

fn value(value: f64, unit: &str) -> String {
    match unit {
        "share" => percent(value),
        "seconds" => duration(value),
        "" => number(value),
        unit => format!("{} {unit}", number(value)),
    }
}

fn drawing(out: &mut String, figure: &Figure, began_ms: i64) -> fmt::Result {
    let Some(svg) = draw::line(figure, began_ms) else { return Ok(()) };
    let seen = || figure.values.iter().flatten().copied().map(f64::from);
    let (low, high) = (seen().fold(f64::INFINITY, f64::min), seen().fold(f64::NEG_INFINITY, f64::max));
    let end_ms = figure.from_ms + figure.step_ms * figure.values.len() as i64;
    sections::head(out, "The figure over time", &Esc(&figure.name).to_string())?;
    write!(
        out,
        "<div class=\"drawn\"><p class=\"soft small\">from {} to {}; the mark is where it began, {}</p>{svg}\
         <div class=\"scale\"><span>{}</span><span>every {}</span><span>{}</span></div></div></section>",
        value(low, &figure.unit),
        value(high, &figure.unit),
        clock(began_ms),
        clock(figure.from_ms),
        duration(figure.step_ms as f64 / 1000.0),
        clock(end_ms)
    )
}

fn contributes(out: &mut String, explained: &Explanation) -> fmt::Result {
    if explained.contributes.is_empty() {
        return Ok(());
    }
    sections::head(out, "What contributes most", "")?;
    out.push_str(
        "<div class=\"wide\"><table><thead><tr><th>part</th><th></th><th class=\"n\">of the figure</th><th class=\"n\">of all records</th></tr></thead><tbody>",
    );
    for part in &explained.contributes {
        write!(
            out,
            "<tr><td class=\"name\"><span class=\"soft\">{}</span> {}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            Esc(&part.by),
            Esc(&part.name),
            draw::meter(part.share, "bad"),
            percent(part.share),
            part.of_all.map_or_else(|| "–".to_owned(), percent)
        )?;
    }
    out.push_str("</tbody></table></div></section>");
    Ok(())
}

fn timeline(out: &mut String, seen: &Seen<'_>, explained: &Explanation) -> fmt::Result {
    let day = chrono::DateTime::from_timestamp_millis(explained.began_ms)
        .map_or_else(String::new, |at| at.format("%Y-%m-%d, ").to_string());
    sections::head(out, "What else moved", &format!("{day}UTC, in order of onset"))?;
    if let Some(why) = &explained.unknown {
        write!(
            out,
            "<div class=\"quiet\">{}: what moved slowly, or a little, may be missing here.</div>",
            Esc(why)
        )?;
    } else if explained.timeline.len() <= 1 {
        out.push_str("<div class=\"quiet\"><b>Nothing else</b> here, on its neighbours in the pipelines, or in the groups that read them.</div>");
    }
    out.push_str("<ol class=\"timeline\">");
    for moved in &explained.timeline {
        entry(out, seen, explained, moved)?;
    }
    out.push_str("</ol>");
    if explained.left_out > 0 {
        write!(out, "<div class=\"quiet\">{} more moved, further away.</div>", count(explained.left_out))?;
    }
    if !explained.is_final {
        write!(
            out,
            "<div class=\"quiet\">As of {}; it is still being watched.</div>",
            clock(explained.as_of_ms)
        )?;
    }
    out.push_str("</section>");
    Ok(())
}

fn entry(out: &mut String, seen: &Seen<'_>, explained: &Explanation, moved: &Moved) -> fmt::Result {
    let is_this = moved.what == THIS_FINDING;
    let off_ms = moved.at_ms.saturating_sub(explained.began_ms);
    let off = duration(off_ms.abs() as f64 / 1000.0);
    let relative = match off_ms {
        _ if is_this => "this finding".to_owned(),
        0 => "at the same time".to_owned(),
        ms if ms < 0 => format!("{off} before"),
        _ => format!("{off} after"),
    };
    let place = match moved.place {
        Place::Here => "",
        Place::Upstream => "<span class=\"pill info\">upstream</span> ",
        Place::Downstream => "<span class=\"pill\">downstream</span> ",
    };
    let class = match (is_this, moved.is_before) {
        (true, _) => " class=\"this\"",
        (false, true) => " class=\"before\"",
        (false, false) => "",
    };
    let topic = if seen.view.topics.contains_key(&moved.topic) {
        format!("<a href=\"/topics/{}\">{}</a>", segment(&moved.topic), Esc(&moved.topic))
    } else {
        Esc(&moved.topic).to_string()
    };
    write!(
        out,
        "<li{class}><span class=\"when\"><time datetime=\"{}\">{}</time><span class=\"soft small\">{relative}</span></span>\
         <span class=\"told\">{place}<b>{topic}</b> <span class=\"soft\">{}</span><span class=\"said\">{}</span><span class=\"soft small\">",
        rfc3339(moved.at_ms).unwrap_or_default(),
        clock(moved.at_ms),
        Esc(moved.what.replace('_', " ")),
        Esc(&moved.sentence)
    )?;
    if moved.within_ms > 0 {
        write!(out, "to within {}", duration(moved.within_ms as f64 / 1000.0))?;
    }
    if let Some(until_ms) = moved.until_ms {
        write!(out, " until {}", clock(until_ms))?;
    }
    out.push_str("</span>");
    if let Some(id) = moved.finding.as_ref().filter(|_| !is_this) {
        write!(out, " <a class=\"small\" href=\"/findings/{}\">its finding</a>", segment(id))?;
    }
    out.push_str("</span></li>");
    Ok(())
}
