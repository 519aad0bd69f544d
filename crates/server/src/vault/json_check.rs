//! Whether a body is JSON that everybody behind the door will read in the same way: within bounds, and without what one
//! parser takes and another does not (numbers out of range, halves of surrogate pairs).

use keyturn_core::kv::json;

use super::error::Failure;

/// Values in a body at the most, over all its levels: each one that is text becomes a hash in the audit log.
const MAX_VALUES: usize = 20_000;

/// Whether `text` is one JSON object, no deeper than `depth`. The message names the place, never what stands there.
pub(super) fn check_json(text: &[u8], depth: usize) -> Result<(), Failure> {
    problem_of(text, depth)
        .map_or(Ok(()), |problem| Err(Failure::bad_request(format!("error parsing JSON: {problem}"))))
}

/// What is wrong with `text`, which must be one JSON object.
pub(crate) fn problem_of(text: &[u8], depth: usize) -> Option<String> {
    let (deepest, values) = measure(text);
    if deepest > depth {
        return Some(format!("nested deeper than {depth} levels"));
    }
    if values > MAX_VALUES {
        return Some(format!("more than {MAX_VALUES} values"));
    }
    if let Err(error) = json::check(text) {
        let what = match error.classify() {
            serde_json::error::Category::Eof => "the text ends too early",
            _ => "syntax error",
        };
        let (line, column) = (error.line(), error.column());
        return Some(format!("{what} at line {line}, column {column}"));
    }
    if !text.trim_ascii_start().starts_with(b"{") {
        return Some("the body must be a JSON object".to_owned());
    }
    std::str::from_utf8(text).err().map(|_| "not valid UTF-8".to_owned())
}

/// How deep brackets are nested, and how many values there can be, outside of strings.
fn measure(text: &[u8]) -> (usize, usize) {
    let (mut depth, mut deepest, mut values, mut in_string, mut escaped) = (0_usize, 0, 1_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                values += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            b',' if !in_string => values += 1,
            _ => {}
        }
    }
    (deepest, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_and_values_are_counted_outside_of_strings() {
        assert_eq!(measure(br#"{"a":[1,{"b":"}}]{{{,,,"}]}"#), (3, 5));
        assert_eq!(measure(br#""\"{{{{,""#), (0, 1));
    }

    #[test]
    fn broken_json_is_told_by_its_place_alone() {
        let text = check_json(br#"{"password": "hunter2", oops}"#, 64).expect_err("broken").text();
        assert!(text.contains("line 1, column 2") && !text.contains("hunter2") && !text.contains("oops"), "{text}");
        assert!(check_json(b"[1]", 64).is_err());
        assert!(check_json(b"{\"a\":\"\xff\"}", 64).is_err());
    }

    #[test]
    fn what_parsers_disagree_on_is_refused() {
        for text in [r#"{"z":1e999}"#, r#"{"z":"\ud800"}"#, r#"{"\ud800":1}"#, r#"{"z":1} x"#, r#"{"z":01}"#] {
            assert!(check_json(text.as_bytes(), 64).is_err(), "{text}");
        }
        for text in [r#"{"z":12345678901234567890123.50}"#, r#"{"z":"\ud83d\ude00","n":null,"b":[true]}"#] {
            assert!(check_json(text.as_bytes(), 64).is_ok(), "{text}");
        }
    }
}
