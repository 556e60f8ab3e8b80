//! Directors on which keepalived itself runs.
//!
//! Owns: whether it can run in a lab, what it reads there, and when it is ready. Errs towards retelling: a check or a
//! script that nothing in the lab answers would be taken for a mistake of the configuration.

use super::super::heard::Vrrp;
use super::super::parts::{Conf, Host};
use super::super::{Format, ImportError, Keepalived};
use super::director::{hear_each_other, is_master};
use super::{Daemon, Scene, Source, Stage};

/// Folders in which a node can have files of its own.
const PLACES: [&str; 6] = ["/etc/", "/opt/", "/srv/", "/home/", "/usr/local/", "/var/"];

/// Whether keepalived runs in the lab. Where it could and does not, the reason is told.
///
/// # Errors
/// [`ImportError::CantRun`], where it is wanted in any case.
pub(super) fn runs(stage: &Stage<'_>, scene: &mut Scene) -> Result<bool, ImportError> {
    let with_conf: Vec<(&Host, &Conf)> =
        stage.directors.iter().filter_map(|host| Some((host, host.conf.as_ref()?))).collect();
    if with_conf.is_empty() || stage.request.keepalived == Keepalived::Retold {
        return Ok(false);
    }
    let barred = with_conf.iter().find_map(|(host, conf)| Some((*host, bar(host, conf)?)));
    if stage.request.keepalived == Keepalived::Real {
        return match barred {
            Some((host, why)) => Err(ImportError::CantRun { node: host.name.clone(), why }),
            None => Ok(true),
        };
    }
    let beyond = || {
        let mut all = with_conf.iter().flat_map(|(host, conf)| conf.beyond.iter().map(move |one| (*host, one)));
        let (host, (place, what)) = all.next()?;
        let more = all.count();
        let more = if more == 0 { String::new() } else { format!(", and {more} more of the kind") };
        Some((host, format!("{what} ({}){more}; that is on your own machines only", stage.sources.at(place))))
    };
    let unsettled = || with_conf.iter().find_map(|(host, _)| Some((*host, unsettled(stage, host)?)));
    let why_not = barred.or_else(beyond).or_else(unsettled);
    if let Some((host, why)) = &why_not {
        scene.assume(format!(
            "{}: keepalived itself does not run, all real servers are up: {why} (--keepalived real: it runs all the same)",
            host.name
        ));
    }
    Ok(why_not.is_none())
}

/// Why it can't run at all.
fn bar(host: &Host, conf: &Conf) -> Option<String> {
    if conf.heads > 1 {
        return Some("it has several configurations, and the daemon reads one; include one in the other".to_owned());
    }
    if host.balanced_by.iter().any(|format| *format != Format::Keepalived) {
        return Some("virtual services are in other files of it as well, and the daemon keeps the table".to_owned());
    }
    let far = conf.files.iter().find(|(_, path)| !PLACES.iter().any(|place| path.starts_with(place)));
    far.map(|(_, path)| format!("it includes {path}, which is in no folder that a node has for itself"))
}

/// Why it is not settled who will be the master.
fn unsettled(stage: &Stage<'_>, host: &Host) -> Option<String> {
    let others = || stage.directors.iter().filter(|other| other.name != host.name);
    let pairs =
        host.vrrps.iter().flat_map(|mine| others().flat_map(move |other| other.vrrps.iter().map(move |v| (mine, v))));
    let odd = |(mine, theirs): &(&Vrrp, &Vrrp)| {
        let wins = is_master(stage, host, mine);
        let late = !mine.master || mine.yields || mine.priority == theirs.priority;
        wins && hear_each_other(mine, theirs) && theirs.master && late
    };
    let (mine, _) = pairs.into_iter().find(odd)?;
    Some(format!("vrrp_instance {}: who is the master depends on who is started first", mine.name))
}

/// The keepalived of a Director.
pub(super) fn of(stage: &Stage<'_>, host: &Host, conf: &Conf) -> Daemon {
    let source = |file: usize| match stage.paths.get(file).cloned().flatten() {
        Some(path) => Source::Path(path),
        None => Source::Text(stage.sources.text(file).to_owned()),
    };
    let mastered = host.vrrps.iter().rfind(|vrrp| is_master(stage, host, vrrp));
    let ready = match mastered {
        Some(vrrp) if vrrp.addresses.is_empty() => Some(format!("({}) Entering MASTER STATE", vrrp.name)),
        // That is announced once the addresses are there; the state is told of before.
        Some(vrrp) => Some(format!("({}) Sending/queueing", vrrp.name)),
        None if host.vrrps.is_empty() => Some("Startup complete".to_owned()),
        None => Some("Entering BACKUP STATE".to_owned()),
    };
    Daemon {
        id: stage.request.id.clone().filter(|id| *id != host.name),
        files: conf.files.iter().map(|(file, path)| (path.clone(), source(*file))).collect(),
        ready,
        second: mastered.is_none() && !host.vrrps.is_empty(),
    }
}
