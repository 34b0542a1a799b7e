//! Alarms of bedside devices: `clinical.alarm.reported`. Secondary notification only: the bedside is the alarm of record, and
//! nothing here may be relied on instead of it.
//!
//! An alarm is a state, one row, not a page for each message. What messages say is taken by their times, so that it does not
//! matter which arrives first: an alarm is over when its newest end is not before its newest start, and a message that it goes
//! on, however late, opens nothing. Messages that change nothing are counted only.

use hub_core::{Envelope, Refusal, Tx};
use schemas::Body;
use schemas::devices::{AlarmChanged, AlarmPhase, AlarmReported, Bed};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::batch::Batch;
use crate::beds::{self, Question, Questions};
use crate::body;
use crate::vitals::whose;

mod stored;

use stored::Alarm;

/// One message, its times read.
struct Said {
    body: AlarmReported,
    at: OffsetDateTime,
}

impl Said {
    fn read(envelope: &Envelope) -> Result<Self, Refusal> {
        let body: AlarmReported = body::decode(envelope)?;
        let at = body::time(body.at.as_deref(), "at")?.unwrap_or(envelope.occurred_at);
        Ok(Self { body, at })
    }

    /// Of two messages of one moment the one that ends it is the newer.
    fn rank(&self) -> i16 {
        match self.body.phase {
            AlarmPhase::Start => 0,
            AlarmPhase::Continue => 1,
            AlarmPhase::Update => 2,
            AlarmPhase::Point => 3,
            AlarmPhase::End => 4,
        }
    }

    fn starts(&self) -> bool {
        matches!(self.body.phase, AlarmPhase::Start | AlarmPhase::Point)
    }

    /// An end; or a state that is none. A latched alarm goes on until somebody at the bedside has seen it.
    fn ends(&self) -> bool {
        match (self.body.phase, self.body.state.as_deref()) {
            (AlarmPhase::Point, _) => true,
            (AlarmPhase::End, Some("latched")) => false,
            (AlarmPhase::End, _) => true,
            (_, state) => matches!(state, Some("inactive" | "off")),
        }
    }
}

/// Applies every `clinical.alarm.reported` of the batch. Alarms are few beside measurements: one by one.
pub(crate) async fn apply(tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Result<(), sqlx::Error> {
    for slot in batch.named(AlarmReported::NAME) {
        match Said::read(&batch.envelopes[slot]) {
            Ok(said) => take(tx, batch, slot, &said).await?,
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    Ok(())
}

async fn take(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    said: &Said,
) -> Result<(), sqlx::Error> {
    let channel = said.body.channel.as_str();
    let names: Vec<&str> = said
        .body
        .parent_name
        .iter()
        .chain([&said.body.event_name])
        .map(String::as_str)
        .collect();
    let before = stored::find(tx, channel, &names).await?;
    let (mut after, news) = applied(tx, before.as_ref(), said);
    if after.subject_key.is_none()
        || before
            .as_ref()
            .is_none_or(|old| old.named_key != after.named_key)
    {
        after.subject_key = found(tx, std::slice::from_ref(&after)).await?[0];
    }
    stored::save(tx, &after).await?;
    stored::name(tx, channel, &names, after.id).await?;
    if !news {
        batch.applied(slot);
        return Ok(());
    }
    stored::note(tx, &after, &said.body, said.at, batch.envelopes[slot].id).await?;
    batch.changes.alarms += 1;
    batch.say(
        slot,
        &AlarmChanged {
            alarm_id: after.id,
            status: after.status().to_owned(),
            priority: after.priority.clone(),
        },
    );
    Ok(())
}

/// The alarm after the message, and whether that is news.
fn applied(tx: &Tx<'_>, before: Option<&Alarm>, said: &Said) -> (Alarm, bool) {
    let body = &said.body;
    let mut alarm = before.cloned().unwrap_or_else(|| Alarm::new(body, said.at));
    alarm.messages += 1;
    alarm.begun_at = alarm.begun_at.min(said.at);
    if said.starts() {
        alarm.started_at = alarm.started_at.max(Some(said.at));
    }
    if said.ends() {
        alarm.ended_at = alarm.ended_at.max(Some(said.at));
    }
    if let Some(subject) = &body.subject {
        alarm.named_key = Some(subject.key.0);
        alarm.named_value = Some(subject.value.clone());
    }
    if let Some(location) = &body.location {
        alarm.bed_key = Bed::of(location).map(|bed| bed.key(tx.tenant()));
        alarm.place = beds::json_of(Some(location));
    }
    let ended = alarm.status() == "ended";
    let newest = before.is_none_or(|old| (said.at, said.rank()) >= (old.last_at, old.last_rank));
    // the last word on an alarm that is over has its end; that it went on is of no account then
    let counts = if ended {
        said.ends() && alarm.ended_at == Some(said.at)
    } else {
        newest
    };
    if newest {
        alarm.last_at = said.at;
        alarm.last_rank = said.rank();
    }
    // what is older only fills what is empty
    let keep = |old: &mut Option<String>, new: &Option<String>| {
        if new.is_some() && (counts || old.is_none()) {
            old.clone_from(new);
        }
    };
    keep(&mut alarm.text, &body.text);
    keep(&mut alarm.priority, &body.priority);
    keep(&mut alarm.state, &body.state);
    keep(&mut alarm.kind, &body.kind);
    keep(&mut alarm.abnormality, &body.abnormality);
    keep(&mut alarm.source, &body.source);
    keep(&mut alarm.device, &body.device);
    if !body.inactivation.is_empty() && (counts || alarm.inactivation.is_empty()) {
        alarm.inactivation.clone_from(&body.inactivation);
    }
    if body.measured.is_some() && (counts || alarm.measured.is_none()) {
        alarm.measured = serde_json::to_value(&body.measured).ok();
    }
    let news = before.is_none_or(|old| {
        body.phase != AlarmPhase::Continue
            || old.status() != alarm.status()
            || old.priority != alarm.priority
            || old.state != alarm.state
            || old.inactivation != alarm.inactivation
    });
    (alarm, news)
}

/// Whose each alarm is: the patient named, else who was in the bed when it began.
async fn found(tx: &mut Tx<'_>, alarms: &[Alarm]) -> Result<Vec<Option<Uuid>>, sqlx::Error> {
    let mut questions = Questions::default();
    let asked: Vec<Option<usize>> = alarms
        .iter()
        .map(|alarm| {
            let place = serde_json::from_value(alarm.place.clone()?).ok()?;
            Some(questions.ask(Question {
                bed: Bed::of(&place)?,
                at: alarm.begun_at,
                named: alarm.named_key.zip(alarm.named_value.clone()),
            }))
        })
        .collect();
    let answers = beds::occupancy(tx, &questions).await?;
    Ok(alarms
        .iter()
        .zip(asked)
        .map(|(alarm, asked)| {
            let bed = asked.and_then(|at| answers.get(at));
            whose(alarm.named_key, bed, false)
                .ok()
                .map(|(subject, _)| subject)
        })
        .collect())
}

/// Who was in a bed is known differently: alarms that began there since then are looked at again. Answers how many changed.
pub(crate) async fn look_again(
    tx: &mut Tx<'_>,
    bed: Uuid,
    since: OffsetDateTime,
) -> Result<usize, sqlx::Error> {
    let alarms = stored::of_bed(tx, bed, since).await?;
    if alarms.is_empty() {
        return Ok(0);
    }
    let subjects = found(tx, &alarms).await?;
    let changed: Vec<(Uuid, Option<Uuid>)> = alarms
        .iter()
        .zip(subjects)
        .filter(|(alarm, subject)| alarm.subject_key != *subject)
        .map(|(alarm, subject)| (alarm.id, subject))
        .collect();
    stored::give(tx, &changed).await?;
    Ok(changed.len())
}
