//! How a command can fail, and with which exit code.

use std::process::ExitCode;

use pinxit::Error;

use crate::terminal::{self, BAD};

/// The result of a command.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the library says.
    Library(Error),
    /// Flags that make no sense together.
    Usage(String),
    /// A hub did not give what it was asked for.
    Hub(String),
    /// It was done, and what came out is not what the user would accept.
    Refused(String),
    /// The user stopped it; what is kept and how to go on.
    Stopped(String),
    /// Nobody reads the standard output any more, as in `pinxit families | head -1`.
    Unread,
    /// The standard output can't be written.
    Output(std::io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Interrupted => Self::Stopped("stopped before anything was done".into()),
            other => Self::Library(other),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Output(error),
        }
    }
}

impl Failure {
    /// Tells the user, and gives the exit code: 1 for a failure, 2 for flags or recipes that can't
    /// be used as written, 3 for a result beyond a limit that was set, 130 for a stop by the user.
    pub(crate) fn report(self) -> ExitCode {
        let (message, code) = match self {
            Self::Library(error @ Error::Config(_)) => (error.to_string(), 2),
            Self::Library(error) => (error.to_string(), 1),
            Self::Hub(message) => (message, 1),
            Self::Usage(message) => (message, 2),
            Self::Refused(message) => (message, 3),
            Self::Stopped(message) => {
                terminal::tell(&message);
                return ExitCode::from(130);
            }
            Self::Unread => return ExitCode::SUCCESS,
            Self::Output(error) => (format!("standard output: {error}"), 1),
        };
        terminal::tell(&format!("{BAD}error:{BAD:#} {message}"));
        ExitCode::from(code)
    }
}
