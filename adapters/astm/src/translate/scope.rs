//! What every part of a translation needs: the channel, its dialect, the tables, and a list of oddities.

use std::cell::RefCell;

use hub_core::mappings::Mappings;
use hub_core::translator::meaning::meaning;
use hub_core::translator::{RawMessage, aggregate};
use schemas::care::{Code, HoldReason, Mapped, Specimen, Value as Measured};
use schemas::patients::Identifier;
use schemas::{ChannelId, IdentifierKey, TenantId};

use super::Output;
use super::time::{self, Moment};
use crate::records::{Message, Record, Value};
use crate::settings::{Dialect, FieldPath};

/// An index row of Postgres holds 2,700 bytes; no hospital's numbers come near this.
const LONGEST_KEY: usize = 250;

pub(super) struct Scope<'c> {
    pub(super) tenant: &'c TenantId,
    pub(super) channel: &'c ChannelId,
    pub(super) maps: &'c Mappings,
    pub(super) dialect: &'c Dialect,
    notes: RefCell<Vec<String>>,
    bad: RefCell<Vec<(String, &'static str)>>,
}

/// The records that a line of a message stands under.
#[derive(Clone, Copy, Default)]
pub(super) struct Place<'r> {
    pub(super) header: Option<&'r Record<'r>>,
    pub(super) patient: Option<&'r Record<'r>>,
    pub(super) order: Option<&'r Record<'r>>,
    pub(super) result: Option<&'r Record<'r>>,
}

impl<'r> Place<'r> {
    fn record(self, letter: char) -> Option<&'r Record<'r>> {
        match letter {
            'H' => self.header,
            'P' => self.patient,
            'O' => self.order,
            'R' => self.result,
            _ => None,
        }
    }

    /// What stands at a path, without marking it as read.
    pub(super) fn peek(self, path: FieldPath) -> Option<Value<'r>> {
        let field = self.record(path.record)?.peek(path.field);
        Some(path.component.map_or(field, |n| field.component(n)))
    }

    /// Marks a path as read.
    pub(super) fn take(self, path: FieldPath) {
        if let Some(record) = self.record(path.record) {
            let _ = record.field(path.field);
        }
    }
}

impl<'c> Scope<'c> {
    pub(super) fn new(raw: &'c RawMessage, maps: &'c Mappings, dialect: &'c Dialect) -> Self {
        Self {
            tenant: &raw.tenant,
            channel: &raw.channel,
            maps,
            dialect,
            notes: RefCell::default(),
            bad: RefCell::default(),
        }
    }

    pub(super) fn note(&self, note: String) {
        let mut notes = self.notes.borrow_mut();
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    /// A value that can't be used: it is listed like a field that nobody reads.
    pub(super) fn bad(&self, path: &str, what: &'static str) {
        self.bad.borrow_mut().push((path.to_owned(), what));
    }

    /// A number or code by which something is found again; one that no index can hold is listed instead.
    pub(super) fn key(&self, path: &str, said: &str) -> Option<String> {
        let said = said.trim();
        if said.len() > LONGEST_KEY {
            self.bad(path, "longer than 250 bytes");
            return None;
        }
        (!said.is_empty()).then(|| said.to_owned())
    }

    /// The first of several places that says something; the same words in a later one count as read.
    pub(super) fn first_of(&self, place: Place<'_>, paths: &[FieldPath]) -> Option<String> {
        let mut found: Option<String> = None;
        for path in paths {
            let Some(value) = place.peek(*path) else {
                continue;
            };
            match &found {
                None => found = self.key(&path.to_string(), &value.text()),
                Some(number) if value.text() == number.as_str() => {}
                Some(_) => continue,
            }
            if found.is_some() {
                place.take(*path);
            }
        }
        found
    }

    pub(super) fn moment(&self, path: &str, value: Value<'_>) -> Option<Moment> {
        let said = value.component(1).text();
        match time::read(&said, self.dialect.default_zone_minutes) {
            Ok(moment) => moment,
            Err(what) => {
                self.bad(path, what);
                None
            }
        }
    }

    pub(super) fn moment_text(&self, path: &str, value: Value<'_>) -> Option<String> {
        self.moment(path, value).map(|m| m.text)
    }

    /// An identifier of the hospital's own series.
    pub(super) fn identifier(&self, value: String) -> Identifier {
        let system = self.maps.assigner(self.channel, "").to_owned();
        Identifier {
            key: IdentifierKey::of(self.tenant, &system, &value),
            system,
            value,
            kind: None,
        }
    }

    /// A code without the endings that are not part of it.
    pub(super) fn code_without_ending<'v>(&self, said: &'v str) -> &'v str {
        self.dialect
            .code_endings
            .iter()
            .filter(|e| !e.is_empty())
            .find_map(|ending| said.strip_suffix(ending.as_str()))
            .unwrap_or(said)
    }

    /// What decides the lane: the patient; else the specimen, else the channel. Opaque.
    pub(super) fn aggregate(
        &self,
        subject: Option<&Identifier>,
        specimen: Option<&Specimen>,
    ) -> String {
        aggregate::of_measured(self.tenant, self.channel, subject, specimen)
    }

    /// What the tables make of the code, or why the result waits.
    pub(super) fn meaning(
        &self,
        code: &Code,
        unit: &str,
        value: &Measured,
        no_patient: bool,
    ) -> (Option<Mapped>, Option<HoldReason>) {
        meaning(self.maps, self.channel, [code], unit, value, no_patient)
    }

    /// Hands over the notes, and what could not be used.
    pub(super) fn close(self, output: &mut Output) {
        for (path, what) in self.bad.into_inner() {
            let note = format!("{path}: {what}");
            if !output.notes.contains(&note) {
                output.notes.push(note);
            }
            output.unmapped(path);
        }
        output.notes.extend(self.notes.into_inner());
    }
}

/// Lists every valued field that was not read; a record that nobody entered by its letter alone.
pub(super) fn list_unread(message: &Message<'_>, output: &mut Output) {
    for record in message.records() {
        let letter = record.letter();
        if !record.is_known() {
            output.unmapped(letter.to_string());
            continue;
        }
        // field 2 is a sequence number, or the delimiters
        for number in 3..=record.len() {
            if !record.was_read(number) && record.peek(number).is_valued() {
                output.unmapped(format!("{letter}.{number}"));
            }
        }
    }
}
