//! When the check files have changed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use checks::rules::{CheckSet, Stamp};

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// Looks at the check files and says when to read them anew.
#[derive(Debug)]
pub(crate) struct Changes {
    paths: Vec<PathBuf>,
    /// What is in force: it names the schema files.
    checks: Arc<CheckSet>,
    /// Of the files when they were last read, and when they were last looked at.
    read: Stamp,
    seen: Stamp,
}

impl Changes {
    /// These files were just read.
    pub(crate) fn new(paths: &[PathBuf], checks: Arc<CheckSet>) -> Self {
        let read = Stamp::of(paths, &checks);
        Self { paths: paths.to_vec(), checks, seen: read.clone(), read }
    }

    /// Reads them: `read` gives what is in force from now on, if they are taken over.
    pub(crate) fn read(&mut self, read: impl FnOnce() -> Option<Arc<CheckSet>>) {
        let before = Stamp::of(&self.paths, &self.checks);
        let taken = read();
        // What is written meanwhile is a change.
        let still = Stamp::of(&self.paths, &self.checks) == before;
        if let Some(checks) = taken {
            self.checks = checks;
        }
        self.read = if still { Stamp::of(&self.paths, &self.checks) } else { before };
        self.seen.clone_from(&self.read);
    }

    /// Waits until they have changed and come to rest.
    pub(crate) async fn come_to_rest(&mut self) {
        loop {
            tokio::time::sleep(EVERY).await;
            let (paths, checks) = (self.paths.clone(), Arc::clone(&self.checks));
            // A file system may be slow.
            let Ok(now) = tokio::task::spawn_blocking(move || Stamp::of(&paths, &checks)).await else {
                continue;
            };
            if self.look(now) {
                return;
            }
        }
    }

    /// Changed since they were read, and twice the same: nobody is about to write them.
    fn look(&mut self, now: Stamp) -> bool {
        let rests = now == self.seen;
        self.seen = now;
        rests && self.seen != self.read
    }
}

#[cfg(test)]
mod tests {
    use checks::limits::Limits;

    use super::*;

    const CHECKS: &str = "version: 1\ntopic: t\ndecode: { schema: { file: s.json } }\n";

    #[test]
    fn a_change_counts_once_it_has_come_to_rest() {
        let folder = tempfile::tempdir().unwrap();
        let (file, schema) = (folder.path().join("a.yaml"), folder.path().join("s.json"));
        std::fs::write(&file, CHECKS).unwrap();
        std::fs::write(&schema, "{}").unwrap();
        let paths = [folder.path().to_path_buf()];
        let load = || Arc::new(CheckSet::load(&paths, &Limits::default()).unwrap());
        let mut changes = Changes::new(&paths, load());
        let look = |changes: &mut Changes| changes.look(Stamp::of(&paths, &changes.checks));
        assert_eq!([look(&mut changes), look(&mut changes)], [false, false], "nothing has changed");

        std::fs::write(&schema, "{ }").unwrap();
        assert_eq!([look(&mut changes), look(&mut changes)], [false, true], "a schema file");
        changes.read(|| Some(load()));
        assert_eq!([look(&mut changes), look(&mut changes)], [false, false]);

        std::fs::write(&file, "version: 1\n").unwrap();
        assert!(!look(&mut changes));
        std::fs::write(&file, "version: 1\ntopic").unwrap();
        assert_eq!([look(&mut changes), look(&mut changes)], [false, true], "still being written, then not");
        changes.read(|| None);
        assert_eq!([look(&mut changes), look(&mut changes)], [false, false], "a broken file is read once");
        changes.read(|| {
            std::fs::write(&file, "version: 1\ntopic: t\n").unwrap();
            None
        });
        assert_eq!([look(&mut changes), look(&mut changes)], [false, true], "written while it was read");

        std::fs::remove_file(&file).unwrap();
        assert_eq!([look(&mut changes), look(&mut changes)], [false, true], "it went");
        changes.read(|| None);
        std::fs::rename(folder.path(), folder.path().with_extension("away")).unwrap();
        assert_eq!([look(&mut changes), look(&mut changes)], [false, true], "the folder went");
        std::fs::rename(folder.path().with_extension("away"), folder.path()).unwrap();
    }
}
