//! Every mistake that a check file can hold has a golden file: `golden/NAME.yaml` and what is said
//! of it, `golden/NAME.expected`. With `UPDATE_GOLDEN=1` the expectations are written anew, for a
//! person to read before they are committed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use checks::limits::Limits;
use checks::rules::{CheckFile, Loader};

#[test]
fn every_mistake_is_said_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let limits = Limits::default();
    let files = Loader::files(&limits);
    // Named from the folder itself, so that expectations name no machine's paths.
    let read =
        |path: &Path| std::fs::read_to_string(folder.join(path)).map_err(|error| error.kind().to_string());
    let loader = Loader::with(files.limits, read);

    let mut differences = String::new();
    let names = golden(&folder);
    assert!(names.len() > 80, "only {} golden files: is the folder whole?", names.len());
    for name in names {
        let text = std::fs::read_to_string(folder.join(&name)).unwrap();
        let (file, found) = CheckFile::inspect(&name, &text, &loader);
        assert_eq!(file.is_some(), found.errors() == 0, "{}", name.display());
        assert!(!found.is_empty(), "{} has no mistake", name.display());
        let said = format!("{found}\n");
        let expected_at = folder.join(name.with_extension("expected"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&expected_at, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_at).unwrap_or_default();
        if said != expected {
            let _ = writeln!(differences, "{}:\n{said}--- expected:\n{expected}", name.display());
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

fn golden(folder: &Path) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| PathBuf::from(entry.unwrap().file_name()))
        .filter(|name| name.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    names.sort();
    names
}
