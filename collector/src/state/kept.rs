//! What outlives a restart, and how it comes back: the core and what explains findings as one piece,
//! whose format changes with what it holds; what detectors have learned, a piece a topic, which outlives that; and marks.

use checks::detect;

use super::State;
use super::detecting::Watch;
use super::marks::{Mark, MarkError, Marked, NewMark};
use crate::config::Config;

/// Baselines taken up: as many as there may be topics.
const BASELINES_MAX: usize = super::TOPICS_MAX;

/// What the detectors of a topic have learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// Topic name.
    pub topic: String,
    /// Format of the body ([`detect::FORMAT`]).
    pub format: i64,
    /// When an agent last told of the topic, by the collector's clock, ms.
    pub as_of_ms: i64,
    /// The detectors, and how far they have come.
    pub body: Vec<u8>,
}

impl State {
    /// The core and what explains findings, as bytes for [`State::load`].
    ///
    /// # Errors
    /// Only if memory for it can't be had.
    pub fn save(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_extend(&self.explainer, postcard::to_stdvec(&self.core)?)
    }

    /// What detectors have learned since [`State::kept`], by topic.
    ///
    /// # Errors
    /// As [`State::save`].
    pub fn unkept(&self) -> Result<Vec<Baseline>, postcard::Error> {
        let watches = self.unkept.iter().filter_map(|topic| Some((topic, self.watches.get(topic)?)));
        watches.map(|(topic, watch)| baseline(topic, watch)).collect()
    }

    /// All that detectors have learned.
    #[cfg(test)]
    pub(crate) fn learned(&self) -> Result<Vec<Baseline>, postcard::Error> {
        self.watches.iter().map(|(topic, watch)| baseline(topic, watch)).collect()
    }

    /// Topics whose detectors are kept: baselines of others are of no use any more.
    pub fn watched(&self) -> impl Iterator<Item = &str> {
        self.watches.keys().map(String::as_str)
    }

    /// What [`State::unkept`] gave is kept.
    pub fn kept(&mut self) {
        self.unkept.clear();
    }

    /// A state with what was saved. Rules, pipelines and limits are those of `config`.
    /// [`State::take_up`] and [`State::resume`] make it whole.
    ///
    /// # Errors
    /// The bytes are not what this version of Tapline saves.
    pub fn load(config: &Config, saved: &[u8]) -> Result<Self, postcard::Error> {
        let (core, rest) = postcard::take_from_bytes(saved)?;
        Ok(Self { core, explainer: postcard::from_bytes(rest)?, ..Self::new(config) })
    }

    /// Takes up what the detectors of a topic had learned.
    ///
    /// # Errors
    /// Why it can't be; the topic is learned anew.
    pub fn take_up(&mut self, baseline: &Baseline) -> Result<(), String> {
        if baseline.format != detect::FORMAT {
            return Err(format!(
                "written by another version of Tapline (format {}, this one reads {})",
                baseline.format,
                detect::FORMAT
            ));
        }
        if self.watches.len() >= BASELINES_MAX {
            return Err(format!("there are {BASELINES_MAX} already"));
        }
        let watch: Watch = postcard::from_bytes(&baseline.body).map_err(|e| format!("damaged: {e}"))?;
        self.watches.insert(baseline.topic.clone(), watch.told_at(baseline.as_of_ms));
        Ok(())
    }

    /// All that was kept is taken up. Of panes up to `lost_to_ms` some may be missing.
    pub fn resume(&mut self, lost_to_ms: Option<i64>) {
        if let Some(lost_to_ms) = lost_to_ms {
            self.unkept.extend(self.watches.keys().cloned());
            self.watches.values_mut().for_each(|watch| watch.unsure_to(lost_to_ms));
        }
        self.leave_undetected();
        for (name, topic) in &mut self.core.topics {
            topic.restore_window(&self.config.checks.for_topic(name));
        }
    }

    /// The mark that this would be, if it can be one.
    ///
    /// # Errors
    /// Why it can't.
    pub fn draft_mark(&self, what: NewMark, now_ms: i64) -> Result<Mark, MarkError> {
        if what.to_ms < now_ms.saturating_sub(self.config.history_keep_ms) {
            let why = "it ended longer ago than `history.keep`: nothing that is kept goes back that far";
            return Err(MarkError::Invalid(why.to_owned()));
        }
        self.marks.draft(what, now_ms)
    }

    /// Puts a mark in force from here on.
    ///
    /// # Errors
    /// It can't be one.
    pub fn mark(&mut self, mark: Mark) -> Result<Marked, MarkError> {
        let what = mark.what.clone();
        let id = mark.id;
        self.marks.put(mark.clone())?;
        let is_about = |topic: &&String| self.marks.about(topic).any(|mark| mark.id == id);
        let topics: Vec<String> = self.core.topics.keys().filter(is_about).cloned().collect();
        let knows = |topic: &&String| {
            self.watches.get(*topic).is_some_and(|watch| watch.knows_some_of(what.from_ms, what.to_ms))
        };
        let learned = topics.iter().filter(knows).cloned().collect();
        Ok(Marked { mark, topics, learned, kept: false })
    }

    /// Takes a mark back from here on.
    ///
    /// # Errors
    /// There is none.
    pub fn unmark(&mut self, id: i64) -> Result<(), MarkError> {
        if self.marks.remove(id) { Ok(()) } else { Err(MarkError::Unknown(id)) }
    }

    /// Is there such a mark?
    pub(crate) fn has_mark(&self, id: i64) -> bool {
        self.marks.contains(id)
    }

    /// Marks up to this number have been given.
    pub(crate) fn begin_marks_after(&mut self, last_id: i64) {
        self.marks.begin_after(last_id);
    }
}

fn baseline(topic: &str, watch: &Watch) -> Result<Baseline, postcard::Error> {
    Ok(Baseline {
        topic: topic.to_owned(),
        format: detect::FORMAT,
        as_of_ms: watch.told_ms(),
        body: postcard::to_stdvec(watch)?,
    })
}
