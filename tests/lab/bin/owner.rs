//! A process that owns a part of the lab, for the tests of what happens when the owner is killed.
//!
//! `lab-owner fetch` fills the cache; `lab-owner hold` starts a part, prints `PID GUARDIAN FOLDER` and waits to be killed; `lab-owner folder` makes a
//! folder, which clears away what dead owners left, and ends.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};

#[allow(clippy::print_stdout, reason = "it tells its starter")]
fn main() -> Result<()> {
    let folder = Arc::new(lab::place::Folder::new()?);
    match std::env::args().nth(1).as_deref() {
        Some("hold") => {
            let mut command = std::process::Command::new("sleep");
            command.arg("600");
            let process = lab::Process::start(&folder, "sleeper", &command)?;
            let notes = std::fs::read_to_string(folder.path().join("pids/sleeper"))?;
            let guardian = notes.split(' ').next().unwrap_or_default();
            println!("{} {guardian} {}", process.pid(), folder.path().display());
            std::thread::sleep(Duration::from_secs(600));
            Ok(())
        }
        Some("folder") => Ok(()),
        Some("fetch") => tokio::runtime::Runtime::new()?.block_on(lab::fetch()),
        other => bail!("`lab-owner fetch`, `hold` or `folder`, not {other:?}"),
    }
}
