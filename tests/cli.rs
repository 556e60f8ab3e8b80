//! What the command line promises, by the real program and without a kernel: words in, text and an exit code out.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is test code, which the lints recognise only in functions marked as tests"
)]

#[path = "cli/import.rs"]
mod import;
#[path = "cli/program.rs"]
mod program;
#[path = "cli/schema.rs"]
mod schema;
#[path = "cli/waiting.rs"]
mod waiting;

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use program::{Place, in_terminal};

const SEVERAL: &str = "fixtures/scenarios/bad/several.toml";

#[test]
fn the_help_has_every_exit_code_and_an_example() {
    let place = Place::new("help");
    let help = place.drlab(&["--help"]).ends_with(0).out;
    for code in [0, 1, 2, 3, 4, 5, 6, 130] {
        assert!(help.lines().any(|line| line.trim().starts_with(&format!("{code}  "))), "{code} is not in\n{help}");
    }
    assert!(help.contains("drlab run lvs-dr") && help.contains("DRLAB_CACHE"), "{help}");
}

#[test]
fn every_command_that_help_lists_has_an_example_of_its_own() {
    let place = Place::new("examples");
    let listed = |words: &[&str]| {
        let help = place.drlab(&[words, &["--help"]].concat()).ends_with(0).out;
        let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap().to_owned();
        commands.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let plain = listed(&[]).into_iter().filter(|name| name != "kernel" && name != "help").map(|name| vec![name]);
    let kernel = listed(&["kernel"]).into_iter().filter(|name| name != "help").map(|name| vec!["kernel".into(), name]);
    for words in plain.chain(kernel) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let help = place.drlab(&[&words, &["--help"][..]].concat()).ends_with(0).out;
        assert!(
            help.contains(&format!("Example:\n  drlab {}", words.join(" "))) || help.contains("Examples:\n"),
            "{help}"
        );
    }
}

#[test]
fn mutations_of_what_only_a_kernel_knows_are_refused() {
    let said = Place::new("unplanned").drlab(&["mutate", "apps/textbook-verbatim", "--list"]).ends_with(2);
    assert!(said.err.contains("commands or a script set up director, rs1, rs2"), "{}", said.err);
}

/// A lab whose real server has the lines given.
fn with_rs1(lines: &str) -> String {
    format!(
        "format = 1\ntitle = \"t\"\nvip = \"172.16.0.66\"\n[segments]\nlan = {{ subnet = \"172.16.0.0/16\" }}\n[nodes]\n\
         client = {{ role = \"client\", segment = \"lan\" }}\ndirector = {{ role = \"director\", segment = \"lan\" }}\n\
         [nodes.rs1]\nrole = \"real-server\"\nsegment = \"lan\"\n{lines}\n"
    )
}

#[test]
fn a_file_that_can_not_be_had_is_told_with_its_line_before_anything_starts() {
    let place = Place::new("beside");
    place.file("latin1.sh", b"#!/bin/sh\necho caf\xe9\n");
    place.file("good.sh", b"#!/bin/sh\ntrue\n");
    place.file("huge.conf", &vec![b'#'; (4 << 20) + 1]);
    fs::create_dir(place.path("folder")).unwrap();
    for (lines, wanted) in [
        ("script = \"missing.sh\"", "could not read the file `missing.sh`: No such file"),
        ("script = \"latin1.sh\"", "could not read the file `latin1.sh`: line 2 is not UTF-8 text"),
        ("files = { \"/etc/x\" = \"huge.conf\" }", "it has 4194305 bytes; at most 4194304 are taken"),
        ("files = { \"/etc/x\" = \"folder\" }", "`folder`: it is a folder"),
        ("files = { \"/etc/x\" = \"/dev/zero\" }", "`/dev/zero`: it is neither a file nor a folder"),
        ("files = { \"/usr/bin/x\" = \"good.sh\" }", "`/usr/bin/x` is in no folder that a node has for itself"),
        ("files = { \"/etc/../x\" = \"good.sh\" }", "`/etc/../x` is no path that a file can be placed at"),
        ("files = { \"/etc/x\" = {} }", "it has neither a text nor a file"),
        ("run = [\" \"]", "the command is empty"),
        ("daemons = [{ name = \"a/b\", command = \"x\" }]", "`a/b` is no name for a daemon"),
    ] {
        let file = place.file("lab.toml", with_rs1(lines).as_bytes());
        let said = place.drlab(&["run", &file]).ends_with(2);
        assert!(said.err.contains(wanted) && said.err.contains("lab.toml:1"), "{lines}: {}", said.err);
        assert!(!place.cache().exists());
    }
    let file = place.file("lab.toml", with_rs1("script = \"good.sh\"").as_bytes());
    let plan = place.drlab(&["plan", &file]).ends_with(0).out;
    assert!(plan.contains("command    script good.sh"), "{plan}");
}

#[test]
fn a_misspelt_scenario_is_bad_usage_and_answered_with_the_near_one() {
    let said = Place::new("misspelt").drlab(&["run", "lvs-rd"]).ends_with(2);
    assert!(said.err.contains("Did you mean `basic/lvs-dr`?"), "{}", said.err);
    assert_eq!(said.out, "");
}

#[test]
fn all_arguments_that_select_nothing_are_told_at_once() {
    let said = Place::new("nothing").drlab(&["run", "lvs-rd", "no-such-thing", "/nonexistent.toml"]).ends_with(2);
    for wanted in ["`lvs-rd`", "`no-such-thing`", "/nonexistent.toml"] {
        assert!(said.err.contains(wanted), "{}", said.err);
    }
}

#[test]
fn a_misspelt_flag_or_command_is_bad_usage() {
    let place = Place::new("flags");
    assert!(place.drlab(&["run", "lvs-dr", "--substrat", "uml"]).ends_with(2).err.contains("'--substrate'"));
    assert!(place.drlab(&["rnu"]).ends_with(2).err.contains("unrecognized subcommand 'rnu'"));
    assert!(place.drlab(&["run", "lvs-dr", "--substrate", "qemuu"]).ends_with(2).err.contains("auto, host, uml"));
    assert!(place.drlab(&["run"]).ends_with(2).err.contains("<SCENARIO>"));
    assert!(place.drlab(&[]).ends_with(2).err.contains("Usage"));
}

#[test]
fn all_mistakes_of_all_scenarios_are_told_at_once_and_nothing_is_touched() {
    let place = Place::new("mistakes");
    let out = place.path("out");
    let other = place.file("other.toml", b"format = 1\ntitle = \"no VIP\"\nvipp = \"172.16.0.66\"\n");
    let said = place.drlab(&["run", SEVERAL, "lvs-dr", &other, "--out", &out]).ends_with(2);
    for mistake in [
        "several.toml:12:1",
        "several.toml:17:11",
        "several.toml:27:1",
        "several.toml:32:11",
        "several.toml:35:13",
        "several.toml:36:24",
        "other.toml:3:1",
    ] {
        assert!(said.err.contains(mistake), "{mistake} is not in\n{}", said.err);
    }
    let caret = said.err.lines().skip_while(|line| !line.contains("12 | colour")).nth(1).unwrap();
    assert!(caret.trim_start_matches([' ', '|']).starts_with("^^^^^^"), "{}", said.err);
    assert!(said.err.contains("did you mean `address`?") && said.err.contains("did you mean `wrr`?"), "{}", said.err);
    assert!(!Path::new(&out).exists(), "the output folder was made");
    assert!(!place.cache().exists(), "the cache was touched");
}

#[test]
fn a_scenario_that_is_no_text_is_told_with_its_line() {
    let place = Place::new("no-text");
    let file = place.file("latin1.toml", b"format = 1\ntitle = \"caf\xe9\"\n");
    for command in ["run", "plan"] {
        let said = place.drlab(&[command, &file]).ends_with(2);
        assert!(said.err.contains("latin1.toml:2: this line is not UTF-8 text"), "{}", said.err);
    }
    assert!(!place.cache().exists());
}

#[test]
fn a_scenario_of_ten_megabytes_is_refused_by_its_size() {
    let place = Place::new("large");
    let file = place.file("large.toml", &b"# nothing at all\n".repeat(10 << 16));
    for command in ["run", "check"] {
        let said = place.drlab(&[command, &file]).ends_with(2);
        assert!(said.err.contains("large.toml is larger than 4194304 bytes, and no scenario"), "{}", said.err);
    }
    assert!(!place.cache().exists());
}

#[test]
fn an_unreadable_path_is_told_with_its_cause() {
    let place = Place::new("unreadable");
    let said = place.drlab(&["plan", "/nonexistent/mine.toml"]).ends_with(2);
    assert!(said.err.contains("could not read /nonexistent/mine.toml\n  caused by: No such file"), "{}", said.err);
    let empty = place.path("empty");
    fs::create_dir(&empty).unwrap();
    assert!(place.drlab(&["run", &empty]).ends_with(2).err.contains("no scenario (*.toml) in"));
}

#[test]
fn explain_says_what_is_proven_what_fools_it_and_where_it_is_from() {
    let place = Place::new("explain");
    let text = place.drlab(&["explain", "mac-rewrite"]).ends_with(0).out;
    for part in ["What it proves", "What would fool it", "usual cause", "Source", "ip_vs_xmit.c"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let said = place.drlab(&["explain", "mac-rewirte"]).ends_with(2);
    assert!(said.err.contains("Did you mean `mac-rewrite`?"), "{}", said.err);
}

#[test]
fn everything_that_explain_lists_can_be_explained() {
    let place = Place::new("explain-all");
    let list = place.drlab(&["explain"]).ends_with(0).out;
    let ids: Vec<&str> = list.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next()).collect();
    assert!(ids.contains(&"direct-return") && ids.contains(&"rs-arp-default"), "{list}");
    for id in ids {
        assert!(place.drlab(&["explain", id]).ends_with(0).out.contains("Source"), "{id}");
    }
}

#[test]
fn a_plan_marks_what_the_roles_implied() {
    let text = Place::new("plan").drlab(&["plan", "lvs-dr"]).ends_with(0).out;
    let implied: Vec<&str> = text.lines().filter(|line| line.trim_start().starts_with("* ")).collect();
    for expected in ["ip_forward 1: a router forwards", "VIP 172.16.0.66/32", "MAC 02:d1:", "default via 172.16.0.1"] {
        assert!(implied.iter().any(|line| line.contains(expected)), "{expected} is not marked in\n{text}");
    }
    let given = |line: &&&str| line.contains("172.16.251.73/16");
    assert_eq!(implied.iter().find(given), None, "the scenario itself gives that address");
}

#[test]
fn a_plan_as_json_is_the_plan() {
    let place = Place::new("plan-json");
    let one = place.drlab(&["plan", "lvs-dr", "--format", "json"]).ends_with(0).json();
    assert_eq!(one["scenario"], "basic/lvs-dr");
    assert_eq!(one["nodes"].as_array().unwrap().len(), 5);
    let several = place.drlab(&["plan", "broken", "--format", "json"]).ends_with(0).json();
    assert!(several.as_array().unwrap().len() > 1);
}

#[test]
fn the_schema_has_every_key_of_every_shipped_scenario() {
    let place = Place::new("schema");
    let schema = place.drlab(&["schema"]).ends_with(0).json();
    assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"), "{}", schema["$schema"]);
    for scenario in drlab::cli::select::shipped() {
        let value = schema::from_toml(&scenario.text);
        let strangers = schema::strangers(&schema, &value);
        assert!(strangers.is_empty(), "{}: not in the schema: {strangers:?}", scenario.name);
    }
    // The walk itself sees a stranger, at any depth.
    let planted = schema::from_toml("[nodes.rs1]\nrole = \"real-server\"\ninterfaces.eth0.colour = 1\n");
    assert_eq!(schema::strangers(&schema, &planted), ["nodes.rs1.interfaces.eth0.colour"]);
}

#[test]
fn the_list_has_every_shipped_scenario_with_its_title() {
    let place = Place::new("list");
    let list = place.drlab(&["list"]).ends_with(0).out;
    for scenario in drlab::cli::select::shipped() {
        let line = list.lines().find(|line| line.split_whitespace().next() == Some(scenario.name.as_str()));
        assert!(line.is_some_and(|line| line.split_whitespace().count() > 2), "{} is not in\n{list}", scenario.name);
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let place = Place::new("pipe");
    for command in ["schema", "list", "plan basic"] {
        let script = format!("{{ {} {command}; echo \"ended with $?\" >&2; }} | true", env!("CARGO_BIN_EXE_drlab"));
        let said = place.command("sh", &["-c", &script]).ends_with(0);
        assert_eq!(said.err, "ended with 0\n", "{command}");
    }
}

#[test]
fn a_result_that_cannot_be_printed_is_an_error() {
    let script = format!("{} list > /dev/full", env!("CARGO_BIN_EXE_drlab"));
    let said = Place::new("full").command("sh", &["-c", &script]).ends_with(5);
    assert!(said.err.contains("could not print the result"), "{}", said.err);
}

#[test]
fn colour_is_for_terminals_and_not_where_no_color_says_so() {
    let place = Place::new("color");
    let plain = place.drlab(&["run", SEVERAL]).ends_with(2);
    assert!(!plain.err.contains('\u{1b}'), "{}", plain.err);
    let shown = in_terminal(&mut place.program(&["run", SEVERAL]));
    assert!(shown.contains("\u{1b}[") && shown.contains("several.toml:12:1"), "{shown}");
    let without = in_terminal(place.program(&["run", SEVERAL]).env("NO_COLOR", "1"));
    assert!(!without.contains('\u{1b}') && without.contains("several.toml:12:1"), "{without}");
}

#[test]
fn the_host_substrate_without_the_rights_is_a_lack() {
    let place = Place::new("host");
    let run = [env!("CARGO_BIN_EXE_drlab"), "run", "lvs-dr", "--substrate", "host"];
    let said = if nix::unistd::geteuid().is_root() {
        let without_rights = ["--bounding-set=-all", "--inh-caps=-all"];
        place.command("setpriv", &[&without_rights[..], &run].concat()).ends_with(4)
    } else {
        place.drlab(&run[1..]).ends_with(4)
    };
    assert!(said.out.contains("NOT RUN") && said.out.contains("the host substrate needs"), "{}", said.out);
    assert!(said.out.contains("drlab run basic/lvs-dr --substrate uml"), "{}", said.out);
}

#[test]
fn a_kernel_that_is_none_is_a_lack_and_named() {
    let place = Place::new("kernel");
    for (kernel, cause) in
        [("/nonexistent", "No such file"), ("/bin/true", "it is no User-Mode Linux"), ("/etc/passwd", "denied")]
    {
        let run = place.program(&["run", "lvs-dr", "--substrate", "uml"]).env("DRLAB_KERNEL", kernel).output().unwrap();
        let said = program::Said::of(run).ends_with(4);
        assert!(said.err.contains(&format!("could not use {kernel} as the kernel, which DRLAB_KERNEL names")));
        assert!(said.err.contains(cause) && said.err.contains("drlab doctor"), "{}", said.err);
    }
}

#[test]
fn a_lack_is_a_document_too_where_one_is_asked_for() {
    let place = Place::new("lack");
    let run = |more: &[&str]| {
        let wanted = ["run", "lvs-dr", "broken/arp", "--substrate", "uml"];
        let run = place.program(&[&wanted, more].concat()).env("DRLAB_KERNEL", "/nonexistent").output().unwrap();
        program::Said::of(run).ends_with(4)
    };
    let reports = run(&["--format", "json"]).json();
    for report in reports.as_array().unwrap() {
        assert_eq!(report["verdict"], "not-run");
        assert!(report["failure"][0].as_str().unwrap().contains("/nonexistent"), "{report}");
    }
    let xml = run(&["--format", "junit"]).out;
    assert!(xml.contains(r#"<testsuite name="basic/lvs-dr" tests="1" skipped="0" errors="1""#), "{xml}");
    let out = place.path("out");
    run(&["--out", &out]);
    assert!(fs::read_to_string(Path::new(&out).join("basic/lvs-dr/report.json")).unwrap().contains("not-run"));
}

#[test]
fn without_apt_no_kernel_is_fetched_and_the_message_says_so() {
    let place = Place::new("no-apt");
    for args in [&["kernel", "fetch"][..], &["run", "lvs-dr", "--substrate", "uml"]] {
        if args[0] == "run" && Path::new("/usr/bin/linux.uml").exists() {
            // Then a run needs nothing fetched.
            continue;
        }
        let run = place.program(args).env("PATH", "/nonexistent").output().unwrap();
        let said = program::Said::of(run).ends_with(4);
        assert!(said.err.contains("could not find apt-get: packages are fetched with Debian's"), "{}", said.err);
    }
}

#[test]
fn without_a_network_no_kernel_is_fetched_and_the_message_says_so() {
    let place = Place::new("no-network");
    place.script(
        "apt-get",
        "echo \"Err:1 http://packages.example.org Temporary failure resolving 'packages.example.org'\"; exit 100",
    );
    let run = place.program(&["kernel", "fetch"]).env("PATH", place.path("bin")).output().unwrap();
    let said = program::Said::of(run).ends_with(4);
    assert!(said.err.contains("could not reach the package servers"), "{}", said.err);
    assert!(said.err.contains("Temporary failure resolving"), "{}", said.err);
}

#[test]
fn a_kernel_that_dies_at_once_is_told_with_its_console() {
    let place = Place::new("panic");
    place.script(
        "linux.uml",
        "[ \"$1\" = --version ] && echo 6.1.0 && exit; echo 'Kernel panic - not syncing: planted'; kill -ABRT $$",
    );
    let mut run = place.program(&["run", "lvs-dr", "--substrate", "uml"]);
    let run = run.env("DRLAB_KERNEL", place.path("bin/linux.uml")).output().unwrap();
    let said = program::Said::of(run).ends_with(5);
    assert!(said.out.contains("ended on its own (signal: 6 (SIGABRT)"), "{}", said.out);
    assert!(said.out.contains("Kernel panic - not syncing: planted"), "{}", said.out);
    let runs = fs::read_dir(place.cache().join("runs")).unwrap().flatten().filter(|entry| entry.path().is_dir());
    assert_eq!(runs.count(), 0);
}

#[test]
fn ctrl_c_while_a_kernel_is_fetched_ends_what_fetches_it() {
    let place = Place::new("fetching");
    let run = waiting::Fetching::begin(&place, &[]);
    kill(run.pid(), Signal::SIGINT).unwrap();
    let said = run.ends().ends_with(130);
    assert!(said.err.contains("drlab: interrupted; no lab was begun"), "{}", said.err);
}

#[test]
fn signals_that_were_ignored_at_the_start_stay_ignored() {
    let place = Place::new("nohup");
    let run = waiting::Fetching::begin(&place, &["INT", "HUP"]);
    for signal in [Signal::SIGINT, Signal::SIGHUP] {
        kill(run.pid(), signal).unwrap();
    }
    run.lets_go();
    // It went on to what the fetching came to.
    let said = run.ends().ends_with(4);
    assert!(said.err.contains("apt-get failed: E: planted"), "{}", said.err);
}

#[test]
fn a_cache_folder_that_cannot_be_written_is_named() {
    let place = Place::new("cache");
    let run =
        place.program(&["run", "lvs-dr", "--substrate", "uml"]).env("DRLAB_CACHE", "/proc/drlab").output().unwrap();
    let said = program::Said::of(run).ends_with(4);
    assert!(said.err.contains("could not use the cache folder /proc/drlab that DRLAB_CACHE names"), "{}", said.err);
}

#[test]
fn an_output_folder_that_cannot_be_written_is_told_before_anything_starts() {
    let place = Place::new("out");
    let said = place.drlab(&["run", "lvs-dr", "--out", "/proc/drlab"]).ends_with(2);
    assert!(said.err.contains("could not use /proc/drlab/basic/lvs-dr to keep results in"), "{}", said.err);
    assert!(!place.cache().exists());
}

#[test]
fn two_scenarios_of_one_name_are_not_kept_in_one_folder() {
    let place = Place::new("one-name");
    let text = fs::read("scenarios/basic/lvs-dr.toml").unwrap();
    let files = ["a", "b"].map(|folder| {
        fs::create_dir(place.path(folder)).unwrap();
        place.file(&format!("{folder}/mine.toml"), &text)
    });
    let said = place.drlab(&["run", &files[0], &files[1], "--out", &place.path("out")]).ends_with(2);
    assert!(said.err.contains("both are named `mine`"), "{}", said.err);
}

#[test]
fn the_part_for_inside_is_not_for_people() {
    let said = Place::new("inside").drlab(&["inside", "--boot", "nothing"]).ends_with(2);
    assert!(said.err.contains("`drlab inside` is started by drlab itself"), "{}", said.err);
}
