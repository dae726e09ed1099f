//! `tapline profile`: what the values of every field are like.

use std::io::Write;
use std::sync::Arc;

use checks::limits::Limits;
use checks::merge::total;
use checks::offline::Piece;
use checks::profile::json;
use checks::report::{FieldSummary, PaneSummary};
use checks::rules::{CheckSet, TopicRules};

use super::source::{Source, SourceArgs, grouped};
use super::{Outcome, colour, printable};

/// Cells of a bar.
const BAR: usize = 10;
/// Cells of a distribution.
const SPARK: usize = 12;
/// Frequent values shown in a row.
const VALUES: usize = 3;
/// Characters of a frequent value that are shown.
const VALUE_CHARS: usize = 24;
/// A type with a smaller share of a field's values is only counted as "others".
const TYPE_SHARE_MIN: f64 = 0.001;

/// What `tapline profile` was asked.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ProfileArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// JSON, as documented in docs/api.md
    #[arg(long)]
    pub(crate) json: bool,
    /// With --json: the sketches too, so that `tapline diff` can compare distributions with it later
    #[arg(long, requires = "json")]
    pub(crate) sketches: bool,
    /// Leave frequent values out
    #[arg(long)]
    pub(crate) no_values: bool,
}

pub(crate) fn run(args: &ProfileArgs) -> anyhow::Result<Outcome> {
    let source = args.source.resolve()?;
    let rules = args.source.hiding(CheckSet::default().for_topic(&source.name()));
    let (mut summary, truncated) = read(&source, &rules)?;
    if args.no_values {
        summary.fields.iter_mut().for_each(|field| field.top = None);
    }
    let mut out = std::io::stdout().lock();
    let name = source.name();
    if args.json {
        let profile = json::profile(&name, &summary);
        let profile = if args.sketches { json::with_sketches(profile, &summary) } else { profile };
        serde_json::to_writer(&mut out, &profile)?;
        writeln!(out)?;
    } else {
        table(&name, &summary, truncated, colour(&std::io::stdout()), &mut out)?;
    }
    if truncated {
        writeln!(std::io::stderr(), "tapline: the data ends in the middle of a record")?;
    }
    anyhow::ensure!(summary.read > 0, "there are no records in {name}");
    Ok(Outcome::Good)
}

/// All of a source, without checks; and does it end in the middle of a record?
pub(crate) fn read(source: &Source, rules: &Arc<TopicRules>) -> anyhow::Result<(PaneSummary, bool)> {
    let mut piece = Piece::new(rules, &Limits::default())?;
    let seen = source.read(&mut piece)?;
    Ok((piece.summary(), seen.truncated))
}

/// The same of a source without rules.
pub(crate) fn read_all(source: &Source) -> anyhow::Result<(PaneSummary, bool)> {
    read(source, &CheckSet::default().for_topic(&source.name()))
}

fn table(
    name: &str,
    summary: &PaneSummary,
    truncated: bool,
    in_colour: bool,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let mut head = format!("{}: {} records", printable(name), grouped(summary.read));
    for (count, what) in [
        (summary.tombstones, "tombstones"),
        (total(&summary.not_decoded), "of other formats"),
        (total(&summary.decode_failures), "not decoded"),
        (u64::from(truncated), "cut off at the end"),
    ] {
        if count > 0 {
            head.push_str(&format!(", {} {what}", grouped(count)));
        }
    }
    writeln!(out, "{head}\n")?;
    let rows: Vec<[String; 5]> =
        summary.fields.iter().filter(|f| !f.is_container() && f.path != "$").map(row).collect();
    let heads = ["FIELD", "FILLED", "TYPE", "DISTINCT", "VALUES"];
    let mut widths = heads.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; 5]| {
        let [field, filled, kind, distinct, values] = cells;
        let [a, b, c, d, _] = widths;
        format!("{field:<a$}  {filled:<b$}  {kind:<c$}  {distinct:>d$}  {values}").trim_end().to_owned()
    };
    let head = line(heads);
    if in_colour {
        writeln!(out, "\x1b[1m{head}\x1b[0m")?
    } else {
        writeln!(out, "{head}")?
    }
    for row in &rows {
        writeln!(out, "{}", line([&row[0], &row[1], &row[2], &row[3], &row[4]]))?;
    }
    if summary.folded_values > 0 {
        writeln!(out, "\n{} values of more fields than are kept apart", grouped(summary.folded_values))?;
    }
    Ok(())
}

fn row(field: &FieldSummary) -> [String; 5] {
    let filled = field.present.saturating_sub(field.null);
    let share = if field.records == 0 { 0.0 } else { filled as f64 / field.records as f64 };
    let distinct = field.distinct_estimate();
    let about = if distinct.lower < distinct.upper { "~" } else { "" };
    [
        printable(&field.path),
        format!("{} {}", bar(share), percent(share)),
        kinds(field),
        format!("{about}{}", grouped(distinct.estimate.round() as u64)),
        values(field),
    ]
}

/// A bar of whole and eighth cells.
fn bar(share: f64) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (share.clamp(0.0, 1.0) * (BAR * 8) as f64) as usize;
    let mut bar = "█".repeat(eighths / 8);
    if eighths < BAR * 8 {
        // Something is not nothing, however little it is.
        let rest = if eighths == 0 && share > 0.0 { 1 } else { eighths % 8 };
        bar.push(EIGHTHS[rest]);
        bar.push_str(&" ".repeat(BAR - 1 - eighths / 8));
    }
    bar
}

/// Never 100% of what is not all, nor 0% of what is not nothing.
fn percent(share: f64) -> String {
    match share * 100.0 {
        100.0 => "100%".to_owned(),
        p if p > 99.9 => ">99.9%".to_owned(),
        p if p >= 99.0 => format!("{p:.1}%"),
        0.0 => "0%".to_owned(),
        p if p < 0.1 => "<0.1%".to_owned(),
        p if p < 10.0 => format!("{p:.1}%"),
        p => format!("{p:.0}%"),
    }
}

/// The types, the most frequent first.
fn kinds(field: &FieldSummary) -> String {
    let mut kinds = field.types();
    let all: u64 = kinds.iter().map(|(n, _)| n).sum();
    if all == 0 {
        return if field.null > 0 { "null" } else { "-" }.to_owned();
    }
    // Decimals that happen to be whole are numbers all the same.
    if field.number > 0 {
        kinds[1].0 += std::mem::take(&mut kinds[0].0);
    }
    kinds.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    let shown: Vec<String> = kinds
        .iter()
        .filter(|(n, _)| *n as f64 >= TYPE_SHARE_MIN * all as f64 && *n > 0)
        .map(|(n, kind)| match n {
            n if *n == all => (*kind).to_owned(),
            n => format!("{kind} {}", percent(*n as f64 / all as f64)),
        })
        .collect();
    let others = kinds.iter().filter(|(n, _)| *n > 0).count() - shown.len();
    if others > 0 { format!("{}, others", shown.join(", ")) } else { shown.join(", ") }
}

/// Numbers by range and shape, texts by the frequent ones or their lengths.
fn values(field: &FieldSummary) -> String {
    let scalars = field.scalars();
    let numbers = field.numeric.as_ref().filter(|n| n.count * 2 > scalars);
    if let Some(numbers) = numbers {
        let spark = numbers.histogram(SPARK).map(|counts| spark(&counts)).unwrap_or_default();
        let median = numbers.quantile(0.5).map(|m| format!(" … ~{}", number_in(m, 3))).unwrap_or_default();
        if numbers.min == numbers.max {
            return number(numbers.min);
        }
        return format!("{}{median} … {}  {spark}", number(numbers.min), number(numbers.max));
    }
    let top = field.top(VALUES);
    let covered: u64 = top.iter().map(|value| value.count).sum();
    let lengths = field.text.filter(|t| t.count > 0).map(|t| match (t.length_min, t.length_max) {
        (a, b) if a == b => format!("{a} characters"),
        (a, b) => format!("{a} to {b} characters"),
    });
    // Values that hardly repeat say nothing: their lengths do.
    if covered.saturating_mul(5) < scalars
        && let Some(lengths) = lengths
    {
        return lengths;
    }
    let shown = top.iter().map(|value| {
        let share = percent(value.count as f64 / scalars.max(1) as f64);
        let mut text: String = printable(&value.value).chars().take(VALUE_CHARS).collect();
        if text.chars().count() < value.value.chars().count() {
            text.push('…');
        }
        if text.is_empty() {
            text.push_str("\"\"");
        }
        format!("{text} {share}")
    });
    let shown: Vec<String> = shown.collect();
    if shown.is_empty() { lengths_or_nothing(field) } else { shown.join(", ") }
}

fn lengths_or_nothing(field: &FieldSummary) -> String {
    match field.text.filter(|t| t.count > 0) {
        Some(text) => format!("{} to {} characters", text.length_min, text.length_max),
        None => String::new(),
    }
}

fn spark(counts: &[u64]) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    counts
        .iter()
        .map(|&n| if n == 0 { ' ' } else { LEVELS[((n as f64 / most as f64) * 7.0).round() as usize] })
        .collect()
}

/// A number in at most six significant digits.
fn number(value: f64) -> String {
    number_in(value, 6)
}

/// A number in so many significant digits, whole ones never rounded away.
fn number_in(value: f64, significant: i32) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e15).contains(&magnitude) {
        return format!("{value:.3e}");
    }
    let before = if magnitude < 1.0 { 0 } else { magnitude.log10().floor() as i32 + 1 };
    let digits = (significant - before).max(0);
    let text = format!("{value:.*}", digits as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(data: &str) -> String {
        let rules = CheckSet::default().for_topic("orders");
        let mut piece = Piece::new(&rules, &Limits::default()).unwrap();
        let mut lines = checks::offline::Lines::new(data.as_bytes(), 1 << 20);
        while let Some(line) = lines.next().unwrap() {
            piece.take_line(line);
        }
        let mut out = Vec::new();
        table("orders.jsonl", &piece.summary(), false, false, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_is_read_in_ten_seconds() {
        let mut data = String::new();
        for i in 0..200 {
            let status = if i % 4 == 0 { "new" } else { "paid" };
            let note = if i % 2 == 0 { ",\"note\":null" } else { "" };
            data.push_str(&format!(
                "{{\"id\":\"order-{i}\",\"amount\":{i},\"status\":\"{status}\"{note}}}\n"
            ));
        }
        data.push_str("nonsense {\n{\"half\":\n");
        let text = shown(&data);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "orders.jsonl: 202 records, 1 of other formats, 1 not decoded");
        assert!(lines[2].starts_with("FIELD     FILLED"), "{text}");
        let row = |field: &str| lines.iter().find(|l| l.starts_with(field)).copied().unwrap_or_default();
        assert!(row("$.amount").contains("██████████ 100%  integer"), "{text}");
        assert!(row("$.amount").contains("0 … ~9") && row("$.amount").contains("… 199  "), "{text}");
        assert!(row("$.status").ends_with("2  paid 75%, new 25%"), "{text}");
        assert!(row("$.id").ends_with("200  7 to 9 characters"), "{text}");
        assert!(row("$.note").contains("0%") && row("$.note").contains("null"), "{text}");
    }

    #[test]
    fn little_is_not_nothing_and_nearly_all_is_not_all() {
        assert_eq!(percent(0.99999), ">99.9%");
        assert_eq!(percent(0.00001), "<0.1%");
        assert_eq!(percent(0.034), "3.4%");
        assert_eq!(bar(1.0), "██████████");
        assert_eq!(bar(0.0), "          ");
        assert_eq!(bar(0.0001), "▏         ");
        assert_eq!(bar(0.55), "█████▌    ");
        for share in 0..=1_000 {
            assert_eq!(bar(f64::from(share) / 1_000.0).chars().count(), BAR);
        }
        assert_eq!(number(1234567.0), "1234567");
        assert_eq!(number(0.1 + 0.2), "0.3");
        assert_eq!(number(12.3456789), "12.3457");
    }
}
