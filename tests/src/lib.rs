//! Suites that cross crates; everything is in `tests/`.
