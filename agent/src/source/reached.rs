//! The ends that the client says it has reached. Pure.
//!
//! The client tells them in its statistics, which outlive an assignment: of a partition that was given up and given
//! again, or of a topic that was made anew under its name, they may still tell the end of before. To believe that
//! would be to pass over records that were never read.

use std::collections::BTreeMap;

use super::TopicPartition;

/// Statistics that are let pass after a partition is begun: the first may have been gathered before.
const PASSED: u8 = 2;

/// What was told and not yet acted upon.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    told: Vec<(TopicPartition, i64)>,
    /// Partitions begun of late, with the statistics that are still let pass.
    begun: BTreeMap<TopicPartition, u8>,
}

impl Reached {
    /// This partition is read from a place of its own from now on.
    pub(crate) fn begin(&mut self, at: &TopicPartition) {
        self.told.retain(|(told, _)| told != at);
        self.begun.insert(at.clone(), PASSED);
    }

    /// The client's latest statistics.
    pub(crate) fn tell(&mut self, ends: Vec<(TopicPartition, i64)>) {
        self.told = ends;
        self.told.retain(|(at, _)| !self.begun.contains_key(at));
        self.begun.retain(|_, left| {
            *left -= 1;
            *left > 0
        });
    }

    /// What may be acted upon, once.
    pub(crate) fn take(&mut self) -> Vec<(TopicPartition, i64)> {
        std::mem::take(&mut self.told)
    }

    /// Another client, which knows nothing.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32) -> TopicPartition {
        TopicPartition::new("orders", partition)
    }

    #[test]
    fn what_is_told_is_taken_once() {
        let mut reached = Reached::default();
        reached.tell(vec![(at(0), 14)]);
        assert_eq!(reached.take(), [(at(0), 14)]);
        assert_eq!(reached.take(), []);
    }

    #[test]
    fn the_end_of_a_former_assignment_is_not_believed() {
        let mut reached = Reached::default();
        reached.tell(vec![(at(0), 14), (at(1), 36)]);
        // The topic is deleted and made anew.
        reached.begin(&at(0));
        assert_eq!(reached.take(), [(at(1), 36)], "told before it began");
        for _ in 0..PASSED {
            reached.tell(vec![(at(0), 14), (at(1), 36)]);
            assert_eq!(reached.take(), [(at(1), 36)], "gathered before it began");
        }
        reached.tell(vec![(at(0), 3)]);
        assert_eq!(reached.take(), [(at(0), 3)]);
    }

    #[test]
    fn another_beginning_waits_again() {
        let mut reached = Reached::default();
        reached.begin(&at(0));
        reached.tell(Vec::new());
        reached.begin(&at(0));
        for _ in 0..PASSED {
            reached.tell(vec![(at(0), 14)]);
            assert_eq!(reached.take(), []);
        }
    }
}
