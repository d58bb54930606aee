//! okta-sim
