//! A backbone in memory: messages go to the real workers at once, each with its row in the inbox.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hub_api::{
    Backbone, BackboneError, Check, CommandOutcome, CommandRequest, Follow, KeptBody, Noted,
    Readiness, ReplayRequest,
};
use hub_core::facts::{Fact, FactPage};
use hub_core::worker::Destination;
use hub_core::{Envelope, Position, Stored, Verdict, Worker};
use schemas::{ChannelId, RawId, TenantId};
use serde_json::{Value, json};
use sqlx::PgPool;
use test_support::envelope;
use uuid::Uuid;
use worker_clinical::ClinicalWorker;
use worker_identity::IdentityWorker;
use worker_integration::IntegrationWorker;
use worker_patient::PatientWorker;
use worker_scheduling::SchedulingWorker;

/// What the backbone does with commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Willing,
    /// On disk, and no worker is there.
    Busy,
    /// NATS is away.
    Down,
    /// A bug.
    Panicking,
}

pub(crate) struct FakeBackbone {
    pool: PgPool,
    mood: Mutex<Mood>,
    pub(crate) commands: Mutex<Vec<CommandRequest>>,
    pub(crate) kept: Mutex<HashMap<(String, u64), Bytes>>,
    pub(crate) injected: Mutex<Vec<(ChannelId, Bytes, RawId)>>,
    pub(crate) replayed: Mutex<Vec<ReplayRequest>>,
    /// As the bucket of requests: value and revision.
    pub(crate) notes: Mutex<HashMap<String, Noted>>,
    /// As EVENTS: facts that workers said, in order; the n-th stands at sequence n.
    facts: Arc<Mutex<Vec<(TenantId, Fact)>>>,
    told: Arc<tokio::sync::Notify>,
    /// Facts up to this sequence have aged out.
    pub(crate) aged_out: Mutex<u64>,
    /// The object store.
    objects: Mutex<HashMap<String, Bytes>>,
}

impl FakeBackbone {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            mood: Mutex::new(Mood::Willing),
            commands: Mutex::default(),
            kept: Mutex::default(),
            injected: Mutex::default(),
            replayed: Mutex::default(),
            notes: Mutex::default(),
            facts: Arc::default(),
            told: Arc::default(),
            aged_out: Mutex::default(),
            objects: Mutex::default(),
        }
    }

    pub(crate) fn be(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }

    /// Gives a command to its worker, also one that nobody was there for when it came.
    pub(crate) async fn carry_out(&self, command: CommandRequest) -> CommandOutcome {
        let mut message = envelope(&command.tenant, "/api", &Empty {});
        message.id = command.id;
        message.name = command.name.to_owned();
        message.body = command.body.into();
        self.deliver(message).await
    }

    /// Gives a message to the worker that consumes it, and what follows to theirs.
    pub(crate) async fn deliver(&self, message: Envelope) -> CommandOutcome {
        let mut outcome = CommandOutcome::Pending;
        let mut waiting = vec![message];
        while let Some(message) = waiting.pop() {
            if let Some(decided) = self.decided(&message).await {
                if outcome == CommandOutcome::Pending {
                    outcome = decided;
                }
                continue;
            }
            self.keep_fact(&message);
            let Some((worker, verdict)) = self.apply(&message).await else {
                continue;
            };
            let (name, decided) = match verdict {
                Verdict::Applied { outgoing, answer } => {
                    for one in outgoing {
                        if let Destination::Catalogue { name, version, .. } = one.to {
                            waiting.push(Envelope {
                                id: one.id,
                                name: name.to_owned(),
                                version,
                                body: one.body.into(),
                                ..message.clone()
                            });
                        }
                    }
                    ("applied", CommandOutcome::Applied { answer })
                }
                Verdict::Unchanged => ("unchanged", CommandOutcome::Applied { answer: None }),
                Verdict::Refused(refusal) => (
                    "refused",
                    CommandOutcome::Refused {
                        code: refusal.code.to_owned(),
                        detail: refusal.detail,
                    },
                ),
            };
            self.enter(&message, worker, name, &decided).await;
            if outcome == CommandOutcome::Pending {
                outcome = decided;
            }
        }
        outcome
    }

    /// A message that came before is not applied again: what was decided then, as the inbox has it.
    async fn decided(&self, message: &Envelope) -> Option<CommandOutcome> {
        let mut tx = hub_core::Tx::begin(&self.pool, &message.tenant)
            .await
            .unwrap();
        let told: Value =
            sqlx::query_scalar("select answer from integration.inbox where event_id = $1")
                .bind(message.id)
                .fetch_optional(tx.conn())
                .await
                .unwrap()?;
        let text = |member: &str| told[member].as_str().unwrap().to_owned();
        Some(match told["status"].as_str() {
            Some("refused") => CommandOutcome::Refused {
                code: text("code"),
                detail: text("detail"),
            },
            _ => CommandOutcome::Applied {
                answer: Some(told["answer"].clone()).filter(|answer| !answer.is_null()),
            },
        })
    }

    fn keep_fact(&self, message: &Envelope) {
        let is_event = schemas::CatalogueEntry::find(&message.name)
            .is_some_and(|entry| entry.kind == schemas::MessageKind::Event);
        if is_event {
            let mut facts = self.facts.lock().unwrap();
            let seq = facts.len() as u64 + 1;
            facts.push((
                message.tenant.clone(),
                Fact {
                    position: Position { seq, index: 0 },
                    name: message.name.clone(),
                    at: "2026-01-31T08:30:00Z".to_owned(),
                    body: message.body.clone(),
                },
            ));
            drop(facts);
            self.told.notify_waiters();
        }
    }

    async fn apply(&self, message: &Envelope) -> Option<(&'static str, Verdict)> {
        let mut tx = hub_core::Tx::begin(&self.pool, &message.tenant)
            .await
            .unwrap();
        let batch = std::slice::from_ref(message);
        let name = message.name.as_str();
        let (worker, verdicts) = if PatientWorker::CONSUMES.contains(&name) {
            (
                PatientWorker::NAME,
                PatientWorker.apply(&mut tx, batch).await,
            )
        } else if ClinicalWorker::CONSUMES.contains(&name) {
            (ClinicalWorker::NAME, clinical().apply(&mut tx, batch).await)
        } else if IntegrationWorker::CONSUMES.contains(&name) {
            (
                IntegrationWorker::NAME,
                IntegrationWorker.apply(&mut tx, batch).await,
            )
        } else if IdentityWorker::CONSUMES.contains(&name) {
            (
                IdentityWorker::NAME,
                IdentityWorker.apply(&mut tx, batch).await,
            )
        } else if SchedulingWorker::CONSUMES.contains(&name) {
            (
                SchedulingWorker::NAME,
                SchedulingWorker.apply(&mut tx, batch).await,
            )
        } else {
            return None;
        };
        let verdict = verdicts.unwrap().remove(0);
        tx.commit().await.unwrap();
        Some((worker, verdict))
    }

    /// As the runner does (hub/core, worker/transaction.rs).
    async fn enter(&self, message: &Envelope, worker: &str, outcome: &str, told: &CommandOutcome) {
        let answer = match told {
            CommandOutcome::Applied { answer } => json!({ "status": "applied", "answer": answer }),
            CommandOutcome::Refused { code, detail } => {
                json!({ "status": "refused", "code": code, "detail": detail })
            }
            CommandOutcome::Pending => Value::Null,
        };
        let mut tx = hub_core::Tx::begin(&self.pool, &message.tenant)
            .await
            .unwrap();
        sqlx::query(
            "insert into integration.inbox (tenant_id, event_id, worker, outcome, answer) values ($1, $2, $3, $4, $5)",
        )
        .bind(message.tenant.as_str())
        .bind(message.id)
        .bind(worker)
        .bind(outcome)
        .bind(answer)
        .execute(tx.conn())
        .await
        .unwrap();
        tx.commit().await.unwrap();
    }
}

#[async_trait]
impl Backbone for FakeBackbone {
    async fn command(
        &self,
        command: CommandRequest,
        wait: Duration,
    ) -> Result<CommandOutcome, BackboneError> {
        assert!(wait <= Duration::from_secs(2));
        match self.mood() {
            Mood::Down => return Err(BackboneError::Unavailable("not connected".to_owned())),
            Mood::Panicking => panic!("patient 12345 must not leak"),
            Mood::Busy | Mood::Willing => {}
        }
        self.commands.lock().unwrap().push(command.clone());
        if self.mood() == Mood::Busy {
            return Ok(CommandOutcome::Pending);
        }
        Ok(self.carry_out(command).await)
    }

    async fn kept_body(
        &self,
        _: &TenantId,
        stream: &str,
        position: Position,
    ) -> Result<Option<KeptBody>, BackboneError> {
        let kept = self.kept.lock().unwrap();
        Ok(kept
            .get(&(stream.to_owned(), position.seq))
            .map(|bytes| KeptBody {
                bytes: bytes.clone(),
                content_type: "application/octet-stream".to_owned(),
                notes: vec!["noise before the frame".to_owned()],
            }))
    }

    async fn inject(
        &self,
        _: &TenantId,
        channel: &ChannelId,
        bytes: Bytes,
        parent: RawId,
        request: Uuid,
    ) -> Result<Stored, BackboneError> {
        let id = RawId::child(parent, request, &bytes);
        self.injected
            .lock()
            .unwrap()
            .push((channel.clone(), bytes, parent));
        Ok(Stored {
            id,
            position: Position::default(),
        })
    }

    async fn replay(&self, replay: ReplayRequest) -> Result<(), BackboneError> {
        self.replayed.lock().unwrap().push(replay);
        Ok(())
    }

    async fn attachment(&self, _: &TenantId, sha256: &str) -> Result<Option<Bytes>, BackboneError> {
        let stored = self.objects.lock().unwrap().get(sha256).cloned();
        Ok(stored.or_else(|| (sha256 == ATTACHMENT).then(|| Bytes::from_static(b"%PDF-1.7"))))
    }

    async fn keep(&self, _: &TenantId, bytes: Bytes) -> Result<String, BackboneError> {
        let name = hub_core::claim::digest(&bytes);
        self.objects.lock().unwrap().insert(name.clone(), bytes);
        Ok(name)
    }

    async fn noted(&self, key: &str) -> Result<Option<Noted>, BackboneError> {
        if self.mood() == Mood::Down {
            return Err(BackboneError::Unavailable("not connected".to_owned()));
        }
        Ok(self.notes.lock().unwrap().get(key).cloned())
    }

    async fn note(&self, key: &str, seen: u64, value: Bytes) -> Result<Option<u64>, BackboneError> {
        if self.mood() == Mood::Down {
            return Err(BackboneError::Unavailable("not connected".to_owned()));
        }
        let mut notes = self.notes.lock().unwrap();
        if notes.get(key).map_or(0, |noted| noted.revision) != seen {
            return Ok(None);
        }
        let revision = seen + 1;
        notes.insert(key.to_owned(), Noted { value, revision });
        Ok(Some(revision))
    }

    async fn newest_fact(&self) -> Result<Position, BackboneError> {
        Ok(Position {
            seq: self.facts.lock().unwrap().len() as u64,
            index: u16::MAX,
        })
    }

    async fn facts(
        &self,
        tenant: &TenantId,
        names: &[&'static str],
        after: Position,
        limit: usize,
    ) -> Result<FactPage, BackboneError> {
        let facts = self.facts.lock().unwrap();
        let aged_out = *self.aged_out.lock().unwrap();
        if after.seq > facts.len() as u64 || (after.seq > 0 && after.seq < aged_out) {
            return Err(BackboneError::Gone);
        }
        let mut found: Vec<Fact> = facts
            .iter()
            .filter(|(whose, fact)| whose == tenant && names.contains(&fact.name.as_str()))
            .map(|(_, fact)| fact.clone())
            .filter(|fact| fact.position > after)
            .collect();
        let is_last = found.len() <= limit;
        found.truncate(limit);
        let end = Position {
            seq: facts.len() as u64,
            index: u16::MAX,
        };
        let reached = match found.last() {
            Some(fact) if !is_last => fact.position,
            _ => end,
        };
        Ok(FactPage {
            facts: found,
            reached,
            is_last,
        })
    }

    fn follow(
        &self,
        tenant: &TenantId,
        names: &[&'static str],
        after: Position,
    ) -> Box<dyn Follow> {
        Box::new(Reading {
            facts: Arc::clone(&self.facts),
            told: Arc::clone(&self.told),
            tenant: tenant.clone(),
            names: names.to_vec(),
            after,
        })
    }

    async fn readiness(&self) -> Readiness {
        Readiness {
            nats: match self.mood() {
                Mood::Down => Check::Failing("not connected".to_owned()),
                _ => Check::Ok,
            },
            postgres: Check::Ok,
            migrations: Check::Ok,
            keys: Check::Ok,
        }
    }
}

struct Reading {
    facts: Arc<Mutex<Vec<(TenantId, Fact)>>>,
    told: Arc<tokio::sync::Notify>,
    tenant: TenantId,
    names: Vec<&'static str>,
    after: Position,
}

#[async_trait]
impl Follow for Reading {
    async fn next(&mut self) -> Fact {
        loop {
            let told = Arc::clone(&self.told);
            let told = told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            let found = self
                .facts
                .lock()
                .unwrap()
                .iter()
                .filter(|(whose, fact)| {
                    *whose == self.tenant && self.names.contains(&fact.name.as_str())
                })
                .find(|(_, fact)| fact.position > self.after)
                .map(|(_, fact)| fact.clone());
            if let Some(fact) = found {
                self.after = fact.position;
                return fact;
            }
            told.await;
        }
    }
}

/// Digest of the one attachment that the fake object store has.
pub(crate) const ATTACHMENT: &str =
    "6ae8a75555209fd6c44157c0aed8016e763ff435a19cf186f76863140143ff72";

#[derive(serde::Serialize, serde::Deserialize)]
struct Empty {}
impl schemas::Body for Empty {
    const NAME: &'static str = "none.none.none";
}

/// Results of the channel `analyzer` must be verified.
fn clinical() -> ClinicalWorker {
    let channel = ChannelId::new("analyzer").unwrap();
    ClinicalWorker::default().with_verification([(test_support::tenant("demo"), channel)])
}
