//! What a refresh that fails in parts leaves standing, and what goes when.

use super::*;
use crate::cluster::ask::{MetadataPartition, MetadataTopic};
use checks::filter::Filter;

fn metadata(topics: &[(&str, u128, i32)]) -> Metadata {
    let topics = topics.iter().map(|&(name, id, partitions)| {
        let place = MetadataPartition { leader: Some(1), replicas: 1, in_sync: 1 };
        let topic = MetadataTopic {
            code: 0,
            id: Some(id).filter(|id| *id != 0),
            partitions: (0..partitions).map(|index| (index, place)).collect(),
        };
        (name.to_owned(), topic)
    });
    Metadata { topics: topics.collect(), ..Metadata::default() }
}

fn ends(start: i64, high: i64, at_ms: i64) -> Ends {
    Ends { start, stable: high, high, at_ms }
}

fn listed(group: &str, group_type: GroupType) -> Listed {
    Listed { group: group.to_owned(), group_type, state: "Stable".to_owned() }
}

fn commits(topic: &str, partitions: &[(i32, i64)]) -> Result<Commits, Trouble> {
    let of_topic = partitions.iter().map(|&(index, offset)| (index, Ok(offset))).collect();
    Ok([(topic.to_owned(), of_topic)].into())
}

/// A cluster with topic `t` (1 partition, ends at 100) and group `g` at 40.
fn seen(config: &Config) -> State {
    let mut state = State::default();
    state.begin();
    state.apply_metadata(metadata(&[("t", 7, 1)]), config);
    state.apply_listing(&[listed("g", GroupType::Classic)], true, config);
    state.apply_commits("g", commits("t", &[(0, 40)]), 1000);
    state.apply_ends("t", 0, ends(0, 100, 1000));
    state.finish(config);
    state
}

fn lag(state: &State) -> Option<i64> {
    state.groups_snapshot()["g"].topics["t"][&0].lag_records
}

#[test]
fn a_group_goes_only_after_several_listings_and_a_description_that_agree() {
    let config = Config::default();
    let not_found = || Err(Trouble::Code(code::GROUP_ID_NOT_FOUND));
    let mut state = seen(&config);
    // Listings that are not complete say nothing.
    for _ in 0..10 {
        state.apply_listing(&[], false, &config);
        state.apply_description("g", not_found());
    }
    assert_eq!(lag(&state), Some(60));
    for _ in 0..2 {
        state.apply_listing(&[], true, &config);
        state.apply_description("g", not_found());
        assert_eq!(lag(&state), Some(60));
    }
    // Back again: the count begins anew.
    state.apply_listing(&[listed("g", GroupType::Classic)], true, &config);
    for _ in 0..2 {
        state.apply_listing(&[], true, &config);
        state.apply_description("g", not_found());
    }
    assert_eq!(lag(&state), Some(60));
    state.apply_listing(&[], true, &config);
    // Not listed, but described: it is there.
    state.apply_description("g", Ok(Description::default()));
    assert!(state.groups.contains_key("g"));
    state.apply_description("g", not_found());
    assert!(!state.groups.contains_key("g"));
}

#[test]
fn what_was_not_read_stays_as_it_was_with_its_age() {
    let config = Config::default();
    let mut state = seen(&config);
    // The coordinator is away; the ends go on.
    state.begin();
    state.apply_commits("g", Err(Trouble::Code(code::COORDINATOR_NOT_AVAILABLE)), 2000);
    state.apply_ends("t", 0, ends(0, 500, 2000));
    state.finish(&config);
    assert_eq!(lag(&state), Some(60));
    assert_eq!(state.groups_snapshot()["g"].read_at_ms, 1000);
    assert_eq!(state.topics_snapshot()["t"].partitions[&0].end, Some(500));
    // The leader is away; the commits go on, beyond the end that is known.
    state.begin();
    state.apply_commits("g", commits("t", &[(0, 600)]), 3000);
    state.finish(&config);
    let group = &state.groups_snapshot()["g"];
    assert_eq!((lag(&state), group.topics["t"][&0].unknown), (Some(60), None));
    assert_eq!(state.topics_snapshot()["t"].partitions[&0].read_at_ms, 2000);
    assert_eq!(state.topics_snapshot()["t"].records_per_second, None, "not 0");
    // All is back.
    state.begin();
    state.apply_commits("g", commits("t", &[(0, 600)]), 4000);
    state.apply_ends("t", 0, ends(0, 610, 4000));
    state.finish(&config);
    assert_eq!(lag(&state), Some(10));
}

#[test]
fn ends_that_were_never_read_make_no_lag() {
    let config = Config::default();
    let mut state = State::default();
    state.apply_metadata(metadata(&[("t", 7, 1)]), &config);
    state.apply_listing(&[listed("g", GroupType::Consumer)], true, &config);
    state.apply_commits("g", commits("t", &[(0, 40), (9, 1)]), 1000);
    state.apply_commits("g", commits("gone", &[(0, 1)]), 1000);
    state.finish(&config);
    let figures = state.groups_snapshot()["g"].topics.clone();
    assert_eq!(figures["gone"][&0].unknown, Some(Unknown::TopicGone));
    assert_eq!(figures["gone"][&0].committed, Some(1));
    state.apply_commits("g", commits("t", &[(0, 40), (9, 1)]), 1000);
    state.finish(&config);
    let figures = state.groups_snapshot()["g"].topics.clone();
    assert_eq!(figures["t"][&0].unknown, Some(Unknown::Unreadable));
    assert_eq!((figures["t"][&0].committed, figures["t"][&0].lag_records), (Some(40), None));
    assert_eq!(figures["t"][&9].unknown, Some(Unknown::TopicGone));
}

#[test]
fn a_group_that_may_not_be_read_has_no_figures() {
    let config = Config::default();
    let mut state = State::default();
    state.apply_metadata(metadata(&[("t", 7, 1)]), &config);
    state.add_named("secret");
    state.apply_commits("secret", Err(Trouble::Code(code::GROUP_AUTHORIZATION_FAILED)), 1000);
    state.finish(&config);
    state.drop_phantoms();
    assert!(state.groups["secret"].forbidden);
    assert!(state.groups_snapshot()["secret"].topics.is_empty());
    // One commit of several that may not be read: unknown, and nothing else suffers.
    state.apply_ends("t", 0, ends(0, 10, 1000));
    let mixed = [("t".to_owned(), [(0, Err(code::TOPIC_AUTHORIZATION_FAILED))].into())].into();
    state.apply_commits("secret", Ok(mixed), 2000);
    state.finish(&config);
    let figure = &state.groups_snapshot()["secret"].topics["t"][&0];
    assert_eq!((figure.unknown, figure.lag_records), (Some(Unknown::Unreadable), None));
}

#[test]
fn records_are_counted_on_and_never_back() {
    let config = Config::default();
    let total = |state: &State| state.topics_snapshot()["t"].records_total;
    let mut state = seen(&config);
    assert_eq!(total(&state), 0);
    state.apply_ends("t", 0, ends(0, 130, 3000));
    assert_eq!(total(&state), 30);
    assert_eq!(state.topics_snapshot()["t"].records_per_second, Some(15.0));
    // A partition more: all of it came after us.
    state.apply_metadata(metadata(&[("t", 7, 2)]), &config);
    state.apply_ends("t", 1, ends(0, 5, 4000));
    assert_eq!(total(&state), 35);
    // Recreated: counted from its new beginning.
    state.apply_metadata(metadata(&[("t", 8, 1)]), &config);
    state.apply_ends("t", 0, ends(0, 12, 5000));
    assert_eq!(total(&state), 47);
    // Truncated: what was lost is not subtracted.
    state.apply_ends("t", 0, ends(0, 2, 6000));
    assert_eq!(total(&state), 47);
    state.apply_ends("t", 0, ends(0, 4, 7000));
    assert_eq!(total(&state), 49);
}

#[test]
fn a_topic_whose_partitions_are_not_known_just_now_keeps_them() {
    let config = Config::default();
    let mut state = seen(&config);
    let away = MetadataTopic { code: 5, id: Some(7), partitions: BTreeMap::new() };
    let topics = [("t".to_owned(), away)].into();
    state.apply_metadata(Metadata { topics, ..Metadata::default() }, &config);
    assert_eq!(state.topics_snapshot()["t"].partitions[&0].end, Some(100));
    state.apply_metadata(metadata(&[]), &config);
    assert!(state.topics_snapshot().is_empty(), "deleted, it goes");
}

#[test]
fn limits_and_filters_leave_out_and_say_so() {
    let mut config = Config::default();
    config.limits.groups = 1;
    config.limits.partitions = 3;
    config.topics = Filter::new(&[".*"], &["^__"]).expect("patterns");
    let mut state = State::default();
    let topics = metadata(&[("a", 1, 2), ("b", 2, 2), ("c", 3, 1), ("__x", 4, 1)]);
    assert_eq!(state.apply_metadata(topics, &config), 1);
    assert_eq!(state.topics.keys().collect::<Vec<_>>(), ["a", "c"]);
    let two = [listed("g", GroupType::Classic), listed("h", GroupType::Classic)];
    assert_eq!(state.apply_listing(&two, true, &config), 1);
    let mut all = commits("a", &[(0, 1)]).expect("commits");
    all.extend(commits("b", &[(0, 1)]).expect("commits"));
    all.extend(commits("__x", &[(0, 1)]).expect("commits"));
    state.apply_commits("g", Ok(all), 1000);
    state.finish(&config);
    let group = &state.groups_snapshot()["g"];
    assert_eq!(group.topics.keys().collect::<Vec<_>>(), ["a"], "left out is not gone");
}

#[test]
fn a_name_that_passes_to_another_kind_of_group_starts_anew() {
    let config = Config::default();
    let mut state = seen(&config);
    state.apply_listing(&[listed("g", GroupType::Share)], true, &config);
    state.begin();
    state.touch("g", 2000);
    state.finish(&config);
    let group = &state.groups_snapshot()["g"];
    assert_eq!(group.group_type, GroupType::Share);
    assert!(group.topics.is_empty());
}

#[test]
fn a_look_is_taken_only_where_it_tells_something() {
    let config = Config::default();
    let mut state = seen(&config);
    let places =
        |state: &State| state.probes().into_iter().map(|p| (p.offset, p.for_time)).collect::<Vec<_>>();
    assert_eq!(places(&state), [(40, true)], "its age is not known");
    let old = super::super::lag::When { at_ms: 400, error_ms: 0 };
    state.apply_found("t", 0, 40, Found { record: Some(Some(old)), ..Found::default() });
    assert_eq!(places(&state), [], "it is known now");
    state.finish(&config);
    assert_eq!(state.groups_snapshot()["g"].topics["t"][&0].lag_seconds, Some(0.6));

    // At 95 of 100 a marker could be all that is left, if the reader rests there.
    state.begin();
    state.apply_commits("g", commits("t", &[(0, 95)]), 2000);
    state.apply_ends("t", 0, ends(0, 100, 2000));
    assert_eq!(places(&state), [(95, true)]);
    state.apply_found("t", 0, 95, Found { empty_until: Some(100), transactional: true, record: None });
    state.finish(&config);
    assert_eq!(lag(&state), Some(0));
    assert_eq!(places(&state), []);
    state.begin();
    state.apply_commits("g", commits("t", &[(0, 95)]), 3000);
    state.apply_ends("t", 0, ends(0, 103, 3000));
    assert_eq!(places(&state), [(95, true)], "there is more behind the marker");
    state.finish(&config);
    assert_eq!(lag(&state), Some(8));
}
