//! The configuration: one file, the environment over it, flags over both; every key has a default.
//!
//! Each source is read by the same section readers, one after the other, into the same
//! [`Settings`]: what a source does not say stays as it was.

mod editor;
mod environment;
mod properties;
mod sections;
mod settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use checks::limits::Limits;
use checks::yaml::{self, Diagnostic, Diagnostics, Reader};
use collector::export::metrics::compat::Peer;

pub(crate) use editor::schema;
pub(crate) use settings::{History, Settings};

/// Why the configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// Mistakes in the file or the environment, each with its place.
    #[error("{}", listed(.0))]
    Wrong(Diagnostics),
    /// A file that can't be read, or does not hold what it should.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Something else, in one sentence.
    #[error("{0}")]
    Other(String),
}

fn listed(diagnostics: &Diagnostics) -> String {
    diagnostics.iter().map(|d| redacted(d).to_string()).collect::<Vec<_>>().join("\n\n")
}

/// A line that may hold a secret is not shown.
fn redacted(diagnostic: &Diagnostic) -> Diagnostic {
    const SECRETS: [&str; 6] = ["password", "secret", "token", "jaas", "authorization", "key.pem"];
    let mut shown = diagnostic.clone();
    let line = shown.snippet.to_lowercase();
    if SECRETS.iter().any(|word| line.contains(word)) {
        shown.snippet = "(not shown: this line may hold a secret)".into();
        shown.snippet_column = 1;
        shown.length = 1;
    }
    shown
}

/// What flags say; they win over everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    /// `--config`.
    pub(crate) config: Option<PathBuf>,
    /// `--brokers`.
    pub(crate) brokers: Option<String>,
    /// `--properties-file`.
    pub(crate) properties_file: Option<PathBuf>,
    /// `--checks`, any number.
    pub(crate) checks: Vec<PathBuf>,
    /// `--listen`.
    pub(crate) listen: Option<String>,
    /// `--compat`, any number.
    pub(crate) compat: Vec<Peer>,
}

/// Reads all sources: the file, `environment` (as of the process), the flags.
///
/// # Errors
/// Everything that is wrong, with file and line, or the variable's name.
pub(crate) fn load(flags: &Flags, environment: &BTreeMap<String, String>) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    if let Some(path) = &flags.config {
        let text = read_text(path, settings.limits.file_bytes)?;
        let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
        apply(&text, &path.display().to_string(), &base, environment, &mut settings)?;
    }
    for document in environment::documents(environment)? {
        apply(&document.text, &document.source, Path::new(""), environment, &mut settings)?;
    }
    if let Some(path) = &flags.properties_file {
        settings.properties.extend(properties::read_file(path, settings.limits.file_bytes)?);
    }
    if let Some(brokers) = &flags.brokers {
        settings.properties.insert(properties::BOOTSTRAP.to_owned(), brokers.clone());
    }
    if !flags.checks.is_empty() {
        settings.checks.clone_from(&flags.checks);
    }
    if let Some(listen) = &flags.listen {
        settings.listen = settings::parse_listen(listen).map_err(ConfigError::Other)?;
    }
    if !flags.compat.is_empty() {
        settings.compat = flags.compat.iter().copied().collect();
    }
    properties::check(&settings.properties)?;
    Ok(settings)
}

fn apply(
    text: &str,
    source: &str,
    base: &Path,
    environment: &BTreeMap<String, String>,
    settings: &mut Settings,
) -> Result<(), ConfigError> {
    let node = yaml::parse(text, &Limits::default()).map_err(|diagnostic| {
        let mut found = Diagnostics::default();
        found.push(diagnostic.in_file(Path::new(source)));
        ConfigError::Wrong(found)
    })?;
    let variables = environment.clone();
    let reader = Reader::new(source, text).with_expansion(move |text| environment::expand(text, &variables));
    sections::read(&reader, &node, base, settings);
    reader.finish(()).map_err(ConfigError::Wrong)
}

/// A text file of at most `max` bytes.
fn read_text(path: &Path, max: usize) -> Result<String, ConfigError> {
    let wrong = |reason: String| ConfigError::File { path: path.to_path_buf(), reason };
    let size = std::fs::metadata(path).map_err(|e| wrong(format!("can't be read: {e}")))?.len();
    if size > max as u64 {
        return Err(wrong(format!("has {size} bytes; at most {max} are read")));
    }
    std::fs::read_to_string(path).map_err(|e| wrong(format!("can't be read: {e}")))
}

/// A secret in a file of its own: its first line, without the end of the line.
fn read_secret(path: &Path) -> Result<String, ConfigError> {
    let text = read_text(path, 64 * 1024)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests;
