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
    let Found {
        problems,
        channels,
        notes,
    } = look(file);
    if json {
        let list: Vec<_> = problems
            .iter()
            .map(|problem| serde_json::json!({"file": problem.file, "line": problem.line, "message": problem.message}))
            .collect();
        println!(
            "{}",
            serde_json::json!({"ok": problems.is_empty(), "channels": channels, "problems": list, "notes": notes})
        );
    } else {
        if problems.is_empty() {
            println!("{}: good ({channels} channels)", file.display());
        }
        for problem in &problems {
            println!("{problem}");
        }
        for note in &notes {
            println!("note: {note}");
        }
    }
    Ok(if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[derive(Default)]
struct Found {
    problems: Vec<Problem>,
    channels: usize,
    /// Nothing wrong, and good to know.
    notes: Vec<String>,
}

fn look(file: &Path) -> Found {
    let mut found = Found::default();
    let loaded = match Loaded::from_file(file) {
        Ok(loaded) => loaded,
        Err(problems) => {
            found.problems = problems;
            return found;
        }
    };
    match compose::read_channels(&loaded) {
        Ok(channels) => found.channels = channels.len(),
        Err(problems) => found.problems = problems,
    }
    let folder = loaded.mappings_folder();
    if let Err(error) = MappingStore::load(&folder) {
        found
            .problems
            .extend(error.to_string().lines().map(|line| Problem {
                file: folder.clone(),
                line: None,
                message: line.to_owned(),
            }));
    }
    match compose::rule_packs::load(&folder) {
        Ok(packs) => {
            found.notes = compose::rule_packs::notes(&packs);
            let channels = &loaded.config.channels;
            let strangers = packs
                .autoverify
                .channels_named()
                .into_iter()
                .filter(|name| {
                    !channels
                        .iter()
                        .any(|channel| channel.id.get_ref().as_str() == *name)
                });
            found.notes.extend(strangers.map(|name| {
                format!("rules/autoverify.toml or its approval names the channel `{name}`, which this configuration does not have")
            }));
        }
        Err(faults) => found.problems.extend(faults.0),
    }
    found
}
