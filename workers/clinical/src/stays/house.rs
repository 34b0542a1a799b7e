//! Defining the house: facilities, departments, wards, beds. A place is its code and keeps its id; defining it again changes what
//! else is known of it. Nothing is deleted: what is out of use is retired, and only when nothing in use hangs on it.

use hub_core::{Refusal, Tx};
use schemas::Body;
use schemas::house::{
    DefineBed, DefineDepartment, DefineFacility, DefineWard, SetBedState, bed_id, department_id,
    facility_id, ward_id,
};
use serde_json::json;
use uuid::Uuid;

use crate::batch::Batch;
use crate::{audit, body};

mod beds;

/// What a definition came to: the version that stands, or why it does not.
type Defined = Result<i32, Refusal>;

/// Carries out every command of the batch about the house.
pub(super) async fn apply(tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Result<(), sqlx::Error> {
    for slot in batch.named(DefineFacility::NAME) {
        if let Some(command) = read::<DefineFacility>(batch, slot) {
            let id = facility_id(tx.tenant(), &command.code);
            let defined = facility(tx, id, &command).await?;
            told::<DefineFacility>(tx, batch, slot, &command.actor, "facility", id, defined)
                .await?;
        }
    }
    for slot in batch.named(DefineDepartment::NAME) {
        if let Some(command) = read::<DefineDepartment>(batch, slot) {
            let id = department_id(tx.tenant(), command.facility_id, &command.code);
            let defined = department(tx, id, &command).await?;
            told::<DefineDepartment>(tx, batch, slot, &command.actor, "department", id, defined)
                .await?;
        }
    }
    for slot in batch.named(DefineWard::NAME) {
        if let Some(command) = read::<DefineWard>(batch, slot) {
            let id = ward_id(tx.tenant(), command.facility_id, &command.code);
            let defined = ward(tx, id, &command).await?;
            told::<DefineWard>(tx, batch, slot, &command.actor, "ward", id, defined).await?;
        }
    }
    for slot in batch.named(DefineBed::NAME) {
        if let Some(command) = read::<DefineBed>(batch, slot) {
            let room = command.room.as_deref().unwrap_or_default();
            let id = bed_id(tx.tenant(), command.ward_id, room, &command.code);
            let defined = beds::bed(tx, batch, slot, id, &command).await?;
            told::<DefineBed>(tx, batch, slot, &command.actor, "bed", id, defined).await?;
        }
    }
    for slot in batch.named(SetBedState::NAME) {
        if let Some(command) = read::<SetBedState>(batch, slot) {
            beds::set_state(tx, batch, slot, &command).await?;
        }
    }
    Ok(())
}

fn read<T: Body>(batch: &mut Batch<'_>, slot: usize) -> Option<T> {
    match body::decode::<T>(&batch.envelopes[slot]) {
        Ok(command) => Some(command),
        Err(refusal) => {
            batch.refuse(slot, refusal);
            None
        }
    }
}

async fn told<T: Body>(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    actor: &str,
    kind: &'static str,
    id: Uuid,
    defined: Defined,
) -> Result<(), sqlx::Error> {
    let version = match defined {
        Ok(version) => version,
        Err(refusal) => {
            batch.refuse(slot, refusal);
            return Ok(());
        }
    };
    batch.answer(
        slot,
        json!({ "id": id, "version": version, "created": version == 1 }),
    );
    audit::entry(
        tx,
        actor,
        T::NAME,
        &format!("{kind}:{id}"),
        &[batch.envelopes[slot].id],
        Some(json!({ "version": version })),
    )
    .await
}

/// Why a guarded write changed nothing.
fn not_written(version: Option<i32>, kind: &str) -> Refusal {
    if version == Some(0) {
        Refusal::new("adt.place_exists", format!("a {kind} of this code exists"))
    } else {
        Refusal::new(
            "adt.place_stale",
            format!("the {kind} was changed meanwhile: read it again"),
        )
    }
}

async fn facility(
    tx: &mut Tx<'_>,
    id: Uuid,
    command: &DefineFacility,
) -> Result<Defined, sqlx::Error> {
    let zone: bool =
        sqlx::query_scalar("select exists (select from pg_timezone_names where name = $1)")
            .bind(&command.zone)
            .fetch_one(tx.conn())
            .await?;
    if !zone {
        return Ok(Err(Refusal::new(
            "adt.zone",
            "the zone is none of the IANA time zones, as Asia/Kolkata is",
        )));
    }
    if command.retired
        && in_use(
            tx,
            "select exists (select from clinical.departments where facility_id = $1 and state = 'active')",
            id,
        )
        .await?
    {
        return Ok(Err(still_in_use("departments")));
    }
    let tenant = tx.tenant().clone();
    let written: Option<i32> = sqlx::query_scalar(
        "insert into clinical.facilities (tenant_id, id, code, name, zone, state, updated_by) \
         select $1, $2, $3, $4, $5, $6, $7 where $8 is null or $8 = 0 or exists (select from clinical.facilities where id = $2) \
         on conflict (id) do update set name = excluded.name, zone = excluded.zone, state = excluded.state, \
         updated_by = excluded.updated_by, updated_at = now(), version = facilities.version + 1 \
         where $8 is null or facilities.version = $8 returning version",
    )
    .bind(tenant.as_str())
    .bind(id)
    .bind(&command.code)
    .bind(&command.name)
    .bind(&command.zone)
    .bind(state(command.retired))
    .bind(&command.actor)
    .bind(command.version)
    .fetch_optional(tx.conn())
    .await?;
    Ok(written.ok_or_else(|| not_written(command.version, "facility")))
}

async fn department(
    tx: &mut Tx<'_>,
    id: Uuid,
    command: &DefineDepartment,
) -> Result<Defined, sqlx::Error> {
    if !known(
        tx,
        "select exists (select from clinical.facilities where id = $1)",
        command.facility_id,
    )
    .await?
    {
        return Ok(Err(Refusal::new(
            "adt.facility_unknown",
            "no facility has this id",
        )));
    }
    if command.retired
        && in_use(
            tx,
            "select exists (select from clinical.wards where department_id = $1 and state = 'active')",
            id,
        )
        .await?
    {
        return Ok(Err(still_in_use("wards")));
    }
    let tenant = tx.tenant().clone();
    lock_codes(tx, command.facility_id).await?;
    let clash: bool = sqlx::query_scalar(
        "select exists (select from clinical.wards where facility_id = $1 and upper(code) = upper($2) and department_id <> $3)",
    )
    .bind(command.facility_id)
    .bind(&command.code)
    .bind(id)
    .fetch_one(tx.conn())
    .await?;
    if clash {
        return Ok(Err(code_in_use()));
    }
    let written: Option<i32> = sqlx::query_scalar(
        "insert into clinical.departments (tenant_id, id, facility_id, code, name, state, updated_by) \
         select $1, $2, $3, $4, $5, $6, $7 where $8 is null or $8 = 0 or exists (select from clinical.departments where id = $2) \
         on conflict (id) do update set name = excluded.name, state = excluded.state, \
         updated_by = excluded.updated_by, updated_at = now(), version = departments.version + 1 \
         where $8 is null or departments.version = $8 returning version",
    )
    .bind(tenant.as_str())
    .bind(id)
    .bind(command.facility_id)
    .bind(&command.code)
    .bind(&command.name)
    .bind(state(command.retired))
    .bind(&command.actor)
    .bind(command.version)
    .fetch_optional(tx.conn())
    .await?;
    Ok(written.ok_or_else(|| not_written(command.version, "department")))
}

async fn ward(tx: &mut Tx<'_>, id: Uuid, command: &DefineWard) -> Result<Defined, sqlx::Error> {
    let department: Option<Uuid> = sqlx::query_scalar(
        "select facility_id from clinical.departments where id = $1 and state = 'active'",
    )
    .bind(command.department_id)
    .fetch_optional(tx.conn())
    .await?;
    if department != Some(command.facility_id) {
        return Ok(Err(Refusal::new(
            "adt.department_unknown",
            "the facility has no active department of this id",
        )));
    }
    if command.retired
        && in_use(
            tx,
            "select exists (select from clinical.ward_beds where ward_id = $1 and not retired)",
            id,
        )
        .await?
    {
        return Ok(Err(still_in_use("beds")));
    }
    lock_codes(tx, command.facility_id).await?;
    let clash: bool = sqlx::query_scalar(
        "select exists (select from clinical.departments where facility_id = $1 and upper(code) = upper($2) and id <> $3)",
    )
    .bind(command.facility_id)
    .bind(&command.code)
    .bind(command.department_id)
    .fetch_one(tx.conn())
    .await?;
    if clash {
        return Ok(Err(code_in_use()));
    }
    let tenant = tx.tenant().clone();
    let written: Option<i32> = sqlx::query_scalar(
        "insert into clinical.wards (tenant_id, id, facility_id, department_id, code, name, class, state, updated_by) \
         select $1, $2, $3, $4, $5, $6, $7, $8, $9 \
         where $10 is null or $10 = 0 or exists (select from clinical.wards where id = $2) \
         on conflict (id) do update set department_id = excluded.department_id, name = excluded.name, class = excluded.class, \
         state = excluded.state, updated_by = excluded.updated_by, updated_at = now(), version = wards.version + 1 \
         where $10 is null or wards.version = $10 returning version",
    )
    .bind(tenant.as_str())
    .bind(id)
    .bind(command.facility_id)
    .bind(command.department_id)
    .bind(&command.code)
    .bind(&command.name)
    .bind(&command.class)
    .bind(state(command.retired))
    .bind(&command.actor)
    .bind(command.version)
    .fetch_optional(tx.conn())
    .await?;
    Ok(written.ok_or_else(|| not_written(command.version, "ward")))
}

/// Grants name departments and wards in one word: two commands that give one facility's codes take turns.
async fn lock_codes(tx: &mut Tx<'_>, facility: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("select id from clinical.facilities where id = $1 for update")
        .bind(facility)
        .execute(tx.conn())
        .await
        .map(drop)
}

fn code_in_use() -> Refusal {
    Refusal::new(
        "adt.code_in_use",
        "a ward and another department would have one code: grants could not tell them apart",
    )
}

fn still_in_use(what: &str) -> Refusal {
    Refusal::new(
        "adt.place_in_use",
        format!("it has {what} in use: retire them first"),
    )
}

async fn in_use(tx: &mut Tx<'_>, question: &'static str, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(question)
        .bind(id)
        .fetch_one(tx.conn())
        .await
}

async fn known(tx: &mut Tx<'_>, question: &'static str, id: Uuid) -> Result<bool, sqlx::Error> {
    in_use(tx, question, id).await
}

fn state(retired: bool) -> &'static str {
    if retired { "retired" } else { "active" }
}
