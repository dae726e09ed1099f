//! What is different of each kind of group.

use super::super::State;
use super::super::tests::{commits, ends, listed, metadata, seen};
use super::*;
use crate::cluster::ask::{Description, ShareProgress, Trouble, code};
use crate::cluster::snapshot::{Activity, GroupSnapshot};
use crate::cluster::wire::Commit;

fn description(members: u32, assigned: &[(&str, &[i32])]) -> Description {
    Description {
        state: if members > 0 { "Stable" } else { "Empty" }.to_owned(),
        members,
        assigned: assigned.iter().map(|&(t, p)| (t.to_owned(), p.iter().copied().collect())).collect(),
        assignment_known: true,
        ..Description::default()
    }
}

fn shares(starts: &[(i32, i64)], unset: &[i32], lags: &[(i32, i64)]) -> ShareProgress {
    let mut progress = ShareProgress::default();
    progress.starts.insert("t".to_owned(), starts.iter().map(|&(p, at)| (p, Commit::at(at))).collect());
    progress.unset.insert("t".to_owned(), unset.iter().copied().collect());
    progress.lags.insert("t".to_owned(), lags.iter().copied().collect());
    progress
}

/// A share group `g` on topic `t`, whose 4 partitions run from 10 to 100.
fn shared(progress: ShareProgress) -> GroupSnapshot {
    let config = Config::default();
    let mut state = State::default();
    state.begin();
    state.apply_metadata(metadata(&[("t", 7, 4)]), &config);
    state.apply_listing(&[listed("g", GroupType::Share)], true, &config);
    state.apply_description("g", Ok(description(1, &[("t", &[0, 1, 2, 3])])));
    state.apply_share("g", Ok(progress), 1000);
    for partition in 0..4 {
        state.apply_ends("t", partition, ends(10, 100, 1000));
    }
    state.finish(&config);
    state.groups_snapshot().remove("g").expect("the group")
}

#[test]
fn the_lag_of_a_share_group_is_the_brokers_own_where_it_counts() {
    let group = shared(shares(&[(0, 40), (1, 40), (2, 5)], &[3], &[(0, 25), (1, 0), (2, 95)]));
    let of = |partition: i32| group.topics["t"].at(partition);
    assert_eq!(
        (of(0).committed, of(0).lag_records, of(0).stable_lag_records),
        (Some(40), Some(25), Some(25))
    );
    assert_eq!((of(1).lag_records, of(1).lag_seconds), (Some(0), Some(0.0)), "all done with, out of order");
    // The log start has passed the start offset: what went is lost, and no lag.
    assert_eq!((of(2).lag_records, of(2).lost_records), (Some(90), 5));
    assert_eq!((of(3).committed, of(3).lag_records), (None, None));
    assert_eq!(of(3).unknown, Some(Unknown::Uninitialized));
    assert!(!group.lag_is_bound);
}

#[test]
fn without_the_brokers_count_a_share_groups_lag_is_an_upper_bound() {
    let group = shared(shares(&[(0, 40), (1, 100)], &[], &[]));
    assert_eq!(group.topics["t"].at(0).lag_records, Some(60));
    assert_eq!(group.topics["t"].at(1).lag_records, Some(0));
    assert_eq!(
        group.topics["t"].at(2).unknown,
        Some(Unknown::Uninitialized),
        "assigned, and nothing is known"
    );
    assert!(group.lag_is_bound);
    assert!(!shared(shares(&[(1, 100)], &[], &[])).lag_is_bound, "0 is exact");
}

#[test]
fn a_task_without_a_partition_is_no_assignment() {
    let config = Config::default();
    let mut state = State::default();
    state.begin();
    state.apply_metadata(metadata(&[("wide", 1, 3), ("narrow", 2, 1)]), &config);
    state.apply_listing(&[listed("g", GroupType::Streams)], true, &config);
    let tasks: &[i32] = &[0, 1, 2];
    state.apply_description("g", Ok(description(1, &[("wide", tasks), ("narrow", tasks)])));
    state.apply_commits("g", Ok(Commits::default()), 1000);
    state.finish(&config);
    let group = &state.groups_snapshot()["g"];
    assert_eq!(group.topics["wide"].len(), 3);
    assert_eq!(group.topics["narrow"].keys().collect::<Vec<_>>(), [0]);
}

#[test]
fn what_was_counted_stays_counted_when_a_group_changes_its_kind() {
    let config = Config::default();
    let mut state = seen(&config);
    let refresh = |state: &mut State, group_type, at: i64, offset| {
        state.begin();
        state.apply_listing(&[listed("g", group_type)], true, &config);
        state.apply_commits("g", commits("t", &[(0, offset)]), at);
        state.apply_ends("t", 0, ends(0, 100, at));
        state.finish(&config);
        state.groups_snapshot()["g"].progress["t"].clone()
    };
    assert_eq!(refresh(&mut state, GroupType::Classic, 2000, 50).consumed_records_total, 10);
    let upgraded = refresh(&mut state, GroupType::Consumer, 3000, 55);
    assert_eq!((upgraded.consumed_records_total, upgraded.rewinds_total), (15, 0));
    // A share group's offsets are other ones: neither progress nor a way back.
    let shared = refresh(&mut state, GroupType::Share, 4000, 5);
    assert_eq!((shared.consumed_records_total, shared.rewinds_total), (15, 0));
    assert_eq!(refresh(&mut state, GroupType::Share, 5000, 7).consumed_records_total, 17);
}

#[test]
fn a_group_that_was_not_read_has_no_rate_and_keeps_its_counts() {
    let config = Config::default();
    let mut state = seen(&config);
    state.begin();
    state.apply_commits("g", commits("t", &[(0, 50)]), 2000);
    state.apply_ends("t", 0, ends(0, 100, 2000));
    state.finish(&config);
    let read = state.groups_snapshot()["g"].progress["t"].clone();
    assert_eq!((read.consumed_records_total, read.consumed_records_per_second), (10, Some(10.0)));
    assert_eq!(read.activity, Activity::Reading);
    state.begin();
    state.apply_commits("g", Err(Trouble::Code(code::COORDINATOR_NOT_AVAILABLE)), 3000);
    state.apply_ends("t", 0, ends(0, 120, 3000));
    state.finish(&config);
    let unread = state.groups_snapshot()["g"].progress["t"].clone();
    assert_eq!((unread.consumed_records_total, unread.consumed_records_per_second), (10, None));
    assert_eq!(unread.catch_up_seconds, None);
    // Its topic goes, and what was remembered of it.
    for _ in 0..2 {
        state.apply_metadata(metadata(&[]), &config);
    }
    state.finish(&config);
    assert!(state.groups_snapshot()["g"].progress.is_empty());
}

#[test]
fn a_deleted_group_that_no_broker_can_describe_goes_by_its_listings() {
    let config = Config::default();
    let mut state = State::default();
    state.apply_metadata(metadata(&[("t", 7, 1)]), &config);
    state.apply_listing(&[listed("g", GroupType::Share)], true, &config);
    for round in 0..7 {
        state.begin();
        let broker: std::sync::Arc<str> = "b1:9092".into();
        let unsupported = crate::cluster::WireError::Unsupported { broker, what: "ShareGroupDescribe" };
        state.apply_description("g", Err(Trouble::Wire(unsupported)));
        state.touch("g", 1000);
        state.finish(&config);
        state.drop_phantoms();
        assert_eq!(state.groups.contains_key("g"), round < 6, "after {round} listings without it");
        state.apply_listing(&[], true, &config);
    }
}

#[test]
fn states_in_which_a_group_settles_who_reads_what() {
    for state in ["PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling", "assigning"] {
        assert!(is_rebalancing(state), "{state}");
    }
    for state in ["Stable", "Empty", "Dead", "NotReady", ""] {
        assert!(!is_rebalancing(state), "{state}");
    }
}
