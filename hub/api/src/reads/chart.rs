//! Charts, through `worker_clinical::queries`: whose an entry is, and what stands in a chart.

use hub_core::Tx;
use schemas::IdentifierKey;
use schemas::patients::Identifier;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;
use worker_clinical::queries::{self, ChartFilter, ChartRow, TaskFilter};

use crate::auth::chart::Sight;
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::care::patients_of;
use crate::reads::patients::{Keys, keys_of_patient};
use crate::views::chart::Charted;
use crate::views::rounds::{Score, Task};

/// A patient as something is written into his chart.
pub(crate) struct Subject {
    /// Of the record that stands.
    pub(crate) patient: Uuid,
    /// What the rows will carry: his first identifier in use.
    pub(crate) identifier: Identifier,
    /// All of his identifiers.
    pub(crate) keys: Keys,
    pub(crate) birth_date: Option<String>,
}

impl Subject {
    pub(crate) fn all_keys(&self) -> Vec<Uuid> {
        self.keys.keys().copied().collect()
    }

    /// The lane of everything about him.
    pub(crate) fn aggregate(&self) -> String {
        self.identifier.key.0.to_string()
    }
}

/// By the id of any of his records; `None` when there is no such record.
pub(crate) async fn subject(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<Subject>, Problem> {
    let Some(person) = worker_patient::queries::get(tx.conn(), id).await? else {
        return Ok(None);
    };
    let Some(keys) = keys_of_patient(tx, person.patient.id).await? else {
        return Ok(None);
    };
    let identifiers = || {
        person
            .patient
            .identifiers
            .iter()
            .chain(person.merged.iter().flat_map(|record| &record.identifiers))
    };
    let Some(first) = identifiers()
        .find(|one| one.ended_at.is_none())
        .or_else(|| identifiers().next())
    else {
        return Ok(None);
    };
    Ok(Some(Subject {
        patient: person.patient.id,
        identifier: Identifier {
            key: IdentifierKey(first.key),
            system: first.system.clone(),
            value: first.value.clone(),
            kind: first.kind.clone(),
        },
        birth_date: person.patient.birth_date.clone(),
        keys,
    }))
}

/// Whose chart the row is in: the standing record, and all keys of the person. A person whom the index does not know has the
/// row's key alone.
pub(crate) async fn whose(
    tx: &mut Tx<'_>,
    subject_key: Uuid,
) -> Result<(Option<Uuid>, Keys), Problem> {
    let patient = patients_of(tx, [Some(subject_key)])
        .await?
        .get(&subject_key)
        .copied()
        .flatten();
    let keys = match patient {
        Some(id) => keys_of_patient(tx, id).await?,
        None => None,
    };
    Ok((
        patient,
        keys.unwrap_or_else(|| Keys::from([(subject_key, None)])),
    ))
}

fn time_of(text: &str) -> Result<OffsetDateTime, Problem> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| Cursor::refused())
}

fn place(cursor: Option<&Cursor>) -> Result<Option<(OffsetDateTime, Uuid)>, Problem> {
    Cursor::key::<(String, Uuid)>(cursor)?
        .map(|(at, id)| Ok((time_of(&at)?, id)))
        .transpose()
}

fn next(at: OffsetDateTime, id: Uuid) -> Option<(String, Uuid)> {
    Some((at.format(&Rfc3339).ok()?, id))
}

/// Entries of one kind, newest first.
pub(crate) async fn entries<T: Charted>(
    tx: &mut Tx<'_>,
    keys: &Keys,
    mut filter: ChartFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<T>, Problem> {
    filter.after = place(cursor)?;
    filter.limit = limit.rows();
    let subjects: Vec<Uuid> = keys.keys().copied().collect();
    let rows = queries::chart_entries_marked(tx, T::KIND, &subjects, &filter).await?;
    let next = rows
        .last()
        .filter(|_| limit.is_full(rows.len()))
        .and_then(|row| next(row.recorded_at, row.id));
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        let patient = keys.get(&row.subject_key).copied().flatten();
        items.push(view(row, patient)?);
    }
    Ok(Page {
        items,
        next_cursor: next.map(|key| crate::page::encode(&key)),
    })
}

/// A row as its view.
pub(crate) fn view<T: Charted>(row: ChartRow, patient: Option<Uuid>) -> Result<T, Problem> {
    let id = row.id;
    T::of(row, patient).ok_or_else(|| {
        tracing::error!(%id, kind = T::KIND, "the body of a chart entry is not of its kind");
        Problem::internal()
    })
}

/// Scores, newest first.
pub(crate) async fn scores(
    tx: &mut Tx<'_>,
    keys: &Keys,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Score>, Problem> {
    let subjects: Vec<Uuid> = keys.keys().copied().collect();
    let rows =
        queries::scores_for_subjects(tx.conn(), &subjects, place(cursor)?, limit.rows()).await?;
    let next = rows
        .last()
        .filter(|_| limit.is_full(rows.len()))
        .and_then(|row| next(row.observed_at, row.id));
    Ok(Page::of(rows, next, |row| {
        let patient = keys.get(&row.subject_key).copied().flatten();
        Score::of(row, patient)
    }))
}

/// Tasks, the one that is due first in front.
pub(crate) async fn tasks(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    mut filter: TaskFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Task>, Problem> {
    filter.after = place(cursor)?;
    filter.limit = limit.rows();
    // whose chart was opened is not asked for again
    let of_all = filter.subjects.is_none();
    let rows = queries::tasks(tx.conn(), &filter).await?;
    let next = rows
        .last()
        .filter(|_| limit.is_full(rows.len()))
        .and_then(|row| next(row.due_at, row.id));
    let keys = patients_of(tx, rows.iter().map(|row| Some(row.subject_key))).await?;
    let rows = if of_all {
        let closed = sight.closed(tx, &keys).await?;
        closed.pass(rows, |row| keys.get(&row.subject_key).copied().flatten())
    } else {
        rows
    };
    Ok(Page::of(rows, next, |row| {
        let patient = keys.get(&row.subject_key).copied().flatten();
        Task::of(row, patient)
    }))
}
