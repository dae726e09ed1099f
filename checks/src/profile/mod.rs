//! Profiles of fields: what their values are like, in one linear scan of the tape.
//!
//! A [`Profile`] grows with a pane and is summed up by path when the pane is reported; field ids
//! never leave the agent. What it holds a field is bounded: 2,048 bins a sign, 4,096 registers,
//! `limits.top_values` values of `limits.string_bytes`.

pub mod hash;
pub mod json;
mod numbers;
mod read;
mod scalars;
mod times;
mod unique;
mod values;

#[cfg(test)]
mod against_exact;
#[cfg(test)]
mod tests;

use crate::limits::Limits;
use crate::merge::{TOP_VALUES_MAX, fold_fields};
use crate::report::{DistinctSummary, FieldSummary, TextSummary, TopSummary};
use crate::tape::{Data, Document, Extent, FieldId, PathStep, Shape};
pub(crate) use numbers::Numbers;
use scalars::{Scalars, of_booleans};
use times::{Moment, Times};

pub use numbers::RELATIVE_ERROR;
pub use read::DistinctEstimate;
pub use unique::UniquenessBuilder;

/// The profile of a pane, growing record by record.
#[derive(Debug)]
pub struct Profile {
    top_values: usize,
    string_bytes: usize,
    /// By field id.
    columns: Vec<Column>,
    /// Scalars without a field of their own.
    folded: u64,
    /// What the columns work with.
    scratch: Vec<u64>,
}

/// One field. What every string and number touches comes first, in one line of the cache.
#[derive(Debug, Default)]
#[repr(C, align(64))]
struct Column {
    string: u64,
    /// Characters; a text has at most `limits.message_bytes`.
    length_sum: u64,
    length_min: u32,
    length_max: u32,
    integer: u64,
    number: u64,
    scalars: Option<Box<Scalars>>,
    times: Option<Box<Times>>,
    null: u64,
    empty: u64,
    boolean: u64,
    truthy: u64,
    object: u64,
    array: u64,
}

impl Profile {
    /// An empty profile.
    pub fn new(limits: &Limits) -> Self {
        Self {
            top_values: limits.top_values.clamp(1, TOP_VALUES_MAX),
            string_bytes: limits.string_bytes.clamp(16, 4_000),
            columns: Vec::new(),
            folded: 0,
            scratch: Vec::new(),
        }
    }

    /// Takes every value of a record that was written at `record_ms`, if that is known; `shape` is the one that its
    /// tape was filled over.
    pub fn document(&mut self, document: Document<'_>, record_ms: Option<i64>, shape: &Shape) {
        if self.columns.len() < shape.len() {
            self.columns.resize_with(shape.len(), Column::default);
        }
        let kept = (self.top_values, self.string_bytes);
        for (field, data, extent) in document.measured() {
            match self.columns.get_mut(field.0 as usize) {
                Some(column) => column.add(data, extent, record_ms, kept, &mut self.scratch),
                None => {
                    let is_scalar = !matches!(data, Data::Object { .. } | Data::Array { .. });
                    self.folded += u64::from(is_scalar);
                }
            }
        }
    }

    /// The fields seen (and those that rules name, where their object was seen), sorted by path and
    /// at most [`FIELDS_MAX`](crate::merge::FIELDS_MAX); and how many values had none of their own.
    pub fn summary(&self, shape: &Shape) -> (Vec<FieldSummary>, u64) {
        let ids = (0..shape.len() as u32).map(FieldId);
        let mut fields: Vec<FieldSummary> = ids.filter_map(|id| self.field(id, shape)).collect();
        fields.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let beyond = fold_fields(&mut fields);
        (fields, self.folded.saturating_add(beyond))
    }

    /// Memory held, in bytes, to within a tenth: a walk over the fields.
    pub fn approximate_bytes(&self) -> usize {
        let heap = self.columns.iter().map(Column::heap_bytes).sum::<usize>();
        self.columns.capacity() * size_of::<Column>() + heap
    }

    fn field(&self, id: FieldId, shape: &Shape) -> Option<FieldSummary> {
        let unseen = Column::default();
        let column = self.column(id).unwrap_or(&unseen);
        let records = match shape.step(id) {
            PathStep::Key(_) => {
                shape.parent(id).and_then(|p| self.column(p)).map_or(0, |parent| parent.object)
            }
            // Elements and members of maps are counted themselves.
            PathStep::Root | PathStep::Elements | PathStep::AnyKey => column.present(),
        };
        let wanted = column.present() > 0 || (records > 0 && shape.is_pinned(id));
        wanted.then(|| column.summary(shape.path(id), records))
    }

    fn column(&self, id: FieldId) -> Option<&Column> {
        self.columns.get(id.index()?)
    }
}

impl Column {
    /// Each kind has its own way through: the value stays in registers.
    #[inline]
    fn add(
        &mut self,
        data: Data<'_>,
        extent: Extent<'_>,
        record_ms: Option<i64>,
        kept: (usize, usize),
        scratch: &mut Vec<u64>,
    ) {
        match data {
            Data::I64(n) => {
                self.integer += 1;
                if let Some(moment) = Moment::of_integer(n) {
                    self.time(moment, record_ms);
                }
                self.scalars(kept).add_number(hash::integer(n), n as f64, || Data::I64(n), scratch);
            }
            Data::U64(n) => {
                self.integer += 1;
                self.scalars(kept).add_number(hash::unsigned(n), n as f64, || Data::U64(n), scratch);
            }
            Data::F64(n) => {
                self.number += 1;
                if let Some(moment) = Moment::of_float(n) {
                    self.time(moment, record_ms);
                }
                self.scalars(kept).add_number(hash::float(n), n, || Data::F64(n), scratch);
            }
            Data::Str(text) => {
                self.length(extent.characters);
                if let Some(moment) = Moment::of_text(text) {
                    self.time(moment, record_ms);
                }
                self.scalars(kept).add_text(hash::text_within(text, extent.beyond), text, scratch);
            }
            Data::Null | Data::Bool(_) | Data::Object { .. } | Data::Array { .. } => self.count(data),
        }
    }

    #[inline]
    fn scalars(&mut self, kept: (usize, usize)) -> &mut Scalars {
        self.scalars.get_or_insert_with(|| Scalars::new(kept))
    }

    #[inline(never)]
    fn time(&mut self, moment: Moment, record_ms: Option<i64>) {
        self.times.get_or_insert_default().add(moment, record_ms);
    }

    /// What is only counted.
    fn count(&mut self, data: Data<'_>) {
        match data {
            Data::Bool(b) => {
                self.boolean += 1;
                self.truthy += u64::from(b);
            }
            Data::Object { len } => {
                self.object += 1;
                self.empty += u64::from(len == 0);
            }
            Data::Array { len } => {
                self.array += 1;
                self.empty += u64::from(len == 0);
            }
            _ => self.null += 1,
        }
    }

    #[inline]
    fn length(&mut self, characters: u32) {
        if self.string == 0 || characters < self.length_min {
            self.length_min = characters;
        }
        self.string += 1;
        self.empty += u64::from(characters == 0);
        self.length_max = self.length_max.max(characters);
        self.length_sum += u64::from(characters);
    }

    /// Different values and the frequent ones among them; booleans, which are counted anyway, come in here only.
    fn values(&self) -> (Option<DistinctSummary>, Option<TopSummary>) {
        let scalars = self.scalars.as_deref();
        let mut values = (scalars.map(Scalars::distinct), scalars.map(Scalars::top));
        if self.boolean > 0 {
            let (distinct, top) = of_booleans(self.truthy, self.boolean - self.truthy);
            values.0.get_or_insert_default().merge(&distinct);
            values.1.get_or_insert_default().merge(&top);
        }
        values
    }

    fn present(&self) -> u64 {
        self.null + self.boolean + self.integer + self.number + self.string + self.object + self.array
    }

    fn summary(&self, path: &str, records: u64) -> FieldSummary {
        let text = TextSummary {
            count: self.string,
            length_min: self.length_min.into(),
            length_max: self.length_max.into(),
            length_sum: self.length_sum,
        };
        let scalars = self.scalars.as_deref();
        let (formats, texts_seen) = scalars.map(Scalars::forms).unwrap_or_default();
        let (distinct, top) = self.values();
        FieldSummary {
            path: path.to_owned(),
            records,
            present: self.present(),
            null: self.null,
            empty: self.empty,
            integer: self.integer,
            number: self.number,
            string: self.string,
            boolean: self.boolean,
            object: self.object,
            array: self.array,
            truthy: self.truthy,
            numeric: scalars.filter(|_| self.integer + self.number > 0).map(Scalars::numbers),
            text: (self.string > 0).then_some(text),
            distinct,
            top,
            times: self.times.as_ref().map(|times| times.summary()),
            formats,
            texts_seen,
        }
    }

    fn heap_bytes(&self) -> usize {
        let scalars = self.scalars.as_ref().map_or(0, |s| size_of::<Scalars>() + s.heap_bytes());
        let times = self.times.as_ref().map_or(0, |times| size_of::<Times>() + times.heap_bytes());
        scalars + times
    }
}
