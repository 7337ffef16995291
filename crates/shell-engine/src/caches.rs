//! What commands put into build tools' caches: where it is kept, listed and thrown away.

use std::path::PathBuf;

pub use sandbox::caches::{Kept, clear, list};

/// Where it is kept, below the user's home folder. Not in the private folders, which commands do not see, and not in
/// `~/.cache`, over which a layer from here lies.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let home = home_folder::find().filter(|home| home.is_absolute())?;
    Some(home.join(".local/share").join(crate::private::NAME).join("caches"))
}

/// Throws away what is too large or has not been used for long, while the server goes on.
pub fn trim_in_background() {
    let trim = || folder().iter().for_each(|folder| sandbox::caches::trim(folder));
    // Without a thread it stays until the next start.
    let _ = std::thread::Builder::new().name("caches".into()).spawn(trim);
}
