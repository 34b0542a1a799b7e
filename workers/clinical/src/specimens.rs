//! Specimens as orders and results name them, and the steps that staff take with them.

use std::collections::BTreeMap;

use hub_core::mappings::Mappings;
use hub_core::{Envelope, Tx};
use schemas::Body;
use schemas::TenantId;
use schemas::care::Specimen;
use schemas::ids::care_key;
use schemas::specimens::{AccessionSpecimen, ChangeSpecimen, MoveSpecimen};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::batch::Batch;
use crate::body;

mod change;
mod orders;
pub(crate) mod rejected;
pub(crate) mod reported;
pub(crate) mod state;
mod step;

pub(crate) use orders::{Brought, ask_for_another, brought, collected_again};

/// Carries out every `lis.specimen.accession`, `lis.specimen.move` and `lis.specimen.change` of the batch, in their order.
pub(crate) async fn command(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    maps: &Mappings,
) -> Result<(), sqlx::Error> {
    for slot in 0..batch.envelopes.len() {
        let envelope = &batch.envelopes[slot];
        let done = match envelope.name.as_str() {
            AccessionSpecimen::NAME => match body::decode::<AccessionSpecimen>(envelope) {
                Ok(command) => orders::accession(tx, batch, slot, maps, &command).await?,
                Err(refusal) => Err(refusal),
            },
            MoveSpecimen::NAME => match body::decode::<MoveSpecimen>(envelope) {
                Ok(command) => step::take(tx, batch, slot, &command).await?,
                Err(refusal) => Err(refusal),
            },
            ChangeSpecimen::NAME => match body::decode::<ChangeSpecimen>(envelope) {
                Ok(command) => change::apply(tx, batch, slot, &command).await?,
                Err(refusal) => Err(refusal),
            },
            _ => continue,
        };
        if let Err(refusal) = done {
            batch.refuse(slot, refusal);
        }
    }
    Ok(())
}

/// One specimen to be kept.
pub(crate) struct SpecimenRow<'s> {
    pub(crate) key: Uuid,
    specimen: &'s Specimen,
    subject: Option<Uuid>,
    source_event: Uuid,
    collected_at: Option<OffsetDateTime>,
    received_at: Option<OffsetDateTime>,
}

impl<'s> SpecimenRow<'s> {
    /// `None` when it has no number to know it by. Times that cannot be read are left out: they are the sender's remark, not the
    /// result.
    pub(crate) fn of(
        envelope: &Envelope,
        specimen: &'s Specimen,
        subject: Option<Uuid>,
    ) -> Option<Self> {
        let number = [&specimen.number, &specimen.filler_number]
            .into_iter()
            .flatten()
            .find(|number| !number.is_empty())?;
        Some(Self {
            key: key_of(&envelope.tenant, number, subject),
            specimen,
            subject,
            source_event: envelope.id,
            collected_at: body::time(specimen.collected_at.as_deref(), "collected_at")
                .unwrap_or_default(),
            received_at: body::time(specimen.received_at.as_deref(), "received_at")
                .unwrap_or_default(),
        })
    }
}

/// What a specimen is known by. Analyzers count sample numbers from 1, so the patient is part of it.
fn key_of(tenant: &TenantId, number: &str, subject: Option<Uuid>) -> Uuid {
    let subject = subject.map(|key| key.to_string()).unwrap_or_default();
    care_key(tenant, "specimen", &[number, &subject])
}

/// Inserts or completes them: what is said replaces, what is not said stays, and a row that would not change is not
/// written. Sorted by key, so that two workers never wait for each other crosswise.
pub(crate) async fn keep(tx: &mut Tx<'_>, rows: Vec<SpecimenRow<'_>>) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows: BTreeMap<Uuid, SpecimenRow<'_>> =
        rows.into_iter().map(|row| (row.key, row)).collect();
    let json = |code: &Option<schemas::care::Code>| {
        code.as_ref()
            .and_then(|code| serde_json::to_value(code).ok())
    };
    let of = |read: fn(&Specimen) -> &Option<schemas::care::Code>| -> Vec<_> {
        rows.values().map(|row| json(read(row.specimen))).collect()
    };
    let text = |read: fn(&Specimen) -> &Option<String>| -> Vec<Option<&str>> {
        rows.values()
            .map(|row| read(row.specimen).as_deref())
            .collect()
    };
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into clinical.specimens as specimen (tenant_id, id, specimen_key, number, filler_number, subject_key, \
         kind, body_site, role, container, condition, collected_at, received_at, source_event) \
         select $1, * from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::jsonb[], \
         $8::jsonb[], $9::text[], $10::jsonb[], $11::jsonb[], $12::timestamptz[], $13::timestamptz[], $14::uuid[]) \
         on conflict (specimen_key) do update set \
         filler_number = coalesce(excluded.filler_number, specimen.filler_number), \
         kind = coalesce(excluded.kind, specimen.kind), \
         body_site = coalesce(excluded.body_site, specimen.body_site), \
         role = coalesce(excluded.role, specimen.role), \
         container = coalesce(excluded.container, specimen.container), \
         condition = coalesce(excluded.condition, specimen.condition), \
         collected_at = coalesce(excluded.collected_at, specimen.collected_at), \
         received_at = coalesce(excluded.received_at, specimen.received_at), \
         version = specimen.version + 1, updated_at = now() \
         where (coalesce(excluded.filler_number, specimen.filler_number), coalesce(excluded.kind, specimen.kind), \
         coalesce(excluded.body_site, specimen.body_site), coalesce(excluded.role, specimen.role), \
         coalesce(excluded.container, specimen.container), coalesce(excluded.condition, specimen.condition), \
         coalesce(excluded.collected_at, specimen.collected_at), \
         coalesce(excluded.received_at, specimen.received_at)) \
         is distinct from (specimen.filler_number, specimen.kind, specimen.body_site, specimen.role, \
         specimen.container, specimen.condition, specimen.collected_at, specimen.received_at)",
    )
    .bind(tenant.as_str())
    .bind(rows.values().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
    .bind(rows.keys().copied().collect::<Vec<_>>())
    .bind(text(|specimen| &specimen.number))
    .bind(text(|specimen| &specimen.filler_number))
    .bind(rows.values().map(|row| row.subject).collect::<Vec<_>>())
    .bind(of(|specimen| &specimen.kind))
    .bind(of(|specimen| &specimen.body_site))
    .bind(text(|specimen| &specimen.role))
    .bind(of(|specimen| &specimen.container))
    .bind(of(|specimen| &specimen.condition))
    .bind(rows.values().map(|row| row.collected_at).collect::<Vec<_>>())
    .bind(rows.values().map(|row| row.received_at).collect::<Vec<_>>())
    .bind(rows.values().map(|row| row.source_event).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Links specimens, by key, to orders.
pub(crate) async fn link(tx: &mut Tx<'_>, links: &[(Uuid, Uuid)]) -> Result<(), sqlx::Error> {
    if links.is_empty() {
        return Ok(());
    }
    let (orders, keys): (Vec<Uuid>, Vec<Uuid>) = links.iter().copied().unzip();
    sqlx::query(
        "insert into clinical.order_specimens (tenant_id, order_id, specimen_id) \
         select distinct specimen.tenant_id, link.order_id, specimen.id \
         from unnest($1::uuid[], $2::uuid[]) as link (order_id, specimen_key) \
         join clinical.specimens as specimen on specimen.specimen_key = link.specimen_key \
         on conflict do nothing",
    )
    .bind(orders)
    .bind(keys)
    .execute(tx.conn())
    .await?;
    Ok(())
}
