//! Encryption of what is stored in JetStream: records of all four streams, and bodies in the object store. Columns of Postgres,
//! under keys of their own that lie there: [`Columns`].
//!
//! Each tenant has data keys of its own (AES-256-GCM); they lie in the bucket `hub_data_keys`, wrapped under a master key that
//! is not there. They lie with the records, so that the edge needs nothing but NATS to store and a record is never without its
//! key. A record names its key in the header `hub-key` and is bound to its subject: moved to another tenant or channel it does
//! not open. Records from before, without that header, are read as they are. Headers stay readable: they hold ids and times,
//! never a body.
//!
//! Sealing happens where [`Backbone`](crate::backbone::Backbone) publishes, opening where it reads: nothing behind it knows.
//!
//! A data key is unwrapped once in the life of a process and then kept: a key service that is away stops nobody whose key is at
//! hand. What is wrapped is opened again before it is stored: a key that nobody could open would be records that nobody can read.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use async_nats::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{BufMut as _, Bytes, BytesMut};
use schemas::TenantId;
use schemas::platform::platform;
use serde::Serialize;

use crate::backbone::{Backbone, ToPublish};
use crate::config::{EncryptionSettings, Secret, TransitSettings};
use crate::subject::tenant_of_subject;

mod bucket;
mod cipher;
pub mod columns;
mod keys;
mod master;
mod transit;
mod watch;
use bucket::{Wrapped, bucket, entry, stored};
use cipher::{is_ours, opened, sealed, without_key};
pub use columns::{Columns, Opener, Place};
use keys::{Tenant, random_key, wrapped_surely};
pub use master::{LocalMaster, MasterError, MasterKey};
pub use transit::Transit;
use watch::Standing;

/// Header that names the data key: `<tenant>.<number>`.
pub const HEADER: &str = "hub-key";
/// Bucket of the wrapped keys; one entry a tenant.
pub const BUCKET: &str = "hub_data_keys";

/// Why something was not sealed, or does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    #[error("[encryption] master_key is not set, and what is stored is encrypted")]
    NoMaster,
    #[error("the key {0} is not in the bucket {BUCKET}")]
    Unknown(String),
    /// Of columns.
    #[error("the key {0} is not in integration.data_keys: a backup has it")]
    Lost(String),
    #[error(
        "the master key does not open the key {0}: it is another one than that which the records were encrypted under"
    )]
    WrongMaster(String),
    #[error("a record does not open under its key {0}: it is damaged, or was moved")]
    Damaged(String),
    #[error("the keys can't be had now: {0}")]
    Away(String),
    /// For which key, and a sentence that names the service and what to do.
    #[error("the master key can't be used now ({0}): {1}")]
    Service(String, String),
    /// The same; asked again it says so again.
    #[error("the master key can't be used ({0}): {1}")]
    Refused(String, String),
    #[error("the system's generator or the cipher failed")]
    Cipher,
}

impl VaultError {
    /// It may be otherwise when it is asked again, without anybody changing the configuration.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Away(_) | Self::Service(..))
    }

    /// It is a key that can't be had, which somebody may bring back, and not what was sealed with it.
    pub(crate) fn is_of_key(&self) -> bool {
        !matches!(self, Self::Damaged(_))
    }

    /// It is one key that can't be had, and asked for again it can't either: somebody has to bring it back, or its master key.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(
            self,
            Self::Unknown(_) | Self::Lost(_) | Self::WrongMaster(_) | Self::Refused(..)
        )
    }

    /// What may be said to anybody: without the key service's address and words.
    #[must_use]
    pub fn in_short(&self) -> &'static str {
        match self {
            Self::NoMaster => "master_key is not set, and what is stored is encrypted",
            Self::Unknown(_) | Self::Lost(_) | Self::Damaged(_) | Self::Cipher => {
                "a record's key is not there"
            }
            Self::WrongMaster(_) | Self::Refused(..) => {
                "the master key does not open the keys that are stored: hub doctor says which"
            }
            Self::Away(_) => "NATS does not give them",
            Self::Service(..) => {
                "the key service is away, sealed or does not accept the token: hub doctor says which"
            }
        }
    }
}

struct Inner {
    /// The one that wraps, then those that only unwrap.
    masters: Vec<Box<dyn MasterKey>>,
    /// New records are encrypted.
    seals: bool,
    tenants: RwLock<HashMap<TenantId, Tenant>>,
    /// Whoever has it reads or makes a tenant's keys, one at a time.
    reading: Arc<tokio::sync::Mutex<()>>,
    standing: RwLock<Standing>,
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
    /// Version of the master key, where a key service counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    pub made_at: String,
    /// It opens under the master keys of this configuration.
    pub opens: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// What it seals: `records` of NATS, `columns` of Postgres.
    pub of: &'static str,
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
            reading: Arc::default(),
            standing: RwLock::default(),
        }))
    }

    /// As `[encryption]` says.
    ///
    /// # Errors
    /// A sentence that names the key at fault.
    pub fn of(settings: &EncryptionSettings) -> Result<Self, String> {
        let local = |name: &str, secret: &Secret| -> Result<Box<dyn MasterKey>, String> {
            let named = |error: &dyn std::fmt::Display| format!("[encryption] {name}: {error}");
            let text = secret.resolve().map_err(|error| named(&error))?;
            let master = LocalMaster::parse(&text).map_err(|error| named(&error))?;
            Ok(Box::new(master))
        };
        let service =
            |name: &str, settings: &TransitSettings| -> Result<Box<dyn MasterKey>, String> {
                let master = Transit::new(settings)
                    .map_err(|error| format!("[encryption] {name}.{error}"))?;
                Ok(Box::new(master))
            };
        let mut masters = Vec::new();
        // the one that wraps comes first
        if let Some(secret) = &settings.master_key {
            masters.push(local("master_key", secret)?);
        }
        if let Some(transit) = &settings.transit {
            masters.push(service("transit", transit)?);
        }
        if settings.bodies && masters.is_empty() {
            return Err("[encryption] bodies is on, and master_key is not set".to_owned());
        }
        for secret in &settings.previous_master_keys {
            masters.push(local("previous_master_keys", secret)?);
        }
        for transit in &settings.previous_transit {
            masters.push(service("previous_transit", transit)?);
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

    /// Reads all keys there are, which must open, and tries the master key out where new keys need it. What was read stays at
    /// hand. How many there are.
    ///
    /// # Errors
    /// [`VaultError`]; those that [pass](VaultError::is_passing) when NATS or the key service is away.
    pub async fn check(&self, backbone: &Backbone) -> Result<usize, VaultError> {
        let looked = self.look(backbone).await;
        self.stand(&looked);
        looked
    }

    async fn look(&self, backbone: &Backbone) -> Result<usize, VaultError> {
        let mut count = 0;
        for (tenant, wrapped) in stored(backbone).await? {
            if self.0.masters.is_empty() {
                return Err(VaultError::NoMaster);
            }
            self.keep(&tenant, &wrapped).await?;
            count += wrapped.len();
        }
        if self.0.seals {
            self.try_out().await?;
        }
        Ok(count)
    }

    /// The master key wraps and unwraps: said before the first record of a tenant waits for it.
    async fn try_out(&self) -> Result<(), VaultError> {
        let master = self.0.masters.first().ok_or(VaultError::NoMaster)?;
        wrapped_surely(master.as_ref(), &platform(), "a new key", &random_key()?)
            .await
            .map(drop)
    }

    /// All keys there are.
    ///
    /// # Errors
    /// `Away` when NATS is.
    pub async fn facts(&self, backbone: &Backbone) -> Result<Vec<KeyFacts>, VaultError> {
        let mut facts = Vec::new();
        for (tenant, wrapped) in stored(backbone).await? {
            for one in wrapped {
                facts.push(self.fact(&tenant, one, "records").await);
            }
        }
        facts.sort_by(|a, b| (&a.tenant, a.number).cmp(&(&b.tenant, b.number)));
        Ok(facts)
    }

    async fn fact(&self, tenant: &TenantId, one: Wrapped, of: &'static str) -> KeyFacts {
        let fault = self.unwrap(tenant, &one).await.err();
        KeyFacts {
            opens: fault.is_none(),
            fault: fault.map(|error| error.to_string()),
            tenant: tenant.to_string(),
            number: one.number,
            version: self.version_of(&one),
            master: one.master,
            made_at: one.made_at,
            of,
        }
    }

    fn version_of(&self, one: &Wrapped) -> Option<u32> {
        let mut masters = self.0.masters.iter();
        let master = masters.find(|master| master.name() == one.master)?;
        master.version(&BASE64.decode(&one.key).ok()?)
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

    /// Gives a tenant a new key for what is stored from now on, and wraps those it has under the first master key, at its newest
    /// version. Running processes take it within half a minute; until then they use the one before, which goes on opening.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn rotate(&self, backbone: &Backbone, tenant: &TenantId) -> Result<u32, VaultError> {
        self.add(backbone, tenant, true).await
    }
}

fn away(error: impl std::fmt::Display) -> VaultError {
    VaultError::Away(error.to_string())
}

#[cfg(test)]
mod tests;
