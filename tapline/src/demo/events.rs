//! The events of the demo's shop: orders, payments, shipments.

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// A W3C trace context of one event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TraceContext {
    pub(crate) trace_id: u128,
}

impl TraceContext {
    pub(crate) fn start(rng: &mut StdRng) -> Self {
        Self { trace_id: rng.random_range(1..u128::MAX) }
    }

    /// The header that a producer writes: the same trace, a span of its own.
    pub(crate) fn header(self, rng: &mut StdRng) -> String {
        format!("00-{:032x}-{:016x}-01", self.trace_id, rng.random_range(1..u64::MAX))
    }

    /// The trace of a header that the demo wrote itself.
    pub(crate) fn of_header(header: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(header).ok()?;
        let trace_id = u128::from_str_radix(text.get(3..35)?, 16).ok()?;
        Some(Self { trace_id })
    }
}

/// What is wrong with an order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OrderFaults {
    pub(crate) without_email: bool,
    pub(crate) amount_as_text: bool,
}

const COUNTRIES: [(&str, u32); 6] = [("DE", 34), ("FR", 22), ("GB", 18), ("ES", 12), ("NL", 9), ("SE", 5)];
const ITEMS: [(&str, f64); 6] = [
    ("espresso-beans", 14.9),
    ("moka-pot", 39.0),
    ("grinder", 129.0),
    ("filter-papers", 4.5),
    ("cups", 24.0),
    ("scale", 59.0),
];

fn country(rng: &mut StdRng) -> &'static str {
    let mut ticket = rng.random_range(0..100u32);
    for (name, share) in COUNTRIES {
        if ticket < share {
            return name;
        }
        ticket -= share;
    }
    "DE"
}

fn one_of(names: &[&'static str], rng: &mut StdRng) -> &'static str {
    names[rng.random_range(0..names.len())]
}

/// Money in cents, so that sums add up.
fn cents(amount: f64) -> f64 {
    (amount * 100.0).round() / 100.0
}

/// A new order, and its net total.
pub(crate) fn order(id: u64, at: &str, faults: OrderFaults, rng: &mut StdRng) -> Value {
    let items: Vec<Value> = (0..rng.random_range(1..=3))
        .map(|_| {
            let (sku, price) = ITEMS[rng.random_range(0..ITEMS.len())];
            json!({ "sku": sku, "price": price, "quantity": rng.random_range(1..=3) })
        })
        .collect();
    let net = cents(
        items
            .iter()
            .map(|i| i["price"].as_f64().unwrap_or(0.0) * i["quantity"].as_f64().unwrap_or(0.0))
            .sum::<f64>(),
    );
    let tax = cents(net * 0.19);
    let total = cents(net + tax);
    let email =
        if faults.without_email { Value::Null } else { json!(format!("customer{}@example.com", id % 997)) };
    let amount = if faults.amount_as_text { json!(format!("{total:.2} EUR")) } else { json!(total) };
    json!({
        "id": format!("o-{id}"),
        "created_at": at,
        "status": "new",
        "country": country(rng),
        "customer": { "id": id % 997, "email": email },
        "items": items,
        "amount": amount,
        "currency": "EUR",
    })
}

/// The payment of an order.
pub(crate) fn payment(order_id: &str, at: &str, factor: f64, rng: &mut StdRng) -> Value {
    // Log-normal amounts, as payments are.
    let normal: f64 = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
    let amount = cents((3.8 + 0.6 * normal).exp() * factor);
    json!({
        "order": order_id,
        "paid_at": at,
        "amount": amount,
        "currency": "EUR",
        "method": one_of(&["card", "card", "card", "paypal", "transfer"], rng),
        "authorised": true,
    })
}

/// The shipment of a paid order.
pub(crate) fn shipment(order_id: &str, at: &str, rng: &mut StdRng) -> Value {
    json!({
        "order": order_id,
        "shipped_at": at,
        "carrier": one_of(&["dhl", "dhl", "ups", "gls"], rng),
        "parcels": rng.random_range(1..=2),
        "weight_kg": cents(rng.random_range(0.2..12.0)),
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_trace_survives_its_header() {
        let mut rng = StdRng::seed_from_u64(1);
        let trace = TraceContext::start(&mut rng);
        let header = trace.header(&mut rng);
        assert_eq!(header.len(), 55);
        assert_eq!(TraceContext::of_header(header.as_bytes()).map(|t| t.trace_id), Some(trace.trace_id));
        assert!(TraceContext::of_header(b"nonsense").is_none());
    }

    #[test]
    fn faults_change_what_they_say() {
        let mut rng = StdRng::seed_from_u64(1);
        let good = order(1, "2026-01-01T00:00:00Z", OrderFaults::default(), &mut rng);
        assert!(good["amount"].is_f64() && good["customer"]["email"].is_string());
        let bad = order(2, "t", OrderFaults { without_email: true, amount_as_text: true }, &mut rng);
        assert!(bad["amount"].is_string() && bad["customer"]["email"].is_null());
    }
}
