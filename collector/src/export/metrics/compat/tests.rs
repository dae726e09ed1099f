//! The peers' pages, line by line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::MetricFamily;
use prost::Message as _;

use super::{Cost, Peer};
use crate::cluster::snapshot::{
    ClusterSnapshot, GroupPartition, GroupSnapshot, GroupType, Named, PartitionOffsets, Places,
    TopicProgress, TopicSnapshot, Unknown, WatchStats,
};
use crate::export::fixture::{self, NOW_MS, at, unknown};
use crate::export::metrics::budget;
use crate::export::metrics::format::{Format, encode};
use crate::export::metrics::{BuildInfo, Extra, Source};
use crate::view::View;

const AWKWARD: &str = "a\"b\\c\nd é";

fn encoded(cluster: &ClusterSnapshot, peers: &[Peer], budget: usize, format: Format) -> Vec<u8> {
    let extra = Extra {
        now_ms: NOW_MS,
        build: BuildInfo { version: "0.1.0".to_owned(), commit: "abc".to_owned() },
        otlp: None,
        series_budget: budget,
        compat: peers.iter().copied().collect(),
    };
    let view = View { cluster: "prod".to_owned(), ..View::default() };
    let source = Source::Collector { view: Arc::new(view), cluster: Arc::new(cluster.clone()), extra };
    encode(source, format).expect("it encodes")
}

/// The page without our own series.
fn page(cluster: &ClusterSnapshot, peers: &[Peer], budget: usize, format: Format) -> String {
    let text = String::from_utf8(encoded(cluster, peers, budget, format)).expect("it is UTF-8");
    let is_theirs = |line: &&str| {
        let name =
            ["# HELP ", "# TYPE ", "# UNIT "].iter().find_map(|p| line.strip_prefix(p)).unwrap_or(line);
        !name.starts_with("tapline_") && !name.starts_with("# EOF")
    };
    text.split_inclusive('\n').filter(is_theirs).collect()
}

/// Everything that goes wrong at once: lost records, no commit, a commit beyond the end, a deleted
/// topic, a partition without a leader, groups that can't be described, awkward names.
fn cluster() -> ClusterSnapshot {
    let offsets = |start, end, leader, in_sync| PartitionOffsets {
        start,
        end,
        stable_end: end,
        read_at_ms: NOW_MS,
        leader,
        replicas: 3,
        in_sync,
        unread: None,
    };
    let topic = |partitions: Vec<PartitionOffsets>| TopicSnapshot {
        partitions: (0..).zip(partitions).collect(),
        ..TopicSnapshot::default()
    };
    let group = |group_type, state: &str, members, topics: Vec<(&str, Vec<GroupPartition>)>| GroupSnapshot {
        group_type,
        state: state.to_owned(),
        protocol: if state == "Stable" { "range".to_owned() } else { String::new() },
        members,
        read_at_ms: NOW_MS,
        topics: topics
            .into_iter()
            .map(|(t, parts)| (t.to_owned(), Arc::new((0..).zip(parts).collect())))
            .collect(),
        progress: Named::default(),
        lag_is_bound: false,
    };
    let lost = GroupPartition {
        committed: Some(10),
        start: Some(40),
        lag_records: Some(50),
        lost_records: 30,
        ..at(10, 90, 61.0)
    };
    let ahead = GroupPartition { committed: Some(150), assigned: false, ..unknown(Unknown::AheadOfEnd) };
    let gone = GroupPartition { committed: Some(7), assigned: false, ..unknown(Unknown::TopicGone) };
    let idle = GroupPartition { assigned: false, ..at(5, 5, 0.0) };
    ClusterSnapshot {
        cluster: "prod".to_owned(),
        taken_at_ms: NOW_MS - 3_000,
        complete_once: true,
        brokers: 3,
        topics: BTreeMap::from([
            (
                "orders".to_owned(),
                topic(vec![
                    offsets(Some(0), Some(100), Some(1), 3),
                    offsets(Some(40), Some(90), Some(2), 2),
                    offsets(None, None, None, 0),
                ]),
            ),
            (AWKWARD.to_owned(), topic(vec![offsets(Some(5), Some(5), Some(3), 3)])),
        ]),
        groups: BTreeMap::from([
            (
                "half".to_owned(),
                group(
                    GroupType::Classic,
                    "Stable",
                    Some(2),
                    vec![("orders", vec![at(70, 100, 12.5), lost, unknown(Unknown::Uncommitted)])],
                ),
            ),
            (
                "new".to_owned(),
                group(GroupType::Consumer, "Reconciling", Some(1), vec![("orders", vec![ahead])]),
            ),
            (AWKWARD.to_owned(), group(GroupType::Classic, "Empty", Some(0), vec![(AWKWARD, vec![idle])])),
            ("unseen".to_owned(), group(GroupType::Unknown, "", None, vec![("gone", vec![gone])])),
        ]),
        stats: WatchStats { last_duration_seconds: 0.044, ..WatchStats::default() },
        ..ClusterSnapshot::default()
    }
}

#[test]
fn kminion_line_by_line() {
    assert_eq!(page(&cluster(), &[Peer::Kminion], 100_000, Format::Plain), include_str!("kminion.txt"));
}

#[test]
fn kafka_exporter_line_by_line() {
    assert_eq!(
        page(&cluster(), &[Peer::KafkaExporter], 100_000, Format::Plain),
        include_str!("kafka_exporter.txt")
    );
}

#[test]
fn kafka_lag_exporter_line_by_line() {
    let page = page(&cluster(), &[Peer::KafkaLagExporter], 100_000, Format::Plain);
    assert_eq!(page, include_str!("kafka_lag_exporter.txt"));
}

#[test]
fn nothing_is_served_unasked_and_little_before_the_first_refresh() {
    assert_eq!(page(&cluster(), &[], 100_000, Format::OpenMetrics), "");
    let before = page(&ClusterSnapshot::default(), &Peer::ALL, 100_000, Format::OpenMetrics);
    let series: Vec<&str> = before.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(series, [r#"kminion_exporter_up{version="0.1.0"} 0"#]);
}

#[test]
fn a_refresh_that_failed_is_not_up() {
    let failed = ClusterSnapshot { last_error: Some("no broker answers".to_owned()), ..cluster() };
    let page = page(&failed, &[Peer::Kminion], 100_000, Format::Plain);
    assert!(page.contains("kminion_exporter_up{version=\"0.1.0\"} 0\n"), "{page}");
    assert!(
        page.contains("kminion_kafka_consumer_group_topic_lag{group_id=\"half\",topic_name=\"orders\"} 80\n")
    );
}

/// Names with what their labels are, of a page in text.
fn series(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| l.rsplit_once(' ').expect("a value").0.to_owned())
        .collect()
}

#[test]
fn names_are_the_same_in_every_format() {
    let plain = page(&cluster(), &Peer::ALL, 100_000, Format::Plain);
    let open = page(&cluster(), &Peer::ALL, 100_000, Format::OpenMetrics);
    assert_eq!(series(&plain), series(&open));
    let bytes = encoded(&cluster(), &Peer::ALL, 100_000, Format::Protobuf);
    let mut rest = bytes.as_slice();
    let mut names = BTreeSet::new();
    let mut count = 0;
    while !rest.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut rest).expect("families");
        if !family.name.starts_with("tapline_") {
            count += family.metric.len();
            assert!(family.metric.iter().all(|m| m.gauge.is_some()), "{}", family.name);
            names.insert(family.name);
        }
    }
    assert_eq!(count, series(&plain).len());
    let served: BTreeSet<String> =
        Peer::ALL.iter().flat_map(|peer| peer.rows()).map(|row| row.name.to_owned()).collect();
    assert_eq!(names, served, "every row is written, and nothing else");
    let kinds = plain.lines().filter(|l| l.starts_with("# TYPE "));
    assert!(kinds.clone().count() == served.len() && kinds.into_iter().all(|l| l.ends_with(" gauge")));
}

#[test]
fn every_series_has_the_labels_of_its_row_and_stands_once() {
    let text = page(&cluster(), &Peer::ALL, 100_000, Format::OpenMetrics);
    let all: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
    assert_eq!(series(&text).len(), all.len());
    for line in all {
        let name = line.split(['{', ' ']).next().expect("a name");
        let row = Peer::ALL.iter().flat_map(|peer| peer.rows()).find(|row| row.name == name).expect(name);
        let labels = line.strip_prefix(name).expect("it begins so");
        let mut rest = labels.trim_start_matches('{');
        for label in row.labels {
            let at =
                rest.strip_prefix(&format!("{label}=\"")).unwrap_or_else(|| panic!("no {label} in {line}"));
            // To the quote that is not escaped.
            let mut escaped = false;
            let end = at.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            rest = at[end.expect("a quote") + 1..].trim_start_matches(',');
        }
        assert!(rest.trim_start_matches('}').starts_with(' '), "more labels in {line}");
    }
}

#[test]
fn rows_are_unique_and_none_is_both_served_and_missing() {
    let mut seen = BTreeSet::new();
    for peer in Peer::ALL {
        assert_eq!(Peer::from_name(peer.name()), Some(peer));
        for row in peer.rows() {
            assert!(seen.insert(row.name), "{} stands twice", row.name);
            // What OpenMetrics reserves for counters.
            assert!(!row.name.ends_with("_total"), "{}", row.name);
            assert!(!row.help.ends_with('.') && !row.help.contains(['\n', '|']), "{}", row.name);
            assert!(!row.differs.contains(['\n', '|']) && !row.ours.contains('|'), "{}", row.name);
        }
    }
    for missing in Peer::ALL.iter().flat_map(|peer| peer.missing()) {
        assert!(!seen.iter().any(|name| missing.is(name)), "{}", missing.name);
    }
    assert_eq!(Peer::ALL.map(Peer::name), Peer::NAMES);
}

#[test]
fn beyond_the_budget_partitions_fold_as_their_rows_say() {
    let page = page(&fixture::cluster(), &Peer::ALL, 200, Format::OpenMetrics);
    let value = |series: &str| page.lines().find_map(|l| l.strip_prefix(series)?.trim().parse::<f64>().ok());
    let warehouse = r#"topic="shipments",partition="all""#;
    assert_eq!(
        value(&format!(r#"kafka_consumergroup_lag{{consumergroup="warehouse",{warehouse}}}"#)),
        Some(251_333.0)
    );
    assert_eq!(
        value(&format!(
            r#"kafka_consumergroup_group_lag_seconds{{cluster_name="prod",group="warehouse",{warehouse},member_host="",consumer_id="",client_id=""}}"#
        )),
        Some(1_530.0),
        "the greatest, never the sum"
    );
    assert_eq!(
        value(
            r#"kminion_kafka_consumer_group_topic_partition_lag{group_id="warehouse",topic_name="shipments",partition_id="all"}"#
        ),
        Some(251_333.0)
    );
    assert_eq!(value(r#"kafka_topic_partition_replicas{topic="orders",partition="all"}"#), Some(18.0));
    assert!(!page.contains("kafka_topic_partition_leader"), "a sum of broker ids is nothing");
    assert_eq!(
        value(r#"kafka_consumergroup_lag_sum{consumergroup="warehouse",topic="shipments"}"#),
        Some(251_333.0)
    );
}

/// Groups and topics of which everything is known.
fn whole(groups: usize, topics: usize, partitions: i32) -> ClusterSnapshot {
    let names: Vec<String> = (0..topics).map(|t| format!("t{t}")).collect();
    let places: Arc<Places> = Arc::new((0..partitions).map(|p| (p, at(1, 3, 2.0))).collect());
    let offsets = PartitionOffsets {
        start: Some(0),
        end: Some(3),
        stable_end: Some(3),
        read_at_ms: NOW_MS,
        leader: Some(1),
        replicas: 1,
        in_sync: 1,
        unread: None,
    };
    let topic = TopicSnapshot {
        partitions: (0..partitions).map(|p| (p, offsets)).collect(),
        ..TopicSnapshot::default()
    };
    let progress = Arc::new(TopicProgress { catch_up_seconds: Some(0.0), ..TopicProgress::default() });
    let group = GroupSnapshot {
        group_type: GroupType::Classic,
        state: "Stable".to_owned(),
        protocol: "range".to_owned(),
        members: Some(1),
        read_at_ms: NOW_MS,
        topics: names.iter().map(|name| (name.clone(), places.clone())).collect(),
        progress: names.iter().map(|name| (name.as_str(), Arc::clone(&progress))).collect(),
        lag_is_bound: false,
    };
    ClusterSnapshot {
        taken_at_ms: NOW_MS,
        brokers: 1,
        topics: names.iter().map(|name| (name.clone(), topic.clone())).collect(),
        groups: (0..groups).map(|g| (format!("g{g}"), group.clone())).collect(),
        ..ClusterSnapshot::default()
    }
}

#[test]
fn the_budget_holds_and_what_it_costs_is_counted() {
    let (groups, topics) = (7, 5);
    let cluster = whole(groups, topics, 9);
    let peers: BTreeSet<Peer> = Peer::ALL.into();
    let count = |budget: usize| {
        let text =
            String::from_utf8(encoded(&cluster, &Peer::ALL, budget, Format::OpenMetrics)).expect("UTF-8");
        let budgeted = |l: &&str| {
            let ours = l.starts_with("tapline_group_") || l.starts_with("tapline_partition_");
            (ours || !l.starts_with("tapline_")) && !l.starts_with('#')
        };
        text.lines().filter(budgeted).count()
    };
    // Of the cluster as such.
    let scopeless = 4;
    let all = count(1_000_000);
    for budget in [0, 40, 100, 300, 700, 1_500, 2_500, all, 1_000_000] {
        let there = count(budget);
        // Our own folded partitions of topics are not counted: few.
        assert!(there <= budget + scopeless + 3 * topics, "{there} series for {budget}");
        let plan = budget::plan(&View::default(), &cluster, budget, Cost::of(&peers));
        let folded: u64 = plan.series_folded.values().sum();
        // A group's count includes partitions of unknown lag, of which there are none here.
        let none = (plan.groups_left_out.len() * topics) as u64;
        assert_eq!(there as u64 + folded - none, all as u64, "budget {budget}: {plan:?}");
    }
}
