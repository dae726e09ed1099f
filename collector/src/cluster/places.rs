//! A group's places in a topic, kept small: there is one for every partition that any group has to do with.
//!
//! Most of a figure is that of its partition, which many groups share, and arithmetic: a place is a commit, when the
//! record there was appended, and which partition's ends it is held against. A figure that does not follow from these
//! (a share group's, whose broker counts by itself) is kept as it is.

use std::sync::Arc;

use super::lag;
use super::snapshot::{GroupPartition, Unknown};

/// By partition, ascending; partitions are unique.
#[derive(Clone, Debug, Default)]
pub struct Places {
    places: Arc<[Place]>,
    ends: Arc<[LastEnds]>,
    /// Figures of their own, by partition, ascending.
    own: Option<Arc<[(i32, GroupPartition)]>>,
    /// A later reading does not tell how old all of it is then: a record counts as a millisecond old from its first
    /// moment on, and figures of their own do not say how they came about.
    momentary: bool,
}

/// What is left out of an optional number; no offset, count or time is so low.
const NONE: i64 = i64::MIN;

/// The ends of a partition, as groups' figures are made of them; shared by all groups of a topic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LastEnds {
    partition: i32,
    start: i64,
    end: i64,
    stable_end: i64,
    read_at_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    committed: i64,
    /// When the record that waits was appended, and how wrong that may be.
    appended_ms: i64,
    error_ms: i64,
    partition: i32,
    kind: Kind,
    unknown: Option<Unknown>,
    assigned: bool,
}

/// What the lag follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The ends.
    Ends,
    /// Nothing that is delivered lies before them.
    Empty,
    /// It is not known.
    Unknown,
    /// Nothing: the figure is kept apart.
    Own,
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

impl LastEnds {
    /// Offsets are `None`, and the time 0, where nothing was read.
    pub(super) fn new(partition: i32, [start, end, stable_end]: [Option<i64>; 3], read_at_ms: i64) -> Self {
        Self { partition, start: stored(start), end: stored(end), stable_end: stored(stable_end), read_at_ms }
    }

    fn unread(partition: i32) -> Self {
        Self::new(partition, [None; 3], 0)
    }
}

impl Place {
    fn new(partition: i32, figure: &GroupPartition, ends: &LastEnds) -> Self {
        let kind = match figure.lag_records {
            None => Kind::Unknown,
            Some(0) => Kind::Empty,
            Some(_) => Kind::Ends,
        };
        let waits = figure.lag_seconds.filter(|_| kind == Kind::Ends);
        let place = Self {
            committed: stored(figure.committed),
            appended_ms: stored(waits.map(|age| ends.read_at_ms.saturating_sub(ms(age)))),
            error_ms: waits.map_or(0, |_| ms(figure.lag_seconds_error)),
            partition,
            kind,
            unknown: figure.unknown,
            assigned: figure.assigned,
        };
        let fits = |kind| {
            let place = Self { kind, ..place };
            (place.figure(ends) == *figure).then_some(place)
        };
        fits(kind).or_else(|| fits(Kind::Ends)).unwrap_or(Self { kind: Kind::Own, ..place })
    }

    fn figure(&self, ends: &LastEnds) -> GroupPartition {
        let (start, end) = (loaded(ends.start), loaded(ends.end));
        let stable_end = loaded(ends.stable_end);
        let mut figure = GroupPartition {
            committed: loaded(self.committed),
            start,
            end,
            stable_end,
            lag_records: None,
            stable_lag_records: None,
            lost_records: 0,
            lag_seconds: None,
            lag_seconds_error: 0.0,
            unknown: self.unknown,
            assigned: self.assigned,
        };
        let (Kind::Ends | Kind::Empty, Some(committed), Some(start), Some(end)) =
            (self.kind, figure.committed, start, end)
        else {
            return figure;
        };
        let empty_until = (self.kind == Kind::Empty).then_some(end);
        let lag = lag::Places { committed, start, end, stable_end, empty_until }.lag();
        let appended = loaded(self.appended_ms).map(|at_ms| lag::When { at_ms, error_ms: self.error_ms });
        let age = lag::seconds(lag.records, ends.read_at_ms, appended);
        figure.lag_records = lag.records;
        figure.stable_lag_records = lag.stable_records;
        figure.lost_records = lag.lost_records;
        (figure.lag_seconds, figure.lag_seconds_error) = age.map_or((None, 0.0), |(age, e)| (Some(age), e));
        figure
    }
}

/// Where a partition is in a list that ascends: they are numbered without gaps, as a rule.
fn find<T>(list: &[T], partition: i32, of: impl Fn(&T) -> i32) -> Option<&T> {
    let behind = partition.checked_sub(of(list.first()?));
    let guess = behind.and_then(|behind| list.get(usize::try_from(behind).ok()?));
    guess.filter(|one| of(one) == partition).or_else(|| {
        let at = list.binary_search_by_key(&partition, of).ok()?;
        list.get(at)
    })
}

impl Places {
    /// Figures, by partition, which ascend; held against these ends, whose partitions ascend too. Of a partition that
    /// comes several times the last figure holds.
    pub(super) fn new(ends: Arc<[LastEnds]>, figures: impl Iterator<Item = (i32, GroupPartition)>) -> Self {
        let mut places: Vec<Place> = Vec::with_capacity(figures.size_hint().0);
        let mut own = Vec::new();
        let mut momentary = false;
        for (partition, figure) in figures {
            let of = find(&ends, partition, |ends| ends.partition).copied();
            let place = Place::new(partition, &figure, &of.unwrap_or(LastEnds::unread(partition)));
            let age = figure.lag_seconds.filter(|age| *age > 0.0);
            momentary |= age.is_some_and(|age| place.kind == Kind::Own || ms(age) <= 1);
            if place.kind == Kind::Own {
                own.push((partition, figure));
            }
            places.push(place);
        }
        debug_assert!(places.is_sorted_by(|a, b| a.partition < b.partition), "partitions ascend");
        Self { places: places.into(), ends, own: (!own.is_empty()).then(|| own.into()), momentary }
    }

    fn figure(&self, place: &Place) -> GroupPartition {
        let partition = place.partition;
        if place.kind == Kind::Own
            && let Some((_, figure)) = self.own.as_deref().and_then(|own| find(own, partition, |own| own.0))
        {
            return *figure;
        }
        match find(&self.ends, partition, |ends| ends.partition) {
            Some(ends) => place.figure(ends),
            None => place.figure(&LastEnds::unread(partition)),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (i32, GroupPartition)> + Clone {
        self.places.iter().map(|place| (place.partition, self.figure(place)))
    }

    /// The figures, in order of the partitions.
    pub fn values(&self) -> impl ExactSizeIterator<Item = GroupPartition> + Clone {
        self.places.iter().map(|place| self.figure(place))
    }

    /// The partitions, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = i32> + Clone {
        self.places.iter().map(|place| place.partition)
    }

    /// The figure of a partition.
    pub fn get(&self, partition: i32) -> Option<GroupPartition> {
        find(&self.places, partition, |place| place.partition).map(|place| self.figure(place))
    }

    /// The figure of a partition that is there.
    ///
    /// # Panics
    /// Where it is not.
    #[allow(clippy::expect_used, reason = "as an index does")]
    pub fn at(&self, partition: i32) -> GroupPartition {
        self.get(partition).expect("no such partition")
    }

    /// The same at a later reading of the same ends: what waits has grown older. `None` where that does not follow.
    pub(super) fn later(&self, ends: &Arc<[LastEnds]>) -> Option<Self> {
        (!self.momentary).then(|| Self { ends: Arc::clone(ends), ..self.clone() })
    }
}

/// They are the same if they show the same.
impl PartialEq for Places {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

/// Of a partition that comes several times the last figure holds.
impl FromIterator<(i32, GroupPartition)> for Places {
    fn from_iter<I: IntoIterator<Item = (i32, GroupPartition)>>(figures: I) -> Self {
        let figures: std::collections::BTreeMap<i32, GroupPartition> = figures.into_iter().collect();
        let ends = figures.iter().map(|(&index, f)| LastEnds::new(index, [f.start, f.end, f.stable_end], 0));
        Self::new(ends.collect(), figures.iter().map(|(&index, &figure)| (index, figure)))
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
    use crate::cluster::partition::{self, Partition};

    prop_compose! {
        fn figures()(
            offsets in prop::array::uniform6(prop::option::of(-1i64..1_000_000)),
            lost_records in 0i64..9, age_ms in prop::option::of(0i64..90_000), error_ms in 0i64..9_000,
            unknown in prop::option::of(Just(Unknown::Uncommitted)), assigned: bool,
        ) -> GroupPartition {
            let [committed, start, end, stable_end, lag_records, stable_lag_records] = offsets;
            GroupPartition {
                committed, start, end, stable_end, lag_records, stable_lag_records, lost_records,
                lag_seconds: age_ms.map(|ms| ms as f64 / 1000.0),
                lag_seconds_error: error_ms as f64 / 1000.0, unknown, assigned,
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
        fn they_are_small_and_the_same_whatever_ends_they_are_held_against(
            list in prop::collection::vec((0i32..30, figures()), 0..40),
            ends in prop::collection::btree_map(0i32..30, prop::array::uniform4(prop::option::of(-1i64..1_000_000)), 0..30),
        ) {
            let model: BTreeMap<i32, GroupPartition> = list.into_iter().collect();
            let of_topic = ends.iter().map(|(&index, [start, end, stable_end, at_ms])| {
                LastEnds::new(index, [*start, *end, *stable_end], at_ms.unwrap_or(0))
            });
            let places = Places::new(of_topic.collect(), model.iter().map(|(k, v)| (*k, *v)));
            prop_assert!(model.iter().map(|(k, v)| (*k, *v)).eq(places.iter()));
        }

        /// What a partition says of commits is kept without a figure of its own, and grows older with its readings.
        #[test]
        fn what_follows_from_the_ends_is_not_kept_twice(
            commits in prop::collection::vec(
                prop_oneof![8 => (0i64..120).prop_map(|c| Some(Ok(c))), 1 => Just(None), 1 => Just(Some(Err(29)))], 1..20),
            start in 0i64..50, length in 0i64..50, unstable in 0i64..5, read in 1_000i64..9_000, later in 0i64..9_000,
        ) {
            let mut partition = Partition::new(1, None);
            let mut generation = 1;
            let mut read_at = |partition: &mut Partition, at_ms: i64, grown: i64| {
                let high = start + length - 3 + grown;
                let ends = partition::Ends {
                    start, high, stable: high.saturating_sub(unstable), asked_ms: at_ms, at_ms, ..Default::default()
                };
                partition.apply_ends(ends, &mut generation);
            };
            read_at(&mut partition, 500, 0);
            read_at(&mut partition, read, 3);
            let figures = |partition: &Partition| -> Vec<(i32, GroupPartition)> {
                (0..).zip(&commits).map(|(i, commit)| (i, partition.figure(*commit, i % 2 == 0))).collect()
            };
            let ends = |partition: &Partition| -> Arc<[LastEnds]> {
                (0..20).map(|index| partition.last_ends(index)).collect()
            };
            let places = Places::new(ends(&partition), figures(&partition).into_iter());
            prop_assert!(places.own.is_none(), "{:?}", places.own);
            prop_assert!(places.iter().eq(figures(&partition)));
            read_at(&mut partition, read + later, 3);
            match places.later(&ends(&partition)) {
                Some(aged) => prop_assert!(aged.iter().eq(figures(&partition))),
                None => prop_assert!(places.values().any(|figure| figure.lag_seconds == Some(0.001))),
            }
        }
    }

    #[test]
    fn a_place_is_small() {
        assert_eq!(size_of::<Place>(), 32);
    }
}
