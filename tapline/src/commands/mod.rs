//! The subcommands, one file each, and the manners they share.

pub(crate) mod agent;
pub(crate) mod check;
pub(crate) mod collector;
pub(crate) mod diff;
pub(crate) mod init;
mod junit;
pub(crate) mod lag;
pub(crate) mod lint;
pub(crate) mod mark;
pub(crate) mod profile;
pub(crate) mod run;
pub(crate) mod schema;
mod source;
mod test;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use clap::CommandFactory as _;
use rdkafka::util::get_rdkafka_version;

use crate::cli::{Cli, TestArgs};

/// How a command ended, where it could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Exit code 0.
    Good,
    /// Exit code 1: findings, or failed checks.
    Findings,
}

impl From<bool> for Outcome {
    fn from(good: bool) -> Self {
        if good { Self::Good } else { Self::Findings }
    }
}

/// The log goes to stderr; colours only to a terminal.
pub(crate) fn start_log(level: &str) {
    // librdkafka's and HTTP libraries' own chatter is only wanted by those who ask for it by name.
    let filter = if level.contains(['=', ',']) {
        level.to_owned()
    } else {
        format!(
            "{level},librdkafka=error,rdkafka=error,hyper=warn,h2=warn,reqwest=warn,tonic=warn,opentelemetry=warn"
        )
    };
    let filter = tracing_subscriber::EnvFilter::try_new(&filter)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour(&std::io::stderr()))
        .with_target(false)
        .init();
}

/// Colours: on a terminal, unless NO_COLOR is set (no-color.org).
pub(crate) fn colour(stream: &impl std::io::IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Standard output of a gate: whoever reads it may go away early (`tapline check … | head`), which must
/// not change the exit code.
pub(crate) fn verdict_out() -> impl std::io::Write {
    UntilClosed { out: std::io::stdout().lock(), closed: false }
}

/// Writes until nobody reads any more, then nowhere.
struct UntilClosed<W> {
    out: W,
    closed: bool,
}

impl<W: std::io::Write> UntilClosed<W> {
    fn unless_closed<T>(
        &mut self,
        instead: T,
        write: impl FnOnce(&mut W) -> std::io::Result<T>,
    ) -> std::io::Result<T> {
        if self.closed {
            return Ok(instead);
        }
        match write(&mut self.out) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(instead)
            }
            other => other,
        }
    }
}

impl<W: std::io::Write> std::io::Write for UntilClosed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.unless_closed(bytes.len(), |out| out.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.unless_closed((), std::io::Write::flush)
    }
}

/// Says why nothing could be done; exit code 2.
pub(crate) fn complain(error: &anyhow::Error) -> ExitCode {
    // A reader that went away (`tapline lag | head`) is no failure of ours.
    if error.chain().any(|e| {
        e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    }) {
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(std::io::stderr(), "tapline: {error:#}");
    ExitCode::from(2)
}

/// The process's environment, as far as it is text.
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect()
}

pub(crate) fn version() -> anyhow::Result<Outcome> {
    let (_, librdkafka) = get_rdkafka_version();
    writeln!(
        std::io::stdout(),
        "tapline {} ({}), librdkafka {librdkafka}",
        env!("CARGO_PKG_VERSION"),
        env!("TAPLINE_COMMIT")
    )?;
    Ok(Outcome::Good)
}

pub(crate) fn completions(shell: clap_complete::Shell) -> anyhow::Result<Outcome> {
    // Into memory first: the crate panics when it can't write, as into a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tapline", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Outcome::Good)
}

/// Text from files and peers with nothing in it that could steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if checks::tape::printable(c) { c } else { '\u{fffd}' }).collect()
}

pub(crate) fn test_files(args: &TestArgs) -> anyhow::Result<Outcome> {
    Ok(test::run(args, &mut verdict_out())?.into())
}
