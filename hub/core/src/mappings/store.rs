//! The set in force, and how it changes without a restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use schemas::ChannelId;
use schemas::care::Mapped;
use schemas::integration::CodeMapped;

use super::load::load_tables;
use super::packs::PackUse;
use super::problem::MappingError;
use super::rows::{MappingRow, diff};
use super::{Mappings, Overlay, Tables};

/// The mappings in force. Readers take [`MappingStore::current`] once a batch; writers swap the whole set.
#[derive(Debug)]
pub struct MappingStore {
    folder: Option<PathBuf>,
    uses: Vec<PackUse>,
    current: ArcSwap<Mappings>,
}

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// False when the files are what they were.
    pub changed: bool,
    pub version: String,
    /// Rows that say something new: held results may be released by them.
    pub added: Vec<MappingRow>,
}

impl Default for MappingStore {
    fn default() -> Self {
        Self {
            folder: None,
            uses: Vec::new(),
            current: ArcSwap::from_pointee(Mappings::default()),
        }
    }
}

impl MappingStore {
    /// Reads `folder/tables/*.toml` and `folder/site/*.toml`.
    ///
    /// # Errors
    /// Every fault of every file, with file, line, column and what to do.
    pub fn load(folder: impl Into<PathBuf>) -> Result<Self, MappingError> {
        Self::load_with_packs(folder, Vec::new())
    }

    /// The same, with the rows of the packs that channels name.
    ///
    /// # Errors
    /// As [`MappingStore::load`], and a pack that is not there.
    pub fn load_with_packs(
        folder: impl Into<PathBuf>,
        uses: Vec<PackUse>,
    ) -> Result<Self, MappingError> {
        let folder = folder.into();
        let tables = load_tables(&folder, &uses)?;
        Ok(Self {
            folder: Some(folder),
            uses,
            current: ArcSwap::from_pointee(Mappings {
                tables: Arc::new(tables),
                overlay: Arc::default(),
            }),
        })
    }

    /// The folder that is read, if there is one.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Which channel names which pack.
    #[must_use]
    pub fn packs_in_use(&self) -> &[PackUse] {
        &self.uses
    }

    /// The set in force now. It does not change under the reader.
    #[must_use]
    pub fn current(&self) -> Arc<Mappings> {
        self.current.load_full()
    }

    /// Reads the files again. What people mapped over REST stays.
    ///
    /// # Errors
    /// As [`MappingStore::load`]; the set in force stays in force then.
    pub fn reload(&self) -> Result<Reloaded, MappingError> {
        let old = self.current();
        let tables = match &self.folder {
            Some(folder) => load_tables(folder, &self.uses)?,
            None => Tables::default(),
        };
        if tables.version == old.version() {
            return Ok(Reloaded {
                changed: false,
                version: tables.version,
                added: Vec::new(),
            });
        }
        let tables = Arc::new(tables);
        self.current.rcu(|now| Mappings {
            tables: Arc::clone(&tables),
            overlay: Arc::clone(&now.overlay),
        });
        Ok(Reloaded {
            changed: true,
            version: tables.version.clone(),
            added: diff(&old.tables.rows, &tables.rows),
        })
    }

    /// Adds what a person said of one code of one channel. `unit` `None` is "whatever unit, none converted", except
    /// units that the unit table knows to be another than the mapping's; `Some("")` is "when none is sent".
    pub fn put_overlay(
        &self,
        channel: &ChannelId,
        system: &str,
        code: &str,
        unit: Option<&str>,
        mapped: &Mapped,
    ) {
        self.change_overlay(|overlay| overlay.put(channel, system, code, unit, mapped.clone()));
    }

    /// Adds a mapping as the clinical worker announced it.
    pub fn apply_code_mapped(&self, said: &CodeMapped) {
        self.apply_all_code_mapped(std::slice::from_ref(said));
    }

    /// Adds many at once, as at start.
    pub fn apply_all_code_mapped(&self, said: &[CodeMapped]) {
        self.change_overlay(|overlay| {
            for one in said {
                let mapped = Mapped {
                    loinc: one.loinc.clone(),
                    display: one.display.clone(),
                    ucum: one.ucum.clone(),
                    factor: one.factor.clone(),
                };
                overlay.put(
                    &one.channel,
                    &one.code_system,
                    &one.code,
                    one.unit.as_deref(),
                    mapped,
                );
            }
        });
    }

    fn change_overlay(&self, change: impl Fn(&mut Overlay)) {
        self.current.rcu(|now| {
            let mut overlay = Overlay::clone(&now.overlay);
            change(&mut overlay);
            Mappings {
                tables: Arc::clone(&now.tables),
                overlay: Arc::new(overlay),
            }
        });
    }
}
