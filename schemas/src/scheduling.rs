//! Appointments: schedules and their slots, who has which, who waits for one, who is called next.
//!
//! Bodies name patients by the key of an identifier, never by name. All of one schedule has one lane.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Body, IdentifierKey};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($variant),+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As it stands in JSON and in tables.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The one that is written so.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text)
            }
        }
    };
}

words! {
    /// Where an appointment stands.
    AppointmentState {
        Held = "held", Booked = "booked", Confirmed = "confirmed", Arrived = "arrived", InConsult = "in_consult",
        Done = "done", Cancelled = "cancelled", NoShow = "no_show", Expired = "expired",
    }
}

words! {
    /// What is done with an appointment.
    AppointmentAction {
        Book = "book", Confirm = "confirm", Arrive = "arrive", Start = "start", Finish = "finish", Cancel = "cancel",
        NoShow = "no_show", Reschedule = "reschedule", Expire = "expire",
    }
}

words! {
    /// How patient and practitioner meet.
    Mode { InPerson = "in_person", Video = "video", Phone = "phone" }
}

words! {
    /// What an exception does to a schedule.
    ExceptionKind { Leave = "leave", Extra = "extra" }
}

words! {
    /// What somebody on the waiting list says.
    WaitlistAnswer { Accept = "accept", Decline = "decline", Withdraw = "withdraw" }
}

/// Working hours on one day of the week, wall-clock times in the schedule's zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WeeklyHours {
    /// 1 is Monday (ISO 8601).
    pub weekday: i16,
    /// `08:00`
    pub from: String,
    /// `20:00`; `24:00` is midnight.
    pub to: String,
}

/// `scheduling.schedule.define`: make a schedule, or say how it is from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DefineSchedule {
    pub schedule_id: Uuid,
    /// True: there is none of this id yet.
    pub new: bool,
    /// The version that the caller saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facility: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub practitioner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub practitioner_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// IANA name.
    pub zone: String,
    pub slot_minutes: i16,
    pub capacity: i16,
    pub overbook: i16,
    /// Walk-in tokens a day.
    pub walk_ins: i16,
    pub horizon_days: i16,
    pub hold_seconds: i32,
    pub offer_seconds: i32,
    pub reminder_minutes: Vec<i32>,
    pub hours: Vec<WeeklyHours>,
    /// True: no slots any more.
    pub retired: bool,
    pub actor: String,
}

impl Body for DefineSchedule {
    const NAME: &'static str = "scheduling.schedule.define";
}

/// `scheduling.exception.add`: leave, or extra hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddException {
    pub exception_id: Uuid,
    pub schedule_id: Uuid,
    pub kind: ExceptionKind,
    /// ISO 8601.
    pub first_day: String,
    pub last_day: String,
    /// Of each day; absent: the whole day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    pub reason: String,
    pub actor: String,
}

impl Body for AddException {
    const NAME: &'static str = "scheduling.exception.add";
}

/// `scheduling.exception.end`: it does not hold any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndException {
    pub exception_id: Uuid,
    pub actor: String,
}

impl Body for EndException {
    const NAME: &'static str = "scheduling.exception.end";
}

/// `scheduling.schedule.tend`: what is due by the clock: holds and offers that are over, reminders, slots of further days.
/// Sent by the hub itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TendSchedule {
    pub schedule_id: Uuid,
    /// RFC 3339.
    pub at: String,
    pub actor: String,
}

impl Body for TendSchedule {
    const NAME: &'static str = "scheduling.schedule.tend";
}

/// `scheduling.appointment.book`: take a place in a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BookAppointment {
    pub appointment_id: Uuid,
    pub slot_id: Uuid,
    pub subject_key: IdentifierKey,
    /// Keys of all the person's identifiers: under none of them may he have the slot already.
    pub person_keys: Vec<IdentifierKey>,
    /// True: keep the place for a few minutes while somebody decides.
    pub hold: bool,
    /// True: beyond the capacity, as far as the schedule allows it.
    pub overbook: bool,
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub actor: String,
}

impl Body for BookAppointment {
    const NAME: &'static str = "scheduling.appointment.book";
}

/// `scheduling.appointment.walk_in`: somebody is there without an appointment and gets a token of today.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WalkIn {
    pub appointment_id: Uuid,
    pub schedule_id: Uuid,
    pub subject_key: IdentifierKey,
    pub person_keys: Vec<IdentifierKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub actor: String,
}

impl Body for WalkIn {
    const NAME: &'static str = "scheduling.appointment.walk_in";
}

/// `scheduling.appointment.advance`: the next state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdvanceAppointment {
    pub appointment_id: Uuid,
    pub action: AppointmentAction,
    /// The version that the caller saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub actor: String,
}

impl Body for AdvanceAppointment {
    const NAME: &'static str = "scheduling.appointment.advance";
}

/// `scheduling.appointment.reschedule`: the same appointment in another slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RescheduleAppointment {
    pub appointment_id: Uuid,
    pub slot_id: Uuid,
    pub person_keys: Vec<IdentifierKey>,
    pub overbook: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub actor: String,
}

impl Body for RescheduleAppointment {
    const NAME: &'static str = "scheduling.appointment.reschedule";
}

/// `scheduling.appointment.change`: what it is about. Absent members stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeAppointment {
    pub appointment_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub actor: String,
}

impl Body for ChangeAppointment {
    const NAME: &'static str = "scheduling.appointment.change";
}

/// `scheduling.waitlist.join`: wait for a place that becomes free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JoinWaitlist {
    pub entry_id: Uuid,
    pub schedule_id: Uuid,
    pub subject_key: IdentifierKey,
    pub person_keys: Vec<IdentifierKey>,
    /// 0 to 9: the higher, the sooner.
    pub priority: i16,
    /// RFC 3339; slots that begin from then.
    pub from: String,
    /// RFC 3339; slots that begin before then.
    pub to: String,
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub actor: String,
}

impl Body for JoinWaitlist {
    const NAME: &'static str = "scheduling.waitlist.join";
}

/// `scheduling.waitlist.answer`: take the offer, let it go, or leave the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnswerWaitlist {
    pub entry_id: Uuid,
    pub answer: WaitlistAnswer,
    pub actor: String,
}

impl Body for AnswerWaitlist {
    const NAME: &'static str = "scheduling.waitlist.answer";
}

/// `scheduling.token.call`: the next of a queue, or a certain one once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallToken {
    pub queue_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    pub actor: String,
}

impl Body for CallToken {
    const NAME: &'static str = "scheduling.token.call";
}

/// `scheduling.queue.delay`: tell everybody who waits or is expected that it will be later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DelayQueue {
    pub queue_id: Uuid,
    /// 0: on time again.
    pub minutes: i32,
    pub reason: String,
    pub actor: String,
}

impl Body for DelayQueue {
    const NAME: &'static str = "scheduling.queue.delay";
}

/// Which appointment, of whom, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppointmentFacts {
    pub appointment_id: Uuid,
    pub schedule_id: Uuid,
    /// Absent for a walk-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_id: Option<Uuid>,
    pub subject_key: IdentifierKey,
    /// RFC 3339.
    pub starts_at: String,
    pub mode: Mode,
    pub state: AppointmentState,
    pub version: i32,
}

macro_rules! appointment_events {
    ($($(#[$doc:meta])* $name:ident = $text:literal { $($(#[$of:meta])* $field:ident : $kind:ty),* $(,)? }),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub struct $name {
            #[serde(flatten)]
            pub appointment: AppointmentFacts,
            $($(#[$of])* pub $field: $kind,)*
        }

        impl Body for $name {
            const NAME: &'static str = $text;
        }
    )+};
}

appointment_events! {
    /// `scheduling.appointment.booked`: somebody has a place; `held` as a state: for some minutes only.
    AppointmentBooked = "scheduling.appointment.booked" {},
    /// `scheduling.appointment.rescheduled`: it is at another time now.
    AppointmentRescheduled = "scheduling.appointment.rescheduled" {
        old_slot: Uuid,
        old_schedule: Uuid,
        /// RFC 3339.
        old_starts_at: String,
    },
    /// `scheduling.appointment.cancelled`
    AppointmentCancelled = "scheduling.appointment.cancelled" { by: String },
    /// `scheduling.appointment.no_show`: the patient did not come.
    AppointmentMissed = "scheduling.appointment.no_show" { by: String },
    /// `scheduling.appointment.checked_in`: the patient is there and has a token.
    AppointmentCheckedIn = "scheduling.appointment.checked_in" { queue_id: Uuid, token: i32 },
    /// `scheduling.appointment.state_changed`: every other step.
    AppointmentStateChanged = "scheduling.appointment.state_changed" { from: AppointmentState, to: AppointmentState },
    /// `scheduling.appointment.affected`: the schedule has its hours no longer; somebody must find another time.
    AppointmentAffected = "scheduling.appointment.affected" {
        /// `leave` or `hours`
        cause: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exception_id: Option<Uuid>,
    },
    /// `scheduling.reminder.due`: once a reminder and time.
    ReminderDue = "scheduling.reminder.due" { minutes_before: i32 },
}

/// `scheduling.waitlist.offered`: a place is kept for the head of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitlistOffered {
    pub entry_id: Uuid,
    pub appointment_id: Uuid,
    pub schedule_id: Uuid,
    pub slot_id: Uuid,
    pub subject_key: IdentifierKey,
    /// RFC 3339.
    pub starts_at: String,
    /// RFC 3339.
    pub expires_at: String,
}

impl Body for WaitlistOffered {
    const NAME: &'static str = "scheduling.waitlist.offered";
}

/// `scheduling.token.called`: for displays; names nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenCalled {
    pub queue_id: Uuid,
    pub schedule_id: Uuid,
    pub appointment_id: Uuid,
    pub token: i32,
    /// 1 the first time.
    pub calls: i16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
}

impl Body for TokenCalled {
    const NAME: &'static str = "scheduling.token.called";
}

/// `scheduling.queue.delayed`: who waits or is expected will be later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueDelayed {
    pub queue_id: Uuid,
    pub schedule_id: Uuid,
    pub day: String,
    pub minutes: i32,
    /// Appointments that are not over.
    pub appointments: Vec<Uuid>,
}

impl Body for QueueDelayed {
    const NAME: &'static str = "scheduling.queue.delayed";
}

/// `scheduling.slots.changed`: a schedule has other slots than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlotsChanged {
    pub schedule_id: Uuid,
    pub added: i64,
    pub withdrawn: i64,
    /// Slots that stay because somebody is booked there.
    pub kept: i64,
}

impl Body for SlotsChanged {
    const NAME: &'static str = "scheduling.slots.changed";
}
