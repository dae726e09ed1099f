//! The agent: source -> sample -> decode -> examine -> pane -> send.
//!
//! Every examining thread owns what it reads ([`worker`]); beside it one thread polls the client and hands over
//! records in batches ([`source`]), and one asks what must be asked of brokers and collector; one task sends. What is
//! examined is locked nowhere.

pub mod config;
pub mod decode;
pub mod pane;
pub mod range;
mod remote;
pub mod sample;
pub mod send;
pub mod source;
mod stats;
mod status;
mod topic;
pub mod trace;
mod worker;

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use checks::report::AgentStats;
use checks::rules::CheckSet;

use config::Config;
use decode::Decoder;
use decode::registry::Registry;
use send::{Outbox, Sender, Transport};
use source::certificates::Certificates;
use source::consumer::Consumer;
use source::lookup::Lookup;
use source::reader::Reader;
pub use status::AgentStatus;
use status::Shared;
use worker::{Event, Parts, Worker};

/// An agent.
pub struct Agent;

/// A running agent. Dropped, it ends at once: what was not reported is read again by the next one.
pub struct AgentHandle {
    shared: Arc<Shared>,
    threads: Vec<Thread>,
}

/// Asks how an agent is doing: cheap to clone.
#[derive(Clone)]
pub struct StatusReader {
    shared: Arc<Shared>,
    threads: usize,
}

impl StatusReader {
    /// Where it stands.
    pub fn status(&self) -> AgentStatus {
        self.shared.status(self.threads)
    }

    /// The figures of its process and of all its threads.
    pub fn stats(&self) -> AgentStats {
        let (reports, sightings) = self.shared.all_dropped();
        stats::now(&self.shared, reports, sightings)
    }
}

struct Thread {
    events: mpsc::Sender<Event>,
    ended: tokio::sync::watch::Receiver<bool>,
    sender: tokio::task::JoinHandle<()>,
}

impl Agent {
    /// Is this a configuration that an agent can start with? Asks nobody.
    ///
    /// # Errors
    /// The Kafka property or the address that cannot be used, without its value.
    pub fn check(config: &Config) -> Result<(), String> {
        let (mut properties, _) = source::properties::of_consumer(config);
        let _ = source::token::Token::take(&mut properties);
        let native = source::properties::client_config(&properties).create_native_config();
        native.map_err(|e| format!("cluster.properties: {}", source::properties::told(&e)))?;
        match &config.registry {
            Some(registry) => remote::check(&registry.url, "registry.url"),
            None => Ok(()),
        }
    }

    /// Starts reading. Must be called within a tokio runtime, which carries the senders.
    ///
    /// What cannot be reached is tried again for as long as the agent runs; [`AgentHandle::status`]
    /// says why.
    pub fn start(config: Config, transport: Arc<dyn Transport>) -> AgentHandle {
        let shared = Arc::new(Shared::default());
        let config = Arc::new(Config { threads: config.threads.max(1), ..config });
        let threads = 0..config.threads;
        let started = threads.filter_map(|thread| match start_thread(thread, &config, &transport, &shared) {
            Ok(thread) => Some(thread),
            Err(why) => {
                shared.error("kafka", why);
                None
            }
        });
        AgentHandle { threads: started.collect(), shared }
    }
}

fn start_thread(
    thread: usize,
    config: &Arc<Config>,
    transport: &Arc<dyn Transport>,
    shared: &Arc<Shared>,
) -> Result<Thread, String> {
    let runtime = tokio::runtime::Handle::current();
    let (properties, warnings) = source::properties::of_consumer(config);
    for warning in warnings.iter().filter(|_| thread == 0) {
        tracing::warn!("{warning}");
    }
    // Before the client reads them: should they change meanwhile, a new client is made.
    let certificates = Certificates::of(&properties, shared.clone());
    let consumer = Consumer::new(&properties, shared.clone())?;
    let registry = match &config.registry {
        Some(registry) => {
            let now_ms = worker::now_ms();
            Some(Registry::new(registry, &config.limits, runtime.clone(), shared.clone(), now_ms)?)
        }
        None => None,
    };
    let (events, heard) = mpsc::channel();
    let (questions, asked) = mpsc::channel();
    let (ended, has_ended) = tokio::sync::watch::channel(false);

    let spool_bytes = config.limits.spool_bytes.min(config.limits.agent_memory_bytes / 4) / config.threads;
    let outbox = Arc::new(Outbox::new(spool_bytes));
    let acknowledged = events.clone();
    let sender = Sender {
        outbox: outbox.clone(),
        transport: transport.clone(),
        shared: shared.clone(),
        report_bytes_max: config.limits.report_bytes,
        acknowledged: Box::new(move |positions| {
            let _ = acknowledged.send(Event::Acknowledged(positions));
        }),
    };
    let lookup = Lookup {
        consumer: Arc::downgrade(&consumer.client),
        certificates,
        transport: transport.clone(),
        runtime: runtime.clone(),
        topics: config.topics.clone(),
        collector_timeout: Duration::from_millis(config.limits.remote_timeout_ms),
    };
    let answers = events.clone();
    let named = |what: &str| std::thread::Builder::new().name(format!("tapline-{what}-{thread}"));
    named("ask")
        .spawn(move || lookup.run(&asked, &answers))
        .map_err(|e| format!("cannot start a thread: {e}"))?;
    let parts = Parts {
        thread,
        config: config.clone(),
        boot: send::random(),
        shared: shared.clone(),
        outbox,
        consumer,
        reader: Reader::start(format!("tapline-poll-{thread}"))?,
        decoder: Decoder::new(&config.limits, registry),
        events: heard,
        questions,
    };
    named("read")
        .spawn(move || {
            Worker::new(parts).run();
            let _ = ended.send(true);
        })
        .map_err(|e| format!("cannot start a thread: {e}"))?;
    Ok(Thread { events, ended: has_ended, sender: runtime.spawn(sender.run()) })
}

impl AgentHandle {
    /// For whoever asks later and elsewhere how it is doing.
    pub fn reader(&self) -> StatusReader {
        StatusReader { shared: self.shared.clone(), threads: self.threads.len().max(1) }
    }

    /// Where it stands.
    pub fn status(&self) -> AgentStatus {
        self.reader().status()
    }

    /// Other rules from now on: panes begun from here on go by them, those in flight keep theirs.
    pub fn set_checks(&self, checks: &Arc<CheckSet>) {
        for thread in &self.threads {
            let _ = thread.events.send(Event::Checks(checks.clone()));
        }
    }

    /// Stops: the last panes are reported and, if the collector answers within `at_most`, the
    /// positions committed. True if all of it ended in time.
    pub async fn stop(mut self, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        for thread in &self.threads {
            let _ = thread.events.send(Event::Stop(deadline));
        }
        let mut in_time = true;
        for mut thread in std::mem::take(&mut self.threads) {
            let left = deadline.saturating_duration_since(Instant::now());
            in_time &= tokio::time::timeout(left, thread.ended.wait_for(|ended| *ended)).await.is_ok();
            thread.sender.abort();
        }
        in_time
    }
}

impl Drop for AgentHandle {
    fn drop(&mut self) {
        for thread in &self.threads {
            thread.sender.abort();
            let _ = thread.events.send(Event::Stop(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests;
