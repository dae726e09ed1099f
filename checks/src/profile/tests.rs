use proptest::prelude::*;

use super::scalars::Distinct;
use super::*;
use crate::report::PaneSummary;
use crate::rules::{FieldPath, Step};
use crate::tape::{Tape, json as decoder};

pub(super) struct Run {
    limits: Limits,
    shape: Shape,
    tape: Tape,
    profile: Profile,
    pub(super) record_ms: Option<i64>,
}

impl Run {
    pub(super) fn new(limits: Limits) -> Self {
        let profile = Profile::new(&limits);
        Self { shape: Shape::new(&limits), tape: Tape::new(), profile, record_ms: None, limits }
    }

    pub(super) fn record(&mut self, payload: &str) {
        let document = decoder::decode(payload.as_bytes(), &mut self.shape, &mut self.tape, &self.limits)
            .expect("decodes");
        self.profile.document(document, self.record_ms, &self.shape);
    }

    fn of(payloads: &[&str]) -> Self {
        let mut run = Self::new(Limits::default());
        payloads.iter().for_each(|p| run.record(p));
        run
    }

    pub(super) fn summary(&self) -> PaneSummary {
        let (fields, folded_values) = self.profile.summary(&self.shape);
        PaneSummary { fields, folded_values, ..Default::default() }
    }
}

fn field<'a>(summary: &'a PaneSummary, path: &str) -> &'a FieldSummary {
    summary.field(path).unwrap_or_else(|| panic!("{path} in {:?}", summary.fields))
}

#[test]
fn every_field_has_its_own_denominator() {
    let run = Run::of(&[
        r#"{"a":1,"o":{"x":null},"items":[{"price":1.5},{"price":2},{}]}"#,
        r#"{"a":"","o":null,"items":[]}"#,
        r#"{"b":true,"o":{},"items":[null]}"#,
        "[7]",
    ]);
    let s = run.summary();
    let counts = |path: &str| {
        let f = field(&s, path);
        (f.records, f.present, f.missing(), f.null, f.empty)
    };
    assert_eq!(counts("$"), (4, 4, 0, 0, 0));
    assert_eq!(counts("$[]"), (1, 1, 0, 0, 0));
    assert_eq!(counts("$.a"), (3, 2, 1, 0, 1));
    assert_eq!(counts("$.b"), (3, 1, 2, 0, 0));
    assert_eq!(counts("$.o"), (3, 3, 0, 1, 1));
    assert_eq!(counts("$.o.x"), (2, 1, 1, 1, 0));
    assert_eq!(counts("$.items"), (3, 3, 0, 0, 1));
    assert_eq!(counts("$.items[]"), (4, 4, 0, 1, 1));
    assert_eq!(counts("$.items[].price"), (3, 2, 1, 0, 0));
    let price = field(&s, "$.items[].price");
    assert_eq!((price.integer, price.number), (1, 1));
    assert_eq!(field(&s, "$.b").truthy, 1);
}

#[test]
fn a_field_that_a_rule_names_is_there_even_if_no_record_has_it() {
    let mut run = Run::new(Limits::default());
    let path = FieldPath { text: "$.emial".into(), steps: vec![Step::Key("emial".into())] };
    run.shape.intern(&path);
    assert!(run.summary().fields.is_empty());
    run.record(r#"{"email":"a@b"}"#);
    assert_eq!(field(&run.summary(), "$.emial").missing(), 1);
}

#[test]
fn numbers_strings_and_values_are_summed_up() {
    let mut run = Run::new(Limits::default());
    for i in 1..=1_000 {
        run.record(&format!(r#"{{"n":{i},"s":"käse-{}","id":"id-{i}"}}"#, i % 10));
    }
    let s = run.summary();
    let n = field(&s, "$.n");
    for (q, truth) in [(0.0, 1.0), (0.01, 10.0), (0.5, 500.0), (0.99, 990.0), (1.0, 1_000.0)] {
        let got = n.quantile(q).unwrap();
        assert!((got / truth - 1.0).abs() < 0.011, "{q}: {got}");
    }
    let numeric = n.numeric.as_ref().unwrap();
    assert_eq!((numeric.min, numeric.max, numeric.mean), (1.0, 1_000.0, 500.5));
    assert!((n.stddev().unwrap() - 288.675).abs() < 0.001);
    let text = field(&s, "$.s").text.unwrap();
    assert_eq!((text.length_min, text.length_max, text.length_sum), (6, 6, 6_000));
    let distinct = field(&s, "$.s").distinct_estimate();
    assert_eq!((distinct.estimate, distinct.lower, distinct.upper), (10.0, 10.0, 10.0));
    assert_eq!(field(&s, "$.s").top(1)[0].count, 100);
    let ids = field(&s, "$.id").distinct_estimate();
    assert!(ids.lower <= 1_000.0 && 1_000.0 <= ids.upper && ids.upper <= 1_000.0, "{ids:?}");
    assert!((ids.estimate / 1_000.0 - 1.0).abs() < 0.05, "{ids:?}");
}

#[test]
fn distinct_counts_keep_their_promise() {
    // Two standard errors: of 40 trials at three sizes nearly all hold, and none is far off.
    let mut outside = 0;
    for trial in 0..40i64 {
        for size in [300i64, 5_000, 60_000] {
            let mut distinct = Distinct::default();
            (0..size).for_each(|i| distinct.add(hash::integer(trial * 1_000_000 + i)));
            let e = distinct.summary().estimate();
            assert!((e.estimate / size as f64 - 1.0).abs() < 0.08, "{size}: {e:?}");
            outside += u32::from(!(e.lower..=e.upper).contains(&(size as f64)));
        }
    }
    assert!(outside <= 14, "{outside} of 120");
}

#[test]
fn what_lies_beyond_the_limits_is_counted() {
    let mut run = Run::new(Limits { fields: 4, ..Limits::default() });
    run.record(r#"{"a":1,"b":{"c":{"d":{"e":1,"f":[1,2,3]}}}}"#);
    let s = run.summary();
    let seen: u64 = s.fields.iter().map(FieldSummary::scalars).sum();
    assert_eq!(seen + s.folded_values, 5);
    assert!(s.folded_values >= 3);
}

#[test]
fn however_high_the_limits_a_summary_fits_a_report() {
    let high = Limits {
        fields: 1_000_000,
        string_bytes: 1_000_000,
        top_values: 1_000_000,
        uniqueness_values: usize::MAX,
        ..Limits::default()
    };
    let mut run = Run::new(high);
    let members: Vec<String> = (0..12_000).map(|i| format!(r#""field_{i:05}":{i}"#)).collect();
    run.record(&format!(r#"{{{},"text":"{}"}}"#, members.join(","), "x".repeat(100_000)));
    let summary = run.summary();
    assert_eq!(summary.fields.len(), crate::merge::FIELDS_MAX);
    assert_eq!(summary.folded_values + summary.fields.len() as u64, 12_002);
    assert_eq!(UniquenessBuilder::new(usize::MAX).summary(), crate::report::Uniqueness::empty());
    assert_valid(summary);
}

#[test]
fn memory_is_counted() {
    let mut run = Run::new(Limits::default());
    let empty = run.profile.approximate_bytes();
    for i in 0..1_000 {
        run.record(&format!(r#"{{"id":"id-{i}"}}"#));
    }
    // 4,096 registers and 64 values.
    let full = run.profile.approximate_bytes();
    assert!((empty + 4_096..empty + 16_384).contains(&full), "{empty} {full}");
}

#[test]
fn the_json_is_the_documented_shape() {
    let run = Run::of(&[r#"{"a":2,"s":"x"}"#, r#"{"a":2}"#]);
    let summary = PaneSummary {
        read: 3,
        examined: 3,
        decode_failures: vec![crate::report::ReasonCount { reason: "not_json".into(), count: 1 }],
        ..run.summary()
    };
    let got = serde_json::to_value(json::profile("orders", &summary)).unwrap();
    let types = |integer, string| serde_json::json!({"integer": integer, "number": 0, "string": string, "boolean": 0, "object": 0, "array": 0});
    let q = 2.0f64;
    let want = serde_json::json!({
        "version": 1, "source": "orders", "records": 3, "documents": 2,
        "decode_failures": {"not_json": 1}, "not_decoded": {}, "tombstones": 0, "duplicate_keys": 0,
        "fields": [
            {"path": "$.a", "records": 2, "missing": 0, "null": 0, "empty": 0, "types": types(2, 0),
             "numeric": {"count": 2, "not_finite": 0, "min": 2.0, "max": 2.0, "mean": 2.0, "stddev": 0.0,
                "quantiles": {"0.01": q, "0.05": q, "0.25": q, "0.5": q, "0.75": q, "0.95": q, "0.99": q},
                "relative_error": 0.01},
             "text": null, "boolean": null, "formats": null, "times": null, "top_floor": 0, "distinct": {"estimate": 1.0, "lower": 1.0, "upper": 1.0},
             "top": [{"value": "2", "count": 2, "error": 0}]},
            {"path": "$.s", "records": 2, "missing": 1, "null": 0, "empty": 0, "types": types(0, 1),
             "numeric": null, "text": {"length_min": 1, "length_max": 1, "length_mean": 1.0},
             "boolean": null, "formats": null, "times": null, "top_floor": 0,
             "distinct": {"estimate": 1.0, "lower": 1.0, "upper": 1.0},
             "top": [{"value": "x", "count": 1, "error": 0}]},
        ],
        "folded_values": 0,
    });
    assert_eq!(got, want);
}

/// It passes through the collector's validation unchanged.
pub(super) fn assert_valid(summary: PaneSummary) {
    use crate::report::{HASH_VERSION, Pane, REPORT_VERSION, Report};
    let report = Report {
        version: REPORT_VERSION,
        hash_version: HASH_VERSION,
        agent: "a".into(),
        sequence: 1,
        panes: vec![Pane { topic: "t".into(), end_ms: 1, summary: Some(summary), ..Default::default() }],
        ..Default::default()
    };
    assert_eq!(Report::decode_bounded(&report.encode_zstd().unwrap(), &Limits::default()), Ok(report));
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        (-5i64..5).prop_map(|n| n.to_string()),
        (-2.0f64..2.0).prop_map(|x| format!("{x:.2}")),
        "[a-c]{0,2}".prop_map(|s| format!("{s:?}")),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("[1,{\"x\":2}]".to_owned()),
    ]
}

fn document() -> impl Strategy<Value = String> {
    proptest::collection::btree_map("[a-d]", scalar(), 0..4).prop_map(|members| {
        let members: Vec<String> = members.iter().map(|(key, value)| format!("{key:?}:{value}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

proptest! {
    /// Two agents with a part each, or one with everything: the same profile (here within the caps
    /// on values; moments to a tolerance).
    #[test]
    fn splits_give_the_same_profile(documents in proptest::collection::vec(document(), 0..30), at in 0usize..30) {
        let of = |documents: &[String]| {
            let mut run = Run::new(Limits::default());
            documents.iter().for_each(|d| run.record(d));
            run.summary()
        };
        let (left, right) = documents.split_at(at.min(documents.len()));
        let (mut halves, mut whole) = (of(left), of(&documents));
        halves.merge(&of(right));
        for (a, b) in halves.fields.iter_mut().zip(&mut whole.fields) {
            if let (Some(a), Some(b)) = (&mut a.numeric, &mut b.numeric) {
                prop_assert!((a.mean - b.mean).abs() < 1e-9 && (a.m2 - b.m2).abs() < 1e-6);
                (a.mean, a.m2) = (b.mean, b.m2);
            }
        }
        prop_assert_eq!(halves, whole);
    }

    #[test]
    fn quantiles_keep_their_relative_error(
        mut values in proptest::collection::vec(-1e9f64..1e9, 1..300), q in 0.0f64..=1.0,
    ) {
        let mut numbers = Numbers::default();
        values.iter().for_each(|&x| numbers.add(x));
        values.sort_by(f64::total_cmp);
        let got = numbers.summary().quantile(q).unwrap();
        let rank = q * (values.len() - 1) as f64;
        let (low, high) = (values[rank.floor() as usize], values[rank.ceil() as usize]);
        prop_assert!(got >= low - low.abs() * 0.0101 && got <= high + high.abs() * 0.0101, "{low} {got} {high}");
    }

    /// A profile that an agent makes passes the collector's validation.
    #[test]
    fn an_agents_profile_is_a_valid_report(documents in proptest::collection::vec(document(), 0..20)) {
        let mut run = Run::new(Limits::default());
        documents.iter().for_each(|d| run.record(d));
        assert_valid(run.summary());
    }
}
