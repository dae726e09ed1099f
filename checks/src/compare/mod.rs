//! Two profiles compared: what changed, and whether it matters.
//!
//! A change matters when it is both large (a share by a point or more; a distribution by its stability
//! index, and for numbers by its Kolmogorov-Smirnov distance) and beyond chance. As every field is tried
//! in several ways, chance is held to 1% for all tries of shares together, and for all distributions
//! together (Bonferroni).

pub mod json;
mod shares;

#[cfg(test)]
mod tests;

use crate::judge::{bins, categories};
use crate::merge::objects_at_parent;
use crate::report::{FieldSummary, PaneSummary};
use crate::stats::{KS_EFFECT_MIN, PSI_EFFECT_MIN, distance, ks_critical, psi_critical};

use shares::Shares;

/// Values that a distribution is compared by, on both sides.
const VALUES_MIN: u64 = 100;
/// A smaller difference of shares matters to nobody.
const SHARE_EFFECT_MIN: f64 = 0.01;

/// What changed of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Share of values that do not decode; of the data as a whole.
    DecodeFailures,
    /// The field is only in the second.
    Added,
    /// The field is only in the first.
    Removed,
    /// Share of parents without it.
    Missing,
    /// Share of nulls.
    Null,
    /// Share of a type.
    Type,
    /// Distribution of its values.
    Distribution,
    /// The numbers go on where they were, as counters and times do.
    Moved,
}

/// A change beyond chance, or a field that came or went.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Change {
    /// Path; absent for the data as a whole.
    pub field: Option<String>,
    /// What changed.
    pub change: Kind,
    /// Share (0 to 1), or median, before.
    pub before: Option<f64>,
    /// The same after.
    pub after: Option<f64>,
    /// Difference of shares, or population stability index.
    pub effect: f64,
    /// Is it large enough to matter?
    pub matters: bool,
    /// One sentence.
    pub message: String,
}

/// Everything that changed from `a` to `b`.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// What matters first, then by path.
    pub changes: Vec<Change>,
    /// Fields that are in both and were compared.
    pub compared: usize,
    /// Of these, fields with too few values to say anything of their distribution.
    pub too_few: usize,
}

impl Comparison {
    /// Is there a change that matters?
    pub fn matters(&self) -> bool {
        self.changes.iter().any(|change| change.matters)
    }
}

/// Compares two profiles. Neither needs to be as long as the other.
pub fn compare(a: &PaneSummary, b: &PaneSummary) -> Comparison {
    let shares = Shares::of(a.fields.len().max(b.fields.len()), SHARE_EFFECT_MIN);
    let mut out = Comparison::default();
    let tried = |side: &PaneSummary| {
        let failed = crate::merge::total(&side.decode_failures);
        let untried = side.tombstones.saturating_add(crate::merge::total(&side.not_decoded));
        (failed, side.examined.saturating_sub(untried))
    };
    let message = "values do not decode";
    out.changes.extend(shares.change(None, Kind::DecodeFailures, message, tried(a), tried(b)));
    for field in &a.fields {
        match b.field(&field.path) {
            Some(other) => of_field(field, other, &shares, &mut out),
            None => out.changes.extend(gone(field, b, Kind::Removed, &shares)),
        }
    }
    for field in b.fields.iter().filter(|field| a.field(&field.path).is_none()) {
        out.changes.extend(gone(field, a, Kind::Added, &shares));
    }
    let rank = |change: &Change| (!change.matters, change.field.clone(), change.change);
    out.changes.sort_by_key(rank);
    out
}

/// A field that one side does not have. Its parents there say whether that could be chance.
fn gone(field: &FieldSummary, other: &PaneSummary, kind: Kind, shares: &Shares) -> Option<Change> {
    // What is in it goes with it: the object or list itself is told.
    if field.path.ends_with("[]") || field.path.ends_with(".*") || field.path == "$" {
        return None;
    }
    let parents = objects_at_parent(&field.path, &other.fields);
    let here = (field.present, field.records);
    let (before, after) = match kind {
        Kind::Removed => (here, (0, parents)),
        _ => ((0, parents), here),
    };
    if parents == 0 {
        return None;
    }
    let word = if kind == Kind::Removed { "is not there any more" } else { "is new" };
    let change = shares.change(Some(&field.path), kind, "", before, after);
    let (p, q) = (shares::share(before), shares::share(after));
    let message = format!("{} {word}: in {} before, in {} now", field.path, percent(p), percent(q));
    let matters = change.as_ref().is_some_and(|change| change.matters);
    Some(Change {
        field: Some(field.path.clone()),
        change: kind,
        before: Some(p),
        after: Some(q),
        effect: (q - p).abs(),
        matters,
        message,
    })
}

fn of_field(a: &FieldSummary, b: &FieldSummary, shares: &Shares, out: &mut Comparison) {
    out.compared += 1;
    let path = Some(a.path.as_str());
    let missing = |field: &FieldSummary| (field.missing(), field.records);
    out.changes.extend(shares.change(path, Kind::Missing, "is missing", missing(a), missing(b)));
    let nulls = |field: &FieldSummary| (field.null, field.present);
    out.changes.extend(shares.change(path, Kind::Null, "is null", nulls(a), nulls(b)));
    let values = |field: &FieldSummary| field.present.saturating_sub(field.null);
    type Count = fn(&FieldSummary) -> u64;
    let kinds: [(&str, Count); 5] = [
        // Whole and other numbers mix as producers write them.
        ("is a number", |f| f.integer.saturating_add(f.number)),
        ("is a string", |f| f.string),
        ("is a boolean", |f| f.boolean),
        ("is an object", |f| f.object),
        ("is an array", |f| f.array),
    ];
    let retyped: Vec<Change> = kinds
        .iter()
        .filter_map(|(what, count)| {
            shares.change(path, Kind::Type, what, (count(a), values(a)), (count(b), values(b)))
        })
        .collect();
    // A value that is no string any more is something else: the larger change tells both.
    out.changes.extend(retyped.into_iter().max_by(|x, y| x.effect.total_cmp(&y.effect)));
    if a.is_container() && b.is_container() {
        return;
    }
    match distribution(a, b, shares.chance) {
        Ok(change) => out.changes.extend(change),
        Err(TooFew) => out.too_few += 1,
    }
}

/// Too few values on a side.
struct TooFew;

fn distribution(a: &FieldSummary, b: &FieldSummary, chance: f64) -> Result<Option<Change>, TooFew> {
    let numbers = |field: &FieldSummary| field.numeric.as_ref().map_or(0, |n| n.count);
    let numeric = numbers(a).saturating_mul(2) > a.scalars() && numbers(b).saturating_mul(2) > b.scalars();
    let (n, m) = if numeric { (numbers(a), numbers(b)) } else { (a.scalars(), b.scalars()) };
    if n < VALUES_MIN || m < VALUES_MIN {
        return Err(TooFew);
    }
    let change = |change, effect, matters, message: String| Change {
        field: Some(a.path.clone()),
        change,
        before: a.quantile(0.5).filter(|_| numeric),
        after: b.quantile(0.5).filter(|_| numeric),
        effect,
        matters,
        message,
    };
    let counts = match (&a.numeric, &b.numeric, &a.top, &b.top) {
        (Some(x), Some(y), ..) if numeric => {
            if is_counter(a) && is_counter(b) && (y.min > x.max || y.max < x.min) {
                let message =
                    format!("{} went on from {} to {}, as counters and times do", a.path, x.max, y.min);
                return Ok(Some(change(Kind::Moved, 0.0, false, message)));
            }
            bins(x, y)
        }
        (.., Some(x), Some(y)) if !numeric => categories((x, n as f64), (y, m as f64)),
        _ => return Ok(None),
    };
    let Some(distance) = distance(&counts, numeric) else { return Ok(None) };
    let (n, m) = (n as f64, m as f64);
    let significant = distance.psi > psi_critical(chance, distance.groups, n, m)
        && (!numeric || distance.ks > ks_critical(chance, n, m));
    if !significant {
        return Ok(None);
    }
    let matters = distance.psi > PSI_EFFECT_MIN && (!numeric || distance.ks > KS_EFFECT_MIN);
    let medians = match (a.quantile(0.5), b.quantile(0.5)) {
        (Some(before), Some(after)) if numeric => {
            format!(": median {} before, {} now", short(before), short(after))
        }
        _ => String::new(),
    };
    let psi = short(distance.psi);
    let message = format!("the values of {} have shifted (stability index {psi}){medians}", a.path);
    Ok(Some(change(Kind::Distribution, distance.psi, matters, message)))
}

/// Whole numbers that hardly repeat.
fn is_counter(field: &FieldSummary) -> bool {
    field.number == 0 && field.distinct_estimate().upper >= 0.9 * field.scalars() as f64
}

fn percent(share: f64) -> String {
    format!("{}%", short(share * 100.0))
}

/// Three significant digits.
fn short(value: f64) -> String {
    crate::judge::number(value)
}
