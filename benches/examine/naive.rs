//! What one would put together of well-kept crates: a tree of values, a validator, a map from paths to sketches.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use checks::report::PaneSummary;
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
    booleans: [u64; 2],
    pub(crate) types: [u64; 6],
    length_sum: u64,
    length_min: u64,
    length_max: u64,
    sum: f64,
    squares: f64,
    numbers: DDSketch,
    pub(crate) distinct: HllSketch,
    frequent: FrequentItemsSketch<String>,
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

    /// The field of a path; no text is made for one that is known.
    pub(crate) fn at<'a>(fields: &'a mut HashMap<String, Self>, path: &str) -> Result<&'a mut Self> {
        if !fields.contains_key(path) {
            fields.insert(path.to_owned(), Self::new()?);
        }
        fields.get_mut(path).context("it is there")
    }

    pub(crate) fn boolean(&mut self, b: bool) {
        self.types[0] += 1;
        self.booleans[usize::from(b)] += 1;
        self.distinct.update(b);
        self.frequent.update_ref(if b { "true" } else { "false" });
    }

    /// `digits` is how it is written.
    pub(crate) fn number(&mut self, x: f64, is_whole: bool, digits: &str) {
        self.types[if is_whole { 2 } else { 1 }] += 1;
        self.sum += x;
        self.squares += x * x;
        self.numbers.add(x);
        self.distinct.update(x.to_bits());
        self.frequent.update_ref(digits);
    }

    pub(crate) fn text(&mut self, s: &str) {
        self.types[3] += 1;
        self.empty += u64::from(s.is_empty());
        let length = s.chars().count() as u64;
        self.length_sum += length;
        self.length_min = self.length_min.min(length);
        self.length_max = self.length_max.max(length);
        self.distinct.update(s);
        self.frequent.update_ref(s);
    }
}

/// Ours and the assembly have seen the same.
pub(crate) fn alike(summary: &PaneSummary, fields: &HashMap<String, Field>) -> Result<()> {
    ensure!(summary.fields.len() == fields.len(), "{} fields, {}", summary.fields.len(), fields.len());
    for field in &summary.fields {
        let other = fields.get(&field.path).with_context(|| field.path.clone())?;
        ensure!((field.present, field.null) == (other.present, other.null), "{}", field.path);
    }
    Ok(())
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
        let field = Field::at(&mut self.fields, &self.path)?;
        field.present += 1;
        match value {
            Value::Null => field.null += 1,
            Value::Bool(b) => field.boolean(*b),
            Value::Number(n) => {
                self.digits.clear();
                write!(self.digits, "{n}")?;
                field.number(n.as_f64().unwrap_or(0.0), !n.is_f64(), &self.digits);
            }
            Value::String(s) => field.text(s),
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
