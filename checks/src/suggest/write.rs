//! The suggestion as the text of a check file.

use std::fmt::Write as _;

use serde_json::Value;

use super::fixtures::{self, Test};
use super::{Arguments, Suggestion, Survey, decodes, suggest};
use crate::limits::Limits;
use crate::report::PaneSummary;
use crate::tape::printable;
use crate::yaml::show_duration_ms;

/// Records that a window should hold, so that it says something about shares.
const WINDOW_RECORDS: f64 = 100.0;

/// The text of a check file for `topic`, with fixtures whose verdicts were tried. `source` says
/// where the records came from. `None` when there is nothing to say: no record was decoded.
pub fn check_file(topic: &str, source: &str, survey: &Survey, limits: &Limits) -> Option<String> {
    let suggestions = suggest(survey);
    let (mut all, late) = survey.halves();
    all.merge(&late);
    if all.fields.is_empty() || suggestions.is_empty() {
        return None;
    }
    let mut file = head(topic, source, &all);
    if !survey.redact.paths().is_empty() {
        let paths: Vec<String> = survey.redact.paths().iter().map(|path| quote(&path.text)).collect();
        let _ = writeln!(file, "redact: [{}]", paths.join(", "));
    }
    let window_ms = window_ms(&all);
    let _ =
        writeln!(file, "window: {{ size: {} }}\n\nchecks:", show_duration_ms(window_ms.unwrap_or(60_000)));
    for suggestion in &suggestions {
        check(suggestion, &mut file);
    }
    if window_ms.is_some() {
        file.push_str("  # records came in every window of this size\n");
        file.push_str("  - { id: volume, metric: rowCount, mustBeGreaterThan: 0, for: 3 }\n");
    }
    let samples = (survey.samples.as_slice(), &survey.redact);
    let tests = fixtures::tests(&file, &suggestions, samples, window_ms.is_some(), limits);
    if !tests.is_empty() {
        file.push_str(
            "\n# Texts are masked (letters are x, digits 0) but for the values of lists.\ntests:\n",
        );
        tests.iter().for_each(|test| write_test(test, &mut file));
    }
    Some(file)
}

fn head(topic: &str, source: &str, all: &PaneSummary) -> String {
    let mut head = format!(
        "# Suggested by `tapline init` from {} records of {}.\n\
         # What was seen stands before each check; thresholds have room for chance. Keep what must be true,\n\
         # and leave out the rest.\n",
        all.read,
        comment(source)
    );
    let (failed, tried) = decodes(all);
    let _ = write!(head, "version: 1\ntopic: {}\n", quote(topic));
    if tried > 0 && all.not_decoded.is_empty() && failed * 2 < tried && all.tombstones < all.examined {
        // Nothing says that it is JSON rather than Avro, but that nothing was left undecoded.
        head.push_str("decode: { value: auto }\n");
    }
    head
}

/// A window that holds enough records, by the rate at which they came; `None` without times, or where
/// they came too seldom.
fn window_ms(all: &PaneSummary) -> Option<i64> {
    let span_ms = all.last_record_ms.saturating_sub(all.first_record_ms);
    if all.first_record_ms <= 0 || span_ms <= 0 || all.bad_timestamps > 0 {
        return None;
    }
    let wanted_ms = WINDOW_RECORDS * span_ms as f64 / all.read as f64;
    let sizes = [60_000, 300_000, 600_000, 3_600_000, 6 * 3_600_000, 86_400_000];
    // Twice in the data at least, or nothing is known of such windows.
    sizes.into_iter().find(|size| *size as f64 >= wanted_ms).filter(|size| size * 2 <= span_ms)
}

fn check(suggestion: &Suggestion, file: &mut String) {
    let Suggestion { id, seen, metric, field, arguments, less_than } = suggestion;
    let _ = writeln!(file, "  # {}", comment(seen));
    let field = field.as_ref().map(|field| format!(", field: {}", quote(&field.text))).unwrap_or_default();
    let arguments = arguments.as_ref().map(written).unwrap_or_default();
    let _ = writeln!(
        file,
        "  - {{ id: {}, metric: {metric}{field}{arguments}, unit: percent, mustBeLessThan: {less_than}, confidence: 99% }}",
        quote(id)
    );
}

fn written(arguments: &Arguments) -> String {
    let Arguments { value_type, at_least, at_most, values, length } = arguments;
    let mut parts = Vec::new();
    if !values.is_empty() {
        parts.push(format!("validValues: [{}]", values.join(", ")));
    }
    parts.extend(value_type.map(|kind| format!("type: {kind}")));
    parts.extend(at_least.map(|low| format!("min: {low}")));
    parts.extend(at_most.map(|high| format!("max: {high}")));
    if let Some((least, most)) = length {
        if *least > 0 {
            parts.push(format!("minLength: {least}"));
        }
        parts.push(format!("maxLength: {most}"));
    }
    format!(", arguments: {{ {} }}", parts.join(", "))
}

fn write_test(test: &Test, file: &mut String) {
    let _ = writeln!(file, "  - name: {}\n    given:", quote(&test.name));
    if test.given.is_none() {
        file.truncate(file.len() - 1);
        file.push_str(" []\n");
    }
    if let Some(given) = &test.given {
        let repeat = if test.repeat > 1 { format!("repeat: {}, ", test.repeat) } else { String::new() };
        let _ = match given {
            fixtures::Given::Value(value) => writeln!(file, "      - {{ {repeat}value: {} }}", flow(value)),
            fixtures::Given::Raw(raw) => writeln!(file, "      - {{ {repeat}raw: {} }}", quote_always(raw)),
        };
    }
    let expect: Vec<String> =
        test.expect.iter().map(|(id, status)| format!("{}: {}", quote(id), status.as_str())).collect();
    let _ = writeln!(file, "    expect: {{ {} }}", expect.join(", "));
}

/// JSON as YAML's flow style.
fn flow(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(key, value)| format!("{}: {}", quote(key), flow(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::String(text) => quote_always(text),
        scalar => scalar.to_string(),
    }
}

/// Plain where that is safe in every place.
fn quote(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '$')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '$' | ' '))
        && !text.ends_with(' ')
        && !matches!(text, "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    if is_plain { text.to_owned() } else { quote_always(text) }
}

/// In double quotes: what JSON escapes, YAML reads.
fn quote_always(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if printable(c) => out.push(c),
            c if u32::from(c) <= 0xffff => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

/// One line.
fn comment(text: &str) -> String {
    text.chars().map(|c| if printable(c) { c } else { '\u{fffd}' }).collect()
}
