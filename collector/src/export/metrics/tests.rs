//! The page as a scraper sees it.

use std::collections::BTreeSet;
use std::sync::Arc;

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::MetricFamily;
use prost::Message as _;

use super::format::{Format, encode};
use super::*;
use crate::cluster::snapshot::{TopicSnapshot, Unknown};
use crate::export::fixture;
use crate::view::TopicView;

fn source(view: View, cluster: ClusterSnapshot, budget: usize) -> Source {
    let extra = Extra {
        now_ms: fixture::NOW_MS,
        build: BuildInfo { version: "0.1.0".to_owned(), commit: "abc".to_owned() },
        otlp: Some(SpanCounts::default()),
        series_budget: budget,
        compat: BTreeSet::new(),
    };
    Source::Collector { view: Arc::new(view), cluster: Arc::new(cluster), extra }
}

fn text(source: Source, format: Format) -> String {
    String::from_utf8(encode(source, format).expect("it encodes")).expect("it is UTF-8")
}

fn page() -> String {
    text(source(fixture::view(), fixture::cluster(), 100_000), Format::OpenMetrics)
}

#[track_caller]
fn has(page: &str, line: &str) {
    let name = line.split('{').next().unwrap_or(line);
    let like: Vec<&str> = page.lines().filter(|l| l.starts_with(name)).collect();
    assert!(page.lines().any(|l| l == line), "no line {line}\nthere are {like:#?}");
}

#[test]
fn every_series_has_its_labels_and_value() {
    let page = page();
    for line in [
        r#"tapline_group_lag_records{cluster="prod-eu",group="warehouse",topic="shipments",partition="0"} 63236"#,
        r#"tapline_group_lost_records{cluster="prod-eu",group="warehouse",topic="shipments",partition="2"} 412"#,
        r#"tapline_group_topic_lag_records{cluster="prod-eu",group="billing",topic="payments"} 0"#,
        r#"tapline_group_topic_lag_seconds{cluster="prod-eu",group="warehouse",topic="shipments"} 1530.0"#,
        r#"tapline_group_unknown_partitions{cluster="prod-eu",group="warehouse",topic="shipments",reason="uncommitted"} 1"#,
        r#"tapline_group_info{cluster="prod-eu",group="payment-service",type="consumer",state="Stable",protocol="range"} 1"#,
        r#"tapline_group_stale_seconds{cluster="prod-eu",group="billing"} 3.0"#,
        r#"tapline_partition_end_offset{cluster="prod-eu",topic="orders",partition="5"} 214018"#,
        r#"tapline_topic_under_replicated_partitions{cluster="prod-eu",topic="orders"} 1"#,
        r#"tapline_records_read_total{cluster="prod-eu",topic="orders"} 1284110"#,
        r#"tapline_records_skipped_total{cluster="prod-eu",topic="orders",reason="lost"} 0"#,
        r#"tapline_decode_failures_total{cluster="prod-eu",topic="orders",reason="not_json"} 31"#,
        r#"tapline_check_status{cluster="prod-eu",topic="orders",check="email-present",severity="error",status="fail"} 1"#,
        r#"tapline_check_status{cluster="prod-eu",topic="orders",check="email-present",severity="error",status="pass"} 0"#,
        r#"tapline_check_value{cluster="prod-eu",topic="orders",check="email-present"} 20.39"#,
        r#"tapline_slo_events_total{cluster="prod-eu",topic="orders",slo="valid-orders",result="bad"} 17"#,
        r#"tapline_slo_objective{cluster="prod-eu",topic="orders",slo="valid-orders"} 0.999"#,
        r#"tapline_findings_open{cluster="prod-eu",severity="error"} 1"#,
        r#"tapline_findings_open{cluster="prod-eu",severity="info"} 0"#,
        r#"tapline_pipeline_events_total{pipeline="checkout",result="good"} 46916"#,
        r#"tapline_trace_incomplete_total{pipeline="checkout",stage="payments"} 212"#,
        r#"tapline_trace_incomplete_total{pipeline="checkout",stage="orders"} 0"#,
        r#"tapline_field_null_ratio{cluster="prod-eu",topic="orders",field="$.customer"} 0.0"#,
        r#"tapline_agent_up{cluster="prod-eu",agent="agent-2"} 0"#,
        r#"tapline_watch_age_seconds{cluster="prod-eu"} 3.0"#,
        r#"tapline_build_info{version="0.1.0",commit="abc"} 1"#,
        r#"tapline_series_folded{cluster="prod-eu",kind="fields"} 0"#,
    ] {
        has(&page, line);
    }
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn unknown_is_absent() {
    let page = page();
    let partitions = |name: &str| -> BTreeSet<String> {
        page.lines()
            .filter(|l| l.starts_with(&format!("{name}{{")) && l.contains("warehouse"))
            .filter_map(|l| Some(l.split_once("partition=\"")?.1.split('"').next()?.to_owned()))
            .collect()
    };
    let known: BTreeSet<String> = ["0", "1", "2", "5"].map(str::to_owned).into();
    assert_eq!(partitions("tapline_group_lag_records"), known);
    assert_eq!(partitions("tapline_group_lost_records"), known);
    assert!(!page.contains("check=\"ids-unique\"} NaN"));
    assert!(!page.lines().any(|l| l.starts_with("tapline_check_value") && l.contains("ids-unique")));
    let before = text(source(View::default(), ClusterSnapshot::default(), 100), Format::OpenMetrics);
    has(&before, r#"tapline_watch_up{cluster=""} 0"#);
    assert!(!before.contains("tapline_watch_age_seconds"), "{before}");
}

#[test]
fn everything_written_is_in_the_table_and_no_series_stands_twice() {
    let page = page();
    let mut seen = BTreeSet::new();
    for line in page.lines().filter(|l| !l.starts_with('#')) {
        let (series, _) = line.split_once("} ").expect("every series has labels");
        assert!(seen.insert(series), "{series} stands twice");
        let (name, labels) = series.split_once('{').expect("every series has labels");
        let row = table::find(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        let names: Vec<&str> = labels.split(',').filter_map(|l| Some(l.split_once('=')?.0)).collect();
        let names: Vec<&str> = names.into_iter().filter(|n| *n != "le").collect();
        assert_eq!(names, row.labels, "{name}");
    }
}

#[test]
fn histograms_carry_exemplars_at_their_bucket() {
    let page = page();
    has(
        &page,
        r#"tapline_hop_latency_seconds_bucket{le="0.25",pipeline="checkout",from="orders",to="payments"} 4009 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.18 1795424398.500"#
            .trim(),
    );
    let carried = page.lines().filter(|l| l.contains(" # {trace_id=")).count();
    assert_eq!(carried, 3 + 2 + 1, "three topics, two hops, one pipeline");
}

#[test]
fn protobuf_has_native_histograms_and_exemplars() {
    let bytes =
        encode(source(fixture::view(), fixture::cluster(), 100_000), Format::Protobuf).expect("it encodes");
    let mut rest = bytes.as_slice();
    let mut families = Vec::new();
    while !rest.is_empty() {
        families
            .push(MetricFamily::decode_length_delimited(&mut rest).expect("families, one after the other"));
    }
    let hop = families.iter().find(|f| f.name == "tapline_hop_latency_seconds").expect("hops are there");
    assert_eq!(hop.metric.len(), 2);
    let histogram = hop.metric[1].histogram.as_ref().expect("it is a histogram");
    assert_eq!((histogram.schema, histogram.sample_count), (3, 4_800));
    let mut bucket = 0i64;
    let total: i64 = histogram
        .positive_delta
        .iter()
        .map(|delta| {
            bucket += delta;
            bucket
        })
        .sum();
    assert_eq!(total + histogram.zero_count as i64, 4_800, "native buckets hold everything");
    assert_eq!(
        histogram.positive_span.iter().map(|s| s.length as usize).sum::<usize>(),
        histogram.positive_delta.len()
    );
    let exemplars: Vec<_> = histogram.bucket.iter().filter_map(|b| b.exemplar.as_ref()).collect();
    assert_eq!(exemplars.len(), 1);
    assert_eq!(exemplars[0].label[0].value, "4bf92f3577b34da6a3ce929d0e0e4736");
    let classic = histogram.bucket.last().expect("there are buckets");
    assert_eq!((classic.cumulative_count, classic.upper_bound), (4_800, f64::INFINITY));
}

#[test]
fn plain_text_is_what_old_scrapers_know() {
    let page = text(source(fixture::view(), fixture::cluster(), 100_000), Format::Plain);
    assert!(!page.contains("# EOF") && !page.contains("# UNIT") && !page.contains(" # {"));
    has(&page, "# TYPE tapline_records_read_total counter");
    has(&page, "# TYPE tapline_build_info gauge");
    has(&page, "# TYPE tapline_hop_latency_seconds histogram");
    assert_eq!(page.matches("# TYPE ").count(), page.matches("# HELP ").count());
}

#[test]
fn hostile_names_stay_labels() {
    let hostile = "a\"} 1\ntapline_evil 1 # \\";
    let mut cluster = fixture::cluster();
    let group = cluster.groups["billing"].clone();
    cluster.groups.insert(hostile.to_owned(), group);
    cluster.topics.insert(hostile.to_owned(), TopicSnapshot::default());
    let mut view = fixture::view();
    view.topics.insert(
        hostile.to_owned(),
        TopicView { delay: fixture::latency(0.1, 0.1, 10), ..TopicView::default() },
    );
    for format in [Format::OpenMetrics, Format::Plain] {
        let page = text(source(view.clone(), cluster.clone(), 100_000), format);
        assert!(!page.lines().any(|l| l.starts_with("tapline_evil")));
        has(&page, r#"tapline_group_members{cluster="prod-eu",group="a\"} 1\ntapline_evil 1 # \\"} 3"#);
        let exemplars = page.lines().filter(|l| l.contains(" # {trace_id=")).count();
        assert_eq!(exemplars, if format == Format::OpenMetrics { 7 } else { 0 });
    }
}

#[test]
fn beyond_the_budget_partitions_fold_and_sums_stay() {
    let cluster = fixture::cluster();
    let page = text(source(View::default(), cluster.clone(), 80), Format::OpenMetrics);
    has(
        &page,
        r#"tapline_group_lag_records{cluster="prod-eu",group="warehouse",topic="shipments",partition="all"} 251333"#,
    );
    has(
        &page,
        r#"tapline_group_topic_lag_records{cluster="prod-eu",group="warehouse",topic="shipments"} 251333"#,
    );
    assert!(page.lines().any(|l| l.starts_with("tapline_series_folded")
        && l.contains("group_partitions")
        && !l.ends_with(" 0")));
    assert_eq!(page, text(source(View::default(), cluster, 80), Format::OpenMetrics), "the same every time");
    let nothing = text(source(View::default(), fixture::cluster(), 0), Format::OpenMetrics);
    assert!(!nothing.contains("tapline_group_"), "no group fits");
}

#[test]
fn folded_partitions_that_are_all_unknown_have_no_sum() {
    let mut cluster = fixture::cluster();
    let billing = cluster.groups.get_mut("billing").expect("billing");
    let payments = billing.topics.get_mut("payments").expect("payments");
    let unreadable = payments.keys().map(|partition| (partition, fixture::unknown(Unknown::Unreadable)));
    *payments = Arc::new(unreadable.collect());
    let page = text(source(View::default(), cluster, 80), Format::OpenMetrics);
    assert!(!page.lines().any(|l| l.starts_with("tapline_group_lag_records") && l.contains("billing")));
    assert!(!page.lines().any(|l| l.starts_with("tapline_group_topic_lag_records") && l.contains("billing")));
}

#[test]
fn an_agent_shows_itself() {
    let page =
        AgentPage { cluster: "c".to_owned(), name: "a1".to_owned(), ready: true, ..AgentPage::default() };
    let page = text(Source::Agent(page), Format::OpenMetrics);
    has(&page, r#"tapline_agent_up{cluster="c",agent="a1"} 1"#);
    assert!(!page.contains("tapline_agent_memory_bytes"), "0 is not known");
}
