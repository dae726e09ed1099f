//! Scrapes once a second, and holds every figure against the books.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{Metrics, Sample, Tapline};

use crate::books::{Books, Partition, Place};

/// In quiet times nothing shown is older than this: the interval, a refresh, and a machine that is busy.
const QUIET_AGE: Duration = Duration::from_secs(6);
/// So long after the cluster is whole again things may still be settling: one request that waited for a broker that
/// hung, and a new connection.
pub(crate) const SETTLING: Duration = Duration::from_secs(25);

/// Series that must never vanish, and what they are.
const LASTING: [&str; 7] = [
    "tapline_group_lag_records",
    "tapline_group_stable_lag_records",
    "tapline_group_committed_offset",
    "tapline_group_topic_lag_records",
    "tapline_group_topic_lag_seconds",
    "tapline_partition_end_offset",
    "tapline_group_stale_seconds",
];

/// Name and labels.
type Series = (String, BTreeMap<String, String>);

#[derive(Debug, Default)]
struct Seen {
    scrapes: u64,
    figures: u64,
    quiet: u64,
    stale_max: f64,
    lag_max: f64,
    /// Value and series of every counter.
    counters: BTreeMap<Series, f64>,
    lasting: BTreeSet<Series>,
    /// Since when the cluster is being disturbed, and by what.
    disturbed: Option<(Instant, String)>,
    /// When the last disturbance began, and when it was over.
    over: Option<(Instant, Instant)>,
}

/// Judges scrapes.
#[derive(Debug)]
pub(crate) struct Observer {
    books: Arc<Books>,
    seen: Mutex<Seen>,
}

impl Observer {
    pub(crate) fn new(books: Arc<Books>) -> Self {
        Self { books, seen: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A blow is about to fall.
    pub(crate) fn disturb(&self, what: &str) {
        let mut seen = self.open();
        let now = Instant::now();
        // What began while things were still settling began then.
        let began = match seen.over {
            Some((began, over)) if now.duration_since(over) < SETTLING => began,
            _ => now,
        };
        seen.disturbed = Some((began, what.to_owned()));
    }

    /// The cluster is whole again.
    pub(crate) fn calm(&self) {
        let mut seen = self.open();
        if let Some((began, _)) = seen.disturbed.take() {
            seen.over = Some((began, Instant::now()));
        }
    }

    pub(crate) fn summary(&self) -> String {
        let seen = self.open();
        format!(
            "{} scrapes ({} in quiet times), {} figures held against the books, largest lag {}, oldest commits shown {} s",
            seen.scrapes, seen.quiet, seen.figures, seen.lag_max, seen.stale_max
        )
    }

    /// Scrapes until something is wrong.
    pub(crate) async fn watch(&self, tapline: &Tapline) -> Result<()> {
        let mut every = tokio::time::interval(Duration::from_secs(1));
        loop {
            every.tick().await;
            let before = Instant::now();
            let text = tapline.text("/metrics").await?;
            let metrics = Metrics::parse(&text)?;
            let blow = self.open().disturbed.clone().map(|(_, what)| what);
            self.judge(&metrics, before, Instant::now())
                .with_context(|| format!("during {blow:?}; Tapline said\n{}", tail(&tapline.log())))?;
        }
    }

    /// Since when what is shown may have been read, and whether these are quiet times.
    fn horizon(&self, before: Instant) -> (Instant, bool) {
        let seen = self.open();
        let unsettled = match (&seen.disturbed, &seen.over) {
            (Some((began, _)), _) => Some(*began),
            (None, Some((began, over))) if before.duration_since(*over) < SETTLING => Some(*began),
            _ => None,
        };
        (unsettled.unwrap_or(before) - QUIET_AGE, unsettled.is_none())
    }

    fn judge(&self, metrics: &Metrics, before: Instant, after: Instant) -> Result<()> {
        let (from, quiet) = self.horizon(before);
        let mut judged = 0;
        let mut lag_max: f64 = 0.0;
        for sample in metrics.samples() {
            match sample.name.as_str() {
                "tapline_group_committed_offset" => {
                    let (low, high) = self.committed(sample, from, after)?;
                    within(sample, low, high)?;
                    self.not_older_than_it_says(metrics, sample, before)?;
                }
                "tapline_partition_end_offset" => {
                    let Some(partition) = partition(sample) else { continue };
                    let (low, high) = self.books.end(&partition, from, after);
                    within(sample, low, high)?;
                }
                "tapline_group_lag_records" | "tapline_group_stable_lag_records" => {
                    let (low, high) = self.lag(sample, from, after)?;
                    within(sample, low, high)?;
                    lag_max = lag_max.max(sample.value);
                }
                "tapline_group_topic_lag_records" => {
                    let (mut low, mut high) = (0, 0);
                    for place in self.books.places().iter().filter(|p| of_topic(sample, p)) {
                        let (l, h) = self.lag_of(place, from, after)?;
                        low += l;
                        high += h;
                    }
                    within(sample, low, high)?;
                }
                "tapline_group_topic_lag_seconds" => {
                    let places = self.books.places();
                    let mut of_topic = places.iter().filter(|p| of_topic(sample, p));
                    let lags: Result<Vec<_>> =
                        of_topic.by_ref().map(|p| self.lag_of(p, from, after)).collect();
                    let never_caught_up = lags?.iter().any(|(low, _)| *low > 0);
                    ensure!(sample.value > 0.0 || !never_caught_up, "records wait: {sample:?}");
                    ensure!(sample.value >= 0.0 && sample.value < 86_400.0, "no age: {sample:?}");
                }
                "tapline_group_unknown_partitions" => {
                    ensure!(!sample.labels["group"].starts_with("chaos"), "all is known: {sample:?}");
                }
                "tapline_group_stale_seconds" => {
                    ensure!(
                        !quiet || sample.value < QUIET_AGE.as_secs_f64(),
                        "nothing is wrong, and yet it is old: {sample:?}"
                    );
                    let mut seen = self.open();
                    seen.stale_max = seen.stale_max.max(sample.value);
                    continue;
                }
                _ => continue,
            }
            judged += 1;
        }
        let mut seen = self.open();
        seen.scrapes += 1;
        seen.quiet += u64::from(quiet);
        seen.figures += judged;
        seen.lag_max = seen.lag_max.max(lag_max);
        seen.lasts(metrics)
    }

    fn committed(&self, sample: &Sample, from: Instant, to: Instant) -> Result<(i64, i64)> {
        let place = place(sample).with_context(|| format!("no place: {sample:?}"))?;
        self.books.commit(&place, from, to).with_context(|| format!("was there a commit? {sample:?}"))
    }

    fn lag(&self, sample: &Sample, from: Instant, to: Instant) -> Result<(i64, i64)> {
        let place = place(sample).with_context(|| format!("no place: {sample:?}"))?;
        self.lag_of(&place, from, to)
    }

    /// The least lag is the lowest end before the highest commit.
    fn lag_of(&self, place: &Place, from: Instant, to: Instant) -> Result<(i64, i64)> {
        let (end_low, end_high) = self.books.end(&place.1, from, to);
        let commit = self.books.commit(place, from, to);
        let (commit_low, commit_high) = commit.with_context(|| format!("was there a commit? {place:?}"))?;
        Ok(((end_low - commit_high).max(0), end_high - commit_low))
    }

    /// A commit that is older than the ages say, its group's and its topic's, is a lie about them. (Where the ends can't
    /// be read, the commit shown is the one that they were last compared with.)
    fn not_older_than_it_says(&self, metrics: &Metrics, sample: &Sample, before: Instant) -> Result<()> {
        let group = [("group", sample.labels["group"].as_str())];
        let topic = [("topic", sample.labels["topic"].as_str())];
        let age = metrics.one("tapline_group_stale_seconds", &group)?;
        let age = age.max(metrics.one("tapline_topic_stale_seconds", &topic)?);
        // The scrape itself, and clocks in milliseconds.
        let read = before - Duration::from_secs_f64(age.max(0.0)) - Duration::from_millis(1500);
        let place = place(sample).context("a place")?;
        if let Some((low, _)) = self.books.commit(&place, read, read) {
            ensure!(
                sample.value >= low as f64,
                "{age} s old, but {low} was committed before that: {sample:?}"
            );
        }
        Ok(())
    }
}

impl Seen {
    /// No series that must last has gone, and no counter has fallen.
    fn lasts(&mut self, metrics: &Metrics) -> Result<()> {
        let mut now = BTreeSet::new();
        for sample in metrics.samples() {
            let series = (sample.name.clone(), sample.labels.clone());
            if sample.name.ends_with("_total") {
                let before = self.counters.insert(series.clone(), sample.value).unwrap_or(0.0);
                ensure!(sample.value >= before, "a counter fell from {before}: {sample:?}");
            }
            if LASTING.contains(&sample.name.as_str()) {
                ensure!(sample.value.is_finite(), "{sample:?}");
                now.insert(series);
            }
        }
        if let Some(gone) = self.lasting.difference(&now).next() {
            anyhow::bail!("a series has vanished: {gone:?}");
        }
        self.lasting = now;
        Ok(())
    }
}

fn within(sample: &Sample, low: i64, high: i64) -> Result<()> {
    let fits = sample.value >= low as f64 && sample.value <= high as f64;
    ensure!(fits, "{} {:?} is {}, not from {low} to {high}", sample.name, sample.labels, sample.value);
    Ok(())
}

fn partition(sample: &Sample) -> Option<Partition> {
    let topic = sample.labels.get("topic")?;
    let partition = sample.labels.get("partition")?.parse().ok()?;
    topic.starts_with("chaos").then(|| (topic.clone(), partition))
}

fn place(sample: &Sample) -> Option<Place> {
    Some((sample.labels.get("group")?.clone(), partition(sample)?))
}

fn of_topic(sample: &Sample, (group, (topic, _)): &Place) -> bool {
    sample.labels.get("group") == Some(group) && sample.labels.get("topic") == Some(topic)
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
