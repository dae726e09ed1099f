//! `tapline lint` against data.

use anyhow::{Result, ensure};
use lab::Message;
use serde_json::Value;

use super::{ends_with, order, run};

const FILE: &str = r#"
version: 1
topic: orders
checks:
  - { id: amount, metric: invalidValues, field: $.amuont, arguments: { min: 0 }, mustBe: 0 }
  - { id: mail, metric: aggregate, field: $.email, arguments: { function: mean }, mustBeLessThan: 5 }
  - { id: rule, metric: failedRows, expr: "value.amount >= value.fee", mustBe: 0 }
"#;

fn data(records: usize) -> String {
    (0..records).map(|id| order(id, 5)).collect()
}

#[tokio::test]
async fn what_never_occurs_is_named_with_what_was_meant() -> Result<()> {
    let data = data(20);
    let files = [("orders.yaml", FILE), ("orders.jsonl", data.as_str())];
    let text = run("lint", &["orders.yaml", "--data", "orders.jsonl"], &files, "").await?;
    let says = [
        "`$.amuont` occurs in none of the 20 documents of `orders.jsonl`",
        "orders.yaml:5:49",
        "did you mean `$.amount`?",
        "`aggregate` needs numbers, and `$.email` is always a text",
        "`value.fee` occurs in none",
        "`value` has `amount`, `email`, `id`",
        "3 checks, 0 service levels, 0 tests: 0 errors, 3 warnings",
        "held against 20 records of orders.jsonl",
    ];
    // Warnings alone are no failure.
    ends_with(&text, 0, &says)?;
    ensure!(text.stderr.is_empty(), "{text:?}");

    let json = run("lint", &["orders.yaml", "--data", "-", "--json"], &files, &data).await?;
    ends_with(&json, 0, &[])?;
    let json = json.json()?;
    ensure!(json["warnings"] == 3 && json["good"] == true, "{json:#}");
    let place = &json["findings"][0];
    ensure!(place["line"] == 5 && place["column"] == 49 && place["length"] == 8, "{json:#}");
    ensure!(json["data"]["records"] == 20 && json["data"]["topic"] == "orders", "{json:#}");

    // No more records than asked for, and the same without data as ever.
    let few = run("lint", &["orders.yaml", "--data", "-", "--records", "7"], &files, &data).await?;
    ends_with(&few, 0, &["none of the 7 documents", "held against 7 records"])?;
    let alone = run("lint", &["orders.yaml", "--json"], &files, "").await?;
    ensure!(alone.json()?["warnings"] == 0 && alone.json()?["data"].is_null(), "{alone:?}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_held_against_data_says_why() -> Result<()> {
    let files = [("orders.yaml", FILE)];
    let lint = async |args: &[&str], stdin: &str| run("lint", args, &files, stdin).await;
    ends_with(&lint(&["orders.yaml", "--data", "-"], "").await?, 2, &["no records in standard input"])?;
    let other = lint(&["orders.yaml", "--data", "-", "--topic", "payments"], "{}\n").await?;
    ends_with(&other, 2, &["no check file is for the topic `payments`"])?;
    ends_with(&lint(&["orders.yaml", "--data", "absent.jsonl"], "").await?, 2, &["absent.jsonl"])?;
    ends_with(&lint(&["orders.yaml", "--data", "-", "--records", "0"], "").await?, 2, &["--records"])?;
    // Nothing decodes: every path is absent, which says nothing of the paths.
    let broken = lint(&["orders.yaml", "--data", "-"], "{\n{\n").await?;
    ends_with(&broken, 0, &["no document of `standard input` could be decoded"])?;
    // A file with errors is not held against anything.
    let wrong = [("orders.yaml", "version: 1\ntopic: orders\nchecks: [{ id: a, metrik: rowCount }]\n")];
    let wrong = run("lint", &["orders.yaml", "--data", "-"], &wrong, "{}\n").await?;
    ends_with(&wrong, 1, &["did you mean `metric`?"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_says_the_same_as_a_file_of_its_records() -> Result<()> {
    let kafka = lab::broker().await?;
    let topic = lab::unique("orders");
    lab::create_topic(&kafka.bootstrap(), &topic, 3, &[]).await?;
    let data = data(300);
    lab::produce(&kafka.bootstrap(), &topic, data.lines().map(Message::value)).await?;
    let text = FILE.replace("topic: orders", &format!("topic: {topic}"));
    let files = [("orders.yaml", text.as_str()), ("orders.jsonl", data.as_str())];
    let brokers = kafka.bootstrap();
    let said = async |args: &[&str]| -> Result<(Value, String)> {
        let all = [&["orders.yaml", "--json"], args].concat();
        let finished = run("lint", &all, &files, "").await?;
        ends_with(&finished, 0, &[])?;
        let json = finished.json()?;
        let source = json["data"]["source"].as_str().unwrap_or_default().to_owned();
        Ok((json["data"]["records"].clone(), json["findings"].to_string().replace(&source, "SOURCE")))
    };
    let of_file = said(&["--data", "orders.jsonl"]).await?;
    let of_topic = said(&["--topic", &topic, "--brokers", &brokers]).await?;
    ensure!(of_file == of_topic && of_topic.0 == 300, "{of_file:?}\n{of_topic:?}");
    // The latest of a topic, no more than asked for.
    let latest = said(&["--topic", &topic, "-b", &brokers, "--records", "30"]).await?;
    ensure!(latest.0.as_u64().is_some_and(|n| n > 0 && n <= 30), "{latest:?}");
    let first = said(&["--topic", &topic, "-b", &brokers, "--records", "30", "--from", "beginning"]).await?;
    ensure!(first.0 == 30, "{first:?}");
    Ok(())
}
