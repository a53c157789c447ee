//! A configuration without a file.
