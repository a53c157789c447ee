//! Collects what is wrong with a file and what it needs of the machine, while its settings are read.

use std::ops::Range;

use crate::process::Need;

/// Something wrong at a span of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// The most problems that are reported for one file. Past it a person learns nothing new, and a huge broken file
/// would cost memory.
const MOST_PROBLEMS: usize = 100;

/// Collects the problems of one file.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    problems: Vec<Problem>,
    /// Where the lines of the file end.
    line_ends: Vec<usize>,
    needs: Vec<(Need, Range<usize>)>,
}

impl Reader {
    /// One for the file that says `text`.
    pub(crate) fn of(text: &str) -> Self {
        let line_ends = text.match_indices('\n').map(|(at, _)| at).collect();
        Self { problems: Vec::new(), line_ends, needs: Vec::new() }
    }

    /// The line in which byte `at` of the file stands, counted from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.line_ends.partition_point(|end| *end < at) + 1
    }

    /// The problems found, none if the file is right.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Notes what the setting at `span` needs of the machine.
    pub(crate) fn need(&mut self, span: Range<usize>, need: Need) {
        self.needs.push((need, span));
    }

    /// What was noted so far.
    pub(crate) fn needs(&self) -> &[(Need, Range<usize>)] {
        &self.needs
    }

    /// Whether so much was reported that nothing more will be.
    pub(crate) fn is_full(&self) -> bool {
        self.problems.len() >= MOST_PROBLEMS
    }

    /// How many problems were found so far.
    pub(crate) fn reported(&self) -> usize {
        self.problems.len()
    }

    /// Whether anything was reported inside `span`.
    pub(crate) fn has_problem_in(&self, span: &Range<usize>) -> bool {
        let inside = |problem: &Problem| span.contains(&problem.span.start);
        self.problems.iter().any(inside)
    }

    /// Reports a problem at `span`.
    pub(crate) fn report(&mut self, span: Range<usize>, message: String, help: impl Into<String>) {
        if !self.is_full() {
            let help = Some(help.into()).filter(|help| !help.is_empty());
            self.problems.push(Problem { span, message, help });
        }
    }
}
