//! Tokens that were verified with a key that is good for as long as the server runs. What they say is not found out anew with
//! each request.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::domain::permission::Principal;

/// How many are kept. Whoever has more tokens than that at once has them verified again.
const MOST: usize = 1000;
/// The longest that is kept, in bytes: what a token says takes as much again.
const LONGEST: usize = 4 << 10;

/// By digest, so that nobody finds a token in the server's memory who could not have found it on its way.
#[derive(Default)]
pub(super) struct VerifiedTokens(Mutex<HashMap<[u8; 32], Principal>>);

impl VerifiedTokens {
    /// Who has the token, unless it is over by `now`. What is to be told of it then is not known here.
    pub fn find(&self, token: &str, now: Timestamp) -> Option<Principal> {
        self.tokens().get(&digest(token)).filter(|principal| principal.ends_at() > now).cloned()
    }

    pub fn keep(&self, token: &str, principal: &Principal) {
        if token.len() > LONGEST {
            return;
        }
        let mut tokens = self.tokens();
        if tokens.len() >= MOST {
            tokens.clear();
        }
        tokens.insert(digest(token), principal.clone());
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<[u8; 32], Principal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::domain::permission::{CLOCK_LEEWAY, Projects};

    fn principal(expires_at: Timestamp) -> Principal {
        Principal { subject: "ada".to_owned(), projects: Projects::All, permissions: vec![], expires_at }
    }

    #[test]
    fn a_token_is_kept_until_it_is_over() {
        let tokens = VerifiedTokens::default();
        let now = Timestamp::now();
        tokens.keep("token", &principal(now));
        assert_eq!(tokens.find("token", now), Some(principal(now)));
        assert_eq!(tokens.find("other", now), None);
        let end = principal(now).ends_at();
        assert_eq!(tokens.find("token", end), None);
        assert_eq!(tokens.find("token", end - SignedDuration::from_millis(1)), Some(principal(now)));
        assert!(end > now, "{CLOCK_LEEWAY:?}");
    }

    #[test]
    fn no_more_are_kept_than_fit() {
        let tokens = VerifiedTokens::default();
        let end = Timestamp::now() + SignedDuration::from_hours(1);
        for number in 0..=MOST {
            tokens.keep(&number.to_string(), &principal(end));
        }
        assert!(tokens.tokens().len() <= MOST);
        assert!(tokens.find(&MOST.to_string(), Timestamp::now()).is_some());
        let long = "a".repeat(LONGEST + 1);
        tokens.keep(&long, &principal(end));
        assert_eq!(tokens.find(&long, Timestamp::now()), None);
    }
}
