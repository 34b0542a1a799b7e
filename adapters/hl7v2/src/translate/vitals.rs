//! What bedside devices measure: ORU^R01 of IHE PCD-01, and the private form of Mindray monitors.
//!
//! Device parts and attributes are no measurements. What stands for "no value" is dropped and counted, so that it can never
//! be read as one. A device registers nobody: the patient that it names is looked up, not made.

use hub_core::failure::Refusal;
use hub_core::translator::Event;
use schemas::care::{Code, HoldReason, Mapped, Value as Measured};
use schemas::devices::{Bed, TimedBy, VitalObservation, VitalsObserved, origin_key};

use super::adt;
use super::codes::{code, coded};
use super::groups::{Form as Groups, Line, groups};
use super::monitor::{self, Containment, Form, MINDRAY};
use super::result::{flags, meaning};
use super::scope::{Moment, Scope, Seg, string, text};
use super::{Output, number, value};

/// How many rows said nothing that could be filed, by why.
#[derive(Default)]
struct Passed {
    no_value: usize,
    attributes: usize,
    curves: usize,
}

pub(super) fn translate(scope: &Scope<'_>, form: Form, output: &mut Output) -> Result<(), Refusal> {
    if let Some(msh) = scope.header() {
        msh.field(21);
    }
    let found = groups(scope, Groups::Result);
    if found.groups.is_empty() {
        return Err(Refusal::new(
            "hl7.incomplete",
            "a message of a monitor without OBX reports nothing; correct the sender",
        ));
    }
    let occurred = adt::occurred(scope);
    let mut passed = Passed::default();
    for group in &found.groups {
        let about = monitor::about(scope, group, &found.patients);
        let (parts, rows) = Containment::of(scope, &group.lines);
        let device = parts
            .device()
            .map(str::to_owned)
            .or_else(|| {
                rows.iter()
                    .find_map(|line| monitor::device_id(line.obx.peek(18)))
            })
            .or_else(|| monitor::sender(scope));
        let reported = group.obr.and_then(|obr| {
            // found by its numbers and its service, but not told apart by them
            for n in [2, 3, 4] {
                obr.field(n);
            }
            scope.moment("OBR-7", obr.field(7))
        });
        let times = Times {
            reported: reported.as_ref(),
            sent: occurred.as_ref(),
        };
        let mut reader = Reader {
            scope,
            form,
            parts: &parts,
            device: device.as_deref(),
            times,
            passed: &mut passed,
            output,
        };
        let observations: Vec<_> = rows.iter().filter_map(|line| reader.row(line)).collect();
        if observations.is_empty() {
            continue;
        }
        let bed = about.location.as_ref().and_then(Bed::of);
        let origin = origin_key(
            scope.tenant,
            scope.channel,
            bed.as_ref(),
            device.as_deref(),
            about.subject.as_ref(),
        );
        let event = VitalsObserved {
            channel: scope.channel.clone(),
            subject: about.subject,
            visit_number: about.visit_number,
            location: about.location,
            device,
            observations,
            occurred_at: occurred.as_ref().map(|m| m.text.clone()),
        };
        output.events.push(Event::new(
            origin.to_string(),
            occurred.as_ref().map(|m| m.at),
            &event,
        ));
    }
    for (count, what) in [
        (passed.no_value, "values that mean there is none, dropped"),
        (passed.attributes, "attributes of devices, not filed"),
        (passed.curves, "rows of curves, not filed"),
    ] {
        if count > 0 {
            scope.note(format!("vitals: {count} {what}"));
        }
    }
    Ok(())
}

/// Where a row without a time of its own gets one.
#[derive(Clone, Copy)]
struct Times<'t> {
    reported: Option<&'t Moment>,
    sent: Option<&'t Moment>,
}

impl Times<'_> {
    fn of_row(self, own: Option<Moment>) -> (Option<String>, TimedBy) {
        let text = |moment: &Moment| Some(moment.text.clone());
        match (own, self.reported, self.sent) {
            (Some(own), _, _) => (Some(own.text), TimedBy::Observation),
            (None, Some(reported), _) => (text(reported), TimedBy::Report),
            (None, None, Some(sent)) => (text(sent), TimedBy::Message),
            (None, None, None) => (None, TimedBy::Arrival),
        }
    }
}

struct Reader<'r, 'm> {
    scope: &'r Scope<'m>,
    form: Form,
    parts: &'r Containment,
    device: Option<&'r str>,
    times: Times<'r>,
    passed: &'r mut Passed,
    output: &'r mut Output,
}

impl Reader<'_, '_> {
    fn row(&mut self, line: &Line<'_, '_>) -> Option<VitalObservation> {
        let scope = self.scope;
        let obx = line.obx;
        let value_type = text(obx.field(2));
        let (mut first, alternate) = coded(scope, "OBX-3", obx.field(3));
        if self.form == Form::Mindray && first.system.is_none() {
            first.system = Some(MINDRAY.to_owned());
        }
        let status = string(obx.field(11));
        let field = obx.field(5);
        if monitor::is_attribute(&first) || monitor::is_event(&first) {
            self.passed.attributes += 1;
            for n in [4, 6, 8, 14, 17, 18, 20] {
                obx.field(n);
            }
            return None;
        }
        if matches!(value_type.as_deref(), Some("NA" | "MA")) {
            self.passed.curves += 1;
            return None;
        }
        let units = [1, 4, 2].map(|n| string(obx.field(6).component(n)));
        let unit = units.iter().flatten().next().cloned();
        let read = value::read(
            scope,
            &value::Question {
                value_type: value_type.as_deref().unwrap_or_default(),
                field,
                cancelled: false,
                measured: unit.is_some(),
            },
            &mut self.output.attachments,
        );
        let (mapped, held) = self.meaning(
            [&first, alternate.as_ref().unwrap_or(&first)],
            &units,
            &read.value,
        );
        let taken_back = matches!(status.as_deref(), Some("D" | "W"));
        if !taken_back && self.says_nothing(&read.value, status.as_deref(), mapped.as_ref(), &units)
        {
            self.passed.no_value += 1;
            for n in [4, 7, 8, 14, 17, 18, 20] {
                obx.field(n);
            }
            return None;
        }
        let path = string(obx.field(4));
        let (container, within) = self.parts.around(path.as_deref().unwrap_or_default());
        let own = scope.moment("OBX-14", obx.field(14));
        let (observed_at, timed_by) = self.times.of_row(own);
        Some(VitalObservation {
            container: container.cloned(),
            device: monitor::device_id(obx.field(18))
                .or_else(|| within.map(str::to_owned))
                .or_else(|| self.device.map(str::to_owned)),
            code: first,
            alternate,
            path,
            value_type: value_type.map(std::borrow::Cow::into_owned),
            held: if taken_back { None } else { held },
            value: read.value,
            raw_value: read.raw,
            unit,
            range: text(obx.field(7).component(1)).map(|_| number::range(obx.field(7))),
            flags: flags(obx.field(8)),
            status,
            observed_at,
            timed_by,
            method: self.method(obx),
            site: code(scope, "OBX-20", obx.field(20)),
            mapped,
        })
    }

    /// OBX-17; Mindray monitors write `APERIODIC` into OBX-13.
    fn method(&self, obx: &Seg<'_>) -> Option<String> {
        let said =
            string(obx.field(17).component(1)).or_else(|| string(obx.field(17).component(2)));
        if self.form == Form::Mindray {
            return said.or_else(|| string(obx.field(13)));
        }
        said
    }

    /// The first of the units that the tables know with this code; a device may write its own and UCUM beside it.
    fn meaning(
        &self,
        codes: [&Code; 2],
        units: &[Option<String>; 3],
        measured: &Measured,
    ) -> (Option<Mapped>, Option<HoldReason>) {
        let mut held = None;
        for unit in units.iter().flatten().map(String::as_str).chain(
            // a row may fix the unit of a device that sends none
            units.iter().all(Option::is_none).then_some(""),
        ) {
            let (mapped, why) = meaning(self.scope, codes.map(Some), unit, measured, false);
            if mapped.is_some() {
                return (mapped, None);
            }
            held = held.or(why);
        }
        (None, held)
    }

    /// Status X, no value, a sign for none, or the number that stands for none; and zero degrees, which a probe sends that
    /// hangs in the air (specs/lab-devices.md §3.2).
    fn says_nothing(
        &self,
        measured: &Measured,
        status: Option<&str>,
        mapped: Option<&Mapped>,
        units: &[Option<String>; 3],
    ) -> bool {
        if status == Some("X") || matches!(measured, Measured::Absent { .. }) {
            return true;
        }
        let Measured::Quantity { number, .. } = measured else {
            return false;
        };
        if self
            .scope
            .settings
            .no_value
            .iter()
            .any(|sentinel| same_number(sentinel, number))
        {
            return true;
        }
        let degrees = |unit: &str| {
            matches!(
                self.scope.maps.unit(self.scope.channel, unit),
                Some("Cel" | "[degF]" | "K")
            )
        };
        let temperature = mapped.is_some_and(|m| m.ucum.as_deref() == Some("Cel"))
            || units.iter().flatten().any(|unit| degrees(unit));
        temperature && same_number("0", number)
    }
}

/// `-100` and `-100.00` are one number.
fn same_number(one: &str, two: &str) -> bool {
    fn plain(text: &str) -> (bool, &str, &str) {
        let (minus, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
        (minus && !(whole.is_empty() && part.is_empty()), whole, part)
    }
    plain(one) == plain(two)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        for (one, two, same) in [
            ("-100", "-100.00", true),
            ("0", "0.0", true),
            ("0", "-0", true),
            ("-99.9", "-99.90", true),
            ("8388607", "8388607", true),
            ("-100", "100", false),
            ("0", "0.1", false),
            ("10", "100", false),
        ] {
            assert_eq!(same_number(one, two), same, "{one} {two}");
        }
    }
}
