//! Counts by segment.

use anyhow::{Result, ensure};

use super::{Records, three_ways};

const HEAD: &str = "segment_by: $.shop.country";

const CHECKS: &str = r#"  - { id: valid,   metric: invalidValues, field: $.amount, arguments: { min: 0 }, unit: percent, mustBeLessThan: 5 }
  - { id: present, metric: missingValues, field: $.id, mustBe: 0 }
  - { id: adds-up, metric: failedRows, expr: "value.amount != 7", mustBeLessThan: 100 }
"#;

/// 300 records of 3 countries and of 90 that are rare; most that is wrong is of one.
fn records(_: i64) -> Records {
    let record = |i: i64| {
        let country = match i % 5 {
            0 | 1 => "de".to_owned(),
            2 => "fr".to_owned(),
            3 => "it".to_owned(),
            _ => format!("x{}", i % 90),
        };
        let amount = if country == "fr" && i % 2 == 0 || i == 6 { -1 } else { i % 10 };
        let id = if i == 3 { String::new() } else { format!("\"id\":{i},") };
        (i * 30, format!("{{{id}\"amount\":{amount},\"shop\":{{\"country\":\"{country}\"}}}}"))
    };
    (0..300).map(record).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_are_the_same_three_ways() -> Result<()> {
    let said = three_ways(HEAD, CHECKS, records).await?;
    for (id, status, words) in [
        ("valid", "fail", "31 of 300 values of $.amount"),
        ("valid", "fail", "; 30 of 31 where $.shop.country is fr"),
        ("present", "fail", "; 1 of 1 where $.shop.country is it"),
        ("adds-up", "pass", "where $.shop.country is fr"),
    ] {
        let (got, message) = &said[id];
        ensure!(got == status && message.contains(words), "{id}: {got}: {message}");
    }
    Ok(())
}
