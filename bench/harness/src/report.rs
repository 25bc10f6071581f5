//! Tables of figures, ratios and targets, in Markdown.
//!
//! The figure to quote is the minimum over the rounds: noise only adds. A gap below [`TIE`] is a
//! tie.

use std::fmt::Write as _;

use crate::run::{ArmOutcome, IdleSample, LoadSample, Outcome, Sample};
use crate::workload::Figure;

/// Two figures closer than this share are the same on a shared machine.
pub const TIE: f64 = 0.15;
/// From this share of foreign work on the proxy core, a figure is marked as disturbed.
const DISTURBED: f64 = 0.05;

/// Something that the subject of a report must reach for some work.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// Its cost as a ratio to that of another family's best arm.
    Ratio {
        /// The other family.
        rival: &'static str,
        /// Most that the ratio may be.
        most: f64,
    },
    /// Resident memory of an idle connection.
    Bytes {
        /// Most bytes per connection.
        most: f64,
    },
}

/// One line about one measurement, for progress output.
#[must_use]
pub(crate) fn describe(sample: &Sample) -> String {
    match sample {
        Sample::Load(load) => {
            // Per request the cost is microseconds, per GB it is seconds: print both readable.
            let cost = if load.cpu < 1e-2 {
                format!("{:.2} us CPU", load.cpu * 1e6)
            } else {
                format!("{:.3} s CPU", load.cpu)
            };
            format!("{cost} per unit, {:.2} units/s, {} errors", load.rate, load.errors)
        }
        Sample::Idle(idle) => format!("{:.2} kB resident per connection", idle.resident / 1e3),
    }
}

/// The whole text for one workload: a table, ratios of `subject` to every other family, and whether
/// the targets are reached.
#[must_use]
pub fn render(outcome: &Outcome, subject: &str, targets: &[Target]) -> String {
    let mut text = format!("\n## {}: {}\n\n", outcome.work, outcome.work.describe());
    match outcome.work.kind.figure() {
        Figure::Connection => idle_table(&mut text, &outcome.arms),
        figure => load_table(&mut text, &outcome.arms, figure),
    }
    for arm in &outcome.arms {
        if let Some(failure) = &arm.failure {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\n{} FAILED: {failure}", arm.name);
        }
    }
    ratios(&mut text, outcome, subject, targets);
    text
}

/// Whether some arm failed, so that the command should not end as a success.
#[must_use]
pub fn any_failure(outcomes: &[Outcome]) -> bool {
    outcomes.iter().flat_map(|outcome| &outcome.arms).any(|arm| arm.failure.is_some())
}

fn load_table(text: &mut String, arms: &[ArmOutcome], figure: Figure) {
    let bulk = figure == Figure::Gigabyte;
    let (unit, scale) = if bulk { ("s/GB", 1.0) } else { ("us/req", 1e6) };
    let rate_unit = if bulk { "GB/s" } else { "req/s" };
    let _ = writeln!(
        text,
        "| arm | CPU {unit} min | med | max | user (advisory) | core busy {unit} | {rate_unit} med \
         | p50 us | p99 us | RSS MB | cgroup MB | log B | errors | foreign |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    );
    for arm in arms {
        let loads: Vec<LoadSample> = loads(arm);
        if loads.is_empty() {
            continue;
        }
        let cost = Spread::of(loads.iter().map(|load| load.cpu * scale));
        let median = |pick: fn(&LoadSample) -> f64| Spread::of(loads.iter().map(pick)).median;
        let optional = |pick: fn(&LoadSample) -> Option<f64>| {
            let known: Vec<f64> = loads.iter().filter_map(pick).collect();
            if known.is_empty() {
                "-".to_owned()
            } else {
                format!("{:.0}", Spread::of(known.into_iter()).median)
            }
        };
        let least = |pick: fn(&LoadSample) -> f64| Spread::of(loads.iter().map(pick)).min;
        let errors: u64 = loads.iter().map(|load| load.errors).sum();
        let foreign = median(|load| load.foreign);
        let _ = writeln!(
            text,
            "| {} | **{}** | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.0} | {errors} \
             | {:.0} %{} |",
            arm.name,
            significant(cost.min),
            significant(cost.median),
            significant(cost.max),
            significant(least(|load| load.user) * scale),
            significant(least(|load| load.core) * scale),
            significant(median(|load| load.rate)),
            optional(|load| load.p50),
            optional(|load| load.p99),
            significant(median(|load| megabytes(load.resident))),
            optional(|load| load.charged.map(megabytes)),
            median(|load| load.logged),
            foreign * 100.0,
            if foreign > DISTURBED { " (disturbed)" } else { "" },
        );
    }
}

fn idle_table(text: &mut String, arms: &[ArmOutcome]) {
    let _ = writeln!(
        text,
        "| arm | RSS kB/connection min | med | cgroup kB/connection | of it kernel |\n\
         |---|---|---|---|---|"
    );
    for arm in arms {
        let idles: Vec<IdleSample> = idles(arm);
        if idles.is_empty() {
            continue;
        }
        let resident = Spread::of(idles.iter().map(|idle| idle.resident / 1e3));
        let optional = |pick: fn(&IdleSample) -> Option<f64>| {
            let known: Vec<f64> = idles.iter().filter_map(pick).collect();
            if known.is_empty() {
                "-".to_owned()
            } else {
                significant(Spread::of(known.into_iter()).min / 1e3)
            }
        };
        let _ = writeln!(
            text,
            "| {} | **{}** | {} | {} | {} |",
            arm.name,
            significant(resident.min),
            significant(resident.median),
            optional(|idle| idle.charged),
            optional(|idle| idle.kernel),
        );
    }
}

fn ratios(text: &mut String, outcome: &Outcome, subject: &str, targets: &[Target]) {
    let Some(own) = best_of(outcome, subject) else { return };
    let mut families: Vec<&str> = Vec::new();
    for arm in &outcome.arms {
        if arm.family != subject && !families.contains(&arm.family.as_str()) {
            families.push(&arm.family);
        }
    }
    text.push('\n');
    for family in families {
        let Some(rival) = best_of(outcome, family) else { continue };
        let ratio = own.cost.min / rival.cost.min;
        let medians = own.cost.median / rival.cost.median;
        let _ = write!(text, "- {} / {} = {ratio:.2} (medians {medians:.2})", own.name, rival.name);
        for target in targets {
            if let Target::Ratio { rival, most } = target
                && *rival == family
            {
                let _ = write!(text, "; must reach <= {most:.2}: {}", verdict(ratio, *most));
            }
        }
        text.push('\n');
    }
    for target in targets {
        if let Target::Bytes { most } = target {
            let verdict = verdict(own.cost.min, *most);
            let kilobytes = most / 1e3;
            let _ = writeln!(text, "- {} must reach <= {kilobytes:.2} kB: {verdict}", own.name);
        }
    }
}

fn verdict(figure: f64, most: f64) -> &'static str {
    if figure <= most {
        "reached"
    } else if figure <= most * (1.0 + TIE) {
        "reached within the tie"
    } else {
        "MISSED"
    }
}

/// The cheapest arm of a family.
struct Best<'a> {
    name: &'a str,
    cost: Spread,
}

fn best_of<'a>(outcome: &'a Outcome, family: &str) -> Option<Best<'a>> {
    outcome
        .arms
        .iter()
        .filter(|arm| arm.family == family && arm.failure.is_none() && !arm.samples.is_empty())
        .map(|arm| Best { name: &arm.name, cost: Spread::of(arm.samples.iter().map(cost)) })
        .min_by(|a, b| a.cost.min.total_cmp(&b.cost.min))
}

fn cost(sample: &Sample) -> f64 {
    match sample {
        Sample::Load(load) => load.cpu,
        Sample::Idle(idle) => idle.resident,
    }
}

fn loads(arm: &ArmOutcome) -> Vec<LoadSample> {
    arm.samples
        .iter()
        .filter_map(|sample| match sample {
            Sample::Load(load) => Some(*load),
            Sample::Idle(_) => None,
        })
        .collect()
}

fn idles(arm: &ArmOutcome) -> Vec<IdleSample> {
    arm.samples
        .iter()
        .filter_map(|sample| match sample {
            Sample::Idle(idle) => Some(*idle),
            Sample::Load(_) => None,
        })
        .collect()
}

/// Least, middle and greatest of some figures; all zero when there are none.
#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else {
            return Self::default();
        };
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Self { min, median, max }
    }
}

/// Three significant digits: more would pretend.
fn significant(figure: f64) -> String {
    let decimals = if figure.abs() >= 100.0 {
        0
    } else if figure.abs() >= 10.0 {
        1
    } else {
        2
    };
    if figure.abs() > 0.0 && figure.abs() < 1.0 {
        format!("{figure:.3}")
    } else {
        format!("{figure:.decimals$}")
    }
}

#[expect(clippy::cast_precision_loss, reason = "a proxy's memory is far below 2^52 bytes")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Workload;

    fn arm(name: &str, family: &str, costs: &[f64]) -> ArmOutcome {
        let sample = |cpu: f64| {
            Sample::Load(LoadSample {
                cpu: cpu * 1e-6,
                user: 0.0,
                core: cpu * 1e-6,
                foreign: 0.0,
                rate: 1000.0,
                p50: Some(10.0),
                p99: None,
                resident: 5_000_000,
                charged: None,
                logged: 0.0,
                errors: 0,
            })
        };
        ArmOutcome {
            name: name.to_owned(),
            family: family.to_owned(),
            samples: costs.iter().map(|cost| sample(*cost)).collect(),
            failure: None,
        }
    }

    /// Breaks if a ratio is taken against a family's dearer arm, or against medians in silence.
    #[test]
    fn ratios_are_minimum_against_the_best_of_the_family() {
        let work: Workload = "tcp64".parse().unwrap();
        let outcome = Outcome {
            work,
            arms: vec![
                arm("envoy", "envoy", &[20.0, 22.0, 30.0]),
                arm("envoy-affinity", "envoy", &[16.0, 18.0, 19.0]),
                arm("nuncio", "nuncio", &[9.0, 8.0, 12.0]),
            ],
        };
        let target = |most| [Target::Ratio { rival: "envoy", most }];
        let text = render(&outcome, "nuncio", &target(0.7));
        assert!(text.contains("nuncio / envoy-affinity = 0.50 (medians 0.50)"), "{text}");
        assert!(text.contains("<= 0.70: reached\n"), "{text}");
        assert!(render(&outcome, "nuncio", &target(0.45)).contains("reached within the tie"));
        assert!(render(&outcome, "nuncio", &target(0.40)).contains("MISSED"));
    }

    /// Breaks if an arm that failed half-way still wins a ratio, or its failure is not shown.
    #[test]
    fn a_failed_arm_is_shown_and_not_compared() {
        let mut broken = arm("envoy", "envoy", &[1.0]);
        broken.failure = Some("it ended by itself".to_owned());
        let outcome = Outcome {
            work: "tcp64".parse().unwrap(),
            arms: vec![broken, arm("nuncio", "nuncio", &[9.0])],
        };
        let text = render(&outcome, "nuncio", &[]);
        assert!(text.contains("envoy FAILED: it ended by itself"));
        assert!(!text.contains("nuncio / envoy"));
        assert!(any_failure(&[outcome]));
    }

    /// Breaks if the median of an even number of rounds is one of the two middle figures.
    #[test]
    fn spread_of_even_and_odd() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0].into_iter());
        assert!((spread.median - 2.5).abs() < 1e-9 && spread.min < 1.1 && spread.max > 3.9);
    }
}
