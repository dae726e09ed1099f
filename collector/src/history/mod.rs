//! What survives a restart: a log of the reports applied, a checkpoint of the state, what detectors
//! have learned, and marks.
//!
//! A report is written before it is acknowledged; every few seconds the whole state is written and
//! the reports in it go. A start loads the checkpoint and applies the reports after it, which gives
//! the state there was. One SQLite file, held by one collector (docs/adr/0003).
//!
//! Baselines are rows of their own, written in the transaction of the checkpoint: a pane is in both
//! or in neither, so that none is learned twice or passed over when reports are applied again. They
//! outlive the checkpoint: one that this version can't read goes alone (docs/adr/0012).
//!
//! A mark stands in the log by the report that it came after, and takes effect there again. What was
//! taken back stays until the next checkpoint for the same reason.
//!
//! A file that is damaged, or written by a later Tapline, is set aside under another name; one that
//! can't be used for any other reason is left alone, and the collector runs in memory. Neither
//! keeps the collector from starting.

mod packed;
mod restore;
mod tables;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use checks::report::Report;
use packed::{pack, unpack};
use prost::Message;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};

pub(crate) use restore::restore;

use crate::state::{Baseline, Mark, NewMark};

/// Version of the checkpoint's content: any change to what [`crate::state::State::save`] gives makes a
/// new one.
const CHECKPOINT_FORMAT: i64 = 7;

/// Why the history can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HistoryError {
    /// The content is no good: set the file aside and begin anew.
    #[error("{}: {why}", path.display())]
    Bad { path: PathBuf, why: String },
    /// The file can't be used, and is not ours to touch.
    #[error("{}: {why}", path.display())]
    Unusable { path: PathBuf, why: String },
}

/// An open history.
#[derive(Debug)]
pub(crate) struct History {
    path: PathBuf,
    db: Connection,
    /// Id of the last report written.
    last_report: i64,
    /// The most pages that the file may have: a full disk.
    #[cfg(test)]
    pub(crate) pages_max: std::sync::Arc<std::sync::atomic::AtomicU32>,
}

/// What a history holds.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The checkpoint, as [`crate::state::State::save`] gave it.
    pub(crate) checkpoint: Option<Vec<u8>>,
    /// When the checkpoint that there is was written, ms.
    pub(crate) checkpoint_ms: Option<i64>,
    /// What detectors had learned at the time of the checkpoint.
    pub(crate) baselines: Vec<Baseline>,
    /// What came since, in order.
    pub(crate) log: Vec<Entry>,
    /// The last number that a mark was given.
    pub(crate) last_mark: i64,
    /// What could not be read, and is left out.
    pub(crate) damaged: Vec<String>,
    /// Of panes up to this time some may be missing, ms.
    pub(crate) lost_to_ms: Option<i64>,
}

/// What the state takes up again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    /// A report, applied at that time.
    Report(i64, Box<Report>),
    /// A mark was put in force.
    Mark(Mark),
    /// A mark was taken back.
    Unmark(i64),
}

impl History {
    /// Opens the file, made if there is none.
    pub(crate) fn open(path: &Path, cluster: &str) -> Result<Self, HistoryError> {
        let unusable = |why: String| HistoryError::Unusable { path: path.to_owned(), why };
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|e| unusable(format!("cannot make the folder {}: {e}", folder.display())))?;
        }
        let db = Connection::open(path).map_err(|e| sort_out(path, &e))?;
        let mut history = Self {
            path: path.to_owned(),
            db,
            last_report: 0,
            #[cfg(test)]
            pages_max: std::sync::Arc::new(u32::MAX.into()),
        };
        history.prepare().map_err(|e| sort_out(path, &e))?;
        history.check_identity(cluster)?;
        Ok(history)
    }

    fn prepare(&mut self) -> rusqlite::Result<()> {
        self.db.busy_timeout(std::time::Duration::from_millis(500))?;
        // One collector a file: a second one is told so instead of mixing two states.
        self.db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        self.db.pragma_update(None, "journal_mode", "WAL")?;
        self.db.pragma_update(None, "synchronous", "NORMAL")
    }

    fn check_identity(&mut self, cluster: &str) -> Result<(), HistoryError> {
        let path = self.path.clone();
        let sort = |e: rusqlite::Error| sort_out(&path, &e);
        let bad = |why: String| HistoryError::Bad { path: path.clone(), why };
        let unusable = |why: String| HistoryError::Unusable { path: path.clone(), why };
        let found = tables::look(&self.db).map_err(sort)?;
        match found {
            tables::Found::Nothing => tables::create(&mut self.db, cluster).map_err(sort)?,
            tables::Found::Foreign => {
                return Err(unusable(
                    "this is a database of another program: choose another history.path".to_owned(),
                ));
            }
            tables::Found::Version(version) if !tables::is_known(version) => {
                return Err(bad(format!(
                    "written by a {} version of Tapline (tables of version {version}, this one reads {})",
                    if version > tables::VERSION { "later" } else { "former" },
                    tables::VERSION
                )));
            }
            tables::Found::Version(_) => {}
        }
        let state: String = self.db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(sort)?;
        if state != "ok" {
            return Err(bad(format!("damaged: {state}")));
        }
        let owner: String =
            self.db.query_row("SELECT name FROM cluster", [], |row| row.get(0)).map_err(sort)?;
        if owner != cluster {
            return Err(unusable(format!(
                "this is the history of cluster {owner:?}, not of {cluster:?}: give each cluster a history.path of its own"
            )));
        }
        tables::migrate(&mut self.db).map_err(sort)?;
        self.last_report = self
            .db
            .query_row(
                "SELECT max(coalesce((SELECT max(id) FROM report), 0), coalesce((SELECT last_report FROM checkpoint), 0))",
                [],
                |row| row.get(0),
            )
            .map_err(sort)?;
        Ok(())
    }

    /// Reads everything back. What can't be read goes alone, and is told of.
    pub(crate) fn read(&self) -> Result<Kept, HistoryError> {
        self.read_all().map_err(|e| sort_out(&self.path, &e))
    }

    fn read_all(&self) -> rusqlite::Result<Kept> {
        let mut kept = Kept::default();
        let found = self
            .db
            .query_row("SELECT format, last_report, at_ms, body FROM checkpoint", [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, row.get::<_, Vec<u8>>(3)?))
            })
            .optional()?;
        let mut after = 0;
        if let Some((format, last_report, at_ms, body)) = found {
            let read = if format == CHECKPOINT_FORMAT {
                unpack(&body).map_err(|e| format!("it is damaged: {e}"))
            } else {
                Err(format!(
                    "another version of Tapline wrote it (format {format}, this one reads {CHECKPOINT_FORMAT})"
                ))
            };
            after = last_report;
            kept.checkpoint_ms = Some(at_ms);
            match read {
                Ok(checkpoint) => kept.checkpoint = Some(checkpoint),
                Err(why) => {
                    kept.lost_to_ms = Some(at_ms);
                    kept.damaged.push(lost_checkpoint(&why));
                }
            }
        }
        self.read_baselines(&mut kept)?;
        let mut marks = self.read_marks(after, &mut kept)?.into_iter().peekable();
        let mut rows = self.db.prepare("SELECT id, at_ms, body FROM report WHERE id > ?1 ORDER BY id")?;
        let mut rows = rows.query([after])?;
        while let Some(row) = rows.next()? {
            let (id, at_ms, body): (i64, i64, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            while let Some((_, entry)) = marks.next_if(|(place, _)| *place < id) {
                kept.log.push(entry);
            }
            let report = unpack(&body)
                .map_err(|e| e.to_string())
                .and_then(|body| Report::decode(body.as_slice()).map_err(|e| e.to_string()));
            match report {
                Ok(report) => kept.log.push(Entry::Report(at_ms, Box::new(report))),
                Err(why) => {
                    kept.lost_to_ms = kept.lost_to_ms.max(Some(at_ms));
                    kept.damaged.push(format!("report {id} is damaged and left out: {why}"));
                }
            }
        }
        kept.log.extend(marks.map(|(_, entry)| entry));
        Ok(kept)
    }

    fn read_baselines(&self, kept: &mut Kept) -> rusqlite::Result<()> {
        let mut rows =
            self.db.prepare("SELECT topic, format, as_of_ms, body FROM baseline ORDER BY as_of_ms DESC")?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let (topic, body): (String, Vec<u8>) = (row.get(0)?, row.get(3)?);
            match unpack(&body) {
                Ok(body) => {
                    let (format, as_of_ms) = (row.get(1)?, row.get(2)?);
                    kept.baselines.push(Baseline { topic, format, as_of_ms, body });
                }
                Err(e) => kept.damaged.push(lost_baseline(&topic, &format!("damaged: {e}"))),
            }
        }
        Ok(())
    }

    /// What was done with marks, by the report that it came after; of those in the checkpoint, what
    /// is left.
    fn read_marks(&self, after: i64, kept: &mut Kept) -> rusqlite::Result<Vec<(i64, Entry)>> {
        let mut entries = Vec::new();
        let mut rows = self.db.prepare(
            "SELECT id, topics, from_ms, to_ms, note, made_ms, after_report, removed_after FROM mark ORDER BY id",
        )?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let (id, topics): (i64, String) = (row.get(0)?, row.get(1)?);
            let removed: Option<i64> = row.get(7)?;
            if removed.is_some_and(|removed| removed <= after) {
                continue;
            }
            match serde_json::from_str(&topics) {
                Ok(topics) => {
                    let what =
                        NewMark { topics, from_ms: row.get(2)?, to_ms: row.get(3)?, note: row.get(4)? };
                    entries.push((row.get(6)?, Entry::Mark(Mark { id, made_ms: row.get(5)?, what })));
                    entries.extend(removed.map(|removed| (removed, Entry::Unmark(id))));
                }
                Err(why) => kept.damaged.push(format!("mark {id} is damaged and left out: {why}")),
            }
        }
        kept.last_mark = self
            .db
            .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'mark'", [], |row| row.get(0))
            .optional()?
            .unwrap_or(0);
        // Stable: a mark comes before what takes it back.
        entries.sort_by_key(|(place, _)| *place);
        Ok(entries)
    }

    /// Writes reports that were applied, all or none.
    pub(crate) fn append<'a>(
        &mut self,
        reports: impl IntoIterator<Item = (i64, &'a Report)>,
    ) -> Result<(), HistoryError> {
        let mut last_report = self.last_report;
        self.write(|write| {
            let mut insert =
                write.prepare_cached("INSERT INTO report (id, at_ms, body) VALUES (?1, ?2, ?3)")?;
            for (at_ms, report) in reports {
                last_report += 1;
                insert.execute(params![last_report, at_ms, pack(&report.encode_to_vec())?])?;
            }
            Ok(())
        })?;
        self.last_report = last_report;
        Ok(())
    }

    /// Writes the whole state; the reports in it go. Of baselines those that have changed; those of
    /// topics that are not `watched` any more go, and marks that ended before `keep_from_ms`.
    pub(crate) fn checkpoint(
        &mut self,
        state: &[u8],
        baselines: &[Baseline],
        watched: &BTreeSet<&str>,
        at_ms: i64,
        keep_from_ms: i64,
    ) -> Result<(), HistoryError> {
        let last_report = self.last_report;
        self.write(|write| {
            // First: what they leave is room for the rest.
            write.execute("DELETE FROM report WHERE id <= ?1", [last_report])?;
            write.execute(
                "INSERT OR REPLACE INTO checkpoint (one, format, last_report, at_ms, body) VALUES (1, ?1, ?2, ?3, ?4)",
                params![CHECKPOINT_FORMAT, last_report, at_ms, pack(state)?],
            )?;
            write.execute("DELETE FROM mark WHERE removed_after IS NOT NULL OR to_ms < ?1", [keep_from_ms])?;
            put_baselines(write, baselines)?;
            let mut kept = write.prepare_cached("SELECT topic FROM baseline")?;
            let kept = kept.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
            let mut delete = write.prepare_cached("DELETE FROM baseline WHERE topic = ?1")?;
            for topic in kept.iter().filter(|topic| !watched.contains(topic.as_str())) {
                delete.execute([topic])?;
            }
            Ok(())
        })
    }

    /// Writes a mark that is put in force after the last report.
    pub(crate) fn mark(&mut self, mark: &Mark) -> Result<(), HistoryError> {
        let last_report = self.last_report;
        self.write(|write| {
            let what = &mark.what;
            let topics = serde_json::Value::from(what.topics.clone()).to_string();
            write.execute(
                "INSERT INTO mark (id, topics, from_ms, to_ms, note, made_ms, after_report) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![mark.id, topics, what.from_ms, what.to_ms, what.note, mark.made_ms, last_report],
            )?;
            Ok(())
        })
    }

    /// Writes that a mark is taken back after the last report.
    pub(crate) fn unmark(&mut self, id: i64) -> Result<(), HistoryError> {
        let last_report = self.last_report;
        self.write(|write| {
            write.execute("UPDATE mark SET removed_after = ?2 WHERE id = ?1", [id, last_report])?;
            Ok(())
        })
    }

    fn write(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), HistoryError> {
        let path = &self.path;
        #[cfg(test)]
        tests::fill(&self.db, &self.pages_max);
        let transaction = self.db.transaction().map_err(|e| sort_out(path, &e))?;
        work(&transaction).map_err(|e| sort_out(path, &e))?;
        transaction.commit().map_err(|e| sort_out(path, &e))
    }
}

/// Is the content at fault, or the place?
fn sort_out(path: &Path, error: &rusqlite::Error) -> HistoryError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            HistoryError::Bad { path, why: format!("damaged: {error}") }
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => HistoryError::Unusable {
            path,
            why: "another process has it open: is a second collector running on the same history.path?"
                .to_owned(),
        },
        // A table or column that is not there, a value of another type.
        None | Some(ErrorCode::Unknown) => HistoryError::Bad { path, why: error.to_string() },
        Some(_) => HistoryError::Unusable { path, why: error.to_string() },
    }
}

fn put_baselines(write: &Transaction<'_>, baselines: &[Baseline]) -> rusqlite::Result<()> {
    let mut put = write.prepare_cached(
        "INSERT OR REPLACE INTO baseline (topic, format, as_of_ms, body) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for baseline in baselines {
        put.execute(params![baseline.topic, baseline.format, baseline.as_of_ms, pack(&baseline.body)?])?;
    }
    Ok(())
}

/// What it means that a checkpoint can't be read.
fn lost_checkpoint(why: &str) -> String {
    format!(
        "the checkpoint can't be read: {why}; counters, windows and findings begin anew, \
         what detectors have learned and marks stay"
    )
}

/// What it means that a baseline can't be read.
fn lost_baseline(topic: &str, why: &str) -> String {
    format!("what detectors had learned of topic {topic:?} can't be read and is learned anew: {why}")
}
