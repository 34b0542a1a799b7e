//! Releases of code systems: they come into force whole or not at all, and charts are coded by what is in force.

use schemas::care::Code;
use schemas::chart::{ChangeEntry, Condition, Content, EntryAction, RecordCondition};
use sqlx::PgPool;
use test_support::{TestDatabase, tenant};
use uuid::Uuid;
use worker_clinical::queries::{
    ChartFilter, CodeRow, CodeSearch, chart_entries, code_releases, codes,
};
use worker_clinical::terminology::{
    CodeKind, CodeSystem, Import, ImportError, Imported, Release, Standing, Term,
};

use super::support::{Ward, at, key, patient};

fn term(code: &str, display: &str) -> Term {
    Term {
        code: code.into(),
        display: display.into(),
        kind: CodeKind::Code,
        parent: None,
        leaf: true,
        standing: Standing::Active,
        notice: None,
    }
}

fn release(name: &str, digest: u8) -> Release {
    Release {
        name: name.into(),
        title: None,
        digest: [digest; 32],
        smaller: false,
        actor: "ravi".into(),
    }
}

async fn import(pool: &PgPool, system: CodeSystem, name: &str, terms: &[Term]) -> Imported {
    let mut import = Import::begin(pool, system).await.unwrap();
    // in two parts, as a file longer than a batch is
    let (one, other) = terms.split_at(terms.len() / 2);
    import.put(one).await.unwrap();
    import.put(other).await.unwrap();
    import.finish(&release(name, 1)).await.unwrap()
}

fn refused(error: &ImportError) -> &'static str {
    match error {
        ImportError::Refused(refusal) => refusal.code,
        ImportError::Database(error) => panic!("{error}"),
    }
}

async fn found(database: &TestDatabase, system: CodeSystem, search: CodeSearch) -> Vec<CodeRow> {
    let mut tx = database.tx(&tenant("demo")).await;
    let search = CodeSearch {
        limit: 100,
        ..search
    };
    codes(tx.conn(), system, &search)
        .await
        .unwrap()
        .expect("a release is imported")
}

async fn by_text(database: &TestDatabase, system: CodeSystem, text: &str) -> Vec<String> {
    let search = CodeSearch {
        text: Some(text.into()),
        ..CodeSearch::default()
    };
    found(database, system, search)
        .await
        .into_iter()
        .map(|row| row.code)
        .collect()
}

fn icd10() -> Vec<Term> {
    let mut terms = vec![
        term("E11", "Second sugar disease"),
        term("E11.0", "Second sugar disease: with sleep"),
        term("E11.9", "Second sugar disease: without more"),
        term("E14.9", "Sugar disease of no sort"),
        term("I10", "High pressure"),
    ];
    terms[0].kind = CodeKind::Category;
    terms[0].leaf = false;
    terms[1].parent = Some("E11".into());
    terms[2].parent = Some("E11".into());
    terms.push(Term {
        kind: CodeKind::Block,
        leaf: false,
        ..term("E10-E14", "Sugar diseases")
    });
    terms
}

#[tokio::test]
async fn a_release_comes_into_force_whole_and_says_what_changed() {
    let database = TestDatabase::new().await;
    let first = import(database.pool(), CodeSystem::Icd10, "2016", &icd10()).await;
    assert_eq!(
        first,
        Imported {
            codes: 6,
            added: 6,
            reworded: 0,
            retired: 0
        }
    );
    let mut terms = icd10();
    terms.remove(3);
    terms[3].display = "Raised pressure".into();
    terms.push(term("U07.1", "A new one"));
    let before_the_end = {
        let mut import = Import::begin(database.pool(), CodeSystem::Icd10)
            .await
            .unwrap();
        assert_eq!(import.before().unwrap().release, "2016");
        import.put(&terms).await.unwrap();
        // nobody sees half of it
        let seen = by_text(&database, CodeSystem::Icd10, "new").await;
        import.finish(&release("2019", 2)).await.unwrap();
        seen
    };
    assert!(before_the_end.is_empty());
    let mut tx = database.tx(&tenant("demo")).await;
    let releases = code_releases(tx.conn()).await.unwrap();
    let said: Vec<(&str, bool, i32, i32, i32, i32)> = releases
        .iter()
        .map(|row| {
            (
                row.release.as_str(),
                row.in_force,
                row.codes,
                row.added,
                row.reworded,
                row.retired,
            )
        })
        .collect();
    assert_eq!(
        said,
        [("2019", true, 6, 1, 1, 1), ("2016", false, 6, 6, 0, 0)]
    );
    drop(tx);
    assert_eq!(
        by_text(&database, CodeSystem::Icd10, "new").await,
        ["U07.1"]
    );
    // under its old words nothing is found any more
    assert!(
        by_text(&database, CodeSystem::Icd10, "high")
            .await
            .is_empty()
    );
    assert_eq!(
        by_text(&database, CodeSystem::Icd10, "raised").await,
        ["I10"]
    );
    // what is retired is found by its code, and says so
    assert!(
        by_text(&database, CodeSystem::Icd10, "E14")
            .await
            .is_empty()
    );
    let search = CodeSearch {
        code: Some("E14.9".into()),
        ..CodeSearch::default()
    };
    let retired = found(&database, CodeSystem::Icd10, search).await;
    assert_eq!(retired.len(), 1);
    assert!(!retired[0].in_force);
    // and is back when a release has it again
    let back = import(database.pool(), CodeSystem::Icd10, "2016", &icd10()).await;
    assert_eq!((back.added, back.retired), (1, 1));
    assert_eq!(
        by_text(&database, CodeSystem::Icd10, "E14").await,
        ["E14.9"]
    );
}

#[tokio::test]
async fn what_ends_early_is_empty_or_suspiciously_small_changes_nothing() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    import(pool, CodeSystem::Icd10, "2016", &icd10()).await;
    let mut ends = Import::begin(pool, CodeSystem::Icd10).await.unwrap();
    ends.put(&[term("A00", "Bad water")]).await.unwrap();
    drop(ends);

    let empty = Import::begin(pool, CodeSystem::Icd10).await.unwrap();
    let error = empty.finish(&release("2019", 2)).await.unwrap_err();
    assert_eq!(refused(&error), "codes.none");

    let mut small = Import::begin(pool, CodeSystem::Icd10).await.unwrap();
    small.put(&icd10()[..2]).await.unwrap();
    let error = small.finish(&release("2019", 2)).await.unwrap_err();
    assert_eq!(refused(&error), "codes.fewer");

    let mut twice = Import::begin(pool, CodeSystem::Icd10).await.unwrap();
    twice.put(&icd10()[..2]).await.unwrap();
    let error = twice.put(&icd10()[1..]).await.unwrap_err();
    assert_eq!(refused(&error), "codes.repeated");
    drop(twice);

    let mut tx = database.tx(&tenant("demo")).await;
    let releases = code_releases(tx.conn()).await.unwrap();
    assert_eq!(releases.len(), 1);
    drop(tx);
    assert!(
        by_text(&database, CodeSystem::Icd10, "water")
            .await
            .is_empty()
    );
    assert_eq!(
        by_text(&database, CodeSystem::Icd10, "sugar").await.len(),
        5
    );

    let mut meant = Import::begin(pool, CodeSystem::Icd10).await.unwrap();
    meant.put(&icd10()[..2]).await.unwrap();
    let smaller = Release {
        smaller: true,
        ..release("extract", 3)
    };
    assert_eq!(meant.finish(&smaller).await.unwrap().retired, 4);
}

#[tokio::test]
async fn codes_are_found_by_words_and_by_their_beginning_page_by_page() {
    let database = TestDatabase::new().await;
    import(database.pool(), CodeSystem::Icd10, "2019", &icd10()).await;
    let glucose = [
        term("2345-7", "Glucose [Mass/volume] in Serum or Plasma"),
        term("2339-0", "Glucose [Mass/volume] in Blood"),
    ];
    import(database.pool(), CodeSystem::Loinc, "2.80", &glucose).await;
    for (system, text, expected) in [
        (CodeSystem::Icd10, "e11", "E11 E11.0 E11.9"),
        (CodeSystem::Icd10, "E119", "E11.9"),
        (CodeSystem::Icd10, "SUG dis sec", "E11 E11.0 E11.9"),
        (CodeSystem::Icd10, "sugar slee", "E11.0"),
        (CodeSystem::Icd10, "ugar", ""),
        (CodeSystem::Icd10, "glucose", ""),
        (CodeSystem::Icd10, "-", ""),
        (CodeSystem::Loinc, "gluc blood", "2339-0"),
        (CodeSystem::Loinc, "mass glucose", "2339-0 2345-7"),
        (CodeSystem::Loinc, "2345", "2345-7"),
    ] {
        let codes = by_text(&database, system, text).await;
        assert_eq!(codes.join(" "), expected, "{text}");
    }
    let below = CodeSearch {
        parent: Some("E11".into()),
        ..CodeSearch::default()
    };
    let children = found(&database, CodeSystem::Icd10, below).await;
    assert_eq!(children.len(), 2);

    let mut tx = database.tx(&tenant("demo")).await;
    for text in [None, Some("sugar")] {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let search = CodeSearch {
                text: text.map(str::to_owned),
                after: after.take(),
                limit: 2,
                ..CodeSearch::default()
            };
            let page = codes(tx.conn(), CodeSystem::Icd10, &search)
                .await
                .unwrap()
                .unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.code.clone());
            all.extend(page.into_iter().map(|row| row.code));
        }
        let expected: &[&str] = match text {
            None => &["E10-E14", "E11", "E11.0", "E11.9", "E14.9", "I10"],
            Some(_) => &["E10-E14", "E11", "E11.0", "E11.9", "E14.9"],
        };
        assert_eq!(all, expected);
    }
    let none = codes(tx.conn(), CodeSystem::Icd10Cm, &CodeSearch::default())
        .await
        .unwrap();
    assert!(none.is_none());
}

#[tokio::test]
async fn every_tenant_reads_codes_and_none_but_the_installation_writes_them() {
    let database = TestDatabase::new().await;
    import(database.pool(), CodeSystem::Icd10, "2019", &icd10()).await;
    for name in ["demo", "other"] {
        let mut tx = database.tx(&tenant(name)).await;
        let seen: i64 = sqlx::query_scalar("select count(*) from clinical.codes")
            .fetch_one(tx.conn())
            .await
            .unwrap();
        assert_eq!(seen, 6, "{name}");
        let changed = sqlx::query("update clinical.codes set display = 'x'")
            .execute(tx.conn())
            .await
            .unwrap();
        assert_eq!(changed.rows_affected(), 0, "{name}");
        sqlx::query("insert into clinical.code_words (system, word, code, seen) values ('I10', 'x', 'E11', 1)")
            .execute(tx.conn())
            .await
            .unwrap_err();
    }
    let without: i64 = sqlx::query_scalar("select count(*) from clinical.codes")
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(without, 0);
    // who imported what is on the trail of the installation
    let mut tx = database.tx(&schemas::platform::platform()).await;
    let trail: Vec<(String, String)> = sqlx::query_as(
        "select actor, object from audit.entries where action = 'clinical.codes.import'",
    )
    .fetch_all(tx.conn())
    .await
    .unwrap();
    assert_eq!(trail, [("ravi".to_owned(), "codes:I10".to_owned())]);
}

fn problem(code: &str, system: &str) -> RecordCondition {
    RecordCondition {
        entry_id: Uuid::now_v7(),
        subject: patient("1"),
        visit_number: None,
        condition: coded(code, system),
        confirmed: false,
        actor: "asha".into(),
    }
}

fn coded(code: &str, system: &str) -> Condition {
    Condition {
        code: Some(Code {
            code: code.into(),
            system: Some(system.into()),
            text: None,
        }),
        text: "Sugar".into(),
        since: None,
        until: None,
        remark: None,
        code_check: None,
    }
}

/// What stands on the newest condition: the words of its code, what was found, in which release.
async fn newest(ward: &Ward) -> (Option<String>, String, Option<String>) {
    let mut tx = ward.tx().await;
    let filter = ChartFilter {
        limit: 1,
        ..ChartFilter::default()
    };
    let rows = chart_entries(&mut tx, "condition", &[key("1").0], &filter)
        .await
        .unwrap();
    let condition: Condition = serde_json::from_value(rows[0].body.clone()).unwrap();
    let check = condition.code_check.unwrap();
    (condition.code.unwrap().text, check.result, check.release)
}

fn code_of(verdict: &hub_core::Verdict) -> Option<&'static str> {
    match verdict {
        hub_core::Verdict::Refused(refusal) => Some(refusal.code),
        _ => None,
    }
}

#[tokio::test]
async fn a_condition_is_coded_by_the_release_in_force_and_says_when_nobody_looked() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &problem("E99.9", "I10"))).await;
    assert_eq!(newest(&ward).await, (None, "not_checked".into(), None));

    import(ward.database.pool(), CodeSystem::Icd10, "2019", &icd10()).await;
    for (code, expected) in [
        ("E99.9", Some("clinical.icd10_no_such_code")),
        ("E11", None),
        ("E14.9", None),
    ] {
        let verdict = ward.apply_one(at(1, &problem(code, "I10"))).await;
        assert_eq!(code_of(&verdict), expected, "{code}");
    }
    // a caller's own word on it counts nothing
    let mut lying = problem("E11.9", "I10");
    lying.condition.code_check = Some(schemas::chart::CodeCheck {
        result: "known".into(),
        release: Some("2099".into()),
    });
    ward.apply_one(at(2, &lying)).await;
    assert_eq!(
        newest(&ward).await,
        (
            Some("Second sugar disease: without more".into()),
            "known".into(),
            Some("2019".into())
        )
    );
    // of another system nothing is imported
    ward.apply_one(at(3, &problem("E11.9", "I10C"))).await;
    assert_eq!(newest(&ward).await.1, "not_checked");
}

#[tokio::test]
async fn a_code_that_is_retired_stays_where_it_stood_and_comes_nowhere_new() {
    let ward = Ward::new().await;
    let pool = ward.database.pool();
    import(pool, CodeSystem::Icd10, "2016", &icd10()).await;
    let old = problem("E14.9", "I10");
    ward.apply_one(at(0, &old)).await;
    let mut terms = icd10();
    terms.remove(3);
    import(pool, CodeSystem::Icd10, "2019", &terms).await;

    let verdict = ward.apply_one(at(1, &problem("E14.9", "I10"))).await;
    assert_eq!(code_of(&verdict), Some("clinical.icd10_retired"));
    let edit = |content: Condition| ChangeEntry {
        entry_id: old.entry_id,
        seen: None,
        action: EntryAction::Edit,
        content: Some(Content::Condition(content)),
        reason: None,
        actor: "asha".into(),
    };
    let mut reworded = coded("E14.9", "I10");
    reworded.text = "Sugar, since school".into();
    let verdict = ward.apply_one(at(2, &edit(reworded))).await;
    assert_eq!(code_of(&verdict), None);
    assert_eq!(newest(&ward).await.1, "retired");
    // what has no words of its own is given those that it had
    assert_eq!(
        newest(&ward).await.0.as_deref(),
        Some("Sugar disease of no sort")
    );
    let verdict = ward.apply_one(at(3, &edit(coded("E99.9", "I10")))).await;
    assert_eq!(code_of(&verdict), Some("clinical.icd10_no_such_code"));
}
