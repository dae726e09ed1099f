//! What a refresh can do without: how old records are, who keeps a transaction open, what topics
//! are configured to do, how large logs are.
//!
//! Brokers serve a connection's requests one after the other, and some of these may take long (an
//! old part of a log that is tiered away, say). So each broker has a *lane* of its own for them: a
//! second connection, one job at a time. A refresh waits for the jobs that it began for a bounded
//! time; what comes later is part of the next one, and a lane that has kept us waiting is not
//! waited for again until it has been quick.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use super::ask::{self, Coordinated, Producer, Sizes, TopicConfig, Trouble};
use super::config::{Address, Config};
use super::look::{Looked, look};
use super::pool::Pool;
use super::refresh::{Connections, Errors, now_ms};
use super::state::State;
use super::topic::Probe;
use super::wire::{self, Connection, Settings, WireError};

/// Partitions of one broker that are asked about open transactions in one refresh.
const HANGING_MAX: usize = 200;
/// Producers whose coordinators are looked for in one refresh.
const PRODUCERS_MAX: usize = 100;
/// Topics in one request for configurations.
const CONFIGS_PER_REQUEST: usize = 500;
/// Sizes of logs are read this often, and where they were refused this often.
const SIZES_EVERY: Duration = Duration::from_secs(60);
const SIZES_REFUSED: Duration = Duration::from_secs(600);
/// Coordinators are looked for this often.
const COORDINATORS_EVERY: Duration = Duration::from_secs(60);
/// A lane whose connection failed rests for so long; it doubles each time, up to the second.
const REST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// The lanes, by broker, and the jobs under way.
#[derive(Default)]
pub(super) struct Aside {
    lanes: BTreeMap<i32, Lane>,
    running: JoinSet<Done>,
    /// Whose job it is.
    jobs: HashMap<Id, i32>,
    coordinators_asked: Option<Instant>,
}

#[derive(Default)]
struct Lane {
    connection: Option<Arc<Connection>>,
    /// What it was opened with: renewed certificates take a new one.
    settings: Option<Arc<Settings>>,
    busy: bool,
    /// It has kept a refresh waiting.
    slow: bool,
    rest: Duration,
    rest_until: Option<Instant>,
    sizes_due: Option<Instant>,
}

/// What one broker is asked.
#[derive(Default)]
struct Job {
    looks: Vec<Probe>,
    hanging: Vec<(String, i32)>,
    producers: Vec<i64>,
    configs: Vec<String>,
    sizes: bool,
}

impl Job {
    fn is_empty(&self) -> bool {
        self.looks.is_empty()
            && self.hanging.is_empty()
            && self.producers.is_empty()
            && self.configs.is_empty()
            && !self.sizes
    }
}

/// What it said.
#[derive(Default)]
struct Done {
    connection: Option<Arc<Connection>>,
    looked: Looked,
    producers: BTreeMap<(String, i32), Result<Vec<Producer>, i16>>,
    coordinated: BTreeMap<i64, Coordinated>,
    configs: BTreeMap<String, Result<TopicConfig, i16>>,
    sizes: Option<Result<Sizes, Trouble>>,
    at_ms: i64,
    error: Option<WireError>,
}

impl Aside {
    /// Takes over what has come since the last refresh, begins what is due on brokers that can be
    /// reached, and waits for it, but not for long.
    pub(super) async fn refresh(
        &mut self,
        pool: &mut Pool,
        connections: &Connections,
        state: &mut State,
        config: &Config,
        errors: &mut Errors,
    ) {
        while let Some(joined) = self.running.try_join_next_with_id() {
            self.finish(joined, state, errors);
        }
        self.lanes.retain(|id, lane| lane.busy || pool.address(*id).is_some());
        let Ok(settings) = pool.settings(config) else { return };
        let free: BTreeSet<i32> = connections.keys().copied().filter(|id| self.is_free(*id)).collect();
        let mut awaited = BTreeSet::new();
        for (broker, job) in self.plan(&free, state, config) {
            let Some(address) = pool.address(broker) else { continue };
            let lane = self.lanes.entry(broker).or_default();
            lane.busy = true;
            if !lane.slow {
                awaited.insert(broker);
            }
            let same = lane.settings.replace(Arc::clone(&settings));
            let same = same.is_some_and(|before| Arc::ptr_eq(&before, &settings));
            let connection = lane.connection.take().filter(|_| same);
            let work = run(address.clone(), Arc::clone(&settings), connection, job);
            let id = self.running.spawn(work).id();
            self.jobs.insert(id, broker);
        }
        let until = Instant::now() + config.aside_for;
        while !awaited.is_empty() {
            match tokio::time::timeout_at(until, self.running.join_next_with_id()).await {
                Ok(Some(joined)) => {
                    if let Some(broker) = self.finish(joined, state, errors) {
                        awaited.remove(&broker);
                    }
                }
                Ok(None) => return,
                Err(_) => break,
            }
        }
        for broker in awaited {
            if let Some(lane) = self.lanes.get_mut(&broker) {
                lane.slow = true;
                errors.add("slow_look", 1);
            }
        }
    }

    fn is_free(&self, broker: i32) -> bool {
        self.lanes
            .get(&broker)
            .is_none_or(|lane| !lane.busy && lane.rest_until.is_none_or(|until| until <= Instant::now()))
    }

    /// What each broker is to be asked, within the budgets.
    fn plan(&mut self, free: &BTreeSet<i32>, state: &mut State, config: &Config) -> BTreeMap<i32, Job> {
        let (now, at_ms) = (Instant::now(), now_ms());
        let mut jobs: BTreeMap<i32, Job> = free.iter().map(|id| (*id, Job::default())).collect();
        for probe in state.probes(at_ms, free, config.limits.probes) {
            if let Some(job) = jobs.get_mut(&probe.leader) {
                job.looks.push(probe);
            }
        }
        for (leader, partitions) in state.hanging(at_ms, HANGING_MAX) {
            if let Some(job) = jobs.get_mut(&leader) {
                job.hanging = partitions;
            }
        }
        let long_ago = |asked: Instant| now.duration_since(asked) >= COORDINATORS_EVERY;
        let producers = state.producers_without_coordinator(PRODUCERS_MAX);
        if producers.is_empty() {
            // The next one to hang is looked into at once.
            self.coordinators_asked = None;
        } else if self.coordinators_asked.is_none_or(long_ago) {
            // Whoever coordinates them answers, the others know nothing of them.
            self.coordinators_asked = Some(now);
            jobs.values_mut().for_each(|job| job.producers = producers.iter().copied().collect());
        }
        // Every broker knows the configuration of all topics.
        if let Some(job) = jobs.values_mut().next() {
            job.configs = state.undescribed(at_ms);
        }
        for (&broker, job) in &mut jobs {
            let lane = self.lanes.entry(broker).or_default();
            if lane.sizes_due.is_none_or(|due| due <= now) {
                lane.sizes_due = Some(now + SIZES_EVERY);
                job.sizes = true;
            }
        }
        jobs.retain(|_, job| !job.is_empty());
        jobs
    }

    /// Takes over what a job has brought. Gives the broker that it was for.
    fn finish(
        &mut self,
        joined: Result<(Id, Done), tokio::task::JoinError>,
        state: &mut State,
        errors: &mut Errors,
    ) -> Option<i32> {
        let (id, done) = match joined {
            Ok((id, done)) => (id, Some(done)),
            // It panicked: its lane begins anew.
            Err(error) => (error.id(), None),
        };
        let broker = self.jobs.remove(&id)?;
        let lane = self.lanes.entry(broker).or_default();
        lane.busy = false;
        let Some(done) = done else {
            errors.add("look_failed", 1);
            return Some(broker);
        };
        match &done.error {
            Some(error) => {
                lane.rest = if lane.rest.is_zero() { REST.0 } else { (lane.rest * 2).min(REST.1) };
                lane.rest_until = Some(Instant::now() + lane.rest);
                errors.add(error.reason(), 1);
            }
            None => {
                lane.slow = false;
                lane.rest = Duration::ZERO;
                lane.rest_until = None;
            }
        }
        lane.connection = done.connection.filter(|c| c.is_usable());
        let refused = matches!(&done.sizes, Some(Err(t)) if t.is_forbidden() || t.is_unsupported());
        if refused {
            lane.sizes_due = Some(Instant::now() + SIZES_REFUSED);
        }

        for (probe, found) in done.looked.found {
            state.apply_found(&probe, found);
        }
        state.apply_access(&done.looked.read, &done.looked.refused, done.at_ms);
        for ((topic, partition), producers) in done.producers {
            // Not allowed, or led elsewhere by now: the age of the transaction stands.
            if let Ok(producers) = producers {
                state.apply_producers(&topic, partition, &producers);
            }
        }
        state.apply_coordinated(broker, &done.coordinated);
        for (topic, config) in done.configs {
            state.apply_config(&topic, config.ok(), done.at_ms);
        }
        if let Some(Ok(sizes)) = done.sizes {
            state.apply_sizes(broker, &sizes, done.at_ms);
        }
        Some(broker)
    }
}

/// Does a job, one thing after the other; the first failure of the connection ends it.
async fn run(
    address: Address,
    settings: Arc<Settings>,
    connection: Option<Arc<Connection>>,
    job: Job,
) -> Done {
    let mut done = Done::default();
    let connection = match connection.filter(|c| c.is_usable()) {
        Some(connection) => connection,
        // Nobody waits here who would lose patience before the request has timed out.
        None => match wire::open(&address, &settings, settings.request_timeout).await {
            Ok(connection) => connection,
            Err(error) => return Done { error: Some(error), ..done },
        },
    };
    let result = ask_all(&connection, &settings, job, &mut done).await;
    done.error = result.err();
    done.at_ms = now_ms();
    done.connection = Some(connection);
    done
}

async fn ask_all(
    connection: &Connection,
    settings: &Settings,
    job: Job,
    done: &mut Done,
) -> Result<(), WireError> {
    if !job.looks.is_empty() {
        let until = Instant::now() + settings.request_timeout;
        look(connection, job.looks, now_ms(), until, &mut done.looked).await?;
    }
    if !job.hanging.is_empty() {
        let mut wanted: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in job.hanging {
            wanted.entry(topic).or_default().push(partition);
        }
        if let Some(producers) = served(ask::producers(connection, &wanted).await)? {
            done.producers = producers;
        }
    }
    if !job.producers.is_empty() {
        match ask::open_transactions(connection, &job.producers).await {
            Ok(coordinated) => done.coordinated = coordinated,
            Err(Trouble::Code(_)) => {}
            Err(Trouble::Wire(error)) => drop(served::<()>(Err(error))?),
        }
    }
    for topics in job.configs.chunks(CONFIGS_PER_REQUEST) {
        match served(ask::topic_configs(connection, topics).await)? {
            Some(configs) => done.configs.extend(configs),
            None => break,
        }
    }
    if job.sizes {
        match ask::log_sizes(connection).await {
            Err(Trouble::Wire(error)) if !matches!(error, WireError::Unsupported { .. }) => {
                return Err(error);
            }
            sizes => done.sizes = Some(sizes),
        }
    }
    Ok(())
}

/// What a broker does not serve is nobody's failure, it is only not known.
fn served<T>(result: Result<T, WireError>) -> Result<Option<T>, WireError> {
    match result {
        Ok(answer) => Ok(Some(answer)),
        Err(WireError::Unsupported { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
