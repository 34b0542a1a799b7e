//! One message while it is translated: its segments with a memory of what was read, and the tables.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use hub_core::mappings::Mappings;
use hub_core::translator::RawMessage;
use schemas::{ChannelId, Patch, TenantId};
use time::OffsetDateTime;

use crate::dtm::{self, Dtm, Precision, Reading};
use crate::message::{Message, Segment, Value};

use super::{TranslatorSettings, unmapped};
use crate::settings::OrderSettings;

/// A segment that remembers which of its fields were read.
#[derive(Debug)]
pub(super) struct Seg<'m> {
    segment: Segment<'m>,
    id: &'m str,
    read: Cell<u128>,
}

impl<'m> Seg<'m> {
    fn new(segment: Segment<'m>) -> Self {
        Self {
            segment,
            id: segment.id(),
            read: Cell::new(0),
        }
    }

    pub(super) fn id(&self) -> &'m str {
        self.id
    }

    /// Field `number`, which counts as read from now on.
    pub(super) fn field(&self, number: usize) -> Value<'m> {
        if number < 128 {
            self.read.set(self.read.get() | 1 << number);
        }
        self.segment.field(number)
    }

    /// Field `number` only for a look: whoever uses it reads it again.
    pub(super) fn peek(&self, number: usize) -> Value<'m> {
        self.segment.field(number)
    }

    /// The segment is part of what is translated: what is not read of it is listed field by field.
    pub(super) fn enter(&self) {
        self.read.set(self.read.get() | 1);
    }

    pub(super) fn entered(&self) -> bool {
        self.read.get() != 0
    }

    pub(super) fn was_read(&self, number: usize) -> bool {
        number < 128 && self.read.get() & (1 << number) != 0
    }

    pub(super) fn len(&self) -> usize {
        self.segment.len()
    }

    /// Whether any field but those of `but` says something.
    pub(super) fn says_more_than(&self, but: usize) -> bool {
        (1..=self.len())
            .filter(|n| *n != but)
            .any(|n| is_valued(self.peek(n)))
    }
}

/// Whether a field holds more than delimiters.
pub(super) fn is_valued(value: Value<'_>) -> bool {
    value
        .raw()
        .bytes()
        .any(|b| !matches!(b, b'^' | b'~' | b'&' | b' '))
}

/// A point in time that a message gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    /// RFC 3339, in the sender's zone.
    pub(super) text: String,
    pub(super) at: OffsetDateTime,
}

/// Everything a translation needs to know.
#[derive(Debug)]
pub(super) struct Scope<'c> {
    pub(super) tenant: &'c TenantId,
    pub(super) channel: &'c ChannelId,
    pub(super) maps: &'c Mappings,
    pub(super) settings: &'c TranslatorSettings,
    segments: Vec<Seg<'c>>,
    /// Values that could not be used: path and what is wrong.
    /// What this channel's instruments are told.
    pub(super) orders: Option<&'c OrderSettings>,
    bad: RefCell<Vec<(String, &'static str)>>,
    notes: RefCell<Vec<String>>,
}

/// An index row of Postgres holds 2,700 bytes; no hospital's numbers come near this.
const LONGEST_KEY: usize = 250;

/// MSH fields that the edge and the search keys use.
const HEADER_FIELDS: [usize; 15] = [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 15, 16, 17, 18];

impl<'c> Scope<'c> {
    pub(super) fn new(
        raw: &'c RawMessage,
        maps: &'c Mappings,
        settings: &'c TranslatorSettings,
        message: &'c Message,
    ) -> Self {
        let segments: Vec<_> = message.segments().map(Seg::new).collect();
        if let Some(msh) = segments.first() {
            for n in HEADER_FIELDS {
                msh.field(n);
            }
        }
        Self {
            tenant: &raw.tenant,
            channel: &raw.channel,
            maps,
            settings,
            segments,
            orders: None,
            bad: RefCell::default(),
            notes: RefCell::default(),
        }
    }

    pub(super) fn with_orders(mut self, orders: Option<&'c OrderSettings>) -> Self {
        self.orders = orders;
        self
    }

    pub(super) fn segments(&self) -> &[Seg<'c>] {
        &self.segments
    }

    /// MSH; a parsed message always has it.
    pub(super) fn header(&self) -> Option<&Seg<'c>> {
        self.segments.first()
    }

    /// The first segment with this id.
    pub(super) fn first(&self, id: &str) -> Option<&Seg<'c>> {
        self.segments.iter().find(|s| s.id == id)
    }

    pub(super) fn note(&self, note: String) {
        self.notes.borrow_mut().push(note);
    }

    /// A value that can't be used: it is listed like a field that nobody reads.
    pub(super) fn bad(&self, path: &str, what: &'static str) {
        self.bad.borrow_mut().push((path.to_owned(), what));
    }

    /// A point in time; a time that can't be one is listed.
    pub(super) fn moment(&self, path: &str, value: Value<'_>) -> Option<Moment> {
        let dtm = self.dtm(path, value)?;
        let moment = moment_of(&dtm, self.settings.default_zone_minutes);
        if moment.is_none() {
            self.bad(path, "less than a day is known");
        }
        moment
    }

    /// A number or code by which something is found again; one that no index can hold is listed instead.
    pub(super) fn key(&self, path: &str, value: Value<'_>) -> Option<String> {
        let key = string(value)?;
        if key.len() > LONGEST_KEY {
            self.bad(path, "longer than 250 bytes");
            return None;
        }
        Some(key)
    }

    pub(super) fn moment_text(&self, path: &str, value: Value<'_>) -> Option<String> {
        self.moment(path, value).map(|m| m.text)
    }

    /// A time of whatever precision; one that can't be is listed.
    pub(super) fn dtm(&self, path: &str, value: Value<'_>) -> Option<Dtm> {
        if value.is_empty() {
            return None;
        }
        match dtm::read(value.component(1).raw()) {
            Ok(Reading::Known(dtm)) if is_plausible(&dtm) => Some(dtm),
            Ok(Reading::Known(_)) => {
                self.bad(path, "not a year of our time");
                None
            }
            Ok(Reading::Absent | Reading::Null) => None,
            Err(_) => {
                self.bad(path, "not a time stamp");
                None
            }
        }
    }

    /// A field as an update: empty keeps, `""` clears, and what `read` can't use keeps.
    pub(super) fn patch<T>(
        &self,
        field: Value<'_>,
        read: impl FnOnce(Value<'_>) -> Option<T>,
    ) -> Patch<T> {
        if field.is_empty() {
            Patch::Keep
        } else if field.is_null() {
            Patch::Clear
        } else {
            read(field).into()
        }
    }

    /// Lists what nobody read, and the notes.
    pub(super) fn close(self, paths: &mut Vec<String>, notes: &mut Vec<String>) {
        for (path, what) in self.bad.into_inner() {
            let note = format!("{path}: {what}");
            if !notes.contains(&note) {
                notes.push(note);
            }
            unmapped::push(paths, path);
        }
        unmapped::list(&self.segments, paths);
        notes.extend(self.notes.into_inner());
    }
}

/// The years a hospital's record can speak of. Others are placeholders, and some databases refuse them.
fn is_plausible(dtm: &Dtm) -> bool {
    let year = dtm.date().map(time::Date::year).or_else(|| {
        // Less than a day is known.
        dtm.iso(0).get(..4).and_then(|year| year.parse().ok())
    });
    year.is_some_and(|year| (1800..=2200).contains(&year))
}

fn moment_of(dtm: &Dtm, zone: i16) -> Option<Moment> {
    let (at, precision) = dtm.instant(zone)?;
    let mut text = dtm.iso(zone);
    if precision < Precision::Minute {
        let offset = at.offset();
        let sign = if offset.is_negative() { '-' } else { '+' };
        let (hours, minutes, _) = offset.as_hms();
        text = format!(
            "{text}T{:02}:00:00{sign}{:02}:{:02}",
            at.hour(),
            hours.abs(),
            minutes.abs()
        );
    }
    Some(Moment { text, at })
}

/// The text of a value, trimmed; `None` when it is empty or `""`. NUL, which no database stores, becomes U+FFFD.
pub(super) fn text(value: Value<'_>) -> Option<Cow<'_, str>> {
    if value.is_empty() || value.is_null() {
        return None;
    }
    let text = match value.text() {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => {
            let trimmed = text.trim();
            if trimmed.len() == text.len() {
                Cow::Owned(text)
            } else {
                Cow::Owned(trimmed.to_owned())
            }
        }
    };
    if text.is_empty() || text == "\"\"" {
        None
    } else if memchr::memchr(0, text.as_bytes()).is_some() {
        Some(Cow::Owned(text.replace('\0', "\u{FFFD}")))
    } else {
        Some(text)
    }
}

/// As [`text`], owned.
pub(super) fn string(value: Value<'_>) -> Option<String> {
    text(value).map(Cow::into_owned)
}
