//! The same answers from outside: Kafka's own command, `tapline lag`, and the text of `/metrics`.

use anyhow::{Context, Result, ensure};
use lab::{Entry, Joining, Launch, Member};
use serde_json::json;

use super::{Scene, TIMEOUT, admin, admin_options, broker, now_ms};

const HOUR_MS: i64 = 3_600_000;

/// Where the official tool is right it says the same; where it counts what is gone, or below zero, we differ as
/// docs/lag.md says.
#[tokio::test]
async fn kafkas_own_command() -> Result<()> {
    let mut scene = Scene::new("official", 2).await?;
    let topic = scene.topic.clone();
    for partition in 0..2 {
        scene.append(partition, 100, now_ms()?).await?;
    }
    let group = |name: &str| format!("{topic}{name}");
    // Group, offset in partition 0, and the tool's lag of it; then ours.
    let cases: [(&str, i64, i64, Option<i64>); 5] = [
        ("start", 30, 70, Some(70)),
        ("half", 50, 50, Some(50)),
        ("done", 100, 0, Some(0)),
        ("lost", 10, 90, Some(70)),
        ("beyond", 1000, -900, None),
    ];
    for (name, offset, ..) in cases {
        scene.wire.commit(&group(name), &topic, &[(0, offset)]).await?;
    }
    let topics = [topic.as_str()];
    let commits = [(topic.as_str(), 0, 60)];
    let joined = group("joined");
    let _member =
        Member::join(&scene.brokers, Joining::classic(&joined, &topics, 2).commits(&commits)).await?;
    scene.delete_before(0, 30).await?;

    let names: Vec<String> = cases.iter().map(|(name, ..)| group(name)).chain([joined.clone()]).collect();
    let mut arguments = vec!["--bootstrap-server", &scene.brokers, "--describe", "--offsets"];
    names.iter().for_each(|name| arguments.extend(["--group", name]));
    let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let table = broker().await?.command(class, &arguments).await?;
    let row = |group: &str, partition: &str| {
        let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut of_group = rows.filter(|row| row.first() == Some(&group) && row.get(2) == Some(&partition));
        of_group.next().with_context(|| format!("no row of {group} {partition} in\n{table}"))
    };
    let snapshot = scene.look().await?;
    for (name, offset, theirs, ours) in cases {
        let row = row(&group(name), "0")?;
        let expected = [offset.to_string(), "100".to_owned(), theirs.to_string()];
        assert_eq!(row[3..6], expected.each_ref().map(String::as_str), "{table}");
        let seen = super::place(&snapshot, &group(name), &topic, 0)?;
        assert_eq!((seen.committed, seen.end, seen.lag_records), (Some(offset), Some(100), ours), "{name}");
    }
    assert_eq!(row(&joined, "0")?[3..6], ["60", "100", "40"]);
    assert_eq!(row(&joined, "1")?[3..6], ["-", "100", "-"]);
    let seen = super::place(&snapshot, &joined, &topic, 0)?;
    assert_eq!((seen.lag_records, seen.assigned), (Some(40), true));
    let seen = super::place(&snapshot, &joined, &topic, 1)?;
    assert_eq!((seen.committed, seen.lag_records, seen.end), (None, None, Some(100)));
    Ok(())
}

/// `tapline lag --json`: null where a figure is not known, and never where it is.
#[tokio::test]
async fn the_command_line() -> Result<()> {
    let mut scene = Scene::new("shell", 2).await?;
    let at = now_ms()? - HOUR_MS;
    scene.append(0, 10, at).await?;
    scene.append(1, 10, at).await?;
    scene.commit(&[(0, 4), (1, 44)]).await?;
    let finished = Launch::new("lag")?
        .args(["--brokers", &scene.brokers, "--group", &scene.group.replace('.', "\\."), "--json"])
        .finish()
        .await?;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let answer = finished.json()?;
    let groups = answer["groups"].as_array().context("groups")?;
    assert_eq!(groups.len(), 1, "{answer}");
    let seen = &groups[0];
    assert_eq!(
        (&seen["type"], &seen["state"], &seen["members"]),
        (&json!("classic"), &json!("Empty"), &json!(0))
    );
    let topic = &seen["topics"][0];
    assert_eq!((&topic["topic"], &topic["lag_records"]), (&json!(scene.topic), &json!(6)));
    let [known, beyond] = [&topic["partitions"][0], &topic["partitions"][1]];
    for (partition, key, value) in [
        (known, "committed", json!(4)),
        (known, "start", json!(0)),
        (known, "end", json!(10)),
        (known, "stable_end", json!(10)),
        (known, "lag_records", json!(6)),
        (known, "stable_lag_records", json!(6)),
        (known, "lost_records", json!(0)),
        (known, "unknown", json!(null)),
        (beyond, "committed", json!(44)),
        (beyond, "end", json!(10)),
        (beyond, "lag_records", json!(null)),
        (beyond, "stable_lag_records", json!(null)),
        (beyond, "lag_seconds", json!(null)),
        (beyond, "unknown", json!("ahead_of_end")),
    ] {
        assert_eq!(partition[key], value, "{key} of {partition}");
    }
    let age = known["lag_seconds"].as_f64().context("an age")?;
    ensure!((3600.0..3720.0).contains(&age), "{age} s");
    Ok(())
}

/// A series where the figure is known, none where it is not, labels that any scraper reads back, and nothing left of
/// what is gone.
#[tokio::test]
async fn the_text_of_a_scrape() -> Result<()> {
    let mut scene = Scene::new("scraped", 3).await?;
    let topic = scene.topic.clone();
    let at = now_ms()? - HOUR_MS;
    for partition in 0..3 {
        scene.append(partition, 10, at).await?;
    }
    // Named so that turning dots, dashes and underscores into one would make one of them.
    let names = ["a.b", "a_b", "a-b", "quo\"te", "back\\slash", "new\nline", "\u{1F980}"];
    let names: Vec<String> = names.iter().map(|name| format!("{topic}{name}")).collect();
    for (name, committed) in names.iter().zip(0..) {
        scene.wire.commit(name, &topic, &[(0, committed)]).await?;
    }
    let odd = format!("{topic}odd");
    scene.wire.commit(&odd, &topic, &[(0, 3), (1, 99)]).await?;
    scene.delete_before(2, 6).await?;
    scene.wire.commit(&odd, &topic, &[(2, 2)]).await?;
    let (twin, dashed) = (scene.another_topic("x-y", 1).await?, scene.another_topic("x.y", 1).await?);
    for (name, count) in [(&twin, 1), (&dashed, 2)] {
        scene.wire.append(name, 0, &vec![Entry::at(at); count]).await?;
        scene.wire.commit(&odd, name, &[(0, 0)]).await?;
    }

    let pattern = format!("^{}", topic.replace('.', "\\."));
    let config = format!(
        "version: 1\nwatch: {{ interval: 500ms, groups: {{ include: ['{pattern}'] }}, topics: {{ include: ['{pattern}'] }} }}\n"
    );
    let tapline =
        Launch::new("collector")?.config(&config)?.args(["--brokers", &scene.brokers]).start().await?;
    let metrics = lab::eventually("every group is served", TIMEOUT, async || {
        let metrics = tapline.metrics().await?;
        metrics.one("tapline_group_members", &[("group", &odd)])?;
        Ok(metrics)
    })
    .await?;
    for (name, committed) in names.iter().zip(0..) {
        let labels = [("group", name.as_str()), ("topic", &topic), ("partition", "0")];
        assert_eq!(metrics.one("tapline_group_lag_records", &labels)?, f64::from(10 - committed), "{name:?}");
        assert_eq!(metrics.one("tapline_group_committed_offset", &labels)?, f64::from(committed));
    }
    let of = |partition| [("group", odd.as_str()), ("topic", topic.as_str()), ("partition", partition)];
    for (series, partition, value) in [
        ("tapline_group_lag_records", "0", Some(7.0)),
        ("tapline_group_stable_lag_records", "0", Some(7.0)),
        ("tapline_group_lost_records", "0", Some(0.0)),
        ("tapline_group_committed_offset", "0", Some(3.0)),
        ("tapline_group_lag_records", "1", None),
        ("tapline_group_stable_lag_records", "1", None),
        ("tapline_group_committed_offset", "1", Some(99.0)),
        ("tapline_group_lag_records", "2", Some(4.0)),
        ("tapline_group_lost_records", "2", Some(4.0)),
    ] {
        assert_eq!(metrics.sum(series, &of(partition)), value, "{series} {partition}");
    }
    let labels = [("group", odd.as_str()), ("topic", topic.as_str())];
    assert_eq!(metrics.one("tapline_group_topic_lag_records", &labels)?, 11.0);
    let beyond = [labels[0], labels[1], ("reason", "ahead_of_end")];
    assert_eq!(metrics.one("tapline_group_unknown_partitions", &beyond)?, 1.0);
    for (name, count) in [(&twin, 1.0), (&dashed, 2.0)] {
        let labels = [("group", odd.as_str()), ("topic", name.as_str())];
        assert_eq!(metrics.one("tapline_group_topic_lag_records", &labels)?, count, "{name}");
    }
    let text = tapline.text("/metrics").await?;
    for line in text.lines().filter(|line| line.contains(&topic)) {
        let value = line.rsplit(' ').next().unwrap_or_default();
        ensure!(!value.contains("NaN") && !value.starts_with('-'), "{line}");
    }

    admin(&scene.brokers)?.delete_groups(&[&odd], &admin_options()).await?;
    lab::eventually("nothing is left of the group", TIMEOUT, async || {
        let metrics = tapline.metrics().await?;
        let left: Vec<_> = metrics
            .samples()
            .iter()
            .filter(|s| s.labels.get("group") == Some(&odd))
            .map(|s| &s.name)
            .collect();
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    ensure!(tapline.stop().await? == 0, "a clean stop");
    Ok(())
}
