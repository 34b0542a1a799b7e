//! Mindray haematology (BC; HL7 v2.3.1): ORR^O02 in answer to an ORM^O01 with ORC-1 RF.
//!
//! The orders are in the answer itself, as the mode in which the sample is counted (08003, `CBC+DIFF`). Nothing to do, or an unknown sample, is MSA-1 AR. The device does not acknowledge an ORR.

use schemas::worklist::{SpecimenStanding, WorklistAnswer};
use time::OffsetDateTime;

use super::head::{Head, Kind};
use super::patient::{Person, moment};
use super::{Asks, Occasion, Question, Reply, codes, performed};
use crate::settings::{Hl7v2Settings, OrderSettings};

/// What a code may be and be a mode itself.
const MODES: [&str; 6] = ["CBC", "DIFF", "RET", "NRBC", "CRP", "ESR"];

pub(super) fn answer(
    settings: &Hl7v2Settings,
    orders: &OrderSettings,
    occasion: Occasion<'_>,
    question: &Question,
    worklist: &WorklistAnswer,
    now: OffsetDateTime,
) -> Reply {
    let now = now.to_offset(settings.zone());
    let head = Head::answering(settings, &question.header);
    let kind = Kind {
        message: "ORR^O02",
        control_id: &head.asked_as,
        local_time: true,
        ..Kind::default()
    };
    let mut lines = head.begin(&kind, now);
    let found = worklist
        .specimens
        .iter()
        .filter(|specimen| specimen.standing == SpecimenStanding::Pending)
        .map(performed)
        .find(|specimen| !specimen.tests.is_empty());
    let failed = matches!(occasion, Occasion::Failed(_));
    let (Some(specimen), false, Asks::Specimens) = (found, failed, question.asks) else {
        let code = if failed { "AE" } else { "AR" };
        lines.segment("MSA", &[code, &head.asked_as]);
        return Reply {
            content: lines.finish(),
            ..Reply::default()
        };
    };
    lines.segment("MSA", &["AA", &head.asked_as]);
    let person = if orders.names {
        Person::of(specimen.patient.as_ref())
    } else {
        Person::default()
    };
    let number = lines.parts(&[&person.number, "", "", "", "MR"]);
    let name = lines.parts(&[&person.family, &person.given]);
    let birth = person.birth_to_the_second();
    lines.segment(
        "PID",
        &[
            "1",
            "",
            &number,
            "",
            &name,
            "",
            &birth,
            person.sex_in_words(),
        ],
    );
    lines.segment("PV1", &["1"]);
    let tube = lines.plain(&specimen.number);
    lines.segment("ORC", &["AF", &tube, "", ""]);
    let service = lines.parts(&["00001", "Automated Count", "99MRC"]);
    let collected = moment(specimen.collected_at.as_ref(), settings.zone(), false);
    let mut obr = vec!["1", tube.as_str(), "", &service, "", &collected];
    obr.extend([
        "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "",
    ]);
    obr.push("HM");
    lines.segment("OBR", &obr);
    let mut rows: Vec<(&str, [&str; 3], String, &str)> = vec![
        (
            "IS",
            ["08001", "Take Mode", "99MRC"],
            orders.take_mode.clone(),
            "",
        ),
        (
            "IS",
            ["08002", "Blood Mode", "99MRC"],
            orders.blood_mode.clone(),
            "",
        ),
        (
            "IS",
            ["08003", "Test Mode", "99MRC"],
            mode(orders, &codes(&specimen, false)),
            "",
        ),
    ];
    if let Some((age, unit)) = person.age(now) {
        rows.push(("NM", ["30525-0", "Age", "LN"], age.to_string(), unit));
    }
    for (n, (kind, name, value, unit)) in (1..).zip(rows) {
        let (name, value) = (lines.parts(&name), lines.plain(&value));
        lines.segment(
            "OBX",
            &[
                &n.to_string(),
                kind,
                &name,
                "",
                &value,
                unit,
                "",
                "",
                "",
                "",
                "F",
            ],
        );
    }
    Reply {
        content: lines.finish(),
        inside: vec![specimen],
        follow: Vec::new(),
    }
}

/// How the sample is to be counted: the modes that the codes are or want, each part once; without any, the channel's.
fn mode(orders: &OrderSettings, codes: &[&str]) -> String {
    let is_mode = |code: &str| code.split('+').all(|part| MODES.contains(&part.trim()));
    let mut parts: Vec<&str> = Vec::new();
    let mut plain = false;
    for &code in codes {
        let wanted = match orders.modes.get(code) {
            Some(mode) => {
                plain = true;
                mode.as_str()
            }
            None if is_mode(code) => code,
            None => {
                plain = true;
                continue;
            }
        };
        for part in wanted.split('+').map(str::trim) {
            if !part.is_empty() && !parts.contains(&part) {
                parts.push(part);
            }
        }
    }
    // parameters are counted in the usual mode, and whatever else is wanted with it
    if plain || parts.is_empty() {
        let usual = orders.test_mode.split('+').map(str::trim);
        let mut all: Vec<&str> = usual.filter(|part| !part.is_empty()).collect();
        parts.retain(|part| !all.contains(part));
        all.append(&mut parts);
        return all.join("+");
    }
    parts.join("+")
}
