//! Stays and visits as staff lead them: who is in the house, who waits, what stands before a discharge, which beds a stay was in.

use sqlx::{FromRow, PgConnection};
use time::{OffsetDateTime, PrimitiveDateTime};
use uuid::Uuid;

use super::cursor::Page;
use super::encounters::{COLUMNS, EncounterRow};
pub use crate::stays::gates::blocking;
use crate::stays::stage::{self, Stage};

/// The steps that are possible from a stage.
#[must_use]
pub fn next_steps(stage: Option<&str>) -> Vec<&'static str> {
    stage::steps(stage.and_then(Stage::stored))
}

/// Which stays; absent: all.
#[derive(Debug, Clone, Default)]
pub struct AdmissionFilter {
    /// Absent: everybody who is in the house or to come: requested, bed_reserved, admitted, discharge_initiated, cleared.
    pub stage: Option<String>,
    /// Codes of facility and ward.
    pub ward: Option<(String, String)>,
    /// Places that the caller may see: facilities and departments as [`super::is_in_care_at`] has them. Absent: all.
    pub places: Option<(Vec<String>, Vec<String>)>,
}

/// Stays, newest first.
///
/// # Errors
/// The database failed.
pub async fn admissions(
    conn: &mut PgConnection,
    filter: &AdmissionFilter,
    page: Page,
) -> Result<Vec<EncounterRow>, sqlx::Error> {
    let start = page.start();
    let (facility, ward) = filter.ward.clone().unzip();
    let (facilities, departments) = filter.places.clone().unzip();
    let query = format!(
        "select {COLUMNS} from clinical.encounters where (created_at, id) < ($1, $2) \
         and stage in ('requested', 'bed_reserved', 'admitted', 'discharge_initiated', 'cleared', 'left') \
         and (case when $3::text is null then stage <> 'left' else stage = $3 end) \
         and ($4::text is null or (upper(location ->> 'point_of_care') = upper($5) \
             and upper(location ->> 'facility') = upper($4))) \
         and ($6::text[] is null or clinical.is_at(location, $6, $7)) \
         order by created_at desc, id desc limit $8"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(start.at)
        .bind(start.id)
        .bind(&filter.stage)
        .bind(facility)
        .bind(ward)
        .bind(facilities)
        .bind(departments)
        .bind(page.rows())
        .fetch_all(conn)
        .await
}

/// The tokens of a department's day in their order, after the token `after`; `day` absent: today at the place.
///
/// # Errors
/// The database failed.
pub async fn queue(
    conn: &mut PgConnection,
    department: Uuid,
    day: Option<time::Date>,
    after: i32,
    limit: i64,
) -> Result<Vec<EncounterRow>, sqlx::Error> {
    let query = format!(
        "select {COLUMNS} from clinical.encounters where department_id = $1 and token > $3 and token_day = coalesce($2, \
         (select (now() at time zone f.zone)::date from clinical.departments d \
          join clinical.facilities f on f.id = d.facility_id where d.id = $1)) order by token limit $4"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(department)
        .bind(day)
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
        .await
}

/// A gate of a discharge.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct GateRow {
    /// `clinical`, `pharmacy`, `billing`, `tpa`.
    pub gate: String,
    /// `open`, `cleared`, `not_required`.
    pub state: String,
    pub cleared_by: Option<String>,
    pub cleared_at: Option<OffsetDateTime>,
    pub note: Option<String>,
}

/// The gates of a stay; none before its discharge was initiated.
///
/// # Errors
/// The database failed.
pub async fn gates(conn: &mut PgConnection, encounter: Uuid) -> Result<Vec<GateRow>, sqlx::Error> {
    sqlx::query_as(
        "select gate, state, cleared_by, cleared_at, note from clinical.discharge_gates where encounter_id = $1 \
         order by array_position(array['clinical', 'pharmacy', 'billing', 'tpa'], gate)",
    )
    .bind(encounter)
    .fetch_all(conn)
    .await
}

/// A part of a stay in one bed, half-open, on both clocks; an open one ends now.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StayInBed {
    /// Of the register; absent: a bed that only messages name.
    pub bed_id: Option<Uuid>,
    pub ward: String,
    pub room: String,
    pub bed: String,
    pub from_at: OffsetDateTime,
    pub to_at: OffsetDateTime,
    pub from_local: PrimitiveDateTime,
    pub to_local: PrimitiveDateTime,
    pub open: bool,
    /// The zone of the local times.
    pub zone: String,
}

/// The beds of a stay in their order; `zone` absent: that of its facility, else of the tenant's first, else of India.
///
/// # Errors
/// The database failed; an unknown zone is its error 22023.
pub async fn stays_in_beds(
    conn: &mut PgConnection,
    encounter: Uuid,
    zone: Option<&str>,
) -> Result<Vec<StayInBed>, sqlx::Error> {
    sqlx::query_as(
        "select a.bed_id, s.ward, s.room, s.bed, s.from_at, coalesce(s.to_at, now()) as to_at, \
         (s.from_at at time zone z.zone) as from_local, (coalesce(s.to_at, now()) at time zone z.zone) as to_local, \
         s.to_at is null as open, z.zone \
         from clinical.encounters e join clinical.bed_stays s on s.encounter_key = e.encounter_key and not s.void \
         cross join lateral (select coalesce($2, \
             (select f.zone from clinical.facilities f where upper(f.code) = upper(e.location ->> 'facility')), \
             (select f.zone from clinical.facilities f order by f.code limit 1), 'Asia/Kolkata') as zone) z \
         left join clinical.bed_assignments a on a.encounter_id = e.id and a.kind = 'occupied' and not a.void \
             and lower(a.period) = s.from_at \
         where e.id = $1 order by s.from_at",
    )
    .bind(encounter)
    .bind(zone)
    .fetch_all(conn)
    .await
}
