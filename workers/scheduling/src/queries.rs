//! What REST may ask, inside a transaction that has its tenant ([`hub_core::Tx`]). Patients are asked for by the keys of
//! their identifiers (workers/patient tells which).

mod appointments;
mod due;
mod queues;
mod schedules;
mod slots;
mod waitlist;

pub use appointments::{
    AppointmentFilter, AppointmentRow, ReminderRow, StepRow, appointment, appointments, reminders,
    steps,
};
pub use due::{clock, due};
pub use queues::{QueueFilter, QueueRow, TokenRow, queue, queues, tokens};
pub use schedules::{
    ExceptionRow, HoursRow, ScheduleFilter, ScheduleRow, exception, exceptions, hours, schedule,
    schedules,
};
pub use slots::{SlotFilter, SlotRow, alternatives, slot, slots};
pub use waitlist::{WaitlistFilter, WaitlistRow, waitlist, waitlist_entry};

/// Facilities and departments (`""`: the whole facility) whose schedules a caller may see the patients of; none: all.
#[derive(Debug, Clone, Default)]
pub struct Places {
    pub facilities: Vec<String>,
    pub departments: Vec<String>,
}

impl Places {
    pub(crate) fn split(places: Option<&Self>) -> (Option<&[String]>, Option<&[String]>) {
        (
            places.map(|places| places.facilities.as_slice()),
            places.map(|places| places.departments.as_slice()),
        )
    }
}
