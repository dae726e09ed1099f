//! Kafka client properties, as every Kafka user knows them.

use std::collections::BTreeMap;
use std::path::Path;

use super::{ConfigError, read_text};

/// Where the brokers are.
pub(super) const BOOTSTRAP: &str = "bootstrap.servers";

/// Properties that are Tapline's own business, and why.
const OWNED: [(&str, &str); 6] = [
    ("group.id", "set `agent.group` instead"),
    ("enable.auto.commit", "Tapline commits what its collector acknowledged, nothing else"),
    ("auto.offset.reset", "Tapline begins at the end, or where it was"),
    ("enable.auto.offset.store", "Tapline commits what its collector acknowledged, nothing else"),
    ("allow.auto.create.topics", "Tapline never creates topics"),
    ("group.instance.id", "set `agent.name` instead"),
];

/// Reads a Java properties file: `key=value` or `key: value`, `#` and `!` for comments, `\` at the
/// end of a line to go on (java.util.Properties; no Unicode escapes).
///
/// # Errors
/// The file can't be read, or a line is no property.
pub(super) fn read_file(path: &Path, max: usize) -> Result<BTreeMap<String, String>, ConfigError> {
    let text = read_text(path, max)?;
    let mut properties = BTreeMap::new();
    let mut pending: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if pending.is_none() && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let (first, joined) = match pending.take() {
            Some((first, before)) => (first, before + line),
            None => (index + 1, line.to_owned()),
        };
        if joined.ends_with('\\') && !joined.ends_with("\\\\") {
            pending = Some((first, joined[..joined.len() - 1].to_owned()));
            continue;
        }
        insert(&mut properties, &joined, path, first)?;
    }
    if let Some((first, line)) = pending {
        insert(&mut properties, &line, path, first)?;
    }
    Ok(properties)
}

fn insert(
    properties: &mut BTreeMap<String, String>,
    line: &str,
    path: &Path,
    number: usize,
) -> Result<(), ConfigError> {
    let Some(at) = line.find(['=', ':']) else {
        return Err(ConfigError::File {
            path: path.to_path_buf(),
            reason: format!("line {number} is no property: write `key=value`"),
        });
    };
    let value = line[at + 1..].trim().replace("\\\\", "\\");
    properties.insert(line[..at].trim().to_owned(), value);
    Ok(())
}

/// The properties as the agent's client takes them: the same that the watcher understands, under
/// the same names.
///
/// # Errors
/// A property that can't be used.
pub(super) fn of_agent(
    properties: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    collector::cluster::normalized(properties).map_err(|error| ConfigError::Other(error.to_string()))
}

/// Refuses what a user can't set, by name.
pub(super) fn check(properties: &BTreeMap<String, String>) -> Result<(), ConfigError> {
    for (name, why) in OWNED {
        if properties.contains_key(name) {
            return Err(ConfigError::Other(format!("the property `{name}` can't be set: {why}")));
        }
    }
    Ok(())
}
