//! The public sample files, which are never copied into the repository.

use std::path::{Path, PathBuf};

/// The corpus folder, or `None` (said aloud) where the machine has none.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SANGAM_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    println!(
        "SKIPPED: no corpus at {}; set SANGAM_CORPUS to check against it",
        folder.display()
    );
    None
}

/// All files below `folder`, sorted.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
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
