//! pcapng as drlab writes and reads it: one section, an interface block per vantage, nanoseconds, comments.
