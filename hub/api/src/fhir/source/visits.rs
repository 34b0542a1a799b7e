//! Encounters.

use std::collections::HashMap;

use hub_fhir::{Encounter, Meta, Stay};
use schemas::TenantId;
use uuid::Uuid;
use worker_clinical::queries::{self, EncounterFilter, EncounterPlace, EncounterRow};

use super::links::{self, patient_of};
use super::{Found, Ground, Made, Scope, Stretch, house, organization};
use crate::problem::Problem;
use crate::reads::care::patients_of;
use crate::reads::patients::Keys;
use crate::views::of_care::canonical;

/// Newest first.
pub(super) async fn walk(
    ground: &mut Ground<'_, '_>,
    scope: &Scope,
    after: Option<&str>,
    limit: u16,
) -> Result<Stretch, Problem> {
    let page = links::page(after, limit)?;
    let rows = match scope {
        Scope::People(_) => {
            let subjects: Vec<Uuid> = scope.keys().into_keys().collect();
            let filter = EncounterFilter::default();
            queries::encounters_for_subjects(ground.tx.conn(), &subjects, &filter, page).await?
        }
        Scope::Numbers(visits) => {
            let mut rows = Vec::new();
            for visit in visits {
                for id in queries::encounters_by_visit(ground.tx.conn(), visit, page).await? {
                    let found = queries::encounter(ground.tx.conn(), id).await?;
                    rows.extend(found.map(|(row, _)| row));
                }
            }
            rows
        }
        Scope::Tubes(_) | Scope::Whole => Vec::new(),
    };
    let full = rows.len() >= usize::from(limit) && matches!(scope, Scope::People(_));
    Ok(Stretch::of(of_all(ground, rows).await?, full))
}

pub(super) async fn one(ground: &mut Ground<'_, '_>, id: &str) -> Result<Option<Found>, Problem> {
    let Ok(id) = id.parse::<Uuid>() else {
        return Ok(None);
    };
    let row = queries::encounter(ground.tx.conn(), id).await?;
    let rows = row.map(|(row, _)| row).into_iter().collect();
    Ok(of_all(ground, rows).await?.pop())
}

async fn of_all(
    ground: &mut Ground<'_, '_>,
    rows: Vec<EncounterRow>,
) -> Result<Vec<Found>, Problem> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let keys = patients_of(ground.tx, rows.iter().map(|row| Some(row.subject_key))).await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut places: HashMap<Uuid, Vec<EncounterPlace>> = HashMap::new();
    for (encounter, place) in queries::places_of_encounters(ground.tx.conn(), &ids).await? {
        places.entry(encounter).or_default().push(place);
    }
    let beds = house::bed_ids(ground).await?;
    let tenant = ground.tenant();
    Ok(rows
        .into_iter()
        .map(|row| {
            let places = places.remove(&row.id).unwrap_or_default();
            of(row, places, &keys, &beds, &tenant)
        })
        .collect())
}

fn of(
    row: EncounterRow,
    places: Vec<EncounterPlace>,
    keys: &Keys,
    beds: &house::Beds,
    tenant: &TenantId,
) -> Found {
    let patient = patient_of(keys, Some(row.subject_key));
    let place = row.cursor().to_string();
    let stays = places
        .into_iter()
        .map(|one| {
            let place =
                canonical::<schemas::care::Location>(Some(one.location)).unwrap_or_default();
            Stay {
                location: beds.id_of(tenant, &place),
                place,
                status: one.status,
                from: one.from_at,
                to: one.to_at,
            }
        })
        .collect();
    let encounter = Encounter {
        id: row.id,
        meta: Meta::new(row.version, row.updated_at),
        patient,
        visit_number: row.visit_number,
        class: row.class,
        status: row.status,
        stays,
        attending: canonical(row.attending),
        referring: canonical(row.referring),
        service: row.service,
        disposition: row.disposition,
        department: row.department_id,
        reason: row.reason,
        priority: row.priority,
        payer: row.payer,
        ward_class: row.ward_class,
        medico_legal: row.medico_legal,
        expected_at: row.expected_at,
        started_at: row.started_at,
        ended_at: row.ended_at,
        organization: Some(organization(tenant)),
    };
    Found {
        resource: encounter.resource(),
        permission: "encounters:read",
        patient,
        of_chart: true,
        clinic: None,
        made: Some(Made {
            source: row.source_event,
            channel: None,
            created: row.version == 1,
            at: row.updated_at,
        }),
        place,
    }
}
