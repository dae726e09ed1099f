//! An Avro schema compiled for decoding: names resolved once, nothing looked up by record.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, UuidSchema};
use checks::tape::{Name, Names};

/// Nodes of one schema at most: a megabyte of text holds fewer.
const NODES_MAX: usize = 100_000;

/// Place of a node in its plan.
pub(super) type NodeId = usize;

/// What is read, in the order of the bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Boolean,
    /// 32 bits, variable length; dates and times of day among them.
    Int,
    /// 64 bits, variable length; timestamps among them, in their own unit.
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Vec<Name>),
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
    Record(Vec<(Name, NodeId)>),
    /// Unscaled, big-endian; of this size, or with its length before it.
    Decimal {
        size: Option<usize>,
        scale: usize,
    },
    /// The same with its scale behind it.
    BigDecimal,
    /// 16 bytes; with their length before them unless fixed.
    Uuid {
        is_fixed: bool,
    },
    Duration,
    /// A name that is not defined yet.
    Pending,
}

/// A compiled writer's schema.
#[derive(Debug)]
pub(crate) struct Plan {
    nodes: Vec<Node>,
    root: NodeId,
    /// Of fields and symbols.
    pub(super) names: Names,
    /// As the crate knows it, for resolution into a reader's.
    pub(super) schema: Schema,
}

impl Plan {
    /// Parses and compiles a schema.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        let schema = Schema::parse_str(text).map_err(|e| e.to_string())?;
        let mut compiler = Compiler { nodes: Vec::new(), known: HashMap::new(), names: Names::default() };
        let root = compiler.node(&schema, None)?;
        Ok(Self { nodes: compiler.nodes, root, names: compiler.names, schema })
    }

    pub(super) fn root(&self) -> &Node {
        self.node(self.root)
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id).unwrap_or(&Node::Pending)
    }
}

struct Compiler {
    nodes: Vec<Node>,
    /// Named types.
    known: HashMap<String, NodeId>,
    names: Names,
}

impl Compiler {
    fn push(&mut self, node: Node) -> Result<NodeId, String> {
        if self.nodes.len() >= NODES_MAX {
            return Err(format!("the schema has more than {NODES_MAX} parts"));
        }
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    /// `namespace` is the enclosing one, as the specification resolves names ("Names").
    fn node(&mut self, schema: &Schema, namespace: Option<&str>) -> Result<NodeId, String> {
        let node = match schema {
            Schema::Null => Node::Null,
            Schema::Boolean => Node::Boolean,
            Schema::Int | Schema::Date | Schema::TimeMillis => Node::Int,
            Schema::Long
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => Node::Long,
            Schema::Float => Node::Float,
            Schema::Double => Node::Double,
            Schema::Bytes => Node::Bytes,
            Schema::String | Schema::Uuid(UuidSchema::String) => Node::String,
            Schema::Uuid(UuidSchema::Bytes) => Node::Uuid { is_fixed: false },
            Schema::BigDecimal => Node::BigDecimal,
            Schema::Decimal(decimal) => match &decimal.inner {
                InnerDecimalSchema::Bytes => Node::Decimal { size: None, scale: decimal.scale },
                InnerDecimalSchema::Fixed(fixed) => {
                    let node = Node::Decimal { size: Some(fixed.size), scale: decimal.scale };
                    return self.named(fixed.name.fullname(namespace), node);
                }
            },
            Schema::Uuid(UuidSchema::Fixed(fixed)) if fixed.size == 16 => {
                return self.named(fixed.name.fullname(namespace), Node::Uuid { is_fixed: true });
            }
            Schema::Duration(fixed) if fixed.size == 12 => {
                return self.named(fixed.name.fullname(namespace), Node::Duration);
            }
            Schema::Uuid(UuidSchema::Fixed(fixed)) | Schema::Duration(fixed) | Schema::Fixed(fixed) => {
                return self.named(fixed.name.fullname(namespace), Node::Fixed(fixed.size));
            }
            Schema::Enum(symbols) => {
                let names = symbols.symbols.iter().map(|symbol| self.name(symbol));
                let node = Node::Enum(names.collect::<Result<_, _>>()?);
                return self.named(symbols.name.fullname(namespace), node);
            }
            Schema::Array(array) => Node::Array(self.node(&array.items, namespace)?),
            Schema::Map(map) => Node::Map(self.node(&map.types, namespace)?),
            Schema::Union(union) => {
                let variants = union.variants().iter().map(|variant| self.node(variant, namespace));
                Node::Union(variants.collect::<Result<_, _>>()?)
            }
            Schema::Record(record) => {
                let name = record.name.fully_qualified_name(namespace);
                let id = self.named(name.fullname(None), Node::Pending)?;
                let mut fields = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    fields.push((self.name(&field.name)?, self.node(&field.schema, name.namespace())?));
                }
                if let Some(node) = self.nodes.get_mut(id) {
                    *node = Node::Record(fields);
                }
                return Ok(id);
            }
            Schema::Ref { name } => {
                let name = name.fullname(namespace);
                return self
                    .known
                    .get(&name)
                    .copied()
                    .ok_or_else(|| format!("the name {name} is not defined"));
            }
        };
        self.push(node)
    }

    fn named(&mut self, name: String, node: Node) -> Result<NodeId, String> {
        let id = self.push(node)?;
        self.known.insert(name, id);
        Ok(id)
    }

    fn name(&mut self, name: &str) -> Result<Name, String> {
        self.names.add(name).ok_or_else(|| "its names are too long".to_owned())
    }
}
