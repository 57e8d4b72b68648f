//! Liquid templates whose output is one JSON value, by construction.
//!
//! `syntax` reads the text into a tree, `render` walks it over the names of `scope` and prints literal text and typed
//! values into a sink: `writer`, which makes JSON, or plain text. Promises: no template and no payload makes a render
//! abort, hang or swell (see [`limits`]); every error names its file, line and column; numbers and the order of members
//! survive untouched. A [`Template`] is `Send` and `Sync`, a render keeps no state outside itself. Not here: which
//! template an event gets.

mod error;
pub mod filters;
pub mod limits;
pub mod number;
mod proof;
mod reads;
mod render;
mod scope;
mod sink;
pub mod syntax;
pub mod value;
mod writer;

pub use writer::DEPTH as OUTPUT_DEPTH;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

pub use proof::{Decision, Finding, Proof, Verdict};
pub use reads::{Read, Shown as ShownPath, Step, is_word};
use sink::Origin;
use syntax::tree::Block;
use syntax::{Calls, Fault, Site, Source, Span};
pub use syntax::{Cause, nearest};
use writer::{Memos, Mended};

use crate::id::Digest;
use crate::json::Ref;

/// Where `include` and `render` find other templates.
pub trait Partials {
    /// The text of the partial of this name and the path that errors show; `None` if there is none.
    fn find(&self, name: &str) -> Option<PartialText>;
    /// The names there are, for suggestions.
    fn names(&self) -> Vec<String>;
}

/// No other templates.
#[derive(Debug, Clone, Copy)]
pub struct NoPartials;

impl Partials for NoPartials {
    fn find(&self, _: &str) -> Option<PartialText> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A partial as it was found.
#[derive(Debug, Clone)]
pub struct PartialText {
    /// What errors call it.
    pub path: String,
    /// The template text.
    pub text: Arc<str>,
}

/// A compiled template, with all partials that it can call. Clones share it.
#[derive(Debug, Clone)]
pub struct Template {
    compiled: Arc<Compiled>,
}

/// The files of a template: itself, then its partials in the order in which calls refer to them.
#[derive(Debug)]
struct Compiled {
    files: Vec<File>,
    hash: Digest,
    /// What its text does, once it was written.
    memos: Arc<Memos>,
}

#[derive(Debug)]
struct File {
    source: Source,
    block: Block,
    calls: Vec<Site>,
}

/// What a template can read. Everything is borrowed; nothing of the payload is copied.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// `payload`: the parsed body.
    pub payload: Payload<'a>,
    /// `event`.
    pub event: EventFacts<'a>,
    /// `headers`, names in lower case.
    pub headers: &'a [(String, String)],
    /// `route`: its name.
    pub route: &'a str,
    /// `target`: its name.
    pub target: &'a str,
    /// `vars`: constants of the configuration.
    pub vars: &'a Map<String, Value>,
}

/// A parsed body: that of an event, or one that was made or changed.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// As it was parsed.
    Parsed(Ref<'a>),
    /// As it was made.
    Made(&'a Value),
}

impl<'a> From<Ref<'a>> for Payload<'a> {
    fn from(payload: Ref<'a>) -> Self {
        Self::Parsed(payload)
    }
}

impl<'a> From<&'a Value> for Payload<'a> {
    fn from(payload: &'a Value) -> Self {
        Self::Made(payload)
    }
}

/// What a template knows of the event: `event.id`, `event.message_id` and so on. `event.cloudevent` comes from the
/// headers.
#[derive(Debug, Clone, Copy)]
pub struct EventFacts<'a> {
    /// `event.id`
    pub id: &'a str,
    /// `event.message_id`
    pub message_id: Option<&'a str>,
    /// `event.source`
    pub source: &'a str,
    /// `event.type`
    pub event_type: &'a str,
    /// `event.received_at`, RFC 3339 in text; also what the filter `date` takes for "now".
    pub received_at: Timestamp,
}

/// Bounds of one render.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderLimits {
    /// Most bytes of output.
    pub output_bytes: usize,
}

/// What a render yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One JSON value, compact.
    pub body: Vec<u8>,
    /// What the writer mended, each kind and place once.
    pub repairs: Vec<Remark>,
}

/// What is to say of a place in a template: what the writer mended, what can fail.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Remark {
    /// What, e.g. `trailing comma dropped`.
    pub what: String,
    /// Which file.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters are meant, over the end of the line if need be.
    pub length: usize,
}

/// An error of a template, at load or at render, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}:{line}:{column}: {message}")]
pub struct TemplateError {
    /// Which file.
    pub path: Box<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Byte offset of what is marked, in the file's text.
    pub offset: usize,
    /// Length in bytes of what is marked.
    pub length: usize,
    /// The same in characters; may reach over the end of the line. A text has fewer than this can count, and an error
    /// with more room in it would be too large to be handed about.
    pub characters: u32,
    /// What is wrong.
    pub message: String,
    /// What would be right, e.g. `did you mean upcase?`.
    pub help: Option<String>,
    /// Who refuses.
    pub cause: Cause,
    /// The line of the template that is marked, for the caret.
    pub source_line: Box<str>,
}

impl Template {
    /// Compiles a template and every partial that it names. Its output is JSON: tags that print HTML are refused.
    ///
    /// # Errors
    /// The first error of the syntax.
    pub fn compile(path: &str, text: &str, partials: &dyn Partials) -> Result<Self, TemplateError> {
        compile(path, text, partials, true)
    }

    /// Compiles plain Liquid, for [`Template::render_text`].
    ///
    /// # Errors
    /// The first error of the syntax.
    pub fn compile_text(
        path: &str,
        text: &str,
        partials: &dyn Partials,
    ) -> Result<Self, TemplateError> {
        compile(path, text, partials, false)
    }

    /// Renders to one JSON value.
    ///
    /// # Errors
    /// What failed and where in the template.
    pub fn render(
        &self,
        scene: &Scene<'_>,
        limits: RenderLimits,
    ) -> Result<Rendered, TemplateError> {
        render::json(&self.compiled, scene, limits.output_bytes)
            .map(|printed| self.rendered(printed))
    }

    /// Renders to one JSON value if that takes little work: some milliseconds at worst. `None` if it takes more or fails;
    /// [`Template::render`] tells which.
    #[must_use]
    pub fn render_briefly(&self, scene: &Scene<'_>, limits: RenderLimits) -> Option<Rendered> {
        let printed = render::json_briefly(&self.compiled, scene, limits.output_bytes).ok()?;
        Some(self.rendered(printed))
    }

    fn rendered(&self, (body, mended): (String, Vec<Mended>)) -> Rendered {
        let remarks = mended.into_iter();
        Rendered {
            body: body.into_bytes(),
            repairs: remarks
                .map(|mended| self.compiled.remark(mended.what, mended.origin))
                .collect(),
        }
    }

    /// Renders as plain Liquid: text, over any globals. "Now" is the time of the call.
    ///
    /// # Errors
    /// What failed and where in the template.
    pub fn render_text(
        &self,
        globals: &Value,
        limits: RenderLimits,
    ) -> Result<String, TemplateError> {
        render::text(&self.compiled, globals, limits.output_bytes)
    }

    /// What holds for every payload. Found anew at each call; bounded, but dearer than a render.
    #[must_use]
    pub fn prove(&self) -> Proof {
        proof::prove(&self.compiled)
    }

    /// Seeks payloads on which the findings of this template's proof really fail; costs some renders.
    pub fn seek_examples(&self, proof: &mut Proof) {
        proof::example::add(self, proof);
    }

    /// Which paths of the payload it reads, each once, at its first place; very many are not all told.
    #[must_use]
    pub fn reads(&self) -> Vec<Read> {
        reads::of(&self.compiled)
    }

    /// The text that it was compiled from, without its partials.
    #[must_use]
    pub fn text(&self) -> &str {
        let first = self.compiled.files.first();
        first.map_or("", |file| &file.source.text)
    }

    /// A hash of the text and of all partials; changes when what it renders may change.
    #[must_use]
    pub fn hash(&self) -> Digest {
        self.compiled.hash
    }
}

impl Compiled {
    fn remark(&self, what: impl Into<String>, origin: Origin) -> Remark {
        let what = what.into();
        let Some(file) = self.files.get(origin.file) else {
            return Remark {
                what,
                path: String::new(),
                line: 1,
                column: 1,
                length: 0,
            };
        };
        let (line, column) = error::place(&file.source.text, origin.span);
        Remark {
            what,
            path: file.source.path.clone(),
            line,
            column,
            length: error::characters(&file.source.text, origin.span),
        }
    }
}

fn compile(
    path: &str,
    text: &str,
    partials: &dyn Partials,
    json: bool,
) -> Result<Template, TemplateError> {
    let mut calls = Calls::default();
    let mut files: Vec<File> = Vec::new();
    let mut source = Source {
        path: path.to_owned(),
        text: Arc::from(text),
    };
    let mut texts = Vec::new();
    let mut total = 0;
    loop {
        let known = calls.names.len();
        let (block, starts) = syntax::parse(&source.text, json, &mut calls)
            .map_err(|fault| TemplateError::new(&source, fault))?;
        texts.push(starts);
        // A partial that is not there is the fault of the file that names it first.
        for (name, span) in calls.names.get(known..).unwrap_or(&[]) {
            if partials.find(name).is_none() {
                let known = partials.names();
                let fault = Fault::new(*span, format!("there is no partial `{name}`"))
                    .suggest(name, known.iter().map(String::as_str));
                return Err(TemplateError::new(&source, fault));
            }
        }
        total += source.text.len();
        if total > limits::ALL_BYTES || files.len() > limits::PARTIALS {
            let fault = Fault::new(
                Span::new(0, 0),
                format!(
                    "the template and its partials are more than {} files or {} bytes",
                    limits::PARTIALS,
                    limits::ALL_BYTES
                ),
            );
            return Err(TemplateError::new(&source, fault));
        }
        files.push(File {
            source,
            block,
            calls: std::mem::take(&mut calls.sites),
        });
        let next = calls.names.get(files.len() - 1);
        let Some(found) = next.and_then(|(name, _)| partials.find(name)) else {
            break;
        };
        source = Source {
            path: found.path,
            text: found.text,
        };
    }
    check_isolation(&files)?;
    let hash = hash(&files);
    Ok(Template {
        compiled: Arc::new(Compiled {
            files,
            hash,
            memos: Arc::new(Memos::new(texts.into_iter())),
        }),
    })
}

/// Refuses `include` in what is reached by `render`: it would see nothing of what it expects.
fn check_isolation(files: &[File]) -> Result<(), TemplateError> {
    let mut seen = vec![[false; 2]; files.len()];
    let mut due = vec![(0, false)];
    while let Some((index, isolated)) = due.pop() {
        let (Some(file), Some(seen)) = (files.get(index), seen.get_mut(index)) else {
            continue;
        };
        let [open, hidden] = seen;
        if std::mem::replace(if isolated { hidden } else { open }, true) {
            continue;
        }
        for call in &file.calls {
            if isolated && !call.isolated {
                let fault = Fault::new(
                    call.span,
                    "`include` cannot stand in a partial that `render` calls",
                )
                .help("use `render` and hand over what it needs: `render 'name', a: b`");
                return Err(TemplateError::new(&file.source, fault));
            }
            due.push((call.partial + 1, isolated || call.isolated));
        }
    }
    Ok(())
}

/// The length of each text is part of what is hashed, so that no two lists of texts look the same.
fn hash(files: &[File]) -> Digest {
    let mut hasher = Sha256::new();
    for file in files {
        hasher.update((file.source.text.len() as u64).to_be_bytes());
        hasher.update(file.source.text.as_bytes());
    }
    Digest::from_bytes(hasher.finalize().into())
}
