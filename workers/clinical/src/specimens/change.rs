//! `lis.specimen.change`: what a specimen is and in what, while the laboratory has not rejected it. Its number and its patient never
//! change: what was measured was found by them.

use hub_core::{Refusal, Tx};
use schemas::Body as _;
use schemas::Patch;
use schemas::care::Code;
use schemas::specimens::{ChangeSpecimen, SpecimenChanged};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::audit;
use crate::batch::Batch;

/// What may change of it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
struct Standing {
    kind: Option<Value>,
    body_site: Option<Value>,
    container: Option<Value>,
    condition: Option<Value>,
    rejected_at: Option<OffsetDateTime>,
    version: i32,
    subject_key: Option<Uuid>,
}

fn changed(stored: &mut Option<Value>, said: &Patch<Code>) {
    match said {
        Patch::Keep => {}
        Patch::Clear => *stored = None,
        Patch::Set(code) => *stored = serde_json::to_value(code).ok(),
    }
}

pub(super) async fn apply(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &ChangeSpecimen,
) -> Result<Result<(), Refusal>, sqlx::Error> {
    let before: Option<Standing> = sqlx::query_as(
        "select kind, body_site, container, condition, rejected_at, version, subject_key \
         from clinical.specimens where id = $1 for update",
    )
    .bind(command.specimen_id)
    .fetch_optional(tx.conn())
    .await?;
    let Some(before) = before else {
        return Ok(Err(Refusal::new(
            "clinical.specimen_unknown",
            "no specimen has this id",
        )));
    };
    if command
        .version
        .is_some_and(|version| version != before.version)
    {
        return Ok(Err(Refusal::new(
            "clinical.specimen_stale",
            "the specimen was changed meanwhile: read it again",
        )));
    }
    if before.rejected_at.is_some() {
        return Ok(Err(Refusal::new(
            "clinical.specimen_conflict",
            "a specimen that is rejected stays as it is",
        )));
    }
    let mut after = before.clone();
    changed(&mut after.kind, &command.kind);
    changed(&mut after.body_site, &command.body_site);
    changed(&mut after.container, &command.container);
    changed(&mut after.condition, &command.condition);
    let is_news = after != before;
    after.version += i32::from(is_news);
    if is_news {
        write(tx, batch, slot, command, &after).await?;
    }
    batch.answer(
        slot,
        json!({ "specimen_id": command.specimen_id, "version": after.version }),
    );
    Ok(Ok(()))
}

async fn write(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &ChangeSpecimen,
    after: &Standing,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update clinical.specimens set kind = $2, body_site = $3, container = $4, condition = $5, version = $6, \
         updated_at = now() where id = $1",
    )
    .bind(command.specimen_id)
    .bind(&after.kind)
    .bind(&after.body_site)
    .bind(&after.container)
    .bind(&after.condition)
    .bind(after.version)
    .execute(tx.conn())
    .await?;
    batch.say(
        slot,
        &SpecimenChanged {
            specimen_id: command.specimen_id,
            version: after.version,
        },
    );
    audit::about(
        tx,
        &command.actor,
        ChangeSpecimen::NAME,
        &format!("specimen:{}", command.specimen_id),
        &[batch.envelopes[slot].id],
        Some(json!({ "version": after.version })),
        after.subject_key.as_slice(),
    )
    .await
}
