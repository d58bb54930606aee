//! teleport-sim
