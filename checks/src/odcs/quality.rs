//! The quality section: rules of the library become checks; texts, SQL and other engines' rules are
//! named.

use super::draft::{Drafts, mapping, slug, text};
use super::schema::{Place, together};
use super::{list, scalar};
use crate::rules::OPERATORS;
use crate::yaml::{self, Node, Style, quoted};

/// A rule of a property, or of the object.
pub(super) fn rule(rule: &Node, place: Option<&Place>, drafts: &mut Drafts<'_>) {
    let contract = drafts.contract;
    let kind = scalar(rule, "type").map_or("library", |kind| kind.text.as_str());
    let at = rule.get("type").unwrap_or(rule);
    match kind {
        "library" => library(rule, place, drafts),
        "text" => {
            contract.warn(at, "a rule in words is not checked", "write a `library` rule for what it says")
        }
        "sql" => {
            let help =
                "a stream answers no SQL: write a `library` rule, or `failedRows` in a check file beside";
            contract.warn(at, "a rule in SQL is not checked", help);
        }
        "custom" => custom(rule, place, drafts),
        other => {
            let what = format!("a rule of the unknown type {} is not checked", quoted(other));
            contract.warn(at, what, "the standard has `library`, `text`, `sql` and `custom`");
        }
    }
}

/// What `rule` of versions before 3.1 is called now.
fn renamed(rule: &str) -> &str {
    match rule {
        "nullCheck" | "nullCount" => "nullValues",
        "duplicateCount" | "uniqueCheck" | "duplicates" => "duplicateValues",
        "validValues" => "invalidValues",
        "countCheck" => "rowCount",
        other => other,
    }
}

fn library(rule: &Node, place: Option<&Place>, drafts: &mut Drafts<'_>) {
    let contract = drafts.contract;
    let Some(named) = ["metric", "rule"].iter().find_map(|key| rule.get(key).filter(|n| !n.is_null())) else {
        contract.warn(rule, "a rule without its `metric` is not checked", "write `metric: nullValues`");
        return;
    };
    let metric = renamed(named.as_scalar().map_or("", |scalar| scalar.text.as_str()));
    let operators: Vec<_> = rule
        .as_mapping()
        .unwrap_or_default()
        .iter()
        .filter(|entry| OPERATORS.contains(&entry.key.text.as_str()))
        .collect();
    if operators.is_empty() {
        let help = "write `mustBe: 0`, `mustBeLessThan: 5` or another operator";
        contract.warn(rule, "nothing says what the value must be: not checked", help);
        return;
    }
    let Some(field) = field(rule, metric, place, drafts) else { return };
    let name = match ["name", "id"].iter().find_map(|key| scalar(rule, key)) {
        Some(name) => name.text.clone(),
        None => match place {
            Some(place) => format!("{}-{}", place.name(), slug(metric)),
            None => metric.to_owned(),
        },
    };
    for operator in operators {
        let Some(key) = OPERATORS.iter().find(|key| **key == operator.key.text) else { continue };
        let mut common = vec![(*key, operator.value.clone())];
        for key in ["unit", "description"] {
            if let Some(node) = rule.get(key).filter(|node| !node.is_null()) {
                common.push((if key == "unit" { "unit" } else { "description" }, node.clone()));
            }
        }
        common.push(("severity", text(severity(rule), rule.span)));
        let mut native = common;
        native.push(("metric", text(metric, named.span)));
        native.extend(field.clone());
        native.extend(arguments(rule, metric).map(|arguments| ("arguments", arguments)));
        drafts.add(&name, named, vec![native]);
    }
}

/// What a rule is about: its property, or those that its arguments name. Several are one value to
/// `duplicateValues`, and no other metric has them.
fn field(
    rule: &Node,
    metric: &str,
    place: Option<&Place>,
    drafts: &Drafts<'_>,
) -> Option<Vec<(&'static str, Node)>> {
    if metric == "rowCount" {
        return Some(Vec::new());
    }
    if let Some(place) = place {
        return Some(vec![("field", text(&place.path(), rule.span))]);
    }
    let properties = rule.get("arguments").map(|arguments| list(arguments, "properties")).unwrap_or_default();
    let named = properties.iter().filter_map(|name| name.as_scalar().map(|name| name.text.as_str()));
    let names: Vec<&str> = named
        .map(|name| match drafts.names.iter().find(|(in_contract, _)| in_contract == name) {
            Some((_, written)) => written.as_str(),
            None => name,
        })
        .collect();
    if let ([first, _, ..], true) = (properties, metric != "duplicateValues") {
        let what = format!("{} of several properties together is not counted", quoted(metric));
        drafts.contract.warn(first, what, "write a rule for each of them");
        return None;
    }
    Some(together(&names, properties.first().unwrap_or(rule).span))
}

/// The arguments that the language knows. Some contracts write them beside an empty `arguments`.
fn arguments(rule: &Node, metric: &str) -> Option<Node> {
    let given = rule.get("arguments").filter(|node| node.as_mapping().is_some_and(|m| !m.is_empty()));
    if metric == "duplicateValues" {
        return None;
    }
    if let Some(given) = given {
        return Some(given.clone());
    }
    let beside: Vec<_> = ["validValues", "pattern", "missingValues"]
        .into_iter()
        .filter_map(|key| Some((key, rule.get(key)?.clone())))
        .collect();
    (!beside.is_empty()).then(|| mapping(beside, rule.span))
}

fn severity(rule: &Node) -> &'static str {
    match scalar(rule, "severity").map(|s| s.text.to_lowercase()).as_deref() {
        Some("info" | "information" | "informational" | "low" | "minor") => "info",
        Some("warn" | "warning" | "medium" | "moderate") => "warning",
        _ => "error",
    }
}

/// `engine: tapline` holds a check of the language; other engines' rules are theirs.
fn custom(rule: &Node, place: Option<&Place>, drafts: &mut Drafts<'_>) {
    let contract = drafts.contract;
    let engine = scalar(rule, "engine").map_or("", |engine| engine.text.as_str());
    let at = rule.get("engine").unwrap_or(rule);
    if engine != "tapline" {
        let what = format!(
            "a rule for {} is not checked",
            if engine.is_empty() { "no engine".to_owned() } else { quoted(engine) }
        );
        contract.warn(at, what, "write `engine: tapline` and a check as `implementation`");
        return;
    }
    let Some(given) = rule.get("implementation") else {
        contract.warn(at, "there is no `implementation`", "write a check of Tapline's language");
        return;
    };
    // A block of text, as the standard has it, or the check itself.
    let parsed = match given.as_scalar() {
        Some(scalar) if scalar.style == Style::Quoted || !scalar.is_null() => {
            match yaml::parse(&scalar.text, contract.loader.limits) {
                Ok(node) => node,
                Err(error) => {
                    contract.warn(given, format!("left out: {}", error.message), "write YAML");
                    return;
                }
            }
        }
        _ => given.clone(),
    };
    let mut check = Vec::new();
    for entry in parsed.as_mapping().unwrap_or_default() {
        let Some(key) = crate::rules::check_key(&entry.key.text) else {
            contract.warn(
                given,
                format!("left out: unknown key {}", quoted(&entry.key.text)),
                "see docs/checks.md",
            );
            return;
        };
        // Places within the block are places of another text.
        check.push((key, at_span(entry.value.clone(), given.span)));
    }
    let name = match check.iter().position(|(key, _)| *key == "id") {
        Some(at) => check.remove(at).1.as_scalar().map(|s| s.text.clone()).unwrap_or_default(),
        None => scalar(rule, "name").map_or_else(
            || place.map_or_else(|| "custom".to_owned(), |place| format!("{}-custom", place.name())),
            |name| name.text.clone(),
        ),
    };
    let takes_field = check.iter().all(|(key, _)| !matches!(*key, "field" | "expr"));
    if let Some(place) = place.filter(|_| takes_field) {
        check.push(("field", text(&place.path(), given.span)));
    }
    drafts.add(&name, given, vec![check]);
}

/// The same tree, all of it in one place.
fn at_span(mut node: Node, span: yaml::Span) -> Node {
    node.span = span;
    match &mut node.content {
        yaml::Content::Scalar(_) => {}
        yaml::Content::Sequence(items) => {
            for item in items {
                *item = at_span(item.clone(), span);
            }
        }
        yaml::Content::Mapping(entries) => {
            for entry in entries {
                entry.key.span = span;
                entry.value = at_span(entry.value.clone(), span);
            }
        }
    }
    node
}
