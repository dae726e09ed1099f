//! Writing families of series: what is unknown is left out, never written as 0 or NaN.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use checks::report::{CLASSIC_SECONDS, Histogram};
use prometheus_client::encoding::{
    CounterValueEncoder, DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, GaugeValueEncoder,
    NativeHistogram, NativeHistogramBuckets, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::labels::Labels;

/// The kinds of series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up; its name ends in `_total`.
    Counter,
    /// Native and classic buckets, in seconds.
    Histogram,
    /// Always 1; its labels are what it says. Its name ends in `_info`.
    Info,
}

/// One entry of the table of series: its full name as Prometheus shows it, kind, help, and (by
/// its type) labels.
#[derive(Debug)]
pub struct Desc<L> {
    /// Full name.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// One sentence without its full stop.
    pub help: &'static str,
    /// Its labels.
    pub labels: PhantomData<fn() -> L>,
}

/// The units that OpenMetrics is told of: a family of such a unit has it at the end of its name.
const UNITS: [&str; 4] = ["seconds", "bytes", "ratio", "records"];

/// Splits a full name into what the encoder wants: the stem without what it appends itself.
fn stem_and_unit(name: &'static str, kind: Kind) -> (&'static str, Option<Unit>) {
    let stem = match kind {
        Kind::Counter => name.strip_suffix("_total").unwrap_or(name),
        Kind::Info => name.strip_suffix("_info").unwrap_or(name),
        Kind::Gauge | Kind::Histogram => name,
    };
    for unit in UNITS {
        if let Some(rest) = stem.strip_suffix(unit).and_then(|rest| rest.strip_suffix('_')) {
            return (rest, Some(Unit::Other(unit.to_owned())));
        }
    }
    (stem, None)
}

/// A number as it is: integers stay integers in the text formats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Signed.
    Int(i64),
    /// Unsigned.
    Uint(u64),
    /// Anything else; NaN and infinities are left out.
    Float(f64),
}

impl Number {
    fn is_known(self) -> bool {
        !matches!(self, Self::Float(value) if !value.is_finite())
    }

    /// The nearest float.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Uint(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

macro_rules! number_from {
    ($($from:ty => $variant:ident as $to:ty),* $(,)?) => { $(
        impl From<$from> for Number {
            fn from(value: $from) -> Self {
                Self::$variant(value as $to)
            }
        }
    )* };
}

number_from!(i64 => Int as i64, u64 => Uint as u64, u32 => Uint as u64, usize => Uint as u64, f64 => Float as f64);

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Uint(u64::from(value))
    }
}

impl EncodeGaugeValue for Number {
    fn encode(&self, encoder: &mut GaugeValueEncoder) -> fmt::Result {
        match self {
            Self::Int(value) => EncodeGaugeValue::encode(value, encoder),
            Self::Uint(value) => EncodeGaugeValue::encode(value, encoder),
            Self::Float(value) => EncodeGaugeValue::encode(value, encoder),
        }
    }
}

impl EncodeCounterValue for Number {
    fn encode(&self, encoder: &mut CounterValueEncoder) -> fmt::Result {
        match self {
            Self::Int(value) => EncodeCounterValue::encode(&(*value as f64), encoder),
            Self::Uint(value) => EncodeCounterValue::encode(value, encoder),
            Self::Float(value) => EncodeCounterValue::encode(value, encoder),
        }
    }
}

/// Where an exemplar belongs: the crate can't be handed one for a histogram made elsewhere (its
/// fields are private), so they are put in after encoding, by position.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedExemplar {
    /// The how manieth histogram of its family.
    pub sample: usize,
    /// The how manieth bucket.
    pub bucket: usize,
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// The observation.
    pub seconds: f64,
    /// When, ms since the epoch.
    pub at_ms: i64,
}

/// Exemplars by family.
pub type Exemplars = BTreeMap<&'static str, Vec<PlacedExemplar>>;

/// The exposition being written.
#[derive(Debug)]
pub struct Out<'e> {
    encoder: DescriptorEncoder<'e>,
    /// Those of the histograms written so far.
    pub exemplars: Exemplars,
}

impl<'e> Out<'e> {
    /// An empty one.
    pub fn new(encoder: DescriptorEncoder<'e>) -> Self {
        Self { encoder, exemplars: Exemplars::new() }
    }

    /// Writes gauges, counters or infos. A family without a known sample is left out.
    pub fn family<L: Labels, N: Into<Number>>(
        &mut self,
        desc: &Desc<L>,
        samples: impl IntoIterator<Item = (L, N)>,
    ) -> fmt::Result {
        let mut samples =
            samples.into_iter().map(|(l, n)| (l, n.into())).filter(|(_, n)| n.is_known()).peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let (stem, unit) = stem_and_unit(desc.name, desc.kind);
        let kind = match desc.kind {
            Kind::Gauge => MetricType::Gauge,
            Kind::Counter => MetricType::Counter,
            Kind::Info => MetricType::Info,
            Kind::Histogram => MetricType::Histogram,
        };
        let mut family = self.encoder.encode_descriptor(stem, desc.help, unit.as_ref(), kind)?;
        for (labels, number) in samples {
            match desc.kind {
                // An empty label set would be written as `{}`.
                Kind::Gauge if L::NAMES.is_empty() => family.encode_gauge(&number)?,
                Kind::Gauge => family.encode_family(&labels)?.encode_gauge(&number)?,
                Kind::Counter => {
                    family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&number, None)?;
                }
                Kind::Info => family.encode_info(&labels)?,
                Kind::Histogram => return Err(fmt::Error),
            }
        }
        Ok(())
    }

    /// Writes histograms: native where the format has them, classic everywhere.
    pub fn histograms<'h, L: Labels>(
        &mut self,
        desc: &Desc<L>,
        samples: impl IntoIterator<Item = (L, &'h Histogram)>,
    ) -> fmt::Result {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let (stem, unit) = stem_and_unit(desc.name, desc.kind);
        let mut family =
            self.encoder.encode_descriptor(stem, desc.help, unit.as_ref(), MetricType::Histogram)?;
        for (sample, (labels, histogram)) in samples.enumerate() {
            let (spans, deltas) = spans_and_deltas(histogram);
            family.encode_family(&labels)?.encode_histogram_with_native::<NoLabelSet>(
                histogram.sum_ns as f64 / 1e9,
                histogram.count,
                &classic(histogram),
                None,
                NativeHistogram {
                    schema: NATIVE_SCHEMA,
                    zero_threshold: ZERO_THRESHOLD,
                    zero_count: histogram.zeros,
                    negative: NativeHistogramBuckets { spans: &[], deltas: &[] },
                    positive: NativeHistogramBuckets { spans: &spans, deltas: &deltas },
                    created: None,
                },
            )?;
            if let Some(exemplar) = place(sample, histogram) {
                self.exemplars.entry(desc.name).or_default().push(exemplar);
            }
        }
        Ok(())
    }
}

/// Eight buckets a doubling, as [`Histogram::native`] has them.
const NATIVE_SCHEMA: i32 = 3;

/// 2^-128: what Prometheus' own clients use. Not 0, so that an empty histogram is a native one too.
const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;

/// The classic buckets with their bounds, +Inf last.
fn classic(histogram: &Histogram) -> Vec<(f64, u64)> {
    let bounds = CLASSIC_SECONDS.into_iter().chain([f64::INFINITY]);
    bounds.enumerate().map(|(i, bound)| (bound, histogram.classic.get(i).copied().unwrap_or(0))).collect()
}

/// The native buckets as runs of neighbours and differences between them (the exposition format's
/// `BucketSpan`): the first run's offset is its index, a later one's its distance from the last.
fn spans_and_deltas(histogram: &Histogram) -> (Vec<(i32, u32)>, Vec<i64>) {
    let mut spans: Vec<(i32, u32)> = Vec::new();
    let mut deltas = Vec::with_capacity(histogram.native.len());
    let mut next = 0i32;
    let mut before = 0i64;
    for bin in &histogram.native {
        match spans.last_mut() {
            Some(run) if bin.index == next => run.1 += 1,
            _ => spans.push((bin.index.saturating_sub(next), 1)),
        }
        next = bin.index.saturating_add(1);
        let count = i64::try_from(bin.count).unwrap_or(i64::MAX);
        deltas.push(count.saturating_sub(before));
        before = count;
    }
    (spans, deltas)
}

fn place(sample: usize, histogram: &Histogram) -> Option<PlacedExemplar> {
    let exemplar = histogram.exemplar.as_ref()?;
    if !exemplar.seconds.is_finite() || exemplar.trace_id.len() != 16 {
        return None;
    }
    let bucket = CLASSIC_SECONDS.iter().position(|bound| exemplar.seconds <= *bound);
    Some(PlacedExemplar {
        sample,
        bucket: bucket.unwrap_or(CLASSIC_SECONDS.len()),
        trace_id: crate::export::hex(&exemplar.trace_id),
        seconds: exemplar.seconds,
        at_ms: exemplar.at_ms,
    })
}

#[cfg(test)]
mod tests {
    use checks::report::Bin;

    use super::*;

    fn native(bins: &[(i32, u64)]) -> Histogram {
        Histogram {
            native: bins.iter().map(|&(index, count)| Bin { index, count }).collect(),
            ..Histogram::default()
        }
    }

    #[test]
    fn native_buckets_become_runs_and_differences() {
        let (spans, deltas) = spans_and_deltas(&native(&[(-3, 5), (-2, 7), (4, 1), (5, 1)]));
        assert_eq!(spans, [(-3, 2), (5, 2)]);
        assert_eq!(deltas, [5, 2, -6, 0]);
        assert_eq!(spans_and_deltas(&native(&[])), (vec![], vec![]));
    }

    #[test]
    fn names_are_split_as_the_encoder_joins_them() {
        let unit = |u: &str| Some(Unit::Other(u.to_owned()));
        for (name, kind, stem, expected) in [
            ("tapline_a_lag_records", Kind::Gauge, "tapline_a_lag", unit("records")),
            ("tapline_cpu_seconds_total", Kind::Counter, "tapline_cpu", unit("seconds")),
            ("tapline_records_read_total", Kind::Counter, "tapline_records_read", None),
            ("tapline_build_info", Kind::Info, "tapline_build", None),
        ] {
            let (got, got_unit) = stem_and_unit(name, kind);
            assert_eq!(got, stem);
            assert_eq!(got_unit.map(|u| u.as_str().to_owned()), expected.map(|u| u.as_str().to_owned()));
        }
    }
}
