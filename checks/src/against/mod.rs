//! Check files held against data: which of what they name does a record ever have, and does it fit?
//!
//! ```text
//! rules --watched--> Piece --> PaneSummary --findings--> warnings at the lines of the files
//! ```
//!
//! A path that never occurs is most often a slip of the pen, which no look at the file alone can see.
//! Data proves nothing of records that it has not: all of this is warnings. Bounded by the records
//! that the caller reads, and by what the files may say.

mod paths;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use self::paths::{Seen, kinds, member_text};
use crate::examine::cel;
use crate::limits::Limits;
use crate::redact;
use crate::report::{FieldSummary, PaneSummary, RuleTally};
use crate::rules::{CheckFile, CheckSet, FieldPath, KeyBy, Metric, Rule, TimeFormat, TimeSource, TopicRules};
use crate::schema::cut;
use crate::yaml::{self, Diagnostics, Node, Reader, Span, quoted};

/// Frequent values that a finding shows.
const VALUES_SHOWN: usize = 3;
/// Longest of them, in bytes.
const VALUE_BYTES: usize = 32;

/// What check files are held against.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// The rules that the records were examined by: those of [`watched`].
    pub rules: &'a TopicRules,
    /// What was seen.
    pub summary: &'a PaneSummary,
    /// Where it was read, for messages.
    pub source: &'a str,
}

/// The rules of a topic, and with them a count of every path that they name and every record that
/// their patterns pick: what [`findings`] looks for.
pub fn watched(rules: &TopicRules) -> TopicRules {
    let (mut paths, mut expressions) = (Vec::new(), Vec::new());
    paths.extend(rules.redact.paths().iter().cloned());
    if let TimeSource::Field(time) = &rules.time {
        paths.push(time.field.clone());
    }
    for rule in &rules.rules {
        paths.extend(rule.segment_by.clone());
        paths.extend(rule.field().cloned());
        paths.extend(key_field(&rule.metric).cloned());
        if let Metric::DuplicateValues { with, .. } = &rule.metric {
            paths.extend(with.iter().cloned());
        }
        for source in sources(&rule.metric) {
            paths.extend(looked_at(source));
        }
        if rule.metric.pattern().is_some() {
            expressions.extend(sources(&rule.metric).into_iter().map(str::to_owned));
        }
    }
    let mut known = HashSet::new();
    let paths = paths.into_iter().map(|field| {
        // No id of a check has a space.
        Rule::new(format!("path {}", field.text), Metric::NullValues { field }, None)
    });
    let expressions = expressions
        .into_iter()
        .map(|expr| Rule::new(format!("picks {expr}"), Metric::FailedRows { expr }, None));
    let extra = paths.chain(expressions).filter(|rule| known.insert(rule.id.clone())).map(Arc::new);
    TopicRules { rules: rules.rules.iter().cloned().chain(extra).collect(), ..rules.clone() }
}

/// What of the files never occurs in the data, or does not fit it; `texts` are those of the files.
pub fn findings(
    texts: &[(PathBuf, String)],
    set: &CheckSet,
    data: &Data<'_>,
    limits: &Limits,
) -> Diagnostics {
    let mut found = Diagnostics::default();
    let seen = Seen::of(data.summary);
    for file in set.files.iter().filter(|file| file.topics.selects(&data.rules.topic)) {
        let Some((_, text)) = texts.iter().find(|(path, _)| *path == file.path) else { continue };
        let reader = Reader::new(&file.path, text);
        let held = Held { reader: &reader, data, seen: &seen };
        if seen.documents() == 0 {
            let message = format!("no document of {} could be decoded", held.source());
            let line =
                Span { line: 1, column: 1, length: text.lines().next().map_or(1, |l| l.chars().count()) };
            reader.warning(line, message, "the data is to be JSON lines, or `decode` is to say what it is");
            found.extend(reader.into_diagnostics());
            continue;
        }
        if file.is_contract {
            held.contract(file, text);
        } else if let Ok(node) = yaml::parse(text, limits) {
            held.file(file, &node);
        }
        found.extend(reader.into_diagnostics());
    }
    found
}

/// The field that records are brought together by.
fn key_field(metric: &Metric) -> Option<&FieldPath> {
    let by = match metric {
        Metric::SequenceGaps { by, .. } => Some(by),
        metric => metric.pattern().map(|pattern| &pattern.by),
    };
    by.and_then(|by| if let KeyBy::Field(field) = by { Some(field) } else { None })
}

/// The expressions of a metric.
fn sources(metric: &Metric) -> Vec<&str> {
    match metric {
        Metric::FailedRows { expr } => vec![expr],
        Metric::NotFollowedBy { pattern, then } => vec![&pattern.when, then],
        Metric::TooMany { pattern, .. } => vec![&pattern.when],
        _ => Vec::new(),
    }
}

/// The paths that an expression looks at.
fn looked_at(source: &str) -> Vec<FieldPath> {
    cel::compile(source).map(|program| program.value_paths()).unwrap_or_default()
}

/// What a metric can make something of.
#[derive(Clone, Copy)]
enum Needs {
    Numbers,
    Integers,
    Scalars,
    Texts,
    NumbersOrTexts,
}

impl Needs {
    fn of(metric: &Metric) -> Option<Self> {
        Some(match metric {
            Metric::Aggregate { .. } => Self::Numbers,
            Metric::SequenceGaps { .. } => Self::Integers,
            Metric::DuplicateValues { .. }
            | Metric::DistinctCount { .. }
            | Metric::NewValues { .. }
            | Metric::Drift { .. } => Self::Scalars,
            _ => return None,
        })
    }

    fn of_time(format: TimeFormat) -> Self {
        match format {
            TimeFormat::Rfc3339 => Self::Texts,
            TimeFormat::Epoch { .. } => Self::NumbersOrTexts,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Numbers => "numbers",
            Self::Integers => "integers",
            Self::Scalars => "texts, numbers or booleans",
            Self::Texts => "texts",
            Self::NumbersOrTexts => "numbers, or texts of them",
        }
    }

    fn fits(self, field: &FieldSummary) -> bool {
        let numbers = field.integer + field.number;
        let fitting = match self {
            Self::Numbers => numbers,
            Self::Integers => field.integer,
            Self::Scalars => numbers + field.string + field.boolean,
            Self::Texts => field.string,
            Self::NumbersOrTexts => numbers + field.string,
        };
        fitting > 0
    }
}

/// A file, held against the data.
struct Held<'a> {
    reader: &'a Reader<'a>,
    data: &'a Data<'a>,
    seen: &'a Seen<'a>,
}

impl Held<'_> {
    fn file(&self, file: &CheckFile, node: &Node) {
        if let (TimeSource::Field(time), Some(at)) =
            (&file.time, node.get("time").and_then(|time| time.get("field")))
            && self.occurs(at.span, &time.field)
        {
            self.fits("`time`", Needs::of_time(time.format), at.span, &time.field);
        }
        let read = |node: &Node| FieldPath::parse(&node.as_scalar()?.text).ok();
        if let Some(at) = node.get("segment_by")
            && let Some(path) = read(at)
            && self.occurs(at.span, &path)
        {
            self.fits("`segment_by`", Needs::Scalars, at.span, &path);
        }
        for at in items(node, "redact") {
            if let Some(path) = read(at) {
                self.occurs(at.span, &path);
            }
        }
        for check in items(node, "checks") {
            let id = check.get("id").and_then(Node::as_scalar).map_or("", |id| id.text.as_str());
            let Some(rule) = file.rules.iter().find(|rule| rule.id == id) else { continue };
            let metric = check.get("metric").map_or(check.span, |node| node.span);
            self.check(rule, metric, check.get("field").map(|node| node.span));
            let arguments = check.get("arguments");
            if let (Some(field), Some(at)) = (key_field(&rule.metric), arguments.and_then(|a| a.get("by"))) {
                self.occurs(at.span, field);
            }
            if let Metric::DuplicateValues { with, .. } = &rule.metric {
                let nodes = arguments.map(|arguments| items(arguments, "with")).unwrap_or_default();
                with.iter().zip(nodes).for_each(|(field, at)| _ = self.occurs(at.span, field));
            }
            if let Some(node) = check.get("expr") {
                self.expression(node, None);
            }
            for key in ["when", "then"] {
                if let Some(node) = arguments.and_then(|arguments| arguments.get(key)) {
                    self.expression(node, Some(key));
                }
            }
        }
    }

    /// A contract says things in its own way: what is found stands where the rule is.
    fn contract(&self, file: &CheckFile, text: &str) {
        for rule in &file.rules {
            let line = text.lines().nth(rule.origin.line.saturating_sub(1)).unwrap_or_default();
            let indent = line.chars().take_while(|c| c.is_whitespace()).count();
            let length = line.trim().chars().count().max(1);
            let at = Span { line: rule.origin.line, column: indent + 1, length };
            self.check(rule, at, rule.field().map(|_| at));
        }
    }

    /// The field of a check, then what the check made of its values.
    fn check(&self, rule: &Rule, metric: Span, field_at: Option<Span>) {
        let name = format!("`{}`", rule.metric.name());
        let field = rule.field().zip(field_at);
        if let Some((field, at)) = field {
            if !self.occurs(at, field) {
                return;
            }
            if let Some(needs) = Needs::of(&rule.metric)
                && !self.fits(&name, needs, at, field)
            {
                return;
            }
        }
        let Some(tally) = self.tally(rule) else { return };
        match &rule.metric {
            Metric::InvalidValues { field, .. } if tally.checked > 0 && tally.failed == tally.checked => {
                let at = field_at.unwrap_or(metric);
                let message = format!(
                    "every one of the {} values of {} in {} is invalid",
                    tally.checked,
                    quoted(&field.text),
                    self.source()
                );
                self.reader.warning(at, message, self.values(field));
            }
            Metric::FailedRows { .. } if tally.checked > 0 && tally.failed == tally.checked => {
                let message = format!(
                    "the expression is false for every one of the {} documents of {}",
                    tally.checked,
                    self.source()
                );
                self.reader.warning(metric, message, "say what must be true of a good record");
            }
            _ => {}
        }
    }

    /// An expression: the paths it looks at, and whether it can be evaluated; of a pattern, whether
    /// it ever picks a record.
    fn expression(&self, node: &Node, pattern: Option<&str>) {
        let Some(source) = node.as_scalar().map(|scalar| scalar.text.as_str()) else { return };
        let mut all_occur = true;
        for path in looked_at(source) {
            let text = member_text(&path);
            let length = text.chars().count();
            // What is folded from several lines is pointed at by its first.
            let found = source.find(&text).map(|at| source[..at].chars().count());
            let at = match found.filter(|at| at + length < node.span.length) {
                Some(at) => self.reader.inside(node, at, length),
                None => node.span,
            };
            if self.seen.is_known(&path) && !self.seen.occurs(&path) {
                all_occur = false;
                self.absent(at, &text, &path, true);
            }
        }
        let id = match pattern {
            Some(_) => format!("picks {source}"),
            None => {
                let of =
                    |rule: &&Arc<Rule>| matches!(&rule.metric, Metric::FailedRows { expr } if expr == source);
                let Some(rule) = self.data.rules.rules.iter().find(of) else { return };
                rule.id.clone()
            }
        };
        let Some(tally) = self.data.summary.rules.iter().find(|tally| tally.rule == id) else { return };
        // The fields that are not there are why.
        if !all_occur {
            return;
        }
        if tally.checked == 0 && tally.errors > 0 {
            let message = format!(
                "the expression cannot be evaluated on any of the {} documents of {}",
                tally.errors,
                self.source()
            );
            let why =
                tally.examples.first().map_or("write `has(…)` where a field may be absent", |e| &e.value);
            self.reader.warning(node.span, message, why.to_owned());
        } else if let Some(key) = pattern
            && tally.checked > 0
            && tally.failed == tally.checked
        {
            let message =
                format!("`{key}` is true of none of the {} documents of {}", tally.checked, self.source());
            self.reader.warning(node.span, message, "hold its values against those of `tapline profile`");
        }
    }

    /// Does it occur? What is said if not is said.
    fn occurs(&self, at: Span, path: &FieldPath) -> bool {
        if !self.seen.is_known(path) || self.seen.occurs(path) {
            return true;
        }
        self.absent(at, &path.text, path, false);
        false
    }

    fn absent(&self, at: Span, text: &str, path: &FieldPath, is_member: bool) {
        let documents = self.seen.documents();
        let message =
            format!("{} occurs in none of the {documents} documents of {}", quoted(text), self.source());
        let help = self.seen.meant(path, is_member);
        self.reader.warning(at, message, help);
    }

    /// Has it any value that the metric can make something of?
    fn fits(&self, what: &str, needs: Needs, at: Span, path: &FieldPath) -> bool {
        let Some(field) = self.seen.get(path) else { return true };
        if needs.fits(field) {
            return true;
        }
        let (path, source) = (quoted(&path.text), self.source());
        let message = match kinds(field) {
            Some(kinds) => {
                format!("{what} needs {}, and {path} is always {kinds} in {source}", needs.words())
            }
            None => format!("{what} needs {}, and {path} is always null in {source}", needs.words()),
        };
        self.reader.warning(at, message, "name another field, or leave the check out");
        false
    }

    /// What the values of a field are, as far as they may be shown.
    fn values(&self, path: &FieldPath) -> String {
        let Some(field) = self.seen.get(path) else { return String::new() };
        let kinds = kinds(field).unwrap_or_else(|| "null".to_owned());
        let mut top: Vec<_> = field.top.iter().flat_map(|top| &top.values).collect();
        top.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        let shown: Vec<String> = top
            .iter()
            .take(VALUES_SHOWN)
            .map(|v| quoted(&cut(&redact::text(&v.value), VALUE_BYTES)))
            .collect();
        match shown.as_slice() {
            [] => format!("each is {kinds}"),
            shown => format!("each is {kinds}: {}", shown.join(", ")),
        }
    }

    /// The tally of a rule, if it is the one that counts (of two of one id, the first does).
    fn tally(&self, rule: &Rule) -> Option<&RuleTally> {
        let counts = self.data.rules.rules.iter().find(|known| known.id == rule.id)?;
        (counts.origin == rule.origin)
            .then(|| self.data.summary.rules.iter().find(|tally| tally.rule == rule.id))?
    }

    fn source(&self) -> String {
        quoted(self.data.source)
    }
}

fn items<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    match node.get(key).map(|node| &node.content) {
        Some(yaml::Content::Sequence(items)) => items,
        _ => &[],
    }
}
