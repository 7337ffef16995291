//! Systems that report nothing of what programs execute.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use sandbox::denial::Denied;

use crate::interception::call::InterceptedCall;
use crate::interception::door::Door;
use crate::sandboxes::Sandbox;

/// Opens no door.
#[derive(Debug)]
pub(crate) struct KernelDoors;

/// There is none.
pub(crate) enum KernelDoor {}

impl KernelDoors {
    pub(crate) fn new(_: PathBuf) -> KernelDoors {
        KernelDoors
    }

    /// # Errors
    ///
    /// Always.
    #[expect(clippy::unused_async, reason = "as where there is a door")]
    pub(crate) async fn open(
        &self,
        _: OwnedFd,
        _: &Arc<Sandbox>,
        _: Arc<InterceptedCall>,
    ) -> Result<KernelDoor, String> {
        Err("only Linux reports what programs execute".into())
    }
}

impl Door for KernelDoor {
    type Event = KernelDoor;

    async fn next(&self) -> io::Result<Option<KernelDoor>> {
        match *self {}
    }

    fn hold(&self, event: KernelDoor, _: Arc<InterceptedCall>) -> impl Future<Output = ()> + Send + 'static {
        async move { match event {} }
    }
}

/// None are made here.
#[derive(Clone, Debug, Default)]
pub(crate) struct MadeByCall;

/// None are refused here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refused;

impl Refused {
    /// No name is.
    pub(crate) fn names(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// No call is.
    pub(crate) fn calls(&self) -> BTreeMap<Denied, String> {
        BTreeMap::new()
    }

    /// Nothing is known of it.
    pub(crate) fn wanted_terminal(&self) -> bool {
        false
    }
}
