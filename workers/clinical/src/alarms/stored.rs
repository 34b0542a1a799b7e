//! Alarms in their tables.

use hub_core::Tx;
use schemas::devices::AlarmReported;
use time::OffsetDateTime;
use uuid::Uuid;

/// One row of `clinical.alarms`.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(super) struct Alarm {
    pub(super) id: Uuid,
    pub(super) channel: String,
    pub(super) device: Option<String>,
    pub(super) subject_key: Option<Uuid>,
    pub(super) named_key: Option<Uuid>,
    pub(super) named_value: Option<String>,
    pub(super) bed_key: Option<Uuid>,
    pub(super) place: Option<serde_json::Value>,
    pub(super) code: String,
    pub(super) code_system: Option<String>,
    pub(super) code_text: Option<String>,
    pub(super) path: Option<String>,
    pub(super) source: Option<String>,
    pub(super) text: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) priority: Option<String>,
    pub(super) state: Option<String>,
    pub(super) inactivation: Vec<String>,
    pub(super) abnormality: Option<String>,
    pub(super) measured: Option<serde_json::Value>,
    pub(super) begun_at: OffsetDateTime,
    pub(super) started_at: Option<OffsetDateTime>,
    pub(super) ended_at: Option<OffsetDateTime>,
    pub(super) last_at: OffsetDateTime,
    pub(super) last_rank: i16,
    pub(super) messages: i32,
}

const COLUMNS: &str = "id, channel, device, subject_key, named_key, named_value, bed_key, place, code, code_system, code_text, \
    path, source, text, kind, priority, state, inactivation, abnormality, measured, begun_at, started_at, ended_at, last_at, \
    last_rank, messages";

/// Alarms of one bed that are looked at again at once.
const LOOK: i64 = 1_000;

impl Alarm {
    pub(super) fn new(body: &AlarmReported, at: OffsetDateTime) -> Self {
        Self {
            id: Uuid::now_v7(),
            channel: body.channel.to_string(),
            device: body.device.clone(),
            subject_key: None,
            named_key: None,
            named_value: None,
            bed_key: None,
            place: None,
            code: body.code.code.clone(),
            code_system: body.code.system.clone(),
            code_text: body.code.text.clone(),
            path: body.path.clone(),
            source: body.source.clone(),
            text: None,
            kind: None,
            priority: None,
            state: None,
            inactivation: Vec::new(),
            abnormality: None,
            measured: None,
            begun_at: at,
            started_at: None,
            ended_at: None,
            last_at: at,
            last_rank: 0,
            messages: 0,
        }
    }

    /// As the table's generated column has it.
    pub(super) fn status(&self) -> &'static str {
        match (self.ended_at, self.started_at) {
            (Some(ended), started) if started.is_none_or(|started| ended >= started) => "ended",
            _ if self.state.as_deref() == Some("latched") => "latched",
            _ => "active",
        }
    }
}

/// The alarm that one of the names means; the first name counts most.
pub(super) async fn find(
    tx: &mut Tx<'_>,
    channel: &str,
    names: &[&str],
) -> Result<Option<Alarm>, sqlx::Error> {
    let query = format!(
        "select {COLUMNS} from clinical.alarms where id = ( \
             select known.alarm_id from clinical.alarm_names as known \
             join unnest($2::text[]) with ordinality as asked (name, place) on asked.name = known.name \
             where known.channel = $1 order by asked.place limit 1) for update"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(channel)
        .bind(names)
        .fetch_optional(tx.conn())
        .await
}

/// All names lead to this alarm from now on; a name that leads elsewhere keeps its alarm.
pub(super) async fn name(
    tx: &mut Tx<'_>,
    channel: &str,
    names: &[&str],
    alarm: Uuid,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into clinical.alarm_names (tenant_id, channel, name, alarm_id) \
         select $1, $2, name, $4 from unnest($3::text[]) as named (name) on conflict do nothing",
    )
    .bind(tenant.as_str())
    .bind(channel)
    .bind(names)
    .bind(alarm)
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(super) async fn save(tx: &mut Tx<'_>, alarm: &Alarm) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().clone();
    let query = format!(
        "insert into clinical.alarms (tenant_id, {COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, \
         $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27) \
         on conflict (id) do update set device = excluded.device, subject_key = excluded.subject_key, \
         named_key = excluded.named_key, named_value = excluded.named_value, bed_key = excluded.bed_key, \
         place = excluded.place, source = excluded.source, text = excluded.text, kind = excluded.kind, \
         priority = excluded.priority, state = excluded.state, inactivation = excluded.inactivation, \
         abnormality = excluded.abnormality, measured = excluded.measured, begun_at = excluded.begun_at, \
         started_at = excluded.started_at, ended_at = excluded.ended_at, last_at = excluded.last_at, \
         last_rank = excluded.last_rank, messages = excluded.messages"
    );
    sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(tenant.as_str())
        .bind(alarm.id)
        .bind(&alarm.channel)
        .bind(&alarm.device)
        .bind(alarm.subject_key)
        .bind(alarm.named_key)
        .bind(&alarm.named_value)
        .bind(alarm.bed_key)
        .bind(&alarm.place)
        .bind(&alarm.code)
        .bind(&alarm.code_system)
        .bind(&alarm.code_text)
        .bind(&alarm.path)
        .bind(&alarm.source)
        .bind(&alarm.text)
        .bind(&alarm.kind)
        .bind(&alarm.priority)
        .bind(&alarm.state)
        .bind(&alarm.inactivation)
        .bind(&alarm.abnormality)
        .bind(&alarm.measured)
        .bind(alarm.begun_at)
        .bind(alarm.started_at)
        .bind(alarm.ended_at)
        .bind(alarm.last_at)
        .bind(alarm.last_rank)
        .bind(alarm.messages)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Writes what changed the alarm into its history.
pub(super) async fn note(
    tx: &mut Tx<'_>,
    alarm: &Alarm,
    said: &AlarmReported,
    at: OffsetDateTime,
    event: Uuid,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into clinical.alarm_events (tenant_id, alarm_id, at, phase, state, inactivation, priority, value, text, \
         source_event) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(tenant.as_str())
    .bind(alarm.id)
    .bind(at)
    .bind(said.phase.as_str())
    .bind(&said.state)
    .bind(&said.inactivation)
    .bind(&said.priority)
    .bind(said.measured.as_ref().and_then(|measured| measured.value.as_ref()))
    .bind(&said.text)
    .bind(event)
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(super) async fn of_bed(
    tx: &mut Tx<'_>,
    bed: Uuid,
    since: OffsetDateTime,
) -> Result<Vec<Alarm>, sqlx::Error> {
    let query = format!(
        "select {COLUMNS} from clinical.alarms where bed_key = $1 and begun_at >= $2 order by begun_at limit $3 for update"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(bed)
        .bind(since)
        .bind(LOOK)
        .fetch_all(tx.conn())
        .await
}

pub(super) async fn give(
    tx: &mut Tx<'_>,
    subjects: &[(Uuid, Option<Uuid>)],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update clinical.alarms as alarm set subject_key = new.subject \
         from unnest($1::uuid[], $2::uuid[]) as new (id, subject) where alarm.id = new.id",
    )
    .bind(subjects.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(
        subjects
            .iter()
            .map(|(_, subject)| *subject)
            .collect::<Vec<_>>(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
