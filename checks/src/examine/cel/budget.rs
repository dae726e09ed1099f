//! What an evaluation may cost: every element that a macro visits, every value that is copied,
//! compared or searched in one, and every text or list that `+` makes is paid for in steps.
//!
//! Functions of the interpreter are plain pointers, so what is left stands in a cell of the thread
//! that evaluates; [`begin`] fills it (docs/adr/0007). What an evaluation may cost depends on the
//! expression and the record alone: a pattern is paid for once in each, compiled before or not.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use cel::ExecutionError;
use cel::common::types::{CelBool, CelBytes, CelMap, CelString};
use cel::common::value::{CowVal, Val};

/// Steps of one evaluation: some tenths of a second at the worst.
pub(super) const STEPS: u64 = 1_000_000;
/// Bytes of a text that are gone through in a step.
const BYTES_A_STEP: usize = 16;
/// Steps that compiling a regular expression counts for.
const COMPILE_STEPS: u64 = 20_000;
/// Memory of a compiled one, in bytes, and how many are kept: more than one evaluation can pay for.
const REGEX_BYTES: usize = 1 << 20;
const REGEXES: usize = 64;
const _: () = assert!(STEPS / COMPILE_STEPS < REGEXES as u64);

/// A pattern, and the evaluation that has paid for it.
struct Compiled {
    regex: regex::Regex,
    paid_in: u64,
}

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(STEPS) };
    static SPENT: Cell<bool> = const { Cell::new(false) };
    /// Which evaluation this is.
    static EVALUATION: Cell<u64> = const { Cell::new(0) };
    static COMPILED: RefCell<HashMap<String, Compiled>> = RefCell::new(HashMap::new());
}

/// An evaluation begins.
pub(super) fn begin() {
    LEFT.set(STEPS);
    SPENT.set(false);
    EVALUATION.set(EVALUATION.get().wrapping_add(1));
}

/// Did it need more than there is? Then what it gave counts for nothing: an error may have been
/// swallowed on the way (`… || true`).
pub(super) fn is_spent() -> bool {
    SPENT.get()
}

/// Takes steps.
pub(super) fn spend(steps: u64) -> Result<(), ExecutionError> {
    match LEFT.get().checked_sub(steps) {
        Some(left) => {
            LEFT.set(left);
            Ok(())
        }
        None => {
            // Whatever is tried after it (`… || true`) fails at once.
            LEFT.set(0);
            SPENT.set(true);
            Err(ExecutionError::function_error("budget", "too many steps"))
        }
    }
}

/// Takes the steps that going through this value counts for: none for a number or short text.
pub(super) fn spend_on(value: &dyn Val) -> Result<(), ExecutionError> {
    if SPENT.get() {
        return spend(1);
    }
    // One more than there is, so that what is cut off there is still too much.
    spend(weight(value, LEFT.get().saturating_add(1)).saturating_sub(1))
}

/// Values within it, and parts of its texts; `most` or a little more at the most.
fn weight(value: &dyn Val, most: u64) -> u64 {
    let bytes = |length: usize| 1 + (length / BYTES_A_STEP) as u64;
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        return bytes(text.inner().len());
    }
    if let Some(given) = value.downcast_ref::<CelBytes<'_>>() {
        return bytes(given.inner().len());
    }
    let mut sum = 1u64;
    if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        for member in map.inner().values() {
            if sum > most {
                break;
            }
            sum = sum.saturating_add(1 + weight(member.as_ref(), most.saturating_sub(sum)));
        }
    } else if let Some(list) = value.as_iterable() {
        let mut items = list.iter();
        while let Some(item) = items.next() {
            if sum > most {
                break;
            }
            sum = sum.saturating_add(weight(item, most.saturating_sub(sum)));
        }
    }
    sum
}

/// A pattern that may be used; the same words for the linter and at run time.
pub(super) fn regex(pattern: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(pattern).size_limit(REGEX_BYTES).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the regular expression grows too large: repeat less".to_owned(),
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default().trim();
            format!("not a regular expression: {}", last.strip_prefix("error: ").unwrap_or(last))
        }
    })
}

/// `text.matches(pattern)`; a pattern is compiled once.
pub(super) fn matches<'b, 'v>(args: &[CowVal<'b, 'v>]) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let text = |at: usize| args.get(at).and_then(|arg| arg.as_ref().downcast_ref::<CelString<'_>>());
    let (Some(text), Some(pattern)) = (text(0), text(1)) else {
        let types = args.iter().map(|arg| arg.as_ref().get_type().name().to_owned()).collect();
        return Err(ExecutionError::no_such_overload("matches", types));
    };
    spend(1 + (text.inner().len() / BYTES_A_STEP) as u64)?;
    let (text, pattern) = (text.inner(), pattern.inner());
    let now = EVALUATION.get();
    let found = COMPILED.with_borrow_mut(|all| {
        if let Some(compiled) = all.get_mut(pattern) {
            if compiled.paid_in != now {
                spend(COMPILE_STEPS)?;
                compiled.paid_in = now;
            }
            return Ok(compiled.regex.is_match(text));
        }
        spend(COMPILE_STEPS)?;
        let regex = self::regex(pattern).map_err(|why| ExecutionError::function_error("matches", why))?;
        let found = regex.is_match(text);
        if all.len() >= REGEXES {
            all.retain(|_, compiled| compiled.paid_in == now);
        }
        all.insert(pattern.to_owned(), Compiled { regex, paid_in: now });
        Ok(found)
    })?;
    Ok(CowVal::owned(CelBool::from(found)))
}
