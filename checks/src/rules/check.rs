//! One check of a file.

use super::bound::{self, OPERATORS};
use super::{
    Baseline, FieldPath, Function, Metric, Origin, Rule, Severity, Threshold, TimeSource, Unit, along,
    arguments, expr, function,
};
use crate::yaml::{Map, Node, Reader, nearest, quoted};

pub(super) const KEYS: [&str; 12] = [
    "id",
    "metric",
    "field",
    "expr",
    "arguments",
    "unit",
    "severity",
    "for",
    "min_records",
    "confidence",
    "baseline",
    "description",
];

/// What a metric is about, which decides what its check may say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    RowCount,
    Missing,
    Null,
    Invalid,
    Duplicate,
    FailedRows,
    Schema,
    Decode,
    Freshness,
    Drift,
    Aggregate,
    Distinct,
    Delay,
    Lateness,
    OutOfOrder,
    Sequence,
    Ratio,
    NewValues,
    FieldsAdded,
    FieldsRemoved,
    TypeChanged,
    NotFollowed,
    TooMany,
}

const METRICS: [(&str, Kind); 23] = [
    ("rowCount", Kind::RowCount),
    ("missingValues", Kind::Missing),
    ("nullValues", Kind::Null),
    ("invalidValues", Kind::Invalid),
    ("duplicateValues", Kind::Duplicate),
    ("failedRows", Kind::FailedRows),
    ("schemaViolations", Kind::Schema),
    ("decodeFailures", Kind::Decode),
    ("freshness", Kind::Freshness),
    ("drift", Kind::Drift),
    ("aggregate", Kind::Aggregate),
    ("distinctCount", Kind::Distinct),
    ("delay", Kind::Delay),
    ("lateness", Kind::Lateness),
    ("outOfOrder", Kind::OutOfOrder),
    ("sequenceGaps", Kind::Sequence),
    ("ratio", Kind::Ratio),
    ("newValues", Kind::NewValues),
    ("fieldsAdded", Kind::FieldsAdded),
    ("fieldsRemoved", Kind::FieldsRemoved),
    ("typeChanged", Kind::TypeChanged),
    ("notFollowedBy", Kind::NotFollowed),
    ("tooMany", Kind::TooMany),
];

impl Kind {
    fn takes_field(self) -> bool {
        matches!(
            self,
            Self::Missing
                | Self::Null
                | Self::Invalid
                | Self::Duplicate
                | Self::Drift
                | Self::Aggregate
                | Self::Distinct
                | Self::Sequence
                | Self::NewValues
        )
    }

    /// What its arguments are called in the schema that editors read.
    fn arguments(self) -> Option<&'static str> {
        Some(match self {
            Self::Invalid => "invalidValues",
            Self::Missing => "missingValues",
            Self::Duplicate => "duplicateValues",
            Self::Aggregate | Self::Delay | Self::Lateness => "function",
            Self::Sequence => "sequenceGaps",
            Self::Ratio => "ratio",
            Self::NotFollowed => "notFollowedBy",
            Self::TooMany => "tooMany",
            _ => return None,
        })
    }

    fn takes_arguments(self) -> bool {
        self.arguments().is_some()
    }

    fn needs_arguments(self) -> bool {
        self.takes_arguments()
            && !matches!(
                self,
                Self::Sequence | Self::Missing | Self::Duplicate | Self::Delay | Self::Lateness
            )
    }

    /// Has failed records among checked ones, pane by pane.
    fn is_ratio(self) -> bool {
        matches!(
            self,
            Self::Missing
                | Self::Null
                | Self::Invalid
                | Self::Duplicate
                | Self::FailedRows
                | Self::Schema
                | Self::Decode
                | Self::OutOfOrder
        )
    }

    /// Which pasts it may be held against.
    fn baselines(self) -> &'static [Baseline] {
        match self {
            Self::RowCount | Self::Drift => &[Baseline::Seasonal, Baseline::Previous],
            Self::NewValues | Self::FieldsAdded | Self::FieldsRemoved | Self::TypeChanged => {
                &[Baseline::Previous]
            }
            _ => &[],
        }
    }

    /// Its past alone says what is good, so that no operator is needed.
    fn is_judged_by_past(self) -> bool {
        matches!(self, Self::RowCount | Self::Drift)
    }

    /// A share of it is one of 100 percent at most.
    fn has_most(self) -> bool {
        self != Self::Ratio
    }

    fn takes_min_records(self) -> bool {
        !matches!(self, Self::RowCount | Self::Freshness)
    }

    fn units(self) -> &'static [(&'static str, Unit)] {
        match self {
            Self::RowCount => &[("rows", Unit::Rows)],
            Self::Freshness | Self::Delay | Self::Lateness => &[("seconds", Unit::Seconds)],
            Self::Aggregate | Self::Distinct => &[("value", Unit::Value)],
            Self::Drift => &[("score", Unit::Score)],
            Self::Ratio => &[("percent", Unit::Percent)],
            Self::FieldsAdded | Self::FieldsRemoved | Self::TypeChanged => &[("rows", Unit::Rows)],
            _ => &[("rows", Unit::Rows), ("percent", Unit::Percent)],
        }
    }
}

/// A key that a check may have, as the language writes it.
pub(crate) fn known_key(name: &str) -> Option<&'static str> {
    KEYS.iter().chain(&OPERATORS).find(|key| **key == name).copied()
}

/// What a check of a metric may say, for the schema that editors read.
pub(super) struct MetricShape {
    pub(super) name: &'static str,
    pub(super) takes_field: bool,
    pub(super) needs_field: bool,
    pub(super) takes_expr: bool,
    /// The definition of its arguments.
    pub(super) arguments: Option<&'static str>,
    pub(super) needs_arguments: bool,
    pub(super) baselines: &'static [Baseline],
    /// A baseline may stand in the place of an operator.
    pub(super) is_judged_by_past: bool,
    pub(super) needs_baseline: bool,
    pub(super) takes_min_records: bool,
    pub(super) takes_confidence: bool,
    pub(super) is_bad_when_high: bool,
    /// A share of it is one of 100 percent at most.
    pub(super) has_most: bool,
    /// The first one is meant where none is written.
    pub(super) units: &'static [(&'static str, Unit)],
}

/// All metrics.
pub(super) fn shapes() -> impl Iterator<Item = MetricShape> {
    METRICS.into_iter().map(|(name, kind)| MetricShape {
        name,
        takes_field: kind.takes_field(),
        needs_field: kind.takes_field(),
        takes_expr: kind == Kind::FailedRows,
        arguments: kind.arguments(),
        needs_arguments: kind.needs_arguments(),
        baselines: kind.baselines(),
        is_judged_by_past: kind.is_judged_by_past(),
        needs_baseline: kind == Kind::Drift,
        takes_min_records: kind.takes_min_records(),
        takes_confidence: kind.units().iter().any(|(_, unit)| *unit == Unit::Percent) && kind.has_most(),
        is_bad_when_high: matches!(kind, Kind::Freshness | Kind::Drift),
        has_most: kind.has_most(),
        units: kind.units(),
    })
}

/// What a check takes from the head of its file.
pub(super) struct Head<'a> {
    pub(super) owner: &'a str,
    /// As the file says, or the record's where what it says is wrong.
    pub(super) time: &'a TimeSource,
    /// The file says something of time, right or wrong.
    pub(super) has_time: bool,
    pub(super) segment_by: Option<&'a FieldPath>,
}

/// What the rest of a file needs to know of a check, even of one that is wrong in places.
pub(super) struct Read {
    /// Its id.
    pub(super) id: String,
    /// Does it count failed records among checked ones? `None` when its metric is wrong.
    pub(super) counts_records: Option<bool>,
    /// The rule, unless something is wrong with it.
    pub(super) rule: Option<Rule>,
}

/// Reads one check; what is wrong has been said.
pub(super) fn read(reader: &Reader<'_>, node: &Node, head: &Head<'_>) -> Option<Read> {
    let known: Vec<&str> = KEYS.iter().chain(&OPERATORS).copied().collect();
    let before = reader.errors();
    let map = reader.map(node, &known)?;
    let id = map.required("id").and_then(|node| read_id(reader, node));
    let kind = map.required("metric").and_then(|node| read_kind(reader, node));
    let rule = kind.and_then(|kind| read_rule(&map, kind, id.clone().unwrap_or_default(), head));
    let sound = reader.errors() == before;
    Some(Read { id: id?, counts_records: kind.map(Kind::is_ratio), rule: rule.filter(|_| sound) })
}

/// An id: `[a-z0-9_-]{1,64}`.
pub(super) fn read_id(reader: &Reader<'_>, node: &Node) -> Option<String> {
    let id = reader.str(node)?;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    if id.is_empty() || id.len() > 64 || !id.chars().all(allowed) {
        let help = "an id is 1 to 64 small letters, digits, `-` and `_`";
        reader.error_help(node.span, format!("{} is not an id", quoted(&id)), help);
        return None;
    }
    Some(id.into_owned())
}

fn read_kind(reader: &Reader<'_>, node: &Node) -> Option<Kind> {
    let name = reader.str(node)?;
    if let Some((_, kind)) = METRICS.iter().find(|(metric, _)| *metric == name) {
        return Some(*kind);
    }
    let names: Vec<&str> = METRICS.iter().map(|(name, _)| *name).collect();
    let help = nearest(&name, &names)
        .map_or_else(|| format!("valid: `{}`", names.join("`, `")), |name| format!("did you mean `{name}`?"));
    reader.error_help(node.span, format!("unknown metric {}", quoted(&name)), help);
    None
}

fn read_rule(map: &Map<'_, '_, '_>, kind: Kind, id: String, head: &Head<'_>) -> Option<Rule> {
    let reader = map.reader();
    let metric = read_metric(map, kind, head);
    let floor = metric.as_ref().map_or(Some(0.0), floor);
    let unit = map.opt_choice("unit", kind.units());
    // A wrong unit has been said; the threshold would only be said wrong along with it.
    let threshold = match unit {
        None if map.has("unit") => None,
        unit => bound::read(map, unit.unwrap_or(kind.units()[0].1), unit.is_some(), floor, kind.has_most()),
    };
    let baseline =
        map.opt_choice("baseline", &[("seasonal", Baseline::Seasonal), ("previous", Baseline::Previous)]);
    let rule = Rule {
        id,
        metric: metric?,
        threshold,
        unit: unit.unwrap_or(kind.units()[0].1),
        severity: map
            .opt_choice(
                "severity",
                &[("info", Severity::Info), ("warning", Severity::Warning), ("error", Severity::Error)],
            )
            .unwrap_or_default(),
        for_windows: map.opt_integer("for", 1..=1_000).and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
        min_records: map
            .opt_integer("min_records", 1..=1_000_000_000_000)
            .and_then(|n| u64::try_from(n).ok())
            .unwrap_or(1),
        confidence: map.opt_percent("confidence"),
        baseline,
        segment_by: head.segment_by.cloned(),
        description: map.opt_str("description").unwrap_or_default(),
        owner: head.owner.to_owned(),
        origin: Origin { file: reader.file().to_path_buf(), line: map.span().line },
    };
    consistent(map, kind, &rule);
    Some(rule)
}

/// The lowest value of a metric, if there is one.
fn floor(metric: &Metric) -> Option<f64> {
    match metric {
        Metric::Aggregate { function: Function::Stddev, .. } => Some(0.0),
        Metric::Aggregate { .. } => None,
        _ => Some(0.0),
    }
}

fn read_metric(map: &Map<'_, '_, '_>, kind: Kind, head: &Head<'_>) -> Option<Metric> {
    let reader = map.reader();
    let name = map.opt_str("metric").unwrap_or_default();
    let refuse = |key: &str, takes: bool| {
        if let Some(entry) = map.entry(key).filter(|_| !takes) {
            reader.error_help(entry.key.span, format!("`{name}` takes no `{key}`"), "leave it out");
        }
    };
    refuse("field", kind.takes_field());
    refuse("expr", kind == Kind::FailedRows);
    refuse("arguments", kind.takes_arguments());
    let need = |key: &str, help: &str| {
        let node = map.get(key);
        if node.is_none() && !map.misspelt(key) {
            reader.error_help(map.key_span("metric"), format!("`{name}` needs `{key}`"), help);
        }
        node
    };
    let field = || need("field", "write `field: $.name`").and_then(|node| read_path(reader, node));
    let event_time = || match head.time {
        TimeSource::Field(time) => Some(time.clone()),
        TimeSource::Record => {
            // What is wrong with it has been said.
            if !head.has_time {
                let help = "write `time: { field: $.created_at, format: rfc3339 }` in the file's head";
                let message =
                    format!("`{name}` goes by the payload's own time, and nothing says where it is");
                reader.error_help(map.key_span("metric"), message, help);
            }
            None
        }
    };
    // The worst of them, unless another figure is asked for.
    let figure = || match map.get("arguments") {
        Some(node) => function::read(reader, node),
        None => Some(Function::Max),
    };
    Some(match kind {
        Kind::RowCount => Metric::RowCount,
        Kind::Missing => {
            let stand_ins = match map.get("arguments") {
                Some(node) => arguments::read_stand_ins(reader, node),
                None => Some(Vec::new()),
            };
            Metric::MissingValues { field: field()?, stand_ins: stand_ins? }
        }
        Kind::Null => Metric::NullValues { field: field()? },
        Kind::Duplicate => match map.get("arguments") {
            None => Metric::DuplicateValues { field: field()?, with: Vec::new() },
            Some(node) => {
                let field = need("field", "write `field: $.name`")
                    .and_then(|node| along::single(reader, node, read_path(reader, node)?));
                let with = field.as_ref().and_then(|field| arguments::read_with(reader, node, field));
                Metric::DuplicateValues { field: field?, with: with? }
            }
        },
        Kind::Drift => Metric::Drift { field: field()? },
        Kind::Invalid => {
            let field = field();
            let valid = need("arguments", "write `arguments: { min: 0 }`, or what else is valid")
                .and_then(|node| arguments::read(reader, node));
            Metric::InvalidValues { field: field?, valid: Box::new(valid?) }
        }
        Kind::FailedRows => {
            let node = need("expr", "write `expr: \"value.a == value.b\"`")?;
            Metric::FailedRows { expr: expr::read(reader, node, expr::Role::Holds)? }
        }
        Kind::Schema => Metric::SchemaViolations,
        Kind::Decode => Metric::DecodeFailures,
        Kind::Freshness => Metric::Freshness,
        Kind::Distinct => Metric::DistinctCount { field: field()? },
        Kind::Aggregate => {
            let field = field();
            let function = need("arguments", "write `arguments: { function: mean }`")
                .and_then(|node| function::read(reader, node));
            Metric::Aggregate { field: field?, function: function? }
        }
        Kind::Delay => Metric::Delay { time: event_time()?, function: figure()? },
        Kind::Lateness => Metric::Lateness { time: event_time()?, function: figure()? },
        Kind::OutOfOrder => Metric::OutOfOrder { time: event_time()? },
        Kind::Sequence => {
            let field = need("field", "write `field: $.sequence`: an integer that goes up by one")
                .and_then(|node| along::single(reader, node, read_path(reader, node)?));
            let by = along::sequence(reader, map.get("arguments"));
            Metric::SequenceGaps { field: field?, by: by? }
        }
        Kind::Ratio => {
            let node = need("arguments", "write `arguments: { of: other-topic }`")?;
            Metric::Ratio { of: along::ratio(reader, node)? }
        }
        Kind::NewValues => Metric::NewValues { field: field()? },
        Kind::FieldsAdded => Metric::FieldsAdded,
        Kind::FieldsRemoved => Metric::FieldsRemoved,
        Kind::TypeChanged => Metric::TypeChanged,
        Kind::NotFollowed => {
            let help = "write `arguments: { when: \"value.a\", then: \"value.b\", within: 5m }`";
            let (pattern, then) = along::followed(reader, need("arguments", help)?)?;
            Metric::NotFollowedBy { pattern: Box::new(pattern), then }
        }
        Kind::TooMany => {
            let help = "write `arguments: { when: \"value.a\", moreThan: 3, within: 1m }`";
            let (pattern, most) = along::many(reader, need("arguments", help)?)?;
            Metric::TooMany { pattern: Box::new(pattern), most }
        }
    })
}

pub(super) fn read_path(reader: &Reader<'_>, node: &Node) -> Option<FieldPath> {
    let text = reader.str(node)?;
    FieldPath::parse(&text)
        .map_err(|error| {
            let span = reader.inside(node, error.offset, 1);
            reader.error_help(
                span,
                format!("{} is not a path: {}", quoted(&text), error.message),
                error.help,
            );
        })
        .ok()
}

/// What only makes sense together, or never.
fn consistent(map: &Map<'_, '_, '_>, kind: Kind, rule: &Rule) {
    let reader = map.reader();
    let name = rule.metric.name();
    let written = map.entries().iter().find(|entry| OPERATORS.contains(&entry.key.text.as_str()));
    match (kind, rule.baseline) {
        (Kind::Drift, None) if !map.has("baseline") && !map.misspelt("baseline") => {
            let help = "write `baseline: previous` or `baseline: seasonal`";
            reader.error_help(map.key_span("metric"), "`drift` needs a baseline", help);
        }
        (_, Some(baseline)) if !kind.baselines().contains(&baseline) => {
            let (message, help) = if kind.baselines().is_empty() {
                let help = "`rowCount`, `drift`, `newValues`, `fieldsAdded`, `fieldsRemoved` and `typeChanged` have one";
                (format!("`{name}` has no baseline"), help)
            } else {
                let message = format!("`{name}` is held against the windows before, not a season");
                (message, "write `baseline: previous`, or leave it out")
            };
            reader.error_help(map.key_span("baseline"), message, help);
        }
        (kind, baseline)
            if written.is_none()
                && !(map.has("baseline") && (kind.is_judged_by_past() || baseline.is_none()))
                && !OPERATORS.iter().any(|operator| map.misspelt(operator)) =>
        {
            let help = "write `mustBe: 0`, `mustBeLessThan: 5` or another operator";
            reader.error_help(map.span(), "nothing says what the value must be", help);
        }
        _ => {}
    }
    let upper = matches!(
        rule.threshold,
        None | Some(Threshold::MustBeLessThan(_) | Threshold::MustBeLessOrEqualTo(_))
    );
    if let Some(entry) = written.filter(|_| matches!(kind, Kind::Freshness | Kind::Drift) && !upper) {
        let message = format!("`{name}` is bad when it is high: `{}` would not say so", entry.key.text);
        reader.error_help(entry.key.span, message, "write `mustBeLessThan`");
    }
    if kind == Kind::RowCount && map.has("min_records") {
        let help = "leave it out: a window without records has 0";
        reader.error_help(map.key_span("min_records"), "`rowCount` itself counts the records", help);
    }
    if kind == Kind::Freshness && map.has("min_records") {
        let help = "leave it out: the latest record is enough";
        reader.error_help(map.key_span("min_records"), "`freshness` is not about a number of records", help);
    }
    let Some(confidence) = rule.confidence else { return };
    let at = map.key_span("confidence");
    if rule.unit != Unit::Percent {
        let message = "only a share has a confidence";
        reader.error_help(at, message, "write `unit: percent` with it, or leave it out");
    } else if kind == Kind::Ratio {
        reader.error_help(at, "both counts of a `ratio` are exact", "leave it out");
    } else if !(0.5..=0.9999).contains(&confidence) {
        let help = "write `confidence: 95%`";
        reader.error_help(at, "a confidence is from 50% to 99.99%", help);
    }
}
