//! The two parsers held against each other: what the first one takes is what the second one makes
//! of it, and nothing that the second refuses.

use proptest::prelude::*;

use super::*;
use crate::tape::tests::any_json;

/// Paths, values and how many keys were duplicates.
type Read = (Vec<(String, String)>, u32);

fn read(document: Document<'_>, paths: &[String]) -> Read {
    let path = |field: crate::tape::FieldId| field.index().map_or("*", |at| &paths[at]).to_owned();
    let nodes = document.nodes().map(|(field, data)| (path(field), format!("{data:?}"))).collect();
    let keys = document.values().map(|v| (v.key().to_owned(), v.characters().to_string()));
    ([nodes, keys.collect::<Vec<_>>()].concat(), document.duplicate_keys())
}

/// What a parser makes of texts that come after each other, `None` where it refuses.
fn read_all(
    texts: &[String],
    parse: impl for<'t> Fn(&'t str, &mut Builder<'_, 't>) -> Option<()>,
) -> Vec<Option<Read>> {
    let limits = Limits { nesting: 200, ..Limits::default() };
    let (mut shape, mut tape) = (Shape::new(&limits), Tape::new());
    let of = |text: &String| {
        let mut builder = Builder::over(&mut shape, &mut tape, &limits, text);
        let document = parse(text, &mut builder).and_then(|()| builder.finish().ok()).is_some();
        let paths: Vec<String> =
            (0..shape.len() as u32).map(|id| shape.path(crate::tape::FieldId(id)).to_owned()).collect();
        document.then(|| read(Document { tape: &tape, text }, &paths))
    };
    texts.iter().map(of).collect()
}

fn hold(texts: &[String]) -> Result<(), TestCaseError> {
    let first = read_all(texts, parse::document);
    let last = read_all(texts, |text, builder| reference::document(text, builder).ok());
    for ((text, first), last) in texts.iter().zip(first).zip(last) {
        if let Some(first) = first {
            prop_assert_eq!(Some(first), last, "{}", text);
        }
    }
    Ok(())
}

/// All of these are the first one's to take.
fn takes(text: &str) -> bool {
    hold(&[text.to_owned()]).unwrap();
    read_all(&[text.to_owned()], parse::document)[0].is_some()
}

#[test]
fn the_first_parser_takes_all_that_is_common() {
    for text in [
        r#"{"a":1,"b":[1.5,-2,"x",null,true,false,{}],"c":{"d":"é"}}"#,
        " {\n  \"a\" : 1 ,\r\n \"b\"\t: [ ] , \"c\": { } }\n ",
        r#""\"\\\/\b\f\n\r\t\u00e9\u20ac\ud83d\ude00""#,
        r#"{"\u0061":1,"a\"b":2}"#,
        r#"["plain, and longer than eight bytes","\n","ä","ääääääääääää"]"#,
        "[0,-0,1,-1,9223372036854775807,9223372036854775808,18446744073709551615,18446744073709551616]",
        "[-9223372036854775808,-9223372036854775809,0.1,1e5,1E-5,1.5e300,123456789012345678901234567890.5]",
        "[4.9e-324,1e-400,9007199254740993.0,0.30000000000000004,123456.78901234567]",
        "12",
        "\"\"",
        "null",
    ] {
        assert!(takes(text), "{text}");
    }
    assert!(takes(&format!("{}1{}", "[".repeat(127), "]".repeat(127))));
}

#[test]
fn the_first_parser_takes_nothing_else() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "[1 2]",
        "1 2",
        "{}{}",
        "01",
        "-",
        "-01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "1e400",
        "-1e400",
        "NaN",
        "tru",
        "nul",
        "truex",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"a\nb\"",
        "\"\u{1}\"",
        "{\"a\nb\":1}",
        "'a'",
        "[1}",
        "{\"a\":1]",
        "\u{feff}1",
        "[\u{a0}1]",
        "0x10",
        "1_000",
        "{1:2}",
        "[\"abcdefgh",
        "{\"abcdefgh",
    ] {
        assert!(!takes(text), "{text}");
        let text = format!("[{text}");
        assert!(!takes(&text), "{text}");
    }
    assert!(!takes(&format!("{}1{}", "[".repeat(128), "]".repeat(128))));
    assert!(!takes(&"9".repeat(400)));
}

/// A key is only expected as it can be written.
#[test]
fn expected_keys_are_those_that_need_no_escapes() {
    let text = r#"{"q\"":1,"b\\":2,"n\n":3,"long enough \" and more":4}"#.to_owned();
    let raw = "{\"q\"\":1,\"b\\\":2,\"n\n\":3,\"long enough \" and more\":4}".to_owned();
    let got = read_all(&[text.clone(), raw, text], parse::document);
    assert!(got[0].is_some() && got[1].is_none() && got[2] == got[0]);
}

/// Keys that begin alike, of all lengths, also where the text ends behind them.
#[test]
fn expected_keys_are_whole_ones() {
    let keys: Vec<String> = (0..20).map(|len| "abcdefghijklmnopqrstuvwxyz"[..len].to_owned()).collect();
    for first in &keys {
        let others = keys.iter().flat_map(|key| [key.clone(), format!("{key}!")]);
        let texts: Vec<String> =
            [first.clone()].into_iter().chain(others).map(|key| format!("{{\"{key}\":1}}")).collect();
        hold(&texts).unwrap();
        assert!(read_all(&texts, parse::document).iter().all(Option::is_some));
    }
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,22}(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        "-?(0|[1-9][0-9]{0,17})(\\.[0-9]{1,9})?",
        "-?[0-9]{0,8}\\.?[0-9]{0,7}[eE]?[0-9]{0,1}",
        "[-+0-9.eE]{1,12}",
        any::<f64>().prop_map(|n| format!("{n:e}")),
        any::<u64>().prop_map(|n| n.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
    ]
}

fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        r#""([a-zä"\\/bfnrtu0-9dDcC]{0,12})""#,
        r#""(\\[u"\\/bfnrt]|\\u[dD][89abcdAB][0-9]{2}|[a-z€]{1,9}){0,6}""#,
        r#""[ -!#-\[\]-~]{0,33}["\\é€\x7f\x01\x1f]{0,2}[ -~ä]{0,17}""#,
        any::<String>().prop_map(|s| format!("\"{s}\"")),
        any::<String>().prop_map(|s| serde_json::Value::from(s).to_string()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn runs_end_where_they_should(
        bytes in prop::array::uniform16(prop_oneof![any::<u8>(), prop::sample::select(b"\"\\ !#[]\x00\x1f\x7f\x80\xa2\xdc\xff".to_vec())]),
    ) {
        let is_end = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
        let words = [0, 8].map(|at| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()));
        let position = |is_it: &dyn Fn(&u8) -> bool| bytes.iter().position(is_it).map(|at| at as u32);
        prop_assert_eq!(parse::first(words, |word| parse::ends(word) & !word), position(&is_end));
        prop_assert_eq!(parse::first(words, |word| parse::ends(word) | word), position(&|byte| is_end(byte) || !byte.is_ascii()));
    }

    #[test]
    fn numbers_and_strings_are_the_same(
        parts in prop::collection::vec(prop_oneof![number(), string()], 1..6), one in prop_oneof![number(), string()],
    ) {
        hold(&[format!("[{}]", parts.join(",")), format!("{{\"k\":{one},{one}:{one}}}"), one.clone(), format!("{{\"k\":{one}}}")])?;
    }

    #[test]
    fn documents_are_the_same_whole_or_broken(
        documents in prop::collection::vec(any_json(), 1..5),
        broken in prop::collection::vec((any::<prop::sample::Index>(), 0usize..3, prop_oneof![
            prop::sample::select(vec!["\"", "\\", "{", "}", "[", "]", ",", ":", " ", "\n", "0", "-", ".", "e", "t", "\u{1}", "ä", "null"])
                .prop_map(str::to_owned),
            string(),
        ]), 0..4),
    ) {
        let mut texts: Vec<String> = Vec::new();
        for document in documents {
            texts.push(document.to_string());
            texts.push(serde_json::to_string_pretty(&document).unwrap());
            let mut text: Vec<char> = document.to_string().chars().collect();
            for (at, remove, put) in &broken {
                let at = at.index(text.len() + 1);
                let end = (at + remove).min(text.len());
                text.splice(at..end, put.chars());
            }
            texts.push(text.into_iter().collect());
            texts.push(document.to_string());
        }
        hold(&texts)?;
        // Of what was not broken nothing is left to the second.
        let taken = read_all(&texts, parse::document);
        for (at, taken) in taken.iter().enumerate().filter(|(at, _)| at % 4 != 2) {
            prop_assert!(taken.is_some(), "{}", texts[at]);
        }
    }
}
