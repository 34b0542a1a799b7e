//! One service (SVC) as reports: one for each patient or control material whose observations it holds.

use hub_core::mappings::SpecimenType;
use hub_core::translator::Event;
use schemas::care::{Code, ResultReceived, Specimen};

use super::scope::{Output, Scope};
use super::time::Moment;
use super::{observation, person};
use crate::document::Element;
use crate::settings::dialect_parent;

/// HL7 table 0369: control material.
const CONTROL: &str = "Q";
/// HL7 table 0369: material that verifies a calibration.
const VERIFIER: &str = "V";

/// What the observations of a report stand in.
#[derive(Clone, Copy)]
struct Holder<'d> {
    service: &'d Element,
    /// PT, CTC, CVC, or the service itself.
    object: &'d Element,
    /// Nobody's: control or calibration material.
    role: Option<&'static str>,
}

pub(super) fn translate(
    scope: &Scope<'_>,
    root: &Element,
    occurred: Option<&Moment>,
    output: &mut Output,
) {
    let of_material = root.name == "OBS.R02";
    for service in root.named("SVC") {
        let before = output.events.len();
        for object in std::iter::once(service).chain(&service.children) {
            let role = match object.name.as_str() {
                "CTC" => Some(CONTROL),
                "CVC" => Some(VERIFIER),
                "PT" | "SVC" => of_material.then_some(CONTROL),
                _ => continue,
            };
            if object.child("OBS").is_some() {
                let holder = Holder {
                    service,
                    object,
                    role,
                };
                push(scope, holder, occurred, output);
            }
        }
        if output.events.len() == before {
            scope.note("a service without observations: nothing to file".to_owned());
        }
    }
}

fn push(scope: &Scope<'_>, holder: Holder<'_>, occurred: Option<&Moment>, output: &mut Output) {
    output.translated = true;
    let service = holder.service;
    // it says what the device thinks; a Quidel Sofia says OBS of its controls
    if let Some(role) = service.child("SVC.role_cd") {
        role.pass();
    }
    let subject = if holder.role.is_some() {
        None
    } else {
        person::subject(scope, service, holder.object, occurred, output)
    };
    let observed = service
        .child("SVC.observation_dttm")
        .and_then(|element| scope.moment(element));
    if observed.is_none() {
        scope.note(
            "no time of observation: a repeat under another control id is not recognised"
                .to_owned(),
        );
    }
    let edited = match service.said("SVC.reason_cd").as_deref() {
        Some("EDT") => true,
        Some("RES") => {
            scope.note("marked as sent before (SVC.reason_cd RES)".to_owned());
            false
        }
        _ => false,
    };
    let specimen = specimen(scope, holder);
    let kind = specimen_type(specimen.as_ref());
    let report = ResultReceived {
        channel: scope.channel.clone(),
        visit_number: None,
        placer_number: if holder.role.is_none() {
            order_number(scope, service)
        } else {
            None
        },
        filler_number: None,
        code: service
            .at(&["ORD", "ORD.universal_service_id"])
            .map_or_else(Code::default, |element| scope.code(element)),
        status: None,
        observed_at: observed.as_ref().map(|m| m.text.clone()),
        issued_at: None,
        specimen,
        results: holder
            .object
            .named("OBS")
            .map(|one| {
                observation::translate(
                    scope,
                    one,
                    &kind,
                    observed.as_ref(),
                    edited,
                    holder.role.is_none() && subject.is_none(),
                )
            })
            .collect(),
        notes: notes(scope, holder),
        occurred_at: occurred.map(|m| m.text.clone()),
        subject,
    };
    if let Some(number) = report.specimen.as_ref().and_then(|s| s.number.as_deref()) {
        output.keys.about_specimen(number);
    }
    let aggregate = scope.aggregate(report.subject.as_ref(), report.specimen.as_ref());
    output
        .events
        .push(Event::new(aggregate, occurred.map(|m| m.at), &report));
}

fn order_number(scope: &Scope<'_>, service: &Element) -> Option<String> {
    let element = service.at(&["ORD", "ORD.order_id"])?;
    scope.key(&element.name, &element.value()?)
}

fn specimen(scope: &Scope<'_>, holder: Holder<'_>) -> Option<Specimen> {
    let service = holder.service;
    let coded = |name: &str| {
        let code = scope.code(service.at(&["SPC", name])?);
        (!code.code.is_empty() || code.text.is_some()).then_some(code)
    };
    let specimen = Specimen {
        number: match holder.role {
            Some(_) => material(scope, holder.object),
            None => first_of(scope, &scope.dialect.specimen, service, holder.object),
        },
        kind: coded("SPC.type_cd"),
        body_site: coded("SPC.source_cd"),
        role: holder.role.map(str::to_owned),
        collected_at: service
            .at(&["SPC", "SPC.specimen_dttm"])
            .and_then(|element| scope.moment(element))
            .map(|m| m.text),
        ..Specimen::default()
    };
    (specimen != Specimen::default()).then_some(specimen)
}

/// The type of a specimen, where it makes another test of a code: a device for urine has codes of blood tests.
fn specimen_type(specimen: Option<&Specimen>) -> SpecimenType {
    let Some((specimen, kind)) = specimen.and_then(|one| Some((one, one.kind.as_ref()?))) else {
        return SpecimenType::BLOOD;
    };
    let kind = SpecimenType::of(&kind.code, kind.text.as_deref());
    if specimen.role.is_some() {
        return kind.of_control();
    }
    kind
}

/// Which material: by default lot and level, because each lot and level has a target of its own; else its name.
fn material(scope: &Scope<'_>, object: &Element) -> Option<String> {
    let part = |part: &str| object.said(&format!("{}.{part}", object.name));
    let parts: Vec<String> = scope
        .dialect
        .control_material
        .iter()
        .filter_map(|name| part(name))
        .collect();
    if parts.is_empty() {
        return scope.key("CTC.name", &part("name")?);
    }
    scope.key("CTC.lot_number", &parts.join("/"))
}

/// The first of several elements that says something.
pub(super) fn first_of(
    scope: &Scope<'_>,
    places: &[String],
    service: &Element,
    patient: &Element,
) -> Option<String> {
    places.iter().find_map(|place| {
        let object = match dialect_parent(place)? {
            "SVC" => service,
            "PT" if patient.name == "PT" => patient,
            other => service.child(other)?,
        };
        let said = object.said(place)?;
        let nobody = scope
            .dialect
            .no_patient
            .iter()
            .any(|word| said.eq_ignore_ascii_case(word));
        if nobody {
            return None;
        }
        scope.key(place, &said)
    })
}

/// What has no field of its own in the report: who, with what, under which circumstances.
fn notes(scope: &Scope<'_>, holder: Holder<'_>) -> Vec<String> {
    let service = holder.service;
    let mut notes = Vec::new();
    let mut say = |label: &str, said: Option<String>| {
        if let Some(said) = said {
            notes.push(format!("{label}: {said}"));
        }
    };
    say(
        "operator",
        service
            .at(&["OPR", "OPR.operator_id"])
            .and_then(Element::value),
    );
    say(
        "ordered by",
        service
            .at(&["ORD", "ORD.ordering_provider_id"])
            .and_then(Element::value),
    );
    say(
        "status",
        service
            .said("SVC.status_cd")
            .filter(|status| status != "NRM"),
    );
    say("sequence", service.said("SVC.sequence_nbr"));
    for reagent in service.named("RGT") {
        say("reagent", named_lot(reagent));
    }
    if holder.role.is_some() && holder.object.name != "SVC" {
        say("material", named_lot(holder.object));
        let level = holder
            .object
            .child(&format!("{}.level_cd", holder.object.name));
        say(
            "level",
            level.and_then(|l| l.mark("DN").or_else(|| l.value())),
        );
    }
    notes.extend(texts(scope, service));
    notes
}

/// `name, lot 140403, expires 2025-04-03`
fn named_lot(object: &Element) -> Option<String> {
    let said = |part: &str| object.said(&format!("{}.{part}", object.name));
    let parts: Vec<String> = [
        said("name"),
        said("lot_number").map(|lot| format!("lot {lot}")),
        said("expiration_date").map(|day| format!("expires {day}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// NTE.text of an object.
pub(super) fn texts(scope: &Scope<'_>, object: &Element) -> Vec<String> {
    object
        .named("NTE")
        .filter_map(|note| {
            let element = note.child("NTE.text")?;
            let said = element.value()?;
            // a Nova StatStrip labels what stands in the text: V="DIAGCODE">250.01
            Some(match element.beside() {
                Some(text) => format!(
                    "{said}: {}",
                    text.split_whitespace().collect::<Vec<_>>().join(" ")
                ),
                None => said,
            })
        })
        .filter(|text| !scope.dialect.silent_notes.contains(text))
        .collect()
}
