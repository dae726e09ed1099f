//! Sessions, and windows by event time.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use lab::{Message, eventually};

use super::{Records, START_MS, TIMEOUT, by_test, is_live, live, said, three_ways};

const CHECKS: &str = r#"  - { id: amounts, metric: invalidValues, field: $.amount, arguments: { min: 0 }, unit: percent, mustBeLessThan: 10 }
  - { id: order, metric: outOfOrder, mustBe: 0 }
  - { id: ids, metric: duplicateValues, field: $.id, mustBe: 0 }
  - { id: answered, metric: notFollowedBy, arguments: { when: "value.kind == 'ask'", then: "value.kind == 'answer'", within: 3s, by: $.who }, mustBe: 0 }
"#;

const TIME: &str = "time: { field: $.at, format: epoch_milliseconds }";

/// Sixty records of six seconds. Every tenth comes two seconds after its event, behind later ones; one has
/// no event time, and one is from a clock that is days ahead.
fn records(start_ms: i64) -> Records {
    let record = |i: i64| {
        let at_ms = i * 100;
        let kind = if i == 7 || i == 25 { "ask" } else { "other" };
        // The answer comes after the question in the topic, and before it by event time.
        let kind = if i == 20 { "answer" } else { kind };
        let event_ms = start_ms + if i % 10 == 0 { (at_ms - 2_000).max(0) } else { at_ms };
        let at = match i {
            33 => String::new(),
            34 => format!("\"at\":{},", start_ms + 500_000_000),
            _ => format!("\"at\":{event_ms},"),
        };
        let amount = if i == 12 { -1 } else { i };
        (at_ms, format!("{{{at}\"id\":{},\"amount\":{amount},\"kind\":\"{kind}\",\"who\":\"w\"}}", i / 2))
    };
    (0..60).map(record).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_by_event_time_are_the_same_three_ways() -> Result<()> {
    let head = format!("{TIME}\nwindow: {{ size: 1h, by: event, allowed_lateness: 5s }}");
    let said = three_ways(&head, CHECKS, records).await?;
    for (id, status, words) in [
        ("amounts", "pass", "1 of 60"),
        ("order", "fail", "5 of 58"),
        ("ids", "fail", "30"),
        ("answered", "fail", "2 of 2"),
    ] {
        let (got, message) = &said[id];
        ensure!(got == status && message.contains(words), "{id}: {got}: {message}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_the_same_three_ways() -> Result<()> {
    for (by, unanswered) in [("record", "1 of 2"), ("event", "2 of 2")] {
        let head = format!("{TIME}\nwindow: {{ gap: 8s, longest: 1h, by: {by} }}");
        let said = three_ways(&head, CHECKS, records).await?;
        let (got, message) = &said["ids"];
        ensure!(got == "fail" && message.contains("30"), "ids: {got}: {message}");
        let (got, message) = &said["answered"];
        ensure!(got == "fail" && message.contains(unanswered), "answered: {got}: {message}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_event_amends_the_verdict_on_its_session() -> Result<()> {
    let kafka = lab::broker().await?;
    let (brokers, topic) = (kafka.bootstrap(), lab::unique("late"));
    lab::create_topic(&brokers, &topic, 1, &[]).await?;
    let file = format!(
        "version: 1\ntopic: {topic}\n{TIME}\nwindow: {{ gap: 5s, longest: 10m, by: event, allowed_lateness: 10m }}\nchecks:\n{CHECKS}"
    );
    let tapline = live(&brokers, &[&topic], &file).await?;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    // Two sessions, the second long enough ago for the first to be over.
    let first_ms = (now_ms - 60_000) / 1_000 * 1_000;
    let value = |at_ms: i64, id: i64, amount: i64| {
        format!("{{\"at\":{},\"id\":{id},\"amount\":{amount},\"kind\":\"other\"}}", first_ms + at_ms)
    };
    let mut told: Vec<(i64, String)> = Vec::new();
    told.extend((0..20).map(|i| (i * 100, value(i * 100, i, 1))));
    told.extend((0..20).map(|i| (9_000 + i * 100, value(9_000 + i * 100, 100 + i, 1))));
    // A third one that is not over keeps the watermark from the clock.
    told.push((30_000, value(30_000, 900, 1)));
    let send = async |records: &[(i64, String)]| {
        let messages = records.iter().map(|(at, value)| Message::value(value.clone()).at(first_ms + at));
        lab::produce(&brokers, &topic, messages.collect::<Vec<_>>()).await
    };
    send(&told).await?;
    let live_says = async || {
        let view = tapline.json("/api/v1/checks").await?;
        said(view["checks"].as_array().context("no checks")?, "id", "message")
    };
    eventually("the second session is judged", TIMEOUT, async || {
        let said = live_says().await?;
        let (got, message) = &said["amounts"];
        ensure!(got == "pass" && message.contains("of 20"), "{got}: {message}");
        Ok(())
    })
    .await?;
    // Between them, late: it joins them, and is wrong; copies of the first session are now copies.
    let late = [(31_000, value(5_500, 5, -1)), (31_100, value(4_000, 105, -1))];
    send(&late).await?;
    told.extend(late);
    // The session that is open is not judged: the file's test has not got it either.
    told.retain(|(at, _)| *at != 30_000);
    let tested = by_test(&file, &moved(&told, first_ms)).await?;
    ensure!(tested["amounts"].1.contains("2 of 42"), "{tested:#?}");
    is_live(&tapline, &tested).await
}

/// The same records as of the moment of a file's tests.
fn moved(records: &[(i64, String)], first_ms: i64) -> Records {
    let at = |value: &str| {
        let digits: String =
            value.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        digits.parse::<i64>().map(|ms| (digits, ms))
    };
    let moved = |value: &str| match at(value) {
        Ok((digits, ms)) => value.replacen(&digits, &(ms - first_ms + START_MS).to_string(), 1),
        Err(_) => value.to_owned(),
    };
    records.iter().map(|(at_ms, value)| (*at_ms, moved(value))).collect()
}
