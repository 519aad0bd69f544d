//! Name transformers: the names of secrets as other tools like to have them.

/// How names are changed on their way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transformer {
    /// `API_KEY` as `apiKey`.
    Camel,
    /// `API_KEY` as `ApiKey`.
    UpperCamel,
    /// `API_KEY` as `api_key`.
    LowerSnake,
    /// `API_KEY` as `api-key`.
    LowerKebab,
    /// `API_KEY` as `TF_VAR_api_key`.
    TfVar,
    /// `SMTP__USER_NAME` as `Smtp:UserName`.
    Dotnet,
    /// `SMTP__USER_NAME` as `Smtp__UserName`.
    DotnetEnv,
}

impl Transformer {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 7] = [
        ("camel", Self::Camel),
        ("upper-camel", Self::UpperCamel),
        ("lower-snake", Self::LowerSnake),
        ("lower-kebab", Self::LowerKebab),
        ("tf-var", Self::TfVar),
        ("dotnet", Self::Dotnet),
        ("dotnet-env", Self::DotnetEnv),
    ];

    /// The transformer of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, transformer)| *transformer)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, transformer)| *transformer == self).map_or("", |(name, _)| name)
    }

    /// The name as it goes out. One of which nothing would be left stays as it is.
    #[must_use]
    pub fn apply(self, name: &str) -> String {
        let changed = match self {
            Self::Camel => camel(name, false),
            Self::UpperCamel => camel(name, true),
            Self::LowerSnake => name.to_ascii_lowercase(),
            Self::LowerKebab => name.to_ascii_lowercase().replace('_', "-"),
            Self::TfVar => format!("TF_VAR_{}", name.to_ascii_lowercase()),
            Self::Dotnet => sections(name, ":"),
            Self::DotnetEnv => sections(name, "__"),
        };
        if changed.is_empty() { name.to_owned() } else { changed }
    }
}

fn camel(name: &str, upper: bool) -> String {
    let words = name.split('_').filter(|word| !word.is_empty()).enumerate();
    words.map(|(index, word)| if index > 0 || upper { capitalized(word) } else { word.to_ascii_lowercase() }).collect()
}

fn capitalized(word: &str) -> String {
    let mut word = word.to_ascii_lowercase();
    if let Some(first) = word.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    word
}

fn sections(name: &str, separator: &str) -> String {
    let parts: Vec<String> = name.split("__").map(|part| camel(part, true)).filter(|part| !part.is_empty()).collect();
    parts.join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_out_as_each_tool_has_them() {
        let of = |name: &str| Transformer::ALL.map(|(_, transformer)| transformer.apply(name));
        assert_eq!(of("API_KEY"), ["apiKey", "ApiKey", "api_key", "api-key", "TF_VAR_api_key", "ApiKey", "ApiKey"]);
        assert_eq!(
            of("SMTP__USER_NAME"),
            [
                "smtpUserName",
                "SmtpUserName",
                "smtp__user_name",
                "smtp--user-name",
                "TF_VAR_smtp__user_name",
                "Smtp:UserName",
                "Smtp__UserName"
            ]
        );
        assert_eq!(of("_X1"), ["x1", "X1", "_x1", "-x1", "TF_VAR__x1", "X1", "X1"]);
        assert_eq!(of("___")[0], "___");
        assert_eq!(of("ü_X")[0], "üX");
    }

    #[test]
    fn each_transformer_has_one_name() {
        for (name, transformer) in Transformer::ALL {
            assert_eq!((Transformer::named(name), transformer.name()), (Some(transformer), name));
        }
        assert_eq!(Transformer::named("none"), None);
    }
}
