//! What the fuzz targets do with their bytes, and for a moment each in every test run.

pub mod astm;
pub mod hl7v2;
pub mod poct1a;
pub mod smoke;
