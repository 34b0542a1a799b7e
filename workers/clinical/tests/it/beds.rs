//! Short ways to say who is in which bed and what a monitor measures there.

use hub_core::worker::Destination;
use hub_core::{Envelope, Verdict};
use schemas::care::EncounterAction::{self, *};
use schemas::care::{EncounterReported, Location, Mapped, Value};
use schemas::devices::{Bed, BedChanged, TimedBy, VitalObservation, VitalsObserved, origin_key};
use schemas::{Body, ChannelId, Patch};
use test_support::event;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use worker_clinical::queries::{
    UnmatchedVitalsFilter, UnmatchedVitalsRow, Versions, VitalFilter, VitalRow, latest_vitals,
    unmatched_vitals, vitals_for_subjects,
};

use super::support::{NOON, Ward, at, code, key, minutes, patient};

pub(crate) fn icu(bed: &str) -> Location {
    Location {
        point_of_care: Some("ICU".into()),
        bed: Some(bed.into()),
        ..Location::default()
    }
}

/// What the hospital system says of patient `who`, who is on visit `V-who`.
pub(crate) fn adt(
    action: EncounterAction,
    who: &str,
    place: Option<Location>,
) -> EncounterReported {
    EncounterReported {
        action,
        subject: patient(who),
        visit_number: Some(format!("V-{who}")),
        class: Patch::Keep,
        location: place.map_or(Patch::Keep, Patch::Set),
        prior_location: Patch::Keep,
        attending: Patch::Keep,
        referring: Patch::Keep,
        service: Patch::Keep,
        admitted_at: Patch::Keep,
        discharged_at: Patch::Keep,
        disposition: Patch::Keep,
        occurred_at: None,
    }
}

pub(crate) fn text(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap()
}

/// A heart rate that the monitor of a bed measured at a minute.
pub(crate) fn rate(value: &str, minute: i64) -> VitalObservation {
    VitalObservation {
        code: schemas::care::Code {
            system: Some("MDC".into()),
            ..code("147842")
        },
        alternate: None,
        path: Some("1.2.1.147842".into()),
        container: None,
        value_type: Some("NM".into()),
        value: Value::Quantity {
            comparator: None,
            number: value.into(),
        },
        raw_value: Some(value.into()),
        unit: Some("264864".into()),
        range: None,
        flags: vec![],
        status: Some("R".into()),
        observed_at: Some(text(minutes(minute))),
        timed_by: TimedBy::Observation,
        method: None,
        device: Some("0009FB0A0B0C0001".into()),
        site: None,
        mapped: Some(Mapped {
            loinc: "8867-4".into(),
            display: Some("Heart rate".into()),
            ucum: Some("/min".into()),
            factor: None,
        }),
        held: None,
    }
}

pub(crate) fn monitor(
    place: Option<Location>,
    observations: Vec<VitalObservation>,
) -> VitalsObserved {
    VitalsObserved {
        channel: ChannelId::new("icu").unwrap(),
        subject: None,
        visit_number: None,
        location: place,
        device: Some("0009FB0A0B0C0001".into()),
        observations,
        occurred_at: None,
    }
}

/// As the translator sends it: in the lane of its origin.
pub(crate) fn sent(minute: i64, body: &VitalsObserved) -> Envelope {
    let bed = body.location.as_ref().and_then(Bed::of);
    let envelope = at(minute, body);
    let origin = origin_key(
        &envelope.tenant,
        &body.channel,
        bed.as_ref(),
        body.device.as_deref(),
        body.subject.as_ref(),
    );
    Envelope {
        aggregate: origin.to_string(),
        source: "/channel/demo/icu".into(),
        ..envelope
    }
}

/// The news of beds that a verdict says, as they come back to the worker.
pub(crate) fn news(verdict: &Verdict) -> Vec<Envelope> {
    let Verdict::Applied { outgoing, .. } = verdict else {
        return vec![];
    };
    outgoing
        .iter()
        .filter(
            |one| matches!(one.to, Destination::Catalogue { name, .. } if name == BedChanged::NAME),
        )
        .map(|one| {
            let body: BedChanged = serde_json::from_slice(&one.body).unwrap();
            Envelope {
                aggregate: one.aggregate.clone(),
                ..event(&body)
            }
        })
        .collect()
}

/// Applies what the hospital system says at a minute, and what follows from it.
pub(crate) async fn moves(ward: &Ward, minute: i64, body: &EncounterReported) {
    let verdict = ward.apply_one(at(minute, body)).await;
    for envelope in news(&verdict) {
        ward.apply_one(envelope).await;
    }
}

pub(crate) async fn measures(ward: &Ward, minute: i64, bed: &str, value: &str) -> Verdict {
    ward.apply_one(sent(
        minute,
        &monitor(Some(icu(bed)), vec![rate(value, minute)]),
    ))
    .await
}

/// Current values of a patient, oldest first, as `minute=value by`.
pub(crate) async fn chart(ward: &Ward, who: &str) -> Vec<String> {
    rows(ward, who, Versions::Current)
        .await
        .iter()
        .map(show)
        .collect()
}

pub(crate) fn show(row: &VitalRow) -> String {
    format!(
        "{}={} {}",
        (row.observed_at - NOON).whole_minutes(),
        row.value_text.as_deref().unwrap_or("-"),
        row.matched_by.as_deref().unwrap_or("-")
    )
}

pub(crate) async fn rows(ward: &Ward, who: &str, versions: Versions) -> Vec<VitalRow> {
    let filter = VitalFilter {
        versions,
        limit: 500,
        ..VitalFilter::default()
    };
    let mut tx = ward.tx().await;
    let mut rows = vitals_for_subjects(tx.conn(), &[key(who).0], &filter)
        .await
        .unwrap();
    rows.reverse();
    rows
}

pub(crate) async fn latest(ward: &Ward, who: &str) -> Vec<VitalRow> {
    let mut tx = ward.tx().await;
    latest_vitals(tx.conn(), &[key(who).0], None).await.unwrap()
}

/// Items of the worklist, whatever their state.
pub(crate) async fn items(ward: &Ward) -> Vec<UnmatchedVitalsRow> {
    let filter = UnmatchedVitalsFilter {
        limit: 100,
        ..UnmatchedVitalsFilter::default()
    };
    let mut tx = ward.tx().await;
    unmatched_vitals(tx.conn(), &filter).await.unwrap()
}

/// Items as `reason state waiting`.
pub(crate) async fn waiting(ward: &Ward) -> Vec<String> {
    items(ward)
        .await
        .iter()
        .map(|row| format!("{} {} {}", row.reason, row.state, row.waiting))
        .collect()
}

/// Patient 1 is in ICU 5 from noon on.
pub(crate) async fn admitted(ward: &Ward) {
    moves(ward, 0, &adt(Admitted, "1", Some(icu("5")))).await;
}
