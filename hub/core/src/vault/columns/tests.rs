use super::*;

fn opener(keys: &[(i32, u8)]) -> Opener {
    let key = |byte: u8| {
        let key = UnboundKey::new(&AES_256_GCM, &[byte; 32]).unwrap();
        Arc::new(LessSafeKey::new(key))
    };
    Opener {
        tenant: TenantId::new("demo").unwrap(),
        keys: keys
            .iter()
            .map(|(number, byte)| (*number, Ok(key(*byte))))
            .collect(),
    }
}

const HERE: Place<'static> = Place {
    table: "clinical.x",
    column: "body",
    row: "1",
};

fn value(opener: &Opener, number: i32, place: Place<'_>) -> String {
    let sealed = sealed(
        opener.keys[&number].as_ref().unwrap(),
        &place.belongs(&opener.tenant),
        b"Better today.",
    )
    .unwrap();
    format!("{FORM}{number}:{}", BASE64.encode(&sealed))
}

#[test]
fn a_value_opens_at_its_place_under_its_key_and_nowhere_else() {
    let all = opener(&[(1, 7), (2, 8)]);
    for number in [1, 2] {
        let value = value(&all, number, HERE);
        assert!(is_sealed(&value) && !value.contains("Better"));
        assert_eq!(key_of(&value), Some(number));
        assert_eq!(&all.open(HERE, &value).unwrap()[..], b"Better today.");
        for place in [
            Place {
                table: "clinical.y",
                ..HERE
            },
            Place {
                column: "title",
                ..HERE
            },
            Place { row: "2", ..HERE },
        ] {
            assert!(all.open(place, &value).is_err(), "{place:?}");
        }
        let other = Opener {
            tenant: TenantId::new("other").unwrap(),
            keys: all.keys.clone(),
        };
        assert!(other.open(HERE, &value).is_err(), "another tenant's");
        assert!(opener(&[(number, 9)]).open(HERE, &value).is_err());
    }
}

/// A key that is missing may come back with a backup; what is damaged stays so.
#[test]
fn a_missing_key_waits_and_a_damaged_value_does_not() {
    let all = opener(&[(1, 7)]);
    let value = value(&all, 1, HERE);
    let missing = opener(&[]).open(HERE, &value).unwrap_err();
    assert!(crate::db::is_transient(&missing), "{missing}");
    for damaged in [
        format!("{value}x"),
        value.replacen("1:", "x:", 1),
        FORM.to_owned(),
    ] {
        let error = all.open(HERE, &damaged).unwrap_err();
        assert!(!crate::db::is_transient(&error), "{damaged}: {error}");
    }
}

#[test]
fn only_the_form_is_sealed() {
    for text in ["", "sealed", "sealed:v2:1:x", "{}"] {
        assert!(!is_sealed(text), "{text}");
        assert_eq!(key_of(text), None, "{text}");
    }
    assert_eq!(key_of("sealed:v1:12:abc"), Some(12));
}

/// One key of a tenant may be lost to its master key while the newest opens: each look at both would say it anew.
#[test]
fn why_one_key_can_not_be_had_is_said_once_also_where_another_opens() {
    let columns = Columns::default();
    let tenant = TenantId::new("demo").unwrap();
    let wrong = VaultError::WrongMaster("demo.1".to_owned());
    assert!(columns.noted::<()>(&tenant, 1, Err(wrong.clone())).is_err());
    columns.noted(&tenant, 2, Ok(())).unwrap();
    let said = || columns.0.said.lock().unwrap().clone();
    assert_eq!(said(), HashMap::from([((tenant.clone(), 1), wrong)]));
    columns.noted(&tenant, 1, Ok(())).unwrap();
    assert!(said().is_empty());
}

#[test]
fn a_key_that_can_not_be_had_keeps_nothing_closed_that_another_opens() {
    let mut some = opener(&[(1, 7), (2, 8)]);
    let (first, second) = (value(&some, 1, HERE), value(&some, 2, HERE));
    let wrong = VaultError::WrongMaster("demo.1".to_owned());
    some.keys.insert(1, Err(wrong));
    assert_eq!(&some.open(HERE, &second).unwrap()[..], b"Better today.");
    let lost = some.open(HERE, &first).unwrap_err();
    assert!(crate::db::lost_key(&lost).is_some(), "{lost}");
    assert!(some.waits().is_ok(), "nobody need ask again");
    let away = VaultError::Service("demo.1".to_owned(), "sealed".to_owned());
    some.keys.insert(1, Err(away));
    assert!(some.waits().is_err());
}

/// Every process would ask the key service for all keys again after a rotation.
#[tokio::test]
async fn a_key_at_hand_opens_also_when_it_is_wrapped_anew_and_one_made_at_another_time_does_not() {
    let columns = Columns::default();
    let tenant = TenantId::new("demo").unwrap();
    let key = UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap();
    let stored = |wrapped: &[u8], made_at: OffsetDateTime| Stored {
        number: 1,
        master: "m".to_owned(),
        wrapped: wrapped.to_vec(),
        made_at,
    };
    let before = stored(b"before", OffsetDateTime::UNIX_EPOCH);
    columns.0.at_hand.write().unwrap().insert(
        (tenant.clone(), before.wrapped.clone()),
        Arc::new(LessSafeKey::new(key)),
    );
    assert!(columns.opening(&tenant, &before).await.is_ok());
    // there is no master key here to unwrap with
    let anew = stored(b"anew", before.made_at);
    assert!(columns.opening(&tenant, &anew).await.is_ok());
    assert!(columns.key(&tenant, &anew).await.is_err(), "to seal with");
    let another = stored(b"anew", before.made_at + time::Duration::SECOND);
    assert!(columns.opening(&tenant, &another).await.is_err());
}
