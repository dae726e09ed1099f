//! What a refresh that fails in parts leaves standing, and what goes when.

use super::*;
use crate::cluster::ask::{MetadataPartition, MetadataTopic};
use crate::cluster::batch::Found;
use crate::cluster::snapshot::Unknown;
use crate::cluster::topic::Probe;
use crate::cluster::wire::Commit;
use checks::filter::Filter;

pub(super) fn metadata(topics: &[(&str, u128, i32)]) -> Metadata {
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

pub(super) fn ends(start: i64, high: i64, at_ms: i64) -> Ends {
    Ends { start, stable: high, high, epoch: -1, asked_ms: at_ms, at_ms }
}

pub(super) fn listed(group: &str, group_type: GroupType) -> Listed {
    Listed { group: group.to_owned(), group_type, state: "Stable".to_owned() }
}

pub(super) fn commits(topic: &str, partitions: &[(i32, i64)]) -> Result<Commits, Trouble> {
    let of_topic = partitions.iter().map(|&(index, offset)| (index, Commit::at(offset))).collect();
    Ok([(topic.to_owned(), of_topic)].into())
}

/// A cluster with topic `t` (1 partition, ends at 100) and group `g` at 40.
pub(super) fn seen(config: &Config) -> State {
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
    state.groups_snapshot()["g"].topics["t"].at(0).lag_records
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
    assert_eq!((lag(&state), group.topics["t"].at(0).unknown), (Some(60), None));
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
    assert_eq!(figures["gone"].at(0).unknown, Some(Unknown::TopicGone));
    assert_eq!(figures["gone"].at(0).committed, Some(1));
    state.apply_commits("g", commits("t", &[(0, 40), (9, 1)]), 1000);
    state.finish(&config);
    let figures = state.groups_snapshot()["g"].topics.clone();
    assert_eq!(figures["t"].at(0).unknown, Some(Unknown::Unreadable));
    assert_eq!((figures["t"].at(0).committed, figures["t"].at(0).lag_records), (Some(40), None));
    assert_eq!(figures["t"].at(9).unknown, Some(Unknown::TopicGone));
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
    let refused = Commit::new(-1, code::TOPIC_AUTHORIZATION_FAILED).expect("a code");
    let mixed = [("t".to_owned(), [(0, refused)].into())].into();
    state.apply_commits("secret", Ok(mixed), 2000);
    state.finish(&config);
    let figure = state.groups_snapshot()["secret"].topics["t"].at(0);
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
    assert_eq!(state.topics_snapshot()["t"].partitions[&0].end, Some(100), "missing once");
    state.apply_metadata(metadata(&[("t", 7, 1)]), &config);
    state.apply_metadata(metadata(&[]), &config);
    assert_eq!(state.topics_snapshot().len(), 1, "the count begins anew");
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
    all.insert("b", commits("b", &[(0, 1)]).expect("commits")["b"].clone());
    all.insert("__x", commits("__x", &[(0, 1)]).expect("commits")["__x"].clone());
    state.apply_commits("g", Ok(all), 1000);
    state.finish(&config);
    let group = &state.groups_snapshot()["g"];
    assert!(group.topics.keys().map(|name| &**name).eq(["a"]), "left out is not gone");
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
    let places = |state: &mut State| {
        state
            .probes(2000, &BTreeSet::from([1]), 100)
            .into_iter()
            .map(|p| (p.offset, p.for_time))
            .collect::<Vec<_>>()
    };
    assert_eq!(places(&mut state), [(40, true)], "its age is not known");
    let probe = |state: &mut State| -> Probe { state.probes(2000, &BTreeSet::from([1]), 100).remove(0) };
    let old = super::super::lag::When { at_ms: 400, error_ms: 0 };
    let at = probe(&mut state);
    state.apply_found(&at, Found { record: Some(Some(old)), ..Found::default() });
    assert_eq!(places(&mut state), [], "it is known now");
    state.finish(&config);
    assert_eq!(state.groups_snapshot()["g"].topics["t"].at(0).lag_seconds, Some(0.6));

    // At 95 of 100 a marker could be all that is left, if the reader rests there.
    state.begin();
    state.apply_commits("g", commits("t", &[(0, 95)]), 2000);
    state.apply_ends("t", 0, ends(0, 100, 2000));
    assert_eq!(places(&mut state), [(95, true)]);
    let marker = Found { empty_until: Some(100), transactional: true, ..Found::default() };
    let at = probe(&mut state);
    state.apply_found(&at, marker);
    state.finish(&config);
    assert_eq!(lag(&state), Some(0));
    assert_eq!(places(&mut state), []);
    state.begin();
    state.apply_commits("g", commits("t", &[(0, 95)]), 3000);
    state.apply_ends("t", 0, ends(0, 103, 3000));
    assert_eq!(places(&mut state), [(95, true)], "there is more behind the marker");
    state.finish(&config);
    assert_eq!(lag(&state), Some(8));
}

#[test]
fn a_commit_of_a_former_topic_is_no_lag_until_the_group_commits_anew() {
    let config = Config::default();
    let mut state = seen(&config);
    // Recreated; the new end has passed the old commit already.
    state.begin();
    state.apply_metadata(metadata(&[("t", 8, 1)]), &config);
    state.apply_commits("g", commits("t", &[(0, 40)]), 2000);
    state.apply_ends("t", 0, ends(0, 90, 2000));
    state.finish(&config);
    let figure = |state: &State| state.groups_snapshot()["g"].topics["t"].at(0);
    assert_eq!((figure(&state).lag_records, figure(&state).unknown), (None, Some(Unknown::Recreated)));
    assert_eq!((figure(&state).committed, figure(&state).lag_seconds), (Some(40), None));
    assert!(state.probes(2000, &BTreeSet::from([1]), 100).is_empty(), "nothing is to be learnt there");
    state.begin();
    state.apply_commits("g", commits("t", &[(0, 40)]), 2500);
    state.apply_ends("t", 0, ends(0, 20, 2500));
    state.finish(&config);
    assert_eq!(figure(&state).unknown, Some(Unknown::AheadOfEnd), "which is worse");
    state.apply_ends("t", 0, ends(0, 90, 2600));
    // A broker that is behind shows the former topic: left aside.
    state.apply_metadata(metadata(&[("t", 7, 1)]), &config);
    assert_eq!(state.topics_snapshot()["t"].id, Some(8));
    let total = state.topics_snapshot()["t"].records_total;
    state.begin();
    state.apply_commits("g", commits("t", &[(0, 60)]), 3000);
    state.apply_ends("t", 0, ends(0, 100, 3000));
    state.finish(&config);
    assert_eq!((figure(&state).lag_records, figure(&state).unknown), (Some(40), None));
    assert_eq!(state.topics_snapshot()["t"].records_total, total + 10);
}

#[test]
fn a_topic_that_was_deleted_and_comes_again_counts_on() {
    let config = Config::default();
    let mut state = seen(&config);
    state.apply_ends("t", 0, ends(0, 130, 2000));
    for _ in 0..2 {
        state.apply_metadata(metadata(&[]), &config);
    }
    assert!(state.topics_snapshot().is_empty());
    state.begin();
    state.apply_metadata(metadata(&[("t", 9, 1)]), &config);
    state.apply_commits("g", commits("t", &[(0, 40)]), 3000);
    state.apply_ends("t", 0, ends(0, 5, 3000));
    state.finish(&config);
    assert_eq!(state.topics_snapshot()["t"].records_total, 35, "30 before, 5 since");
    let unknown = |state: &State| {
        let figure = state.groups_snapshot()["g"].topics["t"].at(0);
        (figure.lag_records, figure.unknown)
    };
    assert_eq!(unknown(&state), (None, Some(Unknown::AheadOfEnd)), "it would skip what is written now");
    state.begin();
    state.apply_commits("g", commits("t", &[(0, 40)]), 4000);
    state.apply_ends("t", 0, ends(0, 60, 4000));
    state.finish(&config);
    assert_eq!(unknown(&state), (None, Some(Unknown::Recreated)), "20 would look like a lag");
}

#[test]
fn a_deposed_leader_takes_nothing_back() {
    let config = Config::default();
    let mut state = seen(&config);
    let at = |epoch, high, at_ms| Ends { epoch, ..ends(0, high, at_ms) };
    state.apply_ends("t", 0, at(5, 120, 2000));
    state.begin();
    state.apply_ends("t", 0, at(4, 110, 3000));
    let topic = &state.topics_snapshot()["t"];
    assert_eq!((topic.partitions[&0].end, topic.records_total), (Some(120), 20));
    assert_eq!(topic.partitions[&0].unread, Some(Unread::LeaderMoving));
    state.apply_ends("t", 0, at(6, 125, 4000));
    let topic = &state.topics_snapshot()["t"];
    assert_eq!((topic.partitions[&0].unread, topic.records_total), (None, 25));
}

#[test]
fn skew_is_told_of_what_was_appended_and_of_nothing_else() {
    let config = Config::default();
    let mut state = State::default();
    state.apply_metadata(metadata(&[("t", 7, 2), ("one", 8, 1)]), &config);
    let read = |state: &mut State, first, second, at_ms| {
        state.apply_ends("t", 0, ends(0, first, at_ms));
        state.apply_ends("t", 1, ends(0, second, at_ms));
        state.apply_ends("one", 0, ends(0, first, at_ms));
        state.topics_snapshot()["t"].hottest.map(|h| (h.partition, h.share))
    };
    assert_eq!(read(&mut state, 10, 10, 1000), None);
    assert_eq!(read(&mut state, 10, 10, 2000), None, "nothing was appended");
    assert_eq!(read(&mut state, 11, 13, 3000), Some((1, 0.75)));
    assert_eq!(state.topics_snapshot()["one"].hottest, None);
    assert_eq!(read(&mut state, 11, 13, 90_000), None, "not of late");
}

#[test]
fn bytes_a_second_are_told_only_where_nothing_hides_a_part() {
    use crate::cluster::ask::TopicConfig;
    use crate::cluster::snapshot::CleanupPolicy;
    let config = Config::default();
    let mut state = State::default();
    state.apply_metadata(metadata(&[("t", 7, 1)]), &config);
    let size = |state: &mut State, broker, bytes, at_ms| {
        state.apply_sizes(broker, &[("t".to_owned(), [(0, bytes)].into())].into(), at_ms);
    };
    let told = |state: &State| {
        let topic = &state.topics_snapshot()["t"];
        (topic.size_bytes, topic.bytes_per_second)
    };
    state.apply_ends("t", 0, ends(0, 10, 1000));
    size(&mut state, 2, 9999, 1000);
    assert_eq!(told(&state), (None, None), "a follower's log is not the leader's");
    size(&mut state, 1, 1000, 2000);
    state.apply_ends("t", 0, ends(0, 20, 3000));
    size(&mut state, 1, 3000, 4000);
    state.apply_ends("t", 0, ends(0, 20, 5000));
    assert_eq!(told(&state), (Some(3000), None), "it may be compacted, for all we know");
    let known = TopicConfig { cleanup: Some(CleanupPolicy::Delete), ..TopicConfig::default() };
    state.apply_config("t", Some(known), 5000);
    assert_eq!(told(&state), (Some(3000), Some(1000.0)));
    // Retention takes some, just before the second reading.
    size(&mut state, 1, 3500, 6000);
    assert_eq!(told(&state), (Some(3500), Some(1000.0)), "not known yet whether something went");
    state.apply_ends("t", 0, ends(5, 30, 7000));
    assert_eq!(told(&state), (Some(3500), None));
    let compacted =
        TopicConfig { cleanup: Some(CleanupPolicy::Compact), in_sync_min: Some(2), tiered: false };
    state.apply_config("t", Some(compacted), 7000);
    let topic = &state.topics_snapshot()["t"];
    assert_eq!((topic.cleanup_policy, topic.under_in_sync_min()), (Some(CleanupPolicy::Compact), Some(0)));
}

#[test]
fn a_transaction_that_hangs_is_asked_about_and_told() {
    use crate::cluster::ask::{Coordinated, Producer};
    let config = Config::default();
    let mut state = seen(&config);
    let open = |state: &mut State, stable, at_ms| {
        state.begin();
        state.apply_ends("t", 0, Ends { stable, ..ends(0, 120, at_ms) });
    };
    open(&mut state, 110, 10_000);
    assert!(state.hanging(10_000, 10).is_empty(), "transactions take a while");
    assert!(state.topics_snapshot()["t"].open_transactions.is_empty());
    open(&mut state, 110, 70_000);
    assert_eq!(state.hanging(70_000, 10), [(1, vec![("t".to_owned(), 0)])].into());
    assert!(state.hanging(71_000, 10).is_empty(), "not again so soon");
    let told = state.topics_snapshot()["t"].open_transactions[&0].clone();
    assert_eq!((told.start_offset, told.since_ms, told.producer), (110, 10_000, None));
    let producer = |id, start_offset| Producer {
        id,
        epoch: 1,
        coordinator_epoch: 0,
        last_ms: Some(9_000),
        start_offset,
    };
    state.apply_producers("t", 0, &[producer(5, 115), producer(6, 110)]);
    assert_eq!(state.producers_without_coordinator(10), [6].into());
    let known = Coordinated {
        transactional_id: "billing".to_owned(),
        state: "Ongoing".to_owned(),
        began_ms: Some(8_000),
        timeout_ms: 900_000,
    };
    state.apply_coordinated(2, &[(6, known)].into());
    assert!(state.producers_without_coordinator(10).is_empty());
    let told = state.topics_snapshot()["t"].open_transactions[&0].clone();
    assert_eq!((told.since_ms, told.producer.map(|p| p.producer_id)), (8_000, Some(6)));
    assert_eq!(told.coordinator.map(|c| (c.broker, c.transactional_id)), Some((2, "billing".to_owned())));
    open(&mut state, 120, 80_000);
    assert!(state.topics_snapshot()["t"].open_transactions.is_empty(), "it has ended");
}

#[test]
fn where_records_may_not_be_read_only_times_are_looked_for() {
    let config = Config::default();
    let mut state = seen(&config);
    assert!(state.probes(1000, &BTreeSet::from([1]), 100)[0].readable);
    state.apply_access(&BTreeSet::new(), &["t".to_owned()].into(), 1000);
    assert!(state.topics_snapshot()["t"].tail_unknown);
    let probe = state.probes(1000, &BTreeSet::from([1]), 100).remove(0);
    assert_eq!((probe.readable, probe.for_time), (false, true));
    assert!(state.probes(700_000, &BTreeSet::from([1]), 100)[0].readable, "rights may be granted later");
    // A found place of a log that is not there any more is left aside.
    state.apply_metadata(metadata(&[("t", 8, 1)]), &config);
    state.apply_ends("t", 0, ends(0, 100, 2000));
    state.apply_found(&probe, Found { empty_until: Some(100), ..Found::default() });
    state.apply_commits("g", commits("t", &[(0, 41)]), 2000);
    state.finish(&config);
    assert_eq!(lag(&state), Some(59));
}
