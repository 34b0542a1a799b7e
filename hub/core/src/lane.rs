//! Lanes: order holds inside a lane (design.md §4.4).

/// Lanes of an installation. Fixed once messages are stored: changing it moves patients between lanes.
pub const LANES: u16 = 16;

/// The lane of an aggregate: FNV-1a of its opaque key modulo the number of lanes. Stable across
/// releases and machines because stored subjects carry it.
#[must_use]
pub fn lane_of(key: &[u8]) -> u16 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in key {
        hash ^= u64::from(*byte);
        hash = hash.wrapping_mul(0x0000_0100_0000_01b3);
    }
    // fold the high bits in: FNV's low bits alone are weak for short keys
    let folded = hash ^ (hash >> 32);
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the remainder is below LANES"
    )]
    {
        (folded % u64::from(LANES)) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_stable_and_even() {
        assert_eq!(lane_of(b"demo"), lane_of(b"demo"));
        let mut counts = [0_u32; LANES as usize];
        for n in 0..16_000_u32 {
            counts[usize::from(lane_of(
                uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, &n.to_be_bytes()).as_bytes(),
            ))] += 1;
        }
        assert!(
            counts.iter().all(|count| (800..1200).contains(count)),
            "{counts:?}"
        );
    }
}
