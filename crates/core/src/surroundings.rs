//! What a node needs from outside: one struct, so that what comes to be needed next changes one place.

use std::sync::Arc;

use crate::{alert::AlertConfig, audit::DeviceFactory, clock::Clock, outbound::Outbound, target::Targets};

/// What core asks of the world around it.
#[derive(Clone)]
pub struct Surroundings {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What opens audit devices.
    pub devices: Arc<dyn DeviceFactory>,
    /// Requests to other systems.
    pub outbound: Arc<dyn Outbound>,
    /// The systems where credentials are valid.
    pub targets: Arc<dyn Targets>,
    /// What an operator says about alerts.
    pub alerts: AlertConfig,
}
