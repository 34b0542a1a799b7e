//! Who the device is, by its hello: no other message says so.

use crate::document::Element;
use crate::link::lists::List;
use crate::settings::{Give, ListSettings};

/// Begins the note with which a device's name goes with each of its documents, to the translator.
pub const DEVICE_NOTE: &str = "device: ";

/// Longest name.
const LONGEST: usize = 120;
/// Topics of one hello.
const MOST_TOPICS: usize = 64;

/// What a hello tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Maker, model and serial number, as far as it says them.
    pub name: Option<String>,
    /// It lists the directive `START_CONTINUOUS`.
    pub knows_continuous: bool,
    /// DEV.serial_id and DEV.device_id: the names that settings know it by.
    pub(super) ids: Vec<String>,
    /// DSC.topics_supported_cd, upper case.
    pub(super) topics: Vec<String>,
    /// DSC.max_message_sz.
    pub(super) most_bytes: Option<usize>,
    /// Facility and ward that its hello names.
    place: Option<(Option<String>, String)>,
}

impl Device {
    /// Reads HEL.R01.
    #[must_use]
    pub fn of_hello(root: &Element, lists: &ListSettings) -> Self {
        let Some(dev) = root.child("DEV") else {
            return Self::default();
        };
        let first = |names: [&str; 2]| names.into_iter().find_map(|name| dev.said(name));
        let parts = [
            first(["DEV.manufacturer_name", "DEV.vendor_id"]),
            first(["DEV.model_id", "DEV.device_name"]),
            first(["DEV.serial_id", "DEV.device_id"]),
        ];
        let name: Vec<String> = parts.into_iter().flatten().collect();
        let name: String = name
            .join(" ")
            .chars()
            .filter(|c| !c.is_control())
            .take(LONGEST)
            .collect();
        // DSC stands in DEV by the standard, beside it in some documents
        let dsc = root.find("DSC");
        let said = |name: &'static str| {
            let all = dsc.into_iter().flat_map(move |dsc| dsc.named(name));
            all.filter_map(Element::value)
                .map(|value| value.to_ascii_uppercase())
        };
        Self {
            name: (!name.is_empty()).then_some(name),
            knows_continuous: said("DSC.directives_supported_cd")
                .any(|directive| directive == "START_CONTINUOUS"),
            ids: ["DEV.serial_id", "DEV.device_id"]
                .into_iter()
                .filter_map(|name| dev.said(name))
                .collect(),
            topics: said("DSC.topics_supported_cd").take(MOST_TOPICS).collect(),
            most_bytes: said("DSC.max_message_sz").find_map(|size| size.parse().ok()),
            place: lists
                .place_element
                .as_deref()
                .and_then(|name| dev.child(name))
                .and_then(place),
        }
    }

    /// Whether it is to be given a list; what it lacks for one that is wanted.
    pub(super) fn takes(&self, list: List, settings: &ListSettings) -> Result<bool, String> {
        match list.give(settings) {
            Give::Never => Ok(false),
            Give::Always => Ok(true),
            Give::Supported if self.topics.iter().any(|t| list.topics().contains(&&**t)) => {
                Ok(true)
            }
            Give::Supported => Err(format!(
                "its hello does not list the topic {}",
                list.topics()[0]
            )),
        }
    }

    /// Whether it lists the topic of changes.
    pub(super) fn takes_changes(&self, list: List) -> bool {
        let [_, changes, _] = list.topics();
        self.topics.iter().any(|topic| topic == changes)
    }

    /// Facility and ward where it stands: by the settings of this device, its hello, the settings of the channel.
    pub(super) fn stands(&self, settings: &ListSettings) -> Option<(Option<String>, String)> {
        let by_id = settings.device.iter().find(|place| {
            let id = place.device.trim();
            self.ids.iter().any(|own| own.eq_ignore_ascii_case(id))
        });
        let (facility, ward) = match (by_id, &self.place) {
            (Some(place), _) => (place.facility.clone(), place.ward.clone()),
            (None, Some(place)) => place.clone(),
            (None, None) => (None, settings.ward.clone()?),
        };
        Some((facility.or_else(|| settings.facility.clone()), ward))
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.name
            .iter()
            .map(|name| format!("{DEVICE_NOTE}{name}"))
            .collect()
    }
}

/// `ward` or `facility^ward`; Nova writes it as text beside a value.
fn place(element: &Element) -> Option<(Option<String>, String)> {
    let beside = element.beside().map(str::to_owned);
    let said = beside.or_else(|| element.value())?;
    let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    match said.split_once('^') {
        Some((facility, rest)) => {
            let ward = rest.split('^').next().and_then(some)?;
            Some((some(facility), ward))
        }
        None => Some((None, some(&said)?)),
    }
}
