//! Values of the Kubernetes CEL libraries.

use std::fmt;
use std::net::IpAddr;

use crate::library::authz::{Decision, GroupCheck, PathCheck, ResourceCheck, Subject};
use crate::library::cidr::Cidr;
use crate::library::format::NamedFormat;
use crate::library::quantity::Quantity;
use crate::library::semver::Semver;
use crate::library::url::Url;
use crate::value::Value;

/// A value that only the functions of its library can look into.
#[derive(Debug, Clone, Copy)]
pub enum Opaque<'a> {
    /// `net.IP`; never an IPv4-mapped IPv6 address.
    Ip(IpAddr),
    /// `net.CIDR`
    Cidr(Cidr),
    /// `kubernetes.URL`
    Url(Url<'a>),
    /// `kubernetes.Quantity`
    Quantity(Quantity<'a>),
    /// `kubernetes.Semver`
    Semver(Semver<'a>),
    /// `kubernetes.NamedFormat`
    Format(NamedFormat),
    /// `kubernetes.authorization.Authorizer`
    Authorizer(Subject<'a>),
    /// `kubernetes.authorization.PathCheck`
    PathCheck(PathCheck<'a>),
    /// `kubernetes.authorization.GroupCheck`
    GroupCheck(GroupCheck<'a>),
    /// `kubernetes.authorization.ResourceCheck`
    ResourceCheck(ResourceCheck<'a>),
    /// `kubernetes.authorization.Decision`
    Decision(Decision<'a>),
    /// A value of a library that the embedding program added (`cluster`, `network`).
    Host {
        /// CEL type name.
        type_name: &'static str,
        /// What the functions of that library need.
        data: Value<'a>,
    },
}

impl Opaque<'_> {
    /// CEL type name, as `type(x)` shows it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Opaque::Ip(_) => "net.IP",
            Opaque::Cidr(_) => "net.CIDR",
            Opaque::Url(_) => "kubernetes.URL",
            Opaque::Quantity(_) => "kubernetes.Quantity",
            Opaque::Semver(_) => "kubernetes.Semver",
            Opaque::Format(_) => "kubernetes.NamedFormat",
            Opaque::Authorizer(_) => "kubernetes.authorization.Authorizer",
            Opaque::PathCheck(_) => "kubernetes.authorization.PathCheck",
            Opaque::GroupCheck(_) => "kubernetes.authorization.GroupCheck",
            Opaque::ResourceCheck(_) => "kubernetes.authorization.ResourceCheck",
            Opaque::Decision(_) => "kubernetes.authorization.Decision",
            Opaque::Host { type_name, .. } => type_name,
        }
    }

    /// Whether two are equal where a failed comparison counts as unequal: inside lists and maps, for `in` and `!=`.
    pub fn equals(&self, other: &Opaque<'_>) -> bool {
        self.answers(other).unwrap_or(false)
    }

    /// What `==` answers with this on its left side; `None` where upstream answers `no such overload`: for a value of
    /// another type (null excepted, which is unequal), for what belongs to the authorizer, and for a computed quantity
    /// on the right side.
    pub fn strictly_equals(&self, other: Value<'_>) -> Option<bool> {
        match other {
            Value::Null => Some(false),
            Value::Opaque(other) => self.answers(other),
            _ => None,
        }
    }

    fn answers(&self, other: &Opaque<'_>) -> Option<bool> {
        match (self, other) {
            (Opaque::Ip(a), Opaque::Ip(b)) => Some(a == b),
            (Opaque::Cidr(a), Opaque::Cidr(b)) => Some(a == b),
            (Opaque::Url(a), Opaque::Url(b)) => Some(a.text() == b.text()),
            (Opaque::Quantity(a), Opaque::Quantity(b)) => b.comparable_on_the_right().then(|| a.compare(b).is_eq()),
            (Opaque::Semver(a), Opaque::Semver(b)) => Some(a.compare(b).is_eq()),
            (Opaque::Format(a), Opaque::Format(b)) => Some(a == b),
            (Opaque::Host { type_name: a, data: x }, Opaque::Host { type_name: b, data: y }) => {
                Some(a == b && x.equals(*y))
            }
            _ => None,
        }
    }

    /// Name of upstream's own type of it, which some messages show.
    pub(crate) fn go_type(&self) -> &'static str {
        match self {
            Opaque::Ip(_) => "cel.IP",
            Opaque::Cidr(_) => "cel.CIDR",
            Opaque::Url(_) => "cel.URL",
            Opaque::Quantity(_) => "cel.Quantity",
            Opaque::Semver(_) => "cel.Semver",
            Opaque::Format(_) => "*cel.Format",
            Opaque::Authorizer(_) => "library.authorizerVal",
            Opaque::PathCheck(_) => "library.pathCheckVal",
            Opaque::GroupCheck(_) => "library.groupCheckVal",
            Opaque::ResourceCheck(_) => "library.resourceCheckVal",
            Opaque::Decision(_) => "library.decisionVal",
            Opaque::Host { type_name, .. } => type_name,
        }
    }

    /// Size by which upstream's cost tracker charges; 1 for what has no size.
    pub fn cost_size(&self) -> u64 {
        match self {
            Opaque::Ip(IpAddr::V4(_)) => 4,
            Opaque::Ip(IpAddr::V6(_)) => 16,
            Opaque::Cidr(cidr) => cidr.cost_size(),
            _ => 1,
        }
    }
}

impl fmt::Display for Opaque<'_> {
    /// The text that the value was or could have been read from; the type's name where there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Opaque::Ip(ip) => ip.fmt(f),
            Opaque::Cidr(cidr) => cidr.fmt(f),
            Opaque::Url(url) => f.write_str(url.text()),
            Opaque::Quantity(quantity) => quantity.fmt(f),
            Opaque::Semver(version) => version.fmt(f),
            Opaque::Format(format) => f.write_str(format.name),
            _ => f.write_str(self.type_name()),
        }
    }
}
