//! A master key that never leaves a key service: a key of the transit secrets engine of HashiCorp Vault or OpenBao, asked over its
//! HTTP API (<https://openbao.org/api-docs/secret/transit>): `encrypt`, `decrypt` and `rewrap` of one key, no more. It keeps no data
//! key: the vault does, so that the service is asked once for each in the life of a process.
//!
//! `rewrap` takes no associated data, so what binds a data key to its tenant is sealed with it: the plaintext is the tenant's
//! words of [`belongs`] and the key behind them. The same words are the `context`, which a derived key needs and any other ignores.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, StatusCode};
use schemas::TenantId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::master::{MasterError, MasterKey, belongs};
use crate::config::{Secret, TransitSettings};
use crate::https::{Answer, HttpsClient, Trust};

/// A service behind a hardware module may take a second; a record waits no longer than it may (`publish_timeout_ms`), and the next
/// one finds the key.
const DEADLINE: Duration = Duration::from_secs(5);
/// So long a service that could not answer is not asked again: who waits for it hears at once that it is away.
const REST: Duration = Duration::from_secs(1);
/// Of its words, in an error.
const LONGEST_WORDS: usize = 200;

/// A key of a transit secrets engine.
pub struct Transit {
    /// [`TransitSettings::id`].
    id: String,
    address: String,
    mount: String,
    key: String,
    token: Secret,
    namespace: Option<HeaderValue>,
    https: HttpsClient,
    /// When it could not answer, and what was said then.
    failed: Mutex<Option<(Instant, String)>>,
}

/// What all three operations are asked with.
#[derive(Serialize)]
struct Asked<'a> {
    context: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext: Option<&'a str>,
}

/// Of `encrypt` and `rewrap`: `vault:v<version>:<base64>`.
#[derive(Deserialize)]
struct Encrypted {
    ciphertext: String,
}

/// Of `decrypt`: base64.
#[derive(Deserialize)]
struct Decrypted {
    plaintext: String,
}

#[derive(Deserialize)]
struct Answered<T> {
    data: T,
}

/// Of `auth/token/renew-self`: what it says stands elsewhere, and is for nothing here.
#[derive(Serialize, Deserialize)]
struct Nothing {}

/// Every status from 400 on.
#[derive(Default, Deserialize)]
struct Complaint {
    #[serde(default)]
    errors: Vec<String>,
}

impl Transit {
    /// Of its settings, whose form was looked at.
    ///
    /// # Errors
    /// The file of authorities can't be read.
    pub fn new(settings: &TransitSettings) -> Result<Self, String> {
        Self::within(settings, DEADLINE)
    }

    fn within(settings: &TransitSettings, deadline: Duration) -> Result<Self, String> {
        let address = settings.address.trim_end_matches('/').to_owned();
        let trust = match &settings.ca_file {
            Some(file) => Trust::Only(file),
            None if address.starts_with("https:") => Trust::Machine,
            None => Trust::Nobody,
        };
        Ok(Self {
            id: settings.id(),
            https: HttpsClient::new(trust, deadline)?,
            address,
            mount: settings.mount().to_owned(),
            key: settings.key.clone(),
            token: settings.token.clone(),
            namespace: settings
                .namespace()
                .map(HeaderValue::from_str)
                .transpose()
                .map_err(|_| "namespace is no path of a namespace".to_owned())?,
            failed: Mutex::default(),
        })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        asked: &Asked<'_>,
    ) -> Result<T, MasterError> {
        if let Some(said) = self.rests() {
            return Err(MasterError::Away(said));
        }
        let path = format!("{}/{operation}/{}", self.mount, self.key);
        let outcome = self.exchange(&path, asked).await;
        let (word, why) = match &outcome {
            Ok(_) => ("ok", None),
            Err(MasterError::Away(why)) => ("away", Some(why)),
            Err(_) => ("refused", None),
        };
        metrics::counter!("hub_key_service_requests_total", "operation" => operation, "outcome" => word)
            .increment(1);
        let failed = why.map(|why| (Instant::now(), why.clone()));
        let before = std::mem::replace(
            &mut *self.failed.lock().unwrap_or_else(PoisonError::into_inner),
            failed,
        );
        // each cause once: it is asked again and again
        if let Some(why) = why
            && before.is_none_or(|(_, before)| before != *why)
        {
            tracing::warn!(operation, "{why}");
        }
        outcome
    }

    fn rests(&self) -> Option<String> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, said) = failed.as_ref()?;
        (since.elapsed() < REST).then(|| said.clone())
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        path: &str,
        asked: &(impl Serialize + Sync),
    ) -> Result<T, MasterError> {
        let token = self.token.resolve().ok();
        let token = token.and_then(|token| HeaderValue::from_str(token.trim()).ok());
        let mut token = token.ok_or_else(|| {
            self.away("its token can't be read: look at [encryption.transit] token")
        })?;
        token.set_sensitive(true);
        let mut request = Request::post(format!("{}/v1/{path}", self.address))
            .header("x-vault-token", token)
            // an agent or proxy may want it: who was made to send a request elsewhere can't add it
            .header("x-vault-request", "true")
            .header(CONTENT_TYPE, "application/json");
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", namespace.clone());
        }
        let body = serde_json::to_string(asked).map_err(|_| MasterError::Cipher)?;
        let request = request
            .body(body)
            .map_err(|_| self.away("the address is none"))?;
        let answer = self.https.ask(request).await.map_err(|error| {
            self.away(&format!(
                "{error}; start it, or correct [encryption.transit] address and ca_file"
            ))
        })?;
        if answer.status != StatusCode::OK {
            return Err(self.complaint(&answer));
        }
        serde_json::from_slice::<Answered<T>>(&answer.body)
            .map(|answered| answered.data)
            .map_err(|_| self.garbled())
    }

    fn away(&self, why: &str) -> MasterError {
        MasterError::Away(format!("the key service at {}: {why}", self.address))
    }

    fn garbled(&self) -> MasterError {
        self.away("what it answers is no answer of transit; is another server at this address?")
    }

    /// What another status than 200 means, and what is to be done about it.
    fn complaint(&self, answer: &Answer) -> MasterError {
        let complaint: Complaint = serde_json::from_slice(&answer.body).unwrap_or_default();
        let words: String = complaint
            .errors
            .join("; ")
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(LONGEST_WORDS)
            .collect();
        let (mount, key) = (&self.mount, &self.key);
        match answer.status {
            // it understood, and this key or this ciphertext is none for it
            StatusCode::BAD_REQUEST if !words.is_empty() => MasterError::Refused(format!(
                "the key service at {} refuses {mount}/{key}: {words}",
                self.address
            )),
            StatusCode::FORBIDDEN => self.away(&format!(
                "it does not accept the token ({words}): give [encryption.transit] token a valid one, whose policy has \
                 `update` on {mount}/encrypt/{key}, {mount}/decrypt/{key} and {mount}/rewrap/{key}"
            )),
            StatusCode::NOT_FOUND => self.away(&format!(
                "no transit engine is at `{mount}` ({words}): correct [encryption.transit] mount or namespace, or enable the engine"
            )),
            StatusCode::SERVICE_UNAVAILABLE => {
                self.away(&format!("it is sealed or in maintenance ({words}): unseal it"))
            }
            status if status.is_redirection() => self.away(&format!(
                "status {status}: it is a standby that sends elsewhere; give [encryption.transit] the address of the active node"
            )),
            status => self.away(&format!("status {status} ({words})")),
        }
    }

    /// What it wrapped, if it has the form.
    fn ciphertext(&self, encrypted: Encrypted) -> Result<Vec<u8>, MasterError> {
        let wrapped = encrypted.ciphertext.into_bytes();
        if version_of(&wrapped).is_some() {
            Ok(wrapped)
        } else {
            Err(self.garbled())
        }
    }
}

/// The number in `vault:v<number>:…`.
fn version_of(wrapped: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(wrapped).ok()?;
    let (number, rest) = text.strip_prefix("vault:v")?.split_once(':')?;
    if rest.is_empty() {
        return None;
    }
    number.parse().ok()
}

#[async_trait]
impl MasterKey for Transit {
    fn name(&self) -> String {
        self.id.clone()
    }

    fn version(&self, wrapped: &[u8]) -> Option<u32> {
        version_of(wrapped)
    }

    fn is_remote(&self) -> bool {
        true
    }

    /// Renews the token (<https://openbao.org/api-docs/auth/token>): a periodic one then lives as long as the hub does. One of an
    /// agent needs it not, one that can't be renewed says so.
    async fn stay(&self) {
        let renewed: Result<Option<Nothing>, _> =
            self.exchange("auth/token/renew-self", &Nothing {}).await;
        if let Err(error) = renewed {
            tracing::debug!(%error, "the token of the key service was not renewed");
        }
    }

    async fn wrap(&self, tenant: &TenantId, key: &[u8; 32]) -> Result<Vec<u8>, MasterError> {
        let belongs = belongs(tenant);
        let (context, plaintext) = (
            BASE64.encode(&belongs),
            BASE64.encode([&belongs[..], &key[..]].concat()),
        );
        let asked = Asked {
            context: &context,
            plaintext: Some(&plaintext),
            ciphertext: None,
        };
        let encrypted = self.ask("encrypt", &asked).await?;
        self.ciphertext(encrypted)
    }

    async fn unwrap(&self, tenant: &TenantId, wrapped: &[u8]) -> Result<[u8; 32], MasterError> {
        let belongs = belongs(tenant);
        let context = BASE64.encode(&belongs);
        let asked = Asked {
            context: &context,
            plaintext: None,
            ciphertext: Some(std::str::from_utf8(wrapped).map_err(|_| MasterError::NotMine)?),
        };
        let decrypted: Decrypted = self.ask("decrypt", &asked).await?;
        let plain = BASE64
            .decode(&decrypted.plaintext)
            .map_err(|_| self.garbled())?;
        plain
            .strip_prefix(&belongs[..])
            .and_then(|key| <[u8; 32]>::try_from(key).ok())
            .ok_or(MasterError::NotMine)
    }

    async fn rewrap(&self, tenant: &TenantId, wrapped: &[u8]) -> Result<Vec<u8>, MasterError> {
        let context = BASE64.encode(belongs(tenant));
        let asked = Asked {
            context: &context,
            plaintext: None,
            ciphertext: Some(std::str::from_utf8(wrapped).map_err(|_| MasterError::NotMine)?),
        };
        let encrypted = self.ask("rewrap", &asked).await?;
        self.ciphertext(encrypted)
    }
}

#[cfg(test)]
mod tests;
