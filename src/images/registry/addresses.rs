//! Which addresses may be connected to, so that no image's name, redirect or token realm makes this process ask a host
//! that only it can reach.
//!
//! An address is judged when it is connected to: names by the resolver of the HTTP client, literal hosts before a
//! request is sent. An HTTP proxy, if the environment names one, resolves names itself, and decides for itself.
//!
//! What listens at private addresses is not told of hosts that no policy names. Whoever chooses the name of an image still
//! learns whether something answers there over HTTPS as a registry, with a certificate that is trusted, and, by the time it
//! takes, whether a name is one of a private address.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::timeout;

use crate::shares::Shares;

/// Most names that are looked up at a time. The system has no way to give up on a look-up, which keeps a thread until its
/// name servers answer, for half a minute where they do not: half of all threads that Tokio has for what blocks.
const MAX_LOOKUPS: usize = 256;
/// Most of them for one namespace, which may choose names of servers that never answer.
const MAX_LOOKUPS_OF_ONE: usize = MAX_LOOKUPS / 4;
/// How long a look-up waits for its turn: half of the time to connect.
const LOOKUP_WAIT: Duration = Duration::from_millis(500);

static LOOKUPS: LazyLock<Shares> = LazyLock::new(|| Shares::new(MAX_LOOKUPS, MAX_LOOKUPS_OF_ONE));

tokio::task_local! {
    /// Who asks; the HTTP client knows nothing of that.
    static TENANT: Arc<str>;
}

/// What an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Reachable by all the world.
    Public,
    /// Of a private network: RFC 1918, RFC 6598 (shared), RFC 4193 (unique local).
    Private,
    /// The host itself.
    Loopback,
    /// The link: RFC 3927, RFC 4291.
    LinkLocal,
    /// Where clouds tell their machines secrets.
    Metadata,
    /// Nobody's address: unspecified, multicast, broadcast, reserved.
    Nobody,
}

/// How far requests may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reach {
    /// Public addresses: where a registry at a public address sends us.
    Public,
    /// Private networks too: registries of one's own are common there, so this holds for the registry that an image
    /// names, and for where a registry at a private address sends us.
    Private,
    /// Loopback and link-local too (`allowPrivateAddresses`).
    Any,
}

/// An address that must not be connected to.
#[derive(Debug, thiserror::Error)]
#[error("{address} is {class}")]
pub(crate) struct Refused {
    pub(crate) address: IpAddr,
    pub(crate) class: Class,
}

/// There was no turn for a look-up.
#[derive(Debug, thiserror::Error)]
#[error("too many names are looked up")]
pub(crate) struct Crowded;

/// Resolves names as the system does, and gives only addresses that may be connected to.
#[derive(Debug)]
pub(crate) struct GuardedResolver(pub(crate) Reach);

/// Addresses that clouds tell secrets at, outside of the link-local range: AWS over IPv6, Google over IPv6, Alibaba,
/// Azure, Oracle.
const METADATA: [IpAddr; 5] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];
/// Where most clouds do.
const METADATA_LINK_LOCAL: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

// === impl Class ===

impl Class {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            _ if METADATA.contains(&address) || address == METADATA_LINK_LOCAL => Self::Metadata,
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => match embedded(v6) {
                Some(v4) => Self::of(IpAddr::V4(v4)),
                None => Self::of_v6(v6),
            },
        }
    }

    /// Whether `allowPrivateAddresses` is about it. No registry was ever where clouds keep secrets, or at nobody's address.
    pub(crate) fn may_be_allowed(self) -> bool {
        matches!(self, Self::Private | Self::Loopback | Self::LinkLocal)
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, ..] = address.octets();
        match (a, b) {
            (127, _) => Self::Loopback,
            (169, 254) => Self::LinkLocal,
            (10, _) | (192, 168) | (172, 16..=31) | (100, 64..=127) => Self::Private,
            (0 | 224..=255, _) => Self::Nobody,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            [0, 0, 0, 0, 0, 0, 0, 0] | [0xff00..=0xffff, ..] => Self::Nobody,
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            // fec0::/10 was site-local before RFC 3879 and still is routed in places.
            [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Self::Private,
            _ => Self::Public,
        }
    }
}

/// The IPv4 address that a packet to this address ends at: mapped (RFC 4291), compatible, translated (RFC 6052 with the
/// well-known and RFC 8215 with the local prefix), 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        // Unspecified and loopback are addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Private => "an address of a private network",
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "where clouds keep their machines' secrets",
            Self::Nobody => "nobody's address",
        })
    }
}

// === impl Reach ===

impl Reach {
    pub(crate) fn check(self, address: IpAddr) -> Result<(), Refused> {
        let class = Class::of(address);
        let allowed = match self {
            Self::Public => class == Class::Public,
            Self::Private => matches!(class, Class::Public | Class::Private),
            Self::Any => class == Class::Public || class.may_be_allowed(),
        };
        if allowed { Ok(()) } else { Err(Refused { address, class }) }
    }
}

// === impl GuardedResolver ===

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        // Now: what the client begins it may leave to another task.
        let tenant = TENANT.try_with(Arc::clone).unwrap_or_else(|_| "".into());
        Box::pin(async move {
            let found = look_up(name.as_str().to_owned(), &tenant).await?;
            let mut refused: Option<Refused> = None;
            let mut allowed = Vec::new();
            for address in found {
                match reach.check(address.ip()) {
                    Ok(()) => allowed.push(address),
                    // What some may reach is told first.
                    Err(why) if refused.is_none() || why.class == Class::Private => refused = Some(why),
                    Err(_) => {}
                }
            }
            match refused {
                Some(why) if allowed.is_empty() => Err(why.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// Sends a request on behalf of a namespace, whose turns its look-ups take.
pub(crate) fn for_tenant<F: Future>(tenant: &Arc<str>, request: F) -> impl Future<Output = F::Output> + use<F> {
    TENANT.scope(Arc::clone(tenant), request)
}

async fn look_up(name: String, tenant: &Arc<str>) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let Ok(Some(turn)) = timeout(LOOKUP_WAIT, LOOKUPS.take(tenant, 1)).await else { return Err(Crowded.into()) };
    let found = tokio::task::spawn_blocking(move || -> io::Result<Vec<SocketAddr>> {
        // Until the system is done, also when nobody waits for it any more.
        let _turn = turn;
        Ok((name.as_str(), 0).to_socket_addrs()?.collect())
    });
    Ok(found.await??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_an_address_has_its_class() {
        use Class::*;
        let table = [
            ("1.1.1.1", Public),
            ("2606:4700::1111", Public),
            ("10.1.2.3", Private),
            ("172.16.0.1", Private),
            ("172.32.0.1", Public),
            ("192.168.1.1", Private),
            ("100.64.0.1", Private),
            ("fd00::1", Private),
            ("fec0::1", Private),
            ("127.0.0.1", Loopback),
            ("127.255.0.1", Loopback),
            ("::1", Loopback),
            ("::ffff:127.0.0.1", Loopback),
            ("::127.0.0.1", Loopback),
            ("64:ff9b::127.0.0.1", Loopback),
            ("64:ff9b:1::127.0.0.1", Loopback),
            ("::ffff:0:127.0.0.1", Loopback),
            ("2002:7f00:1::", Loopback),
            ("169.254.1.1", LinkLocal),
            ("fe80::1", LinkLocal),
            ("::ffff:169.254.1.1", LinkLocal),
            ("169.254.169.254", Metadata),
            ("::ffff:169.254.169.254", Metadata),
            ("fd00:ec2::254", Metadata),
            ("100.100.100.200", Metadata),
            ("168.63.129.16", Metadata),
            ("0.0.0.0", Nobody),
            ("0.1.2.3", Nobody),
            ("::", Nobody),
            ("::ffff:0.0.0.0", Nobody),
            ("224.0.0.1", Nobody),
            ("255.255.255.255", Nobody),
            ("240.0.0.1", Nobody),
            ("ff02::1", Nobody),
        ];
        for (text, class) in table {
            assert_eq!(Class::of(text.parse().unwrap()), class, "{text}");
        }
    }

    #[test]
    fn each_reach_has_its_classes_and_secrets_of_clouds_are_in_none() {
        let allowed = |reach: Reach| {
            let hosts = ["1.1.1.1", "10.0.0.1", "127.0.0.1", "169.254.0.1", "169.254.169.254", "0.0.0.0"];
            hosts.map(|host| reach.check(host.parse().unwrap()).is_ok())
        };
        assert_eq!(allowed(Reach::Public), [true, false, false, false, false, false]);
        assert_eq!(allowed(Reach::Private), [true, true, false, false, false, false]);
        assert_eq!(allowed(Reach::Any), [true, true, true, true, false, false]);
    }

    #[tokio::test]
    async fn a_name_of_this_host_is_not_resolved_unless_it_is_allowed() {
        let resolve = |reach| GuardedResolver(reach).resolve("localhost".parse().unwrap());
        let why = resolve(Reach::Private).await.err().unwrap();
        assert_eq!(why.downcast_ref::<Refused>().unwrap().class, Class::Loopback);
        assert!(resolve(Reach::Any).await.unwrap().next().is_some());
    }

    #[tokio::test]
    async fn a_namespace_whose_look_ups_all_hang_leaves_those_of_others_alone() {
        let [mine, others] = ["hanging", "others"].map(Arc::<str>::from);
        let _held = LOOKUPS.take(&mine, usize::MAX).await;
        let resolve = |tenant: &Arc<str>| {
            for_tenant(tenant, async { GuardedResolver(Reach::Any).resolve("localhost".parse().unwrap()).await })
        };
        assert!(resolve(&mine).await.err().unwrap().is::<Crowded>());
        assert!(resolve(&others).await.unwrap().next().is_some());
    }
}
