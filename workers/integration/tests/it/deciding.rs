use hub_core::Verdict;
use schemas::commands::{RecordAccess, ResolveDead, ResolveHeld, SetChannelState};
use schemas::integration::{ChannelStateChanged, DesiredState, LinkState};
use serde_json::json;
use test_support::{TestDatabase, command, event, tenant};
use worker_integration::queries::{
    AuditSearch, DeadSearch, HeldItem, HeldSearch, audit, backlog, channel as channel_of, channels,
    dead_letter, dead_letters, held_item, held_items,
};

use crate::house::*;

async fn open_items(database: &TestDatabase) -> Vec<HeldItem> {
    let mut tx = database.tx(&tenant("demo")).await;
    let asked = HeldSearch {
        state: Some("open".into()),
        limit: 10,
        ..HeldSearch::default()
    };
    held_items(tx.conn(), &asked).await.unwrap()
}

#[tokio::test]
async fn held_results_of_one_question_are_one_item_with_a_count() {
    let database = TestDatabase::new().await;
    apply(
        &database,
        &[
            event(&held("HGB", "g/dl")),
            event(&held("HGB", "g/dl")),
            event(&held("HGB", "g/L")),
        ],
    )
    .await;
    apply_one(&database, event(&held("HGB", "g/dl"))).await;
    let items = open_items(&database).await;
    assert_eq!(items.len(), 2);
    let item = items.iter().find(|item| item.unit == "g/dl").unwrap();
    assert_eq!(
        (item.waiting, item.sample_value.as_deref()),
        (3, Some("13.5"))
    );
    let mut tx = database.tx(&tenant("demo")).await;
    let waiting = backlog(tx.conn()).await.unwrap();
    assert_eq!((waiting.held_items, waiting.held_waiting), (2, 4));
    assert!(waiting.oldest_held_age.is_some());
    assert_eq!(
        held_item(tx.conn(), item.id).await.unwrap().as_ref(),
        Some(item)
    );
}

#[tokio::test]
async fn a_mapping_resolves_what_it_explains_and_every_process_learns_it() {
    let database = TestDatabase::new().await;
    apply(
        &database,
        &[
            event(&held("HGB", "g/dl")),
            event(&held("HGB", "g/L")),
            event(&held("WBC", "g/dl")),
        ],
    )
    .await;
    let verdict = apply_one(&database, event(&mapped("HGB", Some("g/L")))).await;
    let (key, value) = setting_of(&verdict);
    assert!(key.starts_with("code.demo."), "{key}");
    assert_eq!(value["loinc"], "718-7");
    assert_eq!(open_items(&database).await.len(), 2);
    let any = apply_one(&database, event(&mapped("HGB", None))).await;
    assert_ne!(setting_of(&any).0, key);
    let open = open_items(&database).await;
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].code, "WBC");
}

#[tokio::test]
async fn what_is_held_before_a_mapping_in_a_batch_is_resolved_and_what_comes_after_is_open() {
    let database = TestDatabase::new().await;
    apply(
        &database,
        &[
            event(&held("HGB", "g/dl")),
            event(&mapped("HGB", None)),
            event(&held("HGB", "g/dl")),
        ],
    )
    .await;
    let open = open_items(&database).await;
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].waiting, 1);
    assert_eq!(
        count(&database, "select count(*) from integration.held_items").await,
        2
    );
}

#[tokio::test]
async fn a_person_closes_a_held_item_once() {
    let database = TestDatabase::new().await;
    apply_one(&database, event(&held("HGB", "g/dl"))).await;
    let id = open_items(&database).await[0].id;
    let resolve = |id| {
        command(&ResolveHeld {
            held_id: id,
            resolution: "accepted".into(),
            actor: "user/lab".into(),
        })
    };
    let verdicts = apply(&database, &[resolve(id), resolve(id), resolve(id + 100)]).await;
    let Verdict::Applied { answer, .. } = &verdicts[0] else {
        panic!("{verdicts:?}")
    };
    assert_eq!(
        answer.as_ref().unwrap(),
        &json!({"held_id": id, "state": "resolved"})
    );
    assert_eq!(refusal_of(&verdicts[1]), "integration.held_not_open");
    assert_eq!(refusal_of(&verdicts[2]), "integration.held_unknown");
    assert!(open_items(&database).await.is_empty());
}

fn resolve_dead(id: i64, resolution: &str) -> ResolveDead {
    ResolveDead {
        dead_id: id,
        resolution: resolution.into(),
        child: None,
        reason: "fixed the sender".into(),
        actor: "user/ops".into(),
    }
}

#[tokio::test]
async fn a_dead_letter_stands_once_and_is_dealt_with_once() {
    let database = TestDatabase::new().await;
    apply(&database, &[event(&dead("one")), event(&dead("one"))]).await;
    apply_one(&database, event(&dead("one"))).await;
    let mut tx = database.tx(&tenant("demo")).await;
    let asked = DeadSearch {
        state: Some("open".into()),
        channel: Some("lab".into()),
        reason: Some("hl7.no_msh".into()),
        refused_by: Some("hl7v2".into()),
        before: Some(i64::MAX),
        limit: 10,
    };
    let listed = dead_letters(tx.conn(), &asked).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].attempts, 3);
    drop(tx);
    let id = listed[0].id;
    let verdicts = apply(
        &database,
        &[
            command(&resolve_dead(id, "forgotten")),
            command(&resolve_dead(id, "discarded")),
            command(&resolve_dead(id, "replayed")),
            command(&resolve_dead(id + 100, "replayed")),
        ],
    )
    .await;
    assert_eq!(refusal_of(&verdicts[0]), "integration.dead_resolution");
    assert!(matches!(verdicts[1], Verdict::Applied { .. }));
    assert_eq!(refusal_of(&verdicts[2]), "integration.dead_not_open");
    assert_eq!(refusal_of(&verdicts[3]), "integration.dead_unknown");
    apply_one(&database, event(&dead("one"))).await;
    let mut tx = database.tx(&tenant("demo")).await;
    let letter = dead_letter(tx.conn(), id).await.unwrap().unwrap();
    assert_eq!(
        (letter.state.as_str(), letter.resolved_by.as_deref()),
        ("discarded", Some("user/ops"))
    );
}

#[tokio::test]
async fn a_replayed_dead_letter_that_dies_again_is_open_again() {
    let database = TestDatabase::new().await;
    let mut nameless = dead("one");
    nameless.raw_id = None;
    apply(&database, &[event(&nameless), event(&nameless)]).await;
    let mut tx = database.tx(&tenant("demo")).await;
    let id = dead_letters(
        tx.conn(),
        &DeadSearch {
            limit: 10,
            ..DeadSearch::default()
        },
    )
    .await
    .unwrap()[0]
        .id;
    drop(tx);
    apply_one(&database, command(&resolve_dead(id, "replayed"))).await;
    apply_one(&database, event(&nameless)).await;
    let mut tx = database.tx(&tenant("demo")).await;
    let letter = dead_letter(tx.conn(), id).await.unwrap().unwrap();
    assert_eq!((letter.state.as_str(), letter.resolved_at), ("open", None));
    assert_eq!(letter.attempts, 3);
}

#[tokio::test]
async fn a_channel_shows_its_newest_report_and_what_is_wanted_of_it() {
    let database = TestDatabase::new().await;
    let report = |state, at: &str, connections| {
        event(&ChannelStateChanged {
            channel: channel("lab"),
            kind: "hl7v2".into(),
            state,
            connections,
            address: "0.0.0.0:2575".into(),
            error: None,
            at: at.into(),
        })
    };
    apply(
        &database,
        &[
            report(LinkState::Connected, "2026-01-01T10:00:02Z", 2),
            report(LinkState::Listening, "2026-01-01T10:00:01Z", 0),
        ],
    )
    .await;
    apply_one(
        &database,
        report(LinkState::Listening, "2026-01-01T10:00:00Z", 0),
    )
    .await;
    let set = SetChannelState {
        channel: channel("lab"),
        state: DesiredState::Paused,
        actor: "user/ops".into(),
    };
    let verdict = apply_one(&database, command(&set)).await;
    assert_eq!(
        setting_of(&verdict),
        ("channel.demo.lab".to_owned(), json!({"desired": "paused"}))
    );
    let mut tx = database.tx(&tenant("demo")).await;
    let lab = channel_of(tx.conn(), "lab").await.unwrap().unwrap();
    assert_eq!(
        (lab.link.as_str(), lab.connections, lab.desired.as_str()),
        ("connected", 2, "paused")
    );
    assert_eq!(channels(tx.conn()).await.unwrap(), [lab]);
}

#[tokio::test]
async fn every_decision_and_every_look_at_a_body_is_in_the_audit_trail() {
    let database = TestDatabase::new().await;
    let set = command(&SetChannelState {
        channel: channel("lab"),
        state: DesiredState::Stopped,
        actor: "user/ops".into(),
    });
    let look = command(&RecordAccess {
        action: "message.body_read".into(),
        object: "message 5.0".into(),
        actor: "user/doctor".into(),
        reason: Some("complaint".into()),
    });
    apply(&database, &[set.clone(), look.clone()]).await;
    let mut tx = database.tx(&tenant("demo")).await;
    let entries = audit(
        tx.conn(),
        &AuditSearch {
            limit: 10,
            ..AuditSearch::default()
        },
    )
    .await
    .unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(
        (entries[0].action.as_str(), entries[0].reason.as_deref()),
        ("message.body_read", Some("complaint"))
    );
    assert_eq!(entries[0].causes, [look.id]);
    assert_eq!(
        (entries[1].object.as_str(), &entries[1].causes),
        ("channel lab", &vec![set.id])
    );
    let narrow = AuditSearch {
        actor: Some("user/doctor".into()),
        action: Some("message.body_read".into()),
        object: Some("message 5.0".into()),
        recorded_from: Some(entries[0].recorded_at),
        recorded_to: Some(entries[0].recorded_at + time::Duration::SECOND),
        before: Some(i64::MAX),
        limit: 10,
        touched: None,
        patients: None,
        ids: None,
    };
    assert_eq!(audit(tx.conn(), &narrow).await.unwrap().len(), 1);
    let touched = AuditSearch {
        touched: Some(look.id),
        limit: 10,
        ..AuditSearch::default()
    };
    assert!(audit(tx.conn(), &touched).await.unwrap().is_empty());
}
