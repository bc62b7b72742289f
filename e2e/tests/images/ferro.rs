//! A registry that knows referrers, in this process, behind TLS and a password.

use std::sync::Arc;

use axum::body::Body;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use ferro_blob_store::InMemoryBlobStore;
use ferro_oci_server::{AppState, InMemoryRegistryMeta, router};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Request, StatusCode};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use stockade_e2e::certificates::Authority;
use stockade_e2e::registry::{PASSWORD, Registry, USER};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use crate::base64;

/// Starts one.
pub(crate) fn start() -> Registry {
    let authority = Authority::mint("registry");
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
    let state = AppState::new(Arc::new(InMemoryBlobStore::new()), Arc::new(InMemoryRegistryMeta::new()));
    let app = router(state).layer(middleware::from_fn(with_password));
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
    Registry::running(host, authority.pem, Box::new(runtime))
}

async fn with_password(request: Request<Body>, next: Next) -> Response {
    let wanted = format!("Basic {}", base64(format!("{USER}:{PASSWORD}")));
    if request.headers().get(AUTHORIZATION).is_some_and(|shown| *shown == *wanted) {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Basic realm=\"test\"")]).into_response()
}
