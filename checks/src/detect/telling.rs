//! What windows make of fields, told: each by itself, or many at once as one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Kind;
use super::alarm::{Alarm, Step};
use super::contents::{Contents, STAYS, Seen, Taken, Window};
use super::observation::{Observation, What};

/// More fields at once than this are one finding.
const MANY: usize = 4;
/// Fields found within so many windows of its beginning belong to it, ms of windows.
const MANY_WINDOWS: i64 = 3;

/// Many fields at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Many {
    began_ms: i64,
    found_ms: i64,
    members: BTreeSet<String>,
}

impl Many {
    /// As one finding.
    pub(super) fn alarm(&self) -> Alarm {
        Alarm::raised(Kind::ManyFields, self.began_ms)
    }
}

impl Contents {
    /// Tells what the steps are; many at once as one.
    pub(super) fn tell(
        &mut self,
        window: &Window<'_>,
        seen: &BTreeMap<String, Seen<'_>>,
        steps: BTreeMap<String, Taken>,
        observations: &mut Vec<Observation>,
    ) {
        let raised: Vec<String> =
            steps.iter().filter(|(_, t)| t.step == Step::Raised).map(|(path, _)| path.clone()).collect();
        let length_ms = window.to_ms - window.from_ms;
        let joins =
            self.many.as_ref().is_some_and(|m| window.from_ms - m.found_ms <= MANY_WINDOWS * length_ms);
        let opens = self.many.is_none() && raised.len() > MANY;
        let began = |steps: &BTreeMap<String, Taken>| {
            raised
                .iter()
                .filter_map(|path| steps.get(path))
                .map(|t| t.began_ms)
                .min()
                .unwrap_or(window.from_ms)
        };
        if opens {
            let (began_ms, found_ms) = (began(&steps), window.to_ms);
            self.many = Some(Many { began_ms, found_ms, members: BTreeSet::new() });
        }
        if (opens || joins)
            && let Some(many) = &mut self.many
        {
            for path in &raised {
                many.members.insert(path.clone());
                if let Some(alarm) = self.fields.get_mut(path).and_then(|field| field.alarm.as_mut()) {
                    alarm.grouped = true;
                }
            }
        }
        for (path, taken) in &steps {
            if self.many.as_ref().is_some_and(|many| many.members.contains(path)) {
                continue;
            }
            let Some(mut what) = told(taken.step) else { continue };
            if taken.adopted {
                what = What::Adopted;
            }
            if what == What::Ongoing && taken.test.effect < STAYS {
                continue;
            }
            let times = [taken.began_ms, window.from_ms, window.to_ms];
            let mut test = taken.test.clone();
            if let Some(new) = self.fields.get(path).and_then(|field| field.renamed_to.as_ref()) {
                test.what.clone_from(new);
            }
            observations.push(Observation::of_test(what, taken.kind, Some(path), &test, times));
        }
        observations.extend(self.tell_many(window, seen, opens));
    }

    fn tell_many(
        &mut self,
        window: &Window<'_>,
        seen: &BTreeMap<String, Seen<'_>>,
        opens: bool,
    ) -> Option<Observation> {
        let many = self.many.as_ref()?;
        let open = |path: &&String| {
            self.fields.get(*path).and_then(|f| f.alarm.as_ref()).is_some_and(|a| a.raised && a.grouped)
        };
        let still: Vec<&String> = many.members.iter().filter(open).collect();
        let what = match (opens, still.is_empty()) {
            (true, _) => What::Opened,
            (false, true) => What::Resolved,
            (false, false) => What::Ongoing,
        };
        let shown: Vec<&str> = still.iter().take(5).map(|path| path.as_str()).collect();
        let more = still.len().saturating_sub(shown.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let message = format!("{} fields are unlike before: {}{more}", still.len(), shown.join(", "));
        let observation = Observation {
            what,
            kind: Kind::ManyFields,
            field: None,
            began_ms: many.began_ms,
            from_ms: window.from_ms,
            to_ms: window.to_ms,
            value: Some(still.len() as f64),
            usual: "0".to_owned(),
            message,
            evidence: vec![
                ("fields", serde_json::json!(still.iter().take(50).collect::<Vec<_>>())),
                ("of", seen.len().into()),
            ],
        };
        if what == What::Resolved {
            self.many = None;
        }
        Some(observation)
    }
}

pub(super) fn told(step: Step) -> Option<What> {
    match step {
        Step::None => None,
        Step::Raised => Some(What::Opened),
        Step::Ongoing => Some(What::Ongoing),
        Step::Resolved => Some(What::Resolved),
    }
}
