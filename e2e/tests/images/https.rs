//! A server on loopback behind TLS.

use std::sync::Arc;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use stockade_e2e::certificates::Authority;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// Runs until its runtime is dropped.
pub(crate) struct Https {
    /// `127.0.0.1:PORT`
    pub(crate) host: String,
    /// Who signed its certificate.
    pub(crate) ca_pem: String,
    pub(crate) runtime: Runtime,
}

impl Https {
    pub(crate) fn serve(app: Router) -> Self {
        let authority = Authority::mint("https");
        let leaf = authority.server();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let certificates = vec![CertificateDer::from(leaf.certificate_der)];
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates, PrivateKeyDer::try_from(leaf.key_der).unwrap())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, app) = (acceptor.clone(), app.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _ = http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
                            .await;
                    }
                });
            }
        });
        Self { host, ca_pem: authority.pem, runtime }
    }
}
