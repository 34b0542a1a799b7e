//! What can go wrong with a local server, said so that the reader knows what to do next.

use std::path::{Path, PathBuf};
use std::time::Duration;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{program} was not found (looked in {looked}); run deploy/setup.sh, which fetches it")]
    ToolMissing {
        program: &'static str,
        looked: String,
    },

    #[error(
        "{} is in use by another hub (pid {pid}); stop that one, or set $HUB_HOME to another folder",
        home.display()
    )]
    HomeTaken { home: PathBuf, pid: u32 },

    #[error("port {port} of 127.0.0.1 is taken by {by}; set ${variable} to another port")]
    PortTaken {
        port: u16,
        by: String,
        variable: &'static str,
    },

    #[error("no free port was found on 127.0.0.1")]
    NoFreePort,

    #[error("{server} ended with {how} instead of starting; last lines of {}:\n{tail}", log.display())]
    Ended {
        server: &'static str,
        how: String,
        log: PathBuf,
        tail: String,
    },

    #[error("{server} was not ready within {after:?}; last lines of {}:\n{tail}", log.display())]
    NotReady {
        server: &'static str,
        after: Duration,
        log: PathBuf,
        tail: String,
    },

    #[error("{server} did not end within {after:?}")]
    NotStopped {
        server: &'static str,
        after: Duration,
    },

    #[error("{server} runs with weaker durability than asked: {what}")]
    NotDurable { server: &'static str, what: String },

    #[error("{program} failed: {output}")]
    Failed { program: String, output: String },

    #[error(
        "running as root needs the account '{0}', which PostgreSQL's package creates; run deploy/setup.sh"
    )]
    NoAccount(&'static str),

    #[error("{} exists and is not ours (owner or kind differ); move it away", .0.display())]
    NotOurs(PathBuf),

    #[error(
        "'{0}' is no name for a database: use a-z, 0-9 and _, at most 63, starting with a letter"
    )]
    DatabaseName(String),

    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },

    #[error("the work on a local server was interrupted")]
    Interrupted,
}

impl Error {
    /// For `map_err`: names what was being done to which path.
    pub(crate) fn io<'a>(
        what: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(std::io::Error) -> Error + 'a {
        move |source| Error::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}
