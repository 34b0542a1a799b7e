//! The packs that come with the program: what they say that they know, they know.

use std::path::Path;

use super::channel;
use crate::mappings::{Lookup, MappingStore, PackUse, Packs};

#[test]
fn every_code_of_a_pack_is_found_as_its_instrument_sends_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../mappings");
    for pack in Packs::load(&folder).unwrap().iter() {
        let uses = vec![PackUse {
            channel: channel("lab"),
            pack: pack.name.clone(),
        }];
        let maps = MappingStore::load_with_packs(&folder, uses)
            .unwrap()
            .current();
        let dialect = pack.settings.get("dialect");
        let own = dialect.and_then(|dialect| dialect.get("code_system")?.as_str());
        // records name no system; HL7 names the maker's, or whether it was measured or calculated
        let systems: Vec<&str> = match pack.kind.as_str() {
            "astm" => vec![own.unwrap_or_default()],
            _ => vec!["", "99MRC", "M", "C", "LN"],
        };
        for code in pack.codes.keys() {
            let known = systems.iter().any(|system| {
                maps.code(&channel("lab"), system, code, "", true) != Lookup::Unknown
            });
            assert!(known, "{}: `{code}`", pack.name);
        }
    }
}

#[test]
fn blood_gas_analyzers_measure_whole_blood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../mappings");
    for (pack, system) in [("radiometer-abl9", ""), ("radiometer-abl", "M")] {
        let uses = vec![PackUse {
            channel: channel("lab"),
            pack: pack.to_owned(),
        }];
        let maps = MappingStore::load_with_packs(&folder, uses)
            .unwrap()
            .current();
        for (code, unit, loinc) in [
            ("Na", "mmol/L", "2947-0"),
            ("K", "mmol/L", "6298-4"),
            ("Cl", "mmol/L", "2069-3"),
            ("pH", "", "11558-4"),
            ("pCO2", "mmHg", "11557-6"),
            ("pO2", "mmHg", "11556-8"),
        ] {
            let Lookup::Mapped(mapped) = maps.code(&channel("lab"), system, code, unit, true)
            else {
                panic!("{pack}: {code} is held");
            };
            assert_eq!(mapped.loinc, loinc, "{pack}: {code}");
        }
    }
}
