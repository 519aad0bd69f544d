//! Statements with placeholders, as operators write them: `CREATE ROLE "{{name}}" WITH PASSWORD '{{password}}'`.
//!
//! A value is never pasted. Where a placeholder stands decides how its value is written: between which quotes, with
//! which escapes, in code that is quoted within code. A value can end neither its quotes nor those around them. A
//! placeholder where no such writing exists is refused when the statements are configured.

mod lexer;
pub(crate) mod quoting;
#[cfg(test)]
mod tests;

use keyturn_core::{
    secret::SecretString,
    target::{Purpose, TargetError},
};
use zeroize::Zeroizing;

use self::quoting::Quote;

/// Whose grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Postgresql,
    Mysql,
}

/// A grammar, as the session has set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Whose.
    pub(crate) engine: Engine,
    /// MySQL: whether a backslash begins an escape, which `NO_BACKSLASH_ESCAPES` ends.
    pub(crate) backslash: bool,
    /// MySQL: whether double quotes stand around names, which `ANSI_QUOTES` says.
    pub(crate) ansi_quotes: bool,
}

impl Dialect {
    /// PostgreSQL with `standard_conforming_strings`.
    pub(crate) const POSTGRESQL: Self = Self { engine: Engine::Postgresql, backslash: false, ansi_quotes: false };
    /// MySQL and MariaDB as they come.
    pub(crate) const MYSQL: Self = Self { engine: Engine::Mysql, backslash: true, ansi_quotes: false };

    /// A name between the quotes that are always right for names.
    pub(crate) fn identifier(self) -> Quote {
        match self.engine {
            Engine::Postgresql => Quote::plain('"'),
            Engine::Mysql => Quote::plain('`'),
        }
    }

    /// A text between single quotes.
    pub(crate) fn literal(self) -> Quote {
        Quote { mark: '\'', backslash: self.backslash }
    }

    /// Settings that would change how quotes are read, below which no value is safe.
    fn forbidden(self) -> &'static [&'static str] {
        match self.engine {
            Engine::Postgresql => &["standard_conforming_strings", "client_encoding"],
            Engine::Mysql => &["sql_mode", "character_set_client", "set names"],
        }
    }
}

/// A placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Username,
    Password,
    Expiration,
}

impl Slot {
    fn named(name: &str) -> Option<Self> {
        match name {
            "name" | "username" => Some(Self::Username),
            "password" => Some(Self::Password),
            "expiration" => Some(Self::Expiration),
            _ => None,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Username => "{{name}}",
            Self::Password => "{{password}}",
            Self::Expiration => "{{expiration}}",
        }
    }

    fn has_value(self, purpose: Purpose) -> bool {
        match self {
            Self::Username => true,
            Self::Password => matches!(purpose, Purpose::Create | Purpose::SetPassword),
            Self::Expiration => purpose != Purpose::Revoke,
        }
    }
}

/// How a placeholder's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// As a name, with quotes of its own.
    Identifier,
    /// As it is, for the quotes around it are written with what they hold.
    Data,
    /// As it is, if it has only characters that mean nothing anywhere; the text around may be code.
    Guarded,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Slot(Slot, Place),
    Quoted(Quote, Vec<Piece>),
    /// A body between dollar quotes with this tag, or another if a value holds it.
    Dollar(String, Vec<Piece>),
}

/// What the placeholders stand for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Values<'a> {
    /// `{{name}}`, `{{username}}`.
    pub(crate) username: &'a str,
    /// `{{password}}`.
    pub(crate) password: Option<&'a SecretString>,
    /// `{{expiration}}`.
    pub(crate) expiration: Option<&'a str>,
}

impl<'a> Values<'a> {
    fn of(&self, slot: Slot) -> Result<&'a str, TargetError> {
        let value = match slot {
            Slot::Username => Some(self.username),
            Slot::Password => self.password.map(SecretString::expose_secret),
            Slot::Expiration => self.expiration,
        };
        value
            .ok_or_else(|| TargetError::Settings(format!("a statement names {}, which has no value here", slot.text())))
    }
}

/// Statements, read and found safe.
#[derive(Debug)]
pub(crate) struct Script {
    dialect: Dialect,
    statements: Vec<Vec<Piece>>,
}

impl Script {
    /// Reads statements; each string may hold several, separated by semicolons.
    ///
    /// # Errors
    /// [`TargetError::Settings`], naming the string by its number.
    pub(crate) fn read(dialect: Dialect, purpose: Purpose, strings: &[String]) -> Result<Self, TargetError> {
        let mut statements = Vec::new();
        for (number, string) in (1..).zip(strings) {
            let refuse = |reason| TargetError::Settings(format!("statement {number} is refused: {reason}"));
            let lower = string.to_lowercase();
            if let Some(name) = dialect.forbidden().iter().find(|name| lower.contains(**name)) {
                return Err(refuse(format!("it may not set {name}, which decides how quotes are read")));
            }
            let read = lexer::read(dialect, string).map_err(refuse)?.statements;
            check_values(&read, purpose).map_err(refuse)?;
            for pieces in read {
                match transaction_word(dialect, &pieces) {
                    None => statements.push(pieces),
                    Some(Bracket::Redundant) => {}
                    Some(Bracket::Undoing) => {
                        return Err(refuse("it may not end the transaction that all statements share".to_owned()));
                    }
                }
            }
        }
        Ok(Self { dialect, statements })
    }

    /// The statements with the values in their places.
    ///
    /// # Errors
    /// [`TargetError::Settings`] if a value is missing or cannot stand where it is named.
    pub(crate) fn render(&self, values: &Values<'_>) -> Result<Vec<Zeroizing<String>>, TargetError> {
        self.statements.iter().map(|pieces| render(self.dialect, pieces, values)).collect()
    }

    /// Whether there is no statement at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }
}

fn check_values(statements: &[Vec<Piece>], purpose: Purpose) -> Result<(), String> {
    for piece in statements.iter().flatten() {
        match piece {
            Piece::Slot(slot, _) if !slot.has_value(purpose) => {
                return Err(format!("{} has no value for this purpose", slot.text()));
            }
            Piece::Slot(..) | Piece::Text(_) => {}
            Piece::Quoted(_, inner) | Piece::Dollar(_, inner) => {
                check_values(std::slice::from_ref(inner), purpose)?;
            }
        }
    }
    Ok(())
}

/// A statement that begins or ends a transaction.
enum Bracket {
    /// There is a transaction around all statements anyway.
    Redundant,
    /// It would undo what came before.
    Undoing,
}

fn transaction_word(dialect: Dialect, pieces: &[Piece]) -> Option<Bracket> {
    let [Piece::Text(text)] = pieces else { return None };
    let lower = text.trim().to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    match (dialect.engine, words.as_slice()) {
        (_, ["begin" | "commit"] | ["begin" | "commit", "work" | "transaction"] | ["start", "transaction"]) => {
            Some(Bracket::Redundant)
        }
        (Engine::Postgresql, ["rollback" | "abort", rest @ ..]) if !rest.contains(&"to") => Some(Bracket::Undoing),
        (Engine::Postgresql, ["prepare", "transaction", ..]) => Some(Bracket::Undoing),
        _ => None,
    }
}

fn render(dialect: Dialect, pieces: &[Piece], values: &Values<'_>) -> Result<Zeroizing<String>, TargetError> {
    // Room for all of it from the start, so that no part of a password stays behind in a buffer that was outgrown.
    let mut out = Zeroizing::new(String::with_capacity(room(pieces, values)));
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Slot(slot, place) => place.write(dialect, *slot, values.of(*slot)?, &mut out)?,
            Piece::Quoted(quote, inner) => quote.write(&render(dialect, inner, values)?, &mut out),
            Piece::Dollar(tag, inner) => {
                let body = render(dialect, inner, values)?;
                let mark = dollar_mark(tag, &body);
                out.push_str(&mark);
                out.push_str(&body);
                out.push_str(&mark);
            }
        }
    }
    Ok(out)
}

/// More bytes than the pieces can take.
fn room(pieces: &[Piece], values: &Values<'_>) -> usize {
    let value = values.username.len().max(values.password.map_or(0, SecretString::len)).max(64);
    let one = |piece: &Piece| match piece {
        Piece::Text(text) => text.len(),
        Piece::Slot(..) => 2 * value + 2,
        Piece::Quoted(_, inner) => 2 * room(inner, values) + 2,
        Piece::Dollar(tag, inner) => room(inner, values) + 2 * tag.len() + 64,
    };
    pieces.iter().map(one).sum()
}

/// The dollar quote for a body: the operator's, or one that the body does not hold.
fn dollar_mark(tag: &str, body: &str) -> String {
    let ends_only_itself = |mark: &str| {
        let Some(bare) = mark.strip_suffix('$') else { return false };
        !body.contains(mark) && !body.ends_with(bare)
    };
    let own = format!("${tag}$");
    let others = (0_u32..).map(|number| format!("${tag}kt{number}$"));
    std::iter::once(own).chain(others).find(|mark| ends_only_itself(mark)).unwrap_or_default()
}

impl Place {
    fn write(self, dialect: Dialect, slot: Slot, value: &str, out: &mut String) -> Result<(), TargetError> {
        match self {
            Self::Identifier => dialect.identifier().write(value, out),
            Self::Data => out.push_str(value),
            Self::Guarded => {
                let harmless = |c: char| match slot {
                    Slot::Expiration => c.is_ascii_alphanumeric() || "-:+. ".contains(c),
                    _ => c.is_alphanumeric() || "_-.@:".contains(c),
                };
                if !value.chars().all(harmless) || value.contains("--") {
                    return Err(TargetError::Settings(format!(
                        "a statement has {} within a longer quoted text, where only letters, digits and _-.@: can stand",
                        slot.text()
                    )));
                }
                out.push_str(value);
            }
        }
        Ok(())
    }
}
