//! Transcripts of writes and who owns what after each.
