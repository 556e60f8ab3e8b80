//! Samples, their median, and what they are held against.

/// What one thing measured several times came to; empty where it could not be measured.
#[derive(Debug, Clone)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// The middle one, or the mean of the middle two.
    pub(crate) fn median(&self) -> f64 {
        let (low, high) = (self.0.len().saturating_sub(1) / 2, self.0.len() / 2);
        match (self.0.get(low), self.0.get(high)) {
            (Some(low), Some(high)) => f64::midpoint(*low, *high),
            _ => f64::NAN,
        }
    }
}

/// A line of the table of goals.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) what: String,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// The goal, and whether the median may reach it or must stay below.
    pub(crate) goal: Goal,
    /// What was measured.
    pub(crate) samples: Samples,
}

/// What a median is held against.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// Less than this.
    Under(f64),
    /// This at most.
    AtMost(f64),
    /// This at least.
    AtLeast(f64),
    /// None: it is told, and as a ratio kept from growing.
    Less,
}

impl Figure {
    /// One value, or none where it is no number.
    pub(crate) fn once(what: String, unit: &'static str, goal: Goal, value: f64) -> Self {
        let samples = Samples::new([value].into_iter().filter(|value| value.is_finite()).collect());
        Self { what, unit, goal, samples }
    }

    pub(crate) fn reached(&self) -> bool {
        let seen = self.samples.median();
        match self.goal {
            Goal::Under(limit) => seen < limit,
            Goal::AtMost(limit) => seen <= limit,
            Goal::AtLeast(limit) => seen >= limit,
            Goal::Less => true,
        }
    }
}

/// A part of the page: lines for the table of goals, and what else there is to show.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    /// Lines of the table of goals.
    pub(crate) figures: Vec<Figure>,
    /// Markdown below it, under headings of its own.
    pub(crate) details: String,
    /// The guest's kernel, where one was seen.
    pub(crate) guest_kernel: Option<String>,
}

/// A number as a table shows it: three digits at least, none that mean nothing.
pub(crate) fn shown(value: f64) -> String {
    match value.abs() {
        size if size == 0.0 || size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
