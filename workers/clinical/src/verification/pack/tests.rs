use super::*;

const HEAD: &str = "version = \"1\"\nfirst = 0\nqc_hours = 24\n";

#[test]
fn a_pack_that_can_not_be_used_is_refused_with_its_place() {
    let potassium = "[[analyte]]\nloinc = \"2823-3\"\nucum = \"mmol/L\"\n";
    for (text, expected) in [
        (
            "version = \"\"\nfirst = 0\nqc_hours = 24".to_owned(),
            "line 1, column 11: the pack has no version",
        ),
        (
            "version = \"1\"\nfirst = 0\nqc_hours = 0".to_owned(),
            "line 3, column 12: qc_hours",
        ),
        (format!("{HEAD}frist = 1\n"), "unknown field `frist`"),
        (format!("{HEAD}{potassium}"), "missing field `range`"),
        (
            format!("{HEAD}{potassium}range = {{}}\n"),
            "line 7, column 9: give low, high or both",
        ),
        (
            format!("{HEAD}{potassium}range = {{ low = \"x\" }}\n"),
            "`x` is no decimal",
        ),
        (
            format!("{HEAD}{potassium}range = {{ low = \"2\", high = \"1\" }}\n"),
            "low is above high",
        ),
        (
            format!("{HEAD}{potassium}range = {{ low = \"2\" }}\ndelta = [{{ days = 3 }}]\n"),
            "line 8, column 10: a delta rule needs",
        ),
        (
            format!(
                "{HEAD}{potassium}range = {{ low = \"2\" }}\ndelta = [{{ days = 3, absolute = \"0\" }}]\n"
            ),
            "above 0",
        ),
        (
            format!(
                "{HEAD}{potassium}range = {{ low = \"2\" }}\n{potassium}range = {{ low = \"2\" }}\n"
            ),
            "stands twice",
        ),
        (
            format!(
                "{HEAD}[[analyte]]\nloinc = \"2823-9\"\nucum = \"mmol/L\"\nrange = {{ low = \"2\" }}\n"
            ),
            "no LOINC code",
        ),
        (
            format!("{HEAD}[[flag]]\ntext = [\"A\"]\naction = \"ignore\"\n"),
            "unknown variant",
        ),
        (
            format!(
                "{HEAD}[[flag]]\ntext = [\"A\"]\naction = \"none\"\n[[flag]]\ntext = [\"A\"]\naction = \"block\"\n"
            ),
            "line 8, column 8: flag `A` stands twice",
        ),
        (
            format!("{HEAD}[[channel]]\nid = \"a\"\n[[channel]]\nid = \"a\"\n"),
            "channel `a` stands twice",
        ),
        (
            format!("{HEAD}[[channel]]\nid = \"a\"\nruns = \"best\"\n"),
            "unknown variant",
        ),
        (
            format!("{HEAD}[[sibling]]\nname = \"x\"\nplus = []\nlow = \"1\"\n"),
            "needs a name and plus",
        ),
        (
            format!(
                "{HEAD}[[sibling]]\nname = \"x\"\nplus = [{{ loinc = \"2823-3\", ucum = \"mmol/L\" }}]\n"
            ),
            "give low, high or both",
        ),
    ] {
        let error = Autoverify::parse(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\n{text}");
    }
}

#[test]
fn an_approval_names_version_and_text_and_says_by_whom_and_when() {
    let pack = Autoverify::parse(HEAD).unwrap();
    let approval = format!(
        "version = \"1\"\nsha256 = \"{}\"\nby = \"Dr. Rao\"\nat = \"2026-02-01\"\n",
        pack.digest().to_uppercase()
    );
    let approval = Approval::parse(&approval).unwrap();
    assert_eq!(
        pack.clone().approved(&approval).approved_by(),
        Some("Dr. Rao")
    );
    let other = Autoverify::parse(&format!("{HEAD}# looks harmless\n")).unwrap();
    assert_eq!(other.approved(&approval).standing(), &Standing::Changed);
    let newer = Approval {
        version: "2".to_owned(),
        ..approval
    };
    assert_eq!(pack.approved(&newer).standing(), &Standing::Changed);
    for (text, expected) in [
        (
            "version = \"1\"\nsha256 = \"0\"\nby = \" \"\nat = \"x\"\n",
            "who gave it",
        ),
        (
            "version = \"1\"\nsha256 = \"0\"\nat = \"x\"\n",
            "missing field `by`",
        ),
    ] {
        let error = Approval::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn the_row_of_a_channel_counts_more_and_the_worst_of_several_flags_stands() {
    let pack = Autoverify::parse(&format!(
        "{HEAD}[[flag]]\ntext = [\"N\", \"H\"]\naction = \"none\"\n[[flag]]\ntext = [\"CLOT\"]\naction = \"block\"\n\
         [[flag]]\ntext = [\"H\"]\naction = \"review\"\nchannels = [\"strict\"]\n"
    ))
    .unwrap();
    for (channel, flags, expected) in [
        ("any", vec!["N", "H"], (FlagAction::None, "")),
        ("strict", vec!["N", "H"], (FlagAction::Review, "H")),
        ("any", vec!["025"], (FlagAction::Review, "025")),
        ("any", vec!["025", " CLOT "], (FlagAction::Block, "CLOT")),
        ("any", vec![""], (FlagAction::None, "")),
    ] {
        assert_eq!(
            pack.worst_flag(channel, flags.clone()),
            expected,
            "{channel} {flags:?}"
        );
    }
}
