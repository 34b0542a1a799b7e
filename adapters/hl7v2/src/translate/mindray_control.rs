//! Controls and calibrations of Mindray chemistry (BS, CL): MSH-16 is 0 for patients, 1 for calibrations, 2 for controls, and a control
//! has its value in the OBR and no OBX (specs/lab-devices.md §4). None of it is anybody's.
//!
//! The test's number and name stand in OBR-2 and OBR-3, the time in OBR-6; material, lot, expiry, level, mean, deviation, value and unit
//! in OBR-13 to OBR-21 (without 16), one component for each material of a run.

use schemas::care::{Code, Observation, ResultReceived, Specimen, Value as Measured};

use super::control::CONTROL;
use super::number::{compared, is_sentinel};
use super::result::meaning;
use super::scope::{Moment, Scope, Seg, string, text};
use super::value;

/// What MSH-16 says that a message reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Calibration,
    Control,
}

/// By MSH-16; elsewhere it holds a code of table HL70155, which is no digit.
pub(super) fn kind(scope: &Scope<'_>) -> Option<Kind> {
    let msh = scope.header()?;
    match msh.peek(16).component(1).raw().trim() {
        "1" => Some(Kind::Calibration),
        "2" => Some(Kind::Control),
        _ => None,
    }
}

/// One report for each material that was measured; none when OBR-20 says nothing.
pub(super) fn reports(
    scope: &Scope<'_>,
    obr: &Seg<'_>,
    occurred: Option<&Moment>,
) -> Vec<ResultReceived> {
    let test = Code {
        code: string(obr.field(2)).unwrap_or_default(),
        text: string(obr.field(3)),
        system: None,
    };
    let observed_at = scope
        .moment_text("OBR-6", obr.field(6))
        .or_else(|| scope.moment_text("OBR-7", obr.field(7)));
    // maker and model, which the channel's pack says
    obr.field(4);
    let all = obr.field(20).components().count();
    (1..=all)
        .filter_map(|place| {
            let material = Material { scope, obr, place };
            Some(ResultReceived {
                channel: scope.channel.clone(),
                subject: None,
                visit_number: None,
                placer_number: None,
                filler_number: None,
                code: test.clone(),
                status: Some("F".to_owned()),
                observed_at: observed_at.clone(),
                issued_at: None,
                specimen: Some(Specimen {
                    number: material.number(),
                    role: Some(CONTROL.to_owned()),
                    ..Specimen::default()
                }),
                results: vec![material.observation(&test)?],
                notes: material.notes(),
                occurred_at: occurred.map(|m| m.text.clone()),
            })
        })
        .collect()
}

/// One of the materials of a run.
struct Material<'r, 'c> {
    scope: &'r Scope<'c>,
    obr: &'r Seg<'c>,
    place: usize,
}

impl Material<'_, '_> {
    fn said(&self, field: usize) -> Option<String> {
        string(self.obr.field(field).component(self.place))
    }

    /// Lot and level: each has a target of its own. Without a lot the material's name.
    fn number(&self) -> Option<String> {
        let (name, lot, level) = (self.said(13), self.said(14), self.said(17));
        let parts: Vec<String> = [lot.or(name), level].into_iter().flatten().collect();
        let number = parts.join("/");
        (!number.is_empty()).then_some(number)
    }

    fn observation(&self, test: &Code) -> Option<Observation> {
        let field = self.obr.field(20).component(self.place);
        let raw = text(field)?.into_owned();
        let value = if is_sentinel(&raw, true) {
            value::absent(value::NO_VALUE)
        } else {
            match compared(&raw, self.scope.settings.decimal_comma) {
                Some((comparator, number)) => Measured::Quantity { comparator, number },
                None => Measured::Text { text: raw.clone() },
            }
        };
        // one unit for all materials where only one is said
        let unit = self
            .said(21)
            .or_else(|| string(self.obr.field(21).component(1)));
        let known_as = unit.as_deref().unwrap_or_default();
        let (mapped, held) = meaning(self.scope, [Some(test), None], known_as, &value, true);
        Some(Observation {
            code: test.clone(),
            alternate: None,
            sub_id: None,
            value_type: Some("NM".to_owned()),
            value,
            raw_value: Some(raw),
            unit,
            range: None,
            flags: Vec::new(),
            status: Some("F".to_owned()),
            observed_at: None,
            device: None,
            notes: Vec::new(),
            mapped,
            held,
        })
    }

    /// What the analyzer has of the material. It is judged by the laboratory's own target.
    fn notes(&self) -> Vec<String> {
        [
            ("control", 13),
            ("expires", 15),
            ("mean on the analyzer", 18),
            ("deviation on the analyzer", 19),
        ]
        .into_iter()
        .filter_map(|(name, field)| Some(format!("{name}: {}", self.said(field)?)))
        .collect()
    }
}
