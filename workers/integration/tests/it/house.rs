//! Shorthand: messages, and applying them as a runner does.

use hub_core::{Envelope, Verdict, Worker};
use schemas::care::HoldReason;
use schemas::integration::{
    CodeMapped, DeadLettered, MessageTranslated, ResultHeld, SearchKeys, Stage, TranslationOutcome,
};
use schemas::{ChannelId, RawId};
use test_support::{TestDatabase, tenant};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;
use worker_integration::IntegrationWorker;
use worker_integration::queries::{MessageSearch, Page, messages};

pub(crate) fn channel(name: &str) -> ChannelId {
    ChannelId::new(name).unwrap()
}

pub(crate) fn raw(name: &str) -> RawId {
    RawId::of(&tenant("demo"), &channel("lab"), name.as_bytes())
}

/// An ORU that arrived `seq` seconds after a fixed moment of today.
pub(crate) fn translated(name: &str, seq: u64) -> MessageTranslated {
    let start = OffsetDateTime::now_utc().replace_time(time::Time::MIDNIGHT);
    let at = start + time::Duration::seconds(i64::try_from(seq).unwrap());
    MessageTranslated {
        raw_id: raw(name),
        channel: channel("lab"),
        stream_seq: seq,
        index: 0,
        received_at: at.format(&Rfc3339).unwrap(),
        size: 1500,
        peer: Some("10.0.0.9:40000".into()),
        outcome: TranslationOutcome::Translated,
        keys: SearchKeys {
            patient_number: Some(format!("P{}", seq % 3)),
            accession: Some(format!("ACC-{seq}")),
            order_number: None,
            visit_number: None,
            bill_number: None,
            control_id: Some(format!("C{seq}")),
            message_type: Some("ORU^R01".into()),
            ..SearchKeys::default()
        },
        events: vec![
            "patients.patient.reported".into(),
            "lis.result.received".into(),
        ],
        unmapped: vec!["PV1-18".into()],
        notes: Vec::new(),
        parent: None,
        refused: None,
    }
}

pub(crate) fn held(code: &str, unit: &str) -> ResultHeld {
    ResultHeld {
        reason: HoldReason::UnknownCode,
        channel: channel("lab"),
        report_id: Uuid::now_v7(),
        source_event: Uuid::now_v7(),
        code_system: String::new(),
        code: code.into(),
        code_text: Some("Haemoglobin".into()),
        unit: Some(unit.into()),
        raw_value: Some("13.5".into()),
    }
}

pub(crate) fn mapped(code: &str, unit: Option<&str>) -> CodeMapped {
    CodeMapped {
        channel: channel("lab"),
        code_system: String::new(),
        code: code.into(),
        unit: unit.map(Into::into),
        loinc: "718-7".into(),
        display: None,
        ucum: None,
        factor: None,
        released: 1,
    }
}

pub(crate) fn dead(name: &str) -> DeadLettered {
    DeadLettered {
        stage: Stage::Translate,
        by: "hl7v2".into(),
        reason: "hl7.no_msh".into(),
        detail: "the first segment is not MSH".into(),
        event_id: None,
        event_type: None,
        raw_id: Some(raw(name)),
        channel: Some(channel("lab")),
        stream: "RAW".into(),
        stream_seq: 7,
        index: 0,
        attempts: 1,
        in_ledger: false,
    }
}

pub(crate) async fn apply(database: &TestDatabase, batch: &[Envelope]) -> Vec<Verdict> {
    let mut tx = database.tx(&batch[0].tenant).await;
    let verdicts = IntegrationWorker.apply(&mut tx, batch).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(verdicts.len(), batch.len());
    verdicts
}

pub(crate) async fn apply_one(database: &TestDatabase, envelope: Envelope) -> Verdict {
    apply(database, &[envelope]).await.remove(0)
}

pub(crate) fn refusal_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Refused(refusal) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

/// Key and value of the only setting that follows.
pub(crate) fn setting_of(verdict: &Verdict) -> (String, serde_json::Value) {
    let Verdict::Applied { outgoing, .. } = verdict else {
        panic!("not applied: {verdict:?}")
    };
    assert_eq!(outgoing.len(), 1);
    match &outgoing[0].to {
        hub_core::worker::Destination::Setting { key } => (
            key.clone(),
            serde_json::from_slice(&outgoing[0].body).unwrap(),
        ),
        other => panic!("no setting: {other:?}"),
    }
}

pub(crate) async fn listed(
    database: &TestDatabase,
    search: MessageSearch,
) -> Page<worker_integration::queries::Message> {
    let mut tx = database.tx(&tenant("demo")).await;
    messages(tx.conn(), &search).await.unwrap()
}

pub(crate) async fn count(database: &TestDatabase, statement: &'static str) -> i64 {
    let mut tx = database.tx(&tenant("demo")).await;
    sqlx::query_scalar(statement)
        .fetch_one(tx.conn())
        .await
        .unwrap()
}
