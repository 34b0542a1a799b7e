//! Rule packs of the laboratory: `rules/` beside the mapping tables. A file that is not there means the pack that comes with
//! the program; one that can't be used stops the start and stands in `hub check`.

use std::path::Path;

use anyhow::Context as _;
use worker_clinical::{CriticalLimits, InvalidPack, Westgard};

/// The Westgard rules in force.
///
/// # Errors
/// The file can't be read or is no pack; says which file.
pub(crate) fn westgard(mappings: &Path) -> anyhow::Result<Westgard> {
    pack(mappings, "westgard.toml", Westgard::parse)
}

/// The critical limits in force.
///
/// # Errors
/// As [`westgard`].
pub(crate) fn critical(mappings: &Path) -> anyhow::Result<CriticalLimits> {
    pack(mappings, "critical.toml", CriticalLimits::parse)
}

fn pack<P: Default>(
    mappings: &Path,
    name: &str,
    parse: fn(&str) -> Result<P, InvalidPack>,
) -> anyhow::Result<P> {
    let path = mappings.join("rules").join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text).with_context(|| path.display().to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(P::default()),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}
