//! The values that an operator may change while the process runs.

use std::collections::BTreeMap;
use std::fmt;

/// Envoy's `config.bootstrap.v3.LayeredRuntime`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Runtime {
    /// `layers`: a later layer wins. Names are unique and at most one is an admin layer.
    pub layers: Vec<RuntimeLayer>,
}

impl Runtime {
    /// Whether `key` may have a value, now or later.
    #[must_use]
    pub fn may_have(&self, key: &str) -> bool {
        self.layers.iter().any(|layer| match &layer.source {
            RuntimeSource::Static(values) => values.contains_key(key),
            RuntimeSource::Disk(_) | RuntimeSource::Admin => true,
        })
    }
}

/// Envoy's `config.core.v3.RuntimeFeatureFlag`: a switch that the runtime may turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeFlag {
    /// `runtime_key`; empty for a switch that nothing turns.
    pub key: String,
    /// `default_value`: what counts without a value of the runtime.
    pub default: bool,
}

/// Envoy's `config.bootstrap.v3.RuntimeLayer`.
#[derive(Debug, Clone, PartialEq)]
pub struct RuntimeLayer {
    /// `name`; empty only for the layer that stands for a `layers` without any.
    pub name: String,
    /// Where its values come from.
    pub source: RuntimeSource,
}

/// Where a layer's values come from.
#[derive(Debug, Clone, PartialEq)]
pub enum RuntimeSource {
    /// `static_layer`: flat names, `a.b` for `b` in `a`.
    Static(BTreeMap<String, RuntimeValue>),
    /// `disk_layer`.
    Disk(DiskLayer),
    /// `admin_layer`: what `/runtime_modify` sets.
    Admin,
}

/// Envoy's `config.bootstrap.v3.RuntimeLayer.DiskLayer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskLayer {
    /// `symlink_root`: never empty.
    pub symlink_root: String,
    /// `subdirectory`; may be empty.
    pub subdirectory: String,
    /// `append_service_cluster`: read the folder that is named as the service cluster, below.
    pub append_service_cluster: bool,
}

/// A value of the runtime, as `/runtime` shows it by its [`Display`](fmt::Display).
#[derive(Debug, Clone, PartialEq)]
pub enum RuntimeValue {
    /// A number.
    Number(f64),
    /// A boolean.
    Bool(bool),
    /// Anything else; may read as a number or a boolean.
    Text(String),
    /// `{numerator: .., denominator: ..}`, as it was written.
    Fraction(serde_json::Value),
}

impl fmt::Display for RuntimeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => f.write_str(&six_digits(*number)),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Text(text) => f.write_str(text),
            Self::Fraction(json) => write!(f, "{json}"),
        }
    }
}

/// A number with six significant digits, as Envoy shows one (C's `%g`).
fn six_digits(number: f64) -> String {
    let scientific = format!("{number:.5e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let without_zeros = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).unwrap_or(0);
        return without_zeros(&format!("{number:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_envoy_shows_them() {
        for (number, text) in [
            (0.0, "0"),
            (17.0, "17"),
            (-3.0, "-3"),
            (1.5, "1.5"),
            (999_999.0, "999999"),
            (1_000_000.0, "1e+06"),
            (1_234_567.0, "1.23457e+06"),
            (0.0001, "0.0001"),
            (0.000_012, "1.2e-05"),
        ] {
            assert_eq!(six_digits(number), text);
        }
    }
}
