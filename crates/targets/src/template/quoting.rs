//! How text is written between quotes, and read back from there, by the engines' own rules.

use zeroize::Zeroizing;

/// A pair of quotes, and whether a backslash between them begins an escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quote {
    /// The character that begins and ends it; within, it is doubled.
    pub(crate) mark: char,
    /// Whether a backslash begins an escape.
    pub(crate) backslash: bool,
}

impl Quote {
    /// Quotes without escapes by backslash.
    pub(crate) const fn plain(mark: char) -> Self {
        Self { mark, backslash: false }
    }

    /// Appends `text` with its quotes. Whatever is in it, it does not end them.
    pub(crate) fn write(self, text: &str, out: &mut String) {
        out.push(self.mark);
        for character in text.chars() {
            if character == self.mark || (self.backslash && character == '\\') {
                out.push(character);
            }
            out.push(character);
        }
        out.push(self.mark);
    }

    /// `text` with its quotes.
    pub(crate) fn quote(self, text: &str) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::with_capacity(2 * text.len() + 2));
        self.write(text, &mut out);
        out
    }

    /// The length in bytes of what begins `text` up to the closing mark, which follows; none if it never closes.
    pub(crate) fn length(self, text: &str) -> Option<usize> {
        let mut characters = text.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            if self.backslash && character == '\\' {
                characters.next();
            } else if character == self.mark {
                match characters.peek() {
                    Some(&(_, next)) if next == self.mark => characters.next(),
                    _ => return Some(at),
                };
            }
        }
        None
    }

    /// What `text`, as it stands between the quotes, means.
    ///
    /// # Errors
    /// For an escape other than of a quote, a backslash or a common control character.
    pub(crate) fn read(self, text: &str) -> Result<String, &'static str> {
        let mut out = String::with_capacity(text.len());
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            if character == self.mark {
                characters.next();
                out.push(character);
            } else if self.backslash && character == '\\' {
                out.push(match characters.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some(escaped @ ('\\' | '\'' | '"')) => escaped,
                    _ => return Err("a quoted text with a placeholder may escape only quotes, \\\\, \\n, \\t and \\r"),
                });
            } else {
                out.push(character);
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUOTES: [Quote; 6] = [
        Quote::plain('\''),
        Quote::plain('"'),
        Quote::plain('`'),
        Quote { mark: '\'', backslash: true },
        Quote { mark: '"', backslash: true },
        Quote { mark: '`', backslash: true },
    ];

    proptest! {
        #[test]
        fn what_is_quoted_reads_back_and_ends_where_it_should(
            text in r#"([\PC'"`\\;$\n{}]|\\'|''|\\\\)*"#,
            rest in "[ ;)a-z]?.*",
        ) {
            for quote in QUOTES {
                let quoted = quote.quote(&text);
                prop_assume!(!rest.starts_with(quote.mark));
                let tail = format!("{}{rest}", &quoted[1..]);
                let length = quote.length(&tail).unwrap();
                prop_assert_eq!(length, quoted.len() - 2);
                prop_assert_eq!(quote.read(&tail[..length]).unwrap(), text.clone());
            }
        }
    }

    #[test]
    fn an_open_quote_has_no_end() {
        assert_eq!(Quote::plain('\'').length("abc"), None);
        assert_eq!(Quote::plain('\'').length("ab''c"), None);
        assert_eq!(Quote { mark: '\'', backslash: true }.length(r"ab\'c"), None);
        assert_eq!(Quote::plain('\'').length(r"ab\'c"), Some(3));
    }
}
