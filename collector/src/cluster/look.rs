//! Looking at the records where groups stand: are they records at all, and how old?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ask::{self, Position};
use super::config::Config;
use super::pool::in_flight;
use super::refresh::{Connections, Errors, REQUESTS_IN_FLIGHT};
use super::state::State;
use super::topic::Probe;

/// How much of a partition is read to see what lies at a position: first a little, which is
/// enough for markers and small batches; then more for the few whose first batch is larger.
/// (bytes of a partition, positions in one refresh and broker)
const LOOKS: [(i32, usize); 3] = [(4 << 10, 500), (64 << 10, 64), (1100 << 10, 8)];
/// Bytes of one answer to a look; a first batch larger than it comes whole none the less (KIP-74).
const LOOK_ANSWER_BYTES: i32 = 8 << 20;

/// Looks at what lies where groups stand, within a budget: markers, or how old a record is.
pub(super) async fn look_at_records(
    connections: &Connections,
    state: &mut State,
    config: &Config,
    errors: &mut Errors,
) {
    let mut budget = config.limits.probes;
    let mut left: Vec<Probe> = state.probes().into_iter().collect();
    for (partition_bytes, per_broker) in LOOKS {
        let mut requests = Vec::new();
        for wave in waves(&left, per_broker, &mut budget) {
            let Some(connection) = connections.get(&wave.0) else { continue };
            let connection = Arc::clone(connection);
            requests.push(async move {
                ask::look(&connection, &wave.1, partition_bytes, LOOK_ANSWER_BYTES).await
            });
        }
        let mut nothing = BTreeSet::new();
        for answer in in_flight(REQUESTS_IN_FLIGHT, requests).await {
            match answer {
                Ok(found) => {
                    for (position, result) in found {
                        let (topic, partition, offset) = &position;
                        match result {
                            Ok(Some(found)) => {
                                state.apply_found(topic, *partition, *offset, found);
                            }
                            Ok(None) => {
                                nothing.insert(position);
                            }
                            // The position has gone meanwhile, or we may not read records: lag
                            // in records stands, in seconds it stays what the history says.
                            Err(_) => {}
                        }
                    }
                }
                Err(error) => errors.add(error.reason(), 1),
            }
        }
        left.retain(|p| p.for_time && nothing.contains(&(p.topic.clone(), p.partition, p.offset)));
    }
}

/// Orders positions into requests: a broker each, and a partition only once in each, as a
/// request can ask for one offset of a partition only.
fn waves(probes: &[Probe], per_broker: usize, budget: &mut usize) -> Vec<(i32, Vec<Position>)> {
    let mut spent: BTreeMap<i32, usize> = BTreeMap::new();
    let mut waves: BTreeMap<(i32, usize), Vec<Position>> = BTreeMap::new();
    let mut seen: BTreeMap<(&str, i32), usize> = BTreeMap::new();
    for probe in probes {
        let spent = spent.entry(probe.leader).or_default();
        if *spent >= per_broker || *budget == 0 {
            continue;
        }
        *spent += 1;
        *budget -= 1;
        let wave = seen.entry((&probe.topic, probe.partition)).or_default();
        waves.entry((probe.leader, *wave)).or_default().push((
            probe.topic.clone(),
            probe.partition,
            probe.offset,
        ));
        *wave += 1;
    }
    waves.into_iter().map(|((leader, _), wanted)| (leader, wanted)).collect()
}
