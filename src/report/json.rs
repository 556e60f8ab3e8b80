//! `report.json`: the report as it is, for programs.
//!
//! Fields stand in the order of [`Report`], maps in the order of their keys, so equal reports give equal bytes.

use super::Report;

/// The report as indented JSON with a line break at its end.
///
/// # Errors
/// Only where a map's key is no text, which no type of a report has.
pub fn render(report: &Report) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(text)
}

/// Several reports as one JSON array.
///
/// # Errors
/// As [`render`].
pub fn render_all(reports: &[Report]) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(reports)?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::report::{Report, sample};

    #[test]
    fn a_report_reads_back_as_it_was_written() {
        for report in [sample::held(), sample::broken(), sample::undecided(), sample::not_run(), sample::hostile()] {
            let text = render(&report).unwrap();
            assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
            assert_eq!(render(&report).unwrap(), text);
        }
    }

    #[test]
    fn the_promised_keys_stand_first_and_in_order() {
        let text = render(&sample::held()).unwrap();
        let at = |key: &str| text.find(&format!("\n  \"{key}\":")).unwrap_or_else(|| panic!("{key} in {text}"));
        let keys = ["schema", "scenario", "verdict", "substrate", "kernel", "timing_ms", "load", "capture", "checks"];
        assert!(keys.is_sorted_by_key(|key| at(key)));
        assert!(at("findings") < at("facts"));
    }
}
