//! Arguments of the metrics of numbers: which figure of the numbers is judged.

use super::Function;
use crate::yaml::{Node, Reader};

pub(super) const KEYS: [&str; 2] = ["function", "quantile"];
pub(super) const NAMES: [&str; 6] = ["min", "max", "mean", "stddev", "sum", "quantile"];

/// Reads `{ function: quantile, quantile: 0.95 }`; what is wrong has been said when it is `None`.
pub(super) fn read(reader: &Reader<'_>, node: &Node) -> Option<Function> {
    let map = reader.map(node, &KEYS)?;
    let before = reader.errors();
    let Some(name) = map.get("function") else {
        if !map.misspelt("function") {
            let help = "write `function: mean`, or `min`, `max`, `stddev`, `sum`, `quantile`";
            reader.error_help(node.span, "nothing says which figure of the numbers is meant", help);
        }
        return None;
    };
    let plain = Function::Quantile(0.5);
    let choices = [
        ("min", Function::Min),
        ("max", Function::Max),
        ("mean", Function::Mean),
        ("stddev", Function::Stddev),
        ("sum", Function::Sum),
        ("quantile", plain),
    ];
    let function = map.opt_choice("function", &choices)?;
    let function = match (function, map.get("quantile")) {
        (Function::Quantile(_), Some(_)) => {
            let share = map.opt_number("quantile")?;
            if !(share > 0.0 && share < 1.0) {
                let help = "write `quantile: 0.95`; the ends are `function: min` and `function: max`";
                let at = map.get("quantile").map_or(node.span, |node| node.span);
                reader.error_help(at, "a quantile is between 0 and 1", help);
                return None;
            }
            Function::Quantile(share)
        }
        (Function::Quantile(_), None) => {
            if !map.misspelt("quantile") {
                let help = "write `quantile: 0.95` beside it";
                reader.error_help(name.span, "nothing says which quantile", help);
            }
            return None;
        }
        (_, Some(_)) => {
            let help = "write `function: quantile`, or leave it out";
            reader.error_help(map.key_span("quantile"), "only `function: quantile` has a `quantile`", help);
            return None;
        }
        (function, None) => function,
    };
    (reader.errors() == before).then_some(function)
}
