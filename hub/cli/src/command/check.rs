//! `hub check`: what is wrong with a configuration, before anything starts.

use std::path::Path;
use std::process::ExitCode;

use hub_core::config::{Loaded, Problem};
use hub_core::mappings::Packs;
use worker_clinical::RulePacks;

use super::packs::{self, Evidence};
use crate::compose;
use crate::kinds::Kind;

/// What was looked at.
struct Looked {
    problems: Vec<Problem>,
    channels: usize,
    packs: Packs,
    /// Whether what proves the packs was looked for.
    evidence: Evidence,
    /// Nothing wrong, and good to know.
    notes: Vec<String>,
}

/// Prints all problems; exit code 1 when there are any.
///
/// # Errors
/// None of its own: a file that can't be read is a problem like any other.
pub(super) fn run(file: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let looked = look(file);
    let (problems, channels, notes) = (&looked.problems, looked.channels, &looked.notes);
    if json {
        let list: Vec<_> = problems
            .iter()
            .map(|problem| serde_json::json!({"file": problem.file, "line": problem.line, "message": problem.message}))
            .collect();
        let packs: Vec<_> = looked
            .packs
            .iter()
            .map(|pack| packs::brief(pack, looked.evidence))
            .collect();
        println!(
            "{}",
            serde_json::json!({"ok": problems.is_empty(), "channels": channels, "problems": list, "notes": notes, "packs": packs})
        );
    } else {
        if problems.is_empty() {
            println!("{}: good ({channels} channels)", file.display());
            packs::print_list(&looked.packs, looked.evidence);
        }
        for problem in problems {
            println!("{problem}");
        }
        for note in notes {
            println!("note: {note}");
        }
    }
    Ok(if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn look(file: &Path) -> Looked {
    let mut looked = Looked {
        problems: Vec::new(),
        channels: 0,
        packs: Packs::default(),
        evidence: Evidence::Claimed,
        notes: Vec::new(),
    };
    let loaded = match Loaded::from_file(file) {
        Ok(loaded) => loaded,
        Err(problems) => {
            looked.problems = problems;
            return looked;
        }
    };
    let folder = loaded.mappings_folder();
    let in_folder = |message: String| Problem {
        file: folder.clone(),
        line: None,
        message,
    };
    match compose::read_channels(&loaded) {
        Ok(channels) => looked.channels = channels.len(),
        Err(problems) => looked.problems = problems,
    }
    let mut problems = Vec::new();
    match Packs::load(&folder) {
        Ok(mut packs) => {
            match packs::look_for_samples(&mut packs) {
                Ok((evidence, missing)) => {
                    looked.evidence = evidence;
                    problems.extend(missing.iter().map(|fault| in_folder(fault.to_string())));
                }
                Err(error) => problems.push(in_folder(error.to_string())),
            }
            let faults = packs.iter().filter_map(|pack| Kind::of_pack(pack).err());
            problems.extend(faults.flatten().map(|fault| in_folder(fault.to_string())));
            let samples = packs.iter().flat_map(packs::faults_of_samples);
            problems.extend(samples.map(|fault| in_folder(fault.to_string())));
            looked.packs = packs;
        }
        Err(error) => problems.extend(compose::mapping_problems(&loaded, &error)),
    }
    if let Err(error) = compose::mapping_store(&loaded) {
        problems.extend(compose::mapping_problems(&loaded, &error));
    }
    match compose::rule_packs::load(&folder) {
        Ok(rules) => looked.notes = notes(&loaded, &rules),
        Err(faults) => problems.extend(faults.0),
    }
    // a fault of a pack is found by its own loader and by that of the tables
    for problem in problems {
        if !looked.problems.contains(&problem) {
            looked.problems.push(problem);
        }
    }
    looked
}

/// What is good to know of the rule packs: drafts, and channels that they name and nobody has.
fn notes(loaded: &Loaded, rules: &RulePacks) -> Vec<String> {
    let mut notes = compose::rule_packs::notes(rules);
    let channels = &loaded.config.channels;
    let strangers = rules
        .autoverify
        .channels_named()
        .into_iter()
        .filter(|name| {
            !channels
                .iter()
                .any(|channel| channel.id.get_ref().as_str() == *name)
        });
    notes.extend(strangers.map(|name| {
        format!("rules/autoverify.toml or its approval names the channel `{name}`, which this configuration does not have")
    }));
    notes
}
