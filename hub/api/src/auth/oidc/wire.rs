//! Requests to an identity provider: HTTPS by `hyper` and `rustls`, one connection each (a sign-in makes two), no redirect
//! followed, an answer with a bound, all of it within a deadline. What comes back is JSON or nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::uri::PathAndQuery;
use axum::http::{Request, Response, StatusCode, Uri, header};
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// Somebody waits before a page.
const DEADLINE: Duration = Duration::from_secs(5);
/// Metadata and keys of large providers have some tens of kilobytes.
const LARGEST: usize = 256 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("did not answer within {} s", DEADLINE.as_secs())]
    Late,
    #[error("the address is none")]
    Address,
    #[error("connection: {0}")]
    Connection(#[from] std::io::Error),
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("status {0}")]
    Status(StatusCode),
    #[error("the answer is larger than {LARGEST} bytes, or broke off")]
    Body,
    #[error("the answer is not the JSON that is expected")]
    Json,
}

/// Speaks to one provider's servers.
pub(crate) struct Wire {
    tls: TlsConnector,
}

impl Wire {
    /// Trusts whom the machine trusts, and the authorities of that file.
    pub(crate) fn new(ca_file: Option<&Path>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca_file {
            let unreadable =
                |error: &dyn std::fmt::Display| format!("ca_file {}: {error}", path.display());
            let certificates = CertificateDer::pem_file_iter(path)
                .map_err(|error| unreadable(&error))?
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| unreadable(&error))?;
            for certificate in certificates {
                roots.add(certificate).map_err(|error| unreadable(&error))?;
            }
        }
        let config =
            ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .with_root_certificates(roots)
                .with_no_client_auth();
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    /// GET.
    pub(crate) async fn read<T: DeserializeOwned>(&self, url: &str) -> Result<T, WireError> {
        self.ask(url, Request::get("/"), Body::empty()).await
    }

    /// POST of a form; `authorization` is a whole header.
    pub(crate) async fn send_form<T: DeserializeOwned>(
        &self,
        url: &str,
        form: String,
        authorization: Option<&str>,
    ) -> Result<T, WireError> {
        let mut request =
            Request::post("/").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        self.ask(url, request, Body::from(form)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        url: &str,
        request: axum::http::request::Builder,
        body: Body,
    ) -> Result<T, WireError> {
        let uri: Uri = url.parse().map_err(|_| WireError::Address)?;
        let bytes = tokio::time::timeout(DEADLINE, self.exchange(&uri, request, body))
            .await
            .map_err(|_| WireError::Late)??;
        serde_json::from_slice(&bytes).map_err(|_| WireError::Json)
    }

    async fn exchange(
        &self,
        uri: &Uri,
        request: axum::http::request::Builder,
        body: Body,
    ) -> Result<Bytes, WireError> {
        let secure = uri.scheme_str() == Some("https");
        let authority = uri.authority().ok_or(WireError::Address)?;
        let host = authority.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let port = authority
            .port_u16()
            .unwrap_or(if secure { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let request = request
            .uri(path)
            .header(header::HOST, authority.as_str())
            .header(header::ACCEPT, "application/json")
            .body(body)
            .map_err(|_| WireError::Address)?;
        let stream = TcpStream::connect((bare, port)).await?;
        let response = if secure {
            let name = ServerName::try_from(bare.to_owned()).map_err(|_| WireError::Address)?;
            over(self.tls.connect(name, stream).await?, request).await?
        } else {
            over(stream, request).await?
        };
        let (status, bytes) = response;
        if status != StatusCode::OK {
            return Err(WireError::Status(status));
        }
        Ok(bytes)
    }
}

/// One request over one connection, to its end.
async fn over<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    request: Request<Body>,
) -> Result<(StatusCode, Bytes), WireError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async move {
        let response: Response<hyper::body::Incoming> = sender.send_request(request).await?;
        let status = response.status();
        let bytes = to_bytes(Body::new(response.into_body()), LARGEST)
            .await
            .map_err(|_| WireError::Body)?;
        Ok::<_, WireError>((status, bytes))
    };
    // the connection is driven here and ends with the exchange, which holds its only sender
    let (answer, _) = tokio::join!(exchange, connection);
    answer
}
