//! Fields as the command line names them: `FIELD`, `FIELD=@FILE`, `FIELD=-`, or a JSON object as a whole.

use keyturn_core::secret::SecretString;
use keyturn_protocol::vault::{Fields, SecretJson};

use crate::failure::Failure;
use crate::input::{InputError, Source};
use crate::output::note;

/// What to read before a write; nothing is read yet.
#[derive(Debug)]
pub(crate) enum Request {
    /// All fields from one JSON object.
    Whole(Source),
    /// Each field from its own source, in the order given, which is the order of the prompts.
    Each(Vec<(String, Origin)>),
}

/// Where one field's value comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// To be read.
    Source(Source),
    /// It stood on the command line.
    Argument(SecretString),
}

impl Request {
    /// A JSON object from `@FILE` or `-`.
    pub(crate) fn whole(origin: &str) -> Result<Self, Failure> {
        // What else was given is not repeated: it may be the secret itself.
        source(origin).map(Self::Whole).ok_or_else(|| {
            Failure::Usage("--json takes @FILE, or - for standard input, not the JSON itself".to_owned())
        })
    }

    /// Fields whose values come from elsewhere, and (`values`, as `FIELD=VALUE`) from the command line.
    pub(crate) fn fields(fields: &[String], values: &[String]) -> Result<Self, Failure> {
        let sourced = fields.iter().map(|field| from_elsewhere(field));
        let given = values.iter().map(|value| from_argument(value));
        Self::each(sourced.chain(given))
    }

    /// Fields for a route that is not known to hold secrets: `FIELD=VALUE` is taken as it is.
    pub(crate) fn parameters(fields: &[String]) -> Result<Self, Failure> {
        Self::each(fields.iter().map(|field| from_elsewhere(field).or_else(|_| from_argument(field))))
    }

    fn each(parsed: impl Iterator<Item = Result<(String, Origin), Failure>>) -> Result<Self, Failure> {
        let mut origins: Vec<(String, Origin)> = Vec::new();
        let mut stdin = 0;
        for item in parsed {
            let (name, origin) = item?;
            stdin += usize::from(matches!(origin, Origin::Source(Source::Stdin)));
            if origins.iter().any(|(other, _)| *other == name) {
                return Err(Failure::Usage(format!("the field {name} is given twice")));
            }
            origins.push((name, origin));
        }
        if stdin > 1 {
            return Err(Failure::Usage("standard input can feed one field only: take files for the others".to_owned()));
        }
        Ok(Self::Each(origins))
    }

    /// Reads and asks for the values. With `trim` one line end is dropped from each.
    pub(crate) fn read(self, trim: bool) -> Result<Fields, Failure> {
        let origins = match self {
            Self::Whole(source) => return Ok(parse(&source.read("the JSON object")?)?),
            Self::Each(origins) => origins,
        };
        let mut fields = Fields::new();
        for (name, origin) in origins {
            let value = origin.read(&name, trim)?;
            fields.insert(name, SecretJson::from_text(&value));
        }
        Ok(fields)
    }
}

impl Origin {
    fn read(self, name: &str, trim: bool) -> Result<SecretString, InputError> {
        let source = match self {
            Self::Argument(value) => return Ok(value),
            Self::Source(source) => source,
        };
        let value = source.read(name)?;
        match without_line_end(value.expose_secret()) {
            Some(line) if trim => Ok(line.into()),
            // The mark of `echo value | keyturn put`; the keys and certificates that need their line end have several.
            Some(line) if !line.contains('\n') => {
                note(&format!("note: the value of {name} ends in a line end, which is kept; --trim drops it"));
                Ok(value)
            }
            _ => Ok(value),
        }
    }
}

/// `-` or `@FILE`.
fn source(text: &str) -> Option<Source> {
    match text.strip_prefix('@') {
        Some("") => None,
        Some(path) => Some(Source::File(path.into())),
        None => (text == "-").then_some(Source::Stdin),
    }
}

fn from_elsewhere(field: &str) -> Result<(String, Origin), Failure> {
    let (name, origin) = match field.split_once('=') {
        None => (field, Some(Source::Prompt)),
        Some((name, origin)) => (name, source(origin)),
    };
    match origin {
        Some(origin) => Ok((named(name)?, Origin::Source(origin))),
        None => Err(Failure::Usage(format!(
            "the value of {name} stands on the command line, visible to other users: write {name} to be asked for it, \
             {name}=@FILE or {name}=- to read it; or insist by --value {name}=VALUE"
        ))),
    }
}

fn from_argument(field: &str) -> Result<(String, Origin), Failure> {
    match field.split_once('=') {
        Some((name, value)) => Ok((named(name)?, Origin::Argument(value.into()))),
        None => Err(Failure::Usage("--value takes FIELD=VALUE".to_owned())),
    }
}

fn named(name: &str) -> Result<String, Failure> {
    if name.is_empty() { Err(Failure::Usage("a field needs a name before the =".to_owned())) } else { Ok(name.into()) }
}

fn parse(text: &SecretString) -> Result<Fields, InputError> {
    serde_json::from_str(text.expose_secret()).map_err(|error| InputError::NotJson {
        what: "the JSON object".to_owned(),
        line: error.line(),
        column: error.column(),
    })
}

fn without_line_end(text: &str) -> Option<&str> {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(items: &[&str]) -> Vec<String> {
        items.iter().map(|item| (*item).to_owned()).collect()
    }

    fn origins(fields: &[&str], values: &[&str]) -> Result<Vec<(String, Origin)>, Failure> {
        match Request::fields(&strings(fields), &strings(values))? {
            Request::Each(origins) => Ok(origins),
            Request::Whole(_) => unreachable!("fields were given one by one"),
        }
    }

    #[test]
    fn a_field_names_its_source() {
        let origins = origins(&["z", "b=-", "c=@/f=1"], &["a=x=y"]).unwrap();
        let names: Vec<&str> = origins.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["z", "b", "c", "a"], "asked for in the order given");
        assert!(matches!(origins[0].1, Origin::Source(Source::Prompt)));
        assert!(matches!(origins[1].1, Origin::Source(Source::Stdin)));
        assert!(matches!(&origins[2].1, Origin::Source(Source::File(path)) if path.as_os_str() == "/f=1"));
        assert!(matches!(&origins[3].1, Origin::Argument(value) if value.expose_secret() == "x=y"));
    }

    #[test]
    fn a_value_among_the_arguments_is_refused_and_not_repeated() {
        for fields in [["password=canary"], ["password=@"]] {
            let error = origins(&fields, &[]).unwrap_err().to_string();
            assert!(error.contains("--value password=VALUE") && !error.contains("canary"), "{error}");
        }
        let error = Request::whole(r#"{"a":"canary"}"#).unwrap_err().to_string();
        assert!(!error.contains("canary"), "{error}");
    }

    #[test]
    fn contradictions_are_refused() {
        for (fields, values) in [(&["a", "a=-"][..], &[][..]), (&["a=-", "b=-"], &[]), (&["=-"], &[]), (&["a"], &["b"])]
        {
            assert!(matches!(origins(fields, values), Err(Failure::Usage(_))), "{fields:?} {values:?}");
        }
    }

    #[test]
    fn parameters_may_stand_on_the_command_line() {
        let Request::Each(origins) = Request::parameters(&strings(&["ttl=1h", "password=-"])).unwrap() else {
            panic!("parameters come one by one")
        };
        assert!(matches!(&origins[0].1, Origin::Argument(value) if value.expose_secret() == "1h"));
        assert!(matches!(origins[1].1, Origin::Source(Source::Stdin)));
    }

    #[test]
    fn one_line_end_is_dropped_if_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "x\n\n").unwrap();
        let read = |trim| Origin::Source(Source::File(path.clone())).read("a", trim).unwrap();
        assert_eq!(read(true).expose_secret(), "x\n");
        assert_eq!(read(false).expose_secret(), "x\n\n");
    }

    #[test]
    fn json_that_is_no_object_is_refused_by_position_alone() {
        for text in [r#""canary""#, r#"["canary"]"#, "{\"a\": canary}", "canary", ""] {
            let error = parse(&text.into()).unwrap_err().to_string();
            assert!(error.contains("line") && !error.contains("canary"), "{error}");
        }
        assert_eq!(parse(&r#"{"a": {"b": [1]}}"#.into()).unwrap()["a"].expose_secret(), r#"{"b": [1]}"#);
    }
}
