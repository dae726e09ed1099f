//! A schema registry: Apicurio 3.0.9, in memory, with the Confluent-compatible API.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::process::{Signal, tool};
use crate::server::Server;
use crate::{cache, http};

/// The registry that all tests of this binary share; name subjects by [`crate::unique`].
pub async fn registry() -> Result<&'static Registry> {
    static REGISTRY: OnceCell<Registry> = OnceCell::const_new();
    REGISTRY.get_or_try_init(Registry::start).await
}

/// A running registry.
#[derive(Debug)]
pub struct Registry {
    server: Server,
}

impl Registry {
    /// Starts one of its own.
    pub async fn start() -> Result<Self> {
        let app = app().await?;
        let java = tool("java", "default-jre-headless")?;
        let server = Server::start("registry", "/apis/ccompat/v7/subjects", |_, [port]| {
            let mut command = Command::new(&java);
            command
                .args(["-Xmx512m", "-XX:+UseSerialGC", "-jar"])
                .arg(app.join("apicurio-registry-app-3.0.9-runner.jar"))
                .env("QUARKUS_HTTP_HOST", "127.0.0.1")
                .env("QUARKUS_HTTP_PORT", port.to_string());
            Ok(command)
        })
        .await?;
        Ok(Self { server })
    }

    /// The address to give to `registry.url`: the Confluent-compatible API, without a slash at the end.
    pub fn url(&self) -> String {
        format!("{}/apis/ccompat/v7", self.server.url(0))
    }

    /// Its process id; `None` while it is down.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Registers a schema (`AVRO`, `JSON` or `PROTOBUF`) under a subject, and returns its id.
    pub async fn register(&self, subject: &str, kind: &str, schema: &str) -> Result<u32> {
        let url = format!("{}/subjects/{subject}/versions", self.url());
        let body = json!({ "schemaType": kind, "schema": schema });
        let response = http::http().post(&url).json(&body).send().await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "POST {url}: {status}: {text}");
        let answer: Value = serde_json::from_str(&text)?;
        let id = answer["id"].as_u64().with_context(|| format!("no id in {text}"))?;
        Ok(u32::try_from(id)?)
    }

    /// Stops it in its tracks, so that it hangs, or lets it go on: [`Signal::Stop`], [`Signal::Cont`].
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.server.signal(signal)
    }
}

pub(crate) async fn app() -> Result<PathBuf> {
    cache::cached_async("apicurio-registry-3.0.9", |folder: &Path| {
        cache::run(
            Command::new(tool("mvn", "maven")?)
                .args(["-q", "-B", "dependency:copy"])
                .arg("-Dartifact=io.apicurio:apicurio-registry-app:3.0.9:tar.gz:all")
                .arg(format!("-DoutputDirectory={}", folder.display()))
                .current_dir(folder),
        )?;
        let archive = folder.join("apicurio-registry-app-3.0.9-all.tar.gz");
        cache::run(Command::new(tool("tar", "tar")?).arg("-xzf").arg(&archive).arg("-C").arg(folder))?;
        std::fs::remove_file(archive)?;
        Ok(())
    })
    .await
}
