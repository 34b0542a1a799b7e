//! The way of a specimen: labelled, collected, received, rejected; what becomes of its orders, and of what is measured of it. Changes of
//! orders are here too: what may change hangs on the specimen.

use hub_core::{Envelope, Verdict};
use schemas::care::{Code, OrderControl, Specimen};
use schemas::commands::ChangeOrder;
use schemas::sending::{OrderSent, SendingAnswer, SendingOccasion, SentOrder};
use schemas::specimens::{AccessionSpecimen, MoveSpecimen, RejectReason, SpecimenStep};
use schemas::worklist::TestAction;
use schemas::{ChannelId, Patch};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use worker_clinical::queries::{
    self, KeptSpecimen, OrderRow, PendingTest, SpecimenFilter, SpecimenState, Versions,
};

use super::placing::{answer, place, tube};
use super::support::{Ward, at, code, key, minutes, number, order, patient, report, said};
use super::verification::{FREE, glucose, lab, measured, pack, rows, states};

mod doubted;

const GLUCOSE: &str = "2345-7";

async fn placed(ward: &Ward, number: &str) -> Uuid {
    let verdict = ward
        .apply_one(at(0, &place(patient("1"), GLUCOSE, number)))
        .await;
    answer(&verdict)["order_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

async fn found(ward: &Ward, filter: SpecimenFilter) -> Vec<KeptSpecimen> {
    let mut tx = ward.tx().await;
    let filter = SpecimenFilter {
        limit: 100,
        ..filter
    };
    queries::specimens_found(tx.conn(), &filter).await.unwrap()
}

async fn kept(ward: &Ward, number: &str) -> KeptSpecimen {
    let filter = SpecimenFilter {
        number: Some(number.to_owned()),
        ..SpecimenFilter::default()
    };
    found(ward, filter).await.remove(0)
}

async fn stands(ward: &Ward, order: Uuid) -> OrderRow {
    let mut tx = ward.tx().await;
    queries::order(tx.conn(), order).await.unwrap().unwrap()
}

fn moved(specimen: Uuid, step: SpecimenStep) -> MoveSpecimen {
    MoveSpecimen {
        specimen_id: specimen,
        step,
        at: None,
        late_reason: None,
        version: None,
        actor: "lab".into(),
    }
}

fn collect() -> SpecimenStep {
    SpecimenStep::Collect {
        collector: Some("m.das".into()),
    }
}

fn reject(recollect: bool) -> SpecimenStep {
    SpecimenStep::Reject {
        reason: RejectReason::Haemolysed,
        text: Some("plasma red".into()),
        recollect,
    }
}

async fn rejected(ward: &Ward, number: &str, recollect: bool) -> Verdict {
    let specimen = kept(ward, number).await.specimen.id;
    ward.apply_one(at(30, &moved(specimen, reject(recollect))))
        .await
}

fn labelled(minute: i64, number: &str, orders: &[Uuid]) -> Envelope {
    at(
        minute,
        &AccessionSpecimen {
            number: number.into(),
            kind: None,
            body_site: None,
            container: None,
            orders: orders.to_vec(),
            actor: "nurse".into(),
        },
    )
}

fn refused(verdict: &Verdict) -> (&'static str, &str) {
    match verdict {
        Verdict::Refused(refusal) => (refusal.code, &refusal.detail),
        other => panic!("{other:?}"),
    }
}

async fn pending(ward: &Ward, number: &str) -> Vec<PendingTest> {
    let mut tx = ward.tx().await;
    queries::pending_on(tx.conn(), "lab", &[number.to_owned()])
        .await
        .unwrap()
}

async fn untold(ward: &Ward) -> Vec<String> {
    let mut tx = ward.tx().await;
    queries::oldest_untold(tx.conn(), "lab", None, 10, OffsetDateTime::UNIX_EPOCH)
        .await
        .unwrap()
}

/// The instrument took it, so long from now.
fn told(order: Uuid, action: TestAction, from_now: Duration) -> Envelope {
    let when = OffsetDateTime::now_utc() + from_now;
    at(
        40,
        &OrderSent {
            channel: ChannelId::new("lab").unwrap(),
            specimen: "S1".into(),
            occasion: SendingOccasion::Download,
            control_id: None,
            at: when.format(&Rfc3339).unwrap(),
            orders: vec![SentOrder {
                order,
                action,
                answer: SendingAnswer::Accepted,
                reason: None,
            }],
        },
    )
}

#[tokio::test]
async fn a_specimen_is_collected_and_received_and_each_step_says_who_and_when() {
    let ward = Ward::new().await;
    placed(&ward, "S1").await;
    let specimen = kept(&ward, "S1").await.specimen;
    assert_eq!(
        (specimen.state.as_str(), specimen.version),
        ("accessioned", 1)
    );
    let verdict = ward.apply_one(at(1, &moved(specimen.id, collect()))).await;
    assert_eq!(said(&verdict), ["lis.specimen.collected"]);
    assert_eq!(answer(&verdict)["state"], "collected");
    let specimen = kept(&ward, "S1").await.specimen;
    assert_eq!(specimen.collected_by.as_deref(), Some("m.das"));
    assert_eq!(specimen.collected_at, Some(minutes(1)));
    assert_eq!(
        (specimen.state.as_str(), specimen.version),
        ("collected", 2)
    );

    let again = ward.apply_one(at(2, &moved(specimen.id, collect()))).await;
    let (code, detail) = refused(&again);
    assert_eq!(code, "clinical.specimen_conflict");
    assert!(detail.contains("receive, reject"), "{detail}");
    let receive = |change: fn(&mut MoveSpecimen)| {
        let mut command = moved(specimen.id, SpecimenStep::Receive);
        change(&mut command);
        at(60, &command)
    };
    for (command, code) in [
        (
            receive(|command| command.version = Some(1)),
            "clinical.specimen_stale",
        ),
        (
            receive(|command| command.at = Some("2026-03-01T13:30:00Z".into())),
            "clinical.time_ahead",
        ),
        (
            receive(|command| command.at = Some("2026-02-27T12:00:00Z".into())),
            "clinical.time_late",
        ),
        (
            receive(|command| command.at = Some("2026-03-01T11:30:00Z".into())),
            "clinical.specimen_time",
        ),
        (
            receive(|command| command.specimen_id = Uuid::nil()),
            "clinical.specimen_unknown",
        ),
    ] {
        let verdict = ward.apply_one(command).await;
        assert_eq!(refused(&verdict).0, code);
    }
    let verdict = ward
        .apply_one(receive(|command| command.version = Some(2)))
        .await;
    assert_eq!(said(&verdict), ["lis.specimen.received"]);
    let specimen = kept(&ward, "S1").await.specimen;
    assert_eq!(specimen.received_by.as_deref(), Some("lab"));
    assert_eq!(specimen.state, "received");
    assert_eq!(
        ward.count("select count(*) from audit.entries where action = 'lis.specimen.move'")
            .await,
        2
    );
}

#[tokio::test]
async fn what_a_hospital_system_says_of_a_tube_is_where_it_stands() {
    let ward = Ward::new().await;
    let mut reported = order(OrderControl::New, "P1");
    reported.specimens = vec![tube("S1")];
    reported.specimens[0].collected_at = Some("2026-03-01T11:00:00Z".into());
    ward.apply_one(at(0, &reported)).await;
    assert_eq!(kept(&ward, "S1").await.specimen.state, "collected");
    reported.specimens[0].received_at = Some("2026-03-01T11:30:00Z".into());
    ward.apply_one(at(1, &reported)).await;
    let specimen = kept(&ward, "S1").await.specimen;
    assert_eq!((specimen.state.as_str(), specimen.version), ("received", 2));
    for (state, count) in [
        (SpecimenState::Accessioned, 0),
        (SpecimenState::Collected, 0),
        (SpecimenState::Received, 1),
        (SpecimenState::Rejected, 0),
    ] {
        let filter = SpecimenFilter {
            state: Some(state),
            awaited: true,
            subjects: Some(vec![key("1").0]),
            ..SpecimenFilter::default()
        };
        assert_eq!(found(&ward, filter).await.len(), count, "{state:?}");
    }
}

#[tokio::test]
async fn a_rejected_tube_gives_its_order_back_and_another_tube_takes_its_place() {
    let ward = Ward::new().await;
    let order = placed(&ward, "S1").await;
    ward.apply_one(told(order, TestAction::Perform, -Duration::HOUR))
        .await;
    assert!(untold(&ward).await.is_empty());

    let verdict = rejected(&ward, "S1", true).await;
    assert_eq!(
        said(&verdict),
        ["clinical.order.changed", "lis.specimen.rejected"]
    );
    assert_eq!(answer(&verdict)["orders"], serde_json::json!([order]));
    assert_eq!(answer(&verdict)["reports_out"], 0);
    assert!(answer(&verdict)["task_id"].is_string());
    let row = stands(&ward, order).await;
    assert_eq!(row.status, "active");
    assert_eq!(row.held.as_deref(), Some("specimen_rejected"));
    let tests = pending(&ward, "S1").await;
    assert!(tests.len() == 1 && tests[0].cancelled, "{tests:?}");
    assert_eq!(untold(&ward).await, ["S1"], "it is to be taken back");

    // nothing puts orders on it again
    let again = ward
        .apply_one(at(31, &place(patient("1"), "2951-2", "S1")))
        .await;
    assert_eq!(refused(&again).0, "clinical.specimen_rejected_conflict");
    let again = ward.apply_one(labelled(31, "S1", &[order])).await;
    assert_eq!(refused(&again).0, "clinical.specimen_rejected_conflict");
    let mut reported = super::support::order(OrderControl::New, "P7");
    reported.specimens = vec![tube("S1")];
    ward.apply_one(at(32, &reported)).await;
    let open = "select count(*) from clinical.order_tubes where state = 'open'";
    assert_eq!(ward.count(open).await, 0);
    let held = "select count(*) from clinical.orders where held = 'specimen_rejected'";
    assert_eq!(ward.count(held).await, 2);

    let reported = ward
        .text("select id::text from clinical.orders where placer_number = 'P7'")
        .await;
    let both = [order, reported.parse().unwrap()];
    let verdict = ward.apply_one(labelled(33, "S2", &both)).await;
    assert_eq!(answer(&verdict)["created"], true);
    assert_eq!(
        said(&verdict),
        [
            "lis.specimen.accessioned",
            "clinical.order.changed",
            "clinical.order.changed"
        ]
    );
    assert_eq!(stands(&ward, order).await.held, None);
    assert_eq!(
        ward.text("select state || ' ' || outcome from clinical.tasks where kind = 'recollection'")
            .await,
        "done another tube: S2"
    );
    assert_eq!(untold(&ward).await, ["S1", "S2"]);
    ward.apply_one(told(order, TestAction::Cancel, Duration::HOUR))
        .await;
    ward.apply_one(told(order, TestAction::Perform, Duration::hours(2)))
        .await;
    let told_all = pending(&ward, "S1").await;
    assert!(
        told_all
            .iter()
            .all(|test| !test.is_untold(OffsetDateTime::UNIX_EPOCH)),
        "{told_all:?}"
    );
    let test = &pending(&ward, "S2").await[0];
    assert!(!test.cancelled && test.performed.is_some(), "{test:?}");

    let mut result = measured(40, vec![glucose("104")]);
    result.specimen = Some(tube("S2"));
    ward.apply_one(at(50, &result)).await;
    assert_eq!(stands(&ward, order).await.status, "completed");
}

#[tokio::test]
async fn an_order_that_is_not_to_be_collected_again_is_revoked_with_its_tube() {
    let ward = Ward::new().await;
    let order = placed(&ward, "S1").await;
    let verdict = rejected(&ward, "S1", false).await;
    assert!(answer(&verdict)["task_id"].is_null());
    let row = stands(&ward, order).await;
    assert_eq!((row.status.as_str(), row.held), ("revoked", None));
    assert_eq!(ward.count("select count(*) from clinical.tasks").await, 0);
    let again = ward.apply_one(labelled(40, "S2", &[order])).await;
    assert_eq!(refused(&again).0, "clinical.order_closed");
}

#[tokio::test]
async fn other_needs_words_and_the_orders_of_a_tube_are_one_patient_s() {
    let ward = Ward::new().await;
    let order = placed(&ward, "S1").await;
    let specimen = kept(&ward, "S1").await.specimen.id;
    let step = SpecimenStep::Reject {
        reason: RejectReason::Other,
        text: Some("  ".into()),
        recollect: true,
    };
    let verdict = ward.apply_one(at(1, &moved(specimen, step))).await;
    assert_eq!(refused(&verdict).0, "clinical.specimen_reason");
    assert_eq!(kept(&ward, "S1").await.specimen.state, "accessioned");

    let other = ward
        .apply_one(at(2, &place(patient("2"), GLUCOSE, "S9")))
        .await;
    let other: Uuid = answer(&other)["order_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    for (command, code) in [
        (
            labelled(3, "S3", &[order, other]),
            "clinical.specimen_patients",
        ),
        (labelled(3, "S9", &[order]), "clinical.specimen_in_use"),
        (labelled(3, "S3", &[Uuid::nil()]), "clinical.order_unknown"),
        (labelled(3, "S3", &[]), "clinical.specimen_incomplete"),
    ] {
        assert_eq!(refused(&ward.apply_one(command).await).0, code);
    }
    // one more tube for the same order, and the same once more
    let more = ward.apply_one(labelled(4, "S3", &[order])).await;
    assert_eq!(answer(&more)["created"], true);
    let again = ward.apply_one(labelled(5, "S3", &[order])).await;
    assert_eq!(answer(&again)["created"], false);
    // what has another tube waits for none
    let verdict = rejected(&ward, "S1", true).await;
    assert_eq!(answer(&verdict)["orders"], serde_json::json!([]));
    assert_eq!(stands(&ward, order).await.held, None);
}

#[tokio::test]
async fn what_is_measured_of_a_rejected_tube_is_filed_and_waits_for_a_person() {
    // of a channel whose results need no verification
    let ward = Ward::new().await;
    let order = placed(&ward, "T1").await;
    rejected(&ward, "T1", true).await;
    let mut result = measured(35, vec![glucose("104")]);
    result.subject = None;
    ward.apply_one(at(40, &result)).await;
    assert_eq!(
        ward.current().await,
        ["GLU=104 F"],
        "on the patient's chart"
    );
    assert_eq!(states(&ward).await, ["104 needs_review specimen"]);
    let row = rows(&ward).await.remove(0);
    assert!(row.blocked);
    assert_eq!(
        row.result.reason.as_deref(),
        Some("the specimen was rejected: haemolysed (plasma red)")
    );
    assert!(!ward.results(Versions::Current).await[0].released);
    assert_eq!(stands(&ward, order).await.status, "active");
}

#[tokio::test]
async fn what_was_measured_before_and_is_not_out_yet_waits_again() {
    let ward = lab(pack(&format!("{FREE}\nrelease = \"report\""), "")).await;
    let results = vec![glucose("104"), number("XYZ", "5", "F")];
    ward.apply_one(at(20, &measured(10, results))).await;
    assert_eq!(
        states(&ward).await,
        ["104 verified -", "5 needs_review meaning"]
    );
    let verdict = rejected(&ward, "T1", true).await;
    assert_eq!(answer(&verdict)["reports_out"], 0);
    assert_eq!(
        states(&ward).await,
        ["104 needs_review specimen", "5 needs_review specimen"]
    );
}

fn change(order: Uuid, make: fn(&mut ChangeOrder)) -> Envelope {
    let mut command = ChangeOrder {
        order_id: order,
        priority: Patch::Keep,
        notes: Patch::Keep,
        ordered_at: Patch::Keep,
        ordered_by: Patch::Keep,
        version: None,
        actor: "dr.rao".into(),
    };
    make(&mut command);
    at(5, &command)
}

#[tokio::test]
async fn an_order_may_change_until_its_specimen_is_collected_and_its_priority_after_that() {
    let ward = Ward::new().await;
    let order = placed(&ward, "S1").await;
    let both = |command: &mut ChangeOrder| {
        command.priority = Patch::Set("urgent".into());
        command.notes = Patch::Set(vec!["fasting".into(), "since midnight".into()]);
    };
    let verdict = ward.apply_one(change(order, both)).await;
    assert_eq!(said(&verdict), ["clinical.order.changed"]);
    assert_eq!(answer(&verdict)["version"], 2);
    let row = stands(&ward, order).await;
    assert_eq!(row.priority.as_deref(), Some("urgent"));
    assert_eq!(row.notes.as_deref(), Some("fasting\nsince midnight"));
    // the same again is no news
    let verdict = ward.apply_one(change(order, both)).await;
    assert_eq!(answer(&verdict)["version"], 2);

    let specimen = kept(&ward, "S1").await.specimen.id;
    ward.apply_one(at(6, &moved(specimen, collect()))).await;
    let verdict = ward
        .apply_one(change(order, |command| command.notes = Patch::Clear))
        .await;
    assert_eq!(refused(&verdict).0, "clinical.order_collected_conflict");
    let verdict = ward
        .apply_one(change(order, |command| {
            command.priority = Patch::Set("stat".into());
            command.version = Some(2);
        }))
        .await;
    assert_eq!(answer(&verdict)["version"], 3);
    let verdict = ward
        .apply_one(change(order, |command| command.version = Some(2)))
        .await;
    assert_eq!(refused(&verdict).0, "clinical.order_stale");
    rejected(&ward, "S1", false).await;
    let verdict = ward
        .apply_one(change(order, |command| command.priority = Patch::Clear))
        .await;
    assert_eq!(refused(&verdict).0, "clinical.order_closed");
}

/// A source system ordered it on tube S1, which was rejected.
async fn waiting(ward: &Ward, placer: &str) -> Uuid {
    let mut reported = order(OrderControl::New, placer);
    reported.specimens = vec![tube("S1")];
    ward.apply_one(at(0, &reported)).await;
    let mut tx = ward.tx().await;
    sqlx::query_scalar("select id from clinical.orders where placer_number = $1")
        .bind(placer)
        .fetch_one(tx.conn())
        .await
        .unwrap()
}

async fn recollection(ward: &Ward) -> String {
    let task = "select concat_ws(' ', state, outcome, done_by) from clinical.tasks where kind = 'recollection'";
    ward.text(task).await
}

async fn carried(ward: &Ward, number: &str) -> String {
    let mut tx = ward.tx().await;
    sqlx::query_scalar("select state from clinical.order_tubes where number = $1")
        .bind(number)
        .fetch_one(tx.conn())
        .await
        .unwrap()
}

#[tokio::test]
async fn another_tube_that_an_order_message_names_ends_the_task_to_collect_it() {
    let ward = Ward::new().await;
    let orders = [waiting(&ward, "P1").await, waiting(&ward, "P2").await];
    rejected(&ward, "S1", true).await;
    assert_eq!(recollection(&ward).await, "open");
    let named = |placer: &str, number: &str| {
        let mut reported = order(OrderControl::New, placer);
        reported.specimens = vec![tube(number)];
        reported
    };
    // what was said before is no other tube
    ward.apply_one(at(40, &named("P1", "S1"))).await;
    assert_eq!(
        stands(&ward, orders[0]).await.held.as_deref(),
        Some("specimen_rejected")
    );
    assert_eq!(recollection(&ward).await, "open");

    ward.apply_one(at(41, &named("P1", "S2"))).await;
    assert_eq!(stands(&ward, orders[0]).await.held, None);
    assert_eq!(recollection(&ward).await, "open", "one still waits");
    let verdict = ward.apply_one(at(42, &named("P2", "S3"))).await;
    assert_eq!(said(&verdict), ["clinical.order.changed"]);
    assert_eq!(stands(&ward, orders[1]).await.held, None);
    assert_eq!(carried(&ward, "S3").await, "open");
    assert_eq!(
        recollection(&ward).await,
        "done another tube: S3 /channel/demo/his"
    );
}

#[tokio::test]
async fn another_tube_that_a_result_names_ends_the_task_to_collect_it() {
    let result = |status: &str, number_of_tube: &str| {
        let mut result = report(status, vec![number("GLU", "5", status)]);
        result.placer_number = Some("P1".into());
        result.filler_number = None;
        result.specimen = Some(tube(number_of_tube));
        result
    };
    let done = "done another tube: S2 /channel/demo/his";
    for first in ["P", "F"] {
        let ward = Ward::new().await;
        let order = waiting(&ward, "P1").await;
        rejected(&ward, "S1", true).await;
        // measured of the rejected one: the order goes on waiting
        ward.apply_one(at(40, &result("F", "S1"))).await;
        assert_eq!(recollection(&ward).await, "open");
        assert_eq!(
            stands(&ward, order).await.held.as_deref(),
            Some("specimen_rejected")
        );

        let mut second = result(first, "S2");
        second.observed_at = Some("2026-03-01T12:50:00Z".into());
        ward.apply_one(at(50, &second)).await;
        assert_eq!(recollection(&ward).await, done, "{first}");
        let row = stands(&ward, order).await;
        assert_eq!(row.held, None);
        if first == "P" {
            assert_eq!(row.status, "active");
            assert_eq!(carried(&ward, "S2").await, "open");
            second.status = Some("F".into());
            second.results[0].status = Some("F".into());
            ward.apply_one(at(55, &second)).await;
        }
        assert_eq!(stands(&ward, order).await.status, "completed");
        assert_eq!(carried(&ward, "S2").await, "done");
        let tubes = "select count(*) from clinical.order_specimens";
        assert_eq!(ward.count(tubes).await, 2, "both are its specimens");
    }
}

/// A tube as a laboratory reports that it can't use it.
fn unusable(number: &str, reason: &str, text: Option<&str>) -> Specimen {
    Specimen {
        rejected_for: vec![Code {
            text: text.map(str::to_owned),
            ..code(reason)
        }],
        ..tube(number)
    }
}

#[tokio::test]
async fn a_rejection_that_an_order_message_reports_does_what_one_over_rest_does() {
    let ward = Ward::new().await;
    let order_id = waiting(&ward, "P1").await;
    let mut reported = order(OrderControl::Status, "P1");
    reported.specimens = vec![unusable("S1", "RH", Some("plasma red"))];
    let verdict = ward.apply_one(at(30, &reported)).await;
    assert_eq!(
        said(&verdict),
        ["clinical.order.changed", "lis.specimen.rejected"]
    );
    let specimen = kept(&ward, "S1").await.specimen;
    assert_eq!(
        (
            specimen.state.as_str(),
            specimen.reject_reason.as_deref(),
            specimen.reject_text.as_deref(),
            specimen.rejected_by.as_deref(),
            specimen.rejected_at,
        ),
        (
            "rejected",
            Some("haemolysed"),
            Some("plasma red"),
            Some("/channel/demo/his"),
            Some(minutes(30)),
        )
    );
    let row = stands(&ward, order_id).await;
    assert_eq!(row.status, "active");
    assert_eq!(row.held.as_deref(), Some("specimen_rejected"));
    assert_eq!(recollection(&ward).await, "open");
    assert_eq!(carried(&ward, "S1").await, "off");

    // the same again, and another reason for what was rejected
    for reason in ["RH", "RB"] {
        reported.specimens = vec![unusable("S1", reason, None)];
        let verdict = ward.apply_one(at(31, &reported)).await;
        assert!(matches!(verdict, Verdict::Unchanged), "{verdict:?}");
    }
    let trail = "select count(*) from audit.entries where action = 'lis.specimen.move' and actor = '/channel/demo/his'";
    assert_eq!(ward.count(trail).await, 1);
    let reason = kept(&ward, "S1").await.specimen.reject_reason;
    assert_eq!(reason.as_deref(), Some("haemolysed"));

    // one message takes the first away and brings the second
    reported.specimens = vec![unusable("S1", "RH", None), tube("S2")];
    ward.apply_one(at(32, &reported)).await;
    assert_eq!(stands(&ward, order_id).await.held, None);
    assert_eq!(
        recollection(&ward).await,
        "done another tube: S2 /channel/demo/his"
    );
}

#[tokio::test]
async fn a_laboratory_that_names_no_patient_rejects_the_tube_of_the_order() {
    let ward = Ward::new().await;
    let order_id = waiting(&ward, "P1").await;
    let mut reported = order(OrderControl::Status, "P1");
    reported.subject = None;
    reported.specimens = vec![unusable("S1", "X9", Some("spilt"))];
    ward.apply_one(at(30, &reported)).await;
    let specimen = kept(&ward, "S1").await.specimen;
    assert_eq!(specimen.reject_reason.as_deref(), Some("other"));
    assert_eq!(specimen.reject_text.as_deref(), Some("X9 spilt"));
    assert_eq!(
        stands(&ward, order_id).await.held.as_deref(),
        Some("specimen_rejected")
    );
    assert_eq!(recollection(&ward).await, "open");
}

#[tokio::test]
async fn a_result_that_says_its_tube_was_rejected_is_filed_and_waits_for_a_person() {
    // of a channel whose results need no verification; with a patient and without one
    for named in [true, false] {
        let ward = Ward::new().await;
        let order_id = placed(&ward, "T1").await;
        let mut result = measured(35, vec![glucose("104")]);
        if !named {
            result.subject = None;
        }
        result.specimen = Some(unusable("T1", "X9", Some("spilt")));
        let verdict = ward.apply_one(at(40, &result)).await;
        let names = said(&verdict);
        assert!(names.contains(&"lis.specimen.rejected"), "{names:?}");
        assert_eq!(ward.current().await, ["GLU=104 F"]);
        assert_eq!(states(&ward).await, ["104 needs_review specimen"]);
        let row = rows(&ward).await.remove(0);
        assert!(row.blocked);
        assert_eq!(
            row.result.reason.as_deref(),
            Some("the specimen was rejected: other (X9 spilt)")
        );
        let row = stands(&ward, order_id).await;
        assert_eq!(row.status, "active");
        assert_eq!(row.held.as_deref(), Some("specimen_rejected"));
        assert_eq!(recollection(&ward).await, "open");
    }
}

#[tokio::test]
async fn what_was_measured_before_a_reported_rejection_and_is_not_out_yet_waits_again() {
    let ward = lab(pack(&format!("{FREE}\nrelease = \"report\""), "")).await;
    let results = vec![glucose("104"), number("XYZ", "5", "F")];
    ward.apply_one(at(20, &measured(10, results))).await;
    let mut reported = order(OrderControl::New, "P1");
    reported.specimens = vec![unusable("T1", "RC", None)];
    ward.apply_one(at(30, &reported)).await;
    assert_eq!(
        states(&ward).await,
        ["104 needs_review specimen", "5 needs_review specimen"]
    );
    // ordered on a tube that can't be used: it is collected again
    assert_eq!(recollection(&ward).await, "open");
}

#[tokio::test]
async fn a_tube_that_only_the_laboratory_numbered_is_found_by_that_number() {
    let ward = Ward::new().await;
    let of_filler = Specimen {
        number: None,
        filler_number: Some("L-77".into()),
        ..tube("")
    };
    let mut reported = order(OrderControl::New, "P1");
    reported.specimens = vec![of_filler.clone()];
    ward.apply_one(at(0, &reported)).await;
    let mut result = measured(35, vec![glucose("104")]);
    result.specimen = Some(of_filler);
    ward.apply_one(at(40, &result)).await;
    assert_eq!(kept(&ward, "L-77").await.orders.len(), 1);
    let filter = SpecimenFilter {
        subjects: Some(vec![key("1").0]),
        ..SpecimenFilter::default()
    };
    assert_eq!(found(&ward, filter).await.len(), 1);
    let mut tx = ward.tx().await;
    let by_number = queries::specimens_by_number(tx.conn(), "L-77").await;
    assert_eq!(by_number.unwrap().len(), 1);
    let all = queries::OrderFilter::default();
    let orders =
        queries::orders_for_specimen(tx.conn(), "L-77", &all, queries::Page::first(10)).await;
    assert_eq!(orders.unwrap().len(), 1);

    // few among many are looked up, and not searched for
    sqlx::query("set local enable_seqscan = off")
        .execute(tx.conn())
        .await
        .unwrap();
    let plan: Vec<String> = sqlx::query_scalar(
        "explain select id from clinical.specimens where coalesce(number, filler_number) = 'L-77'",
    )
    .fetch_all(tx.conn())
    .await
    .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("specimens_label"), "{plan}");
}
