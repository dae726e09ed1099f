use super::*;
use avro_schema::Plan;
use checks::tape::Document;
use proptest::prelude::*;
use serde_json::json;

fn limits() -> Limits {
    Limits::default()
}

/// Decodes a datum and shows it as JSON.
fn decoded(schema: &str, payload: &[u8]) -> Result<serde_json::Value, &'static str> {
    let plan = Plan::compile(schema).expect("a valid schema");
    let (mut shape, mut tape) = (Shape::new(&limits()), Tape::new());
    let document = avro::decode(payload, &plan, &mut shape, &mut tape, &limits());
    document.map(|d: Document<'_>| d.root().to_json()).map_err(|failure| failure.reason)
}

/// A datum as another implementation writes it.
fn written(schema: &str, value: apache_avro::types::Value) -> Vec<u8> {
    let schema = AvroSchema::parse_str(schema).expect("a valid schema");
    let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&schema).build().expect("a writer");
    writer.write_value_to_vec(value).expect("it fits")
}

#[test]
fn a_value_is_recognised_by_itself() {
    for (value, looks) in [
        (&b"{\"a\":1}"[..], Looks::Json),
        (b" \n[", Looks::Json),
        (b"{ broken", Looks::Json),
        (b"\xef\xbb\xbf{}", Looks::Json),
        (b"{\xff", Looks::Json),
        (b"42", Looks::Json),
        (b"\"text\"", Looks::Json),
        (b"null", Looks::Json),
        (b"42 apples", Looks::Not("text")),
        (b"nothing", Looks::Not("text")),
        (b"this is not JSON", Looks::Not("text")),
        (b"", Looks::Not("text")),
        (b"\x0a\x03\xff\xfe", Looks::Not("bytes")),
        (b"\xff", Looks::Not("bytes")),
        (b"\0\0\0\0", Looks::Not("text")),
        (b"\0\0\0\x01\x02rest", Looks::Framed { id: 258, rest: b"rest" }),
        (b"\0\0\0\0\x07", Looks::Framed { id: 7, rest: b"" }),
    ] {
        assert_eq!(look(value), looks, "{:?}", String::from_utf8_lossy(value));
    }
}

#[test]
fn the_rules_of_a_topic_go_before_recognition() {
    let mut decoder = Decoder::new(&limits(), None);
    let mut seen = |value: Option<&[u8]>, format: ValueFormat| {
        let how = How { format, ..How::default() };
        let mut shape = Shape::new(&limits());
        match decoder.decode(value, &how, &mut shape, 0).0 {
            Decoded::Document(_) => "document".to_owned(),
            Decoded::Tombstone => "tombstone".to_owned(),
            Decoded::NotDecoded { format } => format!("not {format}"),
            Decoded::Failed(failure) => failure.reason.to_owned(),
        }
    };
    use ValueFormat::{Auto, Avro, Bytes, Json, Text};
    for format in [Auto, Avro, Bytes, Json, Text] {
        assert_eq!(seen(None, format), "tombstone");
    }
    assert_eq!(seen(Some(b"words"), Auto), "not text");
    assert_eq!(seen(Some(b"words"), Json), "not_json");
    assert_eq!(seen(Some(b"{}"), Auto), "document");
    assert_eq!(seen(Some(b"{}"), Text), "not text");
    assert_eq!(seen(Some(b"{}"), Bytes), "not bytes");
    assert_eq!(seen(Some(b"{}"), Avro), "not_framed");
    assert_eq!(seen(Some(b"\0\0\0\0\x01abc"), Auto), "not framed");
    assert_eq!(seen(Some(b"\0\0\0\0\x01abc"), Avro), "no_registry");
    assert_eq!(seen(Some(b""), Json), "empty");
}

/// Records of several schemas in one topic: fields in another order, more of them, names that are too long to be compared
/// at one glance.
#[test]
fn fields_are_found_by_name_in_any_order() {
    use apache_avro::types::Value;
    const LONG: &str = "a_name_of_more_than_fourteen_bytes";
    let schema = |fields: &[&str]| {
        let field = |name: &&str| format!(r#"{{"name":"{name}","type":"string"}}"#);
        let fields: Vec<String> = fields.iter().map(field).collect();
        format!(r#"{{"type":"record","name":"r","fields":[{}]}}"#, fields.join(","))
    };
    let orders: [&[&str]; 5] =
        [&["a", "b", LONG], &["b", "a"], &[LONG, "c", "a"], &["c", "b", LONG, "a"], &["a", "b", LONG]];
    let (mut shape, mut tape) = (Shape::new(&limits()), Tape::new());
    for fields in orders.into_iter().cycle().take(15) {
        let schema = schema(fields);
        let record = fields.iter().map(|name| ((*name).to_owned(), Value::String(format!("of {name}"))));
        let datum = written(&schema, Value::Record(record.collect()));
        let plan = Plan::compile(&schema).expect("a valid schema");
        let document = avro::decode(&datum, &plan, &mut shape, &mut tape, &limits()).expect("a datum");
        assert!(!document.is_json());
        assert_eq!((document.root().len(), document.duplicate_keys()), (fields.len(), 0));
        for ((key, value), name) in document.root().members().zip(fields) {
            assert_eq!((key, value.as_str()), (*name, Some(format!("of {name}").as_str())));
            assert_eq!(shape.path(value.field()), format!("$.{name}"));
        }
    }
}

#[test]
fn avro_of_every_kind_lands_on_the_tape() {
    use apache_avro::types::Value;
    let schema = r#"{"type":"record","name":"all","namespace":"a.b","fields":[
        {"name":"yes","type":"boolean"},
        {"name":"int","type":"int"},
        {"name":"long","type":"long"},
        {"name":"float","type":"float"},
        {"name":"double","type":"double"},
        {"name":"text","type":"string"},
        {"name":"raw","type":"bytes"},
        {"name":"fixed","type":{"type":"fixed","name":"two","size":2}},
        {"name":"again","type":"two"},
        {"name":"status","type":{"type":"enum","name":"status","symbols":["new","paid"]}},
        {"name":"maybe","type":["null","string"]},
        {"name":"items","type":{"type":"array","items":"int"}},
        {"name":"labels","type":{"type":"map","values":"int"}},
        {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"day","type":{"type":"int","logicalType":"date"}},
        {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
        {"name":"id","type":{"type":"string","logicalType":"uuid"}}
    ]}"#;
    let uuid = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    let record = [
        ("yes", Value::Boolean(true)),
        ("int", Value::Int(-7)),
        ("long", Value::Long(i64::MIN)),
        ("float", Value::Float(0.5)),
        ("double", Value::Double(f64::MAX)),
        ("text", Value::String("größe".into())),
        ("raw", Value::Bytes(vec![0x41, 0xff])),
        ("fixed", Value::Fixed(2, vec![0x42, 0x43])),
        ("again", Value::Fixed(2, vec![0x44, 0x45])),
        ("status", Value::Enum(1, "paid".into())),
        ("maybe", Value::Union(0, Box::new(Value::Null))),
        ("items", Value::Array(vec![Value::Int(1), Value::Int(2)])),
        ("labels", Value::Map([("x".to_owned(), Value::Int(3))].into())),
        ("at", Value::TimestampMillis(1_700_000_000_000)),
        ("day", Value::Date(19_000)),
        ("price", Value::Decimal((-12_345i16).to_be_bytes().into())),
        ("id", Value::Uuid(apache_avro::Uuid::parse_str(uuid).expect("a UUID"))),
    ];
    let record = Value::Record(record.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
    let payload = written(schema, record);
    let expected = json!({
        "yes": true, "int": -7, "long": i64::MIN, "float": 0.5, "double": f64::MAX, "text": "größe",
        "raw": "A\u{ff}", "fixed": "BC", "again": "DE", "status": "paid", "maybe": null, "items": [1, 2],
        "labels": {"x": 3}, "at": 1_700_000_000_000i64, "day": 19_000, "price": -123.45, "id": uuid,
    });
    assert_eq!(decoded(schema, &payload), Ok(expected));
    for len in 0..payload.len() {
        assert_eq!(decoded(schema, &payload[..len]), Err(reason::TRUNCATED), "cut at {len}");
    }
    assert_eq!(decoded(schema, &[&payload[..], b"x"].concat()), Err(reason::TRAILING_BYTES));
}

#[test]
fn decimals_are_as_near_as_a_double_comes() {
    let schema =
        |scale| format!(r#"{{"type":"bytes","logicalType":"decimal","precision":38,"scale":{scale}}}"#);
    for (unscaled, scale, expected) in [
        (&[][..], 0, json!(0)),
        (&[0xff][..], 0, json!(-1)),
        (&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..], 0, json!(i64::MAX)),
        (&[0x03][..], 1, json!(0.3)),
        (&[0x01, 0, 0, 0, 0, 0, 0, 0, 0][..], 0, json!(1.844_674_407_370_955_2e19)),
    ] {
        let payload = [&[unscaled.len() as u8 * 2][..], unscaled].concat();
        assert_eq!(decoded(&schema(scale), &payload), Ok(expected), "{unscaled:?}");
    }
    let huge = [&[34][..], &[1; 17]].concat();
    assert_eq!(decoded(&schema(0), &huge), Err(reason::AVRO_MALFORMED));
}

#[test]
fn what_a_peer_claims_is_not_believed() {
    let long = |value: i64| {
        let mut zigzag = (value << 1 ^ value >> 63) as u64;
        let mut bytes = Vec::new();
        while zigzag >= 0x80 {
            bytes.push(zigzag as u8 | 0x80);
            zigzag >>= 7;
        }
        bytes.push(zigzag as u8);
        bytes
    };
    let two_gigabytes = long(2 << 30);
    assert_eq!(decoded(r#""string""#, &two_gigabytes), Err(reason::TRUNCATED));
    assert_eq!(decoded(r#""bytes""#, &two_gigabytes), Err(reason::TRUNCATED));
    assert_eq!(decoded(r#""bytes""#, &long(-5)), Err(reason::AVRO_MALFORMED));
    let array = |items: &str| format!(r#"{{"type":"array","items":{items}}}"#);
    assert_eq!(decoded(&array(r#""int""#), &two_gigabytes), Err(reason::TRUNCATED));
    // Items of no bytes at all: the tape's bound holds.
    assert_eq!(decoded(&array(r#""null""#), &long(i64::MAX)), Err(reason::TOO_LARGE));
    let empty = r#"{"type":"record","name":"r","fields":[]}"#;
    assert_eq!(decoded(&array(empty), &long(i64::MIN)), Err(reason::TRUNCATED), "a block's size is due");
    assert_eq!(decoded(&array(empty), &[&long(i64::MIN)[..], &long(0)].concat()), Err(reason::TOO_LARGE));
    assert_eq!(decoded(r#""int""#, &long(i64::MAX)), Err(reason::AVRO_MALFORMED));
    assert_eq!(decoded(r#""long""#, &[0xff; 11]), Err(reason::AVRO_MALFORMED));
    assert_eq!(decoded(r#""boolean""#, &[2]), Err(reason::AVRO_MALFORMED));
    assert_eq!(decoded(r#"["null","int"]"#, &long(2)), Err(reason::AVRO_MALFORMED));
    assert_eq!(decoded(r#""string""#, &[4, 0xc3, 0x28]), Err(reason::INVALID_UTF8));
    assert_eq!(
        decoded(r#"{"type":"enum","name":"e","symbols":["a"]}"#, &long(1)),
        Err(reason::AVRO_MALFORMED)
    );
    // A list as long as its bytes: each nests in the one before.
    let list = r#"{"type":"record","name":"list","fields":[{"name":"next","type":["null","list"]}]}"#;
    assert_eq!(decoded(list, &vec![2; 4 << 20]), Err(reason::TOO_DEEP));
    let mut three = vec![2; 2];
    three.push(0);
    assert_eq!(decoded(list, &three), Ok(json!({"next": {"next": {"next": null}}})));
}

#[test]
fn a_readers_schema_is_a_contract() {
    let writer = r#"{"type":"record","name":"r","fields":[{"name":"a","type":"int"}]}"#;
    let plan = Plan::compile(writer).expect("valid");
    let resolves = |reader: &str| {
        avro::resolve(&[2], &plan, &AvroSchema::parse_str(reader).expect("a valid schema")).is_ok()
    };
    assert!(resolves(writer));
    assert!(resolves(r#"{"type":"record","name":"r","fields":[{"name":"a","type":"long"}]}"#));
    assert!(resolves(
        r#"{"type":"record","name":"r","fields":[{"name":"a","type":"int"},{"name":"b","type":"int","default":1}]}"#
    ));
    assert!(!resolves(
        r#"{"type":"record","name":"r","fields":[{"name":"a","type":"int"},{"name":"b","type":"int"}]}"#
    ));
    assert!(!resolves(r#"{"type":"record","name":"r","fields":[{"name":"a","type":"string"}]}"#));
}

#[test]
fn names_are_resolved_in_their_namespace() {
    let schema = r#"{"type":"record","name":"outer","namespace":"x","fields":[
        {"name":"a","type":{"type":"record","name":"y.inner","fields":[
            {"name":"e","type":{"type":"enum","name":"kind","symbols":["one"]}}]}},
        {"name":"b","type":"y.kind"},
        {"name":"c","type":["null","outer"]}
    ]}"#;
    assert_eq!(decoded(schema, &[0, 0, 0]), Ok(json!({"a": {"e": "one"}, "b": "one", "c": null})));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        let schema = r#"{"type":"record","name":"r","fields":[
            {"name":"next","type":["null","r",{"type":"map","values":["long","string"]}]},
            {"name":"items","type":{"type":"array","items":["null",{"type":"bytes","logicalType":"decimal","precision":4}]}},
            {"name":"f","type":["double",{"type":"fixed","name":"d","size":12,"logicalType":"duration"}]}]}"#;
        let _ = decoded(schema, &payload);
        let mut decoder = Decoder::new(&limits(), None);
        let mut shape = Shape::new(&limits());
        let _ = decoder.decode(Some(&payload), &How::default(), &mut shape, 0);
    }

    #[test]
    fn what_another_implementation_writes_is_read(
        number in any::<i64>(), text in ".{0,20}", raw in prop::collection::vec(any::<u8>(), 0..20), real in -1e300f64..1e300,
    ) {
        use apache_avro::types::Value;
        let schema = r#"{"type":"record","name":"r","fields":[
            {"name":"number","type":"long"},{"name":"text","type":["null","string"]},
            {"name":"raw","type":"bytes"},{"name":"real","type":"double"}]}"#;
        let payload = written(schema, Value::Record(vec![
            ("number".into(), Value::Long(number)),
            ("text".into(), Value::Union(1, Box::new(Value::String(text.clone())))),
            ("raw".into(), Value::Bytes(raw.clone())),
            ("real".into(), Value::Double(real)),
        ]));
        let raw: String = raw.into_iter().map(char::from).collect();
        prop_assert_eq!(decoded(schema, &payload), Ok(json!({"number": number, "text": text, "raw": raw, "real": real})));
    }
}
