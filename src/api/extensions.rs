//! What each request goes through in the library, as extensions of the schema.

pub mod error_codes;
pub mod meter;
