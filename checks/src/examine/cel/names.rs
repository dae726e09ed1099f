//! What an expression names: which parts of the record it needs, and whether it may run at all.

use std::collections::{BTreeMap, BTreeSet};

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};

/// Deepest syntax tree: the interpreter is recursive.
const DEPTH: usize = 100;
/// Macros over lists within each other.
const LOOPS: usize = 3;

const VARIABLES: [&str; 4] = ["value", "key", "headers", "meta"];
/// Identifiers that are no variables: names of types, and namespaces of functions.
const OTHER_NAMES: [&str; 13] = [
    "bool",
    "bytes",
    "double",
    "duration",
    "dyn",
    "int",
    "list",
    "map",
    "null_type",
    "optional",
    "string",
    "type",
    "uint",
];

/// Is it the name of a type, or a namespace of functions?
pub(super) fn is_type_name(name: &str) -> bool {
    OTHER_NAMES.contains(&name)
}

/// The parts of an object that are needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Want {
    /// All of it.
    pub(super) whole: bool,
    /// Or these members.
    pub(super) members: BTreeMap<String, Want>,
}

/// A path that is needed, for people.
pub(super) struct WantedPath<'a> {
    pub(super) text: String,
    pub(super) keys: Vec<&'a str>,
}

#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) value: Want,
    pub(super) key: bool,
    pub(super) headers: bool,
    pub(super) meta: bool,
    /// Most macros over lists within each other.
    pub(super) loops: usize,
    /// A regular expression is looked for in a macro over a list.
    pub(super) matches_in_loop: bool,
    /// Every member and text that is written in it.
    pub(super) keys: BTreeSet<String>,
    /// The functions called, and whether as `x.f()`.
    pub(super) functions: BTreeSet<(String, bool)>,
}

pub(super) struct NameError {
    pub(super) message: String,
    /// The node that is wrong.
    pub(super) node: Option<u64>,
}

impl Names {
    pub(super) fn of(expression: &IdedExpr) -> Result<Self, NameError> {
        let mut walk = Walk { names: Self::default(), scope: Vec::new(), loops: 0 };
        walk.expr(expression, DEPTH)?;
        Ok(walk.names)
    }

    /// Calls that tell whether their function is there: without arguments (or on null), which no
    /// function takes, so that nothing runs.
    pub(super) fn trial_calls(&self) -> impl Iterator<Item = (&str, IdedExpr)> {
        let null = || Box::new(IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::Null) });
        let is_plain = |name: &str| name.starts_with(|c: char| c.is_ascii_alphabetic());
        self.functions.iter().filter(move |(name, _)| is_plain(name)).map(move |(name, is_member)| {
            let target = is_member.then(null);
            let call = CallExpr { func_name: name.clone(), target, args: Vec::new() };
            (name.as_str(), IdedExpr { id: 0, expr: Expr::Call(call) })
        })
    }
}

impl Want {
    fn add(&mut self, keys: &[String]) {
        match keys.split_first() {
            _ if self.whole => {}
            None => {
                self.whole = true;
                self.members.clear();
            }
            Some((key, rest)) => self.members.entry(key.clone()).or_default().add(rest),
        }
    }

    /// All paths that are needed.
    pub(super) fn paths(&self, name: &str) -> Vec<WantedPath<'_>> {
        let mut paths = Vec::new();
        self.collect(name.to_owned(), &mut Vec::new(), &mut paths);
        paths
    }

    fn collect<'a>(&'a self, text: String, keys: &mut Vec<&'a str>, into: &mut Vec<WantedPath<'a>>) {
        if self.whole {
            into.push(WantedPath { text, keys: keys.clone() });
            return;
        }
        for (key, want) in &self.members {
            keys.push(key);
            want.collect(format!("{text}.{key}"), keys, into);
            keys.pop();
        }
    }
}

struct Walk {
    names: Names,
    /// Variables of the macros around.
    scope: Vec<String>,
    loops: usize,
}

impl Walk {
    fn expr(&mut self, node: &IdedExpr, depth: usize) -> Result<(), NameError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(NameError { message: "nested too deeply".to_owned(), node: Some(node.id) });
        };
        if let Some(path) = self.path(node) {
            self.names.value.add(&path);
            self.names.keys.extend(path);
            return Ok(());
        }
        match &node.expr {
            Expr::Ident(name) => self.ident(name, node.id),
            Expr::Select(select) => {
                self.names.keys.insert(select.field.clone());
                self.expr(&select.operand, depth)
            }
            Expr::Call(call) => self.call(call, depth),
            Expr::List(list) => list.elements.iter().try_for_each(|e| self.expr(e, depth)),
            Expr::Map(map) => self.entries(&map.entries, depth),
            Expr::Struct(structure) => self.entries(&structure.entries, depth),
            Expr::Comprehension(c) => {
                self.expr(&c.iter_range, depth)?;
                self.expr(&c.accu_init, depth)?;
                self.loops += 1;
                self.names.loops = self.names.loops.max(self.loops);
                if self.loops > LOOPS {
                    let message = format!("more than {LOOPS} macros over lists within each other");
                    return Err(NameError { message, node: Some(node.id) });
                }
                let before = self.scope.len();
                self.scope.push(c.accu_var.clone());
                self.scope.push(c.iter_var.clone());
                self.scope.extend(c.iter_var2.clone());
                for part in [&c.loop_cond, &c.loop_step, &c.result] {
                    self.expr(part, depth)?;
                }
                self.scope.truncate(before);
                self.loops -= 1;
                Ok(())
            }
            Expr::Literal(literal) => {
                if let LiteralValue::String(text) = literal {
                    self.names.keys.insert(text.inner().to_owned());
                }
                Ok(())
            }
            Expr::Unspecified => Ok(()),
        }
    }

    fn call(&mut self, call: &CallExpr, depth: usize) -> Result<(), NameError> {
        if call.func_name == "matches" {
            self.names.matches_in_loop |= self.loops > 0;
            if let Some(last) = call.args.last()
                && let Expr::Literal(LiteralValue::String(pattern)) = &last.expr
                && let Err(message) = super::budget::regex(pattern.inner())
            {
                return Err(NameError { message, node: Some(last.id) });
            }
        }
        if let Some(target) = &call.target {
            self.expr(target, depth)?;
            let is_namespaced = matches!(&target.expr, Expr::Ident(n) if OTHER_NAMES.contains(&n.as_str()));
            if !is_namespaced {
                self.names.functions.insert((call.func_name.clone(), true));
            }
        } else {
            self.names.functions.insert((call.func_name.clone(), false));
        }
        call.args.iter().try_for_each(|arg| self.expr(arg, depth))
    }

    fn entries(
        &mut self,
        entries: &[cel::common::ast::IdedEntryExpr],
        depth: usize,
    ) -> Result<(), NameError> {
        entries.iter().try_for_each(|entry| match &entry.expr {
            EntryExpr::MapEntry(e) => self.expr(&e.key, depth).and_then(|()| self.expr(&e.value, depth)),
            EntryExpr::StructField(e) => self.expr(&e.value, depth),
        })
    }

    fn ident(&mut self, name: &str, node: u64) -> Result<(), NameError> {
        let name = name.strip_prefix('.').unwrap_or(name);
        if self.scope.iter().any(|n| n == name) || OTHER_NAMES.contains(&name) {
            return Ok(());
        }
        match name {
            "value" => self.names.value.add(&[]),
            "key" => self.names.key = true,
            "headers" => self.names.headers = true,
            "meta" => self.names.meta = true,
            _ => {
                let message = format!("unknown name `{name}`: there are {}", VARIABLES.join(", "));
                return Err(NameError { message, node: Some(node) });
            }
        }
        Ok(())
    }

    /// The keys, if this is `value.a.b` or `value["a"].b`. A macro's own variable of that name is
    /// taken for the record's too: that binds more than is needed, never less.
    fn path(&self, node: &IdedExpr) -> Option<Vec<String>> {
        match &node.expr {
            Expr::Ident(name) if matches!(name.as_str(), "value" | ".value") => Some(Vec::new()),
            Expr::Select(select) => {
                let mut keys = self.path(&select.operand)?;
                keys.push(select.field.clone());
                Some(keys)
            }
            Expr::Call(call) if call.func_name == operators::INDEX => {
                let [operand, index] = &call.args[..] else {
                    return None;
                };
                let Expr::Literal(LiteralValue::String(key)) = &index.expr else {
                    return None;
                };
                let mut keys = self.path(operand)?;
                keys.push(key.inner().to_owned());
                Some(keys)
            }
            _ => None,
        }
    }
}
