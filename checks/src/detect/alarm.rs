//! From a suspicion to a finding and to its end.
//!
//! A window alone proves little: two in a row make a finding, or one that is far beyond doubt. It ends
//! after two windows that are clearly as before; what lies between keeps it as it is.

use serde::{Deserialize, Serialize};

use super::Kind;

/// Windows that it takes to be over.
const QUIET_MIN: u8 = 2;
/// What a suspicion must gather to be a finding.
const SCORE_MIN: u8 = 2;

/// A suspicion, or a finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Alarm {
    pub(super) kind: Kind,
    /// Start of the first window that showed it, ms.
    pub(super) began_ms: i64,
    score: u8,
    quiet: u8,
    /// Told with others, not by itself.
    pub(super) grouped: bool,
    /// Told at all: not while it is a suspicion.
    pub(super) raised: bool,
}

impl Alarm {
    /// A finding.
    pub(super) fn raised(kind: Kind, began_ms: i64) -> Self {
        Self { kind, began_ms, score: SCORE_MIN, quiet: 0, grouped: false, raised: true }
    }
}

/// What a window says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// As before.
    Quiet,
    /// Neither clearly as before, nor suspicious by itself.
    Between,
    /// Beyond chance, and large enough to tell.
    Suspicious {
        /// Of what kind.
        kind: Kind,
        /// One window is proof enough.
        sure: bool,
    },
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing to tell.
    None,
    /// A finding now.
    Raised,
    /// Still one.
    Ongoing,
    /// Over.
    Resolved,
}

/// Takes a window up.
pub(super) fn step(alarm: &mut Option<Alarm>, sign: Sign, from_ms: i64) -> Step {
    let begin = |kind, sure| {
        let score = if sure { SCORE_MIN } else { 1 };
        let raised = score >= SCORE_MIN;
        Alarm { kind, began_ms: from_ms, score, quiet: 0, grouped: false, raised }
    };
    match (alarm.as_mut(), sign) {
        (None, Sign::Suspicious { kind, sure }) => {
            *alarm = Some(begin(kind, sure));
            if sure { Step::Raised } else { Step::None }
        }
        (None, _) => Step::None,
        (Some(open), Sign::Suspicious { kind, sure }) if !open.raised => {
            if open.kind != kind && !sure {
                *open = begin(kind, false);
                return Step::None;
            }
            open.kind = kind;
            open.score = SCORE_MIN;
            open.raised = true;
            Step::Raised
        }
        (Some(open), _) if !open.raised => {
            *alarm = None;
            Step::None
        }
        (Some(open), Sign::Quiet) => {
            open.quiet += 1;
            if open.quiet < QUIET_MIN {
                return Step::Ongoing;
            }
            Step::Resolved
        }
        (Some(open), _) => {
            open.quiet = 0;
            Step::Ongoing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NULLS: Sign = Sign::Suspicious { kind: Kind::Nulls, sure: false };

    fn steps(signs: &[Sign]) -> Vec<Step> {
        let mut alarm = None;
        (0..).zip(signs).map(|(at, sign)| step(&mut alarm, *sign, at)).collect()
    }

    #[test]
    fn two_windows_make_a_finding_and_two_end_it() {
        use Step::{None, Ongoing, Raised, Resolved};
        let q = Sign::Quiet;
        assert_eq!(steps(&[NULLS, q, NULLS, Sign::Between]), [None, None, None, None]);
        assert_eq!(
            steps(&[NULLS, NULLS, q, Sign::Between, q, NULLS, q, q]),
            [None, Raised, Ongoing, Ongoing, Ongoing, Ongoing, Ongoing, Resolved]
        );
        let sure = Sign::Suspicious { kind: Kind::Missing, sure: true };
        assert_eq!(steps(&[sure, q, q]), [Raised, Ongoing, Resolved]);
        let types = Sign::Suspicious { kind: Kind::Types, sure: false };
        assert_eq!(steps(&[NULLS, types, types]), [None, None, Raised]);
        assert_eq!(steps(&[NULLS, sure]), [None, Raised]);
    }
}
