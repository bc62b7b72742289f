//! A question to the agent, with a bounded wait.
//!
//! An agent that is not there may be one that is being replaced, and one that goes away in the middle of an answer too:
//! it is asked again until the wait is over.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::net::sockopt::socket_peercred;

use crate::gate::{Answer, MAX_ANSWER, Request};

/// Between two attempts. An agent that comes up is found at once; one that does not costs 20 attempts a second.
const PAUSE: Duration = Duration::from_millis(50);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody is there, or whoever was there went away.
    #[error("no answer: {0}")]
    Unanswered(#[from] io::Error),
    /// Who listens is not root, so it is not the agent.
    #[error("process {pid} of user {uid} listens, which is not root")]
    NotTheAgent {
        /// Its process.
        pid: i32,
        /// Its user.
        uid: u32,
    },
    /// What was said is no answer.
    #[error("the answer cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// Nor is it a short one.
    #[error("the answer has more than {MAX_ANSWER} bytes")]
    TooLong,
}

/// Asks until there is an answer, for so long at most.
///
/// # Errors
/// With what went wrong the last time.
pub fn ask(socket: &Path, request: &Request, wait: Duration) -> Result<Answer, AskError> {
    let end = Instant::now() + wait;
    loop {
        match ask_until(socket, request, end) {
            Err(AskError::Unanswered(_)) if Instant::now() + PAUSE < end => sleep(PAUSE),
            answer => return answer,
        }
    }
}

/// Asks whoever is there, for so long at most.
///
/// # Errors
/// With what went wrong.
pub fn ask_once(socket: &Path, request: &Request, wait: Duration) -> Result<Answer, AskError> {
    ask_until(socket, request, Instant::now() + wait)
}

fn ask_until(socket: &Path, request: &Request, end: Instant) -> Result<Answer, AskError> {
    let mut stream = UnixStream::connect(socket)?;
    let listener = socket_peercred(&stream).map_err(io::Error::from)?;
    if !listener.uid.is_root() {
        return Err(AskError::NotTheAgent { pid: listener.pid.as_raw_pid(), uid: listener.uid.as_raw() });
    }
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.set_write_timeout(Some(left(end)?))?;
    stream.write_all(&line)?;
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    while !answer.contains(&b'\n') {
        if answer.len() > MAX_ANSWER {
            return Err(AskError::TooLong);
        }
        stream.set_read_timeout(Some(left(end)?))?;
        match stream.read(&mut part) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(read) => answer.extend_from_slice(&part[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(timed_out().into()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(serde_json::from_slice(&answer)?)
}

fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(timed_out()) } else { Ok(left) }
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the wait is over")
}
