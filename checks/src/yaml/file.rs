//! A file's text, bounded.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{Diagnostic, Span};
use crate::limits::Limits;

/// Reads a whole text file of at most `limits.file_bytes`; a byte-order mark is left out.
///
/// # Errors
/// Not readable, too large, not UTF-8 (with the line where it stops being so). The file is named.
pub fn read_text(path: &Path, limits: &Limits) -> Result<String, Diagnostic> {
    let of_file = |message: String| Diagnostic::of_file(path, message);
    let unreadable = |error: std::io::Error| of_file(format!("cannot read the file: {error}"));
    let mut bytes = Vec::new();
    // Asked before opening: opening a pipe would wait for a writer.
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(of_file("not a file".to_owned()));
    }
    let file = File::open(path).map_err(unreadable)?;
    // One byte more than allowed tells a file that is too large from one that just fits.
    let bound = limits.file_bytes as u64 + 1;
    file.take(bound).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > limits.file_bytes {
        let most = limits.file_bytes;
        return Err(of_file(format!("the file has more than {most} bytes (limits.file_bytes)")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes());
        let before = text.get(..valid).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Diagnostic::error(&text, Span { line, column, length: 1 }, "not UTF-8 text")
            .with_help("save the file as UTF-8")
            .in_file(path)
    })?;
    match text.strip_prefix('\u{feff}') {
        Some(rest) => Ok(rest.to_owned()),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_text_and_refuses_the_rest_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { file_bytes: 16, ..Limits::default() };
        let read = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            read_text(&path, &limits)
        };
        assert_eq!(read("bom.yaml", b"\xef\xbb\xbfa: 1\n").unwrap(), "a: 1\n");
        assert_eq!(read("fits.yaml", &[b'a'; 16]).unwrap().len(), 16);
        let large = read("large.yaml", &[b'a'; 17]).unwrap_err().to_string();
        assert!(large.contains("more than 16 bytes") && large.contains("large.yaml"), "{large}");
        let bad = read("bad.yaml", b"a: 1\nb: \xff\n").unwrap_err();
        assert_eq!((bad.line, bad.column), (2, 4));
        let absent = read_text(&folder.path().join("absent.yaml"), &limits).unwrap_err();
        assert!(absent.to_string().contains("absent.yaml"), "{absent}");
        let folder = read_text(folder.path(), &limits).unwrap_err();
        assert!(folder.to_string().contains("not a file"), "{folder}");
    }
}
