//! A map in one sorted vector: what is built once a refresh in ascending order and read often. Of
//! many small values it takes half the memory of a B-tree, and a fraction of its time; of a few, a
//! B-tree makes room for eleven at once.

use std::borrow::Borrow;
use std::ops::Index;
use std::sync::Arc;

/// By key, ascending; keys are unique.
#[derive(Clone, Debug, PartialEq)]
pub struct Sorted<K, V>(Vec<(K, V)>);

/// By name; names are shared.
pub type Named<V> = Sorted<Arc<str>, V>;

/// What something can be looked up by.
pub trait Key: Ord {
    /// How far it lies behind another key, where they can be counted: partitions are numbered
    /// without gaps, as a rule.
    fn behind(&self, _first: &Self) -> Option<usize> {
        None
    }
}

impl Key for i32 {
    fn behind(&self, first: &Self) -> Option<usize> {
        usize::try_from(self.checked_sub(*first)?).ok()
    }
}

impl Key for i64 {
    fn behind(&self, first: &Self) -> Option<usize> {
        usize::try_from(self.checked_sub(*first)?).ok()
    }
}

impl Key for str {}

impl Key for Arc<str> {}

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K, V> Sorted<K, V> {
    fn find<Q: Key + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        let guess = self.0.first().and_then(|(first, _)| key.behind(first.borrow()));
        match guess.filter(|&at| self.0.get(at).is_some_and(|(k, _)| k.borrow() == key)) {
            Some(at) => Ok(at),
            None => self.0.binary_search_by(|(k, _)| k.borrow().cmp(key)),
        }
    }

    /// The value of a key.
    pub fn get<Q: Key + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|at| &self.0[at].1)
    }

    /// The value of a key, to change it.
    pub fn get_mut<Q: Key + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|at| &mut self.0[at].1)
    }

    /// Is there a value of this key?
    pub fn contains_key<Q: Key + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Sets a value; cheap where the key is the greatest.
    pub fn insert(&mut self, key: impl Into<K>, value: V)
    where
        K: Key,
    {
        let key = key.into();
        match self.find(&key) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.insert_at(at, key, value),
        }
    }

    /// The value of a key, made where there is none.
    pub fn get_or_insert_with(&mut self, key: impl Into<K>, make: impl FnOnce() -> V) -> &mut V
    where
        K: Key,
    {
        let key = key.into();
        let at = self.find(&key).unwrap_or_else(|at| {
            self.insert_at(at, key, make());
            at
        });
        &mut self.0[at].1
    }

    fn insert_at(&mut self, at: usize, key: K, value: V) {
        // Most stay alone.
        if self.0.is_empty() {
            self.0.reserve_exact(1);
        }
        self.0.insert(at, (key, value));
    }

    /// Keeps what is good.
    pub fn retain(&mut self, mut good: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| good(key, value));
    }

    /// Makes room for so many more, and no more than that.
    pub fn reserve_exact(&mut self, more: usize) {
        self.0.reserve_exact(more);
    }

    /// Gives up room that is not needed.
    pub fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &V)> + Clone {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// All of them, in order, to change them.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &K> + Clone {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values, in the order of their keys.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> + Clone {
        self.0.iter().map(|(_, value)| value)
    }

    /// The values, in the order of their keys, to change them.
    pub fn values_mut(&mut self) -> impl ExactSizeIterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }
}

impl<K: Borrow<Q>, Q: Key + ?Sized, V> Index<&Q> for Sorted<K, V> {
    type Output = V;

    /// # Panics
    /// Where there is no such key.
    fn index(&self, key: &Q) -> &V {
        match self.find(key) {
            Ok(at) => &self.0[at].1,
            Err(_) => panic!("no such key"),
        }
    }
}

/// Of a key that comes several times the last value holds.
impl<K: Ord, N: Into<K>, V> FromIterator<(N, V)> for Sorted<K, V> {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut sorted: Vec<(K, V)> = pairs.into_iter().map(|(key, value)| (key.into(), value)).collect();
        if !sorted.is_sorted_by(|a, b| a.0 < b.0) {
            // Stable, and the later one first, which is the one that stays.
            sorted.reverse();
            sorted.sort_by(|a, b| a.0.cmp(&b.0));
            sorted.dedup_by(|later, first| later.0 == first.0);
        }
        sorted.shrink_to_fit();
        Self(sorted)
    }
}

impl<K: Ord, N: Into<K>, V, const M: usize> From<[(N, V); M]> for Sorted<K, V> {
    fn from(pairs: [(N, V); M]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<K, V> IntoIterator for Sorted<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_map(pairs in prop::collection::vec((0i32..20, 0u8..9), 0..40), more in prop::collection::vec((0i32..20, 0u8..9), 0..20), limit in 0u8..9) {
            let mut model: BTreeMap<i32, u8> = pairs.iter().copied().collect();
            let mut sorted: Sorted<i32, u8> = pairs.into_iter().collect();
            for (key, value) in more {
                model.insert(key, value);
                sorted.insert(key, value);
            }
            model.retain(|_, v| *v < limit);
            sorted.retain(|_, v| *v < limit);
            prop_assert!(model.iter().eq(sorted.iter()));
            prop_assert!(model.keys().eq(sorted.keys()) && model.values().eq(sorted.values()));
            prop_assert_eq!((model.len(), model.is_empty()), (sorted.len(), sorted.is_empty()));
            for key in 0..20 {
                prop_assert_eq!(model.get(&key), sorted.get(&key));
                prop_assert_eq!(model.contains_key(&key), sorted.contains_key(&key));
            }
        }

        #[test]
        fn it_is_a_map_by_name(pairs in prop::collection::vec(("[a-e]{0,2}", 0u8..9), 0..30), more in prop::collection::vec(("[a-e]{0,2}", 0u8..9), 0..15), limit in 0u8..9) {
            let mut model: BTreeMap<String, u8> = pairs.iter().cloned().collect();
            let mut named: Named<u8> = pairs.into_iter().collect();
            for (name, value) in more {
                *named.get_or_insert_with(name.as_str(), || 0) = value;
                named.insert(name.as_str(), value);
                model.insert(name, value);
            }
            model.retain(|_, v| *v < limit);
            named.retain(|_, v| *v < limit);
            prop_assert!(model.iter().map(|(n, v)| (n.as_str(), v)).eq(named.iter().map(|(n, v)| (&**n, v))));
            prop_assert_eq!((model.len(), model.is_empty()), (named.len(), named.is_empty()));
            for name in ["", "a", "ab", "e", "ee"] {
                prop_assert_eq!(model.get(name), named.get(name));
                prop_assert_eq!(model.contains_key(name), named.contains_key(name));
            }
        }
    }
}
