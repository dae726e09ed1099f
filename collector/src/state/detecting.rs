//! Detectors of the topics: fed with each pane once, when its late records have had their time, and
//! their findings.

use std::collections::BTreeMap;

use checks::detect::{Detectors, Kind, Observation, Settings, Status as Learned, What};
use checks::rules::Severity;
use checks::verdict::Status;
use serde::{Deserialize, Serialize};

use super::findings::{Draft, Findings, Key};
use super::topic::Topic;
use crate::view::{DetectorsView, Finding, FindingSource};

/// The detectors of one topic, and how far they have come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Watch {
    detectors: Detectors,
    /// Panes before it have been given, ms.
    to_ms: Option<i64>,
    /// When an agent last told of the topic, by the collector's clock, ms: kept beside it.
    #[serde(skip)]
    told_ms: i64,
}

impl Watch {
    /// The same, last told of at that time.
    pub(crate) fn told_at(self, told_ms: i64) -> Self {
        Self { told_ms, ..self }
    }

    /// Panes before it have been given, ms.
    pub(crate) fn to_ms(&self) -> Option<i64> {
        self.to_ms
    }

    /// When an agent last told of the topic, by the collector's clock, ms.
    pub(crate) fn told_ms(&self) -> i64 {
        self.told_ms
    }

    /// Was some of this time taken up already?
    pub(crate) fn knows_some_of(&self, from_ms: i64, to_ms: i64) -> bool {
        self.detectors.know_some_of(from_ms, to_ms)
    }

    /// Gives the panes that end by `to_ms`, which is the end of a pane.
    pub(crate) fn look(&mut self, topic: &Topic, to_ms: i64, settings: &Settings) -> Vec<Observation> {
        let from_ms = self.to_ms.or_else(|| topic.panes.first_start_ms()).unwrap_or(to_ms);
        if to_ms <= from_ms && self.to_ms.is_some() {
            return Vec::new();
        }
        self.to_ms = Some(to_ms.max(from_ms));
        self.told_ms = topic.told_ms;
        let mut told = Vec::new();
        for ((start_ms, end_ms), pane) in topic.panes.within(from_ms, to_ms) {
            for contribution in pane.counted() {
                match &contribution.summary {
                    Some(summary) => {
                        told.extend(self.detectors.pane(start_ms, end_ms, summary, settings));
                    }
                    // What was in it is forgotten: too little would be counted.
                    None => self.detectors.unsure_to(end_ms),
                }
            }
        }
        told.extend(self.detectors.pass(to_ms, settings));
        told
    }

    /// What moved without being found, since the last call.
    pub(crate) fn take_moved(&mut self) -> Vec<checks::detect::Movement> {
        self.detectors.take_moved()
    }

    /// Offsets were passed over whose records may be as late as this.
    pub(crate) fn unsure_to(&mut self, to_ms: i64) {
        self.detectors.unsure_to(to_ms);
    }

    /// What is shown.
    pub(crate) fn view(&self, settings: &Settings) -> DetectorsView {
        let status = self.detectors.status(settings);
        let (known_ms, needed_ms) = match status {
            Learned::Learning { known_ms, needed_ms } => (known_ms, needed_ms),
            Learned::Unseen => (0, settings.learn_ms),
            Learned::Watching => (settings.learn_ms, settings.learn_ms),
        };
        let open = self.detectors.open().into_iter().map(|(kind, n)| (kind.name(), n)).collect();
        DetectorsView {
            is_watching: status == Learned::Watching,
            text: status.text(),
            known_ms,
            needed_ms,
            open,
        }
    }
}

/// Takes up what the detectors of a topic tell.
pub(crate) fn take_up(
    topic: &str,
    observations: Vec<Observation>,
    findings: &mut Findings,
    told: &mut Vec<Finding>,
) {
    for seen in observations {
        let source = FindingSource::Detector(seen.kind.name().to_owned());
        let about = seen.field.clone().unwrap_or_default();
        let to_ms = seen.to_ms;
        match seen.what {
            What::Opened | What::Ongoing => {
                told.extend(findings.raise(seen.began_ms, draft(topic, seen, source, about)));
            }
            What::Known => {
                let key = super::findings::key(topic, &source, &about);
                told.extend(findings.end(&key, to_ms, &format!("known event: {}", seen.message)));
            }
            What::Resolved => told.extend(findings.resolve(topic, &source, &about, to_ms)),
            What::Adopted => {
                let mut draft = draft(topic, seen, source.clone(), about.clone());
                draft.message.push_str("; it has lasted so long that it is what is usual from now on");
                let is_open = findings.is_open(&super::findings::key(topic, &source, &about));
                if is_open {
                    findings.raise(to_ms, draft);
                    told.extend(findings.resolve(topic, &source, &about, to_ms));
                }
            }
        }
    }
}

/// Is it the key of a finding of these detectors?
pub(crate) fn is_detectors(key: &Key) -> bool {
    key.1.strip_prefix("detector:").is_some_and(|name| Kind::ALL.iter().any(|kind| kind.name() == name))
}

fn draft(topic: &str, seen: Observation, source: FindingSource, about: String) -> Draft {
    let evidence: BTreeMap<String, serde_json::Value> =
        seen.evidence.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Draft {
        topic: topic.to_owned(),
        source,
        about,
        severity: Severity::Warning,
        status: Status::Fail,
        message: seen.message,
        value: seen.value,
        expected: format!("usual: {}", seen.usual),
        evidence,
        from_ms: seen.from_ms,
        to_ms: seen.to_ms,
        examples: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use checks::filter::Filter;
    use checks::report::{FieldSummary, Pane, Report, skip_reason};

    use super::super::testing::{PANE_MS, again, pane, progress, report, skipped};
    use super::super::topic::Topic;
    use super::super::{Applied, Baseline, MarkError, NewMark, State};
    use crate::config::Config;
    use crate::view::{Finding, FindingSource};

    const RECORDS: i64 = 600;
    /// Panes until the detectors watch.
    const LEARNED: i64 = 80;

    fn config() -> Config {
        let mut config = super::super::testing::config(super::super::testing::checks(Vec::new(), Vec::new()));
        let how = &mut config.detect.settings;
        (how.window_ms, how.learn_ms, how.adopt_ms) = (20_000, 600_000, 3_600_000);
        config
    }

    fn field(path: &str, null: u64, object: u64) -> FieldSummary {
        let records = RECORDS.unsigned_abs();
        let mut field =
            FieldSummary { path: path.to_owned(), records, present: records, null, ..Default::default() };
        (field.object, field.string) = (object, if object > 0 { 0 } else { records - null });
        field
    }

    fn reports(panes: std::ops::Range<i64>, null: u64) -> Vec<Report> {
        let one = |at: i64| {
            let mut pane: Pane = pane(0, at * PANE_MS, 0, at * RECORDS, (at + 1) * RECORDS, 0, &[]);
            let summary = pane.summary.as_mut().unwrap();
            // A little more or less, as it is.
            let null = null + at.unsigned_abs() % 3;
            summary.fields = vec![field("$", 0, 600), field("$.email", null, 0)];
            summary.decode_failures.clear();
            let mut report = report("a", 1, at.unsigned_abs() + 1, (at + 2) * PANE_MS);
            report.panes.push(pane);
            report.topics.push(progress("orders", (at + 1) * PANE_MS, 0, (at + 1) * RECORDS));
            report
        };
        panes.map(one).collect()
    }

    fn apply(state: &mut State, reports: &[Report]) -> Vec<Finding> {
        for report in reports {
            assert_eq!(state.apply(report, report.as_of_ms), Applied::Applied);
        }
        state.take_findings()
    }

    fn detectors(findings: &[Finding]) -> Vec<(&str, bool)> {
        let name = |finding: &Finding| match &finding.source {
            FindingSource::Detector(name) => name.clone(),
            _ => String::new(),
        };
        let known = ["null_values", "volume"];
        let named = |f: &Finding| known.into_iter().find(|k| **k == name(f)).unwrap_or("another");
        findings.iter().map(|f| (named(f), f.resolved_ms.is_some())).collect()
    }

    #[test]
    fn nulls_are_found_once_without_a_check_file_and_a_restart_changes_nothing() {
        let config = config();
        let mut state = State::new(&config);
        assert!(apply(&mut state, &reports(0..40, 4)).is_empty());
        let view = state.view(0);
        let shown = view.topics["orders"].detectors.clone().unwrap();
        assert!(!shown.is_watching && shown.text.starts_with("learning, "), "{shown:?}");
        assert!(apply(&mut state, &reports(40..LEARNED, 4)).is_empty());
        assert!(state.view(0).topics["orders"].detectors.as_ref().unwrap().is_watching);

        let burst = apply(&mut state, &reports(LEARNED..LEARNED + 8, 200));
        assert_eq!(detectors(&burst), [("null_values", false)], "{burst:#?}");
        assert_eq!(burst[0].evidence["field"], "$.email");
        assert!(burst[0].at_ms >= LEARNED * PANE_MS && burst[0].message.contains("is null in"), "{burst:#?}");

        let mut again = again(&config, &state);
        assert_eq!(again.watches, state.watches);
        let after = reports(LEARNED + 8..LEARNED + 30, 4);
        let ended = apply(&mut state, &after);
        assert_eq!(detectors(&ended), [("null_values", true)]);
        assert_eq!(apply(&mut again, &after), ended);
        assert_eq!(again.watches, state.watches);
    }

    /// The core may go without what was learned: no pane is learned twice, and those that are missing
    /// are no fall.
    #[test]
    fn what_was_learned_outlives_the_core() {
        let config = config();
        let mut state = State::new(&config);
        apply(&mut state, &reports(0..LEARNED, 4));
        apply(&mut state, &reports(LEARNED..LEARNED + 8, 200));
        let mut bare = State::new(&config);
        state.learned().unwrap().iter().for_each(|baseline| bare.take_up(baseline).unwrap());
        bare.resume(Some((LEARNED + 12) * PANE_MS));
        assert!(bare.core.topics.is_empty() && bare.watches.len() == 1);
        bare.tick((LEARNED + 9) * PANE_MS, None);
        assert_eq!(bare.watches.len(), 1, "it waits for its topic");
        let mut again = bare.watches["orders"].clone();
        again.look(&Topic::default(), (LEARNED + 1) * PANE_MS, &config.detect.settings);
        assert_eq!(again, bare.watches["orders"], "what was given is not given again");

        // What lasts is told again, as the same finding; then it ends.
        let before = state.view(0).findings;
        let lasts = apply(&mut bare, &reports(LEARNED + 12..LEARNED + 20, 200));
        assert_eq!(detectors(&lasts), [("null_values", false)], "{lasts:#?}");
        assert_eq!(lasts[0].id, before[0].id);
        let ended = apply(&mut bare, &reports(LEARNED + 20..LEARNED + 44, 4));
        assert_eq!(detectors(&ended), [("null_values", true)], "{ended:#?}");
        bare.tick(config.history_keep_ms + (LEARNED + 50) * PANE_MS, None);
        assert!(bare.watches.is_empty(), "not for ever");
    }

    #[test]
    fn what_was_learned_and_is_damaged_is_learned_anew() {
        let config = config();
        let mut state = State::new(&config);
        apply(&mut state, &reports(0..LEARNED, 4));
        assert_eq!(apply(&mut state, &reports(LEARNED..LEARNED + 8, 200)).len(), 1);
        let good = state.learned().unwrap().remove(0);
        let mut other = State::load(&config, &state.save().unwrap()).unwrap();
        let format = Baseline { format: 1_000, ..good.clone() };
        assert!(other.take_up(&format).unwrap_err().contains("another version"));
        let cut = Baseline { body: good.body[..good.body.len() / 2].to_vec(), ..good };
        assert!(other.take_up(&cut).unwrap_err().contains("damaged"));
        other.resume(None);
        assert_eq!(detectors(&other.take_findings()), [("null_values", true)], "nobody else would end it");
        apply(&mut other, &reports(LEARNED + 8..LEARNED + 9, 4));
        let shown = other.view(0).topics["orders"].detectors.clone().unwrap();
        assert!(!shown.is_watching, "{shown:?}");
    }

    #[test]
    fn a_mark_ends_what_was_found_and_what_happens_in_it_is_not_told() {
        let config = config();
        let mut state = State::new(&config);
        apply(&mut state, &reports(0..LEARNED, 4));
        apply(&mut state, &reports(LEARNED..LEARNED + 8, 200));
        let (from_ms, to_ms) = ((LEARNED + 8) * PANE_MS, (LEARNED + 40) * PANE_MS);
        let what = NewMark { topics: vec!["ord.*".to_owned()], from_ms, to_ms, note: "sale".to_owned() };
        let mark = state.draft_mark(what.clone(), 1).unwrap();
        let marked = state.mark(mark).unwrap();
        assert_eq!((marked.topics, marked.learned), (vec!["orders".to_owned()], Vec::new()));
        let ended = apply(&mut state, &reports(LEARNED + 8..LEARNED + 40, 300));
        assert_eq!(detectors(&ended), [("null_values", true)], "{ended:#?}");
        assert!(ended[0].message.ends_with("; known event: sale"), "{}", ended[0].message);
        assert_eq!(apply(&mut state, &reports(LEARNED + 40..LEARNED + 60, 4)), []);
        // Of what is over nothing can be unlearned.
        let past = NewMark { from_ms: 0, to_ms: PANE_MS, ..what };
        let past = state.draft_mark(past, 2).unwrap();
        assert_eq!(state.mark(past).unwrap().learned, ["orders"]);
        assert_eq!(state.view(0).topics["orders"].marks.len(), 2);
        assert_eq!(state.unmark(1), Ok(()));
        assert_eq!(state.unmark(1), Err(MarkError::Unknown(1)));
        assert_eq!(state.view(0).marks.len(), 1);
    }

    #[test]
    fn a_topic_left_out_is_not_looked_at_and_its_findings_end() {
        let mut config = config();
        let mut state = State::new(&config);
        apply(&mut state, &reports(0..LEARNED, 4));
        assert_eq!(apply(&mut state, &reports(LEARNED..LEARNED + 8, 200)).len(), 1);
        config.detect.topics = Filter::new(&[".*"], &["orders"]).unwrap();
        let mut left = again(&config, &state);
        assert_eq!(detectors(&left.take_findings()), [("null_values", true)]);
        assert!(left.watches.is_empty());
        assert_eq!(left.view(0).topics["orders"].detectors, None);
    }

    /// An agent that was away jumps to the end: what it did not read is not a fall in volume.
    #[test]
    fn what_was_passed_over_is_no_fall() {
        let run = |told: bool| {
            let mut state = State::new(&config());
            apply(&mut state, &reports(0..LEARNED, 4));
            let mut away = report("a", 1, 1_000, (LEARNED + 31) * PANE_MS);
            if told {
                away.skipped.push(skipped(
                    0,
                    LEARNED * RECORDS,
                    (LEARNED + 30) * RECORDS,
                    skip_reason::CATCH_UP,
                ));
            }
            away.topics.push(progress("orders", (LEARNED + 30) * PANE_MS, 0, (LEARNED + 30) * RECORDS));
            apply(&mut state, &[away])
        };
        assert_eq!(detectors(&run(true)), []);
        assert_eq!(detectors(&run(false)), [("volume", false)]);
    }
}
