//! IP addresses (`net.IP`), read as Go's `net/netip` reads them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::support::{Answer, Quoted, fail, native, print, traverse_once, traverse_twice};
use crate::error::ErrorKind;
use crate::functions::{Function, Scope, constant_cost};
use crate::opaque::Opaque;
use crate::value::Value;

/// The functions of this library.
pub fn functions() -> Vec<Function> {
    vec![
        native("ip", &[("string_to_ip", "(string) -> net.IP")], ip, traverse_once),
        native("isIP", &[("is_ip", "(string) -> bool")], is_ip, traverse_once),
        native("ip.isCanonical", &[("ip_is_canonical", "(string) -> bool")], is_canonical, traverse_twice),
        native("string", &[("ip_to_string", "(net.IP) -> string")], string, constant_cost),
        native("family", &[("ip_family", "net.IP.() -> int")], family, constant_cost),
        native(
            "isUnspecified",
            &[("ip_is_unspecified", "net.IP.() -> bool")],
            |_, args| ask(args, |ip| ip.is_unspecified()),
            constant_cost,
        ),
        native(
            "isLoopback",
            &[("ip_is_loopback", "net.IP.() -> bool")],
            |_, args| ask(args, |ip| ip.is_loopback()),
            constant_cost,
        ),
        native(
            "isLinkLocalMulticast",
            &[("ip_is_link_local_multicast", "net.IP.() -> bool")],
            |_, args| ask(args, is_link_local_multicast),
            constant_cost,
        ),
        native(
            "isLinkLocalUnicast",
            &[("ip_is_link_local_unicast", "net.IP.() -> bool")],
            |_, args| ask(args, is_link_local_unicast),
            constant_cost,
        ),
        native(
            "isGlobalUnicast",
            &[("ip_is_global_unicast", "net.IP.() -> bool")],
            |_, args| ask(args, is_global_unicast),
            constant_cost,
        ),
    ]
}

/// An address as an expression's value.
pub(super) fn value<'a>(scope: &Scope<'a>, ip: IpAddr) -> Value<'a> {
    Value::Opaque(scope.arena.alloc(Opaque::Ip(ip)))
}

fn ip<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    Ok(value(scope, checked(scope, text)?))
}

/// Reads an address as the functions accept it.
fn checked<'a>(scope: &Scope<'a>, text: &str) -> Result<IpAddr, ErrorKind<'a>> {
    let fault = |text| fail(scope, text);
    let quoted = Quoted(text);
    match parse(text) {
        Err(e) => Err(fault(format_args!("IP Address {quoted} parse error during conversion from string: {e}"))),
        Ok(Address { zone: true, .. }) => {
            Err(fault(format_args!("IP address {quoted} with zone value is not allowed")))
        }
        Ok(address) if address.is_mapped() => {
            Err(fault(format_args!("IPv4-mapped IPv6 address {quoted} is not allowed")))
        }
        Ok(address) => Ok(address.ip),
    }
}

/// Reads an address that a function would accept.
pub(super) fn accepted(text: &str) -> Option<IpAddr> {
    parse(text).ok().filter(|a| !a.zone && !a.is_mapped()).map(|a| a.ip)
}

fn is_ip<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    Ok(Value::Bool(accepted(text).is_some()))
}

fn is_canonical<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    let ip = checked(scope, text)?;
    Ok(Value::Bool(print(scope, format_args!("{ip}")) == text))
}

fn string<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::Opaque(Opaque::Ip(ip))] = *args else { return Err(ErrorKind::NoSuchOverload) };
    Ok(Value::String(print(scope, format_args!("{ip}"))))
}

fn family<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::Opaque(Opaque::Ip(ip))] = *args else { return Err(ErrorKind::NoSuchOverload) };
    Ok(Value::Int(if ip.is_ipv4() { 4 } else { 6 }))
}

fn ask<'a>(args: &[Value<'a>], question: fn(IpAddr) -> bool) -> Answer<'a> {
    let [Value::Opaque(Opaque::Ip(ip))] = *args else { return Err(ErrorKind::NoSuchOverload) };
    Ok(Value::Bool(question(*ip)))
}

fn is_link_local_multicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
        IpAddr::V6(ip) => ip.segments()[0] & 0xff0f == 0xff02,
    }
}

fn is_link_local_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn is_global_unicast(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(Ipv4Addr::BROADCAST));
    !broadcast && !ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast() && !is_link_local_unicast(ip)
}

// === reading ===

/// An address as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) ip: IpAddr,
    /// It has a zone (`fe80::1%eth0`).
    pub(super) zone: bool,
}

impl Address {
    /// `::ffff:1.2.3.4`
    pub(super) fn is_mapped(self) -> bool {
        matches!(self.ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some())
    }
}

/// Reads an address.
///
/// # Errors
/// In the words of Go's `netip.ParseAddr`.
pub(super) fn parse(text: &str) -> Result<Address, String> {
    let fault = |message: &str| Err(describe(text, message, ""));
    match text.bytes().find(|b| matches!(b, b'.' | b':' | b'%')) {
        Some(b'.') => Ok(Address { ip: IpAddr::V4(parse_v4(text, text)?.into()), zone: false }),
        Some(b':') => parse_v6(text),
        Some(_) => fault("missing IPv6 address"),
        None => fault("unable to parse IP"),
    }
}

fn describe(whole: &str, message: &str, at: &str) -> String {
    if at.is_empty() {
        return format!("ParseAddr({}): {message}", Quoted(whole));
    }
    format!("ParseAddr({}): {message} (at {})", Quoted(whole), Quoted(at))
}

/// The four numbers of `part`, which stands in `whole`.
fn parse_v4(whole: &str, part: &str) -> Result<[u8; 4], String> {
    let mut octets = [0; 4];
    let (mut at, mut value, mut digits) = (0, 0u32, 0);
    for (i, b) in part.bytes().enumerate() {
        match b {
            b'0'..=b'9' => {
                if digits == 1 && value == 0 {
                    return Err(describe(whole, "IPv4 field has octet with leading zero", ""));
                }
                value = value * 10 + u32::from(b - b'0');
                digits += 1;
                if value > 255 {
                    return Err(describe(whole, "IPv4 field has value >255", ""));
                }
            }
            b'.' => {
                if digits == 0 || i + 1 == part.len() {
                    return Err(describe(whole, "IPv4 field must have at least one digit", &part[i..]));
                }
                if at == 3 {
                    return Err(describe(whole, "IPv4 address too long", ""));
                }
                octets[at] = value as u8;
                at += 1;
                (value, digits) = (0, 0);
            }
            _ => return Err(describe(whole, "unexpected character", &part[i..])),
        }
    }
    if at < 3 {
        return Err(describe(whole, "IPv4 address too short", ""));
    }
    octets[3] = value as u8;
    Ok(octets)
}

fn parse_v6(whole: &str) -> Result<Address, String> {
    let fault = |message: &str, at: &str| Err(describe(whole, message, at));
    let (mut rest, zone) = match whole.split_once('%') {
        Some((_, "")) => return fault("zone must be a non-empty string", ""),
        Some((rest, _)) => (rest, true),
        None => (whole, false),
    };
    let mut bytes = [0u8; 16];
    let mut len = 0;
    // Where `::` stands.
    let mut gap = None;
    if let Some(tail) = rest.strip_prefix("::") {
        gap = Some(0);
        rest = tail;
        if rest.is_empty() {
            return Ok(Address { ip: IpAddr::V6(Ipv6Addr::UNSPECIFIED), zone });
        }
    }
    while len < 16 {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        if digits > 4 {
            return fault("each group must have 4 or less digits", rest);
        }
        if digits == 0 {
            return fault("each colon-separated field must have at least one digit", rest);
        }
        if rest[digits..].starts_with('.') {
            if gap.is_none() && len != 12 {
                return fault("embedded IPv4 address must replace the final 2 fields of the address", rest);
            }
            if len + 4 > 16 {
                return fault("too many hex fields to fit an embedded IPv4 at the end of the address", rest);
            }
            bytes[len..len + 4].copy_from_slice(&parse_v4(whole, rest)?);
            rest = "";
            len += 4;
            break;
        }
        let group = u16::from_str_radix(&rest[..digits], 16).unwrap_or_default();
        bytes[len..len + 2].copy_from_slice(&group.to_be_bytes());
        len += 2;
        rest = &rest[digits..];
        if rest.is_empty() {
            break;
        }
        let Some(tail) = rest.strip_prefix(':') else { return fault("unexpected character, want colon", rest) };
        if tail.is_empty() {
            return fault("colon must be followed by more characters", rest);
        }
        rest = tail;
        if let Some(tail) = rest.strip_prefix(':') {
            if gap.is_some() {
                return fault("multiple :: in address", rest);
            }
            gap = Some(len);
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
    }
    if !rest.is_empty() {
        return fault("trailing garbage after address", rest);
    }
    match gap {
        None if len < 16 => return fault("address string too short", ""),
        Some(_) if len == 16 => return fault("the :: must expand to at least one field of zeros", ""),
        Some(gap) => {
            bytes.copy_within(gap..len, 16 - (len - gap));
            bytes[gap..16 - (len - gap)].fill(0);
        }
        None => {}
    }
    Ok(Address { ip: IpAddr::V6(bytes.into()), zone })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(input: &str) -> Result<String, String> {
        parse(input).map(|a| a.ip.to_string())
    }

    #[test]
    fn addresses_are_written_in_their_canonical_form() {
        let rows = [
            ("1.2.3.4", "1.2.3.4"),
            ("2001:DB8::0068", "2001:db8::68"),
            ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
            ("::1.2.3.4", "::102:304"),
            ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
            ("1::", "1::"),
            ("::", "::"),
        ];
        for (input, expected) in rows {
            assert_eq!(text(input), Ok(expected.to_owned()));
        }
    }

    #[test]
    fn faults_are_named_as_go_names_them() {
        let rows = [
            ("", "unable to parse IP"),
            ("%eth0", "missing IPv6 address"),
            ("1.2.3", "IPv4 address too short"),
            ("1.2.3.4.5", "IPv4 address too long"),
            ("1.2.3.256", "IPv4 field has value >255"),
            ("1.2.3.04", "IPv4 field has octet with leading zero"),
            ("1..2.3", "IPv4 field must have at least one digit (at \".2.3\")"),
            ("1.2.3.", "IPv4 field must have at least one digit (at \".\")"),
            ("1.2.3.é", "unexpected character (at \"é\")"),
            ("::%", "zone must be a non-empty string"),
            ("1:::2", "each colon-separated field must have at least one digit (at \":2\")"),
            ("1::2::3", "multiple :: in address (at \":3\")"),
            ("12345::", "each group must have 4 or less digits (at \"12345::\")"),
            ("1:2", "address string too short"),
            ("1:2:", "colon must be followed by more characters (at \":\")"),
            ("1:2:3:4:5:6:7:8:9", "trailing garbage after address (at \"9\")"),
            ("1::2:3:4:5:6:7:8", "the :: must expand to at least one field of zeros"),
            ("1:2.3.4.5", "embedded IPv4 address must replace the final 2 fields of the address (at \"2.3.4.5\")"),
            ("1:g", "each colon-separated field must have at least one digit (at \"g\")"),
            ("1g:", "unexpected character, want colon (at \"g:\")"),
        ];
        for (input, expected) in rows {
            assert_eq!(text(input), Err(format!("ParseAddr({input:?}): {expected}")));
        }
    }

    #[test]
    fn kinds_of_addresses_are_told_apart() {
        let ip = |text: &str| accepted(text).unwrap();
        assert!(is_link_local_multicast(ip("224.0.0.5")) && !is_link_local_multicast(ip("224.0.1.5")));
        assert!(is_link_local_multicast(ip("ff02::1")) && !is_link_local_multicast(ip("ff05::1")));
        assert!(is_link_local_unicast(ip("169.254.1.1")) && is_link_local_unicast(ip("fe80::1")));
        assert!(is_global_unicast(ip("10.0.0.1")) && is_global_unicast(ip("fd00::1")));
        assert!(!is_global_unicast(ip("255.255.255.255")) && !is_global_unicast(ip("ff02::1")));
        assert_eq!((accepted("::ffff:1.2.3.4"), accepted("fe80::1%eth0")), (None, None));
    }
}
