//! What is wrong with a scenario, and how a reader sees it: file, line, caret, and what to write instead.

use std::fmt;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet, normalize_untrusted_str};
use serde::Serialize;

use super::source::{Path, Source, Span};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// What to write instead, where that is known.
    pub help: Option<String>,
    /// The line, from 1.
    pub line: usize,
    /// The character in it, from 1.
    pub column: usize,
    #[serde(skip)]
    span: Span,
    #[serde(skip)]
    label: Option<String>,
    #[serde(skip)]
    also: Vec<(Span, String)>,
}

/// Everything that is wrong with one scenario, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    name: String,
    text: String,
    list: Vec<Problem>,
}

impl Problems {
    /// None yet, for the text of that name.
    pub fn new(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: text.to_owned(), list: Vec::new() }
    }

    /// The problems, first line first.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The last line: how many there are.
    pub fn summary(&self) -> String {
        let plural = if self.list.len() == 1 { "" } else { "s" };
        format!("{} problem{plural} in {}; nothing was started", self.list.len(), normalize_untrusted_str(&self.name))
    }

    /// All of them as a reader sees them, with the summary as the last line.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut out = String::new();
        for problem in &self.list {
            out.push_str(&self.render_one(&renderer, problem));
            out.push_str("\n\n");
        }
        out.push_str(&self.summary());
        out.push('\n');
        out
    }

    fn render_one(&self, renderer: &Renderer, problem: &Problem) -> String {
        let mut primary = AnnotationKind::Primary.span(self.drawable(&problem.span));
        if let Some(label) = &problem.label {
            primary = primary.label(normalize_untrusted_str(label));
        }
        let also = problem.also.iter().map(|(span, label)| {
            AnnotationKind::Context.span(self.drawable(span)).label(normalize_untrusted_str(label))
        });
        let snippet = Snippet::source(self.text.as_str())
            .path(normalize_untrusted_str(&self.name))
            .annotation(primary)
            .annotations(also);
        let mut group = Level::ERROR.primary_title(normalize_untrusted_str(&problem.message)).element(snippet);
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(normalize_untrusted_str(help)));
        }
        renderer.render(&[group])
    }

    /// The span, ended at its first line's end and moved to whole characters.
    fn drawable(&self, span: &Span) -> Range<usize> {
        let start = floor(&self.text, span.start);
        let end = floor(&self.text, span.end).max(start);
        let line = self.text[start..end].find(['\n', '\r']).map_or(end, |at| start + at);
        start..line
    }

    pub(crate) fn push(&mut self, span: Span, message: String, help: Option<String>) {
        self.add(Problem { message, help, line: 0, column: 0, span, label: None, also: Vec::new() });
    }

    pub(crate) fn file(&mut self, source: &Source, complaint: Complaint) {
        let place = |key: bool, path: &Path| if key { source.key(path) } else { source.value(path) };
        self.add(Problem {
            span: place(complaint.on_key, &complaint.path),
            message: complaint.message,
            help: complaint.help,
            line: 0,
            column: 0,
            label: complaint.label,
            also: complaint.also.into_iter().map(|(key, path, label)| (place(key, &path), label)).collect(),
        });
    }

    fn add(&mut self, mut problem: Problem) {
        let before = &self.text[..floor(&self.text, problem.span.start)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        problem.line = 1 + before.matches('\n').count();
        problem.column = 1 + before[line_start..].chars().count();
        let at = self.list.partition_point(|p| p.span.start <= problem.span.start);
        if !self.list.contains(&problem) {
            self.list.insert(at, problem);
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}

fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

/// A problem that still names its place by path.
#[derive(Debug, Clone)]
pub(crate) struct Complaint {
    pub(crate) path: Path,
    pub(crate) on_key: bool,
    pub(crate) message: String,
    pub(crate) label: Option<String>,
    pub(crate) help: Option<String>,
    pub(crate) also: Vec<(bool, Path, String)>,
    /// What it draws conclusions from, which may be wrong where something there could not be read.
    pub(crate) relies_on: Vec<Path>,
    /// Tables that it takes to have no other names than those that were read.
    pub(crate) relies_on_names: Vec<Path>,
    /// A name that it takes not to be in its table.
    pub(crate) relies_on_name: Option<Path>,
    /// Whether what stands there can't be concluded from.
    pub(crate) spoils: bool,
}

impl Complaint {
    /// About a value.
    pub(crate) fn value(path: &Path, message: impl Into<String>) -> Self {
        Self {
            path: path.clone(),
            on_key: false,
            message: message.into(),
            label: None,
            help: None,
            also: Vec::new(),
            relies_on: Vec::new(),
            relies_on_names: Vec::new(),
            relies_on_name: None,
            spoils: false,
        }
    }

    /// About a key, or about a table as a whole.
    pub(crate) fn key(path: &Path, message: impl Into<String>) -> Self {
        Self { on_key: true, ..Self::value(path, message) }
    }

    /// Words at the caret.
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// What to write instead.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What to write instead, where that is known.
    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// Another value that it has to do with.
    pub(crate) fn also(mut self, path: &Path, label: impl Into<String>) -> Self {
        self.also.push((false, path.clone(), label.into()));
        self
    }

    /// It follows from what is, or is not, at the end of that path and below.
    pub(crate) fn relies_on(mut self, path: &Path) -> Self {
        self.relies_on.push(path.clone());
        self
    }

    /// It follows from what is at the end of these paths, or is not there.
    pub(crate) fn relies_on_all(mut self, paths: impl IntoIterator<Item = Path>) -> Self {
        self.relies_on.extend(paths);
        self
    }

    /// It follows from a name that is *not* in that table, or an item that is not in that list.
    pub(crate) fn relies_on_names(mut self, table: &Path) -> Self {
        self.relies_on_names.push(table.clone());
        self
    }

    /// It follows from that name not being in that table.
    pub(crate) fn relies_on_name(mut self, table: &Path, name: &str) -> Self {
        self.relies_on_name = Some(table.at(name));
        self
    }

    /// What rests on this value is a consequence, and not told.
    pub(crate) fn spoils(mut self) -> Self {
        self.spoils = true;
        self
    }
}
