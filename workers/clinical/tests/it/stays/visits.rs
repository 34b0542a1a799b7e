//! One stay of a patient at a time, and visits of out-patients from token to done.

use schemas::house::department_id;
use schemas::stays::{MoveEncounter, OpenEncounter, Payer, Step, VisitClass};
use uuid::Uuid;
use worker_clinical::queries;

use super::super::placing::answer;
use super::super::support::{at, key, patient};
use super::{admitted, bed, facility, go, goes, house, refused, request, seen, step};

#[tokio::test]
async fn a_patient_is_admitted_once_by_whichever_of_his_numbers() {
    let ward = house().await;
    let first = admitted(&ward, 1, "1", bed(&ward, "A", "1")).await;
    let admit = Step::Admit {
        bed_id: bed(&ward, "A", "2"),
    };
    let again = request(&ward, "1", Payer::Oneself).await;
    let (code, detail) = refused(&go(&ward, 2, again, admit.clone()).await);
    assert_eq!(code, "adt.already_admitted");
    assert!(detail.contains(&first.to_string()), "{detail}");
    // by another number of the same person
    let other = request(&ward, "1-OLD", Payer::Oneself).await;
    let command = MoveEncounter {
        family: vec![key("1").0, key("1-OLD").0],
        ..step(other, admit)
    };
    assert_eq!(
        refused(&ward.apply_one(at(3, &command)).await).0,
        "adt.already_admitted"
    );
}

#[tokio::test]
async fn out_patients_have_tokens_of_their_department_and_go_from_token_to_done() {
    let ward = house().await;
    let open = |who: &str| OpenEncounter {
        encounter_id: Uuid::now_v7(),
        subject: patient(who),
        visit_number: None,
        department_id: department_id(&ward.tenant, facility(&ward), "MED"),
        class: VisitClass::Outpatient,
        practitioner: None,
        reason: None,
        payer: None,
        at: None,
        late_reason: None,
        actor: "desk".into(),
    };
    let commands: Vec<OpenEncounter> = ["1", "2", "3"].map(open).into();
    let batch: Vec<_> = commands.iter().map(|command| at(0, command)).collect();
    let tokens: Vec<i64> = ward
        .apply(&batch)
        .await
        .iter()
        .map(|verdict| answer(verdict)["token"].as_i64().unwrap())
        .collect();
    assert_eq!(tokens, [1, 2, 3]);
    let [one, two, three] = [0, 1, 2].map(|n| commands[n].encounter_id);
    assert_eq!(goes(&ward, 1, one, Step::Call).await, "called");
    assert_eq!(
        goes(&ward, 2, one, Step::StartConsultation).await,
        "in_consult"
    );
    assert_eq!(goes(&ward, 3, one, Step::Finish).await, "done");
    assert_eq!(seen(&ward, one).await.status, "finished");
    assert_eq!(goes(&ward, 3, two, Step::NoShow).await, "no_show");
    assert_eq!(seen(&ward, two).await.status, "cancelled");
    assert_eq!(goes(&ward, 4, two, Step::Requeue).await, "token");
    assert_eq!(seen(&ward, two).await.status, "in_progress");
    let (code, detail) = refused(&go(&ward, 5, three, Step::Finish).await);
    assert_eq!(code, "adt.stage_conflict");
    assert!(
        detail
            .contains("from: token; to: done; allowed: call, start_consultation, no_show, cancel"),
        "{detail}"
    );
    let mut tx = ward.tx().await;
    let day = time::macros::date!(2026 - 03 - 01);
    let department = department_id(&ward.tenant, facility(&ward), "MED");
    let queue = queries::queue(tx.conn(), department, Some(day), 1, 10)
        .await
        .unwrap();
    assert_eq!(
        queue.iter().map(|row| row.token).collect::<Vec<_>>(),
        [Some(2), Some(3)]
    );
}
