//! `cluster.<name>.upstream_rq_<code>` and the classes of codes.
//!
//! Envoy makes these when the first response with such a code comes, and once more below
//! `external.` or `internal.`, by where the request came from.

crate::stats! {
    /// Responses of a cluster by class; shown once there was one.
    pub enum ResponseClassStat {
        /// Responses with 1xx.
        Rq1xx => counter "upstream_rq_1xx" when_used,
        /// Responses with 2xx.
        Rq2xx => counter "upstream_rq_2xx" when_used,
        /// Responses with 3xx.
        Rq3xx => counter "upstream_rq_3xx" when_used,
        /// Responses with 4xx.
        Rq4xx => counter "upstream_rq_4xx" when_used,
        /// Responses with 5xx.
        Rq5xx => counter "upstream_rq_5xx" when_used,
        /// From the end of a request to the end of its response.
        Time => histogram "upstream_rq_time" ms when_used,
    }
}

crate::stats! {
    /// Responses to requests from one side, below `external`; shown once there was one.
    pub enum ResponseOriginStat {
        /// Responses of any class.
        Completed => counter "upstream_rq_completed" when_used,
    }
}

/// One set for the hundred codes of a class: a class that never comes takes no memory.
macro_rules! class {
    ($(#[$doc:meta])* $name:ident $digit:literal: $($rest:literal)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(
            /// The last two digits of the code.
            pub u8,
        );

        impl crate::Stat for $name {
            const SPECS: &'static [crate::StatSpec] = &crate::placed([
                $(crate::StatSpec::counter(concat!("upstream_rq_", $digit, $rest)).when_used(),)*
            ]);

            fn slot(self) -> usize {
                usize::from(self.0 % 100)
            }
        }
    };
}

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident $digit:literal,)*) => {
        $(class! {
            $(#[$doc])* $name $digit:
            "00" "01" "02" "03" "04" "05" "06" "07" "08" "09"
            "10" "11" "12" "13" "14" "15" "16" "17" "18" "19"
            "20" "21" "22" "23" "24" "25" "26" "27" "28" "29"
            "30" "31" "32" "33" "34" "35" "36" "37" "38" "39"
            "40" "41" "42" "43" "44" "45" "46" "47" "48" "49"
            "50" "51" "52" "53" "54" "55" "56" "57" "58" "59"
            "60" "61" "62" "63" "64" "65" "66" "67" "68" "69"
            "70" "71" "72" "73" "74" "75" "76" "77" "78" "79"
            "80" "81" "82" "83" "84" "85" "86" "87" "88" "89"
            "90" "91" "92" "93" "94" "95" "96" "97" "98" "99"
        })*
    };
}

classes! {
    /// Responses with each of the codes 100 to 199.
    Code1xx "1",
    /// Responses with each of the codes 200 to 299.
    Code2xx "2",
    /// Responses with each of the codes 300 to 399.
    Code3xx "3",
    /// Responses with each of the codes 400 to 499.
    Code4xx "4",
    /// Responses with each of the codes 500 to 599.
    Code5xx "5",
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stat;

    #[test]
    fn a_code_has_the_name_of_its_number() {
        assert_eq!(Code2xx::SPECS[Code2xx(4).slot()].name, "upstream_rq_204");
        assert_eq!(Code5xx::SPECS[Code5xx(99).slot()].name, "upstream_rq_599");
        assert_eq!((Code1xx::SPECS.len(), Code4xx::SPECS.len()), (100, 100));
    }
}
