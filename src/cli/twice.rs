//! `drlab run --seed --twice`: whether a run is the same each time, and what makes it differ where it is not.
//!
//! Errs towards naming too little: the first frame that differs tells a node, not the program.

use std::path::{Path, PathBuf};

use super::complain_of;
use super::exit::Exit;
use super::run::{Done, Ground};
use crate::lab::once::{self, CaptureError};
use crate::plan::Plan;
use crate::report::{self, Report, RunVerdict};
use crate::trace::{Frame, Trace};
use crate::wire::frame::Direction;

/// Makes two passes and gives the first; a difference is one of what is expected. `capture` is where the first one's is
/// kept, where it is.
pub(super) fn run(
    plan: &Plan,
    ground: &Ground,
    capture: Option<PathBuf>,
    pass: &mut dyn FnMut(Option<PathBuf>) -> Done,
) -> Done {
    let folder = match ground.folder(plan) {
        Ok(folder) => folder,
        Err(done) => return *done,
    };
    let once = capture.unwrap_or_else(|| folder.path().join("once.pcapng"));
    let again = folder.path().join("again.pcapng");
    let (mut first, exit) = pass(Some(once.clone()));
    if first.verdict == RunVerdict::NotRun {
        return (first, exit);
    }
    let (second, second_exit) = pass(Some(again.clone()));
    if second.verdict == RunVerdict::NotRun {
        return (second, second_exit);
    }
    match difference(&first, &second, &once, &again) {
        Ok(None) => {
            first.same_twice = true;
            (first, exit)
        }
        Ok(Some(difference)) => {
            first.expected.met = false;
            first.expected.differences.push(difference);
            (first, exit.worse(Exit::Broken))
        }
        Err(error) => {
            complain_of(&error);
            (first, exit.worse(Exit::Lab))
        }
    }
}

fn difference(first: &Report, second: &Report, once: &Path, again: &Path) -> Result<Option<String>, CaptureError> {
    let (once, again) = (once::read(once)?.trace, once::read(again)?.trace);
    if let Some(difference) = of_frames(&once, &again) {
        return Ok(Some(difference));
    }
    let (Ok(first), Ok(second)) = (report::json::render(first), report::json::render(second)) else { return Ok(None) };
    Ok(of_texts(&first, &second))
}

/// The first frame that is not the same.
fn of_frames(first: &Trace, second: &Trace) -> Option<String> {
    let same = |one: &Frame, other: &Frame| {
        let at = |trace: &Trace, frame: &Frame| trace.vantages.get(frame.vantage).cloned();
        at(first, one) == at(second, other) && (one.at_ns, &one.data) == (other.at_ns, &other.data)
    };
    let differs = first.frames.iter().zip(&second.frames).find(|(one, other)| !same(one, other));
    let Some((one, other)) = differs else {
        let (count, later) = (first.frames.len(), second.frames.len());
        return (count != later)
            .then(|| format!("a second run by this seed has {later} frames, and the first {count}"));
    };
    let node = first.vantages.get(one.vantage).map(|vantage| vantage.node.to_string()).unwrap_or_default();
    let what = if one.data == other.data { "comes at another time" } else { "is another one" };
    let who = match one.direction {
        Direction::Out => format!("{node} sent it: what runs there goes"),
        Direction::In | Direction::Unknown => format!("it is seen at {node}: something before it goes"),
    };
    Some(format!(
        "frame {} {what} in a second run by this seed; {who} by something that no seed fixes, as the machine's clock, \
         hardware random numbers or files that change",
        one.number
    ))
}

/// The first line that is not the same.
fn of_texts(first: &str, second: &str) -> Option<String> {
    let differs = first.lines().zip(second.lines()).find(|(one, other)| one != other);
    let (one, other) = differs?;
    let (one, other) = (one.trim(), other.trim());
    Some(format!("a second run by this seed has the same frames, and its report says `{other}` in place of `{one}`"))
}

#[cfg(test)]
mod tests {
    use super::{of_frames, of_texts};
    use crate::trace::{RawFrame, Trace, Vantage};
    use crate::wire::frame::Direction;

    fn trace(frames: &[(u64, &[u8])]) -> Trace {
        let vantage = Vantage { node: "rs1".parse().unwrap(), interface: "eth0".parse().unwrap() };
        let raw = |(at_ns, data): &(u64, &[u8])| RawFrame {
            vantage: 0,
            direction: Direction::Out,
            at_ns: *at_ns,
            length: 60,
            data: data.to_vec(),
        };
        Trace::build(vec![vantage], frames.iter().map(raw).collect::<Vec<_>>())
    }

    #[test]
    fn the_same_frames_at_the_same_times_are_no_difference() {
        let frames: &[(u64, &[u8])] = &[(1, &[1; 60]), (2, &[2; 60])];
        assert_eq!(of_frames(&trace(frames), &trace(frames)), None);
    }

    #[test]
    fn the_first_frame_that_differs_names_its_node() {
        let once = trace(&[(1, &[1; 60]), (2, &[2; 60]), (3, &[3; 60])]);
        let bytes = of_frames(&once, &trace(&[(1, &[1; 60]), (2, &[9; 60]), (3, &[9; 60])])).unwrap();
        assert!(bytes.starts_with("frame 2 is another one") && bytes.contains("rs1 sent it"), "{bytes}");
        let time = of_frames(&once, &trace(&[(1, &[1; 60]), (2, &[2; 60]), (4, &[3; 60])])).unwrap();
        assert!(time.starts_with("frame 3 comes at another time"), "{time}");
        let fewer = of_frames(&once, &trace(&[(1, &[1; 60])])).unwrap();
        assert!(fewer.contains("has 1 frames, and the first 3"), "{fewer}");
    }

    #[test]
    fn a_report_that_differs_is_quoted() {
        assert_eq!(of_texts("a\nb", "a\nb"), None);
        assert!(of_texts("a\n  b", "a\n  c").unwrap().contains("`c` in place of `b`"));
    }
}
