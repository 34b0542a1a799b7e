//! Mindray chemistry and immunology (BS, CL; HL7 v2.3.1): QCK^Q02 in answer to QRY^Q02, then DSR^Q03 with DSP lines.
//!
//! What a line of DSP means is its number: 1 patient, 3 name, 4 birth, 5 sex, 15 kind of patient, 21 barcode, 22 sample
//! number, 23 time of collection, 24 STAT, 26 kind of sample, 29 and on the tests. DSC-1 is empty in the last DSR of an answer.

use schemas::worklist::{SpecimenStanding, WorklistAnswer, WorklistSpecimen};
use time::OffsetDateTime;

use super::head::{Head, Kind, Lines};
use super::patient::{Person, moment};
use super::{
    Asks, ControlIds, Occasion, OrderLine, OrderMessage, Question, Reply, codes, performed,
};
use crate::settings::{Hl7v2Settings, OrderDialect, OrderSettings};

pub(super) fn answer(
    settings: &Hl7v2Settings,
    orders: &OrderSettings,
    occasion: Occasion<'_>,
    question: &Question,
    worklist: &WorklistAnswer,
    ids: &dyn ControlIds,
    now: OffsetDateTime,
) -> Reply {
    let now = now.to_offset(settings.zone());
    let head = Head::answering(settings, &question.header);
    let wanted: Vec<WorklistSpecimen> = worklist
        .specimens
        .iter()
        .filter(|specimen| specimen.standing == SpecimenStanding::Pending)
        .map(performed)
        .filter(|specimen| !specimen.tests.is_empty())
        .collect();
    let failed = matches!(occasion, Occasion::Failed(_));
    let status = match () {
        () if failed => "AE",
        () if question.asks == Asks::Withdraw || !wanted.is_empty() => "OK",
        () => "NF",
    };
    let kind = Kind {
        message: "QCK^Q02",
        // the device looks for its own number here
        control_id: &head.asked_as,
        local_time: true,
        ..Kind::default()
    };
    let mut lines = head.begin(&kind, now);
    acknowledge(&mut lines, &head, failed, status);
    let last = wanted.len().saturating_sub(1);
    let follow = if question.asks == Asks::Withdraw || failed {
        Vec::new()
    } else {
        wanted
            .into_iter()
            .enumerate()
            .map(|(n, specimen)| {
                let more = (n < last).then_some(n + 1);
                display(settings, orders, &head, question, specimen, more, ids, now)
            })
            .collect()
    };
    Reply {
        content: lines.finish(),
        inside: Vec::new(),
        follow,
    }
}

/// MSA, ERR and QAK, as QCK and DSR both have them.
fn acknowledge(lines: &mut Lines<'_>, head: &Head, failed: bool, status: &str) {
    let (code, text, error) = if failed {
        ("AE", "Application internal error", "207")
    } else {
        ("AA", "Message accepted", "0")
    };
    lines.segment("MSA", &[code, &head.asked_as, text, "", "", error, ""]);
    lines.segment("ERR", &[error, ""]);
    lines.segment("QAK", &["SR", status, ""]);
}

#[expect(clippy::too_many_arguments, reason = "all that a DSR is made of, once")]
fn display(
    settings: &Hl7v2Settings,
    orders: &OrderSettings,
    head: &Head,
    question: &Question,
    specimen: WorklistSpecimen,
    more: Option<usize>,
    ids: &dyn ControlIds,
    now: OffsetDateTime,
) -> OrderMessage {
    let control_id = ids.next(OrderDialect::MindrayChemistry);
    let kind = Kind {
        message: "DSR^Q03",
        control_id: &control_id,
        local_time: true,
        ..Kind::default()
    };
    let mut lines = head.begin(&kind, now);
    acknowledge(&mut lines, head, false, "OK");
    for segment in &question.echo {
        lines.raw(segment);
    }
    let person = if orders.names {
        Person::of(specimen.patient.as_ref())
    } else {
        Person::default()
    };
    let stat = specimen
        .tests
        .iter()
        .any(|test| matches!(test.priority.as_deref(), Some("stat")));
    let collected = moment(specimen.collected_at.as_ref(), settings.zone(), false);
    let birth = person.birth_to_the_second();
    let name = person.whole_name();
    let sample_kind = orders.specimen_kind(specimen.kind.as_ref().map_or("", |kind| &kind.code));
    for n in 1..=28 {
        let value = match n {
            1 => person.number.as_str(),
            3 => &name,
            4 => &birth,
            5 => person.sex_or_other(),
            21 => &specimen.number,
            23 => &collected,
            24 if stat => "Y",
            24 => "N",
            26 => sample_kind,
            _ => "",
        };
        let value = lines.plain(value);
        lines.segment("DSP", &[&n.to_string(), "", &value, "", "", ""]);
    }
    let mut written = Vec::new();
    let separator = char::from(head.separators.component);
    for (n, code) in codes(&specimen, false).into_iter().enumerate() {
        // number, name, unit, range: the device needs the number only
        let test = format!("{}{separator}{separator}{separator}", lines.plain(code));
        lines.segment("DSP", &[&(29 + n).to_string(), "", &test, "", "", ""]);
    }
    for test in &specimen.tests {
        for code in &test.instrument_codes {
            written.push(OrderLine {
                number: String::new(),
                order: test.order,
                cancel: false,
                code: code.clone(),
            });
        }
    }
    let pointer = more.map(|n| n.to_string()).unwrap_or_default();
    lines.segment("DSC", &[&pointer, ""]);
    OrderMessage {
        content: lines.finish(),
        control_id,
        specimen: Some(specimen),
        lines: written,
    }
}
