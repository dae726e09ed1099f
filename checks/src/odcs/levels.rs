//! Service levels (`slaProperties`): how fresh and how late a topic may be become checks; the rest is
//! named.

use std::cell::RefCell;

use super::draft::{mapping, text};
use super::schema::moment;
use super::{Contract, list, scalar};
use crate::rules::{FieldPath, Step};
use crate::yaml::{Node, quoted};

/// The service levels of a contract, and which of them have become checks.
pub(super) struct Levels<'n> {
    levels: Vec<&'n Node>,
    default_element: Option<&'n str>,
    taken: RefCell<Vec<bool>>,
}

/// Everything of a check but its id.
type Parts = Vec<(&'static str, Node)>;

/// What they say of one object.
#[derive(Default)]
pub(super) struct OfObject<'n> {
    /// `time` of its check file, where a level goes by the payload's own.
    pub(super) time: Option<Node>,
    /// Checks: a name, where it stands, the check.
    pub(super) checks: Vec<(&'static str, &'n Node, Parts)>,
}

impl<'n> Levels<'n> {
    pub(super) fn of(contract: &'n Node) -> Self {
        let levels: Vec<&Node> = list(contract, "slaProperties").iter().collect();
        let taken = RefCell::new(vec![false; levels.len()]);
        let default_element = scalar(contract, "slaDefaultElement").map(|element| element.text.as_str());
        Self { levels, default_element, taken }
    }

    /// `frequency` (and `freshness`): the latest record is no older. `latency` of a timestamp: records
    /// come no later after it.
    pub(super) fn of_object(&self, object: &'n Node, is_avro: bool) -> OfObject<'n> {
        let mut of = OfObject::default();
        for (level, taken) in self.levels.iter().zip(self.taken.borrow_mut().iter_mut()) {
            let Some(property) = scalar(level, "property") else { continue };
            let (Some(most), Some(value)) = (duration(level), level.get("value")) else { continue };
            let elements = self.elements(level);
            let bound = |metric: &str| {
                vec![
                    ("metric", text(metric, property_span(level))),
                    ("mustBeLessOrEqualTo", text(&most, value.span)),
                ]
            };
            match property.text.as_str() {
                "frequency" | "freshness" | "fy"
                    if elements.is_empty()
                        || elements.iter().any(|element| property_of(object, element).is_some()) =>
                {
                    of.checks.push(("freshness", level, bound("freshness")));
                    *taken = true;
                }
                "latency" | "ly" => {
                    let field = elements.iter().find_map(|element| property_of(object, element)?);
                    let Some(field) = field.filter(|field| is_moment(field, is_avro)) else { continue };
                    let Some(name) = ["physicalName", "name"].iter().find_map(|key| scalar(field, key))
                    else {
                        continue;
                    };
                    let path = FieldPath::of(vec![Step::Key(name.text.clone())]).text;
                    let span = property_span(level);
                    let time =
                        mapping(vec![("field", text(&path, span)), ("format", text("rfc3339", span))], span);
                    // A file has one time of its own.
                    if of.time.as_ref().is_none_or(|known| *known == time) {
                        of.time = Some(time);
                        of.checks.push(("latency", level, bound("delay")));
                        *taken = true;
                    }
                }
                _ => {}
            }
        }
        of
    }

    /// Says what has become no check.
    pub(super) fn name_the_rest(&self, contract: &Contract<'_>) {
        for (level, _) in self.levels.iter().zip(self.taken.borrow().iter()).filter(|(_, taken)| !**taken) {
            let Some(property) = scalar(level, "property") else {
                contract.warn(level, "a service level without its `property`", "write `property: latency`");
                continue;
            };
            let help = match property.text.as_str() {
                "latency" | "ly" if duration(level).is_some() => {
                    "name a property of type timestamp: `element: orders.created_at`"
                }
                "frequency" | "freshness" | "fy" if duration(level).is_some() => {
                    "name an object of the contract, or leave `element` out"
                }
                "latency" | "ly" | "frequency" | "freshness" | "fy" => {
                    "write a number as `value` and its `unit`: s, min, h, d, w or y"
                }
                "retention" | "re" => {
                    "retention is a setting of the topic (`retention.ms`), not of its records"
                }
                "generalAvailability" | "ga" | "endOfSupport" | "es" | "endOfLife" | "el" => {
                    "a date in the life of a product says nothing of its records"
                }
                _ => "write `slos`, or a `freshness` check, in a check file beside",
            };
            let at = level.get("property").unwrap_or(level);
            contract.warn(at, format!("the service level {} is not checked", quoted(&property.text)), help);
        }
    }

    fn elements(&self, level: &'n Node) -> Vec<&'n str> {
        let given = scalar(level, "element").map(|element| element.text.as_str()).or(self.default_element);
        given.map(|given| given.split(',').map(str::trim).collect()).unwrap_or_default()
    }
}

fn property_span(level: &Node) -> crate::yaml::Span {
    level.get("property").unwrap_or(level).span
}

/// Does `object.property`, or the object's name alone, mean this object? If so, which of its properties,
/// if one is named.
#[allow(clippy::option_option)] // Meant; and what is meant.
fn property_of<'n>(object: &'n Node, element: &str) -> Option<Option<&'n Node>> {
    let names = ["name", "physicalName"].into_iter().filter_map(|key| scalar(object, key));
    names.map(|name| name.text.as_str()).find_map(|name| match element.strip_prefix(name)? {
        "" => Some(None),
        rest => {
            let property = rest.strip_prefix('.')?;
            let is_named = |node: &&Node| {
                ["name", "physicalName"]
                    .iter()
                    .any(|key| scalar(node, key).is_some_and(|n| n.text == property))
            };
            Some(Some(list(object, "properties").iter().find(is_named)?))
        }
    })
}

/// A text that is a time by RFC 3339.
fn is_moment(property: &Node, is_avro: bool) -> bool {
    let logical = scalar(property, "logicalType").map_or("", |logical| logical.text.as_str());
    let options = property.get("logicalTypeOptions");
    let written = options.and_then(|options| scalar(options, "format")).map(|format| format.text.as_str());
    moment(logical, written, is_avro) == Ok("date-time")
}

/// `value` and `unit`, as check files write a duration.
fn duration(level: &Node) -> Option<String> {
    let value: f64 = scalar(level, "value")?.text.parse().ok()?;
    let unit = scalar(level, "unit").map_or("d", |unit| unit.text.as_str());
    let (factor, unit) = match unit.to_lowercase().as_str() {
        "ms" | "millisecond" | "milliseconds" => (1.0, "ms"),
        "s" | "sec" | "second" | "seconds" => (1.0, "s"),
        // A plain `m` may be a month.
        "min" | "minute" | "minutes" => (1.0, "m"),
        "h" | "hr" | "hour" | "hours" => (1.0, "h"),
        "d" | "day" | "days" => (1.0, "d"),
        "w" | "week" | "weeks" => (7.0, "d"),
        "y" | "yr" | "year" | "years" => (365.0, "d"),
        _ => return None,
    };
    let value = value * factor;
    (value.is_finite() && value > 0.0).then(|| format!("{value}{unit}"))
}
