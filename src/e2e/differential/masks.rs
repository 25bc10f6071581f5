//! What may differ between the two proxies, in this one place, each with its reason.

use super::stage::Observed;

/// Observations of one scenario that are not compared.
struct Mask {
    scenario: &'static str,
    /// Each observation whose name contains this.
    observations: &'static str,
    /// Why equal values are not to be expected.
    reason: &'static str,
}

const MASKS: &[Mask] = &[
    Mask {
        scenario: "client_closes_with_data_pending",
        observations: "_flow_control_",
        reason: PACE,
    },
    Mask { scenario: "large_transfer", observations: "_flow_control_", reason: PACE },
    Mask { scenario: "slow_reader", observations: "_flow_control_", reason: PACE },
    Mask { scenario: "slow_upstream", observations: "_flow_control_", reason: PACE },
];

const PACE: &str = "how often a watermark is crossed depends on when the kernel takes which bytes; \
                    where it must be crossed, the script checks that";

/// Compares two lists and answers how many observations were equal, or each difference.
pub(super) fn compare(
    scenario: &str,
    expected: &Observed,
    seen: &Observed,
) -> Result<usize, String> {
    let masks = MASKS.iter().filter(|mask| mask.scenario == scenario);
    if let Some(stale) = masks
        .clone()
        .find(|mask| !expected.iter().any(|(name, _)| name.contains(mask.observations)))
    {
        let Mask { observations, reason, .. } = stale;
        return Err(format!("the mask '{observations}' ({reason}) hides nothing"));
    }
    let masked = |name: &str| masks.clone().any(|mask| name.contains(mask.observations));
    let left: Vec<_> = expected.iter().filter(|(name, _)| !masked(name)).collect();
    let right: Vec<_> = seen.iter().filter(|(name, _)| !masked(name)).collect();
    let names = |list: &[(&str, &str)]| list.iter().map(|(name, _)| name.to_string()).collect();
    let (left_names, right_names): (Vec<String>, Vec<String>) = (names(&left), names(&right));
    if left_names != right_names {
        return Err(format!("observed on Envoy: {left_names:?}, here: {right_names:?}"));
    }
    let differences: Vec<String> = left
        .iter()
        .zip(&right)
        .filter(|((_, envoy), (_, here))| envoy != here)
        .map(|((name, envoy), (_, here))| format!("  {name}: Envoy {envoy}, here {here}"))
        .collect();
    if !differences.is_empty() {
        return Err(format!("differs:\n{}", differences.join("\n")));
    }
    if left.is_empty() {
        return Err("nothing was compared".to_owned());
    }
    Ok(left.len())
}
