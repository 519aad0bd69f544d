use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::secret::Key256;

/// In every generated string value, and in nothing else of the input or the output.
const CANARY: &str = "PLAIN";

fn hasher() -> Hasher {
    Hasher::new(&Key256::new([7; 32]))
}

fn redacted(input: &str) -> Result<String, RedactError> {
    let mut out = Vec::new();
    redact(input.as_bytes(), &[], &hasher(), &mut out)?;
    Ok(String::from_utf8(out).expect("UTF-8"))
}

/// What the text should turn into, by way of a tree.
fn expected(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(hasher().hash_str(text)),
        Value::Array(items) => items.iter().map(expected).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, member)| (name.clone(), expected(member))).collect())
        }
        plain => plain.clone(),
    }
}

/// JSON text with every character of every string written as `\uXXXX`, and white space wherever it is allowed.
fn spelled_out(value: &Value) -> String {
    let string = |text: &str| {
        let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        format!(" \"{units}\"\n")
    };
    match value {
        Value::String(text) => string(text),
        Value::Array(items) => {
            format!("\t[ {} ]", items.iter().map(spelled_out).collect::<Vec<_>>().join(" ,"))
        }
        Value::Object(members) => {
            let members: Vec<_> =
                members.iter().map(|(name, member)| format!("{}:{}", string(name), spelled_out(member))).collect();
            format!("{{\r{} }}", members.join(","))
        }
        plain => plain.to_string(),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(|text| Value::from(format!("{CANARY}{text}"))),
        any::<String>().prop_map(|text| Value::from(format!("{text}{CANARY}"))),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map("[a-z\"\\\\\u{1}é]{0,4}", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_string_value_survives_and_the_shape_stays(value in any_json()) {
        for text in [value.to_string(), serde_json::to_string_pretty(&value).expect("JSON"), spelled_out(&value)] {
            let out = redacted(&text).expect("redacted");
            prop_assert!(!out.contains(CANARY));
            prop_assert!(!out.contains('\n'));
            // Read back from the text: serde_json may read a float's last digit differently from how it wrote it.
            let value = serde_json::from_str(&text).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<Value>(&out).expect("JSON"), expected(&value));
        }
    }

    #[test]
    fn what_is_json_is_decided_as_serde_json_decides(text in r#"[\[\]{},:"\\u/0-2aeE+.\-truflsn \t\n]{0,12}"#) {
        let json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        prop_assert_eq!(redacted(&text).is_ok(), json);
    }

    #[test]
    fn a_changed_byte_never_makes_it_disagree(value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = value.to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        let json = serde_json::from_slice::<&serde_json::value::RawValue>(&text).is_ok();
        prop_assert_eq!(redact(&text, &[], &hasher(), &mut Vec::new()).is_ok(), json);
    }
}

#[test]
fn names_and_numbers_are_copied_as_written() {
    let text =
        r#"{ "A\u0042é\n" : [ 1.50e+09, -0, 123456789012345678901234567890, 0.1000, true, null ], "A\u0042é\n": {} }"#;
    let out = r#"{"A\u0042é\n":[1.50e+09,-0,123456789012345678901234567890,0.1000,true,null],"A\u0042é\n":{}}"#;
    assert_eq!(redacted(text).as_deref(), Ok(out));
}

#[test]
fn a_value_has_one_hash_however_it_is_spelled() {
    for (spelling, value) in [
        (r#""a/b""#, "a/b"),
        (r#""a\/b""#, "a/b"),
        (r#""\u0061\u002fb""#, "a/b"),
        (r#""\"\\\b\f\n\r\t""#, "\"\\\u{8}\u{c}\n\r\t"),
        (r#""\ud83d\ude00!""#, "😀!"),
        (r#""\ud800\udc00\udbff\udfff""#, "\u{10000}\u{10ffff}"),
        (r#""""#, ""),
        // Halves of a pair, which are no characters.
        (r#""\ud83d""#, "\u{fffd}"),
        (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
        (r#""\ud83d\u0041""#, "\u{fffd}A"),
        (r#""\ud83d\n""#, "\u{fffd}\n"),
    ] {
        assert_eq!(redacted(spelling), Ok(format!("\"{}\"", hasher().hash_str(value))), "{spelling}");
    }
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    for (text, at) in [
        ("", 0),
        ("  ", 2),
        ("{} {}", 3),
        ("{\"a\":1,}", 7),
        ("[1,]", 3),
        ("[1 2]", 3),
        ("{\"a\" 1}", 5),
        ("{1:2}", 1),
        ("01", 1),
        ("1.", 2),
        ("-", 1),
        ("tru", 0),
        ("\"a\nb\"", 2),
        ("\"\\x\"", 2),
        ("\"\\u12g4\"", 5),
        ("\"open", 5),
        ("[1}", 2),
    ] {
        assert_eq!(redacted(text), Err(RedactError::NotJson { at }), "{text:?}");
    }
    assert_eq!(redact(b"\"ab\xff\"", &[], &hasher(), &mut Vec::new()), Err(RedactError::NotJson { at: 3 }));
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(redacted(&nested(MAX_DEPTH)), Ok(nested(MAX_DEPTH)));
    assert_eq!(redacted(&nested(MAX_DEPTH + 1)), Err(RedactError::TooDeep));
    assert_eq!(redacted(&"{\"a\":".repeat(100_000)), Err(RedactError::TooDeep));
}

#[test]
fn an_error_does_not_quote_the_data() {
    let error = redacted(&json!({"a": CANARY}).to_string().replace('}', "]")).expect_err("not JSON");
    assert_eq!(error.to_string(), "the data is not well-formed JSON at byte 12; send a JSON object in UTF-8");
}

#[test]
fn only_values_directly_under_a_named_member_stay_in_clear() {
    let input = br#"{"reason":"a","list":["b"],"deep":{"reason":["c",{"other":"d"}]},"rea\u0073on":"e"}"#;
    let mut out = Vec::new();
    redact(input, &["reason".to_owned()], &hasher(), &mut out).expect("JSON");
    let text = String::from_utf8(out).expect("UTF-8");
    assert!(text.contains(r#""reason":"a""#) && text.contains(r#""reason":["c","#), "{text}");
    for hidden in [r#""b""#, r#""d""#, r#""e""#] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
}
