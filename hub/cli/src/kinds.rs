//! The kinds of channels: one line in [`KINDS`] and one `impl` for each adapter.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use adapter_astm::{AstmEdge, AstmSettings, AstmTranslator};
use adapter_hl7v2::edge::Hl7v2Edge;
use adapter_hl7v2::settings::Hl7v2Settings;
use adapter_hl7v2::translate::Hl7v2Translator;
use adapter_link::Fault;
use hub_core::config::{ChannelSettings, Loaded, Problem};
use hub_core::{Adapter, AdapterError, ChannelContext, Translator};

/// Every kind by its name in the file, and how its settings are read.
const KINDS: &[(&str, Read)] = &[
    ("hl7v2", read::<Hl7v2Settings>),
    ("astm", read::<AstmSettings>),
];

/// What an adapter's settings must be able to do.
trait Settings: serde::de::DeserializeOwned + Send + Sync + 'static {
    /// Everything wrong with them.
    fn faults(&self) -> Vec<Fault>;
    /// A new edge; one for each start of the channel.
    fn edge(&self) -> impl Adapter;
    /// The channel's translator.
    fn translator(&self) -> impl Translator;
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
        Hl7v2Translator::new(self.translate.clone())
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

    fn verify(&self) -> bool {
        self.verify
    }
}

type Read = fn(&Loaded, &ChannelSettings) -> Result<Arc<dyn AnySettings>, Vec<Problem>>;
type Running = Pin<Box<dyn Future<Output = Result<(), AdapterError>> + Send>>;

/// [`Settings`] of whatever adapter.
trait AnySettings: Send + Sync {
    fn run(&self, ctx: ChannelContext) -> Running;
    fn translator(&self) -> Arc<dyn Translator>;
    fn verify(&self) -> bool;
}

impl<S: Settings> AnySettings for S {
    fn run(&self, ctx: ChannelContext) -> Running {
        Box::pin(self.edge().run(ctx))
    }

    fn translator(&self) -> Arc<dyn Translator> {
        Arc::new(Settings::translator(self))
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
    /// Reads a channel's settings.
    ///
    /// # Errors
    /// Every problem, with the line of the file.
    pub(crate) fn read(loaded: &Loaded, channel: &ChannelSettings) -> Result<Self, Vec<Problem>> {
        let wanted = channel.kind.get_ref().as_str();
        let Some((name, read)) = KINDS.iter().find(|(name, _)| *name == wanted) else {
            let names: Vec<_> = KINDS.iter().map(|(name, _)| *name).collect();
            return Err(vec![loaded.problem_at(
                channel.kind.span().start,
                format!(
                    "channel `{}` is of kind `{wanted}`; known kinds: {}",
                    channel.id.get_ref(),
                    names.join(", ")
                ),
            )]);
        };
        Ok(Self {
            name,
            settings: read(loaded, channel)?,
        })
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
}

fn read<S: Settings>(
    loaded: &Loaded,
    channel: &ChannelSettings,
) -> Result<Arc<dyn AnySettings>, Vec<Problem>> {
    let settings: S = table(loaded, channel)?;
    let problems: Vec<Problem> = settings
        .faults()
        .into_iter()
        .map(|fault| {
            let key = fault.path.rsplit('.').next().map(str::to_owned);
            loaded.problem_in_settings(
                channel,
                key.as_deref(),
                format!("channel `{}`: {fault}", channel.id.get_ref()),
            )
        })
        .collect();
    if problems.is_empty() {
        Ok(Arc::new(settings))
    } else {
        Err(problems)
    }
}

fn table<T: serde::de::DeserializeOwned>(
    loaded: &Loaded,
    channel: &ChannelSettings,
) -> Result<T, Vec<Problem>> {
    let table = channel
        .settings
        .as_ref()
        .map(|settings| settings.get_ref().clone())
        .unwrap_or_default();
    serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().message().to_owned();
        // an unknown or missing key is named by serde in backticks; a value is named there too, its key is in the path
        let key = if message.contains(" field `") {
            message.split('`').nth(1)
        } else {
            path.rsplit('.').next()
        };
        let key = key.map(str::to_owned);
        vec![loaded.problem_in_settings(
            channel,
            key.as_deref(),
            format!("channel `{}`: {path}: {message}", channel.id.get_ref()),
        )]
    })
}
