//! The register of wards and beds: its codes, and grants that follow it.

use schemas::Body;
use schemas::house::{DefineBed, DefineFacility, DefineWard, department_id};
use worker_clinical::queries;

use super::super::support::{at, key};
use super::{admitted, bed, define_bed, facility, house, refused};

#[tokio::test]
async fn a_grant_of_a_department_holds_in_all_its_wards_and_of_a_ward_in_it_alone() {
    let ward = house().await;
    admitted(&ward, 1, "1", bed(&ward, "ICU", "1")).await;
    let mut tx = ward.tx().await;
    for (facility, department, holds) in [
        ("HOSP", "", true),
        ("HOSP", "SUR", true),
        ("HOSP", "ICU", true),
        ("HOSP", "MED", false),
        ("HOSP", "A", false),
        ("ELSE", "", false),
        ("ELSE", "SUR", false),
    ] {
        let found = queries::is_in_care_at(
            tx.conn(),
            &[key("1").0],
            &[facility.to_owned()],
            &[department.to_owned()],
        )
        .await
        .unwrap();
        assert_eq!(found, holds, "{facility} {department}");
    }
}

#[tokio::test]
async fn the_house_keeps_its_codes_and_retires_only_what_is_not_in_use() {
    let ward = house().await;
    let again = define_bed(&ward, "A", "1");
    assert_eq!(
        refused(&ward.apply_one(at(1, &again)).await).0,
        "adt.place_exists"
    );
    let clash = DefineWard {
        facility_id: facility(&ward),
        department_id: department_id(&ward.tenant, facility(&ward), "MED"),
        code: "sur".into(),
        name: "x".into(),
        class: None,
        retired: false,
        version: Some(0),
        actor: "admin".into(),
    };
    assert_eq!(
        refused(&ward.apply_one(at(1, &clash)).await).0,
        "adt.code_in_use"
    );
    let retire = |version| DefineBed {
        retired: true,
        version: Some(version),
        ..define_bed(&ward, "A", "1")
    };
    assert_eq!(
        refused(&ward.apply_one(at(1, &retire(9))).await).0,
        "adt.place_stale"
    );
    admitted(&ward, 1, "1", bed(&ward, "A", "1")).await;
    let version = {
        let mut tx = ward.tx().await;
        queries::bed(tx.conn(), bed(&ward, "A", "1"))
            .await
            .unwrap()
            .unwrap()
            .version
    };
    let (code, detail) = refused(&ward.apply_one(at(2, &retire(version))).await);
    assert_eq!(code, "adt.bed_conflict");
    assert!(detail.contains("from: occupied; to: retired"), "{detail}");
    let zone = DefineFacility {
        code: "TWO".into(),
        name: "x".into(),
        zone: "Moon/Sea".into(),
        retired: false,
        version: Some(0),
        actor: "admin".into(),
    };
    assert_eq!(refused(&ward.apply_one(at(3, &zone)).await).0, "adt.zone");
    assert_eq!(
        ward.count("select count(*) from audit.entries where action = 'adt.bed.define'")
            .await,
        4
    );
    assert_eq!(DefineBed::NAME, "adt.bed.define");
}
