//! The public sample files, which are never copied into the repository: `shared/corpus` beside it, or `$SANGAM_CORPUS`.

use std::path::{Path, PathBuf};

/// The corpus folder, or `None` (said aloud) where the machine has none.
pub fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SANGAM_CORPUS")
        .map(PathBuf::from)
        .or_else(beside)
        .filter(|folder| folder.is_dir());
    if folder.is_none() {
        println!("SKIPPED: there is no corpus; set SANGAM_CORPUS to check against it");
    }
    folder
}

/// Beside the repository, whichever of its crates asks.
fn beside() -> Option<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("shared/corpus"))
        .find(|folder| folder.is_dir())
}

/// All files below `folder`, sorted.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder can be read") {
            let path = entry.expect("a folder can be read").path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
