//! The subject of an X.509 certificate as text (RFC 4514, most specific part first). The certificate has been verified by
//! then; this only reads it, and says nothing rather than something wrong.

/// `CN=analyzer-7,O=Laboratory`; nothing for an empty or an unreadable subject.
pub(crate) fn of(certificate: &[u8]) -> Option<String> {
    // Certificate ::= SEQUENCE { TBSCertificate ::= SEQUENCE { [0] version, serial, algorithm, issuer, validity, subject …
    let (tbs, _) = take(take(certificate, SEQUENCE)?.0, SEQUENCE)?;
    let rest = take(tbs, VERSION).map_or(tbs, |(_, rest)| rest);
    let (_, rest) = take(rest, INTEGER)?;
    let (_, rest) = take(rest, SEQUENCE)?;
    let (_, rest) = take(rest, SEQUENCE)?;
    let (_, rest) = take(rest, SEQUENCE)?;
    let (mut names, _) = take(rest, SEQUENCE)?;
    let mut parts = Vec::new();
    while !names.is_empty() {
        let (mut set, rest) = take(names, SET)?;
        names = rest;
        let mut several = Vec::new();
        while !set.is_empty() {
            let (attribute, rest) = take(set, SEQUENCE)?;
            set = rest;
            several.push(attribute_text(attribute)?);
        }
        parts.push(several.join("+"));
    }
    parts.reverse();
    (!parts.is_empty()).then(|| parts.join(","))
}

const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0] EXPLICIT`
const VERSION: u8 = 0xa0;
const BMP_STRING: u8 = 0x1e;
const TEXT_STRINGS: [u8; 4] = [0x0c, 0x13, 0x14, 0x16];

/// The content of the element with this tag at the start of `bytes`, and what follows it.
fn take(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let length = if first < 0x80 {
        usize::from(first)
    } else {
        let (digits, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        rest = after;
        if digits.is_empty() || digits.len() > 4 {
            return None;
        }
        digits
            .iter()
            .fold(0, |length, digit| length << 8 | usize::from(*digit))
    };
    let (content, after) = rest.split_at_checked(length)?;
    (found == tag).then_some((content, after))
}

fn attribute_text(attribute: &[u8]) -> Option<String> {
    let (kind, value) = take(attribute, OBJECT_IDENTIFIER)?;
    let name = match kind {
        [0x55, 0x04, 0x03] => "CN",
        [0x55, 0x04, 0x05] => "serialNumber",
        [0x55, 0x04, 0x06] => "C",
        [0x55, 0x04, 0x07] => "L",
        [0x55, 0x04, 0x08] => "ST",
        [0x55, 0x04, 0x0a] => "O",
        [0x55, 0x04, 0x0b] => "OU",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19] => "DC",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01] => "UID",
        _ => "OID",
    };
    let tag = *value.first()?;
    let (content, _) = take(value, tag)?;
    let text = if tag == BMP_STRING {
        let units: Vec<u16> = content
            .chunks_exact(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .collect();
        String::from_utf16(&units).ok()?
    } else if TEXT_STRINGS.contains(&tag) {
        String::from_utf8_lossy(content).into_owned()
    } else {
        return None;
    };
    Some(format!("{name}={}", escaped(&text)))
}

/// RFC 4514 §2.4, and control characters in hex: the text goes into logs and tables.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    let last = text.chars().count().saturating_sub(1);
    for (index, letter) in text.chars().enumerate() {
        match letter {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.extend(['\\', letter]),
            ' ' if index == 0 || index == last => out.push_str("\\ "),
            '#' if index == 0 => out.push_str("\\#"),
            _ if letter.is_ascii_control() => out += &format!("\\{:02x}", u32::from(letter)),
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    #[test]
    fn a_subject_is_read_most_specific_part_first_and_escaped() {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Lab, \u{906}\u{930}");
        params
            .distinguished_name
            .push(DnType::CommonName, "analyzer-7");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        assert_eq!(
            of(certificate.der()).unwrap(),
            "CN=analyzer-7,O=Lab\\, \u{906}\u{930}"
        );
    }

    #[test]
    fn junk_has_no_subject() {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        for end in 0..certificate.der().len() {
            let _ = of(&certificate.der()[..end]);
        }
        assert_eq!(of(b"\x30\x84\xff\xff\xff\xff"), None);
        assert_eq!(of(&[]), None);
    }
}
