//! One O record with its R records as a report.

use hub_core::mappings::SpecimenType;
use schemas::care::{Code, Observation, ResultReceived, Specimen};
use schemas::patients::Identifier;

use super::message::{Group, Line};
use super::scope::{Place, Scope};
use super::time::Moment;
use super::{number, status, value};
use crate::records::Value;
use crate::settings::{FieldPath, Mark};

/// HL7 table 0369: a control sample.
pub(super) const CONTROL: &str = "Q";
/// HL7 table 0369: a calibrator.
const CALIBRATOR: &str = "C";

/// Whether the sample is a control or a calibrator; asked before anything is matched.
pub(super) fn role(scope: &Scope<'_>, place: Place<'_>) -> Option<&'static str> {
    let bears = |mark: &&Mark| {
        place
            .peek(mark.path)
            .is_some_and(|value| mark.bears(&value.text()))
    };
    let find = |marks: &[Mark], role| {
        marks.iter().find(bears).map(|mark| {
            place.take(mark.path);
            role
        })
    };
    find(&scope.dialect.control, CONTROL).or_else(|| find(&scope.dialect.calibration, CALIBRATOR))
}

/// The same of a block, which has places for two of the marks: O.3 is the number on the tube and O.16 its type; R is `field`.
pub(super) fn role_of_block<'b>(
    scope: &Scope<'_>,
    number: &str,
    kind: &str,
    field: impl Fn(usize) -> &'b str,
) -> Option<&'static str> {
    let bears = |mark: &Mark| match (mark.path.record, mark.path.field) {
        ('O', 3) => mark.bears(number),
        ('O', 16) => mark.bears(kind),
        ('R', n) => mark.bears(field(n)),
        _ => false,
    };
    let any = |marks: &[Mark], role| marks.iter().any(bears).then_some(role);
    any(&scope.dialect.control, CONTROL).or_else(|| any(&scope.dialect.calibration, CALIBRATOR))
}

/// What a block measured: it names its sample and nobody.
pub(super) fn report_of_block(
    scope: &Scope<'_>,
    number: Option<String>,
    kind: &str,
    role: Option<&str>,
    results: Vec<Observation>,
) -> ResultReceived {
    ResultReceived {
        channel: scope.channel.clone(),
        subject: None,
        visit_number: None,
        placer_number: None,
        filler_number: None,
        code: Code::default(),
        status: None,
        observed_at: None,
        issued_at: None,
        specimen: Some(Specimen {
            number,
            kind: (!kind.is_empty()).then(|| Code {
                code: kind.to_owned(),
                ..Code::default()
            }),
            role: role.map(str::to_owned),
            ..Specimen::default()
        }),
        results,
        notes: Vec::new(),
        occurred_at: None,
    }
}

pub(super) fn report(
    scope: &Scope<'_>,
    group: &Group<'_>,
    subject: Option<Identifier>,
    role: Option<&'static str>,
    occurred: Option<&Moment>,
) -> ResultReceived {
    let order = group.place.order;
    let specimen = specimen(scope, group.place, role);
    let specimen_type = specimen_type(scope, group.place, role);
    let mut results: Vec<Observation> = Vec::with_capacity(group.lines.len());
    let mut notes = group.notes.clone();
    let mut repeats = 0;
    for line in &group.lines {
        if status::is_repeat(line.record.peek(9).raw()) {
            repeats += 1;
        }
        if let Some(side) = side_line(scope, line) {
            match results.last_mut() {
                Some(before) => before.notes.push(side),
                None => {
                    scope.note("a raw line stands before its result and is not filed".to_owned());
                }
            }
            continue;
        }
        if let Some(side) = alarm(scope, line) {
            notes.push(side);
            continue;
        }
        results.push(observation(
            scope,
            group.place,
            line,
            &specimen_type,
            subject.is_none(),
        ));
    }
    if repeats > 0 {
        scope.note(format!(
            "{repeats} results are marked as sent before (R.9 R)"
        ));
    }
    ResultReceived {
        channel: scope.channel.clone(),
        subject,
        visit_number: None,
        placer_number: None,
        filler_number: None,
        code: order.map_or_else(Code::default, |o| ordered(scope, o.field(5))),
        status: order.and_then(|o| status::canonical(&o.field(26).text())),
        observed_at: order.and_then(|o| scope.moment_text("O.8", o.field(8))),
        issued_at: order.and_then(|o| scope.moment_text("O.23", o.field(23))),
        specimen,
        results,
        notes,
        occurred_at: occurred.map(|m| m.text.clone()),
    }
}

/// What was ordered: a name only where one test was, since a list of tests has none and would tell a rerun of one test
/// from its panel.
fn ordered(scope: &Scope<'_>, field: Value<'_>) -> Code {
    let mut tests = field.repeats().filter(|r| r.is_valued());
    match (tests.next(), tests.next()) {
        (Some(test), None) => code(scope, "O.5", test),
        _ => Code::default(),
    }
}

/// A test by the dialect's order of components.
fn code(scope: &Scope<'_>, path: &str, test: Value<'_>) -> Code {
    let at = |paths: &[FieldPath], but: Option<usize>| {
        paths
            .iter()
            .filter(|p| but.is_none() || p.component != but)
            .find_map(|p| {
                let part = p.component.map_or(test, |n| test.component(n));
                part.string().map(|text| (text, p.component))
            })
    };
    let found = at(&scope.dialect.test_code, None);
    let place = found.as_ref().and_then(|(_, place)| *place);
    let code = found
        .and_then(|(text, _)| scope.key(path, scope.code_without_ending(&text)))
        .unwrap_or_default();
    let text = at(&scope.dialect.test_name, place.or(Some(0)))
        .map(|(text, _)| text)
        .filter(|text| *text != code);
    Code {
        code,
        text,
        system: scope.dialect.code_system.clone(),
    }
}

fn specimen(scope: &Scope<'_>, place: Place<'_>, role: Option<&'static str>) -> Option<Specimen> {
    let number = scope
        .first_of(place, &scope.dialect.specimen)
        .map(|said| {
            let number = without_ending(scope, &said);
            scope.dialect.tube.of(number).to_owned()
        })
        .filter(|number| !number.is_empty());
    let kind = place.order.and_then(|o| {
        let field = o.field(16);
        let code = field.component(1).string();
        let text = field.component(2).string();
        (code.is_some() || text.is_some()).then(|| Code {
            code: code.unwrap_or_default(),
            text,
            system: None,
        })
    });
    let named = number.is_some();
    let specimen = Specimen {
        number,
        kind,
        role: role.map(str::to_owned),
        ..Specimen::default()
    };
    if specimen == Specimen::default() {
        return None;
    }
    // when it was taken says something only of a specimen that is named
    Some(Specimen {
        collected_at: place
            .order
            .filter(|_| named)
            .and_then(|o| scope.moment_text("O.8", o.field(8))),
        ..specimen
    })
}

fn specimen_type(scope: &Scope<'_>, place: Place<'_>, role: Option<&str>) -> SpecimenType {
    let said = scope
        .dialect
        .specimen_type
        .iter()
        .filter_map(|path| place.peek(*path))
        .find_map(Value::string);
    type_of(scope, said.as_deref().unwrap_or_default(), &[], role)
}

/// The type of specimen that a word of the instrument stands for: as the channel says, else as its protocol does.
pub(super) fn type_of(
    scope: &Scope<'_>,
    said: &str,
    protocol: &[(&str, &str)],
    role: Option<&str>,
) -> SpecimenType {
    let said = said.trim();
    let kind = scope.dialect.specimen_types.get(said).map_or_else(
        || {
            let word = protocol.iter().find(|(word, _)| *word == said);
            word.map_or(said, |(_, kind)| *kind)
        },
        String::as_str,
    );
    let kind = SpecimenType::of(kind, None);
    if role.is_some() {
        return kind.of_control();
    }
    if !kind.is_blood() {
        scope.note("the specimen is not known as blood, serum or plasma: only code rows that name its type (specimen) say what its codes mean".to_owned());
    }
    kind
}

/// A code with the type of its specimen behind its system.
pub(super) fn of_specimen(mut code: Code, kind: &SpecimenType) -> Code {
    if !code.code.is_empty() {
        code.system = kind.system(code.system.take());
    }
    code
}

pub(super) fn without_ending<'v>(scope: &Scope<'_>, said: &'v str) -> &'v str {
    scope
        .dialect
        .specimen_endings
        .iter()
        .filter(|e| !e.is_empty())
        .find_map(|ending| said.strip_suffix(ending.as_str()))
        .unwrap_or(said)
        .trim()
}

/// The kind of a line, where the dialect says that lines have kinds.
fn kind(scope: &Scope<'_>, line: &Line<'_>) -> Option<String> {
    let path = scope.dialect.line_kind?;
    let field = line.record.peek(path.field);
    path.component
        .map_or(field, |n| field.component(n))
        .string()
}

/// A line that is no result of its own, as a note.
fn side_line(scope: &Scope<'_>, line: &Line<'_>) -> Option<String> {
    let kind = kind(scope, line).filter(|k| scope.dialect.side_kinds.contains(k))?;
    let (value, unit) = (line.record.field(4).words(), line.record.field(5).words());
    for n in [3, 6, 7, 9, 11, 12, 13, 14] {
        let _ = line.record.field(n);
    }
    Some(format!("{kind}: {value} {unit}").trim().to_owned())
}

/// A line whose code is no test, as a note.
fn alarm(scope: &Scope<'_>, line: &Line<'_>) -> Option<String> {
    if scope.dialect.side_codes.is_empty() {
        return None;
    }
    let r = line.record;
    let Code { code, .. } = code(scope, "R.3", r.peek(3));
    if !scope.dialect.is_side_code(&code) {
        return None;
    }
    for n in 3..=r.len() {
        let _ = r.field(n);
    }
    let words = [code, r.peek(4).words(), r.peek(7).words()];
    let words: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|w| !w.is_empty())
        .collect();
    Some(
        [words[..1].concat(), words[1..].join(" ")]
            .join(": ")
            .trim_end_matches(": ")
            .to_owned(),
    )
}

/// R.5. A power of ten with the component delimiter in it (`10^3/uL`) comes unescaped from most.
fn unit(field: Value<'_>) -> Option<String> {
    let first = field.component(1).string()?;
    let exponent = field.component(2).string();
    match exponent.filter(|e| e.starts_with(|c: char| c.is_ascii_digit())) {
        Some(exponent) if first.ends_with("10") => Some(format!("{first}^{exponent}")),
        _ => Some(first),
    }
}

fn observation(
    scope: &Scope<'_>,
    place: Place<'_>,
    line: &Line<'_>,
    specimen_type: &SpecimenType,
    no_patient: bool,
) -> Observation {
    let r = line.record;
    let code = of_specimen(code(scope, "R.3", r.field(3)), specimen_type);
    let said = r.field(9).text();
    let status = status::canonical(&said);
    if status.is_none() && !said.is_empty() {
        scope.bad(
            "R.9",
            "no result status of LIS02-A2 that says how far it has come",
        );
    }
    let unit = unit(r.field(5));
    let comma = scope.dialect.decimal_comma;
    let range = number::range(r.field(6), comma);
    let read = value::read(
        r.field(4),
        status.as_deref() == Some("X"),
        unit.is_some() || range.is_some(),
        comma,
    );
    let (mapped, held) = scope.meaning(
        &code,
        unit.as_deref().unwrap_or_default(),
        &read.value,
        no_patient,
    );
    // R.13 completed, else R.12 begun
    let completed = scope.moment_text("R.13", r.field(13));
    let begun = scope.moment_text("R.12", r.field(12));
    // R.11: who ran and who verified it; R.2: its place in the list
    let _ = r.field(11);
    Observation {
        code,
        alternate: None,
        sub_id: kind(scope, line),
        value_type: None,
        value: read.value,
        raw_value: read.raw,
        unit,
        range,
        flags: r
            .field(7)
            .repeats()
            .filter_map(|flag| Some(flag.words()).filter(|f| !f.is_empty()))
            .collect(),
        status,
        observed_at: completed.or(begun),
        device: device(place, r.field(14)),
        notes: line.notes.clone(),
        mapped,
        held,
    }
}

/// R.14, else the sender in H.5.
fn device(place: Place<'_>, field: Value<'_>) -> Option<String> {
    field
        .component(1)
        .string()
        .or_else(|| place.header?.peek(5).components().find_map(Value::string))
}
