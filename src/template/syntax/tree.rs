//! The tree of a template. Every node and expression knows its place in the text.

use super::Span;
use super::expression::{Condition, Expression, Filtered};

/// Nodes one after the other.
#[derive(Debug, Clone, Default)]
pub struct Block {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Whether it can print nothing but white space.
    pub blank: bool,
}

/// A part of a template.
#[derive(Debug, Clone)]
pub struct Node {
    /// The tag, the output or the text.
    pub span: Span,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// Literal text: the node's span of the source.
    Text,
    /// `{{ … }}` or `echo`.
    Output(Filtered),
    /// `if` and `unless`, with their `elsif` and `else`.
    If(Vec<Branch>),
    /// `case`.
    Case(Box<Case>),
    /// `for`.
    For(Box<For>),
    /// `tablerow`.
    TableRow(Box<TableRow>),
    /// `assign`.
    Assign(Assign),
    /// `capture`: text.
    Capture(Target, Block),
    /// `json`: one typed value.
    Json(Target, Block),
    /// `cycle`.
    Cycle(Cycle),
    /// `increment`.
    Increment(Target),
    /// `decrement`.
    Decrement(Target),
    /// `include` and `render`.
    Call(Box<Call>),
    /// `ifchanged`.
    IfChanged(Block),
    /// `liquid`: its lines.
    Liquid(Block),
    /// `break`.
    Break,
    /// `continue`.
    Continue,
    /// `comment`, `doc`, `#`: nothing; kept so that walkers see everything.
    Nothing,
}

/// The name that a tag sets.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it stands.
    pub span: Span,
    /// The name.
    pub name: String,
}

/// One branch of `if` or `unless`; the first that holds is taken.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Where its tag stands.
    pub span: Span,
    /// When it is taken; `None`: `else`.
    pub condition: Option<Condition>,
    /// Whether the condition must fail instead (`unless`).
    pub negated: bool,
    /// What it holds.
    pub block: Block,
}

/// `case`: every arm that matches is taken, once for each of its values that equals the subject; `else` arms are taken if
/// none before them was.
#[derive(Debug, Clone)]
pub struct Case {
    /// What is compared.
    pub subject: Expression,
    /// `when` and `else`.
    pub arms: Vec<Arm>,
}

/// An arm of `case`.
#[derive(Debug, Clone)]
pub struct Arm {
    /// Where its tag stands.
    pub span: Span,
    /// The values of `when`; `None`: `else`.
    pub values: Option<Vec<Expression>>,
    /// What it holds.
    pub block: Block,
}

/// `for`.
#[derive(Debug, Clone)]
pub struct For {
    /// The loop's variable.
    pub target: Target,
    /// What it runs through and how.
    pub over: Over,
    /// `VARIABLE-COLLECTION`, which is `forloop.name` and what `offset: continue` goes by.
    pub name: String,
    /// The body.
    pub block: Block,
    /// `else`, for when there is nothing to run through.
    pub otherwise: Option<Block>,
}

/// What a loop runs through.
#[derive(Debug, Clone)]
pub struct Over {
    /// The collection.
    pub collection: Expression,
    /// Whether from the end to the start.
    pub reversed: bool,
    /// `limit:`
    pub limit: Option<Expression>,
    /// `offset:`
    pub offset: Option<Offset>,
}

/// `offset:` of a loop.
#[derive(Debug, Clone)]
pub enum Offset {
    /// `offset: continue`: where the last loop of the same name ended.
    Continue,
    /// A number.
    At(Expression),
}

/// `tablerow`.
#[derive(Debug, Clone)]
pub struct TableRow {
    /// The loop's variable.
    pub target: Target,
    /// What it runs through.
    pub over: Over,
    /// `cols:`
    pub cols: Option<Expression>,
    /// `VARIABLE-COLLECTION`, which is what `offset: continue` goes by.
    pub name: String,
    /// The content of a cell.
    pub block: Block,
}

/// `assign`.
#[derive(Debug, Clone)]
pub struct Assign {
    /// The name.
    pub target: Target,
    /// The value.
    pub value: Filtered,
}

/// `cycle`.
#[derive(Debug, Clone)]
pub struct Cycle {
    /// The group's name, if it has one.
    pub group: Option<Expression>,
    /// What tells a group without a name from others: its values; `None` if there are variables among them, which makes
    /// each such tag a group of its own.
    pub written: Option<String>,
    /// The values.
    pub values: Vec<Expression>,
}

/// `include` or `render`.
#[derive(Debug, Clone)]
pub struct Call {
    /// Whether the partial sees nothing of the caller's variables (`render`).
    pub isolated: bool,
    /// The partial's name.
    pub name: Target,
    /// Which of the template's partials it is; set when all are compiled.
    pub partial: usize,
    /// `with` or `for`, and the name that the partial knows the value by.
    pub bound: Option<Bound>,
    /// The named arguments.
    pub arguments: Vec<(Target, Expression)>,
}

/// The value that a partial is called with.
#[derive(Debug, Clone)]
pub struct Bound {
    /// The value.
    pub value: Expression,
    /// Whether once for each item (`for`).
    pub each: bool,
    /// What the partial calls it.
    pub alias: String,
}

impl Block {
    /// Drops the literal text: what is left of a block that is blank.
    pub(super) fn drop_text(&mut self) {
        self.nodes
            .retain(|node| !matches!(node.kind, NodeKind::Text));
    }
}

impl Node {
    /// Whether it can print nothing but white space. Of text, the parser knows more: whether it is `raw`.
    pub(super) fn is_blank(&self) -> bool {
        match &self.kind {
            NodeKind::Assign(_)
            | NodeKind::Capture(..)
            | NodeKind::Json(..)
            | NodeKind::Nothing => true,
            NodeKind::If(branches) => branches.iter().all(|branch| branch.block.blank),
            NodeKind::Case(case) => case.arms.iter().all(|arm| arm.block.blank),
            NodeKind::For(for_) => {
                for_.block.blank && for_.otherwise.as_ref().is_none_or(|block| block.blank)
            }
            // So Liquid has it: what a table prints itself does not count.
            NodeKind::TableRow(row) => row.block.blank,
            NodeKind::IfChanged(block) | NodeKind::Liquid(block) => block.blank,
            NodeKind::Text
            | NodeKind::Output(_)
            | NodeKind::Cycle(_)
            | NodeKind::Increment(_)
            | NodeKind::Decrement(_)
            | NodeKind::Call(_)
            | NodeKind::Break
            | NodeKind::Continue => false,
        }
    }
}
