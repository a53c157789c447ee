//! Why what is wanted cannot be put in force.

use std::error::Error;
use std::fmt;

use plimsoll_config::Diagnostics;

use crate::desired::edit_error::EditError;
use crate::names::NameError;

/// Why something that was wanted is not in force. Then nothing has changed.
#[derive(Debug)]
pub enum ControlError {
    /// The edit cannot be made.
    Edit(EditError),
    /// The file is wrong.
    Configuration(Diagnostics),
    /// A host name has no address.
    Name(NameError),
    /// The data plane cannot follow.
    Plane(String),
    /// The admin API cannot be served as the file wants it.
    Admin(String),
    /// There is no file to reload.
    NoFile,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edit(error) => error.fmt(f),
            Self::Configuration(diagnostics) => write!(f, "the configuration is wrong\n{diagnostics}"),
            Self::Name(error) => error.fmt(f),
            Self::Plane(why) | Self::Admin(why) => f.write_str(why),
            Self::NoFile => f.write_str("there is no file to reload: the program was started with options alone"),
        }
    }
}

impl Error for ControlError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Edit(error) => Some(error),
            Self::Configuration(diagnostics) => Some(diagnostics),
            Self::Name(error) => Some(error),
            Self::Plane(_) | Self::Admin(_) | Self::NoFile => None,
        }
    }
}
