//! What is asked of a device, in which order, by its hello, its status and the settings.

use std::collections::VecDeque;

use super::device::Device;
use super::lists::List;
use crate::document::Element;
use crate::settings::{ConversationSettings, Mode};

/// One thing that we say of our own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// REQ.R01 ROBS: its new results.
    Observations,
    /// REQ.R01 RDEV: its events.
    Events,
    /// DTV.R02 SET_TIME.
    SetTime,
    /// OPL or PTL, each of its messages.
    List(List),
    /// EOT.R01 after them.
    EndOfList(List),
    /// Nothing is said: the device, which is in continuous mode, speaks when it has something.
    Resume,
    /// DTV.R01 START_CONTINUOUS.
    Continuous,
    /// KPA.R01.
    KeepAlive,
    /// END.R01.
    End,
}

/// The results come first: their times are those of the clock that was.
pub(super) fn after_status(
    settings: &ConversationSettings,
    device: &Device,
    status: &Element,
    lists: impl IntoIterator<Item = List>,
) -> VecDeque<Step> {
    let count = |name: &str| -> Option<u64> {
        let said = status.child("DST")?.said(name)?;
        said.parse().ok()
    };
    let mut plan = VecDeque::new();
    if settings.request_observations && count("DST.new_observations_qty") != Some(0) {
        plan.push_back(Step::Observations);
    }
    if settings.request_events && count("DST.new_events_qty").is_some_and(|events| events > 0) {
        plan.push_back(Step::Events);
    }
    if settings.set_time {
        plan.push_back(Step::SetTime);
    }
    plan.extend(lists.into_iter().map(Step::List));
    let continuous = match settings.mode {
        Mode::Continuous => true,
        Mode::Basic => false,
        Mode::Auto => device.knows_continuous,
    };
    plan.push_back(if continuous {
        Step::Continuous
    } else {
        Step::End
    });
    plan
}
