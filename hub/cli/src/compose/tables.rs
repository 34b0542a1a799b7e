//! The mapping tables and instrument packs of a configuration.

use hub_core::config::{Loaded, Problem};
use hub_core::mappings::{MappingError, MappingStore, Packs};

/// The mapping tables, with the rows of the packs that channels name.
///
/// # Errors
/// Every fault of every file.
pub(crate) fn mapping_store(loaded: &Loaded) -> Result<MappingStore, MappingError> {
    MappingStore::load_with_packs(loaded.mappings_folder(), loaded.packs_in_use())
}

/// The instrument packs, where channels name any.
///
/// # Errors
/// Every fault of every pack.
pub(crate) fn packs(loaded: &Loaded) -> Result<Packs, Vec<Problem>> {
    match Packs::load(&loaded.mappings_folder()) {
        Ok(packs) => Ok(packs),
        // without a pack in use their faults stop nothing here; the loader of the tables says them
        Err(_) if loaded.packs_in_use().is_empty() => Ok(Packs::default()),
        Err(error) => Err(mapping_problems(loaded, &error)),
    }
}

/// Faults of mapping files as problems of the configuration: each line names its file.
pub(crate) fn mapping_problems(loaded: &Loaded, error: &MappingError) -> Vec<Problem> {
    error
        .problems
        .iter()
        .map(|problem| Problem {
            file: loaded.mappings_folder(),
            line: None,
            message: problem.to_string(),
        })
        .collect()
}
