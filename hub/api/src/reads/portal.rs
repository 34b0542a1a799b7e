//! What a patient sees of himself. Less than staff see: nothing that waits for somebody, and nothing that was taken back.

use hub_core::Tx;
use uuid::Uuid;
use worker_clinical::queries::{self, ResultRow};

use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::care::{next, page_of};
use crate::reads::patients::Keys;
use crate::views::portal::OwnResult;

/// Released results in their current versions, newest report first. A page may have fewer than it could.
pub(crate) async fn own_results(
    tx: &mut Tx<'_>,
    patient: Uuid,
    keys: &Keys,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<OwnResult>, Problem> {
    let page = page_of(cursor, limit)?;
    let released = queries::ResultFilter {
        released: Some(true),
        held: Some(false),
        ..queries::ResultFilter::default()
    };
    let subjects: Vec<Uuid> = keys.keys().copied().collect();
    let mut rows = queries::results_for_subjects(tx.conn(), &subjects, &released, page).await?;
    let next = next(limit, &rows, ResultRow::cursor);
    rows.retain(is_reported);
    Ok(Page::of(rows, next, |row| OwnResult::of(row, patient)))
}

/// HL7 table 0085: not the last word yet, or no word at all any more (deleted, of a wrong patient, not to be had).
const NOT_REPORTED: [&str; 10] = ["P", "R", "S", "I", "O", "N", "M", "D", "W", "X"];
/// HL7 table 0123: the report as a whole is not out yet, or was given up. Where results are verified here, that decides instead.
const REPORT_NOT_OUT: [&str; 6] = ["P", "R", "S", "I", "O", "X"];

fn is_reported(row: &ResultRow) -> bool {
    let is_of = |status: &Option<String>, table: &[&str]| {
        status
            .as_deref()
            .is_some_and(|status| table.contains(&status))
    };
    row.released
        && row.held.is_none()
        && !is_of(&row.status, &NOT_REPORTED)
        && (row.verification_id.is_some() || !is_of(&row.report_status, &REPORT_NOT_OUT))
}
