//! The life of a finding, on a topic whose truth is known.

use super::simulations::{DAY_MS, Draw, HOUR_MS, MONDAY_MS, Spec, Topic, Values, numbers, spec, zipf};
use proptest::prelude::*;

use super::*;
use crate::report::FieldSummary;

fn settings() -> Settings {
    Settings { learn_ms: 6 * HOUR_MS, adopt_ms: 12 * HOUR_MS, ..Settings::default() }
}

fn email(null: f64) -> Vec<Spec> {
    vec![Spec { null, ..spec("email", zipf(5, 1.0)) }, spec("price", numbers(Draw::Exponential))]
}

fn told(topic: &Topic) -> Vec<(What, Kind)> {
    topic.told.iter().map(|o| (o.what, o.kind)).collect()
}

/// Hours of windows of about 2,000 records.
fn hours(topic: &mut Topic, hours: usize) {
    topic.run(hours * 12, |random, _| random.poisson(2_000.0));
}

#[test]
fn learning_says_how_far_it_is() {
    let settings = Settings::default();
    let mut topic = Topic::new(1, email(0.01), settings.clone());
    assert_eq!(topic.detectors.status(&settings), Status::Unseen);
    hours(&mut topic, 3);
    assert_eq!(topic.detectors.status(&settings).text(), "learning, 3 of 24 h");
    hours(&mut topic, 21);
    assert_eq!(topic.detectors.status(&settings), Status::Watching);
    let short = Status::Learning { known_ms: 90_000, needed_ms: 600_000 };
    assert_eq!(short.text(), "learning, 1 of 10 min");
}

#[test]
fn a_finding_that_stays_is_one_and_ends_when_all_is_as_before() {
    let mut topic = Topic::new(2, email(0.01), settings());
    hours(&mut topic, 8);
    topic.fields = email(0.08);
    hours(&mut topic, 5);
    assert_eq!(told(&topic), [(What::Opened, Kind::Nulls)]);
    assert_eq!(topic.told[0].began_ms, MONDAY_MS + 8 * HOUR_MS);
    assert_eq!(topic.detectors.open(), BTreeMap::from([(Kind::Nulls, 1)]));
    topic.fields = email(0.01);
    hours(&mut topic, 1);
    assert_eq!(told(&topic), [(What::Opened, Kind::Nulls), (What::Resolved, Kind::Nulls)]);
    // The past left the bad hours out: the same again is found again.
    topic.fields = email(0.08);
    hours(&mut topic, 1);
    assert_eq!(told(&topic).len(), 3);
}

#[test]
fn what_lasts_is_usual_from_then_on() {
    let mut topic = Topic::new(3, email(0.01), settings());
    hours(&mut topic, 8);
    topic.fields = email(0.2);
    hours(&mut topic, 14);
    assert_eq!(told(&topic), [(What::Opened, Kind::Nulls), (What::Adopted, Kind::Nulls)]);
    hours(&mut topic, 12);
    assert_eq!(told(&topic).len(), 2, "{:#?}", topic.told);
    topic.fields = email(0.01);
    hours(&mut topic, 1);
    assert_eq!(told(&topic)[2..], [(What::Opened, Kind::Nulls)]);
}

#[test]
fn a_volume_that_stays_is_usual_from_then_on() {
    let mut topic = Topic::new(4, email(0.01), settings());
    hours(&mut topic, 8);
    topic.run(14 * 12, |random, _| random.poisson(900.0));
    assert_eq!(told(&topic), [(What::Opened, Kind::Volume), (What::Adopted, Kind::Volume)]);
    topic.run(48 * 12, |random, _| random.poisson(900.0));
    assert_eq!(told(&topic).len(), 2, "{:#?}", topic.told);
}

#[test]
fn a_field_that_came_and_stays_and_one_that_went_for_good() {
    let mut topic = Topic::new(5, email(0.01), settings());
    hours(&mut topic, 8);
    topic.fields.push(spec("coupon", zipf(3, 1.0)));
    hours(&mut topic, 14);
    assert_eq!(told(&topic), [(What::Opened, Kind::NewField), (What::Adopted, Kind::NewField)]);
    topic.fields.remove(1);
    hours(&mut topic, 14);
    assert_eq!(told(&topic)[2..], [(What::Opened, Kind::Missing), (What::Adopted, Kind::Missing)]);
    hours(&mut topic, 4);
    assert_eq!(told(&topic).len(), 4);
}

#[test]
fn no_records_are_a_fall_of_volume_and_nothing_else() {
    let mut topic = Topic::new(6, email(0.01), settings());
    hours(&mut topic, 8);
    topic.run(12, |_, _| 0);
    hours(&mut topic, 2);
    assert_eq!(told(&topic), [(What::Opened, Kind::Volume), (What::Resolved, Kind::Volume)]);
}

fn known(from_ms: i64, to_ms: i64) -> Arc<Events> {
    Arc::new(Events::new(vec![Event { from_ms, to_ms, note: "sale".to_owned() }]))
}

#[test]
fn a_known_event_is_neither_told_nor_learned() {
    let events = known(MONDAY_MS + 8 * HOUR_MS, MONDAY_MS + 10 * HOUR_MS);
    let mut topic = Topic::new(7, email(0.01), Settings { events, ..settings() });
    hours(&mut topic, 8);
    topic.fields = email(0.5);
    topic.run(24, |random, _| random.poisson(200.0));
    topic.fields = email(0.01);
    hours(&mut topic, 4);
    assert_eq!(told(&topic), []);
    topic.fields = email(0.5);
    hours(&mut topic, 1);
    assert_eq!(told(&topic), [(What::Opened, Kind::Nulls)]);
}

#[test]
fn a_known_event_ends_what_was_found_and_is_no_time_of_learning() {
    let events = known(MONDAY_MS + 9 * HOUR_MS, MONDAY_MS + 20 * HOUR_MS);
    let mut topic = Topic::new(13, email(0.01), Settings { events, ..settings() });
    hours(&mut topic, 8);
    topic.fields = email(0.2);
    topic.fields.push(spec("coupon", zipf(3, 1.0)));
    topic.run(12, |random, _| random.poisson(600.0));
    let opened = [Kind::Volume, Kind::NewField, Kind::Nulls];
    assert_eq!(topic.detectors.open(), opened.into_iter().map(|kind| (kind, 1)).collect());
    topic.run(1, |random, _| random.poisson(600.0));
    let ended: Vec<_> = topic.told.iter().filter(|o| o.what == What::Known).collect();
    let kinds: Vec<(Kind, Option<&str>)> = ended.iter().map(|o| (o.kind, o.field.as_deref())).collect();
    let new = (Kind::NewField, Some("$.coupon"));
    assert_eq!(kinds, [(Kind::Volume, None), new, (Kind::Nulls, Some("$.email"))]);
    assert!(ended.iter().all(|o| o.message == "sale" && o.began_ms >= MONDAY_MS + 8 * HOUR_MS), "{ended:?}");
    assert!(topic.detectors.open().is_empty());

    let events = known(MONDAY_MS + 2 * HOUR_MS, MONDAY_MS + 7 * HOUR_MS);
    let settings = Settings { events, ..settings() };
    let mut topic = Topic::new(14, email(0.01), settings.clone());
    hours(&mut topic, 10);
    assert_eq!(topic.detectors.status(&settings).text(), "learning, 5 of 6 h");
}

/// A pane of a minute.
fn minute(read: u64, null: u64, path: &str) -> PaneSummary {
    let root = FieldSummary {
        path: "$".to_owned(),
        records: read,
        present: read,
        object: read,
        ..Default::default()
    };
    let null = null.min(read);
    let path = path.to_owned();
    let field =
        FieldSummary { path, records: read, present: read, null, string: read - null, ..Default::default() };
    PaneSummary { read, examined: read, fields: vec![root, field], ..Default::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_a_stream_does_during_a_known_event_changes_nothing(
        from_minute in 30i64..300,
        minutes in 1i64..90,
        offset_ms in 0i64..60_000,
        fault in prop::option::of(0i64..330),
        one in prop::collection::vec((0u64..5_000, 0u64..5_000, "[a-c]"), 100),
        other in prop::collection::vec((0u64..5_000, 0u64..5_000, "[a-c]"), 100),
    ) {
        const MINUTE_MS: i64 = 60_000;
        let event_ms = MONDAY_MS + from_minute * MINUTE_MS + offset_ms;
        let events = known(event_ms, event_ms + minutes * MINUTE_MS);
        let settings = Settings { learn_ms: HOUR_MS, adopt_ms: 3 * HOUR_MS, events, ..Settings::default() };
        let run = |during: &[(u64, u64, String)]| {
            let (mut detectors, mut told, mut drawn) = (Detectors::default(), Vec::new(), 0);
            for at in 0..400 {
                let from_ms = MONDAY_MS + at * MINUTE_MS;
                let window_ms = from_ms.div_euclid(settings.window_ms) * settings.window_ms;
                let usual = minute(300 + at.unsigned_abs() % 7, 3 + at.unsigned_abs() % 3, "$.email");
                let is_in = settings.events.over(window_ms, window_ms + settings.window_ms).is_some();
                let summary = if is_in {
                    let (read, null, name) = &during[drawn % during.len()];
                    drawn += 1;
                    minute(*read, *null, &format!("$.{name}"))
                } else if fault.is_some_and(|fault| (fault..fault + 60).contains(&at)) {
                    minute(300, 120, "$.email")
                } else {
                    usual
                };
                told.extend(detectors.pane(from_ms, from_ms + MINUTE_MS, &summary, &settings));
            }
            told.extend(detectors.pass(MONDAY_MS + 400 * MINUTE_MS, &settings));
            (detectors, told)
        };
        prop_assert_eq!(run(&one), run(&other));
    }
}

/// Sensitivity moves what is told.
#[test]
fn sensitivity() {
    let found = |sensitivity| {
        let mut topic = Topic::new(8, email(0.01), Settings { sensitivity, ..settings() });
        hours(&mut topic, 8);
        // To 55%.
        topic.run(12, |random, _| random.poisson(1_100.0));
        topic.opened().len()
    };
    assert_eq!([Sensitivity::Low, Sensitivity::High].map(found), [0, 1]);
}

/// State that is kept and read back goes on as it would have.
#[test]
fn a_restart_changes_nothing() {
    let mut topic = Topic::new(9, email(0.01), settings());
    hours(&mut topic, 8);
    topic.fields = email(0.03);
    topic.run(1, |random, _| random.poisson(2_000.0));
    assert_eq!(topic.told, [], "a suspicion");
    let kept = serde_json::to_string(&topic.detectors).unwrap();
    let mut restored = Topic::new(9, email(0.03), settings());
    restored.detectors = serde_json::from_str(&kept).unwrap();
    (restored.now_ms, restored.random) = (topic.now_ms, topic.random.clone());
    hours(&mut topic, 1);
    hours(&mut restored, 1);
    assert_eq!(restored.told, topic.told);
    assert_eq!(topic.told.len(), 1);
}

#[test]
fn a_jump_of_time_is_no_fall_and_takes_no_time() {
    let mut topic = Topic::new(10, email(0.01), settings());
    hours(&mut topic, 8);
    topic.now_ms += 4_000 * DAY_MS;
    hours(&mut topic, 2);
    topic.detectors.pass(i64::MAX, &settings());
    assert_eq!(told(&topic), []);
}

/// Names without end are bounded, and what a peer makes up neither panics nor grows.
#[test]
fn what_is_kept_is_bounded() {
    let mut detectors = Detectors::default();
    let settings = settings();
    for window in 0..40i64 {
        let root = FieldSummary {
            path: "$".to_owned(),
            records: 600,
            present: 600,
            object: u64::MAX,
            ..Default::default()
        };
        let mut fields = vec![root];
        for field in 0..300 {
            let numeric = crate::report::NumericSummary {
                count: u64::MAX,
                mean: f64::MAX,
                m2: f64::MAX,
                max: f64::MAX,
                positive: vec![crate::report::Bin { index: i32::MAX, count: u64::MAX }],
                negative: vec![crate::report::Bin { index: i32::MIN, count: 1 }],
                ..Default::default()
            };
            fields.push(FieldSummary {
                path: format!("$.k{window:03}-{field:03}"),
                records: u64::MAX,
                present: u64::MAX,
                null: u64::MAX,
                number: 600,
                numeric: Some(numeric),
                ..Default::default()
            });
        }
        let summary = PaneSummary { read: 600, examined: 600, fields, ..Default::default() };
        let at = MONDAY_MS + window * settings.window_ms;
        detectors.pane(at, at + settings.window_ms, &summary, &settings);
    }
    let kept = serde_json::to_string(&detectors).unwrap().len();
    assert!(kept < 4_000_000, "{kept}");
}

/// Hours of the week are local: a rhythm by the clock stays one when the clocks change.
#[test]
fn seasons_follow_daylight_saving() {
    let zone: TimeZone = "Europe/Berlin".parse().unwrap();
    let found = |time_zone, from_ms| {
        let mut topic = Topic::new(11, Vec::new(), Settings { time_zone, ..Settings::default() });
        topic.now_ms = from_ms;
        topic.run(35 * 24 * 12, |random, ms| {
            let by_day = (8..20).contains(&(zone.hour_of_week(ms).0 % 24));
            random.poisson(if by_day { 5_000.0 } else { 500.0 })
        });
        topic.opened().len()
    };
    // 2026-03-02 00:00 in Berlin, a Monday; the clocks go forward on the 29th. And 2026-09-28; they go
    // back on October 25th.
    for from_ms in [1_772_406_000_000, 1_790_546_400_000] {
        assert_eq!(found(zone, from_ms), 0, "{from_ms}");
        assert!(found(TimeZone::default(), from_ms) > 0, "{from_ms}");
    }
}

#[test]
fn names_and_kinds() {
    let names: std::collections::BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), Kind::ALL.len());
    let unique = spec("id", Values::Unique);
    let mut topic = Topic::new(12, vec![unique], settings());
    hours(&mut topic, 8);
    assert_eq!(told(&topic), []);
}
