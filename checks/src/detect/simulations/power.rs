//! Changes that matter: found within two windows of 10,000 records.

use super::*;
use crate::detect::Kind;

const DAY: usize = 24 * 12;
const RECORDS: u64 = 10_000;

/// After two days of the first fields come windows of the others: what is found in two windows of
/// them, over several seeds.
fn found(before: &[Spec], after: &[Spec], records: u64, kind: Kind, message: &str) {
    for seed in 0..8 {
        let mut topic = Topic::new(1_000 + seed, before.to_vec(), Settings::default());
        topic.run(2 * DAY, |random, _| random.poisson(RECORDS as f64));
        assert_eq!(topic.opened(), Vec::<&Observation>::new(), "before");
        topic.fields = after.to_vec();
        topic.run(2, |random, _| random.poisson(records as f64));
        let opened = topic.opened();
        assert_eq!(opened.len(), 1, "seed {seed}: {opened:#?}");
        assert_eq!(opened[0].kind, kind, "seed {seed}: {opened:#?}");
        assert!(opened[0].message.contains(message), "{}", opened[0].message);
    }
}

fn others() -> Vec<Spec> {
    vec![spec("id", zipf(30, 0.0)), spec("price", numbers(Draw::LogNormal { sigma: 1.0 }))]
}

fn with(spec: Spec) -> Vec<Spec> {
    [vec![spec], others()].concat()
}

#[test]
fn a_null_rate_from_half_a_percent_to_five() {
    let null = |null| with(Spec { null, ..spec("email", zipf(5, 1.0)) });
    found(&null(0.005), &null(0.05), RECORDS, Kind::Nulls, "$.email is null in ");
}

#[test]
fn values_missing_from_half_a_percent_to_five() {
    let missing = |missing| with(Spec { missing, ..spec("email", zipf(5, 1.0)) });
    found(&missing(0.005), &missing(0.05), RECORDS, Kind::Missing, "$.email is missing in ");
}

#[test]
fn a_mean_moved_by_three_tenths_of_a_deviation() {
    for mean in [0.0, 100.0, 1e6] {
        let normal = |mean| with(spec("amount", numbers(Draw::Normal { mean, deviation: 10.0 })));
        found(&normal(mean), &normal(mean + 3.0), RECORDS, Kind::Distribution, "$.amount have shifted");
    }
}

#[test]
fn a_share_doubled() {
    let shares = |a: f64| with(spec("status", Values::Categories(vec![a, 0.5, 0.5 - a])));
    found(&shares(0.05), &shares(0.10), RECORDS, Kind::Categories, "v0000");
    found(&shares(0.01), &shares(0.02), RECORDS, Kind::Categories, "v0000");
    found(&shares(0.20), &shares(0.40), RECORDS, Kind::Categories, "is ");
}

#[test]
fn a_new_value_and_one_that_is_gone() {
    let shares = |a: f64, b: f64| with(spec("status", Values::Categories(vec![a, 1.0 - a - b, b])));
    found(&shares(0.3, 0.0), &shares(0.3, 0.01), RECORDS, Kind::NewValue, "v0002");
    found(&shares(0.3, 0.02), &shares(0.3, 0.0), RECORDS, Kind::Categories, "never \"v0002\"");
}

#[test]
fn volume_halved_and_doubled_and_gone() {
    found(&others(), &others(), RECORDS / 2, Kind::Volume, "fewer than the usual");
    found(&others(), &others(), 3 * RECORDS, Kind::Volume, "more than the usual");
    found(&others(), &others(), 0, Kind::Volume, "0 records, fewer");
}

#[test]
fn a_renamed_field_is_one_finding() {
    let named = |name: &str| with(spec(name, numbers(Draw::LogNormal { sigma: 0.5 })));
    found(
        &named("total"),
        &named("grand_total"),
        RECORDS,
        Kind::Renamed,
        "$.total is named $.grand_total now",
    );
    let text = |name: &str| with(spec(name, zipf(8, 1.0)));
    found(&text("state"), &text("status"), RECORDS, Kind::Renamed, "$.state is named $.status now");
}

#[test]
fn fields_that_come_and_go() {
    let extra = with(spec("coupon", zipf(3, 1.0)));
    found(&others(), &extra, RECORDS, Kind::NewField, "$.coupon is new");
    found(&extra, &others(), RECORDS, Kind::Missing, "$.coupon is not there any more");
}

#[test]
fn values_of_another_type() {
    let text = with(spec("amount", zipf(50, 0.5)));
    let number = with(spec("amount", numbers(Draw::Exponential)));
    found(&number, &text, RECORDS, Kind::Types, "$.amount is a string in 100%");
}

#[test]
fn many_fields_at_once_are_one_finding() {
    let many = |null: f64| -> Vec<Spec> {
        (0..12).map(|i| Spec { null, ..spec(&format!("f{i}"), zipf(4, 1.0)) }).collect()
    };
    found(&many(0.01), &many(0.4), RECORDS, Kind::ManyFields, "12 fields are unlike before");
}

#[test]
fn different_values_collapse() {
    let ids = |values: Values| with(spec("session", values));
    found(&ids(Values::Unique), &ids(zipf(2_000, 0.0)), RECORDS, Kind::Cardinality, "different values");
}
