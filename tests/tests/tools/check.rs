//! `tapline check`.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{Launch, Message};
use serde_json::{Value, json};

use super::{ORDERS, ends_with, order, run};

const FILE: [(&str, &str); 1] = [("orders.yaml", ORDERS)];

fn good() -> String {
    (0..100).map(|id| order(id, 5)).collect()
}

#[tokio::test]
async fn exit_codes_say_what_was_found() -> Result<()> {
    let check = async |args: &[&str], stdin: &str| run("check", args, &FILE, stdin).await;
    let args = ["orders.yaml", "--data", "-"];
    ends_with(&check(&args, &good()).await?, 0, &["orders: 100 records", "4 checks: 4 pass"])?;

    let bad = format!("{}{}", good(), order(7, 5));
    let finished = check(&args, &bad).await?;
    ends_with(&finished, 1, &["FAIL", "ids-unique", "1 of 101 values of $.id", "3 pass, 1 fail"])?;

    let warned = format!("{}{{\"id\":1000,\"amount\":1}}\n", good());
    ends_with(
        &check(&args, &warned).await?,
        1,
        &["email-present", "(warning)", "line 101: $.email is missing"],
    )?;
    let lenient = ["orders.yaml", "--data", "-", "--fail-on", "error"];
    ends_with(&check(&lenient, &warned).await?, 0, &["FAIL", "email-present"])?;

    // An undecodable record in the middle is counted; the checks say whether it matters.
    let broken = format!("{}nonsense\n{{\"id\"\n", good());
    ends_with(&check(&args, &broken).await?, 0, &["102 records", "1 not decoded (1 truncated)"])?;
    Ok(())
}

#[tokio::test]
async fn half_a_record_at_the_end_never_passes() -> Result<()> {
    let finished =
        run("check", &["orders.yaml", "--data", "-"], &FILE, &format!("{}{{\"id\": 10", good())).await?;
    ends_with(&finished, 1, &["ends in the middle of a record"])?;
    let json = ["orders.yaml", "--data", "-", "--json"];
    let finished = run("check", &json, &FILE, &format!("{}{{\"id\": 10", good())).await?;
    ends_with(&finished, 1, &[])?;
    ensure!(finished.json()?["truncated"] == true, "{finished:?}");
    // The last line may lack its line break.
    let whole = run("check", &json, &FILE, good().trim_end()).await?;
    ends_with(&whole, 0, &[])?;
    ensure!(whole.json()?["truncated"] == false && whole.json()?["records"] == 100, "{whole:?}");
    Ok(())
}

#[tokio::test]
async fn no_data_is_unknown_and_never_passes() -> Result<()> {
    // With a volume check, silence is a failure.
    let args = ["orders.yaml", "--data", "-"];
    ends_with(&run("check", &args, &FILE, "").await?, 1, &["0 records", "FAIL", "volume", "3 unknown"])?;
    // Without one, nothing can be said.
    let text = ORDERS.replace("  - { id: volume, metric: rowCount, mustBeGreaterThan: 0 }\n", "");
    let args = ["orders.yaml", "--data", "-", "--json"];
    let finished = run("check", &args, &[("orders.yaml", &text)], "").await?;
    ends_with(&finished, 2, &["nothing could be judged: there are no records"])?;
    ensure!(finished.json()?["verdict"] == "unknown" && finished.json()?["window"]["from"].is_null());
    // A check that is unknown beside others that pass does not stop the gate, unless it is told to.
    let text = format!(
        "{ORDERS}  - {{ id: rare, metric: nullValues, field: $.note, mustBe: 0, min_records: 1000 }}\n"
    );
    let files = [("orders.yaml", text.as_str())];
    ends_with(&run("check", &["orders.yaml", "-d", "-"], &files, &good()).await?, 0, &["1 unknown"])?;
    ends_with(&run("check", &["orders.yaml", "-d", "-", "--strict"], &files, &good()).await?, 1, &[])?;
    Ok(())
}

#[tokio::test]
async fn what_cannot_run_says_why() -> Result<()> {
    let wrong = [("orders.yaml", "version: 1\ntopic: orders\nchecks:\n  - { id: a, metrik: rowCount }\n")];
    ends_with(
        &run("check", &["orders.yaml", "--data", "-"], &wrong, "").await?,
        2,
        &["did you mean `metric`?"],
    )?;
    let absent = run("check", &["orders.yaml", "--data", "absent.jsonl"], &FILE, "").await?;
    ends_with(&absent, 2, &["absent.jsonl"])?;
    ends_with(&run("check", &["orders.yaml"], &FILE, "").await?, 2, &["--data FILE"])?;
    ends_with(&run("check", &["orders.yaml", "--data", "."], &FILE, "").await?, 2, &["folder"])?;
    ends_with(&run("check", &["absent.yaml", "--data", "-"], &FILE, "").await?, 2, &["absent.yaml"])?;
    let no_brokers = run("check", &["orders.yaml", "--topic", "orders"], &FILE, "").await?;
    ends_with(&no_brokers, 2, &["no brokers given"])?;
    let edge = ["orders.yaml", "--topic", "orders", "--from", "yesterday", "--brokers", "x:1"];
    ends_with(&run("check", &edge, &FILE, "").await?, 2, &["--from", "-1h"])?;
    let both = ["orders.yaml", "--data", "-", "--from", "1"];
    ends_with(&run("check", &both, &FILE, "").await?, 2, &["cannot be used with"])?;
    Ok(())
}

#[tokio::test]
async fn the_topic_is_named_when_files_leave_it_open() -> Result<()> {
    let pattern = ORDERS.replace("topic: orders", "pattern: \"orders\\\\..+\"");
    let files =
        [("a.yaml", pattern.as_str()), ("b.yaml", &ORDERS.replace("topic: orders", "topic: payments"))];
    let ambiguous = run("check", &["a.yaml", "b.yaml", "--data", "-"], &files, &good()).await?;
    ends_with(&ambiguous, 2, &["--topic", "`payments`", "the pattern"])?;
    let named = ["a.yaml", "b.yaml", "--data", "-", "--topic", "orders.de"];
    ends_with(&run("check", &named, &files, &good()).await?, 0, &["orders.de: 100 records"])?;
    let other = ["a.yaml", "b.yaml", "--data", "-", "--topic", "invoices"];
    ends_with(
        &run("check", &other, &files, &good()).await?,
        2,
        &["no check file is for the topic `invoices`"],
    )?;
    Ok(())
}

#[tokio::test]
async fn ci_gets_a_junit_report_of_checks_and_of_tests() -> Result<()> {
    let launch = Launch::new("check")?.args(["orders.yaml", "--data", "-", "--junit", "report.xml"]);
    launch.write("orders.yaml", ORDERS)?;
    let finished = launch.finish_with(&format!("{}{}", good(), order(3, 5))).await?;
    ends_with(&finished, 1, &[])?;
    let xml = std::fs::read_to_string(launch.folder().join("report.xml"))?;
    for part in ["failures=\"1\"", "name=\"ids-unique\"", "<failure message=\"1 of 101 values"] {
        ensure!(xml.contains(part), "no {part}: {xml}");
    }
    let text = format!(
        "{ORDERS}tests:\n  - {{ name: a <b> & c, given: [{{ value: {{ amount: -1 }} }}], expect: {{ amount-range: pass }} }}\n"
    );
    let launch = Launch::new("test")?.args(["orders.yaml", "--junit", "report.xml"]);
    launch.write("orders.yaml", text)?;
    ends_with(&launch.finish().await?, 1, &[])?;
    let xml = std::fs::read_to_string(launch.folder().join("report.xml"))?;
    for part in ["a &lt;b&gt; &amp; c", "failures=\"1\"", "`amount-range` was to pass and is fail"] {
        ensure!(xml.contains(part), "no {part}: {xml}");
    }
    Ok(())
}

/// A check file that looks at keys, headers, times and what follows on what.
const WHOLE: &str = r#"
version: 1
topic: events
time: { field: $.at, format: epoch_milliseconds }
checks:
  - { id: keyed, metric: failedRows, expr: "key == value.id && headers.source == 'shop'", mustBe: 1 }
  - { id: delayed, metric: delay, mustBeLessThan: 1m }
  - { id: in-order, metric: outOfOrder, mustBe: 1 }
  - { id: no-gaps, metric: sequenceGaps, field: $.seq, mustBe: 1 }
  - { id: placed, metric: failedRows, expr: "meta.partition == 0 && meta.offset >= 0 && has(meta.timestamp)", mustBe: 0 }
  - id: followed
    metric: notFollowedBy
    arguments: { when: "value.event == 'paid'", then: "value.event == 'sent'", within: 5s }
    mustBe: 1
  - { id: tombstones, metric: rowCount, mustBe: 202 }
"#;

/// Records with key, header and time, as `(key, header, ms, value)`.
fn whole(start: i64) -> Vec<(String, &'static str, i64, Option<String>)> {
    let event = |key: usize, seq: usize, event: &str, at: i64, own: i64| {
        let value = format!("{{\"id\":\"k{key}\",\"seq\":{seq},\"event\":\"{event}\",\"at\":{own}}}");
        (format!("k{key}"), "shop", at, Some(value))
    };
    let mut records = Vec::new();
    for key in 0..100usize {
        let at = start + key as i64 * 1_000;
        records.push(event(key, 1, "paid", at, at - 100));
        // One is late to be sent, one misses a number, one is of another time.
        let sent = if key == 7 { 6_000 } else { 500 };
        let own = if key == 9 { at - 5_000 } else { at + sent - 100 };
        records.push(event(key, if key == 3 { 3 } else { 2 }, "sent", at + sent, own));
    }
    records.sort_by_key(|record| record.2);
    records[20].1 = "other";
    records.push(("gone".to_owned(), "shop", start + 120_000, None));
    records.push(("odd".to_owned(), "shop", start + 120_000, Some("plain words \u{fc}".to_owned())));
    records
}

/// Lines as `--envelope` reads them, and as `kcat -J` writes them.
fn lines(records: &[(String, &str, i64, Option<String>)]) -> (String, String) {
    let (mut own, mut kcat) = (String::new(), String::new());
    for (offset, (key, source, ms, value)) in records.iter().enumerate() {
        let text = serde_json::to_string(value).unwrap_or_default();
        let held = match value {
            Some(json) if json.starts_with('{') => format!("\"value\":{json}"),
            Some(_) => format!("\"raw\":{text}"),
            None => "\"value\":null".to_owned(),
        };
        own.push_str(&format!(
            "{{\"key\":\"{key}\",{held},\"headers\":{{\"source\":\"{source}\"}},\"timestamp\":{ms},\"partition\":0,\"offset\":{offset}}}\n"
        ));
        kcat.push_str(&format!(
            "{{\"topic\":\"events\",\"partition\":0,\"offset\":{offset},\"tstype\":\"create\",\"ts\":{ms},\"broker\":1,\"headers\":[\"source\",\"{source}\"],\"key\":\"{key}\",\"payload\":{text}}}\n"
        ));
    }
    (own, kcat)
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_records_of_a_file_are_judged_as_those_of_a_topic() -> Result<()> {
    let records = whole(1_767_225_600_000);
    let (own, kcat) = lines(&records);
    let kafka = lab::broker().await?;
    let topic = lab::unique("events");
    lab::create_topic(&kafka.bootstrap(), &topic, 1, &[]).await?;
    let messages = records.iter().map(|(key, source, ms, value)| {
        let message = Message { value: value.clone().map(String::into_bytes), ..Message::default() };
        message.key(key.clone()).header("source", *source).at(*ms)
    });
    lab::produce(&kafka.bootstrap(), &topic, messages).await?;
    let text = WHOLE.replace("topic: events", &format!("topic: {topic}"));
    let files = [("events.yaml", text.as_str()), ("own.jsonl", own.as_str()), ("kcat.jsonl", kcat.as_str())];
    let brokers = kafka.bootstrap();
    let check = async |args: &[&str]| -> Result<Value> {
        let finished = run("check", &[&["events.yaml", "--json"], args].concat(), &files, "").await?;
        ensure!(finished.code == Some(0), "{finished:?}");
        let mut report = finished.json()?;
        report.as_object_mut().context("an object")?.remove("source");
        Ok(report)
    };
    let of_topic = check(&["--topic", &topic, "--brokers", &brokers]).await?;
    for data in ["own.jsonl", "kcat.jsonl"] {
        let of_file = check(&["--data", data, "--envelope"]).await?;
        ensure!(of_file == of_topic, "{data}: {of_file:#}\n{of_topic:#}");
    }
    for check in of_topic["checks"].as_array().context("checks")? {
        ensure!(check["status"] == "pass", "{check:#}");
    }

    // The same source serves the others.
    let profile = run("profile", &["--data", "kcat.jsonl", "--envelope", "--json"], &files, "").await?;
    ensure!(profile.json()?["records"] == 202, "{profile:?}");
    let lint = run("lint", &["events.yaml", "--data", "own.jsonl", "--envelope"], &files, "").await?;
    ends_with(&lint, 0, &["held against 202 records"])?;
    let init = run("init", &["--data", "own.jsonl", "--envelope"], &files, "").await?;
    ends_with(&init, 0, &["topic: own\n"])?;
    Ok(())
}

#[tokio::test]
async fn what_is_no_whole_record_says_which_line() -> Result<()> {
    let (own, _) = lines(&whole(1_767_225_600_000));
    let files = [("events.yaml", WHOLE)];
    let check =
        async |stdin: &str| run("check", &["events.yaml", "-d", "-", "--envelope"], &files, stdin).await;
    let failing = own.replace("\"shop\"", "\"web\"");
    ends_with(&check(&failing).await?, 1, &["FAIL", "keyed", "partition 0 offset 0: "])?;
    let bare = format!("{own}{{\"id\":1}}\n");
    ends_with(&check(&bare).await?, 2, &["standard input", "line 203 is no record", "it has no `value`"])?;
    let typo = own.replacen("\"timestamp\"", "\"timestmap\"", 1);
    ends_with(&check(&typo).await?, 2, &["line 1 is no record", "did you mean `timestamp`?"])?;
    let half = &own[..own.len() - 20];
    ends_with(&check(half).await?, 1, &["ends in the middle of a record"])?;
    let alone = run("check", &["events.yaml", "--topic", "events", "--envelope"], &files, "").await?;
    ends_with(&alone, 2, &["--data"])?;
    Ok(())
}

/// What a topic range and a file of the same records must agree about.
fn comparable(mut report: Value) -> Value {
    for key in ["source", "window", "truncated"] {
        report.as_object_mut().expect("an object").remove(key);
    }
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_and_a_file_of_the_same_records_get_the_same_verdicts() -> Result<()> {
    let kafka = lab::broker().await?;
    let topic = lab::unique("orders");
    lab::create_topic(&kafka.bootstrap(), &topic, 1, &[]).await?;
    let mut data: String = (0..500).map(|id| order(id % 495, id as i64 % 40 - 2)).collect();
    data.push_str("{\"id\":1000}\n{\"id\":\nplain words\n");
    let start = 1_767_225_600_000i64;
    let messages =
        data.lines().enumerate().map(|(at, line)| Message::value(line).at(start + at as i64 * 1_000));
    lab::produce(&kafka.bootstrap(), &topic, messages).await?;

    let text = ORDERS.replace("topic: orders", &format!("topic: {topic}"))
        + "  - { id: decodes, metric: decodeFailures, mustBe: 1 }\n  - { id: rule, metric: failedRows, expr: \"value.amount < 30\", unit: percent, mustBeLessThan: 50 }\n";
    let files = [("orders.yaml", text.as_str()), ("orders.jsonl", data.as_str())];
    let brokers = kafka.bootstrap();
    let check = async |args: &[&str]| {
        let all = [&["orders.yaml", "--json"], args].concat();
        run("check", &all, &files, "").await
    };
    let of_file = check(&["--data", "orders.jsonl"]).await?;
    let of_topic = check(&["--topic", &topic, "--brokers", &brokers]).await?;
    ensure!(of_file.code == Some(1) && of_topic.code == Some(1), "{of_file:?} {of_topic:?}");
    let (file, all) = (comparable(of_file.json()?), comparable(of_topic.json()?));
    ensure!(file == all, "{file:#}\n{all:#}");
    ensure!(all["records"] == 503, "{all:#}");
    ensure!(
        of_topic.json()?["window"]
            == json!({ "from": "2026-01-01T00:00:00.000Z", "to": "2026-01-01T00:08:22.001Z" }),
        "{of_topic:?}"
    );

    // Ranges by offset and by time, the end excluded.
    let count = async |from: &str, to: &str| -> Result<Value> {
        let finished = check(&["--topic", &topic, "-b", &brokers, "--from", from, "--to", to]).await?;
        Ok(finished.json().with_context(|| format!("{finished:?}"))?["records"].clone())
    };
    ensure!(count("100", "200").await? == 100);
    ensure!(count("2026-01-01T00:01:40Z", "2026-01-01T00:03:20Z").await? == 100);
    ensure!(count("2026-01-01T00:08:20Z", "end").await? == 3);
    ensure!(count("beginning", "2026-01-01T00:00:10Z").await? == 10);
    ensure!(count("-1m", "end").await? == 0, "the records are old");
    // What was produced after the range began is not read; there is no group left behind.
    let absent = check(&["--topic", &format!("{topic}-absent"), "-b", &brokers]).await?;
    ends_with(&absent, 2, &["no check file is for"])?;
    let text = text.replace(&format!("topic: {topic}"), "pattern: \".*-absent|.*\"");
    let files = [("orders.yaml", text.as_str())];
    let args = ["orders.yaml", "--topic", "not-there", "-b", &brokers];
    ends_with(&run("check", &args, &files, "").await?, 2, &["not-there", "is not there"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_record_ends_a_range_all_the_same() -> Result<()> {
    let kafka = lab::broker().await?;
    let topic = lab::unique("compacted");
    lab::create_topic(&kafka.bootstrap(), &topic, 3, &[]).await?;
    // A transaction's marker is the last offset of each of its partitions; one partition stays empty.
    let mut config = lab::clients::config(&kafka.bootstrap());
    config.set("transactional.id", lab::unique("gate"));
    let producer: rdkafka::producer::BaseProducer = config.create()?;
    tokio::task::block_in_place(|| -> Result<()> {
        use rdkafka::producer::{BaseRecord, Producer as _};
        let patience = Duration::from_secs(60);
        producer.init_transactions(patience)?;
        for commits in [true, false] {
            producer.begin_transaction()?;
            for partition in 0..2 {
                for id in 0..10 {
                    let value = order(id, 1);
                    let record = BaseRecord::<(), str>::to(&topic).payload(&value).partition(partition);
                    producer.send(record).map_err(|(e, _)| e)?;
                }
            }
            producer.flush(patience)?;
            if commits {
                producer.commit_transaction(patience)?
            } else {
                producer.abort_transaction(patience)?
            }
        }
        Ok(())
    })?;
    let text = ORDERS.replace("topic: orders", &format!("topic: {topic}"));
    let args = ["orders.yaml", "--topic", &topic, "--json", "-b", &kafka.bootstrap()];
    let finished = run("check", &args, &[("orders.yaml", &text)], "").await?;
    ensure!(finished.json()?["records"] == 20, "{finished:?}");
    Ok(())
}

#[test]
fn a_million_records_keep_the_memory_flat() -> Result<()> {
    let launch = Launch::new("check")?;
    let checks: String = [
        "metric: rowCount, mustBe: 1000000",
        "metric: missingValues, field: $.id, mustBe: 0",
        "metric: nullValues, field: $.customer.email, mustBe: 0",
        "metric: invalidValues, field: $.amount, arguments: { min: 0 }, mustBe: 0",
        "metric: invalidValues, field: $.status, arguments: { validValues: [new, paid] }, mustBe: 0",
        "metric: invalidValues, field: '$.items[].price', arguments: { min: 0 }, mustBe: 0",
        "metric: duplicateValues, field: $.id, mustBe: 0",
        "metric: duplicateValues, field: $.key, unit: percent, mustBeLessThan: 1",
        "metric: failedRows, expr: 'value.amount >= 0', mustBe: 0",
        "metric: decodeFailures, mustBe: 0",
    ]
    .iter()
    .enumerate()
    .map(|(at, check)| format!("  - {{ id: c{at}, {check} }}\n"))
    .collect();
    launch.write("orders.yaml", format!("version: 1\ntopic: orders\nchecks:\n{checks}"))?;
    let mut child = Command::new(lab::tapline::binary()?)
        .args(["check", "orders.yaml", "--data", "-", "--json"])
        .current_dir(launch.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let peak_kib = || -> Result<u64> {
        let text = std::fs::read_to_string(&status)?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    let mut stdin = std::io::BufWriter::with_capacity(1 << 16, child.stdin.take().context("stdin")?);
    let pad = "x".repeat(340);
    for id in 0..1_000_000u32 {
        writeln!(
            stdin,
            "{{\"id\":{id},\"key\":\"key-{id:09}\",\"amount\":{}.25,\"status\":\"{}\",\"customer\":{{\"id\":{},\
             \"email\":\"u{}@example.com\"}},\"items\":[{{\"sku\":\"cup\",\"price\":{}}},{{\"sku\":\"saucer\",\
             \"price\":4.5}}],\"note\":\"{pad}\",\"created\":{}}}",
            id % 977,
            if id % 3 == 0 { "new" } else { "paid" },
            id % 5_003,
            id % 5_003,
            id % 89,
            1_767_225_600_000u64 + u64::from(id),
        )?;
    }
    stdin.flush()?;
    let kib = peak_kib()?;
    drop(stdin);
    let output = child.wait_with_output()?;
    let report: Value = serde_json::from_slice(&output.stdout).context("JSON")?;
    ensure!(report["records"] == 1_000_000 && report["verdict"] == "pass", "{report:#}");
    ensure!(output.status.code() == Some(0));
    ensure!(output.stderr.is_empty(), "quiet in a pipe: {}", String::from_utf8_lossy(&output.stderr));
    ensure!(kib < 64 * 1024, "peak memory {kib} KiB");
    Ok(())
}
