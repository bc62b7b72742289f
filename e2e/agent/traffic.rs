//! Real traffic between Pods: who reaches whom.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, Protocol as Number, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{connect, recv, sendto, socket_with};
use stockade_netpol::ports::Protocol;
use stockade_netpol_testing::truth_tables::{PORTS, Pair};

use crate::hosts::{Node, within};

/// How long what must arrive may take.
const WITHIN: Duration = Duration::from_secs(120);
/// How long it is waited for what must not arrive, once all that must has.
const SETTLE: Duration = Duration::from_millis(60);
/// Between two attempts of what nobody repeats otherwise.
const REPEAT: Duration = Duration::from_millis(300);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(2);

/// Servers and senders of all Pods of a node.
#[derive(Debug)]
pub struct Traffic {
    addresses: Vec<[IpAddr; 2]>,
    servers: Vec<Server>,
}

#[derive(Debug)]
struct Server {
    tcp: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
    /// IPv4 and IPv6.
    sctp: [OwnedFd; 2],
}

/// Attempts under way.
enum Attempts {
    Tcp(Vec<(Pair, TcpStream)>),
    Udp(Vec<(Pair, UdpSocket)>),
    Sctp,
}

// === impl Traffic ===

impl Traffic {
    /// Begins to answer in all Pods.
    ///
    /// # Panics
    /// When sockets are not to be had.
    pub fn start(node: &Node) -> Self {
        let servers = node.pods.iter().map(|pod| within(&pod.netns, Server::start)).collect();
        Self { addresses: node.pods.iter().map(|pod| pod.addresses).collect(), servers }
    }

    /// Which of these pairs reach each other. Those that are expected to are waited for; the others may take a moment.
    ///
    /// # Panics
    /// When sockets are not to be had.
    pub fn reached(
        &self,
        node: &Node,
        pairs: &[Pair],
        (v6, protocol, port): (bool, Protocol, u16),
        expected: &BTreeSet<Pair>,
    ) -> BTreeSet<Pair> {
        let to = |pair: &Pair| SocketAddr::new(self.addresses[pair.1][usize::from(v6)], port);
        let nonce = another_number();
        let attempts = self.attempt(node, pairs, (v6, protocol), to);
        let (begin, mut sent, mut reached) = (Instant::now(), None::<Instant>, BTreeSet::new());
        let mut complete = None::<Instant>;
        while begin.elapsed() < WITHIN && complete.is_none_or(|at| at.elapsed() < SETTLE) {
            if sent.is_none_or(|at| at.elapsed() >= REPEAT) {
                sent = Some(Instant::now());
                let missing = pairs.iter().filter(|pair| !reached.contains(*pair));
                self.send(&attempts, missing, (v6, nonce), to);
            }
            self.answer();
            self.collect(&attempts, (v6, nonce), &mut reached);
            if complete.is_none() && expected.is_subset(&reached) {
                complete = Some(Instant::now());
            }
            sleep(LOOK);
        }
        self.answer();
        reached
    }

    fn attempt(
        &self,
        node: &Node,
        pairs: &[Pair],
        (v6, protocol): (bool, Protocol),
        to: impl Fn(&Pair) -> SocketAddr + Sync,
    ) -> Attempts {
        let sources: BTreeSet<usize> = pairs.iter().map(|pair| pair.0).collect();
        let (mut tcp, mut udp) = (Vec::new(), Vec::new());
        for from in sources {
            let mine: Vec<Pair> = pairs.iter().filter(|pair| pair.0 == from).copied().collect();
            match protocol {
                Protocol::Tcp => {
                    tcp.extend(within(&node.pods[from].netns, || {
                        mine.iter().map(|pair| (*pair, dial(to(pair)))).collect::<Vec<_>>()
                    }));
                }
                Protocol::Udp => {
                    let any = if v6 { "[::]:0" } else { "0.0.0.0:0" };
                    udp.extend(within(&node.pods[from].netns, || {
                        let socket = |pair: &Pair| {
                            let socket = UdpSocket::bind(any).unwrap();
                            socket.connect(to(pair)).unwrap();
                            socket.set_nonblocking(true).unwrap();
                            (*pair, socket)
                        };
                        mine.iter().map(socket).collect::<Vec<_>>()
                    }));
                }
                Protocol::Sctp => return Attempts::Sctp,
            }
        }
        if protocol == Protocol::Tcp { Attempts::Tcp(tcp) } else { Attempts::Udp(udp) }
    }

    fn send<'p>(
        &self,
        attempts: &Attempts,
        missing: impl Iterator<Item = &'p Pair>,
        (v6, nonce): (bool, u16),
        to: impl Fn(&Pair) -> SocketAddr,
    ) {
        match attempts {
            // The kernel repeats.
            Attempts::Tcp(_) => {}
            Attempts::Udp(sockets) => {
                let missing: BTreeSet<&Pair> = missing.collect();
                for (_, socket) in sockets.iter().filter(|(pair, _)| missing.contains(pair)) {
                    // Refused where nobody may send.
                    drop(socket.send(&nonce.to_be_bytes()));
                }
            }
            Attempts::Sctp => {
                for pair in missing {
                    let mut address = to(pair);
                    let packet = init(address.port(), token(*pair, nonce));
                    address.set_port(0);
                    // It is repeated.
                    let _ = sendto(&self.servers[pair.0].sctp[usize::from(v6)], &packet, SendFlags::DONTWAIT, &address);
                }
            }
        }
    }

    /// Servers take connections and send datagrams back.
    fn answer(&self) {
        let mut buffer = [0; 64];
        for server in &self.servers {
            for listener in &server.tcp {
                while listener.accept().is_ok() {}
            }
            for socket in &server.udp {
                while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    drop(socket.send_to(&buffer[..length], from));
                }
            }
        }
    }

    fn collect(&self, attempts: &Attempts, (v6, nonce): (bool, u16), reached: &mut BTreeSet<Pair>) {
        let mut buffer = [0; 256];
        match attempts {
            Attempts::Tcp(streams) => {
                let is_open = |stream: &TcpStream| stream.peer_addr().is_ok();
                reached.extend(streams.iter().filter(|(_, stream)| is_open(stream)).map(|(pair, _)| *pair));
            }
            Attempts::Udp(sockets) => {
                for (pair, socket) in sockets {
                    while let Ok(length) = socket.recv(&mut buffer) {
                        if buffer[..length] == nonce.to_be_bytes() {
                            reached.insert(*pair);
                        }
                    }
                }
            }
            Attempts::Sctp => {
                for (to, server) in self.servers.iter().enumerate() {
                    while let Ok((length, _)) = recv(&server.sctp[usize::from(v6)], &mut buffer, RecvFlags::DONTWAIT) {
                        // Of IPv4 the header comes too.
                        let at = if v6 { 0 } else { 20 };
                        let Some(tag) = buffer[..length].get(at + 16..at + 20) else { continue };
                        let from = usize::from(tag[0]);
                        if tag == token((from, to), nonce) {
                            reached.insert((from, to));
                        }
                    }
                }
            }
        }
    }
}

// === impl Server ===

impl Server {
    fn start() -> Self {
        let address = |port: &u16| SocketAddr::new("::".parse().unwrap(), *port);
        let tcp = PORTS.iter().map(|port| {
            let listener = TcpListener::bind(address(port)).unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        });
        let udp = PORTS.iter().map(|port| {
            let socket = UdpSocket::bind(address(port)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        });
        let raw = |family| {
            let number = NonZeroU32::new(132).map(Number::from_raw);
            socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, number).unwrap()
        };
        Self { tcp: tcp.collect(), udp: udp.collect(), sctp: [raw(AddressFamily::INET), raw(AddressFamily::INET6)] }
    }
}

/// Begins to connect.
fn dial(to: SocketAddr) -> TcpStream {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None).unwrap();
    match connect(&socket, &to).map_err(std::io::Error::from) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => assert_ne!(error.kind(), ErrorKind::InvalidInput, "{error}"),
    }
    TcpStream::from(socket)
}

/// Which pair a packet is of, and of which round.
fn token((from, to): Pair, nonce: u16) -> [u8; 4] {
    let [high, low] = nonce.to_be_bytes();
    [from as u8, to as u8, high, low]
}

/// An SCTP packet with an INIT chunk. Nobody reads its checksum: this kernel speaks no SCTP.
fn init(port: u16, tag: [u8; 4]) -> [u8; 32] {
    let mut packet = [0; 32];
    packet[..2].copy_from_slice(&40_000_u16.to_be_bytes());
    packet[2..4].copy_from_slice(&port.to_be_bytes());
    packet[12] = 1;
    packet[14..16].copy_from_slice(&20_u16.to_be_bytes());
    packet[16..20].copy_from_slice(&tag);
    packet
}

/// Another number each time.
fn another_number() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
