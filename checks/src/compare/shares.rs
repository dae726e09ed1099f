//! Shares of two sides: is their difference chance, and is it large?

use statrs::distribution::{ContinuousCDF as _, Normal};

use super::{Change, Kind, percent};
use crate::stats::two_proportion_z;

/// How often all tries of shares together may find something where there is nothing, and all of distributions.
const CHANCE: f64 = 0.01;
/// Tries a field: missing, null, and five types.
const TRIES: usize = 7;

/// What a difference is held against.
pub(super) struct Shares {
    pub(super) critical_z: f64,
    pub(super) least: f64,
    /// The chance that a distribution is held to.
    pub(super) chance: f64,
}

/// z that chance exceeds in one of a hundred comparisons of so many fields.
fn critical_z(fields: usize) -> f64 {
    let tries = (fields * TRIES + 1) as f64;
    Normal::standard().inverse_cdf(1.0 - CHANCE / tries / 2.0)
}

pub(super) fn share((hits, n): (u64, u64)) -> f64 {
    if n == 0 { 0.0 } else { hits.min(n) as f64 / n as f64 }
}

impl Shares {
    /// Of so many fields; a difference of less than `least` does not matter.
    pub(super) fn of(fields: usize, least: f64) -> Self {
        let fields = fields.max(1);
        Self { critical_z: critical_z(fields), least, chance: CHANCE / fields as f64 }
    }

    /// The change from `a` to `b` (hits of all), if it is beyond chance.
    pub(super) fn change(
        &self,
        field: Option<&str>,
        change: Kind,
        what: &str,
        a: (u64, u64),
        b: (u64, u64),
    ) -> Option<Change> {
        let z = two_proportion_z(a.0.min(a.1), a.1, b.0.min(b.1), b.1)?;
        if z.abs() <= self.critical_z {
            return None;
        }
        let (before, after) = (share(a), share(b));
        let effect = (after - before).abs();
        let subject = field.map(|field| format!("{field} ")).unwrap_or_default();
        let message = format!("{subject}{what}: {} before, {} now", percent(before), percent(after));
        Some(Change {
            field: field.map(str::to_owned),
            change,
            before: Some(before),
            after: Some(after),
            effect,
            matters: effect >= self.least,
            message,
        })
    }
}
