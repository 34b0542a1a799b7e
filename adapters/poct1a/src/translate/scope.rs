//! What every part of a translation needs: the channel, its dialect, the tables, and a list of oddities.

use std::cell::RefCell;

use hub_core::mappings::Mappings;
use hub_core::translator::meaning::meaning;
use hub_core::translator::{Event, RawMessage, aggregate};
use schemas::care::{Code, HoldReason, Mapped, Specimen, Value as Measured};
use schemas::integration::SearchKeys;
use schemas::patients::Identifier;
use schemas::{ChannelId, IdentifierKey, TenantId};

use super::time::{self, Moment};
use crate::document::Element;
use crate::link::DEVICE_NOTE;
use crate::settings::Dialect;

/// An index row of Postgres holds 2,700 bytes; no hospital's numbers come near this.
const LONGEST_KEY: usize = 250;
/// Most element names a message lists.
const MOST_NAMES: usize = 64;

/// What was made of a stored document so far.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) keys: SearchKeys,
    pub(super) events: Vec<Event>,
    pub(super) unmapped: Vec<String>,
    pub(super) notes: Vec<String>,
    pub(super) translated: bool,
}

impl Output {
    pub(super) fn unmapped(&mut self, name: String) {
        if self.unmapped.len() < MOST_NAMES && !self.unmapped.contains(&name) {
            self.unmapped.push(name);
        }
    }
}

pub(super) struct Scope<'c> {
    pub(super) tenant: &'c TenantId,
    pub(super) channel: &'c ChannelId,
    pub(super) maps: &'c Mappings,
    pub(super) dialect: &'c Dialect,
    /// The device, as its hello named it.
    pub(super) device: Option<String>,
    notes: RefCell<Vec<String>>,
    bad: RefCell<Vec<(String, &'static str)>>,
}

impl<'c> Scope<'c> {
    pub(super) fn new(raw: &'c RawMessage, maps: &'c Mappings, dialect: &'c Dialect) -> Self {
        let device = raw
            .notes
            .iter()
            .find_map(|note| note.strip_prefix(DEVICE_NOTE));
        Self {
            tenant: &raw.tenant,
            channel: &raw.channel,
            maps,
            dialect,
            device: device.map(str::to_owned),
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

    /// A value that can't be used: it is listed like an element that nobody reads.
    pub(super) fn bad(&self, name: &str, what: &'static str) {
        self.bad.borrow_mut().push((name.to_owned(), what));
    }

    /// A number or code by which something is found again; one that no index can hold is listed instead.
    pub(super) fn key(&self, name: &str, said: &str) -> Option<String> {
        let said = said.trim();
        if said.len() > LONGEST_KEY {
            self.bad(name, "longer than 250 bytes");
            return None;
        }
        (!said.is_empty()).then(|| said.to_owned())
    }

    pub(super) fn moment(&self, element: &Element) -> Option<Moment> {
        let said = element.value()?;
        match time::read(
            &said,
            self.dialect.default_zone_minutes,
            self.dialect.ignore_zone,
        ) {
            Ok(moment) => moment,
            Err(what) => {
                self.bad(&element.name, what);
                None
            }
        }
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

    /// Code `V`, name `DN`, system `SN`.
    pub(super) fn code(&self, element: &Element) -> Code {
        let code = element
            .value()
            .and_then(|said| self.key(&element.name, &said))
            .unwrap_or_default();
        Code {
            text: element.mark("DN").filter(|text| *text != code),
            system: element
                .mark("SN")
                .or_else(|| self.dialect.code_system.clone()),
            code,
        }
    }

    /// What decides the lane: the patient; else the specimen or material, else the channel. Opaque.
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
        for (name, what) in self.bad.into_inner() {
            let note = format!("{name}: {what}");
            if !output.notes.contains(&note) {
                output.notes.push(note);
            }
            output.unmapped(name);
        }
        output.notes.extend(self.notes.into_inner());
    }
}
