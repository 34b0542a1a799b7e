//! The house as it is defined, and what is in its beds. Lists are by code and go on after the last code and id seen.

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

/// A facility.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct FacilityRow {
    pub id: Uuid,
    pub code: String,
    pub name: String,
    /// IANA.
    pub zone: String,
    /// `active`, `retired`.
    pub state: String,
    pub version: i32,
    pub updated_at: OffsetDateTime,
}

/// A department of a facility.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct DepartmentRow {
    pub id: Uuid,
    pub facility_id: Uuid,
    /// Code of the facility.
    pub facility: String,
    pub code: String,
    pub name: String,
    pub state: String,
    pub version: i32,
    pub updated_at: OffsetDateTime,
}

/// A ward of a department.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct WardRow {
    pub id: Uuid,
    pub facility_id: Uuid,
    /// Code of the facility.
    pub facility: String,
    pub department_id: Uuid,
    /// Code of the department.
    pub department: String,
    pub code: String,
    pub name: String,
    pub class: Option<String>,
    pub state: String,
    pub version: i32,
    pub updated_at: OffsetDateTime,
}

/// A bed of a ward.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct BedRow {
    pub id: Uuid,
    pub ward_id: Uuid,
    /// Codes of the ward, its department and its facility.
    pub ward: String,
    pub department: String,
    pub facility: String,
    pub code: String,
    pub room: String,
    /// `vacant`, `reserved`, `occupied`, `cleaning`, `blocked`.
    pub state: String,
    pub state_reason: Option<String>,
    pub state_at: OffsetDateTime,
    pub retired: bool,
    pub version: i32,
    pub updated_at: OffsetDateTime,
}

/// Code and id of the last row seen.
pub type PlaceAfter = Option<(String, Uuid)>;

/// All facilities.
///
/// # Errors
/// The database failed.
pub async fn facilities(
    conn: &mut PgConnection,
    after: PlaceAfter,
    limit: i64,
) -> Result<Vec<FacilityRow>, sqlx::Error> {
    let (code, id) = after.unzip();
    sqlx::query_as(
        "select id, code, name, zone, state, version, updated_at from clinical.facilities \
         where ($1::text is null or (code, id) > ($1, $2)) order by code, id limit $3",
    )
    .bind(code)
    .bind(id)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// One facility.
///
/// # Errors
/// The database failed.
pub async fn facility(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<FacilityRow>, sqlx::Error> {
    sqlx::query_as(
        "select id, code, name, zone, state, version, updated_at from clinical.facilities where id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

const DEPARTMENT: &str = "select d.id, d.facility_id, f.code as facility, d.code, d.name, d.state, d.version, d.updated_at \
    from clinical.departments d join clinical.facilities f on f.id = d.facility_id";

/// Departments, of one facility or of all.
///
/// # Errors
/// The database failed.
pub async fn departments(
    conn: &mut PgConnection,
    facility: Option<Uuid>,
    after: PlaceAfter,
    limit: i64,
) -> Result<Vec<DepartmentRow>, sqlx::Error> {
    let (code, id) = after.unzip();
    let query = format!(
        "{DEPARTMENT} where ($1::uuid is null or d.facility_id = $1) and ($2::text is null or (d.code, d.id) > ($2, $3)) \
         order by d.code, d.id limit $4"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(facility)
        .bind(code)
        .bind(id)
        .bind(limit)
        .fetch_all(conn)
        .await
}

/// One department.
///
/// # Errors
/// The database failed.
pub async fn department(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<DepartmentRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{DEPARTMENT} where d.id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await
}

const WARD: &str = "select w.id, w.facility_id, f.code as facility, w.department_id, d.code as department, w.code, w.name, \
    w.class, w.state, w.version, w.updated_at from clinical.wards w \
    join clinical.facilities f on f.id = w.facility_id join clinical.departments d on d.id = w.department_id";

/// Wards, of one facility or of all.
///
/// # Errors
/// The database failed.
pub async fn wards(
    conn: &mut PgConnection,
    facility: Option<Uuid>,
    after: PlaceAfter,
    limit: i64,
) -> Result<Vec<WardRow>, sqlx::Error> {
    let (code, id) = after.unzip();
    let query = format!(
        "{WARD} where ($1::uuid is null or w.facility_id = $1) and ($2::text is null or (w.code, w.id) > ($2, $3)) \
         order by w.code, w.id limit $4"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(facility)
        .bind(code)
        .bind(id)
        .bind(limit)
        .fetch_all(conn)
        .await
}

/// One ward.
///
/// # Errors
/// The database failed.
pub async fn ward(conn: &mut PgConnection, id: Uuid) -> Result<Option<WardRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{WARD} where w.id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Which beds; absent: all.
#[derive(Debug, Clone, Default)]
pub struct BedFilter {
    pub ward: Option<Uuid>,
    pub facility: Option<Uuid>,
    pub state: Option<String>,
    /// Class of the ward.
    pub class: Option<String>,
}

const BED: &str = "select b.id, b.ward_id, w.code as ward, d.code as department, f.code as facility, b.code, b.room, b.state, \
    b.state_reason, b.state_at, b.retired, b.version, b.updated_at from clinical.ward_beds b \
    join clinical.wards w on w.id = b.ward_id join clinical.departments d on d.id = w.department_id \
    join clinical.facilities f on f.id = w.facility_id";

/// Beds by code.
///
/// # Errors
/// The database failed.
pub async fn beds(
    conn: &mut PgConnection,
    filter: &BedFilter,
    after: PlaceAfter,
    limit: i64,
) -> Result<Vec<BedRow>, sqlx::Error> {
    let (code, id) = after.unzip();
    let query = format!(
        "{BED} where ($1::uuid is null or b.ward_id = $1) and ($2::uuid is null or w.facility_id = $2) \
         and ($3::text is null or b.state = $3) and ($4::text is null or w.class = $4) \
         and ($5::text is null or (b.code, b.id) > ($5, $6)) order by b.code, b.id limit $7"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(filter.ward)
        .bind(filter.facility)
        .bind(&filter.state)
        .bind(&filter.class)
        .bind(code)
        .bind(id)
        .bind(limit)
        .fetch_all(conn)
        .await
}

/// One bed.
///
/// # Errors
/// The database failed.
pub async fn bed(conn: &mut PgConnection, id: Uuid) -> Result<Option<BedRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{BED} where b.id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// A bed on a ward's board, and who has it.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct BoardBed {
    /// Null: a patient of the ward who is in no bed of the register.
    pub bed_id: Option<Uuid>,
    pub code: Option<String>,
    pub room: Option<String>,
    pub state: Option<String>,
    pub state_reason: Option<String>,
    pub state_at: Option<OffsetDateTime>,
    pub encounter_id: Option<Uuid>,
    pub subject_key: Option<Uuid>,
    pub visit_number: Option<String>,
    pub stage: Option<String>,
    pub attending: Option<serde_json::Value>,
    /// As the encounter names it.
    pub location: Option<serde_json::Value>,
    pub since: Option<OffsetDateTime>,
    pub expected_at: Option<OffsetDateTime>,
    pub open_orders: Option<i64>,
}

/// The beds of a ward with who is in them or for whom they are kept.
///
/// # Errors
/// The database failed.
pub async fn board(conn: &mut PgConnection, ward: Uuid) -> Result<Vec<BoardBed>, sqlx::Error> {
    sqlx::query_as(
        "select b.id as bed_id, b.code, b.room, b.state, b.state_reason, b.state_at, e.id as encounter_id, e.subject_key, \
         e.visit_number, e.stage, e.attending, e.location, lower(a.period) as since, e.expected_at, \
         case when e.id is not null then (select count(*) from clinical.orders o where o.subject_key = e.subject_key \
             and o.status in ('active', 'on_hold', 'cancel_requested', 'unknown')) end as open_orders \
         from clinical.ward_beds b \
         left join clinical.bed_assignments a on a.bed_id = b.id and not a.void and upper_inf(a.period) \
         left join clinical.encounters e on e.id = a.encounter_id \
         where b.ward_id = $1 and not b.retired order by b.room, b.code, b.id",
    )
    .bind(ward)
    .fetch_all(conn)
    .await
}

/// Patients of a ward who are in no bed of the register: a hospital system names another bed, or one that somebody has.
///
/// # Errors
/// The database failed.
pub async fn in_ward_elsewhere(
    conn: &mut PgConnection,
    facility: &str,
    ward: &str,
) -> Result<Vec<BoardBed>, sqlx::Error> {
    sqlx::query_as(
        "select null::uuid as bed_id, null::text as code, null::text as room, null::text as state, null::text as state_reason, \
         null::timestamptz as state_at, e.id as encounter_id, e.subject_key, e.visit_number, e.stage, e.attending, e.location, \
         e.started_at as since, e.expected_at, null::bigint as open_orders \
         from clinical.encounters e where e.stage in ('admitted', 'discharge_initiated', 'cleared') \
         and upper(e.location ->> 'point_of_care') = upper($2) \
         and (e.location ->> 'facility' is null or upper(e.location ->> 'facility') = upper($1)) \
         and not exists (select from clinical.bed_assignments a where a.encounter_id = e.id and a.kind = 'occupied' \
             and not a.void and upper_inf(a.period)) order by e.created_at, e.id limit 500",
    )
    .bind(facility)
    .bind(ward)
    .fetch_all(conn)
    .await
}
