//! The built `tapline` command as a process.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::metrics::Metrics;
use crate::place::{Folder, target};
use crate::process::{Process, Signal};
use crate::{http, ports, wait};

/// How long `tapline` may take to be ready on a busy machine.
const READY: Duration = Duration::from_secs(90);
/// How long a command that ends by itself may take.
const FINISH: Duration = Duration::from_secs(180);

/// The path of the built command: `TAPLINE_BIN`, or the one beside the running test in Cargo's target folder.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("TAPLINE_BIN") {
        return Ok(PathBuf::from(path));
    }
    let test = std::env::current_exe()?;
    // target/<profile>/deps/<test>
    let profile = test.parent().and_then(Path::parent);
    let path = match profile {
        Some(profile) => profile.join("tapline"),
        None => target().join("debug/tapline"),
    };
    ensure!(
        path.is_file(),
        "{} is not built: run `cargo build -p tapline` first, as tests/run does, or set TAPLINE_BIN",
        path.display()
    );
    Ok(path)
}

/// How to start `tapline`: its arguments, environment and folder. May be started again and again.
///
/// It listens on a port of its own on the loopback interface (`run`, `collector`, `agent` and `demo` do), and its
/// history, spool and state stay in its folder. Its agent has a consumer group of its own; agents that should share one
/// set `TAPLINE_AGENT_GROUP`.
#[derive(Debug)]
pub struct Launch {
    folder: Arc<Folder>,
    binary: PathBuf,
    name: String,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    port: AtomicU16,
}

impl Launch {
    /// A launch of a subcommand, say `run`.
    pub fn new(subcommand: &str) -> Result<Self> {
        Ok(Self {
            folder: Arc::new(Folder::new()?),
            binary: binary()?,
            name: format!("tapline-{subcommand}"),
            args: vec![subcommand.into()],
            envs: Vec::new(),
            port: AtomicU16::new(ports::free()?),
        })
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.envs.push((key.into(), value.into()));
        self
    }

    /// Writes the configuration file and adds `--config`.
    pub fn config(self, yaml: &str) -> Result<Self> {
        let path = self.write("tapline.yaml", yaml)?;
        Ok(self.arg("--config").arg(path))
    }

    /// Writes check files (name, text) into a folder and adds `--checks`.
    pub fn checks(self, files: &[(&str, &str)]) -> Result<Self> {
        for (name, text) in files {
            self.write(&format!("checks/{name}"), text)?;
        }
        let folder = self.folder.path().join("checks");
        Ok(self.arg("--checks").arg(folder))
    }

    /// Writes a file into the launch's folder and returns its path.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, contents).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// The folder that it works in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The address that it listens on, known before it starts.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.load(Ordering::Relaxed))
    }

    /// Starts it and waits until `/readyz` says yes.
    pub async fn start(&self) -> Result<Tapline> {
        self.start_until("/readyz").await
    }

    /// Starts it and waits until `/healthz` says yes: alive, perhaps not ready yet.
    pub async fn start_alive(&self) -> Result<Tapline> {
        self.start_until("/healthz").await
    }

    /// Starts it and waits for nothing.
    pub fn start_unseen(&self) -> Result<Tapline> {
        let mut command = self.command();
        let listen = &self.url()["http://".len()..];
        let name = self.folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        command.env("TAPLINE_AGENT_GROUP", format!("tapline-lab-{name}"));
        match self.args[0].to_str() {
            Some("agent") => command.env("TAPLINE_AGENT_LISTEN", listen),
            Some("demo") => command.args(["--listen", listen]),
            _ => command.env("TAPLINE_EXPORT_LISTEN", listen),
        };
        // The command line and the test may set it otherwise: they come last.
        command.envs(self.envs.iter().map(|(key, value)| (key, value)));
        Ok(Tapline { process: Process::start(&self.folder, &self.name, &command)?, url: self.url() })
    }

    /// Runs it to its end; for subcommands that end by themselves.
    pub async fn finish(&self) -> Result<Finished> {
        self.finish_with("").await
    }

    /// Like [`Launch::finish`], with text on its standard input.
    pub async fn finish_with(&self, stdin: &str) -> Result<Finished> {
        let input = self.write("stdin", stdin)?;
        let mut command = tokio::process::Command::from(self.command());
        command
            .envs(self.envs.iter().map(|(key, value)| (key, value)))
            .stdin(fs::File::open(input)?)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let output = tokio::time::timeout(FINISH, command.output())
            .await
            .with_context(|| format!("tapline {:?} has not ended within {FINISH:?}", self.args))??;
        Ok(Finished {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    async fn start_until(&self, path: &str) -> Result<Tapline> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut tapline = self.start_unseen()?;
            let Err(error) = tapline.answers(path).await else {
                return Ok(tapline);
            };
            if tries == 3 || !ports::lost(&format!("{error:#}")) {
                return Err(error);
            }
            self.port.store(ports::free()?, Ordering::Relaxed);
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(&self.args).current_dir(self.folder.path());
        // What the developer's shell sets must not decide a test.
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("TAPLINE_") {
                command.env_remove(key);
            }
        }
        let state = self.folder.path().join("state");
        command
            .env("XDG_STATE_HOME", &state)
            .env("XDG_DATA_HOME", &state)
            .env("HOME", self.folder.path())
            .env("NO_COLOR", "1");
        command
    }
}

/// A running `tapline`.
#[derive(Debug)]
pub struct Tapline {
    process: Process,
    url: String,
}

impl Tapline {
    /// Where it listens, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Its exit code when it has ended.
    pub fn exited(&mut self) -> Result<Option<i32>> {
        self.process.exited()
    }

    /// Scrapes `/metrics` as text.
    pub async fn metrics(&self) -> Result<Metrics> {
        Metrics::parse(&self.text("/metrics").await?)
    }

    /// The body at a path such as `/readyz`; any status but success is an error.
    pub async fn text(&self, path: &str) -> Result<String> {
        http::get_text(&format!("{}{path}", self.url)).await.map_err(|error| self.with_log(error))
    }

    /// The JSON at a path such as `/api/v1/lag`.
    pub async fn json(&self, path: &str) -> Result<Value> {
        http::get_json(&format!("{}{path}", self.url)).await.map_err(|error| self.with_log(error))
    }

    /// The status and body at a path, whatever the status.
    pub async fn status(&self, path: &str) -> Result<(u16, String)> {
        let response = http::http().get(format!("{}{path}", self.url)).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Asks it to end, and returns its exit code.
    pub async fn stop(mut self) -> Result<i32> {
        self.process.signal(Signal::Term)?;
        self.process.wait(Duration::from_secs(20)).await
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(mut self) -> Result<()> {
        self.process.signal(Signal::Kill)?;
        self.process.wait(Duration::from_secs(20)).await?;
        Ok(())
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self, timeout: Duration) -> Result<i32> {
        self.process.wait(timeout).await
    }

    fn with_log(&self, error: anyhow::Error) -> anyhow::Error {
        error.context(self.process.log_tail())
    }

    async fn answers(&mut self, path: &str) -> Result<()> {
        let url = format!("{}{path}", self.url);
        let process = &mut self.process;
        let answered = wait::eventually(&format!("{path} says yes"), READY, async || {
            if let Err(ended) = process.must_run() {
                return Ok(Err(ended));
            }
            http::get_text(&url).await.map(|_| Ok(()))
        })
        .await;
        match answered {
            Ok(result) => result,
            Err(error) => bail!("{error:#}; {}", self.process.log_tail()),
        }
    }
}

/// What a command that ended has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained.
    pub stderr: String,
}

impl Finished {
    /// Its standard output as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("not JSON: {self:?}"))
    }
}
