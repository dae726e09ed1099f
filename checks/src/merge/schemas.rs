//! Which schemas of a registry documents came by.

use super::pane::earlier;
use super::union;
use crate::report::SchemaSeen;

/// Schemas told apart: those of the largest ids, which registries give last. What of the union stays
/// depends on the union alone, and is counted whole: an id with enough larger ones beside it in a part
/// has them in the whole too.
pub const SCHEMAS_MAX: usize = 16;

/// Adds up sorted lists.
pub(super) fn merge_schemas(mine: &mut Vec<SchemaSeen>, other: &[SchemaSeen]) {
    union(mine, other, |a, b| a.id.cmp(&b.id), combine);
    mine.drain(..mine.len().saturating_sub(SCHEMAS_MAX));
}

/// Adds one to a sorted list.
pub fn count_schema(list: &mut Vec<SchemaSeen>, seen: SchemaSeen) {
    match list.binary_search_by(|s| s.id.cmp(&seen.id)) {
        Ok(at) => combine(&mut list[at], &seen),
        Err(0) if list.len() >= SCHEMAS_MAX => {}
        Err(at) => {
            list.insert(at, seen);
            list.drain(..list.len().saturating_sub(SCHEMAS_MAX));
        }
    }
}

fn combine(mine: &mut SchemaSeen, other: &SchemaSeen) {
    mine.count = mine.count.saturating_add(other.count);
    mine.first_ms = earlier(mine.first_ms, other.first_ms);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(seen: &[(u32, i64)]) -> Vec<SchemaSeen> {
        let mut list = Vec::new();
        for &(id, first_ms) in seen {
            count_schema(&mut list, SchemaSeen { id, count: 1, first_ms });
        }
        list
    }

    proptest! {
        #[test]
        fn one_by_one_or_in_parts_it_is_the_same(
            seen in prop::collection::vec((0u32..40, 1i64..1_000), 0..80),
            cut in any::<prop::sample::Index>(),
        ) {
            let cut = cut.index(seen.len() + 1);
            let mut parts = counted(&seen[..cut]);
            merge_schemas(&mut parts, &counted(&seen[cut..]));
            prop_assert_eq!(&parts, &counted(&seen));
            prop_assert!(parts.len() <= SCHEMAS_MAX && parts.is_sorted_by(|a, b| a.id < b.id));
            for kept in &parts {
                let of_it = || seen.iter().filter(|(id, _)| *id == kept.id);
                prop_assert_eq!(kept.count, of_it().count() as u64);
                prop_assert_eq!(kept.first_ms, of_it().map(|(_, ms)| *ms).min().unwrap_or(0));
            }
        }
    }
}
