//! Requests to servers of others (identity providers, key services): HTTPS by `hyper` and `rustls`, one connection each, no
//! redirect followed, an answer with a bound, all of it within a deadline. Made for what is asked a few times an hour: it keeps
//! nothing between two requests, and it knows nothing of what is asked.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::header::{self, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// Metadata and keys of large identity providers have some tens of kilobytes.
const LARGEST: usize = 256 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    #[error("did not answer within {} s", .0.as_secs())]
    Late(Duration),
    #[error("the address is none")]
    Address,
    #[error("connection: {0}")]
    Connection(#[from] std::io::Error),
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("the answer is larger than {LARGEST} bytes, or broke off")]
    Body,
}

/// Who may vouch for a server.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// Whom the machine trusts.
    Machine,
    /// Those, and the authorities of this file (PEM).
    MachineAnd(&'a Path),
    /// The authorities of this file (PEM) and nobody else.
    Only(&'a Path),
    /// Nobody: for an address without TLS.
    Nobody,
}

/// What came back, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

/// Asks servers. What it holds is the certificates of those who vouch for them.
pub struct HttpsClient {
    tls: TlsConnector,
    deadline: Duration,
}

impl HttpsClient {
    /// Each request has `deadline`, from the name's lookup to the answer's last byte.
    ///
    /// # Errors
    /// The file of authorities can't be read, or holds none.
    pub fn new(trust: Trust<'_>, deadline: Duration) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        if matches!(trust, Trust::Machine | Trust::MachineAnd(_)) {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        if let Trust::MachineAnd(path) | Trust::Only(path) = trust {
            let unreadable =
                |error: &dyn std::fmt::Display| format!("ca_file {}: {error}", path.display());
            let certificates = CertificateDer::pem_file_iter(path)
                .map_err(|error| unreadable(&error))?
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| unreadable(&error))?;
            if certificates.is_empty() {
                return Err(unreadable(&"holds no certificate (PEM)"));
            }
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
            deadline,
        })
    }

    /// Sends a request whose address is whole (`https://host:port/path`) and reads the answer.
    ///
    /// # Errors
    /// [`HttpsError`]; a status is none.
    pub async fn ask(&self, request: Request<String>) -> Result<Answer, HttpsError> {
        tokio::time::timeout(self.deadline, self.exchange(request))
            .await
            .map_err(|_| HttpsError::Late(self.deadline))?
    }

    async fn exchange(&self, mut request: Request<String>) -> Result<Answer, HttpsError> {
        let uri = std::mem::take(request.uri_mut());
        let secure = uri.scheme_str() == Some("https");
        let authority = uri.authority().ok_or(HttpsError::Address)?;
        let bare = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let port = authority
            .port_u16()
            .unwrap_or(if secure { 443 } else { 80 });
        if let Some(path) = uri.path_and_query() {
            *request.uri_mut() = Uri::from(path.clone());
        }
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| HttpsError::Address)?;
        request.headers_mut().insert(header::HOST, host);
        request
            .headers_mut()
            .insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let stream = TcpStream::connect((bare, port)).await?;
        if secure {
            let name = ServerName::try_from(bare.to_owned()).map_err(|_| HttpsError::Address)?;
            over(self.tls.connect(name, stream).await?, request).await
        } else {
            over(stream, request).await
        }
    }
}

/// One request over one connection, to its end.
async fn over<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    request: Request<String>,
) -> Result<Answer, HttpsError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST)
            .collect()
            .await
            .map_err(|_| HttpsError::Body)?
            .to_bytes();
        Ok::<_, HttpsError>(Answer { status, body })
    };
    // the connection is driven here and ends with the exchange, which holds its only sender
    let (answer, _) = tokio::join!(exchange, connection);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_of_authorities_holds_some_and_an_address_is_whole() {
        let deadline = Duration::from_secs(5);
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (file, says) in [
            (here.join("Cargo.toml"), "holds no certificate"),
            (here.join("none.pem"), "none.pem: "),
        ] {
            for trust in [Trust::Only(&file), Trust::MachineAnd(&file)] {
                let refused = HttpsClient::new(trust, deadline).err().unwrap();
                assert!(refused.contains(says), "{refused}");
            }
        }
        let client = HttpsClient::new(Trust::Nobody, deadline).unwrap();
        let request = Request::get("/path/alone").body(String::new()).unwrap();
        assert!(matches!(
            client.ask(request).await,
            Err(HttpsError::Address)
        ));
    }
}
