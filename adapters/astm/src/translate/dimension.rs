//! Siemens Dimension blocks: `R` results, `I` queries, `C` calibrations.

use hub_core::failure::Refusal;
use hub_core::mappings::SpecimenType;
use schemas::care::{Code, Observation};

use super::message::push;
use super::scope::Scope;
use super::{Output, result, time, value};
use crate::link::{ETX, STX};
use crate::records;

/// Fields of a result block before its tests, the type counted as 1: load list, patient, sample number, sample type,
/// location, priority, time, cups, dilution, number of tests.
const BEFORE_TESTS: usize = 11;
/// Name, value, unit, error code.
const PER_TEST: usize = 4;
/// Sample types of control material: serum 1 to 3, urine 1 and 2.
const CONTROL_TYPES: [&str; 5] = ["5", "6", "7", "8", "9"];
/// Sample types by HL7 table 0487: patients' and controls'.
const SAMPLE_TYPES: &[(&str, &str)] = &[
    ("W", "BLD"),
    ("1", "SER"),
    ("2", "PLAS"),
    ("3", "UR"),
    ("4", "CSF"),
    ("5", "SER"),
    ("6", "SER"),
    ("7", "SER"),
    ("8", "UR"),
    ("9", "UR"),
];
/// Error codes of which the maker says that there is no result to use: what stands where the number does is none. Abnormal assay,
/// arithmetic, never calibrated, no reagent, aborted, processing, software; clot.
const NO_RESULT: [&str; 8] = ["6", "7", "8", "9", "10", "11", "12", "19"];
/// Priorities of controls: QC, XQC.
const CONTROL_PRIORITIES: [&str; 2] = ["3", "4"];

pub(super) fn translate(
    scope: &Scope<'_>,
    bytes: &[u8],
    output: &mut Output,
) -> Result<(), Refusal> {
    let text = records::decode(&fields_of(bytes), scope.dialect.encoding()).text;
    let fields: Vec<&str> = text.split('\u{1c}').collect();
    output.kind("Dimension block");
    let field = |n: usize| fields.get(n - 1).map_or("", |f| f.trim());
    match field(1) {
        "R" => results(scope, &fields, output),
        "I" => {
            output.keys.accession = scope.key("Dimension.2", field(2));
            output.asked = true;
            Ok(())
        }
        "C" => {
            // what it carries is of the calibration before it, by the instrument's design
            scope.note("a calibration is kept and not filed".to_owned());
            Ok(())
        }
        _ => Err(Refusal::new(
            "astm.dimension_block",
            "the block is of none of the types R, I and C; if the instrument speaks another protocol, link.mode is wrong",
        )),
    }
}

/// The fields, without STX, checksum and ETX.
pub(crate) fn fields_of(bytes: &[u8]) -> Vec<u8> {
    let body = bytes.strip_prefix(&[STX]).unwrap_or(bytes);
    let body = body.strip_suffix(&[ETX]).unwrap_or(body);
    // the checksum stands behind the last separator
    let end = body
        .iter()
        .rposition(|b| *b == crate::link::FS)
        .unwrap_or(body.len());
    body.get(..end).unwrap_or_default().to_vec()
}

fn results(scope: &Scope<'_>, fields: &[&str], output: &mut Output) -> Result<(), Refusal> {
    let field = |n: usize| fields.get(n - 1).map_or("", |f| f.trim());
    let tests = fields.get(BEFORE_TESTS..).unwrap_or_default();
    let said: Option<usize> = field(BEFORE_TESTS).parse().ok();
    let count = tests.len().div_ceil(PER_TEST);
    if said != Some(count) {
        return Err(Refusal::new(
            "astm.dimension_count",
            "the number of tests in field 11 is not the number of tests that follow; nothing is filed, because columns may be shifted",
        ));
    }
    let said = result::without_ending(scope, field(4));
    let role = result::role_of_block(scope, said, field(5), field).or_else(|| {
        let control = CONTROL_TYPES.contains(&field(5)) || CONTROL_PRIORITIES.contains(&field(7));
        control.then_some(result::CONTROL)
    });
    let specimen_type = result::type_of(scope, field(5), SAMPLE_TYPES, role);
    let measured = moment(scope, fields.get(7).copied().unwrap_or_default());
    let results = tests
        .chunks(PER_TEST)
        .map(|test| observation(scope, test, &specimen_type, measured.as_deref()))
        .collect();
    output.translated = true;
    let number = scope.key("Dimension.4", scope.dialect.tube.of(said));
    // field 3 is a name or a number, as the operator likes: nobody can be recognised by it
    let report = result::report_of_block(scope, number, field(5), role, results);
    push(scope, &report, None, output);
    Ok(())
}

/// `ssmmhhDDMMYY`, in this order; a part below ten may begin with a blank.
fn moment(scope: &Scope<'_>, said: &str) -> Option<String> {
    if said.trim().is_empty() {
        return None;
    }
    let said = &said.replace(' ', "0");
    if said.len() != 12 {
        scope.bad("Dimension.8", "not 12 digits");
        return None;
    }
    let part = |at: usize| said.get(at..at + 2);
    let text = format!(
        "20{}{}{}{}{}{}",
        part(10)?,
        part(8)?,
        part(6)?,
        part(4)?,
        part(2)?,
        part(0)?
    );
    match time::read(&text, scope.dialect.default_zone_minutes) {
        Ok(moment) => moment.map(|m| m.text),
        Err(what) => {
            scope.bad("Dimension.8", what);
            None
        }
    }
}

fn observation(
    scope: &Scope<'_>,
    test: &[&str],
    specimen_type: &SpecimenType,
    measured: Option<&str>,
) -> Observation {
    let part = |n: usize| test.get(n).map_or("", |t| t.trim());
    let code = Code {
        code: scope.key("Dimension.test", part(0)).unwrap_or_default(),
        text: None,
        system: scope.dialect.code_system.clone(),
    };
    let code = result::of_specimen(code, specimen_type);
    let unit = Some(part(2).to_owned()).filter(|u| !u.is_empty());
    let error = part(3);
    // a number may stand there all the same; on a chart it would be read as one
    let value = if NO_RESULT.contains(&error.trim_start_matches('0')) {
        value::no_value()
    } else {
        value::of_text(part(1), true, true, scope.dialect.decimal_comma)
    };
    let (mapped, held) = scope.meaning(&code, part(2), &value, true);
    Observation {
        code,
        alternate: None,
        sub_id: None,
        value_type: None,
        value,
        raw_value: Some(part(1).to_owned()).filter(|v| !v.is_empty()),
        unit,
        range: None,
        flags: if error.is_empty() || error == "0" {
            Vec::new()
        } else {
            vec![error.to_owned()]
        },
        status: None,
        observed_at: measured.map(str::to_owned),
        device: None,
        notes: Vec::new(),
        mapped,
        held,
    }
}
