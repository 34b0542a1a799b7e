//! ADT: registrations, updates, and what happens to encounters.

use hub_core::failure::Refusal;
use hub_core::translator::Event;
use schemas::care::{EncounterAction, EncounterReported};
use schemas::patients::{Assertion, Identifier};

use super::codes::{location, practitioner};
use super::scope::{Moment, Scope, Seg, string};
use super::{Output, person};

/// What an ADT trigger is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The person only.
    Person,
    /// The person and an encounter.
    Encounter(EncounterAction),
}

impl Kind {
    /// By the trigger; `None` for one that is not translated.
    pub(super) fn of(trigger: &str) -> Option<Self> {
        use EncounterAction as Action;
        Some(match trigger {
            "A01" => Self::Encounter(Action::Admitted),
            "A02" => Self::Encounter(Action::Transferred),
            "A03" => Self::Encounter(Action::Discharged),
            "A04" => Self::Encounter(Action::Registered),
            "A05" => Self::Encounter(Action::Preadmitted),
            "A08" => Self::Encounter(Action::Updated),
            "A11" => Self::Encounter(Action::AdmitCancelled),
            "A12" => Self::Encounter(Action::TransferCancelled),
            "A13" => Self::Encounter(Action::DischargeCancelled),
            "A28" | "A31" => Self::Person,
            _ => return None,
        })
    }
}

pub(super) fn translate(scope: &Scope<'_>, kind: Kind, output: &mut Output) -> Result<(), Refusal> {
    let occurred = occurred(scope);
    let Some(pid) = scope.first("PID") else {
        return Err(no_patient("there is no PID"));
    };
    let Some(patient) = person::patient(scope, pid, Assertion::Asserted, occurred.as_ref()) else {
        return Err(no_patient("PID-3, PID-2 and PID-4 are empty"));
    };
    let Some(subject) = patient.identifiers.first().cloned() else {
        return Err(no_patient("PID-3, PID-2 and PID-4 are empty"));
    };
    let aggregate = subject.key.0.to_string();
    let at = occurred.as_ref().map(|m| m.at);
    output
        .events
        .push(Event::new(aggregate.as_str(), at, &patient));
    if let Kind::Encounter(action) = kind
        && let Some(pv1) = scope.first("PV1").filter(|pv1| is_visit(pv1, pid))
    {
        let encounter = encounter(scope, action, subject, pid, pv1, occurred.as_ref());
        output.events.push(Event::new(aggregate, at, &encounter));
    }
    Ok(())
}

/// When the fact held: EVN-6, EVN-2 or MSH-7.
pub(super) fn occurred(scope: &Scope<'_>) -> Option<Moment> {
    if let Some(evn) = scope.first("EVN") {
        evn.field(1);
        for (path, n) in [("EVN-6", 6), ("EVN-2", 2)] {
            if let Some(moment) = scope.moment(path, evn.field(n)) {
                return Some(moment);
            }
        }
    }
    let msh = scope.header()?;
    scope.moment("MSH-7", msh.field(7))
}

pub(super) fn no_patient(what: &str) -> Refusal {
    Refusal::new(
        "hl7.no_patient",
        format!("the message names no patient ({what}); the sender must give a number in PID-3"),
    )
}

/// PV1 that says no more than "not applicable" reports no encounter.
fn is_visit(pv1: &Seg<'_>, pid: &Seg<'_>) -> bool {
    if !pv1.says_more_than(1) {
        return false;
    }
    let not_applicable = pv1.peek(2).component(1).raw() == "N";
    let names_visit = [pv1.peek(19), pv1.peek(44), pid.peek(18)]
        .into_iter()
        .any(|field| !field.is_empty());
    names_visit || !not_applicable
}

/// PV1-19.1, or PID-18.1 when PV1-19 is empty.
pub(super) fn visit_number(
    scope: &Scope<'_>,
    pid: Option<&Seg<'_>>,
    pv1: Option<&Seg<'_>>,
) -> Option<String> {
    pv1.and_then(|s| scope.key("PV1-19", s.field(19).component(1)))
        .or_else(|| pid.and_then(|s| scope.key("PID-18", s.field(18).component(1))))
}

fn encounter(
    scope: &Scope<'_>,
    action: EncounterAction,
    subject: Identifier,
    pid: &Seg<'_>,
    pv1: &Seg<'_>,
    occurred: Option<&Moment>,
) -> EncounterReported {
    pv1.enter();
    let first = |value: crate::Value<'_>| string(value.component(1));
    EncounterReported {
        action,
        subject,
        visit_number: visit_number(scope, Some(pid), Some(pv1)),
        class: scope.patch(pv1.field(2), first),
        location: scope.patch(pv1.field(3), location),
        prior_location: scope.patch(pv1.field(6), location),
        attending: scope.patch(pv1.field(7), practitioner),
        referring: scope.patch(pv1.field(8), practitioner),
        service: scope.patch(pv1.field(10), first),
        admitted_at: scope.patch(pv1.field(44), |v| scope.moment_text("PV1-44", v)),
        discharged_at: scope.patch(pv1.field(45), |v| scope.moment_text("PV1-45", v)),
        disposition: scope.patch(pv1.field(36), first),
        occurred_at: occurred.map(|m| m.text.clone()),
    }
}
