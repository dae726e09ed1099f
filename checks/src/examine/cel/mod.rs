//! Expressions of `failedRows`: the Common Expression Language over one record.
//!
//! | variable | is |
//! |---|---|
//! | `value` | the decoded document |
//! | `key` | the record's key: a string if it is UTF-8, else bytes; null without one |
//! | `headers` | a map of the record's headers (the last of a name counts), values as for `key` |
//! | `meta` | `topic`, `partition`, `offset`, and `timestamp` where the record has one |
//!
//! Only the parts that the expression names are bound, borrowed from the tape. Arithmetic of an
//! integer and another number is done in floating point (the standard has no `10 + 0.5`, but JSON
//! writes 10.0 as 10 at the producer's whim); apart from that it is CEL as specified.
//!
//! Bounded: the expression by [`EXPRESSION_BYTES`], its nesting, and its macros that go over a
//! list, of which three may be nested; what is bound to it by the number of values, the less the
//! more macros are nested; an evaluation by a million steps ([`budget`]). A panic of the interpreter
//! is an evaluation error.

mod arithmetic;
mod bind;
mod budget;
mod constant;
mod names;
#[cfg(test)]
mod spec;
#[cfg(test)]
mod tests;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::common::ast::IdedExpr;
use cel::common::types::CelBool;
use cel::parser::Parser;
use cel::{Context, Env, ExecutionError, Value as CelValue};

use self::names::Names;
use crate::record::RecordView;
use crate::redact::{self, Redaction};
use crate::rules::{FieldPath, Step};
use crate::schema::cut;
use crate::tape::{Value, redacted};

/// Longest expression, in bytes.
pub const EXPRESSION_BYTES: usize = 4_096;

/// A compiled expression.
pub struct Program {
    expression: IdedExpr,
    names: Names,
    env: Arc<Env>,
    /// What it says of every record, as far as its shape tells.
    always: Option<bool>,
}

/// What an expression comes to, whatever the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constant {
    /// True of every record that it can be evaluated on, or false.
    Holds(bool),
    /// It cannot be evaluated on any.
    Error(String),
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("names", &self.names).finish_non_exhaustive()
    }
}

/// Why an expression cannot be used, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CelError {
    /// What is wrong, and what to do.
    pub message: String,
    /// Line within the expression, from 1.
    pub line: usize,
    /// Column (of bytes) within that line, from 1.
    pub column: usize,
}

/// What became of an evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// True, or false: the row fails.
    Holds(bool),
    /// It could not be evaluated (a missing field, a type that does not fit), or was no boolean.
    Error(String),
}

/// Compiles an expression; to lint one is to compile it.
pub fn compile(expression: &str) -> Result<Program, CelError> {
    let at_start = |message: String| CelError { message, line: 1, column: 1 };
    if expression.len() > EXPRESSION_BYTES {
        let bytes = expression.len();
        return Err(at_start(format!(
            "the expression has {bytes} bytes; at most {EXPRESSION_BYTES} are allowed"
        )));
    }
    // The parser is a generated one, recursive and not ours: what it cannot take must not end us.
    let parsed = catch_unwind(|| Parser::new().parse_with_source_info(expression));
    let (mut parsed, source) = match parsed {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(errors)) => return Err(parse_error(&errors)),
        Err(_) => return Err(at_start("not understood by the CEL parser".to_owned())),
    };
    let names = Names::of(&parsed).map_err(|error| {
        let (line, column) =
            position(expression, error.node.and_then(|id| source.offset_for(id)).map_or(0, |o| o.0));
        CelError { message: error.message, line, column }
    })?;
    let always = constant::of(&parsed);
    arithmetic::rewrite(&mut parsed);
    let program = Program { expression: parsed, names, env: Arc::new(arithmetic::environment()), always };
    program.check_functions().map_err(at_start)?;
    Ok(program)
}

impl Program {
    /// Evaluates it for a record. The text of an error is cut to `text_bytes`.
    pub fn evaluate(&self, record: &RecordView<'_>, value: Value<'_>, text_bytes: usize) -> Outcome {
        budget::begin();
        let mut context = Context::with_env(Arc::clone(&self.env));
        if let Err(error) = bind::variables(&mut context, &self.names, record, value) {
            return Outcome::Error(error);
        }
        let result = self.run(&context);
        if budget::is_spent() {
            return Outcome::Error(format!("it takes more than {} steps on this record", budget::STEPS));
        }
        match result {
            Ok(holds) => Outcome::Holds(holds),
            Err(error) => Outcome::Error(cut(&redact::text(&error), text_bytes)),
        }
    }

    /// The paths of the document that it looks at.
    pub fn value_paths(&self) -> Vec<FieldPath> {
        let steps = |keys: Vec<&str>| keys.into_iter().map(|key| Step::Key(key.to_owned())).collect();
        let paths = self.names.value.paths("value").into_iter();
        paths.filter(|path| !path.keys.is_empty()).map(|path| FieldPath::of(steps(path.keys))).collect()
    }

    /// Does it look at the headers?
    pub fn names_headers(&self) -> bool {
        self.names.headers
    }

    /// What it comes to for every record, if it looks at none or says the same of all; for the linter.
    pub fn constant(&self) -> Option<Constant> {
        if let Some(held) = self.always {
            return Some(Constant::Holds(held));
        }
        let names = &self.names;
        if names.key || names.headers || names.meta || !names.value.paths("value").is_empty() {
            return None;
        }
        budget::begin();
        let context = Context::with_env(Arc::clone(&self.env));
        Some(match self.run(&context) {
            Ok(held) => Constant::Holds(held),
            Err(error) => Constant::Error(error),
        })
    }

    /// Why it may be costly on some records, and what to do; for the linter.
    pub fn cost(&self) -> Option<(&'static str, &'static str)> {
        if self.names.matches_in_loop {
            let help = "write `invalidValues` with a `pattern` and a `[]` path instead";
            return Some(("`matches` in a macro runs for every element of every record", help));
        }
        (self.names.loops > 1).then_some((
            "macros within each other go over a list for every element of the other",
            "a record on which that takes a million steps is an error: do with one if you can",
        ))
    }

    /// What the expression looks at, for an example: `value.total=10 value.net=5`. What must not be
    /// shown is not.
    pub fn evidence(&self, value: Value<'_>, redaction: &Redaction, text_bytes: usize) -> String {
        let mut text = String::new();
        for path in self.names.value.paths("value") {
            let found = path.keys.iter().try_fold(value, |value, key| value.get(key));
            let place = path.keys.iter().fold(redaction.root(), |place, key| place.key(key));
            let shown = found.map_or_else(|| "missing".to_owned(), |v| redacted(v, text_bytes, &place));
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&path.text);
            text.push('=');
            text.push_str(&shown);
            if text.len() > text_bytes {
                break;
            }
        }
        cut(&text, text_bytes)
    }

    fn run(&self, context: &Context<'_, '_>) -> Result<bool, String> {
        let result = catch_unwind(AssertUnwindSafe(|| {
            let value = CelValue::resolve_val(&self.expression, context).map_err(|e| self.message(&e))?;
            match value.downcast_ref::<CelBool>() {
                Some(held) => Ok(*held.inner()),
                None => Err(format!("the expression gives a {}, not true or false", value.get_type().name())),
            }
        }));
        result.unwrap_or_else(|_| Err("the CEL interpreter failed on this record".to_owned()))
    }

    /// Names of functions are only looked up when they are called: call what can be called without
    /// a record.
    fn check_functions(&self) -> Result<(), String> {
        let context = Context::with_env(Arc::clone(&self.env));
        let result = catch_unwind(AssertUnwindSafe(|| {
            self.names.trial_calls().find_map(|(name, call)| {
                match CelValue::resolve_val(&call, &context).map(drop) {
                    Err(ExecutionError::UndeclaredReference(unknown)) if unknown.as_str() == name => {
                        Some(name.to_owned())
                    }
                    _ => None,
                }
            })
        }));
        match result {
            Ok(Some(name)) => Err(format!("unknown function `{name}`")),
            _ => Ok(()),
        }
    }
}

impl Program {
    /// What the interpreter says, without the values: they may be whole documents, or secrets. A
    /// key that is a value itself is not named.
    fn message(&self, error: &ExecutionError) -> String {
        match error {
            ExecutionError::NoSuchKey(key) if !self.names.keys.contains(key.as_str()) => {
                "no such field".to_owned()
            }
            // Its text quotes what could not be read.
            ExecutionError::FunctionError { function, .. } => {
                format!("`{function}` does not take this value")
            }
            error => message(error),
        }
    }
}

fn message(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such field: {key}"),
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            format!("cannot {operator} {} and {}", left.type_of(), right.type_of())
        }
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("cannot compare {} with {}", left.type_of(), right.type_of())
        }
        ExecutionError::UnsupportedIndex(index, value) => {
            format!("cannot index {} with {}", value.type_of(), index.type_of())
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "division by zero".to_owned()
        }
        ExecutionError::Overflow(operator, ..) => format!("overflow of {operator}"),
        ExecutionError::IndexOutOfBounds(_) => "index out of bounds".to_owned(),
        ExecutionError::UnsupportedTargetType { target } => format!("not for a {}", target.type_of()),
        ExecutionError::NotSupportedAsMethod { method, target } => {
            format!("`{method}` is not for a {}", target.type_of())
        }
        other => other.to_string(),
    }
}

fn parse_error(errors: &cel::ParseErrors) -> CelError {
    let Some(first) = errors.errors.first() else {
        return CelError { message: "not CEL".to_owned(), line: 1, column: 1 };
    };
    let message = if first.msg.to_ascii_lowercase().contains("recursion limit") {
        "nested too deeply"
    } else {
        let message = first.msg.strip_prefix("Syntax error: ").unwrap_or(&first.msg);
        // Without the parser's list of every token that could follow.
        message.split(" expecting {").next().unwrap_or(message)
    };
    let from_one = |n: isize| usize::try_from(n).unwrap_or(1).max(1);
    CelError { message: cut(message, 256), line: from_one(first.pos.0), column: from_one(first.pos.1) }
}

fn position(expression: &str, offset: u32) -> (usize, usize) {
    let before = expression.get(..offset as usize).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before.len() - line_start + 1)
}
