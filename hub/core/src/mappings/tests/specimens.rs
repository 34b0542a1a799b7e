//! What a code means depends on the specimen: rows without one are for blood.

use schemas::care::Mapped;

use super::{Folder, UNITS, channel, is, look, mapped};
use crate::mappings::{Lookup, MappingStore, SpecimenType};

const GLUCOSE: &str = "[[unit]]\nucum = \"mg/dL\"\n\
    [[code]]\nid = \"glu\"\ncode = \"GLU\"\nloinc = \"2345-7\"\nucum = \"mg/dL\"\n";
const OF_URINE: &str = "[[code]]\nid = \"glu-u\"\ncode = \"GLU\"\nspecimen = \"Urine\"\nloinc = \"5792-7\"\nucum = \"mg/dL\"\n";

fn system(kind: &str, of: &str) -> String {
    let system = Some(of.to_owned()).filter(|of| !of.is_empty());
    SpecimenType::of(kind, None)
        .system(system)
        .unwrap_or_default()
}

#[test]
fn a_row_without_a_specimen_is_for_blood() {
    let folder = Folder::new(&[("tables/units.toml", UNITS), ("tables/codes.toml", GLUCOSE)]);
    let store = folder.store();
    let maps = store.current();
    assert!(is(look(&maps, "", "GLU", "mg/dL"), "2345-7", "mg/dL", None));
    for kind in ["UR", "CSF", "5"] {
        for base in ["", "99MRC"] {
            let asked = system(kind, base);
            assert_eq!(
                look(&maps, &asked, "GLU", "mg/dL"),
                Lookup::Unknown,
                "{asked}"
            );
        }
    }

    // the site says what it is in urine; the serum stays what it was
    folder.write("site/urine.toml", OF_URINE);
    let added = store.reload().unwrap().added;
    assert_eq!(added.len(), 1, "what waits for it may be released");
    let maps = store.current();
    let urine = system("UR", "");
    assert!(is(
        look(&maps, &urine, "GLU", "mg/dL"),
        "5792-7",
        "mg/dL",
        None
    ));
    assert!(is(look(&maps, "", "GLU", "mg/dL"), "2345-7", "mg/dL", None));
    assert_eq!(
        look(&maps, &system("CSF", ""), "GLU", "mg/dL"),
        Lookup::Unknown
    );
    // an order for it is told in the words of the instrument that has it
    folder.write(
        "site/urine.toml",
        &OF_URINE.replace("[[code]]\n", "[[code]]\nchannels = [\"lab\"]\n"),
    );
    store.reload().unwrap();
    let codes = store
        .current()
        .instrument_codes(&channel("lab"), "LN", "5792-7");
    assert_eq!(codes, ["GLU"]);
}

#[test]
fn a_row_may_be_for_several_specimens_or_for_any() {
    let row = |specimen: &str| {
        let code = "code = \"GLU\"\n";
        let text = GLUCOSE.replace(code, &format!("{code}specimen = {specimen}\n"));
        Folder::new(&[
            ("tables/units.toml", UNITS),
            ("tables/codes.toml", text.as_str()),
        ])
    };
    let answers = |folder: &Folder, kind: &str| {
        look(&folder.store().current(), &system(kind, ""), "GLU", "mg/dL") != Lookup::Unknown
    };
    let several = row("[\"SER\", \"CSF\"]");
    assert!(answers(&several, "") && answers(&several, "CSF") && !answers(&several, "UR"));
    let any = row("\"*\"");
    assert!(answers(&any, "") && answers(&any, "UR") && answers(&any, "5"));
    for nothing in ["[]", "\"\""] {
        let error = MappingStore::load(row(nothing).path()).unwrap_err();
        assert!(error.to_string().contains("no type of specimen"), "{error}");
    }
}

#[test]
fn two_rows_contradict_each_other_only_for_one_specimen() {
    let both = |second: &str| {
        let folder = Folder::new(&[
            ("tables/units.toml", UNITS),
            ("tables/codes.toml", GLUCOSE),
            ("tables/more.toml", second),
        ]);
        MappingStore::load(folder.path())
            .err()
            .map(|error| error.to_string())
    };
    assert_eq!(both(OF_URINE), None);
    let again = OF_URINE.replace("\"Urine\"", "[\"UR\", \"SER\"]");
    assert!(both(&again).unwrap().contains("both say what `GLU` is"));
}

#[test]
fn a_person_maps_the_code_of_one_specimen_and_loinc_names_its_own() {
    let folder = Folder::new(&[("tables/units.toml", UNITS), ("tables/codes.toml", GLUCOSE)]);
    let store = folder.store();
    let urine = system("UR", "");
    let said: Mapped = mapped("5792-7", Some("mg/dL"), None);
    store.put_overlay(&channel("lab"), &urine, "GLU", Some("mg/dL"), &said);
    let maps = store.current();
    assert!(is(
        look(&maps, &urine, "GLU", "mg/dL"),
        "5792-7",
        "mg/dL",
        None
    ));
    assert!(is(look(&maps, "", "GLU", "mg/dL"), "2345-7", "mg/dL", None));
    let named = system("UR", "LN");
    assert!(is(
        look(&maps, &named, "5792-7", "mg/dL"),
        "5792-7",
        "mg/dL",
        None
    ));
}
