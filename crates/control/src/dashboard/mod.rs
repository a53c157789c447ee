//! The dashboard: files that are part of the program.

/// A file that browsers are given.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Its path, with the slash it begins with.
    pub(crate) path: &'static str,
    /// What it is.
    pub(crate) content_type: &'static str,
    /// What is in it.
    pub(crate) content: &'static str,
}

/// Every file of the dashboard.
pub(crate) static ASSETS: &[Asset] = &[];
