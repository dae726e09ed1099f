//! A profile as a person reads it: a row a field, in the width of the terminal.

use std::io::Write;

use checks::merge::total;
use checks::report::{FieldSummary, NumericSummary, PaneSummary, TimeSummary};

use super::super::source::grouped;
use super::look::{Look, width};

/// Cells of a distribution, at most and at least.
const SPARK: [usize; 2] = [12, 5];
/// Frequent values shown in a row.
const VALUES: usize = 3;
/// Columns of a frequent value that are shown.
const VALUE_WIDTH: usize = 24;
/// Columns of a field's path, at most and where there is little room.
const PATH_WIDTH: [usize; 2] = [48, 26];
/// Cells of a bar, likewise.
const BAR: [usize; 2] = [10, 5];
/// A terminal with fewer columns has little room.
const ROOMY: usize = 110;
/// Columns that values need at least.
const ROOM_MIN: usize = 8;
/// A type with a smaller share of a field's values is only counted as "others".
const TYPE_SHARE_MIN: f64 = 0.001;
/// A form that so large a share of the texts has is that of the field.
const FORM_SHARE_MIN: f64 = 0.95;

const HEADS: [&str; 5] = ["FIELD", "FILLED", "TYPE", "DISTINCT", "VALUES"];

/// Writes the profile of a source.
pub(super) fn write(
    name: &str,
    summary: &PaneSummary,
    truncated: bool,
    look: &Look,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let mut head = format!("{}: {} records", look.clean(name), grouped(summary.read));
    for (count, what) in [
        (summary.tombstones, "tombstones"),
        (total(&summary.not_decoded), "of other formats"),
        (total(&summary.decode_failures), "not decoded"),
        (summary.duplicate_keys, "with a key twice"),
        (u64::from(truncated), "cut off at the end"),
    ] {
        if count > 0 {
            head.push_str(&format!(", {} {what}", grouped(count)));
        }
    }
    writeln!(out, "{}", look.within(&head, look.width))?;
    for failure in &summary.decode_failures {
        writeln!(out, "  not decoded: {} {}", look.clean(&failure.reason), grouped(failure.count))?;
    }
    writeln!(out)?;
    let narrow = look.width.is_some_and(|width| width < ROOMY);
    let rows: Vec<Row<'_>> = summary
        .fields
        .iter()
        .filter(|f| !f.is_container() && (f.path != "$" || f.scalars() > 0))
        .map(|field| Row::new(field, narrow, look))
        .collect();
    let mut widths = HEADS.map(str::len);
    for row in &rows {
        for (most, cell) in widths.iter_mut().zip(&row.cells) {
            *most = (*most).max(width(cell));
        }
    }
    let before: usize = widths[..4].iter().sum::<usize>() + 4 * 2;
    let room = look.width.map(|all| all.saturating_sub(before));
    // Where the rest fills the width, values are left out.
    let has_room = room.is_none_or(|room| room >= ROOM_MIN);
    let shown = |cells: &[String; 5]| look.within(line(cells, widths).trim_end(), look.width);
    let mut heads = HEADS.map(str::to_owned);
    if !has_room {
        heads[4].clear();
    }
    writeln!(out, "{}", look.bold(&shown(&heads)))?;
    for row in &rows {
        let mut cells = row.cells.clone();
        let values = std::mem::take(&mut cells[4]);
        let mark = |text: &str| match row.is_filled {
            true => text.to_owned(),
            false => look.marked(text, widths[0] + 2, widths[1]),
        };
        if !has_room {
            writeln!(out, "{}", mark(&shown(&cells)))?;
            continue;
        }
        let values = look.within(&values, room);
        let shape = row.shape(room, width(&values), look);
        let text = mark(&line(&cells, widths));
        writeln!(out, "{}", format!("{text}{values}{shape}").trim_end())?;
    }
    if summary.folded_values > 0 {
        writeln!(out, "\n{} values of more fields than are kept apart", grouped(summary.folded_values))?;
    }
    Ok(())
}

fn line(cells: &[String; 5], widths: [usize; 5]) -> String {
    let pad = |at: usize| " ".repeat(widths[at].saturating_sub(width(&cells[at])));
    let [field, filled, kind, distinct, values] = cells;
    format!("{field}{}  {filled}{}  {kind}{}  {}{distinct}  {values}", pad(0), pad(1), pad(2), pad(3))
}

struct Row<'a> {
    cells: [String; 5],
    /// Whose distribution is shown.
    numbers: Option<&'a NumericSummary>,
    is_filled: bool,
}

impl<'a> Row<'a> {
    fn new(field: &'a FieldSummary, narrow: bool, look: &Look) -> Self {
        let filled = field.present.saturating_sub(field.null);
        let share = if field.records == 0 { 0.0 } else { filled as f64 / field.records as f64 };
        let distinct = field.distinct_estimate();
        let about = if distinct.lower < distinct.upper { "~" } else { "" };
        let (values, numbers) = values(field, look);
        Self {
            cells: [
                look.ending(&look.clean(&field.path), PATH_WIDTH[usize::from(narrow)]),
                format!("{} {}", look.bar(share, BAR[usize::from(narrow)]), percent(share)),
                kinds(field, narrow),
                format!("{about}{}", grouped(distinct.estimate.round() as u64)),
                values,
            ],
            numbers,
            is_filled: filled == field.records,
        }
    }

    /// The distribution behind the values, where there is room.
    fn shape(&self, room: Option<usize>, used: usize, look: &Look) -> String {
        let [most, least] = SPARK;
        let cells = room.map_or(most, |room| room.saturating_sub(used + 2).min(most));
        let counts = self.numbers.filter(|_| cells >= least).and_then(|numbers| numbers.histogram(cells));
        counts.map(|counts| format!("  {}", look.spark(&counts))).unwrap_or_default()
    }
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

/// The form that the texts, or the times, of a field have.
fn form(field: &FieldSummary) -> Option<&str> {
    if let Some(times) = field.times()
        && let [form] = times.forms.as_slice()
    {
        return Some(&form.reason);
    }
    let most = field.formats.iter().max_by_key(|form| form.count)?;
    let share = most.count as f64 / field.texts_seen.max(1) as f64;
    (share >= FORM_SHARE_MIN).then_some(most.reason.as_str())
}

/// The types, the most frequent first.
fn kinds(field: &FieldSummary, narrow: bool) -> String {
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
    if let Some(form) = form(field)
        && shown.len() == 1
    {
        return if narrow { form.to_owned() } else { format!("{} ({form})", shown[0]) };
    }
    let others = kinds.iter().filter(|(n, _)| *n > 0).count() - shown.len();
    if others > 0 { format!("{}, others", shown.join(", ")) } else { shown.join(", ") }
}

/// Times by their range and age, numbers by range and shape, texts by the frequent ones or their lengths.
fn values<'a>(field: &'a FieldSummary, look: &Look) -> (String, Option<&'a NumericSummary>) {
    if let Some(times) = field.times().filter(|_| field.numeric.is_some() || field.top.is_some()) {
        return of_times(times, look);
    }
    let scalars = field.scalars();
    match field.numeric.as_ref().filter(|n| (n.count + n.not_finite) * 2 > scalars) {
        Some(numbers) => of_numbers(numbers, look),
        None => (of_texts(field, scalars, look), None),
    }
}

fn of_times<'a>(times: &'a TimeSummary, look: &Look) -> (String, Option<&'a NumericSummary>) {
    let span = times.last_ms.saturating_sub(times.first_ms);
    let (from, to) = (time(times.first_ms, span), time(times.last_ms, span));
    let range = if from == to { from } else { format!("{from} {} {to}", look.dots()) };
    let Some(age) = &times.age else { return (range, None) };
    let (Some(usual), Some(most)) = (age.quantile(0.5), age.quantile(0.99)) else { return (range, None) };
    let age_text = format!("{range}, age ~{}, 99% ~{}", duration(usual), duration(most));
    (age_text, Some(age))
}

/// To the day, the minute or the millisecond, by how far first and last lie apart.
fn time(ms: i64, span_ms: i64) -> String {
    let form = match span_ms {
        ..60_000 => "%Y-%m-%d %H:%M:%S%.3f",
        60_000..2_592_000_000 => "%Y-%m-%d %H:%M",
        _ => "%Y-%m-%d",
    };
    chrono::DateTime::from_timestamp_millis(ms)
        .map_or_else(|| ms.to_string(), |at| at.format(form).to_string())
}

/// Seconds as people say them.
fn duration(seconds: f64) -> String {
    let (size, sign) = (seconds.abs(), if seconds < 0.0 { "-" } else { "" });
    let (amount, unit) = match size {
        s if s < 1.0 => (s * 1_000.0, "ms"),
        s if s < 120.0 => (s, "s"),
        s if s < 7_200.0 => (s / 60.0, "min"),
        s if s < 172_800.0 => (s / 3_600.0, "h"),
        s if s < 63_072_000.0 => (s / 86_400.0, "d"),
        s => (s / 31_557_600.0, "years"),
    };
    format!("{sign}{} {unit}", number_in(amount, 3))
}

fn of_numbers<'a>(numbers: &'a NumericSummary, look: &Look) -> (String, Option<&'a NumericSummary>) {
    let aside = match numbers.not_finite {
        0 => String::new(),
        n => format!(", {} NaN or infinite", grouped(n)),
    };
    if numbers.count == 0 {
        return (aside.trim_start_matches(", ").to_owned(), None);
    }
    if numbers.min == numbers.max {
        return (format!("{}{aside}", number(numbers.min)), None);
    }
    let dots = look.dots();
    let median = numbers.quantile(0.5).map(|m| format!(" {dots} ~{}", number_in(m, 3))).unwrap_or_default();
    let text = format!("{}{median} {dots} {}{aside}", number(numbers.min), number(numbers.max));
    (text, Some(numbers))
}

fn of_texts(field: &FieldSummary, scalars: u64, look: &Look) -> String {
    let top = field.top(VALUES);
    let covered: u64 = top.iter().map(|value| value.count).sum();
    let lengths = field.text.filter(|t| t.count > 0).map(|t| match (t.length_min, t.length_max) {
        (a, b) if a == b => format!("{} characters", grouped(a)),
        (a, b) => format!("{} to {} characters", grouped(a), grouped(b)),
    });
    // Values that hardly repeat say nothing: their lengths do.
    if (top.is_empty() || covered.saturating_mul(5) < scalars)
        && let Some(lengths) = lengths
    {
        return lengths;
    }
    let shown = top.iter().map(|value| {
        let share = percent(value.count as f64 / scalars.max(1) as f64);
        match value.value.as_str() {
            "" => format!("\"\" {share}"),
            text => format!("{} {share}", look.within(&look.clean(text), Some(VALUE_WIDTH))),
        }
    });
    shown.collect::<Vec<_>>().join(", ")
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
    use std::sync::Arc;

    use checks::limits::Limits;
    use checks::offline::Piece;
    use checks::rules::CheckSet;

    use super::*;

    fn summary(data: &str) -> PaneSummary {
        let rules = CheckSet::default().for_topic("orders");
        let mut piece = Piece::new(&Arc::clone(&rules), &Limits::default()).unwrap();
        let mut lines = checks::offline::Lines::new(data.as_bytes(), 1 << 20);
        while let Some(line) = lines.next().unwrap() {
            piece.take_line(line);
        }
        piece.summary()
    }

    fn shown_as(data: &str, look: &Look) -> String {
        let mut out = Vec::new();
        write("orders.jsonl", &summary(data), false, look, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn shown(data: &str) -> String {
        shown_as(data, &Look::of_pipes())
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
        assert_eq!(lines[1], "  not decoded: truncated 1", "{text}");
        assert!(lines[3].starts_with("FIELD     FILLED"), "{text}");
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
        assert_eq!(number(1234567.0), "1234567");
        assert_eq!(number(0.1 + 0.2), "0.3");
        assert_eq!(number(12.3456789), "12.3457");
    }

    fn busy() -> String {
        let one = |i: u64| {
            format!(
                "{{\"id\":\"550e8400-e29b-41d4-a716-{i:012x}\",\"amount\":{},\"at\":\"2026-11-28T10:{:02}:00Z\",\
                 \"deep\":{{\"and\":{{\"deeper\":{{\"and_deeper_still\":[\"ä{}\"]}}}}}},\"東京\":\"大阪市\"}}\n",
                i * i,
                i % 60,
                i % 3
            )
        };
        (0..500).map(one).collect()
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for columns in [60, 80, 100, 120, 200] {
            for unicode in [true, false] {
                let look = Look { width: Some(columns), unicode, colour: false };
                let text = shown_as(&busy(), &look);
                for line in text.lines() {
                    assert!(width(line) <= columns, "{columns}: {} of {line}", width(line));
                }
                assert!(unicode || text.is_ascii(), "{text}");
            }
        }
        let wide = shown_as(&busy(), &Look { width: Some(200), unicode: true, colour: false });
        assert!(wide.contains("string (uuid)") && wide.contains("string (date-time)"), "{wide}");
        assert!(wide.contains("2026-11-28 10:00 … 2026-11-28 10:59"), "{wide}");
        assert!(wide.contains('█') && wide.contains("$.deep.and.deeper.and_deeper_still[]"), "{wide}");
        let narrow = shown_as(&busy(), &Look { width: Some(80), unicode: true, colour: false });
        assert!(narrow.contains("…") && narrow.contains("deeper_still[]"), "{narrow}");
        assert!(narrow.contains("  uuid  "), "{narrow}");
    }

    #[test]
    fn colours_change_nothing_but_colour() {
        let plain = Look { width: Some(120), unicode: true, colour: false };
        let coloured = shown_as(&busy(), &Look { colour: true, ..plain.clone() });
        assert!(coloured.contains("\x1b[1m"));
        let mut without = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once('\x1b') {
            without.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        without.push_str(rest);
        assert_eq!(without, shown_as(&busy(), &plain));
    }

    #[test]
    fn nothing_in_the_data_steers_the_terminal() {
        let data = "{\"\\u001b[2J\\nx\":\"\\u001b]0;title\\u0007\\u202e\"}\n".repeat(3);
        let text = shown(&data);
        assert!(text.chars().all(|c| c == '\n' || checks::tape::printable(c)), "{text:?}");
        assert_eq!(text.lines().count(), 4, "{text:?}");
    }

    #[test]
    fn ages_are_said_as_people_say_them() {
        for (seconds, text) in [
            (0.012, "12 ms"),
            (-3.0, "-3 s"),
            (119.0, "119 s"),
            (600.0, "10 min"),
            (86_400.0, "24 h"),
            (1e9, "31.7 years"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
