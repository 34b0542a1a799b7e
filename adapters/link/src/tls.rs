//! TLS settings turned into rustls's. One provider (ring), TLS 1.2 at least.

use crate::{ClientAuth, LinkError, TlsClientSettings, TlsServerSettings, TlsVersion};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Where Debian, Ubuntu and Alpine keep the system's authorities.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Accepts connections with our certificate; for who listens by himself.
///
/// # Errors
/// [`LinkError::Pem`] with the file that can't be used.
pub fn acceptor(settings: &TlsServerSettings) -> Result<TlsAcceptor, LinkError> {
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(settings.min_version))?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots(ca)?, provider);
            let verifier = match settings.client_auth {
                ClientAuth::Required => verifier,
                ClientAuth::Optional => verifier.allow_unauthenticated(),
            };
            let verifier = verifier.build().map_err(|error| pem(ca, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config =
        builder.with_single_cert(certificates(&settings.certificate)?, key(&settings.key)?)?;
    Ok(Arc::new(config).into())
}

pub(crate) fn connector(settings: &TlsClientSettings) -> Result<TlsConnector, LinkError> {
    let provider = provider();
    let ca = settings
        .ca
        .as_deref()
        .unwrap_or(Path::new(SYSTEM_AUTHORITIES));
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(ca)?, Arc::clone(&provider))
        .build()
        .map_err(|error| pem(ca, &error))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(settings.min_version))?
        .with_webpki_verifier(verifier);
    let config = match (&settings.certificate, &settings.key) {
        (Some(certificate), Some(its_key)) => {
            builder.with_client_auth_cert(certificates(certificate)?, key(its_key)?)?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config).into())
}

/// The name to verify the peer by.
pub(crate) fn server_name(
    settings: &TlsClientSettings,
    host: &str,
) -> Result<ServerName<'static>, String> {
    let name = settings.server_name.as_deref().unwrap_or(host);
    ServerName::try_from(name.to_owned())
        .map_err(|_| format!("'{name}' is neither a DNS name nor an address"))
}

pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LinkError> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| pem(path, &error))?;
    if certificates.is_empty() {
        return Err(pem(path, &"no certificate in it"));
    }
    Ok(certificates)
}

pub(crate) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, LinkError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| pem(path, &error))
}

/// Authorities; one that rustls cannot use is a fault of the file, not passed over.
pub(crate) fn roots(path: &Path) -> Result<Arc<RootCertStore>, LinkError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| pem(path, &error))?;
    }
    Ok(Arc::new(roots))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn versions(oldest: TlsVersion) -> Vec<&'static SupportedProtocolVersion> {
    match oldest {
        TlsVersion::V1_2 => vec![&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::V1_3 => vec![&rustls::version::TLS13],
    }
}

fn pem(path: &Path, reason: &impl ToString) -> LinkError {
    LinkError::Pem {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
