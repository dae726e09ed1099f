//! What examining a record costs: decode, schema, ten checks and the whole profile, on one core, beside an assembly of
//! well-kept crates in the same run.
//!
//! `cargo bench --workspace --bench examine`; see docs/performance.md. Both take the same records in turns, in panes of
//! so many; what they counted is held against each other before any figure is shown.

mod clock;
mod naive;
mod orders;

use std::hint::black_box;

use anyhow::{Context as _, Result, ensure};
use checks::examine::{Accumulator, Decoded, Examiner, Times};
use checks::limits::Limits;
use checks::record::{RecordView, Timestamp};
use checks::report::PaneSummary;
use checks::rules::{CheckFile, Loader};
use checks::tape::{Tape, json};

use clock::{median, timed};
use naive::{Naive, alike};

/// Records of a pane.
const PANE: usize = 20_000;
/// When they were written.
const NOW_MS: i64 = 1_764_000_000_000;
/// Panes of each, in turns.
const ROUNDS: usize = 15;

/// Ours: what the agent does with a record, from its bytes to the pane.
struct Ours {
    examiner: Examiner,
    tape: Tape,
    limits: Limits,
}

impl Ours {
    fn new(checks: &str, schema: &str) -> Result<Self> {
        let limits = Limits::default();
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("order.json"), schema)?;
        let path = folder.path().join("orders.yaml");
        let file =
            CheckFile::parse(&path, checks, &Loader::files(&limits)).map_err(|e| anyhow::anyhow!("{e}"))?;
        let examiner = Examiner::new(file.for_topic("orders"), &limits)?;
        Ok(Self { examiner, tape: Tape::new(), limits })
    }

    fn decode(&mut self, parser: Parser, payload: &[u8]) -> Result<()> {
        let (shape, tape, limits) = (self.examiner.shape_mut(), &mut self.tape, &self.limits);
        let decoded = match parser {
            Parser::Own => json::decode(payload, shape, tape, limits),
            Parser::SerdeJson => {
                let mut parser = serde_json::Deserializer::from_slice(payload);
                json::decode_by(&mut parser, payload, shape, tape, limits)
            }
            Parser::SonicRs => {
                let mut parser = sonic_rs::Deserializer::from_slice(payload);
                json::decode_by(&mut parser, payload, shape, tape, limits)
            }
        };
        black_box(decoded).map(drop).map_err(|failure| anyhow::anyhow!("{failure}"))
    }

    /// Nanoseconds a record, and what came of it.
    fn pane(&mut self, records: &[String]) -> Result<(f64, Accumulator, PaneSummary)> {
        let mut pane = self.examiner.accumulator();
        let ns = timed(records.len(), || {
            records.iter().enumerate().for_each(|(at, r)| self.take(at, r.as_bytes(), &mut pane));
            Ok(())
        })?;
        let summary = self.examiner.summary(&pane);
        Ok((ns, pane, summary))
    }

    fn take(&mut self, offset: usize, payload: &[u8], pane: &mut Accumulator) {
        let record = RecordView {
            topic: "orders",
            partition: 0,
            offset: offset as i64,
            timestamp: Timestamp::Created(NOW_MS),
            key: None,
            value: Some(payload),
            headers: &[],
        };
        pane.read(&record, Times::own(NOW_MS, false));
        let decoded = match json::decode(payload, self.examiner.shape_mut(), &mut self.tape, &self.limits) {
            Ok(document) => Decoded::Document(document),
            Err(failure) => Decoded::Failed(failure),
        };
        self.examiner.examine(&record, decoded, None, pane);
    }
}

/// Whose parser fills the tape.
#[derive(Clone, Copy)]
enum Parser {
    Own,
    SerdeJson,
    SonicRs,
}

/// What of the work is done.
const STAGES: [(&str, &str); 6] = [
    ("decode by serde_json", ""),
    ("decode by sonic-rs", ""),
    ("decode", ""),
    ("and profile", "version: 1\ntopic: orders\ndecode: { value: json }\n"),
    ("and ten checks, one of them the schema", orders::CHECKS),
    ("naive", ""),
];

fn main() -> Result<()> {
    // `cargo bench` adds `--bench`.
    let only: Option<String> = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let records = orders::orders(PANE);
    let bytes: usize = records.iter().map(String::len).sum();
    let mut figures: Vec<Vec<f64>> = vec![Vec::new(); STAGES.len()];
    let mut decoder = Ours::new(orders::CHECKS, orders::SCHEMA)?;
    let mut profiler = Ours::new(STAGES[3].1, orders::SCHEMA)?;
    let mut ours = Ours::new(orders::CHECKS, orders::SCHEMA)?;
    for round in 0..ROUNDS {
        for (stage, (name, _)) in STAGES.iter().enumerate() {
            if only.as_ref().is_some_and(|only| only != name) {
                continue;
            }
            let ns = match stage {
                0..=2 => {
                    let parser = [Parser::SerdeJson, Parser::SonicRs, Parser::Own][stage];
                    timed(PANE, || records.iter().try_for_each(|r| decoder.decode(parser, r.as_bytes())))?
                }
                3 => {
                    let (ns, pane, summary) = profiler.pane(&records)?;
                    if round == 0 {
                        let leaves = summary.fields.iter().filter(|field| field.distinct.is_some()).count();
                        let bytes = pane.approximate_bytes() / leaves;
                        say(&format!("{leaves} leaves, {bytes} bytes each in a full pane"));
                    }
                    ns
                }
                4 => {
                    let (ns, _, summary) = ours.pane(&records)?;
                    if round == 0 {
                        let mut naive = Naive::new(orders::SCHEMA)?;
                        records.iter().try_for_each(|r| naive.take(r.as_bytes()))?;
                        hold_against_each_other(&summary, &naive)?;
                    }
                    ns
                }
                _ => {
                    let mut naive = Naive::new(orders::SCHEMA)?;
                    timed(PANE, || records.iter().try_for_each(|r| naive.take(r.as_bytes())))?
                }
            };
            figures[stage].extend((round > 0).then_some(ns));
        }
    }
    say(&format!("{PANE} orders of {} bytes, {} panes of each\n", bytes / PANE, ROUNDS - 1));
    say("| | ns a record | records a second |\n|---|---|---|");
    let mut medians = Vec::new();
    for ((name, _), figures) in STAGES.iter().zip(figures).filter(|(_, figures)| !figures.is_empty()) {
        let ns = median(figures);
        say(&format!("| {name} | {ns:.0} | {:.0} |", 1e9 / ns));
        medians.push(ns);
    }
    if let [.., ours, naive] = medians.as_slice() {
        say(&format!("\nratio {:.2}", naive / ours));
    }
    Ok(())
}

/// Both have seen the same.
fn hold_against_each_other(summary: &PaneSummary, naive: &Naive) -> Result<()> {
    alike(summary, &naive.fields)?;
    let ids = [
        "schema-valid",
        "decodes",
        "amount-range",
        "status-known",
        "currency-form",
        "quantity",
        "email-present",
        "email-null",
        "country-length",
        "ids-unique",
    ];
    for (id, other) in ids.iter().zip(naive.tallies) {
        let ours = summary.rule(id).with_context(|| (*id).to_owned())?;
        ensure!((ours.checked, ours.failed) == other, "{id}: {} of {}, {other:?}", ours.failed, ours.checked);
    }
    Ok(())
}

#[allow(clippy::print_stdout, reason = "its output is what it is for")]
fn say(line: &str) {
    println!("{line}");
}
