//! Service levels of a file.

use super::{Origin, Slo, check};
use crate::yaml::{Node, Reader, nearest, parse_percent, quoted};

pub(super) const KEYS: [&str; 4] = ["id", "good", "objective", "over"];

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Reads one service level; what is wrong has been said.
pub(super) fn read(reader: &Reader<'_>, node: &Node, checks: &[check::Read]) -> Option<Slo> {
    let before = reader.errors();
    let map = reader.map(node, &KEYS)?;
    let id = map.required("id").and_then(|node| check::read_id(reader, node));
    let good = map.required("good").and_then(|node| read_good(reader, node, checks));
    let objective = map.required("objective").and_then(|node| read_objective(reader, node));
    map.required("over");
    let over_ms = map.opt_duration_ms_in("over", HOUR_MS..=366 * DAY_MS);
    let slo = Slo {
        id: id?,
        good: good?,
        objective: objective?,
        over_ms: over_ms?,
        origin: Origin { file: reader.file().to_path_buf(), line: map.span().line },
    };
    (reader.errors() == before).then_some(slo)
}

fn read_good(reader: &Reader<'_>, node: &Node, checks: &[check::Read]) -> Option<String> {
    let good = reader.str(node)?;
    match checks.iter().find(|check| check.id == good) {
        Some(check::Read { counts_records: Some(false), .. }) => {
            let message = format!("the check {} does not count records", quoted(&good));
            let help = "a service level needs good and bad ones: `schemaViolations`, `invalidValues` …";
            reader.error_help(node.span, message, help);
            None
        }
        Some(_) => Some(good.into_owned()),
        None => {
            unknown_check(reader, node, &good, checks);
            None
        }
    }
}

/// Says that no check of the file has this id.
pub(super) fn unknown_check(reader: &Reader<'_>, node: &Node, id: &str, checks: &[check::Read]) {
    let ids: Vec<&str> = checks.iter().map(|check| check.id.as_str()).collect();
    let help = nearest(id, &ids).map_or_else(
        || "name the id of a check of this file".to_owned(),
        |id| format!("did you mean `{id}`?"),
    );
    reader.error_help(node.span, format!("no check has the id {}", quoted(id)), help);
}

/// 0 to 1, both excluded, from percent.
fn read_objective(reader: &Reader<'_>, node: &Node) -> Option<f64> {
    let text = reader.str(node)?;
    let share = match parse_percent(&format!("{}%", text.trim_end_matches('%'))) {
        Ok(share) => share,
        Err(_) => reader.number(node)? / 100.0,
    };
    if share > 0.0 && share < 1.0 {
        return Some(share);
    }
    let help = "write `objective: 99.9`: nothing is promised at 0, and nothing may fail at 100";
    reader.error_help(node.span, "an objective is between 0 and 100 percent", help);
    None
}
