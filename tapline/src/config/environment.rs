//! The environment: `TAPLINE_<SECTION>_<KEY>` for every key, and `${VAR}` in values.

use std::collections::BTreeMap;

use checks::yaml::{Diagnostic, Diagnostics, nearest};

use super::ConfigError;

/// How a variable's text is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As it is.
    Text,
    /// As YAML: a list or a mapping.
    Yaml,
}

use Kind::{Text, Yaml};

/// Every key that the environment can set.
const KEYS: [(&str, Kind); 54] = [
    ("cluster.name", Text),
    ("cluster.properties", Yaml),
    ("cluster.properties_file", Text),
    ("registry.url", Text),
    ("registry.username", Text),
    ("registry.password", Text),
    ("registry.password_file", Text),
    ("registry.ca_file", Text),
    ("checks", Yaml),
    ("watch.interval", Text),
    ("watch.groups.include", Yaml),
    ("watch.groups.exclude", Yaml),
    ("watch.groups.named", Yaml),
    ("watch.topics.include", Yaml),
    ("watch.topics.exclude", Yaml),
    ("watch.lag_seconds_max", Text),
    ("agent.name", Text),
    ("agent.topics.include", Yaml),
    ("agent.topics.exclude", Yaml),
    ("agent.group", Text),
    ("agent.catch_up", Text),
    ("agent.threads", Text),
    ("agent.report_every", Text),
    ("agent.idle", Text),
    ("agent.collector", Text),
    ("agent.listen", Text),
    ("pipelines", Yaml),
    ("export.listen", Text),
    ("export.otlp.endpoint", Text),
    ("export.otlp.protocol", Text),
    ("export.otlp.headers_file", Text),
    ("export.otlp.traces", Text),
    ("export.series_budget", Text),
    ("export.compat", Yaml),
    ("history.path", Text),
    ("history.keep", Text),
    ("detect.enabled", Yaml),
    ("detect.topics.include", Yaml),
    ("detect.topics.exclude", Yaml),
    ("detect.sensitivity", Text),
    ("detect.time_zone", Text),
    ("detect.window", Text),
    ("detect.learn", Text),
    ("detect.adopt", Text),
    ("limits.message_bytes", Text),
    ("limits.nesting", Text),
    ("limits.fields", Text),
    ("limits.string_bytes", Text),
    ("limits.open_panes", Text),
    ("limits.report_bytes", Text),
    ("limits.http_body_bytes", Text),
    ("limits.agent_memory_bytes", Text),
    ("limits.uniqueness_values", Text),
    ("limits.remote_timeout", Text),
];

/// A configuration of one key, made from a variable.
pub(super) struct Document {
    /// What errors call it.
    pub(super) source: String,
    /// YAML.
    pub(super) text: String,
}

fn variable(path: &str) -> String {
    format!("TAPLINE_{}", path.to_uppercase().replace('.', "_"))
}

/// One document a variable, in the order of the table.
///
/// # Errors
/// A variable that begins like one of ours and is none.
pub(super) fn documents(environment: &BTreeMap<String, String>) -> Result<Vec<Document>, ConfigError> {
    let names: Vec<(String, &str, Kind)> =
        KEYS.iter().map(|(path, kind)| (variable(path), *path, *kind)).collect();
    let mut wrong = Diagnostics::default();
    for name in environment.keys() {
        let is_known = names.iter().any(|(known, ..)| known == name);
        if is_known || !begins_like_a_key(name) {
            continue;
        }
        let valid: Vec<&str> = names.iter().map(|(known, ..)| known.as_str()).collect();
        let mut diagnostic =
            Diagnostic::of_file("the environment", format!("`{name}` is no key of the configuration"));
        if let Some(meant) = nearest(name, &valid) {
            diagnostic = diagnostic.with_help(format!("did you mean `{meant}`?"));
        }
        wrong.push(diagnostic);
    }
    if wrong.errors() > 0 {
        return Err(ConfigError::Wrong(wrong));
    }
    let documents = names.iter().filter_map(|(name, path, kind)| {
        let value = environment.get(name)?;
        let mut text = match kind {
            // A JSON string is a YAML one.
            Kind::Text => serde_json::Value::from(value.as_str()).to_string(),
            Kind::Yaml => value.clone(),
        };
        for key in path.rsplit('.') {
            text = format!("{{ {key}: {text} }}");
        }
        Some(Document { source: format!("environment variable {name}"), text })
    });
    Ok(documents.collect())
}

fn begins_like_a_key(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("TAPLINE_") else { return false };
    KEYS.iter().filter_map(|(path, _)| path.split('.').next()).any(|section| {
        rest.strip_prefix(&section.to_uppercase())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })
}

/// Replaces every `${NAME}` by the variable's value; `$${` stands for `${` itself.
pub(super) fn expand(text: &str, environment: &BTreeMap<String, String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at - 1]);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else {
            return Err("`${` without its `}` (write `$${` for the characters themselves)".to_owned());
        };
        let name = &rest[at + 2..at + end];
        let value =
            environment.get(name).ok_or_else(|| format!("environment variable `{name}` is not set"))?;
        out.push_str(value);
        rest = &rest[at + end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}
