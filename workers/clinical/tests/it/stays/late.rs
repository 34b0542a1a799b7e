//! What is told late has a reason (specs/hms-modules.md §0.8).

use schemas::Body as _;
use schemas::house::department_id;
use schemas::stays::{MoveEncounter, OpenEncounter, Payer, Step, VisitClass};
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::super::placing::answer;
use super::super::support::{at, minutes, patient};
use super::{bed, facility, house, refused, request, step};

#[tokio::test]
async fn what_is_told_late_is_told_with_its_reason_and_not_of_the_founder_s_days() {
    let ward = house().await;
    let stay = request(&ward, "1", Payer::Oneself).await;
    // of two stays that were asked for at noon, three days later
    let day = 24 * 60;
    let now = 3 * day;
    let admit = |back: i64, late_reason: Option<&str>| MoveEncounter {
        at: Some(minutes(now - back).format(&Rfc3339).unwrap()),
        late_reason: late_reason.map(str::to_owned),
        ..step(
            stay,
            Step::Admit {
                bed_id: bed(&ward, "A", "1"),
            },
        )
    };
    for (back, reason) in [
        (day + 1, None),
        (day + 1, Some("  ")),
        (4_000 * day, Some("carried over")),
    ] {
        let refusal = refused(&ward.apply_one(at(now, &admit(back, reason))).await);
        assert_eq!(refusal.0, "adt.time_late", "{back} {reason:?}");
    }
    let founder = MoveEncounter {
        at: Some("0001-01-01T00:00:00Z".into()),
        ..admit(0, Some("carried over"))
    };
    let refusal = refused(&ward.apply_one(at(now, &founder)).await);
    assert_eq!(refusal.0, "clinical.time");
    let told = ward
        .apply_one(at(now, &admit(day + 1, Some("the network was down"))))
        .await;
    assert_eq!(answer(&told)["stage"], "admitted");
    let mut tx = ward.tx().await;
    let kept: Option<String> = sqlx::query_scalar(
        "select detail ->> 'late_reason' from audit.entries where action = $1 and object = $2",
    )
    .bind(MoveEncounter::NAME)
    .bind(format!("encounter:{stay}"))
    .fetch_one(tx.conn())
    .await
    .unwrap();
    assert_eq!(kept.as_deref(), Some("the network was down"));
    drop(tx);
    // within the day nobody is asked why
    let other = request(&ward, "2", Payer::Oneself).await;
    let in_time = MoveEncounter {
        encounter_id: other,
        step: Step::Admit {
            bed_id: bed(&ward, "A", "2"),
        },
        ..admit(day - 1, None)
    };
    assert_eq!(
        answer(&ward.apply_one(at(now, &in_time)).await)["stage"],
        "admitted"
    );
    // a visit and a request for admission likewise
    let visit = OpenEncounter {
        encounter_id: Uuid::now_v7(),
        subject: patient("3"),
        visit_number: None,
        department_id: department_id(&ward.tenant, facility(&ward), "MED"),
        class: VisitClass::Outpatient,
        practitioner: None,
        reason: None,
        payer: None,
        at: Some(minutes(now - 2 * day).format(&Rfc3339).unwrap()),
        late_reason: None,
        actor: "desk".into(),
    };
    assert_eq!(
        refused(&ward.apply_one(at(now, &visit)).await).0,
        "adt.time_late"
    );
}
