//! Specimens, and a result with all that it stands on, through `worker_clinical::queries`.

use hub_core::Tx;
use uuid::Uuid;
use worker_clinical::queries::{self, KeptSpecimen, SpecimenFilter};

use crate::auth::chart::Sight;
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::care::patients_of;
use crate::reads::patients::Keys;
use crate::views::care::{LabResult, Report, Specimen};
use crate::views::of_care::result_place;
use crate::views::specimens::{ResultDetail, SpecimenRecord};

/// Who came by a patient has his chart open already; of the others' those in closed charts are left out, or, where a number
/// or an order was asked for, refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Patient,
    Tube,
    List,
}

pub(crate) async fn list(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    by: By,
    mut filter: SpecimenFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<SpecimenRecord>, Problem> {
    filter.after = Cursor::key::<Uuid>(cursor)?;
    filter.limit = limit.rows();
    let rows = queries::specimens_found(tx.conn(), &filter).await?;
    let next = rows
        .last()
        .filter(|_| limit.is_full(rows.len()))
        .map(|row| row.specimen.id);
    let keys = patients_of(tx, rows.iter().map(|row| row.specimen.subject_key)).await?;
    let rows = if by == By::Patient {
        rows
    } else {
        let closed = sight.closed_tubes(tx, &keys).await?;
        let patient = |row: &KeptSpecimen| patient_of(&keys, row.specimen.subject_key);
        if by == By::Tube {
            closed.show(rows, patient)?
        } else {
            closed.pass(rows, patient)
        }
    };
    Ok(Page::of(rows, next, |row| {
        let patient = patient_of(&keys, row.specimen.subject_key);
        SpecimenRecord::of(row, patient)
    }))
}

fn patient_of(keys: &Keys, key: Option<Uuid>) -> Option<Uuid> {
    key.and_then(|key| keys.get(&key).copied().flatten())
}

/// One specimen, opened.
pub(crate) async fn one(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    id: Uuid,
) -> Result<Option<SpecimenRecord>, Problem> {
    let Some(row) = kept(tx, id).await? else {
        return Ok(None);
    };
    let patient = sight.open_tube(tx, row.specimen.subject_key).await?;
    Ok(Some(SpecimenRecord::of(row, patient)))
}

/// The row, not opened.
pub(crate) async fn kept(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<KeptSpecimen>, Problem> {
    Ok(queries::specimens(tx.conn(), &[id]).await?.pop())
}

/// One result by report and item, opened; the newest version that counts, and all of them.
pub(crate) async fn result(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    id: &str,
) -> Result<Option<ResultDetail>, Problem> {
    let Some((report_id, item)) = result_place(id) else {
        return Ok(None);
    };
    let versions = queries::versions_of_result(tx.conn(), report_id, item).await?;
    let Some(current) = versions
        .iter()
        .find(|row| row.current)
        .or_else(|| versions.last())
        .cloned()
    else {
        return Ok(None);
    };
    let patient = sight.open_tube(tx, current.subject_key).await?;
    let Some((report, _)) = queries::report(tx.conn(), report_id).await? else {
        return Ok(None);
    };
    let specimen = match current.specimen_number.as_deref() {
        Some(number) => queries::specimens_by_number(tx.conn(), number)
            .await?
            .into_iter()
            .find(|tube| tube.subject_key == current.subject_key),
        None => None,
    };
    Ok(Some(ResultDetail {
        result: LabResult::of(current, patient),
        versions: versions
            .into_iter()
            .map(|row| LabResult::of(row, patient))
            .collect(),
        report: Report::of(report, patient),
        specimen: specimen.map(Specimen::of),
    }))
}
