//! What detectors tell.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Kind;
use super::field::Test;
use super::telling::told;
use super::volume::Look;
use crate::events::Event;
use crate::judge::number;

/// A finding that begins, goes on or ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Which of them.
    pub what: What,
    /// What is found.
    pub kind: Kind,
    /// The field, where it is of one.
    pub field: Option<String>,
    /// Start of the first window that showed it, ms.
    pub began_ms: i64,
    /// The window that is told of, ms.
    pub from_ms: i64,
    /// Its end.
    pub to_ms: i64,
    /// The share, mean or count now.
    pub value: Option<f64>,
    /// What is usual.
    pub usual: String,
    /// One sentence.
    pub message: String,
    /// Counts, effect and p-value, by name.
    pub evidence: Vec<(&'static str, Value)>,
}

/// A figure of a field that is unlike its past, and for which there is no finding (yet): what may be
/// told beside one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Movement {
    /// What moved.
    pub kind: Kind,
    /// Path of the field.
    pub field: String,
    /// The window, ms.
    pub from_ms: i64,
    /// Its end.
    pub to_ms: i64,
    /// The share, mean or count before.
    pub before: f64,
    /// In the window.
    pub now: f64,
    /// How many times over it would be worth a finding.
    pub effect: f64,
    /// One sentence.
    pub message: String,
}

/// See [`Observation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It begins.
    Opened,
    /// It goes on; the rest of the observation is of the latest window.
    Ongoing,
    /// All is as before.
    Resolved,
    /// It has lasted so long that it is what is usual from now on.
    Adopted,
    /// A known event has begun, which the message names: nothing is looked at until it is over.
    Known,
}

/// Three significant digits: evidence is the same in every build.
fn rounded(value: f64) -> Value {
    json!(format!("{value:.2e}").parse::<f64>().unwrap_or(value))
}

impl Observation {
    pub(super) fn of_volume(look: &Look, to_ms: i64) -> Option<Self> {
        let told = told(look.step)?;
        let what = if look.adopted { What::Adopted } else { told };
        let [low, high] = look.usual;
        let usual =
            if high <= low * 1.02 { number(low) } else { format!("{} to {}", number(low), number(high)) };
        let fewer = if look.fell { "fewer" } else { "more" };
        let message = format!("{} records, {fewer} than the usual {usual}", number(look.records));
        let evidence = vec![("usual_low", rounded(low)), ("usual_high", rounded(high))];
        Some(Self {
            what,
            kind: Kind::Volume,
            field: None,
            began_ms: look.began_ms,
            from_ms: look.from_ms,
            to_ms,
            value: Some(look.records),
            usual,
            message,
            evidence,
        })
    }

    /// A known event ends what was found.
    pub(super) fn of_event(
        event: &Event,
        kind: Kind,
        field: Option<String>,
        [began_ms, from_ms, to_ms]: [i64; 3],
    ) -> Self {
        Self {
            what: What::Known,
            kind,
            field,
            began_ms,
            from_ms,
            to_ms,
            value: None,
            usual: String::new(),
            message: event.note.clone(),
            evidence: Vec::new(),
        }
    }

    /// Of a test, of a field or of the topic as a whole.
    pub(super) fn of_test(
        what: What,
        kind: Kind,
        field: Option<&str>,
        test: &Test,
        [began_ms, from_ms, to_ms]: [i64; 3],
    ) -> Self {
        let is_share = !matches!(kind, Kind::Distribution | Kind::Cardinality);
        let shown = |x: f64| if is_share { format!("{}%", number(x * 100.0)) } else { number(x) };
        let message = match field {
            Some(path) => Test { kind, ..test.clone() }.message(path),
            None => {
                format!("{} of the values do not decode; usual: {}", shown(test.now), shown(test.before))
            }
        };
        let mut evidence = vec![
            ("before", rounded(test.before)),
            ("now", rounded(test.now)),
            ("effect", rounded(test.effect)),
            ("p_value", rounded(test.p)),
            ("values", rounded(test.n)),
        ];
        evidence.extend(field.map(|path| ("field", path.into())));
        if !test.what.is_empty() {
            let name = match kind {
                Kind::Types => "type",
                Kind::Renamed => "renamed_to",
                _ => "value",
            };
            evidence.push((name, test.what.clone().into()));
        }
        evidence.extend(test.distance.map(|ks| ("ks_distance", rounded(ks))));
        Self {
            what,
            kind,
            field: field.map(str::to_owned),
            began_ms,
            from_ms,
            to_ms,
            value: Some(test.now),
            usual: shown(test.before),
            message,
            evidence,
        }
    }
}
