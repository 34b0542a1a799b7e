//! Merges: each MRG belongs to the PID before it (HL7 v2.5.1 §3.3.40; A40 repeats the pair).

use hub_core::failure::Refusal;
use hub_core::translator::Event;
use schemas::patients::{Assertion, Identifier, PatientMergeReported};

use super::scope::{Moment, Scope, Seg};
use super::{Output, adt, person};

pub(super) fn translate(scope: &Scope<'_>, output: &mut Output) -> Result<(), Refusal> {
    let occurred = adt::occurred(scope);
    let mut pid = None;
    let mut pairs = 0;
    for segment in scope.segments() {
        match segment.id() {
            "PID" => pid = Some(segment),
            "MRG" => {
                let Some(pid) = pid else {
                    return Err(incomplete("an MRG stands before any PID"));
                };
                pair(scope, pid, segment, occurred.as_ref(), output)?;
                pairs += 1;
            }
            _ => {}
        }
    }
    if pairs == 0 {
        return Err(incomplete("there is no PID followed by an MRG"));
    }
    Ok(())
}

/// The survivor as it is, and who leads to it from now on.
fn pair(
    scope: &Scope<'_>,
    pid: &Seg<'_>,
    mrg: &Seg<'_>,
    occurred: Option<&Moment>,
    output: &mut Output,
) -> Result<(), Refusal> {
    mrg.enter();
    let Some(survivor) = person::patient(scope, pid, Assertion::Asserted, occurred) else {
        return Err(adt::no_patient("PID-3, PID-2 and PID-4 are empty"));
    };
    let mut retired = retired(scope, mrg);
    if retired.is_empty() {
        return Err(incomplete("MRG-1 names no record"));
    }
    // A record can't be merged into itself; the other numbers of the pair still say something.
    retired.retain(|old| !survivor.identifiers.iter().any(|kept| kept.key == old.key));
    let Some(primary) = survivor.identifiers.first() else {
        return Err(adt::no_patient("PID-3, PID-2 and PID-4 are empty"));
    };
    let aggregate = primary.key.0.to_string();
    let at = occurred.map(|m| m.at);
    output
        .events
        .push(Event::new(aggregate.as_str(), at, &survivor));
    if retired.is_empty() {
        scope.note("MRG-1 and PID-3 name the same record: nothing to merge".to_owned());
        return Ok(());
    }
    let merge = PatientMergeReported {
        survivor: survivor.identifiers,
        retired,
        occurred_at: occurred.map(|m| m.text.clone()),
    };
    output.events.push(Event::new(aggregate, at, &merge));
    Ok(())
}

/// MRG-1; of older senders MRG-4.
fn retired(scope: &Scope<'_>, mrg: &Seg<'_>) -> Vec<Identifier> {
    let current = person::identifiers_in(scope, "MRG-1", mrg.field(1));
    if current.is_empty() {
        person::identifiers_in(scope, "MRG-4", mrg.field(4))
    } else {
        current
    }
}

fn incomplete(what: &str) -> Refusal {
    Refusal::new(
        "hl7.incomplete",
        format!("{what}; a merge needs the surviving record in PID-3 and the retired one in MRG-1"),
    )
}
