//! TLS at the edge: who is let in; and a small authority, a server and a client certificate, and a TLS peer.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tests::{
    Answer, ChannelToml, HubProcess, HubSettings, Mllp, Servers, frame, oru, parse_answers, unique,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

#[tokio::test]
async fn tls_lets_in_who_has_a_certificate_of_ours_and_nobody_else() {
    let servers = Servers::start().await;
    let pki = Pki::new(servers.folder());
    let channel = |id: &str, lines: String| ChannelToml::new(id).server(&lines);
    let common = format!(
        "tls = {{ certificate = \"{}\", key = \"{}\", client_ca = \"{}\" }}",
        pki.certificate.display(),
        pki.key.display(),
        pki.ca.display()
    );
    let settings = HubSettings::new(&servers)
        .channel(channel("secure", common))
        .channel(channel("walled", "allow = [\"10.99.0.0/16\"]".to_owned()));
    let hub = HubProcess::start(&servers, &settings).await;
    let (patient, id) = (unique("TLS"), unique("TLSC"));
    let message = oru(&id, &patient, &unique("S"), &[("GLU", "5", "mg/dL")]);

    assert_eq!(
        pki.send(hub.mllp("secure"), true, message.as_bytes())
            .await
            .map(|answer| answer.code),
        Some("AA".to_owned())
    );
    assert_eq!(
        pki.send(hub.mllp("secure"), false, message.as_bytes())
            .await,
        None,
        "without a client certificate"
    );
    let mut plain = Mllp::connect(hub.mllp("secure")).await;
    assert_eq!(plain.try_send(&message).await, None, "without TLS");
    let mut walled = Mllp::connect(hub.mllp("walled")).await;
    assert_eq!(
        walled.try_send(&message).await,
        None,
        "from a network that is not allowed"
    );
    assert_eq!(hub.sign_in().await.results(&patient, 1).await.len(), 1);
}

pub(crate) struct Pki {
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    authority: CertificateDer<'static>,
    client: (CertificateDer<'static>, Vec<u8>),
}

impl Pki {
    pub(crate) fn new(folder: &Path) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca_params = CertificateParams::new(Vec::<String>::new()).unwrap();
        ca_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = ca_params.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(ca_params, ca_key);
        let issue = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(vec![name.to_owned()])
                .unwrap()
                .signed_by(&key, &issuer)
                .unwrap();
            (certificate, key)
        };
        let (server, server_key) = issue("localhost");
        let (client, client_key) = issue("analyzer-7");
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        Self {
            ca: write("ca.pem", ca.pem()),
            certificate: write("server.pem", server.pem()),
            key: write("server.key", server_key.serialize_pem()),
            authority: ca.der().clone(),
            client: (client.der().clone(), client_key.serialize_der()),
        }
    }

    /// Status line of a GET over HTTPS; `None` when the hub does not answer it.
    pub(crate) async fn get(
        &self,
        to: SocketAddr,
        with_certificate: bool,
        path: &str,
    ) -> Option<String> {
        let mut stream = self.connect(to, with_certificate).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut received = Vec::new();
        let read = stream.read_to_end(&mut received);
        tokio::time::timeout(Duration::from_secs(8), read)
            .await
            .ok()?
            .ok()?;
        let text = String::from_utf8_lossy(&received).into_owned();
        text.lines().next().map(str::to_owned)
    }

    async fn connect(
        &self,
        to: SocketAddr,
        with_certificate: bool,
    ) -> Option<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.authority.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = if with_certificate {
            let key = PrivateKeyDer::try_from(self.client.1.clone()).unwrap();
            builder
                .with_client_auth_cert(vec![self.client.0.clone()], key)
                .unwrap()
        } else {
            builder.with_no_client_auth()
        };
        let stream = TcpStream::connect(to).await.ok()?;
        TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from("localhost").unwrap(), stream)
            .await
            .ok()
    }

    /// Sends a message over TLS; `None` when the hub does not answer it.
    pub(crate) async fn send(
        &self,
        to: SocketAddr,
        with_certificate: bool,
        message: &[u8],
    ) -> Option<Answer> {
        let mut stream = self.connect(to, with_certificate).await?;
        stream.write_all(&frame(message)).await.ok()?;
        let mut received = Vec::new();
        let mut piece = [0_u8; 4096];
        while parse_answers(&received).0.is_empty() {
            match tokio::time::timeout(Duration::from_secs(8), stream.read(&mut piece)).await {
                Ok(Ok(count)) if count > 0 => received.extend_from_slice(&piece[..count]),
                _ => return None,
            }
        }
        parse_answers(&received).0.into_iter().next()
    }
}
