//! `runtime.*`
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/operations/runtime#statistics>

crate::stats! {
    /// Stats of the runtime, written on control's shard.
    pub enum RuntimeStat {
        /// 1 while `/runtime_modify` overrides something.
        AdminOverridesActive => gauge "admin_overrides_active",
        /// Times a deprecated feature was used; zero, for none is supported.
        DeprecatedFeatureUse => counter "deprecated_feature_use",
        /// The same as a gauge.
        DeprecatedFeatureSeenSinceProcessStart
            => gauge "deprecated_feature_seen_since_process_start",
        /// Loads in which a disk layer could not be read whole.
        LoadError => counter "load_error",
        /// Other loads: one at the start, one for each change.
        LoadSuccess => counter "load_success",
        /// Keys of all layers together.
        NumKeys => gauge "num_keys",
        /// Layers; a disk layer whose folder is missing is none.
        NumLayers => gauge "num_layers",
        /// Loads with more than one disk layer.
        OverrideDirExists => counter "override_dir_exists",
        /// Other loads.
        OverrideDirNotExists => counter "override_dir_not_exists",
    }
}

/// The prefix of [`RuntimeStat`].
pub const RUNTIME_PREFIX: &str = "runtime";
