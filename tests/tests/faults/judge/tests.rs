//! The judge must find what is wrong: a small hospital in which all agrees, and one thing falsified at a time.

use super::super::evidence::{LedgerRow, PatientRow, ReportRow, Shown, VisitRow};
use super::super::message::{Kind, Person};
use super::super::sent::Step;
use super::*;

/// Two patients of six steps each: admitted, a report, an update, two corrections, an update.
fn agreed() -> (Sent, Evidence) {
    let mut sent = Sent::default();
    let mut found = Evidence::default();
    for name in ["A", "B"] {
        let filler = format!("F{name}");
        let kinds = [
            Kind::Admit,
            Kind::Result {
                filler: filler.clone(),
                large: false,
            },
            Kind::Update,
            Kind::Correction {
                filler: filler.clone(),
            },
            Kind::Correction {
                filler: filler.clone(),
            },
            Kind::Update,
        ];
        let mut steps = Vec::new();
        for (number, kind) in (1..).zip(kinds) {
            let control_id = format!("{name}{number}");
            let place = (found.raw.len() as u64 + 1, 0);
            let raw_id = Uuid::new_v5(&Uuid::NAMESPACE_OID, control_id.as_bytes());
            let event = Uuid::new_v5(&raw_id, &0_u32.to_be_bytes());
            found.raw.insert(place, Some(control_id.clone()));
            found.ledger.push(LedgerRow {
                place,
                raw_id,
                control_id: control_id.clone(),
                outcome: "translated".into(),
                received_at: 0,
            });
            found.events.insert(event, "patient");
            found.inbox.insert(("patient".into(), event), 0);
            if kind.is_adt() {
                found.audited.push(event);
            }
            steps.push(Step {
                number,
                control_id,
                kind,
                attempts: 1,
                acknowledged: true,
            });
        }
        let person = Person {
            mrn: format!("M{name}"),
            visit: format!("V{name}"),
        };
        found.patients.insert(
            person.mrn.clone(),
            vec![PatientRow {
                version: 3,
                address: address_line(6),
            }],
        );
        let beds = [(1, "completed"), (3, "completed"), (6, "active")];
        found.visits.insert(
            person.visit.clone(),
            vec![VisitRow {
                version: 3,
                bed: 6,
                beds: beds.map(|(bed, state)| (bed, state.into())).to_vec(),
            }],
        );
        found.reports.insert(
            filler.clone(),
            vec![ReportRow {
                id: Uuid::from_u128(1),
                version: 3,
                current: 12,
                items: 12,
                values: vec![(2, false), (4, false), (5, true)],
            }],
        );
        found.shown.insert(
            person.mrn.clone(),
            Shown {
                addresses: vec![address_line(6)],
                beds: vec![6],
                values: vec![(filler, 5)],
            },
        );
        sent.patients.push(Patient { person, steps });
    }
    found.raw_last = found.raw.len() as u64;
    found.checkpoint = found.raw_last;
    found.left_over.push(("dead letters", 0));
    (sent, found)
}

fn report(found: &mut Evidence) -> &mut ReportRow {
    &mut found.reports.get_mut("FA").unwrap()[0]
}

fn visit(found: &mut Evidence) -> &mut VisitRow {
    &mut found.visits.get_mut("VA").unwrap()[0]
}

fn patient(found: &mut Evidence) -> &mut PatientRow {
    &mut found.patients.get_mut("MA").unwrap()[0]
}

#[test]
fn nothing_is_found_where_all_agrees() {
    let (sent, found) = agreed();
    let findings = judge(&sent, &found);
    assert!(findings.is_empty(), "{findings}");
}

#[test]
fn a_message_that_arrived_twice_and_had_one_effect_is_no_finding() {
    let (sent, mut found) = agreed();
    let place = (found.raw_last + 1, 3);
    found.raw.insert(place, Some("A3".into()));
    let mut again = found.ledger[2].clone();
    again.place = place;
    again.outcome = "duplicate".into();
    found.ledger.push(again);
    found.raw_last += 1;
    found.checkpoint += 1;
    let findings = judge(&sent, &found);
    assert!(findings.is_empty(), "{findings}");
}

#[test]
fn every_falsification_is_found_under_its_rule() {
    type Act = fn(&mut Sent, &mut Evidence);
    let acts: [(&str, Act); 31] = [
        ("every message is acknowledged", |sent, _| {
            sent.patients[0].steps[2].acknowledged = false;
        }),
        (
            "every acknowledged message arrived, and has one first arrival",
            |_, found| {
                found.ledger.remove(3);
            },
        ),
        ("ledger equals RAW", |_, found| {
            found.ledger.remove(3);
        }),
        ("ledger equals RAW", |_, found| {
            let twice = found.ledger[3].clone();
            found.ledger.push(twice);
        }),
        ("ledger equals RAW", |_, found| {
            found.raw.remove(&(1, 0));
        }),
        ("ledger equals RAW", |_, found| {
            found.raw.insert((1, 0), Some("other".into()));
        }),
        ("every arrival is translated", |_, found| {
            found.ledger[0].outcome = "dead".into();
        }),
        (
            "every acknowledged message arrived, and has one first arrival",
            |_, found| found.ledger[0].outcome = "duplicate".into(),
        ),
        ("checkpoint is RAW's newest", |_, found| {
            found.checkpoint -= 1;
        }),
        ("every event is in the inbox", |_, found| {
            let one = found.inbox.keys().next().unwrap().clone();
            found.inbox.remove(&one);
        }),
        ("inbox is unique", |_, found| found.inbox_repeats = 1),
        ("one record a patient", |_, found| {
            found.patients.remove("MA");
        }),
        ("one record a patient", |_, found| {
            let twice = patient(found).clone();
            found.patients.get_mut("MA").unwrap().push(twice);
        }),
        ("each ADT changed the patient once", |_, found| {
            patient(found).version += 1;
        }),
        ("the last ADT stands", |_, found| {
            patient(found).address = address_line(3);
        }),
        ("one encounter a visit", |_, found| {
            found.visits.remove("VB");
        }),
        ("each ADT changed the encounter once", |_, found| {
            visit(found).version -= 1;
        }),
        ("one bed a step, in order", |_, found| {
            visit(found).beds.swap(0, 1);
        }),
        ("one bed a step, in order", |_, found| {
            visit(found).beds.remove(1);
        }),
        ("one bed a step, in order", |_, found| {
            let twice = visit(found).beds[1].clone();
            visit(found).beds.insert(1, twice);
        }),
        ("the last ADT stands", |_, found| visit(found).bed = 3),
        ("one report a filler number", |_, found| {
            found.reports.remove("FA");
        }),
        ("one report a filler number", |_, found| {
            let twice = report(found).clone();
            found.reports.get_mut("FA").unwrap().push(twice);
        }),
        ("twelve current results a report", |_, found| {
            report(found).current = 11;
        }),
        ("twelve current results a report", |_, found| {
            report(found).items = 13;
        }),
        ("each correction once, in order", |_, found| {
            report(found).values.swap(0, 1);
        }),
        ("the last correction stands", |_, found| {
            report(found).values[2].1 = false;
        }),
        ("audit names each change once, in order", |_, found| {
            found.audited.swap(0, 1);
        }),
        ("REST shows the same", |_, found| {
            found.shown.get_mut("MA").unwrap().values.clear();
        }),
        ("nothing that nobody sent", |_, found| {
            found.reports.insert("strange".into(), Vec::new());
        }),
        ("nothing is left over", |_, found| found.left_over[0].1 = 1),
    ];
    for (rule, act) in acts {
        let (mut sent, mut found) = agreed();
        act(&mut sent, &mut found);
        let rules = judge(&sent, &found).rules();
        assert!(rules.contains(&rule), "{rule}: found {rules:?}");
    }
}

#[test]
fn reports_that_were_filed_out_of_order_are_found() {
    let (mut sent, mut found) = agreed();
    let mut second = report(&mut found).clone();
    second.id = Uuid::from_u128(0);
    second.values = vec![(7, true)];
    second.version = 1;
    found.reports.insert("F2".into(), vec![second]);
    sent.patients[0].steps.push(Step {
        number: 7,
        control_id: "A7".into(),
        kind: Kind::Result {
            filler: "F2".into(),
            large: false,
        },
        attempts: 1,
        acknowledged: true,
    });
    assert!(
        judge(&sent, &found)
            .rules()
            .contains(&"reports are filed in order")
    );
}

#[test]
fn a_broken_audit_chain_is_found() {
    let (sent, mut found) = agreed();
    found.chain_faults = 1;
    assert_eq!(judge(&sent, &found).rules(), ["audit chain"]);
}
