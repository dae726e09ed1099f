//! The figures as a table in Markdown, as docs/performance.md has them.

use crate::Plan;
use crate::measure::{Client, Refresh};

#[allow(clippy::print_stdout, reason = "the result")]
pub(crate) fn print(plan: &Plan, watcher: &Client, java: Option<&Client>) {
    let s = &plan.sizes;
    println!(
        "\n{} groups ({} with a member), {} group-partitions, {} partitions, {} broker(s)\n",
        s.groups,
        s.active,
        s.group_partitions(),
        s.partitions,
        plan.nodes
    );
    println!("| | refresh | wall s | CPU s | requests | KB received | peak RSS MiB |");
    println!("|---|---|---|---|---|---|---|");
    row("watcher", "first", &watcher.first, watcher.memory_kib);
    row("watcher", "later (median)", &watcher.later, watcher.memory_kib);
    if let Some(java) = java {
        row("AdminClient", "first", &java.first, java.memory_kib);
        row("AdminClient", "later (median)", &java.later, java.memory_kib);
        let memory = java.memory_kib / watcher.memory_kib;
        ratio("first", &java.first, &watcher.first, memory);
        ratio("later", &java.later, &watcher.later, memory);
    }
    println!("\n| scrape | series | MB | wall s | CPU s |\n|---|---|---|---|---|");
    for scrape in &watcher.scrapes {
        println!(
            "| {}{} | {} | {:.1} | {:.4} | {:.4} |",
            scrape.format,
            if scrape.folded { ", default budget" } else { "" },
            scrape.series.map_or_else(|| "as above".to_owned(), |n| n.to_string()),
            scrape.bytes / 1e6,
            scrape.wall,
            scrape.cpu
        );
    }
    if let Some(kib) = watcher.memory_scraped_kib {
        println!("\nPeak RSS with all these pages made: {:.1} MiB", kib / 1024.0);
    }
}

#[allow(clippy::print_stdout, reason = "the result")]
fn row(client: &str, which: &str, r: &Refresh, memory_kib: f64) {
    println!(
        "| {client} | {which} | {:.4} | {:.4} | {} | {:.0} | {:.1} |",
        r.wall,
        r.cpu,
        r.requests,
        r.bytes / 1e3,
        memory_kib / 1024.0
    );
}

#[allow(clippy::print_stdout, reason = "the result")]
fn ratio(which: &str, java: &Refresh, watcher: &Refresh, memory: f64) {
    println!(
        "| ratio | {which} | {:.1} | {:.1} | {:.1} | {:.1} | {memory:.1} |",
        java.wall / watcher.wall,
        java.cpu / watcher.cpu,
        java.requests / watcher.requests,
        java.bytes / watcher.bytes
    );
}
