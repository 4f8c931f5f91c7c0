//! hostclient
