//! One finding explained: a pure function of what is kept, of the other findings and the time.

use std::collections::{BTreeMap, BTreeSet};

use super::about::{About, Class, Key, evidence, places};
use super::line::{Kind, Point, REFERENCE_MIN, Shift, shift};
use super::ring::{Of, Ring};
use super::watched::{Event, Happened, USUAL_FROM, Watched};
use super::{AHEAD, Around, BACK, contributes, words};
use crate::view::{Amount, Explanation, Figure, Finding, FindingSource, Moved, Place, THIS_FINDING};

/// Entries of a timeline, beside the finding itself.
pub(super) const ENTRIES_MAX: usize = 20;
/// Where nothing is known of a topic.
const SLOT_MS: i64 = 60_000;

/// What is told while an explanation is made.
struct Telling<'a> {
    about: About,
    /// When the finding began.
    at_ms: i64,
    /// Nothing later is told.
    to_ms: i64,
    entries: BTreeMap<Key, Moved>,
    began_ms: Option<i64>,
    figure: Option<Figure>,
    around: &'a Around<'a>,
}

/// A line of figures, and where it belongs.
struct Line<'a> {
    key: Key,
    place: Place,
    what: &'a str,
    unit: &'a str,
    kind: Kind,
    points: Vec<Option<Point>>,
    slot_ms: i64,
    first_ms: i64,
    /// Of counts a slot: what makes them counts a minute.
    scale: f64,
}

impl Line<'_> {
    fn slot_of(&self, ms: i64) -> usize {
        usize::try_from((ms - self.first_ms).div_euclid(self.slot_ms.max(1))).unwrap_or(0)
    }

    fn at_ms(&self, slot: usize) -> i64 {
        self.first_ms + slot as i64 * self.slot_ms
    }
}

pub(super) fn explain(
    finding: &Finding,
    rings: &BTreeMap<String, Ring>,
    watched: &Watched,
    around: &Around<'_>,
) -> Explanation {
    let about = About::of(finding, around);
    let own = about.topics.iter().find_map(|topic| rings.get(topic));
    let slot_ms = own.map_or(SLOT_MS, |ring| ring.slot_ms.max(1));
    let end_ms = finding.at_ms.saturating_add(AHEAD * slot_ms);
    let to_ms = finding.resolved_ms.unwrap_or(i64::MAX).min(end_ms);
    let places = places(&about.topics, around);
    let mut telling = Telling {
        about,
        at_ms: finding.at_ms,
        to_ms,
        entries: BTreeMap::new(),
        began_ms: None,
        figure: None,
        around,
    };
    for (topic, place) in &places {
        if let Some(ring) = rings.get(topic) {
            telling.ring(topic, *place, ring);
        }
        telling.watched(topic, *place, watched, slot_ms);
    }
    telling.findings(finding, &places, slot_ms);

    let known =
        own.map_or(0, |ring| ring.throughput().iter().take(ring.slot_of(finding.at_ms)).flatten().count());
    let unknown = match own {
        None => Some("no agent reads a topic that this finding is about".to_owned()),
        Some(_) if known < REFERENCE_MIN => Some("too little is known of the time before it".to_owned()),
        Some(_) => None,
    };
    let began_ms = telling.began_ms.unwrap_or(finding.at_ms);
    let (timeline, left_out) = telling.timeline(finding, began_ms, slot_ms);
    let mut made = Explanation {
        as_of_ms: around.now_ms,
        is_final: finding.resolved_ms.is_some() || around.now_ms > end_ms,
        began_ms,
        summary: String::new(),
        unknown,
        timeline,
        left_out,
        contributes: contributes::of(finding, &telling.about, rings, around),
        figure: telling.figure.take(),
    };
    made.summary = words::summary(finding, &made);
    made
}

impl Telling<'_> {
    fn ring(&mut self, topic: &str, place: Place, ring: &Ring) {
        let line = |class, subject: &str, what, unit, kind, points| Line {
            key: (topic.to_owned(), class, subject.to_owned()),
            place,
            what,
            unit,
            kind,
            points,
            slot_ms: ring.slot_ms,
            first_ms: ring.at_ms(0),
            scale: 1.0,
        };
        let share = Kind::Share;
        let throughput =
            line(Class::Throughput, "", "throughput", "records/min", Kind::Count, ring.throughput());
        self.line(Line { scale: 60_000.0 / ring.slot_ms.max(1) as f64, ..throughput });
        self.line(line(Class::Decode, "", "decode_failures", "share", share, ring.decode_failures()));
        self.line(line(Class::Violations, "", "schema_violations", "share", share, ring.violations()));
        let slow = Kind::Level { least: 1.0, ratio: 2.0 };
        self.line(line(Class::Delay, "", "delay", "seconds", slow, ring.delay()));
        for id in ring.checks.keys() {
            self.line(line(Class::Check, id, "check", "share", share, ring.check(id)));
        }
        for path in ring.fields.keys().filter(|path| *path != "$") {
            for of in Of::ALL {
                let (points, deviation) = ring.field(path, of);
                let (what, unit, kind) = match of {
                    Of::Missing => ("missing_values", "share", share),
                    Of::Null => ("null_values", "share", share),
                    Of::Empty => ("empty_values", "share", share),
                    // As the detectors: a fifth of a standard deviation.
                    Of::Mean => ("mean", "", Kind::Mean { least: 0.2 * deviation }),
                };
                self.line(line(Class::Field, path, what, unit, kind, points));
            }
        }
        self.movements(topic, place, ring);
        self.schemas(topic, place, ring);
    }

    /// Takes up a line, if it moved.
    fn line(&mut self, mut line: Line<'_>) {
        line.points.truncate(line.slot_of(self.to_ms.saturating_add(line.slot_ms - 1)));
        let look_from = line.slot_of(self.at_ms.saturating_sub(BACK * line.slot_ms));
        let known_to = line.slot_of(self.at_ms);
        let is_own = self.about.figures.contains(&line.key);
        let seen = shift(&line.points, look_from, known_to, line.kind);
        let at_ms = seen.map(|seen| line.at_ms(seen.at) + (seen.within * line.slot_ms as f64) as i64);
        if is_own {
            // Of a field's figures that one which moved first.
            let is_first = at_ms.is_some_and(|at| self.began_ms.is_none_or(|began| at < began));
            if is_first {
                self.began_ms = at_ms;
            }
            let is_drawn = line.points.iter().flatten().any(|point| point.value != 0.0);
            if is_first || (self.figure.is_none() && is_drawn) {
                self.figure = Some(figure(&line, look_from));
            }
            return;
        }
        let (Some(seen), Some(at_ms)) = (seen, at_ms) else { return };
        let Shift { from, to, until, .. } = seen;
        let (topic, class, subject) = &line.key;
        let (from, to) = (from * line.scale, to * line.scale);
        let moved = Moved {
            at_ms,
            within_ms: line.slot_ms,
            until_ms: until.map(|slot| line.at_ms(slot)),
            topic: topic.clone(),
            place: line.place,
            what: line.what.to_owned(),
            subject: words::cut(subject),
            sentence: words::moved(*class, line.what, topic, subject, from, to, line.unit),
            from: Amount::Number(words::rounded(from)),
            to: Amount::Number(words::rounded(to)),
            unit: line.unit.to_owned(),
            is_before: false,
            finding: None,
        };
        self.tell(line.key, moved);
    }

    /// What has an entry already keeps the earlier one.
    fn tell(&mut self, key: Key, moved: Moved) {
        let is_in_time = moved.at_ms <= self.to_ms;
        if self.about.figures.contains(&key) || !is_in_time {
            return;
        }
        let known = self.entries.entry(key).or_insert_with(|| moved.clone());
        if (moved.at_ms, &moved.what) < (known.at_ms, &known.what) {
            *known = moved;
        }
    }

    /// What the detectors saw, of fields that did not move slot by slot.
    fn movements(&mut self, topic: &str, place: Place, ring: &Ring) {
        let from_ms = self.at_ms.saturating_sub(BACK * ring.slot_ms);
        for seen in ring.movements.iter().filter(|seen| seen.to_ms > from_ms) {
            let key = (topic.to_owned(), Class::Field, seen.field.clone());
            if self.entries.contains_key(&key) {
                continue;
            }
            let is_share = !matches!(seen.kind.name(), "distribution" | "cardinality");
            let moved = Moved {
                at_ms: seen.from_ms,
                within_ms: seen.to_ms - seen.from_ms,
                until_ms: None,
                topic: topic.to_owned(),
                place,
                what: seen.kind.name().to_owned(),
                subject: words::cut(&seen.field),
                from: Amount::Number(words::rounded(seen.before)),
                to: Amount::Number(words::rounded(seen.now)),
                unit: if is_share { "share" } else { "" }.to_owned(),
                sentence: words::of_topic(&seen.message, topic),
                is_before: false,
                finding: None,
            };
            self.tell(key, moved);
        }
    }

    fn schemas(&mut self, topic: &str, place: Place, ring: &Ring) {
        let from_ms = self.at_ms.saturating_sub(BACK * ring.slot_ms);
        let known_from_ms = ring.since_ms().saturating_add(3 * ring.slot_ms);
        for (id, schema) in &ring.schemas {
            let first_ms = schema.first_ms;
            if first_ms < from_ms.max(known_from_ms) {
                continue;
            }
            let earlier = ring.schemas.iter().filter(|(_, other)| other.first_ms < first_ms);
            let before = earlier.max_by_key(|(id, other)| (other.first_ms, **id)).map(|(id, _)| *id);
            let moved = Moved {
                at_ms: first_ms,
                within_ms: 0,
                until_ms: None,
                topic: topic.to_owned(),
                place,
                what: "schema".to_owned(),
                subject: id.to_string(),
                from: before.map_or(Amount::Unknown, |id| Amount::Name(id.to_string())),
                to: Amount::Name(id.to_string()),
                unit: String::new(),
                sentence: words::schema(topic, *id, before),
                is_before: false,
                finding: None,
            };
            self.tell((topic.to_owned(), Class::Schema, id.to_string()), moved);
        }
    }

    fn watched(&mut self, topic: &str, place: Place, watched: &Watched, slot_ms: i64) {
        if let Some(seen) = watched.topics.get(topic) {
            self.events(topic, place, "", seen.events.iter(), slot_ms);
        }
        for (name, group) in watched.readers(topic) {
            self.events(topic, place, name, group.events.iter(), slot_ms);
            let Some(lag) = watched.lag(name, topic) else { continue };
            let (unit, kind) = if lag.is_seconds {
                ("seconds", Kind::Level { least: 10.0, ratio: 3.0 })
            } else {
                ("records", Kind::Level { least: 100.0, ratio: 3.0 })
            };
            self.line(Line {
                key: (topic.to_owned(), Class::GroupLag, name.to_owned()),
                place,
                what: "group_lag",
                unit,
                kind,
                slot_ms: lag.slot_ms(),
                first_ms: lag.at_ms(0),
                scale: 1.0,
                points: lag.points,
            });
        }
    }

    /// Of each kind the first that may explain the finding, unless it happens all the time.
    fn events<'e>(
        &mut self,
        topic: &str,
        place: Place,
        group: &str,
        events: impl Iterator<Item = &'e Event> + Clone,
        slot_ms: i64,
    ) {
        let from_ms = self.at_ms.saturating_sub(BACK * slot_ms);
        let kinds: BTreeSet<Happened> = events.clone().map(|event| event.what).collect();
        for kind in kinds {
            let of_kind = events.clone().filter(|event| event.what == kind);
            if of_kind.clone().filter(|event| event.at_ms < from_ms).count() >= USUAL_FROM {
                continue;
            }
            let Some(event) = of_kind.clone().find(|event| event.at_ms >= from_ms) else { continue };
            let (class, what, unit) = match kind {
                Happened::Members => (Class::GroupMembers, "group_members", "members"),
                Happened::State => (Class::GroupState, "group_state", ""),
                _ => (Class::Topic, "topic", ""),
            };
            let amount = |text: &str| match text.parse::<u32>() {
                Ok(n) => Amount::Number(f64::from(n)),
                Err(_) => Amount::Name(words::cut(text)),
            };
            let subject = if group.is_empty() { words::happened(kind) } else { group };
            let moved = Moved {
                at_ms: event.at_ms,
                within_ms: event.within_ms,
                until_ms: None,
                topic: topic.to_owned(),
                place,
                what: what.to_owned(),
                subject: words::cut(subject),
                from: amount(&event.from),
                to: amount(&event.to),
                unit: unit.to_owned(),
                sentence: words::event(topic, group, event),
                is_before: false,
                finding: None,
            };
            self.tell((topic.to_owned(), class, subject.to_owned()), moved);
        }
    }

    /// Other findings at the same time: of what moved, or in their own right.
    fn findings(&mut self, finding: &Finding, places: &[(String, Place)], slot_ms: i64) {
        let from_ms = self.at_ms.saturating_sub(BACK * slot_ms);
        let mut others: Vec<&Finding> = self.around.findings.iter().filter(|f| f.id != finding.id).collect();
        others.sort_by(|a, b| (a.at_ms, &a.id).cmp(&(b.at_ms, &b.id)));
        for other in others {
            if other.at_ms < from_ms || other.at_ms > self.to_ms {
                continue;
            }
            let about = About::of(other, self.around);
            let Some((topic, place)) = places.iter().find(|(topic, _)| about.topics.contains(topic)) else {
                continue;
            };
            let Some(key) = about.figures.first() else { continue };
            let is_same = about.figures.iter().any(|figure| self.about.figures.contains(figure));
            if is_same {
                continue;
            }
            let known = about.figures.iter().find(|figure| self.entries.contains_key(*figure)).cloned();
            if let Some(entry) = known.and_then(|key| self.entries.get_mut(&key)) {
                entry.finding = entry.finding.take().or_else(|| Some(other.id.clone()));
                continue;
            }
            let (what, subject) = match &other.source {
                FindingSource::Check(id) => ("check", id.as_str()),
                FindingSource::Slo(id) => ("slo", id.as_str()),
                FindingSource::Detector(name) => {
                    let group = (key.1 == Class::GroupLag).then_some(other.topic.as_str());
                    (name.as_str(), evidence(other, "field").or(group).unwrap_or(""))
                }
            };
            let moved = Moved {
                at_ms: other.at_ms,
                within_ms: (other.to_ms - other.from_ms).max(0),
                until_ms: other.resolved_ms,
                topic: topic.clone(),
                place: *place,
                what: what.to_owned(),
                subject: words::cut(subject),
                from: Amount::Unknown,
                to: other.value.filter(|v| v.is_finite()).map_or(Amount::Unknown, Amount::Number),
                unit: String::new(),
                sentence: words::of_topic(&other.message, topic),
                is_before: false,
                finding: Some(other.id.clone()),
            };
            self.tell(key.clone(), moved);
        }
    }

    /// The entries in order of onset, the finding among them, and how many were left out.
    fn timeline(&mut self, finding: &Finding, began_ms: i64, slot_ms: i64) -> (Vec<Moved>, u64) {
        let mut entries: Vec<(Class, Moved)> =
            std::mem::take(&mut self.entries).into_iter().map(|(key, moved)| (key.1, moved)).collect();
        // The nearest stay: here first, then by time.
        entries.sort_by(|(a, x), (b, y)| {
            let near = |m: &Moved| (m.place != Place::Here, m.at_ms.abs_diff(began_ms));
            near(x)
                .cmp(&near(y))
                .then(a.cmp(b))
                .then_with(|| (&x.topic, &x.subject).cmp(&(&y.topic, &y.subject)))
        });
        let left_out = entries.len().saturating_sub(ENTRIES_MAX) as u64;
        entries.truncate(ENTRIES_MAX);
        for (_, entry) in &mut entries {
            entry.is_before = entry.at_ms < began_ms;
        }
        let this = Moved {
            at_ms: began_ms,
            within_ms: if self.began_ms.is_some() {
                slot_ms
            } else {
                (finding.to_ms - finding.from_ms).max(0)
            },
            until_ms: finding.resolved_ms,
            topic: self.about.topics.first().unwrap_or(&finding.topic).clone(),
            place: Place::Here,
            what: THIS_FINDING.to_owned(),
            subject: String::new(),
            from: Amount::Unknown,
            to: finding.value.filter(|v| v.is_finite()).map_or(Amount::Unknown, Amount::Number),
            unit: String::new(),
            sentence: finding.message.clone(),
            is_before: false,
            finding: Some(finding.id.clone()),
        };
        entries.push((Class::Other, this));
        entries.sort_by(|(a, x), (b, y)| {
            (x.at_ms, x.place, a, &x.topic, &x.subject).cmp(&(y.at_ms, y.place, b, &y.topic, &y.subject))
        });
        (entries.into_iter().map(|(_, moved)| moved).collect(), left_out)
    }
}

/// What is drawn: from a while before the finding on.
fn figure(line: &Line<'_>, look_from: usize) -> Figure {
    let from = look_from.saturating_sub(BACK as usize).min(line.points.len());
    let value =
        |point: &Option<Point>| point.map(|p| (p.value * line.scale) as f32).filter(|v| v.is_finite());
    let (topic, _, subject) = &line.key;
    Figure {
        name: words::figure(line.what, topic, subject),
        unit: line.unit.to_owned(),
        from_ms: line.at_ms(from),
        step_ms: line.slot_ms,
        values: line.points[from..].iter().map(value).collect(),
    }
}
