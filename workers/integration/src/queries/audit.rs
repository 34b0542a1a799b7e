//! The audit trail.

use serde::Serialize;
use sqlx::{PgConnection, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

/// One entry.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct AuditEntry {
    pub id: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub recorded_at: OffsetDateTime,
    pub actor: String,
    pub action: String,
    pub object: String,
    /// Ids of all that the transaction touched.
    pub objects: Vec<Uuid>,
    pub reason: Option<String>,
    /// Events or commands that caused it.
    pub causes: Vec<Uuid>,
    pub detail: Option<serde_json::Value>,
    /// A link of the chain covers it.
    pub sealed: bool,
}

/// What to look for; all given conditions hold.
#[derive(Debug, Clone, Default)]
pub struct AuditSearch {
    pub actor: Option<String>,
    pub action: Option<String>,
    pub object: Option<String>,
    /// The id of something touched, also together with others.
    pub touched: Option<Uuid>,
    /// All records of one person: who saw his data, and who changed his record.
    pub patients: Option<Vec<Uuid>>,
    /// The keys of that person, by which what was written on his chart names him; looked at with `patients` only.
    pub subjects: Vec<Uuid>,
    /// Only these entries.
    pub ids: Option<Vec<i64>>,
    pub recorded_from: Option<OffsetDateTime>,
    pub recorded_to: Option<OffsetDateTime>,
    /// Keyset: below this id.
    pub before: Option<i64>,
    pub limit: i64,
}

/// Newest first.
///
/// # Errors
/// The database is out of reach.
pub async fn audit(
    conn: &mut PgConnection,
    search: &AuditSearch,
) -> Result<Vec<AuditEntry>, sqlx::Error> {
    let mut query = QueryBuilder::new(
        "select e.id, e.recorded_at, e.actor, e.action, e.object, e.objects, e.reason, e.causes, e.detail,
                exists (select from audit.chain c where c.entry_id = e.id) as sealed
         from audit.entries e where true",
    );
    let texts = [
        (" and e.actor = ", &search.actor),
        (" and e.action = ", &search.action),
        (" and e.object = ", &search.object),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            query.push(condition).push_bind(value);
        }
    }
    if let Some(id) = search.touched {
        query.push(" and ").push_bind(id).push(" = any(e.objects)");
    }
    if let Some(records) = &search.patients {
        // each part has an index of its own
        let objects: Vec<String> = records.iter().map(|id| format!("patient {id}")).collect();
        let about: Vec<Uuid> = records.iter().chain(&search.subjects).copied().collect();
        query
            .push(" and e.id in (select o.id from audit.entries o where o.object = any(")
            .push_bind(objects)
            .push(
                ") union all select a.entry_id from audit.entries_about a where a.object_id = any(",
            )
            .push_bind(about)
            .push("))");
    }
    if let Some(ids) = &search.ids {
        query.push(" and e.id = any(").push_bind(ids).push(")");
    }
    if let Some(from) = search.recorded_from {
        query.push(" and e.recorded_at >= ").push_bind(from);
    }
    if let Some(to) = search.recorded_to {
        query.push(" and e.recorded_at < ").push_bind(to);
    }
    if let Some(before) = search.before {
        query.push(" and e.id < ").push_bind(before);
    }
    query
        .push(" order by e.id desc limit ")
        .push_bind(search.limit);
    query.build_query_as().fetch_all(conn).await
}
