//! An identity provider on this machine, written from OpenID Connect Core and Discovery, RFC 6749 and RFC 7636, and not from our code.
//! It can misbehave.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hub_api::TlsAcceptor;
use hub_core::config::{GroupRole, OidcSettings, Secret};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer};
use ring::digest::{SHA256, digest};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio_rustls::rustls::{ServerConfig, crypto};

use super::house::signing_key;

const CLIENT: &str = "hub at the hospital";
const SECRET: &str = "s3cret: with + and %";
pub(crate) const BACK: &str = "https://app.hospital.example/back";

/// What is wrong with the next token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misdeed {
    Nothing,
    /// `alg: none`, no signature.
    AlgNone,
    /// HS256 under the public key's modulus.
    KeyConfusion,
    WrongAudience,
    /// For two parties, and it does not say for whom.
    SecondAudience,
    WrongParty,
    WrongNonce,
    NoNonce,
    WrongIssuer,
    Expired,
    /// Made long ago.
    Old,
    /// Made in an hour.
    NotYet,
    NoSubject,
    /// The claims are not those that were signed.
    Altered,
    /// Signed by a key that is nowhere published.
    StrangeKey,
    /// It never answers.
    Silent,
    /// It answers with something else.
    Nonsense,
}

/// What was agreed at the authorization endpoint.
struct Agreed {
    redirect_uri: String,
    challenge: String,
    nonce: String,
    claims: Value,
}

struct Inner {
    issuer: String,
    misdeed: Misdeed,
    codes: HashMap<String, Agreed>,
    made: usize,
    /// From now on it signs with this one, and publishes no other.
    newer: Option<EcdsaKeyPair>,
    rsa: RsaKeyPair,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

pub(crate) struct FakeProvider {
    inner: Arc<Mutex<Inner>>,
    _server: JoinSet<()>,
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn parts_of(query: &str) -> HashMap<String, String> {
    form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

impl FakeProvider {
    pub(crate) async fn start() -> Self {
        Self::over(None).await
    }

    /// Over TLS, with a certificate of an authority of its own; the authority's file.
    pub(crate) async fn start_over_tls(folder: &Path) -> (Self, PathBuf) {
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(params, authority_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        let config =
            ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    vec![certificate.der().clone()],
                    PrivateKeyDer::Pkcs8(key.serialize_der().into()),
                )
                .unwrap();
        let path = folder.join("authority.pem");
        std::fs::write(&path, authority.pem()).unwrap();
        (
            Self::over(Some(TlsAcceptor::from(Arc::new(config)))).await,
            path,
        )
    }

    async fn over(tls: Option<TlsAcceptor>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let issuer = match &tls {
            None => format!("http://127.0.0.1:{port}/realms/staff"),
            Some(_) => format!("https://localhost:{port}/realms/staff"),
        };
        let key = signing_key().await;
        let inner = Arc::new(Mutex::new(Inner {
            issuer,
            misdeed: Misdeed::Nothing,
            codes: HashMap::new(),
            made: 0,
            newer: None,
            rsa: RsaKeyPair::from_pkcs8(&key.private).unwrap(),
            modulus: key.modulus.clone(),
            exponent: key.exponent.clone(),
        }));
        let router = Router::new()
            .route(
                "/realms/staff/.well-known/openid-configuration",
                get(metadata),
            )
            .route("/realms/staff/keys", get(keys))
            .route("/realms/staff/token", post(token))
            .with_state(Arc::clone(&inner));
        let mut server = JoinSet::new();
        server.spawn(hub_api::serve(
            listener,
            router,
            tls,
            std::future::pending(),
        ));
        Self {
            inner,
            _server: server,
        }
    }

    pub(crate) fn misbehave(&self, misdeed: Misdeed) {
        self.inner.lock().unwrap().misdeed = misdeed;
    }

    /// Key change: the old key is gone.
    pub(crate) fn change_key(&self) {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        self.inner.lock().unwrap().newer = Some(
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pair.as_ref(), &random)
                .unwrap(),
        );
    }

    /// How the hub's configuration names it.
    pub(crate) fn settings(&self) -> OidcSettings {
        OidcSettings {
            id: "staff".to_owned(),
            name: "Staff account".to_owned(),
            issuer: self.inner.lock().unwrap().issuer.clone(),
            client_id: CLIENT.to_owned(),
            client_secret: Some(Secret::literal(SECRET)),
            redirect_uris: vec![BACK.to_owned()],
            scopes: vec!["profile".to_owned()],
            algorithms: vec!["RS256".to_owned(), "ES256".to_owned()],
            link_by: None,
            second_factor_there: false,
            session_hours: 8,
            ca_file: None,
            groups_claim: "groups".to_owned(),
            roles: Vec::new(),
        }
    }

    /// The same, with what a group stands for.
    pub(crate) fn with_group(&self, group: &str, role: &str) -> OidcSettings {
        OidcSettings {
            roles: vec![GroupRole {
                group: group.to_owned(),
                role: role.to_owned(),
                facility: Some("MAIN".to_owned()),
                department: None,
            }],
            ..self.settings()
        }
    }

    /// Somebody signs in there and is sent back; `code` and `state` as the page gets them.
    pub(crate) fn approve(&self, url: &str, claims: Value) -> (String, String) {
        let mut inner = self.inner.lock().unwrap();
        let (there, query) = url.split_once('?').unwrap();
        assert_eq!(there, format!("{}/authorize", inner.issuer));
        let asked = parts_of(query);
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["client_id"], CLIENT);
        assert_eq!(asked["redirect_uri"], BACK);
        assert_eq!(asked["code_challenge_method"], "S256");
        assert_eq!(asked["scope"], "openid profile");
        inner.made += 1;
        let code = format!("code-{}", inner.made);
        let agreed = Agreed {
            redirect_uri: asked["redirect_uri"].clone(),
            challenge: asked["code_challenge"].clone(),
            nonce: asked["nonce"].clone(),
            claims,
        };
        inner.codes.insert(code.clone(), agreed);
        (code, asked["state"].clone())
    }
}

async fn metadata(State(inner): State<Arc<Mutex<Inner>>>) -> Json<Value> {
    let issuer = inner.lock().unwrap().issuer.clone();
    Json(json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"), "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"), "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
    }))
}

async fn keys(State(inner): State<Arc<Mutex<Inner>>>) -> Json<Value> {
    let inner = inner.lock().unwrap();
    let odd = json!({ "kty": "new-kind", "kid": "odd", "x": 7 });
    let key = match &inner.newer {
        None => json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "first", "n": encode(&inner.modulus), "e": encode(&inner.exponent),
        }),
        Some(pair) => {
            let point: &[u8] = pair.public_key().as_ref();
            json!({
                "kty": "EC", "crv": "P-256", "use": "sig", "kid": "second", "x": encode(&point[1..33]), "y": encode(&point[33..65]),
            })
        }
    };
    Json(json!({ "keys": [odd, key] }))
}

/// RFC 6749 §5.2.
fn error(status: StatusCode, word: &str) -> Response {
    (status, Json(json!({ "error": word }))).into_response()
}

async fn token(
    State(inner): State<Arc<Mutex<Inner>>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let misdeed = inner.lock().unwrap().misdeed;
    match misdeed {
        Misdeed::Silent => std::future::pending::<()>().await,
        Misdeed::Nonsense => return "<html>".into_response(),
        _ => {}
    }
    // RFC 6749 §2.3.1
    let encoded =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let pair = format!("{}:{}", encoded(CLIENT), encoded(SECRET));
    let expected = format!("Basic {}", STANDARD.encode(pair));
    let given = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str().unwrap());
    if given != Some(expected.as_str()) {
        return error(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let form = parts_of(&body);
    let mut inner = inner.lock().unwrap();
    let Some(agreed) = form.get("code").and_then(|code| inner.codes.remove(code)) else {
        return error(StatusCode::BAD_REQUEST, "invalid_grant");
    };
    let verifier = form.get("code_verifier").map(String::as_bytes);
    let holds = form.get("grant_type").map(String::as_str) == Some("authorization_code")
        && form.get("redirect_uri") == Some(&agreed.redirect_uri)
        && verifier.is_some_and(|verifier| {
            (43..=128).contains(&verifier.len())
                && encode(digest(&SHA256, verifier)) == agreed.challenge
        });
    if !holds {
        return error(StatusCode::BAD_REQUEST, "invalid_grant");
    }
    Json(json!({
        "access_token": "none of the hub's business", "token_type": "Bearer", "expires_in": 300,
        "id_token": id_token(&inner, &agreed),
    }))
    .into_response()
}

fn id_token(inner: &Inner, agreed: &Agreed) -> String {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let mut claims = json!({
        "iss": inner.issuer, "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": agreed.nonce,
    });
    for (name, value) in agreed.claims.as_object().unwrap() {
        claims[name] = value.clone();
    }
    match inner.misdeed {
        Misdeed::WrongAudience => claims["aud"] = json!("another"),
        Misdeed::SecondAudience => claims["aud"] = json!([CLIENT, "another"]),
        Misdeed::WrongParty => claims["azp"] = json!("another"),
        Misdeed::WrongNonce => claims["nonce"] = json!("of another sign-in"),
        Misdeed::NoNonce => {
            claims.as_object_mut().unwrap().remove("nonce");
        }
        Misdeed::WrongIssuer => claims["iss"] = json!("https://evil.example"),
        Misdeed::Expired => claims["exp"] = json!(now - 3_600),
        Misdeed::Old => claims["iat"] = json!(now - 3_600),
        Misdeed::NotYet => claims["iat"] = json!(now + 3_600),
        Misdeed::NoSubject => {
            claims.as_object_mut().unwrap().remove("sub");
        }
        _ => {}
    }
    let header = match (inner.misdeed, &inner.newer) {
        (Misdeed::AlgNone, _) => json!({ "alg": "none" }),
        (Misdeed::KeyConfusion, _) => json!({ "alg": "HS256", "kid": "first" }),
        (Misdeed::StrangeKey, _) => json!({ "alg": "RS256", "kid": "strange" }),
        (_, None) => json!({ "alg": "RS256", "kid": "first" }),
        (_, Some(_)) => json!({ "alg": "ES256", "kid": "second" }),
    };
    let mut text = format!(
        "{}.{}",
        encode(header.to_string()),
        encode(claims.to_string())
    );
    let signature = match (inner.misdeed, &inner.newer) {
        (Misdeed::AlgNone, _) => Vec::new(),
        (Misdeed::KeyConfusion, _) => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &inner.modulus);
            hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
        }
        (_, None) => {
            let mut made = vec![0; inner.rsa.public().modulus_len()];
            inner
                .rsa
                .sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    text.as_bytes(),
                    &mut made,
                )
                .unwrap();
            made
        }
        (_, Some(pair)) => pair
            .sign(&SystemRandom::new(), text.as_bytes())
            .unwrap()
            .as_ref()
            .to_vec(),
    };
    if inner.misdeed == Misdeed::Altered {
        claims["sub"] = json!("the director");
        text = format!(
            "{}.{}",
            encode(header.to_string()),
            encode(claims.to_string())
        );
    }
    format!("{text}.{}", encode(signature))
}
