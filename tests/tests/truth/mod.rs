//! What the flights hold, counted by other means than Tapline's.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use apache_avro::types::Value as Avro;
use serde_json::Value;

/// A record that is no document.
pub(crate) struct Broken {
    /// The reason under which it must be counted.
    pub(crate) reason: &'static str,
    /// How many of them are mixed in.
    pub(crate) count: u64,
    /// Its bytes.
    pub(crate) bytes: fn() -> Vec<u8>,
}

/// Broken JSON, none of it with a line break.
pub(crate) const BROKEN_JSON: [Broken; 6] = [
    Broken { reason: "truncated", count: 101, bytes: || br#"{"year":2013,"month":"#.to_vec() },
    Broken { reason: "invalid_utf8", count: 53, bytes: || b"{\"carrier\":\"\xff\xfe\"}".to_vec() },
    Broken { reason: "not_json", count: 29, bytes: || b"not json at all".to_vec() },
    Broken { reason: "trailing_bytes", count: 13, bytes: || br#"{"year":2013} {}"#.to_vec() },
    Broken { reason: "number_out_of_range", count: 7, bytes: || br#"{"distance":1e400}"#.to_vec() },
    Broken { reason: "too_deep", count: 3, bytes: || vec![b'['; 100_000] },
];

/// A document that lacks nearly everything.
pub(crate) const INCOMPLETE: &str = r#"{"year":2013,"dep_time":517}"#;
/// How many of them are mixed in.
pub(crate) const INCOMPLETE_COUNT: u64 = 41;

/// The truth about what was produced.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    /// Whole flights.
    pub(crate) flights: u64,
    /// Documents like [`INCOMPLETE`].
    pub(crate) incomplete: u64,
    /// Flights that never departed.
    pub(crate) null_departures: u64,
    /// Flights from JFK.
    pub(crate) jfk: u64,
    /// Flights shorter than 100 or longer than 4,000 miles.
    pub(crate) outside_100_4000: u64,
    /// Flights of at most 500 miles.
    pub(crate) at_most_500: u64,
    /// Broken records, by reason.
    pub(crate) broken: BTreeMap<String, u64>,
}

impl Truth {
    /// Everything produced.
    pub(crate) fn total(&self) -> u64 {
        self.flights + self.incomplete + self.broken.values().sum::<u64>()
    }

    fn count(&mut self, flight: &Value) -> Result<()> {
        let distance = flight["distance"].as_f64().context("a distance")?;
        self.flights += 1;
        self.null_departures += u64::from(flight["dep_time"].is_null());
        self.jfk += u64::from(flight["origin"] == "JFK");
        self.outside_100_4000 += u64::from(!(100.0..=4000.0).contains(&distance));
        self.at_most_500 += u64::from(distance <= 500.0);
        Ok(())
    }
}

fn flights(path: &Path) -> Result<Vec<(String, Value)>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let flights: Vec<(String, Value)> =
        text.lines().map(|line| Ok((line.to_owned(), serde_json::from_str(line)?))).collect::<Result<_>>()?;
    ensure!(flights.len() == 336_776, "{} flights, not 336,776", flights.len());
    Ok(flights)
}

/// The flights as lines, broken and incomplete ones in between.
pub(crate) fn json_lines(path: &Path) -> Result<(Vec<u8>, Truth)> {
    let mut truth = Truth::default();
    let mut odd: Vec<Vec<u8>> = Vec::new();
    for Broken { reason, count, bytes } in BROKEN_JSON {
        odd.extend((0..count).map(|_| bytes()));
        truth.broken.insert(reason.to_owned(), count);
    }
    odd.extend((0..INCOMPLETE_COUNT).map(|_| INCOMPLETE.as_bytes().to_vec()));
    truth.incomplete = INCOMPLETE_COUNT;
    let flights = flights(path)?;
    let every = flights.len() / (odd.len() + 1);
    let mut odd = odd.into_iter();
    let mut lines = Vec::new();
    for (index, (line, flight)) in flights.iter().enumerate() {
        truth.count(flight)?;
        lines.extend_from_slice(line.as_bytes());
        lines.push(b'\n');
        if index % every == every - 1
            && let Some(bytes) = odd.next()
        {
            lines.extend_from_slice(&bytes);
            lines.push(b'\n');
        }
    }
    ensure!(odd.next().is_none(), "all broken records are mixed in");
    Ok((lines, truth))
}

/// Fields of a flight that may be null, and are integers otherwise.
const INTEGERS: [&str; 13] = [
    "year",
    "month",
    "day",
    "dep_time",
    "sched_dep_time",
    "dep_delay",
    "arr_time",
    "sched_arr_time",
    "arr_delay",
    "flight",
    "air_time",
    "hour",
    "minute",
];
/// Fields that may be null, and are strings otherwise.
const STRINGS: [&str; 5] = ["carrier", "tailnum", "origin", "dest", "time_hour"];

fn avro_schema() -> Value {
    let nullable = |name: &str, kind: &str| serde_json::json!({ "name": name, "type": ["null", kind] });
    let mut fields: Vec<Value> = INTEGERS.iter().map(|name| nullable(name, "long")).collect();
    fields.extend(STRINGS.iter().map(|name| nullable(name, "string")));
    fields.push(serde_json::json!({ "name": "distance", "type": "double" }));
    serde_json::json!({ "type": "record", "name": "Flight", "namespace": "test", "fields": fields })
}

fn to_avro(flight: &Value) -> Avro {
    let union = |value: Option<Avro>| match value {
        None => Avro::Union(0, Box::new(Avro::Null)),
        Some(value) => Avro::Union(1, Box::new(value)),
    };
    let mut fields: Vec<(String, Avro)> = INTEGERS
        .iter()
        .map(|name| ((*name).to_owned(), union(flight[*name].as_f64().map(|n| Avro::Long(n as i64)))))
        .collect();
    fields.extend(
        STRINGS.iter().map(|name| {
            ((*name).to_owned(), union(flight[*name].as_str().map(|s| Avro::String(s.to_owned()))))
        }),
    );
    fields.push(("distance".to_owned(), Avro::Double(flight["distance"].as_f64().unwrap_or(f64::NAN))));
    Avro::Record(fields)
}

/// The flights as registry-framed Avro, broken ones in between.
pub(crate) async fn avro_records(path: &Path, registry: &str, topic: &str) -> Result<(Vec<Vec<u8>>, Truth)> {
    let schema = avro_schema();
    let answer: Value = lab::http()
        .post(format!("{registry}/subjects/{topic}-value/versions"))
        .json(&serde_json::json!({ "schema": schema.to_string() }))
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    let id = u32::try_from(answer["id"].as_u64().context("the schema's id")?)?;
    let schema = apache_avro::Schema::parse(&schema)?;
    let framed = |id: u32, body: &[u8]| [&[0u8][..], &id.to_be_bytes(), body].concat();
    let mut truth = Truth::default();
    let mut records = Vec::new();
    for (index, (_, flight)) in flights(path)?.iter().enumerate() {
        truth.count(flight)?;
        let body = apache_avro::writer::datum::GenericDatumWriter::builder(&schema)
            .build()?
            .write_value_to_vec(to_avro(flight))?;
        let broken = match index % 5_000 {
            17 => Some(("truncated", framed(id, &body[..body.len() - 3]))),
            18 => Some(("trailing_bytes", framed(id, &[&body[..], b"x"].concat()))),
            // Nulls up to the carrier, which claims two gigabytes.
            19 => {
                let claim = [&[0; INTEGERS.len()][..], &[2, 0x80, 0x80, 0x80, 0x80, 0x10]].concat();
                Some(("truncated", framed(id, &claim)))
            }
            20 => Some(("unknown_schema", framed(0x7fff_0001, &body))),
            21 => Some(("not_framed", b"hello".to_vec())),
            _ => None,
        };
        records.push(framed(id, &body));
        if let Some((reason, bytes)) = broken {
            *truth.broken.entry(reason.to_owned()).or_default() += 1;
            records.push(bytes);
        }
    }
    Ok((records, truth))
}
