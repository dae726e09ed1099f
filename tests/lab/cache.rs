//! Parts fetched or built once and then kept.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::place;

/// How often a fetch is tried: networks fail.
const TRIES: u32 = 4;

/// The cached folder `name`, made by `fill` when it isn't there.
///
/// One process fills, others wait for it. A folder is there whole or not at all: it is filled under another name
/// and renamed at the end. `name` says the version, so a new version is a new folder.
pub fn cached(name: &str, fill: impl Fn(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = place::cache();
    let folder = cache.join(name);
    if folder.exists() {
        return Ok(folder);
    }
    fs::create_dir_all(&cache).with_context(|| format!("make the cache folder {}", cache.display()))?;
    let lock = File::create(cache.join(format!("{name}.lock")))?;
    lock.lock().context("lock the cache")?;
    if folder.exists() {
        return Ok(folder);
    }
    let partial = cache.join(format!("{name}.partial"));
    let mut tried = 0;
    loop {
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial)?;
        match fill(&partial) {
            Ok(()) => break,
            Err(_) if tried + 1 < TRIES => {
                tried += 1;
                std::thread::sleep(Duration::from_secs(2 << tried));
            }
            Err(error) => {
                return Err(error.context(format!("fetch {name}, tried {TRIES} times")));
            }
        }
    }
    fs::rename(&partial, &folder)?;
    Ok(folder)
}

/// Like [`cached`], off the async threads.
pub async fn cached_async(
    name: &'static str,
    fill: impl Fn(&Path) -> Result<()> + Send + 'static,
) -> Result<PathBuf> {
    tokio::task::spawn_blocking(move || cached(name, fill)).await?
}

/// Runs a command to its end; its output is in the error when it fails, and returned when it doesn't.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .with_context(|| format!("run {}", command.get_program().to_string_lossy()))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "{command:?} failed with {}:\n{stdout}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(stdout)
}
