//! Frames by hand, also such as no stack would send. Checksums are left 0: they are not the datapath's matter.

use std::net::IpAddr;

/// A packet in an Ethernet frame.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Of the Pod, or its peer.
    pub source: IpAddr,
    /// Of the same family.
    pub destination: IpAddr,
    /// Number in the header.
    pub protocol: u8,
    /// Header of the transport and what follows.
    pub payload: Vec<u8>,
    /// Time to live, or hop limit.
    pub hops: u8,
    /// IPv6: kinds and bodies of extension headers; a body is filled up to whole 8 bytes, the first two not counted.
    pub extensions: Vec<(u8, Vec<u8>)>,
    /// Offset in units of 8 bytes, whether more follow, identification.
    pub fragment: Option<(u16, bool, u32)>,
}

/// TCP's flags.
pub const SYN: u8 = 0x02;
/// TCP's flags.
pub const ACK: u8 = 0x10;
/// TCP's flags.
pub const RST: u8 = 0x04;
/// TCP's flags.
pub const FIN: u8 = 0x01;

/// Numbers of protocols.
pub const TCP: u8 = 6;
/// Numbers of protocols.
pub const UDP: u8 = 17;
/// Numbers of protocols.
pub const SCTP: u8 = 132;
/// ICMP, or ICMPv6.
pub fn icmp_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 1 } else { 58 }
}

const FRAGMENT: u8 = 44;

// === impl Packet ===

impl Packet {
    /// Of any protocol.
    pub fn new(source: IpAddr, destination: IpAddr, protocol: u8, payload: Vec<u8>) -> Self {
        Self { source, destination, protocol, payload, hops: 64, extensions: Vec::new(), fragment: None }
    }

    /// A segment without data.
    pub fn tcp(source: (IpAddr, u16), destination: (IpAddr, u16), flags: u8) -> Self {
        let mut header = ports(source, destination);
        header.extend([0; 8]);
        header.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        Self::new(source.0, destination.0, TCP, header)
    }

    /// A datagram of four bytes.
    pub fn udp(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Self {
        let mut header = ports(source, destination);
        header.extend([0, 12, 0, 0]);
        header.extend(*b"data");
        Self::new(source.0, destination.0, UDP, header)
    }

    /// One chunk; 1 is INIT, 0 data.
    pub fn sctp(source: (IpAddr, u16), destination: (IpAddr, u16), chunk: u8) -> Self {
        let mut header = ports(source, destination);
        header.extend([0; 8]);
        header.extend([chunk, 0, 0, 4]);
        Self::new(source.0, destination.0, SCTP, header)
    }

    /// ICMP or ICMPv6.
    pub fn icmp(source: IpAddr, destination: IpAddr, kind: u8, rest: &[u8]) -> Self {
        let mut header = vec![kind, 0, 0, 0];
        header.extend(rest);
        Self::new(source, destination, icmp_of(source), header)
    }

    /// Asks for an echo.
    pub fn ping(source: IpAddr, destination: IpAddr, id: u16) -> Self {
        let kind = if source.is_ipv4() { 8 } else { 128 };
        Self::icmp(source, destination, kind, &[id.to_be_bytes(), [0, 1]].concat())
    }

    /// An echo.
    pub fn pong(source: IpAddr, destination: IpAddr, id: u16) -> Self {
        let kind = if source.is_ipv4() { 0 } else { 129 };
        Self::icmp(source, destination, kind, &[id.to_be_bytes(), [0, 1]].concat())
    }

    /// "Port unreachable" about a packet, of which it has the first bytes.
    pub fn unreachable(source: IpAddr, destination: IpAddr, about: &Self) -> Self {
        let kind = if source.is_ipv4() { 3 } else { 1 };
        let about = about.bytes();
        let header = if source.is_ipv4() { 28 } else { 48 };
        Self::icmp(source, destination, kind, &[&[0; 4], &about[..about.len().min(header)]].concat())
    }

    /// As a part of its payload, which begins at an offset in units of 8 bytes.
    #[must_use]
    pub fn fragment(mut self, offset: u16, more: bool, id: u32) -> Self {
        self.fragment = Some((offset, more, id));
        self
    }

    /// With an extension header before the transport.
    #[must_use]
    pub fn extended(mut self, kind: u8, body: &[u8]) -> Self {
        self.extensions.push((kind, body.to_vec()));
        self
    }

    /// With so many hops left.
    #[must_use]
    pub fn hops(mut self, hops: u8) -> Self {
        self.hops = hops;
        self
    }

    /// From IP on.
    pub fn bytes(&self) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let (offset, more, id) = self.fragment.unwrap_or_default();
                let length = u16::try_from(20 + self.payload.len()).unwrap();
                let mut bytes = vec![0x45, 0];
                bytes.extend(length.to_be_bytes());
                bytes.extend(u16::try_from(id).unwrap().to_be_bytes());
                bytes.extend((offset | if more { 0x2000 } else { 0 }).to_be_bytes());
                bytes.extend([self.hops, self.protocol, 0, 0]);
                bytes.extend(source.octets());
                bytes.extend(destination.octets());
                bytes.extend(&self.payload);
                bytes
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let (first, headers) = self.headers();
                let length = u16::try_from(headers.len() + self.payload.len()).unwrap();
                let mut bytes = vec![0x60, 0, 0, 0];
                bytes.extend(length.to_be_bytes());
                bytes.extend([first, self.hops]);
                bytes.extend(source.octets());
                bytes.extend(destination.octets());
                bytes.extend(headers);
                bytes.extend(&self.payload);
                bytes
            }
            _ => panic!("a packet is of one family"),
        }
    }

    /// All of IPv6's headers but the first, and what kind is the first of them.
    fn headers(&self) -> (u8, Vec<u8>) {
        let mut kinds: Vec<u8> = self.extensions.iter().map(|(kind, _)| *kind).collect();
        kinds.extend(self.fragment.map(|_| FRAGMENT));
        kinds.push(self.protocol);
        let mut bytes = Vec::new();
        for ((_, body), next) in self.extensions.iter().zip(&kinds[1..]) {
            let units = (body.len() + 2).div_ceil(8);
            let end = bytes.len() + units * 8;
            bytes.extend([*next, u8::try_from(units - 1).unwrap()]);
            bytes.extend(body);
            bytes.resize(end, 0);
        }
        if let Some((offset, more, id)) = self.fragment {
            bytes.extend([self.protocol, 0]);
            bytes.extend((offset << 3 | u16::from(more)).to_be_bytes());
            bytes.extend(id.to_be_bytes());
        }
        (kinds[0], bytes)
    }

    /// With its Ethernet header.
    pub fn frame(&self) -> Vec<u8> {
        let kind = if self.source.is_ipv4() { 0x0800 } else { 0x86dd };
        ethernet(kind, &self.bytes())
    }
}

fn ports(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Vec<u8> {
    [source.1.to_be_bytes(), destination.1.to_be_bytes()].concat()
}

/// A frame of a kind.
pub fn ethernet(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(kind.to_be_bytes());
    frame.extend(body);
    frame
}
