//! The life of an alarm.

use schemas::ChannelId;
use schemas::care::EncounterAction::*;
use schemas::devices::{AlarmPhase, AlarmReported, AlarmValue};
use worker_clinical::queries::{AlarmEventRow, AlarmFilter, AlarmRow, alarm_events, alarms};

use super::beds::{admitted, adt, icu, moves, text};
use super::support::{Ward, at, code, key, minutes, said};

fn alarm(name: &str, phase: AlarmPhase, minute: i64) -> AlarmReported {
    AlarmReported {
        channel: ChannelId::new("icu").unwrap(),
        event_name: name.into(),
        parent_name: None,
        subject: None,
        location: Some(icu("5")),
        device: Some("0009FB0A0B0C0001".into()),
        code: code("196674"),
        text: Some("SpO2 low".into()),
        path: None,
        source: None,
        measured: Some(AlarmValue {
            code: code("150456"),
            value: Some("87".into()),
            unit: None,
            limits: Some("90-100".into()),
        }),
        phase,
        state: Some(
            if phase == AlarmPhase::End {
                "inactive"
            } else {
                "active"
            }
            .into(),
        ),
        inactivation: vec!["enabled".into()],
        priority: Some("PH".into()),
        kind: Some("SP".into()),
        abnormality: Some("L".into()),
        at: Some(text(minutes(minute))),
        occurred_at: None,
    }
}

/// A later message of the alarm `A`, under a name of its own.
fn of_a(name: &str, phase: AlarmPhase, minute: i64) -> AlarmReported {
    AlarmReported {
        parent_name: Some("A".into()),
        ..alarm(name, phase, minute)
    }
}

async fn listed(ward: &Ward) -> Vec<AlarmRow> {
    let mut tx = ward.tx().await;
    let filter = AlarmFilter {
        limit: 100,
        ..AlarmFilter::default()
    };
    alarms(tx.conn(), &filter).await.unwrap()
}

async fn history(ward: &Ward, alarm: &AlarmRow) -> Vec<String> {
    let mut tx = ward.tx().await;
    let events: Vec<AlarmEventRow> = alarm_events(tx.conn(), alarm.id).await.unwrap();
    events.into_iter().map(|event| event.phase).collect()
}

#[tokio::test]
async fn an_alarm_is_one_row_with_its_history_and_what_only_goes_on_is_counted() {
    let ward = Ward::new().await;
    admitted(&ward).await;
    let verdict = ward
        .apply_one(at(1, &alarm("A", AlarmPhase::Start, 1)))
        .await;
    assert_eq!(said(&verdict), ["clinical.alarm.changed"]);
    for minute in 2..6 {
        let goes_on = of_a(&format!("B{minute}"), AlarmPhase::Continue, minute);
        let verdict = ward.apply_one(at(minute, &goes_on)).await;
        assert!(said(&verdict).is_empty());
    }
    let mut paused = of_a("C", AlarmPhase::Continue, 6);
    paused.inactivation = vec!["audio-paused".into()];
    let verdict = ward.apply_one(at(6, &paused)).await;
    assert_eq!(said(&verdict), ["clinical.alarm.changed"]);
    let row = &listed(&ward).await[0];
    assert_eq!(
        (
            row.status.as_str(),
            row.messages,
            row.inactivation.as_slice()
        ),
        ("active", 6, ["audio-paused".to_owned()].as_slice())
    );
    assert_eq!(row.subject_key, Some(key("1").0));
    // a message may name the one before it and not the first
    let mut end = alarm("D", AlarmPhase::End, 7);
    end.parent_name = Some("C".into());
    ward.apply_one(at(7, &end)).await;
    let rows = listed(&ward).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].status, "ended");
    assert_eq!(rows[0].ended_at, Some(minutes(7)));
    assert_eq!(history(&ward, &rows[0]).await, ["start", "continue", "end"]);
}

#[tokio::test]
async fn a_message_that_it_goes_on_opens_no_ended_alarm_however_late_it_is() {
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let ward = Ward::new().await;
        let script = [
            (1, alarm("A", AlarmPhase::Start, 1)),
            (2, of_a("B", AlarmPhase::Continue, 2)),
            (3, of_a("C", AlarmPhase::End, 3)),
            // a device whose clock of keep-alives lags
            (4, of_a("D", AlarmPhase::Continue, 4)),
        ];
        for place in order {
            let (minute, body) = &script[place];
            ward.apply_one(at(*minute, body)).await;
        }
        let rows = listed(&ward).await;
        assert_eq!(rows.len(), 1, "{order:?}");
        assert_eq!(rows[0].status, "ended", "{order:?}");
        assert_eq!(rows[0].state.as_deref(), Some("inactive"), "{order:?}");
        assert_eq!(rows[0].messages, 4, "{order:?}");
        assert_eq!(rows[0].begun_at, minutes(1), "{order:?}");
        // a start after the end is the alarm anew
        ward.apply_one(at(9, &of_a("E", AlarmPhase::Start, 9)))
            .await;
        assert_eq!(listed(&ward).await[0].status, "active", "{order:?}");
    }
}

#[tokio::test]
async fn of_start_and_end_at_one_moment_the_end_counts() {
    let ward = Ward::new().await;
    ward.apply_one(at(1, &alarm("A", AlarmPhase::End, 1))).await;
    ward.apply_one(at(1, &alarm("A", AlarmPhase::Start, 1)))
        .await;
    let row = &listed(&ward).await[0];
    assert_eq!(
        (row.status.as_str(), row.state.as_deref()),
        ("ended", Some("inactive"))
    );
}

#[tokio::test]
async fn a_latched_alarm_goes_on_until_it_was_seen_and_a_point_never_lasts() {
    let ward = Ward::new().await;
    ward.apply_one(at(1, &alarm("A", AlarmPhase::Start, 1)))
        .await;
    let mut latched = of_a("B", AlarmPhase::End, 2);
    latched.state = Some("latched".into());
    ward.apply_one(at(2, &latched)).await;
    assert_eq!(listed(&ward).await[0].status, "latched");
    ward.apply_one(at(3, &of_a("C", AlarmPhase::End, 3))).await;
    assert_eq!(listed(&ward).await[0].status, "ended");
    ward.apply_one(at(5, &alarm("P", AlarmPhase::Point, 5)))
        .await;
    let rows = listed(&ward).await;
    assert_eq!((rows.len(), rows[0].status.as_str()), (2, "ended"));
}

#[tokio::test]
async fn a_late_movement_says_whose_an_alarm_is() {
    let ward = Ward::new().await;
    ward.apply_one(at(5, &alarm("A", AlarmPhase::Start, 5)))
        .await;
    assert_eq!(listed(&ward).await[0].subject_key, None);
    admitted(&ward).await;
    assert_eq!(listed(&ward).await[0].subject_key, Some(key("1").0));
    moves(&ward, 2, &adt(Transferred, "1", Some(icu("6")))).await;
    assert_eq!(listed(&ward).await[0].subject_key, None);
}
