//! Sessions of the revisions that have them, in a folder: a server that is started again, or another one that shares
//! the folder, goes on with them.
//!
//! Whoever has the folder's files can go on with the sessions, so it is the server's own.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rmcp::transport::streamable_http_server::session::{SessionState, SessionStore, SessionStoreError};

use super::weight::MOST_KEPT_BYTES;

/// What a session's file is no longer than, in bytes: it has what the client says at its beginning.
const MAX_BYTES: u64 = 2 * MOST_KEPT_BYTES as u64;

/// How long a session is kept that nobody goes on with.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Sessions in a folder, a file for each.
#[derive(Debug)]
pub(super) struct FolderStore {
    folder: PathBuf,
}

impl FolderStore {
    /// In this folder, which must exist. What has been there for too long is removed.
    pub(super) fn new(folder: PathBuf) -> FolderStore {
        let store = FolderStore { folder };
        if let Err(error) = store.prune(SystemTime::now()) {
            tracing::warn!(%error, folder = %store.folder.display(), "old sessions cannot be removed");
        }
        store
    }

    fn prune(&self, now: SystemTime) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let age = entry.metadata()?.modified().ok().and_then(|time| now.duration_since(time).ok());
            if age.is_some_and(|age| age > KEPT) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Where a session is; `None`: it cannot be one of ours.
    fn file(&self, id: &str) -> Option<PathBuf> {
        let is_ours = id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        is_ours.then(|| self.folder.join(id))
    }

    fn read(&self, id: &str) -> io::Result<Option<SessionState>> {
        let Some(path) = self.file(id) else { return Ok(None) };
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.len() <= MAX_BYTES => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let state = serde_json::from_slice(&std::fs::read(&path)?)?;
        // It is used, so it is not old.
        std::fs::OpenOptions::new().append(true).open(&path)?.set_modified(SystemTime::now())?;
        Ok(Some(state))
    }

    fn write(&self, id: &str, state: &SessionState) -> io::Result<()> {
        let path = self.file(id).ok_or_else(|| io::Error::other("no session's name"))?;
        let text = serde_json::to_vec(state)?;
        if u64::try_from(text.len()).is_ok_and(|length| length > MAX_BYTES) {
            return Err(io::Error::other("the client has said too much"));
        }
        write_whole(&path, &text)
    }
}

/// Writes a file of the server's own: readers see all of it, or none.
pub(super) fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("new-{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(&temporary)?.write_all(text)?;
    std::fs::rename(&temporary, path)
}

#[async_trait::async_trait]
impl SessionStore for FolderStore {
    async fn load(&self, id: &str) -> Result<Option<SessionState>, SessionStoreError> {
        Ok(self.read(id)?)
    }

    async fn store(&self, id: &str, state: &SessionState) -> Result<(), SessionStoreError> {
        Ok(self.write(id, state)?)
    }

    async fn delete(&self, id: &str) -> Result<(), SessionStoreError> {
        match self.file(id).map(std::fs::remove_file) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            Some(Ok(()) | Err(_)) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmcp::model::InitializeRequestParams;

    const ID: &str = "0190c5a2-0000-4000-8000-00000000000a";

    #[tokio::test]
    async fn another_server_goes_on_with_what_one_has_stored() {
        let folder = tempfile::tempdir().unwrap();
        let state = SessionState::new(InitializeRequestParams::default());
        let store = FolderStore::new(folder.path().into());
        store.store(ID, &state).await.unwrap();
        let other = FolderStore::new(folder.path().into());
        assert!(other.load(ID).await.unwrap().is_some());
        other.delete(ID).await.unwrap();
        assert!(store.load(ID).await.unwrap().is_none());
        other.delete(ID).await.unwrap();
    }

    #[tokio::test]
    async fn names_lead_nowhere_else_and_old_sessions_go() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let store = FolderStore::new(inner.clone());
        let state = SessionState::new(InitializeRequestParams::default());
        for id in ["../x", "", "..", "/etc/passwd", &"a".repeat(300)] {
            assert!(store.load(id).await.unwrap().is_none(), "{id}");
            assert!(store.store(id, &state).await.is_err(), "{id}");
        }
        store.store(ID, &state).await.unwrap();
        store.prune(SystemTime::now() + KEPT + KEPT).unwrap();
        assert!(store.load(ID).await.unwrap().is_none());
    }
}
