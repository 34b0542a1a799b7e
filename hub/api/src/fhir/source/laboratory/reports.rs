//! Reports of the laboratory.

use std::collections::HashMap;

use hub_fhir::{Meta, Report};
use schemas::care::Attachment;
use uuid::Uuid;
use worker_clinical::queries::{self, ReportFilter, ReportItem, ReportRow};

use super::super::links::{self, Carries, Links};
use super::super::{Found, Ground, Hints, Made, Scope, Stretch};
use super::observations;
use crate::problem::Problem;
use crate::views::of_care::{canonical, code, parted};

/// Newest first.
pub(in super::super) async fn walk(
    ground: &mut Ground<'_, '_>,
    scope: &Scope,
    hints: &Hints,
    after: Option<&str>,
    limit: u16,
) -> Result<Stretch, Problem> {
    let page = links::page(after, limit)?;
    let rows = match scope {
        Scope::People(_) => {
            let subjects: Vec<Uuid> = scope.keys().into_keys().collect();
            let filter = ReportFilter {
                code: hints.code.clone(),
                from: hints.from,
                to: hints.to,
                ..ReportFilter::default()
            };
            queries::reports_for_subjects(ground.tx.conn(), &subjects, &filter, page).await?
        }
        Scope::Tubes(numbers) => {
            let mut rows = Vec::new();
            for number in numbers {
                for id in queries::reports_by_specimen(ground.tx.conn(), number, page).await? {
                    let found = queries::report(ground.tx.conn(), id).await?;
                    rows.extend(found.map(|(row, _)| row));
                }
            }
            rows
        }
        Scope::Numbers(_) | Scope::Whole => Vec::new(),
    };
    let full = rows.len() >= usize::from(limit) && matches!(scope, Scope::People(_));
    Ok(Stretch::of(of_all(ground, rows).await?, full))
}

pub(in super::super) async fn one(
    ground: &mut Ground<'_, '_>,
    id: &str,
) -> Result<Option<Found>, Problem> {
    let Ok(id) = id.parse::<Uuid>() else {
        return Ok(None);
    };
    let row = queries::report(ground.tx.conn(), id).await?;
    let rows = row.map(|(row, _)| row).into_iter().collect();
    Ok(of_all(ground, rows).await?.pop())
}

fn carried(row: &ReportRow) -> Carries<'_> {
    Carries {
        subject: row.subject_key,
        visit: row.visit_number.as_deref(),
        placer: row.placer_number.as_deref(),
        tube: row.specimen_number.as_deref(),
        code: Some(&row.code),
    }
}

async fn of_all(ground: &mut Ground<'_, '_>, rows: Vec<ReportRow>) -> Result<Vec<Found>, Problem> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let links = Links::of(ground.tx, rows.iter().map(carried)).await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut items: HashMap<Uuid, Vec<ReportItem>> = HashMap::new();
    for item in queries::items_of_reports(ground.tx.conn(), &ids).await? {
        items.entry(item.report_id).or_default().push(item);
    }
    let origin = ground.origin.clone();
    Ok(rows
        .into_iter()
        .map(|row| {
            let items = items.remove(&row.id).unwrap_or_default();
            of(row, items, &links, &origin)
        })
        .collect())
}

fn of(row: ReportRow, items: Vec<ReportItem>, links: &Links, origin: &str) -> Found {
    let refers = carried(&row);
    let patient = links.patient(row.subject_key);
    let (encounter, order, specimen) = (
        links.encounter(&refers),
        links.order(&refers),
        links.tube(&refers),
    );
    let place = row.cursor().to_string();
    let at = row
        .released_at
        .map_or(row.updated_at, |released| released.max(row.updated_at));
    let results = items
        .iter()
        .map(|item| observations::result_id(item.report_id, item.item))
        .collect();
    let documents = items
        .into_iter()
        .filter(|item| item.value_kind == "attachment")
        .filter_map(|item| canonical::<Attachment>(item.value_json))
        .map(|attachment| {
            let url = format!(
                "{origin}/api/v1/reports/{}/attachments/{}",
                row.id, attachment.sha256
            );
            (attachment, url)
        })
        .collect();
    let report = Report {
        id: row.id,
        meta: Meta::new(row.version, at),
        patient,
        encounter,
        order,
        specimen,
        placer_number: row.placer_number,
        filler_number: row.filler_number,
        code: code(row.code, row.code_text, row.code_system),
        status: row.status,
        release: row.release_state,
        releases: row.releases.unwrap_or_default(),
        observed_at: row.observed_at,
        issued_at: row.issued_at,
        notes: parted(row.notes.as_deref(), '\n'),
        results,
        documents,
        channel: row.channel.clone(),
    };
    Found {
        resource: report.resource(),
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
