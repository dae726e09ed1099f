use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::limits::Limits;

fn field(path: &str) -> FieldSummary {
    FieldSummary {
        path: path.to_owned(),
        records: 9,
        present: 9,
        integer: 9,
        numeric: Some(NumericSummary {
            count: 9,
            min: 1.0,
            max: 3.0,
            mean: 2.0,
            m2: 1.0,
            positive: vec![Bin { index: 0, count: 4 }, Bin { index: 7, count: 5 }],
            ..Default::default()
        }),
        distinct: Some(DistinctSummary { precision: 12, registers: vec![], hashes: vec![3, 8] }),
        top: Some(TopSummary {
            values: vec![
                TopValue { value: "a".into(), count: 4, error: 0 },
                TopValue { value: "b".into(), count: 5, error: 0 },
            ],
            floor: 0,
        }),
        ..Default::default()
    }
}

fn sound() -> Report {
    let mut delay = Histogram::default();
    [0, 5_000_000, 7_000_000_000].iter().for_each(|ns| delay.observe_ns(*ns));
    let summary = PaneSummary {
        read: 10,
        examined: 9,
        unexamined: vec![ReasonCount { reason: "sample".into(), count: 1 }],
        first_record_ms: 1_000,
        last_record_ms: 2_000,
        fields: vec![field("$.a"), field("$.b")],
        rules: vec![RuleTally {
            rule: "ids-unique".into(),
            checked: 9,
            failed: 1,
            uniqueness: Some(Uniqueness { threshold: u64::MAX, hashes: vec![1, 2], counts: vec![4, 5] }),
            ..Default::default()
        }],
        delay: Some(delay),
        ..Default::default()
    };
    Report {
        version: REPORT_VERSION,
        hash_version: HASH_VERSION,
        agent: "agent-1".into(),
        boot: 7,
        sequence: 1,
        cluster: "c".into(),
        as_of_ms: 1_700_000_000_000,
        panes: vec![Pane {
            topic: "orders".into(),
            start_ms: 0,
            end_ms: 10_000,
            ranges: vec![OffsetRange { partition: 0, first: 5, next: 15, records: 10 }],
            summary: Some(summary),
            ..Default::default()
        }],
        topics: vec![TopicProgress {
            topic: "orders".into(),
            watermark_ms: i64::MIN,
            positions: vec![Position { partition: 0, next: 15 }],
            ..Default::default()
        }],
        sightings: vec![Sighting {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            topic: "orders".into(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn decoded(report: &Report) -> Result<Report, ReportError> {
    Report::decode_bounded(&report.encode_zstd().unwrap(), &Limits::default())
}

#[test]
fn a_sound_report_comes_back_as_it_was() {
    assert_eq!(decoded(&sound()), Ok(sound()));
}

#[test]
fn versions_are_checked_before_anything_else() {
    let newer = Report { version: 2, agent: String::new(), ..sound() };
    assert_eq!(decoded(&newer), Err(ReportError::Version { got: 2 }));
    let hash = Report { hash_version: 9, ..sound() };
    assert_eq!(decoded(&hash), Err(ReportError::HashVersion { got: 9 }));
}

#[test]
fn every_broken_contract_is_refused_by_name() {
    fn summary(r: &mut Report) -> &mut PaneSummary {
        r.panes[0].summary.as_mut().unwrap()
    }
    fn numeric(r: &mut Report) -> &mut NumericSummary {
        summary(r).fields[1].numeric.as_mut().unwrap()
    }
    fn unique(r: &mut Report) -> &mut Uniqueness {
        summary(r).rules[0].uniqueness.as_mut().unwrap()
    }
    type Break = fn(&mut Report);
    let cases: &[(&str, Break)] = &[
        ("agent", |r| r.agent.clear()),
        ("sequence", |r| r.sequence = 0),
        ("as_of_ms", |r| r.as_of_ms = i64::MAX),
        ("topic", |r| r.panes[0].topic = "x".repeat(250)),
        ("end_ms", |r| r.panes[0].end_ms = r.panes[0].start_ms),
        ("ranges", |r| r.panes[0].ranges[0].next = r.panes[0].ranges[0].first),
        ("ranges", |r| r.panes[0].ranges.push(OffsetRange { partition: 0, first: 1, next: 2, records: 1 })),
        ("examined", |r| summary(r).examined = u64::MAX),
        ("last_record_ms", |r| summary(r).last_record_ms = 1),
        ("unexamined", |r| summary(r).unexamined.push(ReasonCount { reason: "a".into(), count: 1 })),
        ("unexamined", |r| {
            summary(r).unexamined =
                (0..65).map(|i| ReasonCount { reason: format!("{i:03}"), count: 1 }).collect();
        }),
        ("decode_examples", |r| {
            summary(r).decode_examples =
                (0..6).map(|offset| Example { partition: 0, offset, value: String::new() }).collect();
        }),
        ("fields", |r| summary(r).fields.reverse()),
        ("present", |r| summary(r).fields[0].present = u64::MAX),
        ("field $.b: numeric: moments", |r| numeric(r).mean = f64::NAN),
        ("moments", |r| numeric(r).m2 = f64::INFINITY),
        ("mean", |r| numeric(r).mean = 9.0),
        ("bins", |r| numeric(r).positive.reverse()),
        ("bins", |r| numeric(r).positive[0].count = u64::MAX),
        ("bins", |r| numeric(r).positive[1].index = i32::MAX),
        ("distinct", |r| summary(r).fields[0].distinct.as_mut().unwrap().registers = vec![255; 4096]),
        ("distinct", |r| summary(r).fields[0].distinct.as_mut().unwrap().precision = 30),
        ("top", |r| summary(r).fields[0].top.as_mut().unwrap().values.reverse()),
        ("top", |r| summary(r).fields[0].top.as_mut().unwrap().values[1].value = "v".repeat(70_000)),
        ("top", |r| summary(r).fields[0].top.as_mut().unwrap().values[0].count = u64::MAX),
        ("numeric", |r| numeric(r).not_finite = u64::MAX),
        ("text", |r| summary(r).fields[0].text = Some(TextSummary { count: 1, ..Default::default() })),
        ("rule UPPER: id", |r| summary(r).rules[0].rule = "UPPER".into()),
        ("failed", |r| summary(r).rules[0].failed = 10),
        ("uniqueness", |r| unique(r).counts[0] = 0),
        ("uniqueness", |r| unique(r).threshold = 2),
        ("uniqueness", |r| _ = unique(r).counts.pop()),
        ("delay: native", |r| summary(r).delay.as_mut().unwrap().count = u64::MAX),
        ("delay: classic", |r| _ = summary(r).delay.as_mut().unwrap().classic.pop()),
        ("positions", |r| r.topics[0].positions[0].next = -1),
        ("trace_id", |r| r.sightings[0].trace_id = vec![0; 16]),
        ("span_id", |r| r.sightings[0].span_id = vec![1; 9]),
    ];
    for (at, break_it) in cases {
        let mut report = sound();
        break_it(&mut report);
        match decoded(&report) {
            Err(ReportError::Invalid { invalid, .. }) => assert!(invalid.at.contains(at), "{at}: {invalid}"),
            other => panic!("{at}: {other:?}"),
        }
    }
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    let limits = Limits { http_body_bytes: 4 << 20, ..Limits::default() };
    // Much in little: zeros compress a thousandfold.
    let zeros = zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap();
    assert!(zeros.len() < limits.http_body_bytes);
    let refused = Report::decode_bounded(&zeros, &limits);
    assert_eq!(refused, Err(ReportError::TooLarge { stage: "decompressed", limit: 4 << 20 }));
    let refused = Report::decode_bounded(&vec![0; (4 << 20) + 1], &limits);
    assert_eq!(refused, Err(ReportError::TooLarge { stage: "compressed", limit: 4 << 20 }));
    // Half a million empty field summaries of two bytes each.
    let fields = [0x7a, 0].repeat(500_000);
    let nested = |tag: u8, inner: &[u8]| {
        let mut outer = vec![tag << 3 | 2];
        prost::encoding::encode_varint(inner.len() as u64, &mut outer);
        outer.extend_from_slice(inner);
        outer
    };
    let report = nested(9, &nested(7, &fields));
    let refused = Report::decode_bounded(&zstd::bulk::compress(&report, 3).unwrap(), &limits);
    assert_eq!(refused, Err(ReportError::TooHeavy { limit: 64 << 20 }));
}

#[test]
fn the_weight_covers_what_is_decoded() {
    let bytes = sound().encode_to_vec();
    let weight = weigh::weigh(&bytes).unwrap();
    let summary = &sound().panes[0].summary.clone().unwrap();
    let least =
        size_of::<Pane>() + size_of::<PaneSummary>() + summary.fields.len() * size_of::<FieldSummary>();
    assert!(weight > least, "{weight} {least}");
    assert!(weight < bytes.len() * 16);
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_decoded_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Report::decode_bounded(&bytes, &Limits::default());
        let _ = Report::decode_bounded(&zstd::bulk::compress(&bytes, 1).unwrap(), &Limits::default());
    }

    #[test]
    fn a_damaged_report_never_panics(
        at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = sound().encode_to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Report::decode_bounded(&zstd::bulk::compress(&bytes, 1).unwrap(), &Limits::default());
        bytes.truncate(cut.index(bytes.len()));
        if let Ok(report) = Report::decode_bounded(&zstd::bulk::compress(&bytes, 1).unwrap(), &Limits::default()) {
            // What passes can be merged and read without harm.
            let mut all = PaneSummary::default();
            report.panes.iter().filter_map(|p| p.summary.as_ref()).for_each(|s| all.merge(s));
        }
    }
}
