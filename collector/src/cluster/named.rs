//! A small map by name, in one sorted vector. Most groups have to do with one or two topics, and a
//! B-tree makes room for eleven at once.

use std::ops::Index;
use std::sync::Arc;

/// By name, ascending; names are unique and shared.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<V>(Vec<(Arc<str>, V)>);

impl<V> Default for Named<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> Named<V> {
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(key, _)| (**key).cmp(name))
    }

    /// What has this name.
    pub fn get(&self, name: &str) -> Option<&V> {
        self.find(name).ok().map(|at| &self.0[at].1)
    }

    /// What has this name, to change it.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut V> {
        self.find(name).ok().map(|at| &mut self.0[at].1)
    }

    /// Is there anything of this name?
    pub fn contains_key(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// Gives a value a name; what had it before goes.
    pub fn insert(&mut self, name: impl Into<Arc<str>>, value: V) {
        let name = name.into();
        match self.find(&name) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => {
                if self.0.is_empty() {
                    self.0.reserve_exact(1);
                }
                self.0.insert(at, (name, value));
            }
        }
    }

    /// What has this name; made where there is nothing.
    pub fn get_or_default(&mut self, name: &Arc<str>) -> &mut V
    where
        V: Default,
    {
        let at = match self.find(name) {
            Ok(at) => at,
            Err(at) => {
                if self.0.is_empty() {
                    self.0.reserve_exact(1);
                }
                self.0.insert(at, (Arc::clone(name), V::default()));
                at
            }
        };
        &mut self.0[at].1
    }

    /// Removes what has this name.
    pub fn remove(&mut self, name: &str) {
        if let Ok(at) = self.find(name) {
            self.0.remove(at);
        }
    }

    /// Keeps what is good.
    pub fn retain(&mut self, mut good: impl FnMut(&str, &mut V) -> bool) {
        self.0.retain_mut(|(name, value)| good(name, value));
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
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &V)> + Clone {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// All of them, in order, to change them.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&str, &mut V)> {
        self.0.iter_mut().map(|(name, value)| (&**name, value))
    }

    /// The names, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// The names as they are shared, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &Arc<str>> + Clone {
        self.0.iter().map(|(name, _)| name)
    }

    /// The values, in the order of their names.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> + Clone {
        self.0.iter().map(|(_, value)| value)
    }

    /// The values, in the order of their names, to change them.
    pub fn values_mut(&mut self) -> impl ExactSizeIterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }
}

impl<V> Index<&str> for Named<V> {
    type Output = V;

    /// # Panics
    /// Where nothing has this name.
    fn index(&self, name: &str) -> &V {
        match self.find(name) {
            Ok(at) => &self.0[at].1,
            Err(_) => panic!("nothing is named {name:?}"),
        }
    }
}

/// Of a name that comes several times the last value holds.
impl<N: Into<Arc<str>>, V> FromIterator<(N, V)> for Named<V> {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut sorted: Vec<(Arc<str>, V)> = pairs.into_iter().map(|(name, v)| (name.into(), v)).collect();
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

impl<N: Into<Arc<str>>, V, const M: usize> From<[(N, V); M]> for Named<V> {
    fn from(pairs: [(N, V); M]) -> Self {
        pairs.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_map(pairs in prop::collection::vec(("[a-e]{0,2}", 0u8..9), 0..30), more in prop::collection::vec(("[a-e]{0,2}", 0u8..9), 0..15), gone in "[a-e]{0,2}", limit in 0u8..9) {
            let mut model: BTreeMap<String, u8> = pairs.iter().cloned().collect();
            let mut named: Named<u8> = pairs.into_iter().collect();
            for (name, value) in more {
                *named.get_or_default(&name.as_str().into()) = value;
                named.insert(name.as_str(), value);
                model.insert(name, value);
            }
            model.remove(&gone);
            named.remove(&gone);
            model.retain(|_, v| *v < limit);
            named.retain(|_, v| *v < limit);
            prop_assert!(model.iter().map(|(n, v)| (n.as_str(), v)).eq(named.iter()));
            prop_assert_eq!((model.len(), model.is_empty()), (named.len(), named.is_empty()));
            for name in ["", "a", "ab", "e", "ee"] {
                prop_assert_eq!(model.get(name), named.get(name));
                prop_assert_eq!(model.contains_key(name), named.contains_key(name));
            }
        }
    }
}
