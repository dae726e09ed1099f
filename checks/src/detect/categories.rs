//! The frequent values of a field and their past: shares that move, values that come and go.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rate::{Excess, Rate, share_effect};
use crate::report::TopSummary;

/// Values kept: the most frequent.
const KEPT_MAX: usize = 64;
/// A value that was and is rarer is not looked at.
const SHARE_MIN: f64 = 0.001;
/// Times a new value is seen before it is told.
const NEW_MIN: f64 = 5.0;
/// How many windows the memory of values that give way to one another holds, times that of shares.
const ROLLING_MEMORY: f64 = 10.0;

/// Shares of values, the older the less they weigh.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CategoriesPast {
    n: f64,
    known: BTreeMap<String, Category>,
    /// There are more values than are kept, or listed by a window.
    open: bool,
    /// How often a new value took the place of an old one (dates, versions): decays.
    rolled: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Category {
    hits: f64,
    excess: Excess,
}

/// What changed most.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shifted {
    pub(super) value: String,
    pub(super) before: f64,
    pub(super) now: f64,
    pub(super) p: f64,
    pub(super) effect: f64,
    pub(super) is_new: bool,
}

impl CategoriesPast {
    /// The category with its past as a rate.
    fn rate(&self, category: Option<&Category>) -> Rate {
        let category = category.copied().unwrap_or_default();
        Rate::of(category.hits, self.n, category.excess)
    }

    /// Of all values those whose share is surest to have changed, and large enough; else the surest.
    /// `n` values in all.
    pub(super) fn compare(&self, now: &TopSummary, n: f64) -> Option<Shifted> {
        if n <= 0.0 || self.n <= 0.0 || self.rolled >= 0.5 {
            return None;
        }
        let mut tried = 0.0;
        let mut best: Option<Shifted> = None;
        let mut consider = |value: &str, low: f64, high: f64| {
            let known = self.known.get(value);
            let before = known.map_or(0.0, |category| category.hits / self.n);
            // Only known within bounds: what is nearest to the past counts.
            let hits = (before * n).clamp(low.min(n), high.min(n));
            let rare = before < SHARE_MIN && hits < SHARE_MIN * n;
            let unknown = known.is_none() && (self.open || hits < NEW_MIN);
            if rare || unknown {
                return;
            }
            tried += 1.0;
            let Some(compared) = self.rate(known).compare(hits, n) else { return };
            let effect = if known.is_none() {
                // A value that never was is worth telling at a fifth of the share.
                share_effect(0.0, (compared.now * 5.0).min(1.0))
            } else {
                share_effect(compared.before, compared.now)
            };
            let rank = |effect: f64, p: f64| (effect >= 0.5, -p);
            if best.as_ref().is_none_or(|b| rank(b.effect, b.p) < rank(effect, compared.p)) {
                best = Some(Shifted {
                    value: value.to_owned(),
                    before: compared.before,
                    now: compared.now,
                    p: compared.p,
                    effect,
                    is_new: known.is_none(),
                });
            }
        };
        for value in &now.values {
            consider(&value.value, value.count as f64, value.count.saturating_add(value.error) as f64);
        }
        let listed = |name: &str| now.values.binary_search_by(|v| v.value.as_str().cmp(name)).is_ok();
        for name in self.known.keys().filter(|name| !listed(name)) {
            consider(name, 0.0, now.floor as f64);
        }
        best.map(|best| Shifted { p: (best.p * f64::max(tried, 1.0)).min(1.0), ..best })
    }

    /// Takes a window.
    pub(super) fn learn(&mut self, now: &TopSummary, n: f64, memory: f64) {
        if n <= 0.0 {
            return;
        }
        let counts: BTreeMap<&str, f64> =
            now.values.iter().map(|v| (v.value.as_str(), v.count as f64 + v.error as f64 / 2.0)).collect();
        let keep = 1.0 - 1.0 / memory;
        self.rolled *= 1.0 - 1.0 / (memory * ROLLING_MEMORY);
        if self.n > 0.0 {
            let came = counts.iter().any(|(name, hits)| *hits >= 0.2 * n && !self.known.contains_key(*name));
            let went = self.known.iter().any(|(name, category)| {
                category.hits >= 0.2 * self.n && counts.get(name.as_str()).is_none_or(|hits| *hits < 0.02 * n)
            });
            // A share that fell and one that rose from nothing: values that follow one another.
            self.rolled += f64::from(u8::from(came && went));
        }
        for (name, category) in &mut self.known {
            let mut rate = Rate::of(category.hits, self.n, category.excess);
            rate.learn(counts.get(name.as_str()).copied().unwrap_or(0.0), n, memory);
            (category.hits, category.excess) = rate.parts();
        }
        for (name, hits) in &counts {
            if !self.known.contains_key(*name) {
                let category = Category { hits: *hits, excess: Excess::default() };
                self.known.insert((*name).to_owned(), category);
            }
        }
        self.n = self.n * keep + n;
        self.open |= now.floor > 0 || self.known.len() > KEPT_MAX;
        if self.known.len() > KEPT_MAX {
            let mut hits: Vec<f64> = self.known.values().map(|category| category.hits).collect();
            hits.sort_unstable_by(|a, b| b.total_cmp(a));
            let least = hits[KEPT_MAX - 1];
            self.known.retain(|_, category| category.hits >= least);
            // Of equals, the first by name.
            while self.known.len() > KEPT_MAX {
                let last = self.known.iter().rev().find(|(_, category)| category.hits <= least);
                let Some(last) = last.map(|(name, _)| name.clone()) else { break };
                self.known.remove(&last);
            }
        }
    }

    /// Half the sum of what the shares differ by: 0 is alike, 1 has nothing in common. `None` where
    /// too little is listed to say.
    pub(super) fn apart(&self, now: &TopSummary, n: f64) -> Option<f64> {
        if self.open || now.floor > 0 || n <= 0.0 || self.n <= 0.0 {
            return None;
        }
        let share = |name: &str| {
            let at = now.values.binary_search_by(|v| v.value.as_str().cmp(name));
            at.map_or(0.0, |at| now.values[at].count as f64 / n)
        };
        let known = self.known.iter().map(|(name, c)| (c.hits / self.n - share(name)).abs());
        let new = now.values.iter().filter(|v| !self.known.contains_key(&v.value));
        Some((known.sum::<f64>() + new.map(|v| v.count as f64 / n).sum::<f64>()) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::TopValue;

    fn top(values: &[(&str, u64)], floor: u64) -> TopSummary {
        let values =
            values.iter().map(|(v, count)| TopValue { value: (*v).to_owned(), count: *count, error: 0 });
        TopSummary { values: values.collect(), floor }
    }

    fn learned(values: &[(&str, u64)], floor: u64) -> CategoriesPast {
        let mut past = CategoriesPast::default();
        let n = values.iter().map(|(_, count)| count).sum::<u64>() as f64 + floor as f64;
        (0..50).for_each(|_| past.learn(&top(values, floor), n, 864.0));
        past
    }

    #[test]
    fn the_share_that_moved_is_named() {
        let past = learned(&[("a", 900), ("b", 60), ("c", 40)], 0);
        let same = past.compare(&top(&[("a", 890), ("b", 65), ("c", 45)], 0), 1_000.0).unwrap();
        assert!(same.p > 0.1, "{same:?}");
        let moved = past.compare(&top(&[("a", 840), ("b", 120), ("c", 40)], 0), 1_000.0).unwrap();
        assert_eq!((moved.value.as_str(), moved.is_new), ("b", false));
        assert!(moved.p < 1e-6 && moved.effect > 1.0, "{moved:?}");
        let gone = past.compare(&top(&[("a", 950), ("c", 50)], 0), 1_000.0).unwrap();
        assert_eq!((gone.value.as_str(), gone.now), ("b", 0.0));
    }

    #[test]
    fn a_new_value_is_told_only_where_all_are_known() {
        let now = top(&[("a", 900), ("b", 60), ("c", 40), ("x", 8)], 0);
        let new = learned(&[("a", 900), ("b", 60), ("c", 40)], 0).compare(&now, 1_008.0).unwrap();
        assert!(new.is_new && new.p < 1e-9 && new.effect > 1.0, "{new:?}");
        let open = learned(&[("a", 900), ("b", 60), ("c", 40)], 3);
        assert!(open.compare(&now, 1_008.0).is_none_or(|s| !s.is_new));
    }

    #[test]
    fn values_that_follow_one_another_are_no_news() {
        let mut past = learned(&[("2026-01-01", 1_000)], 0);
        (0..20).for_each(|_| past.learn(&top(&[("2026-01-02", 1_000)], 0), 1_000.0, 864.0));
        assert_eq!(past.compare(&top(&[("2026-01-03", 1_000)], 0), 1_000.0), None);
    }

    #[test]
    fn values_kept_are_bounded_and_the_frequent_stay() {
        let names: Vec<String> = (0..200).map(|i| format!("v{i:03}")).collect();
        let values: Vec<(&str, u64)> = names.iter().map(|n| (n.as_str(), 1)).chain([("zz", 500)]).collect();
        let past = learned(&values, 0);
        assert_eq!(past.known.len(), KEPT_MAX);
        assert!(past.open && past.known.contains_key("zz"));
    }

    #[test]
    fn likeness() {
        let past = learned(&[("a", 600), ("b", 400)], 0);
        assert!(past.apart(&top(&[("a", 62), ("b", 38)], 0), 100.0).unwrap() < 0.05);
        assert_eq!(past.apart(&top(&[("x", 100)], 0), 100.0), Some(1.0));
        assert_eq!(past.apart(&top(&[("x", 100)], 3), 100.0), None);
    }
}
