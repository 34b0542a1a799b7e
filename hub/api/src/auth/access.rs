//! What a live token may do, looked up in the database and believed for some seconds: a right that is taken away, a
//! session that is ended, a user who is shut out, are noticed within [`FRESH`], in every process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemas::TenantId;
use uuid::Uuid;
use worker_identity::queries::{self, ClientRow, Standing, TenantRow};

use crate::problem::Problem;
use crate::state::ApiState;

/// How long what was read is believed.
const FRESH: Duration = Duration::from_secs(10);
/// How long it is believed while the database is away: together less than the minute in which a right must be gone.
const STALE: Duration = Duration::from_secs(45);
/// Entries kept; some megabytes.
const ENTRIES: usize = 10_000;

type Key = (TenantId, Uuid);
type Table<T> = Mutex<HashMap<Key, (Instant, Arc<T>)>>;

#[derive(Default)]
pub(crate) struct Access {
    users: Table<Standing>,
    clients: Table<ClientRow>,
    /// `None`: the tenant is on no list, and that is known.
    tenants: Table<Option<TenantRow>>,
}

impl Access {
    /// Where a user stands; `None` when there is no such user.
    pub(crate) async fn user(
        state: &ApiState,
        tenant: &TenantId,
        id: Uuid,
    ) -> Result<Option<Arc<Standing>>, Problem> {
        let key = (tenant.clone(), id);
        let before = get(&state.access.users, &key);
        if let Some(found) = fresh(before.as_ref()) {
            return Ok(Some(found));
        }
        let read = async {
            let mut tx = state.read(tenant).await?;
            queries::standing(tx.conn(), id)
                .await
                .map_err(Problem::from)
        };
        settle(&state.access.users, key, before, read.await)
    }

    /// An API client as it is now.
    pub(crate) async fn client(
        state: &ApiState,
        tenant: &TenantId,
        id: Uuid,
    ) -> Result<Option<Arc<ClientRow>>, Problem> {
        let key = (tenant.clone(), id);
        let before = get(&state.access.clients, &key);
        if let Some(found) = fresh(before.as_ref()) {
            return Ok(Some(found));
        }
        let read = async {
            let mut tx = state.read(tenant).await?;
            queries::client(tx.conn(), id).await.map_err(Problem::from)
        };
        settle(&state.access.clients, key, before, read.await)
    }

    /// A tenant as it is now; `None` when it is on no list.
    pub(crate) async fn tenant(
        state: &ApiState,
        tenant: &TenantId,
    ) -> Result<Arc<Option<TenantRow>>, Problem> {
        let key = (tenant.clone(), Uuid::nil());
        let before = get(&state.access.tenants, &key);
        if let Some(found) = fresh(before.as_ref()) {
            return Ok(found);
        }
        let read = async {
            let mut tx = state.read(tenant).await?;
            queries::tenant(tx.conn(), tenant.as_str())
                .await
                .map(Some)
                .map_err(Problem::from)
        };
        let found = settle(&state.access.tenants, key, before, read.await)?;
        Ok(found.unwrap_or_default())
    }

    /// After a change through this process nobody shall have to wait for it.
    pub(crate) fn forget(&self) {
        lock(&self.users).clear();
        lock(&self.clients).clear();
        lock(&self.tenants).clear();
    }
}

fn lock<T>(table: &Table<T>) -> std::sync::MutexGuard<'_, HashMap<Key, (Instant, Arc<T>)>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

fn get<T>(table: &Table<T>, key: &Key) -> Option<(Instant, Arc<T>)> {
    lock(table).get(key).cloned()
}

fn fresh<T>(entry: Option<&(Instant, Arc<T>)>) -> Option<Arc<T>> {
    entry
        .filter(|(at, _)| at.elapsed() < FRESH)
        .map(|(_, found)| Arc::clone(found))
}

fn settle<T>(
    table: &Table<T>,
    key: Key,
    before: Option<(Instant, Arc<T>)>,
    read: Result<Option<T>, Problem>,
) -> Result<Option<Arc<T>>, Problem> {
    match read {
        Ok(Some(found)) => {
            let found = Arc::new(found);
            let mut table = lock(table);
            if table.len() >= ENTRIES {
                table.retain(|_, (at, _)| at.elapsed() < FRESH);
                if table.len() >= ENTRIES {
                    table.clear();
                }
            }
            table.insert(key, (Instant::now(), Arc::clone(&found)));
            Ok(Some(found))
        }
        Ok(None) => {
            lock(table).remove(&key);
            Ok(None)
        }
        Err(problem) => match before.filter(|(at, _)| at.elapsed() < STALE) {
            Some((_, found)) => Ok(Some(found)),
            None => Err(problem),
        },
    }
}
