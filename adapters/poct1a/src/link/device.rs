//! Who the device is, by its hello: no other message says so.

use crate::document::Element;

/// Begins the note with which a device's name goes with each of its documents, to the translator.
pub const DEVICE_NOTE: &str = "device: ";

/// Longest name.
const LONGEST: usize = 120;

/// What a hello tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Maker, model and serial number, as far as it says them.
    pub name: Option<String>,
    /// It lists the directive `START_CONTINUOUS`.
    pub knows_continuous: bool,
}

impl Device {
    /// Reads HEL.R01.
    #[must_use]
    pub fn of_hello(root: &Element) -> Self {
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
        let knows_continuous = root.find("DSC").is_some_and(|dsc| {
            dsc.named("DSC.directives_supported_cd").any(|one| {
                one.value()
                    .is_some_and(|v| v.eq_ignore_ascii_case("START_CONTINUOUS"))
            })
        });
        Self {
            name: (!name.is_empty()).then_some(name),
            knows_continuous,
        }
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.name
            .iter()
            .map(|name| format!("{DEVICE_NOTE}{name}"))
            .collect()
    }
}
