//! Conditions and allergies.

use hub_fhir::{Allergy, Condition, Meta, Reaction, Resource};
use schemas::care::Code;
use schemas::chart;

use super::{Context, staff};

pub(super) fn condition(of: &Context<'_>, content: chart::Condition) -> Resource {
    let row = of.row;
    let (clinical, verification) = match row.state.as_str() {
        "provisional" => (Some("active"), Some("provisional")),
        "confirmed" => (Some("active"), Some("confirmed")),
        // whether it was confirmed before, the row says no longer
        "resolved" => (Some("resolved"), None),
        "refuted" => (Some("inactive"), Some("refuted")),
        _ => (None, Some("entered_in_error")),
    };
    Condition {
        id: row.id,
        meta: Meta::new(row.version, row.updated_at),
        patient: of.patient,
        encounter: of.encounter,
        code: content.code,
        text: Some(content.text),
        clinical_status: clinical.map(str::to_owned),
        verification: verification.map(str::to_owned),
        category: Some("problem_list_item".to_owned()),
        onset: content.since,
        abated: content.until,
        recorded_at: Some(row.recorded_at),
        recorded_by: staff(&row.recorded_by),
        notes: content.remark.into_iter().collect(),
    }
    .resource()
}

pub(super) fn allergy(of: &Context<'_>, content: chart::Allergy) -> Resource {
    let row = of.row;
    let certainty = content.certainty;
    let (clinical, verification) = match row.state.as_str() {
        "active" => (Some("active"), certainty.as_str()),
        "resolved" => (Some("resolved"), certainty.as_str()),
        "refuted" => (Some("inactive"), "refuted"),
        _ => (None, "entered_in_error"),
    };
    let severity = Some(content.severity).filter(|severity| severity != "unknown");
    let mut reactions: Vec<Reaction> = content
        .reactions
        .into_iter()
        .map(|words| Reaction {
            manifestation: Code {
                text: Some(words),
                ..Code::default()
            },
            severity: severity.clone(),
        })
        .collect();
    // how bad it was may be all that is known
    if reactions.is_empty() && severity.is_some() {
        reactions.push(Reaction {
            manifestation: Code::default(),
            severity,
        });
    }
    Allergy {
        id: row.id,
        meta: Meta::new(row.version, row.updated_at),
        patient: of.patient,
        encounter: of.encounter,
        code: content.substance,
        clinical_status: clinical.map(str::to_owned),
        verification: Some(verification.to_owned()),
        kind: None,
        category: match content.category.as_str() {
            "drug" => Some("medication".to_owned()),
            "food" | "environment" => Some(content.category.clone()),
            _ => None,
        },
        criticality: None,
        onset: content.since,
        recorded_at: Some(row.recorded_at),
        recorded_by: staff(&row.recorded_by),
        reactions,
        notes: content.remark.into_iter().collect(),
    }
    .resource()
}
