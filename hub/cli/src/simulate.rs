//! Plays an instrument as a pack describes it: over TCP, a serial port or a pseudo terminal, well-behaved or not. For people
//! who connect a hub before the instrument is there, and for tests. It never touches the hub but over the line.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use adapter_astm::AstmSettings;
use adapter_astm::settings::Mode;
use anyhow::{Context as _, bail};
use hub_core::mappings::Pack;

mod astm;
mod block;
mod chosen;
mod job;
mod mllp;
mod template;
mod wanted;
mod wire;

pub(crate) use job::{Job, Play, Told};
pub(crate) use template::{Filling, Template};
pub(crate) use wire::Place;

/// How it misbehaves, once, in the first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Fault {
    /// The line is cut in the midst of the message; it connects again and sends it whole.
    Drop,
    /// A frame (ASTM) or the message (HL7) is sent twice.
    Repeat,
    /// A frame has a wrong checksum the first time.
    Checksum,
    /// It falls silent in the midst of a frame until the hub gives up, then begins again.
    Silence,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drop => "the line is cut here",
            Self::Repeat => "the same is sent twice",
            Self::Checksum => "the checksum is wrong",
            Self::Silence => "silence in the midst of it",
        })
    }
}

/// How it is played.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    pub(crate) fault: Option<Fault>,
    /// Pause between two messages.
    pub(crate) pause: Duration,
    /// How long it waits for an answer.
    pub(crate) patience: Duration,
    /// How long it is silent with [`Fault::Silence`].
    pub(crate) silence: Duration,
    /// Keep the line open for what the hub sends, this long after the last message.
    pub(crate) stay: Duration,
}

/// What a play came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) accepted: usize,
    pub(crate) refused: usize,
    /// Messages that the hub sent.
    pub(crate) received: usize,
    pub(crate) unanswered: usize,
}

impl Outcome {
    pub(crate) fn is_good(&self) -> bool {
        self.refused == 0 && self.unanswered == 0
    }
}

/// Plays the jobs in order over the line.
///
/// # Errors
/// The line can't be had, or the pack is of a kind that can't be played.
pub(crate) async fn play(
    pack: &Pack,
    mut place: Place,
    jobs: Vec<Job>,
    manner: &Manner,
    tell: &mut dyn FnMut(Told),
) -> anyhow::Result<Outcome> {
    match pack.kind.as_str() {
        "astm" => {
            let settings: AstmSettings = typed(pack)?;
            match settings.link.mode {
                Mode::E1381 => astm::play(&settings, &mut place, jobs, manner, tell).await,
                Mode::Bare | Mode::Au | Mode::Dimension => {
                    block::play(&settings, &mut place, jobs, manner, tell).await
                }
            }
        }
        "hl7v2" => mllp::play(&mut place, jobs, manner, tell).await,
        other => bail!("instruments of kind `{other}` can't be played yet"),
    }
}

/// The settings of a pack, with a link that nobody opens.
fn typed<T: serde::de::DeserializeOwned>(pack: &Pack) -> anyhow::Result<T> {
    let own: toml::Table =
        toml::from_str("server = { listen = \"127.0.0.1:1\" }").context("a link")?;
    crate::kinds::typed(pack.settings_for(&own)).map_err(|faults| {
        let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("pack `{}`: {}", pack.name, said.join("; "))
    })
}

/// Where the pack's serial defaults meet a port.
///
/// # Errors
/// The defaults can't be read.
pub(crate) fn serial(
    pack: &Pack,
    port: &std::path::Path,
) -> anyhow::Result<adapter_link::SerialSettings> {
    let mut table = match pack.settings.get("serial") {
        Some(toml::Value::Table(table)) => table.clone(),
        _ => toml::Table::new(),
    };
    table.insert("port".to_owned(), port.display().to_string().into());
    crate::kinds::typed(table).map_err(|faults| {
        let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("pack `{}`: serial: {}", pack.name, said.join("; "))
    })
}

/// An address in words.
pub(crate) fn at(address: SocketAddr) -> String {
    format!("TCP {address}")
}
