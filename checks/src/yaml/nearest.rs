//! The name that was probably meant.

/// Longer names are not compared: distance takes time in the product of the lengths.
const NAME_CHARS_MAX: usize = 64;

/// The valid name nearest to `name`, if one is near enough to be what was meant: equal but for
/// case, `_` and `-`, or no more than a third of its letters away.
pub fn nearest<'a>(name: &str, valid: &[&'a str]) -> Option<&'a str> {
    if name.chars().count() > NAME_CHARS_MAX {
        return None;
    }
    let folded = fold(name);
    valid
        .iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&folded, &fold(candidate));
            (distance, *candidate)
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(folded.len()) / 3).max(1))
        .map(|(_, candidate)| candidate)
}

/// A name without what people write in different ways: case, `_` and `-`.
pub(crate) fn fold(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_what_was_meant() {
        let valid = ["mustBeLessThan", "mustBeLessOrEqualTo", "mustBe", "metric", "field"];
        assert_eq!(nearest("mustBeLesThan", &valid), Some("mustBeLessThan"));
        assert_eq!(nearest("must_be_less_than", &valid), Some("mustBeLessThan"));
        assert_eq!(nearest("feild", &valid), Some("field"));
        assert_eq!(nearest("metrics", &valid), Some("metric"));
    }

    #[test]
    fn says_nothing_rather_than_nonsense() {
        assert_eq!(nearest("zebra", &["metric", "field"]), None);
        assert_eq!(nearest("anything", &[]), None);
        assert_eq!(nearest(&"m".repeat(100_000), &["metric"]), None);
    }
}
