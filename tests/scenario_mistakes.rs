//! Two mistakes in a scenario, one of shape and one of meaning: both are told, and nothing else.
#![expect(clippy::unwrap_used, reason = "a test that can't read its input has failed")]

use std::path::{Path, PathBuf};

use drlab::judge::{checks, rules};
use drlab::scenario::{self, Problems};
use toml::{Table, Value};

fn shipped() -> Vec<(String, Table)> {
    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<PathBuf> =
            entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
        found.retain(|path| path.extension().is_some_and(|e| e == "toml"));
        found.sort();
        found
    }
    let all = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios"));
    all.iter()
        .map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap().parse().unwrap()))
        .collect()
}

fn messages(table: &Table) -> Vec<String> {
    let checks: Vec<&str> = checks::ALL.iter().map(|check| check.id).collect();
    let findings: Vec<&str> = rules::ALL.iter().map(|rule| rule.id).collect();
    let text = toml::to_string(table).unwrap();
    let problems = scenario::load("x.toml", &text, &checks, &findings).err();
    let list = problems.as_ref().map(Problems::list).unwrap_or_default();
    list.iter().map(|problem| problem.message.clone()).collect()
}

/// The table at the end of that way.
fn at<'t>(table: &'t mut Table, path: &[&str]) -> &'t mut Table {
    path.iter().fold(table, |table, part| table.get_mut(*part).unwrap().as_table_mut().unwrap())
}

/// The required keys of a scenario whose loss leaves something to be judged.
fn required(table: &Table) -> Vec<Vec<String>> {
    let names = |key: &str| table[key].as_table().unwrap().keys().cloned().collect::<Vec<_>>();
    let whole = ["format", "title", "vip"].map(|key| vec![key.to_owned()]);
    let subnets = names("segments").into_iter().map(|name| vec!["segments".into(), name, "subnet".into()]);
    let roles = names("nodes").into_iter().map(|name| vec!["nodes".into(), name, "role".into()]);
    whole.into_iter().chain(subnets).chain(roles).collect()
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Remove,
    Misspell,
    WrongType,
}

const WAYS: [Way; 3] = [Way::Remove, Way::Misspell, Way::WrongType];

/// Breaks the key, and says how what is told begins.
fn break_it(table: &mut Table, path: &[String], way: Way) -> String {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let (key, above) = path.split_last().unwrap();
    let holder = at(table, above);
    let value = holder.remove(*key).unwrap();
    match way {
        Way::Remove => {
            let place = if above.is_empty() { "the scenario".to_owned() } else { format!("`{}`", above.join(".")) };
            format!("{place} has no `{key}`")
        }
        Way::Misspell => {
            let misspelt = format!("{key}{}", &key[key.len() - 1..]);
            holder.insert(misspelt.clone(), value);
            format!("unknown key `{misspelt}`")
        }
        Way::WrongType => {
            holder.insert((*key).to_owned(), Value::Boolean(true));
            format!("`{}` is a boolean, not ", path.join("."))
        }
    }
}

/// Where a node says of an interface on a segment what is in that table.
fn ports(table: &Table) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (name, node) in table["nodes"].as_table().unwrap() {
        let node = node.as_table().unwrap();
        if node.contains_key("segment") {
            found.push(vec!["nodes".to_owned(), name.clone()]);
        }
        for (interface, said) in node.get("interfaces").and_then(Value::as_table).into_iter().flatten() {
            if said.get("segment").is_some() {
                found.push(vec!["nodes".to_owned(), name.clone(), "interfaces".to_owned(), interface.clone()]);
            }
        }
    }
    found
}

/// Scenarios with one mistake of meaning that has nothing to do with that key, and how what is told of it begins.
fn mistaken(sound: &Table, broken: &[String]) -> Vec<(Table, String)> {
    let mut found = Vec::new();
    let ports = ports(sound);
    let elsewhere = |port: &&Vec<String>| broken[0] != "nodes" || port[1] != broken[1];
    let holder =
        |table: &mut Table, port: &[String]| at(table, &port.iter().map(String::as_str).collect::<Vec<_>>()).clone();
    let change = |port: &[String], key: &str, value: &str| {
        let mut table = sound.clone();
        at(&mut table, &port.iter().map(String::as_str).collect::<Vec<_>>()).insert(key.to_owned(), value.into());
        table
    };
    if let Some(port) = ports.iter().rfind(elsewhere) {
        found.push((change(port, "segment", "nowhere"), "`nowhere` is no segment of this scenario".to_owned()));
    }
    let addressed: Vec<(&Vec<String>, String, String)> = ports
        .iter()
        .filter_map(|port| {
            let held = holder(&mut sound.clone(), port);
            let text = |key: &str| held.get(key).and_then(Value::as_str).map(str::to_owned);
            Some((port, text("segment")?, text("address")?))
        })
        .collect();
    let judged = |segment: &str| broken[0] != "segments" || broken[1] != segment;
    if let Some((port, _, address)) = addressed.iter().rfind(|(p, s, _)| elsewhere(p) && judged(s)) {
        let outside = if address.contains(':') { "2001:db8:ffff::9" } else { "198.18.77.9" };
        found.push((change(port, "address", outside), format!("{outside} is outside ")));
    }
    for (at, (port, segment, address)) in addressed.iter().enumerate() {
        let twin = addressed[..at].iter().find(|(other, theirs, _)| theirs == segment && other[1] != port[1]);
        if let Some((other, _, theirs)) = twin
            && theirs.contains(':') == address.contains(':')
        {
            let message = format!("`{}` and `{}` have one address, ", other[1], port[1]);
            found.push((change(port, "address", theirs), message));
            break;
        }
    }
    let mut table = sound.clone();
    let name = sound["nodes"].as_table().unwrap().keys().next_back().unwrap().clone();
    let node = at(&mut table, &["nodes", &name]);
    let interfaces = node.entry("interfaces").or_insert_with(|| Table::new().into()).as_table_mut().unwrap();
    interfaces.insert("dummy-with-a-long-name".into(), Table::from_iter([("kind".to_owned(), "dummy".into())]).into());
    found.push((table, "`dummy-with-a-long-name` has 22 characters".into()));
    found
}

#[test]
fn a_required_key_that_is_broken_hides_no_other_mistake_and_makes_none() {
    // In turn: in some scenario every way meets every mistake and every kind of key.
    let mut turn = 0;
    for (name, sound) in shipped() {
        for path in required(&sound) {
            let way = WAYS[turn % WAYS.len()];
            let told = |table: &Table, mistake: Option<&str>| {
                let mut table = table.clone();
                let wanted = break_it(&mut table, &path, way);
                let all = messages(&table);
                let fits = |start: &str| all.iter().filter(|message| message.starts_with(start)).count() == 1;
                let right = fits(&wanted) && mistake.is_none_or(fits) && all.len() == 1 + mistake.iter().len();
                assert!(right, "{name}: {path:?} {way:?}, wanted `{wanted}` and {mistake:?}, told {all:#?}");
            };
            told(&sound, None);
            let mistakes = mistaken(&sound, &path);
            let (table, mistake) = &mistakes[turn / WAYS.len() % mistakes.len()];
            told(table, Some(mistake));
            turn += 1;
        }
    }
    assert!(turn > 300, "{turn}");
}

#[test]
fn each_mistake_of_meaning_alone_is_told_alone() {
    for (name, sound) in shipped() {
        assert_eq!(messages(&sound), [""; 0], "{name}");
        for (table, mistake) in mistaken(&sound, &["title".to_owned()]) {
            let all = messages(&table);
            assert!(all.len() == 1 && all[0].starts_with(&mistake), "{name}: `{mistake}`, told {all:#?}");
        }
    }
}

#[test]
fn a_table_that_is_misspelt_or_not_there_makes_no_mistakes_of_its_own() {
    for (name, sound) in shipped() {
        for path in [vec!["segments".to_owned()], vec!["nodes".to_owned()]] {
            for way in WAYS {
                let mut table = sound.clone();
                let wanted = break_it(&mut table, &path, way);
                let all = messages(&table);
                assert!(all.len() == 1 && all[0].starts_with(&wanted), "{name}: {path:?} {way:?}, told {all:#?}");
            }
        }
    }
}
