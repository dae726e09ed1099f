//! What docs/checks.md promises of CEL, case by case from the specification
//! (cel-spec, doc/langdef.md; the headings are its). `true` and `false` are values; an error is a
//! verdict of its own.

use super::tests::evaluate;
use super::*;

const RECORD: &str = r#"{
    "n": 3, "neg": -3, "d": 0.5, "whole": 2.0, "big": 9223372036854775807, "small": -9223372036854775808,
    "huge": 18446744073709551615, "zero": 0, "s": "héllo𝄞", "empty": "", "t": true, "f": false, "nil": null,
    "list": [1, 2, 3], "none": [], "map": {"a": 1, "b": {"c": 2}, "x-y": 3}, "dup": [1, 1, 2],
    "time": "2009-02-13T23:31:30.123Z", "nan": "NaN", "mixed": [1, "a", null, 2.5]
}"#;

/// Expressions of a heading that are true, false, and errors.
struct Cases {
    heading: &'static str,
    holds: &'static [&'static str],
    fails: &'static [&'static str],
    errors: &'static [&'static str],
}

const CASES: &[Cases] = &[
    Cases {
        heading: "Values: null, booleans, dynamic",
        holds: &[
            "value.nil == null",
            "null == null",
            "value.t && !value.f",
            "value.n != null",
            "value.none != null",
            "dyn(1) == 1",
            "type(null) == null_type",
            "type(true) == bool && type(1) == int && type(1u) == uint && type(1.0) == double",
            "type('') == string && type(b'') == bytes && type([]) == list && type({}) == map",
            "type(type(1)) == type(type('a'))",
        ],
        fails: &["value.s == null", "value.zero == null", "null == false", "value.empty == null"],
        errors: &[
            "value.nil > 1",
            "value.nil + 1 == 1",
            "value.nil.a == 1",
            "!value.n",
            "!value.nil",
            "value.nil < null",
        ],
    },
    Cases {
        heading: "Numeric values: equality and ordering across kinds",
        holds: &[
            "1 == 1u && 1u == 1.0 && 1 == 1.0",
            "value.whole == 2",
            "value.huge == 18446744073709551615u",
            "value.huge > value.big",
            "value.neg < 1u",
            "-1 < 0u",
            "1u > -1",
            "2.5 > 2 && 2 < 2.5 && 2u < 2.5",
            "9007199254740993 > 9007199254740992.0 || 9007199254740993 == 9007199254740992.0",
            "1 in [1.0, 2.0]",
            "0.0 == -0.0",
            "0x1F == 31",
            "1e3 == 1000.0",
            "-value.neg == 3",
            "value.n % 2 == 1",
            "-7 / 2 == -3",
            "-7 % 2 == -1",
            "7u / 2u == 3u",
            "value.small < value.big",
        ],
        fails: &["1 == 2u", "value.d == 0", "double('NaN') == double('NaN')", "1 == '1'", "true == 1"],
        errors: &["1 < 'a'", "value.t < 1", "[1] < [2]", "1 % 2.5 == 1.0", "double('NaN') < 1.0"],
    },
    Cases {
        heading: "Overflow",
        holds: &[
            "1.0 / 0.0 > 1e308",
            "-1.0 / 0.0 < -1e308",
            "1e308 * 10.0 == 1.0 / 0.0",
            "9223372036854775807 - 1 == 9223372036854775806",
            "value.big - 1 < value.big",
        ],
        fails: &["0.0 / 0.0 == 0.0 / 0.0"],
        errors: &[
            "value.big + 1 > 0",
            "value.small - 1 < 0",
            "value.big * 2 > 0",
            "-value.small > 0",
            "value.huge + 1u > 0u",
            "0u - 1u == 0u",
            "value.huge * 2u > 0u",
            "value.small / -1 > 0",
            "1 / value.zero == 0",
            "1 % value.zero == 0",
            "1u / 0u == 0u",
            "int(value.huge) > 0",
            "uint(value.neg) > 0u",
            "int(1e19) > 0",
            "uint(-1.0) == 0u",
            "int(double('NaN')) == 0",
        ],
    },
    Cases {
        heading: "Strings: Unicode code points; bytes: octets",
        holds: &[
            "size(value.s) == 6",
            "value.s.size() == 6",
            "size('𝄞') == 1",
            "size(bytes('𝄞')) == 4",
            "size('é') == 1",
            "size('e\\u0301') == 2",
            "'\\U0001D11E' == '𝄞'",
            "value.s.startsWith('hé') && value.s.endsWith('𝄞') && value.s.contains('llo')",
            "value.s.contains('') && ''.startsWith('')",
            "'a' < 'b' && 'Z' < 'a' && 'é' > 'z' && '𝄞' > '\\uFFFF'",
            "value.s + '!' == 'héllo𝄞!'",
            "b'ab' + b'c' == b'abc'",
            "b'\\xff' > b'a'",
            "string(b'h\\xc3\\xa9') == 'hé'",
            "bytes('é') == b'\\xc3\\xa9'",
            "r'\\d' == '\\\\d'",
            "\"it's\" == 'it\\'s'",
            "'''a\nb''' == 'a\\nb'",
            "value.empty == ''",
            "value.s.matches('^h.*$') && matches(value.s, 'l+')",
            "'abc'.matches('b')",
        ],
        fails: &["value.s.contains('x')", "'abc'.matches('^b$')", "'a' == 'A'", "'é' == 'e\\u0301'"],
        errors: &[
            "string(b'\\xff') == ''",
            "value.n.contains('1')",
            "value.s.startsWith(1)",
            "value.s + 1 == 'a'",
            "value.s.matches(value.nil)",
            "'a'.matches(value.s + '(')",
        ],
    },
    Cases {
        heading: "Fields and has()",
        holds: &[
            "has(value.n) && has(value.nil) && has(value.empty) && has(value.none)",
            "!has(value.nothing)",
            "has(value.map.b.c) && !has(value.map.z)",
            "!has(value.map.b.z)",
            "'a' in value.map && !('z' in value.map)",
            "value['n'] == 3 && value.map['x-y'] == 3",
            "value.map.b.c == 2",
            "has({'a': 1}.a) && !has({'a': 1}.b)",
            "has(value.nothing) ? value.nothing > 1 : true",
            "'nothing' in value ? false : true",
        ],
        fails: &["has(value.nothing)", "has(value.nothing) && value.nothing > 1"],
        errors: &[
            "value.nothing == 1",
            "value.nothing == null",
            "value.map.z == 1",
            "has(value.nothing.deep)",
            "value.n.a == 1",
            "value['nothing'] == 1",
            "has(value.s.x)",
        ],
    },
    Cases {
        heading: "Logical operators: errors are swallowed where they do not matter, on either side",
        holds: &[
            "true || value.nothing == 1",
            "value.nothing == 1 || true",
            "!(false && value.nothing == 1)",
            "!(value.nothing == 1 && false)",
            "1 / value.zero == 1 || value.t",
            "true ? true : value.nothing",
            "false ? value.nothing : true",
            "value.n > 2 ? value.t : value.nothing == 1",
            "!value.f || value.nothing == 1",
        ],
        fails: &[
            "false && value.nothing == 1",
            "value.nothing == 1 && false",
            "1 / value.zero == 1 && value.f",
        ],
        errors: &[
            "false || value.nothing == 1",
            "value.nothing == 1 || false",
            "true && value.nothing == 1",
            "value.nothing == 1 && true",
            "value.nothing == 1 || value.other == 1",
            "value.nothing ? true : true",
            "value.n ? true : false",
            "value.n && true",
            "false || value.n",
        ],
    },
    Cases {
        heading: "Macros",
        holds: &[
            "value.list.all(x, x > 0)",
            "value.none.all(x, x > 0)",
            "!value.none.exists(x, true)",
            "value.list.exists(x, x == 2)",
            "value.dup.exists_one(x, x == 2)",
            "!value.dup.exists_one(x, x == 1)",
            "!value.none.exists_one(x, true)",
            "value.list.map(x, x * 2) == [2, 4, 6]",
            "value.list.map(x, x > 1, x * 2) == [4, 6]",
            "value.list.filter(x, x % 2 == 1) == [1, 3]",
            "value.list.filter(x, x > 1).map(x, x + 1).exists(x, x == 4)",
            "value.none.map(x, x) == []",
            "value.map.all(k, k != 'z')",
            "value.map.exists(k, k == 'x-y')",
            "value.map.filter(k, k.startsWith('x')) == ['x-y']",
            "value.mixed.exists(x, x > 2)",
            "[1, 'a'].exists(x, x == 1)",
            "!value.mixed.all(x, x == 1)",
            "value.list.all(x, value.list.exists(y, y == x))",
            "value.list.all(value, value > 0)",
            "[[1, 2], [3]].all(l, l.all(x, x > 0))",
        ],
        fails: &["value.list.all(x, x > 1)", "value.list.exists(x, x > 3)", "value.mixed.all(x, x > 100)"],
        errors: &[
            "value.mixed.all(x, x > 0)",
            "value.mixed.exists(x, x > 3)",
            "value.mixed.exists_one(x, x > 2)",
            "value.mixed.map(x, x + 1).size() == 4",
            "value.mixed.filter(x, x > 1).size() == 1",
            "value.n.all(x, true)",
            "value.s.all(x, true)",
            "value.nil.exists(x, true)",
            "value.list.filter(x, x) == []",
        ],
    },
    Cases {
        heading: "Lists and maps: in, indexing, equality, concatenation",
        holds: &[
            "2 in value.list && !(4 in value.list)",
            "'a' in {'a': 1} && !('b' in {'a': 1})",
            "value.list[0] == 1 && value.list[2] == 3",
            "value.list[value.zero] == 1",
            "[1, 2] + [3] == value.list",
            "value.list == [1.0, 2.0, 3.0]",
            "{'a': 1, 'b': 2} == {'b': 2, 'a': 1}",
            "{1: 'a'}[1] == 'a' && {true: 1}[true] == 1",
            "size(value.list) == 3 && size(value.map) == 3 && size({}) == 0",
            "value.mixed[2] == null",
            "[1, [2]] == [1, [2]]",
            "value.list != [3, 2, 1]",
            "{'a': [1, 2]}.a[1] == 2",
            "[] == value.none",
        ],
        fails: &["[1] == [1, 1]", "{'a': 1} == {'a': 2}", "'1' in value.list", "null in value.list"],
        errors: &[
            "value.list[3] == 1",
            "value.list[-1] == 1",
            "value.list['a'] == 1",
            "{'a': 1}['b'] == 1",
            "1 in value.n",
            "size(value.n) == 1",
            "value.list + 1 == []",
            "value.n[0] == 1",
        ],
    },
    Cases {
        heading: "Conversions",
        holds: &[
            "int('42') == 42 && int(2.9) == 2 && int(-2.9) == -2 && int(3u) == 3",
            "uint('42') == 42u && uint(2.9) == 2u && uint(3) == 3u",
            "double('1.5') == 1.5 && double(3) == 3.0 && double(3u) == 3.0",
            "string(42) == '42' && string(42u) == '42' && string(true) == 'true' && string('a') == 'a'",
            "string(1.5) == '1.5'",
            "bool('true') && !bool('false')",
            "int(timestamp('2009-02-13T23:31:30Z')) == 1234567890",
            "string(duration('90s')) == '90s'",
            "string(timestamp('2009-02-13T23:31:30Z')) == '2009-02-13T23:31:30Z'",
            "timestamp(1234567890) == timestamp('2009-02-13T23:31:30Z')",
            "string(value.n) + value.empty == '3'",
        ],
        fails: &["int('1') == 2"],
        errors: &[
            "int('a') == 1",
            "int('1.5') == 1",
            "double('x') == 1.0",
            "uint('-1') == 1u",
            "bool('yes')",
            "int(value.nil) == 0",
            "int(value.list) == 0",
            "int('9223372036854775808') > 0",
        ],
    },
    Cases {
        heading: "Timestamps and durations",
        holds: &[
            "timestamp(value.time) > timestamp('2009-02-13T23:31:30Z')",
            "timestamp('2009-02-13T23:31:30+01:00') < timestamp('2009-02-13T23:31:30Z')",
            "timestamp('2009-02-13T23:31:30Z') + duration('1h') == timestamp('2009-02-14T00:31:30Z')",
            "duration('1h') + timestamp('2009-02-13T23:31:30Z') == timestamp('2009-02-14T00:31:30Z')",
            "timestamp('2009-02-14T00:31:30Z') - timestamp('2009-02-13T23:31:30Z') == duration('3600s')",
            "timestamp('2009-02-14T00:31:30Z') - duration('1h') == timestamp('2009-02-13T23:31:30Z')",
            "duration('1h30m') == duration('90m') && duration('1.5h') == duration('90m')",
            "duration('1m') - duration('90s') == duration('-30s')",
            "duration('500ms') < duration('1s') && duration('1us') > duration('1ns')",
            "timestamp(value.time).getFullYear() == 2009",
            "timestamp(value.time).getMonth() == 1",
            "timestamp(value.time).getDate() == 13 && timestamp(value.time).getDayOfMonth() == 12",
            "timestamp(value.time).getDayOfWeek() == 5",
            "timestamp(value.time).getDayOfYear() == 43",
            "timestamp(value.time).getHours() == 23 && timestamp(value.time).getMinutes() == 31",
            "timestamp(value.time).getSeconds() == 30 && timestamp(value.time).getMilliseconds() == 123",
            "timestamp(value.time).getHours('+02:00') == 1",
            "duration('3730s').getHours() == 1 && duration('3730s').getMinutes() == 62",
            "duration('3730s').getSeconds() == 3730",
            "meta.timestamp == timestamp('2023-11-14T22:13:20Z')",
            "meta.timestamp - timestamp(value.time) > duration('24h')",
            "type(meta.timestamp) == type(timestamp(0)) && type(duration('1s')) == type(duration('2s'))",
        ],
        fails: &["timestamp('2009-02-13T23:31:30Z') == timestamp('2009-02-13T23:31:31Z')"],
        errors: &[
            "timestamp('yesterday') == timestamp(0)",
            "timestamp('2009-02-30T00:00:00Z') == timestamp(0)",
            "timestamp('9999-12-31T23:59:59Z') + duration('2s') > timestamp(0)",
            "timestamp('0001-01-01T00:00:00Z') - duration('1s') < timestamp(0)",
            "duration('1 hour') == duration('1h')",
            "timestamp(value.time) > 5",
            "timestamp(value.time) + 5 > timestamp(0)",
            "value.time > timestamp(0)",
        ],
    },
];

#[test]
fn cel_is_as_specified() {
    let (mut cases, mut wrong) = (0, Vec::new());
    for Cases { heading, holds, fails, errors } in CASES {
        let all = holds.iter().map(|e| (e, "true")).chain(fails.iter().map(|e| (e, "false")));
        for (expression, expected) in all.chain(errors.iter().map(|e| (e, "an error"))) {
            cases += 1;
            let got = match compile(expression) {
                Err(error) => format!("not compiled: {error}"),
                Ok(_) => match evaluate(expression, RECORD) {
                    Outcome::Holds(true) => "true".to_owned(),
                    Outcome::Holds(false) => "false".to_owned(),
                    Outcome::Error(_) if expected == "an error" => "an error".to_owned(),
                    Outcome::Error(error) => format!("an error: {error}"),
                },
            };
            if got != expected {
                wrong.push(format!("{heading}: {expression}: {got}, not {expected}"));
            }
        }
    }
    assert!(cases >= 130, "{cases}");
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Whatever is written, and whatever the record: an answer within the budget.
#[test]
fn costly_expressions_end_with_an_error() {
    let numbers = |n: usize| format!("[{}0]", "1,".repeat(n - 1));
    let list = format!(r#"{{"a":{},"s":"{}"}}"#, numbers(20_000), "x".repeat(2 << 20));
    let few = format!(r#"{{"a":{},"b":{}}}"#, numbers(90), numbers(900));
    for (expression, payload) in [
        ("value.a.map(x, value.a).size() > 0", &list),
        ("value.a.all(x, value.a == value.a)", &list),
        ("value.a.all(x, 7 in value.a || true)", &list),
        ("value.a.all(x, value.s.contains('yy') || true)", &list),
        ("value.a.all(x, size(value.s) > 0)", &list),
        ("value.a.filter(x, value.s + 'y' != '').size() > 0", &list),
        ("value.a.all(x, value.s.matches('y{3}') || true)", &list),
        ("(value.s + value.s + value.s + value.s + value.s + value.s + value.s + value.s).size() > 0", &list),
        ("value.a.map(x, {'k': value.a}).size() > 0", &list),
        ("value.a.map(x, value.a.map(y, value.a.map(z, z))).size() > 0", &few),
        ("value.b.map(x, [value.b, value.b]).map(l, l + l).size() > 0", &few),
    ] {
        match evaluate(expression, payload) {
            Outcome::Error(error) => {
                assert!(
                    error.contains("more than 1000000 steps") || error.contains("looks at more"),
                    "{expression}: {error}"
                );
            }
            held => panic!("{expression}: {held:?}"),
        }
    }
    // What is usual is far from it, and the results of `map` are not copied over and over.
    let large = format!(r#"{{"a":{}}}"#, numbers(90_000));
    for usual in ["value.a.map(x, x + 1).size() == 90000", "value.a.filter(x, x > 0).size() == 89999"] {
        assert_eq!(evaluate(usual, &large), Outcome::Holds(true), "{usual}");
    }
}

#[test]
fn patterns_are_held_to_their_size_before_they_run() {
    let refused = |expression: &str| compile(expression).map(drop).expect_err("is refused").message;
    assert!(refused("value.a.matches('(')").contains("not a regular expression: unclosed group"));
    assert!(refused("matches(value.a, '(x{1000}){1000}')").contains("grows too large"));
    assert!(refused("value.a.matches('(?=x)')").contains("look-around"));
    let hostile = r#"{"a":"x","p":["(a{500}){500}"]}"#;
    assert!(matches!(evaluate("value.a.matches(value.p[0])", hostile), Outcome::Error(_)));
    assert!(compile("value.a.all(x, x.matches('a'))").unwrap().cost().is_some());
    assert!(compile("value.a.all(x, value.a.all(y, x == y))").unwrap().cost().is_some());
    assert!(compile("value.a.matches('a') && value.b.all(x, x > 0)").unwrap().cost().is_none());
}
