//! What is held against earlier windows, and against another topic.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use lab::Message;

use super::{is_live, live, tested};

/// Sessions before the one that is judged.
const BEFORE: usize = 14;
/// From the beginning of a session to that of the next, ms.
const APART_MS: i64 = 4_000;

const CHECKS: &str = r#"  - { id: countries, metric: newValues, field: $.country, mustBe: 0 }
  - { id: added, metric: fieldsAdded, mustBe: 0 }
  - { id: removed, metric: fieldsRemoved, mustBe: 0 }
  - { id: types, metric: typeChanged, mustBe: 0 }
  - { id: volume, metric: rowCount, baseline: previous }
  - { id: amounts, metric: drift, field: $.amount, baseline: previous, mustBeLessThan: 0.2 }
"#;

/// A session of less than three seconds; `odd` is other than what was before.
fn session(odd: bool) -> Vec<(i64, String)> {
    let record = |i: i64| {
        let country = if odd && i % 10 == 3 { "XX" } else { ["DE", "FR"][(i % 2) as usize] };
        let (key, note) = if odd { ("memo", "1".to_owned()) } else { ("note", "\"n\"".to_owned()) };
        let amount = if odd { 50 + i } else { 10 + i % 40 };
        let who = if odd { "7".to_owned() } else { "\"ann\"".to_owned() };
        (i * 8, format!(r#"{{"country":"{country}","{key}":{note},"amount":{amount},"who":{who}}}"#))
    };
    (0..if odd { 205 } else { 320 }).map(record).collect()
}

fn given(records: &[(i64, String)], indent: &str, topic: Option<&str>) -> Result<String> {
    let mut text = String::new();
    let topic = topic.map_or_else(String::new, |topic| format!(", topic: {topic}"));
    for (at_ms, value) in records {
        writeln!(text, "{indent}- {{ at: {at_ms}ms, raw: '{value}'{topic} }}")?;
    }
    Ok(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_before_is_the_same_in_a_test_and_live() -> Result<()> {
    let kafka = lab::broker().await?;
    let (brokers, topic) = (kafka.bootstrap(), lab::unique("past"));
    lab::create_topic(&brokers, &topic, 1, &[]).await?;
    let file = format!(
        "version: 1\ntopic: {topic}\nwindow: {{ gap: 1s, longest: 1m, allowed_lateness: 1s }}\nchecks:\n{CHECKS}"
    );
    let ids = ["countries", "added", "removed", "types", "volume", "amounts"];
    let expect = ids.map(|id| format!("{id}: fail")).join(", ");
    let test = format!(
        "{file}tests:\n  - name: t\n    before:\n      - repeat: {BEFORE}\n        given:\n{}    given:\n{}    expect: {{ {expect} }}\n",
        given(&session(false), "          ", None)?,
        given(&session(true), "      ", None)?,
    );
    let tested = tested(&test).await?;
    ensure!(ids.iter().all(|id| tested[*id].0 == "fail"), "{tested:#?}");

    let tapline = live(&brokers, &[&topic], &file).await?;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    let start_ms = (now_ms - (BEFORE as i64 + 3) * APART_MS) / 1_000 * 1_000;
    let mut messages = Vec::new();
    // One more than in the test: of the first it is not known whether it began before it was read.
    for nth in 0..=BEFORE + 1 {
        let begin_ms = start_ms + nth as i64 * APART_MS;
        let records = session(nth > BEFORE);
        messages.extend(records.into_iter().map(|(at_ms, value)| Message::value(value).at(begin_ms + at_ms)));
    }
    lab::produce(&brokers, &topic, messages).await?;
    is_live(&tapline, &tested).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ratio_of_two_topics_is_the_same_in_a_test_and_live() -> Result<()> {
    let kafka = lab::broker().await?;
    let (brokers, topic, other) = (kafka.bootstrap(), lab::unique("paid"), lab::unique("ordered"));
    for name in [&topic, &other] {
        lab::create_topic(&brokers, name, 2, &[]).await?;
    }
    let file = format!(
        "version: 1\ntopic: {topic}\nwindow: {{ size: 20s }}\nchecks:\n  \
         - {{ id: all-paid, metric: ratio, arguments: {{ of: {other} }}, mustBeBetween: [99, 101] }}\n  \
         - {{ id: most-paid, metric: ratio, arguments: {{ of: {other} }}, mustBeGreaterThan: 70 }}\n"
    );
    let records = |count: i64| (0..count).map(|i| (i * 100, format!("{{\"n\":{i}}}"))).collect::<Vec<_>>();
    let test = format!(
        "{file}tests:\n  - name: t\n    given:\n{}{}    expect: {{ all-paid: fail, most-paid: pass }}\n",
        given(&records(30), "      ", None)?,
        given(&records(40), "      ", Some(&other))?,
    );
    let tested = tested(&test).await?;
    ensure!(tested["all-paid"].0 == "fail" && tested["most-paid"].0 == "pass", "{tested:#?}");

    let tapline = live(&brokers, &[&topic, &other], &file).await?;
    // A window counts when it was read from its beginning.
    tokio::time::sleep(Duration::from_secs(25)).await;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    for (name, count) in [(&topic, 30), (&other, 40)] {
        let messages = records(count)
            .into_iter()
            .map(|(at_ms, value)| Message::value(value).at(now_ms - 4_000 + at_ms).key(at_ms.to_string()));
        lab::produce(&brokers, name, messages.collect::<Vec<_>>()).await?;
    }
    is_live(&tapline, &tested).await
}
