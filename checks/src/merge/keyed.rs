//! Keys and what was seen of them: kept by the lowest hashes.
//!
//! What a key costs depends on the number of its occurrences alone, which only grows in a union. So
//! the hash at which a budget is spent only falls, and what lies below it is at hand in every order
//! of merging: the laws hold bit for bit. One exception: a key whose numbers fall into more than
//! [`RANGES_MAX`] ranges. Which of its gaps are joined may differ by order; the number missing always
//! lies between [`KeySeen::missing`] and that plus `hidden`.

use super::union;
use crate::report::{EVENTS_MAX, Example, KeyEvent, KeySeen, Keyed, KeyedKind, NumberRange, RANGES_MAX};

impl Keyed {
    /// Nothing seen.
    pub fn empty(kind: KeyedKind) -> Self {
        Self { kind: kind as i32, threshold: u64::MAX, folded: 0, keys: Vec::new() }
    }

    /// Is every key here?
    pub fn is_exact(&self) -> bool {
        self.threshold == u64::MAX
    }

    /// Share of the keys, by hash, that are here: 1 while exact.
    pub fn share(&self) -> f64 {
        if self.is_exact() { 1.0 } else { self.threshold as f64 / u64::MAX as f64 }
    }

    /// Occurrences of the keys kept.
    pub fn kept(&self) -> u64 {
        self.keys.iter().fold(0, |sum, key| sum.saturating_add(key.count))
    }

    /// What was seen of a key.
    pub fn key(&self, hash: u64) -> Option<&KeySeen> {
        self.keys.binary_search_by_key(&hash, |key| key.hash).ok().map(|at| &self.keys[at])
    }

    /// Adds what was seen elsewhere. Of another kind it is not the same thing, and left alone.
    pub fn merge(&mut self, other: &Self) {
        if self.kind != other.kind {
            return;
        }
        self.folded = self.folded.saturating_add(other.folded);
        self.threshold = self.threshold.min(other.threshold);
        union(&mut self.keys, &other.keys, |a, b| a.hash.cmp(&b.hash), KeySeen::merge);
        self.cut(self.kind().budget());
    }

    /// Keeps the keys below the threshold, and of them as many as fit.
    pub(crate) fn cut(&mut self, budget: u64) {
        let kind = self.kind();
        let mut spent = 0u64;
        let fits = |key: &KeySeen| {
            spent = spent.saturating_add(kind.cost(key.count));
            // `u64::MAX` itself is a hash like any other while everything is kept.
            spent <= budget && (key.hash < self.threshold || self.threshold == u64::MAX)
        };
        let kept = self.keys.iter().map(fits).take_while(|fits| *fits).count();
        if let Some(first_out) = self.keys.get(kept) {
            self.threshold = self.threshold.min(first_out.hash);
        }
        let beyond = self.keys.drain(kept..);
        self.folded = beyond.fold(self.folded, |sum, key| sum.saturating_add(key.count));
    }

    /// Halves what is kept, the way it shrinks by itself.
    pub fn thin(&mut self) {
        if let Some(threshold) = self.keys.get(self.keys.len() / 2).map(|key| key.hash) {
            self.threshold = self.threshold.min(threshold);
            self.cut(u64::MAX);
        }
    }
}

impl KeySeen {
    /// Nothing seen of this key.
    pub(crate) fn of(hash: u64) -> Self {
        Self { hash, ..Self::default() }
    }

    /// Did it have more events than are kept? Then none is.
    pub fn is_overflown(&self) -> bool {
        self.count > EVENTS_MAX as u64 && self.ranges.is_empty() && self.events.is_empty()
    }

    /// Numbers that are missing for certain, between the lowest and the highest.
    pub fn missing(&self) -> u64 {
        let gaps = self.ranges.windows(2).map(|pair| between(&pair[0], &pair[1]));
        gaps.fold(0, u64::saturating_add)
    }

    /// Numbers from the lowest to the highest.
    pub fn span(&self) -> u64 {
        match (self.ranges.first(), self.ranges.last()) {
            (Some(first), Some(last)) => last.last.abs_diff(first.first).saturating_add(1),
            _ => 0,
        }
    }

    /// Adds what was seen of the same key in other records.
    fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        match (&mut self.example, &other.example) {
            (Some(mine), Some(theirs)) if theirs < mine => *mine = theirs.clone(),
            (mine @ None, Some(theirs)) => *mine = Some(theirs.clone()),
            _ => {}
        }
        self.hidden = self.hidden.saturating_add(other.hidden);
        if !other.ranges.is_empty() {
            self.ranges = joined(&self.ranges, &other.ranges);
            self.close_gaps();
        }
        union(&mut self.events, &other.events, Ord::cmp, |_, _| {});
        self.drop_events();
    }

    /// One more of it, first seen in this record.
    pub(crate) fn see(&mut self, partition: i32, offset: i64, text: impl FnOnce() -> String) {
        self.count = self.count.saturating_add(1);
        let place = (partition, offset);
        if self.example.as_ref().is_none_or(|e| place < (e.partition, e.offset)) {
            self.example = Some(Example { partition, offset, value: text() });
        }
    }

    /// Takes a number of its sequence.
    pub(crate) fn number(&mut self, number: i64, partition: i32, offset: i64) {
        self.count = self.count.saturating_add(1);
        // Most often it is the next one.
        if let Some(last) = self.ranges.last_mut()
            && last.last.checked_add(1) == Some(number)
        {
            last.last = number;
            return;
        }
        let alone = NumberRange { first: number, last: number, partition, offset };
        self.ranges = joined(&self.ranges, &[alone]);
        self.close_gaps();
    }

    /// Takes an event.
    pub(crate) fn event(&mut self, event: KeyEvent) {
        self.count = self.count.saturating_add(1);
        let at = self.events.partition_point(|known| *known < event);
        self.events.insert(at, event);
        self.drop_events();
    }

    fn drop_events(&mut self) {
        if self.count > EVENTS_MAX as u64 && self.ranges.is_empty() {
            self.events = Vec::new();
        }
    }

    /// Joins the closest ranges until there are no more than are kept.
    fn close_gaps(&mut self) {
        while self.ranges.len() > RANGES_MAX {
            let gaps = self.ranges.windows(2).map(|pair| between(&pair[0], &pair[1]));
            let Some((at, gap)) = gaps.enumerate().min_by_key(|(at, gap)| (*gap, *at)) else { return };
            self.hidden = self.hidden.saturating_add(gap);
            let above = self.ranges.remove(at + 1);
            self.ranges[at].last = above.last;
        }
    }

    /// Memory held beside the struct itself, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.ranges.capacity() * size_of::<NumberRange>()
            + self.events.capacity() * size_of::<KeyEvent>()
            + self.example.as_ref().map_or(0, |example| example.value.len())
    }
}

/// Numbers between two ranges, the first of which is lower.
pub(crate) fn between(lower: &NumberRange, upper: &NumberRange) -> u64 {
    upper.first.abs_diff(lower.last).saturating_sub(1)
}

/// The union of two ascending lists; ranges that touch or overlap become one.
fn joined(mine: &[NumberRange], other: &[NumberRange]) -> Vec<NumberRange> {
    let mut all = Vec::with_capacity(mine.len() + other.len());
    let (mut mine, mut other) = (mine.iter().peekable(), other.iter().peekable());
    let order = |range: &NumberRange| (range.first, range.partition, range.offset);
    loop {
        let next = match (mine.peek(), other.peek()) {
            (Some(a), Some(b)) if order(b) < order(a) => other.next(),
            (Some(_), _) => mine.next(),
            (None, _) => other.next(),
        };
        let Some(next) = next else { return all };
        match all.last_mut() {
            Some(last) if next.first <= NumberRange::last_or_next(last) => {
                last.last = last.last.max(next.last)
            }
            _ => all.push(*next),
        }
    }
}

impl NumberRange {
    /// The number after its last, if there is one.
    fn last_or_next(&self) -> i64 {
        self.last.saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn sequence(numbers: &[(u64, i64)]) -> Keyed {
        let mut all = Keyed::empty(KeyedKind::Sequence);
        for (at, (hash, number)) in (0..).zip(numbers) {
            let mut key = KeySeen::of(*hash);
            key.number(*number, 0, at);
            all.merge(&Keyed { keys: vec![key], ..Keyed::empty(KeyedKind::Sequence) });
        }
        all
    }

    #[test]
    fn ranges_join_at_the_border_of_panes() {
        let (mut first, second) = (sequence(&[(1, 1), (1, 2)]), sequence(&[(1, 3), (1, 5)]));
        first.merge(&second);
        let ranges: Vec<_> = first.keys[0].ranges.iter().map(|r| (r.first, r.last, r.offset)).collect();
        assert_eq!(ranges, [(1, 3, 0), (5, 5, 1)]);
        assert_eq!((first.keys[0].missing(), first.keys[0].span(), first.keys[0].count), (1, 5, 4));
    }

    #[test]
    fn the_ends_of_the_numbers_are_numbers() {
        let all = sequence(&[(1, i64::MIN), (1, i64::MAX), (1, i64::MAX)]);
        assert_eq!(all.keys[0].missing(), u64::MAX - 1);
        assert_eq!(all.keys[0].span(), u64::MAX);
    }

    #[test]
    fn gaps_beyond_the_bound_are_counted_as_hidden() {
        let numbers: Vec<_> = (0..100).map(|n| (7, n * 3)).collect();
        let all = sequence(&numbers);
        let key = &all.keys[0];
        assert_eq!(key.ranges.len(), RANGES_MAX);
        assert_eq!(key.missing() + key.hidden, 99 * 2);
    }

    #[test]
    fn a_key_with_too_many_events_has_none() {
        let mut key = KeySeen::of(1);
        for offset in 0..=EVENTS_MAX as i64 {
            key.event(KeyEvent { at_ms: offset, partition: 0, offset, which: 1 });
        }
        assert!(key.is_overflown() && key.events.is_empty());
    }

    fn any(kind: KeyedKind) -> impl Strategy<Value = Keyed> {
        let entry = (0u64..40, 0i64..25, 0i32..2, 0i64..50);
        let threshold = prop_oneof![3 => Just(u64::MAX), 1 => 5u64..40];
        (vec(entry, 0..25), threshold).prop_map(move |(entries, threshold)| {
            let mut all = Keyed { threshold, ..Keyed::empty(kind) };
            for (hash, number, partition, offset) in entries {
                let mut key = KeySeen::of(hash);
                match kind {
                    KeyedKind::Values => key.see(partition, offset, || number.to_string()),
                    KeyedKind::Sequence => key.number(number, partition, offset),
                    KeyedKind::Events => {
                        key.event(KeyEvent {
                            at_ms: number,
                            partition,
                            offset,
                            which: 1 + (number % 3) as u32,
                        });
                    }
                }
                all.merge(&Keyed { keys: vec![key], ..Keyed::empty(kind) });
            }
            all
        })
    }

    fn three() -> impl Strategy<Value = (Keyed, Keyed, Keyed)> {
        let kinds = prop_oneof![Just(KeyedKind::Values), Just(KeyedKind::Sequence), Just(KeyedKind::Events)];
        kinds.prop_flat_map(|kind| (any(kind), any(kind), any(kind)))
    }

    /// Events of different records are different: the same one in two summaries is never merged.
    fn apart(mut keyed: Keyed, by: i64) -> Keyed {
        for event in keyed.keys.iter_mut().flat_map(|key| &mut key.events) {
            event.offset = event.offset * 3 + by;
        }
        keyed.keys.iter_mut().for_each(|key| key.events.sort_unstable());
        keyed
    }

    fn merged(a: &Keyed, b: &Keyed) -> Keyed {
        let mut all = a.clone();
        all.merge(b);
        all
    }

    proptest! {
        #[test]
        fn laws((a, b, c) in three()) {
            let (a, b, c) = (apart(a, 0), apart(b, 1), apart(c, 2));
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            let neutral = Keyed { kind: a.kind, ..Keyed::empty(KeyedKind::Values) };
            prop_assert_eq!(merged(&neutral, &a), a.clone());
            prop_assert_eq!(merged(&a, &neutral), a);
        }

        /// Whatever order a budget is met in, the same keys are kept, and nothing is lost count of.
        #[test]
        fn budgets_cut_alike(values in vec((0u64..60, 0i64..9), 0..120), split in 0usize..120, budget in 1u64..40) {
            let build = |values: &[(u64, i64)]| {
                let mut all = Keyed::empty(KeyedKind::Values);
                for (hash, number) in values {
                    let mut key = KeySeen::of(*hash);
                    key.see(0, *number, String::new);
                    all.merge(&Keyed { keys: vec![key], ..Keyed::empty(KeyedKind::Values) });
                    all.cut(budget);
                }
                all
            };
            let (left, right) = values.split_at(split.min(values.len()));
            let mut halves = build(left);
            halves.merge(&build(right));
            halves.cut(budget);
            let whole = build(&values);
            prop_assert_eq!(whole.kept() + whole.folded, values.len() as u64);
            prop_assert_eq!(halves, whole);
        }

        /// However many ranges there are, the truth lies within the bounds.
        #[test]
        fn bounds_hold_in_any_order(numbers in vec(-200i64..200, 1..300), split in 0usize..300) {
            let tagged: Vec<(u64, i64)> = numbers.iter().map(|n| (1, *n)).collect();
            let (left, right) = tagged.split_at(split.min(tagged.len()));
            let all = merged(&sequence(left), &sequence(right));
            let mut distinct = numbers.clone();
            distinct.sort_unstable();
            distinct.dedup();
            let truth = (distinct[distinct.len() - 1] - distinct[0] + 1) as u64 - distinct.len() as u64;
            let key = &all.keys[0];
            prop_assert!((key.missing()..=key.missing() + key.hidden).contains(&truth), "{truth}: {key:?}");
        }
    }
}
