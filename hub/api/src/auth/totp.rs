//! Time-based one-time passwords (RFC 6238): six digits, thirty seconds, HMAC-SHA-1, which is what every authenticator app
//! does. The secret is 160 random bits (RFC 4226 §4 R6). That no step is used twice is kept by the worker.

use ring::hmac;

/// Length of a step, seconds.
const STEP: i64 = 30;
/// Steps by which the telephone's clock may differ, either way.
const DRIFT: i64 = 1;
const DIGITS: u32 = 6;

/// A fresh secret.
pub(crate) fn secret() -> [u8; 20] {
    rand::random()
}

/// The step of this code, if it is one of the steps around `now` and later than `last`.
pub(crate) fn step_of(secret: &[u8], code: &str, now: i64, last: i64) -> Option<i64> {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if code.len() != DIGITS as usize || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let now = now.div_euclid(STEP);
    let mut found = None;
    // all are compared, whichever fits: time tells nothing
    for step in now - DRIFT..=now + DRIFT {
        let right = format!("{:06}", code_at(secret, step, DIGITS));
        let same = right
            .bytes()
            .zip(code.bytes())
            .fold(0, |differs, (a, b)| differs | (a ^ b))
            == 0;
        if same && step > last {
            found = Some(step);
        }
    }
    found
}

/// RFC 4226 §5.3.
fn code_at(secret: &[u8], step: i64, digits: u32) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let mac = hmac::sign(&key, &step.to_be_bytes());
    let mac = mac.as_ref();
    let offset = usize::from(mac[19] & 0x0f);
    let number = u32::from_be_bytes([
        mac[offset] & 0x7f,
        mac[offset + 1],
        mac[offset + 2],
        mac[offset + 3],
    ]);
    number % 10_u32.pow(digits)
}

/// RFC 4648 §6, without padding.
pub(crate) fn base32(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let mut word = [0; 8];
        word[3..3 + chunk.len()].copy_from_slice(chunk);
        let word = u64::from_be_bytes(word);
        for place in 0..(chunk.len() * 8).div_ceil(5) {
            let index = (word >> (35 - 5 * place)) & 31;
            text.push(char::from(SIGNS[usize::try_from(index).unwrap_or(0)]));
        }
    }
    text
}

/// What an authenticator app scans.
pub(crate) fn uri(secret: &str, tenant: &str, user: &str) -> String {
    let account: String =
        form_urlencoded::byte_serialize(format!("{tenant}/{user}").as_bytes()).collect();
    format!(
        "otpauth://totp/Sangam:{account}?secret={secret}&issuer=Sangam&algorithm=SHA1&digits=6&period=30"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC: &[u8] = b"12345678901234567890";

    /// RFC 6238, appendix B, SHA-1.
    #[test]
    fn the_codes_are_those_of_the_standard() {
        for (time, code) in [
            (59, 94_287_082),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000, 65_353_130),
        ] {
            assert_eq!(code_at(RFC, time / STEP, 8), code, "{time}");
        }
    }

    #[test]
    fn a_code_is_good_a_step_early_or_late_and_never_after_it_was_used() {
        let now = 1_111_111_111;
        let step = now / STEP;
        let code = |step| format!("{:06}", code_at(RFC, step, DIGITS));
        for (at, good) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let found = step_of(RFC, &code(step + at), now, 0);
            assert_eq!(found, good.then_some(step + at), "{at}");
        }
        assert_eq!(step_of(RFC, &code(step), now, step), None);
        assert_eq!(step_of(RFC, &code(step - 1), now, step), None);
        let spaced = format!("{} {}", &code(step)[..3], &code(step)[3..]);
        assert_eq!(step_of(RFC, &spaced, now, 0), Some(step));
        for bad in ["", "12345", "1234567", "abcdef", "１２３４５６", "-12345"] {
            assert_eq!(step_of(RFC, bad, now, 0), None, "{bad}");
        }
    }

    /// RFC 4648 §10.
    #[test]
    fn base32_is_that_of_the_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }
}
