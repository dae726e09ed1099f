//! The running collector: what goes in, what comes out, what a restart keeps.

use std::sync::Arc;
use std::time::Duration;

use checks::report::Report;
use tempfile::TempDir;
use tokio::sync::watch;

use super::IngestError;
use crate::cluster::snapshot::ClusterSnapshot;
use crate::config::Config;
use crate::state::testing::*;
use crate::view::View;
use crate::{Collector, CollectorHandle};

fn start(config: &Config) -> CollectorHandle {
    let (_, cluster) = watch::channel(Arc::new(ClusterSnapshot::default()));
    Collector::start(config.clone(), cluster).unwrap()
}

async fn view_when(handle: &CollectorHandle, ready: impl Fn(&View) -> bool) -> Arc<View> {
    tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let view = handle.view();
            if ready(&view) {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the view shows it in time")
}

fn steps(config: &Config) -> Vec<Report> {
    let hash = config.checks.for_topic("orders").hash;
    (0..4)
        .map(|i| {
            let mut r = report("a", 1, i as u64 + 1, (i + 1) * PANE_MS);
            r.panes.push(pane(hash, i * PANE_MS, 0, i * 10, i * 10 + 10, u64::from(i == 1), &[]));
            r.topics.push(progress("orders", (i + 1) * PANE_MS, 0, i * 10 + 10));
            r
        })
        .collect()
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("h.db");
    let config = Config { history: Some(path), ..config(checks(vec![amount()], vec![])) };
    let reports = steps(&config);

    let handle = start(&config);
    let mut findings = handle.findings();
    let ingest = handle.ingest();
    for report in &reports[..2] {
        ingest.apply(report.clone()).await.unwrap();
    }
    let opened = tokio::time::timeout(Duration::from_secs(20), findings.recv()).await.unwrap().unwrap();
    assert_eq!(opened.resolved_ms, None);
    view_when(&handle, |v| v.topics.get("orders").is_some_and(|t| t.totals.read == 20)).await;
    handle.stop().await;
    assert_eq!(ingest.apply(reports[2].clone()).await, Err(IngestError::Stopped));

    let handle = start(&config);
    // Sent again, as after an acknowledgement that got lost.
    for report in &reports {
        handle.ingest().apply(report.clone()).await.unwrap();
    }
    let view = view_when(&handle, |v| v.topics.get("orders").is_some_and(|t| t.totals.read == 40)).await;
    assert_eq!(view.ingest.history_error, None);
    assert_eq!((view.ingest.applied_total, view.ingest.duplicate_total), (4, 2));
    assert_eq!(view.findings[0].id, opened.id);
    let positions = handle.ingest().positions(vec!["orders".to_owned()]).await.unwrap();
    assert_eq!(positions[0].next, 40);
    handle.stop().await;
}

#[tokio::test]
async fn a_history_that_can_not_be_written_is_said_and_counts_go_on() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    let config = Config { history: Some(file.join("h.db")), ..config(checks(vec![amount()], vec![])) };
    let handle = start(&config);
    for report in steps(&config) {
        handle.ingest().apply(report).await.unwrap();
    }
    let view = view_when(&handle, |v| v.topics.get("orders").is_some_and(|t| t.totals.read == 40)).await;
    assert!(view.ingest.history_error.as_ref().is_some_and(|e| e.contains("h.db") || e.contains("file")));
    handle.stop().await;
}

#[tokio::test]
async fn a_full_queue_is_an_answer() {
    let (queue, commands) = std::sync::mpsc::sync_channel(1);
    let ingest = super::IngestHandle::new(queue);
    let first = tokio::spawn({
        let ingest = ingest.clone();
        async move { ingest.apply(report("a", 1, 1, 1)).await }
    });
    // The first one waits for its answer, in the only place there is.
    while ingest.set_reload_error(None).is_ok() {
        commands.recv().unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(ingest.apply(report("a", 1, 2, 1)).await, Err(IngestError::Busy));
    drop(commands);
    assert_eq!(first.await.unwrap(), Err(IngestError::Stopped));
    assert_eq!(ingest.apply(report("a", 1, 2, 1)).await, Err(IngestError::Stopped));
}

#[tokio::test]
async fn a_refusal_says_why() {
    let config = config(checks(vec![], vec![]));
    let handle = start(&config);
    let wrong = Report { cluster: "elsewhere".to_owned(), ..report("a", 1, 1, 1) };
    match handle.ingest().apply(wrong).await {
        Err(IngestError::Refused(why)) => assert!(why.contains("elsewhere"), "{why}"),
        other => panic!("{other:?}"),
    }
    view_when(&handle, |v| v.ingest.refused_total.get("cluster") == Some(&1)).await;
    handle.stop().await;
}

/// The disk is full for a while: nothing is acknowledged, all is counted once, and it goes on by itself.
#[tokio::test]
async fn while_the_disk_is_full_nothing_is_acknowledged() {
    use std::sync::atomic::Ordering;

    let folder = TempDir::new().unwrap();
    let path = folder.path().join("h.db");
    let config = Config { history: Some(path), ..config(checks(vec![amount()], vec![])) };
    let reports = steps(&config);
    let (state, history, error) = crate::history::restore(&config);
    let pages_max = Arc::clone(&history.as_ref().unwrap().pages_max);
    let (_, cluster) = watch::channel(Arc::new(ClusterSnapshot::default()));
    let handle = Collector::with(config.clone(), cluster, state, history, error).unwrap();
    let ingest = handle.ingest();
    ingest.apply(reports[0].clone()).await.unwrap();

    pages_max.store(1, Ordering::Relaxed);
    // A large one, that no page has room for.
    let mut large = reports[1].clone();
    for n in 0..2_000u64 {
        large.skipped.push(skipped(9, n as i64 * 7_919, n as i64 * 7_919 + 1 + (n * n % 97) as i64, "gap"));
    }
    match ingest.apply(large.clone()).await {
        Err(IngestError::Unkept(why)) => assert!(why.contains("full"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(ingest.apply(large.clone()).await, Err(IngestError::Unkept(_))), "sent again");
    assert!(matches!(ingest.apply(reports[0].clone()).await, Err(IngestError::Unkept(_))));
    assert_eq!(ingest.positions(vec!["orders".to_owned()]).await.unwrap(), [], "what a restart would lose");
    let what = crate::state::NewMark {
        topics: vec!["orders".to_owned()],
        from_ms: 4_000_000_000_000,
        to_ms: 4_000_000_000_001,
        note: "sale".to_owned(),
    };
    let told = ingest.mark(what.clone()).await.unwrap();
    assert!(matches!(told, Err(crate::state::MarkError::Unkept(_))), "{told:?}");
    let view = view_when(&handle, |v| v.ingest.history_error.is_some()).await;
    assert!(view.marks.is_empty());
    view_when(&handle, |v| v.topics.get("orders").is_some_and(|t| t.totals.read == 20)).await;

    pages_max.store(u32::MAX, Ordering::Relaxed);
    view_when(&handle, |v| v.ingest.history_error.is_none()).await;
    ingest.apply(large).await.unwrap();
    for report in &reports[2..] {
        ingest.apply(report.clone()).await.unwrap();
    }
    assert!(ingest.mark(what).await.unwrap().unwrap().kept);
    handle.stop().await;
    let handle = start(&config);
    let view = view_when(&handle, |v| v.topics.get("orders").is_some_and(|t| t.totals.read == 40)).await;
    assert_eq!((view.ingest.applied_total, view.marks.len()), (4, 1));
    handle.stop().await;
}
