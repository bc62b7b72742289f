//! Network addresses (`net.CIDR`), read as Go's `net/netip` reads them.

use std::fmt;
use std::net::IpAddr;

use super::ip;
use super::support::{Answer, Quoted, fail, native, print, traversals, traverse_once};
use crate::error::ErrorKind;
use crate::functions::{Function, Scope, constant_cost};
use crate::opaque::Opaque;
use crate::value::Value;

/// An address and how many of its bits name the network. Bits behind these may be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    /// The address as written.
    pub ip: IpAddr,
    /// `0..=32` or `0..=128`
    pub bits: u8,
}

/// The functions of this library.
pub fn functions() -> Vec<Function> {
    vec![
        native("cidr", &[("string_to_cidr", "(string) -> net.CIDR")], cidr, traverse_once),
        native("isCIDR", &[("is_cidr", "(string) -> bool")], is_cidr, traverse_once),
        native("string", &[("cidr_to_string", "(net.CIDR) -> string")], string, constant_cost),
        native("ip", &[("cidr_ip", "net.CIDR.() -> net.IP")], address, constant_cost),
        native("prefixLength", &[("cidr_prefix_length", "net.CIDR.() -> int")], prefix_length, constant_cost),
        native("masked", &[("cidr_masked", "net.CIDR.() -> net.CIDR")], masked, constant_cost),
        native(
            "containsIP",
            &[
                ("cidr_contains_ip_string", "net.CIDR.(string) -> bool"),
                ("cidr_contains_ip_ip", "net.CIDR.(net.IP) -> bool"),
            ],
            contains_ip,
            contains_ip_cost,
        ),
        native(
            "containsCIDR",
            &[
                ("cidr_contains_cidr_string", "net.CIDR.(string) -> bool"),
                ("cidr_contains_cidr", "net.CIDR.(net.CIDR) -> bool"),
            ],
            contains_cidr,
            contains_cidr_cost,
        ),
    ]
}

impl Cidr {
    /// Reads one.
    ///
    /// # Errors
    /// In the words of the API server's library.
    fn parse(text: &str) -> Result<Self, String> {
        let quoted = Quoted(text);
        let fault = |why: fmt::Arguments<'_>| {
            Err(format!(
                "network address parse error during conversion from string: netip.ParsePrefix({quoted}): {why}"
            ))
        };
        let Some((address, bits)) = text.rsplit_once('/') else { return fault(format_args!("no '/'")) };
        let address = match ip::parse(address) {
            Ok(address) => address,
            Err(why) => return fault(format_args!("{why}")),
        };
        if address.zone {
            return fault(format_args!("IPv6 zones cannot be present in a prefix"));
        }
        let plain = bits.len() == 1 || !bits.starts_with(|c: char| !matches!(c, '1'..='9'));
        let number = if plain && bits.bytes().all(|b| b.is_ascii_digit()) { bits.parse::<i64>().ok() } else { None };
        let Some(number) = number else { return fault(format_args!("bad bits after slash: {}", Quoted(bits))) };
        let most = if address.ip.is_ipv4() { 32 } else { 128 };
        let Some(bits) = u8::try_from(number).ok().filter(|bits| *bits <= most) else {
            return fault(format_args!("prefix length out of range"));
        };
        if address.is_mapped() {
            return Err(format!("IPv4-mapped IPv6 address {quoted} is not allowed"));
        }
        Ok(Self { ip: address.ip, bits })
    }

    /// Size by which upstream's cost tracker charges: bytes of the network part.
    pub(crate) fn cost_size(self) -> u64 {
        u64::from(self.bits.div_ceil(8))
    }

    /// The network's bits of an address, in the low end of the result.
    fn network(self, ip: IpAddr) -> u128 {
        let (bits, width) = match ip {
            IpAddr::V4(ip) => (u128::from(ip.to_bits()), 32),
            IpAddr::V6(ip) => (ip.to_bits(), 128),
        };
        bits.checked_shr(width - u32::from(self.bits)).unwrap_or(0)
    }

    fn contains(self, ip: IpAddr) -> bool {
        self.ip.is_ipv4() == ip.is_ipv4() && self.network(ip) == self.network(self.ip)
    }

    fn masked(self) -> Self {
        let network = self.network(self.ip);
        let ip = match self.ip {
            IpAddr::V4(_) => IpAddr::V4(((network << (32 - u32::from(self.bits))) as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(network.checked_shl(128 - u32::from(self.bits)).unwrap_or(0).into()),
        };
        Self { ip, bits: self.bits }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.bits)
    }
}

fn value<'a>(scope: &Scope<'a>, cidr: Cidr) -> Value<'a> {
    Value::Opaque(scope.arena.alloc(Opaque::Cidr(cidr)))
}

fn parsed<'a>(scope: &Scope<'a>, text: &str) -> Result<Cidr, ErrorKind<'a>> {
    Cidr::parse(text)
        .map_err(|e| fail(scope, format_args!("network address parse error during conversion from string: {e}")))
}

fn cidr<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    Ok(value(scope, parsed(scope, text)?))
}

fn is_cidr<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    Ok(Value::Bool(Cidr::parse(text).is_ok()))
}

fn string<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::Opaque(Opaque::Cidr(cidr))] = *args else { return Err(ErrorKind::NoSuchOverload) };
    Ok(Value::String(print(scope, format_args!("{cidr}"))))
}

fn address<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::Opaque(Opaque::Cidr(cidr))] = *args else { return Err(ErrorKind::NoSuchOverload) };
    Ok(ip::value(scope, cidr.ip))
}

fn prefix_length<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::Opaque(Opaque::Cidr(cidr))] = *args else { return Err(ErrorKind::NoSuchOverload) };
    Ok(Value::Int(i64::from(cidr.bits)))
}

fn masked<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::Opaque(Opaque::Cidr(cidr))] = *args else { return Err(ErrorKind::NoSuchOverload) };
    Ok(value(scope, cidr.masked()))
}

fn contains_ip<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let (cidr, ip) = match *args {
        [Value::Opaque(Opaque::Cidr(cidr)), Value::Opaque(Opaque::Ip(ip))] => (cidr, *ip),
        // Upstream loses the parser's words here.
        [Value::Opaque(Opaque::Cidr(cidr)), Value::String(text)] => {
            (cidr, ip::accepted(text).ok_or(ErrorKind::Function("no such overload"))?)
        }
        _ => return Err(ErrorKind::NoSuchOverload),
    };
    Ok(Value::Bool(cidr.contains(ip)))
}

fn contains_cidr<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let (outer, inner) = match *args {
        [Value::Opaque(Opaque::Cidr(outer)), Value::Opaque(Opaque::Cidr(inner))] => (outer, *inner),
        [Value::Opaque(Opaque::Cidr(outer)), Value::String(text)] => (outer, parsed(scope, text)?),
        _ => return Err(ErrorKind::NoSuchOverload),
    };
    Ok(Value::Bool(outer.bits <= inner.bits && outer.contains(inner.ip)))
}

fn contains_ip_cost(overload: &str, args: &[Value<'_>], _: &Value<'_>) -> u64 {
    let [cidr, other, ..] = args else { return 1 };
    let parsing = if overload == "cidr_contains_ip_string" { traversals(other.cost_size(), 1.0) } else { 0 };
    // The comparison reads the network part of both.
    traversals(cidr.cost_size() * 2, 1.0) + parsing
}

fn contains_cidr_cost(overload: &str, args: &[Value<'_>], _: &Value<'_>) -> u64 {
    let [cidr, other, ..] = args else { return 1 };
    let parsing = if overload == "cidr_contains_cidr_string" { traversals(other.cost_size(), 1.0) } else { 0 };
    // As above, and masking reads one of them again.
    traversals(cidr.cost_size() * 2, 1.0) + traversals(cidr.cost_size(), 1.0) + 1 + parsing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        Cidr::parse(text).unwrap()
    }

    #[test]
    fn masking_clears_the_bits_of_the_host() {
        let rows = [
            ("192.168.1.77/24", "192.168.1.0/24"),
            ("1.2.3.4/0", "0.0.0.0/0"),
            ("1.2.3.4/32", "1.2.3.4/32"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::1/0", "::/0"),
            ("::1/128", "::1/128"),
        ];
        for (input, expected) in rows {
            assert_eq!(cidr(input).masked().to_string(), expected);
        }
    }

    #[test]
    fn a_network_contains_addresses_of_its_family_only() {
        assert!(cidr("10.0.0.0/8").contains("10.1.2.3".parse().unwrap()));
        assert!(!cidr("10.0.0.0/8").contains("11.1.2.3".parse().unwrap()));
        assert!(cidr("0.0.0.0/0").contains("11.1.2.3".parse().unwrap()));
        assert!(!cidr("0.0.0.0/0").contains("::1".parse().unwrap()));
        assert!(cidr("::/0").contains("ff::1".parse().unwrap()));
    }

    #[test]
    fn faults_are_named_as_upstream_names_them() {
        let rows = [
            ("1.2.3.4", "no '/'"),
            ("1.2.3.4/", "bad bits after slash: \"\""),
            ("1.2.3.4/08", "bad bits after slash: \"08\""),
            ("1.2.3.4/+8", "bad bits after slash: \"+8\""),
            ("1.2.3.4/33", "prefix length out of range"),
            ("fe80::1%a/8", "IPv6 zones cannot be present in a prefix"),
            ("1.2.3/8", "ParseAddr(\"1.2.3\"): IPv4 address too short"),
        ];
        for (input, expected) in rows {
            let expected = format!(
                "network address parse error during conversion from string: netip.ParsePrefix({input:?}): {expected}"
            );
            assert_eq!(Cidr::parse(input), Err(expected));
        }
        assert_eq!(
            Cidr::parse("::ffff:1.2.3.4/100"),
            Err("IPv4-mapped IPv6 address \"::ffff:1.2.3.4/100\" is not allowed".to_owned())
        );
    }
}
