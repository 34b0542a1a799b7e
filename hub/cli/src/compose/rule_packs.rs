//! Rule packs of the laboratory: `rules/` beside the mapping tables. A file that is not there means the pack that comes with
//! the program; one that can't be used stops the start and stands in `hub check`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use worker_clinical::Westgard;

/// The Westgard rules in force.
///
/// # Errors
/// The file can't be read or is no pack; says which file.
pub(crate) fn westgard(mappings: &Path) -> anyhow::Result<Westgard> {
    let path: PathBuf = mappings.join("rules").join("westgard.toml");
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let pack = Westgard::parse(&text);
            pack.with_context(|| path.display().to_string())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Westgard::default()),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}
