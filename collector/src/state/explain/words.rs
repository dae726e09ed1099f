//! What explanations say.

use super::about::Class;
use super::watched::{Event, Happened};
use crate::state::evidence;
use crate::view::{Explanation, Finding, Moved, THIS_FINDING};

/// Characters of a name.
const NAME_MAX: usize = 200;

/// A name that payloads or peers chose, short and on one line.
pub(super) fn cut(name: &str) -> String {
    let mut shown: String = name.chars().take(NAME_MAX).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    shown
}

/// Three significant digits.
pub(super) fn rounded(value: f64) -> f64 {
    evidence::rounded(value)
}

fn amount(value: f64, unit: &str) -> String {
    match unit {
        "share" => format!("{}%", number(value * 100.0)),
        "records/min" => format!("{} a minute", number(value)),
        "seconds" => format!("{} s", number(value)),
        "records" => format!("{} records", number(value)),
        _ => number(value),
    }
}

/// With three significant digits, as people write it.
fn number(value: f64) -> String {
    format!("{}", rounded(value))
}

pub(super) fn moved(
    class: Class,
    what: &str,
    topic: &str,
    subject: &str,
    from: f64,
    to: f64,
    unit: &str,
) -> String {
    let (before, now, subject) = (amount(from, unit), amount(to, unit), cut(subject));
    let less = if to < from { "fewer" } else { "more" };
    match (class, what) {
        (Class::Throughput, _) => format!("{topic} gets {less} records: {now}; before: {before}"),
        (Class::Decode, _) => format!("{now} of the values of {topic} do not decode; before: {before}"),
        (Class::Violations, _) => format!("{now} of {topic} do not fit their schema; before: {before}"),
        (Class::Delay, _) => format!("records of {topic} arrive after {now}; before: {before}"),
        (Class::Check, _) => format!("{now} fail the check {subject} of {topic}; before: {before}"),
        (Class::GroupLag, _) => format!("group {subject} is {now} behind on {topic}; before: {before}"),
        (_, "missing_values") => format!("{subject} of {topic} is missing in {now}; before: {before}"),
        (_, "null_values") => format!("{subject} of {topic} is null in {now}; before: {before}"),
        (_, "empty_values") => format!("{subject} of {topic} is empty in {now}; before: {before}"),
        (_, what) => format!("{what} of {subject} of {topic} is {now}; before: {before}"),
    }
}

/// What a figure is of.
pub(super) fn figure(what: &str, topic: &str, subject: &str) -> String {
    let of = if subject.is_empty() { topic.to_owned() } else { format!("{} · {topic}", cut(subject)) };
    format!("{} of {of}", what.replace('_', " "))
}

pub(super) fn of_topic(message: &str, topic: &str) -> String {
    if message.contains(topic) { message.to_owned() } else { format!("{topic}: {message}") }
}

pub(super) fn schema(topic: &str, id: u32, before: Option<u32>) -> String {
    match before {
        Some(before) => format!("first value of {topic} with schema {id}; before: schema {before}"),
        None => format!("first value of {topic} with a schema: {id}"),
    }
}

pub(super) fn happened(what: Happened) -> &'static str {
    match what {
        Happened::Recreated => "recreated",
        Happened::Partitions => "partitions",
        Happened::Leaderless => "leaderless",
        Happened::UnderReplicated => "under_replicated",
        Happened::Members => "members",
        Happened::State => "state",
    }
}

pub(super) fn event(topic: &str, group: &str, event: &Event) -> String {
    let (from, to) = (cut(&event.from), cut(&event.to));
    match event.what {
        Happened::Recreated => format!("{topic} was deleted and created anew"),
        Happened::Partitions => format!("{topic} has {to} partitions; before: {from}"),
        Happened::Leaderless => format!("{to} partitions of {topic} have no leader; before: {from}"),
        Happened::UnderReplicated => {
            format!("{to} partitions of {topic} lack a replica in sync; before: {from}")
        }
        Happened::Members => format!("group {group}, which reads {topic}, has {to} members; before: {from}"),
        Happened::State => format!("group {group}, which reads {topic}, is {to}; before: {from}"),
    }
}

pub(super) fn part(by: &str, name: &str, share: f64, of: &str, of_all: Option<f64>) -> String {
    let percent = |share: f64| format!("{}%", number(share * 100.0));
    let all = of_all.map(|all| format!(", and {} of the records", percent(all))).unwrap_or_default();
    format!("{by} {name} has {} of the {of}{all}", percent(share))
}

/// How long ago, in words.
fn span(ms: i64) -> String {
    match ms.max(0) / 1_000 {
        s if s < 120 => format!("{s} s"),
        s => format!("{} min", (s + 30) / 60),
    }
}

/// What to know first.
pub(super) fn summary(finding: &Finding, made: &Explanation) -> String {
    let others: Vec<&Moved> = made.timeline.iter().filter(|m| m.what != THIS_FINDING).collect();
    let mut said = Vec::new();
    match (others.iter().find(|m| m.is_before), others.first(), &made.unknown) {
        (Some(first), ..) => {
            let before = span(made.began_ms - first.at_ms);
            said.push(format!("{before} before it began: {}", first.sentence));
        }
        (None, Some(first), _) => {
            let after = span(first.at_ms - made.began_ms);
            said.push(format!("nothing is known to have moved before it; {after} later: {}", first.sentence));
        }
        (None, None, Some(why)) => said.push(why.clone()),
        (None, None, None) => said.push("nothing else moved at the time".to_owned()),
    }
    // The verdict of a check names its worst segment already.
    if let Some(most) = made.contributes.first().filter(|_| !finding.evidence.contains_key("segments")) {
        said.push(most.sentence.clone());
    }
    said.join("; ")
}
