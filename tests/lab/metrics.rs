//! Reading the text that `/metrics` serves: Prometheus text and OpenMetrics.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

/// One line of a scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The series' name, suffix (`_bucket`, `_total`) included.
    pub name: String,
    /// Its labels, unescaped.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
    /// The labels of its exemplar, when it has one.
    pub exemplar: Option<BTreeMap<String, String>>,
}

/// A whole scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    samples: Vec<Sample>,
}

impl Metrics {
    /// Reads a scrape; a line that doesn't fit the format is an error.
    pub fn parse(text: &str) -> Result<Self> {
        let mut samples = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let sample =
                parse_line(line).with_context(|| format!("line {} of the scrape: {line}", number + 1))?;
            samples.push(sample);
        }
        Ok(Self { samples })
    }

    /// All samples, in their order.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The samples of this name that carry all these labels.
    pub fn select<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| {
            sample.name == name
                && labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|v| v == value))
        })
    }

    /// The sum over [`Metrics::select`]; `None` when there is no such series, which is not 0.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.select(name, labels).map(|sample| sample.value).reduce(|a, b| a + b)
    }

    /// The value of the one series of this name that carries these labels; an error when it is none or several.
    pub fn one(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        let found: Vec<&Sample> = self.select(name, labels).collect();
        match found.as_slice() {
            [sample] => Ok(sample.value),
            [] => bail!("no series {name} with {labels:?}{}", self.alike(name)),
            several => bail!("{} series {name} with {labels:?}: {several:?}", several.len()),
        }
    }

    /// For an error: the series of that name with other labels.
    fn alike(&self, name: &str) -> String {
        let others: Vec<String> =
            self.select(name, &[]).take(5).map(|sample| format!("{:?}", sample.labels)).collect();
        if others.is_empty() { String::new() } else { format!("; there are {}", others.join(", ")) }
    }
}

fn parse_line(line: &str) -> Result<Sample> {
    let end = line.find(['{', ' ']).context("a name without a value")?;
    let name = line[..end].to_owned();
    let (labels, rest) = if line[end..].starts_with('{') {
        parse_labels(&line[end + 1..])?
    } else {
        (BTreeMap::new(), &line[end..])
    };
    let (rest, exemplar) = match rest.split_once(" # {") {
        Some((rest, exemplar)) => (rest, Some(parse_labels(exemplar)?.0)),
        None => (rest, None),
    };
    let value = rest.split_whitespace().next().context("no value")?;
    // Rust reads NaN, +Inf and -Inf as Prometheus writes them.
    let value = value.parse().with_context(|| format!("the value {value}"))?;
    Ok(Sample { name, labels, value, exemplar })
}

/// Reads `a="b",c="d"} rest`.
fn parse_labels(mut text: &str) -> Result<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (key, rest) = text.split_once("=\"").context("a label without a value")?;
        let mut value = String::new();
        let mut escaped = false;
        let mut end = None;
        for (at, character) in rest.char_indices() {
            match (escaped, character) {
                (true, 'n') => value.push('\n'),
                (true, other) => value.push(other),
                (false, '\\') => {
                    escaped = true;
                    continue;
                }
                (false, '"') => {
                    end = Some(at);
                    break;
                }
                (false, other) => value.push(other),
            }
            escaped = false;
        }
        let end = end.context("a label's value without an end")?;
        labels.insert(key.to_owned(), value);
        text = &rest[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_labels_escapes_exemplars_and_odd_numbers() {
        let metrics = Metrics::parse(concat!(
            "# HELP a b\n",
            "up 1\n",
            "a_total{topic=\"x\\\"y\\\\\\n}\",p=\"0\"} 3 1700000000\n",
            "a_total{topic=\"z\",p=\"1\",} 4.5\n",
            "h_bucket{le=\"+Inf\"} 2 # {trace_id=\"abc\"} 0.5 1.7\n",
            "n NaN\n",
            "# EOF\n",
        ))
        .unwrap();
        assert_eq!(metrics.sum("up", &[]), Some(1.0));
        assert_eq!(metrics.sum("a_total", &[]), Some(7.5));
        assert_eq!(metrics.sum("a_total", &[("p", "0")]), Some(3.0));
        assert_eq!(metrics.one("a_total", &[("topic", "x\"y\\\n}")]).unwrap(), 3.0);
        assert_eq!(metrics.sum("a_total", &[("p", "2")]), None);
        assert!(metrics.one("a_total", &[]).is_err());
        assert!(metrics.one("n", &[]).unwrap().is_nan());
        let bucket = metrics.select("h_bucket", &[("le", "+Inf")]).next().unwrap();
        assert_eq!(bucket.value, 2.0);
        assert_eq!(bucket.exemplar.as_ref().unwrap()["trace_id"], "abc");
    }

    #[test]
    fn refuses_what_is_no_scrape() {
        for text in ["nonsense", "a{b=\"c} 1", "a{b} 1", "a x", "a{b=\"c\"}"] {
            assert!(Metrics::parse(text).is_err(), "{text}");
        }
    }
}
