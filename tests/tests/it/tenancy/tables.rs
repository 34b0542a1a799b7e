//! Every table keeps tenants apart by itself (g7).

use tests::{Mllp, adt, unique};

use super::{file, two_tenants};

/// Tables that hold no tenant's rows, and why.
const OF_NOBODY: [(&str, &str); 3] = [
    ("public.hub_migrations", "which migrations were applied"),
    ("integration.lanes", "which process owns a lane"),
    (
        "users.signing_keys",
        "the installation's keys of access tokens, sealed",
    ),
];
/// Tables that every tenant reads alike and the installation alone writes, and why.
const OF_ALL: [(&str, &str); 4] = [
    ("users.plans", "the installation's word to every tenant"),
    (
        "clinical.code_releases",
        "releases of ICD-10 and LOINC are nobody's",
    ),
    ("clinical.codes", "their codes"),
    ("clinical.code_words", "words of their codes"),
];

/// g7: every table there is, of whatever schema.
#[tokio::test]
async fn g7_every_table_forces_row_level_security_and_shows_nothing_without_a_tenant() {
    let (servers, hub_process) = two_tenants().await;
    let rest = hub_process.sign_in().await;
    let patient = unique("G7");
    file(&hub_process, "lab", &patient, "104").await;
    file(&hub_process, "far", &patient, "105").await;
    rest.results(&patient, 1).await;
    let moved = adt("A01", &unique("C"), &patient);
    Mllp::connect(hub_process.mllp("lab"))
        .await
        .accepted(moved)
        .await;

    let tables = servers
        .sql(
            "select n.nspname || '.' || c.relname, c.relrowsecurity, c.relforcerowsecurity, c.relispartition,
                 (select count(*) from pg_policy p where p.polrelid = c.oid),
                 (select coalesce(bool_and(coalesce(pg_get_expr(p.polqual, p.polrelid), '') like '%hub.tenant%'), false)
                  from pg_policy p where p.polrelid = c.oid),
                 has_table_privilege('hub_app', c.oid, 'select')
             from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where c.relkind in ('r', 'p', 'm', 'f') and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
             order by 1",
        )
        .await;
    assert!(tables.len() > 50, "{}", tables.len());
    let (mut looked, mut with_rows) = (0, 0);
    for row in &tables {
        let [
            name,
            enabled,
            forced,
            partition,
            policies,
            by_tenant,
            readable,
        ] = row.split('|').collect::<Vec<_>>().try_into().unwrap();
        if OF_NOBODY.iter().any(|(table, _)| *table == name) {
            continue;
        }
        if partition == "t" {
            // reached through its table; by its own name the program must not get at it
            assert!(
                readable == "f" || (enabled == "t" && forced == "t"),
                "{row}"
            );
            continue;
        }
        assert_eq!(
            (enabled, forced),
            ("t", "t"),
            "row-level security is not forced: {row}"
        );
        assert!(
            policies != "0" && by_tenant == "t",
            "a policy that asks for no tenant: {row}"
        );
        assert_eq!(
            readable, "t",
            "the program can't read it, so nobody needs it: {row}"
        );
        let seen = servers
            .sql(&format!(
                "set role hub_app; select count(*) from {name}; set hub.tenant = ''; select count(*) from {name}"
            ))
            .await;
        let counts: Vec<&str> = seen
            .iter()
            .map(String::as_str)
            .filter(|line| line.parse::<u64>().is_ok())
            .collect();
        assert_eq!(counts, ["0", "0"], "{name} shows rows without a tenant");
        looked += 1;
        let all = servers.count(&format!("select count(*) from {name}")).await;
        let others = servers
            .sql(&format!(
                "set role hub_app; set hub.tenant = 'nobody'; select count(*) from {name}"
            ))
            .await;
        if !OF_ALL.iter().any(|(table, _)| *table == name) {
            assert_eq!(
                others.last().map(String::as_str),
                Some("0"),
                "{name} shows another's rows"
            );
        }
        with_rows += i32::from(all > 0);
    }
    println!("{looked} tables looked at, {with_rows} of them with rows");
    assert!(
        with_rows >= 12,
        "too little was there to be seen: {with_rows}"
    );
    let owned = servers
        .count("select count(*) from pg_class c join pg_roles r on r.oid = c.relowner where r.rolname = 'hub_app'")
        .await;
    assert_eq!(owned, 0, "the program's role owns tables");
    let powers = servers
        .count("select count(*) from pg_roles where rolname in ('hub_app', 'hub_owner') and (rolsuper or rolbypassrls)")
        .await;
    assert_eq!(powers, 0);
}
