//! Reading where every partition begins and ends, of the broker that leads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ask::{self, End, Offsets, Trouble};
use super::pool::in_flight;
use super::refresh::{Connections, Errors, REQUESTS_IN_FLIGHT, now_ms};
use super::snapshot::Unread;
use super::state::State;
use super::topic::Ends;
use super::wire::WireError;

/// Partitions in one request for offsets.
const PARTITIONS_PER_REQUEST: usize = 5_000;

/// Partitions by topic.
type Partitions = BTreeMap<String, Vec<i32>>;

/// What one request is to ask for.
#[derive(Default)]
struct Wanted {
    partitions: Partitions,
    count: usize,
}

/// Puts a partition into the last request, or a new one.
fn want(requests: &mut Vec<Wanted>, topic: &str, index: i32) {
    if requests.last().is_none_or(|last| last.count >= PARTITIONS_PER_REQUEST) {
        requests.push(Wanted::default());
    }
    let Some(last) = requests.last_mut() else { return };
    last.count += 1;
    match last.partitions.get_mut(topic) {
        Some(indexes) => indexes.push(index),
        None => drop(last.partitions.insert(topic.to_owned(), vec![index])),
    }
}

/// Log starts, last stable offsets and high watermarks of partitions, and when they were asked for and there.
type Read = (Partitions, Answer, Answer, Answer, (i64, i64));
type Answer = Result<Offsets, WireError>;

/// Reads the ends of every partition that is not fresh; gives how many have been led elsewhere
/// than the last metadata says.
pub(super) async fn read_ends(connections: &Connections, state: &mut State, errors: &mut Errors) -> usize {
    let mut by_leader: BTreeMap<i32, Vec<Wanted>> = BTreeMap::new();
    let mut unread: Vec<(String, i32, Unread)> = Vec::new();
    for (name, topic) in &state.topics {
        for (&index, partition) in topic.partitions.iter().filter(|(_, p)| !p.fresh) {
            match partition.offsets.leader {
                Some(leader) if connections.contains_key(&leader) => {
                    want(by_leader.entry(leader).or_default(), name, index);
                }
                Some(_) => unread.push((name.clone(), index, Unread::BrokerAway)),
                None => unread.push((name.clone(), index, Unread::NoLeader)),
            }
        }
    }
    let mut requests = Vec::new();
    for (leader, requests_of_leader) in by_leader {
        let Some(connection) = connections.get(&leader) else { continue };
        for Wanted { partitions: wanted, .. } in requests_of_leader {
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
    let take = |(wanted, start, stable, high, (asked_ms, at_ms)): Read| {
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
                    return;
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
    };
    in_flight(REQUESTS_IN_FLIGHT, requests, take).await;
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
