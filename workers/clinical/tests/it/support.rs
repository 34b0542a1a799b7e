//! Short ways to say what arrives and to see what is on file.

use hub_core::{Envelope, Tx, Verdict, Worker};
use schemas::care::{
    Code, HoldReason, Observation, OrderControl, OrderReported, ResultReceived, Value,
};
use schemas::patients::Identifier;
use schemas::{ChannelId, IdentifierKey, TenantId};
use test_support::{TestDatabase, event, tenant};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use worker_clinical::queries::{
    Page, ReportRow, ResultFilter, ResultRow, Versions, reports_for_subjects, results_for_subjects,
};
use worker_clinical::{ClinicalWorker, CriticalLimits};

pub(crate) const NOON: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

pub(crate) fn minutes(count: i64) -> OffsetDateTime {
    NOON + Duration::minutes(count)
}

pub(crate) fn key(patient: &str) -> IdentifierKey {
    IdentifierKey::of(&tenant("demo"), "mrn", patient)
}

pub(crate) fn patient(value: &str) -> Identifier {
    Identifier {
        key: key(value),
        system: "mrn".into(),
        value: value.into(),
        kind: None,
    }
}

pub(crate) fn code(text: &str) -> Code {
    Code {
        code: text.into(),
        text: None,
        system: None,
    }
}

pub(crate) fn number(name: &str, value: &str, status: &str) -> Observation {
    Observation {
        code: code(name),
        alternate: None,
        sub_id: None,
        value_type: Some("NM".into()),
        value: Value::Quantity {
            comparator: None,
            number: value.into(),
        },
        raw_value: Some(value.into()),
        unit: Some("mg/dL".into()),
        range: None,
        flags: vec![],
        status: Some(status.into()),
        observed_at: None,
        device: None,
        notes: vec![],
        mapped: None,
        held: None,
    }
}

pub(crate) fn held(name: &str, value: &str) -> Observation {
    Observation {
        held: Some(HoldReason::UnknownCode),
        ..number(name, value, "F")
    }
}

/// A report of patient 1 with filler number 1, observed at noon.
pub(crate) fn report(status: &str, results: Vec<Observation>) -> ResultReceived {
    ResultReceived {
        channel: ChannelId::new("lab").unwrap(),
        subject: Some(patient("1")),
        visit_number: None,
        placer_number: None,
        filler_number: Some("1".into()),
        code: code("CHEM"),
        status: Some(status.into()),
        observed_at: Some("2026-03-01T12:00:00Z".into()),
        issued_at: None,
        specimen: None,
        results,
        notes: vec![],
        occurred_at: None,
    }
}

/// An event of a moment, in minutes after noon.
pub(crate) fn at<T: schemas::Body>(minute: i64, body: &T) -> Envelope {
    Envelope {
        occurred_at: minutes(minute),
        ..event(body)
    }
}

pub(crate) fn order(control: OrderControl, placer: &str) -> OrderReported {
    OrderReported {
        control,
        subject: Some(patient("1")),
        visit_number: None,
        placer_number: Some(placer.into()),
        filler_number: None,
        group_number: None,
        code: code("CHEM"),
        status: None,
        priority: None,
        ordered_at: None,
        ordered_by: None,
        specimens: vec![],
        notes: vec![],
        or_open: false,
        occurred_at: None,
    }
}

/// The values of most tests are made up: what is critical is tested by itself.
fn without_limits() -> CriticalLimits {
    CriticalLimits::parse("version = \"none\"\ncall_minutes = 1").unwrap()
}

pub(crate) struct Ward {
    pub(crate) database: TestDatabase,
    pub(crate) tenant: TenantId,
    pub(crate) worker: ClinicalWorker,
}

impl Ward {
    pub(crate) async fn new() -> Self {
        Self {
            database: TestDatabase::new().await,
            tenant: tenant("demo"),
            worker: ClinicalWorker::default().with_critical_limits(without_limits()),
        }
    }

    pub(crate) async fn tx(&self) -> Tx<'static> {
        self.database.tx(&self.tenant).await
    }

    /// One batch in one transaction.
    pub(crate) async fn apply(&self, batch: &[Envelope]) -> Vec<Verdict> {
        let mut tx = self.tx().await;
        let verdicts = self.worker.apply(&mut tx, batch).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(verdicts.len(), batch.len());
        verdicts
    }

    pub(crate) async fn apply_one(&self, envelope: Envelope) -> Verdict {
        self.apply(&[envelope]).await.remove(0)
    }

    pub(crate) async fn reports(&self) -> Vec<ReportRow> {
        let mut tx = self.tx().await;
        reports_for_subjects(
            tx.conn(),
            &[key("1").0],
            &Default::default(),
            Page::first(100),
        )
        .await
        .unwrap()
    }

    pub(crate) async fn results(&self, versions: Versions) -> Vec<ResultRow> {
        let mut tx = self.tx().await;
        let filter = ResultFilter {
            versions,
            ..ResultFilter::default()
        };
        results_for_subjects(tx.conn(), &[key("1").0], &filter, Page::first(500))
            .await
            .unwrap()
    }

    /// Current values, as `code=value status`.
    pub(crate) async fn current(&self) -> Vec<String> {
        shown(&self.results(Versions::Current).await)
    }

    /// All versions, as `code=value status`, current ones with a star.
    pub(crate) async fn history(&self) -> Vec<String> {
        self.results(Versions::All)
            .await
            .iter()
            .map(|row| {
                let star = if row.current { "*" } else { "" };
                format!("{}{star}", show(row))
            })
            .collect()
    }

    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        let mut tx = self.tx().await;
        sqlx::query_scalar(query)
            .fetch_one(tx.conn())
            .await
            .unwrap()
    }

    pub(crate) async fn text(&self, query: &'static str) -> String {
        let mut tx = self.tx().await;
        sqlx::query_scalar(query)
            .fetch_one(tx.conn())
            .await
            .unwrap()
    }
}

pub(crate) fn shown(rows: &[ResultRow]) -> Vec<String> {
    rows.iter().map(show).collect()
}

fn show(row: &ResultRow) -> String {
    format!(
        "{}={} {}",
        row.code,
        row.value_text.as_deref().unwrap_or("-"),
        row.status.as_deref().unwrap_or("-")
    )
}

/// Names of what a verdict says must follow.
pub(crate) fn said(verdict: &Verdict) -> Vec<&'static str> {
    match verdict {
        Verdict::Applied { outgoing, .. } => outgoing
            .iter()
            .map(|one| match one.to {
                hub_core::worker::Destination::Catalogue { name, .. } => name,
                hub_core::worker::Destination::Setting { .. } => "setting",
            })
            .collect(),
        Verdict::Unchanged => vec![],
        Verdict::Refused(refusal) => panic!("{refusal}"),
    }
}

pub(crate) fn unique_ids(verdict: &Verdict) -> bool {
    let Verdict::Applied { outgoing, .. } = verdict else {
        return true;
    };
    let ids: std::collections::HashSet<Uuid> = outgoing.iter().map(|one| one.id).collect();
    ids.len() == outgoing.len()
}
