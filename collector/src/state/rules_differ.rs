//! Agents that hold other check files than the collector.

use std::collections::BTreeMap;

use checks::rules::Severity;
use checks::verdict::Status;
use serde_json::json;

use super::agents::Agents;
use super::findings::{Draft, Findings};
use crate::view::{Finding, FindingSource};

const NAME: &str = "rules_differ";

/// Agents and collector never take up new files at the very same moment, ms of stream time.
const PATIENCE_MS: i64 = 60_000;

/// Raises a finding for an agent that has held other files than these for a while, and resolves it
/// once they are the same again, or the agent is gone. Returns what was opened and resolved.
pub(super) fn look(files_hash: u64, agents: &mut Agents, findings: &mut Findings) -> Vec<Finding> {
    let source = FindingSource::Detector(NAME.to_owned());
    let mut told = Vec::new();
    for (name, agent) in agents.iter_mut() {
        // 0: an agent that does not say.
        let differs = agent.alive() && agent.rules_hash != 0 && agent.rules_hash != files_hash;
        if !differs {
            if agent.differs_since_ms.take().is_some() {
                told.extend(findings.resolve("", &source, name, agent.as_of_ms));
            }
            continue;
        }
        let since_ms = *agent.differs_since_ms.get_or_insert(agent.as_of_ms);
        if agent.as_of_ms.saturating_sub(since_ms) < PATIENCE_MS {
            continue;
        }
        let message = format!(
            "agent {name} examines by other check files ({:016x}) than this collector judges by ({files_hash:016x}): give both the same files; until then checks that differ are unknown, and what the agent counted for them is left out",
            agent.rules_hash
        );
        let evidence = BTreeMap::from([
            ("agent".to_owned(), json!(name)),
            ("agent_files".to_owned(), json!(format!("{:016x}", agent.rules_hash))),
            ("collector_files".to_owned(), json!(format!("{files_hash:016x}"))),
        ]);
        let draft = Draft {
            topic: String::new(),
            source: source.clone(),
            about: name.clone(),
            severity: Severity::Warning,
            status: Status::Fail,
            message,
            value: None,
            expected: "the same check files".to_owned(),
            evidence,
            from_ms: since_ms,
            to_ms: agent.as_of_ms,
            examples: Vec::new(),
        };
        told.extend(findings.raise(since_ms, draft));
    }
    told
}
