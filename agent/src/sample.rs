//! What is examined: a share of the records, chosen so that every run and every agent chooses the
//! same, and at most so many a second. Pure: the clock is an argument.

/// Is the record at this place within the share examined? A function of partition and offset
/// alone.
pub fn is_sampled(partition: i32, offset: i64, share: f64) -> bool {
    if share >= 1.0 {
        return true;
    }
    // splitmix64 over the two, so that neighbours are independent of each other.
    let mut x = (offset as u64) ^ (u64::from(partition as u32) << 40).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    (x as f64) < share * u64::MAX as f64
}

/// A token bucket: at most so many a second, saved up for at most a second.
#[derive(Clone, Debug)]
pub struct RateCap {
    per_second: u64,
    /// Thousandths of a token, so that a millisecond's share is a whole number.
    milli_tokens: u64,
    filled_at_ms: i64,
}

impl RateCap {
    /// A full bucket.
    pub fn new(per_second: u64, now_ms: i64) -> Self {
        Self { per_second, milli_tokens: per_second.saturating_mul(1_000), filled_at_ms: now_ms }
    }

    /// Takes a token, if there is one. A clock that goes back fills nothing.
    pub fn take(&mut self, now_ms: i64) -> bool {
        let elapsed_ms = now_ms.saturating_sub(self.filled_at_ms);
        if elapsed_ms != 0 {
            let filled = (elapsed_ms.max(0) as u64).saturating_mul(self.per_second);
            let full = self.per_second.saturating_mul(1_000);
            self.milli_tokens = self.milli_tokens.saturating_add(filled).min(full);
            self.filled_at_ms = now_ms;
        }
        let taken = self.milli_tokens >= 1_000;
        if taken {
            self.milli_tokens -= 1_000;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_the_share_in_every_partition() {
        for partition in [0, 1, 7, i32::MAX] {
            let sampled = (0..50_000).filter(|offset| is_sampled(partition, *offset, 0.2)).count();
            assert!((9_500..10_500).contains(&sampled), "partition {partition}: {sampled}");
        }
        assert!(is_sampled(0, 0, 1.0) && !is_sampled(0, 0, 0.0));
    }

    #[test]
    fn partitions_are_sampled_independently() {
        let both = (0..50_000).filter(|o| is_sampled(0, *o, 0.5) && is_sampled(1, *o, 0.5)).count();
        assert!((12_000..13_000).contains(&both), "{both}");
    }

    #[test]
    fn the_cap_holds_over_time_and_saves_at_most_a_second() {
        let mut cap = RateCap::new(100, 0);
        assert_eq!((0..1_000).filter(|_| cap.take(0)).count(), 100);
        assert_eq!((0..1_000).filter(|_| cap.take(10)).count(), 1);
        assert_eq!((0..10_000).filter(|_| cap.take(60_000)).count(), 100);
        let taken = (60_000..70_000).filter(|ms| cap.take(*ms)).count();
        assert!((999..=1_000).contains(&taken), "{taken}");
        assert_eq!((0..10).filter(|_| RateCap::new(0, 0).take(1_000)).count(), 0);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_away() {
        let mut cap = RateCap::new(10, 100_000);
        assert_eq!((0..100).filter(|_| cap.take(100_000)).count(), 10);
        assert!(!cap.take(0) && !cap.take(50));
        assert!(cap.take(200));
    }
}
