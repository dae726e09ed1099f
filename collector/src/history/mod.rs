//! What survives a restart: a log of the reports applied, and a checkpoint of the state.
//!
//! A report is written before it is acknowledged; every few seconds the whole state is written and
//! the reports in it go. A start loads the checkpoint and applies the reports after it, which gives
//! the state there was. One SQLite file, held by one collector (docs/adr/0003).
//!
//! A file that is damaged, or written by a later Tapline, is set aside under another name; one that
//! can't be used for any other reason is left alone, and the collector runs in memory. Neither
//! keeps the collector from starting.

mod restore;

#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::{Path, PathBuf};

use checks::report::Report;
use prost::Message;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

pub(crate) use restore::restore;

/// Marks the file as Tapline's ("Tapl").
const APPLICATION_ID: i64 = 0x5461_706c;
/// Version of the tables.
const SCHEMA_VERSION: i64 = 1;
/// Version of the checkpoint's content: any change to what [`crate::state::State`] keeps makes a new
/// one.
const CHECKPOINT_FORMAT: i64 = 6;
/// Speed before size.
const ZSTD_LEVEL: i32 = 1;
/// Largest checkpoint or report read back, bytes: a damaged file must not take all memory.
const UNPACKED_BYTES_MAX: u64 = 4 << 30;

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
}

/// What a history holds.
pub(crate) struct Kept {
    /// The checkpoint, as [`crate::state::State::save`] gave it.
    pub(crate) checkpoint: Option<Vec<u8>>,
    /// Reports applied since, with the time of it.
    pub(crate) reports: Vec<(i64, Report)>,
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
        let mut history = Self { path: path.to_owned(), db, last_report: 0 };
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
        let number =
            |name: &str| self.db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
        let (application, version) =
            (number("application_id").map_err(sort)?, number("user_version").map_err(sort)?);
        let tables: i64 =
            self.db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sort)?;
        if tables == 0 {
            self.create(cluster).map_err(sort)?;
        } else if application != APPLICATION_ID {
            return Err(unusable(
                "this is a database of another program: choose another history.path".to_owned(),
            ));
        } else if version != SCHEMA_VERSION {
            return Err(bad(format!(
                "written by another version of Tapline (tables of version {version}, this one reads {SCHEMA_VERSION})"
            )));
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

    fn create(&mut self, cluster: &str) -> rusqlite::Result<()> {
        let create = self.db.transaction()?;
        create.execute_batch(
            "CREATE TABLE cluster (name TEXT NOT NULL) STRICT;
             CREATE TABLE report (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
             CREATE TABLE checkpoint (
                 one INTEGER PRIMARY KEY CHECK (one = 1),
                 format INTEGER NOT NULL,
                 last_report INTEGER NOT NULL,
                 at_ms INTEGER NOT NULL,
                 body BLOB NOT NULL
             ) STRICT;",
        )?;
        create.execute("INSERT INTO cluster VALUES (?1)", [cluster])?;
        create.pragma_update(None, "application_id", APPLICATION_ID)?;
        create.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        create.commit()
    }

    /// Reads everything back.
    pub(crate) fn read(&self) -> Result<Kept, HistoryError> {
        let bad = |why: String| HistoryError::Bad { path: self.path.clone(), why };
        let sort = |e: rusqlite::Error| sort_out(&self.path, &e);
        let found = self
            .db
            .query_row("SELECT format, last_report, body FROM checkpoint", [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?))
            })
            .optional()
            .map_err(sort)?;
        let (mut checkpoint, mut after) = (None, 0);
        if let Some((format, last_report, body)) = found {
            if format != CHECKPOINT_FORMAT {
                return Err(bad(format!(
                    "written by another version of Tapline (state of version {format}, this one reads {CHECKPOINT_FORMAT})"
                )));
            }
            checkpoint = Some(unpack(&body).map_err(|e| bad(format!("damaged checkpoint: {e}")))?);
            after = last_report;
        }
        let mut reports = Vec::new();
        let mut rows =
            self.db.prepare("SELECT id, at_ms, body FROM report WHERE id > ?1 ORDER BY id").map_err(sort)?;
        let rows = rows
            .query_map([after], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?))
            })
            .map_err(sort)?;
        for row in rows {
            let (id, at_ms, body) = row.map_err(sort)?;
            let body = unpack(&body).map_err(|e| bad(format!("damaged report {id}: {e}")))?;
            let report =
                Report::decode(body.as_slice()).map_err(|e| bad(format!("damaged report {id}: {e}")))?;
            reports.push((at_ms, report));
        }
        Ok(Kept { checkpoint, reports })
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

    /// Writes the whole state; the reports in it go.
    pub(crate) fn checkpoint(&mut self, state: &[u8], at_ms: i64) -> Result<(), HistoryError> {
        let last_report = self.last_report;
        self.write(|write| {
            write.execute(
                "INSERT OR REPLACE INTO checkpoint (one, format, last_report, at_ms, body) VALUES (1, ?1, ?2, ?3, ?4)",
                params![CHECKPOINT_FORMAT, last_report, at_ms, pack(state)?],
            )?;
            write.execute("DELETE FROM report WHERE id <= ?1", [last_report])?;
            Ok(())
        })
    }

    fn write(
        &mut self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), HistoryError> {
        let path = &self.path;
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

fn pack(bytes: &[u8]) -> rusqlite::Result<Vec<u8>> {
    zstd::encode_all(bytes, ZSTD_LEVEL).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

fn unpack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    zstd::Decoder::new(bytes)?.take(UNPACKED_BYTES_MAX).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}
