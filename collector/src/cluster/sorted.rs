//! A map in one sorted vector: what is built once a refresh in ascending order and read often. Of
//! many small values it takes half the memory of a B-tree, and a fraction of its time.

use std::ops::Index;

/// By key, ascending; keys are unique.
#[derive(Clone, Debug, PartialEq)]
pub struct Sorted<K, V>(Vec<(K, V)>);

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord + Copy + Into<i64>, V> Sorted<K, V> {
    fn find(&self, key: K) -> Result<usize, usize> {
        // Partitions are numbered without gaps, as a rule.
        let first = self.0.first().map_or(0, |(first, _)| (*first).into());
        let guess = key.into().checked_sub(first).and_then(|at| usize::try_from(at).ok());
        match guess.filter(|&at| self.0.get(at).is_some_and(|(k, _)| *k == key)) {
            Some(at) => Ok(at),
            None => self.0.binary_search_by(|(k, _)| k.cmp(&key)),
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.find(*key).ok().map(|at| &self.0[at].1)
    }

    /// Is there a value of this key?
    pub fn contains_key(&self, key: &K) -> bool {
        self.find(*key).is_ok()
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.find(*key).ok().map(|at| &mut self.0[at].1)
    }

    /// The value of a key, made where there is none.
    pub(crate) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let at = self.find(key).unwrap_or_else(|at| {
            self.0.insert(at, (key, make()));
            at
        });
        &mut self.0[at].1
    }

    /// All of them, in order, to change them.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// The values, in the order of their keys, to change them.
    pub fn values_mut(&mut self) -> impl ExactSizeIterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Sets a value; cheap where the key is the greatest.
    pub fn insert(&mut self, key: K, value: V) {
        if self.0.last().is_none_or(|(last, _)| *last < key) {
            self.0.push((key, value));
            return;
        }
        match self.find(key) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    /// Keeps those that are good.
    pub fn retain(&mut self, mut good: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| good(key, value));
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

    /// The keys, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &K> + Clone {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values, in the order of their keys.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> + Clone {
        self.0.iter().map(|(_, value)| value)
    }
}

impl<K: Ord + Copy + Into<i64>, V> Index<&K> for Sorted<K, V> {
    type Output = V;

    /// # Panics
    /// Where there is no such key.
    fn index(&self, key: &K) -> &V {
        match self.find(*key) {
            Ok(at) => &self.0[at].1,
            Err(_) => panic!("no such key"),
        }
    }
}

/// Of a key that comes several times the last value holds.
impl<K: Ord + Copy + Into<i64>, V> FromIterator<(K, V)> for Sorted<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut sorted: Vec<(K, V)> = pairs.into_iter().collect();
        if !sorted.is_sorted_by(|a, b| a.0 < b.0) {
            // Stable, and the later one first, which is the one that stays.
            sorted.reverse();
            sorted.sort_by_key(|(key, _)| *key);
            sorted.dedup_by(|later, first| later.0 == first.0);
        }
        sorted.shrink_to_fit();
        Self(sorted)
    }
}

impl<K: Ord + Copy + Into<i64>, V, const N: usize> From<[(K, V); N]> for Sorted<K, V> {
    fn from(pairs: [(K, V); N]) -> Self {
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
    }
}
