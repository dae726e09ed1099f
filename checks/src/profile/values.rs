//! Scalars of one field: how many different ones, and which are frequent.

use crate::format::{self, FORMATS};
use crate::merge::{DISTINCT_EXACT_MAX, DISTINCT_PRECISION, count_reason, raise};
use crate::redact::is_sensitive;
use crate::report::{DistinctSummary, ReasonCount, TopSummary, TopValue};
use crate::tape::Data;

use super::hash::{self, Integer, as_integer};

/// Distinct values: sorted hashes, then registers.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    summary: DistinctSummary,
}

impl Distinct {
    #[inline]
    pub(super) fn add(&mut self, hash: u64) {
        if self.summary.registers.is_empty() {
            self.add_exact(hash);
        } else {
            raise(&mut self.summary.registers, hash);
        }
    }

    fn add_exact(&mut self, hash: u64) {
        if let Err(at) = self.summary.hashes.binary_search(&hash) {
            self.summary.hashes.insert(at, hash);
            if self.summary.hashes.len() > DISTINCT_EXACT_MAX {
                self.summary.make_dense();
            }
        }
    }

    pub(super) fn summary(&self) -> DistinctSummary {
        DistinctSummary { precision: DISTINCT_PRECISION, ..self.summary.clone() }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.summary.registers.capacity() + self.summary.hashes.capacity() * size_of::<u64>()
    }
}

/// Of so many different texts one is looked at for its form, where they are too many to keep: which ones depends on
/// their hashes alone, never on the order in which they come.
const FORM_SAMPLE: u64 = 32;
/// A longer text is taken for none of the known forms.
const FORM_BYTES_MAX: usize = 2_048;

/// Texts by form.
#[derive(Clone, Debug, Default)]
pub(super) struct Forms {
    seen: u64,
    counts: [u64; FORMATS.len()],
}

impl Forms {
    /// Is the text of this hash one of the sample?
    #[inline]
    pub(super) fn samples(hash: u64) -> bool {
        hash.is_multiple_of(FORM_SAMPLE)
    }

    /// A text that came so often.
    pub(super) fn add(&mut self, text: &str, count: u64) {
        self.seen += count;
        if text.len() <= FORM_BYTES_MAX
            && let Some(form) = format::recognise(text)
            && let Some(counted) =
                FORMATS.iter().position(|(_, f)| *f == form).and_then(|at| self.counts.get_mut(at))
        {
            *counted += count;
        }
    }

    /// Counts by form, and of how many texts.
    pub(super) fn summary(&self) -> (Vec<ReasonCount>, u64) {
        let mut counts = Vec::new();
        for ((name, _), count) in FORMATS.iter().zip(self.counts).filter(|(_, count)| *count > 0) {
            count_reason(&mut counts, name, count);
        }
        (counts, self.seen)
    }
}

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

    /// Takes a scalar; others have no hash. Gives whether it was counted already. What is in `scratch` is of no
    /// account: it is there so that nothing is allocated.
    #[inline]
    pub(super) fn add(&mut self, hash: u64, data: Data<'_>, scratch: &mut Vec<u64>) -> bool {
        match self.find(hash) {
            Ok(at) => {
                let Some(slot) = self.slots.get_mut(at) else { return true };
                slot.upper += 1;
                let is_second = at >= self.settled as usize && slot.upper == self.floor + 2;
                if is_second && self.floor > 0 {
                    self.tell(at, data);
                }
                true
            }
            Err(place) => {
                self.enter(hash, place, data, scratch);
                false
            }
        }
    }

    fn enter(&mut self, hash: u64, place: usize, data: Data<'_>, scratch: &mut Vec<u64>) {
        let mut place = place;
        if self.slots.len() >= self.most as usize {
            self.push_out(scratch);
            place = self.vacant(hash);
        } else if 2 * self.slots.len() >= self.index.len() {
            self.grow();
            place = self.vacant(hash);
        }
        let at = self.slots.len();
        self.slots.push(Slot { hash, upper: self.floor + 1 });
        if let Some(entry) = self.index.get_mut(place) {
            *entry = at as u16 + 1;
        }
        if self.floor == 0 {
            self.tell(at, data);
        }
    }

    /// Notes what the value of a slot is.
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
    fn find(&self, hash: u64) -> Result<usize, usize> {
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

    /// Pushes out the rarest quarter, and all that are no more frequent than the most frequent of it.
    #[cold]
    fn push_out(&mut self, uppers: &mut Vec<u64>) {
        let count = self.slots.len();
        uppers.clear();
        uppers.extend(self.slots.iter().map(|slot| slot.upper));
        let (_, floor, _) = uppers.select_nth_unstable((count / 4).min(count - 1));
        let is_first = self.floor == 0;
        self.floor = *floor;
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

    /// All texts by form, and how many they are; `None` if some are not counted. Those that are cut are not looked at.
    pub(super) fn forms(&self) -> Option<Forms> {
        if self.floor > 0 {
            return None;
        }
        let mut forms = Forms::default();
        for (slot, told) in self.listed() {
            if let Kept::Text(text) = &told.value {
                forms.add(text, slot.upper);
            }
        }
        Some(forms)
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

/// What [`Distinct`] and [`Top`] would tell of booleans that came so often.
pub(super) fn of_booleans(truthy: u64, falsy: u64) -> (DistinctSummary, TopSummary) {
    let (mut distinct, mut values) = (Distinct::default(), Vec::new());
    for (value, count) in [(false, falsy), (true, truthy)].into_iter().filter(|(_, count)| *count > 0) {
        distinct.add(hash::boolean(value));
        values.push(TopValue { value: value.to_string(), count, error: 0 });
    }
    (distinct.summary(), TopSummary { values, floor: 0 })
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

    use super::*;

    fn add(top: &mut Top, data: Data<'_>) {
        top.add(hash::scalar(data).unwrap(), data, &mut Vec::new());
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
