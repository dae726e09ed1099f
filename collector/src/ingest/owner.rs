//! The owner's loop: the only place in the collector that brings a clock to the state.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use checks::report::Report;
use tokio::sync::{oneshot, watch};

use super::{Command, IngestError, Outlets};
use crate::cluster::snapshot::ClusterSnapshot;
use crate::history::{History, HistoryError};
use crate::state::{Applied, MarkError, Marked, NewMark, State};

/// How often time passes for the state.
const TICK: Duration = Duration::from_millis(250);
/// The least time between two views, unless a verdict changed.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// The least time between two checkpoints.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);
/// The same while the history can't be written.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// A checkpoint may take one part in so many of the owner's time.
const CHECKPOINT_SHARE: u32 = 20;
/// Reports that are written in one transaction.
const BATCH_MAX: usize = 64;

type Answer = oneshot::Sender<Result<(), IngestError>>;

/// The state, with everything it is connected to.
pub(crate) struct Owner {
    state: State,
    history: Option<History>,
    /// How long it reaches back, ms.
    keep_ms: i64,
    history_error: Option<String>,
    commands: Receiver<Command>,
    cluster: watch::Receiver<Arc<ClusterSnapshot>>,
    outlets: Outlets,
    reload_error: Option<String>,
    /// Changed since the last view.
    changed: bool,
    published: Instant,
    /// Changed since the last checkpoint.
    unsaved: bool,
    saved: Instant,
    save_took: Duration,
}

impl Owner {
    pub(crate) fn new(
        state: State,
        (history, keep_ms): (Option<History>, i64),
        history_error: Option<String>,
        commands: Receiver<Command>,
        cluster: watch::Receiver<Arc<ClusterSnapshot>>,
        outlets: Outlets,
    ) -> Self {
        Self {
            state,
            history,
            keep_ms,
            history_error,
            commands,
            cluster,
            outlets,
            reload_error: None,
            changed: true,
            published: Instant::now(),
            unsaved: true,
            saved: Instant::now(),
            save_took: Duration::ZERO,
        }
    }

    /// Runs until it is stopped or nobody can reach it any more.
    pub(crate) fn run(mut self) {
        self.publish();
        let mut ticked = Instant::now();
        let mut done = None;
        while done.is_none() {
            let mut next = match self.commands.recv_timeout(TICK.saturating_sub(ticked.elapsed())) {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut reports = Vec::new();
            while let Some(command) = next.take() {
                match command {
                    Command::Apply(report, answer) => reports.push((report, answer)),
                    Command::Stop(answer) => done = Some(answer),
                    other => self.handle(other),
                }
                if done.is_none() && reports.len() < BATCH_MAX {
                    next = self.commands.try_recv().ok();
                }
            }
            self.apply(reports);
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                let cluster = Arc::clone(&self.cluster.borrow());
                self.state.tick(now_ms(), Some(&cluster));
                self.changed = true;
            }
            let told = self.tell();
            if told || (self.changed && self.published.elapsed() >= PUBLISH_EVERY) {
                self.publish();
            }
            let every = if self.history_error.is_some() { RETRY_EVERY } else { CHECKPOINT_EVERY };
            if self.saved.elapsed() >= every.max(self.save_took * CHECKPOINT_SHARE) {
                self.checkpoint();
            }
        }
        self.tell();
        self.checkpoint();
        self.publish();
        if let Some(done) = done {
            // Nobody waiting is fine.
            let _ = done.send(());
        }
    }

    /// Applies reports, writes those that are new, and only then acknowledges them. While the history
    /// can't be written nothing is acknowledged, so that agents keep what a restart would lose; each
    /// sends one report again and again, which is counted once.
    fn apply(&mut self, reports: Vec<(Box<Report>, Answer)>) {
        if reports.is_empty() {
            return;
        }
        let at_ms = now_ms();
        let (mut new, mut answers): (Vec<Box<Report>>, Vec<(Answer, _)>) = (Vec::new(), Vec::new());
        for (report, answer) in reports {
            let outcome = match self.state.apply(&report, at_ms) {
                Applied::Applied => {
                    new.push(report);
                    Ok(())
                }
                Applied::Duplicate => Ok(()),
                Applied::Refused(refusal) => {
                    tracing::warn!(reason = refusal.reason, "report refused: {}", refusal.message);
                    Err(IngestError::Refused(refusal.message))
                }
            };
            answers.push((answer, outcome));
        }
        self.changed = true;
        self.unsaved |= !new.is_empty();
        // While something is missing in it, a log that went on would hide the gap: the next
        // checkpoint that succeeds has everything.
        let whole = self.history_error.is_none() && !new.is_empty();
        if let Some(history) = self.history.as_mut().filter(|_| whole) {
            let written = history.append(new.iter().map(|r| (at_ms, r.as_ref())));
            if let Err(error) = written {
                self.complain(&error.to_string());
            }
        }
        let unkept = self.history.as_ref().and(self.history_error.as_ref());
        for (answer, outcome) in answers {
            let outcome = match (outcome, unkept) {
                (Ok(()), Some(error)) => Err(IngestError::Unkept(error.clone())),
                (outcome, _) => outcome,
            };
            // A sender that went away sends again; the sequence tells.
            let _ = answer.send(outcome);
        }
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Positions(topics, answer) => {
                // What a restart would lose is no place to go on from; an agent's own commits are.
                let is_kept = self.history.is_none() || self.history_error.is_none();
                let known = if is_kept { self.state.positions(&topics) } else { Vec::new() };
                let _ = answer.send(known);
            }
            Command::Mark(what, answer) => {
                let marked = self.mark(what);
                self.publish();
                let _ = answer.send(marked);
            }
            Command::Unmark(id, answer) => {
                let unmarked = self.unmark(id);
                self.publish();
                let _ = answer.send(unmarked);
            }
            Command::Profile(topic, stretch, answer) => {
                let _ = answer.send(self.state.profile(&topic, stretch));
            }
            Command::SetChecks(checks) => {
                self.state.set_checks(checks);
                self.reload_error = None;
                self.changed = true;
            }
            Command::ReloadError(error) => {
                self.reload_error = error;
                self.changed = true;
            }
            Command::Apply(..) | Command::Stop(_) => {}
        }
    }

    /// Writes a mark, and puts it in force.
    fn mark(&mut self, what: NewMark) -> Result<Marked, MarkError> {
        let mark = self.state.draft_mark(what, now_ms())?;
        self.keep_mark(|history| history.mark(&mark))?;
        self.unsaved = true;
        let marked = self.state.mark(mark)?;
        Ok(Marked { kept: self.history.is_some(), ..marked })
    }

    fn unmark(&mut self, id: i64) -> Result<(), MarkError> {
        if !self.state.has_mark(id) {
            return Err(MarkError::Unknown(id));
        }
        self.keep_mark(|history| history.unmark(id))?;
        self.unsaved = true;
        self.state.unmark(id)
    }

    /// Writes what is done with a mark, in its place among the reports: not while some of them are
    /// missing there.
    fn keep_mark(
        &mut self,
        write: impl FnOnce(&mut History) -> Result<(), HistoryError>,
    ) -> Result<(), MarkError> {
        let Some(history) = self.history.as_mut() else { return Ok(()) };
        if let Some(error) = &self.history_error {
            return Err(MarkError::Unkept(error.clone()));
        }
        write(history).map_err(|error| {
            let error = error.to_string();
            self.complain(&error);
            MarkError::Unkept(error)
        })
    }

    /// Passes on findings and traces; says whether verdicts changed.
    fn tell(&mut self) -> bool {
        let findings = self.state.take_findings();
        let told = !findings.is_empty();
        for finding in findings {
            // No listener is no loss: findings are in the view.
            let _ = self.outlets.findings.send(finding);
        }
        for trace in self.state.take_traces() {
            if self.outlets.traces.try_send(trace).is_err() {
                self.state.count_untold_trace();
            }
        }
        told
    }

    fn publish(&mut self) {
        let mut view = self.state.view(now_ms());
        view.ingest.reload_error.clone_from(&self.reload_error);
        view.ingest.history_error.clone_from(&self.history_error);
        self.outlets.view.store(Arc::new(view));
        self.published = Instant::now();
        self.changed = false;
    }

    fn checkpoint(&mut self) {
        let Some(history) = self.history.as_mut().filter(|_| self.unsaved) else { return };
        let begun = Instant::now();
        let encoded = self.state.save().and_then(|core| Ok((core, self.state.unkept()?)));
        let saved = match encoded {
            Ok((core, baselines)) => {
                let (at_ms, watched) = (now_ms(), self.state.watched().collect());
                let keep_from_ms = at_ms.saturating_sub(self.keep_ms);
                let written = history.checkpoint(&core, &baselines, &watched, at_ms, keep_from_ms);
                written.map_err(|e| e.to_string())
            }
            Err(e) => Err(format!("the state can't be encoded: {e}")),
        };
        self.saved = Instant::now();
        self.save_took = begun.elapsed();
        match saved {
            Ok(()) => {
                self.unsaved = false;
                self.state.kept();
                if self.history_error.take().is_some() {
                    tracing::info!("the history is written again, nothing of it is missing");
                }
            }
            Err(error) => self.complain(&error),
        }
    }

    /// Says so once, and in every view until it is over.
    fn complain(&mut self, error: &str) {
        if self.history_error.is_none() {
            tracing::error!(
                "the history can't be written: nothing is acknowledged until it can, so that agents keep what they read; tried again every second: {error}"
            );
        }
        self.history_error = Some(error.to_owned());
    }
}

/// The collector's clock, ms since the epoch.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
