//! The tables, and the way from those of former versions.

use rusqlite::{Connection, Transaction};

/// Marks the file as Tapline's ("Tapl").
const APPLICATION_ID: i64 = 0x5461_706c;
/// Version of the tables: 1 had no baselines and marks of their own.
pub(super) const VERSION: i64 = 2;

/// What stands in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// Of another program.
    Foreign,
    Version(i64),
}

pub(super) fn look(db: &Connection) -> rusqlite::Result<Found> {
    let number = |name: &str| db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(if tables == 0 {
        Found::Nothing
    } else if number("application_id")? != APPLICATION_ID {
        Found::Foreign
    } else {
        Found::Version(number("user_version")?)
    })
}

/// Is it this one, or is there a way from it?
pub(super) fn is_known(version: i64) -> bool {
    (1..=VERSION).contains(&version)
}

pub(super) fn create(db: &mut Connection, cluster: &str) -> rusqlite::Result<()> {
    let create = db.transaction()?;
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
    create_of_two(&create)?;
    create.execute("INSERT INTO cluster VALUES (?1)", [cluster])?;
    create.pragma_update(None, "application_id", APPLICATION_ID)?;
    create.pragma_update(None, "user_version", VERSION)?;
    create.commit()
}

/// What version 2 added.
fn create_of_two(create: &Transaction<'_>) -> rusqlite::Result<()> {
    create.execute_batch(
        "CREATE TABLE baseline (
             topic TEXT PRIMARY KEY,
             format INTEGER NOT NULL,
             as_of_ms INTEGER NOT NULL,
             body BLOB NOT NULL
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE mark (
             id INTEGER PRIMARY KEY AUTOINCREMENT,
             topics TEXT NOT NULL,
             from_ms INTEGER NOT NULL,
             to_ms INTEGER NOT NULL,
             note TEXT NOT NULL,
             made_ms INTEGER NOT NULL,
             after_report INTEGER NOT NULL,
             removed_after INTEGER
         ) STRICT;",
    )
}

/// Brings the tables to this version, all or nothing.
pub(super) fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == VERSION {
        return Ok(());
    }
    let change = db.transaction()?;
    // Detectors were part of the checkpoint: it goes with its format, and topics are learned anew.
    create_of_two(&change)?;
    change.pragma_update(None, "user_version", VERSION)?;
    change.commit()?;
    tracing::info!("the history was brought from tables of version {version} to {VERSION}");
    Ok(())
}
