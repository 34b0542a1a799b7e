//! What instruments call ordered tests.

use super::{Folder, MappingStore, UNITS, channel, fs};

const ROWS: &str = r#"
[[code]]
id = "glu"
code = "GLU"
loinc = "2345-7"
[[code]]
id = "lab-glu"
code = ["580", "580B"]
channels = ["lab"]
loinc = "2345-7"
[[code]]
id = "lab-na-1"
code = "21"
channels = ["lab"]
loinc = "2951-2"
[[code]]
id = "lab-na-2"
code = "22"
channels = ["lab"]
loinc = "2951-2"

[[order]]
id = "cbc"
code = ["58410-2", "57021-8"]
system = "LOINC"
channels = ["haem"]
instrument = ["2001", "2002", "2001"]
[[order]]
id = "lipid"
code = "LIPID"
instrument = ["CHOL", "TRIG"]
[[order]]
id = "lipid-lab"
code = "LIPID"
channels = ["lab"]
instrument = "99"
"#;

fn store(site: &str) -> (Folder, MappingStore) {
    let folder = Folder::new(&[
        ("tables/units.toml", UNITS),
        ("tables/rows.toml", ROWS),
        ("site/own.toml", site),
    ]);
    let store = folder.store();
    (folder, store)
}

#[test]
fn an_order_row_says_what_an_instrument_calls_a_test_and_the_more_exact_row_counts() {
    let (_folder, store) = store("");
    let maps = store.current();
    for (on, system, code, expected) in [
        ("haem", "LN", "58410-2", vec!["2001", "2002"]),
        ("haem", "http://loinc.org", "57021-8", vec!["2001", "2002"]),
        ("haem", "", "58410-2", vec![]),
        ("lab", "LN", "58410-2", vec![]),
        ("haem", "L", "LIPID", vec!["CHOL", "TRIG"]),
        ("lab", "", "LIPID", vec!["99"]),
        ("lab", "SCT", "LIPID", vec![]),
    ] {
        assert_eq!(
            maps.instrument_codes(&channel(on), system, code),
            expected,
            "{on} {system} {code}"
        );
    }
}

#[test]
fn without_an_order_row_the_one_code_of_the_channel_counts_and_two_are_a_guess() {
    let (_folder, store) = store("");
    let maps = store.current();
    let codes =
        |on: &str, system: &str, code: &str| maps.instrument_codes(&channel(on), system, code);
    assert_eq!(codes("lab", "LN", "2345-7"), ["580"], "the first spelling");
    assert!(
        codes("haem", "LN", "2345-7").is_empty(),
        "a row for all channels is nobody's menu"
    );
    assert!(
        codes("lab", "L", "2345-7").is_empty(),
        "not ordered as LOINC"
    );
    assert!(codes("lab", "LN", "2951-2").is_empty(), "two rows");
    assert_eq!(
        maps.orderable(&channel("lab")),
        ["2345-7", "2951-2", "LIPID"]
    );
}

#[test]
fn a_site_row_replaces_or_removes_an_order_row() {
    let (_folder, store) = store(
        "[[order]]\nid = \"lipid-lab\"\ncode = \"LIPID\"\nchannels = [\"lab\"]\ninstrument = [\"7\", \"8\"]\n\
         [[order]]\nid = \"cbc\"\nremove = true\n",
    );
    let maps = store.current();
    assert_eq!(
        maps.instrument_codes(&channel("lab"), "", "LIPID"),
        ["7", "8"]
    );
    assert!(
        maps.instrument_codes(&channel("haem"), "LN", "58410-2")
            .is_empty()
    );
}

#[test]
fn faults_of_order_rows_are_named_with_their_place() {
    for (site, expected) in [
        (
            "[[order]]\nid = \"x\"\ncode = \"A\"\n",
            "no instrument code",
        ),
        ("[[order]]\nid = \"x\"\ninstrument = \"1\"\n", "no code"),
        (
            "[[order]]\nid = \"x\"\ncode = \"A\"\ninstrument = [\"\"]\n",
            "no instrument code",
        ),
        (
            "[[order]]\nid = \"x\"\nremove = true\n",
            "no order row `x` to remove",
        ),
        (
            "[[order]]\nid = \"x\"\ncode = \"A\"\ninstrument = \"1\"\nchannels = [\"A B\"]\n",
            "A B",
        ),
        (
            "[[order]]\nid = \"x\"\ncode = \"A\"\ninstrument = \"1\"\n[[order]]\nid = \"x\"\ncode = \"B\"\ninstrument = \"1\"\n",
            "given twice",
        ),
        (
            "[[order]]\nid = \"x\"\ncode = \"A\"\ninstrument = \"1\"\n[[order]]\nid = \"y\"\ncode = \"A\"\ninstrument = \"2\"\n",
            "both say what `A` is on an instrument",
        ),
    ] {
        let folder = Folder::new(&[("tables/rows.toml", ""), ("tables/units.toml", UNITS)]);
        fs::create_dir_all(folder.path().join("site")).unwrap();
        folder.write("site/own.toml", site);
        let error = MappingStore::load(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains(expected) && error.contains("own.toml"),
            "{error}"
        );
    }
}
