//! Detectors on streams whose truth is known: how often they cry wolf, and what they see.
//!
//! Panes of a window each, with summaries as the profile makes them: small ones from values, large
//! ones from counts drawn bin by bin. Seeds are fixed; constants were chosen on other seeds than are
//! tested here.

mod false_alarms;
mod power;

use super::random::Random;
use super::{Detectors, Observation, Settings, What};
use crate::profile::Numbers;
use crate::report::{Bin, DistinctSummary, FieldSummary, NumericSummary, PaneSummary, TopSummary, TopValue};

pub(in crate::detect) const MINUTE_MS: i64 = 60_000;
pub(in crate::detect) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(in crate::detect) const DAY_MS: i64 = 24 * HOUR_MS;
/// A Monday, midnight.
pub(in crate::detect) const MONDAY_MS: i64 = 1_767_571_200_000;
const HASH: u64 = 0x9e37_79b9_7f4a_7c15;

/// How the numbers of a field are drawn.
#[derive(Clone, Debug)]
pub(in crate::detect) enum Draw {
    Normal {
        mean: f64,
        deviation: f64,
    },
    LogNormal {
        sigma: f64,
    },
    Pareto {
        tail: f64,
    },
    Exponential,
    /// Whole numbers of a Poisson distribution.
    Counts {
        mean: f64,
    },
    /// A ratio of normal variables: no mean at all.
    Cauchy,
}

impl Draw {
    fn draw(&self, random: &mut Random) -> f64 {
        match *self {
            Self::Normal { mean, deviation } => mean + deviation * random.normal(),
            Self::LogNormal { sigma } => (sigma * random.normal()).exp(),
            Self::Pareto { tail } => random.pareto(tail),
            Self::Exponential => random.exponential(),
            Self::Counts { mean } => random.poisson(mean) as f64,
            Self::Cauchy => random.normal() / random.normal(),
        }
    }
}

/// Numbers by the bins of the sketch, to be drawn many at a time.
#[derive(Clone, Debug)]
pub(in crate::detect) struct Table {
    /// Sign, index (0 with sign 0 for zero), share, mean of the values in it.
    cells: Vec<(i8, i32, f64, f64)>,
}

impl Table {
    fn of(draw: &Draw, seed: u64) -> Self {
        use std::collections::BTreeMap;
        let mut random = Random::new(seed);
        let mut cells: BTreeMap<(i8, i32), (f64, f64)> = BTreeMap::new();
        const SAMPLE: usize = 100_000;
        for _ in 0..SAMPLE {
            let x = draw.draw(&mut random);
            let mut one = Numbers::default();
            one.add(x);
            let one = one.summary();
            let at = match (one.negative.first(), one.positive.first()) {
                (Some(bin), _) => (-1, bin.index),
                (_, Some(bin)) => (1, bin.index),
                _ => (0, 0),
            };
            let cell = cells.entry(at).or_default();
            *cell = (cell.0 + 1.0, cell.1 + x);
        }
        let cells = cells.into_iter();
        Self { cells: cells.map(|((s, i), (n, sum))| (s, i, n / SAMPLE as f64, sum / n)).collect() }
    }

    /// Where all windows are small.
    pub(in crate::detect) fn none() -> Self {
        Self { cells: Vec::new() }
    }

    fn draw(&self, random: &mut Random, n: u64) -> NumericSummary {
        let mut numbers = NumericSummary { count: n, min: f64::MAX, max: f64::MIN, ..Default::default() };
        let (mut left, mut share_left, mut sum, mut squares) = (n, 1.0, 0.0, 0.0);
        let origin = self.cells.iter().map(|(_, _, share, mean)| share * mean).sum::<f64>();
        for (sign, index, share, mean) in &self.cells {
            let count = random.binomial(left, (share / share_left).min(1.0));
            left -= count;
            share_left -= share;
            if count == 0 {
                continue;
            }
            let bin = Bin { index: *index, count };
            match sign {
                -1 => numbers.negative.push(bin),
                0 => numbers.zeros = count,
                _ => numbers.positive.push(bin),
            }
            (numbers.min, numbers.max) = (numbers.min.min(*mean), numbers.max.max(*mean));
            sum += count as f64 * (mean - origin);
            squares += count as f64 * (mean - origin) * (mean - origin);
        }
        numbers.count -= left;
        numbers.negative.sort_unstable_by_key(|bin| bin.index);
        let count = numbers.count.max(1) as f64;
        numbers.mean = origin + sum / count;
        numbers.m2 = (squares - sum * sum / count).max(0.0);
        numbers
    }
}

/// What the values of a field are.
#[derive(Clone, Debug)]
pub(in crate::detect) enum Values {
    Numbers(Draw, Table),
    /// Shares of values by name.
    Categories(Vec<f64>),
    /// No value twice.
    Unique,
}

/// A field.
#[derive(Clone, Debug)]
pub(in crate::detect) struct Spec {
    pub(in crate::detect) name: String,
    pub(in crate::detect) values: Values,
    pub(in crate::detect) missing: f64,
    pub(in crate::detect) null: f64,
    /// The null rate varies from window to window: a beta distribution of this many trials.
    pub(in crate::detect) clumped: Option<f64>,
}

pub(in crate::detect) fn spec(name: &str, values: Values) -> Spec {
    Spec { name: name.to_owned(), values, missing: 0.0, null: 0.0, clumped: None }
}

pub(in crate::detect) fn numbers(draw: Draw) -> Values {
    let table = Table::of(&draw, 77);
    Values::Numbers(draw, table)
}

/// Shares that fall as 1/rank to a power.
pub(in crate::detect) fn zipf(values: usize, power: f64) -> Values {
    let raw: Vec<f64> = (1..=values).map(|rank| (rank as f64).powf(-power)).collect();
    let sum: f64 = raw.iter().sum();
    Values::Categories(raw.iter().map(|share| share / sum).collect())
}

impl Spec {
    pub(in crate::detect) fn window(&self, random: &mut Random, records: u64) -> FieldSummary {
        let present = records - random.binomial(records, self.missing);
        let null_rate = match self.clumped {
            Some(trials) => {
                let (a, b) = (random.gamma(self.null * trials), random.gamma((1.0 - self.null) * trials));
                a / (a + b)
            }
            None => self.null,
        };
        let null = random.binomial(present, null_rate);
        let n = present - null;
        let mut field =
            FieldSummary { path: format!("$.{}", self.name), records, present, null, ..Default::default() };
        if n == 0 {
            return field;
        }
        match &self.values {
            Values::Numbers(draw, table) => {
                field.number = n;
                field.numeric = Some(if n <= 1_000 || table.cells.is_empty() {
                    let mut numbers = Numbers::default();
                    (0..n).for_each(|_| numbers.add(draw.draw(random)));
                    numbers.summary()
                } else {
                    table.draw(random, n)
                });
                // What is listed of numbers that hardly repeat.
                field.top = Some(TopSummary { values: Vec::new(), floor: n / 64 });
            }
            Values::Categories(shares) => {
                field.string = n;
                let (mut left, mut share_left) = (n, 1.0);
                let mut counted: Vec<TopValue> = Vec::new();
                for (at, share) in shares.iter().enumerate() {
                    let count = random.binomial(left, (share / share_left).min(1.0));
                    left -= count;
                    share_left = (share_left - share).max(1e-12);
                    if count > 0 {
                        counted.push(TopValue { value: format!("v{at:04}"), count, error: 0 });
                    }
                }
                let mut hashes: Vec<u64> =
                    counted.iter().map(|v| crate::profile::hash::text(&v.value)).collect();
                hashes.sort_unstable();
                let mut distinct = DistinctSummary { precision: 12, hashes, registers: Vec::new() };
                if distinct.hashes.len() > 256 {
                    distinct.make_dense();
                }
                field.distinct = Some(distinct);
                let mut top = TopSummary { values: counted, floor: 0 };
                top.cut(64);
                field.top = Some(top);
            }
            Values::Unique => {
                field.string = n;
                let mut distinct = DistinctSummary { precision: 12, ..Default::default() };
                distinct.make_dense();
                (0..n).for_each(|_| crate::merge::raise(&mut distinct.registers, random.next() ^ HASH));
                field.distinct = Some(distinct);
                field.top = Some(TopSummary { values: Vec::new(), floor: n / 64 });
            }
        }
        field
    }
}

/// Other seeds than those that constants were chosen on (from 0 on); `TAPLINE_SIMULATION_SEEDS` tries
/// others still.
fn other_seeds() -> u64 {
    std::env::var("TAPLINE_SIMULATION_SEEDS").ok().and_then(|from| from.parse().ok()).unwrap_or(50_000)
}

/// A topic being watched.
pub(in crate::detect) struct Topic {
    pub(in crate::detect) random: Random,
    pub(in crate::detect) fields: Vec<Spec>,
    pub(in crate::detect) detectors: Detectors,
    pub(in crate::detect) settings: Settings,
    pub(in crate::detect) now_ms: i64,
    /// Opened and ended, in order.
    pub(in crate::detect) told: Vec<Observation>,
}

impl Topic {
    pub(in crate::detect) fn new(seed: u64, fields: Vec<Spec>, settings: Settings) -> Self {
        let random = Random::new(seed + other_seeds());
        Self {
            random,
            fields,
            detectors: Detectors::default(),
            settings,
            now_ms: MONDAY_MS,
            told: Vec::new(),
        }
    }

    /// A window of so many records.
    pub(in crate::detect) fn window(&mut self, records: u64) {
        let root = FieldSummary {
            path: "$".to_owned(),
            records,
            present: records,
            object: records,
            ..FieldSummary::default()
        };
        let mut fields = vec![root];
        for spec in &self.fields {
            fields.push(spec.window(&mut self.random, records));
        }
        fields.retain(|field| field.present > 0);
        fields.sort_by(|a, b| a.path.cmp(&b.path));
        let summary = PaneSummary { read: records, examined: records, fields, ..PaneSummary::default() };
        self.pane(&summary);
    }

    pub(in crate::detect) fn pane(&mut self, summary: &PaneSummary) {
        let to_ms = self.now_ms + self.settings.window_ms;
        let mut told = self.detectors.pane(self.now_ms, to_ms, summary, &self.settings);
        told.extend(self.detectors.pass(to_ms, &self.settings));
        self.told.extend(told.into_iter().filter(|o| o.what != What::Ongoing));
        self.now_ms = to_ms;
    }

    /// Windows of as many records as `volume` says of their beginning.
    pub(in crate::detect) fn run(&mut self, windows: usize, volume: impl Fn(&mut Random, i64) -> u64) {
        for _ in 0..windows {
            let records = volume(&mut self.random, self.now_ms);
            self.window(records);
        }
    }

    /// Findings opened so far.
    pub(in crate::detect) fn opened(&self) -> Vec<&Observation> {
        self.told.iter().filter(|o| o.what == What::Opened).collect()
    }
}

/// Fifty fields of every kind.
pub(in crate::detect) fn fifty() -> Vec<Spec> {
    let mut fields = Vec::new();
    let mut add = |values: Values, missing: f64, null: f64, clumped: Option<f64>| {
        let name = format!("f{:02}", fields.len());
        fields.push(Spec { name, values, missing, null, clumped });
    };
    for i in 0..6 {
        let mean = [0.0, 10.0, 100.0, 1e4, 1e9, -50.0][i];
        add(numbers(Draw::Normal { mean, deviation: 5.0 }), 0.0, 0.01 * i as f64, None);
    }
    for i in 0..5 {
        add(numbers(Draw::LogNormal { sigma: 0.3 + 0.6 * i as f64 }), 0.02 * i as f64, 0.0, None);
    }
    for i in 0..5 {
        add(numbers(Draw::Pareto { tail: 0.8 + 0.4 * i as f64 }), 0.0, 0.005, None);
    }
    add(numbers(Draw::Cauchy), 0.0, 0.0, None);
    add(numbers(Draw::Exponential), 0.3, 0.0, None);
    for i in 0..4 {
        add(numbers(Draw::Counts { mean: [0.1, 1.0, 7.0, 300.0][i] }), 0.0, 0.0, None);
    }
    for i in 0..12 {
        let values = [2, 2, 3, 4, 5, 8, 12, 20, 40, 60, 100, 400][i];
        add(zipf(values, 0.5 + 0.1 * i as f64), 0.0, 0.002 * i as f64, None);
    }
    for i in 0..8 {
        let null = [0.001, 0.005, 0.02, 0.1, 0.3, 0.5, 0.9, 0.99][i];
        add(zipf(5, 1.0), 0.0, null, None);
    }
    for i in 0..4 {
        let null = [0.005, 0.05, 0.2, 0.5][i];
        add(zipf(3, 1.0), 0.0, null, Some(40.0));
    }
    for i in 0..4 {
        let missing = [0.0005, 0.003, 0.05, 0.997][i];
        add(zipf(6, 1.5), missing, 0.0, None);
    }
    fields
}
