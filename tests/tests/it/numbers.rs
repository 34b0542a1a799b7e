//! ARCHITECTURE.md says which test shows which check of the specification: each of them is there.

use std::collections::BTreeSet;
use std::path::Path;

/// Every number that the issue names.
fn wanted() -> BTreeSet<String> {
    [("T", 5), ("AU", 6), ("EM", 7), ("IP", 6), ("AP", 5)]
        .into_iter()
        .flat_map(|(part, count)| (1..=count).map(move |n| format!("{part}{n}")))
        .collect()
}

#[test]
fn every_check_of_the_specification_has_a_test_that_is_there() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(here.join("../ARCHITECTURE.md")).unwrap();
    let section = text
        .split("## Which test shows which check")
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next())
        .unwrap();
    let mut found = BTreeSet::new();
    for row in section
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
    {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [numbers, shown] = cells[..] else {
            panic!("{row}");
        };
        found.extend(numbers.split(", ").map(str::to_owned));
        if shown.starts_with("none: ") {
            continue;
        }
        let name = shown.split('`').nth(1).unwrap();
        let (module, test) = name.rsplit_once("::").unwrap();
        let file = here.join(format!("tests/it/{}.rs", module.replace("::", "/")));
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let is_test = text.split("#[tokio::test]").skip(1).any(|after| {
            after
                .trim_start()
                .strip_prefix("async fn ")
                .is_some_and(|rest| rest.starts_with(&format!("{test}(")))
        });
        assert!(is_test, "{name} is no test");
    }
    assert_eq!(found, wanted());
}
