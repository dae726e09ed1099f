//! /metrics: series from immutable snapshots, in the format that the scraper asks for.
//!
//! `table` has every name; `labels` every label set; `family` leaves out what is unknown; `budget`
//! says what is folded; `cluster`, `topics`, `fields` and `own` read the snapshots; `compat` serves
//! the same under the peers' names; `format` turns the result into bytes.

pub mod budget;
pub(crate) mod cluster;
pub mod compat;
pub mod doc;
pub mod family;
mod fields;
pub mod format;
pub mod labels;
mod own;
pub mod table;
#[cfg(test)]
mod tests;
mod topics;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use checks::report::AgentStats;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use crate::cluster::snapshot::ClusterSnapshot;
use crate::view::View;
use compat::Peer;
use family::{Exemplars, Out};

/// What runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildInfo {
    /// Version.
    pub version: String,
    /// Commit, or `unknown`.
    pub commit: String,
}

/// Spans handed to the OTLP exporter, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanCounts {
    /// Acknowledged by the backend.
    pub sent: u64,
    /// Given up after several attempts.
    pub failed: u64,
}

/// What is neither in the view nor in the snapshot.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    /// When the scrape is, ms since the epoch.
    pub now_ms: i64,
    /// What runs.
    pub build: BuildInfo,
    /// The OTLP exporter, if there is one.
    pub otlp: Option<SpanCounts>,
    /// Most series of groups, partitions and fields.
    pub series_budget: usize,
    /// Whose names are served too.
    pub compat: BTreeSet<Peer>,
}

/// What is written: all of the collector, or an agent about itself.
#[derive(Clone, Debug)]
pub enum Source {
    /// The collector's page.
    Collector {
        /// Its state.
        view: Arc<View>,
        /// The watcher's.
        cluster: Arc<ClusterSnapshot>,
        /// The rest.
        extra: Extra,
    },
    /// An agent's own page.
    Agent(AgentPage),
}

/// An agent about itself, as simple values.
#[derive(Clone, Debug, Default)]
pub struct AgentPage {
    /// The cluster's name.
    pub cluster: String,
    /// The agent's name.
    pub name: String,
    /// Its consumers are connected and its reports are taken.
    pub ready: bool,
    /// It reads behind the end somewhere.
    pub catching_up: bool,
    /// As in its reports.
    pub stats: AgentStats,
    /// What runs.
    pub build: BuildInfo,
}

/// One exposition: made for a scrape, encoded once.
#[derive(Debug)]
struct Exposition {
    source: Source,
    /// Filled while encoding: see [`family::PlacedExemplar`].
    exemplars: Arc<Mutex<Exemplars>>,
}

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out::new(encoder);
        match &self.source {
            Source::Collector { view, cluster, extra } => collector(&mut out, view, cluster, extra)?,
            Source::Agent(page) => agent(&mut out, page)?,
        }
        *self.exemplars.lock().unwrap_or_else(PoisonError::into_inner) = out.exemplars;
        Ok(())
    }
}

fn collector(out: &mut Out<'_>, view: &View, snapshot: &ClusterSnapshot, extra: &Extra) -> fmt::Result {
    // One name for both, or series of the same topic would not join.
    let cluster = if view.cluster.is_empty() { &snapshot.cluster } else { &view.cluster };
    let plan = budget::plan(view, snapshot, extra.series_budget, compat::Cost::of(&extra.compat));
    own::build(out, &extra.build.version, &extra.build.commit)?;
    cluster::write(out, cluster, snapshot, &plan, extra.now_ms)?;
    let page = compat::Page { cluster, snapshot, plan: &plan, version: &extra.build.version };
    compat::write(out, &extra.compat, &page)?;
    topics::write(out, cluster, view)?;
    let fields_left_out = fields::write(out, cluster, view, &plan)?;
    let agents: Vec<own::AgentFigures<'_>> = view
        .agents
        .iter()
        .map(|(name, a)| own::AgentFigures {
            name,
            alive: a.alive,
            last_report_ms: Some(a.last_report_ms),
            catching_up: a.catching_up,
            stats: &a.stats,
        })
        .collect();
    own::agents(out, cluster, &agents)?;
    own::ingest(out, cluster, view, &plan, fields_left_out, extra)
}

fn agent(out: &mut Out<'_>, page: &AgentPage) -> fmt::Result {
    own::build(out, &page.build.version, &page.build.commit)?;
    let figures = own::AgentFigures {
        name: &page.name,
        alive: page.ready,
        last_report_ms: None,
        catching_up: page.catching_up,
        stats: &page.stats,
    };
    own::agents(out, &page.cluster, &[figures])
}
