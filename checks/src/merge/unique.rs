//! How often each value occurred: exact, or a uniform sample of the values.

use super::UNIQUENESS_MAX;
use crate::report::Uniqueness;

impl Uniqueness {
    /// Nothing seen. (`default()` would mean that no hash is kept at all.)
    pub fn empty() -> Self {
        Self { threshold: u64::MAX, hashes: Vec::new(), counts: Vec::new() }
    }

    /// Are the counts of all values here? Otherwise they are of the share
    /// [`sampled_share`](Self::sampled_share) of the values.
    pub fn is_exact(&self) -> bool {
        self.threshold == u64::MAX
    }

    /// Share of the values, by hash, that are counted here: 1 while exact.
    pub fn sampled_share(&self) -> f64 {
        if self.is_exact() { 1.0 } else { self.threshold as f64 / u64::MAX as f64 }
    }

    /// Occurrences counted, and how many of them are extra copies (occurrences less distinct
    /// values). Of all values while exact, else of the sampled ones.
    pub fn tally(&self) -> (u64, u64) {
        let occurrences = self.counts.iter().fold(0u64, |sum, &count| sum.saturating_add(count));
        (occurrences, occurrences.saturating_sub(self.counts.len() as u64))
    }

    /// Adds the values of another one, keeping at most [`UNIQUENESS_MAX`].
    pub fn merge(&mut self, other: &Self) {
        self.merge_within(other, UNIQUENESS_MAX);
    }

    /// Merges, keeping at most `most` values. With one `most` throughout, what results depends on
    /// the inputs alone: the threshold is the lowest of theirs and of the (most+1)-th smallest hash
    /// of the union, and everything below it is at hand in every order of merging.
    pub(crate) fn merge_within(&mut self, other: &Self, most: usize) {
        let threshold = self.threshold.min(other.threshold);
        let mut hashes = Vec::with_capacity(self.hashes.len().max(other.hashes.len()));
        let mut counts = Vec::with_capacity(hashes.capacity());
        let mut mine = self.hashes.iter().copied().zip(self.counts.iter().copied()).peekable();
        let mut theirs = other.hashes.iter().copied().zip(other.counts.iter().copied()).peekable();
        loop {
            let (hash, count) = match (mine.peek(), theirs.peek()) {
                (Some(&(a, x)), Some(&(b, y))) if a == b => {
                    mine.next();
                    theirs.next();
                    (a, x.saturating_add(y))
                }
                (Some(&(a, _)), Some(&(b, y))) if b < a => {
                    theirs.next();
                    (b, y)
                }
                (Some(&(a, x)), _) => {
                    mine.next();
                    (a, x)
                }
                (None, Some(&(b, y))) => {
                    theirs.next();
                    (b, y)
                }
                (None, None) => break,
            };
            // `u64::MAX` itself is a hash like any other while everything is kept.
            if hash >= threshold && threshold != u64::MAX {
                break;
            }
            if hashes.len() == most {
                (self.threshold, self.hashes, self.counts) = (hash, hashes, counts);
                return;
            }
            hashes.push(hash);
            counts.push(count);
        }
        (self.threshold, self.hashes, self.counts) = (threshold, hashes, counts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(threshold: u64, values: &[(u64, u64)]) -> Uniqueness {
        let (hashes, counts) = values.iter().copied().unzip();
        Uniqueness { threshold, hashes, counts }
    }

    #[test]
    fn exact_until_the_cap_then_the_lowest_hashes() {
        let mut a = of(u64::MAX, &[(1, 1), (5, 2)]);
        a.merge_within(&of(u64::MAX, &[(3, 1), (5, 1)]), 3);
        assert_eq!(a, of(u64::MAX, &[(1, 1), (3, 1), (5, 3)]));
        assert_eq!(a.tally(), (5, 2));
        a.merge_within(&of(u64::MAX, &[(4, 1)]), 3);
        assert_eq!(a, of(5, &[(1, 1), (3, 1), (4, 1)]));
        a.merge_within(&of(4, &[(2, 9)]), 3);
        assert_eq!(a, of(4, &[(1, 1), (2, 9), (3, 1)]));
    }
}
