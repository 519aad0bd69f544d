//! Making a name by a template.

use super::{Argument, Call, MAX_VALUE, Naming, Part, Pipeline, UsernameError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
}

impl Value {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

pub(super) fn parts(parts: &[Part], naming: &Naming<'_>) -> Result<String, UsernameError> {
    let mut name = String::new();
    for part in parts {
        match part {
            Part::Text(text) => name.push_str(text),
            Part::Action(action) => name.push_str(&pipeline(action, naming)?.into_text()),
        }
    }
    if name.len() > MAX_VALUE {
        return Err(UsernameError::Apply(format!("the name is longer than {MAX_VALUE} bytes")));
    }
    Ok(name)
}

fn pipeline(pipeline: &Pipeline, naming: &Naming<'_>) -> Result<Value, UsernameError> {
    let mut before = None;
    for call in &pipeline.0 {
        before = Some(match call {
            Call::Value(value) => argument(value, naming)?,
            Call::Function(function, arguments) => {
                let mut values =
                    arguments.iter().map(|value| argument(value, naming)).collect::<Result<Vec<_>, _>>()?;
                values.extend(before);
                function.call(&values, naming)?
            }
        });
    }
    // The parser makes no empty pipeline.
    Ok(before.unwrap_or(Value::Text(String::new())))
}

fn argument(argument: &Argument, naming: &Naming<'_>) -> Result<Value, UsernameError> {
    Ok(match argument {
        Argument::Text(text) => Value::Text(text.clone()),
        Argument::Number(number) => Value::Number(*number),
        Argument::DisplayName => Value::Text(naming.display_name.to_owned()),
        Argument::RoleName => Value::Text(naming.role_name.to_owned()),
        Argument::Nested(nested) => pipeline(nested, naming)?,
    })
}
