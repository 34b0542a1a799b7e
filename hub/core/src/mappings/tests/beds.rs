//! Beds that a device names otherwise than the hospital system.

use schemas::care::Location;

use super::{Folder, MappingStore, UNITS, channel};

fn store(rows: &str) -> (Folder, MappingStore) {
    let folder = Folder::new(&[("tables/units.toml", UNITS), ("site/beds.toml", rows)]);
    let store = folder.store();
    (folder, store)
}

fn place(parts: [&str; 4]) -> Location {
    let [point_of_care, room, bed, facility] =
        parts.map(|part| (!part.is_empty()).then(|| part.to_owned()));
    Location {
        point_of_care,
        room,
        bed,
        facility,
    }
}

#[test]
fn a_bed_has_the_name_that_the_hospital_system_gives_it() {
    let (_folder, store) = store(
        "[[bed]]\nid = \"icu-5\"\nsent = [\"ICU^^Bed5\", \"^^24\"]\nis = \"ICU^1^5^SGM\"\nchannels = [\"icu\"]\n",
    );
    let maps = store.current();
    let is = Some(place(["ICU", "1", "5", "SGM"]));
    assert_eq!(
        maps.bed(&channel("icu"), &place(["icu", "", "bed5", ""])),
        is
    );
    assert_eq!(maps.bed(&channel("icu"), &place(["", "", "24", ""])), is);
    assert_eq!(
        maps.bed(&channel("icu"), &place(["ICU", "", "Bed6", ""])),
        None
    );
    assert_eq!(
        maps.bed(&channel("ot"), &place(["ICU", "", "Bed5", ""])),
        None
    );
}

#[test]
fn a_bed_that_is_two_or_none_is_a_mistake() {
    for rows in [
        "[[bed]]\nid = \"a\"\nsent = \"X^^1\"\nis = \"A^^1\"\n[[bed]]\nid = \"b\"\nsent = \"x^^1\"\nis = \"B^^1\"\n",
        "[[bed]]\nid = \"a\"\nsent = \"X^^1\"\n",
        "[[bed]]\nid = \"a\"\nsent = \"X^^1\"\nis = \"WARD\"\n",
        "[[bed]]\nid = \"a\"\nis = \"A^^1\"\n",
    ] {
        let folder = Folder::new(&[("tables/units.toml", UNITS), ("site/beds.toml", rows)]);
        let problems = MappingStore::load(folder.path()).unwrap_err().problems;
        assert_eq!(problems.len(), 1, "{rows}: {problems:?}");
        assert!(
            problems[0].to_string().contains("site/beds.toml"),
            "{}",
            problems[0]
        );
    }
}
