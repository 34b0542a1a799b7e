//! The register's rows.

use hub_core::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

/// A stay of an encounter, as movements make it (`clinical.bed_stays`).
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Claim {
    pub(crate) encounter_key: Uuid,
    pub(crate) encounter_id: Uuid,
    pub(crate) subject_key: Uuid,
    pub(crate) bed_key: Uuid,
    pub(crate) ward: String,
    pub(crate) bed: String,
    pub(crate) room: String,
    pub(crate) facility: String,
    pub(crate) from_at: OffsetDateTime,
    pub(crate) to_at: Option<OffsetDateTime>,
}

/// A bed of the register that a stay may mean.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Registered {
    pub(crate) bed_id: Uuid,
    pub(crate) bed_key: Uuid,
    pub(crate) room: String,
    pub(crate) facility: String,
}

/// An assignment as it stands.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Assigned {
    pub(crate) id: Uuid,
    pub(crate) encounter_key: Uuid,
    pub(crate) encounter_id: Uuid,
    pub(crate) subject_key: Uuid,
    pub(crate) bed_id: Uuid,
    pub(crate) from_at: OffsetDateTime,
    pub(crate) to_at: Option<OffsetDateTime>,
}

/// False where a tenant keeps no register: then nothing is compared.
pub(super) async fn is_kept(tx: &mut Tx<'_>) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from clinical.ward_beds)")
        .fetch_one(tx.conn())
        .await
}

/// Stays of these encounters, oldest first.
pub(super) async fn claims(tx: &mut Tx<'_>, keys: &[Uuid]) -> Result<Vec<Claim>, sqlx::Error> {
    sqlx::query_as(
        "select stay.encounter_key, encounter.id as encounter_id, stay.subject_key, stay.bed_key, stay.ward, stay.bed, \
         stay.room, stay.facility, stay.from_at, stay.to_at \
         from clinical.bed_stays stay join clinical.encounters encounter using (encounter_key) \
         where stay.encounter_key = any($1) and not stay.void order by stay.encounter_key, stay.from_at",
    )
    .bind(keys)
    .fetch_all(tx.conn())
    .await
}

pub(super) async fn registered(
    tx: &mut Tx<'_>,
    claims: &[Claim],
) -> Result<Vec<Registered>, sqlx::Error> {
    sqlx::query_as(
        "select bed.id as bed_id, bed.bed_key, bed.room, facility.code as facility from clinical.ward_beds bed \
         join clinical.wards ward on ward.id = bed.ward_id join clinical.facilities facility on facility.id = ward.facility_id \
         where bed.bed_key = any($1)",
    )
    .bind(claims.iter().map(|claim| claim.bed_key).collect::<Vec<_>>())
    .fetch_all(tx.conn())
    .await
}

/// Standing assignments of these encounters.
pub(super) async fn assigned(tx: &mut Tx<'_>, keys: &[Uuid]) -> Result<Vec<Assigned>, sqlx::Error> {
    sqlx::query_as(
        "select assigned.id, encounter.encounter_key, assigned.encounter_id, assigned.subject_key, assigned.bed_id, \
         lower(assigned.period) as from_at, upper(assigned.period) as to_at \
         from clinical.encounters encounter join clinical.bed_assignments assigned on assigned.encounter_id = encounter.id \
         where encounter.encounter_key = any($1) and not assigned.void and assigned.kind = 'occupied' \
         order by lower(assigned.period)",
    )
    .bind(keys)
    .fetch_all(tx.conn())
    .await
}

/// False: a constraint of the table refused it.
pub(super) async fn assign(
    tx: &mut Tx<'_>,
    claim: &Claim,
    bed: Uuid,
    from: OffsetDateTime,
    source: Uuid,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().clone();
    let done = sqlx::query(
        "insert into clinical.bed_assignments (tenant_id, id, bed_id, encounter_id, subject_key, kind, period, source_event) \
         values ($1, $2, $3, $4, $5, 'occupied', tstzrange($6, $7, '[)'), $8) on conflict do nothing",
    )
    .bind(tenant.as_str())
    .bind(Uuid::now_v7())
    .bind(bed)
    .bind(claim.encounter_id)
    .bind(claim.subject_key)
    .bind(from)
    .bind(claim.to_at)
    .bind(source)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() > 0)
}

/// False: a constraint of the table refused it.
pub(super) async fn reserve(
    tx: &mut Tx<'_>,
    encounter: Uuid,
    subject: Uuid,
    bed: Uuid,
    at: OffsetDateTime,
    source: Uuid,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().clone();
    let done = sqlx::query(
        "insert into clinical.bed_assignments (tenant_id, id, bed_id, encounter_id, subject_key, kind, period, source_event) \
         values ($1, $2, $3, $4, $5, 'reserved', tstzrange($6, null, '[)'), $7) on conflict do nothing",
    )
    .bind(tenant.as_str())
    .bind(Uuid::now_v7())
    .bind(bed)
    .bind(encounter)
    .bind(subject)
    .bind(at)
    .bind(source)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Ends what is kept for an encounter at `at`; what began later never was.
pub(super) async fn release(
    tx: &mut Tx<'_>,
    encounter: Uuid,
    at: OffsetDateTime,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "update clinical.bed_assignments set void = lower(period) >= $2, \
         period = case when lower(period) >= $2 then period else tstzrange(lower(period), $2, '[)') end \
         where encounter_id = $1 and kind = 'reserved' and not void and upper_inf(period) returning bed_id",
    )
    .bind(encounter)
    .bind(at)
    .fetch_all(tx.conn())
    .await
}

/// An assignment ends: the range only shrinks, so no constraint can be in the way.
pub(super) async fn end(tx: &mut Tx<'_>, id: Uuid, to: OffsetDateTime) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update clinical.bed_assignments set period = tstzrange(lower(period), $2, '[)') where id = $1",
    )
    .bind(id)
    .bind(to)
    .execute(tx.conn())
    .await
    .map(drop)
}

pub(super) async fn void(tx: &mut Tx<'_>, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("update clinical.bed_assignments set void = true where id = $1")
        .bind(id)
        .execute(tx.conn())
        .await
        .map(drop)
}

/// What stands in the way in this bed: `occupied`, `reserved`, or nothing.
pub(super) async fn who_has(
    tx: &mut Tx<'_>,
    claim: &Claim,
    bed: Uuid,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select kind from clinical.bed_assignments where bed_id = $1 and not void \
         and period && tstzrange($2, $3, '[)') order by kind limit 1",
    )
    .bind(bed)
    .bind(claim.from_at)
    .bind(claim.to_at)
    .fetch_optional(tx.conn())
    .await
}

/// The end of what stands in the way, of this bed and of this patient, where all of it has one.
pub(super) async fn free_from(
    tx: &mut Tx<'_>,
    claim: &Claim,
    bed: Uuid,
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    sqlx::query_scalar(
        "select case when bool_or(upper_inf(period)) then null else max(upper(period)) end \
         from clinical.bed_assignments where not void and period && tstzrange($3, $4, '[)') \
         and (bed_id = $1 or (subject_key = $2 and kind = 'occupied'))",
    )
    .bind(bed)
    .bind(claim.subject_key)
    .bind(claim.from_at)
    .bind(claim.to_at)
    .fetch_one(tx.conn())
    .await
}
