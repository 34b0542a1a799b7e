//! One record of the index, as stored and as it will be.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::demographics::Demographics;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Active,
    Merged,
    EnteredInError,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Merged => "merged",
            Self::EnteredInError => "entered_in_error",
        }
    }

    pub(crate) fn from_stored(text: &str) -> Self {
        match text {
            "active" => Self::Active,
            "merged" => Self::Merged,
            _ => Self::EnteredInError,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) id: Uuid,
    pub(crate) status: Status,
    pub(crate) merged_into: Option<Uuid>,
    pub(crate) provisional: bool,
    /// The chart is open to those who care for the patient only.
    pub(crate) restricted: bool,
    pub(crate) demographics: Demographics,
    pub(crate) version: i32,
    pub(crate) fact_at: Option<OffsetDateTime>,
    /// The message that made the last change.
    pub(crate) source_event: Uuid,
    /// Version in the database; `None` for a record that is not there yet.
    pub(crate) stored_version: Option<i32>,
    pub(crate) stored_fact_at: Option<OffsetDateTime>,
    /// What it was found by has changed.
    pub(crate) keys_changed: bool,
}

impl Record {
    pub(crate) fn new(id: Uuid, source_event: Uuid) -> Self {
        Self {
            id,
            status: Status::Active,
            merged_into: None,
            provisional: true,
            restricted: false,
            demographics: Demographics::default(),
            version: 1,
            fact_at: None,
            source_event,
            stored_version: None,
            stored_fact_at: None,
            keys_changed: true,
        }
    }

    pub(crate) fn is_new(&self) -> bool {
        self.stored_version.is_none()
    }

    pub(crate) fn is_changed(&self) -> bool {
        self.stored_version
            .is_some_and(|stored| stored != self.version)
    }

    /// Only the time of the newest fact moved.
    pub(crate) fn is_confirmed(&self) -> bool {
        !self.is_new() && !self.is_changed() && self.fact_at != self.stored_fact_at
    }

    /// Notes that `event` changed something.
    pub(crate) fn change(&mut self, event: Uuid) {
        self.version += 1;
        self.source_event = event;
    }
}
