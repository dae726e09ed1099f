//! Every mistake that a check file can hold has a golden file: `golden/NAME.yaml` and what is said
//! of it, `golden/NAME.expected`; what only shows against data has `golden/data/NAME.jsonl` beside it. With `UPDATE_GOLDEN=1` the expectations are written anew, for a
//! person to read before they are committed.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use checks::against;
use checks::limits::Limits;
use checks::offline::{Lines, Piece};
use checks::rules::{CheckFile, CheckSet, Loader, inspect, inspect_text};
use checks::yaml::{Diagnostic, Diagnostics};

#[test]
fn every_mistake_is_said_as_expected() {
    let names = names("");
    assert!(names.len() > 80, "only {} golden files: is the folder whole?", names.len());
    are_as_expected("", inspected);
}

#[test]
fn what_data_says_is_said_as_expected() {
    are_as_expected("data", held);
}

#[test]
fn what_a_contract_cannot_have_is_said_as_expected() {
    are_as_expected("contracts", inspected);
}

/// Where the code says something of a file: each has a golden file, or is none of the linter's.
#[test]
fn every_place_that_says_something_has_a_golden_file() {
    let mut said = HashSet::new();
    let mut words = String::new();
    let mut all = vec![together()];
    for (folder, inspect) in FOLDERS {
        all.extend(cases(folder).iter().map(|(name, text)| inspect(name, text)));
    }
    for found in all {
        let file = |d: &Diagnostic| PathBuf::from(d.said_at.file().rsplit("src/").next().unwrap_or_default());
        said.extend(found.iter().map(|d| (file(d), d.said_at.line() as usize)));
        let _ = write!(words, "{found}");
    }
    let mut silent = String::new();
    let mut places = 0;
    for (file, number, line) in source_lines(&["rules", "yaml", "odcs", "against", "examine/cel"]) {
        let is_elsewhere = ELSEWHERE.iter().any(|(at, part, _)| file.ends_with(at) && line.contains(part));
        if says(&line) && !is_elsewhere && !file.starts_with("examine") {
            places += 1;
            if !said.contains(&(file.clone(), number)) {
                let _ = writeln!(silent, "{}:{number}: {}", file.display(), line.trim());
            }
        }
        // Where one place says many things, each of them.
        for literal in literals(&file, &line).filter(|literal| !words.contains(literal.as_str())) {
            let _ = writeln!(silent, "{}:{number}: {literal}", file.display());
        }
    }
    assert!(places > 120, "only {places} places: is the source where it is looked for?");
    assert!(silent.is_empty(), "no golden file has what is said at\n{silent}");
}

type Inspect = fn(&Path, &str) -> Diagnostics;
const FOLDERS: [(&str, Inspect); 4] =
    [("", inspected), ("data", held), ("contracts", inspected), ("generated", inspected)];

/// What no check file or contract can bring about: a file, a part of its line, and why.
const ELSEWHERE: [(&str, &str, &str); 12] = [
    ("yaml/read.rs", "Diagnostic::error(self.text, span, message)", "it is told where it is called"),
    ("yaml/read.rs", "self.error_help(key.span, message, suggestion(", "the same"),
    ("yaml/read.rs", "self.error(node.span, format!(\"expected {what}", "the same"),
    ("yaml/parse.rs", "Diagnostic::error(self.text, span, message)", "the same"),
    ("rules/mod.rs", "reader.error_help(span, message, help)", "the same"),
    ("odcs/mod.rs", "self.reader.warning(at.span, message, help)", "the same"),
    ("yaml/read.rs", "self.error(node.span, message);", "only the configuration expands what it reads"),
    ("yaml/parse.rs", "aliases (`*name`) are not accepted", "an anchor is refused before its alias"),
    ("odcs/mod.rs", "the contract could not be read", "there is an error where there is no file"),
    (
        "odcs/mod.rs",
        "self.warn(at, format!(\"left out: {}\", error.message), help);",
        "of a whole file: as above",
    ),
    ("yaml/file.rs", "Diagnostic::", "files on disk: `files_that_are_no_texts_are_refused`"),
    ("rules/path.rs", "self.error(", "told by its words, below"),
];

/// Messages that some other place says, where they stand: a file, and what is before each of them.
const LITERALS: [(&str, &str); 5] = [
    ("rules/path.rs", "self.error(\""),
    ("yaml/quantity.rs", "error(\""),
    ("yaml/parse.rs", "            \""),
    ("examine/cel/names.rs", "format!(\""),
    ("examine/cel/names.rs", "message: \""),
];

/// Of those, what is of sizes, which only the configuration has.
const OF_SIZES: [&str; 3] = ["not a size", "a size with an unknown unit", "not a whole number of bytes"];

/// The messages that a line holds, up to what is filled in.
fn literals(file: &Path, line: &str) -> impl Iterator<Item = String> {
    let before = LITERALS.iter().filter(|(at, _)| file.ends_with(at)).map(|(_, before)| *before);
    let after: Vec<&str> = before.filter_map(|before| Some(line.split_once(before)?.1)).collect();
    let literal = |rest: &str| rest.split(['"', '{']).next().unwrap_or_default().trim_end().to_owned();
    let found: Vec<String> =
        after.into_iter().map(literal).filter(|l| !OF_SIZES.contains(&l.as_str())).collect();
    found.into_iter()
}

/// What is too long to be kept as it is.
fn generated() -> Vec<(PathBuf, String)> {
    let check = |check: &str| format!("version: 1\ntopic: orders\nchecks:\n{check}\n");
    let numbers: Vec<String> = (0..10_001).map(|n| n.to_string()).collect();
    let stand_ins = format!(
        "  - {{ id: a, metric: missingValues, field: $.a, arguments: {{ missingValues: [{}] }}, mustBe: 0 }}",
        numbers.join(",")
    );
    let valid =
        stand_ins.replace("missingValues: [", "validValues: [").replace("missingValues,", "invalidValues,");
    let many: String = (0..1_001)
        .map(|n| format!("  - {{ id: c{n}, metric: rowCount, mustBeGreaterThan: {n} }}\n"))
        .collect();
    let topics: Vec<String> = (0..10_001).map(|n| format!("t{n}")).collect();
    let named = [
        ("stand-ins", check(&stand_ins)),
        ("valid-values", check(&valid)),
        ("checks", check(&many)),
        ("topics", format!("version: 1\ntopics: [{}]\n", topics.join(","))),
        ("values", format!("version: 1\ntopic: orders\nx: [{}]\n", "1,".repeat(100_001))),
        ("bytes", check(&"# nothing\n".repeat(120_000))),
        ("nesting", format!("version: 1\nx: {}{}\n", "[".repeat(70), "]".repeat(70))),
        ("keys", format!("version: 1\ntopic: orders\n{}: 1\n", "k".repeat(900))),
    ];
    named.into_iter().map(|(name, text)| (PathBuf::from(name).with_extension("yaml"), text)).collect()
}

/// The files of a folder of golden files, with their texts.
fn cases(folder: &str) -> Vec<(PathBuf, String)> {
    if folder == "generated" {
        return generated();
    }
    let text = |name: &PathBuf| std::fs::read_to_string(golden(folder).join(name)).unwrap();
    names(folder).into_iter().map(|name| (name.clone(), text(&name))).collect()
}

/// What is found in files that are sound alone.
fn together() -> Diagnostics {
    inspect(&[golden("together")], &Limits::default()).unwrap().found
}

#[test]
fn what_is_too_much_is_said_as_expected() {
    are_as_expected("generated", inspected);
}

#[test]
fn files_that_clash_are_said_as_expected() {
    let folder = format!("{}/", golden("together").display());
    let said = format!("{}\n", together()).replace(&folder, "");
    is_as_expected(&golden("together").join("together.expected"), &said).unwrap();
}

#[test]
fn files_that_are_no_texts_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits::default();
    let refused = |name: &str, bytes: &[u8], length: u64| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::File::options()
            .append(true)
            .open(&path)
            .unwrap()
            .set_len(length.max(bytes.len() as u64))
            .unwrap();
        let found = inspect(std::slice::from_ref(&path), &limits).unwrap().found.to_string();
        std::fs::remove_file(&path).unwrap();
        found.replace(&format!("{}/", folder.path().display()), "")
    };
    let started = std::time::Instant::now();
    assert_eq!(
        refused("large.yaml", b"version: 1\n", 100 << 20),
        "error: the file has more than 1048576 bytes (limits.file_bytes)\n --> large.yaml"
    );
    assert!(started.elapsed().as_secs() < 10, "100 MB are not read");
    assert_eq!(
        refused("latin.yaml", b"version: 1\nowner: M\xfcller\n", 0),
        "error: not UTF-8 text\n --> latin.yaml:2:9\n  |\n2 | owner: M\u{fffd}ller\n  |         ^ save the file as UTF-8"
    );
}

/// The lines of the crate's source outside of tests, with their file and number.
fn source_lines(folders: &[&str]) -> Vec<(PathBuf, usize, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut lines = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(source.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e != "rs") || path.ends_with("tests.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let tests = text.find("#[cfg(test)]").unwrap_or(text.len());
            let file = path.strip_prefix(&source).unwrap().to_path_buf();
            lines.extend(
                text[..tests].lines().enumerate().map(|(at, l)| (file.clone(), at + 1, l.to_owned())),
            );
        }
    }
    lines
}

/// Does the line call what makes a diagnostic?
fn says(line: &str) -> bool {
    let calls = [
        ".error(",
        ".error_help(",
        ".warning(",
        ".warn(",
        ".expected(",
        ".unknown(",
        "Diagnostic::error(",
        "Diagnostic::of_file(",
        "unbuilt(",
    ];
    let line = line.trim_start();
    !line.starts_with("//") && !line.contains("fn ") && calls.iter().any(|call| line.contains(call))
}

/// What is found in a file.
fn inspected(name: &Path, text: &str) -> Diagnostics {
    let limits = Limits::default();
    // Named from the folder itself, so that expectations name no machine's paths.
    let read = |path: &Path| {
        std::fs::read_to_string(golden("").join(path)).map_err(|error| error.kind().to_string())
    };
    let (files, found) = inspect_text(name, text, &Loader::with(&limits, read));
    assert!(!files.is_empty() || found.errors() > 0 || found.warnings() > 0, "{}", name.display());
    found
}

/// What is found against the data beside it.
fn held(name: &Path, text: &str) -> Diagnostics {
    let limits = Limits::default();
    let (file, found) = CheckFile::inspect(name, text, &Loader::files(&limits));
    let file = file.unwrap_or_else(|| panic!("{found}"));
    let rules = Arc::new(against::watched(&file.for_topic("orders")));
    let mut piece = Piece::new(&rules, &limits).unwrap();
    let source = name.with_extension("jsonl");
    let data = std::fs::File::open(golden("data").join(&source)).unwrap();
    let mut lines = Lines::new(std::io::BufReader::new(data), limits.message_bytes);
    while let Some(line) = lines.next().unwrap() {
        piece.take_line(line);
    }
    let (set, summary) = (CheckSet::of(vec![Arc::new(file)]), piece.summary());
    let texts = [(name.to_path_buf(), text.to_owned())];
    let source = source.display().to_string();
    let data = against::Data { rules: &rules, summary: &summary, source: &source };
    against::findings(&texts, &set, &data, &limits)
}

fn golden(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder)
}

/// Holds what is found in each file against what is expected.
fn are_as_expected(of: &str, inspect: Inspect) {
    let folder = golden(of);
    let mut differences = String::new();
    for (name, text) in cases(of) {
        let found = inspect(&name, &text);
        assert!(!found.is_empty(), "{} has no mistake", name.display());
        let said = format!("{found}\n");
        if let Err(difference) = is_as_expected(&folder.join(name.with_extension("expected")), &said) {
            differences.push_str(&difference);
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

fn is_as_expected(expected_at: &Path, said: &str) -> Result<(), String> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(expected_at, said).unwrap();
    }
    let expected = std::fs::read_to_string(expected_at).unwrap_or_default();
    let name = expected_at.display();
    if said == expected { Ok(()) } else { Err(format!("{name}:\n{said}--- expected:\n{expected}\n")) }
}

fn names(folder: &str) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> = std::fs::read_dir(golden(folder))
        .unwrap()
        .map(|entry| PathBuf::from(entry.unwrap().file_name()))
        .filter(|name| name.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    names.sort();
    names
}
