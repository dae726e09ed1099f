//! Where the lab keeps things, and how what a dead owner left is cleared away.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// The folder of the workspace.
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => workspace().join(folder),
        None => workspace().join("target"),
    }
}

/// The folder of downloaded and built parts; `TAPLINE_LAB_CACHE` shares one among check-outs.
pub fn cache() -> PathBuf {
    match std::env::var_os("TAPLINE_LAB_CACHE") {
        Some(folder) => PathBuf::from(folder),
        None => target().join("lab-cache"),
    }
}

/// A folder for one part's data and logs: `target/lab/<pid of the owner>-<n>`.
///
/// Removed when dropped, unless the test is failing or `TAPLINE_LAB_KEEP` is set: then its logs are evidence,
/// kept until the next run starts.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes an empty folder; the first of a process also clears away what dead owners left.
    pub fn new() -> Result<Self> {
        static REAP: Once = Once::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let lab = target().join("lab");
        REAP.call_once(|| reap(&lab));
        let owner = std::process::id();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = lab.join(format!("{owner}-{number}"));
        if path.exists() {
            // An earlier process had this id.
            clear(&path);
        }
        fs::create_dir_all(path.join("pids"))
            .with_context(|| format!("make the lab folder {}", path.display()))?;
        let started = start_time(owner).unwrap_or_default();
        fs::write(path.join("owner"), format!("{owner} {started}"))?;
        Ok(Self { path })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes a process started for this folder, so that a later start can end it should we die.
    pub(crate) fn note(&self, name: &str, pids: &[u32]) -> Result<()> {
        let lines: Vec<String> = pids
            .iter()
            .filter_map(|&pid| start_time(pid).map(|started| format!("{pid} {started}")))
            .collect();
        fs::write(self.path.join("pids").join(name), lines.join("\n"))?;
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() && std::env::var_os("TAPLINE_LAB_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// When a process was started, in clock ticks since boot; `None` when there is no such process.
///
/// With the id it names a process for good: ids come round again.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name stands in parentheses and may hold spaces; field 3 follows it, this is field 22.
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let zombie = fields.first() == Some(&"Z");
    if zombie {
        return None;
    }
    fields.get(19)?.parse().ok()
}

/// Whether the process `pid started` of a note still runs.
fn runs(note: &str) -> Option<u32> {
    let (pid, started) = note.trim().split_once(' ')?;
    let pid: u32 = pid.parse().ok()?;
    let started: u64 = started.parse().ok()?;
    (start_time(pid) == Some(started)).then_some(pid)
}

fn reap(lab: &Path) {
    let Ok(folders) = fs::read_dir(lab) else {
        return;
    };
    for folder in folders.flatten() {
        let path = folder.path();
        let Ok(owner) = fs::read_to_string(path.join("owner")) else {
            // Being made by another process just now, or not ours.
            continue;
        };
        if runs(&owner).is_none() {
            clear(&path);
        }
    }
}

/// Ends the processes noted in a folder and removes it.
fn clear(path: &Path) {
    if let Ok(notes) = fs::read_dir(path.join("pids")) {
        for note in notes.flatten() {
            let text = fs::read_to_string(note.path()).unwrap_or_default();
            for pid in text.lines().filter_map(runs) {
                let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
            }
        }
    }
    let _ = fs::remove_dir_all(path);
}
