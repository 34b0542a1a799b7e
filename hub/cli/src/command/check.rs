//! `hub check`: what is wrong with a configuration, before anything starts.

use std::path::Path;
use std::process::ExitCode;

use hub_core::config::{Loaded, Problem};
use hub_core::mappings::MappingStore;

use crate::compose;

/// Prints all problems; exit code 1 when there are any.
///
/// # Errors
/// None of its own: a file that can't be read is a problem like any other.
pub(super) fn run(file: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let (problems, channels) = problems_of(file);
    if json {
        let list: Vec<_> = problems
            .iter()
            .map(|problem| serde_json::json!({"file": problem.file, "line": problem.line, "message": problem.message}))
            .collect();
        println!(
            "{}",
            serde_json::json!({"ok": problems.is_empty(), "channels": channels, "problems": list})
        );
    } else if problems.is_empty() {
        println!("{}: good ({channels} channels)", file.display());
    } else {
        for problem in &problems {
            println!("{problem}");
        }
    }
    Ok(if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn problems_of(file: &Path) -> (Vec<Problem>, usize) {
    let loaded = match Loaded::from_file(file) {
        Ok(loaded) => loaded,
        Err(problems) => return (problems, 0),
    };
    let (mut problems, channels) = match compose::read_channels(&loaded) {
        Ok(channels) => (Vec::new(), channels.len()),
        Err(problems) => (problems, 0),
    };
    if let Err(error) = MappingStore::load(loaded.mappings_folder()) {
        problems.extend(error.to_string().lines().map(|line| Problem {
            file: loaded.mappings_folder(),
            line: None,
            message: line.to_owned(),
        }));
    }
    let folder = loaded.mappings_folder();
    let packs = [
        compose::rule_packs::westgard(&folder).err(),
        compose::rule_packs::critical(&folder).err(),
    ];
    for error in packs.into_iter().flatten() {
        problems.push(Problem {
            file: loaded.mappings_folder(),
            line: None,
            message: format!("{error:#}"),
        });
    }
    (problems, channels)
}
