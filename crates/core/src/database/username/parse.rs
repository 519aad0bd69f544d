//! Reading templates.

use super::{Argument, Call, Function, MAX_DEPTH, MAX_TEMPLATE, Part, Pipeline};

type Parsed<T> = Result<T, String>;

pub(super) fn template(text: &str) -> Parsed<Vec<Part>> {
    if text.is_empty() {
        return Err("missing template".to_owned());
    }
    if text.len() > MAX_TEMPLATE {
        return Err(format!("a template has at most {MAX_TEMPLATE} bytes"));
    }
    let (mut parts, mut rest, mut trims) = (Vec::new(), text, false);
    loop {
        let (before, action) = match rest.split_once("{{") {
            Some((before, action)) => (before, Some(action)),
            None => (rest, None),
        };
        let mut before = if trims { before.trim_start() } else { before };
        let opened = action.map(|action| match action.strip_prefix("- ") {
            Some(action) => (action, true),
            None => (action, false),
        });
        if opened.is_some_and(|(_, trims)| trims) {
            before = before.trim_end();
        }
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        let Some((action, _)) = opened else { return Ok(parts) };
        let mut reader = Reader { rest: action, depth: 0 };
        parts.push(Part::Action(reader.pipeline()?));
        (rest, trims) = reader.close()?;
    }
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The end of an action: what follows, and whether its space is trimmed.
    fn close(mut self) -> Parsed<(&'a str, bool)> {
        let trims = self.take("-}}");
        if trims || self.take("}}") {
            return Ok((self.rest, trims));
        }
        Err(self.unexpected())
    }

    fn at_end(&self) -> bool {
        self.rest.is_empty() || ["}}", "-}}", "|", ")"].iter().any(|end| self.rest.starts_with(end))
    }

    fn pipeline(&mut self) -> Parsed<Pipeline> {
        let mut calls = Vec::new();
        loop {
            self.skip_space();
            calls.push(self.call(calls.is_empty())?);
            self.skip_space();
            if !self.take("|") {
                return Ok(Pipeline(calls));
            }
        }
    }

    fn call(&mut self, first: bool) -> Parsed<Call> {
        if let Some(name) = self.word() {
            let function = Self::function(name)?;
            let arguments = self.arguments()?;
            let count = arguments.len() + usize::from(!first);
            if !function.takes(count) {
                return Err(format!("wrong number of arguments for {name}: {count}"));
            }
            return Ok(Call::Function(function, arguments));
        }
        let value = self.argument()?;
        self.skip_space();
        if !self.at_end() {
            return Err(self.unexpected());
        }
        if first { Ok(Call::Value(value)) } else { Err("only a function can follow \"|\"".to_owned()) }
    }

    fn arguments(&mut self) -> Parsed<Vec<Argument>> {
        let mut arguments = Vec::new();
        loop {
            self.skip_space();
            if self.at_end() {
                return Ok(arguments);
            }
            arguments.push(self.argument()?);
        }
    }

    fn argument(&mut self) -> Parsed<Argument> {
        if self.take("(") {
            return self.nested();
        }
        if self.take(".") {
            return match self.word() {
                Some("DisplayName") => Ok(Argument::DisplayName),
                Some("RoleName") => Ok(Argument::RoleName),
                _ => Err("the fields are .DisplayName and .RoleName".to_owned()),
            };
        }
        match self.rest.chars().next() {
            Some('"') => self.quoted().map(Argument::Text),
            Some('`') => self.raw().map(Argument::Text),
            Some('0'..='9' | '-') => self.number(),
            Some('a'..='z' | 'A'..='Z' | '_') => {
                // As an argument, a function stands for what it gives without arguments.
                let name = self.word().unwrap_or_default();
                let function = Self::function(name)?;
                if !function.takes(0) {
                    return Err(format!("{name} needs arguments: put the call in parentheses"));
                }
                Ok(Argument::Nested(Pipeline(vec![Call::Function(function, Vec::new())])))
            }
            _ => Err(self.unexpected()),
        }
    }

    fn nested(&mut self) -> Parsed<Argument> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("too many parentheses in each other".to_owned());
        }
        let nested = self.pipeline()?;
        if !self.take(")") {
            return Err(self.unexpected());
        }
        self.depth -= 1;
        Ok(Argument::Nested(nested))
    }

    fn function(name: &str) -> Parsed<Function> {
        Function::named(name)
            .ok_or_else(|| format!("function {name:?} is not offered; there are {}", Function::names()))
    }

    /// Letters, digits and underscores, not beginning with a digit.
    fn word(&mut self) -> Option<&'a str> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() || word.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.rest = rest;
        Some(word)
    }

    fn number(&mut self) -> Parsed<Argument> {
        let digits = self.rest.strip_prefix('-').unwrap_or(self.rest);
        let end = digits.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_').unwrap_or(digits.len());
        let (text, rest) = self.rest.split_at(self.rest.len() - digits.len() + end);
        let number = text.parse().map_err(|_| format!("{text:?} is not a whole number"))?;
        self.rest = rest;
        Ok(Argument::Number(number))
    }

    fn raw(&mut self) -> Parsed<String> {
        let text = self.rest.get(1..).unwrap_or_default();
        let (raw, rest) = text.split_once('`').ok_or("a text in backquotes has no end")?;
        self.rest = rest;
        Ok(raw.to_owned())
    }

    fn quoted(&mut self) -> Parsed<String> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    return Ok(text);
                }
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    _ => return Err("only \\\" and \\\\ are offered after a backslash".to_owned()),
                },
                '\n' => break,
                other => text.push(other),
            }
        }
        Err("a text in quotes has no end".to_owned())
    }

    fn unexpected(&self) -> String {
        match self.rest.chars().next() {
            None => "an action has no end".to_owned(),
            Some('$' | ':') => "variables are not offered".to_owned(),
            Some(other) => format!("unexpected {other:?} in an action"),
        }
    }
}
