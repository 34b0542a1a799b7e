//! What the fuzz targets do with their bytes.

pub mod hl7v2;
