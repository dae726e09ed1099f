//! Transactions that hang open in the cluster: nobody who reads committed records only gets past
//! them.

use std::collections::{BTreeMap, BTreeSet};

use checks::rules::Severity;
use checks::verdict::Status;
use serde_json::json;

use super::findings::{Draft, Findings, key};
use crate::cluster::snapshot::{ClusterSnapshot, OpenTransaction};
use crate::view::{Finding, FindingSource};

const HANGING: &str = "transaction_hanging";

/// Raises a finding for every partition whose last stable offset is held back, and resolves those
/// that are over. Returns findings opened and resolved. Seen twice, a snapshot changes nothing.
pub(super) fn look(snapshot: &ClusterSnapshot, findings: &mut Findings) -> Vec<Finding> {
    if !snapshot.complete_once {
        return Vec::new();
    }
    let mut told = Vec::new();
    let mut found = BTreeSet::new();
    for (topic, seen) in &snapshot.topics {
        for (&partition, open) in &seen.open_transactions {
            let draft = draft(topic, partition, open, snapshot.taken_at_ms);
            found.insert(key(&draft.topic, &draft.source, &draft.about));
            told.extend(findings.raise(snapshot.taken_at_ms, draft));
        }
    }
    let source = format!("detector:{HANGING}");
    let over: Vec<_> =
        findings.open_keys().filter(|k| k.1 == source && !found.contains(*k)).cloned().collect();
    told.extend(over.iter().filter_map(|k| findings.resolve_key(k, snapshot.taken_at_ms)));
    told
}

fn draft(topic: &str, partition: i32, open: &OpenTransaction, now_ms: i64) -> Draft {
    let seconds = now_ms.saturating_sub(open.since_ms) as f64 / 1000.0;
    let who = open.producer.map_or_else(
        || "a producer that could not be asked for (it needs READ on the topic)".to_owned(),
        |p| format!("producer {}", p.producer_id),
    );
    let start = open.start_offset;
    let message = format!(
        "a transaction of {who} has been open in {topic}-{partition} since offset {start} for {seconds:.0} s or more: readers of committed records stop there; if its owner is gone, end it with kafka-transactions.sh --bootstrap-server <broker> abort --topic {topic} --partition {partition} --start-offset {start}"
    );
    let (producer, coordinator) = (open.producer, open.coordinator.as_ref());
    let evidence = BTreeMap::from([
        ("partition".to_owned(), json!(partition)),
        ("start_offset".to_owned(), json!(start)),
        ("since_ms".to_owned(), json!(open.since_ms)),
        ("producer_id".to_owned(), json!(producer.map(|p| p.producer_id))),
        ("producer_epoch".to_owned(), json!(producer.map(|p| p.producer_epoch))),
        ("last_record_ms".to_owned(), json!(producer.and_then(|p| p.last_ms))),
        ("transactional_id".to_owned(), json!(coordinator.map(|c| &c.transactional_id))),
        ("coordinator".to_owned(), json!(coordinator.map(|c| c.broker))),
        ("coordinator_state".to_owned(), json!(coordinator.map(|c| &c.state))),
    ]);
    Draft {
        topic: topic.to_owned(),
        source: FindingSource::Detector(HANGING.to_owned()),
        about: partition.to_string(),
        severity: Severity::Warning,
        status: Status::Fail,
        message,
        value: Some(seconds),
        expected: "transactions that end".to_owned(),
        evidence,
        from_ms: open.since_ms,
        to_ms: now_ms,
        examples: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::snapshot::{OpenProducer, TopicSnapshot};

    fn snapshot(at_ms: i64, open: Option<OpenTransaction>) -> ClusterSnapshot {
        let topic = TopicSnapshot {
            open_transactions: open.map(|open| (3, open)).into_iter().collect(),
            ..TopicSnapshot::default()
        };
        ClusterSnapshot {
            taken_at_ms: at_ms,
            complete_once: true,
            topics: [("orders".to_owned(), topic)].into(),
            ..ClusterSnapshot::default()
        }
    }

    #[test]
    fn a_hanging_transaction_is_found_once_named_and_resolved() {
        let mut findings = Findings::default();
        let producer =
            OpenProducer { producer_id: 4711, producer_epoch: 2, coordinator_epoch: 0, last_ms: Some(9_000) };
        let open = OpenTransaction {
            start_offset: 42,
            since_ms: 10_000,
            producer: Some(producer),
            coordinator: None,
        };
        let told = look(&snapshot(100_000, Some(open.clone())), &mut findings);
        assert_eq!(told.len(), 1);
        let said = &told[0].message;
        for part in
            ["producer 4711", "orders-3", "90 s", "abort --topic orders --partition 3 --start-offset 42"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(told[0].evidence["producer_id"], 4711);
        assert_eq!(told[0].evidence["transactional_id"], serde_json::Value::Null);
        assert!(look(&snapshot(100_000, Some(open.clone())), &mut findings).is_empty());
        let nobody = OpenTransaction { producer: None, ..open };
        assert!(look(&snapshot(115_000, Some(nobody)), &mut findings).is_empty(), "the same one");
        let over = look(&snapshot(130_000, None), &mut findings);
        assert_eq!(over.len(), 1);
        assert_eq!(over[0].resolved_ms, Some(130_000));
    }
}
