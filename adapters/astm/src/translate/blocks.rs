//! What the edge and the answers need of blocks, too.

/// The content of an AU block.
pub(crate) fn au_content(bytes: &[u8]) -> &[u8] {
    super::au::content(bytes)
}

/// The fields of a Dimension block, with their separators.
pub(crate) fn dimension_fields(bytes: &[u8]) -> Vec<u8> {
    super::dimension::fields_of(bytes)
}
