//! Answers instruments that ask what is to be done (`ask.<tenant>.worklist`): from pending orders, in the words of the
//! tables of the channel that asks; and bedside devices whose lists are due (`ask.<tenant>.roster`). Reads only; what becomes
//! of an order its results tell.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use hub_core::backbone::Backbone;
use hub_core::retry::Pauses;
use hub_core::{Tx, subject};
use schemas::TenantId;
use schemas::rosters::RosterQuestion;
use schemas::worklist::WorklistQuestion;
use sqlx::PgPool;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::mapping_files::MappingFiles;

mod answer;
mod roster;

/// Questions answered at one time: fewer than the pool has connections, so that people get theirs.
const AT_ONCE: usize = 4;
/// Instruments give a host query one to five seconds (specs/lab-devices.md §2.3); a later answer is to nobody.
const DEADLINE: Duration = Duration::from_millis(2_000);
/// Numbers in one question: a rack holds ten, a tray a hundred.
const MOST_NUMBERS: usize = 1_000;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    Worklist,
    Roster,
}

impl Asks {
    /// Every tenant's questions, and the group in which processes share them.
    fn subject(self) -> (&'static str, &'static str) {
        match self {
            Self::Worklist => ("ask.*.worklist", "worklist"),
            Self::Roster => ("ask.*.roster", "roster"),
        }
    }

    fn counter(self) -> &'static str {
        match self {
            Self::Worklist => "hub_worklist_questions_total",
            Self::Roster => "hub_roster_questions_total",
        }
    }

    fn histogram(self) -> &'static str {
        match self {
            Self::Worklist => "hub_worklist_answer_seconds",
            Self::Roster => "hub_roster_answer_seconds",
        }
    }
}

/// The task that answers.
pub(super) struct Responder {
    pub(super) asks: Asks,
    pub(super) backbone: Backbone,
    pub(super) pool: PgPool,
    pub(super) mappings: Arc<MappingFiles>,
    pub(super) tenants: watch::Receiver<Vec<TenantId>>,
    pub(super) stop: CancellationToken,
}

/// A question as it came.
struct Asked {
    subject: String,
    reply: Option<String>,
    body: Bytes,
}

/// Why a question got no answer; the instrument asks again.
#[derive(Debug, thiserror::Error)]
enum Silence {
    #[error("the question can't be read")]
    Unreadable,
    #[error("it names more than {MOST_NUMBERS} specimens")]
    TooMany,
    #[error("no answer within {DEADLINE:?}")]
    Late,
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the answer does not serialise")]
    Unwritable(#[from] serde_json::Error),
}

impl Silence {
    /// Label of the counter.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Unreadable | Self::TooMany => "refused",
            Self::Late => "late",
            Self::Database(_) | Self::Unwritable(_) => "failed",
        }
    }
}

impl Responder {
    /// Runs until `stop`; questions in hand are answered.
    pub(super) async fn run(self) {
        let this = Arc::new(self);
        let mut pauses = Pauses::for_backbone();
        let (subject, group) = this.asks.subject();
        while !this.stop.is_cancelled() {
            match this
                .backbone
                .client()
                .queue_subscribe(subject, group.to_owned())
                .await
            {
                Ok(questions) => {
                    pauses = Pauses::for_backbone();
                    let questions = questions.map(|message| Asked {
                        subject: message.subject.to_string(),
                        reply: message.reply.map(|reply| reply.to_string()),
                        body: message.payload,
                    });
                    Arc::clone(&this).answer_all(questions).await;
                }
                Err(error) => tracing::warn!(%error, "instruments' questions can't be heard yet"),
            }
            if !pauses.wait(&this.stop).await {
                return;
            }
        }
    }

    async fn answer_all(self: Arc<Self>, mut questions: impl Stream<Item = Asked> + Unpin) {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let mut at_work = JoinSet::new();
        loop {
            while at_work.try_join_next().is_some() {}
            let question = tokio::select! {
                () = self.stop.cancelled() => break,
                next = questions.next() => match next {
                    Some(question) => question,
                    None => break,
                },
            };
            let Ok(place) = Arc::clone(&room).acquire_owned().await else {
                break;
            };
            let this = Arc::clone(&self);
            at_work.spawn(async move {
                this.reply(question).await;
                drop(place);
            });
        }
        while at_work.join_next().await.is_some() {}
    }

    async fn reply(&self, asked: Asked) {
        let Asked {
            subject,
            reply,
            body,
        } = asked;
        let (Some(tenant), Some(reply)) = (subject::tenant_of_subject(&subject), reply) else {
            return;
        };
        if !self.tenants.borrow().contains(&tenant) {
            return;
        }
        let began = Instant::now();
        let answer = async {
            match self.asks {
                Asks::Worklist => self.answer(&tenant, &body).await,
                Asks::Roster => self.roster(&tenant, &body).await,
            }
        };
        let answer = match tokio::time::timeout(DEADLINE, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(Silence::Late),
        };
        metrics::histogram!(self.asks.histogram()).record(began.elapsed().as_secs_f64());
        match answer {
            Ok(bytes) => {
                metrics::counter!(self.asks.counter(), "outcome" => "answered").increment(1);
                if let Err(error) = self.backbone.client().publish(reply, bytes.into()).await {
                    tracing::warn!(%error, "an answer to an instrument could not be sent");
                }
            }
            Err(silence) => {
                metrics::counter!(self.asks.counter(), "outcome" => silence.outcome()).increment(1);
                tracing::warn!(%tenant, reason = %silence, "an instrument's question is not answered");
            }
        }
    }

    async fn answer(&self, tenant: &TenantId, body: &[u8]) -> Result<Vec<u8>, Silence> {
        let question: WorklistQuestion =
            serde_json::from_slice(body).map_err(|_| Silence::Unreadable)?;
        if question.specimens.len() > MOST_NUMBERS {
            return Err(Silence::TooMany);
        }
        // which tests an instrument can do at all only the tables say
        if question.specimens.is_empty() {
            self.mappings.refresh().await;
        }
        let mut maps = self.mappings.store().current();
        let mut tx = Tx::begin(&self.pool, tenant).await?;
        let mut answer = answer::answer(&mut tx, &maps, &question).await?;
        // "nothing to do" makes an operator put the tube away: said only when the newest files have no name either
        if answer::lacks_a_name(&answer) {
            self.mappings.refresh().await;
            let newest = self.mappings.store().current();
            if newest.version() != maps.version() {
                maps = newest;
                answer = answer::answer(&mut tx, &maps, &question).await?;
            }
        }
        tx.rollback().await?;
        Ok(serde_json::to_vec(&answer)?)
    }

    async fn roster(&self, tenant: &TenantId, body: &[u8]) -> Result<Vec<u8>, Silence> {
        let question: RosterQuestion =
            serde_json::from_slice(body).map_err(|_| Silence::Unreadable)?;
        // whose certification was ended a moment ago must not be let in for another look
        if matches!(question, RosterQuestion::Operators { .. }) {
            self.mappings.refresh().await;
        }
        let maps = self.mappings.store().current();
        let mut tx = Tx::begin(&self.pool, tenant).await?;
        let answer = roster::answer(&mut tx, &maps, &question).await?;
        tx.rollback().await?;
        Ok(serde_json::to_vec(&answer)?)
    }
}
