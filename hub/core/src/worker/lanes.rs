//! Who works which lane. A lane belongs to the process that holds its session lock in Postgres; the lock
//! is gone at once when the process dies, and another takes the lane over where the effect ended.
//! Each take-over raises the lane's epoch, and every commit is conditional on the epoch, so a process that
//! lost its lane without knowing can never commit (fencing).

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Row as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::lane::LANES;
use crate::retry::Pauses;
use crate::subject::StreamName;

/// Class of the advisory locks of lanes, and of the membership lock ("this process works").
const LOCK_LANE: i32 = 0x5A4C;
const LOCK_MEMBER: i32 = 0x5A4D;
/// How often ownership is looked at: lanes of a process that died wait this long at most. Every worker asks, also when
/// nothing comes.
const TICK: Duration = Duration::from_secs(1);
/// The three streams a worker may read.
pub(crate) const SOURCES: [StreamName; 3] =
    [StreamName::Events, StreamName::Commands, StreamName::Dead];

/// What a process may commit for one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) epoch: i64,
    /// Applied up to this sequence, by source.
    pub(crate) applied: [u64; 3],
}

/// Lanes of one worker that this process owns.
pub(crate) type Owned = BTreeMap<u16, Grant>;

/// Keeps this process's share of a worker's lanes.
pub(crate) struct LaneKeeper {
    pub(crate) worker: &'static str,
    pub(crate) options: PgConnectOptions,
    pub(crate) stop: CancellationToken,
}

impl LaneKeeper {
    /// Publishes what is owned until `stop`, then lets all go.
    pub(crate) async fn run(self, owned: watch::Sender<Owned>) {
        let mut pauses = Pauses::for_backbone();
        while !self.stop.is_cancelled() {
            match self.keep(&owned, &mut pauses).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::debug!(worker = self.worker, %error, "lanes can't be held now");
                }
            }
            // the connection is gone and with it the locks
            owned.send_if_modified(|lanes| {
                let had = !lanes.is_empty();
                lanes.clear();
                had
            });
            if !pauses.wait(&self.stop).await {
                return;
            }
        }
    }

    async fn keep(
        &self,
        owned: &watch::Sender<Owned>,
        pauses: &mut Pauses,
    ) -> Result<(), sqlx::Error> {
        let mut connection = tokio::time::timeout(Duration::from_secs(5), self.options.connect())
            .await
            .map_err(|_| sqlx::Error::PoolTimedOut)??;
        let key = worker_key(self.worker);
        sqlx::query("select pg_advisory_lock_shared($1, $2)")
            .bind(LOCK_MEMBER)
            .bind(key)
            .execute(&mut connection)
            .await?;
        pauses.reset();
        loop {
            let tick = self.tick(&mut connection, key, owned);
            match tokio::time::timeout(Duration::from_secs(5), tick).await {
                Ok(outcome) => outcome?,
                Err(_) => return Err(sqlx::Error::PoolTimedOut),
            }
            tokio::select! {
                () = self.stop.cancelled() => {
                    // those who work see an empty set and finish; the locks go with the connection
                    owned.send_replace(Owned::new());
                    connection.close().await?;
                    return Ok(());
                }
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    async fn tick(
        &self,
        connection: &mut PgConnection,
        key: i32,
        owned: &watch::Sender<Owned>,
    ) -> Result<(), sqlx::Error> {
        let members: i64 = sqlx::query_scalar(
            "select count(*) from pg_locks where locktype = 'advisory' and classid = $1 and objid = $2 and mode = 'ShareLock' and granted",
        )
        .bind(sqlx::postgres::types::Oid(LOCK_MEMBER.cast_unsigned()))
        .bind(sqlx::postgres::types::Oid(key.cast_unsigned()))
        .fetch_one(&mut *connection)
        .await?;
        let members = u16::try_from(members.max(1)).unwrap_or(u16::MAX);
        let share = usize::from(LANES.div_ceil(members));
        let mut mine = owned.borrow().clone();
        let before = mine.clone();
        while mine.len() > share {
            let Some((lane, _)) = mine.pop_last() else {
                break;
            };
            // work on it stops first: a commit under the old epoch may still come, and is then simply done
            owned.send_replace(mine.clone());
            sqlx::query("select pg_advisory_unlock($1, $2)")
                .bind(LOCK_LANE)
                .bind(lock_of(key, lane))
                .execute(&mut *connection)
                .await?;
            tracing::info!(worker = self.worker, lane, "lane given to another process");
        }
        for lane in 0..LANES {
            if mine.len() >= share {
                break;
            }
            if mine.contains_key(&lane) {
                continue;
            }
            let taken: bool = sqlx::query_scalar("select pg_try_advisory_lock($1, $2)")
                .bind(LOCK_LANE)
                .bind(lock_of(key, lane))
                .fetch_one(&mut *connection)
                .await?;
            if taken {
                let grant = self.take(connection, lane).await?;
                mine.insert(lane, grant);
            }
        }
        if mine != before {
            tracing::info!(
                worker = self.worker,
                lanes = mine.len(),
                members,
                "lanes owned"
            );
            metrics::gauge!("hub_worker_lanes", "worker" => self.worker).set(mine.len() as f64);
            owned.send_replace(mine);
        }
        Ok(())
    }

    async fn take(&self, connection: &mut PgConnection, lane: u16) -> Result<Grant, sqlx::Error> {
        let sources: Vec<&str> = SOURCES.iter().map(|source| source.as_str()).collect();
        let rows = sqlx::query(
            "insert into integration.lanes (worker, source, lane, epoch)
             select $1, source, $3, 1 from unnest($2::text[]) as s(source)
             on conflict (worker, source, lane) do update set epoch = lanes.epoch + 1
             returning source, epoch, applied_seq",
        )
        .bind(self.worker)
        .bind(&sources)
        .bind(i16::try_from(lane).unwrap_or(i16::MAX))
        .fetch_all(&mut *connection)
        .await?;
        let mut grant = Grant {
            epoch: 0,
            applied: [0; 3],
        };
        for row in rows {
            let source: String = row.try_get(0)?;
            let epoch: i64 = row.try_get(1)?;
            let applied: i64 = row.try_get(2)?;
            grant.epoch = grant.epoch.max(epoch);
            if let Some(index) = SOURCES.iter().position(|s| s.as_str() == source) {
                grant.applied[index] = u64::try_from(applied).unwrap_or(0);
            }
        }
        // one epoch for all sources of the lane
        sqlx::query("update integration.lanes set epoch = $3 where worker = $1 and lane = $2")
            .bind(self.worker)
            .bind(i16::try_from(lane).unwrap_or(i16::MAX))
            .bind(grant.epoch)
            .execute(&mut *connection)
            .await?;
        Ok(grant)
    }
}

/// A small number for a worker's name; two workers with the same number would only share their lanes' locks.
fn worker_key(worker: &str) -> i32 {
    let hash = worker.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    i32::try_from(hash % 0x00FF_FFFF).unwrap_or(0)
}

fn lock_of(key: i32, lane: u16) -> i32 {
    key.wrapping_mul(64).wrapping_add(i32::from(lane))
}
