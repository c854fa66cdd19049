//! Chance, of which a run can be repeated with its seed.

/// SplitMix64 (Steele, Lea and Flood 2014): enough for picking moments.
pub struct Chance(u64);

impl Chance {
    /// With the seed that a variable gives, or else with the time; it is printed under the variable's name.
    #[expect(clippy::print_stderr, reason = "a run can be repeated with its seed")]
    pub fn of(variable: &str) -> Self {
        let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
        let seed = std::env::var(variable).ok().and_then(|seed| seed.parse().ok()).unwrap_or(now);
        eprintln!("{variable}={seed}");
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }
}
