use super::super::{Content, Node, parse};
use super::*;
use crate::limits::Limits;

fn node(text: &str) -> Node {
    parse(text, &Limits::default()).unwrap()
}

fn refusal(text: &str) -> Diagnostic {
    parse(text, &Limits::default()).unwrap_err()
}

/// What is found when `read` has read `text`.
fn found(text: &str, read: impl Fn(&Reader<'_>, &Node)) -> String {
    let node = node(text);
    let reader = Reader::new("a.yaml", text);
    read(&reader, &node);
    reader.into_diagnostics().to_string()
}

#[test]
fn every_value_knows_its_place() {
    let tree = node("a: 1\nlist:\n  - x\n  - { b: 'two words', c: [1, 2] }\n");
    let at = |node: &Node| (node.span.line, node.span.column, node.span.length);
    assert_eq!(at(tree.get("a").unwrap()), (1, 4, 1));
    let Content::Sequence(items) = &tree.get("list").unwrap().content else { panic!() };
    assert_eq!(at(&items[0]), (3, 5, 1));
    assert_eq!(at(&items[1]), (4, 5, 29));
    assert_eq!(at(items[1].get("b").unwrap()), (4, 10, 11));
    assert_eq!(at(items[1].get("c").unwrap()), (4, 26, 6));
    let key = &items[1].as_mapping().unwrap()[1].key;
    assert_eq!((key.span.line, key.span.column, key.span.length), (4, 23, 1));
}

#[test]
fn nothing_is_a_null_document() {
    assert!(node("").is_null());
    assert!(node("# only a comment\n").is_null());
}

#[test]
fn refuses_what_is_not_its_part_of_yaml() {
    for (text, line, message) in [
        ("a: 1\nb: 2\na: 3\n", 3, "duplicate key `a`"),
        ("a: &x 1\nb: *x\n", 1, "anchors"),
        ("a: *x\n", 1, "anchor"),
        ("a: &a [*a]\n", 1, "anchors"),
        ("a: !!str 1\n", 1, "tags"),
        ("<<: { a: 1 }\n", 1, "merge keys"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("? [a]\n: b\n", 1, "cannot be a key"),
        ("a:\n\tb: 1\n", 2, "tab"),
        ("a: b: c\n", 1, "not valid YAML"),
        ("a: [1, 2\nb: 1\n", 2, "not valid YAML"),
        ("a: \"\\q\"\n", 1, "not valid YAML"),
        ("a: 'open\n", 1, "not valid YAML"),
        ("{ : 1 }\n", 1, "key is missing"),
    ] {
        let diagnostic = refusal(text);
        assert!(diagnostic.message.contains(message), "{text:?}: {diagnostic}");
        assert_eq!(diagnostic.line, line, "{text:?}: {diagnostic}");
    }
}

#[test]
fn is_bounded_in_size_depth_and_number() {
    let limits = Limits::default();
    let large = "a".repeat(limits.file_bytes + 1);
    assert!(refusal(&large).message.contains("bytes"));
    let deep = "[".repeat(100_000);
    assert!(refusal(&deep).message.contains("nested"), "{}", refusal(&deep));
    let deep_blocks = (0..500).map(|n| format!("{}- \n", " ".repeat(n))).collect::<String>();
    assert!(refusal(&deep_blocks).message.contains("nested"));
    let many = format!("[{}]", "1,".repeat(150_000));
    assert!(refusal(&many).message.contains("values"));
    let bomb = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n";
    assert!(refusal(bomb).message.contains("anchors"));
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let text = "version: 1\nwach: {}\n";
    let shown = found(text, |reader, node| {
        reader.map(node, &["version", "watch"]);
    });
    assert_eq!(
        shown,
        "error: unknown key `wach`\n --> a.yaml:2:1\n  |\n2 | wach: {}\n  | ^^^^ did you mean `watch`?"
    );
    let shown = found("zebra: 1\n", |reader, node| {
        reader.map(node, &["version", "watch"]);
    });
    assert!(shown.ends_with("^^^^^ valid: `version`, `watch`"), "{shown}");
}

#[test]
fn reads_every_type() {
    let text = "s: text\nn: 1_000\nf: -2.5\nb: true\nd: 90s\np: 20%\nz: 8MiB\nr: 2000/s\nl: [a, b]\nm: { x: 1 }\nc: json\ne:\n";
    let tree = node(text);
    let reader = Reader::new("a.yaml", text);
    let map = reader.any_map(&tree).unwrap();
    assert_eq!(map.required_str("s").as_deref(), Some("text"));
    assert_eq!(map.opt_integer("n", 0..=2000), Some(1000));
    assert_eq!(map.opt_usize("n", 0..=2000), Some(1000));
    assert_eq!(map.opt_number("f"), Some(-2.5));
    assert_eq!(map.opt_boolean("b"), Some(true));
    assert_eq!(map.opt_duration_ms("d"), Some(90_000));
    assert_eq!(map.opt_duration_ms_in("d", 1_000..=100_000), Some(90_000));
    assert_eq!(map.opt_percent("p"), Some(0.2));
    assert_eq!(map.opt_bytes("z"), Some(8 << 20));
    assert_eq!(map.opt_rate("r"), Some(2000));
    assert_eq!(map.opt_str_list("l"), Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(map.opt_str_map("m"), Some(vec![("x".to_owned(), "1".to_owned())]));
    assert_eq!(map.opt_choice("c", &[("auto", 0), ("json", 1)]), Some(1));
    assert!(map.opt_map("e", &[]).is_none());
    assert!(map.opt_str("absent").is_none());
    assert!(reader.finish(()).is_ok());
}

#[test]
fn wrong_types_are_all_said_each_at_its_place() {
    let text = "s: [1]\nn: 1.5\nbig: 9\nf: nan\nb: yes\nd: 5\np: 0.2\nr: 7\nl: a\nm: 1\nc: jsn\ne:\n";
    let tree = node(text);
    let reader = Reader::new("a.yaml", text);
    let map = reader.any_map(&tree).unwrap();
    map.required_str("s");
    map.opt_integer("n", 0..=9);
    map.opt_integer("big", 0..=8);
    map.opt_number("f");
    map.opt_boolean("b");
    map.opt_duration_ms("d");
    map.opt_percent("p");
    map.opt_rate("r");
    map.opt_str_list("l");
    map.opt_map("m", &[]);
    map.opt_choice("c", &[("auto", 0), ("json", 1)]);
    map.opt_str("e");
    map.required("zz");
    let found = reader.finish(()).unwrap_err();
    let said: Vec<String> = found
        .iter()
        .map(|d| format!("{}:{} {} ({})", d.line, d.column, d.message, d.help.as_deref().unwrap_or("")))
        .collect();
    assert_eq!(
        said,
        [
            "1:1 `zz` is missing ()",
            "1:4 expected text, found a list ()",
            "2:4 expected a whole number, found `1.5` ()",
            "3:6 must be from 0 to 8 ()",
            "4:4 expected a number, found `nan` ()",
            "5:4 `yes` is not a boolean (write `true`)",
            "6:4 `5` is a duration without a unit (a duration is a number and a unit: `500ms`, `30s`, `5m`, `1h` or `30d`)",
            "7:4 `0.2` is a share without its `%` (a share is written in percent: `20%`, from 0% to 100%)",
            "8:4 `7` is a rate without its `/s` (a rate is a whole number a second: `2000/s`)",
            "9:4 expected a list (`[a, b]`), found `a` ()",
            "10:4 expected a mapping (`key: value`), found `1` ()",
            "11:4 unknown value `jsn` (did you mean `json`?)",
            "12:2 expected text, found nothing ()",
        ]
    );
}

#[test]
fn scalars_are_expanded_before_they_are_read() {
    let text = "port: ${PORT}\nhost: ${HOST}\n";
    let tree = node(text);
    let reader = Reader::new("a.yaml", text).with_expansion(|text| match text {
        "${PORT}" => Ok("9092".to_owned()),
        other => Err(format!("{other} is not set")),
    });
    let map = reader.any_map(&tree).unwrap();
    assert_eq!(map.opt_integer("port", 1..=65_535), Some(9092));
    assert_eq!(map.opt_str("host"), None);
    let found = reader.into_diagnostics();
    assert_eq!(found.iter().next().map(|d| (d.line, d.message.as_str())), Some((2, "${HOST} is not set")));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_makes_it_panic(text in "[-a:{}\\[\\],&*!|>'\"%@`#?<~ 0.\n\t\u{e9}]{0,60}") {
        match parse(&text, &Limits::default()) {
            Ok(node) => { let _ = super::super::to_json(&node); }
            Err(diagnostic) => { let _ = diagnostic.to_string(); }
        }
    }
}
