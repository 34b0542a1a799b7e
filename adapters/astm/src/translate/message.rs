//! One message, H to L: its groups of results, its queries, or why there is nothing in it for anybody.

use hub_core::failure::Refusal;
use schemas::care::ResultReceived;

use super::scope::{Place, Scope, list_unread};
use super::{Output, person, result};
use crate::orders::question;
use crate::records::{Message, Record};

/// H fields that the search keys, the marks and the device use; 4, 8 and 9 are nobody's.
const HEADER_FIELDS: [usize; 8] = [2, 3, 5, 10, 11, 12, 13, 14];

/// The results under one O record.
pub(super) struct Group<'r> {
    pub(super) place: Place<'r>,
    pub(super) notes: Vec<String>,
    pub(super) lines: Vec<Line<'r>>,
}

/// One R record with the comments after it.
pub(super) struct Line<'r> {
    pub(super) record: &'r Record<'r>,
    pub(super) notes: Vec<String>,
}

/// What the next comment belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Order,
    Result,
}

pub(super) fn translate<'r>(
    scope: &Scope<'_>,
    message: &'r Message<'r>,
    output: &mut Output,
) -> Result<(), Refusal> {
    let Some(header) = message.header() else {
        return Ok(());
    };
    header.enter();
    for n in HEADER_FIELDS {
        let _ = header.field(n);
    }
    if output.keys.control_id.is_none() {
        output.keys.control_id = scope.key("H.3", &header.peek(3).component(1).text());
    }
    if message.delimiters.assumed {
        scope.note(
            "H does not define all delimiters; the usual ones stand for the missing".to_owned(),
        );
    }
    let found = groups(scope, message, header);
    if found.queries > 0 {
        output.kind("ASTM Q");
        output.keys.accession = output
            .keys
            .accession
            .take()
            .or_else(|| question::specimens(message).into_iter().next());
        if !question::is_query(message) {
            return Err(Refusal::new(
                "astm.not_a_query",
                "the Q records carry values, which LIS02-A2 does not know: this instrument sends results of its own form; they are kept and not filed",
            ));
        }
        output.asked = true;
    }
    if found.groups.iter().all(|group| group.lines.is_empty()) {
        nothing_measured(scope, &found, output);
        return Ok(());
    }
    output.kind("ASTM R");
    output.translated = true;
    let occurred = scope.moment("H.14", header.peek(14));
    for group in found.groups.iter().filter(|g| !g.lines.is_empty()) {
        let role = result::role(scope, group.place);
        let subject = if role.is_some() {
            // a control is never filed on a person, whatever stands in P
            None
        } else {
            person::subject(scope, group.place, occurred.as_ref(), output)
        };
        let report = result::report(scope, group, subject, role, occurred.as_ref());
        push(scope, &report, occurred.as_ref().map(|m| m.at), output);
    }
    list_unread(message, output);
    Ok(())
}

/// The event of one report.
pub(super) fn push(
    scope: &Scope<'_>,
    report: &ResultReceived,
    occurred: Option<time::OffsetDateTime>,
    output: &mut Output,
) {
    if let Some(number) = report.specimen.as_ref().and_then(|s| s.number.as_deref()) {
        output.keys.about_specimen(number);
    }
    let aggregate = scope.aggregate(report.subject.as_ref(), report.specimen.as_ref());
    output
        .events
        .push(hub_core::Event::new(aggregate, occurred, report));
}

struct Found<'r> {
    groups: Vec<Group<'r>>,
    queries: usize,
    patients: usize,
}

fn groups<'r>(scope: &Scope<'_>, message: &'r Message<'r>, header: &'r Record<'r>) -> Found<'r> {
    let mut found = Found {
        groups: Vec::new(),
        queries: 0,
        patients: 0,
    };
    let mut place = Place {
        header: Some(header),
        ..Place::default()
    };
    let mut last = Last::Nothing;
    for record in message.records().iter().skip(1) {
        match record.letter() {
            'P' => {
                record.enter();
                found.patients += 1;
                place = Place {
                    header: Some(header),
                    patient: Some(record),
                    ..Place::default()
                };
                last = Last::Nothing;
            }
            'O' => {
                record.enter();
                place.order = Some(record);
                found.groups.push(Group {
                    place,
                    notes: Vec::new(),
                    lines: Vec::new(),
                });
                last = Last::Order;
            }
            'R' => {
                record.enter();
                let open = found.groups.last().is_some_and(|g| {
                    same(g.place.patient, place.patient) && same(g.place.order, place.order)
                });
                if !open {
                    scope.note("results stand without an O record".to_owned());
                    found.groups.push(Group {
                        place,
                        notes: Vec::new(),
                        lines: Vec::new(),
                    });
                }
                if let Some(group) = found.groups.last_mut() {
                    group.lines.push(Line {
                        record,
                        notes: Vec::new(),
                    });
                }
                last = Last::Result;
            }
            'C' => comment(scope, record, last, &mut found),
            'Q' => {
                record.enter();
                for n in 3..=13 {
                    let _ = record.field(n);
                }
                found.queries += 1;
                last = Last::Nothing;
            }
            'L' => {
                record.enter();
                let _ = record.field(3);
            }
            // M belongs to the record before it and comments may follow: they are about the curve
            _ => last = Last::Nothing,
        }
    }
    found
}

fn same<'r>(one: Option<&'r Record<'r>>, other: Option<&'r Record<'r>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => std::ptr::eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// C.4 to the notes of the order or the result before it.
fn comment(scope: &Scope<'_>, record: &Record<'_>, last: Last, found: &mut Found<'_>) {
    if last == Last::Nothing {
        return;
    }
    record.enter();
    // C.3 says from whom, C.5 of which kind
    if record.peek(3).raw().trim().len() <= 1 {
        let _ = record.field(3);
    }
    if record.peek(5).raw().trim().len() <= 1 {
        let _ = record.field(5);
    }
    let text = record.field(4).words();
    if text.is_empty() || scope.dialect.silent_comments.contains(&text) {
        return;
    }
    let Some(group) = found.groups.last_mut() else {
        return;
    };
    match (last, group.lines.last_mut()) {
        (Last::Result, Some(line)) => line.notes.push(text),
        _ => group.notes.push(text),
    }
}

fn nothing_measured(scope: &Scope<'_>, found: &Found<'_>, output: &mut Output) {
    if found.queries > 0 {
        return;
    }
    let cancelled = found
        .groups
        .iter()
        .filter_map(|g| g.place.order)
        .filter(|o| o.peek(26).raw().trim() == "X")
        .count();
    if cancelled > 0 {
        scope.note(format!(
            "O.26 is X in {cancelled} O records: the instrument can't do them"
        ));
    }
    if !found.groups.is_empty() {
        output.kind("ASTM O");
        for group in &found.groups {
            if let Some(number) = scope.first_of(group.place, &scope.dialect.specimen) {
                output.keys.about_specimen(&number);
            }
        }
        scope.note("orders without results: nothing to file".to_owned());
    } else if found.patients > 0 {
        output.kind("ASTM P");
        scope.note("a patient without orders and results: nothing to file".to_owned());
    } else {
        output.kind("ASTM H");
        scope.note("header and terminator only: a keep-alive".to_owned());
    }
}
