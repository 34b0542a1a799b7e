//! What people mapped over REST. Looked at after the files, so that a file can always overrule.

use std::collections::HashMap;

use schemas::ChannelId;
use schemas::care::Mapped;

use super::index::Tables;
use super::{Asked, Lookup};

#[derive(Debug, Clone, Default)]
pub(super) struct Overlay {
    by_code: HashMap<Box<str>, Vec<Entry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    channel: ChannelId,
    system: Box<str>,
    /// `None`: whatever unit, none converted.
    unit: Option<Box<str>>,
    mapped: Mapped,
}

impl Overlay {
    /// Sets what one code of one channel means, for one unit or for all.
    pub(super) fn put(
        &mut self,
        channel: &ChannelId,
        system: &str,
        code: &str,
        unit: Option<&str>,
        mapped: Mapped,
    ) {
        let entries = self.by_code.entry(code.into()).or_default();
        entries
            .retain(|e| e.channel != *channel || *e.system != *system || e.unit.as_deref() != unit);
        entries.push(Entry {
            channel: channel.clone(),
            system: system.into(),
            unit: unit.map(Into::into),
            mapped,
        });
        // Entries for one unit before those for all.
        entries.sort_by_key(|e| e.unit.is_none());
    }

    pub(super) fn code(&self, asked: &Asked<'_>, tables: &Tables) -> Lookup {
        let mut answer = Lookup::Unknown;
        for entry in self.by_code.get(asked.code).into_iter().flatten() {
            if entry.channel != *asked.channel || *entry.system != *asked.system {
                continue;
            }
            if !asked.numeric {
                return Lookup::Mapped(Mapped {
                    ucum: None,
                    factor: None,
                    ..entry.mapped.clone()
                });
            }
            let fits = match (entry.unit.as_deref(), entry.mapped.ucum.as_deref()) {
                (Some(unit), _) => unit == asked.unit,
                // "Whatever unit" can't mean a unit that we know to be another one.
                (None, Some(ucum)) => tables
                    .unit(asked.channel, asked.unit)
                    .is_none_or(|sent| sent == ucum),
                (None, None) => true,
            };
            if fits {
                return Lookup::Mapped(entry.mapped.clone());
            }
            answer = Lookup::UnknownUnit;
        }
        answer
    }
}
