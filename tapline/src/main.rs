//! `tapline`: pipeline observability and data quality for Kafka.

mod cli;
mod commands;
mod config;
mod demo;
mod reload;
mod service;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use cli::{Cli, Command};
use commands::Outcome;

fn main() -> ExitCode {
    // clap ends the process with 2 on wrong usage, with 0 after --help.
    let cli = Cli::parse();
    commands::start_log(&cli.log);
    match run(cli) {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Findings) => ExitCode::from(1),
        Err(error) => commands::complain(&error),
    }
}

fn run(cli: Cli) -> anyhow::Result<Outcome> {
    if cli.version {
        return commands::version();
    }
    let Some(command) = cli.command else {
        Cli::command().print_help()?;
        return Ok(Outcome::Good);
    };
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Run(args) => commands::run::run(&args),
        Command::Agent(args) => commands::agent::run(&args),
        Command::Collector(args) => commands::collector::run(&args),
        Command::Lag(args) => commands::lag::run(&args),
        Command::Lint(args) => commands::lint::run(&args),
        Command::Test(args) => commands::test_files(&args),
        Command::Check(args) => commands::check::run(&args),
        Command::Profile(args) => commands::profile::run(&args),
        Command::Diff(args) => commands::diff::run(&args),
        Command::Mark(args) => commands::mark::run(&args),
        Command::Init(args) => commands::init::run(&args),
        Command::Schema(args) => commands::schema::run(&args),
        Command::Completions { shell } => commands::completions(shell),
    }
}
