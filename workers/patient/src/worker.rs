//! The worker: first the mentions of people we know, then the rest as one change of the index.

use hub_core::{Envelope, Tx, Verdict, Worker, WorkerError};
use schemas::Body;
use schemas::commands::{MergePatients, UnmergePatient};
use schemas::patients::{PatientMergeReported, PatientReported};
use schemas::privacy::{MovePrivacyRequest, OpenPrivacyRequest, RecordConsent, WithdrawConsent};
use schemas::registration::{
    AddIdentifier, ChangePatient, DefineSeries, EndIdentifier, RegisterPatient, RestrictPatient,
};
use sqlx::Connection;
use uuid::Uuid;

use crate::desk::{self, Ready};
use crate::effect::Effect;
use crate::mention;
use crate::message::Message;
use crate::privacy;
use crate::similarity::Candidates;
use crate::store::{Saved, known, load, save};

/// How often a batch is done anew after another process was faster. Each time at least one more identifier is known.
const ATTEMPTS: usize = 5;

/// Owns the schema `patients`.
#[derive(Debug, Default, Clone, Copy)]
pub struct PatientWorker;

impl Worker for PatientWorker {
    const NAME: &'static str = "patient";
    const CONSUMES: &'static [&'static str] = &[
        PatientReported::NAME,
        PatientMergeReported::NAME,
        MergePatients::NAME,
        UnmergePatient::NAME,
        RecordConsent::NAME,
        WithdrawConsent::NAME,
        OpenPrivacyRequest::NAME,
        MovePrivacyRequest::NAME,
        RegisterPatient::NAME,
        ChangePatient::NAME,
        RestrictPatient::NAME,
        AddIdentifier::NAME,
        EndIdentifier::NAME,
        DefineSeries::NAME,
    ];

    async fn apply(
        &self,
        tx: &mut Tx<'_>,
        batch: &[Envelope],
    ) -> Result<Vec<Verdict>, WorkerError> {
        let mentions: Vec<Option<Uuid>> = batch
            .iter()
            .map(|message| mention::primary_key(message).map(|key| key.0))
            .collect();
        let known = known(tx.conn(), mentions.iter().flatten().copied().collect()).await?;
        let mut verdicts: Vec<Option<Verdict>> = Vec::with_capacity(batch.len());
        let mut rest: Vec<(&Envelope, Message)> = Vec::new();
        for (envelope, mention) in batch.iter().zip(mentions) {
            if privacy::CONSUMES.contains(&envelope.name.as_str()) {
                verdicts.push(Some(privacy::decide(tx, envelope).await?));
                continue;
            }
            verdicts.push(if mention.is_some_and(|key| known.contains(&key)) {
                Some(Verdict::Unchanged)
            } else {
                match Message::read(envelope) {
                    Ok(message) => {
                        rest.push((envelope, message));
                        None
                    }
                    Err(refusal) => Some(Verdict::Refused(refusal)),
                }
            });
        }
        let mut others = apply_rest(tx, &mut rest).await?.into_iter();
        Ok(verdicts
            .into_iter()
            .filter_map(|verdict| verdict.or_else(|| others.next()))
            .collect())
    }
}

/// Runs of what sources say as one change each; what a desk says by itself, because what is on file decides about it.
async fn apply_rest(
    tx: &mut Tx<'_>,
    rest: &mut [(&Envelope, Message)],
) -> Result<Vec<Verdict>, WorkerError> {
    let mut verdicts = Vec::with_capacity(rest.len());
    let mut start = 0;
    while start < rest.len() {
        if rest[start].1.is_of_desk() {
            let (envelope, message) = &mut rest[start];
            match desk::prepare(tx, envelope, message).await? {
                Ready::Go => verdicts.extend(change(tx, &rest[start..=start]).await?),
                Ready::Done(verdict) => verdicts.push(verdict),
            }
            start += 1;
        } else {
            let end = rest[start..]
                .iter()
                .position(|(_, message)| message.is_of_desk())
                .map_or(rest.len(), |run| start + run);
            verdicts.extend(change(tx, &rest[start..end]).await?);
            start = end;
        }
    }
    Ok(verdicts)
}

async fn change(
    tx: &mut Tx<'_>,
    rest: &[(&Envelope, Message)],
) -> Result<Vec<Verdict>, WorkerError> {
    let tenant = tx.tenant().clone();
    let messages: Vec<&Message> = rest.iter().map(|(_, message)| message).collect();
    for attempt in 0..ATTEMPTS {
        let mut index = load(tx.conn(), &messages, attempt > 0).await?;
        let effects: Vec<(Uuid, Effect)> = rest
            .iter()
            .map(|(envelope, message)| (envelope.id, index.apply(message, envelope)))
            .collect();
        let writes = effects
            .iter()
            .any(|(_, effect)| matches!(effect, Effect::Changed { .. } | Effect::Confirmed));
        let candidates = if writes {
            let mut savepoint = tx.conn().begin().await?;
            match save(&mut savepoint, &tenant, &index, &effects).await? {
                Saved::Done(candidates) => {
                    savepoint.commit().await?;
                    candidates
                }
                Saved::LostRace => {
                    savepoint.rollback().await?;
                    continue;
                }
            }
        } else {
            Candidates::default()
        };
        return Ok(effects
            .into_iter()
            .zip(rest)
            .map(|((_, effect), (envelope, _))| effect.into_verdict(envelope, &candidates))
            .collect());
    }
    // transient for the runner: the lane waits and tries again
    Err(WorkerError(sqlx::Error::Protocol(
        "the same identifiers are being registered elsewhere: tried too often".to_owned(),
    )))
}
