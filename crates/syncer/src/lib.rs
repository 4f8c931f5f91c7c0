//! syncer
