//! What may not be read for lack of rights, said once by name: the counts are in the metrics, and
//! a name as a label would be a series for nothing.

use std::collections::BTreeSet;

use super::state::State;

/// Names that are said; more of them are only counted.
const NAMES_MAX: usize = 100;

/// What has been said.
#[derive(Debug, Default)]
pub(super) struct Denied {
    groups: BTreeSet<String>,
    topics: BTreeSet<String>,
    no_topics: bool,
}

impl Denied {
    /// Says what is new.
    pub(super) fn tell(&mut self, state: &State) {
        let groups = state.groups.iter().filter(|(_, group)| group.forbidden).map(|(name, _)| name);
        for group in unsaid(&mut self.groups, groups) {
            tracing::warn!(
                group,
                "the group may not be read, its lag is unknown: Tapline's user needs DESCRIBE on it"
            );
        }
        for topic in unsaid(&mut self.topics, state.forbidden_topics.iter()) {
            tracing::warn!(
                topic,
                "a group reads the topic, which may not be described, so that its lag is unknown: \
                 Tapline's user needs DESCRIBE on it"
            );
        }
        let no_topics = state.topics.is_empty() && !state.groups.is_empty();
        if no_topics && !self.no_topics {
            tracing::warn!(
                "no topic is listed to Tapline's user, though there are groups: it needs DESCRIBE on topics \
                 (and watch.topics must match some)"
            );
        }
        self.no_topics = no_topics;
    }
}

/// The names among these that were not there the last time. What is allowed meanwhile, and
/// denied again, is said again.
fn unsaid<'a>(said: &mut BTreeSet<String>, now: impl Iterator<Item = &'a String>) -> Vec<String> {
    let now: BTreeSet<String> = now.take(NAMES_MAX).cloned().collect();
    let new = now.difference(said).cloned().collect();
    *said = now;
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_said_once_until_it_goes() {
        let mut said = BTreeSet::new();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(unsaid(&mut said, names(&["a", "b"]).iter()), ["a", "b"]);
        assert_eq!(unsaid(&mut said, names(&["a", "b", "c"]).iter()), ["c"]);
        assert_eq!(unsaid(&mut said, names(&["b"]).iter()), [""; 0]);
        assert_eq!(unsaid(&mut said, names(&["a", "b"]).iter()), ["a"]);
        let many = (0..1_000).map(|n| n.to_string()).collect::<Vec<_>>();
        assert!(unsaid(&mut said, many.iter()).len() <= NAMES_MAX);
    }
}
