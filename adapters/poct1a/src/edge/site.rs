//! What all connections of a channel share: settings, the hub, which lists its devices have, and which they lack.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use schemas::ChannelId;
use tokio::sync::Notify;

use super::House;
use crate::link::{Given, List};
use crate::settings::Poct1aSettings;

/// Reasons that the channel's state names at one time.
const MOST_NAMED: usize = 5;

/// One channel's place.
pub struct Site {
    pub channel: ChannelId,
    pub settings: Poct1aSettings,
    pub house: Arc<dyn House>,
    pub(super) given: Arc<Given>,
    pub(super) missing: Missing,
}

impl Site {
    /// A channel whose devices were given nothing yet.
    #[must_use]
    pub fn new(channel: ChannelId, settings: Poct1aSettings, house: Arc<dyn House>) -> Self {
        Self {
            channel,
            settings,
            house,
            given: Arc::default(),
            missing: Missing::default(),
        }
    }

    /// Which devices lack a list that they were to have, and why; in one line, for the channel's state.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        self.missing.text()
    }
}

/// Lists that could not be given, by device.
#[derive(Debug, Default)]
pub(super) struct Missing {
    lists: Mutex<BTreeMap<(String, List), String>>,
    changed: Notify,
}

impl Missing {
    /// A device lacks a list, or has it again. Whether that is news.
    pub(super) fn say(&self, device: &str, list: List, reason: Option<&str>) -> bool {
        let key = (device.to_owned(), list);
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let news = match reason {
            Some(reason) => {
                let before = lists.insert(key, reason.to_owned());
                before.as_deref() != Some(reason)
            }
            None => lists.remove(&key).is_some(),
        };
        drop(lists);
        if news {
            self.changed.notify_one();
        }
        news
    }

    /// Returns when there is news.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn text(&self) -> Option<String> {
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let mut named: Vec<String> = lists
            .iter()
            .take(MOST_NAMED)
            .map(|((device, list), reason)| format!("{device} has no {}: {reason}", list.as_str()))
            .collect();
        if lists.len() > MOST_NAMED {
            named.push(format!("and {} more", lists.len() - MOST_NAMED));
        }
        (!named.is_empty()).then(|| named.join("; "))
    }
}
