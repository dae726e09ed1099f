//! One check file: text to [`CheckFile`].

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::{
    CheckFile, Decode, Function, Metric, Rule, Sample, SchemaSource, ValueFormat, check, fixture, head,
    sense, slo, window,
};
use crate::limits::Limits;
use crate::redact::Redaction;
use crate::yaml::{self, Diagnostics, Map, Node, Reader, Span, quoted};

pub(super) const KEYS: [&str; 14] = [
    "version",
    "topic",
    "topics",
    "pattern",
    "owner",
    "decode",
    "time",
    "window",
    "sample",
    "segment_by",
    "redact",
    "checks",
    "slos",
    "tests",
];

/// Checks, service levels or tests that a file may have, of each.
const ITEMS_MAX: usize = 1_000;

/// Reads the text of a file, or says why it cannot.
type ReadText<'a> = Box<dyn Fn(&Path) -> Result<String, String> + 'a>;

/// Where files that a check file names come from, and the bounds on all of them.
pub struct Loader<'a> {
    /// Bounds.
    pub limits: &'a Limits,
    read: ReadText<'a>,
}

impl std::fmt::Debug for Loader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("limits", self.limits).finish_non_exhaustive()
    }
}

impl<'a> Loader<'a> {
    /// From disk.
    pub fn files(limits: &'a Limits) -> Self {
        let schema = Limits { file_bytes: limits.schema_bytes, ..limits.clone() };
        Self::with(limits, move |path| yaml::read_text(path, &schema).map_err(|error| error.message))
    }

    /// From elsewhere.
    pub fn with(limits: &'a Limits, read: impl Fn(&Path) -> Result<String, String> + 'a) -> Self {
        Self { limits, read: Box::new(read) }
    }

    /// The text of a file.
    pub(super) fn text(&self, path: &Path) -> Result<String, String> {
        (self.read)(path)
    }
}

impl CheckFile {
    /// Parses and resolves one file. Warnings alone do not keep it from being used
    /// ([`CheckFile::inspect`] shows them).
    ///
    /// # Errors
    /// Everything that is wrong with it, warnings too.
    pub fn parse(path: &Path, text: &str, loader: &Loader<'_>) -> Result<Self, Diagnostics> {
        let (file, found) = Self::inspect(path, text, loader);
        file.ok_or(found)
    }

    /// The file, if there is no error in it, and everything that was found.
    pub fn inspect(path: &Path, text: &str, loader: &Loader<'_>) -> (Option<Self>, Diagnostics) {
        let node = match yaml::parse(text, loader.limits) {
            Ok(node) => node,
            Err(error) => return (None, error.in_file(path).into()),
        };
        Self::of_tree(path, text, &node, loader)
    }

    /// The same of a tree whose places are places of `text`.
    pub(crate) fn of_tree(
        path: &Path,
        text: &str,
        node: &Node,
        loader: &Loader<'_>,
    ) -> (Option<Self>, Diagnostics) {
        let reader = Reader::new(path, text);
        let file = resolve(&reader, node, loader);
        let found = reader.into_diagnostics();
        (file.filter(|_| found.errors() == 0), found)
    }
}

fn resolve(reader: &Reader<'_>, node: &Node, loader: &Loader<'_>) -> Option<CheckFile> {
    let file = reader.map(node, &KEYS)?;
    match file.get("version") {
        Some(version) if version.as_scalar().is_some_and(|scalar| scalar.text == "1") => {}
        Some(version) => {
            reader.error_help(version.span, "an unknown version of the language", "write `version: 1`")
        }
        None if file.misspelt("version") => {}
        None => reader.error_help(file.span(), "`version` is missing", "begin the file with `version: 1`"),
    }
    let topics = head::topics(&file);
    let decode = head::decode(&file, loader);
    let time = head::time(&file);
    let segment_by = head::segment_by(&file);
    let window = window::read(&file);
    let sample = head::sample(&file);
    window::placeable(&file, window, &time, &decode, sample);
    let owner = file.opt_str("owner").unwrap_or_default();
    let paths = items(&file, "redact").iter().filter_map(|node| check::read_path(reader, node));
    let redact = Redaction::new(paths.collect());
    if let (Some(field), Some(node)) = (&segment_by, file.get("segment_by"))
        && redact.hides(field)
    {
        let message =
            format!("segments are named by values, and `redact` hides those of {}", quoted(&field.text));
        reader.error_help(node.span, message, "leave one of them out");
    }

    let head = check::Head {
        owner: &owner,
        time: &time,
        has_time: file.has("time") || file.misspelt("time"),
        segment_by: segment_by.as_ref(),
    };
    let checks: Vec<_> =
        items(&file, "checks").iter().filter_map(|node| check::read(reader, node, &head)).collect();
    unique_ids(reader, items(&file, "checks"), "check");
    if !file.has("checks") && !file.misspelt("checks") && redact.paths().is_empty() {
        reader.warning(file.span(), "the file has no checks", "write `checks:` and a list of them");
    }
    let slos = items(&file, "slos").iter().filter_map(|node| slo::read(reader, node, &checks)).map(Arc::new);
    let slos = slos.collect();
    unique_ids(reader, items(&file, "slos"), "service level");
    let tests = items(&file, "tests")
        .iter()
        .filter_map(|node| fixture::read(reader, node, &checks, window))
        .collect();
    fixture::duplicate_names(reader, items(&file, "tests"));

    let rules: Vec<_> = checks.into_iter().filter_map(|check| check.rule).map(Arc::new).collect();
    for rule in &rules {
        reachable(reader, &file, rule, &decode, sample);
        shown(reader, &file, rule, &redact);
        window::in_sessions(reader, metric_span(&file, rule), rule, window);
    }
    sense::together(&file, &rules, segment_by.as_ref(), sample, window);
    Some(CheckFile {
        path: reader.file().to_path_buf(),
        topics: topics?,
        owner,
        decode,
        time,
        window,
        sample,
        redact,
        rules,
        slos,
        tests,
        is_contract: false,
    })
}

/// The items of a list, bounded; none when it is absent.
fn items<'n>(file: &Map<'_, '_, 'n>, key: &str) -> &'n [Node] {
    let Some(node) = file.get(key).filter(|node| !node.is_null()) else { return &[] };
    let items = file.reader().list(node).unwrap_or_default();
    if items.len() > ITEMS_MAX {
        let message = format!("`{key}` has {} items, more than {ITEMS_MAX}", items.len());
        file.reader().error_help(file.key_span(key), message, "split the file");
        return &items[..ITEMS_MAX];
    }
    items
}

fn unique_ids(reader: &Reader<'_>, nodes: &[Node], what: &str) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for node in nodes {
        let Some(id) = node.get("id") else { continue };
        let Some(text) = id.as_scalar().map(|scalar| scalar.text.as_str()) else { continue };
        if let Some(line) = seen.insert(text, id.span.line) {
            let message = format!("the {what} {} is already defined", quoted(text));
            reader.error_help(id.span, message, format!("its first definition is in line {line}"));
        }
    }
}

/// Can the check see anything, the way the file decodes and samples?
fn reachable(reader: &Reader<'_>, file: &Map<'_, '_, '_>, rule: &Rule, decode: &Decode, sample: Sample) {
    let at = metric_span(file, rule);
    let opaque = matches!(decode.value, ValueFormat::Text | ValueFormat::Bytes);
    let looks_inside = rule.field().is_some()
        || rule.metric.pattern().is_some()
        || matches!(
            rule.metric,
            Metric::FailedRows { .. }
                | Metric::SchemaViolations
                | Metric::FieldsAdded
                | Metric::FieldsRemoved
                | Metric::TypeChanged
        );
    if opaque && looks_inside {
        let message = format!("`{}` looks into values, and `decode.value` says not to", rule.metric.name());
        reader.error_help(at, message, "write `value: auto`, or leave the check out");
    }
    let schemaless = decode.value == ValueFormat::Json && decode.schema == SchemaSource::None;
    if matches!(rule.metric, Metric::SchemaViolations) && schemaless {
        let help = "write `schema: { file: schemas/order.json }` under `decode`";
        reader.warning(at, "there is no schema to hold values against", help);
    }
    let itself = |of: &str| file.get("topic").and_then(Node::as_scalar).is_some_and(|topic| topic.text == of);
    if let Metric::Ratio { of } = &rule.metric
        && itself(of)
    {
        let message = format!("the ratio of {} to itself is always 100 percent", quoted(of));
        reader.error_help(at, message, "name the topic that its records come from");
    }
    let (lost, unseen) = match rule.metric {
        Metric::DuplicateValues { .. } => (
            "most pairs of copies fall out of a sample",
            "copies among the records beyond `at_most` are not seen",
        ),
        Metric::DistinctCount { .. } => {
            ("rare values fall out of a sample", "values of the records beyond `at_most` are not seen")
        }
        Metric::Aggregate { function: Function::Sum, .. } => {
            ("a part has no sum of the whole", "records beyond `at_most` are not added")
        }
        Metric::OutOfOrder { .. } => (
            "a record that came before it may fall out of a sample",
            "records beyond `at_most` are not held against the others",
        ),
        Metric::SequenceGaps { .. } => {
            ("what falls out of a sample would look missing", "what is beyond `at_most` would look missing")
        }
        Metric::NotFollowedBy { .. } | Metric::TooMany { .. } => {
            ("what belongs together falls out of a sample", "records beyond `at_most` are not seen")
        }
        _ => return,
    };
    let message = format!("`{}` needs every record examined", rule.metric.name());
    if sample.examine < 1.0 {
        reader.error_help(at, message, format!("write `examine: 100%`: {lost}"));
    } else if sample.at_most_per_second.is_some() {
        reader.warning(at, message, unseen);
    }
}

/// A distribution is told by its values, which are not kept of a hidden field.
fn shown(reader: &Reader<'_>, file: &Map<'_, '_, '_>, rule: &Rule, redact: &Redaction) {
    if let Metric::Drift { field } = &rule.metric
        && redact.hides(field)
    {
        let message = format!("`drift` compares values, and `redact` hides those of {}", quoted(&field.text));
        reader.error_help(metric_span(file, rule), message, "leave one of them out");
    }
}

/// Where a rule's metric stands.
pub(super) fn metric_span(file: &Map<'_, '_, '_>, rule: &Rule) -> Span {
    let named =
        |node: &&Node| node.get("id").and_then(Node::as_scalar).is_some_and(|scalar| scalar.text == rule.id);
    let check = items(file, "checks").iter().find(named);
    check.and_then(|node| node.get("metric")).map_or(file.span(), |node| node.span)
}
