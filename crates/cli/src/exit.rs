//! What the process answers to the shell: the one list of exit codes, and their text in `--help`.

use std::process::ExitCode;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All done.
    Done = 0,
    /// The server refused, or something here failed.
    Failed = 1,
    /// The command line is wrong, or input is missing. clap exits with the same number.
    Usage = 2,
    /// There is no such secret, version, field or path.
    NotFound = 3,
    /// The token is missing, invalid, or may not do this.
    Denied = 4,
    /// No server could be reached, or not trusted.
    Unreachable = 5,
    /// The server is sealed.
    Sealed = 6,
    /// `status --fail-on`: something that must not be is.
    Alerts = 7,
    /// A signal ended it: 128 and SIGINT's number, as shells have it.
    Interrupted = 130,
}

impl Exit {
    /// `operator status` on a sealed server: 2, as scripts written for `vault status` expect.
    pub(crate) const STATUS_SEALED: Self = Self::Usage;
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Closes the top-level help.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  failed: the server refused, or something on this side did
  2  the command line is wrong or input is missing; `operator status`: the server is sealed
  3  not found: no such secret, version, field or path
  4  denied: the token is missing, invalid or may not do this
  5  unreachable: no server answers there, or its certificate is not trusted
  6  sealed: the server must be unsealed first
  7  `status --fail-on`: what is listed there holds for something
  130  interrupted

Environment:
  KEYTURN_ADDR        the server; else VAULT_ADDR, else http://127.0.0.1:8200
  KEYTURN_TOKEN       the token; else VAULT_TOKEN, else the token file
  KEYTURN_TOKEN_FILE  where `login` keeps the token (~/.keyturn-token), mode 0600
  KEYTURN_CACERT      a file of PEM certificates to trust; else VAULT_CACERT, else the system's
  HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY  proxies, never used for loopback addresses

First steps:
  keyturn dev                                  start a server to try things on
  export KEYTURN_ADDR=http://127.0.0.1:8200
  keyturn login                                asks for the token, keeps it in a file
  keyturn put secret/app/db user password      asks for both values
  keyturn get secret/app/db
  PGPASSWORD=$(keyturn get secret/app/db#password) psql";
