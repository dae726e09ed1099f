//! Where a bounded piece of records comes from: JSON lines, or a range of a topic.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::range::{Edge, Range, Reader};
use anyhow::{Context as _, bail, ensure};
use checks::limits::Limits;
use checks::offline::{Fed, Lines, Piece};
use checks::redact::Redaction;
use checks::report::PaneSummary;
use checks::rules::{FieldPath, TopicRules};
use clap::Args;

use super::environment;
use crate::cli::ConnectArgs;
use crate::{config, service};

/// Memory that the Kafka client of a bounded read is measured by: it holds an eighth of it in records.
const CLIENT_MEMORY: usize = 64 << 20;

/// Which records.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SourceArgs {
    /// JSON lines, a record each: a file, or - for standard input
    #[arg(long, short = 'd', value_name = "FILE", conflicts_with_all = ["from", "to"])]
    pub(crate) data: Option<PathBuf>,
    /// Lines of --data are whole records: {"key","value","headers","timestamp","partition","offset"}, or
    /// what `kcat -J` writes
    #[arg(long, requires = "data")]
    pub(crate) envelope: bool,
    /// The topic to read; with --data, the topic that the data is of
    #[arg(long, short = 't', value_name = "TOPIC")]
    pub(crate) topic: Option<String>,
    /// First: beginning, end, an offset (of every partition), a time (RFC 3339), or how long ago (-1h)
    #[arg(long, value_name = "WHERE", allow_hyphen_values = true)]
    pub(crate) from: Option<String>,
    /// First that is not meant: as for --from; the end is fixed when reading begins
    #[arg(long, value_name = "WHERE", allow_hyphen_values = true)]
    pub(crate) to: Option<String>,
    /// A field that is not shown, as `$.customer.email`; may be repeated. What looks like an email address,
    /// a card number or a token is hidden anyway
    #[arg(long, value_name = "PATH", value_parser = parse_path)]
    pub(crate) redact: Vec<FieldPath>,
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
}

pub(crate) fn parse_path(text: &str) -> Result<FieldPath, String> {
    FieldPath::parse(text).map_err(|error| format!("{}: {}", error.message, error.help))
}

/// Which records, resolved.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Standard input.
    Stdin(Line),
    /// A file.
    File(PathBuf, Line),
    /// A range of a topic.
    Topic { range: Range, connect: ConnectArgs },
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The value of a record.
    Value,
    /// A record.
    Envelope,
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The data ends in the middle of a record.
    pub(crate) truncated: bool,
    /// The moment of the range's end, ms; `None` where it has none.
    pub(crate) now_ms: Option<i64>,
}

impl SourceArgs {
    /// The rules of a topic, which hide the fields of `--redact` too.
    pub(crate) fn hiding(&self, rules: Arc<TopicRules>) -> Arc<TopicRules> {
        if self.redact.is_empty() {
            return rules;
        }
        let mut rules = TopicRules::clone(&rules);
        rules.redact.extend(&Redaction::new(self.redact.clone()));
        Arc::new(rules)
    }

    /// The source that is meant.
    pub(crate) fn resolve(&self) -> anyhow::Result<Source> {
        let line = if self.envelope { Line::Envelope } else { Line::Value };
        match (&self.data, &self.topic) {
            (Some(path), _) if path == Path::new("-") => Ok(Source::Stdin(line)),
            (Some(path), _) => Ok(Source::File(path.clone(), line)),
            (None, Some(topic)) => {
                let now_ms = now_ms();
                let edge = |given: &Option<String>, default| match given {
                    Some(text) => parse_edge(text, now_ms),
                    None => Ok(default),
                };
                let range = Range {
                    topic: topic.clone(),
                    from: edge(&self.from, Edge::Beginning).context("--from")?,
                    to: edge(&self.to, Edge::End).context("--to")?,
                };
                if let (Edge::Time(from), Edge::Time(to)) = (range.from, range.to) {
                    ensure!(from <= to, "--from is later than --to");
                }
                if let (Edge::Offset(from), Edge::Offset(to)) = (range.from, range.to) {
                    ensure!(from <= to, "--from is behind --to");
                }
                Ok(Source::Topic { range, connect: self.connect.clone() })
            }
            (None, None) => bail!("nothing to read: give --data FILE, --data - or --topic TOPIC"),
        }
    }
}

impl Source {
    /// Its name, for people and JSON.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdin(_) => "standard input".to_owned(),
            Self::File(path, _) => path.display().to_string(),
            Self::Topic { range, .. } => range.topic.clone(),
        }
    }

    /// Is it a topic?
    pub(crate) fn is_topic(&self) -> bool {
        matches!(self, Self::Topic { .. })
    }

    /// Do its records have partitions and offsets, rather than lines?
    pub(crate) fn has_offsets(&self) -> bool {
        !matches!(self, Self::Stdin(Line::Value) | Self::File(_, Line::Value))
    }

    /// Reads all of it into `piece`.
    pub(crate) fn read(&self, piece: &mut Piece) -> anyhow::Result<Seen> {
        self.read_most(piece, u64::MAX)
    }

    /// Reads the first `most` records of it into `piece`.
    pub(crate) fn read_most(&self, piece: &mut Piece, most: u64) -> anyhow::Result<Seen> {
        match self {
            Self::Stdin(line) => {
                lines(io::stdin().lock(), None, *line, piece, most).context("standard input")
            }
            Self::File(path, line) => {
                let file = File::open(path).with_context(|| path.display().to_string())?;
                let meta = file.metadata().with_context(|| path.display().to_string())?;
                ensure!(!meta.is_dir(), "{} is a folder: name a file of JSON lines", path.display());
                let bytes = Some(meta.len()).filter(|_| meta.is_file());
                lines(file, bytes, *line, piece, most).with_context(|| path.display().to_string())
            }
            Self::Topic { range, connect } => topic(range, connect, piece, most),
        }
    }
}

fn lines(
    input: impl Read,
    bytes: Option<u64>,
    form: Line,
    piece: &mut Piece,
    most: u64,
) -> anyhow::Result<Seen> {
    let mut lines = Lines::new(BufReader::with_capacity(1 << 16, input), Limits::default().message_bytes);
    let mut progress = Progress::new(bytes);
    let mut seen = Seen::default();
    let mut records = 0u64;
    while records < most
        && let Some(line) = lines.next()?
    {
        let number = line.number;
        let fed = match form {
            Line::Value => piece.take_line(line),
            Line::Envelope => {
                piece.take_envelope(line).with_context(|| format!("line {number} is no record"))?
            }
        };
        seen.truncated = fed == Fed::Half;
        records += 1;
        if records.is_multiple_of(1_024) {
            progress.tell(records, lines.bytes_read());
        }
    }
    Ok(seen)
}

fn topic(range: &Range, connect: &ConnectArgs, piece: &mut Piece, most: u64) -> anyhow::Result<Seen> {
    service::install_tls();
    let settings = config::load(&connect.flags(), &environment())?;
    settings.brokers()?;
    let mut agent = settings.agent_config(std::sync::Arc::default())?;
    agent.limits.agent_memory_bytes = agent.limits.agent_memory_bytes.min(CLIENT_MEMORY);
    agent.threads = 1;
    agent::Agent::check(&agent).map_err(anyhow::Error::msg)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let reader = Reader::open(&agent, range, runtime.handle())?;
    let now_ms = match range.to {
        Edge::Time(ms) => Some(ms.min(reader.opened_ms())),
        Edge::End => Some(reader.opened_ms()),
        Edge::Offset(_) | Edge::Beginning | Edge::Last(_) => None,
    };
    let mut progress = Progress::new(Some(reader.offsets().min(most)));
    reader.read(piece, most, |behind| progress.tell(behind, behind))?;
    Ok(Seen { truncated: false, now_ms })
}

/// First and end of a piece by its records' times, ms; zeros where they have none.
pub(crate) fn span_ms(summary: &PaneSummary) -> (i64, i64) {
    match summary.last_record_ms {
        0 => (0, 0),
        last => (summary.first_record_ms, last.saturating_add(1)),
    }
}

/// `beginning`, `end`, an offset, an RFC 3339 time, or `-1h`.
pub(crate) fn parse_edge(text: &str, now_ms: i64) -> anyhow::Result<Edge> {
    if let Some(ago) = text.strip_prefix('-') {
        let ms = checks::yaml::parse_duration_ms(ago).map_err(|e| {
            anyhow::anyhow!("`{text}` is {}: {} (how long ago is written as in -1h)", e.message, e.help)
        })?;
        return Ok(Edge::Time(now_ms.saturating_sub(ms)));
    }
    match text {
        "beginning" => return Ok(Edge::Beginning),
        "end" => return Ok(Edge::End),
        _ => {}
    }
    if let Ok(offset) = text.parse::<i64>() {
        return Ok(Edge::Offset(offset));
    }
    let time = chrono::DateTime::parse_from_rfc3339(text).map_err(|_| {
        anyhow::anyhow!(
            "`{text}` is no place in a topic: write beginning, end, an offset (1000), a time \
             (2026-01-31T12:00:00Z) or how long ago (-1h)"
        )
    })?;
    Ok(Edge::Time(time.timestamp_millis()))
}

pub(crate) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// Tells on stderr how far reading is: on a terminal alone, and only what takes longer than a second.
pub(crate) struct Progress {
    begun: Instant,
    told: Option<Instant>,
    total: Option<u64>,
    is_terminal: bool,
}

impl Progress {
    pub(crate) fn new(total: Option<u64>) -> Self {
        Self {
            begun: Instant::now(),
            told: None,
            total: total.filter(|n| *n > 0),
            is_terminal: io::stderr().is_terminal(),
        }
    }

    /// So many records, so much of the total.
    pub(crate) fn tell(&mut self, records: u64, behind: u64) {
        let last = self.told.unwrap_or(self.begun + Duration::from_millis(800));
        if !self.is_terminal || last.elapsed() < Duration::from_millis(200) {
            return;
        }
        self.told = Some(Instant::now());
        let share = self.total.map(|total| format!(", {:.0}%", behind as f64 * 100.0 / total as f64));
        let rate = records as f64 / self.begun.elapsed().as_secs_f64();
        let text = format!(
            "{} records{} ({} a second)",
            grouped(records),
            share.unwrap_or_default(),
            grouped(rate as u64)
        );
        // Nobody who can't read it needs it.
        let _ = write!(io::stderr(), "\r\x1b[K{text}");
        let _ = io::stderr().flush();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.told.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_a_topic_are_understood_or_explained() {
        let edge = |text| parse_edge(text, 10_000_000);
        assert_eq!(edge("beginning").unwrap(), Edge::Beginning);
        assert_eq!(edge("end").unwrap(), Edge::End);
        assert_eq!(edge("42").unwrap(), Edge::Offset(42));
        assert_eq!(edge("-1h").unwrap(), Edge::Time(6_400_000));
        assert_eq!(edge("1970-01-01T00:00:01Z").unwrap(), Edge::Time(1_000));
        assert_eq!(edge("1970-01-01T02:00:00+02:00").unwrap(), Edge::Time(0));
        assert!(edge("-1").unwrap_err().to_string().contains("-1h"));
        assert!(edge("yesterday").unwrap_err().to_string().contains("2026-01-31T12:00:00Z"));
    }

    #[test]
    fn large_numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
