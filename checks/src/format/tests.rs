//! Cases from the documents that define the formats.

use proptest::prelude::*;

use super::*;

fn hold(format: Format, good: &[&str], bad: &[&str]) {
    for text in good {
        assert!(format.matches(text), "{} refuses {text:?}", format.as_str());
    }
    for text in bad {
        assert!(!format.matches(text), "{} takes {text:?}", format.as_str());
    }
}

#[test]
fn email_by_rfc_5321_and_6531() {
    let longest = format!("{}@example.com", "a".repeat(64));
    let too_long = format!("{}@example.com", "a".repeat(65));
    hold(
        Format::Email,
        &[
            // RFC 5322, appendix A; RFC 3696, section 3; RFC 5321, 4.1.3.
            "john.q.public@example.com",
            "mary@example.net",
            "pete@silly.test",
            "user+mailbox@example.com",
            "customer/department=shipping@example.com",
            "$A12345@example.com",
            "!def!xyz%abc@example.com",
            "_somename@example.com",
            r#""Abc\@def"@example.com"#,
            r#""Fred Bloggs"@example.com"#,
            r#""Joe.\\Blow"@example.com"#,
            r#""Abc@def"@example.com"#,
            r#""much.more unusual"@example.com"#,
            "user@localhost",
            "user@[192.0.2.1]",
            "user@[IPv6:2001:db8::1]",
            "用户@例子.广告",
            "jörg@müller.example",
            "x@xn--mller-kva.example",
            &longest,
        ],
        &[
            "",
            "@",
            "plain",
            "@example.com",
            "user@",
            "a@b@c.example",
            "Abc.example.com",
            ".user@example.com",
            "user.@example.com",
            "us..er@example.com",
            "us er@example.com",
            "user@-example.com",
            "user@example-.com",
            "user@exa_mple.com",
            "user@example..com",
            "user@.example.com",
            "user@example.com.",
            "user@192.0.2.1",
            "user@[192.0.2.256]",
            "user@[2001:db8::1]",
            "user@[IPv6:1]",
            r#""un"quoted"@example.com"#,
            r#""open@example.com"#,
            r#"John Doe <john@example.com>"#,
            "user@example.com\n",
            " user@example.com",
            "us\u{0}er@example.com",
            &too_long,
        ],
    );
}

#[test]
fn uuid_by_rfc_9562() {
    hold(
        Format::Uuid,
        &[
            // Appendix A, and section 5.9 and 5.10.
            "C232AB00-9414-11EC-B3C8-9F6BDECED846",
            "5df41881-3aed-3515-88a7-2f4a814cf09e",
            "919108f7-52d1-4320-9bac-f847db4148a8",
            "2ed6657d-e927-568b-95e1-2665a8aea6a2",
            "1EC9414C-232A-6B00-B3C8-9F6BDECED846",
            "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ],
        &[
            "",
            "919108f752d143209bacf847db4148a8",
            "{919108f7-52d1-4320-9bac-f847db4148a8}",
            "urn:uuid:919108f7-52d1-4320-9bac-f847db4148a8",
            "919108f7-52d1-4320-9bac-f847db4148a",
            "919108f7-52d1-4320-9bac-f847db4148a88",
            "919108f7-52d1-4320-9bac-f847db4148ag",
            "919108f75-2d1-4320-9bac-f847db4148a8",
            "919108f7_52d1_4320_9bac_f847db4148a8",
            "919108f7-52d1-4320-9bac-f847db4148é",
        ],
    );
}

#[test]
fn addresses_by_rfc_4291_and_6943() {
    hold(
        Format::Ipv4,
        &["0.0.0.0", "127.0.0.1", "192.0.2.235", "255.255.255.255"],
        &[
            "",
            "256.0.0.1",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "0x7f.0.0.1",
            "1.2.3.4 ",
            "1.2.3.-4",
            "::1",
            "2130706433",
            "1.2.3.4/24",
        ],
    );
    hold(
        Format::Ipv6,
        &[
            "ABCD:EF01:2345:6789:ABCD:EF01:2345:6789",
            "2001:DB8:0:0:8:800:200C:417A",
            "2001:DB8::8:800:200C:417A",
            "FF01::101",
            "::1",
            "::",
            "0:0:0:0:0:0:13.1.68.3",
            "::FFFF:129.144.52.38",
        ],
        &[
            "",
            ":",
            "1::2::3",
            "12345::",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9",
            "fe80::1%eth0",
            "::ffff:1.2.3.256",
            "g::",
            "127.0.0.1",
            "[::1]",
            "::1/128",
        ],
    );
}

#[test]
fn uri_by_rfc_3986() {
    hold(
        Format::Uri,
        &[
            // Section 1.1.2.
            "ftp://ftp.is.co.za/rfc/rfc1808.txt",
            "http://www.ietf.org/rfc/rfc2396.txt",
            "ldap://[2001:db8::7]/c=GB?objectClass?one",
            "mailto:John.Doe@example.com",
            "news:comp.infosystems.www.servers.unix",
            "tel:+1-816-555-1212",
            "telnet://192.0.2.16:80/",
            "urn:oasis:names:specification:docbook:dtd:xml:4.1.2",
            "foo://example.com:8042/over/there?name=ferret#nose",
            "http://example.com/%7Efoo",
        ],
        &[
            "",
            "/relative",
            "example.com",
            "//example.com/x",
            "http://exa mple.com",
            "http://example.com/%zz",
            "1http://x",
            "http://[::1",
            "http://example.com/ä",
            ":foo",
            "http://example.com/a|b",
        ],
    );
}

#[test]
fn dates_and_times_by_rfc_3339() {
    hold(
        Format::Date,
        &["1985-04-12", "2000-02-29", "2024-02-29", "0000-01-01", "9999-12-31"],
        &[
            "",
            "1900-02-29",
            "2023-02-29",
            "2023-04-31",
            "2023-13-01",
            "2023-00-10",
            "2023-01-00",
            "2023-1-01",
            "20230101",
            "2023-01-01T00:00:00Z",
            "23-01-01",
            "2023/01/01",
            "+2023-01-1",
            "２023-01-01",
        ],
    );
    hold(
        Format::DateTime,
        &[
            // Section 5.8.
            "1985-04-12T23:20:50.52Z",
            "1996-12-19T16:39:57-08:00",
            "1990-12-31T23:59:60Z",
            "1990-12-31T15:59:60-08:00",
            "1937-01-01T12:00:27.87+00:20",
            "1985-04-12t23:20:50z",
            "2026-01-01T00:00:00-00:00",
            "2026-01-01T00:00:00.123456789012345678Z",
        ],
        &[
            "",
            "1985-04-12",
            "1985-04-12T23:20:50",
            "1985-04-12 23:20:50Z",
            "1985-04-12T24:00:00Z",
            "1985-04-12T23:60:00Z",
            "1985-04-12T23:20:61Z",
            "1985-04-12T23:20:60Z",
            "1990-12-31T23:59:60-08:00",
            "1985-04-12T23:20:50.Z",
            "1985-04-12T23:20:50,5Z",
            "1985-04-12T23:20:50+0100",
            "1985-04-12T23:20:50+01",
            "1985-04-12T23:20:50+24:00",
            "1985-04-12T23:20:50+01:60",
            "1985-04-12T23:20Z",
            "1985-02-30T23:20:50Z",
            "1985-04-12T23:20:50Zx",
            "1985-04-12T23:20:50 Z",
        ],
    );
}

#[test]
fn codes_by_iso_3166_and_4217() {
    hold(
        Format::Country,
        &["DE", "GB", "US", "AX", "SS", "CW", "DEU", "GBR", "USA", "ALA"],
        &["", "de", "UK", "EU", "XK", "YU", "AN", "ZZ", "D", "GER", "deu", "276", "Germany", "DE "],
    );
    hold(
        Format::Currency,
        &["EUR", "USD", "JPY", "CHF", "XAU", "XTS", "XXX", "ZWG", "XCG", "SLE"],
        &["", "eur", "DEM", "HRK", "ZWL", "BTC", "EURO", "€", "978", "EUR "],
    );
}

#[test]
fn iban_by_iso_13616() {
    hold(
        Format::Iban,
        &[
            // Examples of SWIFT's registry.
            "AD1200012030200359100100",
            "AE070331234567890123456",
            "AT611904300234573201",
            "BE68539007547034",
            "BR1800360305000010009795493C1",
            "CH9300762011623852957",
            "CR05015202001026284066",
            "DE89370400440532013000",
            "DK5000400440116243",
            "ES9121000418450200051332",
            "FR1420041010050500013M02606",
            "GB29NWBK60161331926819",
            "GI75NWBK000000007099453",
            "IE29AIBK93115212345678",
            "IT60X0542811101000000123456",
            "LC55HEMM000100010012001200023015",
            "MT84MALT011000012345MTLCAST001S",
            "NL91ABNA0417164300",
            "NO9386011117947",
            "PL61109010140000071219812874",
            "SA0380000000608010167519",
            "SC18SSCB11010000000000001497USD",
            "SE4550000000058398257466",
            "XK051212012345678906",
        ],
        &[
            "",
            "DE",
            "DE89370400440532013001",
            "DE98370400440532013000",
            "DE8937040044053201300",
            "DE893704004405320130000",
            "DE89 3704 0044 0532 0130 00",
            "de89370400440532013000",
            "GB29NWBK6016133192681é",
            "ZZ89370400440532013000",
            "US89370400440532013000",
            "DEX9370400440532013000",
            "GB29nwbk60161331926819",
        ],
    );
    // Check digits 00, 01 and 99 have the remainders of 97, 98 and 02, and are never computed.
    let with = |digits: &str| format!("DE{digits}370400440532013000");
    assert_eq!((0..100).filter(|n| Format::Iban.matches(&with(&format!("{n:02}")))).count(), 1);
    for body in 0..500 {
        let found: Vec<u32> =
            (0..100).filter(|n| Format::Iban.matches(&format!("DE{n:02}37040044053201{body:04}"))).collect();
        assert!(matches!(found[..], [2..=98]), "{body}: {found:?}");
    }
}

#[test]
fn hostname_by_rfc_1123() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    hold(
        Format::Hostname,
        &[
            "example.com",
            "localhost",
            "3com.com",
            "a",
            "xn--4gbwdl.xn--wgbh1c",
            "A-1.example",
            "1.2.3.a4",
            &label,
            &longest,
        ],
        &[
            "",
            ".",
            "example.com.",
            ".example.com",
            "exa..mple",
            "-a.example",
            "a-.example",
            "under_score.example",
            "münchen.example",
            "exam ple",
            "127.0.0.1",
            "host:80",
            &format!("{label}a"),
            &format!("{longest}a"),
        ],
    );
}

#[test]
fn names_are_all_there() {
    for (name, format) in FORMATS {
        assert_eq!(format.as_str(), name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_text_is_answered(text in any::<String>(), at in 0usize..40, byte in any::<char>()) {
        for (_, format) in FORMATS {
            _ = format.matches(&text);
            for near in ["a@[IPv6:::1]", "DE89370400440532013000", "1990-12-31T23:59:60.1-08:00", "2001:db8::1"] {
                let mut near: Vec<char> = near.chars().collect();
                near.insert(at.min(near.len()), byte);
                _ = format.matches(&near.into_iter().collect::<String>());
            }
        }
    }

    #[test]
    fn every_time_that_a_library_writes_is_taken(ms in -62_135_596_800_000i64..253_402_300_799_999, minutes in -1439i32..1439) {
        let time = chrono::DateTime::from_timestamp_millis(ms).unwrap();
        let zone = chrono::FixedOffset::east_opt(minutes * 60).unwrap();
        let there = time.with_timezone(&zone);
        // Beyond the years that RFC 3339 has.
        prop_assume!((0..=9999).contains(&chrono::Datelike::year(&there)));
        prop_assert!(Format::DateTime.matches(&there.to_rfc3339()), "{}", there.to_rfc3339());
        prop_assert!(Format::Date.matches(&there.to_rfc3339()[..10]));
    }
}
