//! Calibrate.
