//! What only the capture shows: a real server that announces a VIP. No fact says what a program sends.

use crate::judge::Input;
use crate::judge::census::{Said, words};
use crate::judge::model::deviation::{Kind, Predicted};
use crate::judge::traffic::Traffic;

/// Adds to what the model predicts.
pub(super) fn add<'a>(input: &'a Input<'a>, predicted: &mut Predicted<'a>) {
    let traffic = Traffic::new(input);
    for word in words(input).iter().filter(|w| w.said == Said::Announced) {
        let Some(speaker) = word.speaker.filter(|s| traffic.is_real_server(s)) else { continue };
        let known = predicted
            .deviations
            .iter()
            .any(|d| d.node == &speaker.node && matches!(d.kind, Kind::Announces { vip, .. } if vip == word.vip));
        if !known {
            let port = speaker.ports.iter().find(|p| p.segment == *word.segment);
            let kind = Kind::Announces { vip: word.vip, frame: word.frame.number };
            predicted.note(&speaker.node, port.map(|p| &p.interface), kind);
        }
    }
}
