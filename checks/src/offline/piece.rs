//! A bounded piece of one topic: examined record by record, judged as a whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::events::Events;
use crate::examine::{Accumulator, Decoded, ExamineError, Examiner, SchemaVerdict, Times, segments};
use crate::judge;
use crate::judge::past::History;
use crate::limits::Limits;
use crate::record::{Header, RecordView};
use crate::report::PaneSummary;
use crate::rules::{FieldPath, Metric, Rule, Sample, Step, TopicRules, ValueFormat};
use crate::tape::{DecodeFailure, Document, Shape, Tape, json, reason};
use crate::verdict::{Status, Verdict};

use super::Line;
use super::envelope::{Bytes, Envelope, EnvelopeError};
use crate::suggest::Survey;

/// Hashes that all rules of a piece together may keep to count copies exactly. A live pane is short;
/// a piece is not.
const UNIQUENESS_TOTAL: usize = 524_288;

/// Records of one topic, under its rules. Grows with fields and kept values, not with records.
#[derive(Debug)]
pub struct Piece {
    examiner: Examiner,
    pane: Accumulator,
    tape: Tape,
    limits: Limits,
    survey: Option<Survey>,
    divided: Option<Divided>,
    /// The number of the part at hand, and the others.
    part: usize,
    aside: BTreeMap<usize, Accumulator>,
}

/// Parts that are told apart while records are read: of them, `limits.segments` are shown. What is seen of each is
/// whole; values that turn up when there are so many are of the rest.
const PARTS_MAX: usize = 32;
/// The part of the rest: records of other values, and without a document.
const REST: usize = 0;
/// Its name.
const OTHER: &str = "other";

/// Which part a record is of, by the value of a field.
#[derive(Debug)]
struct Divided {
    path: FieldPath,
    places: HashMap<String, usize>,
    names: Vec<String>,
}

impl Divided {
    fn part(&mut self, document: Document<'_>) -> usize {
        let name = segments::name_in(document, &self.path);
        if let Some(place) = self.places.get(&name) {
            return *place;
        }
        if self.names.len() > PARTS_MAX {
            return REST;
        }
        let place = self.names.len();
        self.names.push(name.clone());
        self.places.insert(name, place);
        place
    }
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// It was examined; decode failures and what is not decoded are counted.
    Examined,
    /// It does not decode and nothing ends it: whoever wrote it was cut off.
    Half,
}

impl Piece {
    /// Nothing yet. Every record is examined: `sample` of the rules is for live traffic.
    ///
    /// # Errors
    /// Rules that do not compile, which the linter refuses.
    pub fn new(rules: &Arc<TopicRules>, limits: &Limits) -> Result<Self, ExamineError> {
        let rules = TopicRules { sample: Sample::default(), ..TopicRules::clone(rules) };
        let exact = (UNIQUENESS_TOTAL / rules.rules.len().max(1)).min(UNIQUENESS_TOTAL / 2);
        let limits = Limits { uniqueness_values: limits.uniqueness_values.max(exact), ..limits.clone() };
        let examiner = Examiner::new(Arc::new(rules), &limits)?;
        let pane = examiner.accumulator();
        let (tape, aside) = (Tape::default(), BTreeMap::new());
        Ok(Self { examiner, pane, tape, limits, survey: None, divided: None, part: 0, aside })
    }

    /// Nothing yet, to be judged: no profile is made but where a rule goes by it.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn to_judge(rules: &Arc<TopicRules>, limits: &Limits) -> Result<Self, ExamineError> {
        let piece = Self::new(rules, limits)?;
        Ok(Self { examiner: piece.examiner.without_profile(), ..piece })
    }

    /// Nothing yet, to learn what is usual: summed up part by part, so that what changes on the way can
    /// be told from what stays.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn survey(rules: &Arc<TopicRules>, limits: &Limits) -> Result<Self, ExamineError> {
        Ok(Self { survey: Some(Survey::hiding(rules.redact.clone())), ..Self::new(rules, limits)? })
    }

    /// The same, with the records of every value of a field apart.
    ///
    /// # Errors
    /// The field has more than one value a record, or is one that must not be shown.
    pub fn divided_by(mut self, path: &FieldPath) -> Result<Self, &'static str> {
        if path.steps.is_empty() || path.steps.iter().any(|step| !matches!(step, Step::Key(_))) {
            return Err("records are divided by a field with one value a record: no `[]` and no `*`");
        }
        if self.examiner.rules().redact.hides(path) {
            return Err("its values are not shown, and would be the names of the parts");
        }
        self.divided =
            Some(Divided { path: path.clone(), places: HashMap::new(), names: vec![OTHER.to_owned()] });
        Ok(self)
    }

    /// The parts that the records are divided into, those with the most records first; the last is of all others.
    pub fn segments(&mut self) -> Vec<(String, PaneSummary)> {
        let Some(names) = self.divided.as_ref().map(|divided| divided.names.clone()) else {
            return Vec::new();
        };
        let mut rest = PaneSummary::default();
        let mut parts = Vec::new();
        for (part, name) in names.into_iter().enumerate() {
            self.turn_to(part);
            let summary = self.summary();
            if part == REST { rest = summary } else { parts.push((name, summary)) }
        }
        parts.sort_by(|a, b| b.1.read.cmp(&a.1.read).then_with(|| a.0.cmp(&b.0)));
        parts.iter().skip(self.limits.segments).for_each(|(_, part)| rest.merge(part));
        parts.truncate(self.limits.segments);
        if rest.read > 0 {
            parts.push((OTHER.to_owned(), rest));
        }
        parts
    }

    /// What was learnt.
    pub fn into_survey(mut self) -> Survey {
        let last = self.summary();
        let mut survey = self.survey.take().unwrap_or_default();
        survey.parts.push(last);
        survey
    }

    /// The rules it goes by.
    pub fn rules(&self) -> &Arc<TopicRules> {
        self.examiner.rules()
    }

    /// The shape that a decoder of elsewhere must decode over.
    pub fn shape_mut(&mut self) -> &mut Shape {
        self.examiner.shape_mut()
    }

    /// Takes a record whose value, as far as it is decoded, is JSON.
    pub fn take_json(&mut self, record: &RecordView<'_>, record_ms: i64) {
        self.take_json_of(record, record_ms, false);
    }

    fn take_json_of(&mut self, record: &RecordView<'_>, record_ms: i64, bad_timestamp: bool) {
        // What is decoded borrows from the tape.
        let mut tape = std::mem::take(&mut self.tape);
        let decoded = self.decode_json(record, &mut tape);
        self.take(record, record_ms, bad_timestamp, decoded, None);
        self.tape = tape;
    }

    /// The time that such a record goes by.
    pub fn time_of_json(&mut self, record: &RecordView<'_>, record_ms: i64) -> i64 {
        let mut tape = std::mem::take(&mut self.tape);
        let decoded = self.decode_json(record, &mut tape);
        let times = self.examiner.times(Times::own(record_ms, false), &decoded);
        self.tape = tape;
        times.at_ms
    }

    fn decode_json<'t>(&mut self, record: &RecordView<'t>, tape: &'t mut Tape) -> Decoded<'t> {
        match (record.value, self.examiner.rules().decode.value) {
            (None, _) => Decoded::Tombstone,
            (_, format @ (ValueFormat::Text | ValueFormat::Bytes)) => {
                Decoded::NotDecoded { format: format.as_str() }
            }
            (Some(value), ValueFormat::Auto) if !json::is_meant(value) => {
                let format = match std::str::from_utf8(value) {
                    Ok(_) => ValueFormat::Text,
                    Err(_) => ValueFormat::Bytes,
                };
                Decoded::NotDecoded { format: format.as_str() }
            }
            (Some(value), _) => match json::decode(value, self.examiner.shape_mut(), tape, &self.limits) {
                Ok(document) => Decoded::Document(document),
                Err(failure) => Decoded::Failed(failure),
            },
        }
    }

    /// Takes a line of a file or pipe: a record without key, headers and time, in partition 0, whose
    /// offset is the number of its line less one.
    pub fn take_line(&mut self, line: Line<'_>) -> Fed {
        let rules = Arc::clone(self.examiner.rules());
        let record = RecordView {
            topic: &rules.topic,
            partition: 0,
            offset: i64::try_from(line.number).unwrap_or(i64::MAX) - 1,
            timestamp: crate::record::Timestamp::Missing,
            key: None,
            value: Some(line.bytes),
            headers: &[],
        };
        let failed = self.pane.decode_failed();
        if line.is_cut() {
            self.take_cut(&record, line);
        } else {
            self.take_json(&record, 0);
        }
        if !line.ended && self.pane.decode_failed() > failed { Fed::Half } else { Fed::Examined }
    }

    /// Takes a line that is a whole record with key, headers and time (`docs/checks.md` has the shape);
    /// where it names no offset, that is the number of its line less one.
    ///
    /// # Errors
    /// It is no such record. One that ends in the middle, as the last line may, is none.
    pub fn take_envelope(&mut self, line: Line<'_>) -> Result<Fed, EnvelopeError> {
        let rules = Arc::clone(self.examiner.rules());
        let offset = i64::try_from(line.number).unwrap_or(i64::MAX) - 1;
        let mut record = RecordView {
            topic: &rules.topic,
            partition: 0,
            offset,
            timestamp: crate::record::Timestamp::Missing,
            key: None,
            value: None,
            headers: &[],
        };
        if line.is_cut() {
            self.take_cut(&record, line);
            return Ok(if line.ended { Fed::Examined } else { Fed::Half });
        }
        let envelope = match Envelope::parse(line.bytes) {
            Ok(envelope) => envelope,
            Err(EnvelopeError::Truncated) if !line.ended => {
                let failure = DecodeFailure::new(reason::TRUNCATED, "the record ends in the middle");
                self.take(&record, 0, false, Decoded::Failed(failure), None);
                return Ok(Fed::Half);
            }
            Err(error) => return Err(error),
        };
        let headers: Vec<Header<'_>> = envelope
            .headers
            .iter()
            .map(|(name, value)| Header { name, value: value.as_ref().map(String::as_bytes) })
            .collect();
        record.partition = envelope.partition;
        record.offset = envelope.offset.unwrap_or(offset);
        record.timestamp = envelope.timestamp;
        record.key = envelope.key.as_ref().map(Bytes::as_slice);
        record.value = envelope.value.as_ref().map(Bytes::as_slice);
        record.headers = &headers;
        let (record_ms, is_bad) = match record.timestamp.ms() {
            Some(ms) if ms > 0 => (ms, false),
            timestamp => (0, timestamp.is_some()),
        };
        self.take_json_of(&record, record_ms, is_bad);
        Ok(Fed::Examined)
    }

    /// A line that is longer than what is decoded.
    fn take_cut(&mut self, record: &RecordView<'_>, line: Line<'_>) {
        let most = self.limits.message_bytes;
        let detail = format!("{} bytes; at most {most} are decoded (limits.message_bytes)", line.length);
        let failure = DecodeFailure::new(reason::TOO_LARGE, detail);
        self.take(record, 0, false, Decoded::Failed(failure), None);
    }

    /// Takes a record that was decoded elsewhere, over [`Self::shape_mut`]. `record_ms` 0 is no time.
    pub fn take(
        &mut self,
        record: &RecordView<'_>,
        record_ms: i64,
        bad_timestamp: bool,
        decoded: Decoded<'_>,
        schema: Option<SchemaVerdict>,
    ) {
        let times = self.examiner.times(Times::own(record_ms, bad_timestamp), &decoded);
        if let Some(divided) = &mut self.divided {
            let part = match &decoded {
                Decoded::Document(document) => divided.part(*document),
                _ => REST,
            };
            self.turn_to(part);
        }
        self.pane.read(record, times);
        if let (Some(survey), Decoded::Document(document)) = (&mut self.survey, &decoded) {
            survey.see(*document);
        }
        self.examiner.examine(record, decoded, schema, &mut self.pane);
        self.turn();
    }

    /// Begins the next part of a survey when this one is full.
    fn turn(&mut self) {
        let Some(survey) = &mut self.survey else { return };
        if !survey.is_full() {
            return;
        }
        let summary = self.examiner.summary(&self.pane);
        // What is unique in the first part is watched from there on: sketches cannot prove it.
        if let Some(rules) = survey.turn(summary, self.examiner.rules())
            && let Ok(examiner) = Examiner::new(Arc::new(rules), &self.limits)
        {
            self.examiner = examiner;
        }
        self.pane = self.examiner.accumulator();
    }

    /// Records taken so far.
    pub fn records(&self) -> u64 {
        let parts = self.survey.iter().flat_map(|survey| &survey.parts).map(|part| part.read);
        parts.sum::<u64>() + self.pane.records()
    }

    /// What is seen from here on is of the part of this number; others go on when it is their turn.
    pub fn turn_to(&mut self, part: usize) {
        if part == self.part {
            return;
        }
        let next = self.aside.remove(&part).unwrap_or_else(|| self.examiner.accumulator());
        let last = std::mem::replace(&mut self.pane, next);
        self.aside.insert(std::mem::replace(&mut self.part, part), last);
    }

    /// What was seen so far; from here on the next part is seen.
    pub fn turn_over(&mut self) -> PaneSummary {
        let summary = self.summary();
        self.pane = self.examiner.accumulator();
        summary
    }

    /// What was seen so far.
    pub fn summary(&self) -> PaneSummary {
        self.examiner.summary(&self.pane)
    }
}

/// The verdicts on a piece, in the order of the rules.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Every rule with its verdict.
    pub checks: Vec<(Arc<Rule>, Verdict)>,
    /// Start, ms, inclusive; 0 when no record has a time.
    pub from_ms: i64,
    /// End, ms, exclusive; 0 when no record has a time.
    pub to_ms: i64,
}

/// What a verdict on a piece may go by beside the piece.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'a> {
    /// The windows before it.
    pub past: Option<&'a History>,
    /// What was seen just before it, as far back as patterns reach.
    pub lead: Option<&'a PaneSummary>,
    /// Latest record time before it.
    pub last_record_ms: Option<i64>,
    /// Records of other topics in the same window, by name; `None` if no other topic is known.
    pub others: Option<&'a BTreeMap<String, u64>>,
}

/// Judges a piece as one window, from `from_ms` to `to_ms`. `now_ms` is what freshness is measured
/// at; without it, or without times, nothing is known of it. There is no history.
pub fn judge(
    rules: &TopicRules,
    summary: &PaneSummary,
    (from_ms, to_ms): (i64, i64),
    now_ms: Option<i64>,
) -> Judged {
    judge_beside(rules, summary, (from_ms, to_ms), now_ms, Beside::default())
}

/// The same, with what is known beside the piece.
pub fn judge_beside(
    rules: &TopicRules,
    summary: &PaneSummary,
    (from_ms, to_ms): (i64, i64),
    now_ms: Option<i64>,
    beside: Beside<'_>,
) -> Judged {
    let last_record_ms =
        (summary.last_record_ms > 0).then_some(summary.last_record_ms).max(beside.last_record_ms);
    let window = judge::Window { from_ms, to_ms, summary };
    let verdict = |rule: &Arc<Rule>| {
        if matches!(rule.metric, Metric::Freshness) && summary.read > 0 {
            let why = match (last_record_ms, now_ms) {
                (None, _) => Some("the data has no record times to be fresh by"),
                (_, None) => {
                    Some("nothing says at what time the piece ends: there is no moment to be fresh at")
                }
                _ => None,
            };
            if let Some(why) = why {
                return Verdict { from_ms, to_ms, ..Verdict::without(Status::Unknown, why) };
            }
        }
        if rule.metric.pattern().is_some() && summary.read > 0 && summary.last_record_ms == 0 {
            let why = "the data has no record times: nothing is known to follow";
            return Verdict { from_ms, to_ms, ..Verdict::without(Status::Unknown, why) };
        }
        let history = beside.past.map(|past| past.of(rule, from_ms, Events::NONE)).unwrap_or_default();
        let counterpart = match (&rule.metric, beside.others) {
            (Metric::Ratio { of }, Some(others)) => Some(others.get(of).copied().unwrap_or(0)),
            _ => None,
        };
        let context = judge::Context {
            last_record_ms,
            history: &history,
            sample: rules.sample,
            lead: beside.lead,
            counterpart,
            redact: Some(&rules.redact),
            sessions: rules.window.gap_ms.is_some(),
            ..judge::Context::at(now_ms.unwrap_or(to_ms))
        };
        judge::judge(rule, &window, &context)
    };
    let checks = rules.rules.iter().map(|rule| (Arc::clone(rule), verdict(rule))).collect();
    Judged { checks, from_ms, to_ms }
}

/// The verdict on all of it: `fail` if anything failed, else `error` if a check could not be
/// evaluated, else `pass` if anything passed; `unknown` when nothing could be said at all.
pub fn overall<'a>(verdicts: impl IntoIterator<Item = &'a Verdict>) -> Status {
    let (mut all, rank) = (Status::Unknown, |status| match status {
        Status::Unknown => 0,
        Status::Pass => 1,
        Status::Error => 2,
        Status::Fail => 3,
    });
    for verdict in verdicts {
        if rank(verdict.status) > rank(all) {
            all = verdict.status;
        }
    }
    all
}
