//! Which topics or groups are meant: names by inclusion and exclusion patterns.
//!
//! A pattern must match the whole name, as Kafka's own topic patterns do: `orders` does not mean
//! `orders-retry`. A pattern that begins with `^` or ends with `$` anchors itself and is taken as
//! it is written, so that `^__` means every name that begins so. Matching takes time linear in the
//! name, whatever the pattern (no look-around, no back-references).

use regex::{RegexSet, RegexSetBuilder};

/// The longest pattern accepted, in bytes.
const PATTERN_BYTES_MAX: usize = 4096;
/// The most patterns a filter takes on either side.
const PATTERNS_MAX: usize = 1000;
/// What the patterns of one side may take in memory once compiled, in bytes.
const COMPILED_BYTES_MAX: usize = 8 << 20;

/// Why a list of patterns is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A pattern is not a regular expression (of the kind that runs in linear time).
    #[error("pattern {pattern:?} is not a valid regular expression: {reason}")]
    Invalid {
        /// The pattern as written, cut to 200 characters.
        pattern: String,
        /// What the parser says, on one line.
        reason: String,
    },
    /// There are too many patterns, or one is too long, or they grow too large when compiled.
    #[error(
        "{count} patterns, the longest of {longest} bytes, are too much \
         (at most {PATTERNS_MAX} of {PATTERN_BYTES_MAX} bytes): write fewer or simpler ones"
    )]
    TooLarge {
        /// How many patterns were given.
        count: usize,
        /// Length of the longest, in bytes.
        longest: usize,
    },
}

/// Names that match one of the inclusions and none of the exclusions.
#[derive(Clone, Debug)]
pub struct Filter {
    include: RegexSet,
    exclude: RegexSet,
}

impl Filter {
    /// Compiles the patterns; an empty `include` matches nothing, an empty `exclude` spares all.
    ///
    /// # Errors
    /// The first pattern that does not compile, by name; or too much of them.
    pub fn new<S: AsRef<str>>(include: &[S], exclude: &[S]) -> Result<Self, FilterError> {
        Ok(Self { include: compile(include)?, exclude: compile(exclude)? })
    }

    /// The same filter with one or both sides replaced.
    ///
    /// # Errors
    /// As [`Filter::new`].
    pub fn with<S: AsRef<str>>(
        &self,
        include: Option<&[S]>,
        exclude: Option<&[S]>,
    ) -> Result<Self, FilterError> {
        let side = |given: Option<&[S]>, old: &RegexSet| given.map_or_else(|| Ok(old.clone()), compile);
        Ok(Self { include: side(include, &self.include)?, exclude: side(exclude, &self.exclude)? })
    }

    /// Matches every name.
    pub fn everything() -> Self {
        Self { include: compile(&[".*"]).unwrap_or_default(), exclude: RegexSet::empty() }
    }

    /// Is this name meant?
    pub fn matches(&self, name: &str) -> bool {
        self.include.is_match(name) && !self.exclude.is_match(name)
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::everything()
    }
}

fn compile<S: AsRef<str>>(patterns: &[S]) -> Result<RegexSet, FilterError> {
    let longest = patterns.iter().map(|p| p.as_ref().len()).max().unwrap_or(0);
    let too_large = FilterError::TooLarge { count: patterns.len(), longest };
    if patterns.len() > PATTERNS_MAX || longest > PATTERN_BYTES_MAX {
        return Err(too_large);
    }
    // One by one first: the error of a set does not say which pattern is wrong.
    for pattern in patterns.iter().map(AsRef::as_ref) {
        match regex::RegexBuilder::new(&anchored(pattern)).size_limit(COMPILED_BYTES_MAX).build() {
            Ok(_) => {}
            Err(regex::Error::CompiledTooBig(_)) => return Err(too_large),
            // The pattern alone, so that the message points into what the user wrote.
            Err(anchored_error) => {
                let error = regex::Regex::new(pattern).err().unwrap_or(anchored_error).to_string();
                let reason = error.lines().last().unwrap_or("").trim();
                return Err(FilterError::Invalid {
                    pattern: pattern.chars().take(200).collect(),
                    reason: reason.strip_prefix("error: ").unwrap_or(reason).to_owned(),
                });
            }
        }
    }
    RegexSetBuilder::new(patterns.iter().map(|p| anchored(p.as_ref())))
        .size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|_| too_large)
}

/// The pattern as it is compiled: over the whole name, unless it anchors itself.
pub(crate) fn anchored(pattern: &str) -> String {
    if pattern.starts_with('^') || (pattern.ends_with('$') && !pattern.ends_with("\\$")) {
        pattern.to_owned()
    } else {
        format!("^(?s:{pattern})$")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(include: &[&str], exclude: &[&str]) -> Filter {
        Filter::new(include, exclude).expect("the patterns are valid")
    }

    #[test]
    fn a_pattern_means_the_whole_name() {
        let orders = filter(&["orders"], &[]);
        assert!(orders.matches("orders"));
        assert!(!orders.matches("orders-retry"));
        assert!(!orders.matches("my-orders"));
        let either = filter(&["orders|payments"], &[]);
        assert!(either.matches("payments"));
        assert!(!either.matches("payments-retry"));
    }

    #[test]
    fn a_pattern_that_anchors_itself_is_taken_as_written() {
        let usual = filter(&[".*"], &["^__", "-retry$"]);
        assert!(usual.matches("orders"));
        assert!(!usual.matches("__consumer_offsets"));
        assert!(!usual.matches("orders-retry"));
        assert!(usual.matches("a__b"));
        assert!(filter(&[r"cost\$"], &[]).matches("cost$"));
        assert!(!filter(&[r"cost\$"], &[]).matches("the cost$"));
    }

    #[test]
    fn awkward_names_are_names_too() {
        assert!(filter(&[".*"], &[]).matches("line\nbreak"));
        assert!(filter(&[".*"], &[]).matches(""));
        assert!(Filter::everything().matches("größe \u{1F980}"));
        assert!(!filter(&[], &[]).matches("anything"));
    }

    #[test]
    fn an_error_names_the_pattern() {
        let error = Filter::new(&["fine", "br(oken"], &[]).expect_err("unclosed group");
        let text = error.to_string();
        assert!(text.contains("br(oken") && text.contains("unclosed"), "{text}");
        let error = Filter::new(&["(?=look)"], &[]).expect_err("look-around is not linear");
        assert!(error.to_string().contains("look"), "{error}");
    }

    #[test]
    fn patterns_are_bounded() {
        let long = "x".repeat(PATTERN_BYTES_MAX + 1);
        assert!(matches!(Filter::new(&[long.as_str()], &[]), Err(FilterError::TooLarge { .. })));
        let grown = "((((x{100}){100}){100}){100})";
        assert!(matches!(Filter::new(&[grown], &[]), Err(FilterError::TooLarge { .. })));
    }
}
