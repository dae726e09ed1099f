//! What goes wrong around Tapline has a clear error or a counter, and nothing ends or hangs.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Kafka, KafkaOptions, Launch, Message, Metrics, Signal, Tapline, eventually};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

const TIMEOUT: Duration = Duration::from_secs(90);

fn config(topics: &str, more: &str) -> String {
    format!(
        "version: 1\nagent: {{ topics: {{ include: ['{topics}'] }}, group: 'tapline-{topics}', report_every: 500ms }}\n\
         watch: {{ interval: 1s }}\n{more}"
    )
}

fn run(brokers: &str, config: &str) -> Result<Launch> {
    Launch::new("run")?.args(["--brokers", brokers]).config(config)
}

async fn until(tapline: &Tapline, what: &str, holds: impl Fn(&Metrics) -> Result<()>) -> Result<Metrics> {
    eventually(what, TIMEOUT, async || {
        let metrics = tapline.metrics().await?;
        holds(&metrics)?;
        Ok(metrics)
    })
    .await
}

/// A server that takes connections and never answers.
async fn hanging() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            held.push(tokio::spawn(async move {
                let mut sink = [0; 1024];
                while stream.read(&mut sink).await.is_ok_and(|n| n > 0) {}
            }));
        }
    });
    Ok(format!("http://{address}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_records_are_counted_by_reason() -> Result<()> {
    let properties = vec![
        ("message.max.bytes".to_owned(), "80000000".to_owned()),
        ("replica.fetch.max.bytes".to_owned(), "80000000".to_owned()),
        ("socket.request.max.bytes".to_owned(), "160000000".to_owned()),
    ];
    let kafka = Kafka::start(KafkaOptions { properties, ..KafkaOptions::default() }).await?;
    let topic = lab::unique("hostile");
    lab::create_topic(&kafka.bootstrap(), &topic, 1, &[]).await?;
    let tapline = run(&kafka.bootstrap(), &config(&topic, ""))?.start().await?;
    let mut fifty_megabytes = vec![b' '; 50_000_000];
    fifty_megabytes[0] = b'[';
    let records: Vec<Vec<u8>> = vec![
        br#"{"fine":1}"#.to_vec(),
        fifty_megabytes,
        vec![b'['; 100_000],
        b"{\"a\":\"\xff\"}".to_vec(),
        br#"{"a":"#.to_vec(),
        br#"{"a":1e400}"#.to_vec(),
        br#"{"a":"\ud800"}"#.to_vec(),
        b"plain text is no failure".to_vec(),
        b"\x80\x81\x82 nor are bytes".to_vec(),
        br#"{"fine":2}"#.to_vec(),
    ];
    let count = records.len() as f64;
    lab::produce(&kafka.bootstrap(), &topic, records.into_iter().map(Message::value)).await?;
    let of = [("topic", topic.as_str())];
    let metrics = until(&tapline, "all hostile records are read", |metrics| {
        let read = metrics.sum("tapline_records_read_total", &of);
        ensure!(read == Some(count), "read {read:?} of {count}");
        Ok(())
    })
    .await?;
    for (reason, times) in [
        ("too_large", 1.0),
        ("too_deep", 1.0),
        ("invalid_utf8", 2.0),
        ("truncated", 1.0),
        ("number_out_of_range", 1.0),
    ] {
        let counted =
            metrics.one("tapline_decode_failures_total", &[("topic", &topic), ("reason", reason)])?;
        ensure!(counted == times, "{reason}: {counted}");
    }
    ensure!(metrics.sum("tapline_decode_failures_total", &of) == Some(6.0), "six failures in all");
    ensure!(metrics.sum("tapline_records_not_decoded_total", &of) == Some(2.0), "text and bytes");
    let memory = std::fs::read_to_string(format!("/proc/{}/status", tapline.pid()))?;
    let peak_kb: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
        .context("VmHWM")?;
    ensure!(peak_kb < 400_000, "{peak_kb} kB at the peak");
    ensure!(tapline.stop().await? == 0, "a clean stop");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_vanishes_takes_its_series_along() -> Result<()> {
    let kafka = lab::broker().await?;
    let topic = lab::unique("vanishing");
    let other = lab::unique("vanishing-not");
    for topic in [&topic, &other] {
        lab::create_topic(&kafka.bootstrap(), topic, 2, &[]).await?;
    }
    let tapline = run(&kafka.bootstrap(), &config(&format!("{topic}|{other}"), ""))?.start().await?;
    for topic in [&topic, &other] {
        lab::produce(&kafka.bootstrap(), topic, (0..10).map(|i| Message::value(format!("{{\"i\":{i}}}"))))
            .await?;
    }
    let both = |name: &'static str| {
        let (topic, other) = (topic.clone(), other.clone());
        move |metrics: &Metrics| {
            for topic in [&topic, &other] {
                let seen = metrics.sum(name, &[("topic", topic)]);
                ensure!(seen >= Some(10.0), "{name} of {topic}: {seen:?}");
            }
            Ok(())
        }
    };
    until(&tapline, "both are read", both("tapline_records_read_total")).await?;
    until(&tapline, "both are watched", both("tapline_partition_end_offset")).await?;
    lab::delete_topic(&kafka.bootstrap(), &topic).await?;
    until(&tapline, "the watcher's series of the deleted topic go", |metrics| {
        let left = metrics.sum("tapline_partition_end_offset", &[("topic", &topic)]);
        ensure!(left.is_none(), "still {left:?}");
        Ok(())
    })
    .await?;
    // And life goes on.
    lab::produce(&kafka.bootstrap(), &other, (0..5).map(|_| Message::value("{}"))).await?;
    until(&tapline, "the other topic is read on", |metrics| {
        let read = metrics.sum("tapline_records_read_total", &[("topic", &other)]);
        ensure!(read == Some(15.0), "{read:?}");
        Ok(())
    })
    .await?;
    ensure!(tapline.stop().await? == 0, "a clean stop");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_at_the_start_is_waited_for() -> Result<()> {
    let kafka = Kafka::start(KafkaOptions::default()).await?;
    let topic = lab::unique("late");
    lab::create_topic(&kafka.bootstrap(), &topic, 1, &[]).await?;
    kafka.stop_node(0, Signal::Term).await?;
    let mut tapline = run(&kafka.bootstrap(), &config(&topic, ""))?.start_alive().await?;
    let (status, why) = eventually("/readyz names the broker", TIMEOUT, async || {
        let (status, why) = tapline.status("/readyz").await?;
        ensure!(why.contains(&kafka.bootstrap()), "{status}: {why}");
        Ok((status, why))
    })
    .await?;
    ensure!(status == 503, "{status}: {why}");
    ensure!(tapline.exited()?.is_none(), "it goes on trying");
    let lag = Launch::new("lag")?.args(["--brokers", &kafka.bootstrap()]).finish().await?;
    ensure!(lag.code == Some(2) && lag.stderr.contains(&kafka.bootstrap()), "{lag:?}");
    kafka.start_node(0).await?;
    eventually("it is ready once the broker is", TIMEOUT, async || {
        let (status, why) = tapline.status("/readyz").await?;
        ensure!(status == 200, "{status}: {why}");
        Ok(())
    })
    .await?;
    lab::produce(&kafka.bootstrap(), &topic, [Message::value("{}")]).await?;
    until(&tapline, "the record is read", |metrics| {
        ensure!(metrics.sum("tapline_records_read_total", &[("topic", &topic)]) == Some(1.0), "not read yet");
        Ok(())
    })
    .await?;
    ensure!(tapline.stop().await? == 0, "a clean stop");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_said_and_never_shown() -> Result<()> {
    let kafka = lab::broker().await?;
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let properties = |password: &str| {
            format!(
                "bootstrap.servers={}\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism={mechanism}\n\
                 sasl.username={}\nsasl.password={password}\n",
                kafka.sasl_bootstrap(),
                lab::kafka::SASL_USER
            )
        };
        let launch = Launch::new("lag")?;
        let file = launch.write("right.properties", properties(lab::kafka::SASL_PASSWORD))?;
        let right = launch.arg("--json").arg("--properties-file").arg(file).finish().await?;
        ensure!(right.code == Some(0), "{mechanism}: {right:?}");
        let launch = Launch::new("lag")?;
        let file = launch.write("wrong.properties", properties("Wr0ngSecret"))?;
        let wrong = launch.arg("--properties-file").arg(file).finish().await?;
        ensure!(wrong.code == Some(2), "{mechanism}: {wrong:?}");
        let said = wrong.stderr.to_lowercase();
        ensure!(said.contains("authenticat") && said.contains("127.0.0.1"), "{mechanism}: {wrong:?}");
        ensure!(!said.contains("wr0ngsecret"), "{mechanism}: {wrong:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typo_in_a_check_file_is_shown_where_it_stands() -> Result<()> {
    let text = "version: 1\ntopic: orders\nchecks:\n  - { id: a, metric: rowCount, mustBeLesThan: 5 }\n";
    let launch = Launch::new("lint")?;
    let file = launch.write("orders.yaml", text)?;
    let lint = launch.arg(&file).finish().await?;
    let said = format!("{}{}", lint.stdout, lint.stderr);
    ensure!(lint.code == Some(1), "{lint:?}");
    ensure!(said.contains("orders.yaml:4:") && said.contains("mustBeLessThan"), "{said}");
    let launch = Launch::new("run")?.args(["--brokers", "127.0.0.1:1"]);
    let file = launch.write("checks/orders.yaml", text)?;
    let run = launch.arg("--checks").arg(file).finish().await?;
    ensure!(run.code == Some(2) && run.stderr.contains("orders.yaml:4:"), "{run:?}");
    let lint = Launch::new("lint")?.arg("/does/not/exist").finish().await?;
    ensure!(lint.code == Some(2) && lint.stderr.contains("/does/not/exist"), "{lint:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_with_a_mistake_is_refused_with_its_place() -> Result<()> {
    let run = Launch::new("run")?.config("version: 1\nwatch: { intervall: 5s }\n")?.finish().await?;
    ensure!(run.code == Some(2), "{run:?}");
    ensure!(run.stderr.contains("tapline.yaml:2:") && run.stderr.contains("`interval`"), "{run:?}");
    let run = Launch::new("run")?.finish().await?;
    ensure!(run.code == Some(2) && run.stderr.contains("--brokers"), "{run:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwritable_history_is_said_and_does_not_stop_the_watch() -> Result<()> {
    let kafka = lab::broker().await?;
    let topic = lab::unique("no-history");
    lab::create_topic(&kafka.bootstrap(), &topic, 1, &[]).await?;
    // A folder can't be made below a file, not even by root.
    let launch = run(&kafka.bootstrap(), &config(&topic, "history: { path: /proc/version/tapline.db }\n"))?;
    let tapline = launch.start().await?;
    lab::produce(&kafka.bootstrap(), &topic, [Message::value("{}")]).await?;
    let metrics = until(&tapline, "the record is counted all the same", |metrics| {
        ensure!(metrics.sum("tapline_records_read_total", &[("topic", &topic)]) == Some(1.0), "not read yet");
        Ok(())
    })
    .await?;
    ensure!(metrics.sum("tapline_ingest_history_broken", &[]) == Some(1.0), "a series says so");
    ensure!(tapline.log().contains("/proc/version/tapline.db"), "the log says so: {}", tapline.log());
    ensure!(tapline.stop().await? == 0, "a clean stop");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_and_an_otlp_backend_that_hang_hold_up_nothing() -> Result<()> {
    let kafka = lab::broker().await?;
    let topics = [lab::unique("hang-a"), lab::unique("hang-b")];
    for topic in &topics {
        lab::create_topic(&kafka.bootstrap(), topic, 1, &[]).await?;
    }
    let (registry, otlp) = (hanging().await?, hanging().await?);
    let more = format!(
        "registry: {{ url: '{registry}' }}\nexport: {{ otlp: {{ endpoint: '{otlp}', traces: 100% }} }}\n\
         limits: {{ remote_timeout: 1s }}\n\
         pipelines: [ {{ name: p, stages: ['{}', '{}'], deadline: 5s }} ]\n",
        topics[0], topics[1]
    );
    let tapline =
        run(&kafka.bootstrap(), &config(&format!("{}|{}", topics[0], topics[1]), &more))?.start().await?;
    for topic in &topics {
        let framed = (0..20u32).map(|i| Message::value([&[0, 0, 0, 0, (i % 5) as u8][..], b"xyz"].concat()));
        let traced = (0..20u32).map(|i| {
            Message::value("{}").header("traceparent", format!("00-{:032x}-{:016x}-01", i + 1, i + 1))
        });
        lab::produce(&kafka.bootstrap(), topic, framed.chain(traced)).await?;
    }
    until(&tapline, "everything is read in spite of them", |metrics| {
        for topic in &topics {
            let read = metrics.sum("tapline_records_read_total", &[("topic", topic)]);
            ensure!(read == Some(40.0), "read {read:?}");
            let failed = [("topic", topic.as_str()), ("reason", "schema_unavailable")];
            let failed = metrics.sum("tapline_decode_failures_total", &failed);
            ensure!(failed == Some(20.0), "unavailable {failed:?}");
        }
        Ok(())
    })
    .await?;
    let asked = std::time::Instant::now();
    ensure!(tapline.stop().await? == 0, "a clean stop");
    ensure!(asked.elapsed() < Duration::from_secs(10), "stopped after {:?}", asked.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_within_five_seconds_with_its_last_panes_reported() -> Result<()> {
    let kafka = lab::broker().await?;
    let topic = lab::unique("stopping");
    lab::create_topic(&kafka.bootstrap(), &topic, 1, &[]).await?;
    let collector = Launch::new("collector")?
        .args(["--brokers", &kafka.bootstrap()])
        .config("version: 1\n")?
        .start()
        .await?;
    // It would report in a minute; it must report when asked to stop.
    let config = config(&topic, "").replace("report_every: 500ms", "report_every: 60s");
    let agent = Launch::new("agent")?
        .args(["--brokers", &kafka.bootstrap(), "--collector", collector.url()])
        .config(&config)?
        .start()
        .await?;
    lab::produce(&kafka.bootstrap(), &topic, (0..50).map(|_| Message::value("{}"))).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for (process, what) in [(agent, "agent"), (collector, "collector")] {
        if what == "collector" {
            until(&process, "the last panes are there", |metrics| {
                let read = metrics.sum("tapline_records_read_total", &[("topic", &topic)]);
                ensure!(read == Some(50.0), "{read:?}");
                Ok(())
            })
            .await?;
        }
        let asked = std::time::Instant::now();
        ensure!(process.stop().await? == 0, "a clean stop of the {what}");
        // Five seconds are promised; the rest is this machine's.
        ensure!(asked.elapsed() < Duration::from_secs(8), "{what}: {:?}", asked.elapsed());
    }
    Ok(())
}
