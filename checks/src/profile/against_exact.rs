//! Every sketch of a profile against the exact answer, on distributions chosen to be hard for one of them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::tests::Run;
use super::{RELATIVE_ERROR, hash};
use crate::limits::Limits;
use crate::report::{FieldSummary, NumericSummary, PaneSummary};
use crate::tape::Data;

/// xorshift64*: the same values in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to 1, 0 left out.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}

/// Names and values.
fn distributions(count: usize) -> Vec<(&'static str, Vec<f64>)> {
    let mut random = Random(20_261_128);
    let mut of = |make: &mut dyn FnMut(usize, &mut Random) -> f64| -> Vec<f64> {
        (0..count).map(|i| make(i, &mut random)).collect()
    };
    let mut all = vec![
        ("all equal", of(&mut |_, _| 42.125)),
        ("all zero", of(&mut |_, _| 0.0)),
        ("two clusters far from zero", of(&mut |i, r| 1e9 * (1.0 + f64::from(i as u32 % 2)) + r.unit())),
        ("heavy tail", of(&mut |_, r| r.unit().powf(-2.0))),
        (
            "both signs, heavy tails",
            of(&mut |i, r| r.unit().powf(-1.5) * if i % 2 == 0 { 1.0 } else { -1.0 }),
        ),
        ("large offset, small spread", of(&mut |_, r| 1e9 + r.unit())),
        ("powers of two", of(&mut |i, _| 2f64.powi((i % 50) as i32 - 25))),
        ("powers of two, more than the bins reach", of(&mut |i, _| 2f64.powi((i % 2_000) as i32 - 1_000))),
        ("sorted", of(&mut |i, _| i as f64)),
        ("reversed", of(&mut |i, _| (count - i) as f64)),
        ("zipf", of(&mut |_, r| (1.0 / r.unit()).floor().min(1e6))),
        ("few integers", of(&mut |_, r| (r.next() % 7) as f64)),
        ("uniform", of(&mut |_, r| r.unit() * 1e4 - 5e3)),
        ("ends of the range", of(&mut |i, _| [f64::MAX, f64::MIN, f64::MIN_POSITIVE, 1.0, -1.0][i % 5])),
    ];
    let mut alternating = Vec::new();
    let mut random = Random(7);
    // Each new greatest value moves the range that the bins keep.
    (0..count)
        .for_each(|i| alternating.push(1e-3 * 1.05f64.powi((i % 1_500) as i32) * (1.0 + random.unit())));
    all.push(("ever greater", alternating));
    all
}

fn field(run: &Run) -> FieldSummary {
    run.summary().field("$.x").cloned().expect("$.x")
}

fn run_of(values: &[f64]) -> Run {
    let mut run = Run::new(Limits::default());
    values.iter().for_each(|x| run.record(&format!("{{\"x\":{x:?}}}")));
    run
}

#[test]
fn counts_moments_and_extremes_are_those_of_the_values() {
    for (name, values) in distributions(6_000) {
        let got = field(&run_of(&values)).numeric.expect("numbers");
        assert_eq!(got.count, values.len() as u64, "{name}");
        let (min, max) = (
            values.iter().copied().fold(f64::MAX, f64::min),
            values.iter().copied().fold(f64::MIN, f64::max),
        );
        assert_eq!((got.min, got.max), (min, max), "{name}");
        if max - min > 1e300 {
            // The squares exceed what a double holds: nothing is said of them.
            assert_eq!(got.stddev(), None, "{name}");
            continue;
        }
        let n = values.len() as f64;
        let mean = exact_sum(&values) / n;
        let spread = exact_sum(&values.iter().map(|x| (x - mean) * (x - mean)).collect::<Vec<_>>());
        let stddev = (spread / n).sqrt();
        let scale = (max - min).max(max.abs() * 1e-6).max(f64::MIN_POSITIVE);
        assert!((got.mean - mean).abs() <= 1e-9 * scale, "{name}: mean {} {mean}", got.mean);
        let off = (got.stddev().expect("a spread") - stddev).abs();
        assert!(off <= 1e-9 * scale, "{name}: {:?} {stddev}", got.stddev());
    }
}

/// Without the rounding of a plain sum, by Neumaier (1974).
fn exact_sum(values: &[f64]) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0f64);
    for &x in values {
        let next = sum + x;
        lost += if sum.abs() >= x.abs() { (sum - next) + x } else { (x - next) + sum };
        sum = next;
    }
    sum + lost
}

/// Does a quantile lie within the stated error of the two values that its rank lies between?
fn holds(numbers: &NumericSummary, sorted: &[f64], q: f64) -> Result<bool, String> {
    let Some(got) = numbers.quantile(q) else { return Ok(false) };
    let rank = q * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
    // Ten digits: bins are found by logarithms.
    let error = RELATIVE_ERROR * (1.0 + 1e-9);
    let slack = |x: f64| x.abs() * error;
    match got >= low - slack(low) && got <= high + slack(high) {
        true => Ok(true),
        false => Err(format!("{q}: {got}, the truth is {low} to {high}")),
    }
}

const QUANTILES: [f64; 13] = [0.0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0];

#[test]
fn quantiles_keep_their_error_and_say_where_they_cannot() {
    for (name, mut values) in distributions(6_000) {
        let got = field(&run_of(&values)).numeric.expect("numbers");
        values.sort_by(f64::total_cmp);
        let known = QUANTILES
            .iter()
            .filter(|q| holds(&got, &values, **q).unwrap_or_else(|why| panic!("{name}: {why}")));
        let expected = match name {
            // The bins reach 6e17 below the greatest: the rest is not known.
            "powers of two, more than the bins reach" | "ends of the range" => 3..=QUANTILES.len() - 1,
            "ever greater" => 6..=QUANTILES.len(),
            _ => QUANTILES.len()..=QUANTILES.len(),
        };
        let known = known.count();
        assert!(expected.contains(&known), "{name}: {known} of {}", QUANTILES.len());
    }
}

#[test]
fn distinct_counts_and_frequent_values_keep_their_bounds() {
    let (mut trials, mut outside) = (0, 0);
    for (name, values) in distributions(6_000) {
        let got = field(&run_of(&values));
        let mut counts = BTreeMap::<u64, u64>::new();
        let of = |x: f64| hash::scalar(Data::F64(x)).expect("a scalar");
        values.iter().for_each(|&x| *counts.entry(of(x)).or_default() += 1);
        let truth = counts.len() as f64;
        let said = got.distinct_estimate();
        assert!((said.estimate / truth - 1.0).abs() < 0.08, "{name}: {said:?}, the truth is {truth}");
        if truth <= 256.0 {
            assert_eq!((said.lower, said.estimate, said.upper), (truth, truth, truth), "{name}");
        }
        trials += 1;
        outside += usize::from(!(said.lower..=said.upper).contains(&truth));

        let top = got.top.as_ref().expect("scalars");
        let mut listed = BTreeSet::new();
        for value in &top.values {
            let x: f64 = value.value.parse().unwrap_or_else(|_| panic!("{name}: {}", value.value));
            let truth = counts[&of(x)];
            listed.insert(of(x));
            assert!(
                value.count <= truth && truth <= value.count + value.error,
                "{name}: {value:?}, the truth is {truth}"
            );
        }
        for (hash, count) in counts {
            assert!(
                listed.contains(&hash) || count <= top.floor,
                "{name}: {count} times and not listed: {}",
                top.floor
            );
        }
    }
    // Two standard errors: one in twenty may lie outside.
    assert!(outside <= 2, "{outside} of {trials}");
}

/// Text lengths count characters, whatever they take in bytes.
#[test]
fn lengths_of_texts_are_exact() {
    let texts = ["", "a", "ä", "東京", "🦀🦀🦀", "e\u{301}", &"x".repeat(1_000)];
    let mut run = Run::new(Limits::default());
    for text in texts {
        run.record(&format!("{{\"x\":{}}}", serde_json::Value::from(text)));
    }
    let got = field(&run).text.expect("texts");
    let lengths: Vec<u64> = texts.iter().map(|text| text.chars().count() as u64).collect();
    assert_eq!((got.count, got.length_min, got.length_max), (7, 0, 1_000));
    assert_eq!(got.length_sum, lengths.iter().sum::<u64>());
}

/// Mean, sum of squares, spread and count of numbers.
type Moments = (f64, f64, f64, f64);

/// What is equal in every bit, however records are cut into panes and panes are merged; and moments, which are equal to
/// 1e-9 of the spread (docs of `merge`). Frequent values and forms are equal while few values differ.
fn comparable(mut summary: PaneSummary) -> (PaneSummary, Vec<Moments>) {
    let mut moments = Vec::new();
    for field in &mut summary.fields {
        for n in [field.numeric.as_mut(), field.times.as_mut().and_then(|times| times.age.as_mut())]
            .into_iter()
            .flatten()
        {
            let spread = (n.max / 2.0 - n.min / 2.0).abs().max(n.max.abs() * 1e-6).max(f64::MIN_POSITIVE);
            moments.push((std::mem::take(&mut n.mean), std::mem::take(&mut n.m2), spread, n.count as f64));
        }
    }
    (summary, moments)
}

fn record() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        3 => (-9i64..9).prop_map(|n| n.to_string()),
        // As far apart as the bins do not reach: they collapse.
        3 => (-300i32..300, 1u32..10).prop_map(|(e, m)| format!("{m}e{e}")),
        1 => (-300i32..300).prop_map(|e| format!("-1e{e}")),
        1 => (1_764_000_000u64..1_764_100_000).prop_map(|n| n.to_string()),
    ];
    let text = prop_oneof![
        "[a-d]{0,3}",
        (0u32..40).prop_map(|n| format!("2026-11-28T10:00:{n:02}Z")),
        (0u32..20).prop_map(|n| format!("550e8400-e29b-41d4-a716-{n:012}")),
    ];
    let member = prop_oneof![
        4 => number,
        3 => text.prop_map(|s| format!("{s:?}")),
        1 => Just("null".to_owned()),
        1 => Just("true".to_owned()),
        1 => Just("[1,[],{\"x\":\"y\"},{}]".to_owned()),
    ];
    proptest::collection::btree_map("[a-c]", member, 0..4).prop_map(|members| {
        let members: Vec<String> = members.iter().map(|(key, value)| format!("{key:?}:{value}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Records dealt out to any panes in any order, the panes merged in any order: the same report as of one pane, bit
    /// for bit but for moments, bins that collapse included.
    #[test]
    fn panes_of_any_cut_merge_to_the_whole(
        records in proptest::collection::vec((record(), 0usize..5), 1..60), turn in 0usize..5,
    ) {
        let of = |wanted: Option<usize>| {
            let mut run = Run::new(Limits::default());
            run.record_ms = Some(1_764_050_000_000);
            records.iter().filter(|(_, pane)| wanted.is_none_or(|w| *pane == w)).for_each(|(r, _)| run.record(r));
            run.summary()
        };
        let whole = comparable(of(None));
        let panes: Vec<PaneSummary> = (0..5).map(|pane| of(Some(pane))).collect();
        let mut order: Vec<&PaneSummary> = panes.iter().collect();
        order.rotate_left(turn);
        for order in [order.clone(), order.into_iter().rev().collect::<Vec<_>>()] {
            let mut merged = PaneSummary::default();
            order.iter().for_each(|pane| merged.merge(pane));
            let merged = comparable(merged);
            prop_assert_eq!(&merged.0, &whole.0);
            for (a, b) in merged.1.iter().zip(&whole.1) {
                let (_, _, spread, count) = *a;
                prop_assert!((a.0 - b.0).abs() / spread < 1e-9, "mean {} {}", a.0, b.0);
                let off = (a.1.sqrt() - b.1.sqrt()).abs() / spread;
                prop_assert!(off < 1e-6 * count, "m2 {} {}", a.1, b.1);
            }
        }
    }

    /// A report that goes over the wire and back says the same, age and forms included.
    #[test]
    fn what_is_sent_is_what_is_read(records in proptest::collection::vec(record(), 1..30)) {
        let mut run = Run::new(Limits::default());
        run.record_ms = Some(1_764_050_000_000);
        records.iter().for_each(|r| run.record(r));
        super::tests::assert_valid(run.summary());
    }
}
