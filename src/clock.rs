//! What time it is. Only what decides when something is due is given the time as an argument; what writes it down asks here.

use jiff::Timestamp;

/// The time, in the microseconds that both databases keep.
pub fn now() -> Timestamp {
    in_microseconds(Timestamp::now())
}

/// `time` without what is finer than a microsecond.
pub fn in_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}
