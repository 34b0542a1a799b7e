//! The API's ways through NATS.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hub_api::{
    BackboneError, Check, CommandOutcome, CommandRequest, Follow, KeptBody, Noted, Readiness,
    ReplayRequest,
};
use hub_core::backbone::{Backbone, PublishError, request_bucket};
use hub_core::facts::{self, Fact, FactPage, FactsError};
use hub_core::publish::{self, NewMessage};
use hub_core::subject::{self, StreamName};
use hub_core::{Position, Received, Stored, claim, migrate};
use schemas::{ChannelId, MessageKind, RawId, TenantId};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::channels::Registry;

/// How long each thing that the hub stands on may take to answer.
const CHECK: Duration = Duration::from_millis(1800);

/// [`hub_api::Backbone`] over NATS and the pool.
pub(crate) struct ApiBackbone {
    backbone: Backbone,
    pool: PgPool,
    channels: Registry,
}

impl ApiBackbone {
    pub(crate) fn new(backbone: Backbone, pool: PgPool, channels: Registry) -> Self {
        Self {
            backbone,
            pool,
            channels,
        }
    }

    async fn check_postgres(&self) -> (Check, Check) {
        let asked = async {
            let mut connection = self.pool.acquire().await?;
            migrate::is_current(&mut connection).await
        };
        match tokio::time::timeout(CHECK, asked).await {
            Ok(Ok(true)) => (Check::Ok, Check::Ok),
            Ok(Ok(false)) => (
                Check::Ok,
                Check::Failing("migrations are missing: run hub migrate".into()),
            ),
            Ok(Err(error)) => (Check::Failing(kind_of(&error).into()), Check::NotChecked),
            Err(_) => (
                Check::Failing("no answer within 1.8 s".into()),
                Check::NotChecked,
            ),
        }
    }

    async fn check_nats(&self) -> Check {
        match tokio::time::timeout(CHECK, self.backbone.bounds(StreamName::Raw)).await {
            Ok(Ok(_)) => Check::Ok,
            Ok(Err(error)) => Check::Failing(error.to_string()),
            Err(_) => Check::Failing("no answer within 1.8 s".into()),
        }
    }
}

/// Without the server's words, which can name hosts and users.
fn kind_of(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::PoolTimedOut => "no connection within the time allowed",
        sqlx::Error::Io(_) => "not reachable",
        sqlx::Error::Database(_) => "the server refuses",
        _ => "failing",
    }
}

fn stream_of(name: &str) -> Result<StreamName, BackboneError> {
    StreamName::parse(name).ok_or(BackboneError::Gone)
}

fn unavailable(error: impl std::fmt::Display) -> BackboneError {
    BackboneError::Unavailable(error.to_string())
}

fn facts_error(error: FactsError) -> BackboneError {
    match error {
        FactsError::Gone => BackboneError::Gone,
        FactsError::Backbone(error) => unavailable(error),
    }
}

struct Reading(facts::Following);

#[async_trait]
impl Follow for Reading {
    async fn next(&mut self) -> Fact {
        self.0.next().await
    }
}

#[async_trait]
impl hub_api::Backbone for ApiBackbone {
    async fn command(
        &self,
        command: CommandRequest,
        wait: Duration,
    ) -> Result<CommandOutcome, BackboneError> {
        let message = NewMessage {
            id: command.id,
            kind: MessageKind::Command,
            name: command.name,
            version: command.version,
            tenant: command.tenant,
            source: "/api".into(),
            aggregate: command.aggregate,
            body: command.body.into(),
            traceparent: Some(command.traceparent),
        };
        if wait.is_zero() {
            publish::publish(&self.backbone, &message, None)
                .await
                .map_err(unavailable)?;
            return Ok(CommandOutcome::Pending);
        }
        Ok(
            match publish::command(&self.backbone, &message, wait)
                .await
                .map_err(unavailable)?
            {
                Some(hub_core::worker::CommandOutcome::Applied { answer }) => {
                    CommandOutcome::Applied { answer }
                }
                Some(hub_core::worker::CommandOutcome::Refused { code, detail }) => {
                    CommandOutcome::Refused { code, detail }
                }
                None => CommandOutcome::Pending,
            },
        )
    }

    async fn kept_body(
        &self,
        tenant: &TenantId,
        stream: &str,
        position: Position,
    ) -> Result<Option<KeptBody>, BackboneError> {
        let stream = stream_of(stream)?;
        let Some(kept) = publish::kept(&self.backbone, stream, position)
            .await
            .map_err(unavailable)?
        else {
            return Ok(None);
        };
        if subject::tenant_of_subject(&kept.subject).as_ref() != Some(tenant) {
            return Ok(None);
        }
        let content_type = if stream == StreamName::Raw {
            "application/octet-stream"
        } else {
            "application/json"
        };
        let notes = kept
            .attributes
            .iter()
            .filter(|(name, _)| name == "hub-note")
            .map(|(_, value)| value.clone())
            .collect();
        Ok(Some(KeptBody {
            bytes: kept.body,
            content_type: content_type.into(),
            notes,
        }))
    }

    async fn inject(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        bytes: Bytes,
        parent: RawId,
        request: Uuid,
    ) -> Result<Stored, BackboneError> {
        let ingest = self.channels.ingest(tenant, channel).ok_or_else(|| {
            BackboneError::Channel(format!("channel {channel} is not in the configuration"))
        })?;
        let received = Received {
            bytes,
            peer: None,
            received_at: OffsetDateTime::now_utc(),
            notes: vec!["edited and sent again by a person".into()],
            quarantine: None,
            child_of: Some((parent, request)),
            id: None,
        };
        ingest.store(received).await.map_err(unavailable)
    }

    async fn replay(&self, replay: ReplayRequest) -> Result<(), BackboneError> {
        let stream = stream_of(&replay.stream)?;
        let kept = publish::kept(&self.backbone, stream, replay.position)
            .await
            .map_err(unavailable)?
            .ok_or(BackboneError::Gone)?;
        if subject::tenant_of_subject(&kept.subject).as_ref() != Some(&replay.tenant) {
            return Err(BackboneError::Gone);
        }
        if stream != StreamName::Raw {
            return publish::again(&self.backbone, &kept)
                .await
                .map(|_| ())
                .map_err(unavailable);
        }
        let channel = kept
            .subject
            .split('.')
            .nth(2)
            .and_then(|token| ChannelId::new(token).ok())
            .ok_or(BackboneError::Gone)?;
        let ingest = self
            .channels
            .ingest(&replay.tenant, &channel)
            .ok_or_else(|| {
                BackboneError::Channel(format!("channel {channel} is not in the configuration"))
            })?;
        // what the edge knew belongs to the message: translators read it
        let mut notes: Vec<String> = kept
            .attributes
            .iter()
            .filter(|(name, _)| name == "hub-note")
            .map(|(_, value)| value.clone())
            .collect();
        notes.push("processed once more at a person's request".into());
        let received = Received {
            id: kept
                .attribute("ce-id")
                .and_then(|id| Uuid::parse_str(id).ok())
                .map(RawId),
            peer: kept.attribute("hub-peer").map(str::to_owned),
            received_at: OffsetDateTime::now_utc(),
            notes,
            quarantine: None,
            child_of: None,
            bytes: kept.body,
        };
        ingest
            .store(received)
            .await
            .map(|_| ())
            .map_err(unavailable)
    }

    async fn attachment(
        &self,
        tenant: &TenantId,
        sha256: &str,
    ) -> Result<Option<Bytes>, BackboneError> {
        tokio::time::timeout(
            Duration::from_secs(10),
            claim::get(&self.backbone, tenant, sha256),
        )
        .await
        .map_err(unavailable)?
        .map_err(unavailable)
    }

    async fn noted(&self, key: &str) -> Result<Option<Noted>, BackboneError> {
        let entry = request_bucket::get(&self.backbone, key)
            .await
            .map_err(unavailable)?;
        Ok(entry.map(|entry| Noted {
            value: entry.value,
            revision: entry.revision,
        }))
    }

    async fn note(&self, key: &str, seen: u64, value: Bytes) -> Result<Option<u64>, BackboneError> {
        match request_bucket::put(&self.backbone, key, seen, value).await {
            Ok(revision) => Ok(Some(revision)),
            Err(PublishError::Conflict) => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn newest_fact(&self) -> Result<Position, BackboneError> {
        facts::newest(&self.backbone).await.map_err(facts_error)
    }

    async fn facts(
        &self,
        tenant: &TenantId,
        names: &[&'static str],
        after: Position,
        limit: usize,
    ) -> Result<FactPage, BackboneError> {
        facts::page(&self.backbone, tenant, names, after, limit)
            .await
            .map_err(facts_error)
    }

    fn follow(
        &self,
        tenant: &TenantId,
        names: &[&'static str],
        after: Position,
    ) -> Box<dyn Follow> {
        Box::new(Reading(facts::Following::after(
            &self.backbone,
            tenant,
            names,
            after,
        )))
    }

    async fn keep(&self, tenant: &TenantId, bytes: Bytes) -> Result<String, BackboneError> {
        tokio::time::timeout(
            Duration::from_secs(10),
            claim::put(&self.backbone, tenant, &bytes),
        )
        .await
        .map_err(unavailable)?
        .map_err(unavailable)
    }

    async fn readiness(&self) -> Readiness {
        let (nats, (postgres, migrations)) = tokio::join!(self.check_nats(), self.check_postgres());
        Readiness {
            nats,
            postgres,
            migrations,
            keys: match self.backbone.vault().standing() {
                Ok(()) => Check::Ok,
                Err(why) => Check::Failing(why.to_owned()),
            },
        }
    }
}
