//! Frequent values, with bounds that hold after any merging.

use super::TOP_VALUES_MAX;
use crate::report::{TopSummary, TopValue};

impl TopSummary {
    /// Adds the values of another one. A value that one side does not list may have occurred there
    /// up to that side's floor: so much is added to its error; floors add up. Up to
    /// [`TOP_VALUES_MAX`] values the union is kept whole; beyond it those with the greatest
    /// `count + error` stay (ties: greater count, then smaller text), and the floor rises to the
    /// greatest that went. The bounds hold in any order of merging.
    pub fn merge(&mut self, other: &Self) {
        let (my_floor, their_floor) = (self.floor, other.floor);
        let mut merged = Vec::with_capacity(self.values.len().max(other.values.len()));
        let unlisted =
            |value: TopValue, floor: u64| TopValue { error: value.error.saturating_add(floor), ..value };
        let mut theirs = other.values.iter().peekable();
        for mut mine in std::mem::take(&mut self.values) {
            while let Some(next) = theirs.next_if(|next| next.value < mine.value) {
                merged.push(unlisted(next.clone(), my_floor));
            }
            match theirs.next_if(|next| next.value == mine.value) {
                Some(same) => {
                    mine.count = mine.count.saturating_add(same.count);
                    mine.error = mine.error.saturating_add(same.error);
                    merged.push(mine);
                }
                None => merged.push(unlisted(mine, their_floor)),
            }
        }
        merged.extend(theirs.map(|next| unlisted(next.clone(), my_floor)));
        self.values = merged;
        self.floor = my_floor.saturating_add(their_floor);
        self.cut(TOP_VALUES_MAX);
    }

    /// Keeps the `most` likeliest to be frequent; what goes raises the floor.
    pub(crate) fn cut(&mut self, most: usize) {
        if self.values.len() <= most {
            return;
        }
        let upper = |v: &TopValue| v.count.saturating_add(v.error);
        self.values.sort_unstable_by(|a, b| {
            upper(b).cmp(&upper(a)).then(b.count.cmp(&a.count)).then_with(|| a.value.cmp(&b.value))
        });
        if let Some(gone) = self.values.get(most) {
            self.floor = self.floor.max(upper(gone));
        }
        self.values.truncate(most);
        self.values.sort_unstable_by(|a, b| a.value.cmp(&b.value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[(&str, u64, u64)], floor: u64) -> TopSummary {
        let values = values
            .iter()
            .map(|&(value, count, error)| TopValue { value: value.to_owned(), count, error })
            .collect();
        TopSummary { values, floor }
    }

    #[test]
    fn a_value_unlisted_on_one_side_takes_its_floor_as_error() {
        let mut a = of(&[("a", 10, 0), ("b", 5, 1)], 2);
        a.merge(&of(&[("b", 7, 0), ("c", 4, 0)], 3));
        assert_eq!(a, of(&[("a", 10, 3), ("b", 12, 1), ("c", 4, 2)], 5));
    }

    #[test]
    fn what_is_cut_raises_the_floor() {
        let mut top = of(&[("a", 10, 0), ("b", 5, 1), ("c", 6, 0), ("d", 9, 0)], 2);
        top.cut(2);
        assert_eq!(top, of(&[("a", 10, 0), ("d", 9, 0)], 6));
    }
}
