//! What a table of a peer's series is made of. Each peer's table stands in its own file, and the
//! tables of docs/migrate.md are generated from it.

use crate::export::metrics::family::Desc;

/// What becomes of a partition series where a topic's partitions are folded into one to keep within
/// the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// One series with the sum of the known.
    Sum,
    /// One series with the greatest of the known.
    Max,
    /// None: the figure means nothing but for one partition.
    Drop,
}

/// What there is one series of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The cluster.
    Cluster,
    /// A group.
    Group,
    /// A topic of a group.
    GroupTopic,
    /// A partition of a group.
    GroupPartition(Fold),
    /// A topic.
    Topic,
    /// A partition.
    TopicPartition(Fold),
}

/// A series of a peer that is served.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Full name, as the peer spells it.
    pub name: &'static str,
    /// Label names, as the peer spells them.
    pub labels: &'static [&'static str],
    /// One sentence without its full stop.
    pub help: &'static str,
    /// What there is one series of.
    pub scope: Scope,
    /// The same figure by our names: PromQL.
    pub ours: &'static str,
    /// In which cases the value or the labels differ from the peer's, and why; empty where they do not.
    pub differs: &'static str,
}

/// A series of a peer that is not served.
#[derive(Clone, Copy, Debug)]
pub struct Missing {
    /// Full name; one that ends in `*` stands for all that begin so.
    pub name: &'static str,
    /// Why.
    pub why: &'static str,
    /// What to use in its stead.
    pub instead: &'static str,
}

impl Missing {
    /// Is it this series?
    pub fn is(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => self.name == name,
        }
    }
}

/// A row with the type of its labels.
#[derive(Debug)]
pub(super) struct Series<L> {
    /// How it is written.
    pub(super) desc: Desc<L>,
    /// What there is one series of.
    pub(super) scope: Scope,
}

impl<L> Series<L> {
    /// What becomes of it where partitions are folded.
    pub(super) fn fold(&self) -> Fold {
        match self.scope {
            Scope::GroupPartition(fold) | Scope::TopicPartition(fold) => fold,
            _ => Fold::Drop,
        }
    }
}

/// The table of one peer. All series are gauges: the peers' counters count what only they do
/// themselves.
macro_rules! peer_series {
    ($( $id:ident: $scope:expr => $labels:ty, $name:literal $help:literal ours $ours:literal $(differs $differs:literal)? ; )*) => {
        $(
            const $id: super::table::Series<$labels> = super::table::Series {
                desc: $crate::export::metrics::family::Desc {
                    name: $name,
                    kind: $crate::export::metrics::family::Kind::Gauge,
                    help: $help,
                    labels: std::marker::PhantomData,
                },
                scope: $scope,
            };
        )*

        /// All that are served.
        pub(super) const ROWS: &[super::table::Row] = &[$( super::table::Row {
            name: $name,
            labels: <$labels as $crate::export::metrics::labels::Labels>::NAMES,
            help: $help,
            scope: $scope,
            ours: $ours,
            differs: concat!($($differs)?),
        } ),*];
    };
}
pub(super) use peer_series;
