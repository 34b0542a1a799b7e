//! Results that wait for their verification, or had it.

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::results::{COLUMNS, ResultRow};

/// One version of a result and its verification.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct VerificationRow {
    pub id: i64,
    /// Rises with every change; who decides says which one he saw.
    pub revision: i32,
    #[sqlx(flatten)]
    pub result: ResultRow,
    /// False: a later version or run counts.
    pub counts: bool,
    /// A flag of the instrument that blocks.
    pub blocked: bool,
    /// Version of the rule pack.
    pub pack: String,
    /// Of the rule pack; absent: a draft.
    pub approved_by: Option<String>,
    /// Another version or run was released before.
    pub corrects_released: bool,
    #[serde(with = "time::serde::rfc3339::option")]
    pub released_at: Option<OffsetDateTime>,
    pub rerun_by: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub rerun_at: Option<OffsetDateTime>,
    pub rerun_order: Option<Uuid>,
    /// People who entered or edited it.
    pub makers: Vec<String>,
    /// Since when it waits.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub measured_at: OffsetDateTime,
}

/// A remark of a person.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct CommentRow {
    pub actor: String,
    pub comment: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// Which states.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum VerificationState {
    /// What waits: received or in need of review, and not replaced.
    #[default]
    Open,
    One(String),
    All,
}

/// Which results; absent = all.
#[derive(Debug, Clone, Default)]
pub struct VerificationFilter {
    pub state: VerificationState,
    pub channel: Option<String>,
    /// The first check that failed.
    pub failed: Option<String>,
    /// Keys of a patient.
    pub subjects: Option<Vec<Uuid>>,
    pub specimen: Option<String>,
    pub report: Option<Uuid>,
    pub after: Option<i64>,
    pub limit: i64,
}

const FROM: &str = "clinical.verifications as standing \
    join clinical.results as result on result.report_id = standing.report_id and result.item = standing.item \
    and result.version = standing.version \
    join clinical.reports as report on report.id = standing.report_id";

const MORE: &str = "standing.id, standing.revision, standing.current as counts, standing.blocked, standing.pack, \
    standing.approved_by, standing.corrects_released, standing.released_at, standing.rerun_by, standing.rerun_at, \
    standing.rerun_order, standing.makers, standing.at, standing.measured_at";

/// Oldest first. A condition that is not asked for is not in the statement: each form walks its own index.
///
/// # Errors
/// The database failed.
pub async fn verifications(
    conn: &mut PgConnection,
    filter: &VerificationFilter,
) -> Result<Vec<VerificationRow>, sqlx::Error> {
    let state = match filter.state {
        VerificationState::Open => {
            "standing.current and standing.state in ('received', 'needs_review') and $1::text is null"
        }
        VerificationState::One(_) => "standing.state = $1",
        VerificationState::All => "$1::text is null",
    };
    let asked = |given: bool, condition: &'static str, absent: &'static str| {
        if given { condition } else { absent }
    };
    let conditions = [
        state,
        asked(
            filter.channel.is_some(),
            "standing.channel = $2",
            "$2::text is null",
        ),
        asked(
            filter.failed.is_some(),
            "standing.failed = $3",
            "$3::text is null",
        ),
        asked(
            filter.subjects.is_some(),
            "standing.subject_key = any($4)",
            "$4::uuid[] is null",
        ),
        asked(
            filter.specimen.is_some(),
            "standing.specimen_number = $5",
            "$5::text is null",
        ),
        asked(
            filter.report.is_some(),
            "standing.report_id = $6",
            "$6::uuid is null",
        ),
        "standing.id > $7",
    ]
    .join(" and ");
    let query = format!(
        "select {MORE}, {COLUMNS} from {FROM} where {conditions} order by standing.id limit $8"
    );
    let one = match &filter.state {
        VerificationState::One(state) => Some(state),
        VerificationState::Open | VerificationState::All => None,
    };
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(one)
        .bind(&filter.channel)
        .bind(&filter.failed)
        .bind(&filter.subjects)
        .bind(&filter.specimen)
        .bind(filter.report)
        .bind(filter.after.unwrap_or(0))
        .bind(filter.limit)
        .fetch_all(conn)
        .await
}

/// One of them.
///
/// # Errors
/// The database failed.
pub async fn verification(
    conn: &mut PgConnection,
    id: i64,
) -> Result<Option<VerificationRow>, sqlx::Error> {
    let query = format!("select {MORE}, {COLUMNS} from {FROM} where standing.id = $1");
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Whose these are, each once for every one of them that there is; `None`: nobody's yet.
///
/// # Errors
/// The database failed.
pub async fn subjects_of_verifications(
    conn: &mut PgConnection,
    ids: &[i64],
) -> Result<Vec<Option<Uuid>>, sqlx::Error> {
    sqlx::query_scalar("select subject_key from clinical.verifications where id = any($1)")
        .bind(ids)
        .fetch_all(conn)
        .await
}

/// All versions and runs of the same test on the same sample, itself among them, as they were measured.
///
/// # Errors
/// The database failed.
pub async fn verification_runs(
    conn: &mut PgConnection,
    id: i64,
) -> Result<Vec<VerificationRow>, sqlx::Error> {
    let query = format!(
        "select {MORE}, {COLUMNS} from {FROM} where standing.id in ( \
             select other.id from clinical.verifications as this join clinical.verifications as other \
             on other.report_id = this.report_id and other.item = this.item where this.id = $1 \
             union \
             select other.id from clinical.verifications as this join clinical.verifications as other \
             on other.specimen_number = this.specimen_number and other.channel = this.channel and other.code = this.code \
             and other.subject_key = this.subject_key and other.code_system is not distinct from this.code_system \
             and other.sub_id is not distinct from this.sub_id \
             and other.at between this.at - interval '7 days' and this.at + interval '7 days' where this.id = $1) \
         order by standing.measured_at, standing.id"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id)
        .fetch_all(conn)
        .await
}

/// What people remarked, oldest first.
///
/// # Errors
/// The database failed.
pub async fn verification_comments(
    conn: &mut PgConnection,
    id: i64,
) -> Result<Vec<CommentRow>, sqlx::Error> {
    sqlx::query_as(
        "select actor, comment, at from clinical.verification_comments where verification_id = $1 order by id",
    )
    .bind(id)
    .fetch_all(conn)
    .await
}

/// Results of patients that a control result puts in doubt: of its channel and analyte, measured after the last good control
/// of its level before it and before the first good one after it. `None`: no control result has this id.
///
/// # Errors
/// The database failed.
pub async fn affected_by_control(
    conn: &mut PgConnection,
    control: i64,
    after: Option<i64>,
    limit: i64,
) -> Result<Option<Vec<VerificationRow>>, sqlx::Error> {
    let known: bool =
        sqlx::query_scalar("select exists (select from clinical.qc_results where id = $1)")
            .bind(control)
            .fetch_one(&mut *conn)
            .await?;
    if !known {
        return Ok(None);
    }
    let query = format!(
        "with control as ( \
             select this.channel, this.code, \
             (select max(good.observed_at) from clinical.qc_results as good where good.channel = this.channel \
                 and good.code = this.code and good.level = this.level and good.z is not null \
                 and good.observed_at < this.observed_at and (good.state = 'accepted' \
                 or good.verdict in ('in_control', 'warning') and good.state <> 'rejected')) as since, \
             (select min(good.observed_at) from clinical.qc_results as good where good.channel = this.channel \
                 and good.code = this.code and good.level = this.level and good.z is not null \
                 and good.observed_at > this.observed_at and (good.state = 'accepted' \
                 or good.verdict in ('in_control', 'warning') and good.state <> 'rejected')) as until \
             from clinical.qc_results as this where this.id = $1) \
         select {MORE}, {COLUMNS} from control join {FROM} \
         on standing.channel = control.channel and standing.code = control.code \
         and standing.measured_at > coalesce(control.since, '-infinity') \
         and standing.measured_at < coalesce(control.until, 'infinity') \
         where standing.id > $2 order by standing.id limit $3"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(control)
        .bind(after.unwrap_or(0))
        .bind(limit)
        .fetch_all(conn)
        .await
        .map(Some)
}
