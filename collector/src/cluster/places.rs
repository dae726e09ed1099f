//! A group's places in a topic, kept small: there is one for every partition that any group has to do with.
//!
//! Most of a place stands still from one refresh to the next; only the age of a record that waits grows. So a
//! snapshot shares with the one before it whatever did not change.

use std::sync::Arc;

use super::snapshot::{GroupPartition, Unknown};

/// By partition, ascending; partitions are unique.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    fixed: Arc<[Fixed]>,
    /// In the same order.
    ages: Arc<[Age]>,
}

/// What is left out of an optional number; no offset, count or age is so low.
const NONE: i64 = i64::MIN;

/// All but the age.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fixed {
    committed: i64,
    start: i64,
    end: i64,
    stable_end: i64,
    lag_records: i64,
    stable_lag_records: i64,
    lost_records: i64,
    partition: i32,
    unknown: Option<Unknown>,
    assigned: bool,
}

/// In milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Age {
    ms: i64,
    error_ms: i64,
}

fn stored(number: Option<i64>) -> i64 {
    number.unwrap_or(NONE)
}

fn loaded(number: i64) -> Option<i64> {
    (number != NONE).then_some(number)
}

fn ms(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

impl Fixed {
    fn new(partition: i32, figure: &GroupPartition) -> Self {
        Self {
            committed: stored(figure.committed),
            start: stored(figure.start),
            end: stored(figure.end),
            stable_end: stored(figure.stable_end),
            lag_records: stored(figure.lag_records),
            stable_lag_records: stored(figure.stable_lag_records),
            lost_records: figure.lost_records,
            partition,
            unknown: figure.unknown,
            assigned: figure.assigned,
        }
    }

    fn figure(&self, age: Age) -> (i32, GroupPartition) {
        let figure = GroupPartition {
            committed: loaded(self.committed),
            start: loaded(self.start),
            end: loaded(self.end),
            stable_end: loaded(self.stable_end),
            lag_records: loaded(self.lag_records),
            stable_lag_records: loaded(self.stable_lag_records),
            lost_records: self.lost_records,
            lag_seconds: loaded(age.ms).map(seconds),
            lag_seconds_error: seconds(age.error_ms),
            unknown: self.unknown,
            assigned: self.assigned,
        };
        (self.partition, figure)
    }
}

impl Age {
    fn new(figure: &GroupPartition) -> Self {
        Self { ms: stored(figure.lag_seconds.map(ms)), error_ms: ms(figure.lag_seconds_error) }
    }
}

impl Places {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.fixed.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.fixed.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (i32, GroupPartition)> + Clone {
        self.fixed.iter().zip(self.ages.iter()).map(|(fixed, age)| fixed.figure(*age))
    }

    /// The figures, in order of the partitions.
    pub fn values(&self) -> impl ExactSizeIterator<Item = GroupPartition> + Clone {
        self.iter().map(|(_, figure)| figure)
    }

    /// The partitions, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = i32> + Clone {
        self.fixed.iter().map(|fixed| fixed.partition)
    }

    /// The figure of a partition.
    pub fn get(&self, partition: i32) -> Option<GroupPartition> {
        // They are numbered without gaps, as a rule.
        let first = self.fixed.first()?.partition;
        let guess = partition.checked_sub(first).and_then(|behind| usize::try_from(behind).ok());
        let at = match guess.filter(|at| self.fixed.get(*at).is_some_and(|f| f.partition == partition)) {
            Some(at) => at,
            None => self.fixed.binary_search_by_key(&partition, |fixed| fixed.partition).ok()?,
        };
        Some(self.fixed[at].figure(self.ages[at]).1)
    }

    /// The figure of a partition that is there.
    ///
    /// # Panics
    /// Where it is not.
    #[allow(clippy::expect_used, reason = "as an index does")]
    pub fn at(&self, partition: i32) -> GroupPartition {
        self.get(partition).expect("no such partition")
    }

    /// The same as of later, where neither commits nor ends have moved: what waits has grown older by so many
    /// milliseconds, by partition. `None` when nothing waits, or not so simply.
    pub(super) fn aged(&self, by_ms: impl Fn(i32) -> Option<i64>) -> Option<Self> {
        let older = |(fixed, age): (&Fixed, &Age)| match age.ms {
            NONE | 0 => Some(*age),
            // It counts as one from the first moment on.
            1 => None,
            ms => Some(Age { ms: ms.checked_add(by_ms(fixed.partition)?)?, ..*age }),
        };
        let ages: Option<Vec<Age>> = self.fixed.iter().zip(self.ages.iter()).map(older).collect();
        Some(Self { fixed: Arc::clone(&self.fixed), ages: ages?.into() })
    }

    /// Does anything wait that grows older?
    pub(super) fn ages(&self) -> bool {
        self.ages.iter().any(|age| !matches!(age.ms, NONE | 0))
    }
}

/// Of a partition that comes several times the last figure holds.
impl FromIterator<(i32, GroupPartition)> for Places {
    fn from_iter<I: IntoIterator<Item = (i32, GroupPartition)>>(figures: I) -> Self {
        let figures = figures.into_iter();
        let mut both: Vec<(Fixed, Age)> = Vec::with_capacity(figures.size_hint().0);
        both.extend(figures.map(|(index, figure)| (Fixed::new(index, &figure), Age::new(&figure))));
        if !both.is_sorted_by(|a, b| a.0.partition < b.0.partition) {
            both.reverse();
            both.sort_by_key(|(fixed, _)| fixed.partition);
            both.dedup_by_key(|(fixed, _)| fixed.partition);
        }
        let (fixed, ages): (Vec<Fixed>, Vec<Age>) = both.into_iter().unzip();
        Self { fixed: fixed.into(), ages: ages.into() }
    }
}

impl<const N: usize> From<[(i32, GroupPartition); N]> for Places {
    fn from(figures: [(i32, GroupPartition); N]) -> Self {
        figures.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn figures()(
            offsets in prop::array::uniform6(prop::option::of(-1i64..1_000_000)),
            lost_records in 0i64..9, age_ms in prop::option::of(0i64..90_000), error_ms in 0i64..9_000,
            unknown in prop::option::of(Just(Unknown::Uncommitted)), assigned: bool,
        ) -> GroupPartition {
            let [committed, start, end, stable_end, lag_records, stable_lag_records] = offsets;
            GroupPartition {
                committed, start, end, stable_end, lag_records, stable_lag_records, lost_records,
                lag_seconds: age_ms.map(seconds), lag_seconds_error: seconds(error_ms), unknown, assigned,
            }
        }
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(list in prop::collection::vec((0i32..30, figures()), 0..40)) {
            let model: BTreeMap<i32, GroupPartition> = list.iter().copied().collect();
            let places: Places = list.into_iter().collect();
            prop_assert!(model.iter().map(|(k, v)| (*k, *v)).eq(places.iter()));
            prop_assert!(model.keys().copied().eq(places.keys()) && model.values().copied().eq(places.values()));
            prop_assert_eq!((model.len(), model.is_empty()), (places.len(), places.is_empty()));
            for partition in -1..31 {
                prop_assert_eq!(model.get(&partition).copied(), places.get(partition));
            }
        }

        #[test]
        fn only_what_waits_grows_older(list in prop::collection::vec((0i32..30, figures()), 0..40), by_ms in 0i64..9_000) {
            let places: Places = list.into_iter().collect();
            let fresh = places.values().any(|figure| figure.lag_seconds == Some(0.001));
            let Some(aged) = places.aged(|_| Some(by_ms)) else {
                prop_assert!(fresh);
                return Ok(());
            };
            for (before, after) in places.values().zip(aged.values()) {
                let lag_seconds = before.lag_seconds.map(|age| if age > 0.0 { seconds(ms(age) + by_ms) } else { 0.0 });
                prop_assert_eq!(GroupPartition { lag_seconds, ..before }, after);
            }
            prop_assert_eq!(places.ages(), places.values().any(|f| f.lag_seconds.is_some_and(|age| age > 0.0)));
        }
    }

    #[test]
    fn a_place_is_small() {
        assert_eq!(size_of::<Fixed>() + size_of::<Age>(), 80);
    }
}
