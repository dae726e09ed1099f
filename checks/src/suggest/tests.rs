//! What is suggested holds: on the data, in its fixtures, and on another sample of the same stream.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::fixtures as runner;
use crate::limits::Limits;
use crate::offline::{self, Lines, Piece};
use crate::rules::{CheckFile, CheckSet, Loader};
use crate::verdict::Status;

/// splitmix64: the same streams everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A stream with what streams have: a counter, skewed amounts, a list with a rare value, a long tail of
/// cities, nulls, missing fields, elements, free text.
struct Stream {
    random: Random,
    next_id: u64,
    nulls: f64,
    missing: f64,
    skew: f64,
    rare: f64,
}

impl Stream {
    fn record(&mut self) -> String {
        let r = &mut self.random;
        self.next_id += 1 + r.next() % 3;
        let amount = (r.unit().max(1e-12).ln() * -self.skew).exp();
        let status = match r.unit() {
            p if p < self.rare => "refunded",
            p if p < 0.4 => "new",
            _ => "paid",
        };
        let email = if r.unit() < self.nulls {
            "null".to_owned()
        } else {
            format!("\"u{}@example.com\"", r.next() % 5_000)
        };
        let note = if r.unit() < self.missing {
            String::new()
        } else {
            format!(",\"note\":\"{}\"", "n".repeat((r.next() % 30) as usize))
        };
        let city = (r.unit().max(1e-9).recip().min(1e6)) as u64;
        let prices: Vec<String> =
            (0..r.next() % 4).map(|_| format!("{{\"price\":{:.2}}}", r.unit() * 90.0)).collect();
        format!(
            "{{\"order_id\":{},\"key\":\"k-{:08x}\",\"amount\":{amount:.2},\"status\":\"{status}\",\"customer\":{{\"email\":{email},\"vip\":{}}},\
             \"city\":\"c{city}\",\"items\":[{}]{note},\"at\":{}}}\n",
            self.next_id,
            self.next_id.wrapping_mul(2_654_435_761) as u32,
            r.unit() < 0.1,
            prices.join(","),
            1_767_225_600_000 + self.next_id * 37,
        )
    }

    fn take(&mut self, n: usize) -> String {
        (0..n).map(|_| self.record()).collect()
    }
}

fn survey(data: &str) -> Survey {
    let limits = Limits::default();
    let mut piece = Piece::survey(&CheckSet::default().for_topic("orders"), &limits).unwrap();
    feed(&mut piece, data);
    piece.into_survey()
}

fn feed(piece: &mut Piece, data: &str) {
    let mut lines = Lines::new(data.as_bytes(), 1 << 20);
    while let Some(line) = lines.next().unwrap() {
        piece.take_line(line);
    }
}

fn parsed(text: &str) -> CheckFile {
    let limits = Limits::default();
    let (file, found) = CheckFile::inspect(Path::new("suggested.yaml"), text, &Loader::files(&limits));
    assert!(found.is_empty(), "{found}\n{text}");
    file.unwrap()
}

fn failing(file: &CheckFile, data: &str) -> Vec<String> {
    let mut piece = Piece::new(&file.for_topic("orders"), &Limits::default()).unwrap();
    feed(&mut piece, data);
    let judged = offline::judge(piece.rules(), &piece.summary(), (0, 0), None);
    let bad = judged.checks.iter().filter(|(_, v)| matches!(v.status, Status::Fail | Status::Error));
    bad.map(|(rule, verdict)| format!("{}: {}", rule.id, verdict.message)).collect()
}

#[test]
fn what_was_seen_is_suggested_with_its_evidence() {
    let mut stream =
        Stream { random: Random(1), next_id: 0, nulls: 0.02, missing: 0.0, skew: 0.1, rare: 0.05 };
    let text =
        check_file("orders", "orders.jsonl", &survey(&stream.take(5_000)), &Limits::default()).unwrap();
    let file = parsed(&text);
    for part in [
        "# Suggested by `tapline init` from 5000 records of orders.jsonl.",
        "# 3 different values, none of them new in the later part",
        "validValues: [\"new\", \"paid\", \"refunded\"]",
        "id: order_id-unique, metric: duplicateValues",
        "# missing from 0 of 5000",
        "field: \"$.items[].price\"",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    // A counter has no usual range, a time is no key, and nobody's address is in the file.
    let line = |id: &str| text.lines().find(|l| l.contains(id)).unwrap_or_default().to_owned();
    assert!(!line("id: order_id-valid").contains("max"), "{text}");
    assert!(line("id: amount-valid").contains("type: number, min: 0, max: "), "{text}");
    assert!(!text.contains("at-unique") && !text.contains("@example.com"), "{text}");
    let run = runner::run(&CheckSet::of(vec![Arc::new(file)]), &Limits::default());
    assert_eq!(run.failed(), 0, "{text}");
    assert!(run.never_failed.len() <= 1, "{:?}", run.never_failed);
}

#[test]
fn little_data_gives_little_and_none_nothing() {
    assert_eq!(check_file("orders", "x", &survey(""), &Limits::default()), None);
    assert_eq!(check_file("orders", "x", &survey("{\"a\":1}\n"), &Limits::default()), None);
    let few: String = (0..60).map(|i| format!("{{\"id\":{i},\"s\":\"a\"}}\n")).collect();
    let text = check_file("orders", "x", &survey(&few), &Limits::default()).unwrap();
    assert!(
        !text.contains("validValues") && !text.contains("duplicateValues") && !text.contains("max:"),
        "{text}"
    );
    parsed(&text);
}

#[test]
fn hostile_names_and_values_make_a_sound_file() {
    let data: String = (0..2_000)
        .map(|i| format!("{{\"a: b # {{\":\"x\\ny\\u0000{}\",\"it's\\\\\":[1,null],\"\":{{\"*\":{i}}},\"ä\\ud83d\\ude00\":\"true\",\"null\":\"{}\"}}\n", i % 3, ["yes", "1", "~"][i % 3]))
        .collect();
    let text = check_file("true", "a\nb: \u{1b}[31m", &survey(&data), &Limits::default()).unwrap();
    let run = runner::run(&CheckSet::of(vec![Arc::new(parsed(&text))]), &Limits::default());
    assert_eq!(run.failed(), 0, "{text}");
    let mut piece = Piece::new(&parsed(&text).for_topic("true"), &Limits::default()).unwrap();
    feed(&mut piece, &data);
    let judged = offline::judge(piece.rules(), &piece.summary(), (0, 0), None);
    assert!(judged.checks.iter().all(|(_, v)| v.status == Status::Pass), "{text}\n{judged:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_second_sample_of_the_same_stream_passes(
        seed in any::<u64>(),
        n in 100usize..6_000,
        m in 20usize..6_000,
        nulls in 0.0f64..0.3,
        missing in 0.0f64..0.3,
        skew in 0.1f64..2.5,
        rare in 0.0f64..0.02,
    ) {
        let mut stream = Stream { random: Random(seed), next_id: seed % 1_000_000, nulls, missing, skew, rare };
        let first = stream.take(n);
        let text = check_file("orders", "orders.jsonl", &survey(&first), &Limits::default()).unwrap();
        let file = parsed(&text);
        let run = runner::run(&CheckSet::of(vec![Arc::new(file.clone())]), &Limits::default());
        prop_assert_eq!(run.failed(), 0, "{}", text);
        prop_assert_eq!(failing(&file, &first), Vec::<String>::new(), "on its own data: {}", text);
        let second = stream.take(m);
        prop_assert_eq!(failing(&file, &second), Vec::<String>::new(), "on more of it: {}", text);
    }
}
