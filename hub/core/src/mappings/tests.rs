mod beds;
mod operators;
mod orders;
mod our_packs;
mod packs;
mod specimens;

use std::fs;
use std::path::Path;

use schemas::ChannelId;
use schemas::care::Mapped;
use schemas::integration::CodeMapped;

use super::{Lookup, MappingStore, Mappings, is_loinc};

const UNITS: &str = r#"
[[unit]]
ucum = "g/dL"
raw = ["g/dl", "gm/dl"]
[[unit]]
ucum = "g/L"
[[unit]]
ucum = "10*3/uL"
raw = ["10^3/uL", "K/uL", "10*9/L"]
[[unit]]
ucum = "/uL"
raw = ["cells/cumm"]
[[unit]]
ucum = "%"
"#;

const CODES: &str = r#"
[[code]]
id = "hgb"
code = ["HGB", "Hb"]
loinc = "718-7"
display = "Hemoglobin"
ucum = "g/dL"
units = [{ from = "g/L", factor = "0.1" }]

[[code]]
id = "wbc"
code = "WBC"
loinc = "6690-2"
ucum = "10*3/uL"
units = [{ from = "/uL", factor = "0.001" }]

[[code]]
id = "bc-wbc"
code = "2001"
system = "99MRC"
channels = ["lab"]
loinc = "6690-2"
ucum = "10*3/uL"

[[assigner]]
id = "demo"
authority = ["DEMO", "1.2.3"]
system = "demo-hospital"
"#;

struct Folder(tempdir::Dir);

/// A folder of its own that vanishes with the test.
mod tempdir {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    static NEXT: AtomicU32 = AtomicU32::new(0);

    pub(super) struct Dir(pub(super) PathBuf);

    impl Dir {
        pub(super) fn new() -> Self {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let path =
                std::env::temp_dir().join(format!("hub-mappings-{}-{n}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempdir::Dir::new());
        fs::create_dir_all(folder.path().join("tables")).unwrap();
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    fn path(&self) -> &Path {
        &self.0.0
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn store(&self) -> MappingStore {
        MappingStore::load(self.path()).unwrap_or_else(|error| panic!("{error}"))
    }
}

fn standard() -> Folder {
    Folder::new(&[("tables/units.toml", UNITS), ("tables/codes.toml", CODES)])
}

fn channel(name: &str) -> ChannelId {
    ChannelId::new(name).unwrap()
}

fn look(maps: &Mappings, system: &str, code: &str, unit: &str) -> Lookup {
    maps.code(&channel("lab"), system, code, unit, true)
}

fn mapped(loinc: &str, ucum: Option<&str>, factor: Option<&str>) -> Mapped {
    Mapped {
        loinc: loinc.to_owned(),
        display: None,
        ucum: ucum.map(str::to_owned),
        factor: factor.map(str::to_owned),
    }
}

fn said(lookup: Lookup) -> Option<(String, Option<String>, Option<String>)> {
    match lookup {
        Lookup::Mapped(m) => Some((m.loinc, m.ucum, m.factor)),
        Lookup::Unknown | Lookup::UnknownUnit => None,
    }
}

fn is(lookup: Lookup, loinc: &str, ucum: &str, factor: Option<&str>) -> bool {
    said(lookup)
        == Some((
            loinc.to_owned(),
            Some(ucum.to_owned()),
            factor.map(str::to_owned),
        ))
}

#[test]
fn a_unit_is_converted_only_where_a_row_says_how() {
    let folder = standard();
    let maps = folder.store().current();
    assert!(is(look(&maps, "", "HGB", "g/dL"), "718-7", "g/dL", None));
    assert!(is(look(&maps, "L", "Hb", "gm/dl"), "718-7", "g/dL", None));
    assert!(is(
        look(&maps, "99ANY", "HGB", "g/L"),
        "718-7",
        "g/dL",
        Some("0.1")
    ));
    assert!(is(
        look(&maps, "", "WBC", "cells/cumm"),
        "6690-2",
        "10*3/uL",
        Some("0.001")
    ));
    assert!(is(
        look(&maps, "", "WBC", "10*9/L"),
        "6690-2",
        "10*3/uL",
        None
    ));
    assert_eq!(look(&maps, "", "HGB", "mmol/L"), Lookup::UnknownUnit);
    assert_eq!(
        look(&maps, "", "HGB", ""),
        Lookup::UnknownUnit,
        "a number without a unit"
    );
    let text = maps.code(&channel("lab"), "", "HGB", "", false);
    assert_eq!(said(text), Some(("718-7".into(), None, None)));
}

#[test]
fn what_no_row_says_is_unknown() {
    let folder = standard();
    let maps = folder.store().current();
    for (system, code) in [
        ("", "XYZ"),
        ("", ""),
        ("SCT", "WBC"),
        ("", "2001"),
        ("", "wbc"),
    ] {
        assert_eq!(
            look(&maps, system, code, "%"),
            Lookup::Unknown,
            "{system}/{code}"
        );
    }
    assert!(is(
        look(&maps, "99MRC", "2001", "K/uL"),
        "6690-2",
        "10*3/uL",
        None
    ));
    let elsewhere = maps.code(&channel("icu"), "99MRC", "2001", "K/uL", true);
    assert_eq!(elsewhere, Lookup::Unknown);
}

#[test]
fn a_loinc_code_stands_for_itself_unless_the_site_says_no() {
    let folder = standard();
    let maps = folder.store().current();
    assert!(is(look(&maps, "LN", "4544-3", "%"), "4544-3", "%", None));
    assert!(is(
        look(&maps, "LN", "718-7", "g/L"),
        "718-7",
        "g/dL",
        Some("0.1")
    ));
    let odd = look(&maps, "2.16.840.1.113883.6.1", "4544-3", "furlong");
    assert_eq!(odd, Lookup::Mapped(mapped("4544-3", None, None)));
    assert_eq!(
        look(&maps, "LN", "4544-2", "%"),
        Lookup::Unknown,
        "check digit"
    );
    assert_eq!(
        look(&maps, "", "4544-3", "%"),
        Lookup::Unknown,
        "not named as LOINC"
    );

    folder.write("site/a.toml", "[loinc]\nnot_for = [\"lab\"]");
    let maps = folder.store().current();
    assert_eq!(look(&maps, "LN", "4544-3", "%"), Lookup::Unknown);
    let icu = maps.code(&channel("icu"), "LN", "4544-3", "%", true);
    assert!(is(icu, "4544-3", "%", None));
}

#[test]
fn a_site_row_takes_the_place_of_the_row_with_its_id_and_comes_first() {
    let folder = standard();
    folder.write(
        "site/lab.toml",
        r#"
        [[code]]
        id = "hgb"
        code = "HGB"
        loinc = "20509-6"
        ucum = "g/dL"
        fixed_unit = "g/L"
        units = [{ from = "g/L", factor = "0.1" }]
        [[code]]
        id = "wbc"
        remove = true
        [[code]]
        id = "our-2001"
        code = "2001"
        system = "99MRC"
        loinc = "789-8"
        "#,
    );
    let maps = folder.store().current();
    assert!(
        is(look(&maps, "", "HGB", ""), "20509-6", "g/dL", Some("0.1")),
        "fixed unit"
    );
    assert_eq!(
        look(&maps, "", "Hb", "g/dL"),
        Lookup::Unknown,
        "replaced whole"
    );
    assert_eq!(look(&maps, "", "WBC", "K/uL"), Lookup::Unknown, "removed");
    assert!(is(
        look(&maps, "99MRC", "2001", "K/uL"),
        "789-8",
        "10*3/uL",
        None
    ));
    assert!(maps.rows().iter().any(|r| r.id == "hgb" && r.site));
}

#[test]
fn assigners_lead_to_systems() {
    let folder = standard();
    let maps = folder.store().current();
    let lab = channel("lab");
    assert_eq!(maps.assigner(&lab, "1.2.3"), "demo-hospital");
    assert_eq!(maps.assigner(&lab, "OTHER"), "OTHER");
    assert_eq!(maps.assigner(&lab, ""), "mrn");
}

#[test]
fn a_bad_file_names_the_place_and_what_to_do_and_the_old_version_stays() {
    let folder = standard();
    let store = folder.store();
    let version = store.current().version().to_owned();
    for (bad, place, words) in [
        (
            "[[code]]\nid = \"a\"\ncode = \"A\"\nloinc = \"6690-3\"\n",
            ":4:9",
            "check digit of 6690 would be 2",
        ),
        (
            "[[code]]\nid = \"a\"\ncode = \"A\"\nloinc = \"6690-2\"\nucum = \"g/dI\"\n",
            ":5:8",
            "no unit table",
        ),
        (
            "[[code]]\nid = \"a\"\ncode = \"A\"\n",
            ":2:6",
            "no LOINC code",
        ),
        (
            "[[code]]\nid = \"a\"\nloinc = \"6690-2\"\n",
            ":2:6",
            "no code",
        ),
        (
            "[[code]]\nid = \"a\"\ncode = \"WBC\"\nloinc = \"6690-2\"\n",
            ":2:6",
            "`a` and row `wbc`",
        ),
        (
            "[[code]]\nid = \"wbc\"\ncode = \"Q\"\nloinc = \"6690-2\"\n",
            ":2:6",
            "given twice",
        ),
        (
            "[[code]]\nid = \"a\"\nremove = true\n",
            ":2:6",
            "no row `a` to remove",
        ),
        (
            "[[code]]\nid = \"a\"\ncode = \"A\"\nlonc = \"6690-2\"\n",
            ":4:1",
            "unknown field",
        ),
        (
            "[[code]]\nid = \"a\"\ncode = \"A\"\nloinc = \"6690-2\"\nucum = \"g/dL\"\nunits = [{from = \"g/L\", factor = \"1e1\"}]",
            ":6:34",
            "no factor",
        ),
        (
            "[[code]]\nid = \"a\"\ncode = \"A\"\nloinc = \"6690-2\"\nchannels = [\"Lab 1\"]\n",
            ":5:13",
            "not a valid name",
        ),
        ("[[code]\nid = 1", ":1:8", "Correct the line"),
        (
            "[[unit]]\nucum = \"g/L\"\nraw = \"g/dl\"\n",
            ":1:1",
            "`g/dl` stands for `g/L` here and for `g/dL`",
        ),
        (
            "[[assigner]]\nid = \"x\"\nauthority = \"DEMO\"\nsystem = \"y\"\n",
            ":2:6",
            "another row",
        ),
        (
            "[[assigner]]\nid = \"x\"\nauthority = \"Q\"\n",
            ":2:6",
            "names no system",
        ),
    ] {
        folder.write("tables/zz-bad.toml", bad);
        let error = store.reload().unwrap_err().to_string();
        assert!(error.starts_with("tables/zz-bad.toml"), "{error}");
        assert!(error.contains(place), "{place} in {error}");
        assert!(error.contains(words), "{words} in {error}");
        assert_eq!(store.current().version(), version);
    }
    fs::write(folder.path().join("tables/zz-bad.toml"), b"\xFF").unwrap();
    assert!(
        store
            .reload()
            .unwrap_err()
            .to_string()
            .contains("not UTF-8")
    );
    fs::remove_file(folder.path().join("tables/zz-bad.toml")).unwrap();
    assert!(!store.reload().unwrap().changed);
    assert!(MappingStore::load("/nowhere").is_err());
}

#[test]
fn a_reload_tells_the_rows_that_say_something_new_and_keeps_what_people_mapped() {
    let folder = standard();
    let store = folder.store();
    store.put_overlay(
        &channel("lab"),
        "",
        "XYZ",
        None,
        &mapped("4544-3", Some("%"), None),
    );
    folder.write(
        "site/new.toml",
        "[[code]]\nid = \"plt\"\ncode = [\"PLT\", \"PLATELETS\"]\nloinc = \"777-3\"\nucum = \"10*3/uL\"\n",
    );
    let reloaded = store.reload().unwrap();
    assert!(reloaded.changed);
    let codes: Vec<_> = reloaded.added.iter().map(|r| r.code.as_str()).collect();
    assert_eq!(codes, ["PLT", "PLATELETS"]);
    assert_eq!(store.current().version(), reloaded.version);
    assert!(is(
        look(&store.current(), "", "XYZ", "%"),
        "4544-3",
        "%",
        None
    ));
}

#[test]
fn what_people_mapped_counts_after_the_files_and_only_for_its_channel_and_unit() {
    let folder = standard();
    let store = folder.store();
    let lab = channel("lab");
    store.put_overlay(
        &lab,
        "",
        "WBC",
        Some("foo"),
        &mapped("26464-8", Some("10*3/uL"), Some("2")),
    );
    store.put_overlay(
        &lab,
        "",
        "WBC",
        Some("K/uL"),
        &mapped("26464-8", Some("10*3/uL"), Some("2")),
    );
    let maps = store.current();
    assert!(
        is(
            look(&maps, "", "WBC", "foo"),
            "26464-8",
            "10*3/uL",
            Some("2")
        ),
        "a unit the file does not know"
    );
    assert!(
        is(look(&maps, "", "WBC", "K/uL"), "6690-2", "10*3/uL", None),
        "the file first"
    );

    store.apply_code_mapped(&CodeMapped {
        channel: lab.clone(),
        code_system: "99X".into(),
        code: "GLU-X".into(),
        unit: None,
        loinc: "4544-3".into(),
        display: None,
        ucum: Some("%".into()),
        factor: None,
        released: 3,
    });
    let maps = store.current();
    assert!(is(look(&maps, "99X", "GLU-X", "pct"), "4544-3", "%", None));
    assert_eq!(
        look(&maps, "99X", "GLU-X", "g/dl"),
        Lookup::UnknownUnit,
        "a unit known to be another"
    );
    assert_eq!(look(&maps, "", "GLU-X", "%"), Lookup::Unknown);
    assert_eq!(
        maps.code(&channel("icu"), "99X", "GLU-X", "%", true),
        Lookup::Unknown
    );
}

/// The tables that the hospital gets with the program.
#[test]
fn the_committed_tables_load_and_know_the_common_codes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../mappings");
    let store = MappingStore::load(folder).unwrap_or_else(|error| panic!("{error}"));
    let maps = store.current();
    assert!(maps.rows().iter().all(|row| is_loinc(&row.loinc)));
    for (code, unit, loinc, ucum, factor) in [
        ("WBC", "10^3/uL", "6690-2", "10*3/uL", None),
        ("HGB", "g/L", "718-7", "g/dL", Some("0.1")),
        ("HCT", "L/L", "4544-3", "%", Some("100")),
        ("PLT", "10*9/L", "777-3", "10*3/uL", None),
        ("GLU", "mg/dl", "2345-7", "mg/dL", None),
        ("NA", "mmol/L", "2951-2", "mmol/L", None),
        ("TSH", "uIU/mL", "3016-3", "m[IU]/L", None),
        ("ALT", "U/l", "1742-6", "U/L", None),
    ] {
        assert!(
            is(look(&maps, "", code, unit), loinc, ucum, factor),
            "{code} {unit}: {:?}",
            look(&maps, "", code, unit)
        );
    }
}
