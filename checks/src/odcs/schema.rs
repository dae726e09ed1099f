//! The schema section: what is required, unique, of a type or one of some values.

use super::draft::{Drafts, mapping, text};
use super::{is_true, list, quality, scalar};
use crate::rules::{FieldPath, Step};
use crate::yaml::{Node, Span, quoted};

/// Objects nest no deeper.
const DEPTH_MAX: usize = 32;

/// Where a property stands.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) steps: Vec<Step>,
    /// Every object around it is required, as far as the innermost element of a list.
    parents_required: bool,
}

impl Place {
    pub(super) fn path(&self) -> String {
        FieldPath::of(self.steps.clone()).text
    }

    /// For ids: `customer-email`.
    pub(super) fn name(&self) -> String {
        let keys = self.steps.iter().filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Elements | Step::AnyKey => None,
        });
        keys.collect::<Vec<_>>().join("-")
    }

    fn within(&self, step: Step, required: bool) -> Self {
        let mut steps = self.steps.clone();
        // Elements are counted themselves: what is around them does not matter.
        let parents_required = step == Step::Elements || (self.parents_required && required);
        steps.push(step);
        Self { steps, parents_required }
    }
}

/// An object of a contract.
pub(super) fn object(object: &Node, drafts: &mut Drafts<'_>) {
    let root = Place { steps: Vec::new(), parents_required: true };
    let keys: Vec<&Node> =
        list(object, "properties").iter().filter(|property| is_true(property, "primaryKey")).collect();
    drafts.names = names(object);
    for property in list(object, "properties") {
        self::property(property, &root, true, keys.len() == 1, drafts);
    }
    if keys.len() > 1 {
        let position =
            |key: &&Node| scalar(key, "primaryKeyPosition").and_then(|at| at.text.parse::<u32>().ok());
        let mut keys = keys;
        keys.sort_by_key(|key| position(key).unwrap_or(u32::MAX));
        let names: Vec<&str> = keys.iter().filter_map(|key| written_name(key)).collect();
        let at = keys[0].get("primaryKey").unwrap_or(keys[0]);
        let mut check = vec![("metric", text("duplicateValues", at.span)), ("mustBe", text("0", at.span))];
        check.extend(together(&names, at.span));
        drafts.add(&format!("{}-unique", names.join("-")), at, vec![check]);
    }
    for rule in list(object, "quality") {
        quality::rule(rule, None, drafts);
    }
}

/// The name that a property has in records.
fn written_name(property: &Node) -> Option<&str> {
    ["physicalName", "name"].iter().find_map(|key| scalar(property, key)).map(|name| name.text.as_str())
}

/// The names of an object's properties in the contract, with those that they have in records.
fn names(object: &Node) -> Vec<(String, String)> {
    let name =
        |property: &Node| Some((scalar(property, "name")?.text.clone(), written_name(property)?.to_owned()));
    list(object, "properties").iter().filter_map(name).collect()
}

/// `field` and `arguments` of `duplicateValues` over several properties.
pub(super) fn together(names: &[&str], span: Span) -> Vec<(&'static str, Node)> {
    let path = |name: &&str| text(&FieldPath::of(vec![Step::Key((*name).to_owned())]).text, span);
    let [first, others @ ..] = names else { return Vec::new() };
    let mut parts = vec![("field", path(first))];
    if !others.is_empty() {
        let with = super::sequence(others.iter().map(&path).collect(), span);
        parts.push(("arguments", mapping(vec![("with", with)], span)));
    }
    parts
}

fn property(node: &Node, parent: &Place, parent_required: bool, single_key: bool, drafts: &mut Drafts<'_>) {
    let Some(name) = written_name(node) else {
        drafts.contract.warn(node, "a property without a name", "write `name: id`");
        return;
    };
    let place = parent.within(Step::Key(name.to_owned()), parent_required);
    let is_key = is_true(node, "primaryKey");
    let required = is_true(node, "required") || is_key;
    if required {
        self::required(node, &place, drafts);
    }
    if is_true(node, "unique") || (is_key && single_key) {
        let at = ["unique", "primaryKey"].iter().find_map(|key| node.get(key)).unwrap_or(node);
        let check = of("duplicateValues", &place, at);
        drafts.add(&format!("{}-unique", place.name()), at, vec![check]);
    }
    element(node, &place, required, drafts);
}

/// What a property and the items of a list have in common.
fn element(node: &Node, place: &Place, required: bool, drafts: &mut Drafts<'_>) {
    if place.steps.len() > DEPTH_MAX {
        drafts.contract.warn(node, "nested too deep to be checked", "flatten the contract");
        return;
    }
    types(node, place, drafts);
    for rule in list(node, "quality") {
        quality::rule(rule, Some(place), drafts);
    }
    for inner in list(node, "properties") {
        property(inner, place, required, false, drafts);
    }
    if let Some(items) = node.get("items").filter(|items| items.as_mapping().is_some()) {
        element(items, &place.within(Step::Elements, required), true, drafts);
    }
    if let Some(map) = node.get("map").filter(|node| !node.is_null()) {
        drafts.contract.warn(
            map,
            "the keys and values of a map are not checked",
            "write checks of `.*` paths",
        );
    }
}

/// Present and not null, in every object that could have it.
fn required(node: &Node, place: &Place, drafts: &mut Drafts<'_>) {
    let at = ["required", "primaryKey"].iter().find_map(|key| node.get(key)).unwrap_or(node);
    let name = place.name();
    if place.parents_required {
        drafts.add(&format!("{name}-required"), at, vec![of("missingValues", place, at)]);
        drafts.add(&format!("{name}-not-null"), at, vec![of("nullValues", place, at)]);
        return;
    }
    // A parent that is not there lacks nothing.
    let Some((parents, value)) = cel_path(&place.steps) else {
        let what = format!("{} is required within something optional: not checked", quoted(&place.path()));
        drafts.contract.warn(at, what, "write `failedRows` in a check file of its own");
        return;
    };
    let expr = format!("!({parents}) || (has({value}) && {value} != null)");
    drafts.add(&format!("{name}-required"), at, vec![rows(&expr, at)]);
}

/// A check of no failures at all.
fn of(metric: &str, place: &Place, at: &Node) -> Vec<(&'static str, Node)> {
    vec![
        ("metric", text(metric, at.span)),
        ("field", text(&place.path(), at.span)),
        ("mustBe", text("0", at.span)),
    ]
}

fn rows(expr: &str, at: &Node) -> Vec<(&'static str, Node)> {
    vec![
        ("metric", text("failedRows", at.span)),
        ("expr", text(expr, at.span)),
        ("mustBe", text("0", at.span)),
    ]
}

/// In CEL: that everything around a value is there, and the value. `None` for names that CEL has
/// another use for, and for elements.
pub(super) fn cel_path(steps: &[Step]) -> Option<(String, String)> {
    const RESERVED: [&str; 23] = [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
        "has",
        "size",
    ];
    let mut path = "value".to_owned();
    let mut there = vec!["true".to_owned()];
    for (at, step) in steps.iter().enumerate() {
        let Step::Key(key) = step else { return None };
        let is_name = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !RESERVED.contains(&key.as_str());
        if !is_name {
            return None;
        }
        path = format!("{path}.{key}");
        if at + 1 < steps.len() {
            there.push(format!("has({path}) && {path} != null"));
        }
    }
    if there.len() > 1 {
        there.remove(0);
    }
    Some((there.join(" && "), path))
}

/// The logical type with its options, and the values of an enumeration.
fn types(node: &Node, place: &Place, drafts: &mut Drafts<'_>) {
    let options = node.get("logicalTypeOptions").filter(|options| options.as_mapping().is_some());
    if let Some(kind) = node.get("logicalType")
        && let Some(logical) = kind.as_scalar().filter(|scalar| !scalar.is_null())
    {
        let mut arguments = Vec::new();
        let (mut looser, mut is_formatted) = (None, false);
        match logical.text.as_str() {
            known @ ("string" | "number" | "integer" | "boolean" | "object" | "array") => {
                arguments.push(("type", text(known, kind.span)));
            }
            "map" => arguments.push(("type", text("object", kind.span))),
            date @ ("date" | "timestamp") => {
                let written = options.and_then(|options| scalar(options, "format"));
                match moment(date, written.map(|format| format.text.as_str()), drafts.decodes_avro()) {
                    Ok(format) => {
                        // What it says is checked: not named as an option below.
                        is_formatted = true;
                        arguments.push(("format", text(format, kind.span)));
                    }
                    Err(why) => {
                        let what =
                            format!("values of the logical type {} are not checked: {why}", quoted(date));
                        drafts.contract.warn(kind, what, "write a `pattern` in the quality section");
                    }
                }
            }
            other => {
                let what = format!("values of the logical type {} are not checked", quoted(other));
                drafts.contract.warn(kind, what, "write a `pattern` in the quality section");
            }
        }
        for entry in options.and_then(Node::as_mapping).unwrap_or_default() {
            let key = match entry.key.text.as_str() {
                "minLength" => "minLength",
                "maxLength" => "maxLength",
                "pattern" => "pattern",
                "minimum" => "min",
                "maximum" => "max",
                "format" if logical.text == "string" => {
                    // Where the language has no such format, the rest still holds.
                    looser = Some(arguments.clone());
                    "format"
                }
                "format" if is_formatted => continue,
                other => {
                    let what = format!("{} is not checked", quoted(other));
                    let help = "write an `invalidValues` rule in the quality section, or a check file beside";
                    drafts.contract.reader.warning(entry.key.span, what, help);
                    continue;
                }
            };
            arguments.push((key, entry.value.clone()));
        }
        if !arguments.is_empty() {
            let name = format!("{}-type", place.name());
            let check = |arguments: Vec<(&'static str, Node)>| {
                let mut check = of("invalidValues", place, kind);
                check.push(("arguments", mapping(arguments, kind.span)));
                check
            };
            let formatted = looser.is_some();
            let taken = drafts.add(&name, kind, vec![check(arguments)]);
            if let Some(looser) = looser.filter(|looser| !taken && formatted && !looser.is_empty()) {
                drafts.add(&name, kind, vec![check(looser)]);
            }
        }
    }
    if let Some(values) = node.get("enum").filter(|node| !node.is_null()) {
        let items = list(node, "enum").iter().map(|item| item.get("value").unwrap_or(item).clone()).collect();
        let mut check = of("invalidValues", place, values);
        let allowed = super::sequence(items, values.span);
        check.push(("arguments", mapping(vec![("validValues", allowed)], values.span)));
        drafts.add(&format!("{}-enum", place.name()), values, vec![check]);
    }
}

/// The format of texts that are a date or timestamp, or why it cannot be told. The standard takes
/// ISO 8601 where nothing is written, else a pattern of the JDK's `DateTimeFormatter`.
pub(super) fn moment(
    logical: &str,
    written: Option<&str>,
    is_avro: bool,
) -> Result<&'static str, &'static str> {
    const TIMES: [&str; 5] = [
        "yyyy-MM-dd'T'HH:mm:ssXXX",
        "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        "yyyy-MM-dd'T'HH:mm:ssZ",
        "yyyy-MM-ddTHH:mm:ssZ",
        "date-time",
    ];
    match (logical, written) {
        _ if is_avro => Err("in Avro they are numbers"),
        ("date", None | Some("yyyy-MM-dd" | "date")) => Ok("date"),
        ("timestamp", None) => Ok("date-time"),
        ("timestamp", Some(format)) if TIMES.contains(&format) => Ok("date-time"),
        _ => Err("they have a `format` of their own"),
    }
}
