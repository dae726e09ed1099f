//! Scalars of one field: how many different ones, and which are frequent.

use crate::merge::{DISTINCT_EXACT_MAX, DISTINCT_PRECISION, raise};
use crate::redact::is_sensitive;
use crate::report::{DistinctSummary, TopSummary, TopValue};
use crate::tape::Data;

use super::hash::{Integer, as_integer};

/// Distinct values: sorted hashes, then registers.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    summary: DistinctSummary,
}

impl Distinct {
    pub(super) fn add(&mut self, hash: u64) {
        if !self.summary.registers.is_empty() {
            raise(&mut self.summary.registers, hash);
        } else if let Err(at) = self.summary.hashes.binary_search(&hash) {
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

/// Frequent values by SpaceSaving (Metwally et al., 2005), but for what is pushed out: not the rarest value each
/// time, but the rarest quarter at once, which takes no search for every new value. Exact while there are no more
/// than `most` different ones. Beyond it, which ones are listed depends on the order of the records; the bounds of
/// what is listed hold in any order.
#[derive(Debug)]
pub(super) struct Top {
    most: usize,
    string_bytes: usize,
    /// Apart from the entries, so that a look-up runs over neighbouring words.
    hashes: Vec<u64>,
    /// As many as hashes, and behind them some that were pushed out, for the room that their texts have.
    entries: Vec<Entry>,
    /// By the lowest bits of a hash, open addressing: one more than the index of its entry, 0 where there is none. A
    /// power of two, and at least twice the entries; empty while so few are there that all are looked at.
    index: Box<[u16]>,
    /// No value that is not listed has occurred more often.
    floor: u64,
}

#[derive(Debug)]
struct Entry {
    /// Never too low.
    upper: u64,
    /// How much of it may have occurred before it was listed.
    error: u64,
    value: Kept,
}

/// So many are looked at one by one.
const UNINDEXED_MAX: usize = 8;

#[derive(Debug)]
enum Kept {
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Text {
        text: String,
        cut: bool,
    },
    /// A text that is longer than what is kept of it, with something in it that must not be shown.
    Hidden,
}

impl Top {
    pub(super) fn new(most: usize, string_bytes: usize) -> Self {
        let most = most.clamp(1, usize::from(u16::MAX) / 4);
        Self { most, string_bytes, hashes: Vec::new(), entries: Vec::new(), index: Box::default(), floor: 0 }
    }

    /// Takes a scalar; others have no hash. Gives whether it was listed already.
    pub(super) fn add(&mut self, hash: u64, data: Data<'_>) -> bool {
        if let Some(entry) = self.find(hash).and_then(|at| self.entries.get_mut(at)) {
            entry.upper += 1;
            return true;
        }
        if self.hashes.len() >= self.most {
            self.push_out();
        }
        let at = self.hashes.len();
        self.hashes.push(hash);
        let (upper, error) = (self.floor + 1, self.floor);
        match self.entries.get_mut(at) {
            Some(entry) => {
                let buffer = match std::mem::replace(&mut entry.value, Kept::Bool(false)) {
                    Kept::Text { text, .. } => text,
                    _ => String::new(),
                };
                *entry = Entry { upper, error, value: keep(data, buffer, self.string_bytes) };
            }
            None => {
                let value = keep(data, String::new(), self.string_bytes);
                self.entries.push(Entry { upper, error, value });
            }
        }
        match self.index.len() {
            0 if at < UNINDEXED_MAX => {}
            0 => self.build_index(),
            _ => self.enter(hash, at),
        }
        false
    }

    fn find(&self, hash: u64) -> Option<usize> {
        if self.index.is_empty() {
            return self.hashes.iter().position(|h| *h == hash);
        }
        let mut slot = self.slot(hash);
        loop {
            let at = usize::from(*self.index.get(slot)?).checked_sub(1)?;
            if self.hashes.get(at) == Some(&hash) {
                return Some(at);
            }
            slot = (slot + 1) & (self.index.len() - 1);
        }
    }

    fn slot(&self, hash: u64) -> usize {
        hash as usize & (self.index.len() - 1)
    }

    /// Notes where the hash of an entry is to be found.
    fn enter(&mut self, hash: u64, at: usize) {
        let mut slot = self.slot(hash);
        while self.index[slot] != 0 {
            slot = (slot + 1) & (self.index.len() - 1);
        }
        self.index[slot] = at as u16 + 1;
    }

    fn build_index(&mut self) {
        let slots = (2 * self.most).next_power_of_two();
        match self.index.len() {
            0 => self.index = vec![0; slots].into_boxed_slice(),
            _ => self.index.fill(0),
        }
        for at in 0..self.hashes.len() {
            self.enter(self.hashes[at], at);
        }
    }

    /// Pushes out the rarest quarter, and all that are no more frequent than the most frequent of it.
    fn push_out(&mut self) {
        let count = self.hashes.len();
        let mut uppers: Vec<u64> = self.entries[..count].iter().map(|e| e.upper).collect();
        let (_, floor, _) = uppers.select_nth_unstable((count / 4).min(count - 1));
        self.floor = *floor;
        let mut kept = 0;
        for at in 0..count {
            if self.entries[at].upper > self.floor {
                self.entries.swap(kept, at);
                self.hashes.swap(kept, at);
                kept += 1;
            }
        }
        self.hashes.truncate(kept);
        if !self.index.is_empty() {
            self.build_index();
        }
    }

    fn listed(&self) -> &[Entry] {
        &self.entries[..self.hashes.len()]
    }

    pub(super) fn summary(&self) -> TopSummary {
        let hidden = self.listed().iter().filter(|e| matches!(e.value, Kept::Hidden));
        let hidden = hidden.map(|e| e.upper).max().unwrap_or(0);
        let mut values: Vec<TopValue> = self
            .hashes
            .iter()
            .zip(self.listed())
            .filter(|(_, e)| !matches!(e.value, Kept::Hidden))
            .map(|(&hash, e)| TopValue {
                value: shown(&e.value, hash),
                count: e.upper - e.error,
                error: e.error,
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
        TopSummary { values, floor: self.floor.max(hidden) }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let texts = self
            .entries
            .iter()
            .map(|e| if let Kept::Text { text, .. } = &e.value { text.capacity() } else { 0 });
        self.hashes.capacity() * size_of::<u64>()
            + self.index.len() * size_of::<u16>()
            + self.entries.capacity() * size_of::<Entry>()
            + texts.sum::<usize>()
    }
}

/// What tells cut strings apart: an ellipsis and 8 digits of the hash.
const MARK_BYTES: usize = '…'.len_utf8() + 8;

fn keep(data: Data<'_>, mut text: String, string_bytes: usize) -> Kept {
    match data {
        Data::Bool(b) => Kept::Bool(b),
        Data::I64(n) => Kept::I64(n),
        Data::U64(n) => Kept::U64(n),
        Data::F64(n) => Kept::F64(n),
        Data::Str(s) => {
            let cut = s.len() > string_bytes;
            // What is cut cannot be looked through later: half a secret is one.
            if cut && is_sensitive(s) {
                return Kept::Hidden;
            }
            let kept =
                if cut { whole_characters(s, string_bytes.saturating_sub(MARK_BYTES)) } else { s.len() };
            text.clear();
            text.push_str(&s[..kept]);
            Kept::Text { text, cut }
        }
        Data::Null | Data::Object { .. } | Data::Array { .. } => {
            Kept::Text { text: String::new(), cut: false }
        }
    }
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
        Kept::Hidden => String::new(),
        Kept::Text { text, cut: true } => format!("{text}…{:08x}", hash >> 32),
        Kept::Text { text, cut: false } => {
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
        top.add(hash::scalar(data).unwrap(), data);
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
