//! The owner of the state: one thread, a bounded queue in front of it, an immutable view behind it.
//!
//! A full queue is an answer ([`IngestError::Busy`]), never a wait. Readers take the last published
//! [`View`] and never meet the owner.

mod owner;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};

use arc_swap::ArcSwap;
use checks::report::Report;
use checks::rules::CheckSet;
use tokio::sync::{broadcast, mpsc, oneshot};

pub(crate) use owner::Owner;

use crate::state::{KnownPosition, MarkError, Marked, NewMark, Profiled, Stretch, TraceOutcome};
use crate::view::{Finding, View};

/// Why a report was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// The queue is full: send it again a little later (HTTP 503).
    #[error("the collector is busy: its queue of reports is full, send it again in a second")]
    Busy,
    /// It is counted, but not written yet: the history can't be written just now (HTTP 503). Sent again
    /// it is acknowledged as soon as it is kept.
    #[error("the report is counted, but can't be kept just now, send it again: {0}")]
    Unkept(String),
    /// It can't be taken, now or later (HTTP 422): the sender drops it.
    #[error("refused: {0}")]
    Refused(String),
    /// The collector is stopping: send it again when it is back (HTTP 503).
    #[error("the collector is stopping")]
    Stopped,
}

/// What the owner is asked.
pub(crate) enum Command {
    Apply(Box<Report>, oneshot::Sender<Result<(), IngestError>>),
    Positions(Vec<String>, oneshot::Sender<Vec<KnownPosition>>),
    Profile(String, Stretch, oneshot::Sender<Option<Profiled>>),
    SetChecks(Arc<CheckSet>),
    Mark(NewMark, oneshot::Sender<Result<Marked, MarkError>>),
    Unmark(i64, oneshot::Sender<Result<(), MarkError>>),
    ReloadError(Option<String>),
    Stop(oneshot::Sender<()>),
}

/// The way in: cheap to clone, shared by the HTTP receiver and the agent of the same process.
#[derive(Clone)]
pub struct IngestHandle {
    queue: SyncSender<Command>,
}

impl IngestHandle {
    pub(crate) fn new(queue: SyncSender<Command>) -> Self {
        Self { queue }
    }

    /// Hands over a report. `Ok` means that it is in the state and written ahead (or had been
    /// before): its offsets may be committed.
    pub async fn apply(&self, report: Report) -> Result<(), IngestError> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Apply(Box::new(report), answer))?;
        answered.await.unwrap_or(Err(IngestError::Stopped))
    }

    /// Where reading goes on, for the named topics; partitions that are not known are left out.
    pub async fn positions(&self, topics: Vec<String>) -> Result<Vec<KnownPosition>, IngestError> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Positions(topics, answer))?;
        answered.await.map_err(|_| IngestError::Stopped)
    }

    /// The profile of a topic over a stretch of time; `None` for a topic that no agent observes.
    pub async fn profile(&self, topic: String, stretch: Stretch) -> Result<Option<Profiled>, IngestError> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Profile(topic, stretch, answer))?;
        answered.await.map_err(|_| IngestError::Stopped)
    }

    /// Tells of a known event. When it answers, the mark is in force, in the view, and kept.
    pub async fn mark(&self, what: NewMark) -> Result<Result<Marked, MarkError>, IngestError> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Mark(what, answer))?;
        answered.await.map_err(|_| IngestError::Stopped)
    }

    /// Takes a mark back.
    pub async fn unmark(&self, id: i64) -> Result<Result<(), MarkError>, IngestError> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Unmark(id, answer))?;
        answered.await.map_err(|_| IngestError::Stopped)
    }

    /// Puts other rules in force, as a whole.
    pub fn set_checks(&self, checks: Arc<CheckSet>) -> Result<(), IngestError> {
        self.send(Command::SetChecks(checks))
    }

    /// Says that the files on disk can't be put in force, and why; `None` when they are.
    pub fn set_reload_error(&self, error: Option<String>) -> Result<(), IngestError> {
        self.send(Command::ReloadError(error))
    }

    pub(crate) fn stop(&self, done: oneshot::Sender<()>) -> Result<(), IngestError> {
        // Worth waiting for a place in the queue: the last panes are in it.
        self.queue.send(Command::Stop(done)).map_err(|_| IngestError::Stopped)
    }

    fn send(&self, command: Command) -> Result<(), IngestError> {
        self.queue.try_send(command).map_err(|e| match e {
            TrySendError::Full(_) => IngestError::Busy,
            TrySendError::Disconnected(_) => IngestError::Stopped,
        })
    }
}

/// Where the owner's results go.
pub(crate) struct Outlets {
    pub(crate) view: Arc<ArcSwap<View>>,
    pub(crate) findings: broadcast::Sender<Finding>,
    pub(crate) traces: mpsc::Sender<TraceOutcome>,
}
