//! Defining the house: facilities, departments, wards, beds. A place is its code and keeps its id; defining it again changes what
//! else is known of it. Nothing is deleted: what is out of use is retired, and only when nothing in use hangs on it.

use hub_core::{Refusal, Tx};
use schemas::Body;
use schemas::care::Location;
use schemas::devices::Bed;
use schemas::house::{
    DefineBed, DefineDepartment, DefineFacility, DefineWard, SetBedState, bed_id, department_id,
    facility_id, ward_id,
};
use serde_json::json;
use uuid::Uuid;

use super::assignments::{self, Voice};
use super::bed_state::{self, By};
use super::differences;
use crate::batch::Batch;
use crate::{audit, body};

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
            let defined = bed(tx, batch, slot, id, &command).await?;
            told::<DefineBed>(tx, batch, slot, &command.actor, "bed", id, defined).await?;
        }
    }
    for slot in batch.named(SetBedState::NAME) {
        if let Some(command) = read::<SetBedState>(batch, slot) {
            set_state(tx, batch, slot, &command).await?;
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

async fn bed(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    id: Uuid,
    command: &DefineBed,
) -> Result<Defined, sqlx::Error> {
    let names: Option<(String, String)> = sqlx::query_as(
        "select ward.code, facility.code from clinical.wards ward \
         join clinical.facilities facility on facility.id = ward.facility_id where ward.id = $1 and ward.state = 'active'",
    )
    .bind(command.ward_id)
    .fetch_optional(tx.conn())
    .await?;
    let Some((ward, facility)) = names else {
        return Ok(Err(Refusal::new(
            "adt.ward_unknown",
            "no active ward has this id",
        )));
    };
    let place = Location {
        point_of_care: Some(ward),
        room: command.room.clone(),
        bed: Some(command.code.clone()),
        facility: Some(facility),
    };
    let Some(bed) = Bed::of(&place) else {
        return Ok(Err(Refusal::new("adt.code", "the bed has no code")));
    };
    let tenant = tx.tenant().clone();
    let key = bed.key(&tenant);
    let written: Option<i32> = sqlx::query_scalar(
        "insert into clinical.ward_beds (tenant_id, id, ward_id, code, room, bed_key, retired, updated_by) \
         select $1, $2, $3, $4, $5, $6, $7, $8 where $9 is null or $9 = 0 or exists (select from clinical.ward_beds where id = $2) \
         on conflict (id) do update set retired = excluded.retired, updated_by = excluded.updated_by, updated_at = now(), \
         version = ward_beds.version + 1 where ($9 is null or ward_beds.version = $9) \
         and (not excluded.retired or ward_beds.state not in ('occupied', 'reserved')) returning version",
    )
    .bind(tenant.as_str())
    .bind(id)
    .bind(command.ward_id)
    .bind(&command.code)
    .bind(command.room.as_deref().unwrap_or_default())
    .bind(key)
    .bind(command.retired)
    .bind(&command.actor)
    .bind(command.version)
    .fetch_optional(tx.conn())
    .await?;
    let Some(version) = written else {
        let taken: Option<String> = sqlx::query_scalar(
            "select state from clinical.ward_beds where id = $1 and state in ('occupied', 'reserved')",
        )
        .bind(id)
        .fetch_optional(tx.conn())
        .await?;
        return Ok(Err(match taken {
            Some(state) if command.retired => Refusal::new(
                "adt.bed_conflict",
                format!(
                    "a bed in use is not retired; from: {state}; to: retired; allowed: nothing"
                ),
            ),
            _ => not_written(command.version, "bed"),
        }));
    };
    if version == 1 {
        arrive(tx, batch, slot, key).await?;
    }
    Ok(Ok(version))
}

/// A hospital system may have put somebody into the bed before the register had it.
async fn arrive(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    bed_key: Uuid,
) -> Result<(), sqlx::Error> {
    differences::settle_bed(tx, bed_key).await?;
    let inside: Vec<Uuid> = sqlx::query_scalar(
        "select distinct encounter_key from clinical.bed_stays where bed_key = $1 and not void and to_at is null",
    )
    .bind(bed_key)
    .fetch_all(tx.conn())
    .await?;
    let causes = inside.into_iter().map(|key| (key, slot)).collect();
    let conflicts = assignments::follow(tx, batch, causes, Voice::System).await?;
    differences::held(tx, batch, &conflicts).await
}

async fn set_state(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &SetBedState,
) -> Result<(), sqlx::Error> {
    let id = command.bed_id;
    if let Some(version) = command.version {
        let stands: Option<i32> =
            sqlx::query_scalar("select version from clinical.ward_beds where id = $1 for update")
                .bind(id)
                .fetch_optional(tx.conn())
                .await?;
        if stands.is_some_and(|stands| stands != version) {
            batch.refuse(slot, not_written(Some(version), "bed"));
            return Ok(());
        }
    }
    let from = match bed_state::change(tx, batch, slot, By::Person, id, command.to).await? {
        Ok(from) => from,
        Err(refusal) => {
            batch.refuse(slot, refusal);
            return Ok(());
        }
    };
    sqlx::query("update clinical.ward_beds set state_reason = $2, updated_by = $3 where id = $1")
        .bind(id)
        .bind(&command.reason)
        .bind(&command.actor)
        .execute(tx.conn())
        .await?;
    batch.answer(slot, json!({ "bed_id": id, "state": command.to.as_str() }));
    audit::entry(
        tx,
        &command.actor,
        SetBedState::NAME,
        &format!("bed:{id}"),
        &[batch.envelopes[slot].id],
        Some(json!({ "from": from.as_str(), "to": command.to.as_str(), "reason": command.reason })),
    )
    .await
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
