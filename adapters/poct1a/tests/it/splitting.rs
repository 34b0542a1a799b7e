//! Documents out of a stream: what ends one, what does not, and what is made of the rest.

use adapter_poct1a::document::DEEPEST;
use adapter_poct1a::split::{Fault, Piece, Splitter};
use proptest::prelude::*;

use crate::messages;

fn split(limit: usize, parts: &[&[u8]]) -> Vec<Piece> {
    let mut splitter = Splitter::new(limit, DEEPEST);
    let mut found = Vec::new();
    for part in parts {
        splitter.push(part, &mut found);
    }
    splitter.end(&mut found);
    found
}

/// One line a piece: `D` document, with its fault; `B` broken, `L` too long, `J` junk.
fn shown(pieces: &[Piece]) -> Vec<String> {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Document(cut) => {
                let fault = match cut.fault {
                    None => "",
                    Some(Fault::Dtd) => " dtd",
                    Some(Fault::TooDeep) => " deep",
                    Some(Fault::Malformed) => " malformed",
                };
                let block = if cut.wrapped { " wrapped" } else { "" };
                format!("D{fault}{block} {}", cut.bytes.escape_ascii())
            }
            Piece::Broken(bytes) => format!("B {}", bytes.escape_ascii()),
            Piece::TooLong(bytes) => format!("L {}", bytes.escape_ascii()),
            Piece::Junk(bytes) => format!("J {}", bytes.escape_ascii()),
        })
        .collect()
}

#[test]
fn a_document_ends_with_the_end_tag_of_its_root_and_nothing_else() {
    #[rustfmt::skip]
    let table: &[(&str, &[u8], &[&str])] = &[
        ("one", b"<A.R01><B/></A.R01>", &["D <A.R01><B/></A.R01>"]),
        ("several in one read", b"<A.R01></A.R01>\r\n<B.R01></B.R01><C.R01/>", &["D <A.R01></A.R01>", "D <B.R01></B.R01>", "D <C.R01/>"]),
        ("a declaration before each", b"<?xml version='1.0'?><A.R01/>\n<?xml version='1.0'?>\n<B.R01/>", &["D <?xml version=\\'1.0\\'?><A.R01/>", "D <?xml version=\\'1.0\\'?>\\n<B.R01/>"]),
        ("byte order mark", b"\xEF\xBB\xBF<A.R01/>\xEF\xBB\xBF<B.R01/>", &["D \\xef\\xbb\\xbf<A.R01/>", "D \\xef\\xbb\\xbf<B.R01/>"]),
        ("blocks of MLLP", b"\x0b<A.R01/>\x1c\r\x0b<B.R01/>\x1c\r<C.R01/>", &["D wrapped <A.R01/>", "D wrapped <B.R01/>", "D <C.R01/>"]),
        ("an end tag in a comment", b"<A.R01><!-- </A.R01> --></A.R01>", &["D <A.R01><!-- </A.R01> --></A.R01>"]),
        ("an end tag in CDATA", b"<A.R01><![CDATA[</A.R01>]]></A.R01>", &["D <A.R01><![CDATA[</A.R01>]]></A.R01>"]),
        ("an end tag in an instruction", b"<A.R01><?x </A.R01> ?></A.R01>", &["D <A.R01><?x </A.R01> ?></A.R01>"]),
        ("a greater-than in a value", b"<A.R01><B V='/>'/><B V=\"</A.R01\"/></A.R01>", &["D malformed <A.R01><B V=\\'/>\\'/><B V=\\\"</A.R01\\\"/></A.R01>"]),
        ("odd ends of comments", b"<A.R01><!--></A.R01>--></A.R01>", &["D <A.R01><!--></A.R01>--></A.R01>"]),
        ("blanks in the end tag", b"<A.R01\n a='1' >x</A.R01 \n>", &["D <A.R01\\n a=\\'1\\' >x</A.R01 \\n>"]),
        ("an element of the root's name", b"<A><A>x</A><A/></A><B/>", &["D <A><A>x</A><A/></A>", "D <B/>"]),
        ("a name that begins like the root's", b"<OBS.R01><OBS></OBS></OBS.R01>", &["D <OBS.R01><OBS></OBS></OBS.R01>"]),
        ("tags that do not match", b"<A.R01><B></A.R01><C.R01/>", &["D <A.R01><B></A.R01>", "D <C.R01/>"]),
        ("a stray less-than", b"<A.R01>1 < 2</A.R01><C.R01/>", &["D malformed <A.R01>1 < 2</A.R01>", "D <C.R01/>"]),
        ("an open quote", b"<A.R01><B V=\"1/></A.R01><C.R01/>", &["D malformed <A.R01><B V=\\\"1/></A.R01>", "D <C.R01/>"]),
        ("junk between", b"ABC\r\n<A.R01/>noise<B.R01/>\x00\x1c\r", &["J ABC\\r\\n", "D <A.R01/>", "J noise", "D <B.R01/>"]),
        ("less-than in junk", b"a < b <A.R01/>", &["J a < b ", "D <A.R01/>"]),
        ("an end tag without a start", b"</A.R01><B.R01/>", &["J </A.R01>", "D <B.R01/>"]),
        ("something else on the port", b"\x0bMSH|^~\\&|X\r\x1c\r", &["J MSH|^~\\\\&|X\\r\\x1c\\r"]),
        ("UTF-16", b"\xFF\xFE<\x00A\x00/\x00>\x00", &["J \\xff\\xfe<\\x00A\\x00/\\x00>\\x00"]),
        ("a document type", b"<!DOCTYPE A [<!ENTITY x \"]>\"> ]><A.R01>&x;</A.R01><B.R01/>", &["D dtd <!DOCTYPE A [<!ENTITY x \\\"]>\\\"> ]><A.R01>&x;</A.R01>", "D <B.R01/>"]),
        ("a comment between", b"<A.R01/><!-- x --><B.R01/>", &["D <A.R01/>", "D <!-- x --><B.R01/>"]),
        ("a comment before a declaration", b"<!-- x --><?xml version='1.0'?><B.R01/>", &["D <?xml version=\\'1.0\\'?><B.R01/>"]),
        ("a comment at the end", b"<A.R01/><!-- x -->", &["D <A.R01/>"]),
        ("a device that starts again", b"<OBS.R01><SVC><HEL.R01></HEL.R01>", &["B <OBS.R01><SVC>", "D <HEL.R01></HEL.R01>"]),
        ("the same with a declaration", b"<OBS.R01><SVC><?xml version='1.0'?><HEL.R01></HEL.R01>", &["B <OBS.R01><SVC>", "D <?xml version=\\'1.0\\'?><HEL.R01></HEL.R01>"]),
        ("an empty message in another", b"<OBS.R01><SVC><KPA.R01/><A.R01/>", &["B <OBS.R01><SVC>", "D <KPA.R01/>", "D <A.R01/>"]),
        ("the line is lost", b"<A.R01/><OBS.R01><SV", &["D <A.R01/>", "B <OBS.R01><SV"]),
        ("a namespace", b"<p:A.R01 xmlns:p='x'><p:B/></p:A.R01><C.R01/>", &["D <p:A.R01 xmlns:p=\\'x\\'><p:B/></p:A.R01>", "D <C.R01/>"]),
        ("nothing", b" \r\n\x00\xEF\xBB\xBF", &[]),
    ];
    for (what, stream, expected) in table {
        assert_eq!(shown(&split(4096, &[stream])), *expected, "{what}");
    }
}

#[test]
fn what_is_kept_has_a_bound() {
    let long = format!("<A.R01>{}</A.R01>", "x".repeat(100));
    let bytes = long.as_bytes();
    assert_eq!(split(bytes.len(), &[bytes]).len(), 1, "exactly the limit");
    assert!(matches!(
        split(bytes.len(), &[bytes])[0],
        Piece::Document(_)
    ));
    let over = split(64, &[bytes, b"<B.R01/>"]);
    assert_eq!(over.len(), 1, "nothing more is read of this stream");
    assert!(matches!(&over[0], Piece::TooLong(kept) if kept == &bytes[..64]));
    // junk without end
    let junk = split(64, &[&[b'x'; 100_000], b"<A.R01/>"]);
    assert!(matches!(&junk[0], Piece::Junk(kept) if kept.len() == 4096));
    assert!(matches!(&junk[1], Piece::Document(_)));
}

#[test]
fn elements_in_elements_have_a_bound() {
    let deep = |n: usize| {
        let text = format!("<A.R01>{}{}</A.R01>", "<b>".repeat(n), "</b>".repeat(n));
        match split(1 << 20, &[text.as_bytes()]).remove(0) {
            Piece::Document(cut) => cut.fault,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(deep(DEEPEST - 1), None);
    assert_eq!(deep(DEEPEST), Some(Fault::TooDeep));
    assert_eq!(deep(20_000), Some(Fault::TooDeep));
}

/// Fixtures, parts of them, and what lines put in between.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let files: Vec<Vec<u8>> = messages::all()
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    let piece = prop_oneof![
        4 => prop::sample::select(files.clone()),
        2 => (prop::sample::select(files), any::<prop::sample::Index>())
            .prop_map(|(file, at)| file[..at.index(file.len())].to_vec()),
        2 => prop::sample::select(vec![
            b"\x0b".to_vec(), b"\x1c\r".to_vec(), b"\r\n".to_vec(), b"\xEF\xBB\xBF".to_vec(),
            b"<!-- </OBS.R01> -->".to_vec(), b"<![CDATA[".to_vec(), b"]]>".to_vec(), b"\"".to_vec(),
            b"<".to_vec(), b">".to_vec(), b"junk".to_vec(),
        ]),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_chunking_gives_the_same_documents(
        stream in stream(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        limit in prop_oneof![Just(1 << 20), 64_usize..3000],
    ) {
        let whole = split(limit, &[&stream]);
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        places.push(stream.len());
        places.sort_unstable();
        let mut parts = Vec::new();
        let mut from = 0;
        for to in places {
            parts.push(&stream[from..to]);
            from = to;
        }
        prop_assert_eq!(&whole, &split(limit, &parts));
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(&whole, &split(limit, &bytes));
    }

    #[test]
    fn documents_come_out_of_any_company_byte_for_byte(
        picked in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        between in prop::sample::select(vec!["", "\n", "\r\n\r\n", "\u{1c}\r\u{b}", "\u{0}"]),
    ) {
        let files = messages::all();
        let picked: Vec<&[u8]> = picked.iter().map(|n| n.get(&files).1.as_slice()).collect();
        let stream = picked.join(between.as_bytes());
        let found = split(1 << 20, &[&stream]);
        prop_assert_eq!(found.len(), picked.len());
        for (piece, file) in found.iter().zip(picked) {
            let Piece::Document(cut) = piece else {
                return Err(TestCaseError::fail("not a document"));
            };
            prop_assert_eq!(&cut.bytes[..], file.trim_ascii_end());
        }
    }
}
