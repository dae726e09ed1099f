//! Streams that do not change: at most one finding a topic and month.

use super::*;

const MONTH: usize = 30 * 24 * 12;

fn report(name: &str, topic: &Topic) -> usize {
    let opened: Vec<&str> = topic.opened().iter().map(|o| o.message.as_str()).collect();
    assert!(opened.len() <= 1, "{name}: {} findings: {opened:#?}", opened.len());
    opened.len()
}

/// Rises by day, falls by night and at weekends.
fn seasonal(ms: i64) -> f64 {
    let hour = (ms - MONDAY_MS) as f64 / HOUR_MS as f64;
    let day = 1.0 + 0.8 * ((hour % 24.0 - 9.0) / 24.0 * std::f64::consts::TAU).sin();
    let weekend = (hour / 24.0) % 7.0 >= 5.0;
    day * if weekend { 0.4 } else { 1.0 }
}

#[test]
fn fifty_fields_in_small_windows() {
    let mut found = 0;
    for seed in 0..2 {
        let mut topic = Topic::new(100 + seed, fifty(), Settings::default());
        topic.run(MONTH, |random, _| random.poisson(150.0));
        found += report("small", &topic);
    }
    assert!(found <= 1, "{found}");
}

#[test]
fn fifty_fields_in_large_windows() {
    let mut topic = Topic::new(200, fifty(), Settings::default());
    topic.run(MONTH / 2, |random, _| random.poisson(10_000.0));
    report("large", &topic);
}

#[test]
fn volumes_of_every_kind() {
    type Volume = fn(&mut Random, i64) -> u64;
    let volumes: [(&str, Volume); 9] = [
        ("poisson, many", |r, _| r.poisson(20_000.0)),
        ("poisson, few", |r, _| r.poisson(3.0)),
        ("hardly any", |r, _| r.poisson(0.2)),
        ("overdispersed", |r, _| {
            let mean = 2_000.0 * r.gamma(2.0) / 2.0;
            r.poisson(mean)
        }),
        ("bursts", |r, _| {
            let burst = if r.uniform() < 0.02 { 10.0 } else { 1.0 };
            r.poisson(1_000.0 * burst)
        }),
        ("heavy-tailed", |r, _| {
            let mean = 200.0 * r.pareto(1.3);
            r.poisson(mean)
        }),
        ("log-normal", |r, _| {
            let mean = 1_000.0 * (0.5 * r.normal()).exp();
            r.poisson(mean)
        }),
        ("seasonal", |r, ms| r.poisson(5_000.0 * seasonal(ms))),
        ("seasonal and restless", |r, ms| {
            let mean = 300.0 * seasonal(ms) * (0.2 * r.normal()).exp();
            r.poisson(mean)
        }),
    ];
    let mut found = Vec::new();
    for (name, volume) in volumes {
        for seed in 0..4 {
            let mut topic = Topic::new(300 + seed, Vec::new(), Settings::default());
            topic.run(MONTH, volume);
            // A weekend that begins with a jump is found once, the first time.
            if report(name, &topic) > 0 && !name.starts_with("seasonal") {
                found.push((name, topic.opened()[0].message.clone()));
            }
        }
    }
    assert!(found.len() <= 1, "{found:?}");
}

/// Bursts that last, as batches do.
#[test]
fn bursts_that_last() {
    for seed in 0..4 {
        let mut topic = Topic::new(400 + seed, Vec::new(), Settings::default());
        let mut left = 0;
        for _ in 0..MONTH {
            if left == 0 && topic.random.uniform() < 0.01 {
                left = 1 + (topic.random.uniform() * 6.0) as u32;
            }
            let mean = if left > 0 { 8_000.0 } else { 800.0 };
            left = left.saturating_sub(1);
            let records = topic.random.poisson(mean);
            topic.window(records);
        }
        report("lasting bursts", &topic);
    }
}

/// Contents that depend on the hour: the mean, a share and a null rate go up and down each day.
#[test]
fn contents_with_a_daily_rhythm() {
    for seed in 0..2 {
        let mut topic = Topic::new(500 + seed, Vec::new(), Settings::default());
        for _ in 0..MONTH {
            let phase = ((topic.now_ms - MONDAY_MS) % DAY_MS) as f64 / DAY_MS as f64;
            let wave = (phase * std::f64::consts::TAU).sin();
            let draw = Draw::Normal { mean: 50.0 + 5.0 * wave, deviation: 10.0 };
            let amount = spec("amount", Values::Numbers(draw, Table::none()));
            let share = 0.3 + 0.2 * wave;
            let channel = spec("channel", Values::Categories(vec![share, 1.0 - share]));
            let email = Spec { null: 0.05 + 0.04 * wave, ..spec("email", zipf(3, 1.0)) };
            topic.fields = vec![amount, channel, email];
            let records = topic.random.poisson(400.0 * seasonal(topic.now_ms));
            topic.window(records);
        }
        report("daily contents", &topic);
    }
}
