//! Looking at what lies where groups stand: records or only markers, and how old?
//!
//! The headers of the batches there tell it all, where records may be read and batches are small.
//! Elsewhere the time is searched by offsets for times, which needs no more than to describe the
//! topic; whether markers alone are left cannot be told then.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::ask::{self, Position, code};
use super::batch::Found;
use super::search::Search;
use super::topic::Probe;
use super::wire::{Connection, WireError};

/// How much of a partition is read to see what lies at a position: first a little, which is
/// enough for markers and small batches; then more for the few whose first batch is larger.
/// (bytes of a partition, positions in one go)
const LOOKS: [(i32, usize); 2] = [(4 << 10, 500), (64 << 10, 64)];
/// Bytes of one answer to a look; a first batch larger than it comes whole none the less (KIP-74).
const LOOK_ANSWER_BYTES: i32 = 8 << 20;
/// Questions about one partition in one go: enough for one position in years of log.
const ROUNDS_MAX: usize = 16;
/// Partitions in one request for offsets by time.
const SEARCHES_PER_REQUEST: usize = 500;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) found: Vec<(Probe, Found)>,
    /// Topics of which records may be read, and may not.
    pub(super) read: BTreeSet<String>,
    pub(super) refused: BTreeSet<String>,
}

/// Looks at positions of partitions that this broker leads, until that moment at most.
///
/// # Errors
/// The broker could not be asked on; what was found before is kept.
pub(super) async fn look(
    connection: &Connection,
    probes: Vec<Probe>,
    now_ms: i64,
    until: Instant,
    looked: &mut Looked,
) -> Result<(), WireError> {
    let (mut left, mut to_search): (Vec<Probe>, Vec<Probe>) =
        probes.into_iter().partition(|p| p.readable && p.unfinished.is_none());
    for (partition_bytes, at_most) in LOOKS {
        let beyond = left.split_off(left.len().min(at_most));
        to_search.extend(beyond);
        let mut nothing = Vec::new();
        for wave in waves(std::mem::take(&mut left)) {
            let wanted: Vec<Position> = wave.keys().cloned().collect();
            let answers = ask::look(connection, &wanted, partition_bytes, LOOK_ANSWER_BYTES).await?;
            let mut answers: BTreeMap<Position, _> = answers.into_iter().collect();
            for (position, probe) in wave {
                match answers.remove(&position) {
                    Some(Ok(Some(found))) => {
                        looked.read.insert(probe.topic.clone());
                        looked.found.push((probe, Found { looked: true, ..found }));
                    }
                    Some(Ok(None)) => nothing.push(probe),
                    Some(Err(code::TOPIC_AUTHORIZATION_FAILED)) => {
                        looked.refused.insert(probe.topic.clone());
                        to_search.push(probe);
                    }
                    // The position has gone meanwhile, or its leader has moved: in the next round.
                    Some(Err(_)) | None => {}
                }
            }
        }
        left = nothing;
        if Instant::now() >= until {
            return Ok(());
        }
    }
    to_search.extend(left);
    search(connection, to_search, now_ms, until, looked).await
}

/// Orders positions into requests: a partition only once in each, as a request can ask for one
/// offset of a partition only.
fn waves(probes: Vec<Probe>) -> Vec<BTreeMap<Position, Probe>> {
    let mut waves: Vec<BTreeMap<Position, Probe>> = Vec::new();
    let mut seen: BTreeMap<(String, i32), usize> = BTreeMap::new();
    for probe in probes {
        let nth = seen.entry((probe.topic.clone(), probe.partition)).or_default();
        if waves.len() <= *nth {
            waves.push(BTreeMap::new());
        }
        waves[*nth].insert((probe.topic.clone(), probe.partition, probe.offset), probe);
        *nth += 1;
    }
    waves
}

/// Searches for the times of positions, all partitions side by side, a question each a round.
async fn search(
    connection: &Connection,
    probes: Vec<Probe>,
    now_ms: i64,
    until: Instant,
    looked: &mut Looked,
) -> Result<(), WireError> {
    let mut searches: BTreeMap<(String, i32), Vec<(Probe, Search)>> = BTreeMap::new();
    for probe in probes.into_iter().filter(|p| p.for_time) {
        let search = match probe.unfinished {
            Some(unfinished) => unfinished.resumed(now_ms),
            None => Search::new(probe.offset, probe.window, now_ms),
        };
        searches.entry((probe.topic.clone(), probe.partition)).or_default().push((probe, search));
    }
    let mut failed = None;
    'rounds: for _ in 0..ROUNDS_MAX {
        let questions: Vec<((String, i32), i64)> = searches
            .iter()
            .filter_map(|(at, of)| Some((at.clone(), of.iter().find_map(|(_, s)| s.question())?)))
            .collect();
        if questions.is_empty() {
            break;
        }
        for chunk in questions.chunks(SEARCHES_PER_REQUEST) {
            if Instant::now() >= until {
                break 'rounds;
            }
            let wanted: BTreeMap<_, _> = chunk.iter().cloned().collect();
            let answers = match ask::times(connection, &wanted).await {
                Ok(answers) => answers,
                Err(error) => {
                    failed = Some(error);
                    break 'rounds;
                }
            };
            for (at, asked_ms) in wanted {
                match answers.get(&at) {
                    Some(Ok(first)) => {
                        let of_partition = searches.get_mut(&at).into_iter().flatten();
                        of_partition.for_each(|(_, search)| search.learn(asked_ms, *first));
                    }
                    // Led elsewhere, or not to be asked: nothing is learnt now.
                    Some(Err(_)) | None => drop(searches.remove(&at)),
                }
            }
        }
    }
    looked.found.extend(searches.into_values().flatten().map(|(probe, search)| {
        let finished = search.question().is_none();
        let result = search.result();
        let found = Found {
            record: (finished || result.is_some()).then_some(result),
            unfinished: (!finished).then(|| Box::new(search)),
            ..Found::default()
        };
        (probe, found)
    }));
    match failed {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
