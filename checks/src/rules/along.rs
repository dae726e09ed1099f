//! Metrics that look along a stream: at keys, at the past, at another topic. Their arguments, read.

use super::expr::{self, Role};
use super::{FieldPath, KeyBy, Pattern, Step, check};
use crate::yaml::{Map, Node, Reader, nearest, quoted};

pub(super) const SEQUENCE_KEYS: [&str; 1] = ["by"];
pub(super) const RATIO_KEYS: [&str; 1] = ["of"];
pub(super) const FOLLOWED_KEYS: [&str; 4] = ["when", "then", "within", "by"];
pub(super) const MANY_KEYS: [&str; 4] = ["when", "moreThan", "within", "by"];

/// Longest time that a pattern may reach, ms: as long as its panes are held in memory.
const WITHIN_MS: std::ops::RangeInclusive<i64> = 1..=3_600_000;

/// Arguments of `sequenceGaps`; none is by key.
pub(super) fn sequence(reader: &Reader<'_>, node: Option<&Node>) -> Option<KeyBy> {
    match node {
        Some(node) => by(&reader.map(node, &SEQUENCE_KEYS)?, true),
        None => Some(KeyBy::Key),
    }
}

/// Arguments of `ratio`.
pub(super) fn ratio(reader: &Reader<'_>, node: &Node) -> Option<String> {
    let map = reader.map(node, &RATIO_KEYS)?;
    super::head::topic_name(reader, map.required("of")?)
}

/// Arguments of `notFollowedBy`.
pub(super) fn followed(reader: &Reader<'_>, node: &Node) -> Option<(Pattern, String)> {
    let map = reader.map(node, &FOLLOWED_KEYS)?;
    let then = map.required("then").and_then(|node| expr::read(reader, node, Role::Picks));
    let pattern = pattern(&map);
    Some((pattern?, then?))
}

/// Arguments of `tooMany`.
pub(super) fn many(reader: &Reader<'_>, node: &Node) -> Option<(Pattern, u64)> {
    let map = reader.map(node, &MANY_KEYS)?;
    map.required("moreThan");
    let most = map.opt_integer("moreThan", 1..=1_000).and_then(|n| u64::try_from(n).ok());
    let pattern = pattern(&map);
    Some((pattern?, most?))
}

fn pattern(map: &Map<'_, '_, '_>) -> Option<Pattern> {
    let when = map.required("when").and_then(|node| expr::read(map.reader(), node, Role::Picks));
    map.required("within");
    let within_ms = map.opt_duration_ms_in("within", WITHIN_MS);
    let by = by(map, false);
    Some(Pattern { by: by?, when: when?, within_ms: within_ms? })
}

/// `by:`, what belongs together.
fn by(map: &Map<'_, '_, '_>, partitions: bool) -> Option<KeyBy> {
    let reader = map.reader();
    let Some(node) = map.get("by") else { return Some(KeyBy::Key) };
    let text = reader.str(node)?;
    if text.starts_with('$') {
        let path = check::read_path(reader, node)?;
        return single(reader, node, path).map(KeyBy::Field);
    }
    let names: &[&str] = if partitions { &["key", "partition"] } else { &["key"] };
    match (text.as_ref(), partitions) {
        ("key", _) => Some(KeyBy::Key),
        ("partition", true) => Some(KeyBy::Partition),
        _ => {
            let help = nearest(&text, names).map_or_else(
                || format!("write `{}`, or the path of a field: `$.id`", names.join("`, `")),
                |name| format!("did you mean `{name}`?"),
            );
            reader.error_help(node.span, format!("nothing to go by: {}", quoted(&text)), help);
            None
        }
    }
}

/// A path that a record has one value of at most.
pub(super) fn single(reader: &Reader<'_>, node: &Node, path: FieldPath) -> Option<FieldPath> {
    if path.steps.iter().all(|step| matches!(step, Step::Key(_))) {
        return Some(path);
    }
    let help = "name a field that a record has once: `$.id`";
    reader.error_help(node.span, format!("a record may have many of {}", quoted(&path.text)), help);
    None
}
