//! Passwords for the local Postgres, from the kernel's random source.

use crate::{Error, Result};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

/// 24 random bytes in hex: needs no escaping in a URL or in SQL.
pub(crate) fn password() -> Result<String> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0_u8; 24];
    std::fs::File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(Error::io("read", source))?;
    Ok(bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}
