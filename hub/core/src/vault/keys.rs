//! The keys of tenants that are at hand in the clear: read from the bucket and unwrapped once, made for a tenant that has none,
//! wrapped anew when the master key changed. Nothing is stored wrapped that was not opened again before.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use ring::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use schemas::TenantId;
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinHandle;

use super::bucket::{Wrapped, bucket, ensure, entry};
use super::{MasterError, MasterKey, Vault, VaultError, away};
use crate::backbone::Backbone;

/// What another process rotated is noticed within this time.
const FRESH: Duration = Duration::from_secs(30);
/// A data key in the open.
const KEY_LEN: usize = 32;

pub(super) struct Tenant {
    keys: HashMap<u32, Arc<LessSafeKey>>,
    /// 0 while they are being read.
    newest: u32,
    read: Instant,
}

impl Vault {
    pub(super) fn at_hand(&self, tenant: &TenantId, number: u32) -> Option<Arc<LessSafeKey>> {
        let tenants = self
            .0
            .tenants
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        tenants.get(tenant)?.keys.get(&number).cloned()
    }

    pub(super) fn newest_at_hand(
        &self,
        tenant: &TenantId,
    ) -> Option<(u32, Arc<LessSafeKey>, bool)> {
        let tenants = self
            .0
            .tenants
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let of = tenants.get(tenant)?;
        let key = of.keys.get(&of.newest)?;
        Some((of.newest, Arc::clone(key), of.read.elapsed() < FRESH))
    }

    pub(super) async fn newest(
        &self,
        backbone: &Backbone,
        tenant: &TenantId,
    ) -> Result<(u32, Arc<LessSafeKey>), VaultError> {
        match self.newest_at_hand(tenant) {
            Some((number, key, true)) => return Ok((number, key)),
            Some((number, key, false)) => {
                // who has a key goes on with it, whatever becomes of the look for a newer one
                if let Ok(turn) = Arc::clone(&self.0.reading).try_lock_owned() {
                    drop(self.ask(turn, backbone, tenant));
                }
                return Ok((number, key));
            }
            None => {}
        }
        let turn = Arc::clone(&self.0.reading).lock_owned().await;
        if let Some((number, key, _)) = self.newest_at_hand(tenant) {
            return Ok((number, key));
        }
        self.ask(turn, backbone, tenant).await.map_err(away)??;
        self.newest_at_hand(tenant)
            .map(|(number, key, _)| (number, key))
            .ok_or_else(|| VaultError::Unknown(format!("{tenant}.1")))
    }

    /// Reads a tenant's keys, or makes the first. A task of its own, which ends within the deadlines of NATS and the key service:
    /// they may take longer than the record that asks has time, and then the next one finds the key.
    fn ask(
        &self,
        turn: OwnedMutexGuard<()>,
        backbone: &Backbone,
        tenant: &TenantId,
    ) -> JoinHandle<Result<u32, VaultError>> {
        let (vault, backbone, tenant) = (self.clone(), backbone.clone(), tenant.clone());
        tokio::spawn(async move {
            let asked = vault.add(&backbone, &tenant, false).await;
            if let Err(error) = &asked
                && vault.goes_on(&tenant)
            {
                tracing::warn!(%tenant, %error, "whether there is a newer key can't be seen; the one at hand is used on");
            }
            drop(turn);
            asked
        })
    }

    /// Puts the next look off for a tenant whose key is at hand; false when none is.
    fn goes_on(&self, tenant: &TenantId) -> bool {
        let mut tenants = self
            .0
            .tenants
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        match tenants.get_mut(tenant) {
            Some(of) if of.newest > 0 => {
                of.read = Instant::now();
                true
            }
            _ => false,
        }
    }

    /// Reads a tenant's keys; makes the first, or one more.
    pub(super) async fn add(
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
            let number = wrapped.iter().map(|one| one.number).max().unwrap_or(0) + 1;
            let name = format!("{tenant}.{number}");
            let fresh = wrapped_surely(master.as_ref(), tenant, &name, &random_key()?).await?;
            let newest = master.version(&fresh);
            for one in &mut wrapped {
                self.renew(master.as_ref(), newest, tenant, one).await?;
            }
            wrapped.push(Wrapped {
                number,
                master: master.name(),
                key: BASE64.encode(fresh),
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

    /// Wraps a key of before under this master key, at its newest version, if it is not.
    pub(super) async fn renew(
        &self,
        master: &dyn MasterKey,
        newest: Option<u32>,
        tenant: &TenantId,
        one: &mut Wrapped,
    ) -> Result<(), VaultError> {
        let name = format!("{tenant}.{}", one.number);
        let before = BASE64
            .decode(&one.key)
            .map_err(|_| VaultError::WrongMaster(name.clone()))?;
        let is_its = one.master == master.name();
        if is_its && master.version(&before) >= newest {
            return Ok(());
        }
        let key = self.unwrap(tenant, one).await?;
        let renewed = if is_its {
            let renewed = master
                .rewrap(tenant, &before)
                .await
                .map_err(of_master(&name))?;
            opens_again(master, tenant, &name, &key, &renewed).await?;
            renewed
        } else {
            wrapped_surely(master, tenant, &name, &key).await?
        };
        one.key = BASE64.encode(renewed);
        one.master = master.name();
        Ok(())
    }

    pub(super) async fn unwrap(
        &self,
        tenant: &TenantId,
        one: &Wrapped,
    ) -> Result<[u8; KEY_LEN], VaultError> {
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
            .map_err(of_master(&name))
    }

    /// Puts a tenant's keys at hand, each as it opens: who asks again goes on where it was left off.
    pub(super) async fn keep(
        &self,
        tenant: &TenantId,
        wrapped: &[Wrapped],
    ) -> Result<(), VaultError> {
        for one in wrapped {
            if self.at_hand(tenant, one.number).is_some() {
                continue;
            }
            let bytes = self.unwrap(tenant, one).await?;
            let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| VaultError::Cipher)?;
            self.with_tenant(tenant, |of| {
                of.keys.insert(one.number, Arc::new(LessSafeKey::new(key)));
            });
        }
        self.with_tenant(tenant, |of| {
            of.keys
                .retain(|number, _| wrapped.iter().any(|one| one.number == *number));
            of.newest = wrapped.iter().map(|one| one.number).max().unwrap_or(0);
            of.read = Instant::now();
        });
        Ok(())
    }

    fn with_tenant(&self, tenant: &TenantId, change: impl FnOnce(&mut Tenant)) {
        let mut tenants = self
            .0
            .tenants
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        change(tenants.entry(tenant.clone()).or_insert_with(|| Tenant {
            keys: HashMap::new(),
            newest: 0,
            read: Instant::now(),
        }));
    }
}

pub(super) fn random_key() -> Result<[u8; KEY_LEN], VaultError> {
    let mut key = [0; KEY_LEN];
    SystemRandom::new()
        .fill(&mut key)
        .map_err(|_| VaultError::Cipher)?;
    Ok(key)
}

/// Wraps a key, and opens it again before anybody relies on it.
pub(super) async fn wrapped_surely(
    master: &dyn MasterKey,
    tenant: &TenantId,
    name: &str,
    key: &[u8; KEY_LEN],
) -> Result<Vec<u8>, VaultError> {
    let wrapped = master.wrap(tenant, key).await.map_err(of_master(name))?;
    opens_again(master, tenant, name, key, &wrapped).await?;
    Ok(wrapped)
}

async fn opens_again(
    master: &dyn MasterKey,
    tenant: &TenantId,
    name: &str,
    key: &[u8; KEY_LEN],
    wrapped: &[u8],
) -> Result<(), VaultError> {
    let why = match master.unwrap(tenant, wrapped).await {
        Ok(opened) if opened == *key => return Ok(()),
        Ok(_) => "it is another key".to_owned(),
        Err(MasterError::Away(why)) => return Err(VaultError::Service(name.to_owned(), why)),
        Err(error) => error.to_string(),
    };
    Err(VaultError::Service(
        name.to_owned(),
        format!("what was wrapped does not open again, so it is not used: {why}"),
    ))
}

fn of_master(name: &str) -> impl Fn(MasterError) -> VaultError {
    let name = name.to_owned();
    move |error| match error {
        MasterError::NotMine => VaultError::WrongMaster(name.clone()),
        MasterError::Away(detail) => VaultError::Service(name.clone(), detail),
        MasterError::Refused(detail) => VaultError::Refused(name.clone(), detail),
        MasterError::Form | MasterError::Cipher => VaultError::Cipher,
    }
}
