//! Reads HCL as Vault's policies are written in it: HCL 1, which later versions of HCL do not read. It differs in
//! that keys may be quoted everywhere, `key { … }` and `key = { … }` mean the same, entries need neither commas nor
//! line ends between them, and `${…}` is plain text.
//!
//! ```text
//! entries = { entry [","] }
//! entry   = key "=" value | key [ label ] object
//! key     = identifier | string          label = identifier | string
//! value   = string | number | "true" | "false" | list | object
//! list    = "[" [ value { "," value } [","] ] "]"
//! object  = "{" entries "}"
//! comment = "#" … | "//" … | "/*" … "*/"
//! ```
//!
//! Here-documents are refused: no key of a policy takes text of several lines.

use serde_json::{Number, Value};

use super::error::{Line, PolicyError, clip};
use super::parse::MAX_DEPTH;
use super::tree::{Entry, Node};

/// Reads a whole text.
pub(super) fn read_hcl(text: &str) -> Result<Vec<Entry>, PolicyError> {
    let mut reader = Reader { text, at: 0, line: 1, depth: 0 };
    reader.entries(None)
}

struct Reader<'a> {
    text: &'a str,
    /// Byte offset of the next character.
    at: usize,
    /// Its line, from 1.
    line: usize,
    /// Objects and lists that are open.
    depth: usize,
}

impl Reader<'_> {
    /// Entries up to `end`, which is taken, or up to the end of the text.
    fn entries(&mut self, end: Option<char>) -> Result<Vec<Entry>, PolicyError> {
        let mut entries = Vec::new();
        loop {
            self.skip_blank()?;
            if self.peek() == end {
                self.bump();
                return Ok(entries);
            }
            entries.push(self.entry()?);
            self.skip_blank()?;
            self.take(',');
        }
    }

    fn entry(&mut self) -> Result<Entry, PolicyError> {
        let line = Line(Some(self.line));
        let key = self.key()?;
        self.skip_blank()?;
        if self.take('=') {
            self.skip_blank()?;
            return Ok(Entry { key, value: self.value()?, line });
        }
        if self.peek() == Some('{') {
            return Ok(Entry { key, value: self.object()?, line });
        }
        if !self.at_key() {
            return Err(self.expected(&format!("'=' or '{{' after {:?}", clip(&key))));
        }
        let label = self.key()?;
        self.skip_blank()?;
        if self.peek() != Some('{') {
            return Err(self.expected(&format!("'{{' after {:?} {:?}", clip(&key), clip(&label))));
        }
        let inner = Entry { key: label, value: self.object()?, line };
        Ok(Entry { key, value: Node::Object(vec![inner]), line })
    }

    fn at_key(&self) -> bool {
        self.peek().is_some_and(|c| c == '"' || starts_identifier(c))
    }

    fn key(&mut self) -> Result<String, PolicyError> {
        match self.peek() {
            Some('"') => self.string(),
            Some(c) if starts_identifier(c) => Ok(self.identifier()),
            _ => Err(self.expected("a key")),
        }
    }

    fn value(&mut self) -> Result<Node, PolicyError> {
        match self.peek() {
            Some('"') => self.string().map(|text| Node::Scalar(Value::String(text))),
            Some('{') => self.object(),
            Some('[') => self.list(),
            Some(c) if c == '-' || c.is_ascii_digit() => self.number(),
            Some(c) if starts_identifier(c) => self.boolean(),
            Some('<') => {
                Err(self.syntax("here-documents are not allowed in a policy: put the text in quotes".to_owned()))
            }
            _ => Err(self.expected("a value: \"text\", a number, true, false, [ … ] or { … }")),
        }
    }

    fn object(&mut self) -> Result<Node, PolicyError> {
        self.descend()?;
        let entries = self.entries(Some('}'))?;
        self.depth -= 1;
        Ok(Node::Object(entries))
    }

    fn list(&mut self) -> Result<Node, PolicyError> {
        self.descend()?;
        let mut nodes = Vec::new();
        loop {
            self.skip_blank()?;
            if self.take(']') {
                break;
            }
            nodes.push(self.value()?);
            self.skip_blank()?;
            if !self.take(',') && self.peek() != Some(']') {
                return Err(self.expected("',' or ']' after a list's value"));
            }
        }
        self.depth -= 1;
        Ok(Node::List(nodes))
    }

    /// Takes the opening character of an object or a list.
    fn descend(&mut self) -> Result<(), PolicyError> {
        if self.depth >= MAX_DEPTH {
            return Err(PolicyError::TooDeep { line: Line(Some(self.line)) });
        }
        self.bump();
        self.depth += 1;
        Ok(())
    }

    fn identifier(&mut self) -> String {
        self.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')).to_owned()
    }

    fn boolean(&mut self) -> Result<Node, PolicyError> {
        let line = Line(Some(self.line));
        match self.identifier().as_str() {
            "true" => Ok(Node::Scalar(Value::Bool(true))),
            "false" => Ok(Node::Scalar(Value::Bool(false))),
            word => {
                let problem = format!("{:?} is no value: text stands in quotes", clip(word));
                Err(PolicyError::Syntax { line, problem })
            }
        }
    }

    fn number(&mut self) -> Result<Node, PolicyError> {
        let text = self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.')).to_owned();
        match serde_json::from_str::<Number>(&text) {
            Ok(number) => Ok(Node::Scalar(Value::Number(number))),
            Err(_) => {
                Err(self.syntax(format!("{:?} is no number: write it in decimal, without leading zeros", clip(&text))))
            }
        }
    }

    fn string(&mut self) -> Result<String, PolicyError> {
        self.bump();
        let mut text = String::new();
        loop {
            match self.peek() {
                None | Some('\n') => return Err(self.syntax("text has no closing quote on its line".to_owned())),
                Some('"') => {
                    self.bump();
                    return Ok(text);
                }
                Some('\\') => {
                    self.bump();
                    text.push(self.escape()?);
                }
                Some(c) => {
                    self.bump();
                    text.push(c);
                }
            }
        }
    }

    /// The character that an escape stands for; the backslash is taken.
    fn escape(&mut self) -> Result<char, PolicyError> {
        let kind = self.peek();
        let digits = match kind {
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            _ => 0,
        };
        let meant = match kind {
            Some('n') => Some('\n'),
            Some('t') => Some('\t'),
            Some('r') => Some('\r'),
            Some(c @ ('"' | '\\')) => Some(c),
            _ if digits > 0 => {
                let start = self.at + 1;
                let code =
                    self.text.get(start..start + digits).filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()));
                code.and_then(|code| u32::from_str_radix(code, 16).ok()).and_then(char::from_u32)
            }
            _ => None,
        };
        let Some(meant) = meant else {
            return Err(self.syntax(
                "unknown escape in text: allowed are \\n, \\t, \\r, \\\", \\\\, \\xHH, \\uHHHH and \\UHHHHHHHH"
                    .to_owned(),
            ));
        };
        for _ in 0..=digits {
            self.bump();
        }
        Ok(meant)
    }

    /// Skips white space and comments.
    fn skip_blank(&mut self) -> Result<(), PolicyError> {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
            let rest = self.rest();
            if rest.starts_with('#') || rest.starts_with("//") {
                self.take_while(|c| c != '\n');
            } else if rest.starts_with("/*") {
                self.skip_block_comment()?;
            } else {
                return Ok(());
            }
        }
    }

    fn skip_block_comment(&mut self) -> Result<(), PolicyError> {
        let line = Line(Some(self.line));
        let Some(length) = self.rest().get(2..).and_then(|inner| inner.find("*/")) else {
            let problem = "a comment is opened by '/*' and never closed by '*/'; it begins".to_owned();
            return Err(PolicyError::Syntax { line, problem });
        };
        let end = self.at + 2 + length + 2;
        while self.at < end {
            self.bump();
        }
        Ok(())
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) {
        if let Some(c) = self.peek() {
            self.at += c.len_utf8();
            self.line += usize::from(c == '\n');
        }
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.bump();
        }
        found
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &str {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.bump();
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn expected(&self, what: &str) -> PolicyError {
        let found = self.peek().map_or_else(|| "the end of the text".to_owned(), |c| format!("{c:?}"));
        self.syntax(format!("expected {what}, found {found}"))
    }

    fn syntax(&self, problem: String) -> PolicyError {
        PolicyError::Syntax { line: Line(Some(self.line)), problem }
    }
}

fn starts_identifier(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Value {
        Node::Object(read_hcl(text).unwrap()).into_value()
    }

    fn problem(text: &str) -> String {
        read_hcl(text).unwrap_err().to_string()
    }

    #[test]
    fn every_form_of_an_entry() {
        let text = r#"
            # a comment
            a = 1   // another
            "b" = "two" /* and
            a third */ c { d = [true, false,] "e" { } }
            path "x/*" { f = -1.5 g = { h = [{ i = [] }] } }, j = []
        "#;
        let expected = json!({
            "a": 1, "b": "two", "c": {"d": [true, false], "e": {}},
            "path": {"x/*": {"f": -1.5, "g": {"h": [{"i": []}]}}}, "j": [],
        });
        assert_eq!(value(text), expected);
        assert_eq!(value(""), json!({}));
        assert_eq!(value("# only a comment"), json!({}));
    }

    #[test]
    fn text_keeps_templates_and_knows_escapes() {
        let text = r#"a = "{{identity.entity.id}} ${x} \"q\" \\ \n \x41 \u00e9 \U0001F511 é # //""#;
        assert_eq!(value(text), json!({"a": "{{identity.entity.id}} ${x} \"q\" \\ \n A é 🔑 é # //"}));
    }

    #[test]
    fn errors_say_what_and_where() {
        for (text, expected) in [
            ("a", "expected '=' or '{' after \"a\", found the end of the text on line 1"),
            ("\n\na b", "expected '{' after \"a\" \"b\", found the end of the text on line 3"),
            ("a b c {}", "expected '{' after \"a\" \"b\", found 'c' on line 1"),
            ("a = 1\nb = [1 2]", "expected ',' or ']' after a list's value, found '2' on line 2"),
            ("a = [,]", "expected a value: \"text\", a number, true, false, [ … ] or { … }, found ',' on line 1"),
            ("a {", "expected a key, found the end of the text on line 1"),
            ("}", "expected a key, found '}' on line 1"),
            ("a = read", "\"read\" is no value: text stands in quotes on line 1"),
            ("a = 010", "\"010\" is no number: write it in decimal, without leading zeros on line 1"),
            ("a = 0x1f", "\"0x1f\" is no number: write it in decimal, without leading zeros on line 1"),
            ("a = \"x\nb = 1", "text has no closing quote on its line on line 1"),
            ("\n/* x", "a comment is opened by '/*' and never closed by '*/'; it begins on line 2"),
            ("/*/", "a comment is opened by '/*' and never closed by '*/'; it begins on line 1"),
            ("a = <<E\nE", "here-documents are not allowed in a policy: put the text in quotes on line 1"),
        ] {
            assert_eq!(problem(text), format!("failed to parse policy: {expected}"), "{text:?}");
        }
        for escape in ["\\q", "\\x4", "\\uD800", "\\u+123", "\\U00110000", "\\"] {
            assert!(problem(&format!("a = \"{escape}\"")).contains("unknown escape") || escape == "\\", "{escape}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("a = {}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read_hcl(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(read_hcl(&nested(MAX_DEPTH + 1)), Err(PolicyError::TooDeep { line: Line(Some(1)) }));
        assert!(matches!(read_hcl(&"a {".repeat(100_000)), Err(PolicyError::TooDeep { .. })));
    }
}
