//! SPM, SAC, and OBR-15 of older versions, to one specimen.

use hub_core::mappings::SpecimenType;
use schemas::care::{Code, Specimen};

use super::SpecimenSource;
use super::codes::code;
use super::control::CONTROL;
use super::groups::Tube;
use super::scope::{Scope, Seg, string, text};
use crate::message::Value;

/// One specimen of an order or a result; `None` when nothing is said of any.
pub(super) fn specimen(
    scope: &Scope<'_>,
    tube: Option<Tube<'_, '_>>,
    obr: Option<&Seg<'_>>,
) -> Option<Specimen> {
    let tube = tube.unwrap_or_default();
    let mut specimen = match (tube.spm, obr) {
        (Some(spm), _) => of_spm(scope, spm),
        (None, Some(obr)) => of_obr(scope, obr),
        (None, None) => Specimen::default(),
    };
    specimen.number = number(scope, tube, obr).map(|said| scope.settings.tube.of(&said).to_owned());
    if specimen == Specimen::default() {
        return None;
    }
    // When it was taken says something only of a specimen that is named.
    if let (None, Some(obr)) = (tube.spm, obr) {
        specimen.collected_at = scope.moment_text("OBR-7", obr.field(7));
    }
    Some(specimen)
}

/// The type of a specimen, where it makes another test of a code.
pub(super) fn kind(scope: &Scope<'_>, specimen: Option<&Specimen>) -> SpecimenType {
    let Some((specimen, kind)) = specimen.and_then(|one| Some((one, one.kind.as_ref()?))) else {
        return SpecimenType::BLOOD;
    };
    let known = &scope.settings.specimen_types;
    let kind = match known.get(&kind.code) {
        Some(known) => SpecimenType::of(known, None),
        None => SpecimenType::of(&kind.code, kind.text.as_deref()),
    };
    if specimen.role.as_deref() == Some(CONTROL) {
        return kind.of_control();
    }
    kind
}

/// The number on the tube, by the channel's order of asking. The same number in a later place counts as read.
fn number(scope: &Scope<'_>, tube: Tube<'_, '_>, obr: Option<&Seg<'_>>) -> Option<String> {
    let mut found: Option<String> = None;
    for source in &scope.settings.specimen_number {
        let (segment, path, field, component) = match source {
            SpecimenSource::Spm2 => (tube.spm, "SPM-2", 2, 1),
            SpecimenSource::Spm2Filler => (tube.spm, "SPM-2", 2, 2),
            SpecimenSource::Sac3 => (tube.sac, "SAC-3", 3, 1),
            SpecimenSource::Sac4 => (tube.sac, "SAC-4", 4, 1),
            SpecimenSource::Obr2 => (obr, "OBR-2", 2, 1),
            SpecimenSource::Obr3 => (obr, "OBR-3", 3, 1),
            SpecimenSource::Obr5 => (obr, "OBR-5", 5, 1),
        };
        let Some(segment) = segment else {
            continue;
        };
        let value: Value<'_> = segment.peek(field).component(component).subcomponent(1);
        match &found {
            None => found = scope.key(path, value),
            Some(number) if text(value).is_some_and(|t| t == number.as_str()) => {}
            Some(_) => continue,
        }
        segment.field(field);
    }
    found
}

fn of_spm(scope: &Scope<'_>, spm: &Seg<'_>) -> Specimen {
    Specimen {
        number: None,
        filler_number: scope.key("SPM-2", spm.field(2).component(2).subcomponent(1)),
        kind: code(scope, "SPM-4", spm.field(4)),
        body_site: code(scope, "SPM-8", spm.field(8)),
        role: string(spm.field(11).component(1)),
        container: code(scope, "SPM-27", spm.field(27)),
        condition: code(scope, "SPM-24", spm.field(24)),
        // A range: its first moment.
        collected_at: scope.moment_text("SPM-17", spm.field(17).component(1)),
        received_at: scope.moment_text("SPM-18", spm.field(18)),
        rejected_for: rejected_for(scope, spm),
    }
}

/// SPM-21, each repetition. One that SPM-20 calls available is used all the same; and one that is not available may be used up, where
/// no reason is named: neither was rejected (HL7 v2.5.1 §7.4.3.20, §7.4.3.21).
fn rejected_for(scope: &Scope<'_>, spm: &Seg<'_>) -> Vec<Code> {
    let reasons: Vec<Code> = spm
        .peek(21)
        .repetitions()
        .filter_map(|reason| code(scope, "SPM-21", reason))
        .collect();
    let is_used = text(spm.peek(20).component(1)).is_some_and(|said| said == "Y");
    if reasons.is_empty() || is_used {
        return Vec::new();
    }
    for read in [20, 21] {
        spm.field(read);
    }
    reasons
}

/// OBR-15: `code&text&system ^ additives ^ text ^ body site`.
fn of_obr(scope: &Scope<'_>, obr: &Seg<'_>) -> Specimen {
    let source = obr.field(15);
    Specimen {
        kind: parts(scope, source.component(1)),
        body_site: parts(scope, source.component(4)),
        received_at: scope.moment_text("OBR-14", obr.field(14)),
        ..Specimen::default()
    }
}

/// A coded element whose parts are subcomponents.
fn parts(scope: &Scope<'_>, value: Value<'_>) -> Option<Code> {
    let code = scope.key("OBR-15", value.subcomponent(1));
    let text = string(value.subcomponent(2));
    (code.is_some() || text.is_some()).then(|| Code {
        code: code.unwrap_or_default(),
        text,
        system: string(value.subcomponent(3)),
    })
}
