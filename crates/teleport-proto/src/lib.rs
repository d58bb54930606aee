//! teleport-proto
