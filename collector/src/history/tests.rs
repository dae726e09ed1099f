//! Killed at any moment, the state comes back as it was.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use checks::report::Report;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{History, HistoryError, fixture, restore};
use crate::config::Config;
use crate::state::testing::*;
use crate::state::{Applied, NewMark, State};

fn config_at(path: &Path) -> Config {
    Config { history: Some(path.to_owned()), ..config(checks(vec![amount(), ids()], vec![slo(0.9)])) }
}

/// A checkpoint, as the owner writes it.
fn keep(history: &mut History, state: &mut State, at_ms: i64) -> Result<(), HistoryError> {
    let (core, baselines) = (state.save().unwrap(), state.unkept().unwrap());
    let keep_from_ms = at_ms - 35 * 86_400_000;
    history.checkpoint(&core, &baselines, &state.watched().collect(), at_ms, keep_from_ms)?;
    state.kept();
    Ok(())
}

/// Lets the file have so many pages.
pub(super) fn fill(db: &rusqlite::Connection, pages_max: &AtomicU32) {
    // As many as it has already, at least.
    db.query_row(&format!("PRAGMA max_page_count = {}", pages_max.load(Ordering::Relaxed)), [], |_| Ok(()))
        .unwrap();
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
                keep(open, &mut state, at_ms).unwrap();
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

/// What a person does with marks, beside the reports.
#[derive(Clone, Debug)]
struct Doing {
    /// Before which report.
    at: i64,
    from_pane: i64,
    panes: i64,
    /// Taken back before which report.
    back: Option<i64>,
}

fn doings() -> impl Strategy<Value = Vec<Doing>> {
    let one = (0..LAST, 0..LAST, 1i64..20, prop::option::of(0..LAST));
    prop::collection::vec(
        one.prop_map(|(at, from_pane, panes, back)| Doing { at, from_pane, panes, back }),
        0..4,
    )
}

const LAST: i64 = fixture::LEARNED + 24;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn what_was_learned_and_marked_comes_back_the_same(
        checkpoints in prop::collection::btree_set(0..LAST, 0..12),
        kills in prop::collection::btree_set(0..LAST, 0..8),
        marks in doings(),
    ) {
        let folder = TempDir::new().unwrap();
        let config = Config { history: Some(folder.path().join("h.db")), ..fixture::config() };
        let mut never_killed = State::new(&config);
        let (mut state, mut history, error) = restore(&config);
        prop_assert_eq!(error, None);
        let mut told = Vec::new();
        for (at, report) in (0..).zip(fixture::reports(0..LAST, true)) {
            let open = history.as_mut().unwrap();
            for mark in marks.iter().filter(|mark| mark.at == at) {
                let from_ms = mark.from_pane * PANE_MS;
                let what = NewMark {
                    topics: vec!["or.*".to_owned()],
                    from_ms,
                    to_ms: from_ms + mark.panes * PANE_MS,
                    note: "sale".to_owned(),
                };
                let drafted = state.draft_mark(what.clone(), at).unwrap();
                prop_assert_eq!(&never_killed.draft_mark(what, at).unwrap(), &drafted);
                open.mark(&drafted).unwrap();
                told.push((mark.back, drafted.id));
                prop_assert_eq!(never_killed.mark(drafted.clone()), state.mark(drafted));
            }
            for (_, id) in told.iter().filter(|(back, _)| *back == Some(at)) {
                open.unmark(*id).unwrap();
                prop_assert_eq!(never_killed.unmark(*id), state.unmark(*id));
            }
            never_killed.apply(&report, report.as_of_ms);
            prop_assert_eq!(state.apply(&report, report.as_of_ms), Applied::Applied);
            open.append([(report.as_of_ms, &report)]).unwrap();
            if checkpoints.contains(&at) {
                keep(open, &mut state, report.as_of_ms).unwrap();
            }
            if kills.contains(&at) {
                drop((state, history));
                let restored = restore(&config);
                prop_assert_eq!(&restored.2, &None);
                (state, history) = (restored.0, restored.1);
            }
        }
        drop(history);
        let (restored, _, _) = restore(&config);
        prop_assert_eq!(restored.learned().unwrap(), never_killed.learned().unwrap());
        prop_assert_eq!(restored.save().unwrap(), never_killed.save().unwrap());
        let (a, b) = (restored.view(0), never_killed.view(0));
        prop_assert_eq!(&a.findings, &b.findings);
        prop_assert_eq!(&a.marks, &b.marks);
    }
}

/// Kinds of the findings that are open.
fn open(state: &State) -> Vec<String> {
    let open = state.view(0).findings.into_iter().filter(|finding| finding.resolved_ms.is_none());
    open.map(|finding| format!("{:?}", finding.source)).collect()
}

const NULLS: &str = "Detector(\"null_values\")";

fn apply(state: &mut State, panes: std::ops::Range<i64>, nulls: bool) {
    for report in fixture::reports(panes, nulls) {
        assert_eq!(state.apply(&report, report.as_of_ms), Applied::Applied);
    }
}

/// A file as the version before tables of version 2 wrote it: `fixtures/tables-1.db`, of the reports of
/// `fixture.rs` up to the eighth after learning, the last three of them in the log. Its checkpoint, of a format that
/// was never released, goes, and what was learned with it; its reports stay, and it is not set aside.
#[test]
fn tables_of_version_1_are_brought_to_this_one() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("h.db");
    std::fs::write(&path, include_bytes!("fixtures/tables-1.db")).unwrap();
    let config = Config { history: Some(path.clone()), ..fixture::config() };
    let learned = fixture::LEARNED + 8;
    for _ in 0..2 {
        let (mut state, history, error) = restore(&config);
        assert!(history.is_some() && error.is_none(), "{error:?}");
        assert!(!folder.path().join("h.db.bad-1").exists());
        let view = state.view(0);
        let orders = &view.topics["orders"];
        assert_eq!(orders.totals.read, (3 * fixture::RECORDS).unsigned_abs());
        assert!(!orders.detectors.as_ref().unwrap().is_watching);
        assert_eq!(view.ingest.applied_total, 3);
        // It goes on from there.
        apply(&mut state, learned..learned + 4, true);
        assert_eq!(state.view(0).topics["orders"].totals.read, (7 * fixture::RECORDS).unsigned_abs());
    }
    let (mut state, history, _) = restore(&config);
    keep(&mut history.unwrap(), &mut state, (learned + 2) * PANE_MS).unwrap();
    let db = rusqlite::Connection::open(&path).unwrap();
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((number("PRAGMA user_version"), number("SELECT count(*) FROM baseline")), (2, 1));
}

#[test]
fn a_checkpoint_of_another_format_goes_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("h.db");
    let config = Config { history: Some(path.clone()), ..fixture::config() };
    let learned = fixture::LEARNED + 8;
    let (mut state, mut history, _) = restore(&config);
    apply(&mut state, 0..learned, true);
    assert!(open(&state).contains(&NULLS.to_owned()));
    let at_ms = (learned + 2) * PANE_MS;
    keep(history.as_mut().unwrap(), &mut state, at_ms).unwrap();
    drop(history);
    let spoil = |sql: &str| {
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute_batch(sql).unwrap();
    };
    let again = || {
        let (state, history, error) = restore(&config);
        assert!(history.is_some() && error.is_none(), "{error:?}");
        assert!(!folder.path().join("h.db.bad-1").exists());
        state
    };
    for (format, body) in [(1_000, "body"), (super::CHECKPOINT_FORMAT, "zeroblob(40)")] {
        let lost = &format!("UPDATE checkpoint SET format = {format}, body = {body}");
        spoil(lost);
        let mut state = again();
        assert_eq!((open(&state).len(), state.view(0).topics["orders"].totals.read), (0, 0));
        apply(&mut state, learned + 4..learned + 12, true);
        assert!(state.view(0).topics["orders"].detectors.as_ref().unwrap().is_watching, "{lost}");
        assert_eq!(open(&state), [NULLS], "what is missing is no fall of volume");
    }
    for (format, body) in [(1_000, "body"), (checks::detect::FORMAT, "zeroblob(40)")] {
        let lost = &format!("UPDATE baseline SET format = {format}, body = {body}");
        spoil(lost);
        let mut state = again();
        apply(&mut state, learned + 4..learned + 12, true);
        assert!(!state.view(0).topics["orders"].detectors.as_ref().unwrap().is_watching, "{lost}");
    }
}

#[test]
fn what_is_older_than_history_keep_goes() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("h.db");
    let config = Config { history: Some(path.clone()), ..fixture::config() };
    let (mut state, history, _) = restore(&config);
    let mut history = history.unwrap();
    apply(&mut state, 0..10, false);
    for (from_ms, to_ms) in [(0, 5_000), (0, 3_600_000)] {
        let what = NewMark { topics: vec!["orders".to_owned()], from_ms, to_ms, note: "sale".to_owned() };
        let mark = state.draft_mark(what, 0).unwrap();
        history.mark(&mark).unwrap();
        state.mark(mark).unwrap();
    }
    let rows = |history: &History| {
        let count = |table: &str| {
            let sql = format!("SELECT count(*) FROM {table}");
            history.db.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap()
        };
        [count("baseline"), count("mark"), count("report")]
    };
    keep(&mut history, &mut state, 100 * PANE_MS).unwrap();
    assert_eq!(rows(&history), [1, 2, 0]);
    let later_ms = config.history_keep_ms + 600_000;
    state.tick(later_ms, None);
    keep(&mut history, &mut state, later_ms).unwrap();
    assert_eq!(rows(&history), [0, 1, 0]);
    assert_eq!(state.view(0).marks.iter().map(|mark| mark.id).collect::<Vec<_>>(), [2]);
    history.unmark(2).unwrap();
    state.unmark(2).unwrap();
    keep(&mut history, &mut state, later_ms).unwrap();
    assert_eq!(rows(&history), [0, 0, 0]);
    drop(history);
    let (state, _, _) = restore(&config);
    let what = NewMark { topics: vec!["x".to_owned()], from_ms: 0, to_ms: 1, note: "x".to_owned() };
    assert_eq!(state.draft_mark(what, 0).unwrap().id, 3, "a number is given once");
}

#[test]
fn on_a_full_disk_nothing_is_half_written() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("h.db");
    let config = Config { history: Some(path), ..fixture::config() };
    let (mut state, history, _) = restore(&config);
    let mut history = history.unwrap();
    let reports = fixture::reports(0..fixture::LEARNED, false);
    history.pages_max.store(12, Ordering::Relaxed);
    let mut written = 0;
    let full = loop {
        state.apply(&reports[written], 0);
        match history.append([(0, &reports[written])]) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(&full, HistoryError::Unusable { why, .. } if why.contains("full")), "{full:?}");
    assert!(written > 5, "{written}");
    history.pages_max.store(u32::MAX, Ordering::Relaxed);
    drop((state, history));

    let (mut state, mut history, error) = restore(&config);
    assert_eq!(error, None);
    assert_eq!(state.view(0).ingest.applied_total, written as u64, "all that was written, and no more");
    for report in &reports[written..] {
        assert_eq!(state.apply(report, 0), Applied::Applied);
        history.as_mut().unwrap().append([(0, report)]).unwrap();
    }
    keep(history.as_mut().unwrap(), &mut state, 1).unwrap();
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
    db.pragma_update(None, "user_version", super::tables::VERSION + 1).unwrap();
    drop(db);
    let (_, history, error) = restore(&config);
    assert!(history.is_some() && error.is_none(), "{error:?}");
    assert!(folder.path().join("h.db.bad-2").exists());

    // A checkpoint that can't be read goes alone.
    history.unwrap().checkpoint(b"nonsense that is no state", &[], &BTreeSet::new(), 1, 0).unwrap();
    let (state, history, error) = restore(&config);
    assert!(history.is_some() && error.is_none(), "{error:?}");
    assert!(!folder.path().join("h.db.bad-3").exists());
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
