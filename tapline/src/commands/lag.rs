//! `tapline lag`: one look at all groups.

use std::io::Write;

use anyhow::Context as _;
use checks::filter::Filter;
use collector::cluster::Watcher;
use collector::cluster::json::to_json;
use collector::cluster::snapshot::{ClusterSnapshot, GroupPartition, GroupSnapshot, Places, Unknown};

use super::{Outcome, colour, environment};
use crate::cli::LagArgs;
use crate::{config, service};

pub(crate) fn run(args: &LagArgs) -> anyhow::Result<Outcome> {
    service::install_tls();
    let mut settings = config::load(&args.connect.flags(), &environment())?;
    for (given, flag, target) in [
        (&args.group, "--group", &mut settings.watch_groups),
        (&args.topic, "--topic", &mut settings.watch_topics),
    ] {
        if !given.is_empty() {
            *target = Filter::new(given, &[]).with_context(|| flag.to_owned())?;
        }
    }
    let config = service::watch_config(&settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let snapshot = runtime.block_on(async { Watcher::new(config).refresh_once().await })?;
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer(&mut out, &to_json(&snapshot))?;
        writeln!(out)?;
    } else {
        table(&snapshot, args.partitions, colour(&std::io::stdout()), &mut out)?;
    }
    Ok(Outcome::Good)
}

/// A line of the table, as text.
struct Line {
    cells: [String; 8],
    /// Something a person should look at.
    loud: bool,
}

const HEAD: [&str; 8] = ["GROUP", "TOPIC", "STATE", "MEMBERS", "COMMITTED", "END", "LAG", "LAG TIME"];

fn table(
    snapshot: &ClusterSnapshot,
    by_partition: bool,
    in_colour: bool,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let mut lines = Vec::new();
    for (name, group) in &snapshot.groups {
        for (topic, partitions) in group.topics.iter() {
            if by_partition {
                for (partition, p) in partitions.iter() {
                    lines.push(partition_line(name, group, &format!("{topic}[{partition}]"), &p));
                }
            } else {
                lines.push(topic_line(name, group, topic, partitions));
            }
        }
        if group.topics.is_empty() {
            lines.push(line(name, group, "-", ["-".to_owned(), "-".to_owned(), "-".to_owned()], "-", false));
        }
    }
    if lines.is_empty() {
        return writeln!(
            out,
            "No consumer groups (of {} topics) in {}.",
            snapshot.topics.len(),
            snapshot.cluster
        );
    }
    let mut widths = HEAD.map(str::len);
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(&line.cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let row = |cells: &[String]| -> String {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .enumerate()
            // Names to the left, numbers to the right.
            .map(
                |(i, (cell, width))| {
                    if i < 3 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                },
            )
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let head = row(&HEAD.map(str::to_owned));
    if in_colour {
        writeln!(out, "\x1b[1m{head}\x1b[0m")?
    } else {
        writeln!(out, "{head}")?
    }
    for line in &lines {
        let text = row(&line.cells);
        if in_colour && line.loud {
            writeln!(out, "\x1b[33m{text}\x1b[0m")?
        } else {
            writeln!(out, "{text}")?
        }
    }
    if snapshot.stats.groups_unreadable > 0 {
        writeln!(
            out,
            "{} more groups may not be read: grant DESCRIBE on them to Tapline's user.",
            snapshot.stats.groups_unreadable
        )?;
    }
    if snapshot.stats.topics_unreadable > 0 {
        writeln!(
            out,
            "{} topics of these groups may not be described: grant DESCRIBE on them to Tapline's user.",
            snapshot.stats.topics_unreadable
        )?;
    }
    Ok(())
}

fn line(
    name: &str,
    group: &GroupSnapshot,
    topic: &str,
    numbers: [String; 3],
    time: &str,
    loud: bool,
) -> Line {
    let [committed, end, lag] = numbers;
    let members = group.members.map_or_else(|| "-".to_owned(), |m| m.to_string());
    let cells = [
        printable(name),
        printable(topic),
        group.state.clone(),
        members,
        committed,
        end,
        lag,
        time.to_owned(),
    ];
    Line { cells, loud }
}

fn partition_line(name: &str, group: &GroupSnapshot, topic: &str, p: &GroupPartition) -> Line {
    let number = |n: Option<i64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let mut lag = p.unknown.map_or_else(|| number(p.lag_records), |why| why_text(why).to_owned());
    if group.lag_is_bound && p.lag_records.is_some_and(|n| n > 0) {
        lag = format!("<= {lag}");
    }
    if p.lost_records > 0 {
        lag = format!("{lag} ({} lost)", p.lost_records);
    }
    let time = p.lag_seconds.map_or_else(|| "-".to_owned(), duration);
    let loud = p.lost_records > 0 || p.unknown == Some(Unknown::AheadOfEnd);
    line(name, group, topic, [number(p.committed), number(p.end), lag], &time, loud)
}

fn topic_line(name: &str, group: &GroupSnapshot, topic: &str, partitions: &Places) -> Line {
    let lost: i64 = partitions.values().map(|p| p.lost_records).sum();
    let unknown = partitions.values().filter(|p| p.lag_records.is_none()).count();
    let mut lag =
        GroupSnapshot::topic_lag_records(partitions).map_or_else(|| "?".to_owned(), |n| n.to_string());
    if group.lag_is_bound && lag != "0" && lag != "?" {
        lag = format!("<= {lag}");
    }
    if unknown > 0 {
        lag = format!("{lag} ({unknown} of {} unknown)", partitions.len());
    }
    if lost > 0 {
        lag = format!("{lag} ({lost} lost)");
    }
    let sum = |of: fn(GroupPartition) -> Option<i64>| {
        partitions
            .values()
            .map(of)
            .try_fold(0i64, |sum, n| Some(sum.saturating_add(n?)))
            .map_or_else(|| "-".to_owned(), |n| n.to_string())
    };
    let time =
        GroupSnapshot::topic_lag_seconds(partitions).map_or_else(|| "-".to_owned(), |(s, _)| duration(s));
    line(name, group, topic, [sum(|p| p.committed), sum(|p| p.end), lag], &time, lost > 0 || unknown > 0)
}

fn why_text(why: Unknown) -> &'static str {
    match why {
        Unknown::Uncommitted => "uncommitted",
        Unknown::Uninitialized => "uninitialized",
        Unknown::AheadOfEnd => "ahead of end",
        Unknown::Unreadable => "unreadable",
        Unknown::TopicGone => "topic gone",
        Unknown::Recreated => "topic recreated",
    }
}

/// Names come from peers: nothing of theirs may reach the terminal as a control.
fn printable(name: &str) -> String {
    name.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 0.0005 => "0".to_owned(),
        s if s < 1.0 => format!("{:.0}ms", s * 1000.0),
        s if s < 120.0 => format!("{s:.1}s"),
        s if s < 7_200.0 => format!("{:.1}m", s / 60.0),
        s if s < 172_800.0 => format!("{:.1}h", s / 3_600.0),
        s => format!("{:.1}d", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use collector::cluster::snapshot::{GroupType, Named};

    use super::*;

    fn partition(lag: Option<i64>, lost: i64, unknown: Option<Unknown>) -> GroupPartition {
        GroupPartition {
            committed: lag.map(|l| 100 - l),
            start: Some(0),
            end: Some(100),
            stable_end: Some(100),
            lag_records: lag,
            stable_lag_records: lag,
            lost_records: lost,
            lag_seconds: lag.map(|l| l as f64),
            lag_seconds_error: 0.0,
            unknown,
            assigned: true,
        }
    }

    #[test]
    fn unknown_is_said_and_never_shown_as_zero() {
        let partitions = Places::from([
            (0, partition(Some(7), 0, None)),
            (1, partition(None, 0, Some(Unknown::Uncommitted))),
        ]);
        let group = GroupSnapshot {
            group_type: GroupType::Classic,
            state: "Stable".to_owned(),
            protocol: "range".to_owned(),
            members: Some(2),
            read_at_ms: 0,
            topics: Named::from([("or\x1bders", Arc::new(partitions))]),
            progress: Named::default(),
            lag_is_bound: false,
        };
        let snapshot = ClusterSnapshot {
            groups: BTreeMap::from([("g".to_owned(), group)]),
            ..ClusterSnapshot::default()
        };
        let mut out = Vec::new();
        table(&snapshot, false, false, &mut out).expect("written");
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains("7 (1 of 2 unknown)") && text.contains("7.0s"), "{text}");
        assert!(text.contains("or\\u{1b}ders") && !text.contains('\x1b'), "{text}");
        let mut out = Vec::new();
        table(&snapshot, true, false, &mut out).expect("written");
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains("uncommitted") && text.lines().count() == 3, "{text}");
    }

    #[test]
    fn a_lag_that_is_an_upper_bound_says_so() {
        let mut group = GroupSnapshot {
            group_type: GroupType::Share,
            state: "Stable".to_owned(),
            protocol: String::new(),
            members: Some(1),
            read_at_ms: 0,
            topics: Named::default(),
            progress: Named::default(),
            lag_is_bound: true,
        };
        let partitions = Places::from([(0, partition(Some(7), 0, None)), (1, partition(Some(0), 0, None))]);
        assert_eq!(topic_line("g", &group, "t", &partitions).cells[6], "<= 7");
        assert_eq!(partition_line("g", &group, "t[1]", &partitions.at(1)).cells[6], "0");
        group.lag_is_bound = false;
        assert_eq!(topic_line("g", &group, "t", &partitions).cells[6], "7");
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(duration(0.0), "0");
        assert_eq!(duration(0.25), "250ms");
        assert_eq!(duration(90.0), "90.0s");
        assert_eq!(duration(86_400.0 * 3.0), "3.0d");
    }
}
