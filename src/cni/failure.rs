//! Failures as the CNI specification has them (1.1.0, "Error").

use std::fmt;

use serde::Serialize;

use crate::links::LinksError;

/// What is written to standard output when a command failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The version of the call, or the newest that is known when the call has none.
    pub cni_version: String,
    /// Which failure.
    pub code: Code,
    /// What failed, in one line.
    pub msg: String,
    /// Why, and what to look at.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub details: String,
}

/// The specification's numbers, and from 100 on our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Code {
    /// A version of the specification that is not known here.
    IncompatibleVersion = 1,
    /// A variable of the environment is missing or says what it may not.
    Environment = 4,
    /// A file could not be read.
    Io = 5,
    /// What came in is no JSON of the form that the specification asks for.
    Undecodable = 6,
    /// The configuration asks for what cannot be.
    Configuration = 7,
    /// Later it may work: the agent did not answer.
    TryAgainLater = 11,
    /// The host's end of the Pod's interface was not found.
    NoHostSide = 100,
    /// The agent refused.
    Refused = 101,
}

// === impl Failure ===

impl Failure {
    /// A failure of a call whose version is not known (yet).
    pub fn new(code: Code, msg: impl Into<String>, details: impl fmt::Display) -> Self {
        let cni_version = crate::call::NEWEST.to_owned();
        Self { cni_version, code, msg: msg.into(), details: format!("{details}") }
    }

    /// The same, told in the version of the call.
    #[must_use]
    pub fn of_version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.cni_version);
        self
    }
}

impl From<LinksError> for Failure {
    fn from(error: LinksError) -> Self {
        Self::new(Code::NoHostSide, "the host's end of the Pod's interface was not found", error)
    }
}

// === impl Code ===

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(*self as u16)
    }
}
