//! When a line of figures moved: robust, so that what is usual of a line tells nothing.
//!
//! A figure moved where it lies five robust standard deviations (median absolute deviation and
//! sampling) from the middle of the time before, beyond all that was seen then, and by enough to be
//! worth telling; and the figures after it bear it out. A pure function of the figures.

use checks::detect::share_effect;
use checks::stats::{MAD_TO_SIGMA, median, median_mad};

/// Figures of the time before that it takes.
pub(super) const REFERENCE_MIN: usize = 10;
/// Of so many figures one at either end may be a freak.
const FREAKS_FROM: usize = 20;
/// Robust standard deviations.
const SIGMAS: f64 = 5.0;
/// A count is told from this factor on, and this many records.
const COUNT_RATIO: f64 = 1.6;
const COUNT_MIN: f64 = 20.0;
/// As many as before make an end of it.
const OVER_AFTER: usize = 3;
/// Figures that say where it went.
const TO_FROM: usize = 10;

/// A figure, and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) value: f64,
    /// Of a share the trials, of a mean its standard error; counts have their own.
    pub(super) basis: f64,
}

/// What kind of figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Records.
    Count,
    /// Hits among trials.
    Share,
    /// Anything else: told from a difference of `least` on, and if it is `ratio` times as much.
    Level { least: f64, ratio: f64 },
    /// The same, of what may rise or fall all the time: then it tells nothing.
    Mean { least: f64 },
}

impl Kind {
    /// How many figures must bear out the first one, of how many that follow: means may have tails.
    fn borne_out_by(self) -> (usize, usize) {
        match self {
            Self::Count | Self::Share | Self::Level { .. } => (1, 2),
            Self::Mean { .. } => (2, 3),
        }
    }
}

/// A line that moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shift {
    /// The first figure that is unlike those before.
    pub(super) at: usize,
    /// When in that slot it began, as a part of the slot: below 0 in the one before.
    pub(super) within: f64,
    pub(super) from: f64,
    pub(super) to: f64,
    /// The first figure that is as before again, if it lasted no longer.
    pub(super) until: Option<usize>,
}

/// What the time before was like.
struct Before {
    middle: f64,
    spread: f64,
    low: f64,
    high: f64,
}

impl Before {
    fn of(line: &[Option<Point>], kind: Kind, is_clean: bool) -> Option<Self> {
        let seen: Vec<Point> = line.iter().flatten().copied().collect();
        if seen.len() < REFERENCE_MIN {
            return None;
        }
        let mut values: Vec<f64> = seen.iter().map(|p| p.value).collect();
        let (early, late) = values.split_at(values.len() / 2);
        let halves = median(&mut early.to_vec()).zip(median(&mut late.to_vec()));
        let (mut middle, mad) = median_mad(&mut values)?;
        if matches!(kind, Kind::Mean { .. })
            && halves.is_some_and(|(early, late)| (late - early).abs() > 1.5 * mad)
        {
            return None;
        }
        if kind == Kind::Share {
            // What is rare is in most slots not at all.
            let trials: f64 = seen.iter().map(|p| p.basis).sum();
            let share = seen.iter().map(|p| p.value * p.basis).sum::<f64>() / trials.max(1.0);
            middle = if middle > 0.0 { middle } else { share };
        }
        values.sort_unstable_by(f64::total_cmp);
        let aside = match is_clean {
            true => usize::from(values.len() >= FREAKS_FROM),
            // What moved may be among them.
            false => values.len() / 3,
        };
        // Few figures say little of how far they spread.
        let spread = mad * MAD_TO_SIGMA * (1.0 + REFERENCE_MIN as f64 / values.len() as f64);
        Some(Self { middle, spread, low: values[aside], high: values[values.len() - 1 - aside] })
    }

    /// Is it unlike all that, and worth telling? Above 0 it rose.
    fn side(&self, point: Point, kind: Kind) -> Option<f64> {
        let Point { value, basis } = point;
        let off = value - self.middle;
        let (sampling, is_worth) = match kind {
            Kind::Count => {
                let (least, most) = (self.middle.min(value).max(0.5), self.middle.max(value));
                (self.middle.max(1.0), most >= least * COUNT_RATIO && off.abs() >= COUNT_MIN)
            }
            Kind::Share => {
                let p = self.middle.clamp(0.5 / basis.max(1.0), 1.0 - 0.5 / basis.max(1.0));
                (p * (1.0 - p) / basis.max(1.0), share_effect(self.middle, value) >= 1.0)
            }
            Kind::Level { least, ratio } => {
                let (low, high) = (self.middle.min(value), self.middle.max(value));
                (basis * basis, off.abs() >= least && high >= low * ratio)
            }
            Kind::Mean { least } => (basis * basis, off.abs() >= least),
        };
        let sigma = (self.spread * self.spread + sampling).sqrt();
        // Of means and levels the tails are not known: half of what was seen is added to them.
        let tail = match kind {
            Kind::Count | Kind::Share => 0.0,
            Kind::Level { .. } | Kind::Mean { .. } => (self.high - self.low) / 2.0,
        };
        let is_beyond = value > self.high + tail || value < self.low - tail;
        (is_worth && is_beyond && off.abs() > SIGMAS * sigma).then(|| off.signum())
    }
}

/// Did the line move from `look_from` on? It is held against what is before that; where that is too
/// little, against all before `known_to`.
pub(super) fn shift(line: &[Option<Point>], look_from: usize, known_to: usize, kind: Kind) -> Option<Shift> {
    let before = line.get(..look_from).and_then(|line| Before::of(line, kind, true));
    let before = match before {
        Some(before) => before,
        None if line.get(..look_from)?.iter().flatten().count() < REFERENCE_MIN => {
            Before::of(line.get(..known_to.min(line.len()))?, kind, false)?
        }
        None => return None,
    };
    let after: Vec<(usize, Point, Option<f64>)> = line
        .iter()
        .enumerate()
        .skip(look_from)
        .filter_map(|(at, point)| point.map(|point| (at, point, before.side(point, kind))))
        .collect();
    let (borne_out_by, of_next) = kind.borne_out_by();
    let is_borne_out = |i: usize, side: f64| {
        let next = after.iter().skip(i + 1).take(of_next);
        next.filter(|(.., later)| *later == Some(side)).count() >= borne_out_by
    };
    let (first, side) = after
        .iter()
        .enumerate()
        .find_map(|(i, (.., side))| side.filter(|side| is_borne_out(i, *side)).map(|side| (i, side)))?;
    let run = &after[first..];
    let is_out = |entry: &(usize, Point, Option<f64>)| entry.2 == Some(side);
    let over = run.windows(OVER_AFTER).position(|next| !next.iter().any(is_out));
    let mut moved: Vec<f64> = run
        .iter()
        .take(over.unwrap_or(run.len()))
        .filter(|entry| is_out(entry))
        .take(TO_FROM)
        .map(|entry| entry.1.value)
        .collect();
    let to = median(&mut moved)?;
    let at = run[0].0;
    let part = |point: Point| ((point.value - before.middle) / (to - before.middle)).clamp(0.0, 1.0);
    let mut within = match kind {
        // A lag grows slowly: where it began is not to be told from how far it is.
        Kind::Level { .. } => 0.0,
        Kind::Count | Kind::Share | Kind::Mean { .. } => 1.0 - part(run[0].1),
    };
    if within < 0.1
        && !matches!(kind, Kind::Level { .. })
        && let Some(Some(last)) = at.checked_sub(1).and_then(|at| line.get(at))
    {
        let began_then = part(*last);
        within -= if began_then > 0.2 { began_then } else { 0.0 };
    }
    Some(Shift { at, within, from: before.middle, to, until: over.map(|over| run[over].0) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shares(values: &[f64]) -> Vec<Option<Point>> {
        values.iter().map(|value| Some(Point { value: *value, basis: 1_000.0 })).collect()
    }

    #[test]
    fn a_step_is_found_where_it_is_and_within_the_slot() {
        let mut values = vec![0.01; 40];
        // Two thirds of the slot are as after it: it began after a third.
        values.push(0.01 + 0.19 * 2.0 / 3.0);
        values.extend([0.2; 10]);
        let seen = shift(&shares(&values), 30, 45, Kind::Share).unwrap();
        assert_eq!((seen.at, seen.until), (40, None));
        assert!((seen.within - 1.0 / 3.0).abs() < 0.02, "{seen:?}");
        assert!((seen.from - 0.01).abs() < 1e-9 && (seen.to - 0.2).abs() < 0.01, "{seen:?}");
        // So it is where little is known, and what moved is among what it is held against.
        let young = shift(&shares(&values[28..]), 0, 15, Kind::Share).unwrap();
        assert_eq!((young.at, young.until), (12, None));
        // A sliver in the slot before is no more than a part of it.
        values[39] = 0.01 + 0.19 * 0.04;
        assert_eq!(shift(&shares(&values), 30, 45, Kind::Share).map(|seen| seen.at), Some(40));
    }

    #[test]
    fn it_ends_and_one_freak_is_nothing() {
        let mut values = vec![400.0; 40];
        values.extend([100.0; 5]);
        values.extend([400.0; 10]);
        let counts = |values: &[f64]| -> Vec<Option<Point>> {
            values.iter().map(|value| Some(Point { value: *value, basis: 0.0 })).collect()
        };
        let seen = shift(&counts(&values), 30, 42, Kind::Count).unwrap();
        assert_eq!((seen.at, seen.until, seen.from, seen.to), (40, Some(45), 400.0, 100.0));
        let mut freak = vec![400.0; 50];
        freak[41] = 0.0;
        assert_eq!(shift(&counts(&freak), 30, 42, Kind::Count), None);
        assert_eq!(shift(&counts(&values[38..]), 3, 5, Kind::Count), None, "too little is known");
    }

    #[test]
    fn a_counter_and_a_clock_always_rise_and_tell_nothing() {
        let line: Vec<_> = (0..90).map(|i| Some(Point { value: f64::from(i), basis: 0.1 })).collect();
        assert_eq!(shift(&line, 30, 60, Kind::Mean { least: 0.0 }), None);
        assert_eq!(shift(&line, 0, 20, Kind::Mean { least: 0.0 }), None);
    }

    /// What a thousand quiet lines of each kind tell: nothing, or as good as.
    #[test]
    fn nothing_moves_in_a_quiet_system() {
        let mut state = 7u64;
        // splitmix64; twelve uniform numbers make a normal one.
        let mut uniform = move || -> f64 {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut x = state;
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
        };
        let mut normal = move || -> f64 { (0..12).map(|_| uniform()).sum::<f64>() - 6.0 };
        let mut told = 0;
        for round in 0..1_000 {
            let look_from = if round % 2 == 0 { 30 } else { 0 };
            let line =
                |make: &mut dyn FnMut(usize) -> Point| (0..90).map(|i| Some(make(i))).collect::<Vec<_>>();
            let many = line(&mut |_| Point { value: (400.0 + 20.0 * normal()).max(0.0).round(), basis: 0.0 });
            let few = line(&mut |_| Point { value: (3.0 + 1.7 * normal()).max(0.0).round(), basis: 0.0 });
            let shares = line(&mut |_| {
                let p: f64 = 0.02;
                let hits = (200.0 * p + (200.0 * p * (1.0 - p)).sqrt() * normal()).max(0.0).round();
                Point { value: hits / 200.0, basis: 200.0 }
            });
            // Heavy tails: log-normal means.
            let means = line(&mut |_| Point { value: (3.0 + 0.5 * normal()).exp(), basis: 1.0 });
            let lag = line(&mut |i| Point { value: (i % 7) as f64 + normal().abs(), basis: 0.0 });
            for (line, kind) in [
                (many, Kind::Count),
                (few, Kind::Count),
                (shares, Kind::Share),
                (means, Kind::Mean { least: 2.0 }),
                (lag, Kind::Level { least: 10.0, ratio: 3.0 }),
            ] {
                told += usize::from(shift(&line, look_from, look_from + 30, kind).is_some());
            }
        }
        assert!(told <= 1, "{told} of 5,000 lines");
    }

    proptest! {
        #[test]
        fn any_figures_at_all_are_bounded(
            values in prop::collection::vec(prop::option::of((prop::num::f64::ANY, prop::num::f64::ANY)), 0..120),
            look_from in 0usize..130,
            known_to in 0usize..130,
            kind in 0usize..4,
        ) {
            let kind = [
                Kind::Count,
                Kind::Share,
                Kind::Level { least: 1.0, ratio: 2.0 },
                Kind::Mean { least: 1.0 },
            ][kind];
            let line: Vec<_> = values.iter().map(|v| v.map(|(value, basis)| Point { value, basis })).collect();
            if let Some(seen) = shift(&line, look_from, known_to, kind) {
                prop_assert!(seen.at >= look_from && line[seen.at].is_some());
                prop_assert!(seen.until.is_none_or(|until| until > seen.at));
            }
        }
    }
}
