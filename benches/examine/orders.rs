//! Orders as a shop would write them: JSON of about 600 bytes, 26 leaf paths, 33 leaf values.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// The schema that they fit; all of it is about single fields.
pub(crate) const SCHEMA: &str = r#"{
  "type": "object",
  "required": ["id", "created_at", "status", "amount", "currency", "customer", "items"],
  "properties": {
    "id": { "type": "string", "minLength": 3, "maxLength": 40 },
    "created_at": { "type": "string" },
    "status": { "enum": ["new", "paid", "shipped", "returned"] },
    "channel": { "type": "string" },
    "amount": { "type": "number", "minimum": 0 },
    "net": { "type": "number", "minimum": 0 },
    "tax": { "type": "number", "minimum": 0 },
    "currency": { "type": "string", "pattern": "^[A-Z]{3}$" },
    "version": { "type": "integer", "minimum": 1 },
    "customer": {
      "type": "object",
      "required": ["id", "country"],
      "properties": {
        "id": { "type": "string" },
        "email": { "type": ["string", "null"] },
        "name": { "type": "string", "maxLength": 100 },
        "country": { "type": "string", "minLength": 2, "maxLength": 2 },
        "vip": { "type": "boolean" },
        "age": { "type": "integer", "minimum": 0, "maximum": 150 }
      }
    },
    "shipping": {
      "type": "object",
      "properties": {
        "method": { "type": "string" },
        "city": { "type": "string" },
        "zip": { "type": "string" },
        "cost": { "type": "number", "minimum": 0 }
      }
    },
    "items": {
      "type": "array",
      "minItems": 1,
      "items": {
        "type": "object",
        "required": ["sku", "quantity", "price"],
        "properties": {
          "sku": { "type": "string" },
          "quantity": { "type": "integer", "minimum": 1 },
          "price": { "type": "number", "minimum": 0 }
        }
      }
    },
    "tags": { "type": "array", "items": { "type": "string" } },
    "payment": {
      "type": "object",
      "properties": {
        "method": { "enum": ["card", "invoice", "paypal"] },
        "risk": { "type": "number" },
        "captured": { "type": "boolean" }
      }
    }
  }
}"#;

/// Ten checks on them.
pub(crate) const CHECKS: &str = r#"
version: 1
topic: orders
decode: { value: json, schema: { file: order.json } }
checks:
  - { id: schema-valid, metric: schemaViolations, unit: percent, mustBeLessThan: 1 }
  - { id: decodes, metric: decodeFailures, unit: percent, mustBeLessThan: 1 }
  - { id: amount-range, metric: invalidValues, field: $.amount, arguments: { min: 0, max: 100000 }, unit: percent, mustBeLessThan: 0.1 }
  - { id: status-known, metric: invalidValues, field: $.status, arguments: { validValues: [new, paid, shipped, returned] }, mustBe: 0 }
  - { id: currency-form, metric: invalidValues, field: $.currency, arguments: { pattern: "^[A-Z]{3}$" }, mustBe: 0 }
  - { id: quantity, metric: invalidValues, field: "$.items[].quantity", arguments: { min: 1, max: 100 }, mustBe: 0 }
  - { id: email-present, metric: missingValues, field: $.customer.email, unit: percent, mustBeLessThan: 5 }
  - { id: email-null, metric: nullValues, field: $.customer.email, unit: percent, mustBeLessThan: 5 }
  - { id: country-length, metric: invalidValues, field: $.customer.country, arguments: { minLength: 2, maxLength: 2 }, mustBe: 0 }
  - { id: ids-unique, metric: duplicateValues, field: $.id, unit: percent, mustBeLessThan: 1 }
"#;

const STATUS: [&str; 4] = ["new", "paid", "shipped", "returned"];
const COUNTRY: [&str; 8] = ["DE", "FR", "NL", "PL", "ES", "IT", "AT", "CH"];
const CITY: [&str; 8] = ["Berlin", "Lyon", "Utrecht", "Gdańsk", "Valencia", "Torino", "Graz", "Bern"];
const METHOD: [&str; 3] = ["card", "invoice", "paypal"];

fn one_of<'a>(random: &mut StdRng, list: &[&'a str]) -> &'a str {
    list[random.random_range(0..list.len())]
}

/// So many of them, always the same.
pub(crate) fn orders(count: usize) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(7);
    (0..count).map(|nth| order(nth, &mut random)).collect()
}

fn order(nth: usize, random: &mut StdRng) -> String {
    let items: Vec<String> = (0..3)
        .map(|_| {
            format!(
                r#"{{"sku":"SKU-{:05}","quantity":{},"price":{}}}"#,
                random.random_range(0..5_000),
                random.random_range(1..9),
                f64::from(random.random_range(100..90_000)) / 100.0
            )
        })
        .collect();
    let net = f64::from(random.random_range(500..500_000)) / 100.0;
    let tax = (net * 19.0).round() / 100.0;
    let customer = random.random_range(0..200_000);
    let email =
        if random.random_bool(0.02) { "null".to_owned() } else { format!("\"c{customer}@shop.example\"") };
    format!(
        r#"{{"id":"o-{nth:010}-{:08x}","created_at":"2026-11-{:02}T{:02}:{:02}:{:02}.{:03}Z","status":"{}","channel":"{}","amount":{},"net":{net},"tax":{tax},"currency":"{}","customer":{{"id":"c-{customer:08}","email":{email},"name":"Ada Lovelace {customer}","country":"{}","vip":{},"age":{}}},"shipping":{{"method":"parcel","city":"{}","zip":"{:05}","cost":{}}},"items":[{}],"tags":["{}","autumn"],"payment":{{"method":"{}","risk":{},"captured":{}}},"version":{}}}"#,
        random.random::<u32>(),
        random.random_range(1..29),
        random.random_range(0..24),
        random.random_range(0..60),
        random.random_range(0..60),
        random.random_range(0..1000),
        one_of(random, &STATUS),
        one_of(random, &["web", "app", "store"]),
        ((net + tax) * 100.0).round() / 100.0,
        one_of(random, &["EUR", "CHF", "PLN"]),
        one_of(random, &COUNTRY),
        random.random_bool(0.1),
        random.random_range(18..90),
        one_of(random, &CITY),
        random.random_range(10_000..99_999),
        f64::from(random.random_range(0..1_500)) / 100.0,
        items.join(","),
        one_of(random, &["gift", "promo", "first"]),
        one_of(random, &METHOD),
        f64::from(random.random_range(0..1_000)) / 1000.0,
        random.random_bool(0.9),
        random.random_range(1..6),
    )
}
