//! Rejected tubes whose results, times or names say something else: what is still believed, and who is still told.

use hub_core::Worker as _;
use schemas::care::{Mapped, Observation, OrderControl};
use schemas::commands::CancelOrder;
use schemas::rounds::AmendResult;
use schemas::specimens::SpecimenStep;
use schemas::verification::Decision;
use test_support::event;
use uuid::Uuid;
use worker_clinical::ClinicalWorker;
use worker_clinical::queries::Versions;

use super::super::placing::{answer, place, tube};
use super::super::support::{Ward, at, key, number, order, patient, report, said};
use super::super::verification::{
    FREE, decide, glucose, lab, measured, pack, rows, seen, states, verify,
};
use super::{
    GLUCOSE, carried, kept, labelled, moved, placed, recollection, refused, rejected, stands,
    unusable, waiting,
};

#[tokio::test]
async fn what_went_out_by_itself_of_a_rejected_tube_is_counted_while_its_report_is_open() {
    let ward = lab(pack(FREE, "")).await;
    let results = vec![glucose("104"), number("XYZ", "5", "F")];
    ward.apply_one(at(20, &measured(10, results))).await;
    assert_eq!(
        states(&ward).await,
        ["104 released -", "5 needs_review meaning"]
    );
    let verdict = rejected(&ward, "T1", true).await;
    assert_eq!(answer(&verdict)["reports_out"], 1);
    assert_eq!(
        states(&ward).await,
        ["104 released -", "5 needs_review specimen"]
    );
}

#[tokio::test]
async fn an_order_that_is_done_by_what_nobody_may_act_on_is_collected_again_too() {
    let ward = lab(pack(FREE, "")).await;
    let order = placed(&ward, "T1").await;
    ward.apply_one(at(20, &measured(10, vec![glucose("400")])))
        .await;
    assert_eq!(stands(&ward, order).await.status, "completed");
    let verdict = rejected(&ward, "T1", true).await;
    assert_eq!(answer(&verdict)["orders"], serde_json::json!([order]));
    assert!(answer(&verdict)["task_id"].is_string());
    assert_eq!(answer(&verdict)["reports_out"], 0);
    let row = stands(&ward, order).await;
    assert_eq!(
        (row.status.as_str(), row.held.as_deref()),
        ("active", Some("specimen_rejected"))
    );
    ward.apply_one(labelled(40, "T2", &[order])).await;
    let mut result = measured(45, vec![glucose("104")]);
    result.specimen = Some(tube("T2"));
    ward.apply_one(at(50, &result)).await;
    let row = stands(&ward, order).await;
    assert_eq!((row.status.as_str(), row.held), ("completed", None));

    // what is out has been acted on, and what is not to be collected again stays as it is
    for (value, recollect, out) in [("104", true, 1), ("400", false, 0)] {
        let ward = lab(pack(FREE, "")).await;
        let order = placed(&ward, "T1").await;
        ward.apply_one(at(20, &measured(10, vec![glucose(value)])))
            .await;
        let verdict = rejected(&ward, "T1", recollect).await;
        assert_eq!(answer(&verdict)["orders"], serde_json::json!([]));
        assert_eq!(answer(&verdict)["reports_out"], out);
        assert_eq!(stands(&ward, order).await.status, "completed");
    }
}

#[tokio::test]
async fn a_result_of_a_rejected_tube_is_verified_with_a_reason_whatever_check_its_row_names() {
    // not final when the tube is rejected
    let ward = lab(pack(FREE, "")).await;
    placed(&ward, "T1").await;
    let result = Observation {
        status: Some("P".into()),
        ..glucose("104")
    };
    let mut preliminary = measured(10, vec![result]);
    preliminary.status = Some("P".into());
    ward.apply_one(at(20, &preliminary)).await;
    rejected(&ward, "T1", true).await;
    assert_eq!(states(&ward).await, ["104 received final"]);
    let row = rows(&ward).await.remove(0);
    let verdict = ward.apply_one(verify(&row)).await;
    let (code, detail) = refused(&verdict);
    assert_eq!(code, "clinical.verification_comment");
    assert!(detail.contains("specimen was rejected"), "{detail}");
    let why = Some("measured before it was shaken");
    let with_reason = decide(vec![seen(&row)], Decision::Verify, why, "dr.rao");
    ward.apply_one(with_reason).await;
    assert_eq!(states(&ward).await, ["104 released final"]);

    // refused by a person before the tube was, and looked at once more
    let ward = lab(pack(FREE, "")).await;
    ward.apply_one(at(20, &measured(10, vec![glucose("400")])))
        .await;
    assert_eq!(states(&ward).await, ["400 needs_review range"]);
    let row = rows(&ward).await.remove(0);
    let no = decide(
        vec![seen(&row)],
        Decision::Reject,
        Some("not his"),
        "dr.rao",
    );
    ward.apply_one(no).await;
    rejected(&ward, "T1", true).await;
    let row = rows(&ward).await.remove(0);
    let reopen = decide(vec![seen(&row)], Decision::Reopen, Some("it is"), "dr.rao");
    ward.apply_one(reopen).await;
    let row = rows(&ward).await.remove(0);
    assert_eq!(row.result.verification.as_deref(), Some("needs_review"));
    assert!(!row.blocked);
    let verdict = ward.apply_one(verify(&row)).await;
    assert_eq!(refused(&verdict).0, "clinical.verification_comment");
}

#[tokio::test]
async fn a_result_of_a_rejected_tube_that_names_somebody_else_goes_on_nobody_s_chart() {
    let ward = Ward::new().await;
    placed(&ward, "T1").await;
    rejected(&ward, "T1", true).await;
    let mut result = measured(35, vec![glucose("104")]);
    result.subject = Some(patient("2"));
    ward.apply_one(at(40, &result)).await;
    assert_eq!(
        ward.text("select reason from clinical.unmatched_reports")
            .await,
        "patient_mismatch"
    );
    let charted = "select count(*) from clinical.reports where subject_key is not null";
    assert_eq!(ward.count(charted).await, 0);
    // the number is the other's as soon as his order is on it
    ward.apply_one(at(41, &place(patient("2"), GLUCOSE, "T1")))
        .await;
    let mut result = measured(45, vec![glucose("98")]);
    result.subject = Some(patient("2"));
    ward.apply_one(at(46, &result)).await;
    assert_eq!(ward.count(charted).await, 1);
}

#[tokio::test]
async fn a_tube_is_received_and_rejected_though_another_clock_says_that_it_is_not_collected_yet() {
    let ward = Ward::new().await;
    let mut reported = order(OrderControl::New, "P1");
    reported.specimens = vec![tube("S1")];
    reported.specimens[0].collected_at = Some("2026-03-01T17:30:00Z".into());
    ward.apply_one(at(0, &reported)).await;
    let specimen = kept(&ward, "S1").await.specimen;
    assert_eq!(specimen.state, "collected");
    let mut receive = moved(specimen.id, SpecimenStep::Receive);
    receive.at = Some("2026-03-01T12:00:00Z".into());
    let verdict = ward.apply_one(at(5, &receive)).await;
    assert_eq!(refused(&verdict).0, "clinical.specimen_time");
    receive.at = None;
    let verdict = ward.apply_one(at(5, &receive)).await;
    assert_eq!(answer(&verdict)["state"], "received");
    let verdict = rejected(&ward, "S1", true).await;
    assert_eq!(answer(&verdict)["state"], "rejected");
}

#[tokio::test]
async fn nobody_collects_again_for_orders_that_were_cancelled() {
    let ward = Ward::new().await;
    let first = placed(&ward, "S1").await;
    let second = ward
        .apply_one(at(0, &place(patient("1"), "2951-2", "S1")))
        .await;
    let second: Uuid = answer(&second)["order_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    rejected(&ward, "S1", true).await;
    let task =
        "select state || coalesce(' ' || done_by || ': ' || outcome, '') from clinical.tasks";
    for (order, after) in [
        (first, "open"),
        (second, "done nurse: the order was cancelled"),
    ] {
        let cancel = CancelOrder {
            order_id: order,
            reason: "not needed any more".into(),
            actor: "nurse".into(),
        };
        ward.apply_one(at(35, &cancel)).await;
        assert_eq!(ward.text(task).await, after);
    }
}

#[tokio::test]
async fn nobody_collects_again_for_orders_that_a_source_system_cancelled() {
    let ward = Ward::new().await;
    for placer in ["P1", "P2"] {
        let mut reported = order(OrderControl::New, placer);
        reported.specimens = vec![tube("S1")];
        ward.apply_one(at(0, &reported)).await;
    }
    rejected(&ward, "S1", true).await;
    let task =
        "select state || coalesce(' ' || done_by || ': ' || outcome, '') from clinical.tasks";
    for (placer, after) in [
        ("P1", "open"),
        ("P2", "done /channel/demo/his: the order was cancelled"),
    ] {
        let mut cancelled = order(OrderControl::Status, placer);
        cancelled.status = Some("CA".into());
        cancelled.specimens = vec![tube("S1")];
        ward.apply_one(at(35, &cancelled)).await;
        assert_eq!(ward.text(task).await, after);
    }
}

#[tokio::test]
async fn a_corrected_result_of_the_second_tube_is_a_report_of_its_own() {
    let ward = Ward::new().await;
    let mut reported = order(OrderControl::New, "P1");
    reported.specimens = vec![tube("S1")];
    ward.apply_one(at(0, &reported)).await;
    let result = |status: &str, value: &str, number_of_tube: Option<&str>, minute: u8| {
        let mut result = report(status, vec![number("GLU", value, status)]);
        result.placer_number = Some("P1".into());
        result.filler_number = None;
        result.observed_at = Some(format!("2026-03-01T12:{minute:02}:00Z"));
        result.specimen = number_of_tube.map(tube);
        result
    };
    ward.apply_one(at(20, &result("F", "400", Some("S1"), 10)))
        .await;
    rejected(&ward, "S1", true).await;
    ward.apply_one(at(50, &result("C", "104", Some("S2"), 45)))
        .await;
    assert_eq!(ward.reports().await.len(), 2);
    assert!(states(&ward).await.is_empty(), "nothing of S2 waits");
    let mut current = ward.current().await;
    current.sort_unstable();
    assert_eq!(current, ["GLU=104 C", "GLU=400 F"]);

    // of its own tube, and of one that it does not name, it is found by its number as before
    ward.apply_one(at(51, &result("C", "105", Some("S2"), 46)))
        .await;
    ward.apply_one(at(52, &result("C", "106", None, 47))).await;
    assert_eq!(ward.reports().await.len(), 2);
    let mut current = ward.current().await;
    current.sort_unstable();
    assert_eq!(current, ["GLU=106 C", "GLU=400 F"]);
}

#[tokio::test]
async fn a_new_order_on_a_tube_that_was_rejected_before_asks_for_another() {
    let ward = Ward::new().await;
    placed(&ward, "S1").await;
    rejected(&ward, "S1", false).await;
    let tasks =
        "select count(*) from clinical.tasks where kind = 'recollection' and state = 'open'";
    assert_eq!(ward.count(tasks).await, 0, "nobody was to collect again");
    let mut reported = order(OrderControl::New, "P7");
    reported.specimens = vec![tube("S1")];
    reported.priority = Some("S".into());
    // placed and taken back in one batch: nobody goes
    let mut gone = order(OrderControl::New, "P8");
    gone.specimens = vec![tube("S1")];
    let mut back = order(OrderControl::Cancelled, "P8");
    back.specimens = vec![tube("S1")];
    ward.apply(&[at(40, &gone), at(41, &back)]).await;
    assert_eq!(ward.count(tasks).await, 0);
    ward.apply_one(at(42, &reported)).await;
    assert_eq!(ward.count(tasks).await, 1);
    let rank = "select count(*) from clinical.tasks where rank = 1";
    assert_eq!(ward.count(rank).await, 1, "it is urgent");
    // a repeat asks for no more
    ward.apply_one(at(43, &reported)).await;
    let times = "select times::bigint from clinical.tasks";
    assert_eq!(ward.count(times).await, 1);
}

#[tokio::test]
async fn a_report_of_a_rejected_tube_is_no_later_order_s_answer() {
    for (is_rejected, status) in [(false, "completed"), (true, "active")] {
        let ward = Ward::new().await;
        placed(&ward, "S1").await;
        let mut result = report("F", vec![number("GLU", "400", "F")]);
        result.placer_number = Some("P1".into());
        result.specimen = Some(tube("S1"));
        ward.apply_one(at(20, &result)).await;
        if is_rejected {
            rejected(&ward, "S1", true).await;
        }
        let mut reported = order(OrderControl::New, "P1");
        reported.specimens = vec![tube("S2")];
        ward.apply_one(at(40, &reported)).await;
        let stands = "select status from clinical.orders where placer_number = 'P1'";
        assert_eq!(ward.text(stands).await, status);
    }
}

#[tokio::test]
async fn a_rejection_of_a_tube_that_nobody_ordered_on_waits_for_the_order() {
    // a result without a patient says it
    let ward = Ward::new().await;
    let mut result = measured(35, vec![glucose("104")]);
    result.subject = None;
    result.specimen = Some(unusable("T1", "RH", Some("plasma red")));
    ward.apply_one(event(&result)).await;
    let specimen = kept(&ward, "T1").await.specimen;
    assert_eq!(
        (specimen.state.as_str(), specimen.subject_key),
        ("rejected", None)
    );
    // over REST another tube is asked for
    let refusal = ward
        .apply_one(event(&place(patient("1"), GLUCOSE, "T1")))
        .await;
    assert_eq!(refused(&refusal).0, "clinical.specimen_rejected_conflict");

    let mut reported = order(OrderControl::New, "P1");
    reported.specimens = vec![tube("T1")];
    ward.apply_one(event(&reported)).await;
    assert_eq!(
        ward.text("select held from clinical.orders").await,
        "specimen_rejected"
    );
    assert_eq!(recollection(&ward).await, "open");
    assert_eq!(carried(&ward, "T1").await, "off");
    assert_eq!(states(&ward).await, ["104 needs_review specimen"]);
    let reason = "select reject_reason || ' ' || reject_text from clinical.specimens where subject_key is not null";
    assert_eq!(ward.text(reason).await, "haemolysed plasma red");

    // another patient's tube with the number is another tube
    let other = ward
        .apply_one(event(&place(patient("2"), GLUCOSE, "T1")))
        .await;
    assert!(answer(&other)["order_id"].is_string());
}

#[tokio::test]
async fn a_tube_that_is_nobody_s_is_not_rejected_by_hand() {
    let ward = Ward::new().await;
    let mut result = measured(35, vec![glucose("104")]);
    result.subject = None;
    ward.apply_one(at(40, &result)).await;
    let verdict = rejected(&ward, "T1", true).await;
    assert_eq!(refused(&verdict).0, "clinical.specimen_nobody");
    assert_eq!(kept(&ward, "T1").await.specimen.state, "accessioned");
}

#[tokio::test]
async fn a_critical_value_of_a_rejected_tube_is_called_when_somebody_verifies_it() {
    // with the limits that come with the program
    let ward = Ward {
        worker: ClinicalWorker::default(),
        ..Ward::new().await
    };
    placed(&ward, "T1").await;
    rejected(&ward, "T1", true).await;
    let potassium = Observation {
        unit: Some("mmol/L".into()),
        mapped: Some(Mapped {
            loinc: "2823-3".into(),
            display: None,
            ucum: Some("mmol/L".into()),
            factor: None,
        }),
        ..number("K", "7.9", "F")
    };
    let verdict = ward.apply_one(at(40, &measured(35, vec![potassium]))).await;
    assert_eq!(said(&verdict), ["clinical.report.filed"]);
    let calls = "select count(*) from clinical.criticals";
    assert_eq!(ward.count(calls).await, 0);
    let row = rows(&ward).await.remove(0);
    let reason = row.result.reason.as_deref().unwrap();
    assert!(reason.contains("haemolysed"), "{reason}");
    assert!(reason.contains("critical"), "{reason}");

    let why = Some("the plasma is clear");
    let verdict = ward
        .apply_one(decide(vec![seen(&row)], Decision::Verify, why, "dr.rao"))
        .await;
    let names = said(&verdict);
    assert!(names.contains(&"clinical.critical.raised"), "{names:?}");
    assert_eq!(ward.count(calls).await, 1);
}

#[tokio::test]
async fn what_corrects_a_result_of_a_rejected_tube_waits_on_every_channel() {
    // of a channel whose results need no verification: it was out before the tube was rejected
    let ward = Ward::new().await;
    placed(&ward, "S1").await;
    let mut result = report("F", vec![number("GLU", "400", "F")]);
    result.specimen = Some(tube("S1"));
    ward.apply_one(at(20, &result)).await;
    rejected(&ward, "S1", true).await;
    assert!(states(&ward).await.is_empty());
    let filed = ward.results(Versions::Current).await.remove(0);
    let by_hand = AmendResult {
        report_id: filed.report_id,
        item: filed.item,
        version: 1,
        value: "350".into(),
        reason: "measured again".into(),
        actor: "dr.rao".into(),
    };
    let verdict = ward.apply_one(at(40, &by_hand)).await;
    assert_eq!(answer(&verdict)["to_verify"], true);
    let row = rows(&ward).await;
    let row = row.iter().find(|row| row.result.version == 2).unwrap();
    assert_eq!(row.result.verification.as_deref(), Some("needs_review"));
    assert_eq!(row.result.failed.as_deref(), Some("specimen"));
    assert_eq!(row.makers, ["dr.rao"]);
    assert!(!ward.results(Versions::Current).await[0].released);

    // a message that does not name the tube
    let mut corrected = report("C", vec![number("GLU", "360", "C")]);
    corrected.observed_at = result.observed_at;
    ward.apply_one(at(60, &corrected)).await;
    assert_eq!(ward.current().await, ["GLU=360 C"]);
    let row = rows(&ward).await;
    let row = row.iter().find(|row| row.result.version == 3).unwrap();
    assert_eq!(row.result.verification.as_deref(), Some("needs_review"));
    assert!(!ward.results(Versions::Current).await[0].released);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_a_tube_is_locked_before_its_orders() {
    let ward = Ward::new().await;
    let id = waiting(&ward, "P1").await;
    let mut again = order(OrderControl::Change, "P1");
    again.specimens = vec![tube("S1")];
    for envelope in [labelled(31, "S1", &[id]), at(32, &again)] {
        // as who rejects the tube
        let mut holder = ward.tx().await;
        sqlx::query("select from clinical.tubes where number = 'S1' for update")
            .execute(holder.conn())
            .await
            .unwrap();
        let (database, worker, tenant) = (
            ward.database.clone(),
            ward.worker.clone(),
            ward.tenant.clone(),
        );
        let other = tokio::spawn(async move {
            let mut tx = database.tx(&tenant).await;
            let verdicts = worker.apply(&mut tx, &[envelope]).await.unwrap();
            tx.commit().await.unwrap();
            verdicts
        });
        let waits = "select count(*) from pg_stat_activity \
            where datname = current_database() and wait_event_type = 'Lock'";
        while ward.count(waits).await == 0 {
            assert!(!other.is_finished(), "it did not wait for the number");
            tokio::task::yield_now().await;
        }
        sqlx::query("select from clinical.orders where id = $1 for update nowait")
            .bind(id)
            .execute(holder.conn())
            .await
            .unwrap();
        holder.commit().await.unwrap();
        other.await.unwrap();
    }
}

#[tokio::test]
async fn what_was_done_with_somebody_s_orders_specimens_and_results_is_found_by_him() {
    let ward = lab(pack(FREE, "")).await;
    let order = placed(&ward, "T1").await;
    let specimen = kept(&ward, "T1").await.specimen.id;
    let receive = moved(specimen, SpecimenStep::Receive);
    ward.apply_one(at(5, &receive)).await;
    ward.apply_one(labelled(6, "T2", &[order])).await;
    ward.apply_one(at(20, &measured(10, vec![glucose("400")])))
        .await;
    let row = rows(&ward).await.remove(0);
    ward.apply_one(verify(&row)).await;
    let cancel = CancelOrder {
        order_id: placed(&ward, "T3").await,
        reason: "not needed any more".into(),
        actor: "nurse".into(),
    };
    ward.apply_one(at(35, &cancel)).await;
    let mut tx = ward.tx().await;
    let actions: Vec<String> = sqlx::query_scalar(
        "select distinct entry.action from audit.entries_about as about \
         join audit.entries as entry on entry.id = about.entry_id \
         where about.object_id = $1 and entry.objects = array[$1] order by entry.action",
    )
    .bind(key("1").0)
    .fetch_all(tx.conn())
    .await
    .unwrap();
    assert_eq!(
        actions,
        [
            "clinical.order.cancel",
            "clinical.order.place",
            "clinical.result.decide",
            "lis.specimen.accession",
            "lis.specimen.move"
        ]
    );
    // one patient's few among all that was ever done are looked up, and not searched for
    sqlx::query("set local enable_seqscan = off")
        .execute(tx.conn())
        .await
        .unwrap();
    let plan: Vec<String> = sqlx::query_scalar(
        "explain select entry_id from audit.entries_about where object_id = any(array[gen_random_uuid()])",
    )
    .fetch_all(tx.conn())
    .await
    .unwrap();
    let plan = plan.join("\n");
    assert!(
        plan.contains("entries_about_pkey")
            && plan.contains("Index Cond")
            && plan.contains("object_id"),
        "{plan}"
    );
}
