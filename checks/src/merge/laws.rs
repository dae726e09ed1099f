//! The laws of `mod.rs`, on arbitrary summaries.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::report::*;

/// Counts as they come, and as a hostile peer would send them.
fn count() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0u64..1_000, 1 => Just(u64::MAX), 1 => Just(u64::MAX - 7)]
}

fn reasons() -> impl Strategy<Value = Vec<ReasonCount>> {
    let name = prop_oneof![9 => "[a-d]", 1 => Just(OTHER.to_owned())];
    let few = btree_map(name, count(), 0..4);
    let many = btree_map("[a-z][a-z]", count(), 0..REASONS_MAX);
    prop_oneof![4 => few, 1 => many]
        .prop_map(|map| map.into_iter().map(|(reason, count)| ReasonCount { reason, count }).collect())
}

fn examples() -> impl Strategy<Value = Vec<Example>> {
    btree_set((0i32..3, 0i64..20, "[xy]"), 0..=EXAMPLES_MAX).prop_map(|set| {
        set.into_iter().map(|(partition, offset, value)| Example { partition, offset, value }).collect()
    })
}

fn histogram() -> impl Strategy<Value = Histogram> {
    let exemplar = proptest::option::of((any::<u8>(), 0i64..4));
    (vec(prop_oneof![Just(0u64), 1u64..5_000_000_000, any::<u64>()], 0..20), exemplar).prop_map(
        |(observations, exemplar)| {
            let mut h = Histogram::default();
            observations.iter().for_each(|&ns| h.observe_ns(ns));
            if let Some((id, at_ms)) = exemplar {
                h.offer_exemplar(Exemplar { trace_id: vec![id; 16], seconds: f64::from(id), at_ms });
            }
            h
        },
    )
}

fn bins() -> impl Strategy<Value = Vec<Bin>> {
    let index = prop_oneof![9 => -20i32..20, 1 => -35_000i32..35_000];
    btree_map(index, 1u64..9, 0..12).prop_map(|map| {
        let mut bins = map.into_iter().map(|(index, count)| Bin { index, count }).collect();
        numeric::collapse(&mut bins);
        bins
    })
}

fn numeric() -> impl Strategy<Value = NumericSummary> {
    (bins(), bins(), count(), vec(-1e6f64..1e6, 1..9)).prop_map(|(positive, negative, not_finite, values)| {
        let mut all = NumericSummary { not_finite, ..Default::default() };
        for v in values {
            all.merge(&NumericSummary { count: 1, min: v, max: v, mean: v, ..Default::default() });
        }
        NumericSummary { positive, negative, ..all }
    })
}

fn distinct() -> impl Strategy<Value = DistinctSummary> {
    let hashes = prop_oneof![btree_set(0u64..50, 0..9), btree_set(any::<u64>(), 0..400)];
    hashes.prop_map(|hashes| {
        let mut summary = DistinctSummary::default();
        for hash in hashes {
            summary.merge(&DistinctSummary {
                precision: DISTINCT_PRECISION,
                registers: Vec::new(),
                hashes: vec![hash],
            });
        }
        summary
    })
}

fn top() -> impl Strategy<Value = TopSummary> {
    (btree_map("[a-f]{1,2}", (count(), count()), 0..9), count()).prop_map(|(values, floor)| TopSummary {
        values: values.into_iter().map(|(value, (count, error))| TopValue { value, count, error }).collect(),
        floor,
    })
}

fn uniqueness() -> impl Strategy<Value = Uniqueness> {
    let threshold = prop_oneof![2 => Just(u64::MAX), 1 => 0u64..60];
    (btree_map(prop_oneof![9 => 0u64..60, 1 => Just(u64::MAX)], 1u64..5, 0..12), threshold).prop_map(
        |(values, threshold)| {
            let kept = values.into_iter().filter(|(hash, _)| *hash < threshold || threshold == u64::MAX);
            let (hashes, counts) = kept.unzip();
            Uniqueness { threshold, hashes, counts }
        },
    )
}

fn segments() -> impl Strategy<Value = Vec<SegmentTally>> {
    btree_map("[a-z]{0,2}", vec(count(), 3), 0..200).prop_map(|map| {
        let one = |(segment, n): (String, Vec<u64>)| SegmentTally {
            segment,
            checked: n[0],
            failed: n[1],
            errors: n[2],
        };
        map.into_iter().map(one).collect()
    })
}

fn numbers() -> impl Strategy<Value = NumberTally> {
    (vec(-1e300f64..1e300, 0..6), count()).prop_map(|(values, skewed)| {
        let mut sum = sum::SumBuilder::default();
        values.iter().for_each(|&x| sum.add(x));
        NumberTally { numeric: None, sum: Some(sum.summary()), skewed }
    })
}

fn times() -> impl Strategy<Value = TimeSummary> {
    let forms = btree_map("[a-c]", count(), 1..3);
    (1u64..9, any::<i64>(), any::<i64>(), forms, proptest::option::of(numeric())).prop_map(
        |(count, a, b, forms, age)| TimeSummary {
            count,
            first_ms: a.min(b),
            last_ms: a.max(b),
            forms: forms.into_iter().map(|(reason, count)| ReasonCount { reason, count }).collect(),
            age,
        },
    )
}

prop_compose! {
    fn field()(
        n in vec(count(), 12),
        numeric in proptest::option::of(numeric()),
        text in proptest::option::of((1u64..9, 0u64..9, 0u64..9, count())),
        distinct in proptest::option::of(distinct()),
        top in proptest::option::of(top()),
        times in proptest::option::of(times()),
        formats in reasons(),
    ) -> FieldSummary {
        FieldSummary {
            path: String::new(),
            records: n[0], present: n[1], null: n[2], empty: n[3], integer: n[4], number: n[5],
            string: n[6], boolean: n[7], object: n[8], array: n[9], truthy: n[10],
            numeric,
            text: text.map(|(count, a, b, length_sum)|
                TextSummary { count, length_min: a.min(b), length_max: a.max(b), length_sum }),
            distinct,
            top,
            times,
            formats,
            texts_seen: n[11],
        }
    }
}

/// Profiles in which every member's object is there too, as an agent makes them.
fn fields() -> impl Strategy<Value = Vec<FieldSummary>> {
    const TREE: [&str; 7] = ["$", "$.a", "$.a.b", "$.c", "$.c[]", "$.c[].d", "$.m.*"];
    vec(proptest::option::of(field()), TREE.len()).prop_map(|fields| {
        let mut kept: Vec<FieldSummary> = Vec::new();
        for (path, field) in TREE.iter().zip(fields) {
            let parent = path.rfind(['.', '[']).map(|at| &path[..at]);
            if parent.is_none_or(|p| p == "$.m" || kept.iter().any(|f| f.path == p))
                && let Some(field) = field
            {
                kept.push(FieldSummary { path: (*path).to_owned(), ..field });
            }
        }
        kept
    })
}

prop_compose! {
    fn pane()(
        n in vec(count(), 11),
        lists in vec(reasons(), 5),
        shown in vec(examples(), 2),
        times in vec(prop_oneof![Just(0i64), 1i64..1_000], 2),
        fields in fields(),
        rules in btree_map("[a-c]", (vec(count(), 3), examples(), proptest::option::of(uniqueness()), proptest::option::of(numbers()), segments()), 0..3),
        delay in proptest::option::of(histogram()),
        schemas in btree_map(1u32..40, (count(), 0i64..1_000), 0..12),
    ) -> PaneSummary {
        PaneSummary {
            read: n[0], read_bytes: n[1], examined: n[2],
            unexamined: lists[0].clone(),
            tombstones: n[3],
            not_decoded: lists[1].clone(),
            decode_failures: lists[2].clone(),
            decode_examples: shown[0].clone(),
            schema_checked: n[4], schema_violations: n[5],
            schema_examples: shown[1].clone(),
            first_record_ms: times[0], last_record_ms: times[1],
            bad_timestamps: n[6],
            fields,
            folded_values: n[7],
            rules: rules.into_iter().map(|(rule, (n, examples, uniqueness, numbers, segments))|
                RuleTally { rule, checked: n[0], failed: n[1], errors: n[2], examples, uniqueness, numbers, segments, keyed: None, definition: 7 }).collect(),
            delay,
            catching_up: n[8], skewed: n[9],
            header_notes: lists[3].clone(),
            duplicate_keys: n[10],
            time_fallbacks: lists[4].clone(),
            schemas: schemas.into_iter().map(|(id, (count, first_ms))| SchemaSeen { id, count, first_ms }).collect(),
        }
    }
}

fn merged<'a>(parts: impl IntoIterator<Item = &'a PaneSummary>) -> PaneSummary {
    let mut all = PaneSummary::default();
    parts.into_iter().for_each(|part| all.merge(part));
    all
}

/// Sets the moments, which are equal only to a tolerance, apart from the rest.
fn without_moments(mut pane: PaneSummary) -> (PaneSummary, Vec<(f64, f64, f64)>) {
    let moments = pane
        .fields
        .iter_mut()
        .flat_map(|f| [f.numeric.as_mut(), f.times.as_mut().and_then(|times| times.age.as_mut())])
        .flatten()
        .map(|n| {
            let spread = (n.max - n.min).max(1.0);
            (
                std::mem::take(&mut n.mean) / spread,
                std::mem::take(&mut n.m2) / spread / spread,
                n.count as f64,
            )
        })
        .collect();
    (pane, moments)
}

fn assert_same(a: PaneSummary, b: PaneSummary) -> Result<(), TestCaseError> {
    let (a, a_moments) = without_moments(a);
    let (b, b_moments) = without_moments(b);
    prop_assert_eq!(a, b);
    for (x, y) in a_moments.iter().zip(&b_moments) {
        prop_assert!((x.0 - y.0).abs() < 1e-9, "mean {} {}", x.0, y.0);
        prop_assert!((x.1 - y.1).abs() < 1e-9 * x.2.max(1.0), "m2 {} {}", x.1, y.1);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn panes_merge_commutatively(a in pane(), b in pane()) {
        prop_assert_eq!(merged([&a, &b]), merged([&b, &a]));
    }

    #[test]
    fn panes_merge_associatively(a in pane(), b in pane(), c in pane()) {
        let mut right = b.clone();
        right.merge(&c);
        assert_same(merged([&a, &b, &c]), merged([&a, &right]))?;
    }

    #[test]
    fn the_empty_pane_is_neutral(a in pane()) {
        let mut left = a.clone();
        left.merge(&PaneSummary::default());
        prop_assert_eq!(&left, &a);
        prop_assert_eq!(merged([&a]), a);
    }

    #[test]
    fn every_order_and_grouping_gives_the_same(
        parts in vec(pane(), 2..6), order in any::<proptest::sample::Index>(), split in any::<proptest::sample::Index>(),
    ) {
        let mut turned: Vec<&PaneSummary> = parts.iter().collect();
        turned.rotate_left(order.index(parts.len()));
        turned.reverse();
        let (left, right) = turned.split_at(split.index(parts.len()));
        let halves = [merged(left.iter().copied()), merged(right.iter().copied())];
        assert_same(merged(&parts), merged(&halves))?;
    }

    #[test]
    fn lists_stay_sorted_and_bounded(parts in vec(pane(), 1..5)) {
        let all = merged(&parts);
        let lists =
            [&all.unexamined, &all.not_decoded, &all.decode_failures, &all.header_notes, &all.time_fallbacks];
        for list in lists {
            prop_assert!(list.len() <= REASONS_MAX && list.is_sorted_by(|a, b| a.reason < b.reason));
        }
        prop_assert!(all.decode_examples.len() <= EXAMPLES_MAX && all.decode_examples.is_sorted());
        prop_assert!(all.fields.is_sorted_by(|a, b| a.path < b.path));
        for numeric in all.fields.iter().filter_map(|f| f.numeric.as_ref()) {
            for bins in [&numeric.positive, &numeric.negative] {
                prop_assert!(bins.len() <= BINS_MAX && bins.is_sorted_by(|a, b| a.index < b.index));
            }
        }
    }

    #[test]
    fn uniqueness_is_the_same_in_every_order(
        parts in vec(uniqueness(), 3), most in 1usize..9,
    ) {
        let merged = |order: [usize; 3]| {
            let mut all = Uniqueness::empty();
            order.iter().for_each(|&i| all.merge_within(&parts[i], most));
            all
        };
        let all = merged([0, 1, 2]);
        for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            prop_assert_eq!(&merged(order), &all);
        }
        let mut right = parts[1].clone();
        right.merge_within(&parts[2], most);
        let mut left = parts[0].clone();
        left.merge_within(&right, most);
        prop_assert_eq!(left, all);
    }

    /// Beyond the cap the values listed may differ with the order; the bounds hold all the same.
    #[test]
    fn bounds_of_top_values_hold_after_cutting(
        counts in vec(btree_map("[a-h]", 1u64..50, 0..9), 1..6), most in 1usize..5,
    ) {
        let mut truth = std::collections::BTreeMap::<&str, u64>::new();
        let mut all = TopSummary::default();
        for part in &counts {
            let values =
                part.iter().map(|(value, &count)| TopValue { value: value.clone(), count, error: 0 }).collect();
            part.iter().for_each(|(value, count)| *truth.entry(value).or_default() += count);
            all.merge(&TopSummary { values, floor: 0 });
            all.cut(most);
        }
        for (value, &count) in &truth {
            match all.values.iter().find(|v| v.value == *value) {
                Some(v) => prop_assert!(v.count <= count && count <= v.count + v.error),
                None => prop_assert!(count <= all.floor),
            }
        }
    }

    #[test]
    fn histograms_are_split_anywhere(
        observations in vec(any::<u64>(), 0..30), at in any::<proptest::sample::Index>(),
    ) {
        let of = |list: &[u64]| {
            let mut h = Histogram::default();
            list.iter().for_each(|&ns| h.observe_ns(ns));
            h
        };
        let at = at.index(observations.len() + 1);
        let (left, right) = observations.split_at(at);
        let mut halves = of(left);
        halves.merge(&of(right));
        prop_assert_eq!(halves, of(&observations));
    }
}
