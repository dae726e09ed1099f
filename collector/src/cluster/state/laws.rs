//! What is left as it was because nothing moved is what would be made anew.

use proptest::prelude::*;

use super::tests::{commits, listed, metadata};
use super::*;
use crate::cluster::ask::Description;
use crate::cluster::batch::Found;
use crate::cluster::lag::When;
use crate::cluster::topic::Probe;
use crate::cluster::wire::Commit;

const TOPICS: [&str; 2] = ["a", "b"];
const PARTITIONS: i32 = 3;
const GROUPS: [(&str, GroupType); 3] =
    [("c", GroupType::Classic), ("k", GroupType::Consumer), ("s", GroupType::Share)];

/// What happens to one partition of a topic in a refresh. Most of the time, nothing.
#[derive(Clone, Copy, Debug)]
enum End {
    Same,
    Grows(i64),
    Opens,
    Unread,
    Starts(i64),
}

/// What happens to one group.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Same,
    Commits(i32, i64),
    /// So far from the end.
    Nears(i32, i64),
    Fails,
    Assigned(i32),
    Unset(i32),
}

/// What is found where a look was worth it.
#[derive(Clone, Copy, Debug)]
enum Look {
    None,
    Marker,
    Record,
    Refused,
}

#[derive(Clone, Debug)]
struct Step {
    passed_ms: i64,
    ends: Vec<End>,
    turns: Vec<Turn>,
    look: Look,
    /// Ids of the topics: another one is another topic; 0: it is not there.
    ids: [u128; 2],
    forbidden: bool,
}

prop_compose! {
    fn steps()(
        ends in prop::collection::vec(prop_oneof![
            12 => Just(End::Same), 2 => (1i64..40).prop_map(End::Grows), 1 => Just(End::Opens),
            1 => Just(End::Unread), 1 => (1i64..30).prop_map(End::Starts),
        ], TOPICS.len() * PARTITIONS as usize),
        turns in prop::collection::vec(prop_oneof![
            6 => Just(Turn::Same), 2 => (0..PARTITIONS, 0i64..150).prop_map(|(p, at)| Turn::Commits(p, at)),
            3 => (0..PARTITIONS, 0i64..20).prop_map(|(p, left)| Turn::Nears(p, left)),
            1 => Just(Turn::Fails), 1 => (0..PARTITIONS).prop_map(Turn::Assigned),
            1 => (0..PARTITIONS).prop_map(Turn::Unset),
        ], GROUPS.len()),
        look in prop_oneof![
            3 => Just(Look::None), 2 => Just(Look::Marker), 2 => Just(Look::Record), 1 => Just(Look::Refused),
        ],
        ids in prop::array::uniform2(prop_oneof![12 => Just(7u128), 1 => Just(8), 1 => Just(0)]),
        forbidden in prop::bool::weighted(0.1),
        passed_ms in prop_oneof![4 => Just(15_000i64), 1 => Just(700_000), 1 => Just(0)],
    ) -> Step {
        Step { passed_ms, ends, turns, look, ids, forbidden }
    }
}

/// The world that both states look at.
#[derive(Default)]
struct World {
    now_ms: i64,
    /// Start, stable end, end.
    ends: BTreeMap<(usize, i32), (i64, i64, i64)>,
    commits: BTreeMap<usize, BTreeMap<i32, i64>>,
    assigned: BTreeMap<usize, BTreeSet<i32>>,
    unset: BTreeMap<usize, BTreeSet<i32>>,
}

impl World {
    /// Everything that is there comes under the watcher's eyes, so that it knows how old it is.
    fn begin(&mut self, states: &mut [State; 2], config: &Config) {
        let empty = Step {
            passed_ms: 15_000,
            ends: vec![End::Same; TOPICS.len() * PARTITIONS as usize],
            turns: vec![Turn::Same; GROUPS.len()],
            look: Look::None,
            ids: [7; 2],
            forbidden: false,
        };
        let filled = Step { ends: vec![End::Grows(60); empty.ends.len()], ..empty.clone() };
        for step in [empty, filled] {
            self.turn(&step, states, config);
        }
    }

    /// A refresh of both; gives what each would look at.
    fn turn(&mut self, step: &Step, states: &mut [State; 2], config: &Config) -> [Vec<Probe>; 2] {
        self.now_ms += step.passed_ms;
        let there: Vec<_> = TOPICS.iter().zip(step.ids).filter(|(_, id)| *id > 0).collect();
        let topics: Vec<_> = there.iter().map(|(name, id)| (**name, *id, PARTITIONS)).collect();
        for state in &mut *states {
            state.apply_metadata(metadata(&topics), config);
            state.begin();
            let all = GROUPS.map(|(name, group_type)| listed(name, group_type));
            state.apply_listing(&all, true, config);
        }
        for (n, (name, group_type)) in GROUPS.into_iter().enumerate() {
            let turn = step.turns[n];
            match turn {
                Turn::Commits(partition, at) => {
                    self.commits.entry(n).or_default().insert(partition, at);
                }
                Turn::Nears(partition, left) => {
                    let end = self.ends.get(&(0, partition)).map_or(0, |(_, _, high)| *high);
                    self.commits.entry(n).or_default().insert(partition, end - left);
                }
                Turn::Assigned(partition) => {
                    let assigned = self.assigned.entry(n).or_default();
                    if !assigned.remove(&partition) {
                        assigned.insert(partition);
                    }
                }
                Turn::Unset(partition) => {
                    self.unset.entry(n).or_default().insert(partition);
                }
                Turn::Same | Turn::Fails => {}
            }
            let assigned = self.assigned.entry(n).or_default().clone();
            let told = Description {
                state: "Stable".to_owned(),
                members: 1,
                assigned: [("a", assigned.clone())].into(),
                assignment_known: true,
                ..Description::default()
            };
            let places: Vec<(i32, i64)> =
                self.commits.entry(n).or_default().iter().map(|(p, at)| (*p, *at)).collect();
            for state in &mut *states {
                state.apply_description(name, Ok(told.clone()));
                let both = || {
                    let mut both = commits("a", &places).expect("commits");
                    both.insert("b", places.iter().map(|&(p, at)| (p, Commit::at(at))).collect());
                    both
                };
                match (turn, group_type) {
                    (Turn::Fails, _) => {}
                    (_, GroupType::Share) => {
                        let unset = [("a", self.unset.entry(n).or_default().clone())].into();
                        let lags = [("a", places.iter().map(|&(p, at)| (p, at / 2)).collect())].into();
                        let progress = ShareProgress { starts: both(), unset, lags };
                        state.apply_share(name, Ok(progress), self.now_ms);
                    }
                    _ => state.apply_commits(name, Ok(both()), self.now_ms),
                }
            }
        }
        for (n, end) in step.ends.iter().enumerate() {
            let (topic, index) = (n / PARTITIONS as usize, (n % PARTITIONS as usize) as i32);
            let (start, stable, high) = self.ends.entry((topic, index)).or_default();
            match end {
                End::Same => {}
                End::Grows(by) => {
                    *high += by;
                    *stable = *high;
                }
                End::Opens => *stable = (*high - 5).max(*start),
                End::Starts(by) => *start = (*start + by).min(*stable),
                End::Unread => {
                    let unread =
                        |state: &mut State| state.apply_unread(TOPICS[topic], index, Unread::BrokerAway);
                    states.iter_mut().for_each(unread);
                    continue;
                }
            }
            let (start, stable, high) = (*start, *stable, *high);
            let ends = Ends { start, stable, high, epoch: -1, asked_ms: self.now_ms, at_ms: self.now_ms };
            states.iter_mut().for_each(|state| state.apply_ends(TOPICS[topic], index, ends));
        }
        for state in &mut *states {
            let forbidden = step.forbidden.then(|| "b".to_owned());
            state.forbidden_topics = forbidden.into_iter().collect();
        }
        states[1].make_all_anew();
        let [one, other] =
            states.each_mut().map(|state| state.probes(self.now_ms, &BTreeSet::from([1]), 1_000));
        for probe in &one {
            let record = Some(Some(When { at_ms: self.now_ms - 3_000, error_ms: 0 }));
            let found = match step.look {
                Look::None | Look::Refused => continue,
                Look::Marker => Found {
                    empty_until: Some(probe.offset + 2),
                    transactional: true,
                    looked: true,
                    ..Found::default()
                },
                Look::Record => Found { record, looked: true, ..Found::default() },
            };
            states.iter_mut().for_each(|state| state.apply_found(probe, found.clone()));
        }
        if matches!(step.look, Look::Refused) {
            let refused = BTreeSet::from(["a".to_owned()]);
            states.iter_mut().for_each(|s| s.apply_access(&BTreeSet::new(), &refused, self.now_ms));
        }
        states[1].make_all_anew();
        states.iter_mut().for_each(|state| state.finish(config));
        [one, other]
    }
}

impl State {
    /// As if everything had changed.
    fn make_all_anew(&mut self) {
        self.groups.values_mut().for_each(|group| (group.changed, group.probing) = (true, true));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn what_stands_is_what_would_be_made_anew(steps in prop::collection::vec(steps(), 1..14)) {
        let config = Config::default();
        let mut world = World { now_ms: 1_000_000, ..World::default() };
        let mut states = [State::default(), State::default()];
        world.begin(&mut states, &config);
        for (n, step) in steps.iter().enumerate() {
            let [probes, all] = world.turn(step, &mut states, &config);
            prop_assert_eq!(probes, all, "probes of step {}", n);
            let [groups, anew] = states.each_mut().map(|state| state.groups_snapshot());
            prop_assert_eq!(groups, anew, "step {}", n);
            let [topics, anew] = states.each_mut().map(|state| state.topics_snapshot());
            prop_assert_eq!(topics, anew, "step {}", n);
        }
    }
}
