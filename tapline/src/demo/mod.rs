//! `tapline demo`: an embedded Kafka, a small shop on it, faults on a schedule, and Tapline
//! watching. No set-up.

mod events;
mod faults;
mod shop;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use checks::pipeline::{Correlate, LatencyObjective, Pipeline};
use collector::view::{Finding, FindingSource};
use rdkafka::mocking::MockCluster;

use crate::cli::DemoArgs;
use crate::commands::{Outcome, colour};
use crate::config::{self, Flags, History, Settings};
use crate::service::{self, Service};
use faults::{ROUND, SCHEDULE, Scheduled};

/// The check files of the demo, as they are written next to each other for the user to look at.
const FILES: [(&str, &str); 4] = [
    ("orders.yaml", include_str!("checks/orders.yaml")),
    ("order.schema.json", include_str!("checks/order.schema.json")),
    ("payments.yaml", include_str!("checks/payments.yaml")),
    ("shipments.yaml", include_str!("checks/shipments.yaml")),
];

pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<Outcome> {
    service::install_tls();
    let folder = Folder::new()?;
    let cluster = MockCluster::new(1).context("starting the embedded Kafka")?;
    for (topic, partitions) in shop::TOPICS {
        cluster.create_topic(topic, partitions, 1).with_context(|| format!("creating {topic}"))?;
    }
    let settings = settings(&cluster.bootstrap_servers(), &folder.checks(), args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(watch(settings, args.lasts, &cluster.bootstrap_servers(), &folder))
}

/// A folder of the demo's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let folder = Self(std::env::temp_dir().join(format!("tapline-demo-{}", std::process::id())));
        std::fs::create_dir_all(folder.checks())
            .with_context(|| format!("creating {}", folder.checks().display()))?;
        for (name, text) in FILES {
            std::fs::write(folder.checks().join(name), text).with_context(|| format!("writing {name}"))?;
        }
        Ok(folder)
    }

    fn checks(&self) -> PathBuf {
        self.0.join("checks")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing depends on it; what stays behind is a few kilobytes of check files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn settings(brokers: &str, checks: &Path, args: &DemoArgs) -> anyhow::Result<Settings> {
    let flags = Flags {
        brokers: Some(brokers.to_owned()),
        checks: vec![checks.to_path_buf()],
        listen: Some(args.listen.clone()),
        ..Flags::default()
    };
    // The user's environment is for their own cluster, not for this one.
    let mut settings = config::load(&flags, &std::collections::BTreeMap::new())?;
    settings.cluster = "demo".to_owned();
    settings.history = History::Memory;
    settings.watch_interval_ms = 1_000;
    // The embedded cluster can't list its groups.
    settings.watch_groups_named = shop::groups();
    settings.watch_lag_seconds_max = Some(10.0);
    settings.agent_name = "demo".to_owned();
    settings.agent_report_every_ms = 1_000;
    settings.agent_idle_ms = 3_000;
    settings.pipelines = vec![Arc::new(Pipeline {
        name: "checkout".to_owned(),
        stages: shop::TOPICS.iter().map(|(topic, _)| (*topic).to_owned()).collect(),
        correlate: Correlate::Traceparent,
        deadline_ms: 8_000,
        latency: Some(LatencyObjective { quantile: 0.99, ms: 2_000 }),
        follow: 1.0,
    })];
    Ok(settings)
}

async fn watch(
    settings: Settings,
    lasts: Option<Duration>,
    brokers: &str,
    folder: &Folder,
) -> anyhow::Result<Outcome> {
    let service = Service::start_both(&settings).await?;
    let mut findings = service.findings();
    service.ready(Duration::from_secs(30)).await?;
    let brokers = brokers.to_owned();
    let (shop, started) = tokio::task::spawn_blocking(move || shop::Shop::open(&brokers)).await??;
    let mut printer = Printer::new(started);
    printer.welcome(service.address(), folder)?;
    let mut shutdown = service::Shutdown::listen()?;
    let end = lasts.map(|lasts| tokio::time::Instant::now() + lasts);
    loop {
        tokio::select! {
            finding = findings.recv() => match finding {
                Ok(finding) => printer.finding(&finding)?,
                Err(tokio::sync::broadcast::error::RecvError::Lagged(missed)) => printer.missed(missed)?,
                Err(tokio::sync::broadcast::error::RecvError::Closed) => break,
            },
            () = shutdown.wait() => break,
            () = sleep_until(end) => break,
        }
    }
    // The shop's threads join in their own time; the page stays up until they have.
    tokio::task::spawn_blocking(move || drop(shop)).await?;
    service.stop().await;
    printer.summary()
}

async fn sleep_until(end: Option<tokio::time::Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Tells the story on stdout.
struct Printer {
    started: Instant,
    in_colour: bool,
    seen: BTreeSet<(String, String)>,
}

impl Printer {
    fn new(started: Instant) -> Self {
        Self { started, in_colour: colour(&std::io::stdout()), seen: BTreeSet::new() }
    }

    fn welcome(&self, address: std::net::SocketAddr, folder: &Folder) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "Tapline demo: a shop on an embedded Kafka (orders -> payments -> shipments).")?;
        writeln!(out)?;
        writeln!(out, "  status page  http://{address}/")?;
        writeln!(out, "  metrics      http://{address}/metrics")?;
        writeln!(out, "  check files  {}", folder.checks().display())?;
        writeln!(out)?;
        writeln!(out, "What goes wrong, and when (again every {} s):", ROUND.as_secs())?;
        for s in SCHEDULE {
            let (from, to) = (s.from.as_secs(), (s.from + s.lasts).as_secs());
            writeln!(out, "  {from:>3} to {to:>3} s  {}  [{} / {}]", s.story, s.shows_as.0, s.shows_as.1)?;
        }
        writeln!(out)?;
        writeln!(out, "Findings as they come (Ctrl-C to stop):")?;
        out.flush()
    }

    fn finding(&mut self, finding: &Finding) -> std::io::Result<()> {
        let source = match &finding.source {
            FindingSource::Check(id) | FindingSource::Slo(id) | FindingSource::Detector(id) => id.as_str(),
        };
        let at = self.started.elapsed().as_secs();
        let (word, colour) = match finding.resolved_ms {
            Some(_) => ("resolved", "32"),
            None => (
                finding.severity.as_str(),
                if finding.severity >= checks::rules::Severity::Error { "31" } else { "33" },
            ),
        };
        if finding.resolved_ms.is_none() {
            self.seen.insert((finding.topic.clone(), source.to_owned()));
        }
        let head = format!("{at:>4} s  {word:<8}  {} / {source}", finding.topic);
        let head = if self.in_colour { format!("\x1b[{colour}m{head}\x1b[0m") } else { head };
        writeln!(std::io::stdout(), "{head}  {}", finding.message)
    }

    fn missed(&self, missed: u64) -> std::io::Result<()> {
        writeln!(std::io::stdout(), "       … {missed} findings came faster than they could be printed")
    }

    /// Every fault that had its time must have been found: what the demo promises.
    fn summary(&self) -> anyhow::Result<Outcome> {
        /// Time that a finding may take after its fault ends: window, lateness, deadline.
        const GRACE: Duration = Duration::from_secs(20);
        let ran = self.started.elapsed();
        let over: Vec<&Scheduled> = SCHEDULE.iter().filter(|s| s.from + s.lasts + GRACE <= ran).collect();
        let is_found =
            |s: &Scheduled| self.seen.contains(&(s.shows_as.0.to_owned(), s.shows_as.1.to_owned()));
        let mut out = std::io::stdout().lock();
        writeln!(out)?;
        for scheduled in &over {
            let word = if is_found(scheduled) { "found " } else { "MISSED" };
            writeln!(out, "{word}  {}", scheduled.story)?;
        }
        let found = over.iter().filter(|s| is_found(s)).count();
        writeln!(out, "{found} of {} faults found in {} s.", over.len(), ran.as_secs())?;
        Ok((found == over.len()).into())
    }
}
