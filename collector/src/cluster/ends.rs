//! Reading where every partition begins and ends, of the broker that leads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ask::{self, End, Trouble};
use super::pool::in_flight;
use super::refresh::{Connections, Errors, REQUESTS_IN_FLIGHT, now_ms};
use super::snapshot::Unread;
use super::state::State;
use super::topic::Ends;
use super::wire::WireError;

/// Partitions in one request for offsets.
const PARTITIONS_PER_REQUEST: usize = 5_000;

/// Reads the ends of every partition that is not fresh; gives how many have been led elsewhere
/// than the last metadata says.
pub(super) async fn read_ends(connections: &Connections, state: &mut State, errors: &mut Errors) -> usize {
    let mut by_leader: BTreeMap<i32, Vec<(String, i32)>> = BTreeMap::new();
    let mut unread: Vec<(String, i32, Unread)> = Vec::new();
    for (name, topic) in &state.topics {
        for (&index, partition) in topic.partitions.iter().filter(|(_, p)| !p.fresh) {
            match partition.offsets.leader {
                Some(leader) if connections.contains_key(&leader) => {
                    by_leader.entry(leader).or_default().push((name.clone(), index));
                }
                Some(_) => unread.push((name.clone(), index, Unread::BrokerAway)),
                None => unread.push((name.clone(), index, Unread::NoLeader)),
            }
        }
    }
    let mut requests = Vec::new();
    for (leader, partitions) in by_leader {
        let Some(connection) = connections.get(&leader) else { continue };
        for chunk in partitions.chunks(PARTITIONS_PER_REQUEST) {
            let mut wanted: BTreeMap<String, Vec<i32>> = BTreeMap::new();
            for (topic, index) in chunk {
                wanted.entry(topic.clone()).or_default().push(*index);
            }
            let connection = Arc::clone(connection);
            requests.push(async move {
                let asked_ms = now_ms();
                // Pipelined, and answered in this order: what is stable is never beyond the end
                // that is read after it.
                let (start, stable, high) = tokio::join!(
                    ask::offsets(&connection, End::Start, &wanted),
                    ask::offsets(&connection, End::Stable, &wanted),
                    ask::offsets(&connection, End::High, &wanted),
                );
                (wanted, start, stable, high, (asked_ms, now_ms()))
            });
        }
    }
    let mut astray = 0;
    for (wanted, start, stable, high, (asked_ms, at_ms)) in in_flight(REQUESTS_IN_FLIGHT, requests).await {
        let (start, stable, high) =
            match (start, stable, high) {
                (Ok(start), Ok(stable), Ok(high)) => (start, stable, high),
                (Err(error), _, _) | (_, Err(error), _) | (_, _, Err(error)) => {
                    tracing::warn!(%error, "ends of partitions cannot be read");
                    errors.add(error.reason(), 1);
                    let why = why_not(&error);
                    unread.extend(wanted.into_iter().flat_map(|(topic, indexes)| {
                        indexes.into_iter().map(move |i| (topic.clone(), i, why))
                    }));
                    continue;
                }
            };
        for (topic, indexes) in wanted {
            let of_topic = [&start, &stable, &high].map(|offsets| offsets.get(&topic));
            for index in indexes {
                let ends = of_topic.map(|of| of.and_then(|p| p.get(&index)).copied().unwrap_or(Err(-1)));
                match ends {
                    [Ok(start), Ok(stable), Ok(high)] => {
                        let ends = Ends {
                            start: start.offset,
                            stable: stable.offset,
                            high: high.offset,
                            epoch: high.epoch,
                            asked_ms,
                            at_ms,
                        };
                        state.apply_ends(&topic, index, ends);
                    }
                    [Err(code), _, _] | [_, Err(code), _] | [_, _, Err(code)] => {
                        let trouble = Trouble::Code(code);
                        let why = match &trouble {
                            moving if moving.is_leader_moving() => {
                                astray += 1;
                                Unread::LeaderMoving
                            }
                            forbidden if forbidden.is_forbidden() => Unread::NotAllowed,
                            _ => Unread::Refused,
                        };
                        if why != Unread::LeaderMoving {
                            errors.add(trouble.reason(), 1);
                        }
                        unread.push((topic.clone(), index, why));
                    }
                }
            }
        }
    }
    for (topic, index, why) in unread {
        state.apply_unread(&topic, index, why);
    }
    astray
}

fn why_not(error: &WireError) -> Unread {
    match error {
        WireError::Malformed { .. } | WireError::TooLarge { .. } | WireError::Unsupported { .. } => {
            Unread::Refused
        }
        _ => Unread::BrokerAway,
    }
}
