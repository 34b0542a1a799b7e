//! Rounds of observations, NEWS2, and the tasks that follow.

use hub_core::Verdict;
use schemas::rounds::{
    AdvanceTask, CorrectObservation, EndOxygenTarget, EnteredValue, OrderOxygenTarget,
    RecordObservations, TaskAction,
};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;
use worker_clinical::queries::{
    ScoreRow, TaskFilter, TaskRow, Versions, VitalFilter, VitalRow, score_versions,
    scores_for_subjects, tasks, vitals_for_subjects,
};

use super::support::{Ward, at, key, minutes, patient, said};

fn refused(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Refused(refusal) => refusal.code,
        other => panic!("{other:?}"),
    }
}

fn answer(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Applied { answer, .. } => answer.clone().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn value(loinc: &str, value: &str, ucum: &str) -> EnteredValue {
    EnteredValue {
        loinc: loinc.into(),
        display: None,
        value: value.into(),
        ucum: (!ucum.is_empty()).then(|| ucum.into()),
    }
}

/// A whole round of a patient who is well, with some values exchanged or (empty) left out.
fn round(minute: i64, exchanged: &[(&str, &str)]) -> RecordObservations {
    let well = [
        ("9279-1", "16", "/min"),
        ("59408-5", "97", "%"),
        ("3151-8", "0", "L/min"),
        ("8480-6", "120", "mm[Hg]"),
        ("8867-4", "70", "/min"),
        ("80288-4", "A", ""),
        ("8310-5", "37.0", "Cel"),
    ];
    let values = well
        .iter()
        .filter_map(|(loinc, normal, ucum)| {
            let text = exchanged
                .iter()
                .find(|(which, _)| which == loinc)
                .map_or(*normal, |(_, text)| *text);
            (!text.is_empty()).then(|| value(loinc, text, ucum))
        })
        .collect();
    RecordObservations {
        subject: patient("1"),
        keys: vec![key("1").0],
        visit_number: Some("V1".into()),
        observed_at: minutes(minute).format(&Rfc3339).unwrap(),
        values,
        scale: None,
        birth_date: Some("1980-05-17".into()),
        pregnant: Some(false),
        actor: "asha".into(),
    }
}

async fn scores(ward: &Ward) -> Vec<ScoreRow> {
    let mut tx = ward.tx().await;
    scores_for_subjects(tx.conn(), &[key("1").0], None, 100)
        .await
        .unwrap()
}

async fn open_tasks(ward: &Ward) -> Vec<TaskRow> {
    let mut tx = ward.tx().await;
    let filter = TaskFilter {
        limit: 100,
        ..TaskFilter::default()
    };
    tasks(tx.conn(), &filter).await.unwrap()
}

async fn charted(ward: &Ward, versions: Versions) -> Vec<VitalRow> {
    let mut tx = ward.tx().await;
    let filter = VitalFilter {
        versions,
        limit: 100,
        ..VitalFilter::default()
    };
    vitals_for_subjects(tx.conn(), &[key("1").0], &filter)
        .await
        .unwrap()
}

fn id_of(answer: &Value, place: usize) -> Uuid {
    answer["observations"][place]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// EM6 for people: a round that is sent twice is one.
#[tokio::test]
async fn a_round_sent_twice_is_one_and_another_value_of_that_time_is_a_conflict() {
    let ward = Ward::new().await;
    let first = ward.apply_one(at(1, &round(0, &[]))).await;
    assert_eq!(
        said(&first),
        ["clinical.vitals.recorded", "clinical.score.computed"]
    );
    let again = ward.apply_one(at(2, &round(0, &[]))).await;
    assert!(said(&again).is_empty());
    assert_eq!(answer(&again)["created"], false);
    assert_eq!(
        answer(&again)["observations"],
        answer(&first)["observations"]
    );
    assert_eq!(answer(&again)["score"]["total"], 0);
    assert_eq!(charted(&ward, Versions::All).await.len(), 7);
    let other = ward.apply_one(at(3, &round(0, &[("8867-4", "71")]))).await;
    assert_eq!(refused(&other), "clinical.observation_exists");
    let row = charted(&ward, Versions::Current)
        .await
        .into_iter()
        .find(|row| row.loinc.as_deref() == Some("8310-5"))
        .unwrap();
    assert_eq!(
        (
            row.channel.as_str(),
            row.matched_by.as_deref(),
            row.entered_by.as_deref()
        ),
        ("staff", Some("entry"), Some("asha"))
    );
}

/// EM3
#[tokio::test]
async fn without_a_pulse_there_is_no_total_and_the_pulse_that_comes_later_makes_it() {
    let ward = Ward::new().await;
    let verdict = ward.apply_one(at(1, &round(0, &[("8867-4", "")]))).await;
    let score = &answer(&verdict)["score"];
    assert_eq!(
        (&score["state"], &score["total"], &score["missing"]),
        (
            &"incomplete".into(),
            &Value::Null,
            &serde_json::json!(["pulse"])
        )
    );
    assert!(scores(&ward).await[0].next_due_at.is_none());
    let mut pulse = round(0, &[]);
    pulse.values.retain(|one| one.loinc == "8867-4");
    let verdict = ward.apply_one(at(2, &pulse)).await;
    let score = &answer(&verdict)["score"];
    assert_eq!((&score["total"], &score["version"]), (&0.into(), &2.into()));
    let row = scores(&ward).await.remove(0);
    assert_eq!((row.version, row.state.as_str()), (2, "computed"));
    assert_eq!(row.pack_version, "2026.1");
    assert_eq!(row.parts.as_array().unwrap().len(), 7);
    assert!(row.next_due_at.is_some());
}

/// EM2
#[tokio::test]
async fn the_second_oxygen_scale_needs_a_doctors_order() {
    let ward = Ward::new().await;
    let mut on_oxygen = round(0, &[("59408-5", "97"), ("3151-8", "2")]);
    on_oxygen.scale = Some(2);
    assert_eq!(
        refused(&ward.apply_one(at(1, &on_oxygen)).await),
        "clinical.oxygen_scale_not_ordered"
    );
    assert!(charted(&ward, Versions::All).await.is_empty());
    let order = OrderOxygenTarget {
        target_id: Uuid::now_v7(),
        subject: patient("2"),
        keys: vec![],
        reason: "COPD, hypercapnic last winter".into(),
        actor: "dr.rao".into(),
    };
    ward.apply_one(at(2, &order)).await;
    assert_eq!(
        refused(&ward.apply_one(at(3, &order)).await),
        "clinical.oxygen_target_exists"
    );
    // ordered under another identifier of the same person
    on_oxygen.keys = vec![key("1").0, key("2").0];
    let verdict = ward.apply_one(at(4, &on_oxygen)).await;
    assert_eq!(answer(&verdict)["score"]["total"], 5);
    let mut first = round(5, &[]);
    first.keys = on_oxygen.keys.clone();
    first.scale = Some(1);
    assert_eq!(
        refused(&ward.apply_one(at(5, &first)).await),
        "clinical.oxygen_scale_conflict"
    );
    let end = EndOxygenTarget {
        target_id: order.target_id,
        reason: "seen by the chest team".into(),
        actor: "dr.rao".into(),
    };
    ward.apply_one(at(6, &end)).await;
    assert_eq!(
        refused(&ward.apply_one(at(7, &end)).await),
        "clinical.oxygen_target_closed"
    );
    let verdict = ward.apply_one(at(8, &first)).await;
    assert_eq!(answer(&verdict)["score"]["total"], 0);
}

/// EM4
#[tokio::test]
async fn seven_opens_one_task_that_is_seen_and_done() {
    let ward = Ward::new().await;
    let bad = [("9279-1", "25"), ("3151-8", "2"), ("8867-4", "115")];
    let verdict = ward.apply_one(at(1, &round(0, &bad))).await;
    assert_eq!(
        said(&verdict),
        [
            "clinical.vitals.recorded",
            "clinical.score.computed",
            "clinical.deterioration.flagged"
        ]
    );
    assert_eq!(answer(&verdict)["score"]["total"], 7);
    let task = open_tasks(&ward).await.remove(0);
    assert_eq!(
        (task.state.as_str(), task.trigger.as_str(), task.times),
        ("open", "emergency", 1)
    );
    // worse, or less bad: the same task, and the highest trigger stays
    let verdict = ward
        .apply_one(at(11, &round(10, &[("80288-4", "V")])))
        .await;
    assert!(said(&verdict).contains(&"clinical.deterioration.flagged"));
    let task = open_tasks(&ward).await.remove(0);
    assert_eq!((task.trigger.as_str(), task.times), ("emergency", 2));

    let advance = |action, outcome: Option<&str>| AdvanceTask {
        task_id: task.id,
        action,
        outcome: outcome.map(str::to_owned),
        actor: "ravi".into(),
    };
    ward.apply_one(at(12, &advance(TaskAction::Acknowledge, None)))
        .await;
    let twice = ward
        .apply_one(at(13, &advance(TaskAction::Acknowledge, None)))
        .await;
    assert_eq!(refused(&twice), "clinical.task_conflict");
    let mute = ward
        .apply_one(at(14, &advance(TaskAction::Complete, None)))
        .await;
    assert_eq!(refused(&mute), "clinical.task_outcome");
    let done = advance(TaskAction::Complete, Some("moved to ICU"));
    ward.apply_one(at(15, &done)).await;
    assert_eq!(open_tasks(&ward).await[0].state, "done");
    // the next one is a new task
    ward.apply_one(at(21, &round(20, &bad))).await;
    assert_eq!(open_tasks(&ward).await.len(), 2);
}

#[tokio::test]
async fn a_correction_makes_value_and_score_anew_and_keeps_both() {
    let ward = Ward::new().await;
    let verdict = ward.apply_one(at(1, &round(0, &[("8867-4", "170")]))).await;
    assert_eq!(answer(&verdict)["score"]["total"], 3);
    let pulse = id_of(&answer(&verdict), 4);
    let mut correct = CorrectObservation {
        observation_id: pulse,
        keys: vec![key("1").0],
        seen: Some(9),
        value: Some(value("8867-4", "70", "/min")),
        reason: "typed 170 for 70".into(),
        actor: "asha".into(),
    };
    assert_eq!(
        refused(&ward.apply_one(at(2, &correct)).await),
        "clinical.observation_stale"
    );
    correct.seen = Some(1);
    let verdict = ward.apply_one(at(3, &correct)).await;
    assert_eq!(answer(&verdict)["score"]["total"], 0);
    let history: Vec<(i16, bool, Option<String>, Option<String>)> = charted(&ward, Versions::All)
        .await
        .into_iter()
        .filter(|row| row.vital_key == pulse)
        .map(|row| (row.version, row.current, row.value_text, row.change_reason))
        .collect();
    assert_eq!(
        history,
        [
            (2, true, Some("70".into()), Some("typed 170 for 70".into())),
            (1, false, Some("170".into()), None)
        ]
    );
    let score = scores(&ward).await.remove(0);
    let mut tx = ward.tx().await;
    let versions = score_versions(tx.conn(), score.id).await.unwrap();
    assert_eq!(
        versions
            .iter()
            .map(|row| (row.version, row.total))
            .collect::<Vec<_>>(),
        [(2, Some(0)), (1, Some(3))]
    );
    drop(tx);
    // taken back altogether: the part is missing again
    correct.seen = None;
    correct.value = None;
    let verdict = ward.apply_one(at(4, &correct)).await;
    assert_eq!(
        answer(&verdict)["score"]["missing"],
        serde_json::json!(["pulse"])
    );
    assert_eq!(
        refused(&ward.apply_one(at(5, &correct)).await),
        "clinical.observation_retracted_conflict"
    );
    let mut anew = round(0, &[("8867-4", "72")]);
    anew.values.retain(|one| one.loinc == "8867-4");
    let verdict = ward.apply_one(at(6, &anew)).await;
    assert_eq!(answer(&verdict)["score"]["total"], 0);
}

#[tokio::test]
async fn what_a_device_measured_in_time_fills_the_round_and_what_is_old_does_not() {
    let ward = Ward::new().await;
    let monitor = |minute: i64, rate: &str| schemas::devices::VitalsObserved {
        channel: schemas::ChannelId::new("icu").unwrap(),
        subject: Some(patient("2")),
        visit_number: None,
        location: None,
        device: Some("M1".into()),
        observations: vec![schemas::devices::VitalObservation {
            code: super::support::code("HR"),
            alternate: None,
            path: None,
            container: None,
            value_type: Some("NM".into()),
            value: schemas::care::Value::Quantity {
                comparator: None,
                number: rate.into(),
            },
            raw_value: None,
            unit: Some("/min".into()),
            range: None,
            flags: vec![],
            status: Some("F".into()),
            observed_at: Some(minutes(minute).format(&Rfc3339).unwrap()),
            timed_by: schemas::devices::TimedBy::Observation,
            method: None,
            device: Some("M1".into()),
            site: None,
            mapped: Some(schemas::care::Mapped {
                loinc: "8867-4".into(),
                display: None,
                ucum: Some("/min".into()),
                factor: None,
            }),
            held: None,
        }],
        occurred_at: None,
    };
    ward.apply_one(at(0, &monitor(0, "95"))).await;
    let mut late = round(60, &[("8867-4", "")]);
    late.keys = vec![key("1").0, key("2").0];
    let verdict = ward.apply_one(at(61, &late)).await;
    assert_eq!(
        answer(&verdict)["score"]["missing"],
        serde_json::json!(["pulse"])
    );
    let mut soon = round(10, &[("8867-4", "")]);
    soon.keys = late.keys.clone();
    let verdict = ward.apply_one(at(62, &soon)).await;
    assert_eq!(answer(&verdict)["score"]["total"], 1);
    let row = scores(&ward).await.pop().unwrap();
    let pulse = row
        .parts
        .as_array()
        .unwrap()
        .iter()
        .find(|part| part["part"] == "pulse")
        .unwrap()
        .clone();
    assert_eq!(
        (&pulse["from"], &pulse["device"]),
        (&"device".into(), &"M1".into())
    );
    // a device's value is not corrected by hand
    let correct = CorrectObservation {
        observation_id: pulse["observation_id"].as_str().unwrap().parse().unwrap(),
        keys: vec![],
        seen: None,
        value: None,
        reason: "artefact".into(),
        actor: "asha".into(),
    };
    assert_eq!(
        refused(&ward.apply_one(at(63, &correct)).await),
        "clinical.observation_device_conflict"
    );
}

#[tokio::test]
async fn children_and_the_pregnant_get_no_total_and_what_nobody_knew_is_said() {
    let ward = Ward::new().await;
    let bad = [("9279-1", "25"), ("3151-8", "2"), ("8867-4", "115")];
    let mut child = round(0, &bad);
    child.birth_date = Some("2015-01-01".into());
    let verdict = ward.apply_one(at(1, &child)).await;
    assert_eq!(answer(&verdict)["score"]["state"], "not_applicable");
    assert!(open_tasks(&ward).await.is_empty());
    let mut pregnant = round(1, &bad);
    pregnant.pregnant = Some(true);
    let verdict = ward.apply_one(at(2, &pregnant)).await;
    assert_eq!(answer(&verdict)["score"]["total"], Value::Null);
    let mut unknown = round(2, &bad);
    (unknown.birth_date, unknown.pregnant) = (None, None);
    let verdict = ward.apply_one(at(3, &unknown)).await;
    assert_eq!(answer(&verdict)["score"]["total"], 7);
    assert_eq!(
        scores(&ward).await[0].checks,
        serde_json::json!({ "age": "not_checked", "pregnancy": "not_checked" })
    );
}

#[tokio::test]
async fn fahrenheit_is_kept_as_entered_and_scored_as_celsius() {
    let ward = Ward::new().await;
    let mut fever = round(0, &[("8310-5", "102.4")]);
    for one in &mut fever.values {
        if one.loinc == "8310-5" {
            one.ucum = Some("[degF]".into());
        }
    }
    let verdict = ward.apply_one(at(1, &fever)).await;
    assert_eq!(answer(&verdict)["score"]["total"], 2);
    let row = charted(&ward, Versions::Current)
        .await
        .into_iter()
        .find(|row| row.loinc.as_deref() == Some("8310-5"))
        .unwrap();
    assert_eq!(
        (
            row.value_text.as_deref(),
            row.unit.as_deref(),
            row.ucum_value.as_deref(),
            row.ucum.as_deref()
        ),
        (Some("102.4"), Some("[degF]"), Some("39.1"), Some("Cel"))
    );
}

#[tokio::test]
async fn a_round_that_makes_no_sense_is_refused_whole() {
    let ward = Ward::new().await;
    for (change, code) in [
        (("8867-4", "fast"), "clinical.observation_value"),
        (("8867-4", "7000"), "clinical.observation_implausible"),
        (("80288-4", "Z"), "clinical.observation_implausible"),
    ] {
        let verdict = ward.apply_one(at(1, &round(0, &[change]))).await;
        assert_eq!(refused(&verdict), code, "{change:?}");
    }
    let mut twice = round(0, &[]);
    twice.values.push(value("8867-4", "70", "/min"));
    assert_eq!(
        refused(&ward.apply_one(at(1, &twice)).await),
        "clinical.observation_twice"
    );
    let mut uncoded = round(0, &[]);
    uncoded.values[0].loinc = "PULSE".into();
    assert_eq!(
        refused(&ward.apply_one(at(1, &uncoded)).await),
        "clinical.observation_code"
    );
    let mut ahead = round(0, &[]);
    ahead.observed_at = (OffsetDateTime::now_utc() + time::Duration::hours(1))
        .format(&Rfc3339)
        .unwrap();
    assert_eq!(
        refused(&ward.apply_one(at(1, &ahead)).await),
        "clinical.observation_ahead"
    );
    assert!(charted(&ward, Versions::All).await.is_empty());
}
