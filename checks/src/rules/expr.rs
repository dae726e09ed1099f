//! Expressions of `failedRows` and of patterns: do they compile, and do they tell records apart?

use crate::examine::cel::{self, Constant};
use crate::yaml::{Node, Reader};

/// What an expression is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It must be true of a record.
    Holds,
    /// It says which records are meant: all of them, perhaps.
    Picks,
}

/// The source of an expression that compiles; what is wrong has been said.
pub(super) fn read(reader: &Reader<'_>, node: &Node, role: Role) -> Option<String> {
    let text = reader.str(node)?;
    let error = match cel::compile(&text) {
        Ok(program) => {
            if let Some((message, help)) = program.cost() {
                reader.warning(node.span, message, help);
            }
            return tells(reader, node, role, program.constant()).then(|| text.into_owned());
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

/// Does it tell records apart?
fn tells(reader: &Reader<'_>, node: &Node, role: Role, constant: Option<Constant>) -> bool {
    let help = "compare fields of the record: `value.total == value.net + value.tax`";
    match (constant, role) {
        (None, _) | (Some(Constant::Holds(true)), Role::Picks) => return true,
        (Some(Constant::Holds(true)), Role::Holds) => {
            reader.error_help(node.span, "true of every record: the check can never fail", help);
        }
        (Some(Constant::Holds(false)), Role::Holds) => {
            reader.error_help(node.span, "false of every record: the check can never pass", help);
        }
        (Some(Constant::Holds(false)), Role::Picks) => {
            reader.error_help(node.span, "false of every record: none is ever meant", help);
        }
        (Some(Constant::Error(error)), _) => {
            reader.error_help(node.span, format!("cannot be evaluated on any record: {error}"), help);
        }
    }
    false
}
