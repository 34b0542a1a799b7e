//! Encounters, orders, reports and results, through `worker_clinical::queries`.

use std::collections::HashMap;

use hub_core::Tx;
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use worker_clinical::queries;

use crate::auth::chart::Sight;
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::patients::Keys;
use crate::views::care::{
    Encounter, EncounterDetail, LabResult, Order, OrderDetail, Place, Report, ReportDetail,
    Sending, Specimen,
};

/// Which versions of results.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Versions {
    #[default]
    Current,
    All,
}

/// Whose results: a person's, or those of a specimen.
#[derive(Debug)]
pub(crate) enum Scope {
    Person(Keys),
    Specimen(String),
}

#[derive(Debug, Default)]
pub(crate) struct ResultFilter {
    pub(crate) code: Option<String>,
    pub(crate) loinc: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) held: Option<bool>,
    pub(crate) released: Option<bool>,
    pub(crate) from: Option<OffsetDateTime>,
    pub(crate) to: Option<OffsetDateTime>,
    pub(crate) versions: Versions,
}

pub(crate) async fn results(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    scope: &Scope,
    filter: &ResultFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<LabResult>, Problem> {
    let page = page_of(cursor, limit)?;
    let wanted = queries::ResultFilter {
        // the query takes either code in one condition; the second, if any, is looked at below
        code: filter.loinc.clone().or_else(|| filter.code.clone()),
        status: filter.status.clone(),
        held: filter.held,
        released: filter.released,
        from: filter.from,
        to: filter.to,
        versions: match filter.versions {
            Versions::Current => queries::Versions::Current,
            Versions::All => queries::Versions::All,
        },
    };
    let (mut rows, keys, next) = match scope {
        Scope::Person(keys) => {
            let subjects: Vec<Uuid> = keys.keys().copied().collect();
            let rows = queries::results_for_subjects(tx.conn(), &subjects, &wanted, page).await?;
            let next = next(limit, &rows, queries::ResultRow::cursor);
            (rows, keys.clone(), next)
        }
        Scope::Specimen(number) => {
            let rows = queries::results_for_specimen(tx.conn(), number, &wanted, page).await?;
            let next = next(limit, &rows, queries::ResultRow::cursor);
            let keys = patients_of(tx, rows.iter().map(|row| row.subject_key)).await?;
            let closed = sight.closed_tubes(tx, &keys).await?;
            let rows = closed.show(rows, |row| patient_of(&keys, row.subject_key))?;
            (rows, keys, next)
        }
    };
    let fits = |row: &queries::ResultRow| {
        (filter.loinc.is_none() || row.loinc == filter.loinc)
            && filter.code.as_ref().is_none_or(|code| row.code == *code)
    };
    rows.retain(fits);
    Ok(Page::of(rows, next, |row| {
        let patient = patient_of(&keys, row.subject_key);
        LabResult::of(row, patient)
    }))
}

/// Which orders; one of number, specimen and patient must be given.
#[derive(Debug, Default)]
pub(crate) struct OrderFilter {
    /// Placer or filler number.
    pub(crate) number: Option<String>,
    pub(crate) specimen: Option<String>,
    pub(crate) status: Option<String>,
}

pub(crate) async fn orders(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    keys: Option<&Keys>,
    filter: &OrderFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Order>, Problem> {
    let page = page_of(cursor, limit)?;
    let wanted = queries::OrderFilter {
        number: filter.number.clone(),
        status: filter.status.clone(),
        ..queries::OrderFilter::default()
    };
    let rows = match (keys, &filter.specimen, &filter.number) {
        (Some(_), Some(_), _) => {
            return Err(Problem::invalid(
                "specimen",
                "give either patient_identifier or specimen",
            ));
        }
        (Some(keys), None, _) => {
            queries::orders_for_subjects(tx.conn(), &subjects(keys), &wanted, page).await?
        }
        (None, Some(specimen), _) => {
            queries::orders_for_specimen(tx.conn(), specimen, &wanted, page).await?
        }
        (None, None, Some(number)) => {
            let mut rows = Vec::new();
            for id in queries::orders_by_number(tx.conn(), number, page).await? {
                rows.extend(queries::order(tx.conn(), id).await?);
            }
            rows
        }
        (None, None, None) => return Err(unscoped("patient_identifier", "number or specimen")),
    };
    let next = next(limit, &rows, queries::OrderRow::cursor);
    let (mut rows, keys) = match keys {
        Some(keys) => (rows, keys.clone()),
        None => {
            let keys = patients_of(tx, rows.iter().map(|row| row.subject_key)).await?;
            let closed = sight.closed_tubes(tx, &keys).await?;
            let rows = closed.show(rows, |row| patient_of(&keys, row.subject_key))?;
            (rows, keys)
        }
    };
    // an order found by its number alone was not asked for its status yet
    let fits = |row: &queries::OrderRow| {
        filter
            .status
            .as_ref()
            .is_none_or(|status| row.status == *status)
    };
    let shown: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut sent = sendings(tx, &shown).await?;
    rows.retain(fits);
    Ok(Page::of(rows, next, |row| {
        let patient = patient_of(&keys, row.subject_key);
        let sent = sent.remove(&row.id).unwrap_or_default();
        Order::of(row, patient, sent)
    }))
}

pub(crate) async fn order(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    id: Uuid,
) -> Result<Option<OrderDetail>, Problem> {
    let Some(row) = queries::order(tx.conn(), id).await? else {
        return Ok(None);
    };
    let patient = sight.open_tube(tx, row.subject_key).await?;
    let specimens = queries::specimens_of_order(tx.conn(), id).await?;
    let sent = sendings(tx, &[id]).await?.remove(&id).unwrap_or_default();
    Ok(Some(OrderDetail {
        order: Order::of(row, patient, sent),
        specimens: specimens.into_iter().map(Specimen::of).collect(),
    }))
}

/// What instruments were told, by order.
async fn sendings(
    tx: &mut Tx<'_>,
    orders: &[Uuid],
) -> Result<HashMap<Uuid, Vec<Sending>>, Problem> {
    let mut sent: HashMap<Uuid, Vec<Sending>> = HashMap::new();
    for row in queries::sendings(tx.conn(), orders).await? {
        sent.entry(row.order_id).or_default().push(Sending::of(row));
    }
    Ok(sent)
}

/// What decides the lane of a command about this order: its patient, as for the messages about it.
pub(crate) async fn order_aggregate(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<String>, Problem> {
    let row = queries::order(tx.conn(), id).await?;
    Ok(row.map(|row| row.subject_key.unwrap_or(id).to_string()))
}

/// The same, once it is clear that the caller may see the order.
pub(crate) async fn open_order(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    id: Uuid,
) -> Result<Option<String>, Problem> {
    let Some(row) = queries::order(tx.conn(), id).await? else {
        return Ok(None);
    };
    sight.open_tube(tx, row.subject_key).await?;
    Ok(Some(row.subject_key.unwrap_or(id).to_string()))
}

pub(crate) async fn encounters(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    keys: Option<&Keys>,
    visit: Option<&str>,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Encounter>, Problem> {
    let page = page_of(cursor, limit)?;
    let rows = match (keys, visit) {
        (Some(keys), _) => {
            let filter = queries::EncounterFilter {
                visit_number: visit.map(str::to_owned),
                ..queries::EncounterFilter::default()
            };
            queries::encounters_for_subjects(tx.conn(), &subjects(keys), &filter, page).await?
        }
        (None, Some(visit)) => {
            let mut rows = Vec::new();
            for id in queries::encounters_by_visit(tx.conn(), visit, page).await? {
                rows.extend(queries::encounter(tx.conn(), id).await?.map(|(row, _)| row));
            }
            rows
        }
        (None, None) => return Err(unscoped("patient_identifier", "visit")),
    };
    let next = next(limit, &rows, queries::EncounterRow::cursor);
    let (rows, keys) = match keys {
        Some(keys) => (rows, keys.clone()),
        None => {
            let keys = patients_of(tx, rows.iter().map(|row| Some(row.subject_key))).await?;
            let closed = sight.closed(tx, &keys).await?;
            let rows = closed.show(rows, |row| patient_of(&keys, Some(row.subject_key)))?;
            (rows, keys)
        }
    };
    Ok(Page::of(rows, next, |row| {
        let patient = patient_of(&keys, Some(row.subject_key));
        Encounter::of(row, patient)
    }))
}

/// Stays of the house, newest first.
pub(crate) async fn admissions(
    tx: &mut Tx<'_>,
    filter: &queries::AdmissionFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Encounter>, Problem> {
    let rows = queries::admissions(tx.conn(), filter, page_of(cursor, limit)?).await?;
    let next = next(limit, &rows, queries::EncounterRow::cursor);
    let items = with_patients(tx, rows).await?;
    Ok(Page::of(items, next, |item| item))
}

/// Encounters with their patients.
pub(crate) async fn with_patients(
    tx: &mut Tx<'_>,
    rows: Vec<queries::EncounterRow>,
) -> Result<Vec<Encounter>, Problem> {
    let keys = patients_of(tx, rows.iter().map(|row| Some(row.subject_key))).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let patient = patient_of(&keys, Some(row.subject_key));
            Encounter::of(row, patient)
        })
        .collect())
}

pub(crate) async fn encounter(
    tx: &mut Tx<'_>,
    id: Uuid,
) -> Result<Option<EncounterDetail>, Problem> {
    let Some((row, places)) = queries::encounter(tx.conn(), id).await? else {
        return Ok(None);
    };
    let keys = patients_of(tx, [Some(row.subject_key)]).await?;
    let patient = patient_of(&keys, Some(row.subject_key));
    Ok(Some(EncounterDetail {
        encounter: Encounter::of(row, patient),
        places: places.into_iter().map(Place::of).collect(),
    }))
}

pub(crate) async fn reports(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    keys: Option<&Keys>,
    specimen: Option<&str>,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Report>, Problem> {
    let page = page_of(cursor, limit)?;
    let rows = match (keys, specimen) {
        (Some(keys), _) => {
            let filter = queries::ReportFilter {
                number: specimen.map(str::to_owned),
                ..queries::ReportFilter::default()
            };
            queries::reports_for_subjects(tx.conn(), &subjects(keys), &filter, page).await?
        }
        (None, Some(specimen)) => {
            let mut rows = Vec::new();
            for id in queries::reports_by_specimen(tx.conn(), specimen, page).await? {
                rows.extend(queries::report(tx.conn(), id).await?.map(|(row, _)| row));
            }
            rows
        }
        (None, None) => return Err(unscoped("patient_identifier", "specimen")),
    };
    let next = next(limit, &rows, queries::ReportRow::cursor);
    let (rows, keys) = match keys {
        Some(keys) => (rows, keys.clone()),
        None => {
            let keys = patients_of(tx, rows.iter().map(|row| row.subject_key)).await?;
            let closed = sight.closed_tubes(tx, &keys).await?;
            let rows = closed.show(rows, |row| patient_of(&keys, row.subject_key))?;
            (rows, keys)
        }
    };
    Ok(Page::of(rows, next, |row| {
        let patient = patient_of(&keys, row.subject_key);
        Report::of(row, patient)
    }))
}

pub(crate) async fn report(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    id: Uuid,
) -> Result<Option<ReportDetail>, Problem> {
    let Some((row, results)) = queries::report(tx.conn(), id).await? else {
        return Ok(None);
    };
    let patient = sight.open_tube(tx, row.subject_key).await?;
    Ok(Some(ReportDetail {
        report: Report::of(row, patient),
        results: results
            .into_iter()
            .map(|row| LabResult::of(row, patient))
            .collect(),
    }))
}

/// A list of everybody's rows has no index to walk: one of two conditions must be given.
pub(crate) fn unscoped(one: &str, other: &str) -> Problem {
    Problem::invalid(one, format!("give {one} or {other}"))
}

fn subjects(keys: &Keys) -> Vec<Uuid> {
    keys.keys().copied().collect()
}

fn patient_of(keys: &Keys, key: Option<Uuid>) -> Option<Uuid> {
    key.and_then(|key| keys.get(&key).copied().flatten())
}

pub(crate) async fn patients_of(
    tx: &mut Tx<'_>,
    keys: impl IntoIterator<Item = Option<Uuid>>,
) -> Result<Keys, Problem> {
    let keys: Vec<Uuid> = keys.into_iter().flatten().collect();
    Ok(worker_patient::queries::patients_of_keys(tx.conn(), &keys)
        .await?
        .into_iter()
        .collect())
}

pub(crate) fn page_of(cursor: Option<&Cursor>, limit: Limit) -> Result<queries::Page, Problem> {
    let after = Cursor::key::<String>(cursor)?
        .map(|text| text.parse::<queries::Cursor>())
        .transpose()
        .map_err(|_| Cursor::refused())?;
    Ok(queries::Page {
        limit: limit.count(),
        after,
    })
}

/// The key of the page after these rows, where there may be one.
pub(crate) fn next<R>(
    limit: Limit,
    rows: &[R],
    cursor: fn(&R) -> queries::Cursor,
) -> Option<String> {
    rows.last()
        .filter(|_| limit.is_full(rows.len()))
        .map(|row| cursor(row).to_string())
}
