//! Patients.

use std::collections::HashMap;

use hub_fhir::{Meta, Patient, PatientIdentifier};
use uuid::Uuid;
use worker_patient::queries;

use super::{Found, Ground, Hints, Made, Scope, Stretch, organization};
use crate::page::Cursor;
use crate::problem::Problem;

const PERMISSION: &str = "patients:read";

/// By id, or by name where nothing else is asked. The hints are kept exactly: who comes back was found by them.
pub(super) async fn walk(
    ground: &mut Ground<'_, '_>,
    scope: &Scope,
    hints: &Hints,
    after: Option<&str>,
    limit: u16,
) -> Result<Stretch, Problem> {
    let after: Option<Uuid> = after
        .map(|text| text.parse().map_err(|_| Cursor::refused()))
        .transpose()?;
    if let Scope::People(people) = scope {
        let mut found = Vec::new();
        for person in people {
            found.extend(one(ground, &person.id.to_string()).await?);
        }
        return Ok(Stretch::of(found, false));
    }
    let search = queries::Search {
        name: hints.name.clone(),
        identifier: hints.identifier.clone(),
        mobile: hints.phone.clone(),
        after,
        limit: i64::from(limit),
    };
    let rows = queries::search(ground.tx.conn(), &search).await?;
    let full = rows.len() >= usize::from(limit);
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut merged: HashMap<Uuid, Vec<queries::Patient>> = HashMap::new();
    for (standing, record) in queries::merged_of(ground.tx.conn(), &ids).await? {
        merged.entry(standing).or_default().push(record);
    }
    let organization = organization(&ground.tenant());
    let found = rows
        .into_iter()
        .map(|row| {
            let merged = merged.remove(&row.id).unwrap_or_default();
            of(row, &merged, organization)
        })
        .collect();
    Ok(Stretch::of(found, full))
}

/// One record as it is; the standing one with what leads to it.
pub(super) async fn one(ground: &mut Ground<'_, '_>, id: &str) -> Result<Option<Found>, Problem> {
    let Ok(id) = id.parse::<Uuid>() else {
        return Ok(None);
    };
    let Some(person) = queries::get(ground.tx.conn(), id).await? else {
        return Ok(None);
    };
    let organization = organization(&ground.tenant());
    if person.patient.id == id {
        return Ok(Some(of(person.patient, &person.merged, organization)));
    }
    Ok(person
        .merged
        .into_iter()
        .find(|record| record.id == id)
        .map(|record| of(record, &[], organization)))
}

fn of(row: queries::Patient, merged: &[queries::Patient], organization: Uuid) -> Found {
    let identifier = |one: &queries::PatientIdentifier, old: bool| PatientIdentifier {
        system: one.system.clone(),
        value: one.value.clone(),
        kind: one.kind.clone(),
        old,
    };
    let own = row.identifiers.iter().map(|one| identifier(one, false));
    let theirs = merged
        .iter()
        .flat_map(|record| &record.identifiers)
        .map(|one| identifier(one, true));
    let patient = Patient {
        id: row.id,
        meta: Meta::new(row.version, row.updated_at)
            .tagged(row.provisional.then_some("provisional")),
        active: row.status == "active",
        identifiers: own.chain(theirs).collect(),
        name: row.name,
        other_names: row.other_names,
        telecoms: row.telecoms,
        sex: row.sex,
        birth_date: row.birth_date,
        deceased: row.deceased,
        addresses: row.addresses,
        marital_status: row.marital_status,
        mother_maiden_name: row.mother_maiden_name,
        merged_into: row.merged_into,
        merged: merged.iter().map(|record| record.id).collect(),
        organization: Some(organization),
    };
    Found {
        resource: patient.resource(),
        permission: PERMISSION,
        patient: Some(row.id),
        of_chart: false,
        clinic: None,
        made: Some(Made {
            source: row.source_event,
            channel: None,
            created: row.version == 1,
            at: row.updated_at,
        }),
        place: row.id.to_string(),
    }
}
