//! Which files are check files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{CheckSet, LoadError, SchemaSource};

/// Check files that a run may have.
pub(super) const FILES_MAX: usize = 1_000;
/// Folders within folders that are looked into.
pub(super) const DEPTH_MAX: usize = 16;

/// The check files at `paths`, each once, those of a folder in the order of their names.
pub(super) fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, LoadError> {
    let mut search = Search { files: Vec::new(), seen: HashSet::new() };
    for path in paths {
        let meta = path.metadata().map_err(|source| LoadError::Unreadable { path: path.clone(), source })?;
        if meta.is_dir() {
            search.folder(path, 0)?;
        } else {
            search.file(path)?;
        }
    }
    Ok(search.files)
}

/// What check files, and the schema files that they name, look like from outside: another one than before when one
/// of them was written, came or went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    files: Vec<Seen>,
    /// Some could not be looked for.
    broken: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    /// Links resolved: a mounted folder may be exchanged by changing one.
    path: PathBuf,
    /// `None` where it cannot be looked at.
    length_and_time: Option<(u64, Option<SystemTime>)>,
}

impl Stamp {
    /// Looks at the files at `paths` as [`CheckSet::load`] would find them, and at the schema files of a set that was
    /// loaded. Nothing is read but names, lengths and times.
    pub fn of(paths: &[PathBuf], loaded: &CheckSet) -> Self {
        let found = find(paths);
        let schemas = loaded.files.iter().filter_map(|file| match &file.decode.schema {
            SchemaSource::File(schema) => Some(schema.path.clone()),
            SchemaSource::Registry | SchemaSource::None => None,
        });
        let broken = found.is_err();
        let seen = |path: PathBuf| {
            let length_and_time = path.metadata().ok().map(|meta| (meta.len(), meta.modified().ok()));
            Seen { path: path.canonicalize().unwrap_or(path), length_and_time }
        };
        Self { files: found.unwrap_or_default().into_iter().chain(schemas).map(seen).collect(), broken }
    }
}

struct Search {
    files: Vec<PathBuf>,
    /// Resolved, so that neither a link nor a path given twice is read twice.
    seen: HashSet<PathBuf>,
}

impl Search {
    fn file(&mut self, path: &Path) -> Result<(), LoadError> {
        if self.first_time(path)? {
            if self.files.len() == FILES_MAX {
                return Err(LoadError::TooMany { path: path.to_path_buf() });
            }
            self.files.push(path.to_path_buf());
        }
        Ok(())
    }

    fn folder(&mut self, path: &Path, depth: usize) -> Result<(), LoadError> {
        if !self.first_time(path)? {
            return Ok(());
        }
        if depth > DEPTH_MAX {
            return Err(LoadError::TooMany { path: path.to_path_buf() });
        }
        let unreadable = |source| LoadError::Unreadable { path: path.to_path_buf(), source };
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            // Hidden: version control, editors' files, and the links behind a mounted ConfigMap.
            if !entry.file_name().to_string_lossy().starts_with('.') {
                entries.push(entry.path());
            }
        }
        entries.sort();
        for entry in entries {
            let is_check_file = matches!(entry.extension().and_then(|e| e.to_str()), Some("yaml" | "yml"));
            // Links are followed; one that leads nowhere is an error only if it should be a file.
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => self.folder(&entry, depth + 1)?,
                Ok(_) if is_check_file => self.file(&entry)?,
                Err(source) if is_check_file => return Err(LoadError::Unreadable { path: entry, source }),
                _ => {}
            }
        }
        Ok(())
    }

    fn first_time(&mut self, path: &Path) -> Result<bool, LoadError> {
        let resolved = path
            .canonicalize()
            .map_err(|source| LoadError::Unreadable { path: path.to_path_buf(), source })?;
        Ok(self.seen.insert(resolved))
    }
}
