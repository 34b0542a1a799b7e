//! Operators of bedside devices.

use schemas::ChannelId;

use super::{Folder, MappingStore, UNITS, channel};

fn store(rows: &str) -> (Folder, MappingStore) {
    let folder = Folder::new(&[("tables/units.toml", UNITS), ("site/operators.toml", rows)]);
    let store = folder.store();
    (folder, store)
}

fn ids(store: &MappingStore, channel: &ChannelId, on: &str) -> Vec<String> {
    let operators = store.current().operators(channel, on);
    operators.into_iter().map(|one| one.id).collect()
}

const STAFF: &str = r#"
[[operator]]
id = "N-2201"
name = "Sharma, Asha"
channels = ["glucose-icu", "glucose-hdu"]
from = "2026-02-01"
until = "2026-03-31"

[[operator]]
id = "N-2201"
channels = ["glucose-icu"]
methods = ["GLU", "KET"]
from = "2026-04-01"

[[operator]]
id = "S-1"
level = "4"
"#;

#[test]
fn a_certification_counts_from_its_first_to_its_last_day() {
    let (_folder, store) = store(STAFF);
    let (icu, hdu) = (channel("glucose-icu"), channel("glucose-hdu"));
    assert_eq!(ids(&store, &icu, "2026-01-31"), ["S-1"]);
    assert_eq!(ids(&store, &icu, "2026-02-01"), ["N-2201", "S-1"]);
    assert_eq!(ids(&store, &hdu, "2026-03-31"), ["N-2201", "S-1"]);
    assert_eq!(ids(&store, &hdu, "2026-04-01"), ["S-1"], "it ran out there");
    assert_eq!(ids(&store, &channel("lab"), "2026-03-01"), ["S-1"]);

    let again = store.current().operators(&icu, "2026-04-01");
    assert_eq!(again[0].methods, ["GLU", "KET"]);
    assert_eq!(again[0].level, "1");
    assert_eq!(again[0].until, None);
    assert_eq!(again[1].methods, ["ALL"]);
    assert_eq!(again[1].level, "4");
}

#[test]
fn a_row_that_would_let_in_the_wrong_person_is_a_mistake() {
    for (rows, said) in [
        ("[[operator]]\nid = \" \"\n", "no id"),
        (
            "[[operator]]\nid = \"A\"\nuntil = \"31.03.2027\"\n",
            "no day",
        ),
        (
            "[[operator]]\nid = \"A\"\nfrom = \"2027-02-30\"\n",
            "no day",
        ),
        (
            "[[operator]]\nid = \"A\"\nfrom = \"2027-02-01\"\nuntil = \"2027-01-31\"\n",
            "before it begins",
        ),
        (
            "[[operator]]\nid = \"A\"\nlevel = \"\"\n",
            "`level` is empty",
        ),
        (
            "[[operator]]\nid = \"A\"\nmethods = [\"GLU\", \"\"]\n",
            "empty method",
        ),
        (
            "[[operator]]\nid = \"A\"\n[[operator]]\nid = \"A\"\nlevel = \"4\"\nchannels = [\"lab\"]\n",
            "certified twice",
        ),
        (
            "[[operator]]\nid = \"A\"\nuntil = \"2027-01-31\"\n[[operator]]\nid = \"A\"\nfrom = \"2027-01-31\"\n",
            "certified twice",
        ),
        ("[[operator]]\nid = \"A\"\npassword = \"x\"\n", "password"),
    ] {
        let folder = Folder::new(&[("tables/units.toml", UNITS), ("site/operators.toml", rows)]);
        let problems = MappingStore::load(folder.path()).unwrap_err().problems;
        assert_eq!(problems.len(), 1, "{rows}: {problems:?}");
        let text = problems[0].to_string();
        assert!(
            text.contains(said) && text.contains("site/operators.toml:"),
            "{text}"
        );
    }
}

#[test]
fn operators_come_from_the_hospital_alone() {
    let folder = Folder::new(&[
        ("tables/units.toml", UNITS),
        ("tables/staff.toml", "[[operator]]\nid = \"A\"\n"),
    ]);
    let problems = MappingStore::load(folder.path()).unwrap_err().problems;
    assert!(problems[0].to_string().contains("site/"), "{problems:?}");
}
