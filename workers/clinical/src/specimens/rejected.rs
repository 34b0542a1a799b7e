//! Tubes that the laboratory rejected: which they are, and that they carry no orders any more. What is measured of one all the same
//! is filed, and nobody acts on it before a person has looked.

use std::collections::HashSet;

use hub_core::{Refusal, Tx};
use uuid::Uuid;

use crate::reports::Filing;

/// Which of these tubes, by number and patient, were rejected.
pub(crate) async fn among(
    tx: &mut Tx<'_>,
    tubes: &[(&str, Uuid)],
) -> Result<HashSet<(String, Uuid)>, sqlx::Error> {
    if tubes.is_empty() {
        return Ok(HashSet::new());
    }
    let (numbers, subjects): (Vec<&str>, Vec<Uuid>) = tubes.iter().copied().unzip();
    let rows: Vec<(String, Uuid)> = sqlx::query_as(
        "select coalesce(specimen.number, specimen.filler_number), specimen.subject_key \
         from clinical.specimens as specimen \
         join unnest($1::text[], $2::uuid[]) as asked (number, subject_key) \
         on coalesce(specimen.number, specimen.filler_number) = asked.number \
         and specimen.subject_key = asked.subject_key where specimen.rejected_at is not null",
    )
    .bind(numbers)
    .bind(subjects)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().collect())
}

/// Which of these numbers were rejected of late on tubes that no order and no patient was known of.
pub(crate) async fn as_nobody_s(
    tx: &mut Tx<'_>,
    numbers: &[&str],
) -> Result<HashSet<String>, sqlx::Error> {
    if numbers.is_empty() {
        return Ok(HashSet::new());
    }
    let found: Vec<String> = sqlx::query_scalar(
        "select coalesce(number, filler_number) from clinical.specimens \
         where coalesce(number, filler_number) = any($1) and subject_key is null \
         and rejected_at > now() - interval '7 days'",
    )
    .bind(numbers)
    .fetch_all(tx.conn())
    .await?;
    Ok(found.into_iter().collect())
}

/// Marks the reports of a batch that are of rejected tubes.
pub(crate) async fn mark(tx: &mut Tx<'_>, filings: &mut [Filing<'_>]) -> Result<(), sqlx::Error> {
    let rejected = {
        let tubes: Vec<(&str, Uuid)> = filings.iter().filter_map(tube).collect();
        among(tx, &tubes).await?
    };
    if rejected.is_empty() {
        return Ok(());
    }
    for filing in filings {
        let is_of_one = tube(filing)
            .is_some_and(|(number, subject)| rejected.contains(&(number.to_owned(), subject)));
        filing.of_rejected = is_of_one;
    }
    Ok(())
}

fn tube<'f>(filing: &'f Filing<'_>) -> Option<(&'f str, Uuid)> {
    Some((filing.specimen_number()?, filing.subject?))
}

/// Why an order waits for another tube no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended<'n> {
    /// It is on the tube with this number.
    Tube(&'n str),
    /// Its result came, and names no tube.
    Result,
    Cancelled,
    /// A source system says that it is over.
    Closed,
}

impl Ended<'_> {
    fn words(self) -> String {
        match self {
            Self::Tube(number) => format!("another tube: {number}"),
            Self::Result => "the result came".to_owned(),
            Self::Cancelled => "the order was cancelled".to_owned(),
            Self::Closed => "the order is closed".to_owned(),
        }
    }
}

/// An order of the patient waits no longer: the task to collect again is done when none of the others waits for another tube.
pub(crate) async fn no_longer_awaited(
    tx: &mut Tx<'_>,
    subject: Uuid,
    actor: &str,
    ended: Ended<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update clinical.tasks set state = 'done', done_at = now(), done_by = $2, outcome = $3 \
         where subject_key = $1 and kind = 'recollection' and state <> 'done' \
         and not exists (select from clinical.orders where subject_key = $1 and held = 'specimen_rejected')",
    )
    .bind(subject)
    .bind(actor)
    .bind(ended.words())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A tube is named that was rejected, to put orders on it.
pub(crate) fn again() -> Refusal {
    Refusal::new(
        "clinical.specimen_rejected_conflict",
        "the laboratory rejected the specimen with this number: collect another, with a number of its own",
    )
}
