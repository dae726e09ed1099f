//! Findings: something that is wrong, once, from its beginning to its end.

use std::collections::{BTreeMap, VecDeque};

use checks::report::Example;
use checks::rules::Severity;
use checks::verdict::Status;
use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};

use crate::view::{Finding, FindingSource};

/// Open findings; beyond it new ones are not raised, and counted.
const OPEN_MAX: usize = 1_000;
/// Findings kept in all, the resolved ones giving way.
const KEPT_MAX: usize = 1_000;

/// What makes findings the same: topic, source, and what it is about (a group's topic, say).
pub(crate) type Key = (String, String, String);

/// What is found now.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) topic: String,
    pub(crate) source: FindingSource,
    /// What it is about, where topic and source do not say it all.
    pub(crate) about: String,
    pub(crate) severity: Severity,
    pub(crate) status: Status,
    pub(crate) message: String,
    pub(crate) value: Option<f64>,
    pub(crate) expected: String,
    pub(crate) evidence: BTreeMap<String, serde_json::Value>,
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) examples: Vec<Example>,
}

/// A finding as it is kept: the evidence as JSON text, which any format can carry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// Its `evidence` is empty.
    finding: Finding,
    evidence: String,
}

/// All findings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Findings {
    open: BTreeMap<Key, Kept>,
    /// The latest last.
    resolved: VecDeque<Kept>,
    /// Not raised for lack of room.
    pub(crate) untold: u64,
}

impl Kept {
    fn shown(&self) -> Finding {
        let evidence = serde_json::from_str(&self.evidence).unwrap_or_default();
        Finding { evidence, ..self.finding.clone() }
    }
}

impl Findings {
    /// Raises a finding that began at `at_ms`, or brings the open one up to date. Returns it if it
    /// is new.
    pub(crate) fn raise(&mut self, at_ms: i64, draft: Draft) -> Option<Finding> {
        let key = key(&draft.topic, &draft.source, &draft.about);
        let open = self.open.get(&key).map(|kept| kept.finding.at_ms);
        if open.is_none() && self.open.len() >= OPEN_MAX {
            self.untold += 1;
            return None;
        }
        let at_ms = open.unwrap_or(at_ms);
        let finding = Finding {
            id: id(&key, at_ms),
            at_ms,
            resolved_ms: None,
            topic: draft.topic,
            source: draft.source,
            severity: draft.severity,
            status: draft.status,
            message: draft.message,
            value: draft.value,
            expected: draft.expected,
            evidence: BTreeMap::new(),
            from_ms: draft.from_ms,
            to_ms: draft.to_ms,
            examples: draft.examples,
        };
        let mut evidence = draft.evidence;
        let since = chrono::DateTime::from_timestamp_millis(at_ms);
        evidence.extend(
            since.map(|t| ("since".to_owned(), t.to_rfc3339_opts(SecondsFormat::AutoSi, true).into())),
        );
        let evidence = serde_json::to_string(&evidence).unwrap_or_else(|_| "{}".to_owned());
        let kept = Kept { finding, evidence };
        // Late records may show that it went on.
        self.resolved.retain(|over| over.finding.id != kept.finding.id);
        let new = open.is_none().then(|| kept.shown());
        self.open.insert(key, kept);
        new
    }

    /// Resolves a finding, if it is open.
    pub(crate) fn resolve(
        &mut self,
        topic: &str,
        source: &FindingSource,
        about: &str,
        at_ms: i64,
    ) -> Option<Finding> {
        // Most often there is none at all: no key is made for that.
        if self.open.is_empty() {
            return None;
        }
        self.resolve_key(&key(topic, source, about), at_ms)
    }

    /// The same, by key.
    pub(crate) fn resolve_key(&mut self, key: &Key, at_ms: i64) -> Option<Finding> {
        let mut kept = self.open.remove(key)?;
        kept.finding.resolved_ms = Some(at_ms.max(kept.finding.at_ms));
        kept.finding.status = Status::Pass;
        let finding = kept.shown();
        self.resolved.push_back(kept);
        while self.resolved.len() + self.open.len() > KEPT_MAX && self.resolved.pop_front().is_some() {}
        Some(finding)
    }

    /// Resolves it for a reason that its message gains.
    pub(crate) fn end(&mut self, key: &Key, at_ms: i64, why: &str) -> Option<Finding> {
        let kept = self.open.get_mut(key)?;
        kept.finding.message.push_str("; ");
        kept.finding.message.push_str(why);
        self.resolve_key(key, at_ms)
    }

    /// When it began, if it is open.
    pub(crate) fn opened_ms(&self, key: &Key) -> Option<i64> {
        self.open.get(key).map(|kept| kept.finding.at_ms)
    }

    /// Is it open?
    pub(crate) fn is_open(&self, key: &Key) -> bool {
        self.open.contains_key(key)
    }

    /// Keys of the open findings.
    pub(crate) fn open_keys(&self) -> impl Iterator<Item = &Key> {
        self.open.keys()
    }

    /// Open ones first, the latest first; then the resolved ones, the latest resolved first.
    pub(crate) fn shown(&self) -> Vec<Finding> {
        let mut open: Vec<Finding> = self.open.values().map(Kept::shown).collect();
        open.sort_by(|a, b| b.at_ms.cmp(&a.at_ms).then_with(|| a.id.cmp(&b.id)));
        open.extend(self.resolved.iter().rev().map(Kept::shown));
        open
    }

    /// Forgets what was resolved before.
    pub(crate) fn forget(&mut self, before_ms: i64) {
        self.resolved.retain(|k| k.finding.resolved_ms.is_none_or(|t| t >= before_ms));
    }
}

/// The key of a finding.
pub(crate) fn key(topic: &str, source: &FindingSource, about: &str) -> Key {
    let source = match source {
        FindingSource::Check(id) => format!("check:{id}"),
        FindingSource::Slo(id) => format!("slo:{id}"),
        FindingSource::Detector(id) => format!("detector:{id}"),
    };
    (topic.to_owned(), source, about.to_owned())
}

/// FNV-1a over key and beginning: the same in every process.
fn id(key: &Key, at_ms: i64) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let parts = [key.0.as_bytes(), key.1.as_bytes(), key.2.as_bytes(), &at_ms.to_be_bytes()];
    for part in parts {
        // A separator that no name contains keeps ("ab", "c") and ("a", "bc") apart.
        for byte in part.iter().chain(&[0xff]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(topic: &str, message: &str) -> Draft {
        Draft {
            topic: topic.to_owned(),
            source: FindingSource::Check("amount".to_owned()),
            about: String::new(),
            severity: Severity::Error,
            status: Status::Fail,
            message: message.to_owned(),
            value: Some(0.1),
            expected: "mustBe 0".to_owned(),
            evidence: BTreeMap::from([("failed".to_owned(), serde_json::json!(3))]),
            from_ms: 0,
            to_ms: 60_000,
            examples: Vec::new(),
        }
    }

    #[test]
    fn a_finding_opens_once_is_kept_up_to_date_and_ends_once() {
        let mut findings = Findings::default();
        let opened = findings.raise(1_000, draft("orders", "first")).unwrap();
        assert_eq!(opened.evidence["failed"], 3);
        assert!(findings.raise(2_000, draft("orders", "second")).is_none());
        let shown = findings.shown();
        assert_eq!(shown.len(), 1);
        assert_eq!((shown[0].at_ms, shown[0].message.as_str()), (1_000, "second"));
        assert_eq!(shown[0].id, opened.id);
        assert_eq!(
            shown[0].evidence["since"], "1970-01-01T00:00:01Z",
            "since it began, not since it was last seen"
        );
        let ended = findings.resolve("orders", &opened.source, "", 9_000).unwrap();
        assert_eq!(
            (ended.id, ended.resolved_ms, ended.status),
            (opened.id.clone(), Some(9_000), Status::Pass)
        );
        assert!(findings.resolve("orders", &opened.source, "", 9_500).is_none());
        let again = findings.raise(20_000, draft("orders", "third")).unwrap();
        assert_ne!(again.id, opened.id);
        assert_eq!(findings.shown().iter().map(|f| f.at_ms).collect::<Vec<_>>(), [20_000, 1_000]);
    }

    #[test]
    fn findings_are_bounded_and_open_ones_stay() {
        let mut findings = Findings::default();
        for i in 0..OPEN_MAX + 10 {
            findings.raise(i as i64, draft(&format!("t{i:05}"), "x"));
        }
        assert_eq!((findings.shown().len(), findings.untold), (OPEN_MAX, 10));
        let source = FindingSource::Check("amount".to_owned());
        findings.resolve("t00000", &source, "", 5_000).unwrap();
        findings.raise(7_000, draft("again", "x")).unwrap();
        findings.resolve("t00001", &source, "", 8_000).unwrap();
        assert!(findings.shown().len() <= KEPT_MAX);
        assert_eq!(findings.shown().iter().filter(|f| f.resolved_ms.is_none()).count(), OPEN_MAX - 1);
    }
}
