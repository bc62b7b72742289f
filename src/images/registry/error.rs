//! Why a registry gave no answer. Four kinds, and none of them ever becomes another: what could not be asked is not
//! "not there".

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use stockade_policy::images::Digest;

use super::addresses::Class;

/// Why there is no answer. Texts are for people: they say where, without query and without secrets, and what helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The registry says that there is no such manifest, blob or repository.
    #[error("{at}: not found")]
    NotFound {
        /// What was asked for.
        at: Place,
    },
    /// The registry wants other credentials. That is no statement about what it holds.
    #[error("{at}: answered {status} {}", if *.with_credentials {
        "to the credentials that were found; do they allow a pull of this repository?"
    } else {
        "and no credentials were found; add a pull secret to the Pod or to its service account"
    })]
    Unauthorized {
        /// What was asked for.
        at: Place,
        /// 401 or 403.
        status: u16,
        /// Whether the last try had credentials.
        with_credentials: bool,
    },
    /// The registry does not answer those who ask with credentials that a Pod brought, and answers us: the credentials
    /// may be the reason, and who brought them chose them.
    #[error("{at}: {outage}; it answers who asks without the pull secrets of the Pod")]
    TurnedAway {
        /// What was asked for.
        at: Place,
        /// What came instead of an answer.
        outage: Outage,
    },
    /// The registry did what no sound one does, or what must not be followed.
    #[error("{at}: {fault}")]
    Hostile {
        /// What was asked for.
        at: Place,
        /// What is wrong.
        fault: Fault,
    },
    /// Nobody knows what the registry holds.
    #[error("{at}: {outage}")]
    Unavailable {
        /// What was asked for.
        at: Place,
        /// Why.
        outage: Outage,
    },
}

/// Method, host and path of a request; queries may hold tokens and are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(Arc<str>);

/// What a sound registry does not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A body is longer than its kind may be.
    #[error("the answer is larger than {limit} bytes, which is the most that is read of it")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// A body is not as long as the descriptor that names it says.
    #[error("has {found} bytes, and its descriptor says {wanted}")]
    WrongSize {
        /// By the descriptor.
        wanted: u64,
        /// By the body.
        found: u64,
    },
    /// A body has another digest than it was asked for by.
    #[error("the content is not {wanted} but {found}; what lies there was replaced, or damaged on its way")]
    WrongDigest {
        /// Asked for.
        wanted: Digest,
        /// Of the body.
        found: Digest,
    },
    /// `Docker-Content-Digest` is no digest, or not that of the body.
    #[error("the header Docker-Content-Digest is not the digest of the content")]
    WrongHeader,
    /// A compressed body, which was never asked for.
    #[error("the answer is compressed, and was asked for as it is")]
    Compressed,
    /// The body is not what such an answer is.
    #[error("the answer is no {wanted}: {why}")]
    Malformed {
        /// `manifest`, `index`, `token`
        wanted: &'static str,
        /// In words.
        why: Arc<str>,
    },
    /// An address that must not be connected to.
    #[error("{host} is {class}{}: nothing is asked there{}", if host.trim_matches(['[', ']']) == address.to_string() {
        String::new()
    } else {
        format!(" ({address})")
    }, if class.may_be_allowed() {
        "; set allowPrivateAddresses for this registry in the policy if it is meant"
    } else {
        ""
    })]
    Address {
        /// As a URL has it.
        host: Arc<str>,
        /// Of it.
        address: IpAddr,
        /// What kind it is.
        class: Class,
    },
    /// From TLS to none.
    #[error("leads to {to}, which is without TLS")]
    Downgrade {
        /// Where to.
        to: Place,
    },
    /// A redirect that cannot be followed.
    #[error("a redirect leads nowhere")]
    Redirect,
    /// Too many redirects.
    #[error("more than {limit} redirects")]
    Redirects {
        /// The bound.
        limit: usize,
    },
    /// A list goes on elsewhere, or for too long.
    #[error("a list does not end after {limit} pages, or goes on at another host")]
    Pages {
        /// The bound.
        limit: usize,
    },
    /// More of something than is looked at.
    #[error("more than {limit} {of}")]
    TooMany {
        /// The bound.
        limit: usize,
        /// `referrers`, `layers`, `manifests in an index`
        of: &'static str,
    },
}

/// The same whatever is there, and whether anything is.
const UNDISCLOSED: &str = "no answer from a registry in a private network; to be told why, name it under registries in a \
                           policy, and look into Stockade's log";

/// Why nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Outage {
    /// No connection, or a broken one.
    #[error("no answer: {0}")]
    Network(Arc<str>),
    /// The certificate of the registry is not trusted.
    #[error("no trusted TLS connection: {0}")]
    Tls(Arc<str>),
    /// Slow.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The body ended early.
    #[error("the answer was cut off: {0}")]
    Cut(Arc<str>),
    /// A status that says nothing about what was asked for.
    #[error("answered {status}")]
    Status {
        /// Neither success nor "not found".
        status: u16,
        /// How long it wants to be left alone.
        after: Option<Duration>,
    },
    /// Too many requests.
    #[error("answered 429, too many requests; credentials or a mirror raise the limit")]
    RateLimited {
        /// How long it wants to be left alone.
        after: Option<Duration>,
    },
    /// Something at a private address, which is not told to who may only look from outside.
    #[error("{UNDISCLOSED}")]
    Undisclosed,
    /// No turn to look up a name, or no room for an answer. Whoever chooses registries can bring that about.
    #[error("too many registries are asked for this namespace right now; try again")]
    Crowded,
    /// The client could not be made.
    #[error("{0}")]
    Settings(Arc<str>),
}

// === impl RegistryError ===

impl RegistryError {
    pub(crate) fn hostile(at: &Place, fault: Fault) -> Self {
        Self::Hostile { at: at.clone(), fault }
    }

    pub(crate) fn unavailable(at: &Place, outage: Outage) -> Self {
        Self::Unavailable { at: at.clone(), outage }
    }

    pub(crate) fn malformed(at: &Place, wanted: &'static str, why: &dyn std::fmt::Display) -> Self {
        Self::hostile(at, Fault::Malformed { wanted, why: why.to_string().into() })
    }

    /// How long the registry wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { outage: Outage::Status { after, .. } | Outage::RateLimited { after }, .. } => *after,
            _ => None,
        }
    }

    /// Whether it is about who asks alone, and must be told to nobody else.
    pub(crate) fn is_of_one(&self) -> bool {
        matches!(self, Self::Unavailable { outage: Outage::Crowded, .. })
    }

    /// `not_found`, `unauthorized`, `hostile` or `unavailable`: for metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::Unauthorized { .. } | Self::TurnedAway { .. } => "unauthorized",
            Self::Hostile { .. } => "hostile",
            Self::Unavailable { .. } => "unavailable",
        }
    }
}

// === impl Place ===

impl Place {
    pub(crate) fn new(method: &str, url: &Url) -> Self {
        let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
        let path = printable(url.path());
        Self(format!("{method} {}://{}{port}{path}", url.scheme(), url.host_str().unwrap_or_default()).into())
    }

    /// Nothing was asked there yet.
    pub(crate) fn of_host(host: &str) -> Self {
        Self(host.into())
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Longest path that a text shows: repositories have 255 bytes, digests 135; where a redirect leads is the registry's choice.
const MAX_SHOWN_PATH: usize = 512;

/// URLs are ASCII without control characters once they are parsed; only their length is anybody's choice.
fn printable(path: &str) -> &str {
    path.get(..MAX_SHOWN_PATH).unwrap_or(path)
}
