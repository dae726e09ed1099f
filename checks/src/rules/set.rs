//! All check files of a run: found, read, held against each other, and merged by topic.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::discover::{DEPTH_MAX, FILES_MAX, find};
use super::{
    CheckFile, CheckSet, EventTime, Loader, Origin, TimeSource, TopicRules, TopicSelector, WindowTime, hash,
};
use crate::limits::Limits;
use crate::odcs;
use crate::redact::Redaction;
use crate::report::RuleTally;
use crate::yaml::{self, Diagnostic, Diagnostics, read_text};

/// Why check files could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A path that was given is not there, or cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// More files or folders than are read.
    #[error("{}: more than {FILES_MAX} check files, or folders nested more than {DEPTH_MAX} deep", path.display())]
    TooMany {
        /// Where the bound was met.
        path: PathBuf,
    },
    /// Something is wrong in the files.
    #[error("{0}")]
    Invalid(Diagnostics),
}

/// What a look at check files found.
#[derive(Debug)]
pub struct Inspection {
    /// The files, in the order of their names.
    pub paths: Vec<PathBuf>,
    /// Their texts, of those that could be read.
    pub texts: Vec<(PathBuf, String)>,
    /// What they say together, unless there is an error in one.
    pub set: Option<CheckSet>,
    /// Errors and warnings.
    pub found: Diagnostics,
}

/// A check that a topic has from an earlier file already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// Id of the check or service level.
    pub id: String,
    /// The definition that is used.
    pub used: Origin,
    /// The definition that is not.
    pub ignored: Origin,
}

impl std::fmt::Display for Clash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, used, ignored } = self;
        write!(
            f,
            "`{id}` in {}:{} is ignored: {}:{} defines it already",
            ignored.file.display(),
            ignored.line,
            used.file.display(),
            used.line
        )
    }
}

/// Reads all check files at `paths`: files as they are, folders with everything in them that ends
/// in `.yaml` or `.yml` and is not hidden.
///
/// # Errors
/// A path that is not there or not readable, and too many files; what is wrong inside files is in
/// the result.
pub fn inspect(paths: &[PathBuf], limits: &Limits) -> Result<Inspection, LoadError> {
    let paths = find(paths)?;
    let loader = Loader::files(limits);
    let mut found = Diagnostics::default();
    let (mut files, mut texts) = (Vec::new(), Vec::new());
    for path in &paths {
        match read_text(path, limits) {
            Ok(text) => {
                let (some, diagnostics) = inspect_text(path, &text, &loader);
                found.extend(diagnostics);
                files.extend(some.into_iter().map(Arc::new));
                texts.push((path.clone(), text));
            }
            Err(error) => found.push(error),
        }
    }
    clashes_of_names(&files, &texts, &mut found);
    let set = (found.errors() == 0).then(|| CheckSet::of(files));
    Ok(Inspection { paths, texts, set, found })
}

/// What one file says: a check file, or a data contract, which may be about several topics.
pub fn inspect_text(path: &Path, text: &str, loader: &Loader<'_>) -> (Vec<CheckFile>, Diagnostics) {
    if odcs::may_be_contract(text)
        && let Ok(node) = yaml::parse(text, loader.limits)
        && odcs::is_contract(&node)
    {
        return odcs::inspect(path, text, &node, loader);
    }
    let (file, found) = CheckFile::inspect(path, text, loader);
    (file.into_iter().collect(), found)
}

impl CheckSet {
    /// Loads all check files at `paths` ([`inspect`]); no path, or an empty folder, is an empty
    /// set.
    ///
    /// # Errors
    /// [`LoadError`]: all or nothing.
    pub fn load(paths: &[PathBuf], limits: &Limits) -> Result<Self, LoadError> {
        let inspection = inspect(paths, limits)?;
        inspection.set.ok_or(LoadError::Invalid(inspection.found))
    }

    /// The set of these files.
    pub fn of(files: Vec<Arc<CheckFile>>) -> Self {
        let hash = hash::of_files(files.iter().map(Arc::as_ref));
        Self { files, hash }
    }

    /// Everything that applies to a topic; the defaults when no file selects it.
    pub fn for_topic(&self, topic: &str) -> Arc<TopicRules> {
        Arc::new(merged(topic, &self.selecting(topic)))
    }

    /// Checks and service levels of a topic that [`Self::for_topic`] leaves out because an earlier
    /// file has one of that id. Only patterns can clash here: names are held against each other
    /// when they are loaded.
    pub fn clashes(&self, topic: &str) -> Vec<Clash> {
        let (mut rules, mut slos) = (HashMap::new(), HashMap::new());
        let mut clashes = Vec::new();
        for file in self.selecting(topic) {
            for rule in &file.rules {
                clash(&mut rules, &rule.id, &rule.origin, &mut clashes);
            }
            for slo in &file.slos {
                clash(&mut slos, &slo.id, &slo.origin, &mut clashes);
            }
        }
        clashes
    }

    fn selecting(&self, topic: &str) -> Vec<&CheckFile> {
        self.files.iter().map(Arc::as_ref).filter(|file| file.topics.selects(topic)).collect()
    }
}

impl CheckFile {
    /// What this file alone says of a topic.
    pub fn for_topic(&self, topic: &str) -> Arc<TopicRules> {
        Arc::new(merged(topic, &[self]))
    }
}

fn merged(topic: &str, files: &[&CheckFile]) -> TopicRules {
    let head = files.iter().min_by_key(|file| (file.is_contract, file.topics.exactness()));
    let mut rules = TopicRules {
        topic: topic.to_owned(),
        decode: head.map(|file| file.decode.clone()).unwrap_or_default(),
        time: head.map(|file| file.time.clone()).unwrap_or_default(),
        window: head.map(|file| file.window).unwrap_or_default(),
        sample: head.map(|file| file.sample).unwrap_or_default(),
        redact: Redaction::default(),
        rules: Vec::new(),
        slos: Vec::new(),
        hash: 0,
    };
    let (mut rule_ids, mut slo_ids) = (HashSet::new(), HashSet::new());
    for file in files {
        rules.redact.extend(&file.redact);
        // A service level goes with the check that it counts by: both of the same file, or
        // neither.
        let fresh: HashSet<_> = file
            .rules
            .iter()
            .filter(|rule| rule_ids.insert(rule.id.as_str()))
            .map(|r| r.id.as_str())
            .collect();
        rules.rules.extend(file.rules.iter().filter(|rule| fresh.contains(rule.id.as_str())).cloned());
        let slos = file.slos.iter().filter(|slo| fresh.contains(slo.good.as_str()));
        rules.slos.extend(slos.filter(|slo| slo_ids.insert(slo.id.as_str())).cloned());
    }
    rules.hash = hash::of_topic(&rules);
    rules
}

impl TopicRules {
    /// The payload's own time, if windows go by it.
    pub fn event_time(&self) -> Option<&EventTime> {
        match (&self.time, self.window.by) {
            (TimeSource::Field(time), WindowTime::Event) => Some(time),
            _ => None,
        }
    }

    /// Hash of what a rule measures on this topic; `None` if there is no such rule.
    pub fn definition(&self, rule: &str) -> Option<u64> {
        let rule = self.rules.iter().find(|known| known.id == rule)?;
        Some(hash::of_definition(self, rule))
    }

    /// Was this tally counted by one of these rules, or by one that measures the same?
    pub fn measures_as(&self, tally: &RuleTally) -> bool {
        self.definition(&tally.rule) == Some(tally.definition)
    }
}

impl TopicSelector {
    /// Is the file for this topic?
    pub fn selects(&self, topic: &str) -> bool {
        match self {
            Self::Names(names) => names.iter().any(|name| name == topic),
            Self::Pattern(pattern) => pattern.is_match(topic),
        }
    }

    /// Less is more exact: one name, a list, a pattern.
    fn exactness(&self) -> u8 {
        match self {
            Self::Names(names) if names.len() == 1 => 0,
            Self::Names(_) => 1,
            Self::Pattern(_) => 2,
        }
    }
}

fn clash<'a>(
    seen: &mut HashMap<&'a str, &'a Origin>,
    id: &'a str,
    origin: &'a Origin,
    clashes: &mut Vec<Clash>,
) {
    match seen.entry(id) {
        Entry::Vacant(vacant) => _ = vacant.insert(origin),
        Entry::Occupied(used) => {
            let (used, ignored) = ((*used.get()).clone(), origin.clone());
            clashes.push(Clash { id: id.to_owned(), used, ignored });
        }
    }
}

/// For every topic that a file names: no two files may define the same check for it.
fn clashes_of_names(files: &[Arc<CheckFile>], texts: &[(PathBuf, String)], found: &mut Diagnostics) {
    let set = CheckSet { files: files.to_vec(), hash: 0 };
    let mut topics: Vec<&str> = Vec::new();
    for file in files {
        if let TopicSelector::Names(names) = &file.topics {
            topics.extend(names.iter().map(String::as_str));
        }
    }
    topics.sort_unstable();
    topics.dedup();
    let mut said = HashSet::new();
    for topic in topics {
        for Clash { id, used, ignored } in set.clashes(topic) {
            if !said.insert((id.clone(), ignored.clone())) {
                continue;
            }
            let text = texts.iter().find(|(path, _)| *path == ignored.file).map(|(_, text)| text.as_str());
            let text = text.unwrap_or_default();
            let source = text.lines().nth(ignored.line.saturating_sub(1)).unwrap_or_default();
            let before = source.find(id.as_str()).map_or(0, |at| source[..at].chars().count());
            let span = crate::yaml::Span { line: ignored.line, column: before + 1, length: id.len() };
            let message = format!("`{id}` is already defined for the topic `{topic}`");
            let help = format!("its other definition is in {}:{}", used.file.display(), used.line);
            found.push(Diagnostic::error(text, span, message).with_help(help).in_file(&ignored.file));
        }
    }
}
