//! How a group commits: the longest pause that it has made of late.

/// Pauses are remembered for one to two of these: a week of watched time, so that what happens
/// weekly is not news.
const MEMORY_MS: i64 = 7 * 24 * 3_600_000;
/// So often must its commits have moved before its rhythm is called known.
const MOVES_MIN: u32 = 3;

/// The pauses of one group in one topic.
#[derive(Debug, Default)]
pub(super) struct Habit {
    moves: u32,
    /// Longest pause in this stretch of memory, and in the one before.
    longest_ms: i64,
    longest_before_ms: i64,
    stretch_ms: i64,
    /// The last pause that we took for standing still.
    outage_ms: i64,
}

impl Habit {
    /// Lets watched time pass.
    pub(super) fn pass(&mut self, ms: i64) {
        self.stretch_ms = self.stretch_ms.saturating_add(ms);
        if self.stretch_ms >= MEMORY_MS {
            self.stretch_ms = 0;
            self.longest_before_ms = std::mem::take(&mut self.longest_ms);
        }
    }

    /// Commits moved after such a pause; and where they were taken for stuck, after such a one (0:
    /// none was).
    ///
    /// An outage is no habit: else the next one would be borne for three times as long. A second
    /// one as long as the first is: we were wrong.
    pub(super) fn learn(&mut self, pause_ms: i64, outage_ms: i64) {
        self.moves = self.moves.saturating_add(1);
        self.longest_ms = self.longest_ms.max(pause_ms);
        if outage_ms > 0 {
            let again = self.outage_ms > 0 && self.outage_ms.saturating_mul(2) >= outage_ms;
            if again {
                self.longest_ms = self.longest_ms.max(outage_ms);
            }
            self.outage_ms = outage_ms;
        }
    }

    /// The longest pause of late; `None` while its rhythm is not known.
    pub(super) fn longest_ms(&self) -> Option<i64> {
        (self.moves >= MOVES_MIN).then(|| self.longest_ms.max(self.longest_before_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pause_is_kept_and_fades() {
        let mut habit = Habit::default();
        habit.learn(5_000, 0);
        habit.learn(60_000, 0);
        assert_eq!(habit.longest_ms(), None, "twice is no rhythm");
        habit.learn(5_000, 0);
        assert_eq!(habit.longest_ms(), Some(60_000));
        habit.pass(MEMORY_MS);
        habit.learn(5_000, 0);
        assert_eq!(habit.longest_ms(), Some(60_000));
        habit.pass(MEMORY_MS);
        assert_eq!(habit.longest_ms(), Some(5_000));
    }

    #[test]
    fn an_outage_becomes_a_habit_when_it_comes_again() {
        let mut habit = Habit::default();
        for _ in 0..3 {
            habit.learn(5_000, 0);
        }
        habit.learn(0, 3_600_000);
        assert_eq!(habit.longest_ms(), Some(5_000));
        habit.learn(0, 3_700_000);
        assert_eq!(habit.longest_ms(), Some(3_700_000));
    }
}
