//! One document as a tree: what is read, and what is refused.

use adapter_poct1a::document::{DEEPEST, Document, Unreadable};

use crate::messages;

fn read(text: &str) -> Result<Document, Unreadable> {
    Document::read(text.as_bytes(), None)
}

#[test]
fn values_stand_in_v_or_in_the_text_and_are_unescaped() {
    let document = read(
        "<?xml version=\"1.0\"?><A.R01><HDR><HDR.control_id V=\" 00027 \"/></HDR>\
         <x V=\"a &lt; b &#233;\" U=\"mg/dL\"/><y V=\"\">MGH^ICU</y><z><![CDATA[<raw>]]> &amp; more</z>\
         <n V=\"New strip\">TY=C</n><e V=\"  \"/></A.R01>",
    )
    .unwrap();
    let said = |name: &str| document.root.said(name);
    assert_eq!(document.kind(), "A.R01");
    assert_eq!(
        document.control_id().as_deref(),
        Some("00027"),
        "as sent, trimmed"
    );
    assert_eq!(said("x").as_deref(), Some("a < b é"));
    assert_eq!(said("y").as_deref(), Some("MGH^ICU"));
    assert_eq!(said("z").as_deref(), Some("<raw> & more"));
    assert_eq!(said("e"), None);
    let n = document.root.child("n").unwrap();
    assert_eq!(
        (n.value().as_deref(), n.beside()),
        (Some("New strip"), Some("TY=C"))
    );
    assert_eq!(
        document.root.child("x").unwrap().mark("U").as_deref(),
        Some("mg/dL")
    );
}

#[test]
fn nothing_is_expanded_and_nothing_broken_is_read() {
    for (text, expected) in [
        ("<!DOCTYPE A.R01><A.R01/>", Unreadable::Dtd),
        (
            "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><A.R01/>",
            Unreadable::Dtd,
        ),
    ] {
        assert_eq!(read(text).unwrap_err(), expected, "{text}");
    }
    for text in [
        "<A.R01>&unknown;</A.R01>",
        "<A.R01><b V=\"&unknown;\"/></A.R01>",
        "<A.R01><b></A.R01>",
        "<A.R01>",
        "<A.R01/><B.R01/>",
        "<A.R01 V=\"1\" V=\"2\"/>",
        "<A.R01><b V=1/></A.R01>",
        "text<A.R01/>",
        "<A.R01>&#0;</A.R01>",
        "",
    ] {
        assert!(
            matches!(read(text), Err(Unreadable::Malformed(_))),
            "{text}"
        );
    }
    let deep = format!("<A>{}{}</A>", "<b>".repeat(DEEPEST), "</b>".repeat(DEEPEST));
    assert_eq!(read(&deep).unwrap_err(), Unreadable::TooDeep);
    let many = format!("<A>{}</A>", "<b/>".repeat(60_000));
    assert_eq!(read(&many).unwrap_err(), Unreadable::TooMany);
}

#[test]
fn character_sets_are_declared_configured_or_guessed() {
    let latin = messages::fixture("150-");
    let unit = |bytes: &[u8], configured: Option<&str>| {
        let set = configured.and_then(|name| encoding_rs::Encoding::for_label(name.as_bytes()));
        let document = Document::read(bytes, set).unwrap();
        let value = document.root.find("OBS.value").unwrap();
        (value.mark("U").unwrap(), document.guessed)
    };
    assert_eq!(unit(&latin, None), ("µmol/L".to_owned(), false));
    // undeclared, and not UTF-8
    let text = b"<A><OBS.value V=\"1\" U=\"\xB5mol/L\"/></A>";
    assert_eq!(unit(text, None), ("µmol/L".to_owned(), true));
    assert_eq!(
        unit(text, Some("windows-1252")),
        ("µmol/L".to_owned(), false)
    );
    // declared UTF-8, and is not
    let wrong =
        b"<?xml version=\"1.0\" encoding=\"utf-8\"?><A><OBS.value V=\"1\" U=\"\xB5mol/L\"/></A>";
    assert_eq!(unit(wrong, None), ("µmol/L".to_owned(), true));
    let marked = "\u{FEFF}<A><OBS.value V=\"1\" U=\"µmol/L\"/></A>";
    assert_eq!(unit(marked.as_bytes(), None), ("µmol/L".to_owned(), false));
    // no database stores NUL
    let nul = "<A><OBS.value V=\"1\" U=\"m\0\"/></A>";
    assert_eq!(unit(nul.as_bytes(), None).0, "m\u{FFFD}");
}
