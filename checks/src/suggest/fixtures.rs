//! Fixtures of a suggested file: a record as it was seen, masked, and the same with one thing wrong.
//! Each is tried before it is written.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Suggestion;
use crate::fixtures;
use crate::limits::Limits;
use crate::redact::{self, Place, Redaction};
use crate::rules::{CheckFile, CheckSet, Fixture, FixtureRecord, Loader, Origin, Step};
use crate::verdict::Status;

/// Times that a wrong record is given: a share is certain of so many.
const REPEAT: u64 = 50;

/// A test to write.
pub(super) struct Test {
    pub(super) name: String,
    /// `None`: no record at all.
    pub(super) given: Option<Given>,
    pub(super) repeat: u64,
    pub(super) expect: Vec<(String, Status)>,
}

/// A record.
pub(super) enum Given {
    Value(Value),
    Raw(String),
}

/// The tests that hold for the checks of `file`, the text so far.
pub(super) fn tests(
    file: &str,
    suggestions: &[Suggestion],
    (samples, redact): (&[String], &Redaction),
    has_volume: bool,
    limits: &Limits,
) -> Vec<Test> {
    let Ok(file) = CheckFile::parse(Path::new("suggested.yaml"), file, &Loader::files(limits)) else {
        return Vec::new();
    };
    let kept: Vec<&String> =
        suggestions.iter().filter_map(|s| s.arguments.as_ref()).flat_map(|a| &a.values).collect();
    let good = samples
        .iter()
        .filter_map(|text| serde_json::from_str(text).ok())
        .map(|value| masked(value, &kept, &redact.root()))
        .filter(Value::is_object)
        .map(|value| {
            let verdicts = verdicts(&file, Some(&Given::Value(value.clone())), 1, limits);
            (value, verdicts)
        })
        .filter(|(_, verdicts)| verdicts.iter().all(|(_, status)| !is_bad(*status)))
        .max_by_key(|(_, verdicts)| verdicts.iter().filter(|(_, s)| *s == Status::Pass).count());
    let Some((good, passing)) = good else { return Vec::new() };
    let mut tests = Vec::new();
    let passing: Vec<_> = passing.into_iter().filter(|(_, status)| *status == Status::Pass).collect();
    if !passing.is_empty() {
        let given = Some(Given::Value(good.clone()));
        tests.push(Test { name: "a record as it was seen".to_owned(), given, repeat: 1, expect: passing });
    }
    for suggestion in suggestions {
        let Some((name, given)) = broken(suggestion, &good) else { continue };
        let verdicts = verdicts(&file, Some(&given), REPEAT, limits);
        if verdicts.iter().any(|(id, status)| *id == suggestion.id && *status == Status::Fail) {
            let expect = vec![(suggestion.id.clone(), Status::Fail)];
            tests.push(Test { name, given: Some(given), repeat: REPEAT, expect });
        }
    }
    if has_volume {
        let expect = vec![("volume".to_owned(), Status::Fail)];
        tests.push(Test { name: "silence".to_owned(), given: None, repeat: 1, expect });
    }
    tests
}

fn is_bad(status: Status) -> bool {
    matches!(status, Status::Fail | Status::Error)
}

/// What the checks of the file say of a record given so often.
fn verdicts(file: &CheckFile, given: Option<&Given>, repeat: u64, limits: &Limits) -> Vec<(String, Status)> {
    let given = given.map(|given| FixtureRecord {
        topic: None,
        key: None,
        value: Some(match given {
            Given::Value(value) => value.to_string(),
            Given::Raw(raw) => raw.clone(),
        }),
        headers: Vec::new(),
        at_ms: 0,
        repeat,
    });
    let fixture = Fixture {
        before: Vec::new(),
        name: String::new(),
        given: given.into_iter().collect(),
        expect: file.rules.iter().map(|rule| (rule.id.clone(), Status::Pass)).collect(),
        origin: Origin::default(),
    };
    let file = CheckFile { tests: vec![fixture], ..file.clone() };
    let run = fixtures::run(&CheckSet::of(vec![Arc::new(file)]), limits);
    run.tests.into_iter().flat_map(|test| test.outcomes).map(|outcome| (outcome.check, outcome.got)).collect()
}

/// The good record with one thing wrong, and the name of that.
fn broken(suggestion: &Suggestion, good: &Value) -> Option<(String, Given)> {
    let Some(field) = &suggestion.field else {
        return Some(("half a record".to_owned(), Given::Raw("{\"half".to_owned())));
    };
    let (last, before) = field.steps.split_last()?;
    let mut value = good.clone();
    let name = match suggestion.metric {
        "missingValues" => {
            let Step::Key(key) = last else { return None };
            at(&mut value, before)?.as_object_mut()?.remove(key);
            format!("{} is missing", field.text)
        }
        "nullValues" => {
            put(&mut value, before, last, Value::Null)?;
            format!("{} is null", field.text)
        }
        "invalidValues" => {
            let wrong = wrong(suggestion, at(&mut value, &field.steps).map(|v| v.clone()));
            put(&mut value, before, last, wrong)?;
            format!("{} is nothing that was seen", field.text)
        }
        _ => format!("copies of {}", field.text),
    };
    Some((name, Given::Value(value)))
}

/// A value that the arguments do not allow.
fn wrong(suggestion: &Suggestion, seen: Option<Value>) -> Value {
    let arguments = suggestion.arguments.clone().unwrap_or_default();
    if let Some(low) = arguments.at_least {
        return Value::from((low - 1.0).trunc() as i64);
    }
    match (arguments.value_type, seen) {
        (Some("string"), _) => Value::from(-1),
        (Some(_), _) => Value::from("not of this type"),
        (None, Some(Value::Number(_))) => Value::from(-987_654_321),
        (None, _) => Value::from("not-in-the-list"),
    }
}

/// The value at these steps: of arrays the first element.
fn at<'v>(value: &'v mut Value, steps: &[Step]) -> Option<&'v mut Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Elements => value.as_array_mut()?.first_mut(),
        Step::AnyKey => None,
    })
}

fn put(value: &mut Value, before: &[Step], last: &Step, new: Value) -> Option<()> {
    let parent = at(value, before)?;
    match last {
        Step::Key(key) => _ = parent.as_object_mut()?.insert(key.clone(), new),
        Step::Elements => *parent.as_array_mut()?.first_mut()? = new,
        Step::AnyKey => return None,
    }
    Some(())
}

/// Letters are x and digits 0, but for the values that lists name anyway.
fn masked(value: Value, kept: &[&String], place: &Place<'_>) -> Value {
    match value {
        Value::Number(number) if place.is_hidden() || redact::is_sensitive(&number.to_string()) => {
            Value::from(0)
        }
        Value::Bool(_) if place.is_hidden() => Value::Bool(false),
        Value::String(text) => {
            let json = Value::from(text.as_str()).to_string();
            if !place.is_hidden() && kept.iter().any(|kept| **kept == json) {
                return Value::String(text);
            }
            let mask = |c: char| match c {
                c if c.is_ascii_digit() => '0',
                c if c.is_alphanumeric() => 'x',
                c => c,
            };
            Value::String(text.chars().map(mask).collect())
        }
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| masked(item, kept, &place.element())).collect())
        }
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(key, value)| {
                    let value = masked(value, kept, &place.key(&key));
                    (redact::text(&key).into_owned(), value)
                })
                .collect::<Map<_, _>>(),
        ),
        scalar => scalar,
    }
}
