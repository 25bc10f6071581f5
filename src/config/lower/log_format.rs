//! The look of the process' own log: `application_log_config.log_format`.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/application_logging>

use super::Lower;
use super::runtime::json_of_struct;
use crate::model;
use crate::typed::envoy::config::bootstrap::v3::bootstrap::ApplicationLogConfig;
use crate::typed::envoy::config::bootstrap::v3::bootstrap::application_log_config::log_format;

/// Flags that write a message as it is, which may break a JSON string.
const UNESCAPED: [&str; 2] = ["%v", "%_"];

const PATH: &str = "application_log_config.log_format";

impl Lower<'_> {
    pub(super) fn log_format(
        &mut self,
        message: Option<&ApplicationLogConfig>,
    ) -> Option<model::LogFormat> {
        match message?.log_format.as_ref()?.log_format.as_ref()? {
            log_format::LogFormat::TextFormat(text) => Some(model::LogFormat::Text(text.clone())),
            log_format::LogFormat::JsonFormat(fields) => {
                let object = json_of_struct(fields).to_string();
                match UNESCAPED.iter().find(|flag| object.contains(*flag)) {
                    Some(flag) => {
                        let text = format!("Usage of {flag} is unavailable for JSON log formats");
                        let hint = "use %j, which escapes the message";
                        self.invalid(&format!("{PATH}.json_format"), text, Some(hint));
                        None
                    }
                    None => Some(model::LogFormat::Json(object)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::lower::lower_yaml;
    use crate::model::LogFormat;

    #[test]
    fn a_text_format_is_kept_and_a_json_format_becomes_an_object() {
        let lowered = |format: &str| {
            let (bootstrap, report) =
                lower_yaml(&format!("application_log_config: {{log_format: {{{format}}}}}"));
            assert!(report.is_empty(), "{report}");
            bootstrap.log_format
        };
        assert_eq!(lowered("text_format: '%l %v'"), Some(LogFormat::Text("%l %v".to_owned())));
        assert_eq!(
            lowered("json_format: {m: '%j', n: {level: '%l', one: 1}, list: [true, null]}"),
            Some(LogFormat::Json(
                r#"{"list":[true,null],"m":"%j","n":{"level":"%l","one":1}}"#.to_owned()
            ))
        );
        assert_eq!(lower_yaml("node: {id: a}").0.log_format, None);
    }

    #[test]
    fn a_flag_that_would_break_the_json_is_refused() {
        for flag in ["%v", "%_"] {
            let yaml = format!(
                "application_log_config:\n  log_format:\n    json_format: {{a: {{b: 'x {flag}'}}}}\n"
            );
            let report = lower_yaml(&yaml).1.to_string();
            assert!(
                report.contains(&format!("Usage of {flag} is unavailable for JSON log formats")),
                "{report}"
            );
            assert!(report.contains("application_log_config.log_format.json_format"), "{report}");
        }
    }
}
