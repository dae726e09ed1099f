//! The lab itself: its parts come up, answer, and go away.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Message, Signal};

const OWNER: &str = env!("CARGO_BIN_EXE_lab-owner");

#[tokio::test]
async fn a_broker_stores_commits_and_agrees_with_kafkas_own_commands() -> Result<()> {
    let kafka = lab::broker().await?;
    let brokers = kafka.bootstrap();
    let topic = lab::unique("lab-orders");
    let group = lab::unique("lab-readers");
    lab::create_topic(&brokers, &topic, 2, &[]).await?;
    let records = (0..10).map(|n| {
        Message::value(format!("{{\"n\":{n}}}"))
            .key(format!("k{n}"))
            .header("traceparent", "x")
            .at(1_700_000_000_000 + n)
            .to((n % 2) as i32)
    });
    let stored = lab::produce(&brokers, &topic, records).await?;
    assert_eq!(stored[3], (1, 1), "the fourth is the second of partition 1");
    assert_eq!(lab::end_offsets(&brokers, &topic).await?[&0], (0, 5));

    let read = lab::consume(&brokers, &group, &topic, 10).await?;
    assert_eq!(read.len(), 10);
    let idle = lab::unique("lab-idle");
    lab::commit(&brokers, &idle, &topic, &[(0, 2), (1, 5)]).await?;
    assert_eq!(lab::committed(&brokers, &idle, &topic).await?, [(0, 2), (1, 5)].into());
    let table = kafka.describe_group(&idle).await?;
    let row = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|row| row.get(1) == Some(&topic.as_str()) && row.get(2) == Some(&"0"));
    let row = row.unwrap_or_else(|| panic!("no row of partition 0 in\n{table}"));
    assert_eq!(&row[3..6], ["2", "5", "3"], "committed, end, lag: {table}");
    Ok(())
}

#[tokio::test]
async fn the_secure_listeners_know_their_user_and_nobody_else() -> Result<()> {
    let kafka = lab::broker().await?;
    let topic = lab::unique("lab-secret");
    lab::create_topic(&kafka.bootstrap(), &topic, 1, &[]).await?;
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        for (password, right) in [(lab::kafka::SASL_PASSWORD, true), ("wrong", false)] {
            let mut config = lab::clients::config(&kafka.sasl_bootstrap());
            config
                .set("security.protocol", "SASL_PLAINTEXT")
                .set("sasl.mechanism", mechanism)
                .set("sasl.username", lab::kafka::SASL_USER)
                .set("sasl.password", password)
                .set("message.timeout.ms", if right { "60000" } else { "3000" });
            let sent = lab::clients::produce_with(&config, &topic, [Message::value("x")]).await;
            assert_eq!(sent.is_ok(), right, "{mechanism} {password}: {sent:?}");
        }
    }
    for (authority, right) in [(Some(kafka.ca_file()), true), (None, false)] {
        let mut config = lab::clients::config(&kafka.sasl_ssl_bootstrap());
        config
            .set("security.protocol", "SASL_SSL")
            .set("sasl.mechanism", "SCRAM-SHA-256")
            .set("sasl.username", lab::kafka::SASL_USER)
            .set("sasl.password", lab::kafka::SASL_PASSWORD)
            .set("message.timeout.ms", if right { "60000" } else { "3000" });
        if let Some(file) = authority {
            config.set("ssl.ca.location", file.display().to_string());
        }
        let sent = lab::clients::produce_with(&config, &topic, [Message::value("x")]).await;
        assert_eq!(sent.is_ok(), right, "with the authority: {right}: {sent:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_node_of_two_can_be_killed_and_come_back_and_nothing_stays_behind() -> Result<()> {
    let options = lab::KafkaOptions { nodes: 2, ..Default::default() };
    let kafka = lab::Kafka::start(options).await?;
    let topic = lab::unique("lab-moving");
    lab::clients::create_replicated_topic(&kafka.bootstrap(), &topic, 2, 2, &[]).await?;
    kafka.stop_node(1, Signal::Kill).await?;
    assert_eq!(kafka.pid(1), None);
    lab::produce(&kafka.bootstrap(), &topic, (0..4).map(|n| Message::value("x").to(n % 2))).await?;
    kafka.start_node(1).await?;
    let pids: Vec<u32> = (0..2).filter_map(|node| kafka.pid(node)).collect();
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().all(|pid| alive(*pid)));
    drop(kafka);
    assert!(!pids.iter().any(|pid| alive(*pid)), "{pids:?} still run");
    Ok(())
}

/// The guardian ends a part whose owner is killed; what even the guardian could not end, the next start reaps.
#[tokio::test]
async fn after_a_kill_9_of_the_owner_nothing_runs_and_the_next_start_is_clean() -> Result<()> {
    for guardian_dies_first in [false, true] {
        let mut owner = Command::new(OWNER).arg("hold").stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(owner.stdout.take().expect("piped")).read_line(&mut line)?;
        let words: Vec<&str> = line.trim().split(' ').collect();
        let (pid, guardian, folder) = (words[0].parse::<u32>()?, words[1], Path::new(words[2]));
        assert!(alive(pid));
        if guardian_dies_first {
            // With the part of it that waits for the owner's end and would still end the group.
            let children = Command::new("ps").args(["-o", "pid=", "--ppid", guardian]).output()?.stdout;
            let children = String::from_utf8(children)?;
            let others: Vec<&str> = children.split_whitespace().filter(|child| *child != words[0]).collect();
            ensure!(!others.is_empty(), "the guardian watches by itself now: mend this test");
            Command::new("kill").args(["-KILL", guardian]).args(others).status()?;
        }
        owner.kill()?;
        owner.wait()?;
        if guardian_dies_first {
            assert!(alive(pid), "nobody could end it yet");
            // A start in a process of its own: in ours the reaper may have run already.
            let next = Command::new(OWNER).arg("folder").output()?;
            ensure!(next.status.success(), "{next:?}");
            assert!(!folder.exists(), "{} was not removed", folder.display());
        }
        lab::eventually("the orphan is gone", Duration::from_secs(20), async || {
            ensure!(!alive(pid), "{pid} still runs");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}
