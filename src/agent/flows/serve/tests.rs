use std::fs;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::flows::talks::tests::told;

const NAME: &str = "stockade-agent";

/// An authority, and what it signs.
struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([NAME.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// A listener whose clients are of an authority.
async fn serving(authority: &Authority) -> (std::net::SocketAddr, Live, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = authority.issue();
    for (name, text) in [("ca.crt", &authority.certificate), ("tls.crt", &certificate), ("tls.key", &key)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let live = Live::default();
    let streams = Streams { tls: folder.path().to_owned(), live: live.clone() };
    streams.check().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(streams.serve(listener));
    (address, live, folder)
}

/// A client that trusts one authority, with a certificate of another or none.
async fn connect(
    address: std::net::SocketAddr,
    trusted: &Authority,
    own: Option<&Authority>,
) -> std::io::Result<BufReader<TlsStream<TcpStream>>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.certificate.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let config = match own.map(Authority::issue) {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(NAME).unwrap();
    Ok(BufReader::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
}

async fn ask(client: &mut BufReader<TlsStream<TcpStream>>, target: &str) -> std::io::Result<String> {
    client.write_all(format!("GET {target} HTTP/1.1\r\nHost: {NAME}\r\n\r\n").as_bytes()).await?;
    let mut status = String::new();
    client.read_line(&mut status).await?;
    Ok(status.trim_end().to_owned())
}

/// Reads until a line of JSON comes.
async fn line(client: &mut BufReader<TlsStream<TcpStream>>) -> String {
    loop {
        let mut line = String::new();
        assert!(client.read_line(&mut line).await.unwrap() > 0, "the stream ended");
        if line.starts_with('{') {
            return line.trim_end().to_owned();
        }
    }
}

#[tokio::test]
async fn who_has_a_certificate_hears_the_flows_that_it_asked_for() {
    let authority = Authority::new();
    let (address, live, _folder) = serving(&authority).await;
    live.tell(told(1));
    let mut client = connect(address, &authority, Some(&authority)).await.unwrap();
    let status = ask(&mut client, "/flows?namespace=shop&verdict=denied&since=2026-03-01T00:00:00Z").await.unwrap();
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!(line(&mut client).await, told(1).line);
    let mut other = told(2);
    other.flow.verdict = stockade_netpol::flows::Outcome::Allowed;
    live.tell(other);
    live.missed(7);
    assert_eq!(line(&mut client).await, Line::missed(7));
}

#[tokio::test]
async fn who_has_none_or_one_of_another_authority_hears_nothing() {
    let authority = Authority::new();
    let (address, live, _folder) = serving(&authority).await;
    live.tell(told(1));
    let another = Authority::new();
    for own in [None, Some(&another)] {
        // In TLS 1.3 a client may take the handshake for done before it is refused.
        let Ok(mut client) = connect(address, &authority, own).await else { continue };
        let mut heard = Vec::new();
        drop(ask(&mut client, "/flows?since=2026-03-01T00:00:00Z").await);
        drop(client.read_to_end(&mut heard).await);
        assert_eq!(heard, b"");
    }
}

#[tokio::test]
async fn what_is_no_question_is_refused() {
    let authority = Authority::new();
    let (address, _live, _folder) = serving(&authority).await;
    for (target, status) in [("/flows?who=shop", "HTTP/1.1 400 Bad Request"), ("/", "HTTP/1.1 404 Not Found")] {
        let mut client = connect(address, &authority, Some(&authority)).await.unwrap();
        assert_eq!(ask(&mut client, target).await.unwrap(), status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_tells_that_it_is_there_and_ends_at_last() {
    let live = Live::default();
    let until = Instant::now() + MAX_STREAM;
    let mut feed = Feed { listener: live.listen(false), filter: Filter::default(), until };
    let mut lines = Vec::new();
    while let Some(line) = feed.next().await {
        lines.push(line);
    }
    assert!(lines.iter().all(|line| line == "{\"missed\":0}\n"));
    assert_eq!(lines.len() as u64, MAX_STREAM.as_secs() / HEARTBEAT.as_secs() - 1);
}
