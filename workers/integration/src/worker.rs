//! The worker: facts are gathered and written together, a command is carried out between them in its place.

use std::time::Duration;

use hub_core::{Envelope, Refusal, Tx, Verdict, Worker, WorkerError};
use schemas::Body;
use schemas::commands::{RecordAccess, ResolveDead, ResolveHeld, SetChannelState};
use schemas::incidents::{AcknowledgeIncident, EscalateIncidents};
use schemas::integration::{
    ChannelStateChanged, CodeMapped, DeadLettered, MessageTranslated, ResultHeld,
};
use schemas::sending::QueryAnswered;

use crate::asked::Asked;
use crate::audit::{self, Trail};
use crate::channels::{self, Links};
use crate::dead::{self, DeadLetters};
use crate::held::{self, HeldItems};
use crate::incidents;
use crate::ledger::Ledger;

/// Owns the schema `integration` (the backbone's own tables aside) and writes `audit.entries` for reads of bodies.
#[derive(Debug, Default, Clone, Copy)]
pub struct IntegrationWorker;

impl Worker for IntegrationWorker {
    const NAME: &'static str = "integration";
    const CONSUMES: &'static [&'static str] = &[
        MessageTranslated::NAME,
        DeadLettered::NAME,
        QueryAnswered::NAME,
        ChannelStateChanged::NAME,
        ResultHeld::NAME,
        CodeMapped::NAME,
        ResolveHeld::NAME,
        ResolveDead::NAME,
        SetChannelState::NAME,
        RecordAccess::NAME,
        AcknowledgeIncident::NAME,
        EscalateIncidents::NAME,
    ];
    /// One message makes several entries, the later ones when its effect is there: they share a transaction.
    const LINGERS: (&'static [&'static str], Duration) = (
        &[MessageTranslated::NAME, ResultHeld::NAME],
        Duration::from_millis(100),
    );

    async fn apply(
        &self,
        tx: &mut Tx<'_>,
        batch: &[Envelope],
    ) -> Result<Vec<Verdict>, WorkerError> {
        let mut facts = Facts::default();
        let mut ledger = Ledger::default();
        let mut trail = Trail::default();
        let mut verdicts = Vec::with_capacity(batch.len());
        for envelope in batch {
            let verdict = match envelope.name.as_str() {
                MessageTranslated::NAME => noted(ledger.note(envelope, &mut facts.dead)),
                DeadLettered::NAME => noted(facts.dead.note(envelope)),
                QueryAnswered::NAME => noted(facts.asked.note(envelope)),
                ChannelStateChanged::NAME => noted(facts.links.note(envelope)),
                ResultHeld::NAME => noted(facts.held.note(envelope)),
                RecordAccess::NAME => noted(audit::access(envelope, &mut trail)),
                _ => {
                    // what came before it must be there: a mapping resolves the items held so far
                    facts.save(tx).await?;
                    decide(tx, envelope, &mut trail).await?
                }
            };
            verdicts.push(verdict);
        }
        facts.save(tx).await?;
        ledger.save(tx).await?;
        trail.save(tx).await?;
        Ok(verdicts)
    }
}

#[derive(Default)]
struct Facts {
    dead: DeadLetters,
    links: Links,
    held: HeldItems,
    asked: Asked,
}

impl Facts {
    async fn save(&mut self, tx: &mut Tx<'_>) -> Result<(), WorkerError> {
        self.dead.save(tx).await?;
        self.links.save(tx).await?;
        self.asked.save(tx).await?;
        self.held.save(tx).await
    }
}

async fn decide(
    tx: &mut Tx<'_>,
    envelope: &Envelope,
    trail: &mut Trail,
) -> Result<Verdict, WorkerError> {
    match envelope.name.as_str() {
        CodeMapped::NAME => held::mapped(tx, envelope, trail).await,
        ResolveHeld::NAME => held::resolve(tx, envelope, trail).await,
        ResolveDead::NAME => dead::resolve(tx, envelope, trail).await,
        SetChannelState::NAME => channels::set(tx, envelope, trail).await,
        AcknowledgeIncident::NAME => incidents::acknowledge(tx, envelope, trail).await,
        EscalateIncidents::NAME => incidents::escalate(tx, envelope).await,
        other => Ok(Verdict::Refused(Refusal::new(
            "envelope.type",
            format!("{other} is none of the integration worker's messages"),
        ))),
    }
}

fn noted(result: Result<(), Refusal>) -> Verdict {
    match result {
        Ok(()) => Verdict::applied(),
        Err(refusal) => Verdict::Refused(refusal),
    }
}
