//! `tapline check CHECKFILE…`: a bounded piece of records judged by check files, as a gate.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use checks::limits::Limits;
use checks::merge::total;
use checks::offline::{self, Judged, Piece};
use checks::report::PaneSummary;
use checks::rules::{CheckSet, LoadError, Severity, TopicSelector};
use checks::verdict::Status;

use super::lint::{counted, look};
use super::source::{Source, SourceArgs, grouped, span_ms};
use super::{Outcome, colour, junit, printable, verdict_out};

/// What `tapline check` was asked.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Check files, or folders of them
    #[arg(required = true, value_name = "CHECKFILE")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// JSON, as documented in docs/checks.md
    #[arg(long)]
    pub(crate) json: bool,
    /// Write JUnit XML to this file too
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Failures of this severity and above make the exit code 1; those below are only shown
    #[arg(long, value_name = "SEVERITY", default_value = "info", value_parser = severity())]
    pub(crate) fail_on: Severity,
    /// Exit code 1 when a check is unknown, too
    #[arg(long)]
    pub(crate) strict: bool,
}

fn severity() -> impl clap::builder::TypedValueParser<Value = Severity> {
    use clap::builder::{PossibleValuesParser, TypedValueParser as _};
    let all = [Severity::Info, Severity::Warning, Severity::Error];
    PossibleValuesParser::new(all.map(Severity::as_str))
        .try_map(move |name| all.into_iter().find(|s| s.as_str() == name).ok_or("no such severity"))
}

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<Outcome> {
    let source = args.source.resolve()?;
    let inspection = look(&args.paths)?;
    let found = inspection.found;
    let Some(set) = inspection.set else { return Err(LoadError::Invalid(found).into()) };
    if !found.is_empty() {
        writeln!(std::io::stderr(), "{found}\n")?;
    }
    let topic = topic_of(&set, args.source.topic.as_deref())?;
    let rules = args.source.hiding(set.for_topic(&topic));
    for clash in set.clashes(&topic) {
        writeln!(std::io::stderr(), "warning: {clash}")?;
    }
    let mut piece = Piece::to_judge(&rules, &Limits::default())?;
    let seen = source.read(&mut piece)?;
    let summary = piece.summary();
    let judged = offline::judge(piece.rules(), &summary, span_ms(&summary), seen.now_ms);

    let report = Report {
        source: &source,
        topic: &topic,
        summary: &summary,
        judged: &judged,
        truncated: seen.truncated,
    };
    let mut out = verdict_out();
    if args.json {
        let name = source.name();
        serde_json::to_writer(
            &mut out,
            &offline::json::check(&name, &topic, &summary, &judged, seen.truncated),
        )?;
        writeln!(out)?;
    } else {
        report.table(colour(&std::io::stdout()), &mut out)?;
    }
    if let Some(path) = &args.junit {
        junit::write(path, "check", report.cases())?;
    }
    drop(out);
    report.outcome(args)
}

/// The topic whose checks apply: the one given, or the only one that the files name.
pub(super) fn topic_of(set: &CheckSet, given: Option<&str>) -> anyhow::Result<String> {
    let mut names: Vec<&str> = Vec::new();
    let mut patterns: Vec<&str> = Vec::new();
    for file in &set.files {
        match &file.topics {
            TopicSelector::Names(some) => names.extend(some.iter().map(String::as_str)),
            TopicSelector::Pattern(pattern) => patterns.push(pattern.as_str()),
        }
    }
    names.sort_unstable();
    names.dedup();
    let mut known: Vec<String> = names.iter().take(20).map(|name| format!("`{name}`")).collect();
    known.extend(patterns.iter().take(20).map(|pattern| format!("the pattern `{pattern}`")));
    let known = known.join(", ");
    match (given, names.as_slice(), patterns.as_slice()) {
        (Some(topic), ..) if set.files.iter().any(|file| file.topics.selects(topic)) => Ok(topic.to_owned()),
        (Some(topic), ..) => bail!("no check file is for the topic `{topic}`: they are for {known}"),
        (None, [only], []) => Ok((*only).to_owned()),
        (None, ..) => bail!("say with --topic which topic the data is of: the check files are for {known}"),
    }
}

struct Report<'a> {
    source: &'a Source,
    topic: &'a str,
    summary: &'a PaneSummary,
    judged: &'a Judged,
    truncated: bool,
}

impl Report<'_> {
    fn outcome(&self, args: &CheckArgs) -> anyhow::Result<Outcome> {
        let verdicts = || self.judged.checks.iter();
        let failed = verdicts().any(|(rule, verdict)| {
            matches!(verdict.status, Status::Fail | Status::Error) && rule.severity >= args.fail_on
        });
        let unknown = verdicts().filter(|(_, verdict)| verdict.status == Status::Unknown).count();
        if failed || self.truncated || (args.strict && unknown > 0) {
            return Ok(Outcome::Findings);
        }
        if self.judged.checks.is_empty() {
            bail!("nothing was judged: the check files have no checks for `{}`", self.topic);
        }
        if unknown == self.judged.checks.len() {
            let why = if self.summary.read == 0 { "there are no records" } else { "every check is unknown" };
            bail!("nothing could be judged: {why} in {}", self.source.name());
        }
        Ok(Outcome::Good)
    }

    fn counts(&self) -> [(Status, usize); 4] {
        Status::ALL.map(|status| {
            (status, self.judged.checks.iter().filter(|(_, verdict)| verdict.status == status).count())
        })
    }

    fn table(&self, in_colour: bool, out: &mut impl Write) -> std::io::Result<()> {
        let read = counted_records(self.summary.read);
        let from =
            if self.source.is_topic() { String::new() } else { format!(" from {}", self.source.name()) };
        write!(out, "{}: {read}{}", printable(self.topic), printable(&from))?;
        let failures = total(&self.summary.decode_failures);
        if failures > 0 {
            let reasons: Vec<String> = self
                .summary
                .decode_failures
                .iter()
                .map(|r| format!("{} {}", grouped(r.count), r.reason))
                .collect();
            write!(out, ", {} not decoded ({})", grouped(failures), reasons.join(", "))?;
        }
        writeln!(out, "\n")?;
        let width = self.judged.checks.iter().map(|(rule, _)| rule.id.len()).max().unwrap_or(0);
        for (rule, verdict) in &self.judged.checks {
            let (mark, tint) = mark(verdict.status);
            let mark = if in_colour { format!("\x1b[{tint}m{mark}\x1b[0m") } else { mark.to_owned() };
            let loud = match (verdict.status, rule.severity) {
                (Status::Fail | Status::Error, Severity::Info | Severity::Warning) => {
                    format!(" ({})", rule.severity.as_str())
                }
                _ => String::new(),
            };
            writeln!(out, "{mark}  {:width$}  {}{loud}", rule.id, printable(&verdict.message))?;
            if verdict.status != Status::Pass {
                for example in &verdict.examples {
                    let at = self.place(example.partition, example.offset);
                    writeln!(out, "         {:width$}    {at}: {}", "", printable(&example.value))?;
                }
            }
        }
        if self.truncated {
            writeln!(out, "\nthe data ends in the middle of a record: whoever wrote it was cut off")?;
        }
        let counts: Vec<String> = self
            .counts()
            .iter()
            .filter(|(_, n)| *n > 0)
            .map(|(status, n)| format!("{n} {}", status.as_str()))
            .collect();
        let checks = counted(self.judged.checks.len(), "check");
        writeln!(out, "\n{checks}: {}", if counts.is_empty() { "none".to_owned() } else { counts.join(", ") })
    }

    fn place(&self, partition: i32, offset: i64) -> String {
        if self.source.has_offsets() {
            format!("partition {partition} offset {offset}")
        } else {
            format!("line {}", offset.saturating_add(1))
        }
    }

    fn cases(&self) -> Vec<junit::Case> {
        let of = |rule: &Arc<checks::rules::Rule>, verdict: &checks::verdict::Verdict| junit::Case {
            suite: self.topic.to_owned(),
            name: rule.id.clone(),
            status: verdict.status,
            message: verdict.message.clone(),
            details: verdict
                .examples
                .iter()
                .map(|e| format!("{}: {}\n", self.place(e.partition, e.offset), e.value))
                .collect(),
        };
        let mut cases: Vec<_> = self.judged.checks.iter().map(|(rule, verdict)| of(rule, verdict)).collect();
        if self.truncated {
            cases.push(junit::Case {
                suite: self.topic.to_owned(),
                name: "data-is-whole".to_owned(),
                status: Status::Fail,
                message: "the data ends in the middle of a record".to_owned(),
                details: String::new(),
            });
        }
        cases
    }
}

fn counted_records(records: u64) -> String {
    format!("{} record{}", grouped(records), if records == 1 { "" } else { "s" })
}

fn mark(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::Pass => ("pass   ", "32"),
        Status::Fail => ("FAIL   ", "1;31"),
        Status::Unknown => ("unknown", "33"),
        Status::Error => ("ERROR  ", "1;31"),
    }
}
