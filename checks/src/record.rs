//! A record as it lies in a batch, a file or a fixture: borrowed.

/// What the broker says of a record's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamp {
    /// Set by the producer (CreateTime), ms since the epoch.
    Created(i64),
    /// Set by the broker (LogAppendTime), ms since the epoch.
    Appended(i64),
    /// None, or -1.
    Missing,
}

impl Timestamp {
    /// Milliseconds since the epoch, of either kind.
    pub fn ms(self) -> Option<i64> {
        match self {
            Self::Created(ms) | Self::Appended(ms) => Some(ms),
            Self::Missing => None,
        }
    }
}

/// One header. Names may repeat; the value may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// One record of a topic.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Partition number.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Time and its kind.
    pub timestamp: Timestamp,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers, in order.
    pub headers: &'a [Header<'a>],
}
