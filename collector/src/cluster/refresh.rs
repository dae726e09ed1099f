//! One refresh: whom to ask for what, in which order, and what to do when they do not answer.
//!
//! Metadata, listings, descriptions and commits, and only then the ends, so that a commit is
//! never compared with an end older than itself. One broker's failure is only its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::ask::{self, Answered, Description, Listed, ShareProgress, Trouble};
use super::config::Config;
use super::ends::read_ends;
use super::pool::{Pool, in_flight};
use super::snapshot::{ClusterSnapshot, GroupType, WatchStats};
use super::state::State;
use super::wire::Connection;
use super::{ClusterError, Watcher};

/// Groups in one request: the cheapest for brokers, as measured; one at a time costs a request
/// each, all at once costs memory.
pub(super) const GROUPS_PER_REQUEST: usize = 200;
/// Brokers that are asked for metadata before a refresh is given up.
const METADATA_TRIES: usize = 4;
/// Requests under way at once over all brokers.
pub(super) const REQUESTS_IN_FLIGHT: usize = 64;
/// Topics that are asked for by name in one refresh.
const UNLISTED_MAX: usize = 1_000;
pub(super) type Connections = BTreeMap<i32, Arc<Connection>>;

/// The wall clock, in milliseconds since the epoch.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What went wrong in parts, counted by reason.
#[derive(Default)]
pub(super) struct Errors(BTreeMap<&'static str, u64>);

impl Errors {
    pub(super) fn add(&mut self, reason: &'static str, count: usize) {
        if count > 0 {
            *self.0.entry(reason).or_default() += count as u64;
        }
    }
}

impl Watcher {
    /// Reads everything once.
    ///
    /// # Errors
    /// Only when nothing at all could be read: no broker to be reached, credentials refused,
    /// certificates unusable. What failed in parts is counted in the snapshot's `stats`.
    pub async fn refresh_once(&mut self) -> Result<ClusterSnapshot, ClusterError> {
        let began = Instant::now();
        let mut errors = Errors::default();
        let result = self.read_all(&mut errors).await;
        if let Err(error) = &result {
            errors.add(error.reason(), 1);
        }
        let (requests, bytes) = self.pool.traffic().take();
        let throttled_ms = self.pool.traffic().take_throttled_ms();
        let stats = &mut self.stats;
        stats.refreshes_total += 1;
        for (reason, count) in errors.0 {
            *stats.errors_total.entry(reason.to_owned()).or_default() += count;
        }
        stats.last_duration_seconds = began.elapsed().as_secs_f64();
        stats.last_requests = requests;
        stats.last_bytes = bytes;
        stats.throttled_seconds_total += throttled_ms as f64 / 1000.0;
        stats.groups_unreadable = self.state.groups.values().filter(|g| g.forbidden).count() as u64;
        stats.topics_unreadable = self.state.forbidden_topics.len() as u64;
        self.denied.tell(&self.state);
        result?;
        self.complete_once = true;
        Ok(self.snapshot(now_ms(), None))
    }

    /// What is known now.
    pub(super) fn snapshot(&self, taken_at_ms: i64, last_error: Option<String>) -> ClusterSnapshot {
        let id = self.state.cluster_id.clone();
        let name = self.config.name.clone().or(id);
        let first = || self.config.bootstrap.first().map(ToString::to_string);
        ClusterSnapshot {
            cluster: name.or_else(first).unwrap_or_default(),
            taken_at_ms: if self.complete_once { taken_at_ms } else { 0 },
            complete_once: self.complete_once,
            last_error,
            brokers: u32::try_from(self.pool.brokers().len()).unwrap_or(u32::MAX),
            topics: self.state.topics_snapshot(),
            groups: self.state.groups_snapshot(),
            stats: WatchStats::clone(&self.stats),
        }
    }

    async fn read_all(&mut self, errors: &mut Errors) -> Result<(), ClusterError> {
        let Self { config, pool, state, aside, .. } = self;
        if pool.renew(config).await.is_err() {
            errors.add("certificates", 1);
        }
        read_metadata(pool, state, config, errors).await?;
        // Only now, so that a refresh that fails altogether changes nothing.
        state.begin();
        let connections = connect(pool, config, errors).await?;
        let brokers = pool.brokers().len();
        let coordinators = read_listings(&connections, brokers, state, config, errors).await;
        read_groups(&connections, coordinators, state, config, errors).await;
        let mut astray = read_ends(&connections, state, errors).await;
        let mut now_connected = None;
        if astray > 0 && read_metadata(pool, state, config, errors).await.is_ok() {
            // Leaders have moved: once more, with where they are now.
            let connections = connect(pool, config, errors).await?;
            astray = read_ends(&connections, state, errors).await;
            now_connected = Some(connections);
        }
        errors.add("leader_moving", astray);
        let connections = now_connected.as_ref().unwrap_or(&connections);
        ask_for_unlisted(connections, state, config, errors).await;
        aside.refresh(pool, connections, state, config, errors).await;
        state.finish(config);
        state.drop_phantoms();
        Ok(())
    }
}

async fn read_metadata(
    pool: &mut Pool,
    state: &mut State,
    config: &Config,
    errors: &mut Errors,
) -> Result<(), ClusterError> {
    let mut last = None;
    // A connection that has died while idle, or a broker that hangs, shows only when it is used.
    for _ in 0..METADATA_TRIES {
        let connection = pool.any(config).await?;
        match ask::metadata(&connection).await {
            Ok(metadata) => {
                pool.set_brokers(metadata.brokers.clone(), config);
                let left_out = state.apply_metadata(metadata, config);
                errors.add("topics_over_limit", left_out);
                return Ok(());
            }
            Err(error) => last = Some(error),
        }
    }
    Err(ClusterError::Unreachable { tried: last.into_iter().collect() })
}

/// Topics that groups name and nobody lists are asked for by name, since only then a broker says
/// that they are not for us to see. What it said before is asked again only while they are named.
async fn ask_for_unlisted(
    connections: &Connections,
    state: &mut State,
    config: &Config,
    errors: &mut Errors,
) {
    let unlisted: Vec<String> = state.unlisted_topics(config).into_iter().take(UNLISTED_MAX).collect();
    let forbidden = match (unlisted.is_empty(), connections.values().next()) {
        (false, Some(connection)) => match ask::metadata_of(connection, &unlisted).await {
            Ok(metadata) => metadata.topics,
            Err(error) => {
                errors.add(error.reason(), 1);
                return;
            }
        },
        _ => BTreeMap::new(),
    };
    let is_forbidden = |code: i16| code == ask::code::TOPIC_AUTHORIZATION_FAILED;
    let names = forbidden.into_iter().filter(|(_, topic)| is_forbidden(topic.code)).map(|(name, _)| name);
    state.forbidden_topics = names.collect();
}

async fn connect(pool: &mut Pool, config: &Config, errors: &mut Errors) -> Result<Connections, ClusterError> {
    let mut connections = Connections::new();
    let mut tried = Vec::new();
    for (id, result) in pool.all(config).await? {
        match result {
            // It has an answer of ours outstanding for too long: nothing is asked of it until it
            // has spoken.
            Ok(connection) if connection.is_stuck() => errors.add("broker_hangs", 1),
            Ok(connection) => {
                connections.insert(id, connection);
            }
            Err(error) => {
                tracing::warn!(broker = id, %error, "a broker cannot be reached");
                errors.add(error.reason(), 1);
                tried.push(error);
            }
        }
    }
    if connections.is_empty() {
        return Err(ClusterError::Unreachable { tried });
    }
    Ok(connections)
}

/// Asks every broker for its groups; gives the coordinator of each group that is watched, `None`
/// where it must be looked for.
async fn read_listings(
    connections: &Connections,
    brokers: usize,
    state: &mut State,
    config: &Config,
    errors: &mut Errors,
) -> BTreeMap<String, Option<i32>> {
    let deadline = Instant::now() + config.retry_for;
    let asked = connections.iter().map(|(&id, connection)| {
        let connection = Arc::clone(connection);
        async move {
            let mut pause = Duration::from_millis(100);
            loop {
                match ask::list_groups(&connection).await {
                    // A broker that is taking groups over refuses the whole listing meanwhile.
                    Err(trouble) if trouble.is_passing() && Instant::now() + pause < deadline => {
                        tokio::time::sleep(pause).await;
                        pause *= 2;
                    }
                    result => return (id, result),
                }
            }
        }
    });
    let mut answers = Vec::with_capacity(connections.len());
    in_flight(REQUESTS_IN_FLIGHT, asked.collect(), |answer| answers.push(answer)).await;

    let mut complete = answers.len() == brokers;
    let mut listed: Vec<Listed> = Vec::new();
    let mut coordinators = BTreeMap::new();
    for (id, answer) in answers {
        match answer {
            Ok(groups) => {
                coordinators.extend(groups.iter().map(|g| (g.group.clone(), Some(id))));
                listed.extend(groups);
            }
            Err(trouble) => {
                complete = false;
                if !trouble.is_unsupported() {
                    errors.add(trouble.reason(), 1);
                }
            }
        }
    }
    let left_out = state.apply_listing(&listed, complete, config);
    errors.add("groups_over_limit", left_out);
    for name in &config.named_groups {
        state.add_named(name);
    }
    state.groups.keys().map(|name| (name.clone(), coordinators.remove(name).flatten())).collect()
}

/// A group's description and commits from its coordinator.
struct Reading {
    descriptions: BTreeMap<String, Result<Description, Trouble>>,
    commits: BTreeMap<String, Result<Answered, Trouble>>,
    shares: BTreeMap<String, Result<ShareProgress, Trouble>>,
    at_ms: i64,
}

/// Describes the groups and reads their commits; asks again, of whoever coordinates by then,
/// while coordinators move.
async fn read_groups(
    connections: &Connections,
    mut coordinators: BTreeMap<String, Option<i32>>,
    state: &mut State,
    config: &Config,
    errors: &mut Errors,
) {
    let deadline = Instant::now() + config.retry_for;
    let mut pause = Duration::from_millis(100);
    loop {
        let mut again = find_coordinators(connections, &mut coordinators, state, errors).await;
        let requests = plan_groups(connections, &coordinators, state, config);
        let take = |reading: Reading| {
            for (name, result) in reading.descriptions {
                match &result {
                    Err(trouble) if trouble.is_passing() => {
                        again.insert(name.clone());
                    }
                    Err(Trouble::Code(ask::code::GROUP_ID_NOT_FOUND)) | Ok(_) => {}
                    Err(trouble) if trouble.is_unsupported() => {}
                    Err(trouble) => errors.add(trouble.reason(), 1),
                }
                state.apply_description(&name, result);
            }
            for (name, result) in reading.commits {
                match &result {
                    Err(trouble) if trouble.is_passing() => {
                        again.insert(name.clone());
                    }
                    Err(trouble) => errors.add(trouble.reason(), 1),
                    Ok(_) => {}
                }
                state.apply_answer(&name, result, reading.at_ms);
            }
            for (name, result) in reading.shares {
                match &result {
                    Err(trouble) if trouble.is_passing() => {
                        again.insert(name.clone());
                    }
                    // Deleted meanwhile, or of a broker that can tell only its members.
                    Err(Trouble::Code(ask::code::GROUP_ID_NOT_FOUND)) | Ok(_) => {}
                    Err(trouble) if trouble.is_unsupported() => {
                        state.touch(&name, reading.at_ms);
                        continue;
                    }
                    Err(trouble) => errors.add(trouble.reason(), 1),
                }
                state.apply_share(&name, result, reading.at_ms);
            }
        };
        in_flight(REQUESTS_IN_FLIGHT, requests, take).await;
        if again.is_empty() || Instant::now() + pause >= deadline {
            errors.add("coordinator_moving", again.len());
            return;
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
        coordinators = again.into_iter().map(|name| (name, None)).collect();
    }
}

/// Fills in the coordinators that are not known; gives the groups that have none just now.
async fn find_coordinators(
    connections: &Connections,
    coordinators: &mut BTreeMap<String, Option<i32>>,
    state: &mut State,
    errors: &mut Errors,
) -> BTreeSet<String> {
    let unknown: Vec<String> =
        coordinators.iter().filter(|(_, id)| id.is_none()).map(|(name, _)| name.clone()).collect();
    let mut again = BTreeSet::new();
    if unknown.is_empty() {
        return again;
    }
    let mut found = BTreeMap::new();
    for connection in connections.values() {
        found = ask::find_coordinators(connection, &unknown).await;
        if !found.values().all(|r| matches!(r, Err(Trouble::Wire(_)))) {
            break;
        }
    }
    for (name, result) in found {
        match result {
            Ok(id) => {
                coordinators.insert(name, Some(id));
            }
            Err(trouble) if trouble.is_passing() => {
                again.insert(name);
            }
            Err(trouble) => {
                errors.add(trouble.reason(), 1);
                state.apply_commits(&name, Err(trouble), 0);
            }
        }
    }
    again
}

/// The requests for groups, in batches a coordinator and a type.
fn plan_groups(
    connections: &Connections,
    coordinators: &BTreeMap<String, Option<i32>>,
    state: &State,
    config: &Config,
) -> Vec<impl Future<Output = Reading> + Send + 'static> {
    let mut batches: BTreeMap<(i32, GroupType), Vec<String>> = BTreeMap::new();
    for (name, coordinator) in coordinators {
        let (Some(id), Some(group)) = (coordinator, state.groups.get(name)) else { continue };
        batches.entry((*id, group.group_type)).or_default().push(name.clone());
    }
    let elements_max = config.limits.elements;
    let mut requests = Vec::new();
    for ((id, group_type), names) in batches {
        let Some(connection) = connections.get(&id) else { continue };
        for names in names.chunks(GROUPS_PER_REQUEST) {
            let (connection, names) = (Arc::clone(connection), names.to_vec());
            let topics = (!ask::lists_groups(&connection)).then(|| state.partitions());
            requests.push(async move {
                // What is answered is as old as the question, however long the answer takes.
                let at_ms = now_ms();
                // A share group's progress is no commit, and OffsetFetch would say nothing.
                let progress = async {
                    match group_type {
                        GroupType::Share => (BTreeMap::new(), ask::share_progress(&connection, &names).await),
                        _ => (ask::commits(&connection, &names, topics.as_ref()).await, BTreeMap::new()),
                    }
                };
                let descriptions = ask::describe(&connection, group_type, &names, elements_max);
                let (descriptions, (commits, shares)) = tokio::join!(descriptions, progress);
                Reading { descriptions, commits, shares, at_ms }
            });
        }
    }
    requests
}
