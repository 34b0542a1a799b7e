//! ORU and OUL: what was measured.

use hub_core::failure::Refusal;
use hub_core::mappings::SpecimenType;
use hub_core::translator;
use hub_core::translator::Event;
use schemas::care::{Code, HoldReason, Mapped, Observation, ResultReceived, Value as Measured};
use schemas::integration::TranslationOutcome;
use schemas::patients::Identifier;

use super::codes::coded;
use super::control::{CONTROL, is_control};
use super::groups::{Form, Group, Line, Patient, groups};
use super::mindray_control::Kind;
use super::order::{aggregate, mentioned, note_lines, numbers};
use super::possible::{IMPOSSIBLE, is_impossible};
use super::scope::{Moment, Scope, string, text};
use super::{Output, adt, keys, mindray_control, number, receipt, specimen, value};
use crate::message::Value;

pub(super) fn translate(scope: &Scope<'_>, output: &mut Output) -> Result<(), Refusal> {
    let form = if keys::message_type(scope).0 == "OUL" {
        Form::SpecimenResult
    } else {
        Form::Result
    };
    let found = groups(scope, form);
    let occurred = adt::occurred(scope);
    if found.stray_results > 0 {
        scope.note(format!(
            "{} OBX stand before the first OBR and belong to no report",
            found.stray_results
        ));
    }
    if found.no_obr {
        scope.note("there is no OBR: all OBX are one report".to_owned());
    }
    if found.groups.is_empty() {
        return Err(Refusal::new(
            "hl7.incomplete",
            "a result message without OBR and OBX reports nothing; correct the sender",
        ));
    }
    // control material is nobody: what stands in its PID is not a person
    let aside = mindray_control::kind(scope);
    let controls = aside.is_some() || found.groups.iter().all(|group| is_control(scope, group));
    let subjects = if controls {
        vec![None; found.patients.len()]
    } else {
        mentioned(scope, &found.patients, occurred.as_ref(), output)
    };
    for group in &found.groups {
        if aside.is_some() && group.lines.is_empty() {
            of_obr_alone(scope, group, aside, occurred.as_ref(), output);
            continue;
        }
        let about = group
            .patient
            .and_then(|n| Some((found.patients.get(n)?, subjects.get(n)?)));
        let mut report = report(scope, group, about, occurred.as_ref(), output);
        receipt::order(scope, &mut report, controls, occurred.as_ref(), output);
        if let Some(number) = report.specimen.as_ref().and_then(|s| s.number.as_deref()) {
            output.keys.about_specimen(number);
        }
        let aggregate = aggregate(
            scope,
            report.subject.as_ref(),
            report.specimen.as_ref(),
            [&report.placer_number, &report.filler_number],
        );
        output.events.push(Event::new(
            aggregate,
            occurred.as_ref().map(|m| m.at),
            &report,
        ));
    }
    if output.events.is_empty() {
        output.without_effect = Some(TranslationOutcome::NotTranslated);
    }
    Ok(())
}

/// A Mindray control; a calibration without results of its own says nothing that could be filed.
fn of_obr_alone(
    scope: &Scope<'_>,
    group: &Group<'_, '_>,
    aside: Option<Kind>,
    occurred: Option<&Moment>,
    output: &mut Output,
) {
    let reports = match (aside, group.obr) {
        (Some(Kind::Control), Some(obr)) => mindray_control::reports(scope, obr, occurred),
        _ => Vec::new(),
    };
    if reports.is_empty() {
        scope.note("a calibration or a control without a value: nothing to file".to_owned());
    }
    for report in reports {
        if let Some(number) = report.specimen.as_ref().and_then(|s| s.number.as_deref()) {
            output.keys.about_specimen(number);
        }
        let aggregate = aggregate(scope, None, report.specimen.as_ref(), [&None, &None]);
        output
            .events
            .push(Event::new(aggregate, occurred.map(|m| m.at), &report));
    }
}

/// HL7 table 0369: calibrator.
const CALIBRATOR: &str = "C";

/// A line that is a setting or an alarm, as a note.
fn side_line(scope: &Scope<'_>, line: &Line<'_, '_>) -> Option<String> {
    let settings = scope.settings;
    let obx = line.obx;
    let is_side_type =
        text(obx.peek(2)).is_some_and(|kind| settings.side_types.iter().any(|side| *side == *kind));
    if !is_side_type && settings.side_codes.is_empty() {
        return None;
    }
    let (code, _) = coded(scope, "OBX-3", obx.peek(3));
    let is_side_code = || {
        settings
            .side_codes
            .iter()
            .any(|side| match side.strip_suffix('*') {
                Some(start) => code.code.starts_with(start),
                None => code.code == *side,
            })
    };
    let is_picture = text(obx.peek(2)).is_some_and(|kind| kind == "ED" || kind == "RP");
    if is_picture || !(is_side_type || is_side_code()) {
        return None;
    }
    for n in 2..=19 {
        obx.field(n);
    }
    let name = code.text.unwrap_or(code.code);
    let said: Vec<_> = [obx.peek(5), obx.peek(6).component(1)]
        .into_iter()
        .filter_map(string)
        .collect();
    Some(
        format!("{name}: {}", said.join(" "))
            .trim_end_matches(": ")
            .to_owned(),
    )
}

fn report(
    scope: &Scope<'_>,
    group: &Group<'_, '_>,
    about: Option<(&Patient<'_, '_>, &Option<Identifier>)>,
    occurred: Option<&Moment>,
    output: &mut Output,
) -> ResultReceived {
    let [placer_number, filler_number] = numbers(scope, group);
    if let Some(orc) = group.orc {
        // RE, observations to follow: all it can say in a result.
        orc.field(1);
    }
    let role = match mindray_control::kind(scope) {
        Some(Kind::Calibration) => Some(CALIBRATOR),
        Some(Kind::Control) => Some(CONTROL),
        None => is_control(scope, group).then_some(CONTROL),
    };
    let control = role.is_some();
    let subject = about
        .filter(|_| !control)
        .and_then(|(_, subject)| subject.clone());
    let obr = group.obr;
    let (code, _) = obr.map_or_else(Default::default, |s| coded(scope, "OBR-4", s.field(4)));
    // A result has one specimen; of several the one next to the OBR.
    if group.tubes.len() > 1 {
        scope.bad("SPM", "more than one specimen for one OBR");
    }
    let mut specimen = specimen::specimen(scope, group.tubes.last().copied(), obr);
    if let Some(role) = role {
        specimen.get_or_insert_default().role = Some(role.to_owned());
    }
    let kind = specimen::kind(scope, specimen.as_ref());
    let mut notes = note_lines(&group.notes);
    let mut results = Vec::with_capacity(group.lines.len());
    for line in &group.lines {
        match side_line(scope, line) {
            Some(said) => notes.push(said),
            None => results.push(observation(scope, line, &kind, subject.is_none(), output)),
        }
    }
    ResultReceived {
        channel: scope.channel.clone(),
        subject,
        visit_number: about
            .and_then(|(patient, _)| adt::visit_number(scope, Some(patient.pid), patient.pv1)),
        placer_number,
        filler_number,
        code,
        status: obr.and_then(|s| string(s.field(25))),
        observed_at: obr.and_then(|s| scope.moment_text("OBR-7", s.field(7))),
        issued_at: obr.and_then(|s| scope.moment_text("OBR-22", s.field(22))),
        specimen,
        results,
        notes,
        occurred_at: occurred.map(|m| m.text.clone()),
    }
}

fn observation(
    scope: &Scope<'_>,
    line: &Line<'_, '_>,
    kind: &SpecimenType,
    no_patient: bool,
    output: &mut Output,
) -> Observation {
    let obx = line.obx;
    let value_type = text(obx.field(2));
    let (code, alternate) = coded(scope, "OBX-3", obx.field(3));
    let code = of_specimen(code, kind);
    let alternate = alternate.map(|code| of_specimen(code, kind));
    let status = string(obx.field(11));
    let unit = string(obx.field(6).component(1)).or_else(|| string(obx.field(6).component(2)));
    let range = text(obx.field(7).component(1)).map(|_| number::range(obx.field(7)));
    let mut read = value::read(
        scope,
        &value::Question {
            value_type: value_type.as_deref().unwrap_or_default(),
            field: obx.field(5),
            cancelled: status.as_deref() == Some("X"),
            measured: unit.is_some() || range.is_some(),
        },
        &mut output.attachments,
    );
    if let Measured::Quantity { number, .. } = &read.value
        && is_impossible(&scope.settings.possible, &code.code, number)
    {
        read.value = value::absent(IMPOSSIBLE);
    }
    let (mapped, held) = meaning(
        scope,
        [Some(&code), alternate.as_ref()],
        unit.as_deref().unwrap_or_default(),
        &read.value,
        no_patient,
    );
    Observation {
        code,
        alternate,
        sub_id: string(obx.field(4)),
        value_type: value_type.map(std::borrow::Cow::into_owned),
        value: read.value,
        raw_value: read.raw,
        unit,
        range,
        flags: flags(obx.field(8)),
        status,
        observed_at: scope.moment_text("OBX-14", obx.field(14)),
        device: device(scope, obx.field(18)),
        notes: note_lines(&line.notes),
        mapped,
        held,
    }
}

/// A code with the type of its specimen behind its system.
fn of_specimen(mut code: Code, kind: &SpecimenType) -> Code {
    if !code.code.is_empty() {
        code.system = kind.system(code.system.take());
    }
    code
}

/// What the tables make of the code, or why the result waits.
pub(super) fn meaning(
    scope: &Scope<'_>,
    codes: [Option<&Code>; 2],
    unit: &str,
    value: &Measured,
    no_patient: bool,
) -> (Option<Mapped>, Option<HoldReason>) {
    let codes = codes.into_iter().flatten();
    translator::meaning::meaning(scope.maps, scope.channel, codes, unit, value, no_patient)
}

/// OBX-8, each repetition as sent.
pub(super) fn flags(field: Value<'_>) -> Vec<String> {
    field
        .repetitions()
        .filter_map(|flag| string(flag.component(1)).or_else(|| string(flag.component(2))))
        .collect()
}

/// The first identifier of OBX-18, else the sending application.
fn device(scope: &Scope<'_>, field: Value<'_>) -> Option<String> {
    field
        .repetitions()
        .find_map(|device| device.components().find_map(string))
        .or_else(|| {
            scope
                .header()
                .and_then(|msh| string(msh.field(3).component(1)))
        })
}
