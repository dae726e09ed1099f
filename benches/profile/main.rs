//! What a profile costs beside the JSON of the bench `examine`: of Avro, to merge, and in memory.
//!
//! `cargo bench --workspace --bench profile -- [avro|merge|memory]`; see docs/performance.md. CPU time of one thread;
//! memory is that of a process of its own, which this one starts.

#[path = "../examine/clock.rs"]
mod clock;
#[path = "../examine/naive.rs"]
#[allow(dead_code, reason = "the JSON half of it")]
mod naive;
mod naive_avro;
#[path = "../examine/orders.rs"]
#[allow(dead_code, reason = "checks and schema are not held here")]
mod orders;

use std::hint::black_box;
use std::process::Command;

use agent::decode::Avro;
use anyhow::{Context as _, Result, bail, ensure};
use apache_avro::Schema;
use checks::examine::{Accumulator, Decoded, Examiner, Times};
use checks::limits::Limits;
use checks::record::{RecordView, Timestamp};
use checks::report::PaneSummary;
use checks::rules::CheckSet;
use checks::tape::{Tape, json};
use clock::{median, timed};
use naive::alike;
use naive_avro::NaiveAvro;

/// Records of a pane.
const PANE: usize = 20_000;
/// Panes of each, in turns; the first is not counted.
const ROUNDS: usize = 11;
/// Topics of the memory bench.
const TOPICS: usize = 200;
/// When the records were written.
const NOW_MS: i64 = 1_764_000_000_000;

fn main() -> Result<()> {
    // `cargo bench` adds `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    match wanted.first().map(String::as_str) {
        None => [avro, merge, memory].iter().try_for_each(|bench| bench()),
        Some("avro") => avro(),
        Some("merge") => merge(),
        Some("memory") => memory(),
        Some("topics") => topics(wanted.get(1).context("how many")?.parse()?),
        Some(other) => bail!("{other}: avro, merge or memory"),
    }
}

/// An agent's work on one topic, without rules.
struct Topic {
    examiner: Examiner,
    tape: Tape,
    limits: Limits,
}

impl Topic {
    fn new(name: &str) -> Result<Self> {
        let limits = Limits::default();
        let examiner = Examiner::new(CheckSet::default().for_topic(name), &limits)?;
        Ok(Self { examiner, tape: Tape::new(), limits })
    }

    fn record<'a>(offset: usize, payload: &'a [u8]) -> RecordView<'a> {
        RecordView {
            topic: "orders",
            partition: 0,
            offset: offset as i64,
            timestamp: Timestamp::Created(NOW_MS),
            key: None,
            value: Some(payload),
            headers: &[],
        }
    }

    fn take_avro(&mut self, at: usize, payload: &[u8], avro: &Avro, pane: &mut Accumulator) {
        let record = Self::record(at, payload);
        pane.read(&record, Times::own(NOW_MS, false));
        let decoded = avro.decode(payload, self.examiner.shape_mut(), &mut self.tape, &self.limits);
        let decoded = decoded.map_or_else(Decoded::Failed, Decoded::Document);
        self.examiner.examine(&record, decoded, None, pane);
    }

    fn take_json(&mut self, at: usize, payload: &[u8], pane: &mut Accumulator) {
        let record = Self::record(at, payload);
        pane.read(&record, Times::own(NOW_MS, false));
        let decoded = json::decode(payload, self.examiner.shape_mut(), &mut self.tape, &self.limits);
        let decoded = decoded.map_or_else(Decoded::Failed, Decoded::Document);
        self.examiner.examine(&record, decoded, None, pane);
    }
}

fn avro() -> Result<()> {
    let schema = Schema::parse_str(naive_avro::SCHEMA)?;
    let plan = Avro::compile(naive_avro::SCHEMA).map_err(anyhow::Error::msg)?;
    let records = naive_avro::encoded(&schema, &orders::orders(PANE))?;
    let bytes: usize = records.iter().map(Vec::len).sum();
    let mut topic = Topic::new("orders")?;
    let [mut ours, mut theirs] = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        let mut pane = topic.examiner.accumulator();
        let of_ours = timed(PANE, || {
            records.iter().enumerate().for_each(|(at, r)| topic.take_avro(at, r, &plan, &mut pane));
            Ok(())
        })?;
        let mut naive = NaiveAvro::default();
        let of_theirs = timed(PANE, || records.iter().try_for_each(|r| naive.take(&schema, r)))?;
        if round == 0 {
            let summary = topic.examiner.summary(&pane);
            ensure!(summary.decode_failures.is_empty(), "{:?}", summary.decode_failures);
            alike(&summary, &naive.fields)?;
            continue;
        }
        ours.push(of_ours);
        theirs.push(of_theirs);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    say(&format!("\n{PANE} Avro orders of {} bytes, decoded and profiled\n", bytes / PANE));
    say("| | ns a record | records a second |\n|---|---|---|");
    say(&format!("| tapline | {ours:.0} | {:.0} |", 1e9 / ours));
    say(&format!("| `apache-avro` and crates | {theirs:.0} | {:.0} |", 1e9 / theirs));
    say(&format!("\nratio {:.2}", theirs / ours));
    Ok(())
}

/// A full pane of orders.
fn full_pane(topic: &mut Topic, records: &[String]) -> Accumulator {
    let mut pane = topic.examiner.accumulator();
    records.iter().enumerate().for_each(|(at, r)| topic.take_json(at, r.as_bytes(), &mut pane));
    pane
}

fn merge() -> Result<()> {
    let mut topic = Topic::new("orders")?;
    let records = orders::orders(2 * PANE);
    let panes: Vec<PaneSummary> = records
        .chunks(PANE)
        .map(|part| {
            let pane = full_pane(&mut topic, part);
            topic.examiner.summary(&pane)
        })
        .collect();
    let [first, second] = panes.as_slice() else { bail!("two panes") };
    let fields = first.fields.len();
    // A window of many panes: the first is copied, the others are merged into it.
    const MERGES: usize = 200;
    let mut figures = Vec::new();
    for round in 0..ROUNDS {
        let mut window = first.clone();
        let ns = timed(MERGES, || {
            (0..MERGES).for_each(|_| window.merge(black_box(second)));
            Ok(())
        })?;
        ensure!(window.read == ((MERGES + 1) * PANE) as u64, "{} records", window.read);
        figures.extend((round > 0).then_some(ns));
    }
    let pane = full_pane(&mut topic, &records[..PANE]);
    say(&format!(
        "\na pane of {fields} fields is merged into a window in {:.1} us; in the agent it takes {} bytes a field",
        median(figures) / 1e3,
        pane.approximate_bytes() / fields
    ));
    Ok(())
}

fn memory() -> Result<()> {
    let of = |count: usize| -> Result<(f64, String)> {
        let own = std::env::current_exe()?;
        let output = Command::new(own).args(["topics", &count.to_string()]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout)?;
        let (kib, rest) = text.trim().split_once(' ').context("two words")?;
        Ok((kib.parse::<f64>()? / 1024.0, rest.to_owned()))
    };
    let (none, _) = of(0)?;
    let (all, fields) = of(TOPICS)?;
    say(&format!(
        "\n{TOPICS} topics with a full pane of {fields} fields each: {all:.0} MiB resident at most, of which {none:.0} MiB \
         are the program and its records; {:.1} KiB a field",
        (all - none) * 1024.0 / (TOPICS as f64 * fields.parse::<f64>()?)
    ));
    Ok(())
}

/// In a process of its own: as many topics, each with a full pane. Prints the peak of its memory and the fields a topic.
fn topics(count: usize) -> Result<()> {
    let records = orders::orders(5_000);
    let mut fields = 0;
    let mut held = Vec::new();
    for number in 0..count {
        let mut topic = Topic::new(&format!("topic-{number}"))?;
        let pane = full_pane(&mut topic, &records);
        fields = topic.examiner.summary(&pane).fields.len();
        held.push((topic, pane));
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    say(&format!("{} {fields}", peak.split_whitespace().next().context("KiB")?));
    drop(held);
    Ok(())
}

#[allow(clippy::print_stdout, reason = "its output is what it is for")]
fn say(line: &str) {
    println!("{line}");
}
