//! The public sample files, which are never copied into the repository: `shared/corpus` beside it, or `$SANGAM_CORPUS`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The corpus folder, or `None` where the machine has none: the test has nothing to check then, which is said where a person
/// sees it also of a test that passes.
///
/// # Panics
/// When `SANGAM_CORPUS` names a folder that is no corpus: whoever sets it wants these tests.
pub fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("SANGAM_CORPUS").filter(|said| !said.is_empty());
    let found = given(named.map(PathBuf::from));
    if found.is_none() {
        let thread = std::thread::current();
        // what the printing macros write, cargo shows of a failed test only
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {}: there is no corpus; set SANGAM_CORPUS to check against it",
            thread.name().unwrap_or("a test")
        );
    }
    found
}

/// The folder that was named, or that beside the repository.
fn given(named: Option<PathBuf>) -> Option<PathBuf> {
    let Some(folder) = named else {
        return beside();
    };
    assert!(
        is_corpus(&folder),
        "SANGAM_CORPUS names {}, which is no corpus: it has no folder `lab`",
        folder.display()
    );
    Some(folder)
}

/// Beside the repository, whichever of its crates asks.
fn beside() -> Option<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("shared/corpus"))
        .find(|folder| is_corpus(folder))
}

fn is_corpus(folder: &Path) -> bool {
    folder.join("lab").is_dir()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "has no folder `lab`")]
    fn a_folder_that_was_named_and_is_no_corpus_is_a_failure() {
        given(Some(PathBuf::from("/nowhere/at/all")));
    }
}
