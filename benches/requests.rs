//! What a request costs through TLS with keep-alive, against an axum handler that parses the body and allows.
#![expect(clippy::unwrap_used, reason = "a program that prints figures, on input of its own")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use prometheus_client::registry::Registry;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value as Json, json};
use stockade_benches::client::Client;
use stockade_benches::inputs;
use stockade_benches::measure::{at_most, figure, interleaved, micros, ratio};
use stockade_benches::reviewer::Policies;
use stockade_webhook::{Certificates, Folder, Metrics, MintOptions, Server};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path());
    folder.ensure(&MintOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let ours = runtime.block_on(serve(&folder));
    let theirs = runtime.block_on(serve_axum(dir.path()));

    let body = inputs::review(&inputs::pod());
    let mut clients = [ours, theirs].map(|at| Client::connect(at, &folder.authority()).unwrap());
    let [ours, theirs] = &mut clients;
    let ask = |client: &mut Client| {
        let answer: Json = serde_json::from_slice(client.post("/validate?timeout=10s", &body).unwrap()).unwrap();
        assert_eq!(answer["response"]["allowed"], true);
    };
    // Until both have grown what they keep.
    interleaved(500, 1, [&mut || ask(ours), &mut || ask(theirs)]);
    let [stockade, axum] = interleaved(10_000, 1, [&mut || ask(ours), &mut || ask(theirs)]);
    figure("request over TLS, 12 policies judged", micros(stockade), "µs");
    figure("request over TLS, axum parses and allows", micros(axum), "µs");
    at_most("request: stockade / axum", ratio(stockade, axum), 1.3, "×");
    runtime.shutdown_timeout(Duration::ZERO);
}

/// Our server, judging by the twelve policies.
async fn serve(folder: &Folder) -> SocketAddr {
    let reviewer = Policies::new(inputs::engine(&inputs::matching_policies()).unwrap());
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry, "bench");
    let certificates = Arc::new(Certificates::load(folder, None).unwrap());
    let server = Server::builder(Arc::new(reviewer), metrics, registry).bind(ANY, ANY, certificates).await.unwrap();
    let at = server.https_addr().unwrap();
    tokio::spawn(server.serve(std::future::pending()));
    at
}

/// What anybody writes in ten minutes.
async fn serve_axum(certs: &std::path::Path) -> SocketAddr {
    async fn validate(body: Bytes) -> Vec<u8> {
        let review: Json = serde_json::from_slice(&body).unwrap();
        json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": {"uid": review["request"]["uid"], "allowed": true}
        })
        .to_string()
        .into_bytes()
    }
    let chain = CertificateDer::pem_file_iter(certs.join("tls.crt")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certs.join("tls.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let (acceptor, router) = (TlsAcceptor::from(Arc::new(config)), Router::new().route("/validate", post(validate)));
    let listener = TcpListener::bind(ANY).await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            socket.set_nodelay(true).unwrap();
            let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
            tokio::spawn(async move {
                let stream = TokioIo::new(acceptor.accept(socket).await.unwrap());
                // Ends with the client.
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
            });
        }
    });
    at
}
