//! The command line.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand};
use collector::export::metrics::compat::Peer;

use crate::config::Flags;

/// Pipeline observability and data quality for Kafka: lag, checks, profiles and end-to-end latency.
#[derive(Debug, Parser)]
#[command(name = "tapline", disable_version_flag = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Print version, commit and librdkafka's version
    #[arg(long, short = 'V')]
    pub(crate) version: bool,
    /// How much is logged on stderr: error, warn, info, debug, or a filter such as agent=debug
    #[arg(long, global = true, env = "TAPLINE_LOG", default_value = "info", value_name = "LEVEL")]
    pub(crate) log: String,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// An embedded Kafka with a small pipeline, faults on a schedule, and everything that watches it
    #[command(after_help = "Examples:\n  tapline demo\n  tapline demo --for 2m")]
    Demo(DemoArgs),
    /// Agent and collector in one process
    #[command(after_help = "Examples:\n  tapline run --brokers localhost:9092\n  \
                      tapline run --config tapline.yaml --checks ./checks\n\n\
                      Every key of the configuration is also read from the environment as \
                      TAPLINE_<SECTION>_<KEY>.")]
    Run(RunArgs),
    /// The agent alone: follows topics and reports to a collector
    #[command(
        after_help = "Example:\n  tapline agent --brokers localhost:9092 --collector http://collector:9464"
    )]
    Agent(AgentArgs),
    /// The collector alone: merges reports, watches the cluster, judges, exports
    #[command(after_help = "Example:\n  tapline collector --brokers localhost:9092 --listen 0.0.0.0:9464")]
    Collector(RunArgs),
    /// One look at the lag of all consumer groups
    #[command(after_help = "Examples:\n  tapline lag --brokers localhost:9092\n  \
                      tapline lag --brokers localhost:9092 --group 'payments-.*' --json\n\n\
                      Exit code 2 when the cluster can't be read.")]
    Lag(LagArgs),
    /// Are check files sound, and do they fit data, if it is given?
    #[command(after_help = "Examples:\n  tapline lint ./checks\n  \
                      tapline lint checks/orders.yaml --data orders.jsonl\n  \
                      tapline lint checks/orders.yaml --topic orders --brokers localhost:9092\n\n\
                      With data, fields that never occur in it and checks that can make nothing of its\n\
                      values are warnings.\n\n\
                      Exit code 1 when there is an error in a file.")]
    Lint(crate::commands::lint::LintArgs),
    /// Do the tests in check files hold? Offline
    #[command(
        after_help = "Examples:\n  tapline test ./checks\n  tapline test ./checks --junit report.xml\n\n\
                      Exit code 1 when a test fails."
    )]
    Test(TestArgs),
    /// Judge a bounded piece of records by check files: a gate for CI, Airflow or Temporal
    #[command(after_help = "Examples:\n  \
                      tapline check checks/orders.yaml --data orders.jsonl\n  \
                      zcat orders.jsonl.gz | tapline check checks/ --topic orders --data - --json\n  \
                      tapline check checks/orders.yaml --topic orders --from -1h --brokers localhost:9092\n\n\
                      All records are judged as one window, whatever `window` says, and all are examined.\n\n\
                      Exit codes: 0 all that could be judged passes, 1 a check fails or the data ends in the\n\
                      middle of a record, 2 nothing could be judged (usage, files, connection, no records).")]
    Check(crate::commands::check::CheckArgs),
    /// What the values of every field are like: of JSON lines, or of a range of a topic
    #[command(after_help = "Examples:\n  tapline profile --data orders.jsonl\n  \
                      tapline profile --topic orders --from -10m --brokers localhost:9092\n  \
                      tapline profile --data orders.jsonl --json --sketches > monday.json")]
    Profile(crate::commands::profile::ProfileArgs),
    /// Suggest a check file, with fixtures, from JSON lines or from a range of a topic
    #[command(after_help = "Examples:\n  tapline init --data orders.jsonl > checks/orders.yaml\n  \
                      tapline init --topic orders --from -1h --brokers localhost:9092 > checks/orders.yaml\n\n\
                      What was seen stands before each check; texts in fixtures are masked.")]
    Init(crate::commands::init::InitArgs),
    /// What changed between two pieces of data, and does it matter?
    #[command(after_help = "Examples:\n  tapline diff monday.jsonl tuesday.jsonl\n  \
                      tapline diff monday.json topic:orders@-1h..end --brokers localhost:9092\n  \
                      tapline diff topic:orders topic:orders-v2 --json --brokers localhost:9092\n\n\
                      Each side is a file of JSON lines, - (standard input), a profile saved with\n\
                      `tapline profile --json --sketches`, or topic:NAME[@FROM..TO].\n\n\
                      Exit code 1 when a change matters: it is large, and beyond chance.")]
    Diff(crate::commands::diff::DiffArgs),
    /// Tell the baselines of a known event: a sale, a migration, a load test
    #[command(after_help = "Examples:\n  \
                      tapline mark --topic orders --from 2026-11-27T00:00Z --to 2026-11-28T00:00Z \\\n    \
                      --note 'Black Friday'\n  \
                      tapline mark --topic 'pay.*' --for 2h --note 'load test' --collector http://tapline:9464\n  \
                      tapline mark --list\n  \
                      tapline mark --remove 3\n\n\
                      What happens in that time is neither judged nor learned by detectors, and is no past of\n\
                      checks with a baseline. What detectors had learned of it before can't be taken back.\n\n\
                      Exit code 2 when the collector can't be told.")]
    Mark(crate::commands::mark::MarkArgs),
    /// The JSON Schema of check files, or of the configuration, for editors
    #[command(after_help = "Examples:\n  tapline schema > tapline-checks.schema.json\n  \
                      tapline schema config > tapline.schema.json\n\n\
                      In a check file, for editors with the YAML language server:\n  \
                      # yaml-language-server: $schema=tapline-checks.schema.json")]
    Schema(crate::commands::schema::SchemaArgs),
    /// Write shell completions to stdout
    #[command(after_help = "Example:\n  tapline completions bash > /etc/bash_completion.d/tapline")]
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

/// How to reach the cluster.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ConnectArgs {
    /// Kafka brokers: host:port, separated by commas
    #[arg(long, short = 'b', value_name = "HOST:PORT")]
    pub(crate) brokers: Option<String>,
    /// Configuration file
    #[arg(long, short = 'c', value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Kafka client properties (security.protocol, sasl.mechanism, …)
    #[arg(long, value_name = "FILE")]
    pub(crate) properties_file: Option<PathBuf>,
}

impl ConnectArgs {
    pub(crate) fn flags(&self) -> Flags {
        Flags {
            config: self.config.clone(),
            brokers: self.brokers.clone(),
            properties_file: self.properties_file.clone(),
            ..Flags::default()
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// Check files, or folders of them
    #[arg(long, value_name = "DIR")]
    pub(crate) checks: Vec<PathBuf>,
    /// Where /metrics, the API and the status page are served
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<String>,
    /// Serve the names of another exporter too, for its dashboards (docs/migrate.md); may be repeated
    #[arg(long, value_name = "NAME", value_parser = peer())]
    pub(crate) compat: Vec<Peer>,
}

impl RunArgs {
    pub(crate) fn flags(&self) -> Flags {
        Flags {
            checks: self.checks.clone(),
            listen: self.listen.clone(),
            compat: self.compat.clone(),
            ..self.connect.flags()
        }
    }
}

fn peer() -> impl clap::builder::TypedValueParser<Value = Peer> {
    PossibleValuesParser::new(Peer::NAMES).try_map(|name| Peer::from_name(&name).ok_or("no such exporter"))
}

#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// The collector's address
    #[arg(long, value_name = "URL")]
    pub(crate) collector: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Stop by itself after this long, as in 2m
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) lasts: Option<std::time::Duration>,
    /// Where /metrics, the API and the status page are served
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9464")]
    pub(crate) listen: String,
}

#[derive(Debug, Args)]
pub(crate) struct LagArgs {
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// Only groups whose whole name matches this regular expression
    #[arg(long, short = 'g', value_name = "REGEX")]
    pub(crate) group: Vec<String>,
    /// Only topics whose whole name matches this regular expression
    #[arg(long, short = 't', value_name = "REGEX")]
    pub(crate) topic: Vec<String>,
    /// A line a partition instead of a line a topic
    #[arg(long, short = 'p')]
    pub(crate) partitions: bool,
    /// JSON, as documented in docs/api.md
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Check files, or folders of them
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Write JUnit XML to this file too
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

pub(crate) fn duration(text: &str) -> Result<std::time::Duration, String> {
    checks::yaml::parse_duration_ms(text)
        .map(|ms| std::time::Duration::from_millis(ms.unsigned_abs()))
        .map_err(|error| format!("{}: {}", error.message, error.help))
}
