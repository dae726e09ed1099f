use super::*;
use crate::profile::UniquenessBuilder;
use crate::profile::hash;
use crate::report::{FieldSummary, ReasonCount, RuleTally, TopSummary, TopValue, Uniqueness};
use crate::rules::{Baseline, FieldPath, Step, ValidValues};

const MINUTE: i64 = 60_000;

fn path(name: &str) -> FieldPath {
    FieldPath { text: format!("$.{name}"), steps: vec![Step::Key(name.to_owned())] }
}

fn rule(metric: Metric, unit: Unit, threshold: Option<Threshold>) -> Rule {
    Rule { unit, ..Rule::new("r", metric, threshold) }
}

fn invalid(threshold: Threshold) -> Rule {
    let metric = Metric::InvalidValues { field: path("amount"), valid: Box::new(ValidValues::default()) };
    rule(metric, Unit::Percent, Some(threshold))
}

fn tallied(read: u64, failed: u64, checked: u64) -> PaneSummary {
    let tally = RuleTally { rule: "r".into(), checked, failed, ..Default::default() };
    PaneSummary { read, examined: read, rules: vec![tally], ..Default::default() }
}

fn verdict(rule: &Rule, summary: &PaneSummary) -> Verdict {
    verdict_after(rule, summary, &[])
}

fn verdict_after(rule: &Rule, summary: &PaneSummary, history: &[HistoryWindow]) -> Verdict {
    let from_ms = 10_000 * MINUTE;
    let ctx = Context { history, ..Context::at(from_ms + MINUTE) };
    judge(rule, &Window { from_ms, to_ms: from_ms + MINUTE, summary }, &ctx)
}

fn history(summaries: impl IntoIterator<Item = PaneSummary>) -> Vec<HistoryWindow> {
    let window = |(i, summary)| {
        let to_ms = (10_000 - i as i64) * MINUTE;
        HistoryWindow { from_ms: to_ms - MINUTE, to_ms, summary: Arc::new(summary) }
    };
    summaries.into_iter().enumerate().map(window).collect()
}

#[test]
fn the_message_is_the_evidence() {
    let v = verdict(&invalid(Threshold::MustBeLessThan(0.1)), &tallied(120, 4, 120));
    assert_eq!(v.status, Status::Fail);
    assert_eq!(v.message, "4 of 120 values of $.amount (3.33%) are invalid; allowed: less than 0.1%");
    assert_eq!((v.failed, v.checked), (Some(4), Some(120)));
    assert!((v.value.unwrap() - 3.333).abs() < 0.001);
    let [low, high] = v.interval.unwrap();
    assert!((1.3..3.3).contains(&low) && (3.4..8.3).contains(&high), "{low} {high}");
    assert_eq!((v.from_ms, v.to_ms), (10_000 * MINUTE, 10_001 * MINUTE));
}

#[test]
fn every_ratio_says_what_it_counts() {
    let percent = |metric| rule(metric, Unit::Percent, Some(Threshold::MustBe(0.0)));
    let nested = FieldPath {
        text: "$.items[].price".into(),
        steps: vec![Step::Key("items".into()), Step::Elements, Step::Key("price".into())],
    };
    for (metric, text) in [
        (
            Metric::MissingValues { field: path("email"), stand_ins: Vec::new() },
            "$.email is missing from 4 of 120 records (3.33%)",
        ),
        (
            Metric::MissingValues { field: nested, stand_ins: Vec::new() },
            "$.items[].price is missing from 4 of 120 elements (3.33%)",
        ),
        (Metric::NullValues { field: path("email") }, "$.email is null in 4 of 120 records (3.33%)"),
        (Metric::FailedRows { expr: "a == b".into() }, "4 of 120 records (3.33%) do not satisfy `a == b`"),
    ] {
        let v = verdict(&percent(metric), &tallied(120, 4, 120));
        assert_eq!(v.message, format!("{text}; allowed: exactly 0%"));
        assert_eq!(v.status, Status::Fail);
    }
    let summary = PaneSummary {
        read: 13,
        examined: 12,
        tombstones: 1,
        not_decoded: vec![ReasonCount { reason: "text".into(), count: 1 }],
        decode_failures: vec![ReasonCount { reason: "not_json".into(), count: 4 }],
        schema_checked: 6,
        schema_violations: 3,
        ..Default::default()
    };
    let v = verdict(&percent(Metric::DecodeFailures), &summary);
    assert_eq!((v.failed, v.checked), (Some(4), Some(10)));
    assert!(
        v.message.starts_with("4 of 10 values (40%) could not be decoded (not_json: 4)"),
        "{}",
        v.message
    );
    let v = verdict(&percent(Metric::SchemaViolations), &summary);
    assert!(v.message.starts_with("3 of 6 documents (50%) do not fit the schema"), "{}", v.message);
}

#[test]
fn a_bound_belongs_to_the_side_its_operator_says() {
    use Threshold::*;
    let five_percent = tallied(100, 5, 100);
    for (threshold, status) in [
        (MustBeLessThan(5.0), Status::Fail),
        (MustBeLessOrEqualTo(5.0), Status::Pass),
        (MustBeGreaterThan(5.0), Status::Fail),
        (MustBeGreaterOrEqualTo(5.0), Status::Pass),
        (MustBe(5.0), Status::Pass),
        (MustNotBe(5.0), Status::Fail),
        (MustBeBetween(5.0, 6.0), Status::Pass),
        (MustNotBeBetween(5.0, 6.0), Status::Fail),
    ] {
        assert_eq!(verdict(&invalid(threshold), &five_percent).status, status, "{threshold}");
    }
}

#[test]
fn nothing_checked_is_unknown_and_says_why() {
    let field = invalid(Threshold::MustBe(0.0));
    let schema = rule(Metric::SchemaViolations, Unit::Percent, Some(Threshold::MustBe(0.0)));
    let count = |reason: &str, count| vec![ReasonCount { reason: reason.into(), count }];
    let seen = PaneSummary { read: 9, examined: 9, ..Default::default() };
    for (rule, summary, text) in [
        (&field, PaneSummary::default(), "no record in this window"),
        (
            &field,
            PaneSummary { read: 9, unexamined: count("rate", 9), ..Default::default() },
            "none of 9 records was examined (rate: 9)",
        ),
        (&field, PaneSummary { tombstones: 9, ..seen.clone() }, "all of 9 records examined are tombstones"),
        (
            &field,
            PaneSummary { not_decoded: count("text", 9), ..seen.clone() },
            "no value of 9 is in a format that is decoded yet (text: 9)",
        ),
        (
            &field,
            PaneSummary { decode_failures: count("not_json", 9), ..seen.clone() },
            "none of 9 values could be decoded (not_json: 9)",
        ),
        (&schema, seen.clone(), "no schema to hold 9 values against"),
        (&field, seen.clone(), "no value of $.amount among 9 values"),
    ] {
        let v = verdict(rule, &summary);
        assert_eq!((v.status, v.message.as_str()), (Status::Unknown, text));
        assert_eq!(v.value, None);
    }
}

#[test]
fn too_few_records_are_unknown() {
    let rule = Rule { min_records: 101, ..invalid(Threshold::MustBe(0.0)) };
    let v = verdict(&rule, &tallied(100, 100, 100));
    assert_eq!(v.status, Status::Unknown);
    assert!(
        v.message.starts_with("100 of the 101 records that a verdict needs: 100 of 100"),
        "{}",
        v.message
    );
    assert_eq!(verdict(&rule, &tallied(101, 1, 101)).status, Status::Fail);
}

#[test]
fn with_confidence_only_certainty_fails() {
    let rule = Rule { confidence: Some(0.95), ..invalid(Threshold::MustBeLessThan(5.0)) };
    // 8% of 50: from 3.2% to 18.8%.
    let v = verdict(&rule, &tallied(50, 4, 50));
    assert_eq!(v.status, Status::Pass);
    assert!(v.message.contains("not certain at 95%: 3.15% to 18.8%"), "{}", v.message);
    assert_eq!(verdict(&rule, &tallied(5_000, 400, 5_000)).status, Status::Fail);
    use Threshold::*;
    for (threshold, interval, beyond) in [
        (MustBe(1.0), [1.5, 2.0], true),
        (MustBe(1.0), [0.5, 2.0], false),
        (MustNotBe(1.0), [0.5, 2.0], false),
        (MustBeGreaterThan(1.0), [0.5, 1.0], true),
        (MustBeGreaterOrEqualTo(1.0), [0.5, 1.0], false),
        (MustBeLessThan(1.0), [1.0, 2.0], true),
        (MustBeLessOrEqualTo(1.0), [1.0, 2.0], false),
        (MustBeBetween(1.0, 2.0), [2.5, 3.0], true),
        (MustBeBetween(1.0, 2.0), [1.5, 3.0], false),
        (MustNotBeBetween(1.0, 2.0), [1.0, 2.0], true),
        (MustNotBeBetween(1.0, 2.0), [0.9, 2.0], false),
    ] {
        assert_eq!(wholly_beyond(threshold, interval), beyond, "{threshold} {interval:?}");
    }
}

#[test]
fn a_sampled_count_of_rows_is_scaled_and_has_an_interval() {
    let rows = Rule { unit: Unit::Rows, ..invalid(Threshold::MustBeLessThan(30.0)) };
    let v = verdict(&rows, &tallied(1_000, 10, 1_000));
    assert_eq!((v.value, v.interval, v.status), (Some(10.0), None, Status::Pass));
    let sampled = PaneSummary { read: 5_000, ..tallied(1_000, 10, 1_000) };
    let v = verdict(&rows, &sampled);
    assert_eq!((v.value, v.status), (Some(50.0), Status::Fail));
    let [low, high] = v.interval.unwrap();
    assert!(low > 25.0 && low < 50.0 && high > 50.0 && high < 95.0, "{low} {high}");
    assert!(v.message.contains("a sample of 20% of the records"), "{}", v.message);
}

#[test]
fn expressions_that_fail_are_errors_of_their_own() {
    let rule = rule(Metric::FailedRows { expr: "x".into() }, Unit::Percent, Some(Threshold::MustBe(0.0)));
    let with = |checked, errors| {
        let mut summary = tallied(10, 0, checked);
        summary.rules[0].errors = errors;
        verdict(&rule, &summary)
    };
    assert_eq!(with(0, 10).status, Status::Error);
    assert_eq!(with(0, 10).message, "`x` could not be evaluated on 10 of 10 records");
    assert_eq!(with(5, 5).status, Status::Error);
    let some = with(7, 3);
    assert_eq!((some.status, some.checked), (Status::Pass, Some(7)));
    assert!(some.message.contains("on 3 more it could not be evaluated"), "{}", some.message);
}

#[test]
fn freshness_is_the_age_of_the_latest_record() {
    let rule = rule(Metric::Freshness, Unit::Seconds, Some(Threshold::MustBeLessThan(300.0)));
    let summary = PaneSummary::default();
    let at = |last_record_ms| {
        let ctx = Context { last_record_ms, ..Context::at(1_000_000) };
        judge(&rule, &Window { from_ms: 0, to_ms: 1, summary: &summary }, &ctx)
    };
    assert_eq!(at(None).status, Status::Unknown);
    assert_eq!(at(Some(700_001)).status, Status::Pass);
    let late = at(Some(700_000));
    assert_eq!((late.status, late.value), (Status::Fail, Some(300.0)));
    assert_eq!(late.message, "the latest record is 5 min old; allowed: less than 5 min");
    let ahead = at(Some(1_002_500));
    assert_eq!((ahead.status, ahead.value), (Status::Pass, Some(-2.5)));
    assert!(ahead.message.contains("2.5 s in the future"), "{}", ahead.message);
}

#[test]
fn no_records_are_zero_rows() {
    let rows = |t| rule(Metric::RowCount, Unit::Rows, Some(t));
    let v = verdict(&rows(Threshold::MustBeGreaterThan(0.0)), &PaneSummary::default());
    assert_eq!((v.status, v.value), (Status::Fail, Some(0.0)));
    assert_eq!(v.message, "0 records; allowed: more than 0");
    // What was read counts, however little was examined.
    let sampled = PaneSummary { read: 100, examined: 1, ..Default::default() };
    assert_eq!(verdict(&rows(Threshold::MustBe(100.0)), &sampled).status, Status::Pass);
}

fn volume(read: u64) -> PaneSummary {
    PaneSummary { read, ..Default::default() }
}

#[test]
fn volume_learns_before_it_judges() {
    let rule = Rule { baseline: Some(Baseline::Seasonal), ..rule(Metric::RowCount, Unit::Rows, None) };
    let steady = |n: u64| history((0..n).map(|i| volume(1_000 + i % 3)));
    let learning = verdict_after(&rule, &volume(0), &steady(11));
    assert_eq!(learning.status, Status::Unknown);
    assert_eq!(learning.message, "0 records; learning, 11 of 12 windows");
    assert_eq!(learning.value, Some(0.0));
    for (rows, status) in [
        (0, Status::Fail),
        (790, Status::Fail),
        (850, Status::Pass),
        (1_190, Status::Pass),
        (1_300, Status::Fail),
    ] {
        let v = verdict_after(&rule, &volume(rows), &steady(12));
        assert_eq!(v.status, status, "{rows}: {}", v.message);
    }
    // Windows of another length, or that overlap this one, are no baseline.
    let mut odd = steady(12);
    odd[0].from_ms -= 1;
    assert_eq!(verdict_after(&rule, &volume(0), &odd).status, Status::Unknown);
    let mut odd = steady(12);
    odd[0].to_ms += 1;
    odd[0].from_ms += 1;
    assert_eq!(verdict_after(&rule, &volume(0), &odd).status, Status::Unknown);
}

#[test]
fn the_same_hour_of_the_week_is_the_better_baseline() {
    let rule = Rule { baseline: Some(Baseline::Seasonal), ..rule(Metric::RowCount, Unit::Rows, None) };
    let mut past = history((0..20).map(|_| volume(10_000)));
    // Five windows of this hour in weeks before were quiet.
    const WEEK: i64 = 7 * 24 * 60 * MINUTE;
    for week in 1..=5 {
        let from_ms = 10_000 * MINUTE - week * WEEK;
        past.push(HistoryWindow { from_ms, to_ms: from_ms + MINUTE, summary: Arc::new(volume(100)) });
    }
    assert_eq!(verdict_after(&rule, &volume(100), &past).status, Status::Pass);
    assert_eq!(verdict_after(&rule, &volume(10_000), &past).status, Status::Fail);
    let previous = Rule { baseline: Some(Baseline::Previous), ..rule };
    assert_eq!(verdict_after(&previous, &volume(10_000), &past).status, Status::Pass);
}

#[test]
fn a_threshold_speaks_while_the_baseline_learns() {
    let rule = Rule {
        baseline: Some(Baseline::Seasonal),
        ..rule(Metric::RowCount, Unit::Rows, Some(Threshold::MustBeGreaterThan(0.0)))
    };
    assert_eq!(verdict_after(&rule, &volume(0), &[]).status, Status::Fail);
    assert_eq!(verdict_after(&rule, &volume(5), &[]).status, Status::Pass);
}

fn duplicates(unit: Unit, threshold: Threshold) -> Rule {
    rule(Metric::DuplicateValues { field: path("id"), with: Vec::new() }, unit, Some(threshold))
}

fn with_ids(ids: impl Iterator<Item = i64>, cap: usize) -> PaneSummary {
    let mut unique = UniquenessBuilder::new(cap);
    ids.for_each(|id| unique.add(hash::integer(id)));
    let (checked, failed) = unique.tally();
    let mut summary = tallied(checked, failed, checked);
    summary.rules[0].uniqueness = Some(unique.summary());
    summary
}

#[test]
fn duplicates_are_counted_across_the_panes_of_a_window() {
    let rule = duplicates(Unit::Rows, Threshold::MustBe(0.0));
    let mut window = with_ids(0..100, 1_000);
    assert_eq!(verdict(&rule, &window).status, Status::Pass);
    // No copy within either pane, ten across them.
    window.merge(&with_ids(90..190, 1_000));
    let v = verdict(&rule, &window);
    assert_eq!((v.status, v.value, v.checked), (Status::Fail, Some(10.0), Some(200)));
    assert!(v.message.starts_with("10 of 200 values of $.id (5%) are copies"), "{}", v.message);
}

#[test]
fn beyond_the_cap_duplicates_are_estimated_with_an_interval() {
    let rule = duplicates(Unit::Rows, Threshold::MustBeLessThan(100.0));
    let v = verdict(&rule, &with_ids((0..40_000).chain(0..8_000), 4_000));
    let (value, [low, high]) = (v.value.unwrap(), v.interval.unwrap());
    assert_eq!(v.status, Status::Fail);
    assert!(low < 8_000.0 && 8_000.0 < high && low < value && value < high, "{low} {value} {high}");
    assert!(v.message.contains("a sample of 10"), "{}", v.message);
}

#[test]
fn duplicates_are_unknown_in_a_sample() {
    let rule = duplicates(Unit::Percent, Threshold::MustBe(0.0));
    let mut summary = with_ids(0..10, 100);
    summary.read = 20;
    summary.unexamined = vec![ReasonCount { reason: "rate".into(), count: 10 }];
    let v = verdict(&rule, &summary);
    assert_eq!(v.status, Status::Unknown);
    assert!(v.message.contains("10 of 20 were"), "{}", v.message);
    let none = PaneSummary { read: 5, examined: 5, ..Default::default() };
    assert_eq!(verdict(&rule, &none).status, Status::Unknown);
    let mut nothing_kept = tallied(5, 0, 5);
    nothing_kept.rules[0].uniqueness = Some(Uniqueness::default());
    assert_eq!(verdict(&rule, &nothing_kept).status, Status::Unknown);
}

fn numbers(values: impl Iterator<Item = i64>) -> PaneSummary {
    use crate::limits::Limits;
    use crate::tape::{Shape, Tape, json};
    let limits = Limits::default();
    let (mut shape, mut tape) = (Shape::new(&limits), Tape::new());
    let mut profile = crate::profile::Profile::new(&limits);
    for value in values {
        let payload = format!(r#"{{"amount":{value}}}"#);
        let document = json::decode(payload.as_bytes(), &mut shape, &mut tape, &limits).unwrap();
        profile.document(document, None, &shape);
    }
    PaneSummary { fields: profile.summary(&shape).0, ..Default::default() }
}

fn drift() -> Rule {
    let metric = Metric::Drift { field: path("amount") };
    Rule { baseline: Some(Baseline::Previous), ..rule(metric, Unit::Score, None) }
}

#[test]
fn drift_learns_then_sees_a_shift_but_not_noise() {
    // A spread of 1,000 values in an order without pattern.
    let window = |offset: i64, n: i64| numbers((0..n).map(move |i| (i * 7_919 + offset * 31) % 1_000 + 100));
    let past = history((0..3).map(|i| window(i, 400)));
    let v = verdict_after(&drift(), &window(9, 400), &past[..2]);
    assert_eq!((v.status, v.message.as_str()), (Status::Unknown, "learning, 2 of 3 windows"));
    let v = verdict_after(&drift(), &window(9, 199), &past);
    assert_eq!(v.status, Status::Unknown);
    assert!(
        v.message.contains("199 values of $.amount in this window, 1200 in the windows before"),
        "{}",
        v.message
    );
    let v = verdict_after(&drift(), &window(9, 400), &past);
    assert_eq!(v.status, Status::Pass, "{}", v.message);
    let shifted = numbers((0..400).map(|i| (i * 7_919) % 1_000 + 500));
    let v = verdict_after(&drift(), &shifted, &past);
    assert_eq!(v.status, Status::Fail, "{}", v.message);
    assert!(v.value.unwrap() > 0.25 && v.message.contains("has shifted"), "{}", v.message);
    // The field is gone altogether: nothing to compare, other metrics see to that.
    assert_eq!(verdict_after(&drift(), &PaneSummary::default(), &past).status, Status::Unknown);
}

#[test]
fn drift_of_categories_goes_by_shares() {
    let window = |shares: &[(&str, u64)]| {
        let values = shares
            .iter()
            .map(|&(v, count)| TopValue { value: v.into(), count, error: 0 })
            .collect::<Vec<_>>();
        let n = shares.iter().map(|(_, count)| count).sum();
        let field = FieldSummary {
            path: "$.amount".into(),
            records: n,
            present: n,
            string: n,
            top: Some(TopSummary { values, floor: 0 }),
            ..Default::default()
        };
        PaneSummary { fields: vec![field], ..Default::default() }
    };
    let past = history((0..3).map(|_| window(&[("new", 300), ("paid", 600), ("shipped", 100)])));
    let v = verdict_after(&drift(), &window(&[("new", 90), ("paid", 190), ("shipped", 30)]), &past);
    assert_eq!(v.status, Status::Pass, "{}", v.message);
    let v = verdict_after(&drift(), &window(&[("lost", 150), ("new", 90), ("paid", 60)]), &past);
    assert_eq!(v.status, Status::Fail, "{}", v.message);
    // Payload values stay out of messages.
    assert!(
        !v.message.contains("lost") && v.message.contains("one value went from 0% to 50%"),
        "{}",
        v.message
    );
    // Identifiers: no value is frequent, so nothing can be said.
    let ids: Vec<(String, u64)> = (0..500).map(|i| (format!("id-{i:04}"), 1)).collect();
    let ids: Vec<(&str, u64)> = ids.iter().map(|(id, n)| (id.as_str(), *n)).collect();
    let v = verdict_after(&drift(), &window(&ids), &history((0..3).map(|_| window(&ids))));
    assert_eq!(v.status, Status::Unknown, "{}", v.message);
}

#[test]
fn hostile_counts_do_not_panic() {
    let most = u64::MAX;
    let mut summary = tallied(most, most, most);
    summary.examined = 1;
    summary.rules[0].errors = most - 1;
    summary.rules[0].uniqueness =
        Some(Uniqueness { threshold: 2, hashes: vec![0, 1], counts: vec![most, most] });
    summary.tombstones = most;
    let metrics = [
        Metric::RowCount,
        Metric::Freshness,
        Metric::SchemaViolations,
        Metric::DecodeFailures,
        Metric::Drift { field: path("amount") },
        Metric::DuplicateValues { field: path("amount"), with: Vec::new() },
        Metric::MissingValues { field: path("amount"), stand_ins: Vec::new() },
        Metric::FailedRows { expr: "x".into() },
    ];
    for metric in metrics {
        for unit in [Unit::Rows, Unit::Percent] {
            let rule = rule(metric.clone(), unit, Some(Threshold::MustBe(0.0)));
            let v = verdict(&rule, &summary);
            assert!(v.value.is_none_or(f64::is_finite), "{v:?}");
        }
    }
}
