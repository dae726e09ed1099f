//! Once an agent knows a topic, a record costs no allocation.

#[path = "../../benches/examine/orders.rs"]
mod orders;

use checks::examine::{Accumulator, Decoded, Examiner, Times};
use checks::limits::Limits;
use checks::record::{RecordView, Timestamp};
use checks::rules::{CheckFile, Loader};
use checks::tape::{Tape, json};

const NOW_MS: i64 = 1_764_000_000_000;

fn examiner() -> Examiner {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("order.json"), orders::SCHEMA).unwrap();
    let path = folder.path().join("orders.yaml");
    let file = CheckFile::parse(&path, orders::CHECKS, &Loader::files(&Limits::default())).unwrap();
    Examiner::new(file.for_topic("orders"), &Limits::default()).unwrap()
}

fn take(examiner: &mut Examiner, tape: &mut Tape, pane: &mut Accumulator, records: &[String]) {
    let limits = Limits::default();
    for (offset, payload) in records.iter().enumerate() {
        let record = RecordView {
            topic: "orders",
            partition: 0,
            offset: offset as i64,
            timestamp: Timestamp::Created(NOW_MS),
            key: None,
            value: Some(payload.as_bytes()),
            headers: &[],
        };
        pane.read(&record, Times::own(NOW_MS, false));
        let document = json::decode(payload.as_bytes(), examiner.shape_mut(), tape, &limits).unwrap();
        examiner.examine(&record, Decoded::Document(document), None, pane);
    }
}

/// What grows still is what a pane must remember of its values: now and then one of them is as frequent as to be
/// told, and the tables of unique values double.
#[test]
fn a_record_of_a_known_topic_allocates_nothing() {
    let records = orders::orders(60_000);
    let (known, new) = records.split_at(20_000);
    let (mut examiner, mut tape) = (examiner(), Tape::new());
    let mut pane = examiner.accumulator();
    take(&mut examiner, &mut tape, &mut pane, known);
    // New records, and then the same again.
    for _ in 0..2 {
        let seen = allocation_counter::measure(|| take(&mut examiner, &mut tape, &mut pane, new));
        let (count, records) = (seen.count_total, new.len() as u64);
        assert!(count * 50 < records, "{count} allocations of {records} records");
    }
}
