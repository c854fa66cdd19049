//! How many may be connected at once. When there are too many, who came longest ago and asks for nothing makes room:
//! connections that never speak or speak too slowly can't keep others out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

pub struct Crowd {
    most: usize,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    count: usize,
    /// For the numbers of places, which grow.
    next: u64,
    /// Those who ask for nothing, longest first.
    idle: BTreeMap<u64, CancellationToken>,
}

/// One's place in the crowd, until it is dropped. It is idle at first.
pub struct Place {
    crowd: Arc<Crowd>,
    /// Locked only while the crowd is.
    standing: Mutex<Standing>,
    asked_to_leave: CancellationToken,
}

struct Standing {
    /// Where it stands among the idle, unless it is busy.
    number: u64,
    /// How many keep it from being asked for.
    busy: usize,
}

/// Keeps a place from being asked for, until each of them is dropped.
pub struct Busy(Arc<Place>);

impl Crowd {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, inside: Mutex::default() })
    }

    /// None when everybody is busy.
    pub fn enter(self: &Arc<Self>) -> Option<Arc<Place>> {
        let mut inside = self.inside();
        if inside.count >= self.most {
            let (_, longest) = inside.idle.pop_first()?;
            longest.cancel();
        }
        inside.count += 1;
        let asked_to_leave = CancellationToken::new();
        let number = inside.settle(asked_to_leave.clone());
        let standing = Mutex::new(Standing { number, busy: 0 });
        Some(Arc::new(Place { crowd: Arc::clone(self), standing, asked_to_leave }))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn settle(&mut self, asked_to_leave: CancellationToken) -> u64 {
        self.next += 1;
        self.idle.insert(self.next, asked_to_leave);
        self.next
    }
}

impl Place {
    pub fn busy(self: &Arc<Self>) -> Busy {
        let mut inside = self.crowd.inside();
        let mut standing = self.standing();
        standing.busy += 1;
        inside.idle.remove(&standing.number);
        drop((standing, inside));
        Busy(Arc::clone(self))
    }

    /// Until somebody else needs the place.
    pub async fn asked_to_leave(&self) {
        self.asked_to_leave.cancelled().await;
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut inside = self.0.crowd.inside();
        let mut standing = self.0.standing();
        standing.busy -= 1;
        if standing.busy == 0 {
            standing.number = inside.settle(self.0.asked_to_leave.clone());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.crowd.inside();
        inside.idle.remove(&self.standing().number);
        inside.count -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_asked(place: &Place) -> bool {
        place.asked_to_leave.is_cancelled()
    }

    #[test]
    fn who_is_idle_longest_makes_room() {
        let crowd = Crowd::new(3);
        let [first, second, third] = std::array::from_fn(|_| crowd.enter().unwrap());
        let busy = first.busy();
        let fourth = crowd.enter().unwrap();
        assert_eq!([&first, &second, &third, &fourth].map(|place| is_asked(place)), [false, true, false, false]);
        drop(second);
        // It is idle since now, and the third one since it came.
        drop(busy);
        let fifth = crowd.enter().unwrap();
        assert_eq!([&first, &third, &fourth, &fifth].map(|place| is_asked(place)), [false, true, false, false]);
    }

    #[test]
    fn where_all_are_busy_nobody_else_comes_in() {
        let crowd = Crowd::new(2);
        let places = [crowd.enter().unwrap(), crowd.enter().unwrap()];
        let busy = places.each_ref().map(Place::busy);
        assert!(crowd.enter().is_none());
        drop(places[0].busy());
        assert!(crowd.enter().is_none(), "the first one is busy with something else");
        drop((busy, places));
        assert!(crowd.enter().is_some_and(|place| !is_asked(&place)));
        let inside = crowd.inside();
        assert_eq!((inside.count, inside.idle.len()), (0, 0));
    }
}
