use proptest::prelude::*;

use super::*;
use crate::limits::Limits;
use crate::record::{Header, Timestamp};
use crate::tape::{Shape, Tape, json};

pub(super) fn evaluate(expression: &str, payload: &str) -> Outcome {
    let program = compile(expression).unwrap_or_else(|e| panic!("{expression}: {e}"));
    let limits = Limits::default();
    let (mut shape, mut tape) = (Shape::new(&limits), Tape::new());
    let document = json::decode(payload.as_bytes(), &mut shape, &mut tape, &limits).unwrap();
    let headers = [
        Header { name: "kind", value: Some(b"old") },
        Header { name: "kind", value: Some(b"new") },
        Header { name: "raw", value: Some(b"\xff") },
        Header { name: "none", value: None },
    ];
    let record = RecordView {
        topic: "orders",
        partition: 3,
        offset: 42,
        timestamp: Timestamp::Created(1_700_000_000_000),
        key: Some(b"k-1"),
        value: Some(payload.as_bytes()),
        headers: &headers,
    };
    program.evaluate(&record, document.root(), 200)
}

fn holds(expression: &str, payload: &str) -> bool {
    match evaluate(expression, payload) {
        Outcome::Holds(holds) => holds,
        Outcome::Error(error) => panic!("{expression} on {payload}: {error}"),
    }
}

fn error(expression: &str, payload: &str) -> String {
    match evaluate(expression, payload) {
        Outcome::Holds(holds) => panic!("{expression} on {payload}: {holds}"),
        Outcome::Error(error) => error,
    }
}

#[test]
fn expressions_see_the_record() {
    let payload = r#"{"total":10,"net":8,"tax":2,"items":[{"price":1.5},{"price":2}],"odd name":"x","deep":{"er":{"n":null}},"m":{"a":1}}"#;
    for expression in [
        "value.total == value.net + value.tax",
        "value['odd name'] == 'x'",
        "value[\"deep\"].er.n == null",
        "size(value.items) == 2",
        "value.items.all(i, i.price > 0)",
        "value.items.exists(i, i.price == 2.0) && !value.items.exists(i, has(i.nothing))",
        "value.items[0].price < 2",
        "value.items.map(i, i.price).size() == 2",
        "has(value.total) && !has(value.nothing) && has(value.deep.er) && !has(value.deep.nothing)",
        "!has(value.nothing) || value.nothing > 3",
        "'a' in value.m",
        "'total' in value",
        "value.m.all(k, value.m[k] == 1)",
        "key == 'k-1'",
        "headers.kind == 'new' && headers.none == null && headers['raw'] == b'\\xff'",
        "meta.topic == 'orders' && meta.partition == 3 && meta.offset == 42",
        "meta.timestamp == timestamp('2023-11-14T22:13:20Z')",
        "timestamp('2023-11-14T22:13:20Z') - meta.timestamp < duration('5m')",
        "value['odd name'].matches('^x$') && string(value.total) == '10'",
        "type(value.total) == int && type(value.items) == list",
        "[1, 2].map(value, value + 1) == [2, 3]",
        "true",
    ] {
        assert!(holds(expression, payload), "{expression}");
    }
    assert!(!holds("value.total == 11", payload));
}

#[test]
fn numbers_mix_as_json_writes_them() {
    for expression in [
        "value.a + value.b == 10.5",
        "value.b + value.a == 10.5",
        "value.a - value.b == 9.5",
        "value.a * value.b == 5.0",
        "2 * value.b == 1.0",
        "value.a / value.b == 20.0",
        "value.a / 4 == 2",
        "value.big + 1 > 1.8e19",
        "value.s + 'y' == 'xy'",
        "[value.a + value.b].map(x, x * 2)[0] == 21.0",
        "{'k': value.a + value.b}.k == 10.5",
    ] {
        assert!(holds(expression, r#"{"a":10,"b":0.5,"s":"x","big":18446744073709551615}"#), "{expression}");
    }
    let payload = r#"{"a":9223372036854775807,"z":0,"s":"x"}"#;
    assert!(error("value.a + 1 > 0", payload).contains("overflow"));
    assert_eq!(error("1 / value.z == 0", payload), "division by zero");
    let refused = error("value.a + value.s == 1", payload);
    assert!(refused.contains("int and string") || refused.contains("(int, string)"), "{refused}");
}

#[test]
fn what_cannot_be_evaluated_is_an_error() {
    assert_eq!(error("value.total > 1", "{}"), "no such field: total");
    assert!(error("value.a.b > 1", r#"{"a":[1]}"#).contains("no matching overload"));
    assert!(error("value.a.b > 1", r#"{"a":null}"#).contains("no matching overload"));
    assert!(error("value.a > 1", r#"{"a":"x"}"#).contains("no matching overload"));
    assert_eq!(error("value.a + 1", r#"{"a":1}"#), "the expression gives a int, not true or false");
    assert!(error("value.x == 1", "[1]").contains("no matching overload"));
    // No payload in the error, and no more than asked for.
    let long = error("value.a > 1", &format!(r#"{{"a":"{}"}}"#, "secret".repeat(1000)));
    assert!(!long.contains("secret") && long.len() <= 200, "{long}");
}

#[test]
fn only_what_is_named_is_bound() {
    let names = |expression: &str| compile(expression).unwrap().names;
    let paths = |expression: &str| {
        names(expression).value.paths("value").into_iter().map(|p| p.text).collect::<Vec<_>>()
    };
    assert_eq!(paths("value.total == value.net + value['tax']"), ["value.net", "value.tax", "value.total"]);
    assert_eq!(paths("value.a.b == 1 && value.a.c == 2 && value.a.b.d == 1"), ["value.a.b", "value.a.c"]);
    assert_eq!(paths("value.a.b == 1 && size(value.a) == 2"), ["value.a"]);
    assert_eq!(paths("value.items.all(i, i.price > value.min)"), ["value.items", "value.min"]);
    assert_eq!(
        paths("value.items[0].price == value.list[value.at]"),
        ["value.at", "value.items", "value.list"]
    );
    assert_eq!(paths("size(value) > 0"), ["value"]);
    assert!(paths("key == 'a'").is_empty());
    let used = names("key == 'a' && headers.b == 'c'");
    assert!(used.key && used.headers && !used.meta);
}

#[test]
fn evidence_shows_what_was_looked_at() {
    let limits = Limits::default();
    let (mut shape, mut tape) = (Shape::new(&limits), Tape::new());
    let payload = br#"{"total":10,"net":5,"items":[1,2]}"#;
    let document = json::decode(payload, &mut shape, &mut tape, &limits).unwrap();
    let program = compile("value.total == value.net + value.tax && size(value.items) > 0").unwrap();
    assert_eq!(
        program.evidence(document.root(), &Redaction::default(), 100),
        "value.items=[1,2] value.net=5 value.tax=missing value.total=10"
    );
    assert!(program.evidence(document.root(), &Redaction::default(), 20).len() <= 20);
}

#[test]
fn what_does_not_compile_says_where() {
    let refused = |expression: &str| compile(expression).map(drop).expect_err("is refused");
    let unknown = refused("value.total ==\n  valeu.net");
    assert_eq!((unknown.line, unknown.column), (2, 3));
    assert_eq!(unknown.message, "unknown name `valeu`: there are value, key, headers, meta");
    assert!(refused("value.total = 1").message.len() < 260);
    assert_eq!(refused("value.a && ").line, 1);
    assert!(refused("").message.len() < 260);
    assert_eq!(refused("lenght(value.a) > 1").message, "unknown function `lenght`");
    assert_eq!(refused("value.a.startWith('x')").message, "unknown function `startWith`");
    let nested = "value.a.all(a, value.a.all(b, value.a.all(c, value.a.all(d, a == d))))";
    assert!(refused(nested).message.contains("more than 3 macros"));
    assert!(refused(&"x".repeat(EXPRESSION_BYTES + 1)).message.contains("at most"));
    assert!(
        refused(&format!("{}1{}", "(".repeat(1500), ")".repeat(1500))).message.contains("nested too deeply")
    );
    assert!(refused(&format!("1{} == 2", "+1".repeat(1500))).message.contains("nested too deeply"));
    for source in [
        "'",
        "\"\\",
        "value.",
        "a.b.c(",
        "{",
        "[1,",
        "?",
        "1 ? 2",
        "value?.a",
        "`x`",
        "\u{0}",
        "𝄞",
        "has(value)",
        "value.a{b: 1}",
    ] {
        _ = compile(source);
    }
}

#[test]
fn standard_functions_are_known() {
    for expression in [
        "size(value.a) > 0",
        "value.a.size() > 0",
        "value.a.contains('x')",
        "value.a.startsWith('x')",
        "value.a.endsWith('x')",
        "value.a.matches('x')",
        "int(value.a) > 0",
        "uint(value.a) > 0u",
        "double(value.a) > 0.0",
        "string(value.a) == ''",
        "bytes(value.a) == b''",
        "timestamp(value.a) < timestamp('2030-01-01T00:00:00Z')",
        "duration(value.a) > duration('1s')",
        "timestamp(value.a).getHours() < 12",
        "dyn(value.a) == 1",
        "type(value.a) == string",
        "value.a in [1, 2]",
        "value.a ? true : false",
        "-value.a < 0",
        "!value.a",
        "value.a % 2 == 0",
        "optional.of(value.a).hasValue()",
        "value.a.exists_one(x, x == 1)",
        "value.a.filter(x, x > 1).size() > 0",
    ] {
        assert!(compile(expression).is_ok(), "{expression}: {:?}", compile(expression).map(drop));
    }
}

#[test]
fn a_hostile_record_cannot_make_it_run_for_ever() {
    let list = format!(r#"{{"a":[{}1]}}"#, "1,".repeat(2_000));
    let started = std::time::Instant::now();
    assert!(holds("value.a.all(x, x == 1)", &list));
    assert!(error("value.a.all(x, value.a.all(y, x == y))", &list).contains("more than 1000 values"));
    let small = format!(r#"{{"a":[{}1]}}"#, "1,".repeat(900));
    assert!(holds("value.a.all(x, value.a.all(y, x == y))", &small));
    assert!(started.elapsed().as_secs() < 60);
}

/// On the small stack of a worker thread, whatever is written: an answer, in time.
#[test]
fn hostile_expressions_end() {
    let run = || {
        let n = EXPRESSION_BYTES;
        let sources = [
            "!".repeat(n - 4) + "true",
            "-".repeat(n - 1) + "1",
            "[".repeat(n),
            "[".repeat(n / 2) + &"]".repeat(n / 2),
            "{1:".repeat(n / 4) + &"}".repeat(n / 4),
            "(".repeat(n),
            ")".repeat(n),
            "value".to_owned() + &".a".repeat((n - 5) / 2),
            "value".to_owned() + &"[0]".repeat((n - 5) / 3),
            "value".to_owned() + &".f()".repeat((n - 5) / 4),
            "true?1:".repeat((n - 1) / 7) + "1",
            "true&&".repeat((n - 4) / 6) + "true",
            "true||".repeat((n - 4) / 6) + "true",
            "1==".repeat((n - 1) / 3) + "1",
            "f(".repeat(n / 2),
            "has(".repeat(n / 4),
            "[1].all(x,".repeat(n / 10),
            "'".repeat(n),
            "\\".repeat(n),
            "1 ".repeat(n / 2),
            "\u{1F600}".repeat(n / 4),
            "9".repeat(n),
            "1e".to_owned() + &"9".repeat(n - 2),
        ];
        for source in sources {
            assert!(source.len() <= n);
            if let Ok(program) = compile(&source) {
                let record = RecordView {
                    topic: "t",
                    partition: 0,
                    offset: 0,
                    timestamp: Timestamp::Missing,
                    key: None,
                    value: None,
                    headers: &[],
                };
                let limits = Limits::default();
                let (mut shape, mut tape) = (Shape::new(&limits), Tape::new());
                let document = json::decode(b"{}", &mut shape, &mut tape, &limits).unwrap();
                _ = program.evaluate(&record, document.root(), 100);
            }
        }
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap();
    thread.join().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_expression_compiles_or_says_where(tokens in prop::collection::vec(prop::sample::select(vec![
        "value", ".a", "['b']", "[0]", "1", "2.5", "'x'", "true", "null", "+", "-", "*", "/", "%", "==", "<", "&&", "||",
        "!", "?", ":", "(", ")", "[", "]", "{", "}", ",", " in ", "has(", "size(", ".all(x,", ".map(value,", "x", "key",
        "headers", "meta", "\n", "`", "#", "\u{e4}", "1u", "b'x'", ".",
    ]), 0..25)) {
        let source = tokens.concat();
        match compile(&source) {
            Ok(_) => {
                // Whatever it is: a value or an error.
                _ = evaluate(&source, r#"{"a":{"a":1,"b":[1,2.5]},"b":"x"}"#);
            }
            Err(error) => {
                prop_assert!(error.line >= 1 && error.line <= source.lines().count().max(1) + 1, "{:?}", error);
                prop_assert!(error.column >= 1 && !error.message.is_empty());
            }
        }
    }
}
