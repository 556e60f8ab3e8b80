//! `drlab check`: the fact rules on a scenario's planned configuration, without any kernel.

use std::time::Instant;

use super::exit::Exit;
use super::{CheckArguments, ReportFormat, audit, complain_of, print, run, show};
use crate::judge::{Finding, rules};
use crate::plan::{self, Plan};
use crate::report::Expected;
use crate::report::forecast::{self, Forecast, ForecastVerdict, OnlyInALab};

/// Checks what the arguments say.
pub fn check(arguments: &CheckArguments) -> Exit {
    if !arguments.facts.is_empty() {
        return match audit::together(&arguments.facts) {
            Ok((forecast, exit)) => shown(&[forecast], arguments.format).worse(exit),
            Err(exit) => exit,
        };
    }
    let plans = match run::plans(&arguments.scenarios) {
        Ok(plans) => plans,
        Err(exit) => return exit,
    };
    let forecasts: Vec<Forecast> = plans.iter().map(of_plan).collect();
    shown(&forecasts, arguments.format)
}

/// Prints forecasts, and says what they come to.
pub(super) fn shown(forecasts: &[Forecast], format: ReportFormat) -> Exit {
    let style = show::style();
    let text = match (format, forecasts) {
        (ReportFormat::Text, [one]) => Ok(forecast::render(one, &style)),
        (ReportFormat::Text, several) => Ok(forecast::render_all(several, &style)),
        (ReportFormat::Json, all) => forecast::json(all).map_err(|e| Box::new(e) as Box<dyn std::error::Error>),
        (ReportFormat::Junit, all) => forecast::junit(all).map_err(|e| Box::new(e) as Box<dyn std::error::Error>),
    };
    match text {
        Ok(text) => print(&text),
        Err(error) => {
            complain_of(&*error);
            return Exit::Lab;
        }
    }
    if forecasts.iter().all(|f| f.expected.met) { Exit::AsExpected } else { Exit::Broken }
}

/// What the rules foresee of a plan.
fn of_plan(plan: &Plan) -> Forecast {
    let begun = Instant::now();
    let (before, after) = plan::facts::facts(plan);
    let findings = rules::foreseen(&plan::case(plan), &before, &after, &plan::facts::asked(plan));
    let changes = if before == after { "" } else { ", before and after the timeline" };
    let looked_at = format!(
        "{} planned settings on {} nodes{changes}, {} rules",
        before.iter().map(|f| f.statements().len()).sum::<usize>(),
        before.len(),
        rules::ALL.iter().filter(|r| r.seen().why().is_none()).count()
    );
    let (expected, only_in_a_lab) = against(&plan.expect.findings, &findings);
    Forecast {
        schema: forecast::SCHEMA.to_owned(),
        scenario: plan.scenario.clone(),
        title: plan.title.clone(),
        verdict: if findings.is_empty() { ForecastVerdict::Clean } else { ForecastVerdict::Found },
        expected,
        looked_at,
        findings,
        only_in_a_lab,
        assumed: Vec::new(),
        unread: plan
            .with_programs()
            .iter()
            .map(|node| format!("{node}: what its own commands, files and daemons set is known only in a lab"))
            .collect(),
        took_ms: begun.elapsed().as_secs_f64() * 1e3,
    }
}

/// What is foreseen against what the scenario expects of a run. A cause that only shows in a run is no difference.
fn against(wanted: &[String], findings: &[Finding]) -> (Expected, Vec<OnlyInALab>) {
    let mut differences = Vec::new();
    let explained = |f: &&Finding| rules::lessons::is_explained_by(&f.id, wanted);
    for finding in findings.iter().filter(|f| !wanted.contains(&f.id) && !explained(f)) {
        differences.push(format!("finding {} on {} is not expected", finding.id, finding.node));
    }
    let open = wanted.iter().filter(|id| !findings.iter().any(|f| f.id == **id)).map(|id| {
        let why = rules::find(id).and_then(|r| r.seen().why());
        OnlyInALab { id: id.clone(), why: why.unwrap_or("the planned configuration does not show it").to_owned() }
    });
    let open = open.collect();
    (Expected { met: differences.is_empty(), broken: !wanted.is_empty(), differences }, open)
}
