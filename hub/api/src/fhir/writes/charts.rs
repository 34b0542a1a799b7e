//! What is common to what stands in a chart: the entry that was compared, and the command that changes it.

use hub_core::Tx;
use schemas::chart::{ChangeEntry, Content, EntryAction};
use uuid::Uuid;
use worker_clinical::queries::{self, ChartRow};

use super::Desk;
use crate::command::Written;
use crate::fhir::doors::Doors;
use crate::fhir::source::Found;
use crate::problem::Problem;

/// What an update comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    Edit,
    Act(EntryAction),
}

/// Members that tell the state.
pub(super) const STATUS: [&str; 2] = ["clinicalStatus", "verificationStatus"];

/// The entry as the worker has it, of the version that was compared, its chart opened under the permission to write there.
pub(super) async fn entry(
    desk: &Desk<'_>,
    tx: &mut Tx<'_>,
    found: &Found,
    permission: &'static str,
) -> Result<ChartRow, Problem> {
    let id = found.resource.id.split('.').next().unwrap_or_default();
    let id: Uuid = id.parse().map_err(|_| Problem::internal())?;
    Doors::default()
        .open(
            desk.state,
            desk.call,
            desk.who,
            tx,
            permission,
            found.patient,
        )
        .await?;
    let row = queries::chart_entry(tx.conn(), id)
        .await?
        .ok_or_else(Problem::internal)?;
    let compared = format!("{}-", row.version);
    if !found.resource.meta.version.starts_with(&compared) {
        return Err(Problem::new(
            axum::http::StatusCode::CONFLICT,
            "fhir.stale",
            "somebody changed it at this moment: read it again",
        ));
    }
    Ok(row)
}

/// Sends what an entry is to become.
pub(super) async fn send(
    desk: &Desk<'_>,
    row: &ChartRow,
    action: EntryAction,
    content: Option<Content>,
    reason: Option<String>,
) -> Result<Option<Written>, Problem> {
    let command = ChangeEntry {
        entry_id: row.id,
        seen: Some(row.version),
        action,
        content,
        reason,
        actor: desk.actor(),
    };
    desk.send(row.subject_key.to_string(), &command)
        .await
        .map(Some)
}
