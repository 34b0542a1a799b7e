//! Instrument packs: what wins, what is said of mistakes, and the packs that come with the program.

use std::path::Path;

use schemas::ChannelId;

use super::{CODES, Folder, UNITS, channel, is, look};
use crate::mappings::{Lookup, MappingStore, PackUse, Packs};

const PACK: &str = "title = \"Demo\"\nvendor = \"Demo\"\nmodels = [\"D-1\"]\nkind = \"astm\"\nreach = [\"dials\", \"serial\"]\nsource = [\"test\"]\n\
    [settings.serial]\nbaud = 4800\nflow_control = \"xon_xoff\"\n[settings.dialect]\nspecimen = [\"O.4.3\"]\ndecimal_comma = true\n\
    [codes]\nHEMOGLOBIN = \"hgb\"\n[units]\n\"g per dl\" = \"g/dL\"\n\
    [[order]]\nid = \"cbc\"\ncode = \"CBC\"\ninstrument = [\"HEMOGLOBIN\", \"WBC\"]\n";

fn folder(pack: &str) -> Folder {
    Folder::new(&[
        ("tables/units.toml", UNITS),
        ("tables/codes.toml", CODES),
        ("analyzers/demo.toml", pack),
    ])
}

fn proof(file: &str) -> String {
    format!(
        "[[proved_by]]\nfile = \"{file}\"\nsample = \"capture\"\nproves = [\"results\"]\nshows = \"one\"\n"
    )
}

fn uses(channel: &str) -> Vec<PackUse> {
    vec![PackUse {
        channel: ChannelId::new(channel).unwrap(),
        pack: "demo".to_owned(),
    }]
}

fn table(text: &str) -> toml::Table {
    toml::from_str(text).unwrap()
}

#[test]
fn what_a_channel_says_itself_wins_and_only_its_own_link_gets_defaults() {
    let folder = folder(PACK);
    let packs = Packs::load(folder.path()).unwrap();
    let pack = packs.get("demo").unwrap();
    let own =
        table("[serial]\nport = \"/dev/ttyS0\"\nbaud = 9600\n[dialect]\ndecimal_comma = false\n");
    let expected = table(
        "[serial]\nport = \"/dev/ttyS0\"\nbaud = 9600\nflow_control = \"xon_xoff\"\n[dialect]\nspecimen = [\"O.4.3\"]\ndecimal_comma = false\n",
    );
    assert_eq!(pack.settings_for(&own), expected);
    let own = table("[server]\nlisten = \"127.0.0.1:1\"\n");
    assert!(!pack.settings_for(&own).contains_key("serial"));
    assert_eq!(pack.standing(), "unproven");
}

#[test]
fn a_pack_of_the_site_takes_the_place_of_ours() {
    let folder = folder(PACK);
    folder.write(
        "site/analyzers/demo.toml",
        &PACK.replace("\"Demo\"", "\"Site\""),
    );
    let packs = Packs::load(folder.path()).unwrap();
    assert_eq!(packs.get("demo").unwrap().title, "Site");
    assert_eq!(packs.names(), "demo");
}

#[test]
fn codes_and_units_of_a_pack_are_for_the_channels_that_name_it_and_after_the_sites() {
    let folder = folder(PACK);
    let idle = MappingStore::load(folder.path()).unwrap();
    assert_eq!(
        look(&idle.current(), "", "HEMOGLOBIN", "g/dL"),
        Lookup::Unknown
    );
    let store = MappingStore::load_with_packs(folder.path(), uses("lab")).unwrap();
    let maps = store.current();
    assert!(is(
        look(&maps, "", "HEMOGLOBIN", "g/L"),
        "718-7",
        "g/dL",
        Some("0.1")
    ));
    assert!(is(
        look(&maps, "", "HEMOGLOBIN", "g per dl"),
        "718-7",
        "g/dL",
        None
    ));
    let other = maps.code(&channel("icu"), "", "HEMOGLOBIN", "g/dL", true);
    assert_eq!(other, Lookup::Unknown);
    // and so what was ordered has a name on the instrument
    assert_eq!(
        maps.instrument_codes(&channel("lab"), "LN", "718-7"),
        ["HEMOGLOBIN"]
    );

    assert_eq!(
        maps.instrument_codes(&channel("lab"), "", "CBC"),
        ["HEMOGLOBIN", "WBC"]
    );
    assert!(maps.instrument_codes(&channel("icu"), "", "CBC").is_empty());

    // a change of the pack's rows is taken up without a restart
    folder.write("analyzers/demo.toml", &PACK.replace("HEMOGLOBIN", "HAEM"));
    let reloaded = store.reload().unwrap();
    assert_eq!(reloaded.added.len(), 1);
    assert!(is(
        look(&store.current(), "", "HAEM", "g/dL"),
        "718-7",
        "g/dL",
        None
    ));

    // the site's word counts more, and may switch a row off
    folder.write(
        "site/own.toml",
        "[[code]]\nid = \"x\"\ncode = \"HAEM\"\nloinc = \"789-8\"\n",
    );
    store.reload().unwrap();
    let Lookup::Mapped(mapped) = look(&store.current(), "", "HAEM", "g/dL") else {
        panic!("not mapped");
    };
    assert_eq!(mapped.loinc, "789-8");
    folder.write("site/own.toml", "[[code]]\nid = \"hgb\"\nremove = true\n");
    store.reload().unwrap();
    assert_eq!(look(&store.current(), "", "HAEM", "g/dL"), Lookup::Unknown);
}

#[test]
fn a_mistake_is_said_with_file_line_and_column() {
    for (text, place) in [
        (PACK.replace("kind", "kinds"), "analyzers/demo.toml:4:1"),
        (
            PACK.replace("[\"dials\", \"serial\"]", "[]"),
            "analyzers/demo.toml:5:1",
        ),
        (
            PACK.replace("\"dials\"", "\"flies\""),
            "analyzers/demo.toml:5:10",
        ),
        (
            PACK.replace("\"hgb\"", "\"hgbx\""),
            "analyzers/demo.toml:14:14",
        ),
        (
            PACK.replace("= \"g/dL\"", "= \"stone\""),
            "analyzers/demo.toml:16:14",
        ),
        (
            format!(
                "{PACK}[[proved_by]]\nfile = \"x\"\nsample = \"capture\"\nproves = []\nshows = \"\"\n"
            ),
            "analyzers/demo.toml:21:1",
        ),
        (
            format!("{PACK}[[code]]\nid = \"a\"\ncode = \"A\"\nloinc = \"718-8\"\n"),
            "analyzers/demo.toml:24:9",
        ),
        (
            PACK.replace("title = \"Demo\"", "title = \" \""),
            "analyzers/demo.toml:1:1",
        ),
        (
            PACK.replace("vendor = \"Demo\"", "vendor = \"\""),
            "analyzers/demo.toml:2:1",
        ),
        (PACK.replace("[\"D-1\"]", "[]"), "analyzers/demo.toml:3:1"),
        (
            PACK.replace("[\"D-1\"]", "[\"\"]"),
            "analyzers/demo.toml:3:1",
        ),
        (
            format!("{PACK}{}", proof("/etc/passwd")),
            "analyzers/demo.toml:22:1",
        ),
        (
            format!("{PACK}{}", proof("lab/../../x")),
            "analyzers/demo.toml:22:1",
        ),
        (format!("{PACK}{}", proof("")), "analyzers/demo.toml:22:1"),
    ] {
        let error = MappingStore::load(folder(&text).path())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(place), "{place}: {error}");
    }
    let folder = folder(PACK);
    let packs = Packs::load(folder.path()).unwrap();
    let problem = packs
        .get("demo")
        .unwrap()
        .problem("settings.dialect.specimen.0", "x", "y");
    assert_eq!(problem.at, Some((11, 13)));
    let unknown = vec![PackUse {
        channel: channel("lab"),
        pack: "dem".to_owned(),
    }];
    let error = MappingStore::load_with_packs(folder.path(), unknown)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`dem`") && error.contains("Known packs: demo"),
        "{error}"
    );
}

#[test]
fn a_sample_that_is_not_there_proves_nothing() {
    let folder = folder(&format!(
        "{PACK}{}{}",
        proof("lab/a.txt"),
        proof("lab/none.txt")
    ));
    let mut packs = Packs::load(folder.path()).unwrap();
    assert_eq!(
        packs.get("demo").unwrap().standing(),
        "proved by lab/a.txt, lab/none.txt (results)"
    );
    let missing = packs.retain_proofs(|proof| proof.file == "lab/a.txt");
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].at, Some((27, 1)), "{}", missing[0]);
    assert!(missing[0].to_string().contains("`lab/none.txt`"));
    assert_eq!(
        packs.get("demo").unwrap().standing(),
        "proved by lab/a.txt (results)"
    );
    packs.retain_proofs(|_| false);
    assert_eq!(packs.get("demo").unwrap().standing(), "unproven");
}

/// Each pack that comes with the program, as the tables take it.
#[test]
fn the_committed_packs_load_each_with_the_committed_tables() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../mappings");
    let packs = Packs::load(&folder).unwrap_or_else(|error| panic!("{error}"));
    assert!(packs.iter().count() > 20);
    for pack in packs.iter() {
        let uses = vec![PackUse {
            channel: channel("lab"),
            pack: pack.name.clone(),
        }];
        let store = MappingStore::load_with_packs(&folder, uses)
            .unwrap_or_else(|error| panic!("{}: {error}", pack.name));
        let rows = store.current().rows();
        let prefix = format!("{}/", pack.name);
        let own = rows
            .iter()
            .filter(|row| row.id.starts_with(&prefix))
            .count();
        assert_eq!(
            own,
            pack.codes.len(),
            "{}: each code has one row",
            pack.name
        );
    }
}
