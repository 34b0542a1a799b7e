//! Columns of Postgres that are sealed: words whose leak with a stolen dump would hurt most, and which no statement searches.
//!
//! Their keys are of the tenant too, and lie in Postgres with what they seal (`integration.data_keys`), wrapped under the same
//! master key: the loss of NATS costs no column, and a backup of the database needs the master key alone. A key is made in the
//! transaction of the first value that it seals, so there is never a value without its key; each value is sealed with the newest
//! key that its transaction sees, so one that was made elsewhere is used at once. A sealed value is bound to tenant, table, column
//! and row: put elsewhere it does not open. What was stored before is read as it is.
//!
//! Nothing is stored in the open because a key can't be had: that is an error which waits
//! ([`is_transient`](crate::db::is_transient)), or refuses what needs it where no try brings the key back
//! ([`lost_key`](crate::db::lost_key)). It knows no table but that of the keys; which columns are sealed, their worker says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use ring::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use schemas::TenantId;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::bucket::Wrapped;
use super::cipher::{opened, sealed};
use super::keys::{random_key, wrapped_surely};
use super::{KeyFacts, Vault, VaultError};
use crate::db::Tx;

/// What a sealed value begins with. The key's number follows, a colon, and nonce, text and tag in base64.
const FORM: &str = "sealed:v1:";

/// Where a value stands.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// With its schema.
    pub table: &'a str,
    pub column: &'a str,
    /// What names the row in its table, for ever.
    pub row: &'a str,
}

impl Place<'_> {
    /// No part but the last can hold a space.
    fn belongs(&self, tenant: &TenantId) -> String {
        format!(
            "column {tenant} {} {} {}",
            self.table, self.column, self.row
        )
    }
}

/// True for what has the sealed form, whether or not it opens.
#[must_use]
pub fn is_sealed(text: &str) -> bool {
    text.starts_with(FORM)
}

/// Number of the key that a value is sealed with; `None` for what is not sealed.
#[must_use]
pub fn key_of(text: &str) -> Option<i32> {
    parts_of(text).map(|(number, _)| number)
}

fn parts_of(text: &str) -> Option<(i32, &str)> {
    let (number, rest) = text.strip_prefix(FORM)?.split_once(':')?;
    Some((number.parse().ok()?, rest))
}

/// A key as it is stored.
#[derive(Debug, Clone, sqlx::FromRow)]
struct Stored {
    number: i32,
    master: String,
    wrapped: Vec<u8>,
    /// Stays when it is wrapped anew.
    made_at: OffsetDateTime,
}

impl Stored {
    /// When it is one of those at hand, whatever it is wrapped as now.
    fn made(&self, tenant: &TenantId) -> Made {
        (tenant.clone(), self.number, self.made_at)
    }

    /// As the vault has it.
    fn wrapped(&self, made_at: String) -> Wrapped {
        wrapped_of(self.number, &self.master, &self.wrapped, made_at)
    }
}

fn wrapped_of(number: i32, master: &str, wrapped: &[u8], made_at: String) -> Wrapped {
    Wrapped {
        number: u32::try_from(number).unwrap_or_default(),
        master: master.to_owned(),
        key: BASE64.encode(wrapped),
        made_at,
    }
}

/// A key that is not stored yet.
struct Fresh {
    number: i32,
    master: String,
    wrapped: Vec<u8>,
}

/// A key by whose and what it is wrapped as: numbers are given in transactions that may be taken back, this never changes.
type AtHand = HashMap<(TenantId, Vec<u8>), Arc<LessSafeKey>>;

/// A key by whose it is, its number and when it was made: a key that was taken back was made at another time.
type Made = (TenantId, i32, OffsetDateTime);

#[derive(Default)]
struct Shared {
    vault: Vault,
    seals: bool,
    at_hand: RwLock<AtHand>,
    /// To open with, also after they were wrapped anew. Nothing is sealed with what is found here: what is opened says by itself
    /// whether the key is its own.
    opening: RwLock<HashMap<Made, Arc<LessSafeKey>>>,
    /// Why a tenant's key with that number was not had: each cause is said once.
    said: Mutex<HashMap<(TenantId, i32), VaultError>>,
}

/// Seals and opens columns; cheap to clone.
#[derive(Clone, Default)]
pub struct Columns(Arc<Shared>);

impl Columns {
    /// Under the master keys of a vault; `seals`: new values too (`[encryption] columns`).
    #[must_use]
    pub fn new(vault: Vault, seals: bool) -> Self {
        Self(Arc::new(Shared {
            vault,
            seals,
            ..Shared::default()
        }))
    }

    /// True when new values are sealed.
    #[must_use]
    pub fn seals(&self) -> bool {
        self.0.seals
    }

    /// True when there is a master key: what was sealed can be opened.
    #[must_use]
    pub fn opens(&self) -> bool {
        self.0.vault.opens()
    }

    pub(crate) async fn seal(
        &self,
        tenant: &TenantId,
        conn: &mut PgConnection,
        place: Place<'_>,
        plain: &[u8],
    ) -> Result<String, sqlx::Error> {
        let (number, key) = self.newest(tenant, conn).await?;
        let sealed = sealed(&key, &place.belongs(tenant), plain).map_err(as_database)?;
        Ok(format!("{FORM}{number}:{}", BASE64.encode(&sealed)))
    }

    /// The newest key that the transaction sees; the first is made.
    async fn newest(
        &self,
        tenant: &TenantId,
        conn: &mut PgConnection,
    ) -> Result<(i32, Arc<LessSafeKey>), sqlx::Error> {
        let stored = match newest_stored(tenant, conn).await? {
            Some(stored) => stored,
            None => {
                let first = self.made(tenant, 1).await;
                insert(tenant, conn, &self.noted(tenant, 1, first)?).await?;
                // somebody else's, if he was faster
                newest_stored(tenant, conn)
                    .await?
                    .ok_or(sqlx::Error::RowNotFound)?
            }
        };
        let key = self.key(tenant, &stored).await;
        Ok((stored.number, self.noted(tenant, stored.number, key)?))
    }

    async fn made(&self, tenant: &TenantId, number: i32) -> Result<Fresh, VaultError> {
        let masters = &self.0.vault.0.masters;
        let master = masters.first().ok_or(VaultError::NoMaster)?;
        let name = format!("{tenant}.{number}");
        let wrapped = wrapped_surely(master.as_ref(), tenant, &name, &random_key()?).await?;
        tracing::info!(%tenant, number, "a new key of columns");
        Ok(Fresh {
            number,
            master: master.name(),
            wrapped,
        })
    }

    fn at_hand(&self, name: &(TenantId, Vec<u8>)) -> Option<Arc<LessSafeKey>> {
        let at_hand = self.0.at_hand.read();
        at_hand
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    async fn key(
        &self,
        tenant: &TenantId,
        stored: &Stored,
    ) -> Result<Arc<LessSafeKey>, VaultError> {
        let name = (tenant.clone(), stored.wrapped.clone());
        if let Some(key) = self.at_hand(&name) {
            return Ok(key);
        }
        let bytes = self
            .0
            .vault
            .unwrap(tenant, &stored.wrapped(String::new()))
            .await?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| VaultError::Cipher)?;
        let key = Arc::new(LessSafeKey::new(key));
        self.0
            .at_hand
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, Arc::clone(&key));
        Ok(key)
    }

    /// A key to open with.
    async fn opening(
        &self,
        tenant: &TenantId,
        stored: &Stored,
    ) -> Result<Arc<LessSafeKey>, VaultError> {
        let made = stored.made(tenant);
        let at_hand = {
            let opening = self.0.opening.read();
            opening
                .unwrap_or_else(PoisonError::into_inner)
                .get(&made)
                .cloned()
        };
        if let Some(key) = at_hand {
            return Ok(key);
        }
        let key = self.key(tenant, stored).await?;
        self.0
            .opening
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(made, Arc::clone(&key));
        Ok(key)
    }

    /// Keys to open with: those of these numbers, or all. One that can't be had is told by what needs it, and by
    /// [`Opener::waits`]: others open what is theirs.
    ///
    /// # Errors
    /// The database failed.
    pub async fn opener(
        &self,
        tenant: &TenantId,
        conn: &mut PgConnection,
        numbers: Option<Vec<i32>>,
    ) -> Result<Opener, sqlx::Error> {
        let rows: Vec<Stored> = sqlx::query_as(
            "select number, master, wrapped, made_at from integration.data_keys \
             where tenant_id = $1 and ($2::integer[] is null or number = any($2)) order by number",
        )
        .bind(tenant.as_str())
        .bind(numbers)
        .fetch_all(conn)
        .await?;
        let mut keys = HashMap::with_capacity(rows.len());
        for stored in rows {
            let key = self.opening(tenant, &stored).await;
            self.note(tenant, stored.number, key.as_ref().err());
            keys.insert(stored.number, key);
        }
        Ok(Opener {
            tenant: tenant.clone(),
            keys,
        })
    }

    /// Gives the transaction's tenant a new key for what is sealed from now on, and wraps those it has under the first master key,
    /// at its newest version. `None` when it has none yet: the first value that is sealed makes it.
    ///
    /// # Errors
    /// The database failed, or a key can't be had; nothing was changed then.
    pub async fn rotate(&self, tx: &mut Tx<'_>) -> Result<Option<i32>, sqlx::Error> {
        let tenant = tx.tenant().clone();
        // of two rotations at once the second sees the key that the first made: a row's lock would not show it
        sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(format!("data_keys/{tenant}"))
            .execute(tx.conn())
            .await?;
        let stored: Vec<Stored> = sqlx::query_as(
            "select number, master, wrapped, made_at from integration.data_keys where tenant_id = $1 order by number for update",
        )
        .bind(tenant.as_str())
        .fetch_all(tx.conn())
        .await?;
        let Some(last) = stored.last() else {
            return Ok(None);
        };
        let masters = &self.0.vault.0.masters;
        let master = masters
            .first()
            .ok_or_else(|| as_database(VaultError::NoMaster))?;
        let fresh = self
            .made(&tenant, last.number.saturating_add(1))
            .await
            .map_err(as_database)?;
        let newest = master.version(&fresh.wrapped);
        for one in &stored {
            let mut renewed = one.wrapped(String::new());
            self.0
                .vault
                .renew(master.as_ref(), newest, &tenant, &mut renewed)
                .await
                .map_err(as_database)?;
            let wrapped = BASE64
                .decode(&renewed.key)
                .map_err(|_| as_database(VaultError::Cipher))?;
            if wrapped != one.wrapped {
                sqlx::query(
                    "update integration.data_keys set master = $3, wrapped = $4 where tenant_id = $1 and number = $2",
                )
                .bind(tenant.as_str())
                .bind(one.number)
                .bind(&renewed.master)
                .bind(wrapped)
                .execute(tx.conn())
                .await?;
            }
        }
        insert(&tenant, tx.conn(), &fresh).await?;
        Ok(Some(fresh.number))
    }

    /// What is known of the keys of the transaction's tenant.
    ///
    /// # Errors
    /// The database failed.
    pub async fn facts(&self, tx: &mut Tx<'_>) -> Result<Vec<KeyFacts>, sqlx::Error> {
        let tenant = tx.tenant().clone();
        let rows: Vec<(i32, String, Vec<u8>, String)> = sqlx::query_as(
            "select number, master, wrapped, to_char(made_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') \
             from integration.data_keys where tenant_id = $1 order by number",
        )
        .bind(tenant.as_str())
        .fetch_all(tx.conn())
        .await?;
        let mut facts = Vec::with_capacity(rows.len());
        for (number, master, wrapped, made_at) in rows {
            let one = wrapped_of(number, &master, &wrapped, made_at);
            facts.push(self.0.vault.fact(&tenant, one, "columns").await);
        }
        Ok(facts)
    }

    /// Says why a key was not had, and hands on what waits.
    fn noted<T>(
        &self,
        tenant: &TenantId,
        number: i32,
        had: Result<T, VaultError>,
    ) -> Result<T, sqlx::Error> {
        self.note(tenant, number, had.as_ref().err());
        had.map_err(as_database)
    }

    /// Says why a key was not had, each cause once.
    fn note(&self, tenant: &TenantId, number: i32, fault: Option<&VaultError>) {
        let mut said = self.0.said.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (tenant.clone(), number);
        let Some(error) = fault else {
            said.remove(&key);
            return;
        };
        let before = said.insert(key, error.clone());
        if before.as_ref() != Some(error) {
            let what = if error.is_lost() {
                "is refused"
            } else {
                "waits"
            };
            tracing::error!(%tenant, %error, "a key of columns can't be had: what needs it {what}");
        }
    }
}

async fn newest_stored(
    tenant: &TenantId,
    conn: &mut PgConnection,
) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query_as(
        "select number, master, wrapped, made_at from integration.data_keys where tenant_id = $1 order by number desc limit 1",
    )
    .bind(tenant.as_str())
    .fetch_optional(conn)
    .await
}

/// Leaves a key that stands under this number as it is.
async fn insert(
    tenant: &TenantId,
    conn: &mut PgConnection,
    key: &Fresh,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into integration.data_keys (tenant_id, number, master, wrapped) values ($1, $2, $3, $4) \
         on conflict (tenant_id, number) do nothing",
    )
    .bind(tenant.as_str())
    .bind(key.number)
    .bind(&key.master)
    .bind(&key.wrapped)
    .execute(conn)
    .await?;
    Ok(())
}

/// Keys of one tenant.
pub struct Opener {
    tenant: TenantId,
    keys: HashMap<i32, Result<Arc<LessSafeKey>, VaultError>>,
}

impl Opener {
    /// Why one of the keys can't be had now, where asking again may bring it. Those that are lost for good are not told here.
    ///
    /// # Errors
    /// Such a key.
    pub fn waits(&self) -> Result<(), sqlx::Error> {
        let mut faults = self.keys.values().filter_map(|key| key.as_ref().err());
        match faults.find(|error| !error.is_lost()) {
            Some(error) => Err(as_database(error.clone())),
            None => Ok(()),
        }
    }

    /// What was sealed for that place.
    ///
    /// # Errors
    /// It is damaged or was moved, or its key can't be had.
    pub fn open(&self, place: Place<'_>, text: &str) -> Result<Bytes, sqlx::Error> {
        let (number, text) = parts_of(text).ok_or_else(|| self.damaged(place))?;
        let key = self
            .keys
            .get(&number)
            .ok_or_else(|| as_database(VaultError::Lost(format!("{}.{number}", self.tenant))))?
            .as_ref()
            .map_err(|error| as_database(error.clone()))?;
        let sealed = BASE64.decode(text).map_err(|_| self.damaged(place))?;
        opened(key, &place.belongs(&self.tenant), &sealed).ok_or_else(|| self.damaged(place))
    }

    /// Said here: who reads a page is told that it can't be read, and an operator must know which row.
    fn damaged(&self, place: Place<'_>) -> sqlx::Error {
        let Place { table, column, row } = place;
        tracing::error!(
            tenant = %self.tenant, table, column, row,
            "a sealed column does not open: it is damaged, or was moved"
        );
        as_database(VaultError::Damaged(format!("of {table}")))
    }
}

/// As the database's own failures come: whoever reads or writes a column has one kind to handle.
fn as_database(error: VaultError) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

#[cfg(test)]
mod tests;
