//! Figures of numbers, different values, stand-ins for missing ones, and the payload's own time.

use anyhow::{Result, ensure};

use super::{Records, three_ways};

const HEAD: &str = "time: { field: $.at, format: epoch_milliseconds }";

const CHECKS: &str = r#"
  - { id: least,     metric: aggregate, field: $.amount, arguments: { function: min }, mustBe: -3 }
  - { id: greatest,  metric: aggregate, field: $.amount, arguments: { function: max }, mustBeLessThan: 90 }
  - { id: mean,      metric: aggregate, field: $.amount, arguments: { function: mean }, mustBeBetween: [40, 60] }
  - { id: spread,    metric: aggregate, field: $.amount, arguments: { function: stddev }, mustBeLessThan: 1 }
  - { id: total,     metric: aggregate, field: "$.items[].price", arguments: { function: sum }, mustBe: 600.25 }
  - { id: most,      metric: aggregate, field: $.amount, arguments: { function: quantile, quantile: 0.9 }, mustBeLessThan: 95 }
  - { id: near,      metric: aggregate, field: $.amount, arguments: { function: quantile, quantile: 0.5 }, mustBeLessThan: 46 }
  - { id: countries, metric: distinctCount, field: $.country, mustBe: 7 }
  - { id: named,     metric: missingValues, field: $.name, arguments: { missingValues: ["", N/A] }, unit: percent, mustBeLessThan: 10 }
  - { id: delay,     metric: delay, mustBeLessThan: 2s }
  - { id: usual,     metric: delay, arguments: { function: mean }, mustBeLessThan: 2s }
  - { id: late,      metric: lateness, mustBeLessThan: 1s }
  - { id: order,     metric: outOfOrder, mustBe: 21 }
"#;

/// 200 records over 10 s; every tenth is 3 s behind, one lies in the future, one has no time to read.
fn records(start_ms: i64) -> Records {
    let record = |i: i64| {
        let at_ms = i * 50;
        let behind_ms = if i % 10 == 7 { 3_000 } else { 100 };
        let event = match i {
            50 => format!("{}", start_ms + at_ms + 40),
            51 => "\"soon\"".to_owned(),
            _ => format!("{}", start_ms + at_ms - behind_ms),
        };
        let name = match i % 4 {
            0 => "",
            1 => "N/A",
            _ => "Ada",
        };
        let amount = if i == 99 { -3 } else { i % 100 };
        let price = if i == 0 { "3.25" } else { "3" };
        let country = i % 7;
        let value = format!(
            "{{\"amount\":{amount},\"items\":[{{\"price\":{price}}}],\"country\":\"c{country}\",\"name\":\"{name}\",\"at\":{event}}}"
        );
        (at_ms, value)
    };
    (0..200).map(record).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_and_event_times_are_the_same_three_ways() -> Result<()> {
    let said = three_ways(HEAD, CHECKS.trim_start_matches('\n'), records).await?;
    for (id, status, words) in [
        ("least", "pass", "the smallest value of $.amount is -3 over 200 values"),
        ("greatest", "fail", "is 99 over 200 values"),
        ("mean", "pass", "the mean of $.amount is 49"),
        ("spread", "fail", "the standard deviation of $.amount is 28.9"),
        ("total", "pass", "is 600.25 over 200 values"),
        ("most", "pass", "the 0.9 quantile"),
        ("near", "fail", "the 0.5 quantile"),
        ("countries", "pass", "is 7 over 200 values"),
        ("named", "fail", "$.name is missing from 100 of 200 records (50%)"),
        ("delay", "fail", "is 3 s over 198 records; 1 more times lie in the future"),
        ("usual", "pass", "0.3"),
        ("late", "fail", "is 2.85 s over 199 records"),
        ("order", "pass", "21 of 199 records"),
    ] {
        let (got, message) = &said[id];
        ensure!(got == status && message.contains(words), "{id}: {got}: {message}");
    }
    Ok(())
}
