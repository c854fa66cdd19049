//! What a request says, looked at before anything of it is executed: how large it is, which operation it means, and whether
//! its variables are what they are declared to be.

mod expansion;
pub mod limits;
pub mod operation;
pub mod root_field;
mod tokens;
pub mod variables;
