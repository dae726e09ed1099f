//! Expressions of `failedRows`: do they compile?

use crate::examine::cel;
use crate::yaml::{Node, Reader};

/// The source of an expression that compiles; what is wrong has been said.
pub(super) fn read(reader: &Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.str(node)?;
    let error = match cel::compile(&text) {
        Ok(program) => {
            if let Some((message, help)) = program.cost() {
                reader.warning(node.span, message, help);
            }
            return Some(text.into_owned());
        }
        Err(error) => error,
    };
    let line = text.lines().nth(error.line.saturating_sub(1)).unwrap_or_default();
    // From a column of bytes; in an expression of several lines the first is pointed at.
    let column = error.column.saturating_sub(1);
    let offset = if error.line == 1 { line.get(..column).unwrap_or(line).chars().count() } else { 0 };
    let help = "the language is CEL: `value.total == value.net + value.tax`";
    reader.error_help(reader.inside(node, offset, 1), format!("not CEL: {}", error.message), help);
    None
}
