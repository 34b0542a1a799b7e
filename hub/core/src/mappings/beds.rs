//! Places as one text, `ward^room^bed^facility`: how files and the table of beds write them.

use schemas::care::Location;

/// A place from its text; parts that are missing or empty are not named.
pub(super) fn parse(text: &str) -> Location {
    let mut parts = text.split('^').map(|part| {
        let part = part.trim();
        (!part.is_empty()).then(|| part.to_owned())
    });
    let mut next = || parts.next().flatten();
    Location {
        point_of_care: next(),
        room: next(),
        bed: next(),
        facility: next(),
    }
}

/// The text of a place, without empty ends.
pub(super) fn text(place: &Location) -> String {
    let parts = [
        &place.point_of_care,
        &place.room,
        &place.bed,
        &place.facility,
    ]
    .map(|part| part.as_deref().unwrap_or_default().trim());
    parts.join("^").trim_end_matches('^').to_owned()
}

/// The same for two spellings that differ in letter case only.
pub(super) fn key(place: &Location) -> String {
    text(place).to_uppercase()
}
