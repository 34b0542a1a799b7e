//! What staff write into charts: conditions, allergies, prescriptions line by line, notes and documents.

mod documents;
mod prescriptions;
mod problems;

pub(crate) use documents::document_kind;

use hub_fhir::{Kind, Resource};
use schemas::care::Practitioner;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use uuid::Uuid;
use worker_clinical::queries::{self, ChartFilter, ChartRow};

use super::links::{Carries, Links};
use super::{Found, Ground, Hints, Made, Scope, Stretch};
use crate::page::Cursor;
use crate::problem::Problem;

const PERMISSION: &str = "charts:read";

/// Kinds of entries, as stored, that are this type; in the order in which they are walked.
fn kinds_of(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Condition => &["condition"],
        Kind::AllergyIntolerance => &["allergy"],
        Kind::MedicationRequest => &["prescription"],
        Kind::DocumentReference => &["document", "note"],
        _ => &[],
    }
}

/// Where a walk goes on: after this line of this row, of the kind that is walked then.
struct Place {
    kind: usize,
    /// Absent: from the beginning of the kind.
    after: Option<(OffsetDateTime, Uuid, usize)>,
}

impl Place {
    const BEGIN: Self = Self {
        kind: 0,
        after: None,
    };

    /// `1.1767225600000000.018f….2`: microseconds, which is what the database keeps of a time.
    fn text(kind: usize, row: &ChartRow, line: usize) -> String {
        let micros = row.recorded_at.unix_timestamp_nanos() / 1_000;
        format!("{kind}.{micros}.{}.{line}", row.id)
    }

    fn read(text: &str) -> Result<Self, Problem> {
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or_else(Cursor::refused);
        let kind = next()?.parse().map_err(|_| Cursor::refused())?;
        let Ok(micros) = next()?.parse::<i64>() else {
            return Err(Cursor::refused());
        };
        if micros < 0 {
            return Ok(Self { kind, after: None });
        }
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000)
            .map_err(|_| Cursor::refused())?;
        let id = next()?.parse().map_err(|_| Cursor::refused())?;
        let line = next()?.parse().map_err(|_| Cursor::refused())?;
        Ok(Self {
            kind,
            after: Some((at, id, line)),
        })
    }

    /// The next kind, from its beginning.
    fn of_kind(kind: usize) -> String {
        format!("{kind}.-1")
    }
}

/// Newest first in each kind.
pub(super) async fn walk(
    ground: &mut Ground<'_, '_>,
    kind: Kind,
    scope: &Scope,
    hints: &Hints,
    after: Option<&str>,
    limit: u16,
) -> Result<Stretch, Problem> {
    let kinds = kinds_of(kind);
    let place = after.map_or(Ok(Place::BEGIN), Place::read)?;
    let (Scope::People(_), Some(stored)) = (scope, kinds.get(place.kind)) else {
        return Ok(Stretch::default());
    };
    let subjects: Vec<Uuid> = scope.keys().into_keys().collect();
    let mut rows = Vec::new();
    let mut skip = 0;
    // a page may have ended among the lines of one prescription
    if let Some((_, id, line)) = place.after.filter(|_| kind == Kind::MedicationRequest) {
        let row = queries::chart_entry(ground.tx, id).await?;
        rows.extend(row.filter(|row| row.kind == *stored && subjects.contains(&row.subject_key)));
        skip = if rows.is_empty() { 0 } else { line };
    }
    let filter = ChartFilter {
        code: hints
            .code
            .clone()
            .filter(|_| matches!(kind, Kind::Condition | Kind::AllergyIntolerance)),
        from: hints.from,
        to: hints.to,
        after: place.after.map(|(at, id, _)| (at, id)),
        limit: i64::from(limit),
        ..ChartFilter::default()
    };
    let more = queries::chart_entries(ground.tx, stored, &subjects, &filter).await?;
    let full = more.len() >= usize::from(limit);
    rows.extend(more);
    let mut found = of_rows(ground, kind, rows, place.kind).await?;
    found.drain(..skip.min(found.len()));
    let mut stretch = Stretch::of(found, full);
    if stretch.next.is_none() && place.kind + 1 < kinds.len() {
        stretch.next = Some(Place::of_kind(place.kind + 1));
    }
    Ok(stretch)
}

/// The entry behind an id; of a line, the prescription that it is in.
async fn entry(
    ground: &mut Ground<'_, '_>,
    kind: Kind,
    id: &str,
) -> Result<Option<ChartRow>, Problem> {
    let entry = match (kind, id.split_once('.')) {
        (Kind::MedicationRequest, Some((entry, _))) => entry,
        (Kind::MedicationRequest, None) | (_, Some(_)) => return Ok(None),
        (_, None) => id,
    };
    let Ok(entry) = entry.parse::<Uuid>() else {
        return Ok(None);
    };
    let row = queries::chart_entry(ground.tx, entry).await?;
    Ok(row.filter(|row| kinds_of(kind).contains(&row.kind.as_str())))
}

pub(super) async fn one(
    ground: &mut Ground<'_, '_>,
    kind: Kind,
    id: &str,
) -> Result<Option<Found>, Problem> {
    let Some(row) = entry(ground, kind, id).await? else {
        return Ok(None);
    };
    let found = of_rows(ground, kind, vec![row], 0).await?;
    Ok(found.into_iter().find(|found| found.resource.id == id))
}

/// All versions, oldest first. Of a prescription those that have the line: a draft may have had fewer.
pub(super) async fn versions(
    ground: &mut Ground<'_, '_>,
    kind: Kind,
    id: &str,
) -> Result<Vec<Found>, Problem> {
    let Some(row) = entry(ground, kind, id).await? else {
        return Ok(Vec::new());
    };
    let mut rows: Vec<ChartRow> = queries::chart_history(ground.tx, row.id)
        .await?
        .into_iter()
        .filter(|version| version.version < row.version)
        .map(|version| ChartRow {
            state: version.state,
            body: version.body,
            version: version.version,
            updated_at: version.at,
            updated_by: version.actor,
            reason: version.reason,
            source_event: version.source_event,
            ..row.clone()
        })
        .collect();
    rows.push(row);
    let found = of_rows(ground, kind, rows, 0).await?;
    Ok(found
        .into_iter()
        .filter(|found| found.resource.id == id)
        .collect())
}

/// What a row is made into, beside its content.
struct Context<'a> {
    row: &'a ChartRow,
    patient: Option<Uuid>,
    encounter: Option<Uuid>,
    /// `https://hub.example`
    origin: &'a str,
}

async fn of_rows(
    ground: &mut Ground<'_, '_>,
    kind: Kind,
    rows: Vec<ChartRow>,
    walked: usize,
) -> Result<Vec<Found>, Problem> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let links = Links::of(ground.tx, rows.iter().map(carried)).await?;
    let origin = ground.origin.clone();
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        let context = Context {
            row,
            patient: links.patient(Some(row.subject_key)),
            encounter: links.encounter(&carried(row)),
            origin: &origin,
        };
        for (index, resource) in resources(kind, &context)?.into_iter().enumerate() {
            all.push(Found {
                resource,
                permission: PERMISSION,
                patient: context.patient,
                of_chart: true,
                clinic: None,
                made: Some(Made {
                    source: row.source_event,
                    channel: None,
                    created: row.version == 1,
                    at: row.updated_at,
                }),
                place: Place::text(walked, row, index + 1),
            });
        }
    }
    Ok(all)
}

fn carried(row: &ChartRow) -> Carries<'_> {
    Carries {
        subject: Some(row.subject_key),
        visit: row.visit_number.as_deref(),
        placer: None,
        tube: None,
        code: None,
    }
}

fn resources(kind: Kind, of: &Context<'_>) -> Result<Vec<Resource>, Problem> {
    Ok(match kind {
        Kind::Condition => vec![problems::condition(of, content(of.row)?)],
        Kind::AllergyIntolerance => vec![problems::allergy(of, content(of.row)?)],
        Kind::MedicationRequest => prescriptions::lines(of, &content(of.row)?),
        Kind::DocumentReference if of.row.kind == "note" => {
            vec![documents::note(of, content(of.row)?)]
        }
        Kind::DocumentReference => vec![documents::document(of, content(of.row)?)],
        _ => Vec::new(),
    })
}

/// What the row holds. That it is of another kind would be a defect, and nothing is left out for it without a word.
pub(crate) fn content<T: DeserializeOwned>(row: &ChartRow) -> Result<T, Problem> {
    serde_json::from_value(row.body.clone()).map_err(|_| {
        tracing::error!(id = %row.id, kind = %row.kind, "the body of a chart entry is not of its kind");
        Problem::internal()
    })
}

/// A member of the staff, by the name that he signs in with.
fn staff(username: &str) -> Option<Practitioner> {
    Some(Practitioner {
        id: Some(username.to_owned()),
        name: None,
    })
}
