//! cel-rules
