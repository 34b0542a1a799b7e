//! Who has a bed, and until when (IP3, IP5, IP6).

use hub_core::Verdict;
use schemas::house::{BedState, SetBedState};
use schemas::stays::{Gate, Payer, Step};
use time::OffsetDateTime;
use uuid::Uuid;
use worker_clinical::queries;

use super::super::support::{at, minutes, said};
use super::{
    admitted, bed, clear, go, goes, has, home, house, leave, refused, request, seen, state, step,
};

#[tokio::test]
async fn ip3_a_bed_is_the_patients_until_he_has_physically_left() {
    let ward = house().await;
    let bed_id = bed(&ward, "A", "1");
    let stay = admitted(&ward, 1, "1", bed_id).await;
    assert_eq!(goes(&ward, 10, stay, home()).await, "discharge_initiated");
    assert_eq!(state(&ward, bed_id).await, "occupied");
    // going home needs all gates
    let (code, detail) = refused(&go(&ward, 11, stay, leave(None)).await);
    assert_eq!(code, "adt.gates_conflict");
    for part in [
        "clinical, pharmacy, billing",
        "from: discharge_initiated",
        "allowed: ",
    ] {
        assert!(detail.contains(part), "{detail}");
    }
    assert!(!detail.contains("tpa"), "he pays himself: {detail}");
    assert_eq!(
        goes(&ward, 12, stay, clear(Gate::Clinical)).await,
        "discharge_initiated"
    );
    assert_eq!(
        goes(&ward, 13, stay, clear(Gate::Pharmacy)).await,
        "discharge_initiated"
    );
    assert_eq!(
        refused(&go(&ward, 13, stay, clear(Gate::Pharmacy)).await).0,
        "adt.gate_closed"
    );
    let verdict = go(&ward, 14, stay, clear(Gate::Billing)).await;
    assert_eq!(
        said(&verdict),
        [
            "clinical.encounter.changed",
            "adt.encounter.staged",
            "adt.discharge.gate_cleared"
        ]
    );
    assert_eq!(seen(&ward, stay).await.stage.as_deref(), Some("cleared"));
    assert_eq!(
        state(&ward, bed_id).await,
        "occupied",
        "cleared is not gone"
    );
    let other = request(&ward, "2", Payer::Oneself).await;
    assert_eq!(
        refused(&go(&ward, 15, other, Step::Admit { bed_id }).await).0,
        "adt.bed_conflict"
    );
    let verdict = go(&ward, 20, stay, leave(None)).await;
    for name in [
        "adt.patient.left",
        "adt.bed.state_changed",
        "adt.bed.assigned",
    ] {
        assert!(said(&verdict).contains(&name), "{name}");
    }
    assert_eq!(state(&ward, bed_id).await, "cleaning");
    let row = seen(&ward, stay).await;
    assert_eq!(
        (row.status.as_str(), row.disposition.as_deref()),
        ("finished", Some("home"))
    );
    assert_eq!(row.ended_at, Some(minutes(20)));
    // not ready for the next before housekeeping says so
    assert_eq!(
        refused(&go(&ward, 21, other, Step::Admit { bed_id }).await).0,
        "adt.bed_conflict"
    );
    let clean = SetBedState {
        bed_id,
        to: BedState::Vacant,
        reason: None,
        version: None,
        actor: "housekeeping".into(),
    };
    ward.apply_one(at(22, &clean)).await;
    assert_eq!(
        goes(&ward, 23, other, Step::Admit { bed_id }).await,
        "admitted"
    );
    assert_eq!(goes(&ward, 24, stay, Step::Close).await, "closed");
}

#[tokio::test]
async fn ip5_of_two_who_want_one_bed_at_once_one_is_refused() {
    let ward = house().await;
    let bed_id = bed(&ward, "A", "1");
    let one = request(&ward, "1", Payer::Oneself).await;
    let two = request(&ward, "2", Payer::Oneself).await;
    // in two transactions that do not see each other
    let (mut first, mut second) = (ward.tx().await, ward.tx().await);
    use hub_core::Worker as _;
    let batch = [at(5, &step(one, Step::Admit { bed_id }))];
    let verdict = ward.worker.apply(&mut first, &batch).await.unwrap();
    assert!(matches!(verdict[0], Verdict::Applied { .. }));
    let batch = [at(5, &step(two, Step::Admit { bed_id }))];
    let (verdict, ()) = tokio::join!(ward.worker.apply(&mut second, &batch), async {
        // the second waits for the first: there is nothing to see of it before
        tokio::task::yield_now().await;
        first.commit().await.unwrap();
    });
    let (code, detail) = refused(&verdict.unwrap()[0]);
    second.commit().await.unwrap();
    assert_eq!(code, "adt.bed_conflict");
    for part in ["from: occupied", "to: occupied", "allowed: "] {
        assert!(detail.contains(part), "{detail}");
    }
    assert_eq!(has(&ward, "A", bed_id).await, Some(one));
    // what was refused left no trace
    let row = seen(&ward, two).await;
    assert_eq!((row.stage.as_deref(), row.version), (Some("requested"), 1));
    let mut tx = ward.tx().await;
    assert!(
        queries::stays_in_beds(tx.conn(), two, None)
            .await
            .unwrap()
            .is_empty()
    );
    drop(tx);
    // and in one batch
    let three = request(&ward, "3", Payer::Oneself).await;
    let bed_id = bed(&ward, "A", "2");
    let verdicts = ward
        .apply(&[
            at(6, &step(two, Step::Admit { bed_id })),
            at(6, &step(three, Step::Admit { bed_id })),
        ])
        .await;
    assert!(matches!(verdicts[0], Verdict::Applied { .. }));
    assert_eq!(refused(&verdicts[1]).0, "adt.bed_conflict");
}

#[tokio::test]
async fn ip6_transfers_of_a_day_leave_neither_gap_nor_overlap() {
    let ward = house().await;
    let beds = [("A", "1"), ("ICU", "1"), ("A", "2")].map(|(of, code)| bed(&ward, of, code));
    let stay = admitted(&ward, 0, "1", beds[0]).await;
    for (minute, bed_id) in [(60, beds[1]), (120, beds[2])] {
        let to = Step::Transfer {
            bed_id,
            reason: None,
        };
        assert_eq!(goes(&ward, minute, stay, to).await, "admitted");
    }
    let rows: Vec<(Uuid, OffsetDateTime, Option<OffsetDateTime>)> = {
        let mut tx = ward.tx().await;
        sqlx::query_as(
            "select bed_id, lower(period), upper(period) from clinical.bed_assignments where not void order by 2",
        )
        .fetch_all(tx.conn())
        .await
        .unwrap()
    };
    assert_eq!(
        rows,
        [
            (beds[0], minutes(0), Some(minutes(60))),
            (beds[1], minutes(60), Some(minutes(120))),
            (beds[2], minutes(120), None),
        ]
    );
    assert_eq!(state(&ward, beds[0]).await, "cleaning");
    assert_eq!(state(&ward, beds[2]).await, "occupied");
    let back = |bed_id| Step::Transfer {
        bed_id,
        reason: None,
    };
    assert_eq!(
        refused(&go(&ward, 130, stay, back(beds[2])).await).0,
        "adt.bed_same"
    );
    // nothing is put before what was said last
    assert_eq!(
        refused(&go(&ward, 110, stay, back(bed(&ward, "ICU", "2"))).await).0,
        "adt.time_conflict"
    );
}

#[tokio::test]
async fn a_bed_is_kept_for_one_patient_and_let_go() {
    let ward = house().await;
    let (first, second) = (bed(&ward, "A", "1"), bed(&ward, "A", "2"));
    let one = request(&ward, "1", Payer::Oneself).await;
    let two = request(&ward, "2", Payer::Oneself).await;
    let keep = |bed_id| Step::Reserve { bed_id };
    assert_eq!(goes(&ward, 1, one, keep(first)).await, "bed_reserved");
    assert_eq!(state(&ward, first).await, "reserved");
    assert_eq!(
        refused(&go(&ward, 2, two, keep(first)).await).0,
        "adt.bed_conflict"
    );
    let (code, detail) = refused(&go(&ward, 2, two, Step::Admit { bed_id: first }).await);
    assert_eq!(code, "adt.bed_conflict");
    assert!(detail.contains("from: reserved"), "{detail}");
    // another one instead
    assert_eq!(goes(&ward, 3, one, keep(second)).await, "bed_reserved");
    assert_eq!(state(&ward, first).await, "vacant");
    assert_eq!(goes(&ward, 4, one, Step::Release).await, "requested");
    assert_eq!(state(&ward, second).await, "vacant");
    goes(&ward, 5, one, keep(second)).await;
    assert_eq!(
        goes(&ward, 6, one, Step::Admit { bed_id: second }).await,
        "admitted"
    );
    assert_eq!(state(&ward, second).await, "occupied");
    goes(&ward, 7, two, keep(first)).await;
    let cancel = Step::Cancel {
        reason: "went elsewhere".into(),
    };
    assert_eq!(goes(&ward, 8, two, cancel).await, "cancelled");
    assert_eq!(state(&ward, first).await, "vacant");
}
