//! What a file says before its checks: topics, decoding, window, sample.

use std::path::Path;
use std::sync::Arc;

use super::file::Loader;
use super::{
    Decode, EventTime, FieldPath, Sample, SchemaFile, SchemaKind, SchemaSource, Step, TimeFormat, TimeSource,
    TopicSelector, ValueFormat, arguments, check, unbuilt,
};
use crate::schema::Schema;
use crate::yaml::{Map, Node, Reader, quoted};

pub(super) const DECODE_KEYS: [&str; 3] = ["value", "key", "schema"];
pub(super) const SCHEMA_KEYS: [&str; 2] = ["registry", "file"];
pub(super) const TIME_KEYS: [&str; 2] = ["field", "format"];
pub(super) const SAMPLE_KEYS: [&str; 3] = ["read", "examine", "at_most"];

pub(super) const FORMATS: [(&str, ValueFormat); 5] = [
    ("auto", ValueFormat::Auto),
    ("json", ValueFormat::Json),
    ("avro", ValueFormat::Avro),
    ("text", ValueFormat::Text),
    ("bytes", ValueFormat::Bytes),
];

/// Topics that a list may name.
const TOPICS_MAX: usize = 10_000;
/// Length of a topic's name (Kafka's own bound).
const TOPIC_BYTES_MAX: usize = 249;

/// `topic:`, `topics:` or `pattern:`, exactly one.
pub(super) fn topics(file: &Map<'_, '_, '_>) -> Option<TopicSelector> {
    let reader = file.reader();
    let given: Vec<_> = ["topic", "topics", "pattern"].into_iter().filter(|key| file.has(key)).collect();
    let [key] = given[..] else {
        match given.get(1) {
            Some(second) => reader.error_help(
                file.key_span(second),
                format!("both `{}` and `{second}` are given", given[0]),
                "a file has one of `topic`, `topics` and `pattern`",
            ),
            None if ["topic", "topics", "pattern"].iter().any(|key| file.misspelt(key)) => {}
            None => reader.error_help(
                file.span(),
                "nothing says which topics the file is for",
                "write `topic: name`, `topics: [a, b]` or `pattern: \"orders-.*\"`",
            ),
        }
        return None;
    };
    let node = file.get(key)?;
    match key {
        "topic" => Some(TopicSelector::Names(vec![name(file, node)?])),
        "topics" => {
            let items = reader.list(node)?;
            if items.is_empty() || items.len() > TOPICS_MAX {
                reader
                    .error(node.span, format!("a list of 1 to {TOPICS_MAX} topics, not of {}", items.len()));
                return None;
            }
            let names: Option<Vec<_>> = items.iter().map(|item| name(file, item)).collect();
            let names = names?;
            let repeated = (1..names.len()).find(|at| names[..*at].contains(&names[*at]));
            if let Some(at) = repeated {
                reader.error(items[at].span, format!("the topic {} is listed twice", quoted(&names[at])));
                return None;
            }
            Some(TopicSelector::Names(names))
        }
        _ => pattern(file, node),
    }
}

/// A name that Kafka accepts.
fn name(file: &Map<'_, '_, '_>, node: &Node) -> Option<String> {
    topic_name(file.reader(), node)
}

/// The same, elsewhere in a file.
pub(super) fn topic_name(reader: &Reader<'_>, node: &Node) -> Option<String> {
    let name = reader.str(node)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > TOPIC_BYTES_MAX || !name.chars().all(allowed) {
        let help = "a name has letters, digits, `.`, `_` and `-`; for many topics write `pattern`";
        reader.error_help(node.span, format!("{} is not a topic's name", quoted(&name)), help);
        return None;
    }
    Some(name.into_owned())
}

/// A pattern over the whole name, as in the configuration's topic filters.
fn pattern(file: &Map<'_, '_, '_>, node: &Node) -> Option<TopicSelector> {
    let reader = file.reader();
    let text = reader.str(node)?;
    let regex = arguments::compile(reader, node, &text, &crate::filter::anchored(&text))?;
    if ["a", "0", "zz.topic-9_x", "__consumer_offsets"].iter().all(|name| regex.is_match(name)) {
        let help = "name them if that is not meant";
        reader.warning(node.span, format!("the pattern {} matches every topic", quoted(&text)), help);
    }
    Some(TopicSelector::Pattern(regex))
}

/// `decode:`.
pub(super) fn decode(file: &Map<'_, '_, '_>, loader: &Loader<'_>) -> Decode {
    let reader = file.reader();
    let Some(map) = file.opt_map("decode", &DECODE_KEYS) else { return Decode::default() };
    let scalar = |key: &str| map.get(key).and_then(Node::as_scalar).map(|scalar| scalar.text.as_str());
    let value = match scalar("value") {
        Some(format @ ("protobuf" | "cloudevents" | "debezium")) => {
            unbuilt(
                reader,
                map.get("value").map_or(map.span(), |n| n.span),
                &format!("`{format}`"),
                "write `auto`",
            );
            None
        }
        _ => map.opt_choice("value", &FORMATS),
    };
    if let Some(key) = map.get("key").filter(|_| scalar("key") != Some("string")) {
        let what = "a key other than `string`";
        unbuilt(reader, key.span, what, "leave it out: keys are read as text");
    }
    let value = value.unwrap_or_default();
    let schema =
        map.opt_map("schema", &SCHEMA_KEYS).map_or(SchemaSource::None, |schema| read_schema(&schema, loader));
    if schema != SchemaSource::None && matches!(value, ValueFormat::Text | ValueFormat::Bytes) {
        let help = "leave the schema out, or decode the value";
        reader.error_help(map.key_span("schema"), "values that are not looked into have no schema", help);
    }
    if let SchemaSource::File(file) = &schema {
        let fits = match file.kind {
            SchemaKind::Json => value != ValueFormat::Avro,
            SchemaKind::Avro => value != ValueFormat::Json,
        };
        if !fits {
            let help = "`.json` is JSON Schema, `.avsc` is Avro";
            reader.error_help(map.key_span("schema"), "the schema is of another format than the value", help);
        }
    }
    Decode { value, schema }
}

fn read_schema(map: &Map<'_, '_, '_>, loader: &Loader<'_>) -> SchemaSource {
    let reader = map.reader();
    let registry = map.opt_boolean("registry").unwrap_or(false);
    let Some(node) = map.get("file") else {
        return if registry { SchemaSource::Registry } else { SchemaSource::None };
    };
    if registry {
        reader.error_help(
            map.key_span("file"),
            "both `registry` and `file` are given",
            "a topic has one schema",
        );
        return SchemaSource::None;
    }
    let Some(path) = reader.str(node) else { return SchemaSource::None };
    // Next to the check file, wherever Tapline was started.
    let path = reader.file().parent().unwrap_or(Path::new("")).join(path.as_ref());
    match schema_file(&path, loader) {
        Ok(file) => SchemaSource::File(file),
        Err((message, help)) => {
            reader.error_help(node.span, message, help);
            SchemaSource::None
        }
    }
}

fn schema_file(path: &Path, loader: &Loader<'_>) -> Result<SchemaFile, (String, &'static str)> {
    let kind = match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => SchemaKind::Json,
        Some("avsc") => SchemaKind::Avro,
        _ => {
            let message = format!("{} is of no known kind of schema", quoted(&path.to_string_lossy()));
            return Err((message, "the name ends in `.json` (JSON Schema) or `.avsc` (Avro)"));
        }
    };
    let shown = path.display();
    let text = loader.text(path).map_err(|error| {
        (format!("cannot read the schema {shown}: {error}"), "the path is relative to this file")
    })?;
    let compiled = match kind {
        SchemaKind::Json => {
            Schema::compile(&text, loader.limits).map(|_| ()).map_err(|error| error.to_string())
        }
        SchemaKind::Avro => {
            apache_avro::Schema::parse_str(&text).map(|_| ()).map_err(|error| error.to_string())
        }
    };
    compiled.map_err(|error| (format!("cannot use the schema {shown}: {error}"), "mend the schema"))?;
    Ok(SchemaFile { path: path.to_path_buf(), text: Arc::from(text), kind })
}

/// `time:`.
pub(super) fn time(file: &Map<'_, '_, '_>) -> TimeSource {
    let reader = file.reader();
    let Some(map) = file.opt_map("time", &TIME_KEYS) else { return TimeSource::Record };
    let field = map
        .required("field")
        .and_then(|node| plain_path(reader, node, "the payload's own time is one value a record"));
    let format = map.required("format").and_then(|_| map.opt_choice("format", &TimeFormat::ALL));
    match (field, format) {
        (Some(field), Some(format)) => TimeSource::Field(EventTime { field, format }),
        _ => TimeSource::Record,
    }
}

/// `segment_by:`.
pub(super) fn segment_by(file: &Map<'_, '_, '_>) -> Option<FieldPath> {
    let node = file.get("segment_by").filter(|node| !node.is_null())?;
    plain_path(file.reader(), node, "a record is of one segment")
}

/// A path to one value a record: through members alone.
fn plain_path(reader: &Reader<'_>, node: &Node, why: &str) -> Option<FieldPath> {
    let field = check::read_path(reader, node)?;
    if field.steps.iter().any(|step| !matches!(step, Step::Key(_))) {
        let message = format!("{why}, and {} is many", quoted(&field.text));
        reader.error_help(node.span, message, "write a path without `[]` and `*`");
        return None;
    }
    Some(field)
}

/// `sample:`.
pub(super) fn sample(file: &Map<'_, '_, '_>) -> Sample {
    let default = Sample::default();
    let reader = file.reader();
    let Some(map) = file.opt_map("sample", &SAMPLE_KEYS) else { return default };
    let scalar = |key: &str| map.get(key).and_then(Node::as_scalar).map(|scalar| scalar.text.as_str());
    match (scalar("read"), map.get("read")) {
        (Some("blocks"), Some(node)) => unbuilt(reader, node.span, "`read: blocks`", "write `read: all`"),
        _ => _ = map.opt_choice("read", &[("all", ())]),
    }
    let examine = map.opt_percent("examine");
    if let (Some(node), Some(0.0)) = (map.get("examine"), examine) {
        reader.error_help(
            node.span,
            "nothing would be examined",
            "write more than 0%, or leave the topic out",
        );
    }
    let bytes_rate = scalar("at_most").is_some_and(|rate| rate.ends_with("B/s"));
    let at_most_per_second = match map.get("at_most") {
        Some(node) if bytes_rate => {
            unbuilt(reader, node.span, "a rate in bytes", "write records a second: `2000/s`");
            None
        }
        _ => map.opt_rate("at_most"),
    };
    Sample { examine: examine.unwrap_or(default.examine), at_most_per_second }
}
