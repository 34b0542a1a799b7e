//! The worker: one message after the other, each behind a savepoint, so that what is refused leaves no trace, and what a
//! constraint refuses is told by the constraint.

use hub_core::{Envelope, Refusal, Tx, Verdict, Worker, WorkerError};
use schemas::Body;
use schemas::scheduling::{
    AddException, AdvanceAppointment, AnswerWaitlist, BookAppointment, CallToken,
    ChangeAppointment, DefineSchedule, DelayQueue, EndException, JoinWaitlist,
    RescheduleAppointment, TendSchedule, WalkIn,
};

use crate::turn::{Stop, Turn};
use crate::{advance, booking, queues, schedules, tend, waitlist};

/// Owns the tables of appointments.
#[derive(Debug, Default, Clone, Copy)]
pub struct SchedulingWorker;

impl Worker for SchedulingWorker {
    const NAME: &'static str = "scheduling";
    const CONSUMES: &'static [&'static str] = &[
        DefineSchedule::NAME,
        AddException::NAME,
        EndException::NAME,
        TendSchedule::NAME,
        BookAppointment::NAME,
        WalkIn::NAME,
        AdvanceAppointment::NAME,
        RescheduleAppointment::NAME,
        ChangeAppointment::NAME,
        JoinWaitlist::NAME,
        AnswerWaitlist::NAME,
        CallToken::NAME,
        DelayQueue::NAME,
    ];

    async fn apply(
        &self,
        tx: &mut Tx<'_>,
        batch: &[Envelope],
    ) -> Result<Vec<Verdict>, WorkerError> {
        let mut verdicts = Vec::with_capacity(batch.len());
        for envelope in batch {
            savepoint(tx, "savepoint message").await?;
            let (verdict, end) = match decide(tx, envelope).await {
                Ok(verdict) => (verdict, "release savepoint message"),
                Err(Stop::Refused(refusal)) => {
                    (Verdict::Refused(refusal), "rollback to savepoint message")
                }
                Err(Stop::Failed(error)) => match refusal_of(&error) {
                    Some(refusal) => (Verdict::Refused(refusal), "rollback to savepoint message"),
                    None => return Err(WorkerError(error)),
                },
            };
            savepoint(tx, end).await?;
            verdicts.push(verdict);
        }
        Ok(verdicts)
    }
}

async fn savepoint(tx: &mut Tx<'_>, statement: &'static str) -> Result<(), WorkerError> {
    sqlx::query(statement)
        .execute(tx.conn())
        .await
        .map(drop)
        .map_err(WorkerError)
}

/// What the database would not have, in words.
fn refusal_of(error: &sqlx::Error) -> Option<Refusal> {
    let database = error.as_database_error()?;
    let by_name = database.constraint().and_then(|constraint| {
        Some(match constraint {
            "appointments_once" => Refusal::new(
                "appointments.same_slot_exists",
                "the patient has this slot already",
            ),
            "slots_capacity" | "slots_overbook" => {
                Refusal::new("slots.full_conflict", "the slot has no free place")
            }
            "slots_apart" => Refusal::new(
                "slots.overlap_conflict",
                "slots of this schedule would lie over each other",
            ),
            "waitlist_once" => Refusal::new(
                "waitlist.already_waiting",
                "the patient is on this waiting list already",
            ),
            "waitlist_offers_open" | "waitlist_offers_once" => Refusal::new(
                "waitlist.offer_exists",
                "the place was offered to the patient already",
            ),
            "tokens_live" => Refusal::new("queues.token_exists", "the appointment has a token"),
            "schedules_pkey" => Refusal::new("schedules.id_exists", "there is such a schedule"),
            _ => return None,
        })
    });
    let code = database.code()?;
    // 22: a value that is none (no such zone, no such time); 23514: a number out of bounds
    by_name.or_else(|| {
        (code.starts_with("22") || code == "23514" || code == "23505").then(|| {
            Refusal::new(
                "scheduling.value",
                format!(
                    "a value is not possible here ({})",
                    database.constraint().unwrap_or("time or zone")
                ),
            )
        })
    })
}

async fn decide(tx: &mut Tx<'_>, envelope: &Envelope) -> Result<Verdict, Stop> {
    macro_rules! turn {
        ($body:ident: $kind:ty => $work:path) => {{
            let $body: $kind = envelope.decode()?;
            let turn = Turn::begin(tx, envelope, &$body.actor).await?;
            $work(turn, &$body).await
        }};
    }
    match envelope.name.as_str() {
        DefineSchedule::NAME => turn!(body: DefineSchedule => schedules::define),
        AddException::NAME => turn!(body: AddException => schedules::add_exception),
        EndException::NAME => turn!(body: EndException => schedules::end_exception),
        TendSchedule::NAME => turn!(body: TendSchedule => tend::tend),
        BookAppointment::NAME => turn!(body: BookAppointment => booking::book),
        WalkIn::NAME => turn!(body: WalkIn => queues::walk_in),
        AdvanceAppointment::NAME => turn!(body: AdvanceAppointment => advance::advance),
        RescheduleAppointment::NAME => turn!(body: RescheduleAppointment => booking::reschedule),
        ChangeAppointment::NAME => turn!(body: ChangeAppointment => booking::change),
        JoinWaitlist::NAME => turn!(body: JoinWaitlist => waitlist::join),
        AnswerWaitlist::NAME => turn!(body: AnswerWaitlist => waitlist::answer),
        CallToken::NAME => turn!(body: CallToken => queues::call),
        DelayQueue::NAME => turn!(body: DelayQueue => queues::delay),
        other => Err(Refusal::new(
            "envelope.type",
            format!("{other} is none of the scheduling worker's messages"),
        )
        .into()),
    }
}
