//! The profile of real data against exact answers, field by field, as the built command gives it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use lab::Launch;
use serde_json::Value;

/// What one field holds, kept whole.
#[derive(Default)]
struct Exact {
    missing: u64,
    null: u64,
    numbers: Vec<f64>,
    integers: u64,
    lengths: Vec<u64>,
    counts: BTreeMap<String, u64>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_figure_of_the_flights_is_within_its_bounds() -> Result<()> {
    let path = lab::flights().await?;
    let text = std::fs::read_to_string(&path)?;
    let exact = exact(&text)?;
    let launch = Launch::new("profile")?.arg("--data").arg(path.as_os_str()).arg("--json");
    let profile = launch.finish().await?.json()?;
    ensure!(profile["records"] == lab::FLIGHTS as u64 && profile["documents"] == lab::FLIGHTS as u64);
    let fields = profile["fields"].as_array().context("fields")?;
    ensure!(fields.len() == exact.len() && fields.len() == 19, "{} fields", fields.len());
    let mut beyond = 0;
    for field in fields {
        let path = field["path"].as_str().context("path")?;
        let truth = exact.get(path.trim_start_matches("$.")).with_context(|| path.to_owned())?;
        beyond += usize::from(!hold(field, truth).with_context(|| path.to_owned())?);
    }
    // Two standard errors either side: one in twenty may lie beyond.
    ensure!(beyond <= 2, "{beyond} distinct counts of {} are beyond their bounds", fields.len());

    let hours = fields.iter().find(|f| f["path"] == "$.time_hour").context("time_hour")?;
    ensure!(hours["times"]["forms"]["date-time"] == lab::FLIGHTS as u64, "{hours:#}");
    let times: Vec<&String> = exact["time_hour"].counts.keys().collect();
    let read = |at: &Value| at.as_str().map(|text| text.replace(".000Z", "Z"));
    ensure!(read(&hours["times"]["first"]).as_ref() == times.first().copied(), "{hours:#}");
    ensure!(read(&hours["times"]["last"]).as_ref() == times.last().copied(), "{hours:#}");
    Ok(())
}

fn exact(text: &str) -> Result<BTreeMap<String, Exact>> {
    let mut all: BTreeMap<String, Exact> = BTreeMap::new();
    let flights: Vec<serde_json::Map<String, Value>> =
        text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    for flight in &flights {
        for (name, value) in flight {
            let field = all.entry(name.clone()).or_default();
            match value {
                Value::Null => field.null += 1,
                Value::Number(n) => {
                    field.numbers.push(n.as_f64().context("a number")?);
                    field.integers += u64::from(n.is_i64());
                    *field.counts.entry(n.to_string()).or_default() += 1;
                }
                Value::String(s) => {
                    field.lengths.push(s.chars().count() as u64);
                    *field.counts.entry(s.clone()).or_default() += 1;
                }
                other => anyhow::bail!("{name}: {other}"),
            }
        }
    }
    for (name, field) in &mut all {
        field.missing = flights.iter().filter(|flight| !flight.contains_key(name)).count() as u64;
        field.numbers.sort_by(f64::total_cmp);
    }
    Ok(all)
}

/// Whether the distinct count lies within its bounds too, which it need not always.
fn hold(field: &Value, truth: &Exact) -> Result<bool> {
    let count = |what: &Value| what.as_u64().unwrap_or(u64::MAX);
    ensure!(count(&field["records"]) == lab::FLIGHTS as u64, "{field:#}");
    ensure!(count(&field["missing"]) == truth.missing && count(&field["null"]) == truth.null, "{field:#}");
    ensure!(count(&field["types"]["integer"]) == truth.integers, "{field:#}");
    ensure!(count(&field["types"]["string"]) == truth.lengths.len() as u64, "{field:#}");
    match truth.numbers.is_empty() {
        true => ensure!(field["numeric"].is_null(), "{field:#}"),
        false => numbers(&field["numeric"], &truth.numbers)?,
    }
    if let (Some(min), Some(max)) = (truth.lengths.iter().min(), truth.lengths.iter().max()) {
        let mean = truth.lengths.iter().sum::<u64>() as f64 / truth.lengths.len() as f64;
        let text = &field["text"];
        ensure!(count(&text["length_min"]) == *min && count(&text["length_max"]) == *max, "{text:#}");
        ensure!((text["length_mean"].as_f64().context("mean")? - mean).abs() < 1e-9, "{text:#}");
    }
    let mut listed = 0;
    for top in field["top"].as_array().context("top")? {
        let value = top["value"].as_str().context("value")?;
        let truth =
            truth.counts.get(value.trim_matches('"')).with_context(|| format!("{value} never occurs"))?;
        let (least, error) = (count(&top["count"]), count(&top["error"]));
        ensure!(least <= *truth && *truth <= least + error, "{value}: {top}, the truth is {truth}");
        listed += 1;
    }
    // As many as are listed are kept; of more, those that are frequent.
    let least = if truth.counts.len() <= 64 { truth.counts.len().min(10) } else { 1 };
    ensure!((least..=10).contains(&listed), "{listed} values listed");
    let different = truth.counts.len() as f64;
    let said = |what: &str| field["distinct"][what].as_f64().context("distinct");
    if different <= 256.0 {
        ensure!(said("estimate")? == different && said("lower")? == different, "{field:#}");
    }
    ensure!((said("estimate")? / different - 1.0).abs() < 0.065, "{different}: {}", field["distinct"]);
    Ok((said("lower")?..=said("upper")?).contains(&different))
}

fn numbers(said: &Value, sorted: &[f64]) -> Result<()> {
    let of = |what: &str| said[what].as_f64().with_context(|| what.to_owned());
    let n = sorted.len() as f64;
    let mean = sorted.iter().sum::<f64>() / n;
    let stddev = (sorted.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n).sqrt();
    ensure!(said["count"] == sorted.len() as u64 && said["not_finite"] == 0, "{said:#}");
    ensure!(of("min")? == sorted[0] && of("max")? == sorted[sorted.len() - 1], "{said:#}");
    ensure!((of("mean")? - mean).abs() <= 1e-9 * mean.abs().max(1.0), "{mean}: {said:#}");
    ensure!((of("stddev")? - stddev).abs() <= 1e-9 * stddev.max(1.0), "{stddev}: {said:#}");
    let error = of("relative_error")?;
    let quantiles = said["quantiles"].as_object().context("quantiles")?;
    ensure!(quantiles.len() == 7, "{said:#}");
    for (q, got) in quantiles {
        let rank = q.parse::<f64>()? * (n - 1.0);
        let (low, high) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
        let got = got.as_f64().context("a quantile")?;
        let slack = |x: f64| x.abs() * error * (1.0 + 1e-9);
        ensure!(low - slack(low) <= got && got <= high + slack(high), "{q}: {got}, not {low} to {high}");
    }
    Ok(())
}
