//! Incidents that equal failures make: one, counted, seen by a person or escalated, over when its letters are dealt with.

use hub_core::Verdict;
use hub_core::worker::Destination;
use schemas::commands::ResolveDead;
use schemas::incidents::{AcknowledgeIncident, EscalateIncidents};
use schemas::integration::DeadLettered;
use test_support::{TestDatabase, command, event, tenant};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use worker_integration::queries::{
    DeadSearch, Incident, any_incident_due, dead_letters, incidents,
};

use crate::house::*;

async fn listed(database: &TestDatabase, open: bool) -> Vec<Incident> {
    let mut tx = database.tx(&tenant("demo")).await;
    incidents(tx.conn(), open, None, 50).await.unwrap()
}

fn letter(name: &str, reason: &str) -> DeadLettered {
    DeadLettered {
        reason: reason.to_owned(),
        ..dead(name)
    }
}

async fn fail(database: &TestDatabase, reason: &str, numbers: std::ops::Range<u32>) {
    let letters: Vec<_> = numbers
        .map(|n| event(&letter(&format!("{reason}-{n}"), reason)))
        .collect();
    apply(database, &letters).await;
}

fn acknowledge(id: i64) -> AcknowledgeIncident {
    AcknowledgeIncident {
        incident_id: id,
        note: Some("its maker is told".into()),
        actor: "user/ops".into(),
    }
}

fn escalate(before: OffsetDateTime) -> EscalateIncidents {
    EscalateIncidents {
        opened_before: before.format(&Rfc3339).unwrap(),
    }
}

/// T5, as far as the worker goes.
#[tokio::test]
async fn fifty_equal_failures_are_one_incident_that_counts_fifty() {
    let database = TestDatabase::new().await;
    fail(&database, "hl7.no_msh", 0..9).await;
    fail(&database, "hl7.no_patient", 0..9).await;
    assert!(
        listed(&database, true).await.is_empty(),
        "nine of each are dead letters and no more"
    );
    // one by one, in batches, and one that is tried again
    fail(&database, "hl7.no_msh", 9..10).await;
    fail(&database, "hl7.no_msh", 10..30).await;
    for n in 30..49 {
        fail(&database, "hl7.no_msh", n..n + 1).await;
    }
    fail(&database, "hl7.no_msh", 0..1).await;
    let open = listed(&database, true).await;
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(
        (
            open[0].kind.as_str(),
            open[0].dedup_key.as_str(),
            open[0].count
        ),
        ("repeated_failures", "lab/translate/hl7.no_msh", 50)
    );
    // of another tenant they are another tenant's
    let mut tx = database.tx(&tenant("other")).await;
    assert!(
        incidents(tx.conn(), false, None, 9)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn failures_of_long_ago_do_not_count() {
    let database = TestDatabase::new().await;
    fail(&database, "hl7.no_msh", 0..9).await;
    let mut tx = database.tx(&tenant("demo")).await;
    sqlx::query("update integration.dead_letters set last_at = now() - interval '6 minutes'")
        .execute(tx.conn())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    fail(&database, "hl7.no_msh", 9..18).await;
    assert!(listed(&database, true).await.is_empty());
    fail(&database, "hl7.no_msh", 18..19).await;
    assert_eq!(listed(&database, true).await[0].count, 10);
}

#[tokio::test]
async fn what_nobody_sees_in_time_is_escalated_once_and_what_is_seen_is_not() {
    let database = TestDatabase::new().await;
    fail(&database, "hl7.no_msh", 0..12).await;
    fail(&database, "hl7.no_patient", 0..12).await;
    let open = listed(&database, true).await;
    let (seen, unseen) = (open[0].id, open[1].id);
    assert!(matches!(
        apply_one(&database, command(&acknowledge(seen))).await,
        Verdict::Applied { .. }
    ));
    let again = apply_one(&database, command(&acknowledge(seen))).await;
    assert_eq!(refusal_of(&again), "integration.incident_conflict");
    let nobody = apply_one(&database, command(&acknowledge(9_999))).await;
    assert_eq!(refusal_of(&nobody), "integration.incident_unknown");

    let now = OffsetDateTime::now_utc();
    let (early, late) = (
        now - time::Duration::hours(1),
        now + time::Duration::hours(1),
    );
    let mut tx = database.tx(&tenant("demo")).await;
    assert!(!any_incident_due(tx.conn(), early).await.unwrap());
    assert!(any_incident_due(tx.conn(), late).await.unwrap());
    drop(tx);
    let too_early = apply_one(&database, command(&escalate(early))).await;
    assert!(matches!(too_early, Verdict::Unchanged));
    let Verdict::Applied { outgoing, .. } = apply_one(&database, command(&escalate(late))).await
    else {
        panic!("not escalated");
    };
    assert_eq!(outgoing.len(), 1);
    assert!(matches!(
        &outgoing[0].to,
        Destination::Catalogue {
            name: "integration.incident.escalated",
            ..
        }
    ));
    let said: serde_json::Value = serde_json::from_slice(&outgoing[0].body).unwrap();
    assert_eq!(
        said,
        serde_json::json!({ "incident_id": unseen, "kind": "repeated_failures", "count": 12 })
    );
    let once = apply_one(&database, command(&escalate(late))).await;
    assert!(matches!(once, Verdict::Unchanged));
    let open = listed(&database, true).await;
    assert!(open[0].escalated_at.is_none() && open[0].acknowledged_at.is_some());
    assert_eq!(open[0].acknowledged_by.as_deref(), Some("user/ops"));
    assert!(open[1].escalated_at.is_some());
}

#[tokio::test]
async fn an_incident_is_over_when_none_of_its_letters_is_open() {
    let database = TestDatabase::new().await;
    fail(&database, "hl7.no_msh", 0..10).await;
    let mut tx = database.tx(&tenant("demo")).await;
    let search = DeadSearch {
        limit: 50,
        ..DeadSearch::default()
    };
    let letters = dead_letters(tx.conn(), &search).await.unwrap();
    drop(tx);
    for (left, letter) in (0..10).rev().zip(letters) {
        assert_eq!(listed(&database, true).await.len(), 1, "{left} left");
        let resolve = ResolveDead {
            dead_id: letter.id,
            resolution: "discarded".into(),
            child: None,
            reason: "fixed the sender".into(),
            actor: "user/ops".into(),
        };
        apply_one(&database, command(&resolve)).await;
    }
    assert!(listed(&database, true).await.is_empty());
    let all = listed(&database, false).await;
    assert!(all[0].resolved_at.is_some());
    let late = apply_one(&database, command(&acknowledge(all[0].id))).await;
    assert_eq!(refusal_of(&late), "integration.incident_conflict");
    // what fails afterwards alike is another incident
    fail(&database, "hl7.no_msh", 10..20).await;
    assert_eq!(listed(&database, true).await.len(), 1);
}
