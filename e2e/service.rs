//! What a Kubernetes Service does to new connections: it sends them to the backend of the moment.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// A TCP forwarder on loopback. Old connections stay where they are when the backend changes.
pub struct Service {
    /// Where clients connect.
    pub port: u16,
    backend: Arc<AtomicU16>,
}

impl Service {
    /// Forwards to a port of loopback until the process ends.
    pub fn start(backend: u16) -> Service {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let backend = Arc::new(AtomicU16::new(backend));
        let current = Arc::clone(&backend);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, current.load(Ordering::SeqCst))) {
                    forward(&client, &server);
                    forward(&server, &client);
                }
            }
        });
        Service { port, backend }
    }

    /// New connections go here from now on.
    pub fn switch(&self, backend: u16) {
        self.backend.store(backend, Ordering::SeqCst);
    }
}

/// Copies one direction in a thread of its own, the end of it included.
fn forward(from: &TcpStream, to: &TcpStream) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(length) = from.read(&mut buffer)
            && length > 0
            && to.write_all(&buffer[..length]).is_ok()
        {}
        let _ = to.shutdown(Shutdown::Write);
    });
}
