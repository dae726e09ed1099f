//! Arithmetic of integers with other numbers.

use cel::common::ast::{EntryExpr, Expr, IdedExpr, operators};
use cel::common::types::{CelDouble, CelInt, CelUInt, DYN_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError};

type Numbers = fn(f64, f64) -> f64;
type Made<'v> = Result<Box<dyn Val + 'v>, ExecutionError>;

/// Operators, and the functions that stand in for them; no expression can spell these names.
const STAND_INS: [(&str, &str); 4] = [
    (operators::ADD, "@number_add"),
    (operators::SUBSTRACT, "@number_subtract"),
    (operators::MULTIPLY, "@number_multiply"),
    (operators::DIVIDE, "@number_divide"),
];

/// The standard environment with the stand-ins.
pub(super) fn environment() -> Env {
    let mut env = Env::stdlib();
    let functions: [cel::common::functions::Function; 4] = [
        |args| {
            both(
                args,
                |a, b| a + b,
                |a, b| Ok(a.as_adder().ok_or_else(|| refuse("add", a, b))?.add(b)?.into_owned()),
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
    env
}

/// Puts the stand-ins in place of the operators.
pub(super) fn rewrite(node: &mut IdedExpr) {
    match &mut node.expr {
        Expr::Call(call) => {
            if call.args.len() == 2
                && call.target.is_none()
                && let Some((_, name)) = STAND_INS.iter().find(|(operator, _)| *operator == call.func_name)
            {
                (*name).clone_into(&mut call.func_name);
            }
            call.target.iter_mut().for_each(|target| rewrite(target));
            call.args.iter_mut().for_each(rewrite);
        }
        Expr::Select(select) => rewrite(&mut select.operand),
        Expr::List(list) => list.elements.iter_mut().for_each(rewrite),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| match &mut entry.expr {
            EntryExpr::MapEntry(entry) => {
                rewrite(&mut entry.key);
                rewrite(&mut entry.value);
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
            [&mut c.iter_range, &mut c.accu_init, &mut c.loop_cond, &mut c.loop_step, &mut c.result]
                .into_iter()
                .for_each(rewrite);
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
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
