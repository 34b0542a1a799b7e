//! Gates before a discharge, and who needs none (IP4).

use schemas::Patch;
use schemas::care::OrderControl;
use schemas::stays::{ChangeEncounter, Disposition, Gate, MoveEncounter, Payer, Step};
use time::format_description::well_known::Rfc3339;
use worker_clinical::queries;

use super::super::placing::answer;
use super::super::support::{at, minutes, order};
use super::{
    admitted, bed, clear, go, goes, home, house, leave, refused, request, seen, state, step,
};

#[tokio::test]
async fn ip4_open_orders_stand_before_the_clinical_gate_and_cancelled_ones_do_not() {
    let ward = house().await;
    let stay = admitted(&ward, 1, "1", bed(&ward, "A", "1")).await;
    let mut open = order(OrderControl::New, "O1");
    open.visit_number = seen(&ward, stay).await.visit_number;
    let mut cancelled = open.clone();
    cancelled.placer_number = Some("O2".into());
    let mut of_an_older_visit = open.clone();
    of_an_older_visit.placer_number = Some("O3".into());
    of_an_older_visit.visit_number = Some("V-OLD".into());
    ward.apply(&[at(2, &open), at(2, &cancelled), at(2, &of_an_older_visit)])
        .await;
    cancelled.control = OrderControl::Cancelled;
    ward.apply_one(at(3, &cancelled)).await;
    goes(&ward, 4, stay, home()).await;
    let mut tx = ward.tx().await;
    let before = queries::blocking(tx.conn(), stay).await.unwrap();
    drop(tx);
    assert_eq!(before.len(), 1, "{before:?}");
    let (code, detail) = refused(&go(&ward, 5, stay, clear(Gate::Clinical)).await);
    assert_eq!(code, "adt.gate_conflict");
    assert!(
        detail.contains(&format!("/api/v1/orders/{}", before[0].order_id)),
        "{detail}"
    );
    // with a reason on record it is the doctor's to say
    let despite = Step::ClearGate {
        gate: Gate::Clinical,
        note: None,
        despite: Some("result follows by post".into()),
    };
    goes(&ward, 6, stay, despite).await;
    assert_eq!(
        ward.count(
            "select count(*) from audit.entries where action = 'adt.encounter.move' and detail::text like '%by post%'"
        )
        .await,
        1
    );
}

#[tokio::test]
async fn who_dies_or_goes_against_advice_leaves_his_bed_and_the_gates_behind() {
    let ward = house().await;
    let bed_id = bed(&ward, "A", "1");
    let stay = admitted(&ward, 1, "1", bed_id).await;
    assert_eq!(
        refused(&go(&ward, 2, stay, leave(None)).await).0,
        "adt.stage_conflict"
    );
    assert_eq!(
        refused(&go(&ward, 2, stay, leave(Some(Disposition::Death))).await).0,
        "adt.cause_of_death"
    );
    let dead = Step::Leave {
        disposition: Some(Disposition::Death),
        cause_of_death: Some("septic shock".into()),
        form: Some("MCCD-1".into()),
        note: None,
    };
    assert_eq!(goes(&ward, 3, stay, dead).await, "left");
    assert_eq!(state(&ward, bed_id).await, "cleaning");
    let row = seen(&ward, stay).await;
    assert_eq!(row.disposition.as_deref(), Some("death"));
    assert_eq!(row.ending.unwrap()["form"], "MCCD-1");
    let (code, detail) = refused(&go(&ward, 4, stay, Step::Close).await);
    assert_eq!(code, "adt.gates_conflict");
    assert!(detail.contains("clinical, pharmacy, billing"), "{detail}");
    for gate in [Gate::Clinical, Gate::Pharmacy, Gate::Billing] {
        assert_eq!(goes(&ward, 5, stay, clear(gate)).await, "left");
    }
    assert_eq!(goes(&ward, 6, stay, Step::Close).await, "closed");
}

#[tokio::test]
async fn an_insurer_has_a_gate_and_what_was_seen_must_stand() {
    let ward = house().await;
    let stay = request(&ward, "1", Payer::Insurer).await;
    let admit = Step::Admit {
        bed_id: bed(&ward, "A", "1"),
    };
    let stale = MoveEncounter {
        version: Some(7),
        ..step(stay, admit.clone())
    };
    assert_eq!(
        refused(&ward.apply_one(at(1, &stale)).await).0,
        "adt.encounter_stale"
    );
    goes(&ward, 1, stay, admit).await;
    let change = ChangeEncounter {
        encounter_id: stay,
        attending: Patch::Keep,
        service: Patch::Set("CAR".into()),
        reason: Patch::Keep,
        payer: Patch::Keep,
        expected_at: Patch::Set(minutes(600).format(&Rfc3339).unwrap()),
        medico_legal: Some(true),
        version: Some(2),
        actor: "desk".into(),
    };
    let verdict = ward.apply_one(at(2, &change)).await;
    assert_eq!(answer(&verdict)["version"], 3);
    let row = seen(&ward, stay).await;
    assert_eq!(row.service.as_deref(), Some("CAR"));
    assert_eq!(
        (row.expected_at, row.medico_legal),
        (Some(minutes(600)), Some(true))
    );
    assert_eq!(row.stage.as_deref(), Some("admitted"));
    goes(&ward, 3, stay, home()).await;
    let mut tx = ward.tx().await;
    let gates = queries::gates(tx.conn(), stay).await.unwrap();
    assert_eq!(
        gates
            .iter()
            .map(|gate| (gate.gate.as_str(), gate.state.as_str()))
            .collect::<Vec<_>>(),
        [
            ("clinical", "open"),
            ("pharmacy", "open"),
            ("billing", "open"),
            ("tpa", "open")
        ]
    );
    drop(tx);
    // taken back, he stays as he was; and the next time all must be cleared anew
    goes(&ward, 4, stay, clear(Gate::Tpa)).await;
    let back = Step::CancelDischarge {
        reason: "fever".into(),
    };
    assert_eq!(goes(&ward, 5, stay, back).await, "admitted");
    goes(&ward, 6, stay, home()).await;
    let open = ward
        .count("select count(*) from clinical.discharge_gates where state = 'open'")
        .await;
    assert_eq!(open, 4);
}
