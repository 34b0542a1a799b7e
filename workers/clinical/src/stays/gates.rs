//! The gates of a discharge: what must be cleared before a patient may go. What is cancelled or entered in error never gates.

use hub_core::Tx;
use schemas::stays::Gate;
use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::encounters::Encounter;

/// Something that stands before a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct Blocking {
    pub order_id: Uuid,
    pub status: String,
    /// As ordered.
    pub code: String,
    pub code_text: Option<String>,
}

/// Open orders of a stay: under its visit number, or, without a number, of its patient since it began. Completed, revoked and
/// erroneous orders are none.
///
/// # Errors
/// The database failed.
pub async fn blocking(
    conn: &mut PgConnection,
    encounter: Uuid,
) -> Result<Vec<Blocking>, sqlx::Error> {
    sqlx::query_as(
        "select o.id as order_id, o.status, o.code, o.code_text \
         from clinical.encounters e join clinical.orders o on o.subject_key = e.subject_key \
         where e.id = $1 and o.status in ('active', 'on_hold', 'cancel_requested', 'unknown') \
         and (o.visit_number = e.visit_number or (o.visit_number is null \
         and coalesce(o.ordered_at, o.created_at) >= coalesce(e.started_at, e.created_at))) order by o.created_at, o.id",
    )
    .bind(encounter)
    .fetch_all(conn)
    .await
}

/// Puts up the gates of a discharge, all open; an insurer's only where one pays. Answers which must be cleared.
pub(super) async fn put_up(
    tx: &mut Tx<'_>,
    encounter: &Encounter,
) -> Result<Vec<Gate>, sqlx::Error> {
    let insured = encounter.payer.as_deref() == Some("insurer");
    let needed: Vec<Gate> = Gate::ALL
        .into_iter()
        .filter(|gate| *gate != Gate::Tpa || insured)
        .collect();
    let states: Vec<&str> = Gate::ALL
        .iter()
        .map(|gate| {
            if needed.contains(gate) {
                "open"
            } else {
                "not_required"
            }
        })
        .collect();
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into clinical.discharge_gates (tenant_id, encounter_id, gate, state) \
         select $1, $2, * from unnest($3::text[], $4::text[]) \
         on conflict (encounter_id, gate) do update set state = excluded.state, cleared_by = null, cleared_at = null, note = null",
    )
    .bind(tenant.as_str())
    .bind(encounter.id)
    .bind(Gate::ALL.iter().map(|gate| gate.as_str()).collect::<Vec<_>>())
    .bind(states)
    .execute(tx.conn())
    .await?;
    Ok(needed)
}

/// The gates as they stand, each with its state; none before a discharge was initiated.
pub(super) async fn standing(
    tx: &mut Tx<'_>,
    encounter: Uuid,
) -> Result<Vec<(Gate, String)>, sqlx::Error> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "select gate, state from clinical.discharge_gates where encounter_id = $1 for update",
    )
    .bind(encounter)
    .fetch_all(tx.conn())
    .await?;
    Ok(Gate::ALL
        .into_iter()
        .filter_map(|gate| {
            let (_, state) = rows.iter().find(|(name, _)| name == gate.as_str())?;
            Some((gate, state.clone()))
        })
        .collect())
}

/// Clears one, guarded: false when it was not open.
pub(super) async fn clear(
    tx: &mut Tx<'_>,
    encounter: Uuid,
    gate: Gate,
    by: &str,
    note: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "update clinical.discharge_gates set state = 'cleared', cleared_by = $3, cleared_at = now(), note = $4 \
         where encounter_id = $1 and gate = $2 and state = 'open'",
    )
    .bind(encounter)
    .bind(gate.as_str())
    .bind(by)
    .bind(note)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() > 0)
}
