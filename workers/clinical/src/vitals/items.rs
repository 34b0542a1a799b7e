//! Items of the worklist: measurements of one origin that wait for the same reason are one item.

use std::collections::{BTreeSet, HashMap};

use hub_core::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Reason;
use super::incoming::Row;

/// What makes measurements one item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    channel: String,
    origin: Uuid,
    reason: &'static str,
    device: Option<String>,
    named: Option<Uuid>,
}

struct Item {
    key: Key,
    bed_key: Option<Uuid>,
    place: Option<serde_json::Value>,
    first_at: OffsetDateTime,
    last_at: OffsetDateTime,
    waiting: i32,
}

/// What a measurement says of its item.
pub(super) struct Waiting<'w> {
    pub(super) channel: &'w str,
    pub(super) origin: Uuid,
    pub(super) device: Option<&'w str>,
    pub(super) named: Option<Uuid>,
    pub(super) bed_key: Option<Uuid>,
    pub(super) place: Option<&'w serde_json::Value>,
    pub(super) observed_at: OffsetDateTime,
    /// False for an old version: it stands in the item, and nobody waits for it.
    pub(super) counts: bool,
}

/// An item's id and key: channel, origin, reason, device, named patient.
type Saved = (i64, String, Uuid, String, Option<String>, Option<Uuid>);

/// The items of a batch, in the order in which they were first met.
#[derive(Default)]
pub(super) struct Items {
    items: Vec<Item>,
    places: HashMap<Key, usize>,
}

impl Items {
    /// Adds a measurement; answers the place of its item.
    pub(super) fn add(&mut self, row: &Row, reason: Reason) -> usize {
        self.put(
            &Waiting {
                channel: row.channel.as_str(),
                origin: row.origin,
                device: row.device.as_deref(),
                named: row.named.as_ref().map(|(key, _)| *key),
                bed_key: row.bed_key,
                place: row.place.as_ref(),
                observed_at: row.observed_at,
                counts: row.is_current(),
            },
            reason,
        )
    }

    pub(super) fn put(&mut self, waiting: &Waiting<'_>, reason: Reason) -> usize {
        let key = Key {
            channel: waiting.channel.to_owned(),
            origin: waiting.origin,
            reason: reason.as_str(),
            device: waiting.device.map(str::to_owned),
            named: waiting.named,
        };
        let place = *self.places.entry(key).or_insert_with_key(|key| {
            self.items.push(Item {
                key: key.clone(),
                bed_key: waiting.bed_key,
                place: waiting.place.cloned(),
                first_at: waiting.observed_at,
                last_at: waiting.observed_at,
                waiting: 0,
            });
            self.items.len() - 1
        });
        let item = &mut self.items[place];
        item.first_at = item.first_at.min(waiting.observed_at);
        item.last_at = item.last_at.max(waiting.observed_at);
        item.waiting += i32::from(waiting.counts);
        place
    }

    /// Opens the items, or adds to those that are open; answers their ids.
    pub(super) async fn save(self, tx: &mut Tx<'_>) -> Result<Vec<i64>, sqlx::Error> {
        if self.items.is_empty() {
            return Ok(Vec::new());
        }
        let tenant = tx.tenant().clone();
        let all = &self.items;
        let saved: Vec<Saved> = sqlx::query_as(
            "insert into clinical.unmatched_vitals as item (tenant_id, reason, channel, origin_key, bed_key, place, \
             device, named_key, first_at, last_at, waiting) \
             select $1, * from unnest($2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::jsonb[], $7::text[], \
             $8::uuid[], $9::timestamptz[], $10::timestamptz[], $11::integer[]) \
             on conflict (tenant_id, channel, origin_key, reason, coalesce(device, ''), \
             coalesce(named_key, '00000000-0000-0000-0000-000000000000')) where state = 'open' \
             do update set waiting = item.waiting + excluded.waiting, first_at = least(item.first_at, excluded.first_at), \
             last_at = greatest(item.last_at, excluded.last_at) \
             returning id, channel, origin_key, reason, device, named_key",
        )
        .bind(tenant.as_str())
        .bind(all.iter().map(|item| item.key.reason).collect::<Vec<_>>())
        .bind(all.iter().map(|item| item.key.channel.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|item| item.key.origin).collect::<Vec<_>>())
        .bind(all.iter().map(|item| item.bed_key).collect::<Vec<_>>())
        .bind(all.iter().map(|item| item.place.clone()).collect::<Vec<_>>())
        .bind(all.iter().map(|item| item.key.device.as_deref()).collect::<Vec<_>>())
        .bind(all.iter().map(|item| item.key.named).collect::<Vec<_>>())
        .bind(all.iter().map(|item| item.first_at).collect::<Vec<_>>())
        .bind(all.iter().map(|item| item.last_at).collect::<Vec<_>>())
        .bind(all.iter().map(|item| item.waiting).collect::<Vec<_>>())
        .fetch_all(tx.conn())
        .await?;
        let id_of = |key: &Key| {
            saved
                .iter()
                .find(|(_, channel, origin, reason, device, named)| {
                    *channel == key.channel
                        && *origin == key.origin
                        && reason == key.reason
                        && *device == key.device
                        && *named == key.named
                })
                .map_or(0, |(id, ..)| *id)
        };
        Ok(self.items.iter().map(|item| id_of(&item.key)).collect())
    }
}

/// Counts anew what waits in these items; where nothing does, the item is over.
pub(super) async fn recount(
    tx: &mut Tx<'_>,
    items: &BTreeSet<i64>,
    state: &str,
    by: &str,
) -> Result<(), sqlx::Error> {
    if items.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update clinical.unmatched_vitals as item set waiting = rest.count, \
         first_at = coalesce(rest.first_at, item.first_at), last_at = coalesce(rest.last_at, item.last_at), \
         state = case when rest.count = 0 then $2 else item.state end, \
         resolved_by = case when rest.count = 0 then $3 end, resolved_at = case when rest.count = 0 then now() end \
         from (select asked.id, count(vital.vital_key)::integer as count, min(vital.observed_at) as first_at, \
             max(vital.observed_at) as last_at \
             from unnest($1::bigint[]) as asked (id) left join clinical.vitals as vital on vital.item_id = asked.id \
             and vital.subject_key is null and vital.superseded_at is null group by asked.id) as rest \
         where item.id = rest.id and item.state = 'open'",
    )
    .bind(items.iter().copied().collect::<Vec<_>>())
    .bind(state)
    .bind(by)
    .execute(tx.conn())
    .await?;
    Ok(())
}
