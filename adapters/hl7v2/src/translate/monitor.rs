//! What messages of bedside devices have in common: which messages they are, the device, the bed, the parts of a device.
//!
//! Nothing here decides whose a value is: a device is often attached to a bed, and only the hospital system knows who lies in it.

use schemas::care::{Code, Location};
use schemas::patients::Identifier;

use super::codes::{coded, location};
use super::groups::{Group, Line, Patient};
use super::person;
use super::scope::{Scope, Seg, string, text};
use crate::message::Value;

/// Code system under which the tables know what Mindray monitors send without one (`101^HR`).
pub(super) const MINDRAY: &str = "MINDRAY-MONITOR";

/// The form in which a device writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// IEEE 11073 nomenclature (IHE PCD-01), or whatever code systems the rows name.
    Nomenclature,
    /// Mindray gateways and monitors: codes without a system, channel numbers in OBX-4, no units.
    Mindray,
}

/// Codes of ISO/IEEE 11073-10101 are partition × 65536 + term; attributes of objects are partition 1.
const ATTRIBUTES: u32 = 1;
/// Events and alarms.
const EVENTS: u32 = 3;
/// Implanted devices (IHE IDCO): reports of an interrogation, not what happens at a bed.
const IMPLANTED: u32 = 11;

/// The partition of an MDC code.
pub(super) fn partition(code: &Code) -> Option<u32> {
    let number: u32 = code.code.parse().ok()?;
    Some(number >> 16)
}

pub(super) fn is_mdc(code: &Code) -> bool {
    code.system
        .as_deref()
        .is_some_and(|system| system.eq_ignore_ascii_case("MDC"))
        || code.text.as_deref().is_some_and(|t| t.starts_with("MDC"))
}

/// True for an attribute of the device or of a measurement (battery, clock, settings of the link): no measurement.
pub(super) fn is_attribute(code: &Code) -> bool {
    is_mdc(code)
        && (partition(code) == Some(ATTRIBUTES)
            || code
                .text
                .as_deref()
                .is_some_and(|t| t.starts_with("MDC_ATTR_")))
}

/// True for the code of an event.
pub(super) fn is_event(code: &Code) -> bool {
    let named = |text: &str| text.starts_with("MDC_EVT") || text.starts_with("MDCX_EVT");
    (is_mdc(code) && partition(code) == Some(EVENTS))
        || named(&code.code)
        || code.text.as_deref().is_some_and(named)
}

/// Whether an ORU^R01 reports what a bedside device measured, by what it says of itself: the profile in MSH-21, MDC codes in
/// OBX-3, or OBR-4 of a Mindray monitor.
pub(super) fn recognised(scope: &Scope<'_>) -> Option<Form> {
    let profile = scope
        .header()
        .map(|msh| msh.peek(21).raw())
        .unwrap_or_default();
    if profile.contains("1.3.6.1.4.1.19376.1.6.1.9.1") {
        return None;
    }
    if profile.contains("IHE_PCD_001") || profile.contains("1.3.6.1.4.1.19376.1.6.1.1.1") {
        return Some(Form::Nomenclature);
    }
    for segment in scope.segments() {
        let mdc = match segment.id() {
            "OBX" => segment.peek(3),
            "OBR" if says_mindray_monitor(segment) => return Some(Form::Mindray),
            _ => continue,
        };
        let systems = [(1, 3), (4, 6)].into_iter().any(|(code, system)| {
            mdc.component(system).raw().trim() == "MDC"
                && mdc
                    .component(code)
                    .raw()
                    .trim()
                    .parse::<u32>()
                    .is_ok_and(|code| code >> 16 != IMPLANTED)
        });
        if systems {
            return Some(Form::Nomenclature);
        }
    }
    None
}

fn says_mindray_monitor(obr: &Seg<'_>) -> bool {
    obr.peek(4)
        .components()
        .take(2)
        .any(|part| part.raw().trim().eq_ignore_ascii_case("Mindray Monitor"))
}

/// Who and where: the patient that the message names, the visit and the bed.
pub(super) struct About {
    pub(super) subject: Option<Identifier>,
    pub(super) visit_number: Option<String>,
    pub(super) location: Option<Location>,
}

pub(super) fn about(
    scope: &Scope<'_>,
    group: &Group<'_, '_>,
    patients: &[Patient<'_, '_>],
) -> About {
    let patient = group.patient.and_then(|n| patients.get(n));
    let pid = patient.map(|patient| patient.pid);
    // a monitor without a patient may send PV1 alone
    let pv1 = patient
        .and_then(|patient| patient.pv1)
        .or_else(|| scope.first("PV1"));
    let subject = pid.and_then(|pid| {
        pid.enter();
        person::identifiers(scope, pid).into_iter().next()
    });
    About {
        subject,
        visit_number: super::adt::visit_number(scope, pid, pv1),
        location: pv1.and_then(|pv1| {
            pv1.enter();
            // the class says nothing that the hospital system does not
            pv1.field(2);
            let sent = bed(pv1.field(3))?;
            Some(scope.maps.bed(scope.channel, &sent).unwrap_or(sent))
        }),
    }
}

/// PV1-3. Mindray puts department and bed into PL.3: `^^ICU&Bed5&3232241659&0&0`; Comen the bed alone: `^^&24`.
fn bed(field: Value<'_>) -> Option<Location> {
    let inner = field.component(3);
    let Some(bed) = string(inner.subcomponent(2)) else {
        return location(field);
    };
    Some(Location {
        point_of_care: string(field.component(1).subcomponent(1))
            .or_else(|| string(inner.subcomponent(1))),
        room: string(field.component(2).subcomponent(1)),
        bed: Some(bed),
        facility: string(field.component(4).subcomponent(1)),
    })
}

/// An EI or HD that names a device: its EUI-64 where it has one; with an entity of its own in front where that is another.
pub(super) fn device_id(field: Value<'_>) -> Option<String> {
    let parts: Vec<String> = field
        .repetition(1)
        .components()
        .map(|part| text(part).unwrap_or_default().into_owned())
        .collect();
    let first = parts.iter().find(|part| !part.is_empty())?;
    let eui = parts
        .iter()
        .position(|part| part.eq_ignore_ascii_case("EUI-64"))
        .and_then(|at| parts.get(at.checked_sub(1)?))
        .filter(|eui| !eui.is_empty());
    Some(match eui {
        Some(eui) if eui == first => eui.clone(),
        // an entity within what the EUI-64 stands for
        Some(eui) if parts.len() > 3 => format!("{first}^{eui}"),
        Some(eui) => eui.clone(),
        None => first.clone(),
    })
}

/// The device of the message where no row names one: MSH-3, else MSH-4 (a serial number of Comen monitors).
pub(super) fn sender(scope: &Scope<'_>) -> Option<String> {
    let msh = scope.header()?;
    [3, 4].into_iter().find_map(|n| device_id(msh.field(n)))
}

/// One part of a device: a row without a value that others stand below.
struct Part {
    /// OBX-4 without the zeros that fill it up.
    path: String,
    code: Code,
    device: Option<String>,
}

/// The parts of a device, by OBX-4 (ISO/IEEE 11073-10201: system, virtual device, channel).
pub(super) struct Containment(Vec<Part>);

impl Containment {
    /// Reads the rows that are parts and gives back the others.
    pub(super) fn of<'s, 'm>(
        scope: &Scope<'m>,
        lines: &'s [Line<'s, 'm>],
    ) -> (Self, Vec<&'s Line<'s, 'm>>) {
        let mut parts = Vec::new();
        let mut rows = Vec::new();
        for line in lines {
            let obx = line.obx;
            if !is_part(obx) {
                rows.push(line);
                continue;
            }
            for n in [2, 5, 11, 14] {
                obx.field(n);
            }
            parts.push(Part {
                path: filled(obx.field(4).raw()).to_owned(),
                code: coded(scope, "OBX-3", obx.field(3)).0,
                device: device_id(obx.field(18)),
            });
        }
        (Self(parts), rows)
    }

    /// The nearest part that contains `path`, and the device of the nearest that names one.
    pub(super) fn around(&self, path: &str) -> (Option<&Code>, Option<&str>) {
        let path = filled(path);
        let mut around: Vec<&Part> = self
            .0
            .iter()
            .filter(|part| {
                path.strip_prefix(part.path.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
            .collect();
        around.sort_by_key(|part| std::cmp::Reverse(part.path.len()));
        (
            around.first().map(|part| &part.code),
            around.iter().find_map(|part| part.device.as_deref()),
        )
    }

    /// The device that the rows are about.
    pub(super) fn device(&self) -> Option<&str> {
        self.0.iter().find_map(|part| part.device.as_deref())
    }
}

/// `1.1.0.0` is `1.1`: the zeros only fill the four levels up.
fn filled(path: &str) -> &str {
    let mut path = path.trim();
    while let Some(shorter) = path.strip_suffix(".0") {
        path = shorter;
    }
    path
}

/// No value, and no type of one; or a device by its name.
fn is_part(obx: &Seg<'_>) -> bool {
    let named = || {
        obx.peek(3)
            .component(2)
            .raw()
            .trim()
            .starts_with("MDC_DEV_")
    };
    let no_value = text(obx.peek(5)).is_none();
    no_value && (text(obx.peek(2)).is_none() || named())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_at_the_end_of_a_place_only_fill_it_up() {
        for (path, plain) in [
            ("1.0.0.0", "1"),
            ("1.1.0.0", "1.1"),
            ("1.0.1", "1.0.1"),
            ("1.1.1.10", "1.1.1.10"),
            ("", ""),
        ] {
            assert_eq!(filled(path), plain);
        }
    }

    #[test]
    fn a_code_tells_its_partition() {
        let of = |code: &str| {
            partition(&Code {
                code: code.to_owned(),
                ..Code::default()
            })
        };
        assert_eq!(of("147842"), Some(2));
        assert_eq!(of("67975"), Some(ATTRIBUTES));
        assert_eq!(of("196674"), Some(EVENTS));
        assert_eq!(of("720897"), Some(IMPLANTED));
        assert_eq!(of("HR"), None);
    }
}
