//! What watching a cluster costs, beside the official Java client in the same run.
//!
//! `cargo bench -p tapline-benches --bench watch -- small|groups|partitions [--KEY N …]`; see
//! docs/performance.md. It brings up a real broker, fills it, and lets first the watcher, then
//! the Java client read everything several times, each in a process of its own.

mod client;
mod load;
mod measure;
mod table;

use anyhow::{Context, Result, bail, ensure};
use lab::{Kafka, KafkaOptions};

use load::Sizes;

/// What is run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    sizes: Sizes,
    nodes: usize,
    heap_mib: usize,
    refreshes: usize,
    java_rounds: usize,
    pause_ms: usize,
    scrapes: usize,
}

const USAGE: &str = "watch [small|groups|partitions|smoke] [--groups N] [--active N] [--partitions N]
  [--topic-partitions N] [--commits-per-group N] [--nodes N] [--heap-mib N] [--refreshes N]
  [--java-rounds N] [--pause-ms N] [--scrapes N]";

impl Plan {
    fn preset(name: &str) -> Option<Self> {
        let small = Self {
            sizes: Sizes {
                groups: 500,
                active: 250,
                partitions: 2_000,
                topic_partitions: 20,
                commits_per_group: 60,
            },
            nodes: 1,
            heap_mib: 1024,
            // More than the history of ends keeps, so that memory is what it comes to.
            refreshes: 60,
            java_rounds: 20,
            pause_ms: 200,
            scrapes: 5,
        };
        let large = Self {
            heap_mib: 3072,
            refreshes: 8,
            java_rounds: 5,
            pause_ms: 1000,
            scrapes: 3,
            ..small.clone()
        };
        match name {
            "small" => Some(small),
            "groups" => Some(Self {
                sizes: Sizes { groups: 65_000, active: 32_500, commits_per_group: 4, ..small.sizes },
                ..large
            }),
            // A broker keeps a file open and two mapped for each partition: three share them, to
            // stay within the limits that systems come with.
            "partitions" => Some(Self {
                sizes: Sizes {
                    partitions: 50_000,
                    topic_partitions: 50,
                    groups: 1_000,
                    active: 500,
                    commits_per_group: 100,
                },
                nodes: 3,
                ..large
            }),
            "smoke" => Some(Self {
                sizes: Sizes {
                    groups: 20,
                    active: 5,
                    partitions: 12,
                    topic_partitions: 5,
                    commits_per_group: 4,
                },
                heap_mib: 512,
                refreshes: 3,
                java_rounds: 2,
                scrapes: 1,
                ..small
            }),
            _ => None,
        }
    }

    fn from_args(args: impl Iterator<Item = String>) -> Result<Self> {
        // `cargo bench` adds --bench.
        let mut args = args.filter(|arg| arg != "--bench").peekable();
        let name = args.next_if(|arg| !arg.starts_with('-')).unwrap_or_else(|| "small".to_owned());
        let mut plan = Self::preset(&name).with_context(|| format!("{name} is no preset\n{USAGE}"))?;
        while let Some(key) = args.next() {
            let value = args.next().with_context(|| format!("{key} needs a number\n{USAGE}"))?;
            let value: usize = value.parse().with_context(|| format!("{key} {value}\n{USAGE}"))?;
            let target = match key.as_str() {
                "--groups" => &mut plan.sizes.groups,
                "--active" => &mut plan.sizes.active,
                "--partitions" => &mut plan.sizes.partitions,
                "--topic-partitions" => &mut plan.sizes.topic_partitions,
                "--commits-per-group" => &mut plan.sizes.commits_per_group,
                "--nodes" => &mut plan.nodes,
                "--heap-mib" => &mut plan.heap_mib,
                "--refreshes" => &mut plan.refreshes,
                "--java-rounds" => &mut plan.java_rounds,
                "--pause-ms" => &mut plan.pause_ms,
                "--scrapes" => &mut plan.scrapes,
                _ => bail!("{key} is unknown\n{USAGE}"),
            };
            *target = value;
        }
        let sizes = &plan.sizes;
        ensure!(sizes.active <= sizes.groups, "more groups with a member than groups");
        ensure!(sizes.commits_per_group <= sizes.partitions, "a group commits a partition once");
        ensure!(
            sizes.groups > 0 && sizes.topic_partitions > 0 && plan.refreshes > 1 && plan.scrapes > 0,
            "too little to measure"
        );
        Ok(plan)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let plan = Plan::from_args(std::env::args().skip(1))?;
    let properties = [
        // Index files as small as they may be: there are two a partition.
        ("log.index.size.max.bytes", "4096"),
        ("offsets.topic.num.partitions", "12"),
        ("message.max.bytes", "104857600"),
    ];
    let kafka = Kafka::start(KafkaOptions {
        nodes: plan.nodes,
        java: vec![format!("-Xmx{}m", plan.heap_mib)],
        properties: properties.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
    })
    .await?;
    let bootstrap = kafka.bootstrap();
    let sizes = plan.sizes.clone();
    let filled = tokio::task::spawn_blocking(move || load::fill(&bootstrap, &sizes)).await??;
    progress(&format!("{:?} filled in {:.0} s", plan.sizes, filled.as_secs_f64()));

    let watcher = measure::watcher(&kafka.bootstrap(), &plan).await?;
    progress("the watcher has been measured");
    let java = if plan.java_rounds > 0 { Some(measure::java(&kafka, &plan).await?) } else { None };
    table::print(&plan, &watcher, java.as_ref());
    Ok(())
}

#[allow(clippy::print_stderr, reason = "it takes minutes")]
fn progress(what: &str) {
    eprintln!("{what}");
}
