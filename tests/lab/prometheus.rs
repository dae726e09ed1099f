//! Prometheus and its Alertmanager, as Debian has them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::process::tool;
use crate::server::Server;
use crate::{http, wait};

/// What a Prometheus scrapes and evaluates.
#[derive(Debug, Clone, Default)]
pub struct PrometheusOptions {
    /// `host:port` of what it scrapes, every second, at `/metrics`.
    pub targets: Vec<String>,
    /// Rule files, evaluated every second where a group names no interval.
    pub rules: Vec<PathBuf>,
    /// `host:port` of the Alertmanagers.
    pub alertmanagers: Vec<String>,
}

/// A running Prometheus, with native histograms and exemplars on.
#[derive(Debug)]
pub struct Prometheus {
    server: Server,
}

impl Prometheus {
    /// Starts one and waits until it has found every Alertmanager: alerts that fire earlier are lost for a minute.
    pub async fn start(options: PrometheusOptions) -> Result<Self> {
        let binary = tool("prometheus", "prometheus")?;
        let server = Server::start("prometheus", "/-/ready", |folder, [port]| {
            let list = |items: &[String]| serde_json::to_string(items);
            let rules: Vec<String> = options.rules.iter().map(|path| path.display().to_string()).collect();
            let config = folder.join("prometheus.yml");
            fs::write(
                &config,
                format!(
                    "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}
rule_files: {}
alerting: {{ alertmanagers: [ {{ static_configs: [ {{ targets: {} }} ] }} ] }}
scrape_configs: [ {{ job_name: tapline, static_configs: [ {{ targets: {} }} ] }} ]
",
                    list(&rules)?,
                    list(&options.alertmanagers)?,
                    list(&options.targets)?,
                ),
            )?;
            let mut command = Command::new(&binary);
            command
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .arg("--enable-feature=native-histograms,exemplar-storage")
                .arg("--rules.alert.resend-delay=5s");
            Ok(command)
        })
        .await?;
        let prometheus = Self { server };
        wait::eventually("Prometheus finds its Alertmanagers", Duration::from_secs(60), async || {
            let answer = prometheus.api("/api/v1/alertmanagers").await?;
            let found = answer["activeAlertmanagers"].as_array().map_or(0, Vec::len);
            ensure!(found == options.alertmanagers.len(), "{answer}");
            Ok(())
        })
        .await?;
        Ok(prometheus)
    }

    /// Its address, without a slash at the end.
    pub fn url(&self) -> String {
        self.server.url(0)
    }

    /// Its process id; `None` while it is down.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// The `data` of an answer of its HTTP API, say of `/api/v1/alerts`, `/api/v1/rules`, `/api/v1/targets`.
    pub async fn api(&self, path: &str) -> Result<Value> {
        let mut answer = http::get_json(&format!("{}{path}", self.url())).await?;
        Ok(answer["data"].take())
    }

    /// The `data` of an instant query's answer; a query that it doesn't accept is an error with its words.
    pub async fn query(&self, expression: &str) -> Result<Value> {
        let url = format!("{}/api/v1/query", self.url());
        // The expression goes by the body: panels' queries are long.
        let body = format!("query={}", percent(expression));
        let response = http::http()
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await?;
        let text = response.text().await?;
        let mut answer: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        if answer["status"] != "success" {
            bail!("Prometheus refuses `{expression}`: {text}");
        }
        Ok(answer["data"].take())
    }

    /// The series and values of an instant query that gives a vector.
    pub async fn vector(&self, expression: &str) -> Result<Vec<(BTreeMap<String, String>, f64)>> {
        let data = self.query(expression).await?;
        let mut series = Vec::new();
        for item in data["result"].as_array().context("a vector")? {
            let labels = serde_json::from_value(item["metric"].clone())?;
            let value = item["value"][1].as_str().with_context(|| format!("no float in {item}"))?;
            series.push((labels, value.parse()?));
        }
        Ok(series)
    }

    /// Waits until every target was scraped well.
    pub async fn scraped(&self) -> Result<()> {
        wait::eventually("every target is up", Duration::from_secs(60), async || {
            let up = self.vector("up").await?;
            ensure!(!up.is_empty() && up.iter().all(|(_, value)| *value == 1.0), "{up:?}");
            Ok(())
        })
        .await
    }
}

/// Percent-encodes everything but letters and digits.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// A running Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    server: Server,
}

impl Alertmanager {
    /// Starts one that groups nothing, waits for nothing and tells nobody.
    pub async fn start() -> Result<Self> {
        Self::with_config(
            "route: { receiver: nobody, group_by: ['...'], group_wait: 0s, group_interval: 1s }
receivers: [ { name: nobody } ]
",
        )
        .await
    }

    /// Starts one with a configuration of your own.
    pub async fn with_config(yaml: &str) -> Result<Self> {
        let binary = tool("prometheus-alertmanager", "prometheus-alertmanager")?;
        let server = Server::start("alertmanager", "/-/ready", |folder, [port]| {
            let config = folder.join("alertmanager.yml");
            fs::write(&config, yaml)?;
            let mut command = Command::new(&binary);
            command
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.path={}", folder.join("data").display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .arg("--cluster.listen-address=");
            Ok(command)
        })
        .await?;
        Ok(Self { server })
    }

    /// `host:port`, for [`PrometheusOptions::alertmanagers`].
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.server.ports[0])
    }

    /// Its process id; `None` while it is down.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// The alerts that it holds, firing ones and those just resolved alike: `labels`, `annotations`, `startsAt`,
    /// `endsAt`, `status.state`. Resolved ones have an `endsAt` in the past and drop out of the list.
    pub async fn alerts(&self) -> Result<Vec<Value>> {
        let answer = http::get_json(&format!("{}/api/v2/alerts", self.server.url(0))).await?;
        answer.as_array().cloned().context("a list of alerts")
    }
}
