//! docs/metrics.md, generated from the table.

use std::fmt::Write as _;

use super::family::Kind;
use super::table::SECTIONS;

/// The whole document.
pub fn markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    for section in SECTIONS {
        let _ = write!(
            out,
            "\n## {}\n\n| series | kind | labels | meaning |\n|---|---|---|---|\n",
            section.title
        );
        for row in section.rows {
            let kind = match row.kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
                Kind::Histogram => "histogram",
                Kind::Info => "info",
            };
            let labels: Vec<String> = row.labels.iter().map(|l| format!("`{l}`")).collect();
            let _ = writeln!(out, "| `{}` | {kind} | {} | {} |", row.name, labels.join(", "), row.help);
        }
    }
    out
}

const INTRODUCTION: &str = "\
# Series on /metrics

<!-- Generated from collector/src/export/metrics/table.rs by
     `TAPLINE_WRITE_DOCS=1 cargo test -p tapline-collector docs_metrics`. -->

- **Unknown is absent.** A figure that could not be read has no series; it is never 0, -1 or NaN. Alert on absence where it matters (`tapline_watch_age_seconds`, `tapline_agent_up`, `tapline_group_unknown_partitions`).
- **Formats.** Prometheus protobuf (native histograms of schema 3 beside the classic buckets), OpenMetrics text (classic buckets with exemplars), plain text 0.0.4. Native histograms travel in protobuf only: Prometheus asks for it with `--enable-feature=native-histograms`. It then keeps the native ones alone unless told otherwise (`scrape_classic_histograms`, later `always_scrape_classic_histograms`); the shipped dashboards ask for either. Exemplars are trace ids; Prometheus keeps them with `--enable-feature=exemplar-storage`.
- **Totals** go on after a restart of the collector while its history is kept.
- **A scrape reads the last snapshot** and touches no broker, so more scrapers cost the cluster nothing.
- **The series budget** (`export.series_budget`, 100,000) holds for groups, partitions and fields. Beyond it the topics with the most partitions are folded into one series a topic with `partition=\"all\"` (the sum of the known), so that sums over partitions stay the same; then fields, those furthest from the root first; then whole groups. `tapline_series_folded` says what is missing. Series under the [peers' names](migrate.md) (`--compat`) count like these and fold with them.
- **Labels** never carry values from payloads; `field` is a path, which is bounded in number and length.
- Figures from offsets count control markers, compaction gaps and aborted records, since these take offsets too.
";

#[cfg(test)]
mod tests {
    #[test]
    fn docs_metrics_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
        let expected = super::markdown();
        if std::env::var_os("TAPLINE_WRITE_DOCS").is_some() {
            std::fs::write(path, &expected).expect("docs/metrics.md can be written");
        }
        let found = std::fs::read_to_string(path).expect("docs/metrics.md is there");
        assert!(
            found == expected,
            "docs/metrics.md is stale: TAPLINE_WRITE_DOCS=1 cargo test -p tapline-collector docs_metrics"
        );
    }
}
