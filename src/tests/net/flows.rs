//! `stockade net flows`, with an agent that is played here.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::super::{shown, stockade};
use super::FLOWS;

/// Where `net flows` looks for its certificate.
const CLIENT: &str = "flows-tls/client";

/// A folder with an authority, and a certificate for an agent and its client.
fn certificates() -> TempDir {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["stockade-agent".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join(CLIENT)).unwrap();
    for (name, text) in [("ca.crt", authority), ("tls.crt", certificate), ("tls.key", key.serialize_pem())] {
        fs::write(dir.path().join(CLIENT).join(name), text).unwrap();
    }
    dir
}

/// An agent that answers one client with some lines; what it was asked.
fn agent(dir: &TempDir, status: &'static str, lines: &'static str) -> (SocketAddr, JoinHandle<String>) {
    let file = |name: &str| dir.path().join(CLIENT).join(name);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("ca.crt")).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider)).build().unwrap();
    let certificate = CertificateDer::from_pem_file(file("tls.crt")).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], PrivateKeyDer::from_pem_file(file("tls.key")).unwrap())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut tls = StreamOwned::new(ServerConnection::new(config.into()).unwrap(), stream);
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            tls.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        write!(tls, "HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{lines}").unwrap();
        tls.conn.send_close_notify();
        tls.flush().unwrap();
        String::from_utf8(request).unwrap().lines().next().unwrap().to_owned()
    });
    (address, serving)
}

fn listen(status: &'static str, lines: &'static str, args: &str) -> (String, String) {
    let dir = certificates();
    let (address, serving) = agent(&dir, status, lines);
    let address = address.to_string();
    let mut all = vec!["net", "flows", "--address", &address];
    all.extend(args.split(' ').filter(|arg| !arg.is_empty()));
    let said = shown(&stockade(&dir, &all)).replace(&address, "ADDRESS");
    (serving.join().unwrap(), said)
}

#[test]
fn flows_are_printed_as_agents_stream_them() {
    let (asked, said) = listen("200 OK", FLOWS, "-n shop --verdict denied");
    assert_eq!(asked, "GET /flows?namespace=shop&verdict=denied HTTP/1.1");
    insta::assert_snapshot!(said, @r"
    exit 0
    ADDRESS: 3 more that no line tells of
    ADDRESS: the stream ended
    2026-03-01T10:05:00Z allowed    egress  shop/web-1 -> shop (app=db) TCP 5432 x12
    2026-03-01T10:05:00Z allowed    ingress shop (app=web) -> shop/db-0 TCP 5432 x11
    2026-03-01T10:01:00Z denied     ingress 192.0.2.7 -> shop/db-0 TCP 22 by ClusterNetworkPolicy no-ssh ingress[0]
    ");
    let (_, said) = listen("200 OK", FLOWS, "-o json -q");
    insta::assert_snapshot!(said, @r#"
    exit 0
    ADDRESS: 3 more that no line tells of
    ADDRESS: the stream ended
    {"first":"2026-03-01T10:00:00.000Z","last":"2026-03-01T10:05:00.000Z","count":12,"direction":"egress","verdict":"allowed","protocol":"TCP","port":5432,"from":{"namespace":"shop","pod":"web-1","labels":{"app":"web"}},"to":{"namespace":"shop","labels":{"app":"db"}},"node":"n1"}
    {"first":"2026-03-01T10:00:00.000Z","last":"2026-03-01T10:05:00.000Z","count":11,"direction":"ingress","verdict":"allowed","protocol":"TCP","port":5432,"from":{"namespace":"shop","labels":{"app":"web"}},"to":{"namespace":"shop","pod":"db-0","labels":{"app":"db"}},"node":"n2"}
    {"first":"2026-03-01T10:01:00.000Z","last":"2026-03-01T10:01:00.000Z","count":1,"direction":"ingress","verdict":"denied","protocol":"TCP","port":22,"from":{"address":"192.0.2.7"},"to":{"namespace":"shop","pod":"db-0","labels":{"app":"db"}},"rule":{"kind":"ClusterNetworkPolicy","policy":"no-ssh","direction":"ingress","index":0},"node":"n2"}
    {"missed":3}
    "#);
}

#[test]
fn an_agent_that_does_not_stream_is_told() {
    let (_, said) = listen("400 Bad Request", "", "");
    insta::assert_snapshot!(said, @r"
    exit 2
    ADDRESS: the agent answers 400 Bad Request
    error: no agent streams flows
    ");
    let (_, said) = listen("200 OK", "<html>\n", "");
    insta::assert_snapshot!(said, @r"
    exit 0
    ADDRESS: expected value at line 1 column 1
    ");
}
