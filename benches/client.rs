//! A client that costs next to nothing: HTTP/1.1 with keep-alive over one TLS connection, blocking.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// One connection.
pub struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    response: Vec<u8>,
}

impl Client {
    /// Connects to `localhost`; `authority` is the PEM file of who signed its certificate.
    ///
    /// # Errors
    /// An authority that cannot be read, a server that does not answer or is another.
    pub fn connect(to: SocketAddr, authority: &Path) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(authority).map_err(io::Error::other)? {
            roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let socket = TcpStream::connect(to)?;
        socket.set_nodelay(true)?;
        Ok(Self { stream: StreamOwned::new(connection, socket), response: Vec::new() })
    }

    /// Posts JSON; the body of the answer.
    ///
    /// # Errors
    /// A broken connection, and any answer but 200 with a length.
    pub fn post(&mut self, path: &str, body: &[u8]) -> io::Result<&[u8]> {
        let length = body.len();
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request)?;
        self.stream.flush()?;
        self.response.clear();
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some(body) = whole(&self.response)? {
                return Ok(&self.response[body..]);
            }
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.response.extend_from_slice(&chunk[..n]),
            }
        }
    }
}

/// Where the body begins, once all of it is there.
fn whole(response: &[u8]) -> io::Result<Option<usize>> {
    let Some(end) = response.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&response[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|l| l.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    match length {
        Some(length) if head.starts_with("http/1.1 200") => Ok((response.len() >= end + 4 + length).then_some(end + 4)),
        _ => Err(io::Error::other(head)),
    }
}
