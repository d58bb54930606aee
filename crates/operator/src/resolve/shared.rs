//! Things that are alike are made once, and live as long as somebody has one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::Print;

/// What there is, by what it was made of.
pub(super) struct Shared<T>(Mutex<HashMap<Print, Weak<T>>>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Shared<T> {
    /// The one that was made of this; made now if there is none.
    ///
    /// # Errors
    /// Those of `make`.
    pub(super) fn get<E>(&self, print: Print, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        // Held while one is made, so that two who ask at the same time get the same.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = all.get(&print).and_then(Weak::upgrade) {
            return Ok(there);
        }
        let new = Arc::new(make()?);
        all.retain(|_, other| other.strong_count() > 0);
        all.insert(print, Arc::downgrade(&new));
        Ok(new)
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().filter(|there| there.strong_count() > 0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::SecretBytes;

    #[test]
    fn one_is_made_for_all_who_are_alike_and_goes_with_the_last_of_them() {
        let shared = Shared::default();
        let print = |word: &str| Print::of(word, &SecretBytes::default());
        let get = |word: &str, number: u32| shared.get(print(word), || Ok::<_, ()>(number)).unwrap();
        let (first, second, other) = (get("a", 1), get("a", 2), get("b", 3));
        assert_eq!((*first, *second, *other), (1, 1, 3));
        drop((first, second));
        assert_eq!(*get("a", 4), 4);
        assert_eq!(shared.get(print("c"), || Err("no key")), Err("no key"));
        assert_eq!(*get("c", 5), 5, "what could not be made stands in nobody's way");
        drop(other);
        let _ = get("d", 6);
        assert_eq!(shared.0.lock().unwrap().len(), 1, "what is gone takes no room");
    }
}
