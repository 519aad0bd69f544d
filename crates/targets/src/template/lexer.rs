//! Reads a string of statements: where one ends, and between which quotes each placeholder stands.
//!
//! Only as much of the engines' grammar is known here as decides that: quotes, comments, dollar quotes, parentheses and
//! words. What cannot be told for certain is refused.

use super::{Dialect, Engine, Piece, Place, Slot, quoting::Quote};

/// How deep code may be quoted within code.
const DEPTH: usize = 4;

/// What was read.
pub(super) struct Lexed {
    /// One list of pieces a statement.
    pub(super) statements: Vec<Vec<Piece>>,
}

/// What kind of text is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Statements, separated by semicolons.
    Statements,
    /// The body between dollar quotes: code.
    Body,
    /// The content of a quoted text, which may be code that is executed, or a mere remark.
    Content,
}

struct Lexer<'a> {
    dialect: Dialect,
    mode: Mode,
    depth: usize,
    text: &'a str,
    at: usize,
    plain: String,
    pieces: Vec<Piece>,
    statements: Vec<Vec<Piece>>,
    parentheses: usize,
    words: Vec<String>,
    has_block: bool,
}

/// Reads a string of statements.
///
/// # Errors
/// With a text that says what is wrong and holds nothing of the statements.
pub(super) fn read(dialect: Dialect, text: &str) -> Result<Lexed, String> {
    let mut lexer = Lexer::new(dialect, Mode::Statements, 0, text);
    // A block has semicolons of its own: such a string is one statement, as the engine reads it.
    lexer.run()?;
    if lexer.has_block {
        lexer = Lexer::new(dialect, Mode::Body, 0, text);
        lexer.run()?;
    }
    Ok(Lexed { statements: lexer.finish() })
}

impl<'a> Lexer<'a> {
    fn new(dialect: Dialect, mode: Mode, depth: usize, text: &'a str) -> Self {
        Self {
            dialect,
            mode,
            depth,
            text,
            at: 0,
            plain: String::new(),
            pieces: Vec::new(),
            statements: Vec::new(),
            parentheses: 0,
            words: Vec::new(),
            has_block: false,
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn finish(mut self) -> Vec<Vec<Piece>> {
        self.end_statement();
        self.statements
    }

    fn run(&mut self) -> Result<(), String> {
        while let Some(character) = self.rest().chars().next() {
            if let Some((slot, length)) = slot_at(self.rest())? {
                self.bare(slot, length)?;
                continue;
            }
            match character {
                '\'' | '"' => self.quoted(character)?,
                '`' if self.dialect.engine == Engine::Mysql => self.quoted(character)?,
                '$' if self.dialect.engine == Engine::Postgresql => self.dollar()?,
                _ if self.begins_comment() => self.comment()?,
                ';' if self.mode == Mode::Statements && self.parentheses == 0 => {
                    self.at += 1;
                    self.end_statement();
                }
                _ if is_word(character) => self.word(),
                _ => {
                    self.parentheses = match character {
                        '(' => self.parentheses + 1,
                        ')' => self.parentheses.saturating_sub(1),
                        _ => self.parentheses,
                    };
                    self.take(character.len_utf8());
                }
            }
        }
        Ok(())
    }

    /// Takes `length` bytes as they are.
    fn take(&mut self, length: usize) {
        self.plain.push_str(self.rest().get(..length).unwrap_or_default());
        self.at += length;
    }

    fn push(&mut self, piece: Piece) {
        self.flush();
        self.pieces.push(piece);
    }

    fn flush(&mut self) {
        if !self.plain.is_empty() {
            self.pieces.push(Piece::Text(std::mem::take(&mut self.plain)));
        }
    }

    fn end_statement(&mut self) {
        self.flush();
        let pieces = std::mem::take(&mut self.pieces);
        let blank = |piece: &Piece| matches!(piece, Piece::Text(text) if text.trim().is_empty());
        if !pieces.iter().all(blank) {
            self.statements.push(pieces);
        }
        self.words.clear();
    }

    fn word(&mut self) {
        let length = self.rest().find(|c: char| !is_word(c) && c != '$').unwrap_or(self.rest().len());
        let word = self.rest().get(..length).unwrap_or_default().to_lowercase();
        self.has_block |= word == "end" || word == "atomic";
        self.take(length);
        self.words.push(word);
    }

    /// A placeholder outside quotes: a name there can be given quotes of its own.
    fn bare(&mut self, slot: Slot, length: usize) -> Result<(), String> {
        let place = if self.mode == Mode::Content {
            if slot == Slot::Password {
                return Err("{{password}} is part of a longer quoted text, where not every password can stand".into());
            }
            Place::Guarded
        } else if slot == Slot::Username {
            let free = |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || ",().=;".contains(c));
            let follows = self.text.get(self.at + length..).unwrap_or_default().chars().next();
            let precedes = self.plain.chars().next_back();
            if !(free(precedes) && (free(follows) || follows == Some('@'))) {
                return Err("{{name}} outside quotes must stand by itself".into());
            }
            Place::Identifier
        } else {
            return Err(format!("{} must stand between quotes", slot.text()));
        };
        self.push(Piece::Slot(slot, place));
        self.at += length;
        Ok(())
    }

    fn begins_comment(&self) -> bool {
        let rest = self.rest();
        match self.dialect.engine {
            Engine::Postgresql => rest.starts_with("--") || rest.starts_with("/*"),
            Engine::Mysql => {
                let dashes = rest.strip_prefix("--").map(|after| after.chars().next());
                rest.starts_with('#')
                    || rest.starts_with("/*")
                    || dashes.is_some_and(|next| next.is_none_or(|c| c.is_whitespace() || c.is_control()))
            }
        }
    }

    fn comment(&mut self) -> Result<(), String> {
        let rest = self.rest();
        let length = if rest.starts_with("/*") {
            self.block_comment(rest).ok_or("a comment is not closed")?
        } else {
            rest.find('\n').unwrap_or(rest.len())
        };
        if first_slot(rest.get(..length).unwrap_or_default())?.is_some() {
            return Err("a placeholder stands in a comment".into());
        }
        self.take(length);
        Ok(())
    }

    /// The length of a comment; PostgreSQL's nest.
    fn block_comment(&self, rest: &str) -> Option<usize> {
        let (mut at, mut depth) = (2, 1_usize);
        while depth > 0 {
            let tail = rest.get(at..)?;
            if tail.starts_with("*/") {
                (at, depth) = (at + 2, depth - 1);
            } else if tail.starts_with("/*") && self.dialect.engine == Engine::Postgresql {
                (at, depth) = (at + 2, depth + 1);
            } else {
                at += tail.chars().next()?.len_utf8();
            }
        }
        Some(at)
    }

    fn quoted(&mut self, mark: char) -> Result<(), String> {
        let prefix = self.prefix();
        let quote = Quote { mark, backslash: self.has_backslash(mark, &prefix) };
        let start = self.at + 1;
        let Some(length) = quote.length(self.text.get(start..).unwrap_or_default()) else {
            return self.unclosed();
        };
        let content = self.text.get(start..start + length).unwrap_or_default();
        if first_slot(content)?.is_none() {
            self.take(length + 2);
            return Ok(());
        }
        if matches!(prefix.as_str(), "b" | "x" | "u&") {
            return Err("a placeholder stands between quotes of bits, or with escapes for Unicode".into());
        }
        let meant = quote.read(content)?;
        let pieces = if self.names(mark) { data(&meant)? } else { self.content(&meant)? };
        self.push(Piece::Quoted(quote, pieces));
        self.at = start + length + 1;
        Ok(())
    }

    /// A quote that never closes is an error, but for the apostrophe of a remark within a quoted text.
    fn unclosed(&mut self) -> Result<(), String> {
        if self.mode != Mode::Content {
            return Err("a quote is not closed".into());
        }
        if first_slot(self.rest())?.is_some() {
            return Err("a placeholder follows a quote that is not closed, within a quoted text".into());
        }
        self.take(self.rest().len());
        Ok(())
    }

    /// The letters directly before a quote that say how it is read, in lower case.
    fn prefix(&self) -> String {
        let before: String = self.plain.chars().rev().take_while(|&c| is_word(c) || c == '&').collect();
        before.chars().rev().collect::<String>().to_lowercase()
    }

    fn has_backslash(&self, mark: char, prefix: &str) -> bool {
        match self.dialect.engine {
            Engine::Postgresql => mark == '\'' && prefix == "e",
            Engine::Mysql => mark != '`' && !self.names(mark) && self.dialect.backslash,
        }
    }

    /// Whether what stands between these quotes is a name, not text.
    fn names(&self, mark: char) -> bool {
        match self.dialect.engine {
            Engine::Postgresql => mark == '"',
            Engine::Mysql => mark == '`' || (mark == '"' && self.dialect.ansi_quotes),
        }
    }

    /// The content of a quoted text. It may be code that somebody executes, so quotes within it count.
    fn content(&self, meant: &str) -> Result<Vec<Piece>, String> {
        let around = |c: char| c.is_alphanumeric() || "_-.@%:+#,=/".contains(c);
        let pieces = data(meant)?;
        if pieces.iter().all(|piece| !matches!(piece, Piece::Text(text) if !text.chars().all(around))) {
            return Ok(pieces);
        }
        self.nested(Mode::Content, meant)
    }

    fn nested(&self, mode: Mode, text: &str) -> Result<Vec<Piece>, String> {
        if self.depth == DEPTH {
            return Err("code is quoted within code too deeply".into());
        }
        let mut lexer = Lexer::new(self.dialect, mode, self.depth + 1, text);
        lexer.run()?;
        lexer.flush();
        Ok(lexer.pieces)
    }

    fn dollar(&mut self) -> Result<(), String> {
        let tag: String = self.rest().chars().skip(1).take_while(|&c| is_word(c)).collect();
        let mark = format!("${tag}$");
        let begins = !tag.starts_with(|c: char| c.is_ascii_digit()) && self.rest().starts_with(&mark);
        if !begins {
            self.take(1);
            return Ok(());
        }
        let start = self.at + mark.len();
        let Some(length) = self.text.get(start..).unwrap_or_default().find(&mark) else {
            return self.unclosed();
        };
        let body = self.text.get(start..start + length).unwrap_or_default();
        if first_slot(body)?.is_none() {
            self.take(length + 2 * mark.len());
            return Ok(());
        }
        let language = self.words.iter().position(|word| word == "language").map(|at| self.words.get(at + 1));
        let after = self.text.get(start + length..).unwrap_or_default().to_lowercase();
        if language.is_some_and(|named| !named.is_some_and(|name| name == "plpgsql" || name == "sql"))
            || foreign_language(&after)
        {
            return Err("a placeholder stands in code of another language than SQL and PL/pgSQL".into());
        }
        let pieces = self.nested(Mode::Body, body)?;
        self.push(Piece::Dollar(tag, pieces));
        self.at = start + length + mark.len();
        Ok(())
    }
}

/// Whether what follows a body, up to the end of its statement, says that it is in another language.
fn foreign_language(after: &str) -> bool {
    let statement = after.split(';').next().unwrap_or_default();
    let mut words = statement.split(|c: char| !is_word(c)).filter(|word| !word.is_empty());
    words.any(|word| word == "language") && !words.next().is_some_and(|name| name == "plpgsql" || name == "sql")
}

/// Text with placeholders that stand for any value.
fn data(text: &str) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((at, slot, length)) = first_slot(rest)? {
        if at > 0 {
            pieces.push(Piece::Text(rest.get(..at).unwrap_or_default().to_owned()));
        }
        pieces.push(Piece::Slot(slot, Place::Data));
        rest = rest.get(at + length..).unwrap_or_default();
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

/// The first placeholder: where, which, how long.
fn first_slot(text: &str) -> Result<Option<(usize, Slot, usize)>, String> {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find("{{")).map(|at| at + from) {
        if let Some((slot, length)) = slot_at(text.get(at..).unwrap_or_default())? {
            return Ok(Some((at, slot, length)));
        }
        from = at + 1;
    }
    Ok(None)
}

/// The placeholder that begins here.
fn slot_at(text: &str) -> Result<Option<(Slot, usize)>, String> {
    let Some((inner, _)) = text.strip_prefix("{{").and_then(|rest| rest.split_once("}}")) else {
        return Ok(None);
    };
    if let Some(slot) = Slot::named(inner) {
        return Ok(Some((slot, inner.len() + 4)));
    }
    let name = inner.trim();
    if !name.is_empty() && name.len() <= 20 && name.chars().all(|c| c.is_ascii_alphabetic() || "._".contains(c)) {
        return Err(format!(
            "there is no placeholder {{{{{inner}}}}}; there are {{{{name}}}}, {{{{username}}}}, {{{{password}}}} and \
             {{{{expiration}}}}, written without spaces"
        ));
    }
    Ok(None)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
