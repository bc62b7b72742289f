//! Every bound of the server, with its reason. Those that an operator may change are defaults of [`crate::Builder`].

use std::time::Duration;

pub use stockade_process::plain::{HEADER_TIMEOUT, MAX_HEADER_BYTES, MAX_HEADERS, MAX_PLAIN_CONNECTIONS};

/// Largest object that the API server itself takes (apiserver `MaxRequestBodyBytes`).
pub const MAX_OBJECT_BYTES: usize = 3 << 20;

/// Largest AdmissionReview: one object of [`MAX_OBJECT_BYTES`], and as slack the object it replaces (an UPDATE
/// carries both) and 1 MiB for the envelope, options and a user's groups. A smaller bound would make an update of a
/// large object impossible that the API server accepts.
pub const MAX_BODY_BYTES: usize = 2 * MAX_OBJECT_BYTES + (1 << 20);

/// How much of a body that is too large is read and thrown away, so that the client reads our answer instead of a
/// connection reset. What is larger still is cut.
pub const MAX_DISCARDED_BYTES: u64 = 4 * MAX_BODY_BYTES as u64;

/// Bytes of all bodies being held at one time. Nine of the largest; a flood of large bodies is shed before it is a
/// memory problem.
pub const MAX_BUFFERED_BYTES: usize = 64 << 20;

/// Requests accepted and not yet answered. At a millisecond each this is a quarter second of queue on one core;
/// who would wait longer is better answered by another replica.
pub const MAX_IN_FLIGHT: usize = 256;

/// Requests that wait for something to be looked at, a registry for one: half of [`MAX_IN_FLIGHT`], so that one that
/// hangs leaves the other half to requests that need no registry. Of more than that a [`crate::Reviewer`] judges without
/// looking.
pub const MAX_LOOKING: usize = MAX_IN_FLIGHT / 2;

/// Those of one namespace among them: half, so that one whose images are at a registry that hangs leaves the rest to
/// others.
pub const MAX_LOOKING_OF_ONE: usize = MAX_LOOKING / 2;

/// Open TLS connections. An API server needs one over HTTP/2 and one per concurrent request over HTTP/1.1.
pub const MAX_CONNECTIONS: usize = 1024;

/// Streams of one HTTP/2 connection; more than [`MAX_IN_FLIGHT`] could not be served.
pub const MAX_STREAMS: u32 = MAX_IN_FLIGHT as u32;

/// From accept to finished TLS handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// From the end of the headers to the end of the body; the request's own deadline may be earlier.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection with no request. Longer than the 90 seconds after which the API server's client closes it, so that
/// the side that knows whether it is about to send does the closing.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Time allowed for a review when the caller names none (`timeoutSeconds` of a webhook defaults to 10).
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest `timeoutSeconds` of a webhook.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(30);

/// Shortest time allowed for a review. Less than the second that the API allows, for callers that are not it.
pub const MIN_TIMEOUT: Duration = Duration::from_millis(100);

/// Part of the caller's timeout kept back for the way home: a tenth, at most this.
pub const MAX_TIMEOUT_MARGIN: Duration = Duration::from_millis(500);

/// After SIGTERM: how long connections are still accepted while `/readyz` already answers 503, so that endpoints
/// are removed before the port closes.
pub const DRAIN_DELAY: Duration = Duration::from_secs(3);

/// After the port is closed: how long an idle HTTP/1.1 connection stays open for a request that is already on its
/// way. That request is answered with `Connection: close`.
pub const DRAIN_LINGER: Duration = Duration::from_millis(250);

/// After the port is closed: when what is still open is cut. Longer than [`MAX_TIMEOUT`].
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(35);

/// How often the certificate files are read again. They are small; comparing their content cannot go deaf when a
/// Secret volume swaps its symlink.
pub const CERTIFICATE_POLL: Duration = Duration::from_secs(1);

/// Largest certificate or key file.
pub const MAX_CERTIFICATE_FILE_BYTES: u64 = 256 << 10;

/// Longest text of a request (uid, names, user) in a log line.
pub const MAX_LOGGED_CHARS: usize = 253;

/// Longest `uid` of a review. The API server sends a UUID of 36.
pub const MAX_UID_BYTES: usize = 256;

/// Longest message of a refusal; what is longer is cut at a character.
pub const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// Characters of all warnings of one answer before each is cut (apiserver `truncateAtTotalRunes`).
pub const MAX_WARNINGS_CHARS: usize = 4 * 1024;

/// Characters of one warning once warnings are cut (apiserver `truncateItemRunes`).
pub const MAX_WARNING_CHARS: usize = 256;
