//! The public sample files, which are never copied into the repository.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The corpus folder: `$SANGAM_CORPUS`, or `../shared/corpus` beside the project. `None` where the machine has none: the test
/// then has nothing to check, and that is said where a person sees it also of a test that passes.
///
/// # Panics
/// When `SANGAM_CORPUS` names a folder that is no corpus: whoever set it wants these tests.
#[must_use]
pub fn corpus() -> Option<PathBuf> {
    let named = std::env::var_os("SANGAM_CORPUS")
        .filter(|said| !said.is_empty())
        .map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let folder = named.clone().unwrap_or_else(beside);
    if folder.join("lab").is_dir() {
        return folder.canonicalize().ok();
    }
    assert!(
        named.is_none(),
        "SANGAM_CORPUS names {}, which is no corpus: it has no folder `lab`",
        folder.display()
    );
    let thread = std::thread::current();
    // the macros that print are caught by cargo, which shows nothing of a test that passes
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED {}: no corpus at {}; set SANGAM_CORPUS to check against it",
        thread.name().unwrap_or("a test"),
        folder.display()
    );
    None
}
