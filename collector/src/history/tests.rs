//! Killed at any moment, the state comes back as it was.

use std::path::Path;

use checks::report::Report;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{History, HistoryError, restore};
use crate::config::Config;
use crate::state::testing::*;
use crate::state::{Applied, State};

fn config_at(path: &Path) -> Config {
    Config { history: Some(path.to_owned()), ..config(checks(vec![amount(), ids()], vec![slo(0.9)])) }
}

fn reports(config: &Config, count: u64) -> Vec<Report> {
    let hash = config.checks.for_topic("orders").hash;
    (0..count)
        .map(|i| {
            let at = i as i64 * PANE_MS;
            let mut r = report("a", 1, i + 1, at + PANE_MS);
            let keys: Vec<u64> = (i..i + 10).collect();
            r.panes.push(pane(hash, at, 0, i as i64 * 10, i as i64 * 10 + 10, i % 3, &keys));
            r.skipped.push(skipped(1, i as i64 * 5, i as i64 * 5 + 2, "gap"));
            r.topics.push(progress("orders", at, 0, i as i64 * 10 + 10));
            for topic in ["a", "b", "c"].into_iter().take((i % 4) as usize) {
                r.sightings.push(sighting(i as u8, topic, i as i64, at, at + 3));
                r.topics.push(progress(topic, at, 0, i as i64));
            }
            r
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn killed_anywhere_it_comes_back_the_same(count in 1u64..30, checkpoints in prop::collection::vec(0u64..30, 0..4)) {
        let folder = TempDir::new().unwrap();
        let config = config_at(&folder.path().join("sub").join("h.db"));
        let mut never_killed = State::new(&config);
        let (mut state, mut history, error) = restore(&config);
        prop_assert_eq!(error, None);
        for (i, report) in (0..).zip(reports(&config, count)) {
            let at_ms = 1_000 + i as i64;
            never_killed.apply(&report, at_ms);
            prop_assert_eq!(state.apply(&report, at_ms), Applied::Applied);
            let open = history.as_mut().unwrap();
            open.append([(at_ms, &report)]).unwrap();
            if checkpoints.contains(&i) {
                open.checkpoint(&state.save().unwrap(), at_ms).unwrap();
            }
            if i % 7 == 3 {
                // Killed: nothing is said goodbye to.
                drop((state, history));
                let restored = restore(&config);
                prop_assert_eq!(&restored.2, &None);
                (state, history) = (restored.0, restored.1);
            }
        }
        drop(history);
        let (restored, _, _) = restore(&config);
        prop_assert_eq!(restored.save().unwrap(), never_killed.save().unwrap());
        let (a, b) = (restored.view(0), never_killed.view(0));
        prop_assert_eq!(&a.topics["orders"].totals, &b.topics["orders"].totals);
        prop_assert_eq!(format!("{:?}", a.topics["orders"]), format!("{:?}", b.topics["orders"]));
        prop_assert_eq!(&a.findings, &b.findings);
    }
}

#[test]
fn a_file_that_is_no_good_is_set_aside_and_another_begun() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("h.db");
    let config = config_at(&path);

    std::fs::write(&path, b"this is no database, but long enough to be taken for a damaged one".repeat(100))
        .unwrap();
    let (_, history, error) = restore(&config);
    assert!(history.is_some() && error.is_none(), "{error:?}");
    assert!(folder.path().join("h.db.bad-1").exists());
    drop(history);

    // Of a later version.
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    let (_, history, error) = restore(&config);
    assert!(history.is_some() && error.is_none(), "{error:?}");
    assert!(folder.path().join("h.db.bad-2").exists());

    // A checkpoint that can't be read.
    history.unwrap().checkpoint(b"nonsense that is no state", 1).unwrap();
    let (state, history, error) = restore(&config);
    assert!(history.is_some() && error.is_none(), "{error:?}");
    assert!(folder.path().join("h.db.bad-3").exists());
    assert!(state.view(0).findings.is_empty());
}

#[test]
fn a_place_that_can_not_be_written_is_said_and_nothing_else_happens() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    let (mut state, history, error) = restore(&config_at(&file.join("below").join("h.db")));
    assert!(history.is_none());
    assert!(error.unwrap().contains("cannot make the folder"));
    assert_eq!(state.apply(&report("a", 1, 1, 5), 0), Applied::Applied);

    let (_, history, error) = restore(&config_at(folder.path()));
    assert!(history.is_none(), "a folder is no file");
    assert!(error.is_some());
}

#[test]
fn another_programs_or_clusters_file_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("other.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("CREATE TABLE precious (x)").unwrap();
    drop(db);
    let (_, history, error) = restore(&config_at(&path));
    assert!(history.is_none());
    assert!(error.unwrap().contains("another program"));
    assert!(path.exists() && !folder.path().join("other.db.bad-1").exists());

    let path = folder.path().join("h.db");
    drop(restore(&config_at(&path)));
    let other = Config { cluster: "other".to_owned(), ..config_at(&path) };
    let (_, history, error) = restore(&other);
    assert!(history.is_none());
    assert!(error.unwrap().contains("history of cluster \"c\""));
}

#[test]
fn two_collectors_do_not_share_a_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("h.db");
    let first = History::open(&path, "c").unwrap();
    match History::open(&path, "c") {
        Err(HistoryError::Unusable { why, .. }) => assert!(why.contains("second collector"), "{why}"),
        other => panic!("{other:?}"),
    }
    drop(first);
    History::open(&path, "c").unwrap();
}
