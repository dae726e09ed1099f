//! The same assembly of crates for Avro: `apache-avro`'s tree of values, a map from paths to sketches.

use std::collections::HashMap;
use std::fmt::Write as _;

use anyhow::{Result, bail};
use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;

use crate::naive::Field;

/// The orders of the bench `examine` in Avro.
pub(crate) const SCHEMA: &str = r#"{
  "type": "record", "name": "Order", "fields": [
    { "name": "id", "type": "string" },
    { "name": "created_at", "type": "string" },
    { "name": "status", "type": "string" },
    { "name": "channel", "type": "string" },
    { "name": "amount", "type": "double" },
    { "name": "net", "type": "double" },
    { "name": "tax", "type": "double" },
    { "name": "currency", "type": "string" },
    { "name": "customer", "type": { "type": "record", "name": "Customer", "fields": [
      { "name": "id", "type": "string" },
      { "name": "email", "type": ["null", "string"] },
      { "name": "name", "type": "string" },
      { "name": "country", "type": "string" },
      { "name": "vip", "type": "boolean" },
      { "name": "age", "type": "long" } ] } },
    { "name": "shipping", "type": { "type": "record", "name": "Shipping", "fields": [
      { "name": "method", "type": "string" },
      { "name": "city", "type": "string" },
      { "name": "zip", "type": "string" },
      { "name": "cost", "type": "double" } ] } },
    { "name": "items", "type": { "type": "array", "items": { "type": "record", "name": "Item", "fields": [
      { "name": "sku", "type": "string" },
      { "name": "quantity", "type": "long" },
      { "name": "price", "type": "double" } ] } } },
    { "name": "tags", "type": { "type": "array", "items": "string" } },
    { "name": "payment", "type": { "type": "record", "name": "Payment", "fields": [
      { "name": "method", "type": "string" },
      { "name": "risk", "type": "double" },
      { "name": "captured", "type": "boolean" } ] } },
    { "name": "version", "type": "long" }
  ]
}"#;

/// The orders as Avro data.
pub(crate) fn encoded(schema: &Schema, orders: &[String]) -> Result<Vec<Vec<u8>>> {
    let writer = GenericDatumWriter::builder(schema).build()?;
    orders
        .iter()
        .map(|order| {
            let value = of_json(serde_json::from_str(order)?).resolve(schema)?;
            Ok(writer.write_value_to_vec(value)?)
        })
        .collect()
}

fn of_json(value: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Boolean(b),
        Json::Number(n) => match n.as_i64() {
            Some(n) => Value::Long(n),
            None => Value::Double(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(s) => Value::String(s),
        Json::Array(elements) => Value::Array(elements.into_iter().map(of_json).collect()),
        Json::Object(members) => Value::Record(members.into_iter().map(|(k, v)| (k, of_json(v))).collect()),
    }
}

/// The comparison.
#[derive(Default)]
pub(crate) struct NaiveAvro {
    pub(crate) fields: HashMap<String, Field>,
    path: String,
    digits: String,
}

impl NaiveAvro {
    pub(crate) fn take(&mut self, schema: &Schema, mut datum: &[u8]) -> Result<()> {
        let reader = GenericDatumReader::builder(schema).build()?;
        let value = reader.read_value(&mut datum)?;
        self.path.clear();
        self.path.push('$');
        self.profile(&value)
    }

    fn profile(&mut self, value: &Value) -> Result<()> {
        if let Value::Union(_, inner) = value {
            return self.profile(inner);
        }
        let field = Field::at(&mut self.fields, &self.path)?;
        field.present += 1;
        match value {
            Value::Null => field.null += 1,
            Value::Boolean(b) => field.boolean(*b),
            Value::Long(n) => {
                self.digits.clear();
                write!(self.digits, "{n}")?;
                field.number(*n as f64, true, &self.digits);
            }
            Value::Double(x) => {
                self.digits.clear();
                write!(self.digits, "{x}")?;
                field.number(*x, false, &self.digits);
            }
            Value::String(s) => field.text(s),
            Value::Array(elements) => {
                field.types[4] += 1;
                field.empty += u64::from(elements.is_empty());
                self.within("[]", elements.iter())?;
            }
            Value::Record(members) => {
                field.types[5] += 1;
                for (name, member) in members {
                    let length = self.path.len();
                    self.path.push('.');
                    self.path.push_str(name);
                    self.profile(member)?;
                    self.path.truncate(length);
                }
            }
            other => bail!("{other:?}"),
        }
        Ok(())
    }

    fn within<'a>(&mut self, step: &str, mut values: impl Iterator<Item = &'a Value>) -> Result<()> {
        let length = self.path.len();
        self.path.push_str(step);
        let done = values.try_for_each(|value| self.profile(value));
        self.path.truncate(length);
        done
    }
}
