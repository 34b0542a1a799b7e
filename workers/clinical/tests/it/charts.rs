//! What staff write into charts: states, versions, who may, and what is never said.

use hub_core::{Envelope, Verdict};
use schemas::care::Code;
use schemas::chart::{
    AddToNote, Allergy, ChangeEntry, Condition, Content, DraftNote, DraftPrescription,
    EndNoAllergies, EntryAction, Note, Prescription, PrescriptionLine, RecordAllergy,
    RecordCondition, SignPrescription, StateNoAllergies,
};
use uuid::Uuid;
use worker_clinical::queries::{
    ChartFilter, ChartRow, chart_entries, chart_history, no_known_allergies,
};

use super::support::{Ward, at, key, patient, said};

fn refused(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Refused(refusal) => refusal.code,
        other => panic!("{other:?}"),
    }
}

fn allergy(substance: &str) -> Allergy {
    Allergy {
        substance: Code {
            text: Some(substance.into()),
            ..Code::default()
        },
        category: "drug".into(),
        reactions: vec!["rash".into()],
        severity: "severe".into(),
        certainty: "confirmed".into(),
        since: Some("1999".into()),
        remark: None,
    }
}

fn record(substance: &str) -> RecordAllergy {
    RecordAllergy {
        entry_id: Uuid::now_v7(),
        subject: patient("1"),
        visit_number: None,
        allergy: allergy(substance),
        actor: "asha".into(),
    }
}

fn none_known(number: &str, keys: &[&str]) -> StateNoAllergies {
    StateNoAllergies {
        statement_id: Uuid::now_v7(),
        subject: patient(number),
        keys: keys.iter().map(|number| key(number).0).collect(),
        actor: "asha".into(),
    }
}

fn change(entry_id: Uuid, action: EntryAction, actor: &str) -> ChangeEntry {
    ChangeEntry {
        entry_id,
        seen: None,
        action,
        content: None,
        reason: None,
        actor: actor.into(),
    }
}

fn because(mut command: ChangeEntry, reason: &str) -> ChangeEntry {
    command.reason = Some(reason.into());
    command
}

fn note(text: &str) -> Note {
    Note {
        note_kind: "progress".into(),
        title: "Ward round".into(),
        text: text.into(),
        signature: None,
        addenda: vec![],
    }
}

async fn drafted(ward: &Ward, text: &str) -> Uuid {
    let id = Uuid::now_v7();
    let draft = DraftNote {
        entry_id: id,
        subject: patient("1"),
        visit_number: Some("V1".into()),
        note: note(text),
        actor: "asha".into(),
    };
    said(&ward.apply_one(at(0, &draft)).await);
    id
}

async fn list(ward: &Ward, kind: &str) -> Vec<ChartRow> {
    let mut tx = ward.tx().await;
    let filter = ChartFilter {
        limit: 100,
        ..ChartFilter::default()
    };
    chart_entries(&mut tx, kind, &[key("1").0, key("2").0], &filter)
        .await
        .unwrap()
}

async fn versions(ward: &Ward, id: Uuid) -> Vec<String> {
    let mut tx = ward.tx().await;
    chart_history(&mut tx, id)
        .await
        .unwrap()
        .into_iter()
        .map(|one| {
            format!(
                "{} {} {} by {}",
                one.version, one.action, one.state, one.actor
            )
        })
        .collect()
}

#[tokio::test]
async fn nobody_asked_none_known_and_an_allergy_are_three_things() {
    let ward = Ward::new().await;
    let standing = async || {
        let mut tx = ward.tx().await;
        no_known_allergies(tx.conn(), &[key("1").0, key("2").0])
            .await
            .unwrap()
            .is_some()
    };
    assert!(!standing().await);
    let verdict = ward.apply_one(at(0, &none_known("1", &["1"]))).await;
    assert_eq!(said(&verdict), ["clinical.allergy.recorded"]);
    assert!(standing().await);
    // asked again, answered the same
    let again = ward.apply_one(at(1, &none_known("1", &["1"]))).await;
    assert!(said(&again).is_empty());
    assert_eq!(
        ward.count("select count(*) from clinical.no_known_allergies")
            .await,
        1
    );

    // an allergy is the newer word
    let penicillin = record("penicillin");
    let verdict = ward.apply_one(at(2, &penicillin)).await;
    assert_eq!(
        said(&verdict),
        ["clinical.allergy.recorded", "clinical.allergy.recorded"]
    );
    assert!(!standing().await);
    // and stands in the way of "none", also under another identifier of the person
    let refusal = ward.apply_one(at(3, &none_known("2", &["1", "2"]))).await;
    assert_eq!(refused(&refusal), "clinical.allergies_conflict");
    // refuted, with a reason, it does not
    let refute = change(penicillin.entry_id, EntryAction::Refute, "ravi");
    assert_eq!(
        refused(&ward.apply_one(at(4, &refute)).await),
        "clinical.reason_needed"
    );
    ward.apply_one(at(5, &because(refute, "tolerated amoxicillin")))
        .await;
    ward.apply_one(at(6, &none_known("2", &["1", "2"]))).await;
    assert!(standing().await);
    let end = EndNoAllergies {
        keys: vec![key("1").0, key("2").0],
        reason: "asked the wrong patient".into(),
        actor: "asha".into(),
    };
    assert_eq!(
        said(&ward.apply_one(at(7, &end)).await),
        ["clinical.allergy.recorded"]
    );
    assert!(!standing().await);
    assert_eq!(
        refused(&ward.apply_one(at(8, &end)).await),
        "clinical.none_known_not_open"
    );
}

#[tokio::test]
async fn a_substance_stands_once_and_no_version_is_lost() {
    let ward = Ward::new().await;
    let first = record("Penicillin");
    ward.apply_one(at(0, &first)).await;
    let twice = ward.apply_one(at(1, &record("penicillin"))).await;
    assert_eq!(refused(&twice), "clinical.allergy_exists");
    ward.apply_one(at(2, &record("peanut"))).await;
    let resolve = because(
        change(first.entry_id, EntryAction::Resolve, "ravi"),
        "desensitised",
    );
    ward.apply_one(at(3, &resolve)).await;
    let second = record("penicillin");
    ward.apply_one(at(4, &second)).await;
    // the first can't come back while the second stands
    let back = change(first.entry_id, EntryAction::Reactivate, "ravi");
    assert_eq!(
        refused(&ward.apply_one(at(5, &back)).await),
        "clinical.allergy_exists"
    );
    let mut edit = change(second.entry_id, EntryAction::Edit, "ravi");
    edit.seen = Some(7);
    edit.content = Some(Content::Allergy(allergy("penicillin V")));
    assert_eq!(
        refused(&ward.apply_one(at(6, &edit)).await),
        "clinical.entry_stale"
    );
    edit.seen = Some(1);
    ward.apply_one(at(7, &edit)).await;
    edit.seen = None;
    edit.content = Some(Content::Note(note("x")));
    assert_eq!(
        refused(&ward.apply_one(at(8, &edit)).await),
        "clinical.entry_kind"
    );
    let error = because(
        change(second.entry_id, EntryAction::Retract, "ravi"),
        "another patient's",
    );
    ward.apply_one(at(9, &error)).await;
    assert_eq!(
        versions(&ward, second.entry_id).await,
        [
            "1 record active by asha",
            "2 edit active by ravi",
            "3 retract entered_in_error by ravi"
        ]
    );
    let refusal = ward.apply_one(at(10, &error)).await;
    let Verdict::Refused(refusal) = refusal else {
        panic!()
    };
    assert_eq!(refusal.code, "clinical.state_conflict");
    assert!(
        refusal.detail.contains("entered_in_error") && refusal.detail.contains("allowed: nothing"),
        "{}",
        refusal.detail
    );
    assert_eq!(list(&ward, "allergy").await.len(), 3);
}

#[tokio::test]
async fn a_problem_is_provisional_confirmed_resolved_and_may_come_back() {
    let ward = Ward::new().await;
    let problem = |code: &str, text: &str| RecordCondition {
        entry_id: Uuid::now_v7(),
        subject: patient("1"),
        visit_number: None,
        condition: Condition {
            code: Some(Code {
                code: code.into(),
                system: Some("I10".into()),
                text: None,
            }),
            text: text.into(),
            since: None,
            until: None,
            remark: None,
            code_check: None,
        },
        confirmed: false,
        actor: "asha".into(),
    };
    assert_eq!(
        refused(&ward.apply_one(at(0, &problem("250.00", "Diabetes"))).await),
        "clinical.icd10_form"
    );
    assert_eq!(
        refused(&ward.apply_one(at(0, &problem("E11.9", " "))).await),
        "clinical.entry_empty"
    );
    let diabetes = problem("E11.9", "Type 2 diabetes");
    let verdict = ward.apply_one(at(1, &diabetes)).await;
    assert_eq!(said(&verdict), ["clinical.condition.recorded"]);
    let id = diabetes.entry_id;
    for (action, state) in [
        (EntryAction::Confirm, "confirmed"),
        (EntryAction::Resolve, "resolved"),
        (EntryAction::Reactivate, "confirmed"),
    ] {
        ward.apply_one(at(2, &change(id, action, "ravi"))).await;
        assert_eq!(list(&ward, "condition").await[0].state, state);
    }
    let again = ward
        .apply_one(at(3, &change(id, EntryAction::Confirm, "ravi")))
        .await;
    assert_eq!(refused(&again), "clinical.state_conflict");
}

/// EM5
#[tokio::test]
async fn a_signed_note_is_not_edited_and_an_addendum_leaves_it_as_it_was_signed() {
    let ward = Ward::new().await;
    let id = drafted(&ward, "Better today.").await;
    let mut edit = change(id, EntryAction::Edit, "ravi");
    edit.content = Some(Content::Note(note("Much better today.")));
    // a draft is its author's
    assert_eq!(
        refused(&ward.apply_one(at(1, &edit)).await),
        "clinical.author_not_allowed"
    );
    edit.actor = "asha".into();
    assert!(said(&ward.apply_one(at(2, &edit)).await).is_empty());
    assert_eq!(
        refused(
            &ward
                .apply_one(at(3, &change(id, EntryAction::Sign, "ravi")))
                .await
        ),
        "clinical.author_not_allowed"
    );
    let signed = ward
        .apply_one(at(4, &change(id, EntryAction::Sign, "asha")))
        .await;
    assert_eq!(said(&signed), ["clinical.note.signed"]);
    let before = list(&ward, "note").await.remove(0);
    assert_eq!(before.state, "signed");
    assert_eq!(
        refused(&ward.apply_one(at(5, &edit)).await),
        "clinical.state_conflict"
    );
    let addendum = AddToNote {
        entry_id: id,
        addendum_id: Uuid::now_v7(),
        text: "Potassium came back normal.".into(),
        actor: "ravi".into(),
    };
    let added = ward.apply_one(at(6, &addendum)).await;
    assert_eq!(said(&added), ["clinical.note.addended"]);
    let after = list(&ward, "note").await.remove(0);
    assert_eq!(after.state, "addended");
    for member in ["title", "text", "note_kind", "signature"] {
        assert_eq!(after.body[member], before.body[member], "{member}");
    }
    assert_eq!(after.body["addenda"][0]["by"], "ravi");
    assert_eq!(
        versions(&ward, id).await,
        [
            "1 record draft by asha",
            "2 edit draft by asha",
            "3 sign signed by asha",
            "4 addend addended by ravi"
        ]
    );
    // events and the audit trail have no word of it
    assert_eq!(
        ward.count("select count(*) from audit.entries where detail::text like '%better%' or object like '%better%'").await,
        0
    );
}

#[tokio::test]
async fn an_addendum_needs_a_signed_note() {
    let ward = Ward::new().await;
    let id = drafted(&ward, "x").await;
    let addendum = |text: &str| AddToNote {
        entry_id: id,
        addendum_id: Uuid::now_v7(),
        text: text.into(),
        actor: "asha".into(),
    };
    assert_eq!(
        refused(&ward.apply_one(at(1, &addendum("more"))).await),
        "clinical.state_conflict"
    );
    ward.apply_one(at(2, &change(id, EntryAction::Sign, "asha")))
        .await;
    assert_eq!(
        refused(&ward.apply_one(at(3, &addendum(" "))).await),
        "clinical.note_empty"
    );
}

fn prescribed(drug: &str) -> DraftPrescription {
    DraftPrescription {
        entry_id: Uuid::now_v7(),
        subject: patient("2"),
        visit_number: None,
        prescription: Prescription {
            lines: vec![PrescriptionLine {
                drug: Code {
                    text: Some(drug.into()),
                    ..Code::default()
                },
                dose: Some("500 mg".into()),
                route: Some("oral".into()),
                frequency: "1-0-1".into(),
                days: Some(5),
                as_needed: false,
                quantity: Some(9_999),
                remark: None,
            }],
            remark: None,
            signature: None,
            checks: vec![],
        },
        actor: "asha".into(),
    }
}

fn sign(entry_id: Uuid) -> SignPrescription {
    SignPrescription {
        entry_id,
        seen: None,
        keys: vec![key("1").0, key("2").0],
        accept_unchecked: false,
        override_reason: None,
        actor: "asha".into(),
    }
}

/// RX2 as far as names go, RX3, RX6.
#[tokio::test]
async fn what_was_not_checked_is_said_and_must_be_accepted() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &record("amoxicillin"))).await;
    let other = prescribed("Paracetamol 500 mg");
    assert!(said(&ward.apply_one(at(1, &other)).await).is_empty());
    let row = list(&ward, "prescription").await.remove(0);
    assert_eq!(row.body["lines"][0]["quantity"], 10, "the worker counts");
    let mut signing = sign(other.entry_id);
    assert_eq!(
        refused(&ward.apply_one(at(2, &signing)).await),
        "rx.unchecked_conflict"
    );
    signing.accept_unchecked = true;
    assert_eq!(
        said(&ward.apply_one(at(3, &signing)).await),
        ["rx.prescription.signed"]
    );
    let row = list(&ward, "prescription").await.remove(0);
    assert_eq!(row.body["checks"][0]["check"], "allergy");
    assert_eq!(row.body["checks"][0]["outcome"], "not_checked");

    // the allergy is under another identifier of the same person
    let same = prescribed("Amoxicillin 500 mg");
    ward.apply_one(at(4, &same)).await;
    let mut signing = sign(same.entry_id);
    signing.accept_unchecked = true;
    assert_eq!(
        refused(&ward.apply_one(at(5, &signing)).await),
        "rx.alert_conflict"
    );
    signing.override_reason = Some("desensitised last year".into());
    ward.apply_one(at(6, &signing)).await;
    let row = list(&ward, "prescription").await.remove(0);
    assert_eq!(row.state, "signed");
    assert_eq!(
        row.body["checks"][0]["overridden"],
        "desensitised last year"
    );
    let dispensed = change(same.entry_id, EntryAction::Dispense, "asha");
    ward.apply_one(at(7, &dispensed)).await;
    let cancel = because(
        change(same.entry_id, EntryAction::Cancel, "asha"),
        "not needed",
    );
    assert_eq!(
        refused(&ward.apply_one(at(8, &cancel)).await),
        "clinical.state_conflict"
    );
    let stop = because(change(same.entry_id, EntryAction::Stop, "asha"), "rash");
    assert_eq!(
        said(&ward.apply_one(at(9, &stop)).await),
        ["rx.prescription.stopped"]
    );
}

#[tokio::test]
async fn a_command_about_nothing_is_refused_and_a_batch_goes_on() {
    let ward = Ward::new().await;
    let good = record("latex");
    let batch: Vec<Envelope> = vec![
        at(0, &change(Uuid::now_v7(), EntryAction::Sign, "asha")),
        at(0, &good),
        at(0, &record("latex")),
    ];
    let verdicts = ward.apply(&batch).await;
    assert_eq!(refused(&verdicts[0]), "clinical.entry_unknown");
    assert_eq!(said(&verdicts[1]), ["clinical.allergy.recorded"]);
    assert_eq!(refused(&verdicts[2]), "clinical.allergy_exists");
}
