//! `tapline profile`, `tapline init` and `tapline schema`.

use anyhow::{Context as _, Result, ensure};
use lab::Message;
use serde_json::Value;

use super::{ends_with, order, run};

fn data() -> String {
    (0..1_000).map(|id| order(id, id as i64 % 50)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_and_a_file_have_the_same_profile() -> Result<()> {
    let data = data();
    let files = [("orders.jsonl", data.as_str())];
    let of_file = run("profile", &["--data", "orders.jsonl", "--json", "--sketches"], &files, "").await?;
    ends_with(&of_file, 0, &[])?;
    let shape = of_file.json()?;
    ensure!(
        shape["version"] == 1 && shape["source"] == "orders.jsonl" && shape["records"] == 1_000,
        "{shape:#}"
    );
    let amount = shape["fields"].as_array().and_then(|f| f.iter().find(|f| f["path"] == "$.amount"));
    let amount = amount.context("$.amount")?;
    ensure!(amount["types"]["integer"] == 1_000 && amount["numeric"]["max"] == 49.0, "{amount:#}");
    ensure!(amount["distinct"]["estimate"] == 50.0 && amount["missing"] == 0, "{amount:#}");

    let kafka = lab::broker().await?;
    let topic = lab::unique("orders");
    lab::create_topic(&kafka.bootstrap(), &topic, 3, &[]).await?;
    lab::produce(&kafka.bootstrap(), &topic, data.lines().map(Message::value)).await?;
    let args = ["--topic", &topic, "--json", "--sketches", "-b", &kafka.bootstrap()];
    let of_topic = run("profile", &args, &[], "").await?;
    ends_with(&of_topic, 0, &[])?;
    let sorted = |value: &Value| {
        // Means differ in the last digit with the order of the records.
        let fields = value["fields"].as_array().cloned().unwrap_or_default();
        fields
            .into_iter()
            .map(|mut f| {
                if let Some(numeric) = f["numeric"].as_object_mut() {
                    numeric.remove("mean");
                    numeric.remove("stddev");
                }
                // Which of many values are listed depends on the order too.
                if let Some(f) = f.as_object_mut() {
                    f.remove("top");
                    f.remove("top_floor");
                }
                f
            })
            .collect::<Vec<_>>()
    };
    ensure!(sorted(&shape) == sorted(&of_topic.json()?), "{of_topic:?}");
    Ok(())
}

#[tokio::test]
async fn people_get_a_table_and_nobody_gets_values_who_should_not() -> Result<()> {
    let table = run("profile", &["--data", "-"], &[], &data()).await?;
    ends_with(&table, 0, &["standard input: 1,000 records", "$.email", "13 characters", "0 … ~23.8 … 49"])?;
    ensure!(!table.stdout.contains("a@example.com"), "an address is nobody's business: {table:?}");
    let plans = data().replace("a@example.com", "gold");
    ends_with(&run("profile", &["--data", "-"], &[], &plans).await?, 0, &["gold 100%"])?;
    for arguments in
        [&["--no-values"][..], &["--no-values", "--json", "--sketches"], &["--redact", "$.email"]]
    {
        let none = run("profile", &[&["--data", "-"], arguments].concat(), &[], &plans).await?;
        ends_with(&none, 0, &["$.email"])?;
        ensure!(!none.stdout.contains("gold"), "{arguments:?}: {none:?}");
    }
    ends_with(&run("profile", &["--data", "-"], &[], "").await?, 2, &["no records"])?;
    Ok(())
}

#[tokio::test]
async fn a_suggested_file_lints_its_fixtures_hold_and_the_data_passes() -> Result<()> {
    let data = data();
    let suggested = run("init", &["--data", "orders.jsonl"], &[("orders.jsonl", &data)], "").await?;
    ends_with(&suggested, 0, &["topic: orders\n", "id-unique"])?;
    let files = [("orders.yaml", suggested.stdout.as_str()), ("orders.jsonl", data.as_str())];
    ends_with(&run("lint", &["orders.yaml"], &files, "").await?, 0, &["sound"])?;
    ends_with(&run("test", &["orders.yaml"], &files, "").await?, 0, &["all hold"])?;
    ends_with(&run("check", &["orders.yaml", "--data", "orders.jsonl"], &files, "").await?, 0, &[])?;
    ends_with(&run("init", &["--data", "-"], &[], "{\"a\":1}\n").await?, 2, &["too few"])?;
    Ok(())
}

#[tokio::test]
async fn schemas_are_printed_for_editors() -> Result<()> {
    for (of, title) in [("checks", "Tapline check file"), ("config", "Tapline configuration")] {
        let schema = run("schema", &[of], &[], "").await?;
        ends_with(&schema, 0, &[])?;
        ensure!(schema.json()?["title"] == title, "{schema:?}");
    }
    ends_with(&run("schema", &["cheks"], &[], "").await?, 2, &["checks"])?;
    Ok(())
}

#[tokio::test]
async fn parts_of_the_records_are_profiled_apart() -> Result<()> {
    // 40 countries, the first of them with the most records; and what has none.
    let line = |i: usize| format!("{{\"country\":\"c{:02}\",\"amount\":{i}}}\n", (i % 41).min(i % 40));
    let data: String = (0..4_100).map(line).collect::<String>() + "{\"amount\":1}\n{\"half\":\nplain text\n";
    let args = ["--data", "-", "--by", "$.country"];
    let whole = run("profile", &["--data", "-", "--json"], &[], &data).await?.json()?;
    let parted = run("profile", &[&args[..], &["--json"]].concat(), &[], &data).await?.json()?;
    for same in ["records", "documents", "decode_failures", "not_decoded"] {
        ensure!(whole[same] == parted[same], "{same}: {} and {}", whole[same], parted[same]);
    }
    let segments = parted["segments"].as_array().context("segments")?;
    ensure!(segments.len() == 21, "{} segments", segments.len());
    let records = |s: &Value| s["records"].as_u64().unwrap_or(0);
    ensure!(segments.iter().map(records).sum::<u64>() == 4_103, "every record is in one");
    ensure!(segments[..20].is_sorted_by(|a, b| records(a) >= records(b)), "the largest first");
    ensure!(segments[20]["segment"] == "other" && records(&segments[20]) > 2, "{}", segments[20]);
    let of = |s: &Value, path: &str| {
        s["fields"].as_array().and_then(|f| f.iter().find(|f| f["path"] == path)).cloned()
    };
    for segment in &segments[..20] {
        let country = of(segment, "$.country").context("$.country")?;
        ensure!(country["distinct"]["estimate"] == 1.0, "{segment:#}");
        ensure!(country["top"][0]["value"] == segment["segment"], "{segment:#}");
    }
    let counts = |s: &Value| of(s, "$.amount").and_then(|f| f["numeric"]["count"].as_u64()).unwrap_or(0);
    ensure!(segments.iter().map(counts).sum::<u64>() == 4_101, "every amount is in one");

    ends_with(
        &run("profile", &args, &[], &data).await?,
        0,
        &["standard input, c00: ", "standard input, other: "],
    )?;
    let many = run("profile", &["--data", "-", "--by", "$.items[].sku"], &[], &data).await?;
    ends_with(&many, 2, &["--by $.items[].sku", "one value a record"])?;
    let hidden = run("profile", &[&args[..], &["--redact", "$.country"]].concat(), &[], &data).await?;
    ends_with(&hidden, 2, &["its values are not shown"])
}
