//! What the fuzz targets do with their bytes.

pub mod astm;
pub mod hl7v2;
pub mod poct1a;
