//! The start: the state there was, or a new one, and why.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Entry, History, HistoryError, Kept, lost_baseline, lost_checkpoint};
use crate::config::Config;
use crate::state::State;

/// Files set aside; beyond it the history can't be used until someone has tidied up.
const SET_ASIDE_MAX: u32 = 100;
/// Parts that could not be read that the log names; the others are counted.
const DAMAGES_TOLD: usize = 20;

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
    let state = resume(path, config, history.read()?);
    Ok((state, history))
}

/// The state that a history holds.
fn resume(path: &Path, config: &Config, mut kept: Kept) -> State {
    let is_known = kept.checkpoint_ms.is_some() || !kept.log.is_empty();
    let loaded = kept.checkpoint.map(|core| State::load(config, &core));
    let mut state = match loaded {
        Some(Ok(state)) => state,
        None => State::new(config),
        Some(Err(why)) => {
            kept.lost_to_ms = kept.lost_to_ms.max(kept.checkpoint_ms);
            kept.damaged.push(lost_checkpoint(&format!("it is damaged: {why}")));
            State::new(config)
        }
    };
    for baseline in &kept.baselines {
        if let Err(why) = state.take_up(baseline) {
            kept.damaged.push(lost_baseline(&baseline.topic, &why));
        }
    }
    state.resume(kept.lost_to_ms);
    state.begin_marks_after(kept.last_mark);
    let mut reports = 0;
    for entry in kept.log {
        match entry {
            Entry::Report(at_ms, report) => {
                reports += 1;
                state.apply(&report, at_ms);
            }
            Entry::Mark(mark) => {
                let id = mark.id;
                if let Err(why) = state.mark(mark) {
                    kept.damaged.push(format!("mark {id} is left out: {why}"));
                }
            }
            // It may have been over before.
            Entry::Unmark(id) => _ = state.unmark(id),
        }
    }
    for what in kept.damaged.iter().take(DAMAGES_TOLD) {
        tracing::error!(history = %path.display(), "{what}");
    }
    if kept.damaged.len() > DAMAGES_TOLD {
        let more = kept.damaged.len() - DAMAGES_TOLD;
        tracing::error!(history = %path.display(), "and {more} more such parts of it");
    }
    if is_known {
        tracing::info!(history = %path.display(), reports, "state restored");
    }
    state
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
