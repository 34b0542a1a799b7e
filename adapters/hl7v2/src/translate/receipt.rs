//! Results of the point of care that bring their order (IHE LAB-32): ORU^R30 places one, ORU^R31 looks for an open one first.
//! ORU^R32 answers an order that was placed, by its number; there is nothing to place.
//!
//! Control material and nameless results bring none: an order is for a patient.

use hub_core::translator::Event;
use schemas::care::{OrderControl, OrderReported, ResultReceived};
use schemas::ids::care_key;

use super::scope::{Moment, Scope};
use super::{Output, keys};

/// Says the order of a report, before the report. Both get a number where the device gave none, the same for every repeat.
pub(super) fn order(
    scope: &Scope<'_>,
    report: &mut ResultReceived,
    control: bool,
    occurred: Option<&Moment>,
    output: &mut Output,
) {
    let or_open = match keys::message_type(scope) {
        ("ORU", "R30") => false,
        ("ORU", "R31") => true,
        _ => return,
    };
    let Some(subject) = report.subject.clone().filter(|_| !control) else {
        return;
    };
    if report.placer_number.is_none() && report.filler_number.is_none() {
        let key = care_key(
            scope.tenant,
            "order-on-receipt",
            &[
                scope.channel.as_str(),
                &subject.key.0.to_string(),
                &report.code.code,
                report.observed_at.as_deref().unwrap_or_default(),
            ],
        );
        // 16 characters, which every field for a number holds
        const LOW: u128 = (1 << 60) - 1;
        report.filler_number = Some(format!("P{:015X}", key.as_u128() & LOW));
    }
    let order = OrderReported {
        control: OrderControl::New,
        subject: Some(subject.clone()),
        visit_number: report.visit_number.clone(),
        placer_number: report.placer_number.clone(),
        filler_number: report.filler_number.clone(),
        group_number: None,
        code: report.code.clone(),
        status: None,
        priority: None,
        // when it was measured is not when it was ordered
        ordered_at: None,
        ordered_by: None,
        // its specimen is measured already: no instrument is to be told of it
        specimens: Vec::new(),
        notes: Vec::new(),
        or_open,
        occurred_at: occurred.map(|m| m.text.clone()),
    };
    output.events.push(Event::new(
        subject.key.0.to_string(),
        occurred.map(|m| m.at),
        &order,
    ));
}
