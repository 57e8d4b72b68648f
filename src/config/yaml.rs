//! YAML as a tree whose nodes know their places: line, column and length of every key and value.
//!
//! Aliases are resolved (a bounded number of nodes) and merge keys (`<<`) are applied; a key that stands twice in
//! one mapping, tags, several documents and keys that are not texts are errors. Not here: what scalars mean (see
//! `shape`).

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// Most nodes of a document after aliases are resolved; keeps aliases of aliases from growing without bound.
const MAX_NODES: usize = 200_000;

/// Deepest nesting; patterns in routes need about ten.
const MAX_DEPTH: usize = 64;

/// Where something stands: from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) length: usize,
    pub(super) end_line: usize,
    pub(super) end_column: usize,
}

/// A node of the tree.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) mark: Mark,
    pub(super) content: Content,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A scalar as it is written, without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Neither quoted nor a block.
    pub(super) plain: bool,
    /// A variable of the environment was put into it.
    pub(super) expanded: bool,
}

/// A member of a mapping.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) mark: Mark,
    pub(super) value: Node,
    /// An earlier entry has the same key; this one is an error and counts for nothing else.
    shadowed: bool,
}

/// The entries that count.
pub(super) fn live(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| !entry.shadowed)
}

/// A document.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: Node,
    /// Keys that stand twice.
    pub(super) errors: Vec<YamlError>,
}

/// Why a text is no tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct YamlError {
    /// Where.
    pub(super) mark: Mark,
    /// The path, as far as it is known.
    pub(super) path: String,
    /// What.
    pub(super) message: String,
}

/// The path of a member.
pub(super) fn member(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The path of an item.
pub(super) fn item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// Reads a document; an empty one is an empty mapping.
pub(super) fn parse(text: &str) -> Result<Document, YamlError> {
    let mut builder = Builder::default();
    builder.read(text)?;
    let root = builder.root.unwrap_or(Node {
        mark: Mark::START,
        content: Content::Map(Vec::new()),
    });
    Ok(Document {
        root,
        errors: builder.errors,
    })
}

/// What can be read of a text up to its first mistake; what is open there ends there.
pub(super) fn parse_as_far(text: &str) -> Option<Node> {
    let mut builder = Builder::default();
    if builder.read(text).is_err() {
        while let Some(frame) = builder.stack.pop() {
            let content = match frame.kind {
                FrameKind::List(items) => Content::List(items),
                FrameKind::Map { entries, .. } => Content::Map(entries),
            };
            let mark = frame.mark;
            builder.put(Node { mark, content }).ok()?;
        }
    }
    builder.root
}

impl Mark {
    const START: Self = Self {
        line: 1,
        column: 1,
        length: 1,
        end_line: 1,
        end_column: 1,
    };

    fn of(span: Span) -> Self {
        let same_line = span.start.line() == span.end.line();
        let length = if same_line {
            span.end.col().saturating_sub(span.start.col()).max(1)
        } else {
            1
        };
        Self {
            line: span.start.line(),
            column: span.start.col() + 1,
            length,
            end_line: span.end.line(),
            end_column: span.end.col() + 1,
        }
    }
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
    documents: usize,
    errors: Vec<YamlError>,
}

/// A collection that is not closed yet.
struct Frame {
    mark: Mark,
    anchor: usize,
    kind: FrameKind,
}

enum FrameKind {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// The line in which each key first stands; a look-up, since a mapping may be long.
        seen: HashMap<String, usize>,
        key: Option<Key>,
    },
}

/// A key whose value is still to come.
struct Key {
    text: String,
    mark: Mark,
    shadowed: bool,
}

impl Builder {
    fn read(&mut self, text: &str) -> Result<(), YamlError> {
        for event in Parser::new_from_str(text) {
            match event {
                Ok((event, span)) => self.take(event, Mark::of(span))?,
                Err(error) => {
                    let mark = Mark::of(Span::empty(*error.marker()));
                    return Err(self.error(mark, format!("not YAML: {}", error.info())));
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, event: Event<'_>, mark: Mark) -> Result<(), YamlError> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(
                        self.error(mark, "a second document; a configuration is one document")
                    );
                }
                Ok(())
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err(self.error(
                        mark,
                        "this alias names an anchor that encloses it or is not there",
                    ));
                };
                let node = Node {
                    mark,
                    ..node.clone()
                };
                self.count(size(&node), mark)?;
                self.put(node)
            }
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    return Err(self.error(mark, "tags such as !name have no meaning here"));
                }
                self.count(1, mark)?;
                let node = Node {
                    mark,
                    content: Content::Scalar(Scalar {
                        text: text.into_owned(),
                        plain: style == ScalarStyle::Plain,
                        expanded: false,
                    }),
                };
                self.close(node, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(mark, anchor, tag.is_some(), FrameKind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let kind = FrameKind::Map {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    key: None,
                };
                self.open(mark, anchor, tag.is_some(), kind)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.stack.pop() else {
                    return Ok(());
                };
                let content = match frame.kind {
                    FrameKind::List(items) => Content::List(items),
                    FrameKind::Map { entries, .. } => Content::Map(self.merge(entries)?),
                };
                let node = Node {
                    mark: frame.mark,
                    content,
                };
                self.close(node, frame.anchor)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(
        &mut self,
        mark: Mark,
        anchor: usize,
        tagged: bool,
        kind: FrameKind,
    ) -> Result<(), YamlError> {
        if tagged {
            return Err(self.error(mark, "tags such as !name have no meaning here"));
        }
        if let Some(Frame {
            kind: FrameKind::Map { key: None, .. },
            ..
        }) = self.stack.last()
        {
            return Err(self.error(mark, "a key must be a text"));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(self.error(mark, format!("nested more than {MAX_DEPTH} deep")));
        }
        self.count(1, mark)?;
        self.stack.push(Frame { mark, anchor, kind });
        Ok(())
    }

    /// A node is complete.
    fn close(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.put(node)
    }

    /// Puts a node where the parser stands.
    fn put(&mut self, node: Node) -> Result<(), YamlError> {
        let path = self.path();
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.kind {
            FrameKind::List(items) => items.push(node),
            FrameKind::Map { entries, seen, key } => match key.take() {
                Some(key) => entries.push(Entry {
                    key: key.text,
                    mark: key.mark,
                    value: node,
                    shadowed: key.shadowed,
                }),
                None => {
                    let Content::Scalar(scalar) = node.content else {
                        return Err(self.error(node.mark, "a key must be a text"));
                    };
                    let first = seen.get(&scalar.text).copied();
                    match first {
                        Some(line) => self.errors.push(YamlError {
                            mark: node.mark,
                            path: member(&path, &scalar.text),
                            message: format!("this key stands twice, first in line {line}"),
                        }),
                        None => {
                            seen.insert(scalar.text.clone(), node.mark.line);
                        }
                    }
                    *key = Some(Key {
                        text: scalar.text,
                        mark: node.mark,
                        shadowed: first.is_some(),
                    });
                }
            },
        }
        Ok(())
    }

    /// Applies `<<`: its members come after the others and yield to them.
    fn merge(&mut self, entries: Vec<Entry>) -> Result<Vec<Entry>, YamlError> {
        if !entries.iter().any(|entry| entry.key == "<<") {
            return Ok(entries);
        }
        let (merges, mut entries): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(|entry| entry.key == "<<");
        let mut seen: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        for merge in merges {
            let sources = match merge.value.content {
                Content::List(items) => items,
                _ => vec![merge.value],
            };
            for source in sources {
                let Content::Map(members) = source.content else {
                    return Err(
                        self.error(merge.mark, "`<<` takes a mapping or a list of mappings")
                    );
                };
                for new in members {
                    if seen.insert(new.key.clone()) {
                        entries.push(new);
                    }
                }
            }
        }
        Ok(entries)
    }

    fn count(&mut self, nodes: usize, mark: Mark) -> Result<(), YamlError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(self.error(
                mark,
                format!("more than {MAX_NODES} values, with aliases resolved"),
            ));
        }
        Ok(())
    }

    /// The path of what comes next.
    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.stack {
            match &frame.kind {
                FrameKind::List(items) => path = item(&path, items.len()),
                FrameKind::Map { key: Some(key), .. } => path = member(&path, &key.text),
                _ => {}
            }
        }
        path
    }

    fn error(&self, mark: Mark, message: impl Into<String>) -> YamlError {
        YamlError {
            mark,
            path: self.path(),
            message: message.into(),
        }
    }
}

fn size(node: &Node) -> usize {
    match &node.content {
        Content::Scalar(_) => 1,
        Content::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Content::Map(entries) => {
            1 + entries
                .iter()
                .map(|entry| size(&entry.value))
                .sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_document() {
        for (text, path, line) in [
            ("a: 1\na: 2\n", "a", 2),
            ("x:\n  - {b: 1, b: 2}\n", "x[0].b", 2),
            ("a: [1, 2\nb: 3\n", "a[1]", 2),
            ("a: !tag 1\n", "a", 1),
            ("a: 1\n---\nb: 1\n", "", 2),
            ("? [1]\n: 2\n", "", 1),
            ("a: &x [*x]\n", "a[0]", 1),
            ("a: *y\n", "a", 1),
            ("a: &x 1\n<<: *x\n", "", 2),
        ] {
            let error = match parse(text) {
                Ok(mut document) => document.errors.remove(0),
                Err(error) => error,
            };
            assert_eq!(
                (error.path.as_str(), error.mark.line),
                (path, line),
                "{text:?}: {error:?}"
            );
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..20 {
            let inner = format!("*a{}, ", i - 1).repeat(10);
            bomb.push_str(&format!("a{i}: &a{i} [{inner}]\n"));
        }
        assert!(parse(&bomb).unwrap_err().message.contains("more than"));
    }

    #[test]
    fn a_long_mapping_takes_no_longer_than_its_length() {
        // By comparing every key with every other one this would take minutes.
        let text: String = (0..90_000).map(|i| format!("k{i}: 1\n")).collect();
        let Content::Map(entries) = parse(&text).unwrap().root.content else {
            panic!("no map");
        };
        assert_eq!(entries.len(), 90_000);
    }

    #[test]
    fn anchors_and_merges_are_resolved() {
        let text = "base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n";
        let root = parse(text).unwrap().root;
        let Content::Map(entries) = &root.content else {
            panic!("no map");
        };
        let Content::Map(merged) = &entries[1].value.content else {
            panic!("no map");
        };
        let shown: Vec<String> = merged
            .iter()
            .map(|e| match &e.value.content {
                Content::Scalar(s) => format!("{}={}", e.key, s.text),
                _ => e.key.clone(),
            })
            .collect();
        assert_eq!(shown, ["y=3", "x=1"]);
        assert!(matches!(parse("").unwrap().root.content, Content::Map(e) if e.is_empty()));
    }
}
