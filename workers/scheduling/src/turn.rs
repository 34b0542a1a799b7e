//! One message being applied: the transaction, who asked, what time it is, and what will have been said.

use hub_core::{Envelope, Outgoing, Refusal, Tx, Verdict};
use schemas::Body;
use serde_json::Value;
use sqlx::PgConnection;
use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime, UtcOffset};
use uuid::Uuid;

use crate::aggregate;

/// Why a message is not applied.
#[derive(Debug)]
pub(crate) enum Stop {
    Refused(Refusal),
    Failed(sqlx::Error),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

pub(crate) fn refuse<T>(code: &'static str, detail: impl Into<String>) -> Result<T, Stop> {
    Err(Refusal::new(code, detail).into())
}

/// See the module.
pub(crate) struct Turn<'a, 'p> {
    tx: &'a mut Tx<'p>,
    pub(crate) cause: &'a Envelope,
    pub(crate) actor: String,
    /// Of the database, so that all processes have one clock; of the command where the hub asks itself.
    pub(crate) now: OffsetDateTime,
    said: Vec<Outgoing>,
}

impl<'a, 'p> Turn<'a, 'p> {
    /// Of this moment.
    pub(crate) async fn begin(
        tx: &'a mut Tx<'p>,
        cause: &'a Envelope,
        actor: &str,
    ) -> Result<Self, Stop> {
        let now = sqlx::query_scalar("select clock_timestamp()")
            .fetch_one(tx.conn())
            .await?;
        Ok(Self {
            tx,
            cause,
            actor: actor.to_owned(),
            now,
            said: Vec::new(),
        })
    }

    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        self.tx.conn()
    }

    pub(crate) fn tenant(&self) -> String {
        self.tx.tenant().to_string()
    }

    /// Says something on the lane of a schedule.
    pub(crate) fn say<T: Body>(&mut self, schedule: Uuid, event: &T) {
        let n = u32::try_from(self.said.len()).unwrap_or(u32::MAX);
        self.said
            .push(Outgoing::new(self.cause, n, aggregate(schedule), event));
    }

    /// It was done.
    pub(crate) fn done(self, answer: Value) -> Verdict {
        Verdict::Applied {
            outgoing: self.said,
            answer: Some(answer),
        }
    }

    /// What was said until now: nothing means that nothing happened.
    pub(crate) fn has_said(&self) -> bool {
        !self.said.is_empty()
    }
}

/// RFC 3339 in UTC.
pub(crate) fn rfc3339(at: OffsetDateTime) -> String {
    at.to_offset(UtcOffset::UTC)
        .format(&Rfc3339)
        .unwrap_or_default()
}

/// A time of a command.
pub(crate) fn moment(field: &'static str, text: &str) -> Result<OffsetDateTime, Stop> {
    schemas::moment::read(text).map_or_else(
        || refuse("scheduling.value", format!("`{field}` is not RFC 3339")),
        Ok,
    )
}

/// A day of a command, as ISO 8601 has it.
pub(crate) fn day(field: &'static str, text: &str) -> Result<Date, Stop> {
    Date::parse(
        text,
        time::macros::format_description!("[year]-[month]-[day]"),
    )
    .or_else(|_| {
        refuse(
            "scheduling.value",
            format!("`{field}` is no day as ISO 8601 has it"),
        )
    })
}
