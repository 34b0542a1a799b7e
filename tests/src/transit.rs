//! A key service: the transit secrets engine of HashiCorp Vault or OpenBao, written from the text of its API
//! (https://openbao.org/api-docs/secret/transit) over a bare socket, with or without TLS. One derived key with versions; it can be
//! sealed, slow, refuse the token, answer nonsense or never.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::collector::next_request;

/// The engine's mount, the key's name, the namespace.
const PLACE: (&str, &str, &str) = ("hospital/transit", "sangam", "admin/hub");

/// How it treats requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answering {
    /// As the text says.
    Well,
    /// 503, until somebody unseals it.
    Sealed,
    /// 403: the token has ended.
    Denying,
    /// The same for all but `decrypt`: the policy of the token has no more.
    OnlyDecrypting,
    /// As the text says, after a while.
    Slow(Duration),
    /// 200, with the page of somebody else.
    Garbled,
    /// 200 and the right form, and what it wraps opens to something else.
    Lying,
    /// Reads the request and never answers.
    Hanging,
}

struct Engine {
    answering: Answering,
    token: String,
    /// From version 1 on.
    versions: Vec<[u8; 32]>,
    /// `min_decryption_version`
    least: usize,
    /// Operations that were carried out.
    done: Vec<String>,
    /// Requests that came, whatever became of them.
    came: usize,
}

/// The service; it ends when this is dropped.
pub struct KeyService {
    address: SocketAddr,
    tls: bool,
    engine: Arc<Mutex<Engine>>,
    _serving: JoinSet<()>,
}

impl KeyService {
    /// Listens on a free port of loopback, without TLS.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start(token: &str) -> Self {
        Self::over(token, None).await
    }

    /// The same over TLS, with that certificate (PEM), for `localhost`.
    ///
    /// # Panics
    /// When certificate or key can't be used.
    pub async fn start_over_tls(token: &str, certificate: &Path, key: &Path) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_file(certificate).expect("a certificate")],
                PrivateKeyDer::from_pem_file(key).expect("a key"),
            )
            .expect("the key is the certificate's");
        Self::over(token, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn over(token: &str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let engine = Arc::new(Mutex::new(Engine {
            answering: Answering::Well,
            token: token.to_owned(),
            versions: vec![random()],
            least: 1,
            done: Vec::new(),
            came: 0,
        }));
        let is_tls = tls.is_some();
        let mut serving = JoinSet::new();
        serving.spawn({
            let engine = Arc::clone(&engine);
            async move {
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    let (tls, engine) = (tls.clone(), Arc::clone(&engine));
                    connections.spawn(async move {
                        match tls {
                            None => converse(stream, &engine).await,
                            Some(tls) => {
                                if let Ok(stream) = tls.accept(stream).await {
                                    converse(stream, &engine).await;
                                }
                            }
                        }
                    });
                }
            }
        });
        Self {
            address,
            tls: is_tls,
            engine,
            _serving: serving,
        }
    }

    /// `[encryption]` of a hub whose master key is here. The token is read from that file.
    #[must_use]
    pub fn settings(&self, token_file: &Path, ca_file: Option<&Path>) -> String {
        let (mount, key, namespace) = PLACE;
        let scheme = if self.tls { "https" } else { "http" };
        let address = format!("{scheme}://localhost:{}", self.address.port());
        let ca_file = ca_file.map_or_else(String::new, |file| format!("ca_file = {file:?}\n"));
        format!(
            "\n[encryption]\nbodies = true\n\n[encryption.transit]\naddress = {address:?}\nmount = {mount:?}\nkey = {key:?}\nnamespace = {namespace:?}\ntoken = {:?}\n{ca_file}",
            format!("file:{}", token_file.display())
        )
    }

    /// From the next request on.
    pub fn be(&self, answering: Answering) {
        self.engine().answering = answering;
    }

    /// The token that it accepts from now on.
    pub fn accept_token(&self, token: &str) {
        token.clone_into(&mut self.engine().token);
    }

    /// `POST /transit/keys/sangam/rotate`
    pub fn rotate(&self) {
        self.engine().versions.push(random());
    }

    /// `min_decryption_version` of the key.
    pub fn open_from_version(&self, least: usize) {
        self.engine().least = least;
    }

    /// How often an operation was carried out.
    #[must_use]
    pub fn done(&self, operation: &str) -> usize {
        let engine = self.engine();
        engine.done.iter().filter(|one| *one == operation).count()
    }

    /// Requests that came, whatever became of them.
    #[must_use]
    pub fn came(&self) -> usize {
        self.engine().came
    }

    fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().expect("nobody panics with the lock")
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the system's generator works");
    bytes
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, engine: &Mutex<Engine>) {
    let mut buffer = Vec::new();
    while let Some((head, body)) = next_request(&mut stream, &mut buffer).await {
        let answering = {
            let mut engine = engine.lock().expect("nobody panics with the lock");
            engine.came += 1;
            engine.answering
        };
        match answering {
            Answering::Hanging => std::future::pending().await,
            Answering::Slow(pause) => tokio::time::sleep(pause).await,
            _ => {}
        }
        let (status, answer) = engine
            .lock()
            .expect("nobody panics with the lock")
            .answer(&head, &body);
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

/// Status and words of a refusal.
type Refusal = (u16, &'static str);

impl Engine {
    fn answer(&mut self, head: &str, body: &[u8]) -> (u16, String) {
        match self.answering {
            Answering::Sealed => return complaint((503, "Vault is sealed")),
            Answering::Denying => return complaint((403, "permission denied")),
            Answering::Garbled => {
                return (
                    200,
                    "<html><body>Sign in to the network</body></html>".to_owned(),
                );
            }
            _ => {}
        }
        match self.carried_out(head, body) {
            Ok(data) => (
                200,
                json!({"request_id": "1", "lease_id": "", "renewable": false, "lease_duration": 0, "data": data, "warnings": null})
                    .to_string(),
            ),
            Err(refusal) => complaint(refusal),
        }
    }

    fn carried_out(&mut self, head: &str, body: &[u8]) -> Result<Value, Refusal> {
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let (mount, key, namespace) = PLACE;
        if header("x-vault-namespace") != Some(namespace) {
            return Err((404, "no handler for route"));
        }
        if header("x-vault-token") != Some(self.token.as_str()) {
            return Err((403, "permission denied"));
        }
        let path = head
            .strip_prefix("POST /v1/")
            .and_then(|rest| rest.split_once(' '))
            .map(|(path, _)| path)
            .ok_or(no(405, "unsupported operation"))?;
        if path == "auth/token/renew-self" {
            self.done.push("renew-self".to_owned());
            return Ok(Value::Null);
        }
        let (operation, name) = path
            .strip_prefix(mount)
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|rest| rest.split_once('/'))
            .ok_or(no(404, "no handler for route"))?;
        if self.answering == Answering::OnlyDecrypting && operation != "decrypt" {
            return Err((403, "permission denied"));
        }
        if name != key {
            return Err((400, "encryption key not found"));
        }
        let asked: Value =
            serde_json::from_slice(body).map_err(|_| no(400, "failed to parse JSON input"))?;
        let bytes = |name: &str| BASE64.decode(asked[name].as_str()?).ok();
        let context = bytes("context")
            .filter(|context| !context.is_empty())
            .ok_or(no(400, "missing 'context' for key derivation"))?;
        let ciphertext = asked["ciphertext"].as_str().unwrap_or_default();
        let data = match operation {
            "encrypt" => {
                let plaintext = bytes("plaintext").ok_or(no(400, "illegal base64 data"))?;
                self.encrypted(&context, &plaintext)
            }
            "decrypt" => {
                let mut plaintext = self.decrypted(&context, ciphertext)?;
                if self.answering == Answering::Lying
                    && let Some(last) = plaintext.last_mut()
                {
                    *last ^= 1;
                }
                json!({ "plaintext": BASE64.encode(plaintext) })
            }
            "rewrap" => {
                let plaintext = self.decrypted(&context, ciphertext)?;
                self.encrypted(&context, &plaintext)
            }
            _ => return Err((404, "unsupported path")),
        };
        self.done.push(operation.to_owned());
        Ok(data)
    }

    /// The key of a version for a context: derived, as of a key with `derived = true`.
    fn key(&self, version: usize, context: &[u8]) -> LessSafeKey {
        let root = hmac::Key::new(hmac::HMAC_SHA256, &self.versions[version - 1]);
        let derived = hmac::sign(&root, context);
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, derived.as_ref()).expect("32 bytes"))
    }

    fn encrypted(&self, context: &[u8], plaintext: &[u8]) -> Value {
        let version = self.versions.len();
        let nonce: [u8; NONCE_LEN] = random();
        let mut text = plaintext.to_vec();
        self.key(version, context)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text)
            .expect("a short text is sealed");
        let text = BASE64.encode([&nonce[..], &text].concat());
        json!({ "ciphertext": format!("vault:v{version}:{text}"), "key_version": version })
    }

    fn decrypted(&self, context: &[u8], ciphertext: &str) -> Result<Vec<u8>, Refusal> {
        let (version, text) = ciphertext
            .strip_prefix("vault:v")
            .and_then(|rest| rest.split_once(':'))
            .ok_or(no(400, "invalid ciphertext: no prefix"))?;
        let version: usize = version.parse().map_err(|_| {
            no(
                400,
                "invalid ciphertext: version number could not be decoded",
            )
        })?;
        if version == 0 || version > self.versions.len() {
            return Err((400, "invalid ciphertext: version is too new"));
        }
        if version < self.least {
            return Err((
                400,
                "ciphertext or signature version is disallowed by policy (too old)",
            ));
        }
        let failed = no(400, "cipher: message authentication failed");
        let bytes = BASE64.decode(text).map_err(|_| failed)?;
        let (nonce, text) = bytes.split_at_checked(NONCE_LEN).ok_or(failed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| failed)?;
        let mut text = text.to_vec();
        let plain = self
            .key(version, context)
            .open_in_place(nonce, Aad::empty(), &mut text)
            .map_err(|_| failed)?;
        Ok(plain.to_vec())
    }
}

fn no(status: u16, words: &'static str) -> Refusal {
    (status, words)
}

fn complaint((status, words): Refusal) -> (u16, String) {
    (status, json!({ "errors": [words] }).to_string())
}
