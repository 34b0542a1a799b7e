//! Networks for allow-lists: `10.20.0.0/16`, `2001:db8::/32`, or a single address.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network in CIDR form; a bare address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no network: write an address, or an address and a prefix as in 10.20.0.0/16")]
pub struct BadNetwork(String);

impl Network {
    /// An IPv4 address that arrives on an IPv6 socket (`::ffff:10.1.2.3`) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(its)) => same_start(
                u128::from(ours.to_bits()) << 96,
                u128::from(its.to_bits()) << 96,
                self.prefix,
            ),
            (IpAddr::V6(ours), IpAddr::V6(its)) => {
                same_start(ours.to_bits(), its.to_bits(), self.prefix)
            }
            _ => false,
        }
    }
}

/// Compares the first `prefix` bits.
fn same_start(ours: u128, its: u128, prefix: u8) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    (ours ^ its) & mask == 0
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let bad = || BadNetwork(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.trim().parse().map_err(|_| bad())?;
        let address = written.to_canonical();
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(prefix) => {
                let prefix: u8 = prefix.trim().parse().map_err(|_| bad())?;
                // `::ffff:10.1.0.0/112` counts the 96 bits that the mapping adds.
                let mapped = u8::from(written.is_ipv6() && address.is_ipv4()) * 96;
                prefix.checked_sub(mapped).ok_or_else(bad)?
            }
        };
        if prefix > bits {
            return Err(bad());
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Network {
    fn schema_name() -> Cow<'static, str> {
        "Network".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A network in CIDR form, or one address.",
            "examples": ["10.20.0.0/16", "2001:db8::/32", "10.20.1.7"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        let network: Network = network.parse().unwrap();
        network.contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        assert!(contains("10.20.0.0/16", "10.20.255.1"));
        assert!(!contains("10.20.0.0/16", "10.21.0.1"));
        assert!(contains("10.20.1.7", "10.20.1.7"));
        assert!(!contains("10.20.1.7", "10.20.1.8"));
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1"));
        assert!(!contains("2001:db8::/32", "2001:db9::1"));
        assert!(contains("::/0", "2001:db8::1"));
        assert!(
            contains("192.168.1.77/24", "192.168.1.1"),
            "host bits are ignored"
        );
    }

    #[test]
    fn an_ipv4_address_on_an_ipv6_socket_counts_as_ipv4() {
        assert!(contains("10.20.0.0/16", "::ffff:10.20.1.1"));
        assert!(contains("::ffff:10.20.0.0/112", "10.20.1.1"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in [
            "",
            "10.1.2",
            "10.1.2.3/33",
            "::/129",
            "lab",
            "10.0.0.0/-1",
            "::ffff:10.0.0.0/8",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
