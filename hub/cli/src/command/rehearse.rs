//! `hub try`: what a captured file would become. No server, no store, nothing is sent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use hub_core::mappings::{MappingStore, Mappings, Pack, PackUse};
use schemas::ChannelId;

use super::{MappingsArgument, packs};
use crate::compose;
use crate::kinds::Kind;

mod play;
mod show;

/// The channel that a pack is tried on.
const CHANNEL: &str = "try";

/// Arguments of `hub try`.
#[derive(clap::Args)]
pub(super) struct Try {
    /// Captured files: a session with its framing, frames alone, or messages without any.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The instrument pack.
    #[arg(long, required_unless_present = "channel", conflicts_with = "channel")]
    pack: Option<String>,
    /// A channel of --config instead, with all it says.
    #[arg(long, requires = "config")]
    channel: Option<String>,
    #[command(flatten)]
    mappings: MappingsArgument,
    /// Undo a logger's damage first: line feeds that were added or changed, control characters written as words.
    #[arg(long)]
    repair: bool,
    #[arg(long)]
    json: bool,
}

/// What files are tried with.
struct Bench {
    kind: Kind,
    channel: ChannelId,
    maps: Arc<Mappings>,
    /// The instrument's own flags, in words.
    flags: BTreeMap<String, String>,
    name: String,
}

impl Try {
    /// Plays each file; exit code 1 when anything of it would be refused, or when a file has no message at all.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let bench = self.bench()?;
        let mut good = true;
        for file in &self.files {
            let capture = std::fs::read(file).with_context(|| file.display().to_string())?;
            let tried = play::play(&bench, file, &capture, self.repair);
            good &= tried.is_good();
            if self.json {
                println!("{}", serde_json::to_string(&tried)?);
            } else {
                show::show(&tried);
            }
        }
        Ok(if good {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn bench(&self) -> anyhow::Result<Bench> {
        match (&self.pack, &self.channel) {
            (Some(name), _) => of_pack(&self.mappings.folder()?, name),
            (None, Some(id)) => self.of_channel(id),
            (None, None) => bail!("give --pack or --channel"),
        }
    }

    fn of_channel(&self, id: &str) -> anyhow::Result<Bench> {
        let loaded = self
            .mappings
            .loaded()?
            .context("--channel needs --config <file>")?;
        let packs = compose::packs(&loaded).map_err(compose::problems)?;
        let settings = loaded
            .config
            .channels
            .iter()
            .find(|channel| channel.id.get_ref().as_str() == id)
            .with_context(|| format!("the configuration has no channel `{id}`"))?;
        let kind = Kind::read(&loaded, &packs, settings).map_err(compose::problems)?;
        let store = compose::mapping_store(&loaded).map_err(|error| anyhow::anyhow!("{error}"))?;
        let pack = settings
            .pack
            .as_ref()
            .and_then(|name| packs.get(name.get_ref()));
        Ok(Bench {
            kind,
            channel: settings.id.get_ref().clone(),
            maps: store.current(),
            flags: pack.map(|pack| pack.flags.clone()).unwrap_or_default(),
            name: format!("channel {id}"),
        })
    }
}

fn of_pack(folder: &Path, name: &str) -> anyhow::Result<Bench> {
    let known =
        hub_core::mappings::Packs::load(folder).map_err(|error| anyhow::anyhow!("{error}"))?;
    let pack: &Pack = packs::named(&known, name)?;
    let kind = Kind::of_pack(pack).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })?;
    let channel = ChannelId::new(CHANNEL).context("a good name")?;
    let uses = vec![PackUse {
        channel: channel.clone(),
        pack: name.to_owned(),
    }];
    let store =
        MappingStore::load_with_packs(folder, uses).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(Bench {
        kind,
        channel,
        maps: store.current(),
        flags: pack.flags.clone(),
        name: format!("pack {name}"),
    })
}
