//! `tapline diff`.

use anyhow::{Result, ensure};
use lab::Message;

use super::{ends_with, order, run};

fn day(from: usize, shift: i64) -> String {
    (from..from + 1_000).map(|id| order(id, (id as i64 * 7_919) % 50 + shift)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_profiles_and_topics_are_compared_alike() -> Result<()> {
    let (monday, tuesday, broken) = (day(0, 0), day(5_000, 0), day(9_000, 40));
    let saved = run("profile", &["--data", "-", "--json", "--sketches"], &[], &monday).await?;
    let files = [
        ("monday.jsonl", monday.as_str()),
        ("tuesday.jsonl", tuesday.as_str()),
        ("broken.jsonl", broken.as_str()),
        ("monday.json", saved.stdout.as_str()),
    ];
    let alike = run("diff", &["monday.jsonl", "tuesday.jsonl"], &files, "").await?;
    ends_with(
        &alike,
        0,
        &["A  monday.jsonl: 1,000 records", "$.id went on from 999 to 5000", "none in a way that matters"],
    )?;
    let shifted = run("diff", &["monday.json", "broken.jsonl", "--json"], &files, "").await?;
    ends_with(&shifted, 1, &[])?;
    let report = shifted.json()?;
    ensure!(report["matters"] == true && report["changes"][0]["field"] == "$.amount", "{report:#}");
    ensure!(report["changes"][0]["change"] == "distribution", "{report:#}");
    ends_with(
        &run("diff", &["monday.json", "-"], &files, &broken).await?,
        1,
        &["MATTERS  the values of $.amount"],
    )?;

    let kafka = lab::broker().await?;
    let topic = lab::unique("orders");
    lab::create_topic(&kafka.bootstrap(), &topic, 1, &[]).await?;
    let both = format!("{monday}{broken}");
    lab::produce(&kafka.bootstrap(), &topic, both.lines().map(Message::value)).await?;
    let (first, second) = (format!("topic:{topic}@0..1000"), format!("topic:{topic}@1000..end"));
    let of_topic = run("diff", &[&first, &second, "-b", &kafka.bootstrap(), "--json"], &[], "").await?;
    ends_with(&of_topic, 1, &[])?;
    ensure!(of_topic.json()?["changes"] == report["changes"], "{of_topic:?}\n{report:#}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_compared_is_said() -> Result<()> {
    let data = day(0, 0);
    let plain = run("profile", &["--data", "-", "--json"], &[], &data).await?;
    let files = [
        ("a.jsonl", data.as_str()),
        ("plain.json", plain.stdout.as_str()),
        ("half.jsonl", "{\"id\":1}\n{\"id\""),
    ];
    for (args, says) in [
        (["a.jsonl", "absent.jsonl"], "absent.jsonl"),
        (["plain.json", "a.jsonl"], "--sketches"),
        (["half.jsonl", "a.jsonl"], "middle of a record"),
        (["-", "-"], "only be one"),
        (["a.jsonl", "-"], "no records"),
        (["a.jsonl", "topic:orders@5"], "FROM..TO"),
        (["a.jsonl", "topic:orders"], "no brokers"),
    ] {
        ends_with(&run("diff", &args, &files, "").await?, 2, &[says])?;
    }
    Ok(())
}
