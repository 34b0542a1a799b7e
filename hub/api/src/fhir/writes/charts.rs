//! What is common to what stands in a chart: the entry that was compared, and the command that changes it.

use schemas::chart::{ChangeEntry, Content, EntryAction};
use uuid::Uuid;
use worker_clinical::queries::{self, ChartRow};

use super::change::Change;
use super::{Desk, compared};
use crate::command::Written;
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
    found: &Found,
    permission: &'static str,
) -> Result<ChartRow, Problem> {
    let id = found.resource.id.split('.').next().unwrap_or_default();
    let id: Uuid = id.parse().map_err(|_| Problem::internal())?;
    let mut tx = desk.tx().await?;
    desk.opened(&mut tx, permission, found.patient).await?;
    let row = queries::chart_entry(&mut tx, id)
        .await?
        .ok_or_else(Problem::internal)?;
    compared(found, row.version)?;
    Ok(row)
}

/// Takes the step that an update comes to; `edited` is the content as it is to be then.
pub(super) async fn take(
    desk: &Desk<'_>,
    change: &Change<'_>,
    row: &ChartRow,
    step: Step,
    edited: impl FnOnce() -> Content,
) -> Result<Option<Written>, Problem> {
    match step {
        Step::Nothing => Ok(None),
        Step::Act(action) => send(desk, row, action, None, change.reason_in_notes()?).await,
        Step::Edit => send(desk, row, EntryAction::Edit, Some(edited()), None).await,
    }
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
