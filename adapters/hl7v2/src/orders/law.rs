//! IHE LAW: RSP^K11^RSP_K11 in answer to LAB-27, OML^O33^OML_O33 for LAB-28.
//!
//! One OML a specimen: what an analyzer refuses must not hold up the others. OBR-2 is the identifier of the work order step:
//! the order's number and the code, which is the same however often it is asked for, and different for each step. The
//! translator takes the code off again when OBR-2 comes back with results.

use schemas::worklist::{
    SpecimenStanding, TestAction, WorklistAnswer, WorklistSpecimen, WorklistTest,
};
use time::OffsetDateTime;

use super::head::{Head, Kind, Lines, harmless};
use super::patient::{Person, moment};
use super::{Asks, ControlIds, Occasion, OrderLine, OrderMessage, Question, Reply};
use crate::settings::{Hl7v2Settings, NothingFound, OrderDialect, OrderSettings, TubeField};

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
    if question.asks == Asks::Withdraw {
        let kind = Kind {
            message: "ACK^J01^ACK",
            control_id: &ids.next(OrderDialect::Law),
            profile: Some(["LAB-27", "IHE"]),
            ..Kind::default()
        };
        let mut lines = head.begin(&kind, now);
        lines.segment("MSA", &["AA", &head.asked_as]);
        return Reply {
            content: lines.finish(),
            ..Reply::default()
        };
    }
    let found = worklist
        .specimens
        .iter()
        .any(|specimen| specimen.standing == SpecimenStanding::Pending);
    let (code, status, error) = match (occasion, question.asks) {
        (_, Asks::Other(_)) => ("AR", "AR", Some("103^Table value not found^HL70357")),
        (Occasion::Failed(_), _) => ("AE", "AE", Some("207^Application internal error^HL70357")),
        _ if found || orders.nothing_found == NothingFound::Ok => ("AA", "OK", None),
        _ => ("AA", "NF", None),
    };
    let kind = Kind {
        message: "RSP^K11^RSP_K11",
        control_id: &ids.next(OrderDialect::Law),
        profile: Some(["LAB-27", "IHE"]),
        ..Kind::default()
    };
    let mut lines = head.begin(&kind, now);
    let said = match question.asks {
        Asks::Other(what) => what,
        _ if error.is_some() => "The worklist can't be read now; ask again",
        _ => "",
    };
    if error.is_some() {
        let said = lines.plain(said);
        lines.segment("MSA", &[code, &head.asked_as, &said]);
    } else {
        lines.segment("MSA", &[code, &head.asked_as]);
    }
    if let Some(error) = error {
        let error = error.split('^').collect::<Vec<_>>();
        let (error, said) = (lines.parts(&error), lines.plain(said));
        lines.segment("ERR", &["", "", &error, "E", "", "", "", &said]);
    }
    let tag = lines.plain(&question.tag);
    let name = query_name(&head, question);
    lines.segment("QAK", &[&tag, status, &name]);
    for segment in &question.echo {
        lines.raw(segment);
    }
    let content = lines.finish();
    if error.is_some() {
        return Reply {
            content,
            ..Reply::default()
        };
    }
    let mut follow: Vec<OrderMessage> = worklist
        .specimens
        .iter()
        .map(|specimen| message(settings, orders, &head, specimen, ids, now))
        .collect();
    if follow.is_empty() {
        follow.push(nothing(&head, None, ids, now));
    }
    Reply {
        content,
        inside: Vec::new(),
        follow,
    }
}

/// LAB-28 that nobody asked for.
pub(super) fn unasked(
    settings: &Hl7v2Settings,
    orders: &OrderSettings,
    specimen: &WorklistSpecimen,
    ids: &dyn ControlIds,
    now: OffsetDateTime,
) -> OrderMessage {
    let head = Head::unasked(settings, orders);
    let now = now.to_offset(settings.zone());
    message(settings, orders, &head, specimen, ids, now)
}

/// QPD-1 as it was sent.
fn query_name(head: &Head, question: &Question) -> String {
    let name = question
        .echo
        .first()
        .and_then(|qpd| qpd.split(char::from(head.separators.field)).nth(1))
        .unwrap_or_default();
    harmless(name)
}

fn begin<'h>(head: &'h Head, control_id: &str, now: OffsetDateTime) -> Lines<'h> {
    let kind = Kind {
        message: "OML^O33^OML_O33",
        control_id,
        acknowledge: ["NE", "AL"],
        profile: Some(["LAB-28", "IHE"]),
        ..Kind::default()
    };
    head.begin(&kind, now)
}

fn message(
    settings: &Hl7v2Settings,
    orders: &OrderSettings,
    head: &Head,
    specimen: &WorklistSpecimen,
    ids: &dyn ControlIds,
    now: OffsetDateTime,
) -> OrderMessage {
    let named = specimen
        .tests
        .iter()
        .any(|test| !test.instrument_codes.is_empty());
    if specimen.standing != SpecimenStanding::Pending || !named {
        return nothing(head, Some(&specimen.number), ids, now);
    }
    let control_id = ids.next(OrderDialect::Law);
    let mut lines = begin(head, &control_id, now);
    if orders.names && specimen.patient.is_some() {
        let person = Person::of(specimen.patient.as_ref());
        let number = lines.parts(&[&person.number, "", "", "", "MR"]);
        let name = lines.parts(&[
            &person.family,
            &person.given,
            &person.middle,
            "",
            "",
            "",
            "L",
        ]);
        lines.segment(
            "PID",
            &["1", "", &number, "", &name, "", &person.birth, person.sex()],
        );
    }
    let in_field = |field: TubeField| {
        if orders.specimen_fields.contains(&field) {
            specimen.number.as_str()
        } else {
            ""
        }
    };
    let (in_spm, in_sac) = (
        lines.plain(in_field(TubeField::Spm2)),
        lines.plain(in_field(TubeField::Sac3)),
    );
    let kind = match &specimen.kind {
        Some(kind) => {
            let word = orders.specimen_kind(&kind.code);
            let system = if word == kind.code { "HL70487" } else { "" };
            lines.parts(&[word, kind.text.as_deref().unwrap_or_default(), system])
        }
        None => "\"\"".to_owned(),
    };
    let role = lines.parts(&["P", "", "HL70369"]);
    let collected = moment(specimen.collected_at.as_ref(), settings.zone(), true);
    let mut spm = vec!["1", &in_spm, "", &kind, "", "", "", "", "", "", &role];
    if !collected.is_empty() {
        spm.extend(["", "", "", "", "", &collected]);
    }
    lines.segment("SPM", &spm);
    if !in_sac.is_empty() {
        lines.segment("SAC", &["", "", &in_sac]);
    }
    let mut written = Vec::new();
    let mut known = std::collections::BTreeSet::new();
    for test in &specimen.tests {
        for code in &test.instrument_codes {
            let line = line(test, code);
            // the same test ordered twice under one number is one step
            if known.insert((line.number.clone(), line.cancel)) {
                order(orders, &mut lines, test, &line, now);
            }
            written.push(line);
        }
    }
    OrderMessage {
        content: lines.finish(),
        control_id,
        specimen: Some(specimen.clone()),
        lines: written,
    }
}

/// ORC, TQ1 and OBR of one step.
fn order(
    orders: &OrderSettings,
    lines: &mut Lines<'_>,
    test: &WorklistTest,
    line: &OrderLine,
    now: OffsetDateTime,
) {
    let time = crate::dtm::format(now);
    let control = if line.cancel { "CA" } else { "NW" };
    lines.segment("ORC", &[control, "", "", "", "", "", "", "", &time]);
    if !line.cancel {
        let priority = match test.priority.as_deref() {
            Some("stat") => "S",
            Some("asap" | "urgent") => "A",
            _ => "R",
        };
        let priority = lines.parts(&[priority, "", "HL70485"]);
        lines.segment("TQ1", &["", "", "", "", "", "", "", "", &priority]);
    }
    let (number, service) = (
        lines.plain(&line.number),
        lines.parts(&[
            &line.code,
            if orders.code_system.is_empty() {
                ""
            } else {
                test.code.text.as_deref().unwrap_or_default()
            },
            &orders.code_system,
        ]),
    );
    lines.segment("OBR", &["", &number, "", &service]);
}

/// SPM-11 U and ORC-1 DC: nothing is to be done with this tube (or with any).
fn nothing(
    head: &Head,
    number: Option<&str>,
    ids: &dyn ControlIds,
    now: OffsetDateTime,
) -> OrderMessage {
    let control_id = ids.next(OrderDialect::Law);
    let mut lines = begin(head, &control_id, now);
    let role = lines.parts(&["U", "", "HL70369"]);
    lines.segment("SPM", &["1", "", "", "\"\"", "", "", "", "", "", "", &role]);
    if let Some(number) = number {
        let number = lines.plain(number);
        lines.segment("SAC", &["", "", &number]);
    }
    let time = crate::dtm::format(now);
    lines.segment("ORC", &["DC", "", "", "", "", "", "", "", &time]);
    OrderMessage {
        content: lines.finish(),
        control_id,
        specimen: None,
        lines: Vec::new(),
    }
}

fn line(test: &WorklistTest, code: &str) -> OrderLine {
    let order = test
        .placer_number
        .as_deref()
        .or(test.filler_number.as_deref())
        .map_or_else(|| test.order.simple().to_string(), str::to_owned);
    OrderLine {
        number: step(&order, code),
        order: test.order,
        cancel: test.action == TestAction::Cancel,
        code: code.to_owned(),
    }
}

/// The identifier of a work order step.
fn step(order: &str, code: &str) -> String {
    format!("{order}/{code}")
}

/// The order's number in the identifier of a step that was made here.
pub(crate) fn order_of_step<'s>(number: &'s str, code: &str) -> Option<&'s str> {
    number.strip_suffix(code)?.strip_suffix('/')
}
