//! `hub packs`: the instrument packs, what proves each, and the channel that a hospital would write for one.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use hub_core::mappings::{MappingProblem, Pack, Packs, Reach};
use serde_json::{Value, json};

use super::MappingsArgument;
use crate::kinds::Kind;
use crate::simulate::Template;

/// Arguments of `hub packs`.
#[derive(clap::Args)]
pub(super) struct List {
    /// Show this pack.
    name: Option<String>,
    #[command(flatten)]
    mappings: MappingsArgument,
    #[arg(long)]
    json: bool,
}

impl List {
    /// Prints; exit code 1 when a pack is wrong.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut packs = read(&self.mappings)?;
        let (evidence, missing) = look_for_samples(&mut packs)?;
        let faults: Vec<MappingProblem> = packs
            .iter()
            .flat_map(|pack| Kind::of_pack(pack).err().unwrap_or_default())
            .chain(packs.iter().flat_map(faults_of_samples))
            .chain(missing)
            .collect();
        for fault in &faults {
            eprintln!("{fault}");
        }
        match &self.name {
            Some(name) => {
                let pack = named(&packs, name)?;
                if self.json {
                    println!("{}", whole(pack, evidence));
                } else {
                    show(pack, evidence);
                }
            }
            None if self.json => {
                let list: Vec<Value> = packs.iter().map(|pack| brief(pack, evidence)).collect();
                println!("{}", json!(list));
            }
            None => print_list(&packs, evidence),
        }
        Ok(if faults.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// The packs of the folder that is meant.
///
/// # Errors
/// Every fault of every pack.
pub(super) fn read(mappings: &MappingsArgument) -> anyhow::Result<Packs> {
    Packs::load(&mappings.folder()?).map_err(|error| anyhow::anyhow!("{error}"))
}

/// The pack of this name.
///
/// # Errors
/// There is none; names those that there are.
pub(super) fn named<'p>(packs: &'p Packs, name: &str) -> anyhow::Result<&'p Pack> {
    packs
        .get(name)
        .with_context(|| format!("there is no pack `{name}`; known packs: {}", packs.names()))
}

/// What the word of a pack on its samples is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    /// The samples were found in the corpus.
    Seen,
    /// There is no corpus here to look into.
    Claimed,
}

/// Looks for the samples that packs name, where `SANGAM_CORPUS` says that the public corpus is. One that is not there is taken
/// out and is a fault.
///
/// # Errors
/// `SANGAM_CORPUS` names no folder.
pub(super) fn look_for_samples(
    packs: &mut Packs,
) -> anyhow::Result<(Evidence, Vec<MappingProblem>)> {
    let Some(corpus) = std::env::var_os("SANGAM_CORPUS").filter(|said| !said.is_empty()) else {
        return Ok((Evidence::Claimed, Vec::new()));
    };
    let corpus = PathBuf::from(corpus);
    anyhow::ensure!(
        corpus.is_dir(),
        "SANGAM_CORPUS names {}, which is no folder",
        corpus.display()
    );
    let missing = packs.retain_proofs(|proof| corpus.join(&proof.file).is_file());
    Ok((Evidence::Seen, missing))
}

fn standing(pack: &Pack, evidence: Evidence) -> String {
    let said = pack.standing();
    if evidence == Evidence::Claimed && !pack.proven().is_empty() {
        return format!("as the pack claims, {said}");
    }
    said
}

/// The kinds of messages that the pack has a sample of.
pub(super) fn plays(pack: &Pack) -> Vec<&'static str> {
    let samples = &pack.samples;
    [
        ("results", &samples.results),
        ("control", &samples.control),
        ("query", &samples.query),
    ]
    .into_iter()
    .filter_map(|(name, text)| text.is_some().then_some(name))
    .collect()
}

/// What is wrong with the messages that `hub simulate` would play.
pub(super) fn faults_of_samples(pack: &Pack) -> Vec<MappingProblem> {
    let samples = &pack.samples;
    [
        ("results", &samples.results),
        ("control", &samples.control),
        ("query", &samples.query),
    ]
    .into_iter()
    .filter_map(|(name, text)| Some((name, Template::parse(text.as_deref()?).err()?)))
    .map(|(name, fault)| {
        pack.problem(
            &format!("sample.{name}"),
            fault,
            "mappings/analyzers/README.md lists the places that a sample may have",
        )
    })
    .collect()
}

/// One line a pack.
pub(super) fn print_list(packs: &Packs, evidence: Evidence) {
    let width = packs.iter().map(|pack| pack.name.len()).max().unwrap_or(0);
    for pack in packs.iter() {
        println!(
            "  {:width$}  {}; {}",
            pack.name,
            pack.title,
            standing(pack, evidence)
        );
    }
}

/// What a list says of a pack, as JSON.
pub(super) fn brief(pack: &Pack, evidence: Evidence) -> Value {
    json!({
        "name": pack.name, "title": pack.title, "vendor": pack.vendor, "models": pack.models, "kind": pack.kind,
        "reach": pack.reach, "port": pack.port, "standing": standing(pack, evidence), "proven": pack.proven(),
        "proved_by": pack.proofs, "samples_seen": evidence == Evidence::Seen, "plays": plays(pack), "file": pack.file,
    })
}

fn whole(pack: &Pack, evidence: Evidence) -> Value {
    let mut value = brief(pack, evidence);
    value["source"] = json!(pack.source);
    value["quirks"] = json!(pack.quirks);
    value["flags"] = json!(pack.flags);
    value["codes"] = json!(pack.codes);
    value["settings"] = json!(pack.settings);
    value["samples"] = json!(pack.samples);
    value
}

fn show(pack: &Pack, evidence: Evidence) {
    println!("{}  {}", pack.name, pack.title);
    println!("  models     {} ({})", pack.models.join(", "), pack.vendor);
    println!("  kind       {}", pack.kind);
    let reach: Vec<String> = pack
        .reach
        .iter()
        .map(|reach| in_words(pack, *reach))
        .collect();
    println!("  reached    {}", reach.join("; "));
    println!("  known from {}", pack.source.join("; "));
    println!("  {}", standing(pack, evidence));
    for proof in &pack.proofs {
        println!("    {}: {}", proof.file, proof.shows);
    }
    if !pack.quirks.is_empty() {
        println!("  good to know");
        for quirk in &pack.quirks {
            println!("    - {quirk}");
        }
    }
    if !pack.flags.is_empty() {
        println!("  its flags");
        for (flag, meaning) in &pack.flags {
            println!("    {flag}  {meaning}");
        }
    }
    if pack.codes.is_empty() {
        println!(
            "  codes      the site's own: write them into site/, or map them on the screen as they come"
        );
    } else {
        let codes: Vec<&str> = pack.codes.keys().map(String::as_str).collect();
        println!("  codes      {}", codes.join(" "));
    }
    let plays = plays(pack);
    if !plays.is_empty() {
        println!("  simulate   plays {}", plays.join(", "));
    }
    println!("\nA channel for it in hub.toml:\n\n{}", channel(pack));
}

fn in_words(pack: &Pack, reach: Reach) -> String {
    let port = pack
        .port
        .map(|port| format!(", usually port {port}"))
        .unwrap_or_default();
    match reach {
        Reach::Dials => format!("it dials the hub{port}"),
        Reach::Listens => format!("the hub dials it{port}"),
        Reach::Serial => "serial line".to_owned(),
    }
}

/// What a hospital would write.
fn channel(pack: &Pack) -> String {
    let port = pack.port.unwrap_or(5000);
    let link = match pack.reach.first() {
        Some(Reach::Serial) => {
            "[channel.settings.serial]\nport = \"/dev/serial/by-id/…\"".to_owned()
        }
        Some(Reach::Listens) => {
            format!("[channel.settings.client]\nconnect = \"<its address>:{port}\"")
        }
        _ => format!(
            "[channel.settings.server]\nlisten = \"0.0.0.0:{port}\"\nallow = [\"<its address>\"]"
        ),
    };
    format!(
        "[[channel]]\nid = \"{name}\"\ntenant = \"demo\"\nkind = \"{kind}\"\npack = \"{name}\"\n{link}",
        name = pack.name,
        kind = pack.kind,
    )
}
