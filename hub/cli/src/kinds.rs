//! The kinds of channels: one line in [`KINDS`] and one `impl` for each adapter. A channel's settings are what its instrument
//! pack says, and over that what it says itself; the whole is checked, and is what edge and translator get.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use adapter_astm::{AstmEdge, AstmSettings, AstmTranslator};
use adapter_hl7v2::edge::Hl7v2Edge;
use adapter_hl7v2::settings::Hl7v2Settings;
use adapter_hl7v2::translate::Hl7v2Translator;
use adapter_link::Fault;
use adapter_poct1a::{Poct1aEdge, Poct1aSettings, Poct1aTranslator};
use hub_core::config::{ChannelSettings, Loaded, Problem};
use hub_core::mappings::{MappingProblem, Pack, Packs, Reach};
use hub_core::rehearsal::Rehearsal;
use hub_core::{Adapter, AdapterError, ChannelContext, Translator};

/// Every kind by its name in the file, and how its settings are read.
const KINDS: &[(&str, Read)] = &[
    ("hl7v2", read::<Hl7v2Settings>),
    ("astm", read::<AstmSettings>),
    ("poct1a", read::<Poct1aSettings>),
];

/// What an adapter's settings must be able to do.
trait Settings: serde::de::DeserializeOwned + Send + Sync + 'static {
    /// Everything wrong with them.
    fn faults(&self) -> Vec<Fault>;
    /// A new edge; one for each start of the channel.
    fn edge(&self) -> impl Adapter;
    /// The channel's translator.
    fn translator(&self) -> impl Translator;
    /// Plays a capture without a line; `repair` undoes a logger's damage first.
    fn rehearse(&self, capture: &[u8], _repair: bool) -> Rehearsal {
        Rehearsal::whole(capture)
    }
    /// Its results must be verified here before anybody may act on them.
    fn verify(&self) -> bool;
}

impl Settings for Hl7v2Settings {
    fn faults(&self) -> Vec<Fault> {
        self.validate()
    }

    fn edge(&self) -> impl Adapter {
        Hl7v2Edge::new(self.clone())
    }

    fn translator(&self) -> impl Translator {
        Hl7v2Translator::new(self.translate.clone()).with_orders(self.orders.clone())
    }

    fn rehearse(&self, capture: &[u8], repair: bool) -> Rehearsal {
        adapter_hl7v2::edge::rehearse(self, capture, repair)
    }

    fn verify(&self) -> bool {
        self.verify
    }
}

impl Settings for AstmSettings {
    fn faults(&self) -> Vec<Fault> {
        self.validate()
    }

    fn edge(&self) -> impl Adapter {
        AstmEdge::new(self.clone())
    }

    fn translator(&self) -> impl Translator {
        AstmTranslator::new(self.link.mode, self.dialect.clone())
    }

    fn rehearse(&self, capture: &[u8], repair: bool) -> Rehearsal {
        adapter_astm::rehearsal::rehearse(self, capture, repair)
    }

    fn verify(&self) -> bool {
        self.verify
    }
}

impl Settings for Poct1aSettings {
    fn faults(&self) -> Vec<Fault> {
        self.validate()
    }

    fn edge(&self) -> impl Adapter {
        Poct1aEdge::new(self.clone())
    }

    fn translator(&self) -> impl Translator {
        Poct1aTranslator::new(self.dialect.clone())
    }

    fn verify(&self) -> bool {
        self.verify
    }
}

type Read = fn(toml::Table) -> Result<Arc<dyn AnySettings>, Vec<Fault>>;
type Running = Pin<Box<dyn Future<Output = Result<(), AdapterError>> + Send>>;

/// [`Settings`] of whatever adapter.
trait AnySettings: Send + Sync {
    fn run(&self, ctx: ChannelContext) -> Running;
    fn translator(&self) -> Arc<dyn Translator>;
    fn rehearse(&self, capture: &[u8], repair: bool) -> Rehearsal;
    fn verify(&self) -> bool;
}

impl<S: Settings> AnySettings for S {
    fn run(&self, ctx: ChannelContext) -> Running {
        Box::pin(self.edge().run(ctx))
    }

    fn translator(&self) -> Arc<dyn Translator> {
        Arc::new(Settings::translator(self))
    }

    fn rehearse(&self, capture: &[u8], repair: bool) -> Rehearsal {
        Settings::rehearse(self, capture, repair)
    }

    fn verify(&self) -> bool {
        Settings::verify(self)
    }
}

/// A channel of a known kind, with its settings read and checked.
#[derive(Clone)]
pub(crate) struct Kind {
    name: &'static str,
    settings: Arc<dyn AnySettings>,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kind").field(&self.name).finish()
    }
}

impl Kind {
    /// Reads a channel's settings: its pack's, and over them its own.
    ///
    /// # Errors
    /// Every problem, with the line of the file.
    pub(crate) fn read(
        loaded: &Loaded,
        packs: &Packs,
        channel: &ChannelSettings,
    ) -> Result<Self, Vec<Problem>> {
        let wanted = channel.kind.get_ref().as_str();
        let id = channel.id.get_ref();
        let Some((name, read)) = KINDS.iter().find(|(name, _)| *name == wanted) else {
            let names: Vec<_> = KINDS.iter().map(|(name, _)| *name).collect();
            return Err(vec![loaded.problem_at(
                channel.kind.span().start,
                format!(
                    "channel `{id}` is of kind `{wanted}`; known kinds: {}",
                    names.join(", ")
                ),
            )]);
        };
        let own = channel
            .settings
            .as_ref()
            .map(|settings| settings.get_ref().clone())
            .unwrap_or_default();
        let (table, origin) = match &channel.pack {
            None => (own, String::new()),
            Some(said) => {
                let pack = pack_of(loaded, packs, channel, said)?;
                let origin = format!(" (with the defaults of pack `{}`)", pack.name);
                (pack.settings_for(&own), origin)
            }
        };
        match read(table) {
            Ok(settings) => Ok(Self { name, settings }),
            Err(faults) => Err(faults
                .into_iter()
                .map(|fault| {
                    let key = fault.path.rsplit('.').next().map(str::to_owned);
                    let said = format!("channel `{id}`: {fault}{origin}");
                    loaded.problem_in_settings(channel, key.as_deref(), said)
                })
                .collect()),
        }
    }

    /// Reads a pack as a channel that says nothing of its own but its link would have it.
    ///
    /// # Errors
    /// Every problem, with file, line and column.
    pub(crate) fn of_pack(pack: &Pack) -> Result<Self, Vec<MappingProblem>> {
        let Some((name, read)) = KINDS.iter().find(|(name, _)| *name == pack.kind) else {
            let names: Vec<_> = KINDS.iter().map(|(name, _)| *name).collect();
            let advice = format!("Known kinds: {}", names.join(", "));
            let said = format!("there is no kind of channel `{}`", pack.kind);
            return Err(vec![pack.problem("kind", said, &advice)]);
        };
        let mut settings = None;
        let mut problems: Vec<MappingProblem> = Vec::new();
        for (reach, link) in LINKS {
            if !pack.reach.contains(&reach) {
                if pack.settings.contains_key(link.0) {
                    problems.push(pack.problem(
                        &format!("settings.{}", link.0),
                        format!(
                            "defaults of `{}`, by which the instrument is not reached",
                            link.0
                        ),
                        "Add that way to `reach`, or leave the table out",
                    ));
                }
                continue;
            }
            match read(pack.settings_for(&link_of(link))) {
                Ok(good) => {
                    settings.get_or_insert(good);
                }
                Err(faults) => {
                    for fault in faults {
                        let problem = pack.problem(
                            &format!("settings.{}", fault.path),
                            fault.to_string(),
                            "Correct it; deploy/hub.example.toml has every key",
                        );
                        if !problems.contains(&problem) {
                            problems.push(problem);
                        }
                    }
                }
            }
        }
        match settings {
            Some(settings) if problems.is_empty() => Ok(Self { name, settings }),
            _ => Err(problems),
        }
    }

    /// Name as in the file.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Runs a new edge until its context says stop.
    pub(crate) fn run(&self, ctx: ChannelContext) -> Running {
        self.settings.run(ctx)
    }

    /// The channel's translator.
    pub(crate) fn translator(&self) -> Arc<dyn Translator> {
        self.settings.translator()
    }

    /// True when its results must be verified here.
    pub(crate) fn verify(&self) -> bool {
        self.settings.verify()
    }

    /// Plays a capture without a line.
    pub(crate) fn rehearse(&self, capture: &[u8], repair: bool) -> Rehearsal {
        self.settings.rehearse(capture, repair)
    }
}

/// Links that a channel may have, each with the one key that it needs.
const LINKS: [(Reach, (&str, &str, &str)); 3] = [
    (Reach::Dials, ("server", "listen", "127.0.0.1:1")),
    (Reach::Listens, ("client", "connect", "127.0.0.1:1")),
    (Reach::Serial, ("serial", "port", "/dev/null")),
];

/// Settings with nothing but a link.
fn link_of((link, key, value): (&str, &str, &str)) -> toml::Table {
    let mut inner = toml::Table::new();
    inner.insert(key.to_owned(), value.into());
    let mut table = toml::Table::new();
    table.insert(link.to_owned(), inner.into());
    table
}

fn pack_of<'p>(
    loaded: &Loaded,
    packs: &'p Packs,
    channel: &ChannelSettings,
    said: &serde_spanned::Spanned<String>,
) -> Result<&'p Pack, Vec<Problem>> {
    let (id, name) = (channel.id.get_ref(), said.get_ref());
    let at = said.span().start;
    let Some(pack) = packs.get(name) else {
        return Err(vec![loaded.problem_at(
            at,
            format!(
                "channel `{id}` names the pack `{name}`; known packs: {}",
                packs.names()
            ),
        )]);
    };
    if pack.kind != *channel.kind.get_ref() {
        return Err(vec![loaded.problem_at(
            at,
            format!(
                "channel `{id}` is of kind `{}`, the pack `{name}` of kind `{}`: give the channel that kind",
                channel.kind.get_ref(),
                pack.kind
            ),
        )]);
    }
    Ok(pack)
}

fn read<S: Settings>(table: toml::Table) -> Result<Arc<dyn AnySettings>, Vec<Fault>> {
    let settings: S = typed(table)?;
    let faults = settings.faults();
    if faults.is_empty() {
        Ok(Arc::new(settings))
    } else {
        Err(faults)
    }
}

/// What an adapter's settings say, for a part of the program that needs more than a [`Kind`] can.
///
/// # Errors
/// What can't be read.
pub(crate) fn typed<T: serde::de::DeserializeOwned>(table: toml::Table) -> Result<T, Vec<Fault>> {
    serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().message().to_owned();
        // an unknown or missing key is named by serde in backticks; a value is named there too, its key is in the path
        let key = message
            .split('`')
            .nth(1)
            .filter(|_| message.contains(" field `"));
        let path = match key {
            Some(key) if path == "." || path.is_empty() => key.to_owned(),
            Some(key) if path.rsplit('.').next() != Some(key) => format!("{path}.{key}"),
            _ => path,
        };
        vec![Fault { path, message }]
    })
}
