//! Stable hashes of rules: the same on every machine and in every build, so that an agent and a
//! collector can tell whether they hold the same ones. What does not change a verdict (paths,
//! lines, descriptions, owners, tests) is left out.

use crate::redact::Redaction;

use super::{
    CheckFile, Decode, EventTime, FieldPath, Function, Metric, Pattern, Rule, Sample, SchemaSource, Slo,
    TimeSource, TopicRules, TopicSelector, ValidValues, Window, WindowTime,
};

/// FNV-1a, 64 bits, over length-prefixed parts (Fowler, Noll, Vo; draft-eastlake-fnv).
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    /// Two lists of texts never hash alike because their parts run together.
    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes(text.as_bytes());
    }

    fn float(&mut self, float: f64) {
        // 0 and -0 are the same threshold.
        self.number(if float == 0.0 { 0 } else { float.to_bits() });
    }

    fn option<T>(&mut self, option: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.number(u64::from(option.is_some()));
        if let Some(value) = option {
            write(self, value);
        }
    }
}

/// Hash of a set of files, in the order in which they were loaded.
pub(super) fn of_files<'a>(files: impl Iterator<Item = &'a CheckFile>) -> u64 {
    let mut hash = Fnv::new();
    for file in files {
        match &file.topics {
            TopicSelector::Names(names) => names.iter().for_each(|name| hash.text(name)),
            TopicSelector::Pattern(regex) => hash.text(regex.as_str()),
        }
        head(&mut hash, &file.decode, file.window, file.sample, &file.time);
        redact(&mut hash, &file.redact);
        file.rules.iter().for_each(|r| rule(&mut hash, r));
        file.slos.iter().for_each(|s| slo(&mut hash, s));
    }
    hash.0
}

/// Hash of what applies to a topic; its own `hash` field does not count.
pub(super) fn of_topic(rules: &TopicRules) -> u64 {
    let mut hash = Fnv::new();
    hash.text(&rules.topic);
    head(&mut hash, &rules.decode, rules.window, rules.sample, &rules.time);
    redact(&mut hash, &rules.redact);
    rules.rules.iter().for_each(|r| rule(&mut hash, r));
    rules.slos.iter().for_each(|s| slo(&mut hash, s));
    hash.0
}

/// Hash of what a rule measures, by which records: not of what the value must be, which changes no
/// tally.
pub(super) fn of_definition(rules: &TopicRules, rule: &Rule) -> u64 {
    let mut hash = Fnv::new();
    let window =
        Window { size_ms: 0, every_ms: 0, pane_ms: 0, allowed_lateness_ms: 0, gap_ms: None, ..rules.window };
    head(&mut hash, &rules.decode, window, rules.sample, &rules.time);
    metric(&mut hash, &rule.metric);
    segment_by(&mut hash, rule.segment_by.as_ref().filter(|_| rule.metric.has_segments()));
    hash.0
}

fn head(hash: &mut Fnv, decode: &Decode, window: Window, sample: Sample, time: &TimeSource) {
    hash.text("head");
    hash.text(decode.value.as_str());
    match &decode.schema {
        SchemaSource::None => hash.text("none"),
        SchemaSource::Registry => hash.text("registry"),
        SchemaSource::File(file) => {
            hash.text("file");
            hash.text(&file.text);
        }
    }
    for ms in [window.size_ms, window.pane_ms, window.allowed_lateness_ms] {
        hash.bytes(&ms.to_le_bytes());
    }
    if window.every_ms != window.pane_ms {
        hash.text("every");
        hash.bytes(&window.every_ms.to_le_bytes());
    }
    if let Some(gap_ms) = window.gap_ms {
        hash.text("gap");
        hash.bytes(&gap_ms.to_le_bytes());
    }
    if window.by == WindowTime::Event {
        hash.text("by event time");
    }
    hash.float(sample.examine);
    hash.option(sample.at_most_per_second, Fnv::number);
    match time {
        TimeSource::Record => hash.text("record"),
        TimeSource::Field(time) => event_time(hash, time),
    }
}

fn event_time(hash: &mut Fnv, time: &EventTime) {
    hash.text(&time.field.text);
    hash.text(time.format.as_str());
}

fn function(hash: &mut Fnv, function: Function) {
    hash.text(function.as_str());
    if let Function::Quantile(share) = function {
        hash.float(share);
    }
}

/// It changes no verdict, but who hides what must be the same everywhere.
fn redact(hash: &mut Fnv, redact: &Redaction) {
    if redact.paths().is_empty() {
        return;
    }
    hash.text("redact");
    redact.paths().iter().for_each(|path| hash.text(&path.text));
}

fn rule(hash: &mut Fnv, rule: &Rule) {
    hash.text("rule");
    hash.text(&rule.id);
    metric(hash, &rule.metric);
    hash.option(rule.threshold, |hash, threshold| {
        // Named operator and exact bounds; the text of a float need not be exact.
        let [a, b] = threshold.bounds();
        hash.text(threshold.to_string().split(' ').next().unwrap_or_default());
        hash.float(a);
        hash.float(b);
    });
    hash.text(rule.unit.as_str());
    hash.text(rule.severity.as_str());
    hash.number(u64::from(rule.for_windows));
    hash.number(rule.min_records);
    hash.option(rule.confidence, Fnv::float);
    hash.option(rule.baseline, |hash, baseline| hash.text(baseline.as_str()));
    segment_by(hash, rule.segment_by.as_ref());
}

fn segment_by(hash: &mut Fnv, field: Option<&FieldPath>) {
    if let Some(field) = field {
        hash.text("segment_by");
        hash.text(&field.text);
    }
}

fn metric(hash: &mut Fnv, metric: &Metric) {
    hash.text(metric.name());
    match metric {
        Metric::MissingValues { field, stand_ins } => {
            hash.text(&field.text);
            hash.number(stand_ins.len() as u64);
            stand_ins.iter().for_each(|value| hash.text(&value.to_string()));
        }
        Metric::Aggregate { field, function } => {
            hash.text(&field.text);
            self::function(hash, *function);
        }
        Metric::Delay { time, function } | Metric::Lateness { time, function } => {
            event_time(hash, time);
            self::function(hash, *function);
        }
        Metric::OutOfOrder { time } => event_time(hash, time),
        Metric::NullValues { field }
        | Metric::DistinctCount { field }
        | Metric::NewValues { field }
        | Metric::Drift { field } => hash.text(&field.text),
        Metric::DuplicateValues { field, with } => {
            hash.text(&field.text);
            with.iter().for_each(|field| hash.text(&field.text));
        }
        Metric::SequenceGaps { field, by } => {
            hash.text(&field.text);
            hash.text(by.as_str());
        }
        Metric::Ratio { of } => hash.text(of),
        Metric::NotFollowedBy { pattern, then } => {
            self::pattern(hash, pattern);
            hash.text(then);
        }
        Metric::TooMany { pattern, most } => {
            self::pattern(hash, pattern);
            hash.number(*most);
        }
        Metric::InvalidValues { field, valid } => {
            hash.text(&field.text);
            arguments(hash, valid);
        }
        Metric::FailedRows { expr } => hash.text(expr),
        Metric::RowCount
        | Metric::SchemaViolations
        | Metric::DecodeFailures
        | Metric::Freshness
        | Metric::FieldsAdded
        | Metric::FieldsRemoved
        | Metric::TypeChanged => {}
    }
}

fn pattern(hash: &mut Fnv, pattern: &Pattern) {
    hash.text(pattern.by.as_str());
    hash.text(&pattern.when);
    hash.bytes(&pattern.within_ms.to_le_bytes());
}

fn arguments(hash: &mut Fnv, valid: &ValidValues) {
    hash.option(valid.min, Fnv::float);
    hash.option(valid.max, Fnv::float);
    hash.option(valid.values.as_ref(), |hash, values| {
        hash.number(values.len() as u64);
        values.iter().for_each(|value| hash.text(&value.to_string()));
    });
    hash.option(valid.pattern.as_ref(), |hash, pattern| hash.text(pattern.as_str()));
    hash.option(valid.min_length, Fnv::number);
    hash.option(valid.max_length, Fnv::number);
    hash.option(valid.value_type, |hash, value_type| hash.text(value_type.as_str()));
    hash.option(valid.format, |hash, format| hash.text(format.as_str()));
}

fn slo(hash: &mut Fnv, slo: &Slo) {
    hash.text("slo");
    hash.text(&slo.id);
    hash.text(&slo.good);
    hash.float(slo.objective);
    hash.bytes(&slo.over_ms.to_le_bytes());
}
