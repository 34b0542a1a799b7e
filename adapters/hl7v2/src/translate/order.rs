//! ORM and OML: what was ordered, and what became of orders.

use hub_core::failure::Refusal;
use hub_core::translator::Event;
use schemas::care::{OrderControl, OrderReported, Specimen};
use schemas::ids::care_key;
use schemas::patients::{Assertion, Identifier};

use super::codes::{coded, practitioner};
use super::groups::{Form, Group, Patient, groups};
use super::scope::{Moment, Scope, Seg, string, text};
use super::{Output, adt, person, specimen};
use crate::settings::OrderDialect;

pub(super) fn translate(scope: &Scope<'_>, code: &str, output: &mut Output) -> Result<(), Refusal> {
    let form = if code == "OML" {
        Form::LabOrder
    } else {
        Form::Order
    };
    let found = groups(scope, form);
    let occurred = adt::occurred(scope);
    if found.groups.is_empty() {
        return Err(Refusal::new(
            "hl7.incomplete",
            "an order message without ORC and OBR orders nothing; correct the sender",
        ));
    }
    let subjects = mentioned(scope, &found.patients, occurred.as_ref(), output);
    for group in &found.groups {
        let about = group
            .patient
            .and_then(|n| Some((found.patients.get(n)?, subjects.get(n)?)));
        let order = order(scope, group, about, occurred.as_ref());
        for number in order.specimens.iter().filter_map(|s| s.number.as_deref()) {
            output.keys.about_specimen(number);
        }
        let aggregate = aggregate(
            scope,
            order.subject.as_ref(),
            order.specimens.first(),
            [&order.placer_number, &order.filler_number],
        );
        output.events.push(Event::new(
            aggregate,
            occurred.as_ref().map(|m| m.at),
            &order,
        ));
    }
    Ok(())
}

/// Says who the message is about; gives the primary identifier of each patient.
pub(super) fn mentioned(
    scope: &Scope<'_>,
    patients: &[Patient<'_, '_>],
    occurred: Option<&Moment>,
    output: &mut Output,
) -> Vec<Option<Identifier>> {
    let mut subjects = Vec::with_capacity(patients.len());
    for patient in patients {
        let reported = person::patient(scope, patient.pid, Assertion::Mentioned, occurred);
        let subject = reported
            .as_ref()
            .and_then(|r| r.identifiers.first())
            .cloned();
        if let (Some(reported), Some(subject)) = (reported, &subject) {
            output.keys.about_patient(&subject.value);
            output.events.push(Event::new(
                subject.key.0.to_string(),
                occurred.map(|m| m.at),
                &reported,
            ));
        }
        subjects.push(subject);
    }
    subjects
}

/// What decides the lane: the patient; else the specimen, the order, the channel. Opaque.
pub(super) fn aggregate(
    scope: &Scope<'_>,
    subject: Option<&Identifier>,
    specimen: Option<&Specimen>,
    orders: [&Option<String>; 2],
) -> String {
    if let Some(subject) = subject {
        return subject.key.0.to_string();
    }
    let number = |kind, number: &str| {
        care_key(scope.tenant, kind, &[scope.channel.as_str(), number]).to_string()
    };
    if let Some(tube) = specimen.and_then(|s| s.number.as_deref()) {
        return number("specimen", tube);
    }
    orders
        .into_iter()
        .flatten()
        .next()
        .map_or_else(|| scope.channel.to_string(), |order| number("order", order))
}

/// Placer and filler number. ORC-2 and OBR-2 say the same where both are given. An OBR that shares the ORC of another and has a number
/// speaks for itself: the other's filler number beside its own placer number would be two orders in one.
pub(super) fn numbers(scope: &Scope<'_>, group: &Group<'_, '_>) -> [Option<String>; 2] {
    let orc = |n, path| scope.key(path, group.orc?.field(n).component(1));
    let obr = |n, path| {
        let obr = group.obr?;
        let number = scope.key(path, obr.field(n).component(1))?;
        Some(of_step(scope, obr, number))
    };
    let of_orc = [orc(2, "ORC-2"), orc(3, "ORC-3")];
    let of_obr = [obr(2, "OBR-2"), obr(3, "OBR-3")];
    if group.orc_shared && of_obr.iter().any(Option::is_some) {
        return of_obr;
    }
    let [placer, filler] = of_orc;
    let [obr_placer, obr_filler] = of_obr;
    [placer.or(obr_placer), filler.or(obr_filler)]
}

/// Where we gave the instrument a number for a step (LAW), the order's number in it.
fn of_step(scope: &Scope<'_>, obr: &Seg<'_>, number: String) -> String {
    let ours = scope
        .orders
        .is_some_and(|orders| orders.dialect == OrderDialect::Law);
    let code = text(obr.peek(4).component(1)).unwrap_or_default();
    match crate::orders::order_of_step(&number, &code).filter(|_| ours && !code.is_empty()) {
        Some(order) => order.to_owned(),
        None => number,
    }
}

/// The lines of NTE segments.
pub(super) fn note_lines(notes: &[&Seg<'_>]) -> Vec<String> {
    let mut lines = Vec::new();
    for nte in notes {
        // NTE-2 says who wrote it (`L`): nothing that a reader of the text needs.
        nte.field(2);
        lines.extend(nte.field(3).repetitions().filter_map(string));
    }
    lines
}

fn order(
    scope: &Scope<'_>,
    group: &Group<'_, '_>,
    about: Option<(&Patient<'_, '_>, &Option<Identifier>)>,
    occurred: Option<&Moment>,
) -> OrderReported {
    let [placer_number, filler_number] = numbers(scope, group);
    let (orc, obr) = (group.orc, group.obr);
    let (code, _) = obr.map_or_else(Default::default, |s| coded(scope, "OBR-4", s.field(4)));
    let ordered_at = orc
        .and_then(|s| scope.moment_text("ORC-9", s.field(9)))
        .or_else(|| obr.and_then(|s| scope.moment_text("OBR-6", s.field(6))));
    let ordered_by = orc
        .and_then(|s| practitioner(s.field(12)))
        .or_else(|| obr.and_then(|s| practitioner(s.field(16))));
    let mut specimens: Vec<Specimen> = group
        .tubes
        .iter()
        .filter_map(|tube| specimen::specimen(scope, Some(*tube), obr))
        .collect();
    if specimens.is_empty() {
        specimens.extend(specimen::specimen(scope, None, obr));
    }
    OrderReported {
        control: control(scope, orc),
        subject: about.and_then(|(_, subject)| subject.clone()),
        visit_number: about
            .and_then(|(patient, _)| adt::visit_number(scope, Some(patient.pid), patient.pv1)),
        placer_number,
        filler_number,
        group_number: orc.and_then(|s| scope.key("ORC-4", s.field(4).component(1))),
        code,
        status: orc.and_then(|s| string(s.field(5))),
        priority: priority(scope, group),
        ordered_at,
        ordered_by,
        specimens,
        notes: note_lines(&group.notes),
        or_open: false,
        occurred_at: occurred.map(|m| m.text.clone()),
    }
}

/// Table 0119. An OBR without ORC places an order.
fn control(scope: &Scope<'_>, orc: Option<&Seg<'_>>) -> OrderControl {
    let Some(said) = orc.and_then(|s| text(s.field(1))) else {
        return OrderControl::New;
    };
    match said.as_ref() {
        "NW" | "SN" | "CN" => OrderControl::New,
        "XO" | "XX" | "XR" | "RP" | "RO" | "RU" | "RQ" | "PA" | "CH" | "UF" | "AF" | "RF" => {
            OrderControl::Change
        }
        "CA" => OrderControl::CancelRequest,
        "OC" | "CR" => OrderControl::Cancelled,
        "DC" | "OD" | "DR" => OrderControl::Discontinued,
        "HD" | "OH" | "HR" => OrderControl::Hold,
        "RL" | "OE" | "OR" => OrderControl::Release,
        "SC" | "SR" | "SS" | "OK" | "UA" | "RE" | "UC" | "UD" | "UH" | "UM" | "UN" | "UR"
        | "UX" | "NA" | "DE" | "LI" | "PY" | "PR" | "OF" => OrderControl::Status,
        _ => {
            scope.bad("ORC-1", "no order control code of table 0119");
            OrderControl::Status
        }
    }
}

/// TQ1-9, then OBR-5, OBR-27.6 and ORC-7.6 of older versions.
fn priority(scope: &Scope<'_>, group: &Group<'_, '_>) -> Option<String> {
    let tq1 = group.tq1.map(|s| ("TQ1-9", s.field(9).component(1)));
    let obr5 = group.obr.map(|s| ("OBR-5", s.field(5).component(1)));
    let obr27 = group.obr.map(|s| ("OBR-27", s.field(27).component(6)));
    let orc7 = group.orc.map(|s| ("ORC-7", s.field(7).component(6)));
    let (path, said) = [tq1, obr5, obr27, orc7]
        .into_iter()
        .flatten()
        .find_map(|(path, value)| Some((path, text(value)?)))?;
    let priority = match said.to_ascii_uppercase().as_str() {
        "S" | "ST" | "STAT" => "stat",
        "A" | "ASAP" => "asap",
        "R" | "RT" | "ROUTINE" | "N" => "routine",
        "U" | "UR" | "URGENT" | "T" => "urgent",
        _ => {
            scope.bad(path, "no priority of table 0485");
            return None;
        }
    };
    Some(priority.to_owned())
}
