//! Records where the time of a program goes.
