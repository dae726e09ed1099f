//! Arithmetic of integers with other numbers, and what evaluation costs.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, operators};
use cel::common::types::{CelDouble, CelInt, CelUInt, DYN_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError};

use super::budget;
use super::names::is_type_name;

type Numbers = fn(f64, f64) -> f64;
type Made<'v> = Result<Box<dyn Val + 'v>, ExecutionError>;

/// Operators, and the functions that stand in for them; no expression can spell these names.
const STAND_INS: [(&str, &str); 4] = [
    (operators::ADD, "@number_add"),
    (operators::SUBSTRACT, "@number_subtract"),
    (operators::MULTIPLY, "@number_multiply"),
    (operators::DIVIDE, "@number_divide"),
];

/// A value as it is, paid for.
const PAID: &str = "@paid";
/// `matches` with what was compiled before.
const MATCHES: &str = "@matches";
/// Operators that look at truth alone, or take a part without going through the whole.
const CHEAP: [&str; 7] = [
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::NOT_STRICTLY_FALSE,
    operators::CONDITIONAL,
    operators::INDEX,
    operators::NEGATE,
];

/// The standard environment with the stand-ins.
pub(super) fn environment() -> Env {
    let mut env = Env::stdlib();
    let functions: [cel::common::functions::Function; 4] = [
        |args| {
            both(
                args,
                |a, b| a + b,
                |a, b| {
                    budget::spend_on(a)?;
                    budget::spend_on(b)?;
                    Ok(a.as_adder().ok_or_else(|| refuse("add", a, b))?.add(b)?.into_owned())
                },
            )
        },
        |args| {
            both(
                args,
                |a, b| a - b,
                |a, b| Ok(a.as_subtractor().ok_or_else(|| refuse("sub", a, b))?.sub(b)?.into_owned()),
            )
        },
        |args| {
            both(
                args,
                |a, b| a * b,
                |a, b| Ok(a.as_multiplier().ok_or_else(|| refuse("mul", a, b))?.mul(b)?.into_owned()),
            )
        },
        |args| {
            both(
                args,
                |a, b| a / b,
                |a, b| Ok(a.as_divider().ok_or_else(|| refuse("div", a, b))?.div(b)?.into_owned()),
            )
        },
    ];
    for ((_, name), function) in STAND_INS.into_iter().zip(functions) {
        // The names are new to the environment, so this cannot fail.
        _ = env.add_overload(name, name, vec![DYN_TYPE, DYN_TYPE], function);
    }
    _ = env.add_overload(MATCHES, MATCHES, vec![DYN_TYPE, DYN_TYPE], |args| budget::matches(&args));
    _ = env.add_overload(PAID, PAID, vec![DYN_TYPE], |mut args| {
        let value = args.pop().ok_or_else(|| ExecutionError::invalid_argument_count(1, 0))?;
        budget::spend_on(value.as_ref())?;
        Ok(value)
    });
    env
}

/// Puts the stand-ins in place of the operators, and has the work of macros paid for.
pub(super) fn rewrite(node: &mut IdedExpr) {
    within(node, false);
}

fn within(node: &mut IdedExpr, in_loop: bool) {
    let rewrite = |node: &mut IdedExpr| within(node, in_loop);
    match &mut node.expr {
        Expr::Call(call) => {
            if call.func_name == "matches" && call.args.len() + usize::from(call.target.is_some()) == 2 {
                MATCHES.clone_into(&mut call.func_name);
                if let Some(target) = call.target.take() {
                    call.args.insert(0, *target);
                }
            }
            if call.args.len() == 2
                && call.target.is_none()
                && let Some((_, name)) = STAND_INS.iter().find(|(operator, _)| *operator == call.func_name)
            {
                (*name).clone_into(&mut call.func_name);
            }
            let is_paid = in_loop
                && !CHEAP.contains(&call.func_name.as_str())
                && !call.func_name.starts_with("@number")
                && call.func_name != MATCHES;
            call.target.iter_mut().for_each(|target| rewrite(target));
            call.args.iter_mut().for_each(rewrite);
            if is_paid {
                call.target.iter_mut().for_each(|target| pay(target));
                call.args.iter_mut().for_each(pay);
            }
        }
        Expr::Select(select) => rewrite(&mut select.operand),
        Expr::List(list) => list.elements.iter_mut().for_each(|element| {
            rewrite(element);
            pay(element);
        }),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| match &mut entry.expr {
            EntryExpr::MapEntry(entry) => {
                rewrite(&mut entry.key);
                rewrite(&mut entry.value);
                pay(&mut entry.value);
            }
            EntryExpr::StructField(field) => rewrite(&mut field.value),
        }),
        Expr::Struct(structure) => structure.entries.iter_mut().for_each(|entry| {
            if let EntryExpr::StructField(field) = &mut entry.expr {
                rewrite(&mut field.value);
            }
        }),
        Expr::Comprehension(c) => {
            let c = &mut **c;
            rewrite(&mut c.iter_range);
            pay(&mut c.iter_range);
            rewrite(&mut c.accu_init);
            within(&mut c.loop_cond, true);
            step(&mut c.loop_step, &c.accu_var);
            within(&mut c.result, true);
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

/// What a macro does with an element. The interpreter knows `result + [element]` of `map` and
/// `filter` by its form, and copies the result each time if that is changed.
fn step(node: &mut IdedExpr, accumulator: &str) {
    let is_accumulator = |node: &IdedExpr| matches!(&node.expr, Expr::Ident(name) if name == accumulator);
    if let Expr::Call(call) = &mut node.expr {
        match (call.func_name.as_str(), call.args.as_mut_slice()) {
            (operators::ADD, [left, right])
                if is_accumulator(left) && matches!(right.expr, Expr::List(_)) =>
            {
                return within(right, true);
            }
            (operators::CONDITIONAL, [condition, then, otherwise]) if is_accumulator(otherwise) => {
                within(condition, true);
                return step(then, accumulator);
            }
            _ => {}
        }
    }
    within(node, true);
}

/// Has the value paid for, unless it is written there.
fn pay(node: &mut IdedExpr) {
    let is_free = match &node.expr {
        Expr::Literal(_) => true,
        Expr::Ident(name) => is_type_name(name),
        Expr::Call(call) => call.func_name == PAID,
        _ => false,
    };
    if !is_free {
        let (id, expr) = (node.id, std::mem::replace(&mut node.expr, Expr::Unspecified));
        let call = CallExpr { func_name: PAID.to_owned(), target: None, args: vec![IdedExpr { id, expr }] };
        node.expr = Expr::Call(call);
    }
}

/// In floating point if the operands are numbers of different kinds, else as specified.
fn both<'b, 'v>(
    args: Vec<CowVal<'b, 'v>>,
    mixed: Numbers,
    specified: fn(&(dyn Val + 'v), &(dyn Val + 'v)) -> Made<'v>,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [left, right] = &args[..] else {
        return Err(ExecutionError::invalid_argument_count(2, args.len()));
    };
    let (left, right) = (left.as_ref(), right.as_ref());
    if left.get_type() != right.get_type()
        && let (Some(a), Some(b)) = (number(left), number(right))
    {
        return Ok(CowVal::owned(CelDouble::from(mixed(a, b))));
    }
    specified(left, right).map(CowVal::Owned)
}

fn number(value: &dyn Val) -> Option<f64> {
    if let Some(n) = value.downcast_ref::<CelDouble>() {
        return Some(*n.inner());
    }
    if let Some(n) = value.downcast_ref::<CelInt>() {
        return Some(*n.inner() as f64);
    }
    value.downcast_ref::<CelUInt>().map(|n| *n.inner() as f64)
}

fn refuse(operator: &str, left: &dyn Val, right: &dyn Val) -> ExecutionError {
    let types = vec![left.get_type().name().to_owned(), right.get_type().name().to_owned()];
    ExecutionError::no_such_overload(operator, types)
}
