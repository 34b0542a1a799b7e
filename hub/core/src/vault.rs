//! Encryption of what is stored in JetStream: records of all four streams, and bodies in the object store.
//!
//! Each tenant has data keys of its own (AES-256-GCM); they lie in the bucket `hub_data_keys`, wrapped under a master key that
//! is not there. They lie with the records, so that the edge needs nothing but NATS to store and a record is never without its
//! key. A record names its key in the header `hub-key` and is bound to its subject: moved to another tenant or channel it does
//! not open. Records from before, without that header, are read as they are. Headers stay readable: they hold ids and times,
//! never a body.
//!
//! Sealing happens where [`Backbone`](crate::backbone::Backbone) publishes, opening where it reads: nothing behind it knows.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{BufMut as _, Bytes, BytesMut};
use ring::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use schemas::TenantId;
use serde::Serialize;

use crate::backbone::{Backbone, ToPublish};
use crate::config::EncryptionSettings;
use crate::subject::tenant_of_subject;

mod bucket;
mod cipher;
mod master;
use bucket::{Wrapped, bucket, ensure, entry};
use cipher::{is_ours, opened, sealed, without_key};
pub use master::{LocalMaster, MasterError, MasterKey};

/// Header that names the data key: `<tenant>.<number>`.
pub const HEADER: &str = "hub-key";
/// Bucket of the wrapped keys; one entry a tenant.
pub const BUCKET: &str = "hub_data_keys";
/// What another process rotated is noticed within this time.
const FRESH: Duration = Duration::from_secs(30);
/// A data key in the open.
const KEY_LEN: usize = 32;

/// Why something was not sealed, or does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    #[error("[encryption] master_key is not set, and what is stored is encrypted")]
    NoMaster,
    #[error("the key {0} is not in the bucket {BUCKET}")]
    Unknown(String),
    #[error(
        "the master key does not open the key {0}: it is another one than that which the records were encrypted under"
    )]
    WrongMaster(String),
    #[error("a record does not open under its key {0}: it is damaged, or was moved")]
    Damaged(String),
    #[error("the keys can't be had now: {0}")]
    Away(String),
    #[error("the system's generator or the cipher failed")]
    Cipher,
}

struct Tenant {
    keys: HashMap<u32, Arc<LessSafeKey>>,
    newest: u32,
    read: Instant,
}

struct Inner {
    /// The one that wraps, then those that only unwrap.
    masters: Vec<Box<dyn MasterKey>>,
    /// New records are encrypted.
    seals: bool,
    tenants: RwLock<HashMap<TenantId, Tenant>>,
    reading: tokio::sync::Mutex<()>,
}

/// The keys of a process; cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

/// What is known of a tenant's keys, for an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyFacts {
    pub tenant: String,
    pub number: u32,
    pub master: String,
    pub made_at: String,
    /// It opens under the master keys of this configuration.
    pub opens: bool,
}

impl Default for Vault {
    /// Seals nothing and opens nothing.
    fn default() -> Self {
        Self::with(Vec::new(), false)
    }
}

impl Vault {
    /// With these master keys, the first of which wraps.
    #[must_use]
    pub fn with(masters: Vec<Box<dyn MasterKey>>, seals: bool) -> Self {
        Self(Arc::new(Inner {
            seals: seals && !masters.is_empty(),
            masters,
            tenants: RwLock::default(),
            reading: tokio::sync::Mutex::default(),
        }))
    }

    /// As `[encryption]` says.
    ///
    /// # Errors
    /// A sentence that names the key at fault.
    pub fn of(settings: &EncryptionSettings) -> Result<Self, String> {
        let mut masters: Vec<Box<dyn MasterKey>> = Vec::new();
        for (name, secret) in settings.masters() {
            let text = secret
                .resolve()
                .map_err(|error| format!("[encryption] {name}: {error}"))?;
            let master = LocalMaster::parse(&text)
                .map_err(|error| format!("[encryption] {name}: {error}"))?;
            masters.push(Box::new(master));
        }
        if settings.bodies && masters.is_empty() {
            return Err("[encryption] bodies is on, and master_key is not set".to_owned());
        }
        Ok(Self::with(masters, settings.bodies))
    }

    /// True when new records are encrypted.
    #[must_use]
    pub fn seals(&self) -> bool {
        self.0.seals
    }

    /// True when there is a master key: what was encrypted can be read.
    #[must_use]
    pub fn opens(&self) -> bool {
        !self.0.masters.is_empty()
    }

    /// A look at the bucket at the start: keys that are there must open.
    ///
    /// # Errors
    /// [`VaultError`]; `Away` when NATS is.
    pub async fn check(&self, backbone: &Backbone) -> Result<usize, VaultError> {
        let facts = self.facts(backbone).await?;
        match facts.iter().find(|fact| !fact.opens) {
            None => Ok(facts.len()),
            Some(_) if self.0.masters.is_empty() => Err(VaultError::NoMaster),
            Some(fact) => Err(VaultError::WrongMaster(format!(
                "{}.{}",
                fact.tenant, fact.number
            ))),
        }
    }

    /// All keys there are.
    ///
    /// # Errors
    /// `Away` when NATS is.
    pub async fn facts(&self, backbone: &Backbone) -> Result<Vec<KeyFacts>, VaultError> {
        use futures::TryStreamExt as _;
        let Some(store) = bucket(backbone).await? else {
            return Ok(Vec::new());
        };
        let names: Vec<String> = store
            .keys()
            .await
            .map_err(away)?
            .try_collect()
            .await
            .map_err(away)?;
        let mut facts = Vec::new();
        for name in names {
            let Some((wrapped, _)) = entry(&store, &name).await? else {
                continue;
            };
            let Ok(tenant) = TenantId::new(name.as_str()) else {
                continue;
            };
            for one in wrapped {
                facts.push(KeyFacts {
                    opens: self.unwrap(&tenant, &one).await.is_ok(),
                    tenant: name.clone(),
                    number: one.number,
                    master: one.master,
                    made_at: one.made_at,
                });
            }
        }
        facts.sort_by(|a, b| (&a.tenant, a.number).cmp(&(&b.tenant, b.number)));
        Ok(facts)
    }

    /// Seals a message that goes to one of our streams; leaves everything else as it is.
    pub(crate) async fn seal(
        &self,
        backbone: &Backbone,
        message: &mut ToPublish,
    ) -> Result<(), VaultError> {
        if !self.0.seals || !is_ours(&message.subject) {
            return Ok(());
        }
        let Some(tenant) = tenant_of_subject(&message.subject) else {
            return Ok(());
        };
        let (number, key) = self.newest(backbone, &tenant).await?;
        let name = format!("{tenant}.{number}");
        message.payload = sealed(&key, &message.subject, &message.payload)?;
        message.headers.insert(HEADER, name.as_str());
        Ok(())
    }

    /// Opens a stored message with the keys at hand.
    ///
    /// # Errors
    /// `Unknown` when the key is not at hand: [`Vault::refresh`] may bring it.
    pub(crate) fn open_now(
        &self,
        subject: &str,
        headers: &mut Option<HeaderMap>,
        payload: &mut Bytes,
    ) -> Result<(), VaultError> {
        let Some(name) = headers
            .as_ref()
            .and_then(|headers| headers.get(HEADER))
            .map(|value| value.as_str().to_owned())
        else {
            return Ok(());
        };
        let key = name
            .rsplit_once('.')
            .and_then(|(tenant, number)| {
                self.at_hand(&TenantId::new(tenant).ok()?, number.parse().ok()?)
            })
            .ok_or_else(|| VaultError::Unknown(name.clone()))?;
        *payload = opened(&key, subject, payload).ok_or(VaultError::Damaged(name))?;
        if let Some(headers) = headers {
            // what comes out is as it was before it was stored; a repeat is sealed anew
            *headers = without_key(headers);
        }
        Ok(())
    }

    /// The same, and asks the bucket for a key that is not at hand.
    ///
    /// # Errors
    /// [`VaultError`].
    pub(crate) async fn open(
        &self,
        backbone: &Backbone,
        subject: &str,
        headers: &mut Option<HeaderMap>,
        payload: &mut Bytes,
    ) -> Result<(), VaultError> {
        match self.open_now(subject, headers, payload) {
            Err(VaultError::Unknown(name)) => {
                self.refresh(backbone, &name).await?;
                self.open_now(subject, headers, payload)
            }
            other => other,
        }
    }

    /// Reads the keys of the tenant that a key's name begins with.
    pub(crate) async fn refresh(&self, backbone: &Backbone, name: &str) -> Result<(), VaultError> {
        if self.0.masters.is_empty() {
            return Err(VaultError::NoMaster);
        }
        let tenant = name
            .rsplit_once('.')
            .and_then(|(tenant, _)| TenantId::new(tenant).ok())
            .ok_or_else(|| VaultError::Unknown(name.to_owned()))?;
        let Some(store) = bucket(backbone).await? else {
            return Err(VaultError::Unknown(name.to_owned()));
        };
        match entry(&store, tenant.as_str()).await? {
            Some((wrapped, _)) => self.keep(&tenant, &wrapped).await,
            None => Err(VaultError::Unknown(name.to_owned())),
        }
    }

    /// Seals an object of the store, which is named by its digest.
    pub(crate) async fn seal_object(
        &self,
        backbone: &Backbone,
        tenant: &TenantId,
        name: &str,
        bytes: &Bytes,
    ) -> Result<Bytes, VaultError> {
        let (number, key) = self.newest(backbone, tenant).await?;
        let sealed = sealed(&key, name, bytes)?;
        let mut object = BytesMut::with_capacity(4 + sealed.len());
        object.put_u32(number);
        object.extend_from_slice(&sealed);
        Ok(object.freeze())
    }

    /// Opens such an object.
    pub(crate) async fn open_object(
        &self,
        backbone: &Backbone,
        tenant: &TenantId,
        name: &str,
        object: &Bytes,
    ) -> Result<Bytes, VaultError> {
        let (number, text) = object
            .split_first_chunk::<4>()
            .map(|(number, text)| (u32::from_be_bytes(*number), text))
            .ok_or_else(|| VaultError::Damaged(name.to_owned()))?;
        let of = format!("{tenant}.{number}");
        let key = match self.at_hand(tenant, number) {
            Some(key) => key,
            None => {
                self.refresh(backbone, &of).await?;
                self.at_hand(tenant, number)
                    .ok_or_else(|| VaultError::Unknown(of.clone()))?
            }
        };
        opened(&key, name, text).ok_or(VaultError::Damaged(of))
    }

    /// Gives a tenant a new key for what is stored from now on, and wraps those it has under the first master key. Running
    /// processes take it within half a minute; until then they use the one before, which goes on opening.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn rotate(&self, backbone: &Backbone, tenant: &TenantId) -> Result<u32, VaultError> {
        self.add(backbone, tenant, true).await
    }

    fn at_hand(&self, tenant: &TenantId, number: u32) -> Option<Arc<LessSafeKey>> {
        let tenants = self
            .0
            .tenants
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        tenants.get(tenant)?.keys.get(&number).cloned()
    }

    fn newest_at_hand(&self, tenant: &TenantId) -> Option<(u32, Arc<LessSafeKey>, bool)> {
        let tenants = self
            .0
            .tenants
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let of = tenants.get(tenant)?;
        let key = of.keys.get(&of.newest)?;
        Some((of.newest, Arc::clone(key), of.read.elapsed() < FRESH))
    }

    async fn newest(
        &self,
        backbone: &Backbone,
        tenant: &TenantId,
    ) -> Result<(u32, Arc<LessSafeKey>), VaultError> {
        let before = match self.newest_at_hand(tenant) {
            Some((number, key, true)) => return Ok((number, key)),
            Some((number, key, false)) => Some((number, key)),
            None => None,
        };
        // one asks; who has a key meanwhile goes on with it
        let turn = match &before {
            Some((number, key)) => match self.0.reading.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok((*number, Arc::clone(key))),
            },
            None => self.0.reading.lock().await,
        };
        if let Some((number, key, true)) = self.newest_at_hand(tenant) {
            return Ok((number, key));
        }
        let asked = self.add(backbone, tenant, false).await;
        drop(turn);
        match (asked, before) {
            (Ok(_), _) => self
                .newest_at_hand(tenant)
                .map(|(number, key, _)| (number, key))
                .ok_or_else(|| VaultError::Unknown(format!("{tenant}.1"))),
            // NATS takes the record or it does not: the key of before is as good
            (Err(VaultError::Away(_)), Some(before)) => Ok(before),
            (Err(error), _) => Err(error),
        }
    }

    /// Reads a tenant's keys; makes the first, or one more.
    async fn add(
        &self,
        backbone: &Backbone,
        tenant: &TenantId,
        one_more: bool,
    ) -> Result<u32, VaultError> {
        let master = self.0.masters.first().ok_or(VaultError::NoMaster)?;
        let store = match bucket(backbone).await? {
            Some(store) => store,
            None => ensure(backbone).await?,
        };
        // who writes at the same time wins once, and the other reads what he wrote
        for _ in 0..8 {
            let found = entry(&store, tenant.as_str()).await?;
            let (mut wrapped, revision) = match found {
                Some((wrapped, revision)) => (wrapped, Some(revision)),
                None => (Vec::new(), None),
            };
            if !one_more && !wrapped.is_empty() {
                self.keep(tenant, &wrapped).await?;
                return Ok(0);
            }
            for one in &mut wrapped {
                if one.master != master.name() {
                    let key = self.unwrap(tenant, one).await?;
                    one.key = BASE64.encode(
                        master
                            .wrap(tenant, &key)
                            .await
                            .map_err(of_master(tenant, one.number))?,
                    );
                    one.master = master.name();
                }
            }
            let mut key = [0; KEY_LEN];
            SystemRandom::new()
                .fill(&mut key)
                .map_err(|_| VaultError::Cipher)?;
            let number = wrapped.iter().map(|one| one.number).max().unwrap_or(0) + 1;
            wrapped.push(Wrapped {
                number,
                master: master.name(),
                key: BASE64.encode(
                    master
                        .wrap(tenant, &key)
                        .await
                        .map_err(of_master(tenant, number))?,
                ),
                made_at: time::OffsetDateTime::now_utc()
                    .format(&time::format_description::well_known::Rfc3339)
                    .unwrap_or_default(),
            });
            let value: Bytes = serde_json::to_vec(&wrapped).map_err(away)?.into();
            let written = match revision {
                Some(revision) => store.update(tenant.as_str(), value, revision).await.is_ok(),
                None => store.create(tenant.as_str(), value).await.is_ok(),
            };
            if written {
                tracing::info!(%tenant, number, "a new data key");
                self.keep(tenant, &wrapped).await?;
                return Ok(number);
            }
        }
        Err(VaultError::Away("somebody else writes the keys".to_owned()))
    }

    async fn unwrap(&self, tenant: &TenantId, one: &Wrapped) -> Result<[u8; KEY_LEN], VaultError> {
        let name = format!("{tenant}.{}", one.number);
        if self.0.masters.is_empty() {
            return Err(VaultError::NoMaster);
        }
        let wrong = || VaultError::WrongMaster(name.clone());
        let master = self
            .0
            .masters
            .iter()
            .find(|master| master.name() == one.master)
            .ok_or_else(wrong)?;
        let bytes = BASE64.decode(&one.key).map_err(|_| wrong())?;
        master
            .unwrap(tenant, &bytes)
            .await
            .map_err(of_master(tenant, one.number))
    }

    async fn keep(&self, tenant: &TenantId, wrapped: &[Wrapped]) -> Result<(), VaultError> {
        let mut keys = HashMap::new();
        for one in wrapped {
            let key = match self.at_hand(tenant, one.number) {
                Some(key) => key,
                None => {
                    let bytes = self.unwrap(tenant, one).await?;
                    let key =
                        UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| VaultError::Cipher)?;
                    Arc::new(LessSafeKey::new(key))
                }
            };
            keys.insert(one.number, key);
        }
        let newest = wrapped.iter().map(|one| one.number).max().unwrap_or(0);
        let of = Tenant {
            keys,
            newest,
            read: Instant::now(),
        };
        self.0
            .tenants
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(tenant.clone(), of);
        Ok(())
    }
}

fn of_master(tenant: &TenantId, number: u32) -> impl Fn(MasterError) -> VaultError {
    let name = format!("{tenant}.{number}");
    move |error| match error {
        MasterError::NotMine => VaultError::WrongMaster(name.clone()),
        MasterError::Away(detail) => VaultError::Away(detail),
        MasterError::Form | MasterError::Cipher => VaultError::Cipher,
    }
}

fn away(error: impl std::fmt::Display) -> VaultError {
    VaultError::Away(error.to_string())
}

#[cfg(test)]
mod tests;
