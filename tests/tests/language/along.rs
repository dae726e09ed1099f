//! Sequences and patterns over time, and what there was before.

use anyhow::{Result, ensure};

use super::three_ways;

const CHECKS: &str = r#"  - { id: gaps, metric: sequenceGaps, field: $.n, arguments: { by: $.who }, unit: percent, mustBeLessThan: 10 }
  - { id: gapless, metric: sequenceGaps, field: $.n, arguments: { by: $.who }, mustBe: 3 }
  - { id: by-partition, metric: sequenceGaps, field: $.serial, arguments: { by: partition }, mustBe: 0 }
  - { id: shipped, metric: notFollowedBy, arguments: { when: "value.kind == 'paid'", then: "value.kind == 'shipped'", within: 5s, by: $.who }, mustBe: 0 }
  - { id: burst, metric: tooMany, arguments: { when: "value.kind == 'paid'", moreThan: 2, within: 2s, by: $.who }, mustBe: 0 }
  - { id: countries, metric: newValues, field: $.who, mustBe: 0 }
  - { id: fields, metric: fieldsAdded, mustBe: 0 }
"#;

/// Who, their number, what happened, and when, ms. Out of order in time.
const EVENTS: [(&str, i64, &str, i64); 12] = [
    ("ann", 1, "paid", 0),
    ("ann", 2, "shipped", 5_000),
    ("bob", 7, "paid", 100),
    ("bob", 8, "paid", 1_200),
    ("bob", 11, "paid", 2_099),
    ("bob", 12, "shipped", 4_000),
    ("cid", 1, "paid", 9_000),
    ("cid", 3, "shipped", 8_999),
    ("dot", 5, "shipped", 6_000),
    ("dot", 4, "paid", 6_000),
    ("ann", 3, "other", 16_000),
    ("ann", 3, "other", 15_000),
];

#[tokio::test(flavor = "multi_thread")]
async fn sequences_and_patterns() -> Result<()> {
    let records = |_| {
        EVENTS
            .iter()
            .zip(1..)
            .map(|((who, n, kind, at_ms), serial)| {
                (*at_ms, format!(r#"{{"who":"{who}","n":{n},"kind":"{kind}","serial":{serial}}}"#))
            })
            .collect()
    };
    let said = three_ways("", CHECKS, records).await?;
    for (check, status, says) in [
        ("gaps", "fail", "3 of 14 numbers of $.n"),
        ("gapless", "pass", "in 2 of 4 values of $.who"),
        ("by-partition", "pass", "0 of 12 numbers of $.serial"),
        // Of cid, whose record came before, and of dot, whose came before by its offset.
        ("shipped", "fail", "2 of 6 records"),
        ("burst", "fail", "1 of 6 records"),
        ("countries", "unknown", "learning"),
        ("fields", "unknown", "learning"),
    ] {
        let (got, message) = &said[check];
        ensure!(got == status && message.contains(says), "{check}: {got}: {message}");
    }
    Ok(())
}
