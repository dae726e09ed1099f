//! What is odd, huge or hostile comes out counted where it belongs, and takes bounded memory.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use lab::{Launch, Message};
use serde_json::{Value, json};

use super::{ends_with, run};

async fn profile(data: &str) -> Result<Value> {
    let finished = run("profile", &["--data", "-", "--json"], &[], data).await?;
    ends_with(&finished, 0, &[])?;
    finished.json()
}

fn field<'a>(profile: &'a Value, path: &str) -> Result<&'a Value> {
    let fields = profile["fields"].as_array().context("fields")?;
    fields.iter().find(|f| f["path"] == path).with_context(|| format!("{path} in {fields:#?}"))
}

fn same(what: &str, got: &Value, truth: &Value) -> Result<()> {
    ensure!(got == truth, "{what}: {got}, not {truth}");
    Ok(())
}

#[tokio::test]
async fn numbers_are_what_they_are_worth() -> Result<()> {
    let digits = "7".repeat(400);
    let data = format!(
        "{{\"a\":1}}\n{{\"a\":1.0}}\n{{\"a\":1e0}}\n{{\"z\":-0}}\n{{\"z\":0}}\n{{\"z\":-0.0}}\n{{\"z\":0e5}}\n\
         {{\"long\":0.{digits}}}\n{{\"long\":{digits}}}\n{{\"long\":-{digits}}}\n{{\"long\":1e400}}\n{{\"long\":1e-400}}\n\
         {{\"big\":9007199254740993}}\n{{\"big\":9007199254740992}}\n{{\"big\":18446744073709551615}}\n\
         {{\"nan\":NaN}}\n{{\"nan\":Infinity}}\n"
    );
    let profile = profile(&data).await?;
    same("records", &profile["records"], &json!(17))?;
    // Beyond what a double holds there is no number; and JSON has neither NaN nor infinities.
    same("refused", &profile["decode_failures"], &json!({"number_out_of_range": 3, "not_json": 2}))?;
    let one = field(&profile, "$.a")?;
    same("1 and 1.0", &one["distinct"]["estimate"], &json!(1.0))?;
    same("1 and 1.0", &one["top"], &json!([{"value": "1", "count": 3, "error": 0}]))?;
    same("kinds", &json!([one["types"]["integer"], one["types"]["number"]]), &json!([1, 2]))?;
    let zero = field(&profile, "$.z")?;
    same("-0", &zero["top"], &json!([{"value": "0", "count": 4, "error": 0}]))?;
    same("-0", &zero["distinct"]["estimate"], &json!(1.0))?;
    let long = field(&profile, "$.long")?;
    same("400 digits", &long["numeric"]["count"], &json!(2))?;
    ensure!(long["numeric"]["max"].as_f64().is_some_and(|x| (x - 7.0 / 9.0).abs() < 1e-9), "{long:#}");
    // Integers keep their digits, beyond those of a double too.
    same("integers", &field(&profile, "$.big")?["distinct"]["estimate"], &json!(3.0))
}

#[tokio::test]
async fn keys_are_names_whatever_is_in_them() -> Result<()> {
    let names =
        ["a.b", "it's", "say \"hi\"", "line\nbreak", "bell\u{7}", "\u{1b}[2J", "", "ключ", "a b", "*", "[]"];
    let document: serde_json::Map<String, Value> =
        names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), json!(at))).collect();
    let data = format!("{}\n", Value::Object(document)).repeat(3);
    let profiled = profile(&data).await?;
    for (at, name) in names.iter().enumerate() {
        // What no terminal should get is written as its number.
        let shown = |c: char| match c {
            '\'' => "\\'".to_owned(),
            c if c.is_control() => format!("\\u{{{:x}}}", u32::from(c)),
            c => c.to_string(),
        };
        let quoted: String = name.chars().map(shown).collect();
        let candidates = [format!("$['{quoted}']"), format!("$.{name}")];
        let found = candidates.iter().find_map(|path| field(&profiled, path).ok());
        let found = found.with_context(|| format!("{name:?}: {:#}", profiled["fields"]))?;
        same(name, &found["numeric"]["max"], &json!(at as f64))?;
        same(name, &json!([found["records"], found["missing"]]), &json!([3, 0]))?;
    }
    let table = run("profile", &["--data", "-"], &[], &data).await?;
    ends_with(&table, 0, &["3 records"])?;
    ensure!(table.stdout.chars().all(|c| c == '\n' || !c.is_control()), "{:?}", table.stdout);
    ensure!(table.stdout.lines().count() == 3 + names.len(), "{}", table.stdout);

    // Such a field is named in a check file as in a profile.
    let checks = "version: 1\ntopic: t\nchecks:\n  \
         - { id: dotted, metric: missingValues, field: \"$['a.b']\", mustBe: 0 }\n  \
         - { id: nested, metric: missingValues, field: $.a.b, mustBe: 0 }\n";
    let args = ["t.yaml", "--data", "-", "--json"];
    let judged = run("check", &args, &[("t.yaml", checks)], &data).await?.json()?;
    same("dotted", &judged["checks"][0]["failed"], &json!(0))?;
    same("nested", &judged["checks"][1]["failed"], &json!(3))
}

#[tokio::test]
async fn duplicate_keys_are_counted_and_the_last_counts() -> Result<()> {
    let data = "{\"a\":1,\"a\":2}\n{\"a\":3}\n{\"o\":{\"x\":1,\"x\":\"y\"},\"a\":4}\n";
    let profiled = profile(data).await?;
    same("documents", &profiled["duplicate_keys"], &json!(2))?;
    let a = field(&profiled, "$.a")?;
    same("the last", &json!([a["numeric"]["min"], a["numeric"]["max"]]), &json!([2.0, 4.0]))?;
    same("once", &json!([a["records"], a["missing"]]), &json!([3, 0]))?;
    same("the last", &field(&profiled, "$.o.x")?["types"]["string"], &json!(1))?;
    let checks = "version: 1\ntopic: t\nchecks:\n  \
         - { id: large, metric: invalidValues, field: $.a, arguments: { min: 2 }, mustBe: 0 }\n";
    let judged =
        run("check", &["t.yaml", "--data", "-", "--json"], &[("t.yaml", checks)], data).await?.json()?;
    same("judged", &json!([judged["verdict"], judged["checks"][0]["checked"]]), &json!(["pass", 3]))
}

#[tokio::test]
async fn time_that_goes_backwards_is_the_same_window() -> Result<()> {
    let line =
        |i: i64| format!("{{\"value\":{{\"i\":{i}}},\"timestamp\":{}}}\n", 1_764_000_000_000 - i * 1_000);
    let data: String = (0..100).map(line).collect();
    let checks = "version: 1\ntopic: t\nchecks:\n  - { id: all, metric: rowCount, mustBe: 100 }\n";
    let args = ["t.yaml", "--data", "-", "--envelope", "--json"];
    let judged = run("check", &args, &[("t.yaml", checks)], &data).await?.json()?;
    same("verdict", &judged["verdict"], &json!("pass"))?;
    let forwards: String = (0..100).rev().map(line).collect();
    let again = run("check", &args, &[("t.yaml", checks)], &forwards).await?.json()?;
    same("window", &judged["window"], &again["window"])?;
    ensure!(judged["window"]["from"].as_str() < judged["window"]["to"].as_str(), "{judged:#}");
    Ok(())
}

/// NaN and infinities, which Avro can write and JSON cannot.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_number_in_avro_is_counted_apart() -> Result<()> {
    let kafka = lab::broker().await?;
    let registry = lab::registry().await?;
    let topic = lab::unique("not-finite");
    lab::create_topic(&kafka.bootstrap(), &topic, 1, &[]).await?;
    let schema =
        r#"{"type":"record","name":"M","fields":[{"name":"x","type":"double"},{"name":"f","type":"float"}]}"#;
    let id = registry.register(&format!("{topic}-value"), "AVRO", schema).await?;
    let record = |x: f64, f: f32| {
        let body = [x.to_le_bytes().as_slice(), f.to_le_bytes().as_slice()].concat();
        Message::value([[0u8].as_slice(), &id.to_be_bytes(), &body].concat())
    };
    let records = [
        record(1.0, 1.5),
        record(f64::NAN, f32::NAN),
        record(f64::INFINITY, f32::NEG_INFINITY),
        record(f64::NEG_INFINITY, 2.5),
        record(-0.0, f32::MAX),
        record(f64::MAX, 0.0),
    ];
    lab::produce(&kafka.bootstrap(), &topic, records).await?;
    let config = format!("version: 1\nregistry: {{ url: \"{}\" }}\n", registry.url());
    let checks = format!(
        "version: 1\ntopic: {topic}\ndecode: {{ value: avro }}\nchecks:\n  \
         - {{ id: in-range, metric: invalidValues, field: $.x, arguments: {{ min: 0, max: 10 }}, mustBe: 0 }}\n"
    );
    let files = [("tapline.yaml", config.as_str()), ("t.yaml", checks.as_str())];
    let brokers = kafka.bootstrap();
    let source = ["--topic", &topic, "-b", &brokers, "--config", "tapline.yaml", "--json"];
    let profiled = run("profile", &source, &files, "").await?;
    ends_with(&profiled, 0, &[])?;
    let profiled = profiled.json()?;
    let x = &field(&profiled, "$.x")?["numeric"];
    same("x", &json!([x["count"], x["not_finite"], x["min"]]), &json!([3, 3, 0.0]))?;
    same("x", &x["max"], &json!(f64::MAX))?;
    let f = &field(&profiled, "$.f")?["numeric"];
    same("f", &json!([f["count"], f["not_finite"], f["max"]]), &json!([4, 2, f64::from(f32::MAX)]))?;
    let judged = run("check", &[&["t.yaml"], &source[..]].concat(), &files, "").await?.json()?;
    let check = &judged["checks"][0];
    // NaN is in no range, and neither are infinities.
    same("in range", &json!([check["failed"], check["checked"]]), &json!([4, 6]))
}

/// The profile of what is written, and the most memory that it took, KiB.
fn measured(
    args: &[&str],
    write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>,
) -> Result<(Value, u64)> {
    let launch = Launch::new("profile")?;
    launch.write(
        "t.yaml",
        "version: 1\ntopic: t\nchecks:\n  - { id: all, metric: decodeFailures, mustBe: 0 }\n",
    )?;
    let mut child = Command::new(lab::tapline::binary()?)
        .args(args)
        .current_dir(launch.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("stdin")?;
    write(&mut stdin)?;
    // More than what pipe and buffers hold: everything before it has been looked at.
    let small = b"{\"small\":1}\n".repeat(SMALL);
    stdin.write_all(&small)?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    let kib = peak.trim().trim_end_matches(" kB").parse()?;
    drop(stdin);
    let output = child.wait_with_output()?;
    Ok((serde_json::from_slice(&output.stdout).context("JSON")?, kib))
}

/// Lines behind what is measured.
const SMALL: usize = 100_000;
const PROFILE: [&str; 4] = ["profile", "--data", "-", "--json"];
const CHECK: [&str; 5] = ["check", "t.yaml", "--data", "-", "--json"];

#[test]
fn ten_thousand_fields_are_bounded_and_what_is_folded_is_counted() -> Result<()> {
    let members: Vec<String> = (0..10_000).map(|i| format!("\"field_{i:05}\":{i}")).collect();
    let line = format!("{{\"wide\":{{{}}}}}\n", members.join(","));
    let (profiled, kib) = measured(&PROFILE, |out| (0..50).try_for_each(|_| out.write_all(line.as_bytes())))?;
    let fields = profiled["fields"].as_array().context("fields")?;
    ensure!(fields.len() <= 2_000, "{} fields", fields.len());
    let values: u64 = fields
        .iter()
        .filter(|f| f["path"].as_str().is_some_and(|path| path.starts_with("$.wide.")))
        .map(|f| f["types"]["integer"].as_u64().unwrap_or(0))
        .sum();
    let folded = profiled["folded_values"].as_u64().context("folded_values")?;
    ensure!(values + folded == 500_000, "{values} values and {folded} folded");
    ensure!(kib < 96 * 1024, "{kib} KiB");
    let (judged, kib) = measured(&CHECK, |out| (0..50).try_for_each(|_| out.write_all(line.as_bytes())))?;
    same("check", &judged["verdict"], &json!("pass"))?;
    ensure!(kib < 96 * 1024, "{kib} KiB");
    Ok(())
}

#[test]
fn keys_that_are_identifiers_are_one_map() -> Result<()> {
    let line = |i: usize| format!("{{\"by_id\":{{\"550e8400-e29b-41d4-a716-{i:012x}\":{{\"n\":{i}}}}}}}\n");
    let (profiled, kib) =
        measured(&PROFILE, |out| (0..100_000).try_for_each(|i| out.write_all(line(i).as_bytes())))?;
    let paths: Vec<&str> =
        profiled["fields"].as_array().context("fields")?.iter().filter_map(|f| f["path"].as_str()).collect();
    ensure!(paths == ["$.by_id", "$.by_id.*", "$.by_id.*.n", "$.small"], "{paths:?}");
    let n = field(&profiled, "$.by_id.*.n")?;
    same("n", &json!([n["records"], n["missing"]]), &json!([100_000, 0]))?;
    ensure!(kib < 48 * 1024, "{kib} KiB");
    Ok(())
}

#[test]
fn an_array_of_a_million_counts_each_and_takes_what_it_is_long() -> Result<()> {
    let line = format!("{{\"all\":[{}7]}}\n", "7,".repeat(999_999));
    let (profiled, kib) = measured(&PROFILE, |out| (0..5).try_for_each(|_| out.write_all(line.as_bytes())))?;
    let all = field(&profiled, "$.all[]")?;
    same("elements", &json!([all["records"], all["numeric"]["count"]]), &json!([5_000_000, 5_000_000]))?;
    same("the array", &field(&profiled, "$.all")?["types"]["array"], &json!(5))?;
    ensure!(kib < 128 * 1024, "{kib} KiB");
    Ok(())
}

#[test]
fn texts_of_eight_megabytes_are_measured_and_longer_ones_refused() -> Result<()> {
    const MOST: usize = 8 << 20;
    let long = "x".repeat(MOST - "{\"s\":\"\"}".len());
    let write = |out: &mut dyn std::io::Write| {
        for _ in 0..5 {
            writeln!(out, "{{\"s\":\"{long}\"}}")?;
            writeln!(out, "{{\"s\":\"{long}y\"}}")?;
            // Escapes are taken apart.
            writeln!(out, "{{\"s\":\"{}\"}}", "\\n".repeat(MOST / 2 - 8))?;
        }
        Ok(())
    };
    let (profiled, kib) = measured(&PROFILE, write)?;
    same("too long", &profiled["decode_failures"], &json!({"too_large": 5}))?;
    let s = &field(&profiled, "$.s")?["text"];
    same("longest", &json!([s["length_max"], s["length_min"]]), &json!([long.len(), MOST / 2 - 8]))?;
    let listed = field(&profiled, "$.s")?["top"].as_array().context("top")?;
    ensure!(
        listed.iter().all(|top| top["value"].as_str().is_some_and(|text| text.len() <= 256)),
        "{listed:?}"
    );
    ensure!(kib < 96 * 1024, "{kib} KiB");
    let (judged, kib) = measured(&CHECK, write)?;
    same("check", &json!([judged["verdict"], judged["checks"][0]["failed"]]), &json!(["fail", 5]))?;
    ensure!(kib < 96 * 1024, "{kib} KiB");
    Ok(())
}
