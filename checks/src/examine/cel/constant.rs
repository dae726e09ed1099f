//! Expressions that say the same of every record that they can be evaluated on.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

/// What it says of every record; `None` where that depends on the record, or cannot be told.
pub(super) fn of(node: &IdedExpr) -> Option<bool> {
    match &node.expr {
        Expr::Literal(LiteralValue::Boolean(held)) => Some(*held.inner()),
        Expr::Call(call) => of_call(call),
        _ => None,
    }
}

fn of_call(call: &CallExpr) -> Option<bool> {
    match (call.func_name.as_str(), call.args.as_slice()) {
        (operators::LOGICAL_NOT, [operand]) => of(operand).map(|held| !held),
        (operators::LOGICAL_AND, [a, b]) => match (of(a), of(b)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => are_opposite(a, b).then_some(false),
        },
        (operators::LOGICAL_OR, [a, b]) => match (of(a), of(b)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => are_opposite(a, b).then_some(true),
        },
        (operators::CONDITIONAL, [condition, yes, no]) => match of(condition) {
            Some(true) => of(yes),
            Some(false) => of(no),
            None => of(yes).filter(|held| of(no) == Some(*held)),
        },
        (operators::EQUALS | operators::LESS_EQUALS | operators::GREATER_EQUALS, [a, b]) if is_same(a, b) => {
            Some(true)
        }
        (operators::NOT_EQUALS | operators::LESS | operators::GREATER, [a, b]) if is_same(a, b) => {
            Some(false)
        }
        // A size is never below 0.
        (operators::GREATER_EQUALS, [a, b]) if is_size(a) && is_zero(b) => Some(true),
        (operators::LESS_EQUALS, [a, b]) if is_zero(a) && is_size(b) => Some(true),
        (operators::LESS, [a, b]) if is_size(a) && is_zero(b) => Some(false),
        (operators::GREATER, [a, b]) if is_zero(a) && is_size(b) => Some(false),
        _ => None,
    }
}

/// The same part of the record, or the same literal.
fn is_same(a: &IdedExpr, b: &IdedExpr) -> bool {
    match (&a.expr, &b.expr) {
        (Expr::Ident(a), Expr::Ident(b)) => a == b,
        (Expr::Literal(a), Expr::Literal(b)) => a == b,
        (Expr::Select(a), Expr::Select(b)) => {
            a.field == b.field && a.test == b.test && is_same(&a.operand, &b.operand)
        }
        (Expr::Call(a), Expr::Call(b)) => {
            let is_index = a.func_name == operators::INDEX && b.func_name == operators::INDEX;
            is_index && a.args.len() == b.args.len() && a.args.iter().zip(&b.args).all(|(a, b)| is_same(a, b))
        }
        _ => false,
    }
}

/// Is one the other with a `!` before it?
fn are_opposite(a: &IdedExpr, b: &IdedExpr) -> bool {
    let negates = |a: &IdedExpr, b: &IdedExpr| match &a.expr {
        Expr::Call(call) if call.func_name == operators::LOGICAL_NOT => {
            call.args.first().is_some_and(|operand| is_same(operand, b))
        }
        _ => false,
    };
    negates(a, b) || negates(b, a)
}

fn is_size(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Call(call) if call.func_name == "size")
}

fn is_zero(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Literal(LiteralValue::Int(number)) if *number.inner() == 0)
}

#[cfg(test)]
mod tests {
    use super::super::{Constant, compile};

    #[test]
    fn what_is_the_same_for_every_record_is_known() {
        for (expression, constant) in [
            ("true", Some(Constant::Holds(true))),
            ("1 == 2", Some(Constant::Holds(false))),
            ("'a' + 'b' == 'ab'", Some(Constant::Holds(true))),
            ("[1, 2].all(x, x > 0)", Some(Constant::Holds(true))),
            ("1 / 0 == 1", Some(Constant::Error("division by zero".to_owned()))),
            ("1 + 1", Some(Constant::Error("the expression gives a int, not true or false".to_owned()))),
            ("value.a == value.a", Some(Constant::Holds(true))),
            ("value.a.b[0] != value.a.b[0]", Some(Constant::Holds(false))),
            ("value.a > value.a", Some(Constant::Holds(false))),
            ("value.a > 1 || true", Some(Constant::Holds(true))),
            ("value.a > 1 && false", Some(Constant::Holds(false))),
            ("has(value.a) || !has(value.a)", Some(Constant::Holds(true))),
            ("value.ok && !value.ok", Some(Constant::Holds(false))),
            ("size(value.a) >= 0", Some(Constant::Holds(true))),
            ("0 > value.a.size()", Some(Constant::Holds(false))),
            ("value.a > 1 ? true : true", Some(Constant::Holds(true))),
            ("value.a == value.b", None),
            ("value.a == 'a'", None),
            ("has(value.a) || !has(value.b)", None),
            ("size(value.a) > 0", None),
            ("key != null", None),
            ("meta.partition == 0", None),
            ("value.a ? true : false", None),
            // What may differ between two calls is not held to be the same.
            ("value.a.size() == value.a.size()", None),
        ] {
            assert_eq!(compile(expression).unwrap().constant(), constant, "{expression}");
        }
    }
}
