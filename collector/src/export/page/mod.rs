//! The status page: rendered here, refreshed by a few lines of script that fetch it anew. One
//! renderer, no resource from elsewhere, and no name that is not escaped (`text::Esc`).

mod draw;
mod finding;
mod sections;
mod text;
mod topic;

use std::fmt::{self, Write as _};

use crate::cluster::snapshot::ClusterSnapshot;
use crate::view::{Finding, TopicView, View};
use text::{Esc, count, duration};

/// What a page is made from.
pub(super) struct Seen<'a> {
    pub(super) view: &'a View,
    pub(super) cluster: &'a ClusterSnapshot,
    pub(super) not_ready: Option<String>,
    pub(super) version: &'a str,
    pub(super) now_ms: i64,
}

impl Seen<'_> {
    fn cluster_name(&self) -> &str {
        if self.view.cluster.is_empty() { &self.cluster.cluster } else { &self.view.cluster }
    }

    /// How long ago, in seconds; never negative, as a clock may have been set.
    fn ago(&self, ms: i64) -> f64 {
        self.now_ms.saturating_sub(ms).max(0) as f64 / 1000.0
    }

    fn open_findings(&self) -> usize {
        self.view.findings.iter().filter(|f| f.resolved_ms.is_none()).count()
    }
}

/// `/`.
pub(super) fn overview(seen: &Seen<'_>, nonce: &str) -> String {
    let open = seen.open_findings();
    let title = match open {
        0 => format!("{} · Tapline", seen.cluster_name()),
        n => format!("({n}) {} · Tapline", seen.cluster_name()),
    };
    frame(seen, &title, nonce, |out| {
        sections::tiles(out, seen)?;
        sections::findings(out, seen)?;
        sections::pipelines(out, seen)?;
        sections::groups(out, seen)?;
        sections::topics(out, seen)?;
        sections::checks(out, seen)?;
        sections::slos(out, seen)?;
        sections::agents(out, seen)
    })
}

/// `/topics/{topic}`.
pub(super) fn topic(seen: &Seen<'_>, name: &str, view: &TopicView, nonce: &str) -> String {
    frame(seen, &format!("{name} · Tapline"), nonce, |out| topic::page(out, seen, name, view))
}

/// `/findings/{id}`.
pub(super) fn finding(seen: &Seen<'_>, found: &Finding, nonce: &str) -> String {
    let title = format!("{} of {} · Tapline", sections::source(found), found.topic);
    frame(seen, &title, nonce, |out| finding::page(out, seen, found))
}

/// A page that says what is not there.
pub(super) fn missing(seen: &Seen<'_>, why: &str, nonce: &str) -> String {
    frame(seen, "not found · Tapline", nonce, |out| {
        write!(
            out,
            "<h1>Not found</h1><p class=\"sub\">{}</p><p><a href=\"/\">All of {}</a></p>",
            Esc(why),
            Esc(seen.cluster_name())
        )
    })
}

const LOGO: &str = "<svg viewBox=\"0 0 24 24\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"2.2\" stroke-linecap=\"round\" aria-hidden=\"true\">\
    <path d=\"M2 8h20M12 8v6\"/><circle cx=\"12\" cy=\"17.5\" r=\"3.2\"/></svg>";

/// Everything around the content. Writing into a `String` does not fail.
fn frame(
    seen: &Seen<'_>,
    title: &str,
    nonce: &str,
    content: impl FnOnce(&mut String) -> fmt::Result,
) -> String {
    let mut out = String::with_capacity(64 * 1024);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{}</title><link rel=\"icon\" href=\"data:,\">\
         <noscript><meta http-equiv=\"refresh\" content=\"15\"></noscript>\
         <style nonce=\"{nonce}\">{}</style></head><body>\
         <a class=\"skip\" href=\"#main\">To the content</a>\
         <div id=\"stale\" role=\"status\">Tapline does not answer: what you see is the last it said.</div>",
        Esc(title),
        include_str!("style.css"),
    );
    let _ = header(&mut out, seen);
    out.push_str("<main id=\"main\">");
    let _ = content(&mut out);
    out.push_str("</main>");
    let _ = writeln!(
        out,
        "<footer><span>Tapline {}</span><a href=\"/metrics\">/metrics</a><a href=\"/api/v1/findings\">findings</a>\
         <a href=\"/api/v1/checks\">checks</a><a href=\"/api/v1/topics\">topics</a><a href=\"/api/v1/lag\">lag</a>\
         <a href=\"/api/v1/pipelines\">pipelines</a><a href=\"/api/v1/agents\">agents</a></footer>\
         <script nonce=\"{nonce}\">{}</script></body></html>",
        Esc(seen.version),
        include_str!("refresh.js"),
    );
    out
}

fn header(out: &mut String, seen: &Seen<'_>) -> fmt::Result {
    let readiness = match &seen.not_ready {
        None => "<span class=\"pill good-pill\">ready</span>".to_owned(),
        Some(why) => format!(
            "<span class=\"pill warning\">not ready</span> <span class=\"soft small\">{}</span>",
            Esc(why)
        ),
    };
    write!(
        out,
        "<header><div class=\"bar\" id=\"bar\"><a class=\"brand\" href=\"/\">{LOGO}Tapline</a>\
         <span class=\"where\">cluster <b>{}</b></span><span>{readiness}</span><span class=\"grow\"></span><span class=\"ages\">",
        Esc(seen.cluster_name()),
    )?;
    if seen.cluster.taken_at_ms > 0 {
        write!(out, "offsets {} old", duration(seen.ago(seen.cluster.taken_at_ms)))?;
    } else {
        out.push_str("offsets not read yet");
    }
    if seen.view.taken_at_ms > 0 {
        write!(out, " · state {} old", duration(seen.ago(seen.view.taken_at_ms)))?;
    }
    if let Some(error) = &seen.cluster.last_error {
        write!(out, " · <span class=\"red\">{}</span>", Esc(error))?;
    }
    out.push_str("</span></div></header>");
    Ok(())
}

/// How many of a long list are shown.
const ROWS: usize = 200;

/// What is said under a list that was cut.
fn cut(out: &mut String, all: usize, address: &str) -> fmt::Result {
    if all > ROWS {
        write!(
            out,
            "<div class=\"quiet\">The first {ROWS} of {}; all of them at <a href=\"{address}\">{address}</a>.</div>",
            count(all)
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fixture;

    fn seen<'a>(view: &'a View, cluster: &'a ClusterSnapshot) -> Seen<'a> {
        Seen { view, cluster, not_ready: None, version: "0.1.0", now_ms: fixture::NOW_MS }
    }

    /// With TAPLINE_WRITE_PAGE set to a folder, the pages are written there to be looked at.
    #[test]
    fn the_pages_show_what_matters() {
        let (view, cluster) = (fixture::view(), fixture::cluster());
        let seen = seen(&view, &cluster);
        let page = overview(&seen, "n0nce");
        for text in [
            "(2) prod-eu",
            "email-present",
            "25.5 min",
            "251,333",
            "checkout",
            "agent-2",
            "valid-orders",
            "412",
        ] {
            assert!(page.contains(text), "{text}");
        }
        let orders = topic(&seen, "orders", &view.topics["orders"], "n0nce");
        assert!(orders.contains("$.customer.email") && orders.contains("class=\"dist\""));
        assert!(!orders.contains("<script>alert"), "a top value became markup");
        assert!(orders.contains("href=\"/findings/f3a9c1d2\""), "its findings are linked");
        let found = finding(&seen, &view.findings[0], "n0nce");
        for text in ["email-present", "schema 12", "64 s before", "95 s behind on payments", "DE", "90%"] {
            assert!(found.contains(text), "{text}");
        }
        assert!(found.contains("<svg class=\"line\"") && !found.contains("style=\""));
        assert!(!found.contains("<script> is") && !found.contains("<b>FR"), "a name became markup");
        if let Some(folder) = std::env::var_os("TAPLINE_WRITE_PAGE") {
            let folder = std::path::PathBuf::from(folder);
            std::fs::write(folder.join("overview.html"), &page).expect("written");
            std::fs::write(folder.join("topic.html"), &orders).expect("written");
            std::fs::write(folder.join("finding.html"), &found).expect("written");
            let calm = View { findings: Vec::new(), ..View::default() };
            let nothing = ClusterSnapshot::default();
            let calm = Seen {
                view: &calm,
                cluster: &nothing,
                not_ready: Some("no broker answers at b1:9092".to_owned()),
                ..seen
            };
            std::fs::write(folder.join("empty.html"), overview(&calm, "n0nce")).expect("written");
        }
    }

    #[test]
    fn nothing_known_is_a_page_too() {
        let (view, cluster) = (View::default(), ClusterSnapshot::default());
        let page = overview(&seen(&view, &cluster), "n");
        assert!(page.contains("Nothing is wrong") && page.contains("offsets not read yet"));
        assert!(!page.contains("style=\""), "inline styles are blocked by the policy");
    }
}
