//! Real sockets on loopback, certificates made for each test.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests; clippy knows only test functions"
)]

use adapter_link::{
    ClientAuth, ConnectSettings, Dialer, Link, LinkError, ListenSettings, Listener, PeerState,
    SamePeer, TlsClientSettings, TlsServerSettings, TlsVersion,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(10);

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, work).await.expect("not in time")
}

fn on_loopback() -> ListenSettings {
    ListenSettings::plain("127.0.0.1:0".parse().unwrap())
}

/// Answers every byte with itself until the peer closes.
async fn echo(mut link: Link) {
    let mut bytes = [0_u8; 1024];
    while let Ok(read) = link.stream.read(&mut bytes).await {
        if read == 0 || link.stream.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

async fn is_echoed(stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin)) {
    stream.write_all(b"ping").await.unwrap();
    let mut answer = [0_u8; 4];
    soon(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"ping");
}

/// True when the other side has closed or reset it.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0_u8];
    matches!(soon(stream.read(&mut byte)).await, Ok(0) | Err(_))
}

/// A listener that echoes, for as long as the token is not cancelled.
fn serve(settings: &ListenSettings) -> (SocketAddr, CancellationToken) {
    let listener = Listener::open(settings, "test").unwrap();
    let address = listener.local_addr();
    let stop = CancellationToken::new();
    let until = stop.clone();
    tokio::spawn(async move { listener.serve(&until, Duration::ZERO, echo).await });
    (address, stop)
}

struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { folder, issuer }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Certificate and key files for this common name.
    fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |end: &str| self.folder.path().join(format!("{name}.{end}"));
        std::fs::write(file("pem"), certificate.pem()).unwrap();
        std::fs::write(file("key"), key.serialize_pem()).unwrap();
        (file("pem"), file("key"))
    }

    fn server(&self, client_ca: Option<&Path>) -> TlsServerSettings {
        let (certificate, key) = self.issue("hub");
        TlsServerSettings {
            certificate,
            key,
            client_ca: client_ca.map(Path::to_owned),
            client_auth: ClientAuth::Required,
            min_version: TlsVersion::V1_2,
            handshake_timeout_ms: 500,
        }
    }

    fn client(&self) -> TlsClientSettings {
        TlsClientSettings {
            ca: Some(self.ca()),
            ..TlsClientSettings::default()
        }
    }
}

fn to(address: SocketAddr, tls: Option<TlsClientSettings>) -> ConnectSettings {
    ConnectSettings {
        retry_first_ms: 20,
        retry_longest_ms: 100,
        tls,
        ..ConnectSettings::plain(address.to_string())
    }
}

async fn dial(settings: &ConnectSettings) -> Link {
    let mut dialer = Dialer::new(settings, "test").unwrap();
    soon(dialer.connect(&CancellationToken::new()))
        .await
        .unwrap()
}

/// The reason of the first attempt that failed.
async fn why_lost(settings: &ConnectSettings) -> String {
    let mut dialer = Dialer::new(settings, "test").unwrap();
    let mut state = dialer.state();
    let stop = CancellationToken::new();
    let watch = async {
        let lost = soon(state.wait_for(|state| matches!(state, PeerState::Lost { .. }))).await;
        let PeerState::Lost { reason, .. } = lost.unwrap().clone() else {
            unreachable!()
        };
        stop.cancel();
        reason
    };
    tokio::join!(watch, dialer.connect(&stop)).0
}

#[tokio::test]
async fn bytes_go_both_ways_over_tcp() {
    let (address, _stop) = serve(&on_loopback());
    let mut link = dial(&to(address, None)).await;
    assert!(!link.tls);
    is_echoed(&mut link.stream).await;
}

#[tokio::test]
async fn bytes_go_both_ways_over_tls_of_both_versions() {
    let authority = Authority::new();
    for min_version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let mut settings = on_loopback();
        settings.tls = Some(TlsServerSettings {
            min_version,
            ..authority.server(None)
        });
        let (address, _stop) = serve(&settings);
        let mut link = dial(&to(address, Some(authority.client()))).await;
        assert!(link.tls);
        is_echoed(&mut link.stream).await;
    }
}

#[tokio::test]
async fn a_client_certificate_is_asked_for_verified_and_named() {
    let authority = Authority::new();
    let mut settings = on_loopback();
    settings.tls = Some(authority.server(Some(&authority.ca())));
    let mut listener = Listener::open(&settings, "test").unwrap();
    let (certificate, key) = authority.issue("analyzer-7");
    let tls = TlsClientSettings {
        certificate: Some(certificate),
        key: Some(key),
        ..authority.client()
    };
    let address = listener.local_addr();
    let settings = to(address, Some(tls));
    let (accepted, _dialled) = tokio::join!(soon(listener.accept()), dial(&settings));
    assert_eq!(
        accepted.client_cert_subject.as_deref(),
        Some("CN=analyzer-7")
    );
    assert!(accepted.tls);
}

#[tokio::test]
async fn a_client_without_the_required_certificate_gets_nothing_and_with_an_optional_one_gets_in() {
    let authority = Authority::new();
    let mut settings = on_loopback();
    settings.tls = Some(authority.server(Some(&authority.ca())));
    let (address, _stop) = serve(&settings);
    // With TLS 1.3 the client learns of it only when it reads.
    let mut refused = dial(&to(address, Some(authority.client()))).await;
    let mut byte = [0_u8];
    assert!(soon(refused.stream.read(&mut byte)).await.is_err());

    let stranger = Authority::new();
    let (certificate, key) = stranger.issue("stranger");
    let tls = TlsClientSettings {
        certificate: Some(certificate),
        key: Some(key),
        ..authority.client()
    };
    let mut refused = dial(&to(address, Some(tls))).await;
    assert!(soon(refused.stream.read(&mut byte)).await.is_err());

    let mut settings = on_loopback();
    settings.tls = Some(TlsServerSettings {
        client_auth: ClientAuth::Optional,
        ..authority.server(Some(&authority.ca()))
    });
    let (address, _stop) = serve(&settings);
    is_echoed(&mut dial(&to(address, Some(authority.client()))).await.stream).await;
}

#[tokio::test]
async fn a_server_that_another_authority_vouches_for_is_not_talked_to() {
    let (authority, other) = (Authority::new(), Authority::new());
    let mut settings = on_loopback();
    settings.tls = Some(authority.server(None));
    let (address, _stop) = serve(&settings);
    let reason = why_lost(&to(address, Some(other.client()))).await;
    assert!(reason.contains("certificate"), "{reason}");

    let wrong_name = TlsClientSettings {
        server_name: Some("lis.example".to_owned()),
        ..authority.client()
    };
    let reason = why_lost(&to(address, Some(wrong_name))).await;
    assert!(reason.contains("lis.example"), "{reason}");
}

#[tokio::test]
async fn a_peer_that_never_shakes_hands_holds_up_nobody_and_loses_its_place() {
    let authority = Authority::new();
    let mut settings = on_loopback();
    settings.max_connections = 2;
    settings.tls = Some(authority.server(None));
    let (address, _stop) = serve(&settings);
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut link = dial(&to(address, Some(authority.client()))).await;
    is_echoed(&mut link.stream).await;
    assert!(is_closed(&mut silent).await);
    let mut link = dial(&to(address, Some(authority.client()))).await;
    is_echoed(&mut link.stream).await;
}

#[tokio::test]
async fn a_peer_outside_the_allowed_networks_is_closed_at_once() {
    let mut settings = on_loopback();
    settings.allow = vec!["10.0.0.0/8".parse().unwrap()];
    let (address, _stop) = serve(&settings);
    assert!(is_closed(&mut TcpStream::connect(address).await.unwrap()).await);

    settings.allow.push("127.0.0.0/8".parse().unwrap());
    let (address, _stop) = serve(&settings);
    is_echoed(&mut TcpStream::connect(address).await.unwrap()).await;
}

#[tokio::test]
async fn an_ipv4_peer_on_an_ipv6_port_is_seen_as_ipv4() {
    let mut settings = ListenSettings::plain("[::]:0".parse().unwrap());
    settings.allow = vec!["127.0.0.1".parse().unwrap()];
    let mut listener = Listener::open(&settings, "test").unwrap();
    let port = listener.local_addr().port();
    let (link, _client) = tokio::join!(
        soon(listener.accept()),
        TcpStream::connect(("127.0.0.1", port))
    );
    assert!(link.peer.address().unwrap().is_ipv4(), "{}", link.peer);
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_a_freed_place_is_given_again() {
    let mut settings = on_loopback();
    settings.max_connections = 1;
    let (address, _stop) = serve(&settings);
    let mut first = TcpStream::connect(address).await.unwrap();
    is_echoed(&mut first).await;
    assert!(is_closed(&mut TcpStream::connect(address).await.unwrap()).await);
    is_echoed(&mut first).await;
    drop(first);
    let deadline = Instant::now() + SOON;
    loop {
        let mut next = TcpStream::connect(address).await.unwrap();
        next.write_all(b"x").await.unwrap_or_default();
        if next.read_u8().await.is_ok() {
            break;
        }
        assert!(Instant::now() < deadline, "the place was not given back");
    }
}

#[tokio::test]
async fn a_newer_connection_of_the_same_peer_replaces_the_old_one_where_asked() {
    let mut settings = on_loopback();
    settings.max_connections = 1;
    settings.same_peer = SamePeer::ReplaceOld;
    let mut listener = Listener::open(&settings, "test").unwrap();
    let address = listener.local_addr();
    let (mut old, _a) = tokio::join!(soon(listener.accept()), TcpStream::connect(address));
    let (mut new, b) = tokio::join!(soon(listener.accept()), TcpStream::connect(address));
    let error = soon(old.stream.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
    drop(old);
    b.unwrap().write_all(b"x").await.unwrap();
    assert_eq!(soon(new.stream.read_u8()).await.unwrap(), b'x');
}

#[tokio::test]
async fn two_connections_of_one_peer_live_side_by_side_by_default() {
    let (address, _stop) = serve(&on_loopback());
    let mut first = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    is_echoed(&mut first).await;
    is_echoed(&mut second).await;
    is_echoed(&mut first).await;
}

#[tokio::test]
async fn draining_lets_a_link_finish_and_takes_no_new_one() {
    let listener = Listener::open(&on_loopback(), "test").unwrap();
    let address = listener.local_addr();
    let stop = CancellationToken::new();
    let until = stop.clone();
    let served = tokio::spawn(async move { listener.serve(&until, SOON, echo).await });
    let mut client = TcpStream::connect(address).await.unwrap();
    is_echoed(&mut client).await;

    stop.cancel();

    let deadline = Instant::now() + SOON;
    while TcpStream::connect(address).await.is_ok() {
        assert!(Instant::now() < deadline, "the port is still open");
    }
    is_echoed(&mut client).await;
    drop(client);
    assert_eq!(soon(served).await.unwrap().cut, 0);
}

#[tokio::test]
async fn draining_cuts_what_does_not_finish_in_its_grace() {
    let listener = Listener::open(&on_loopback(), "test").unwrap();
    let address = listener.local_addr();
    let stop = CancellationToken::new();
    let until = stop.clone();
    let served = tokio::spawn(async move {
        listener
            .serve(&until, Duration::from_millis(50), echo)
            .await
    });
    let mut client = TcpStream::connect(address).await.unwrap();
    is_echoed(&mut client).await;
    stop.cancel();
    assert_eq!(soon(served).await.unwrap().cut, 1);
    assert!(is_closed(&mut client).await);
}

#[tokio::test]
async fn a_dialler_connects_again_and_its_state_tells() {
    let mut first = Listener::open(&on_loopback(), "test").unwrap();
    let address = first.local_addr();
    let settings = to(address, None);
    let mut dialer = Dialer::new(&settings, "test").unwrap();
    let state = dialer.state();
    let stop = CancellationToken::new();
    assert_eq!(*state.borrow(), PeerState::Connecting);

    let (accepted, link) = tokio::join!(soon(first.accept()), soon(dialer.connect(&stop)));
    assert!(
        matches!(*state.borrow(), PeerState::Connected { ref peer, .. } if peer.address() == Some(address))
    );
    drop((accepted, link, first));
    assert!(matches!(*state.borrow(), PeerState::Lost { .. }));

    // Nobody listens now; after the first failures somebody does again.
    let mut watching = dialer.state();
    let again = async {
        let refused = |state: &PeerState| matches!(state, PeerState::Lost { reason, .. } if reason.contains("refused"));
        soon(watching.wait_for(refused)).await.unwrap();
        let mut second = Listener::open(&ListenSettings::plain(address), "test").unwrap();
        soon(second.accept()).await
    };
    let (_accepted, link) = tokio::join!(again, soon(dialer.connect(&stop)));
    assert!(link.is_some());
    assert!(matches!(*state.borrow(), PeerState::Connected { .. }));

    drop(link);
    stop.cancel();
    assert!(soon(dialer.connect(&stop)).await.is_none());
    assert_eq!(*state.borrow(), PeerState::Stopped);
}

#[tokio::test]
async fn the_wait_grows_with_each_failure_up_to_its_limit() {
    let gone = Listener::open(&on_loopback(), "test").unwrap().local_addr();
    let settings = ConnectSettings {
        retry_first_ms: 10,
        retry_longest_ms: 40,
        ..ConnectSettings::plain(gone.to_string())
    };
    let mut dialer = Dialer::new(&settings, "test").unwrap();
    let mut state = dialer.state();
    let stop = CancellationToken::new();
    let watch = async {
        let mut waits = Vec::new();
        while waits.len() < 5 {
            soon(state.changed()).await.unwrap();
            if let PeerState::Lost {
                since, next_try, ..
            } = &*state.borrow_and_update()
                && next_try > since
            {
                waits.push(next_try.duration_since(*since).unwrap());
            }
        }
        stop.cancel();
        waits
    };
    let (waits, _) = tokio::join!(watch, dialer.connect(&stop));
    assert!(waits[0] <= Duration::from_millis(15), "{waits:?}");
    assert!(waits[4] >= Duration::from_millis(20), "{waits:?}");
    assert!(
        waits.iter().all(|wait| *wait <= Duration::from_millis(60)),
        "{waits:?}"
    );
}

#[tokio::test]
async fn bad_settings_open_nothing_and_a_taken_address_is_named() {
    let mut settings = on_loopback();
    settings.max_connections = 0;
    assert!(matches!(
        Listener::open(&settings, "test"),
        Err(LinkError::Settings(faults)) if faults[0].path == "max_connections"
    ));
    let first = Listener::open(&on_loopback(), "test").unwrap();
    let taken = ListenSettings::plain(first.local_addr());
    let text = match Listener::open(&taken, "test") {
        Ok(_) => unreachable!("two listeners on one address"),
        Err(error) => error.to_string(),
    };
    assert!(text.contains(&first.local_addr().to_string()), "{text}");
}
