//! Appointments: schedules and the slots made of them, who has which, who waits for one, who is called next.
//!
//! Owns the tables of `schemas/sql/0014_scheduling.sql` (and writes `audit`, as every worker). It knows no patient: rows carry
//! the key of an identifier, and a merge changes nothing here. It keeps no timers: what is due by the clock comes as a
//! command ([`schemas::scheduling::TendSchedule`]), and a place that is over is free for whoever asks, whether it came or not.

mod advance;
mod appointment;
mod booking;
mod places;
pub mod queries;
mod queues;
mod schedules;
mod slots;
pub mod states;
mod tend;
mod trail;
mod turn;
mod waitlist;
mod worker;

pub use worker::SchedulingWorker;

/// Everything of one schedule is on one lane.
#[must_use]
pub fn aggregate(schedule: uuid::Uuid) -> String {
    format!("schedule/{schedule}")
}
