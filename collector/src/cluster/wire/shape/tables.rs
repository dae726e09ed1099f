//! The shapes themselves, in the order of the fields on the wire.

use kafka_protocol::messages::ApiKey;

use super::Kind::{self, Array, Bytes, Fixed, Maybe, Str, Strings, Struct, Throttle, Values};
use super::{Field, Shape};
use crate::cluster::wire::messages::StreamsGroupDescribeRequest;

const ALWAYS: i16 = i16::MAX;
const NEVER: i16 = i16::MAX;

const fn f(kind: Kind) -> Field {
    Field { kind, since: 0, until: ALWAYS }
}
const fn since(since: i16, kind: Kind) -> Field {
    Field { kind, since, until: ALWAYS }
}
const fn between(since: i16, until: i16, kind: Kind) -> Field {
    Field { kind, since, until }
}

const I8: Kind = Fixed(1);
const I16: Kind = Fixed(2);
const I32: Kind = Fixed(4);
const I64: Kind = Fixed(8);
const UUID: Kind = Fixed(16);

static API_VERSIONS: Shape = Shape {
    name: "ApiVersions",
    // Version 0 alone: it says all we need, every broker has it, and its answer is the one that
    // librdkafka's mock cluster gets right.
    min: 0,
    max: 0,
    flexible: 3,
    fields: &[f(I16), f(Array(&[f(I16), f(I16), f(I16)]))],
};

static METADATA: Shape = Shape {
    name: "Metadata",
    min: 1,
    max: 12,
    flexible: 9,
    fields: &[
        since(3, Throttle),
        f(Array(&[f(I32), f(Str), f(I32), since(1, Str)])),
        since(2, Str),
        since(1, I32),
        f(Array(&[
            f(I16),
            f(Str),
            since(10, UUID),
            since(1, I8),
            f(Array(&[
                f(I16),
                f(I32),
                f(I32),
                since(7, I32),
                f(Values(4)),
                f(Values(4)),
                since(5, Values(4)),
            ])),
            since(8, I32),
        ])),
        between(8, 10, I32),
    ],
};

static FIND_COORDINATOR: Shape = Shape {
    name: "FindCoordinator",
    min: 0,
    max: 4,
    flexible: 3,
    fields: &[
        since(1, Throttle),
        between(0, 3, I16),
        between(1, 3, Str),
        between(0, 3, I32),
        between(0, 3, Str),
        between(0, 3, I32),
        since(4, Array(&[f(Str), f(I32), f(Str), f(I32), f(I16), f(Str)])),
    ],
};

static LIST_GROUPS: Shape = Shape {
    name: "ListGroups",
    min: 0,
    max: 5,
    flexible: 3,
    fields: &[since(1, Throttle), f(I16), f(Array(&[f(Str), f(Str), since(4, Str), since(5, Str)]))],
};

static DESCRIBE_GROUPS: Shape = Shape {
    name: "DescribeGroups",
    min: 0,
    max: 6,
    flexible: 5,
    fields: &[
        since(1, Throttle),
        f(Array(&[
            f(I16),
            since(6, Str),
            f(Str),
            f(Str),
            f(Str),
            f(Str),
            f(Array(&[f(Str), since(4, Str), f(Str), f(Str), f(Bytes), f(Bytes)])),
            since(3, I32),
        ])),
    ],
};

const ASSIGNMENT: Kind = Struct(&[f(Array(&[f(UUID), f(Str), f(Values(4))]))]);

static CONSUMER_GROUP_DESCRIBE: Shape = Shape {
    name: "ConsumerGroupDescribe",
    min: 0,
    max: 1,
    flexible: 0,
    fields: &[
        f(Throttle),
        f(Array(&[
            f(I16),
            f(Str),
            f(Str),
            f(Str),
            f(I32),
            f(I32),
            f(Str),
            f(Array(&[
                f(Str),
                f(Str),
                f(Str),
                f(I32),
                f(Str),
                f(Str),
                f(Strings),
                f(Str),
                f(ASSIGNMENT),
                f(ASSIGNMENT),
                since(1, I8),
            ])),
            f(I32),
        ])),
    ],
};

static SHARE_GROUP_DESCRIBE: Shape = Shape {
    name: "ShareGroupDescribe",
    min: 1,
    max: 1,
    flexible: 0,
    fields: &[
        f(Throttle),
        f(Array(&[
            f(I16),
            f(Str),
            f(Str),
            f(Str),
            f(I32),
            f(I32),
            f(Str),
            f(Array(&[f(Str), f(Str), f(I32), f(Str), f(Str), f(Strings), f(ASSIGNMENT)])),
            f(I32),
        ])),
    ],
};

const PAIR: &[Field] = &[f(Str), f(Str)];
const TOPIC_INFO: Kind = Array(&[f(Str), f(I32), f(I16), f(Array(PAIR))]);
const TASKS: Kind = Array(&[f(Str), f(Values(4))]);
const TASK_OFFSETS: Kind = Array(&[f(Str), f(I32), f(I64)]);
const TASK_ASSIGNMENT: Kind = Struct(&[f(TASKS), f(TASKS), f(TASKS)]);

static STREAMS_GROUP_DESCRIBE: Shape = Shape {
    name: "StreamsGroupDescribe",
    min: 0,
    max: 0,
    flexible: 0,
    fields: &[
        f(Throttle),
        f(Array(&[
            f(I16),
            f(Str),
            f(Str),
            f(Str),
            f(I32),
            f(I32),
            f(Maybe(&[f(I32), f(Array(&[f(Str), f(Strings), f(Strings), f(TOPIC_INFO), f(TOPIC_INFO)]))])),
            f(Array(&[
                f(Str),
                f(I32),
                f(Str),
                f(Str),
                f(Str),
                f(Str),
                f(I32),
                f(Str),
                f(Maybe(&[f(Str), f(I16)])),
                f(Array(PAIR)),
                f(TASK_OFFSETS),
                f(TASK_OFFSETS),
                f(TASK_ASSIGNMENT),
                f(TASK_ASSIGNMENT),
                f(I8),
            ])),
            f(I32),
        ])),
    ],
};

static DESCRIBE_SHARE_GROUP_OFFSETS: Shape = Shape {
    name: "DescribeShareGroupOffsets",
    min: 0,
    max: 1,
    flexible: 0,
    fields: &[
        f(Throttle),
        f(Array(&[
            f(Str),
            f(Array(&[f(Str), f(UUID), f(Array(&[f(I32), f(I64), f(I32), since(1, I64), f(I16), f(Str)]))])),
            f(I16),
            f(Str),
        ])),
    ],
};

static OFFSET_FETCH: Shape = Shape {
    name: "OffsetFetch",
    // Version 2 is the first that can ask for all topics of a group.
    min: 2,
    max: 9,
    flexible: 6,
    fields: &[
        since(3, Throttle),
        between(0, 7, Array(&[f(Str), f(Array(&[f(I32), f(I64), since(5, I32), f(Str), f(I16)]))])),
        between(2, 7, I16),
        since(
            8,
            Array(&[
                f(Str),
                f(Array(&[f(Str), f(Array(&[f(I32), f(I64), f(I32), f(Str), f(I16)]))])),
                f(I16),
            ]),
        ),
    ],
};

static LIST_OFFSETS: Shape = Shape {
    name: "ListOffsets",
    // Version 2 is the first that knows isolation levels, hence the last stable offset.
    min: 2,
    max: 7,
    flexible: 6,
    fields: &[
        since(2, Throttle),
        f(Array(&[f(Str), f(Array(&[f(I32), f(I16), f(I64), f(I64), since(4, I32)]))])),
    ],
};

static FETCH: Shape = Shape {
    name: "Fetch",
    min: 4,
    // The last that names topics; later ones go by topic id, which old metadata lacks.
    max: 12,
    flexible: 12,
    fields: &[
        since(1, Throttle),
        since(7, I16),
        since(7, I32),
        f(Array(&[
            f(Str),
            f(Array(&[
                f(I32),
                f(I16),
                f(I64),
                since(4, I64),
                since(5, I64),
                since(4, Array(&[f(I64), f(I64)])),
                since(11, I32),
                f(Bytes),
            ])),
        ])),
    ],
};

static DESCRIBE_CONFIGS: Shape = Shape {
    name: "DescribeConfigs",
    min: 1,
    max: 4,
    flexible: 4,
    fields: &[
        f(Throttle),
        f(Array(&[
            f(I16),
            f(Str),
            f(I8),
            f(Str),
            f(Array(&[
                f(Str),
                f(Str),
                f(I8),
                f(I8),
                f(I8),
                f(Array(&[f(Str), f(Str), f(I8)])),
                since(3, I8),
                since(3, Str),
            ])),
        ])),
    ],
};

static DESCRIBE_LOG_DIRS: Shape = Shape {
    name: "DescribeLogDirs",
    min: 1,
    max: 4,
    flexible: 2,
    fields: &[
        f(Throttle),
        since(3, I16),
        f(Array(&[
            f(I16),
            f(Str),
            f(Array(&[f(Str), f(Array(&[f(I32), f(I64), f(I64), f(I8)]))])),
            since(4, I64),
            since(4, I64),
        ])),
    ],
};

static DESCRIBE_PRODUCERS: Shape = Shape {
    name: "DescribeProducers",
    min: 0,
    max: 0,
    flexible: 0,
    fields: &[
        f(Throttle),
        f(Array(&[
            f(Str),
            f(Array(&[f(I32), f(I16), f(Str), f(Array(&[f(I64), f(I32), f(I32), f(I64), f(I32), f(I64)]))])),
        ])),
    ],
};

static LIST_TRANSACTIONS: Shape = Shape {
    name: "ListTransactions",
    min: 0,
    max: 1,
    flexible: 0,
    fields: &[f(Throttle), f(I16), f(Strings), f(Array(&[f(Str), f(I64), f(Str)]))],
};

static DESCRIBE_TRANSACTIONS: Shape = Shape {
    name: "DescribeTransactions",
    min: 0,
    max: 0,
    flexible: 0,
    fields: &[
        f(Throttle),
        f(Array(&[
            f(I16),
            f(Str),
            f(Str),
            f(I32),
            f(I64),
            f(I64),
            f(I16),
            f(Array(&[f(Str), f(Values(4))])),
        ])),
    ],
};

static SASL_HANDSHAKE: Shape = Shape {
    name: "SaslHandshake",
    // Version 1 wraps what follows into SaslAuthenticate (KIP-152).
    min: 1,
    max: 1,
    flexible: NEVER,
    fields: &[f(I16), f(Strings)],
};

static SASL_AUTHENTICATE: Shape = Shape {
    name: "SaslAuthenticate",
    min: 0,
    max: 2,
    flexible: 2,
    fields: &[f(I16), f(Str), f(Bytes), since(1, I64)],
};

/// The inner part of a classic member's assignment, after its two bytes of version.
pub(super) static CLASSIC_ASSIGNMENT: &[Field] = &[f(Array(&[f(Str), f(Values(4))])), f(Bytes)];

/// The shape of a request's answer, `None` for requests that the watcher never sends.
pub(in crate::cluster::wire) fn of(key: i16) -> Option<&'static Shape> {
    if key == StreamsGroupDescribeRequest::KEY {
        return Some(&STREAMS_GROUP_DESCRIBE);
    }
    Some(match ApiKey::try_from(key).ok()? {
        ApiKey::ApiVersions => &API_VERSIONS,
        ApiKey::Metadata => &METADATA,
        ApiKey::FindCoordinator => &FIND_COORDINATOR,
        ApiKey::ListGroups => &LIST_GROUPS,
        ApiKey::DescribeGroups => &DESCRIBE_GROUPS,
        ApiKey::ConsumerGroupDescribe => &CONSUMER_GROUP_DESCRIBE,
        ApiKey::ShareGroupDescribe => &SHARE_GROUP_DESCRIBE,
        ApiKey::DescribeShareGroupOffsets => &DESCRIBE_SHARE_GROUP_OFFSETS,
        ApiKey::OffsetFetch => &OFFSET_FETCH,
        ApiKey::ListOffsets => &LIST_OFFSETS,
        ApiKey::Fetch => &FETCH,
        ApiKey::DescribeConfigs => &DESCRIBE_CONFIGS,
        ApiKey::DescribeLogDirs => &DESCRIBE_LOG_DIRS,
        ApiKey::DescribeProducers => &DESCRIBE_PRODUCERS,
        ApiKey::ListTransactions => &LIST_TRANSACTIONS,
        ApiKey::DescribeTransactions => &DESCRIBE_TRANSACTIONS,
        ApiKey::SaslHandshake => &SASL_HANDSHAKE,
        ApiKey::SaslAuthenticate => &SASL_AUTHENTICATE,
        _ => return None,
    })
}
