//! Shorthand: applying commands as a runner does, and a clinic to apply them to.

use hub_core::{Outgoing, Verdict, Worker as _};
use schemas::scheduling::{
    AdvanceAppointment, AppointmentAction, BookAppointment, DefineSchedule, Mode, TendSchedule,
    WeeklyHours,
};
use schemas::{Body, IdentifierKey, TenantId};
use serde_json::Value;
use sqlx::Row as _;
use test_support::{TestDatabase, envelope, tenant};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use worker_scheduling::SchedulingWorker;

/// A tenant with its database.
#[derive(Debug, Clone)]
pub(crate) struct House {
    pub(crate) database: TestDatabase,
    pub(crate) tenant: TenantId,
}

impl House {
    pub(crate) async fn new() -> Self {
        Self {
            database: TestDatabase::new().await,
            tenant: tenant("demo"),
        }
    }

    /// Applies one command in a transaction of its own.
    pub(crate) async fn apply<B: Body>(&self, body: &B) -> Verdict {
        let message = envelope(&self.tenant, "/api", body);
        let mut tx = self.database.tx(&self.tenant).await;
        let verdict = SchedulingWorker
            .apply(&mut tx, std::slice::from_ref(&message))
            .await
            .unwrap()
            .remove(0);
        tx.commit().await.unwrap();
        verdict
    }

    /// Applies them as one batch, in one transaction.
    pub(crate) async fn batch<B: Body>(&self, commands: &[B]) -> Vec<Verdict> {
        let messages: Vec<_> = commands
            .iter()
            .map(|command| envelope(&self.tenant, "/api", command))
            .collect();
        let mut tx = self.database.tx(&self.tenant).await;
        let verdicts = SchedulingWorker.apply(&mut tx, &messages).await.unwrap();
        tx.commit().await.unwrap();
        verdicts
    }

    /// Applies them all at once, each in its own transaction and task.
    pub(crate) async fn at_once<B: Body + Send + Sync + 'static>(
        &self,
        commands: Vec<B>,
    ) -> Vec<Verdict> {
        let tasks: Vec<_> = commands
            .into_iter()
            .map(|command| {
                let house = self.clone();
                tokio::spawn(async move { house.apply(&command).await })
            })
            .collect();
        let mut verdicts = Vec::new();
        for task in tasks {
            verdicts.push(task.await.unwrap());
        }
        verdicts
    }

    pub(crate) async fn schedule(&self, change: impl FnOnce(&mut DefineSchedule)) -> Uuid {
        let mut command = clinic();
        change(&mut command);
        answer(self.apply(&command).await);
        command.schedule_id
    }

    /// Ids of the schedule's slots that are not withdrawn and begin after now, by time.
    pub(crate) async fn slots(&self, schedule: Uuid) -> Vec<Uuid> {
        self.column(
            "select id from clinical.slots where schedule_id = $1 and state <> 'withdrawn' and starts_at > now() order by starts_at",
            schedule,
        )
        .await
    }

    pub(crate) async fn column<T>(&self, statement: &'static str, id: Uuid) -> Vec<T>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let mut tx = self.database.tx(&self.tenant).await;
        sqlx::query(statement)
            .bind(id)
            .fetch_all(tx.conn())
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect()
    }

    pub(crate) async fn state(&self, appointment: Uuid) -> String {
        self.column(
            "select state from clinical.appointments where id = $1",
            appointment,
        )
        .await
        .remove(0)
    }

    pub(crate) async fn starts_at(&self, slot: Uuid) -> OffsetDateTime {
        self.column("select starts_at from clinical.slots where id = $1", slot)
            .await
            .remove(0)
    }

    pub(crate) async fn book(&self, slot: Uuid, patient: Uuid) -> Uuid {
        let command = booking(slot, patient);
        answer(self.apply(&command).await);
        command.appointment_id
    }

    pub(crate) async fn advance(&self, appointment: Uuid, action: AppointmentAction) -> Verdict {
        self.apply(&step(appointment, action)).await
    }

    /// What is due at a time.
    pub(crate) async fn tend(&self, schedule: Uuid, at: OffsetDateTime) -> Verdict {
        self.apply(&TendSchedule {
            schedule_id: schedule,
            at: at.format(&Rfc3339).unwrap(),
            actor: "hub".to_owned(),
        })
        .await
    }

    /// Every place that is counted is somebody's, and nobody has one that is not counted.
    pub(crate) async fn every_place_is_counted(&self) {
        let mut tx = self.database.tx(&self.tenant).await;
        let wrong: i64 = sqlx::query_scalar(
            "select count(*) from clinical.slots s
             where s.taken <> (select count(*) from clinical.appointments a where a.slot_id = s.id and a.kind = 'slot'
                               and a.state in ('held', 'booked', 'confirmed', 'arrived', 'in_consult', 'done'))
                or s.overbooked <> (select count(*) from clinical.appointments a where a.slot_id = s.id and a.kind = 'overbook'
                               and a.state in ('held', 'booked', 'confirmed', 'arrived', 'in_consult', 'done'))",
        )
        .fetch_one(tx.conn())
        .await
        .unwrap();
        assert_eq!(wrong, 0, "slots whose places are counted wrongly");
    }
}

/// 08:00 to 20:00 by ten minutes, every day.
pub(crate) fn clinic() -> DefineSchedule {
    DefineSchedule {
        schedule_id: Uuid::now_v7(),
        new: true,
        version: None,
        name: "General OPD".to_owned(),
        facility: Some("MAIN".to_owned()),
        department: Some("OPD".to_owned()),
        practitioner: Some("D-7".to_owned()),
        practitioner_name: None,
        room: Some("12".to_owned()),
        service: Some("general".to_owned()),
        zone: "Asia/Kolkata".to_owned(),
        slot_minutes: 10,
        capacity: 1,
        overbook: 0,
        walk_ins: 0,
        horizon_days: 3,
        hold_seconds: 300,
        offer_seconds: 1_800,
        reminder_minutes: vec![1_440, 120],
        hours: hours("08:00", "20:00"),
        retired: false,
        actor: "desk".to_owned(),
    }
}

/// The same every day.
pub(crate) fn hours(from: &str, to: &str) -> Vec<WeeklyHours> {
    (1..=7)
        .map(|weekday| WeeklyHours {
            weekday,
            from: from.to_owned(),
            to: to.to_owned(),
        })
        .collect()
}

/// A zone in which it is about noon, so that there is a today before and after now.
pub(crate) fn noon() -> String {
    let offset = 12 - i16::from(OffsetDateTime::now_utc().hour());
    match offset {
        0 => "UTC".to_owned(),
        // the signs of these names are POSIX's: west is plus
        east @ 1.. => format!("Etc/GMT-{east}"),
        west => format!("Etc/GMT+{}", -west),
    }
}

pub(crate) fn booking(slot: Uuid, patient: Uuid) -> BookAppointment {
    BookAppointment {
        appointment_id: Uuid::now_v7(),
        slot_id: slot,
        subject_key: IdentifierKey(patient),
        person_keys: Vec::new(),
        hold: false,
        overbook: false,
        mode: Mode::InPerson,
        reason: None,
        note: None,
        actor: "desk".to_owned(),
    }
}

pub(crate) fn step(appointment: Uuid, action: AppointmentAction) -> AdvanceAppointment {
    AdvanceAppointment {
        appointment_id: appointment,
        action,
        version: None,
        reason: None,
        actor: "desk".to_owned(),
    }
}

pub(crate) fn patient() -> Uuid {
    Uuid::now_v7()
}

pub(crate) fn later(minutes: i64) -> OffsetDateTime {
    OffsetDateTime::now_utc() + Duration::minutes(minutes)
}

/// What a command answered.
#[track_caller]
pub(crate) fn answer(verdict: Verdict) -> Value {
    match verdict {
        Verdict::Applied { answer, .. } => answer.unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

/// What a command said, by name.
#[track_caller]
pub(crate) fn said(verdict: &Verdict) -> Vec<&'static str> {
    match verdict {
        Verdict::Applied { outgoing, .. } => outgoing.iter().map(name_of).collect(),
        Verdict::Unchanged => Vec::new(),
        refused @ Verdict::Refused(_) => panic!("{refused:?}"),
    }
}

fn name_of(outgoing: &Outgoing) -> &'static str {
    match &outgoing.to {
        hub_core::worker::Destination::Catalogue { name, .. } => name,
        hub_core::worker::Destination::Setting { .. } => "setting",
    }
}

/// The code of a refusal.
#[track_caller]
pub(crate) fn refusal(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Refused(refusal) => refusal.code,
        other => panic!("{other:?}"),
    }
}
