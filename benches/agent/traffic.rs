//! A client and a server, small enough that what lies between them is what is measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use crate::Figures;
use crate::network::Network;

/// The server's port for single bytes, which it sends back.
pub(crate) const ECHO: u16 = 8_080;
/// The server's port for many bytes, of which it tells the end.
pub(crate) const SINK: u16 = 8_081;

/// Round trips at a time.
const ROUND_TRIPS: u32 = 3_000;
/// Connections at a time.
const CONNECTIONS: u32 = 600;
/// Bytes at a time.
const STREAM: usize = 96 << 20;
/// Bytes that are written at a time.
const CHUNK: usize = 128 << 10;

/// A server that runs, and who asks it.
#[derive(Debug)]
pub(crate) struct Traffic<'n> {
    network: &'n Network,
}

// === impl Traffic ===

impl<'n> Traffic<'n> {
    /// Starts the server.
    pub(crate) fn start(network: &'n Network) -> Self {
        let (told, listening) = std::sync::mpsc::channel();
        for (port, serve) in [(ECHO, echo as fn(TcpStream)), (SINK, sink)] {
            let told = told.clone();
            network.start_on_server(move || {
                let listener = TcpListener::bind(("0.0.0.0", port)).unwrap();
                told.send(()).unwrap();
                listener.incoming().for_each(|connection| serve(connection.unwrap()));
            });
            listening.recv().unwrap();
        }
        Self { network }
    }

    pub(crate) fn figures(&self) -> Figures {
        Figures { round_trip: self.round_trip(), connections: self.connections(), throughput: self.throughput() }
    }

    /// Microseconds of one byte to the server and back.
    fn round_trip(&self) -> f64 {
        let to = self.server(ECHO);
        self.network.on_client(move || {
            let mut connection = connect(to);
            let from = Instant::now();
            (0..ROUND_TRIPS).for_each(|_| ask(&mut connection));
            from.elapsed().as_secs_f64() * 1e6 / f64::from(ROUND_TRIPS)
        })
    }

    /// Connections a second, each for one byte to the server and back.
    fn connections(&self) -> f64 {
        let to = self.server(ECHO);
        self.network.on_client(move || {
            let from = Instant::now();
            (0..CONNECTIONS).for_each(|_| ask(&mut connect(to)));
            f64::from(CONNECTIONS) / from.elapsed().as_secs_f64()
        })
    }

    /// Gigabits a second to the server.
    fn throughput(&self) -> f64 {
        let to = self.server(SINK);
        self.network.on_client(move || {
            let mut connection = connect(to);
            let chunk = vec![0; CHUNK];
            let from = Instant::now();
            (0..STREAM / CHUNK).for_each(|_| connection.write_all(&chunk).unwrap());
            connection.shutdown(std::net::Shutdown::Write).unwrap();
            connection.read_exact(&mut [0]).unwrap();
            STREAM as f64 * 8e-9 / from.elapsed().as_secs_f64()
        })
    }

    fn server(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.network.server_address().parse().unwrap(), port)
    }
}

fn connect(to: SocketAddr) -> TcpStream {
    let connection = TcpStream::connect(to).unwrap();
    connection.set_nodelay(true).unwrap();
    connection
}

fn ask(connection: &mut TcpStream) {
    connection.write_all(&[1]).unwrap();
    connection.read_exact(&mut [0]).unwrap();
}

/// Sends back each byte until there are no more.
fn echo(mut connection: TcpStream) {
    connection.set_nodelay(true).unwrap();
    let mut byte = [0];
    while connection.read(&mut byte).is_ok_and(|bytes| bytes > 0) {
        if connection.write_all(&byte).is_err() {
            return;
        }
    }
}

/// Reads until there is no more, and says so.
fn sink(mut connection: TcpStream) {
    let mut chunk = vec![0; CHUNK];
    while connection.read(&mut chunk).is_ok_and(|bytes| bytes > 0) {}
    drop(connection.write_all(&[1]));
}
