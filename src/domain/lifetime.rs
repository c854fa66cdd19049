//! How long a service is there: until somebody destroys it, unless it is protected from that, or until its expiry.

use jiff::{SignedDuration, Timestamp};

/// So long before its expiry it is told that a service is about to be destroyed.
pub const NOTICE: SignedDuration = SignedDuration::from_hours(1);
/// An expiry is at least so far ahead when it is set.
pub const SOONEST: SignedDuration = SignedDuration::from_mins(1);

/// What a service's user said about its end. One that is protected has no expiry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// Nobody can destroy it.
    pub protected: bool,
    /// When it is destroyed, with its data, without anybody asking for it.
    pub expires_at: Option<Timestamp>,
    /// An event has said that its expiry is less than [`NOTICE`] ahead.
    pub told: bool,
}

/// Why a lifetime can't be what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// An expiry, of what is protected.
    Protected,
    /// Protection, of what expires then.
    Expires(Timestamp),
    /// An expiry that is past, or less than [`SOONEST`] ahead.
    TooSoon,
}

/// What is to be done about an expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// To say that it is near.
    Notice(Timestamp),
    /// To destroy the service.
    End,
}

impl Lifetime {
    /// That of a service which is accepted at `now`.
    pub fn begun(protected: bool, expires_at: Option<Timestamp>, now: Timestamp) -> Result<Self, Unfit> {
        Self::default().with_protection(protected)?.with_expiry(expires_at, now)
    }

    pub fn with_protection(self, protected: bool) -> Result<Self, Unfit> {
        match self.expires_at {
            Some(expires_at) if protected => Err(Unfit::Expires(expires_at)),
            _ => Ok(Self { protected, ..self }),
        }
    }

    /// Whoever sets an expiry that is less than [`NOTICE`] ahead knows of it, and is told with that. One that it has already
    /// stays, however near it is.
    pub fn with_expiry(self, expires_at: Option<Timestamp>, now: Timestamp) -> Result<Self, Unfit> {
        let Some(at) = expires_at else { return Ok(Self { expires_at: None, told: false, ..self }) };
        if self.protected {
            return Err(Unfit::Protected);
        }
        if self.expires_at == expires_at {
            return Ok(self);
        }
        let ahead = at.duration_since(now);
        if ahead < SOONEST {
            return Err(Unfit::TooSoon);
        }
        Ok(Self { expires_at, told: ahead <= NOTICE, ..self })
    }

    /// What is to be done at `now`, of a service that is not on its end already.
    pub fn due(&self, now: Timestamp) -> Option<Due> {
        let at = self.expires_at.filter(|_| !self.protected)?;
        if at <= now {
            return Some(Due::End);
        }
        (!self.told && at.duration_since(now) <= NOTICE).then_some(Due::Notice(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn ahead(seconds: i64) -> Timestamp {
        NOW + SignedDuration::from_secs(seconds)
    }

    fn expiring(seconds: i64) -> Lifetime {
        Lifetime::default().with_expiry(Some(ahead(seconds)), NOW).unwrap()
    }

    #[test]
    fn an_expiry_is_a_minute_ahead_at_least_and_tells_of_itself_in_its_last_hour() {
        for (seconds, expected) in [
            (i64::from(i32::MIN), Err(Unfit::TooSoon)),
            (0, Err(Unfit::TooSoon)),
            (59, Err(Unfit::TooSoon)),
            (60, Ok(true)),
            (3600, Ok(true)),
            (3601, Ok(false)),
        ] {
            let set = Lifetime::begun(false, Some(ahead(seconds)), NOW);
            assert_eq!(set.map(|set| set.told), expected, "{seconds}");
        }
        assert_eq!(Lifetime::begun(false, Some(Timestamp::MAX), NOW).map(|set| set.told), Ok(false));
    }

    #[test]
    fn the_same_expiry_stays_also_when_it_is_near_and_another_is_told_of_anew() {
        let told = Lifetime { told: true, ..expiring(7200) };
        assert_eq!(told.with_expiry(Some(ahead(7200)), ahead(7190)), Ok(told));
        assert_eq!(told.with_expiry(Some(ahead(7201)), ahead(7190)), Err(Unfit::TooSoon));
        assert_eq!(told.with_expiry(Some(ahead(9000)), NOW), Ok(expiring(9000)));
        assert_eq!(told.with_expiry(None, ahead(7190)), Ok(Lifetime::default()));
    }

    #[test]
    fn what_is_protected_has_no_expiry() {
        let protected = Lifetime::default().with_protection(true).unwrap();
        assert_eq!(protected.with_expiry(Some(ahead(7200)), NOW), Err(Unfit::Protected));
        assert_eq!(protected.with_expiry(None, NOW), Ok(protected));
        assert_eq!(expiring(7200).with_protection(true), Err(Unfit::Expires(ahead(7200))));
        assert_eq!(expiring(7200).with_protection(false), Ok(expiring(7200)));
        assert_eq!(protected.with_protection(false), Ok(Lifetime::default()));
        assert_eq!(Lifetime::begun(true, Some(ahead(7200)), NOW), Err(Unfit::Protected));
    }

    #[test]
    fn it_is_told_of_once_in_the_last_hour_and_ends_the_service_when_its_time_has_come() {
        let untold = expiring(7200);
        let told = Lifetime { told: true, ..untold };
        for (at, expected) in [
            (3599, [None, None]),
            (3600, [Some(Due::Notice(ahead(7200))), None]),
            (7199, [Some(Due::Notice(ahead(7200))), None]),
            (7200, [Some(Due::End), Some(Due::End)]),
            (i64::from(i32::MAX), [Some(Due::End), Some(Due::End)]),
        ] {
            assert_eq!([untold, told].map(|lifetime| lifetime.due(ahead(at))), expected, "{at}");
        }
        assert_eq!(Lifetime { protected: true, ..told }.due(ahead(7200)), None);
        assert_eq!(Lifetime::default().due(Timestamp::MAX), None);
    }
}
