//! Which scalars of one field are frequent.

use crate::redact::is_sensitive;
use crate::report::{TopSummary, TopValue};
use crate::tape::Data;

use super::hash::{Integer, as_integer};

/// Frequent values by SpaceSaving (Metwally et al., 2005), but for what is pushed out: not the rarest value each
/// time, but the rarest quarter at once, which takes no search for every new value. Exact while there are no more
/// than `most` different ones. Beyond it, which ones are listed depends on the order of the records; the bounds of
/// what is listed hold in any order.
///
/// What every value touches lies close together: fields are many, and the cache is small.
#[derive(Debug)]
pub(super) struct Top {
    most: u32,
    string_bytes: u32,
    /// What is counted; those from `settled` on came since values were pushed out last.
    slots: Vec<Slot>,
    settled: u32,
    /// By the lowest bits of a hash, open addressing: one more than the index of its slot, 0 where there is none. A
    /// power of two, and at least twice the slots.
    index: Box<[u16]>,
    /// No value that is not counted has occurred more often.
    floor: u64,
    /// What the values of the first slots are, and how much of each may have occurred before it was counted. Once
    /// values were pushed out, a new one is told when it comes a second time: most never do.
    told: Vec<Told>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u64,
    /// Never too low.
    upper: u64,
}

#[derive(Debug)]
struct Told {
    error: u64,
    value: Kept,
}

/// Places of the first index.
const INDEX_MIN: usize = 16;

#[derive(Debug)]
enum Kept {
    /// Not told: as often as it has come, it may be left out.
    Nothing,
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Text(String),
    /// Its beginning, as it is longer than what is kept.
    Cut(String),
    /// A text that is longer than what is kept of it, with something in it that must not be shown.
    Hidden,
}

impl Top {
    pub(super) fn new(most: usize, string_bytes: usize) -> Self {
        Self {
            most: most.clamp(1, usize::from(u16::MAX) / 4) as u32,
            string_bytes: string_bytes as u32,
            slots: Vec::new(),
            settled: 0,
            index: Box::default(),
            floor: 0,
            told: Vec::new(),
        }
    }

    /// Has nothing been pushed out? Then every value is listed, with how often it came.
    #[inline]
    pub(super) fn is_complete(&self) -> bool {
        self.floor == 0
    }

    /// Must others be pushed out for a value to be listed?
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= self.most as usize
    }

    /// The value of a slot has come again.
    #[inline]
    pub(super) fn count<'a>(&mut self, at: usize, data: impl Fn() -> Data<'a>) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        slot.upper += 1;
        if self.floor > 0 && at >= self.settled as usize && slot.upper == self.floor + 2 {
            self.tell(at, data());
        }
    }

    /// Lists a value that was not; others have been pushed out if need be.
    pub(super) fn enter(&mut self, hash: u64, data: Data<'_>) {
        let at = self.slots.len();
        if 2 * at >= self.index.len() {
            self.grow();
        }
        self.note(hash, self.vacant(hash));
        if self.is_complete() {
            self.tell(at, data);
        }
    }

    /// Lists a value, where the index has a place for it.
    #[inline]
    pub(super) fn note(&mut self, hash: u64, place: usize) {
        self.slots.push(Slot { hash, upper: self.floor + 1 });
        if let Some(entry) = self.index.get_mut(place) {
            *entry = self.slots.len() as u16;
        }
    }

    /// Notes what the value of a slot is.
    #[cold]
    fn tell(&mut self, at: usize, data: Data<'_>) {
        if self.told.len() <= at {
            self.told.resize_with(at + 1, || Told { error: 0, value: Kept::Nothing });
        }
        if let Some(told) = self.told.get_mut(at) {
            told.error = self.floor;
            keep(data, &mut told.value, self.string_bytes as usize);
        }
    }

    /// The slot of a hash, or the place in the index where it would be noted.
    #[inline]
    pub(super) fn find(&self, hash: u64) -> Result<usize, usize> {
        let mask = self.index.len().wrapping_sub(1);
        let mut place = hash as usize & mask;
        loop {
            let noted = self.index.get(place).map_or(0, |noted| usize::from(*noted));
            match self.slots.get(noted.wrapping_sub(1)) {
                Some(slot) if slot.hash == hash => return Ok(noted - 1),
                Some(_) => place = (place + 1) & mask,
                None => return Err(place),
            }
        }
    }

    /// Where the hash of a slot is to be noted.
    fn vacant(&self, hash: u64) -> usize {
        let mask = self.index.len() - 1;
        let mut place = hash as usize & mask;
        while self.index[place] != 0 {
            place = (place + 1) & mask;
        }
        place
    }

    #[cold]
    fn grow(&mut self) {
        let places = (4 * self.index.len()).max(INDEX_MIN);
        self.index = vec![0; places].into_boxed_slice();
        self.note_all();
    }

    fn note_all(&mut self) {
        for at in 0..self.slots.len() {
            let place = self.vacant(self.slots[at].hash);
            self.index[place] = at as u16 + 1;
        }
    }

    /// Pushes out the rarest quarter, and all that are no more frequent than the most frequent of it. What is in
    /// `uppers` is of no account: it is there so that nothing is allocated.
    pub(super) fn push_out(&mut self, uppers: &mut Vec<u64>) {
        let count = self.slots.len();
        let is_first = self.floor == 0;
        // None has come less often than this; where so many have not come again, there is no need to search.
        let rarest = self.floor + 1;
        let once = self.slots.iter().filter(|slot| slot.upper == rarest).count();
        self.floor = if once > count / 4 {
            rarest
        } else {
            uppers.clear();
            uppers.extend(self.slots.iter().map(|slot| slot.upper));
            *uppers.select_nth_unstable(count / 4).1
        };
        let mut kept = 0;
        for at in 0..count {
            // What stays has come at least twice since it was counted: it was told.
            if self.slots[at].upper > self.floor {
                self.slots.swap(kept, at);
                self.told.swap(kept, at);
                kept += 1;
            }
        }
        self.slots.truncate(kept);
        self.settled = kept as u32;
        if is_first {
            // Of those that go on coming and going few are told again.
            self.told.truncate(kept);
            self.told.shrink_to_fit();
        }
        self.index.fill(0);
        self.note_all();
    }

    /// What is listed: hash, most occurrences, what is told of it.
    fn listed(&self) -> impl Iterator<Item = (Slot, &Told)> {
        let is_told = |(at, slot): &(usize, &Slot)| {
            self.floor == 0 || *at < self.settled as usize || slot.upper > self.floor + 1
        };
        let listed = self.slots.iter().enumerate().filter(is_told);
        listed.filter_map(|(at, slot)| Some((*slot, self.told.get(at)?)))
    }

    /// Is all of a text listed, if it is?
    #[inline]
    pub(super) fn keeps_whole(&self, text: &str) -> bool {
        text.len() <= self.string_bytes as usize
    }

    /// What is listed as it came: hash, value, occurrences. Texts that are cut are left out.
    pub(super) fn listed_whole(&self) -> impl Iterator<Item = (u64, Data<'_>, u64)> {
        self.listed().filter_map(|(slot, told)| {
            let data = match &told.value {
                Kept::Bool(b) => Data::Bool(*b),
                Kept::I64(n) => Data::I64(*n),
                Kept::U64(n) => Data::U64(*n),
                Kept::F64(n) => Data::F64(*n),
                Kept::Text(text) => Data::Str(text),
                Kept::Nothing | Kept::Cut(_) | Kept::Hidden => return None,
            };
            Some((slot.hash, data, slot.upper))
        })
    }

    pub(super) fn summary(&self) -> TopSummary {
        let hidden = self.listed().filter(|(_, told)| matches!(told.value, Kept::Hidden));
        let hidden = hidden.map(|(slot, _)| slot.upper).max().unwrap_or(0);
        // Those that came once since values were pushed out.
        let untold = if self.listed().count() < self.slots.len() { self.floor + 1 } else { self.floor };
        let mut values: Vec<TopValue> = self
            .listed()
            .filter(|(_, told)| !matches!(told.value, Kept::Hidden))
            .map(|(slot, told)| TopValue {
                value: shown(&told.value, slot.hash),
                count: slot.upper - told.error,
                error: told.error,
            })
            .collect();
        values.sort_unstable_by(|a, b| a.value.cmp(&b.value));
        // Two that read alike (their hashes' visible parts collide) are listed as one.
        values.dedup_by(|next, kept| {
            let same = next.value == kept.value;
            if same {
                kept.count += next.count;
                kept.error += next.error;
            }
            same
        });
        TopSummary { values, floor: untold.max(hidden) }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let texts = self.told.iter().map(|told| match &told.value {
            Kept::Text(text) | Kept::Cut(text) => text.capacity(),
            _ => 0,
        });
        self.slots.capacity() * size_of::<Slot>()
            + self.index.len() * size_of::<u16>()
            + self.told.capacity() * size_of::<Told>()
            + texts.sum::<usize>()
    }
}

/// What tells cut strings apart: an ellipsis and 8 digits of the hash.
const MARK_BYTES: usize = '…'.len_utf8() + 8;

/// Puts a scalar in the place of another, in its buffer.
fn keep(data: Data<'_>, kept: &mut Kept, string_bytes: usize) {
    let Data::Str(s) = data else {
        *kept = match data {
            Data::Bool(b) => Kept::Bool(b),
            Data::I64(n) => Kept::I64(n),
            Data::U64(n) => Kept::U64(n),
            Data::F64(n) => Kept::F64(n),
            Data::Null | Data::Str(_) | Data::Object { .. } | Data::Array { .. } => Kept::Nothing,
        };
        return;
    };
    let is_cut = s.len() > string_bytes;
    // What is cut cannot be looked through later: half a secret is one.
    if is_cut && is_sensitive(s) {
        *kept = Kept::Hidden;
        return;
    }
    let mut text = match std::mem::replace(kept, Kept::Nothing) {
        Kept::Text(text) | Kept::Cut(text) => text,
        _ => String::new(),
    };
    text.clear();
    *kept = if is_cut {
        text.push_str(&s[..whole_characters(s, string_bytes.saturating_sub(MARK_BYTES))]);
        Kept::Cut(text)
    } else {
        text.push_str(s);
        Kept::Text(text)
    };
}

/// The longest prefix of whole characters within so many bytes.
fn whole_characters(s: &str, most: usize) -> usize {
    (0..=most.min(s.len())).rev().find(|&end| s.is_char_boundary(end)).unwrap_or(0)
}

/// As people read it. A string that would read as another scalar, or begins with a quote, is
/// quoted: the string "1" and the number 1 are different values.
fn shown(value: &Kept, hash: u64) -> String {
    match value {
        Kept::Bool(b) => b.to_string(),
        Kept::I64(n) => n.to_string(),
        Kept::U64(n) => n.to_string(),
        Kept::F64(n) => match as_integer(*n) {
            Some(Integer::Signed(n)) => n.to_string(),
            Some(Integer::Unsigned(n)) => n.to_string(),
            None => format!("{n:?}"),
        },
        Kept::Nothing | Kept::Hidden => String::new(),
        Kept::Cut(text) => format!("{text}…{:08x}", hash >> 32),
        Kept::Text(text) => {
            let ambiguous = text.starts_with('"')
                || matches!(text.as_str(), "true" | "false")
                || text.parse::<f64>().is_ok();
            if ambiguous { format!("\"{text}\"") } else { text.clone() }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::hash;
    use super::*;

    fn add(top: &mut Top, data: Data<'_>) {
        let hash = hash::scalar(data).unwrap();
        match top.find(hash) {
            Ok(at) => top.count(at, || data),
            Err(_) => {
                if top.is_full() {
                    top.push_out(&mut Vec::new());
                }
                top.enter(hash, data);
            }
        }
    }

    fn listed(top: &Top) -> Vec<(String, u64)> {
        top.summary().values.into_iter().map(|v| (v.value, v.count)).collect()
    }

    #[test]
    fn values_read_as_they_are_and_never_alike() {
        let mut top = Top::new(16, 32);
        for data in [
            Data::I64(1),
            Data::F64(1.0),
            Data::Str("1"),
            Data::Str("paid"),
            Data::Bool(true),
            Data::Str("true"),
            Data::F64(0.1),
            Data::F64(1e300),
            Data::U64(u64::MAX),
            Data::Str("\"q"),
            Data::Str("ä very long text that is cut somewhere"),
            Data::Str("ä very long text that is cut elsewhere"),
        ] {
            add(&mut top, data);
        }
        let listed = listed(&top);
        let texts: Vec<&str> = listed.iter().map(|(text, _)| text.as_str()).collect();
        for text in
            ["1", "\"1\"", "paid", "true", "\"true\"", "0.1", "1e300", "18446744073709551615", "\"\"q\""]
        {
            assert!(texts.contains(&text), "{text}: {texts:?}");
        }
        assert_eq!(listed.iter().find(|(text, _)| text == "1").unwrap().1, 2);
        let cut: Vec<_> = texts.iter().filter(|t| t.contains('…')).collect();
        assert_eq!(cut.len(), 2, "{texts:?}");
        assert!(cut.iter().all(|t| t.len() <= 32));
    }

    proptest! {
        #[test]
        fn bounds_hold_and_few_values_are_exact(
            values in proptest::collection::vec(prop_oneof![3 => 0i64..12, 1 => 0i64..90], 0..300), most in 1usize..40,
        ) {
            let mut top = Top::new(most, 64);
            let mut truth = HashMap::<String, u64>::new();
            for &value in &values {
                add(&mut top, Data::I64(value));
                *truth.entry(value.to_string()).or_default() += 1;
            }
            let summary = top.summary();
            if truth.len() <= most {
                prop_assert_eq!(summary.floor, 0);
                prop_assert!(summary.values.iter().all(|v| v.error == 0 && truth[&v.value] == v.count));
                prop_assert_eq!(summary.values.len(), truth.len());
            }
            for (value, count) in truth {
                match summary.values.iter().find(|v| v.value == value) {
                    Some(v) => prop_assert!(v.count <= count && count <= v.count + v.error),
                    None => prop_assert!(count <= summary.floor),
                }
            }
        }
    }
}
