//! Results of the laboratory, then what bedside devices measured: two walks, one after the other.

use std::collections::HashMap;

use hub_fhir::{Category, Measured, Meta, Observation, Range, result_status, verified_status};
use time::OffsetDateTime;
use uuid::Uuid;
use worker_clinical::queries::{
    self, ReportOfResult, ResultFilter, ResultRow, VitalFilter, VitalRow,
};

use super::super::links::{self, Carries, Links};
use super::super::{Found, Ground, Hints, Made, Scope, Stretch};
use crate::page::Cursor;
use crate::problem::Problem;
use crate::reads::care::patients_of;
pub(in super::super) use crate::views::of_care::result_id;
use crate::views::of_care::{canonical, code, parted, value_from};

/// Places in the first walk begin with this, those in the second with the other.
const RESULTS: &str = "r:";
const VITALS: &str = "v:";

/// Newest first in each walk.
pub(in super::super) async fn walk(
    ground: &mut Ground<'_, '_>,
    scope: &Scope,
    hints: &Hints,
    after: Option<&str>,
    limit: u16,
) -> Result<Stretch, Problem> {
    let wants = |category: &str| hints.category.as_deref().is_none_or(|one| one == category);
    let results = ground.may_results && wants("laboratory");
    let vitals = ground.may_vitals && wants("vital-signs") && matches!(scope, Scope::People(_));
    match after {
        Some(after) if after.starts_with(VITALS) => {
            measurements(ground, scope, hints, &after[VITALS.len()..], limit).await
        }
        after => {
            let after = after
                .map(|text| text.strip_prefix(RESULTS).ok_or_else(Cursor::refused))
                .transpose()?;
            let mut stretch = if results {
                of_laboratory(ground, scope, hints, after, limit).await?
            } else {
                Stretch::default()
            };
            if stretch.next.is_none() && vitals {
                stretch.next = Some(VITALS.to_owned());
            }
            Ok(stretch)
        }
    }
}

async fn of_laboratory(
    ground: &mut Ground<'_, '_>,
    scope: &Scope,
    hints: &Hints,
    after: Option<&str>,
    limit: u16,
) -> Result<Stretch, Problem> {
    let page = links::page(after, limit)?;
    let filter = ResultFilter {
        code: hints.code.clone(),
        from: hints.from,
        to: hints.to,
        ..ResultFilter::default()
    };
    let (rows, pages) = match scope {
        Scope::People(_) => {
            let subjects: Vec<Uuid> = scope.keys().into_keys().collect();
            let rows =
                queries::results_for_subjects(ground.tx.conn(), &subjects, &filter, page).await?;
            (rows, true)
        }
        Scope::Tubes(numbers) => {
            let mut rows = Vec::new();
            for number in numbers {
                let of =
                    queries::results_for_specimen(ground.tx.conn(), number, &filter, page).await?;
                rows.extend(of);
            }
            (rows, numbers.len() == 1)
        }
        Scope::Numbers(_) | Scope::Whole => (Vec::new(), false),
    };
    let full = rows.len() >= usize::from(limit) && pages;
    Ok(Stretch::of(of_results(ground, rows).await?, full))
}

async fn measurements(
    ground: &mut Ground<'_, '_>,
    scope: &Scope,
    hints: &Hints,
    after: &str,
    limit: u16,
) -> Result<Stretch, Problem> {
    let subjects: Vec<Uuid> = scope.keys().into_keys().collect();
    let filter = VitalFilter {
        code: hints.code.clone(),
        from: hints.from,
        to: hints.to,
        after: (!after.is_empty())
            .then(|| vital_place(after))
            .transpose()?,
        limit: i64::from(limit),
        ..VitalFilter::default()
    };
    let rows = queries::vitals_for_subjects(ground.tx.conn(), &subjects, &filter).await?;
    let full = rows.len() >= usize::from(limit);
    Ok(Stretch::of(of_vitals(ground, rows).await?, full))
}

/// All versions of one, oldest first.
pub(in super::super) async fn one(
    ground: &mut Ground<'_, '_>,
    id: &str,
) -> Result<Vec<Found>, Problem> {
    let Some((report, item)) = id.split_once('.') else {
        let Ok(key) = id.parse::<Uuid>() else {
            return Ok(Vec::new());
        };
        let rows = queries::vital(ground.tx.conn(), key).await?;
        return of_vitals(ground, rows).await;
    };
    let (Ok(report), Ok(item)) = (report.parse::<Uuid>(), item.parse::<i16>()) else {
        return Ok(Vec::new());
    };
    if result_id(report, item) != id {
        return Ok(Vec::new());
    }
    let mut rows = queries::results_of_report(ground.tx.conn(), report).await?;
    rows.retain(|row| row.item == item);
    of_results(ground, rows).await
}

fn carried(row: &ResultRow) -> Carries<'_> {
    Carries {
        subject: row.subject_key,
        visit: None,
        placer: row.placer_number.as_deref(),
        tube: row.specimen_number.as_deref(),
        code: Some(&row.report_code),
    }
}

async fn of_results(
    ground: &mut Ground<'_, '_>,
    rows: Vec<ResultRow>,
) -> Result<Vec<Found>, Problem> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut ids: Vec<Uuid> = rows.iter().map(|row| row.report_id).collect();
    ids.dedup();
    let reports: HashMap<Uuid, ReportOfResult> =
        queries::reports_of_results(ground.tx.conn(), &ids)
            .await?
            .into_iter()
            .map(|report| (report.id, report))
            .collect();
    let links = Links::of(
        ground.tx,
        rows.iter().map(|row| Carries {
            visit: reports
                .get(&row.report_id)
                .and_then(|report| report.visit_number.as_deref()),
            ..carried(row)
        }),
    )
    .await?;
    let mut before: Option<(Uuid, i16, OffsetDateTime)> = None;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let report = reports.get(&row.report_id);
        // a version begins when the one before it ended
        let begun = match before {
            Some((id, item, ended)) if (id, item) == (row.report_id, row.item) => ended,
            _ if row.version == 1 => row.received_at,
            _ => report.map_or(row.received_at, |report| report.updated_at),
        };
        before = row
            .superseded_at
            .map(|ended| (row.report_id, row.item, ended));
        let visit = report.and_then(|report| report.visit_number.clone());
        all.push(of_result(row, begun, visit.as_deref(), &links));
    }
    Ok(all)
}

fn of_result(row: ResultRow, begun: OffsetDateTime, visit: Option<&str>, links: &Links) -> Found {
    let refers = Carries {
        visit,
        ..carried(&row)
    };
    let patient = links.patient(row.subject_key);
    let (encounter, order, specimen) = (
        links.encounter(&refers),
        links.order(&refers),
        links.tube(&refers),
    );
    let at = row.decided_at.map_or(begun, |decided| decided.max(begun));
    let sent = row.status.as_deref().or(row.report_status.as_deref());
    let status = match row.verification.as_deref() {
        Some(verification) => verified_status(verification, row.released, sent),
        None => result_status(sent),
    };
    let place = format!("{RESULTS}{}", row.cursor());
    let measured = Measured {
        value: value_from(
            &row.value_kind,
            row.value_text.as_deref(),
            row.value_json.as_ref(),
            row.comparator.as_deref(),
        ),
        unit: row.unit,
        ucum: row.ucum,
        ucum_value: row.ucum_value,
    };
    let observation = Observation {
        id: result_id(row.report_id, row.item),
        meta: Meta::new(row.version, at).tagged(row.held.as_ref().map(|_| "held")),
        status,
        category: Category::Laboratory,
        code: code(row.code, row.code_text, row.code_system),
        alternate: canonical(row.alternate),
        loinc: row.loinc.map(|loinc| (loinc, row.loinc_display)),
        patient,
        encounter,
        order,
        specimen,
        observed_at: row.observed_at,
        issued_at: row.issued_at,
        measured,
        range: Range {
            text: row.range_text,
            low: row.range_low,
            high: row.range_high,
        },
        flags: parted(row.flags.as_deref(), '~'),
        notes: parted(row.notes.as_deref(), '\n'),
        device: row.device,
        method: None,
        site: None,
        channel: row.channel.clone(),
    };
    Found {
        resource: observation.resource(),
        permission: "results:read",
        patient,
        of_chart: true,
        clinic: None,
        made: Some(Made {
            source: row.source_event,
            channel: Some(row.channel),
            created: row.version == 1,
            at,
        }),
        place,
    }
}

/// The place of a measurement: microseconds, which is what the database keeps of a time, its key and version.
fn vital_place(text: &str) -> Result<(OffsetDateTime, Uuid, i16), Problem> {
    let mut parts = text.split('.');
    let mut next = || parts.next().ok_or_else(Cursor::refused);
    let micros: i64 = next()?.parse().map_err(|_| Cursor::refused())?;
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000)
        .map_err(|_| Cursor::refused())?;
    let key = next()?.parse().map_err(|_| Cursor::refused())?;
    let version = next()?.parse().map_err(|_| Cursor::refused())?;
    Ok((at, key, version))
}

async fn of_vitals(
    ground: &mut Ground<'_, '_>,
    rows: Vec<VitalRow>,
) -> Result<Vec<Found>, Problem> {
    let keys = patients_of(ground.tx, rows.iter().map(|row| row.subject_key)).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let patient = links::patient_of(&keys, row.subject_key);
            let micros = row.observed_at.unix_timestamp_nanos() / 1_000;
            let place = format!("{VITALS}{micros}.{}.{}", row.vital_key, row.version);
            of_vital(row, patient, place)
        })
        .collect())
}

fn of_vital(row: VitalRow, patient: Option<Uuid>, place: String) -> Found {
    let at = row.received_at;
    let measured = Measured {
        value: value_from(
            &row.value_kind,
            row.value_text.as_deref(),
            row.value_json.as_ref(),
            row.comparator.as_deref(),
        ),
        unit: row.unit,
        ucum: row.ucum,
        ucum_value: row.ucum_value,
    };
    let observation = Observation {
        id: row.vital_key.to_string(),
        meta: Meta::new(row.version, at).tagged(row.held.as_ref().map(|_| "held")),
        status: result_status(row.status.as_deref()),
        category: Category::VitalSigns,
        code: code(row.code, row.code_text, row.code_system),
        alternate: None,
        loinc: row.loinc.map(|loinc| (loinc, row.loinc_display)),
        patient,
        encounter: None,
        order: None,
        specimen: None,
        observed_at: Some(row.observed_at),
        issued_at: None,
        measured,
        range: Range {
            text: row.range_text,
            ..Range::default()
        },
        flags: parted(row.flags.as_deref(), '~'),
        notes: Vec::new(),
        device: row.device,
        method: row.method,
        site: canonical(row.site),
        channel: row.channel.clone(),
    };
    Found {
        resource: observation.resource(),
        permission: "vitals:read",
        patient,
        of_chart: true,
        clinic: None,
        made: Some(Made {
            source: row.source_event,
            channel: Some(row.channel),
            created: row.version == 1,
            at,
        }),
        place,
    }
}
