//! What one would put together of well-kept crates: a tree of values, a validator, a map from paths to sketches.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use datasketches::frequencies::FrequentItemsSketch;
use datasketches::hll::{HllSketch, HllType};
use regex::Regex;
use serde_json::Value;
use sketches_ddsketch::{Config, DDSketch};

/// Largest map of the sketch of frequent values; it holds three quarters of it.
const FREQUENT: usize = 64;

/// What is known of one path.
pub(crate) struct Field {
    pub(crate) present: u64,
    pub(crate) null: u64,
    pub(crate) empty: u64,
    pub(crate) booleans: [u64; 2],
    pub(crate) types: [u64; 6],
    pub(crate) length_sum: u64,
    pub(crate) length_min: u64,
    pub(crate) length_max: u64,
    pub(crate) sum: f64,
    pub(crate) squares: f64,
    pub(crate) numbers: DDSketch,
    pub(crate) distinct: HllSketch,
    pub(crate) frequent: FrequentItemsSketch<String>,
}

impl Field {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            present: 0,
            null: 0,
            empty: 0,
            booleans: [0; 2],
            types: [0; 6],
            length_sum: 0,
            length_min: u64::MAX,
            length_max: 0,
            sum: 0.0,
            squares: 0.0,
            numbers: DDSketch::new(Config::new(0.01, 2048, 1e-9)),
            distinct: HllSketch::new(12, HllType::Hll8)?,
            frequent: FrequentItemsSketch::new(FREQUENT)?,
        })
    }
}

/// The comparison.
pub(crate) struct Naive {
    schema: jsonschema::Validator,
    currency: Regex,
    pub(crate) fields: HashMap<String, Field>,
    ids: HashSet<String>,
    /// Checked and failed, by check.
    pub(crate) tallies: [(u64, u64); 10],
    path: String,
    digits: String,
}

impl Naive {
    pub(crate) fn new(schema: &str) -> Result<Self> {
        let schema: Value = serde_json::from_str(schema)?;
        Ok(Self {
            schema: jsonschema::validator_for(&schema).context("the schema")?,
            currency: Regex::new("^[A-Z]{3}$")?,
            fields: HashMap::new(),
            ids: HashSet::new(),
            tallies: [(0, 0); 10],
            path: String::new(),
            digits: String::new(),
        })
    }

    pub(crate) fn take(&mut self, payload: &[u8]) -> Result<()> {
        let Ok(value) = serde_json::from_slice::<Value>(payload) else {
            self.tally(1, false);
            return Ok(());
        };
        self.tally(1, true);
        let valid = self.schema.is_valid(&value);
        self.tally(0, valid);
        self.check(&value);
        self.path.clear();
        self.path.push('$');
        self.profile(&value)
    }

    fn tally(&mut self, check: usize, good: bool) {
        self.tallies[check].0 += 1;
        self.tallies[check].1 += u64::from(!good);
    }

    fn check(&mut self, value: &Value) {
        if let Some(amount) = value["amount"].as_f64() {
            self.tally(2, (0.0..=100_000.0).contains(&amount));
        }
        if let Some(status) = value["status"].as_str() {
            self.tally(3, ["new", "paid", "shipped", "returned"].contains(&status));
        }
        if let Some(currency) = value["currency"].as_str() {
            let good = self.currency.is_match(currency);
            self.tally(4, good);
        }
        for item in value["items"].as_array().into_iter().flatten() {
            if let Some(quantity) = item["quantity"].as_f64() {
                self.tally(5, (1.0..=100.0).contains(&quantity));
            }
        }
        let email = value["customer"].get("email");
        self.tally(6, email.is_some());
        self.tally(7, !email.is_some_and(Value::is_null));
        if let Some(country) = value["customer"]["country"].as_str() {
            self.tally(8, country.chars().count() == 2);
        }
        if let Some(id) = value["id"].as_str() {
            let new = self.ids.insert(id.to_owned());
            self.tally(9, new);
        }
    }

    fn profile(&mut self, value: &Value) -> Result<()> {
        // No text is made for a path that is known.
        if !self.fields.contains_key(&self.path) {
            self.fields.insert(self.path.clone(), Field::new()?);
        }
        let Some(field) = self.fields.get_mut(&self.path) else { return Ok(()) };
        field.present += 1;
        match value {
            Value::Null => field.null += 1,
            Value::Bool(b) => {
                field.types[0] += 1;
                field.booleans[usize::from(*b)] += 1;
                field.distinct.update(*b);
                field.frequent.update_ref(if *b { "true" } else { "false" });
            }
            Value::Number(n) => {
                field.types[if n.is_f64() { 1 } else { 2 }] += 1;
                let x = n.as_f64().unwrap_or(0.0);
                field.sum += x;
                field.squares += x * x;
                field.numbers.add(x);
                field.distinct.update(x.to_bits());
                self.digits.clear();
                write!(self.digits, "{n}")?;
                field.frequent.update_ref(self.digits.as_str());
            }
            Value::String(s) => {
                field.types[3] += 1;
                field.empty += u64::from(s.is_empty());
                let length = s.chars().count() as u64;
                field.length_sum += length;
                field.length_min = field.length_min.min(length);
                field.length_max = field.length_max.max(length);
                field.distinct.update(s.as_str());
                field.frequent.update_ref(s.as_str());
            }
            Value::Array(elements) => {
                field.types[4] += 1;
                field.empty += u64::from(elements.is_empty());
                let length = self.path.len();
                self.path.push_str("[]");
                for element in elements {
                    self.profile(element)?;
                }
                self.path.truncate(length);
            }
            Value::Object(members) => {
                field.types[5] += 1;
                field.empty += u64::from(members.is_empty());
                for (key, member) in members {
                    let length = self.path.len();
                    self.path.push('.');
                    self.path.push_str(key);
                    self.profile(member)?;
                    self.path.truncate(length);
                }
            }
        }
        Ok(())
    }
}
