use super::*;
use proptest::prelude::*;

const WINDOW: Window = Window {
    size_ms: 60_000,
    every_ms: 10_000,
    pane_ms: 10_000,
    allowed_lateness_ms: 30_000,
    by: WindowTime::Record,
    gap_ms: None,
};
const IDLE_MS: i64 = 15_000;
const NOW: i64 = 1_700_000_000_000;

fn panes(partitions: i32) -> Panes<u64> {
    let mut panes = Panes::new(WINDOW, 64, IDLE_MS);
    for partition in 0..partitions {
        panes.assign(partition, NOW);
    }
    panes
}

fn put(panes: &mut Panes<u64>, partition: i32, offset: i64, record_ms: i64, now: i64) -> (i64, bool) {
    let placed = panes.place((partition, offset), record_ms, record_ms, now, || 0);
    placed.pane.data += 1;
    (placed.pane.start_ms, placed.late)
}

fn taken(panes: &mut Panes<u64>) -> Vec<(i64, u64)> {
    let mut taken = Vec::new();
    panes.snapshot(|pane| taken.push((pane.start_ms, pane.data)));
    taken
}

#[test]
fn a_pane_is_reported_while_it_is_open_and_once_more_when_it_closes() {
    let mut panes = panes(1);
    assert_eq!(put(&mut panes, 0, 0, NOW, NOW), (NOW, false));
    assert_eq!(taken(&mut panes), [(NOW, 1)]);
    assert_eq!(taken(&mut panes), [], "nothing changed");
    put(&mut panes, 0, 1, NOW + 9_999, NOW + 9_999);
    // The watermark passes the end by the lateness: last snapshot, then gone.
    put(&mut panes, 0, 2, NOW + 40_000, NOW + 40_000);
    panes.advance(NOW + 40_000);
    assert_eq!(panes.watermark_ms(), NOW + 40_000);
    assert_eq!(taken(&mut panes), [(NOW, 2), (NOW + 40_000, 1)]);
    assert_eq!(panes.in_memory().count(), 1);
}

#[test]
fn a_record_that_comes_too_late_is_counted_where_it_can_be() {
    let mut panes = panes(1);
    put(&mut panes, 0, 0, NOW, NOW);
    put(&mut panes, 0, 1, NOW + 60_000, NOW + 60_000);
    panes.advance(NOW + 60_000);
    assert_eq!(put(&mut panes, 0, 2, NOW + 35_000, NOW + 60_001), (NOW + 30_000, false), "late but allowed");
    assert_eq!(put(&mut panes, 0, 3, NOW, NOW + 60_002), (NOW + 30_000, true), "in the oldest open pane");
    panes.close_all();
    let (start, late) = put(&mut panes, 0, 4, NOW, NOW + 75_000);
    assert_eq!((start, late), (NOW + 70_000, true), "in the pane of the present");
    let mut ranges = Vec::new();
    panes.snapshot(|pane| ranges.extend(pane.ranges().iter().map(|r| (r.first, r.next, r.records))));
    assert_eq!(ranges, [(0, 1, 1), (2, 4, 2), (1, 2, 1), (4, 5, 1)]);
}

#[test]
fn an_idle_partition_does_not_hold_the_watermark_but_a_lagging_one_does() {
    let mut panes = panes(2);
    put(&mut panes, 0, 0, NOW + 20_000, NOW + 20_000);
    panes.advance(NOW + 20_000);
    assert_eq!(panes.watermark_ms(), i64::MIN, "nothing is known of partition 1");
    panes.advance(NOW + 20_001);
    assert_eq!(panes.watermark_ms(), i64::MIN, "it is silent, but it was not read to its end");
    panes.set_caught_up(1, true);
    panes.advance(NOW + 20_002);
    assert_eq!(panes.watermark_ms(), NOW + 20_000);
    // All silent and read to their ends: the clock closes.
    panes.set_caught_up(0, true);
    panes.advance(NOW + 80_000);
    assert_eq!(panes.watermark_ms(), NOW + 80_000 - IDLE_MS);
    panes.assign(2, NOW + 80_000);
    panes.advance(NOW + 80_001);
    assert_eq!(panes.watermark_ms(), NOW + 80_000 - IDLE_MS, "a new partition never turns it back");
}

#[test]
fn a_clock_that_runs_ahead_does_not_make_everybody_late() {
    let (ahead, bad) = effective_time(Timestamp::Created(NOW + 200_000), NOW, &WINDOW, 64);
    assert_eq!((ahead, bad), (NOW + 200_000, false));
    let mut panes = panes(1);
    put(&mut panes, 0, 0, ahead, NOW);
    panes.advance(NOW);
    assert_eq!(panes.watermark_ms(), NOW);
    assert_eq!(put(&mut panes, 0, 1, NOW - 1, NOW), (NOW - 10_000, false));
}

#[test]
fn a_time_that_cannot_be_is_replaced_by_the_arrival() {
    for time in [
        Timestamp::Missing,
        Timestamp::Created(-7),
        Timestamp::Created(i64::MAX),
        Timestamp::Appended(i64::MIN),
        Timestamp::Created(NOW + 3_600_001),
    ] {
        assert_eq!(effective_time(time, NOW, &WINDOW, 64), (NOW, true), "{time:?}");
    }
    assert_eq!(effective_time(Timestamp::Appended(0), NOW, &WINDOW, 64), (0, false));
}

#[test]
fn the_oldest_of_too_many_panes_is_closed_first() {
    let mut panes: Panes<u64> = Panes::new(WINDOW, 3, IDLE_MS);
    for i in 0..4 {
        put(&mut panes, 0, i, NOW + i * 10_000, NOW);
    }
    assert_eq!(panes.evicted(), 1);
    assert_eq!(put(&mut panes, 0, 4, NOW + 5_000, NOW), (NOW + 10_000, true), "its pane is gone for good");
    assert_eq!(put(&mut panes, 0, 5, NOW - 50_000, NOW), (NOW + 10_000, true), "no room before the oldest");
    assert_eq!(taken(&mut panes).iter().map(|(_, n)| n).sum::<u64>(), 6);
}

#[test]
fn panes_of_another_length_never_overlap_those_in_flight() {
    let mut panes = panes(1);
    put(&mut panes, 0, 0, NOW + 2_000, NOW);
    panes.set_window(Window { pane_ms: 60_000, ..WINDOW });
    assert_eq!(put(&mut panes, 0, 1, NOW + 9_999, NOW), (NOW, false), "those in flight take their records");
    assert_eq!(put(&mut panes, 0, 2, NOW + 10_000, NOW), (NOW + 10_000, false));
    let bounds: Vec<_> = panes.in_memory().map(|pane| (pane.start_ms, pane.end_ms)).collect();
    assert_eq!(bounds[0], (NOW, NOW + 10_000));
    assert_eq!(bounds[1].0, NOW + 10_000);
}

#[derive(Clone, Debug)]
enum Step {
    Record { partition: i32, at_ms: i64 },
    Tick { by_ms: i64 },
    CaughtUp { partition: i32, is: bool },
    Report,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..3, -200_000i64..200_000).prop_map(|(partition, at_ms)| Step::Record { partition, at_ms }),
        2 => (0i64..30_000).prop_map(|by_ms| Step::Tick { by_ms }),
        1 => (0..3, any::<bool>()).prop_map(|(partition, is)| Step::CaughtUp { partition, is }),
        1 => Just(Step::Report),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn every_record_is_in_one_pane_and_memory_is_bounded(steps in steps()) {
        let mut panes: Panes<u64> = Panes::new(WINDOW, 8, IDLE_MS);
        for partition in 0..3 {
            panes.assign(partition, NOW);
        }
        let (mut now, mut offset, mut watermark) = (NOW, 0, i64::MIN);
        // The last snapshot of each pane: what a collector holds.
        let mut reported: BTreeMap<i64, (i64, u64)> = BTreeMap::new();
        let mut keep = |panes: &mut Panes<u64>| {
            panes.snapshot(|pane| {
                let records: u64 = pane.ranges().iter().map(|r| r.records).sum();
                assert_eq!(records, pane.data);
                let before = reported.insert(pane.start_ms, (pane.end_ms, pane.data));
                assert!(before.is_none_or(|(_, n)| n <= pane.data), "a snapshot holds all of the one before");
            });
        };
        for step in steps {
            match step {
                Step::Record { partition, at_ms } => {
                    let (start, late) = put(&mut panes, partition, offset, now + at_ms, now);
                    offset += 1;
                    prop_assert!(late || (start <= now + at_ms && now + at_ms < start + 10_000));
                    if panes.is_pressing() {
                        keep(&mut panes);
                    }
                }
                Step::Tick { by_ms } => now += by_ms,
                Step::CaughtUp { partition, is } => panes.set_caught_up(partition, is),
                Step::Report => keep(&mut panes),
            }
            panes.advance(now);
            prop_assert!(panes.watermark_ms() >= watermark && panes.watermark_ms() <= now);
            watermark = panes.watermark_ms();
            prop_assert!(panes.in_memory().count() <= 17);
        }
        panes.close_all();
        keep(&mut panes);
        prop_assert_eq!(reported.values().map(|(_, n)| n).sum::<u64>(), offset as u64);
        let mut end = i64::MIN;
        for (start, (pane_end, _)) in reported {
            prop_assert!(start >= end, "panes overlap");
            end = pane_end;
        }
    }

    #[test]
    fn the_order_across_partitions_changes_no_pane(
        records in prop::collection::vec((0..3i32, 0i64..200_000), 1..100),
        order in any::<u64>(),
    ) {
        let run = |records: &[(i32, i64)]| {
            let mut panes = panes(3);
            let mut next = [0i64; 3];
            for (partition, at_ms) in records {
                put(&mut panes, *partition, next[*partition as usize], NOW + at_ms, NOW + 200_000);
                next[*partition as usize] += 1;
            }
            panes.close_all();
            taken(&mut panes)
        };
        let mut by_partition: Vec<Vec<(i32, i64)>> = vec![Vec::new(); 3];
        for record in &records {
            by_partition[record.0 as usize].push(*record);
        }
        // Another interleaving with the same order within each partition.
        let (mut other, mut seed) = (Vec::new(), order);
        while by_partition.iter().any(|p| !p.is_empty()) {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let partition = &mut by_partition[(seed >> 33) as usize % 3];
            if !partition.is_empty() {
                other.push(partition.remove(0));
            }
        }
        prop_assert_eq!(run(&records), run(&other));
    }
}

#[test]
fn an_event_is_placed_by_its_time_and_moves_the_watermark_no_further_than_its_record() {
    let window = Window { by: WindowTime::Event, ..WINDOW };
    let mut panes: Panes<u64> = Panes::new(window, 64, IDLE_MS);
    panes.assign(0, NOW);
    let put = |panes: &mut Panes<u64>, offset, event_ms, own_ms, now| {
        let placed = panes.place((0, offset), event_ms, own_ms, now, || 0);
        placed.pane.data += 1;
        (placed.pane.start_ms, placed.late)
    };
    assert_eq!(put(&mut panes, 0, NOW - 25_000, NOW, NOW), (NOW - 30_000, false));
    panes.advance(NOW);
    assert_eq!(panes.watermark_ms(), NOW - 25_000, "as far as events are known");
    assert_eq!(put(&mut panes, 1, NOW + 60_000, NOW + 1, NOW + 1), (NOW + 60_000, false));
    panes.advance(NOW + 1);
    assert_eq!(panes.watermark_ms(), NOW + 1, "a clock that runs ahead makes nobody late");
    assert_eq!(put(&mut panes, 2, NOW - 29_000, NOW + 2, NOW + 2), (NOW - 30_000, false), "late but allowed");
    // In silence the clock closes, later than by record time: events are still on their way.
    panes.set_caught_up(0, true);
    panes.advance(NOW + 100_000);
    assert_eq!(panes.watermark_ms(), NOW + 100_000 - IDLE_MS - WINDOW.allowed_lateness_ms);
    assert_eq!(put(&mut panes, 3, NOW, NOW + 100_001, NOW + 100_001), (NOW + 60_000, true), "too late");
    let records: u64 = {
        panes.close_all();
        taken(&mut panes).iter().map(|(_, n)| n).sum()
    };
    assert_eq!(records, 4);
}
