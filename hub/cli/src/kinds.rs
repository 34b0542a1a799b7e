//! The kinds of channels: one line for each adapter.

use adapter_hl7v2::edge::Hl7v2Edge;
use adapter_hl7v2::settings::Hl7v2Settings;
use adapter_hl7v2::translate::Hl7v2Translator;
use hub_core::config::{ChannelSettings, Loaded, Problem};

/// A channel of a known kind, with its settings read and checked.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Hl7v2(Box<Hl7v2Settings>),
}

impl Kind {
    /// Names of all kinds, for messages.
    pub(crate) const NAMES: &'static [&'static str] = &["hl7v2"];

    /// Reads a channel's settings.
    ///
    /// # Errors
    /// Every problem, with the line of the file.
    pub(crate) fn read(loaded: &Loaded, channel: &ChannelSettings) -> Result<Self, Vec<Problem>> {
        match channel.kind.get_ref().as_str() {
            "hl7v2" => {
                let settings: Hl7v2Settings = table(loaded, channel)?;
                let problems: Vec<Problem> = settings
                    .validate()
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
                    Ok(Self::Hl7v2(Box::new(settings)))
                } else {
                    Err(problems)
                }
            }
            other => Err(vec![loaded.problem_at(
                channel.kind.span().start,
                format!(
                    "channel `{}` is of kind `{other}`; known kinds: {}",
                    channel.id.get_ref(),
                    Self::NAMES.join(", ")
                ),
            )]),
        }
    }

    /// Name as in the file.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Hl7v2(_) => "hl7v2",
        }
    }

    /// A new edge; one for each start of the channel.
    pub(crate) fn edge(&self) -> Hl7v2Edge {
        match self {
            Self::Hl7v2(settings) => Hl7v2Edge::new((**settings).clone()),
        }
    }

    /// The channel's translator.
    pub(crate) fn translator(&self) -> Hl7v2Translator {
        match self {
            Self::Hl7v2(settings) => Hl7v2Translator::new(settings.translate.clone()),
        }
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
