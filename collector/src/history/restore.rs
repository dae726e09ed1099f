//! The start: the state there was, or a new one, and why.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{History, HistoryError};
use crate::config::Config;
use crate::state::State;

/// Files set aside; beyond it the history can't be used until someone has tidied up.
const SET_ASIDE_MAX: u32 = 100;

/// The state, the history it is kept in from now on, and why there is none although one was asked
/// for.
pub(crate) fn restore(config: &Config) -> (State, Option<History>, Option<String>) {
    let Some(path) = &config.history else { return (State::new(config), None, None) };
    let error = match open(path, config) {
        Ok((state, history)) => return (state, Some(history), None),
        Err(HistoryError::Bad { path, why }) => match set_aside(&path) {
            Ok(aside) => {
                tracing::error!(
                    history = %path.display(),
                    "the history can't be read and counters begin anew: {why}; the old file is kept as {}",
                    aside.display()
                );
                match open(&path, config) {
                    Ok((state, history)) => return (state, Some(history), None),
                    Err(e) => e.to_string(),
                }
            }
            Err(e) => format!("{}: {why}; and it can't be set aside: {e}", path.display()),
        },
        Err(e) => e.to_string(),
    };
    tracing::error!("no history is kept, a restart will begin anew: {error}");
    (State::new(config), None, Some(error))
}

fn open(path: &Path, config: &Config) -> Result<(State, History), HistoryError> {
    let history = History::open(path, &config.cluster)?;
    let kept = history.read()?;
    let mut state = match &kept.checkpoint {
        None => State::new(config),
        Some(bytes) => State::load(config, bytes).map_err(|e| HistoryError::Bad {
            path: path.to_owned(),
            why: format!("damaged checkpoint: {e}"),
        })?,
    };
    let reports = kept.reports.len();
    for (at_ms, report) in kept.reports {
        state.apply(&report, at_ms);
    }
    if reports > 0 || kept.checkpoint.is_some() {
        tracing::info!(history = %path.display(), reports, "state restored");
    }
    Ok((state, history))
}

/// Renames the file and what SQLite keeps beside it.
fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let with = |suffix: &str| {
        let mut name = OsString::from(path);
        name.push(suffix);
        PathBuf::from(name)
    };
    let free = (1..=SET_ASIDE_MAX).map(|n| format!(".bad-{n}")).find(|s| !with(s).exists());
    let Some(suffix) = free else {
        return Err(std::io::Error::other(format!(
            "{SET_ASIDE_MAX} files named {}.bad-… are there already",
            path.display()
        )));
    };
    std::fs::rename(path, with(&suffix))?;
    for beside in ["-wal", "-shm"] {
        match std::fs::rename(with(beside), with(&format!("{suffix}{beside}"))) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(with(&suffix))
}
