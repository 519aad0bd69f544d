//! What the Doppler API is told where the server is set up.

/// Where the Doppler API finds its projects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DopplerSettings {
    /// The versioned mount whose secrets are configs, with its slash at the end.
    pub mount: String,
    /// What clients are told of the place that they talk to.
    pub workplace: String,
    /// Where people reach this server, without a slash at the end; none: the address that a client used.
    pub public_url: Option<String>,
}

impl Default for DopplerSettings {
    fn default() -> Self {
        Self { mount: "secret/".to_owned(), workplace: "Keyturn".to_owned(), public_url: None }
    }
}
